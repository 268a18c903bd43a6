// Days and hours as the city's clocks show them. The browser's own zone has no say in any of it.
//
// A day is "2026-11-24"; an hour is the API's text, whose clock and offset are the city's already.

const DAY_MILLISECONDS = 86_400_000;
const WORDS = "en-GB";

const part = (options) => new Intl.DateTimeFormat(WORDS, { ...options, timeZone: "UTC" });
const LONG = { weekday: part({ weekday: "long" }), month: part({ month: "long" }) };
const SHORT = { weekday: part({ weekday: "short" }), month: part({ month: "short" }) };

export const dayOf = (at) => at.slice(0, 10);
export const clockOf = (at) => at.slice(11, 16);
export const offsetOf = (at) => (at.endsWith("Z") ? "+00:00" : at.slice(-6));
export const instantOf = (at) => Date.parse(at);

const midnight = (day) => Date.parse(`${day}T00:00:00Z`);

export function daysFrom(first, last) {
  return Math.round((midnight(last) - midnight(first)) / DAY_MILLISECONDS);
}

export function laterDay(day, days) {
  return new Date(midnight(day) + days * DAY_MILLISECONDS).toISOString().slice(0, 10);
}

export function weekdayOf(day) {
  return SHORT.weekday.format(midnight(day));
}

export function dateOf(day) {
  return `${Number(day.slice(8))} ${SHORT.month.format(midnight(day))} ${day.slice(0, 4)}`;
}

/** A day in words: with its year only if that is another than today's. */
export function nameOf(day, today, words = LONG) {
  const instant = midnight(day);
  const year = day.slice(0, 4) === today.slice(0, 4) ? "" : ` ${day.slice(0, 4)}`;
  return `${words.weekday.format(instant)} ${Number(day.slice(8))} ${words.month.format(instant)}${year}`;
}

export const shortNameOf = (day, today) => nameOf(day, today, SHORT);

/** "Today", "Tomorrow", or nothing. */
export function nearnessOf(day, today) {
  return ["Today", "Tomorrow"][daysFrom(today, day)] ?? "";
}

/** The city's day and clock at an instant. */
export function localOf(instant, zone) {
  const shown = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  const parts = Object.fromEntries(shown.formatToParts(instant).map(({ type, value }) => [type, value]));
  return { day: `${parts.year}-${parts.month}-${parts.day}`, clock: `${parts.hour}:${parts.minute}` };
}

export const todayIn = (zone) => localOf(Date.now(), zone).day;

/** The clock of each hour; where clocks are put back, an hour that comes twice has its offset with it. */
export function clocksOf(hours) {
  const shown = (at) => at.slice(0, 16);
  const times = new Map();
  for (const at of hours) times.set(shown(at), (times.get(shown(at)) ?? 0) + 1);
  return hours.map((at) => (times.get(shown(at)) > 1 ? `${clockOf(at)} (UTC${offsetOf(at)})` : clockOf(at)));
}
