// A counter's last week and next days as one row of hours, and what each line of the chart is.

import { clocksOf, dayOf, instantOf, nameOf } from "./time.js";
import { about, inTenths, inWhole } from "./words.js";

export const LINES = [
  { key: "counted", label: "Counted", exact: inWhole, format: inWhole },
  { key: "forecast", label: "Forecast", exact: inTenths, format: about },
  { key: "naive", label: "As in the weeks before", exact: inTenths, format: about },
];

/** Hours in order: at, day, clock, instant, counted, forecast, naive (null where there is none). */
export function hoursOf(counts, forecast) {
  const past = counts.hours.map((hour) => [hour.at, hour.bike_count, hour.predicted_count, null]);
  const known = new Set(past.map(([at]) => at));
  const next = (forecast?.hours ?? [])
    .filter((hour) => !known.has(hour.at))
    .map((hour) => [hour.at, null, hour.predicted_count, hour.naive_count]);
  const rows = [...past, ...next];
  const clocks = clocksOf(rows.map(([at]) => at));
  return rows.map(([at, counted, predicted, naive], index) => ({
    at,
    day: dayOf(at),
    clock: clocks[index],
    instant: instantOf(at),
    counted,
    forecast: predicted,
    naive,
    passed: index < past.length,
  }));
}

/** The instant at which the counts end; null where nothing is forecast after them. */
export function endOfCounts(hours) {
  return hours.find((hour) => !hour.passed)?.instant ?? null;
}

export function momentOf(hour, today) {
  return `${nameOf(hour.day, today)}, ${hour.clock}`;
}

export function readingOf(hour, today) {
  const known = LINES.filter(({ key }) => hour[key] !== null);
  const readings = known.map((line) => `${line.label} ${line.format(hour[line.key])}`);
  return `${momentOf(hour, today)}: ${readings.join(", ") || "nothing counted"}`;
}
