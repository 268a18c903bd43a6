// The page as a whole: when it requests data, which counter is chosen, and what it draws again.

import * as api from "./api.js";
import { Chart } from "./chart.js";
import { byId, html, setText } from "./elements.js";
import { CounterMap } from "./map.js";
import { Search } from "./search.js";
import { endOfCounts, hoursOf } from "./series.js";
import { showFacts, showNotice, sentencesOf } from "./status.js";
import { showTable } from "./table.js";
import { nearnessOf, shortNameOf, todayIn, weekdayOf } from "./time.js";
import { about, firstDayOf, daysOf, lastCountedOf, lastDaysOf, summaryOf, withoutForecast } from "./words.js";

const REFRESH_SECONDS = 60;
const DAYS_AHEAD = 3;
const DAYS_BACK = 7;
const HASH = "#counter=";
const TITLE = document.title;
const CHOOSE = "Choose a counter on the map or by its name.";

/** The last answers, the city's zone, and the ids that were chosen first, marked and shown. */
const known = { counters: null, champion: null, readiness: null, zone: null, first: null, marked: null, shown: null };
let drawnAnswers = "";
const chart = new Chart();
const search = new Search(choose);
const map = new CounterMap({ svg: byId("map"), states: byId("map-states"), size: byId("map-size") }, choose);
let timer = 0;

function idInHash() {
  if (!location.hash.startsWith(HASH)) return null;
  try {
    return decodeURIComponent(location.hash.slice(HASH.length));
  } catch {
    return location.hash.slice(HASH.length);
  }
}

function busiest(counters) {
  const most = (best, counter) => ((counter.last_count ?? -1) > (best.last_count ?? -1) ? counter : best);
  const counting = counters.filter((counter) => counter.state === "active" && counter.has_forecast);
  const among = counting.length ? counting : counters;
  return among.length ? among.reduce(most).counter_id : null;
}

function selected() {
  known.first ??= busiest(known.counters);
  const id = idInHash() ?? known.first;
  return { id, counter: known.counters.find((counter) => counter.counter_id === id) ?? null };
}

function choose(id) {
  location.hash = HASH + encodeURIComponent(id);
  const name = byId("chosen-name").getBoundingClientRect();
  if (name.top < 0 || name.bottom > innerHeight) byId("chosen").scrollIntoView({ block: "start" });
}

async function refresh() {
  clearTimeout(timer);
  let seconds = REFRESH_SECONDS;
  try {
    known.readiness = await api.readiness();
    const [champion, counters] = await Promise.all([api.champion(), api.counters()]);
    known.champion = champion;
    showCounters(counters);
    await showChosen();
  } catch (problem) {
    if (!(problem instanceof api.RequestError)) throw problem;
    showNotice([problem.message]);
    seconds = problem.retrySeconds;
  } finally {
    clearTimeout(timer);
    timer = setTimeout(refresh, seconds * 1000);
  }
}

function showCounters(counters) {
  const changed = JSON.stringify(counters) !== JSON.stringify(known.counters);
  known.counters = counters;
  byId("city").hidden = false;
  if (!changed) return;
  search.show(counters);
  map.show(counters);
}

/** Request the chosen counter's numbers, and draw them if they changed. */
async function showChosen() {
  const { id, counter } = selected();
  if (id !== known.marked) for (const part of [search, map]) part.mark(id);
  known.marked = id;
  if (counter === null) return showNoCounter(id);
  const [counts, forecast] = await Promise.all([
    api.counts(id, DAYS_BACK),
    counter.has_forecast ? api.forecast(id, DAYS_AHEAD) : null,
  ]);
  if (selected().id !== id) return;
  known.zone = counts.timezone;
  showHead();
  const answers = JSON.stringify([counter, counts, forecast, todayIn(known.zone)]);
  if (answers !== drawnAnswers) showCounter(counter, counts, forecast);
  drawnAnswers = answers;
  if (forecast && forecast.version !== known.champion.version) await followChampion();
}

/** Update the head: the forecast is by another version than the head shows. */
async function followChampion() {
  [known.readiness, known.champion] = await Promise.all([api.readiness(), api.champion()]);
  showHead();
}

function showHead() {
  showFacts(known.champion, known.zone);
  showNotice(sentencesOf(known.readiness, known.zone));
}

async function showNoCounter(id) {
  const [any] = known.counters;
  known.zone ??= any ? (await api.counts(any.counter_id, 1)).timezone : "UTC";
  showHead();
  document.title = TITLE;
  known.shown = null;
  drawnAnswers = "";
  const none = known.counters.length ? CHOOSE : "There are no counters yet.";
  setText(byId("chosen-name"), "No counter is chosen");
  setText(byId("chosen-state"), "");
  setText(byId("summary"), id === null ? none : `There is no counter “${id}” in this city. ${none}`);
  showParts(false);
}

function showParts(shown) {
  for (const id of ["days", "traffic", "last-week", "numbers"]) byId(id).hidden = !shown;
}

function showCounter(counter, counts, forecast) {
  const today = todayIn(known.zone);
  const days = forecast ? daysOf(forecast) : [];
  const hours = hoursOf(counts, forecast);
  const day = days.length ? firstDayOf(days, today) : null;
  const first = known.shown !== counter.counter_id;
  document.title = `${counter.counter_name} – ${TITLE}`;
  setText(byId("chosen-name"), counter.counter_name);
  setText(byId("chosen-state"), `Counter ${counter.counter_id}: ${lastCountedOf(counter, known.zone, today)}`);
  showParts(true);
  setText(byId("summary"), day ? summaryOf(day, today) : withoutForecast(counter));
  setText(byId("remark"), forecast && !forecast.known_counter ? "The model did not learn from this counter." : "");
  byId("days").replaceChildren(...days.map((each) => dayCard(each, today)));
  setText(byId("last-week"), lastDaysOf(counts));
  const words = `${counter.counter_name}, ${hours.length} hours, ${shortNameOf(hours[0].day, today)} to ` +
    `${shortNameOf(hours.at(-1).day, today)}. ${endOfCounts(hours) === null ? "Counts only. " : ""}` +
    "The slider below shows one hour, the table all hours.";
  const read = day?.at ?? hours.findLast((hour) => hour.counted !== null)?.at ?? hours[0].at;
  chart.show(hours, today, first ? read : null, words);
  showTable(hours, counter.counter_name, today);
  known.shown = counter.counter_id;
}

function dayCard({ day, total, max, clock }, today) {
  return html(
    "li",
    {},
    html("span", { class: "day-name" }, `${weekdayOf(day)} ${Number(day.slice(8))}`),
    html("span", { class: "day-near" }, nearnessOf(day, today)),
    html("span", { class: "day-total" }, html("b", {}, about(total)), " bikes"),
    html("span", { class: "day-busiest" }, `most at ${clock}: ${about(max)}`),
  );
}

async function changeCounter() {
  if (known.counters === null) return;
  try {
    await showChosen();
  } catch (problem) {
    if (!(problem instanceof api.RequestError)) throw problem;
    await refresh();
  }
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("chosen").focus();
});
showNotice(["Loading the counters."]);
addEventListener("hashchange", changeCounter);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
refresh();
