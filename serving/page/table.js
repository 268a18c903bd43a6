// The chart's numbers as a table, a group of rows a day.

import { byId, html } from "./elements.js";
import { LINES } from "./series.js";
import { nameOf } from "./time.js";

const NONE = "–";

export function showTable(hours, name, today) {
  const heads = ["Hour", ...LINES.map((line) => line.label)].map((label) => html("th", { scope: "col" }, label));
  const days = grouped(hours);
  byId("table").replaceChildren(
    html("caption", { id: "table-caption" }, `Bikes an hour at ${name}`),
    html("thead", {}, html("tr", {}, ...heads)),
    ...[...days].map(([day, rows]) => html("tbody", {}, dayRow(day, today), ...rows.map(hourRow))),
  );
}

function grouped(hours) {
  const days = new Map();
  for (const hour of hours) days.set(hour.day, [...(days.get(hour.day) ?? []), hour]);
  return days;
}

function dayRow(day, today) {
  return html("tr", {}, html("th", { scope: "rowgroup", colspan: LINES.length + 1 }, nameOf(day, today)));
}

function hourRow(hour) {
  const cells = LINES.map(({ key, exact }) => html("td", {}, hour[key] === null ? NONE : exact(hour[key])));
  return html("tr", { "data-at": hour.at }, html("th", { scope: "row" }, hour.clock), ...cells);
}
