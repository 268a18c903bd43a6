// The head of the page: which model serves, how fresh the counts are, and what is wrong, in the API's own sentences.

import { byId, html, setText } from "./elements.js";
import { dateOf, localOf, nameOf, shortNameOf, todayIn } from "./time.js";
import { ageOf, staleNoticeOf, familyOf } from "./words.js";

const UNRECORDED = "not recorded";
const score = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 3, maximumFractionDigits: 3 });

export function showFacts(champion, zone) {
  const today = todayIn(zone);
  const { family, version, r2_current: r2, promoted_on: promoted, counts_until: until } = champion;
  setText(byId("fact-model"), `${familyOf(family)}, version ${version}`);
  setText(byId("fact-score"), score.format(r2));
  setText(byId("fact-promoted"), promoted === null ? UNRECORDED : dateOf(promoted));
  setText(byId("fact-counts"), `${shortNameOf(until, today)}, ${ageOf(until, today)}`);
  setText(byId("zone"), ` (${zone})`);
  byId("facts").hidden = false;
}

/** Sentences about the troubles of `GET /readyz`, and about old counts. */
export function sentencesOf(readiness, zone) {
  const today = todayIn(zone);
  const troubles = readiness.troubles.map(({ detail, since }) => {
    const { day, clock } = localOf(Date.parse(since), zone);
    return `${detail} Since ${nameOf(day, today)}, ${clock}.`;
  });
  return [...troubles, ...staleNoticeOf(readiness.counts_until, today)];
}

export function showNotice(sentences) {
  const notice = byId("notice");
  const shown = sentences.join("\n");
  if (notice.dataset.shown === shown) return;
  notice.dataset.shown = shown;
  notice.replaceChildren(...sentences.map((sentence) => html("p", {}, sentence)));
  notice.hidden = !sentences.length;
}
