// The head of the page: which model serves, how fresh the counts are, and what is wrong, in the API's own sentences.

import { byId, html, tell } from "./elements.js";
import { dateOf, localOf, nameOf, shortNameOf, todayIn } from "./time.js";
import { ageOf, agingOf, familyOf } from "./words.js";

const UNRECORDED = "not recorded";
const score = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 3, maximumFractionDigits: 3 });

export function showFacts(champion, zone) {
  const today = todayIn(zone);
  const { family, version, r2_current: r2, promoted_on: promoted, counts_until: until } = champion;
  tell(byId("fact-model"), `${familyOf(family)}, version ${version}`);
  tell(byId("fact-score"), score.format(r2));
  tell(byId("fact-promoted"), promoted === null ? UNRECORDED : dateOf(promoted));
  tell(byId("fact-counts"), `${shortNameOf(until, today)}, ${ageOf(until, today)}`);
  tell(byId("zone"), ` (${zone})`);
  byId("facts").hidden = false;
}

/** What `GET /readyz` is troubled by, and whether the counts have stopped. */
export function troublesOf(readiness, zone) {
  const today = todayIn(zone);
  const told = readiness.troubles.map(({ detail, since }) => {
    const { day, clock } = localOf(Date.parse(since), zone);
    return `${detail} So since ${nameOf(day, today)}, ${clock}.`;
  });
  return [...told, ...agingOf(readiness.counts_until, today)];
}

export function showNotice(sentences) {
  const notice = byId("notice");
  const told = sentences.join("\n");
  if (notice.dataset.told === told) return;
  notice.dataset.told = told;
  notice.replaceChildren(...sentences.map((sentence) => html("p", {}, sentence)));
  notice.hidden = !sentences.length;
}
