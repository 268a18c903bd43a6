// The chart of one counter: its last week and its next days by the hour, and the reading of any hour of them.

import { byId, html, svg, setText } from "./elements.js";
import { LINES, endOfCounts, momentOf, readingOf } from "./series.js";
import { weekdayOf } from "./time.js";
import { inWhole } from "./words.js";

const EDGE = { left: 44, right: 10, top: 22, bottom: 40 };
const HOUR = 3_600_000;
const NARROW = 480;
const STEPS = [1, 2, 5, 10];

export class Chart {
  #drawing = byId("chart");
  #slider = byId("hour");
  #hours = [];
  #today = "";
  #at = 0;
  #width = 0;
  #cross = svg("g", { class: "cross" });

  constructor() {
    this.#slider.addEventListener("input", () => this.#read(Number(this.#slider.value)));
    this.#drawing.addEventListener("pointermove", (event) => this.#follow(event));
    this.#drawing.addEventListener("pointerdown", (event) => this.#follow(event));
    new ResizeObserver(() => this.#draw()).observe(this.#drawing.parentElement);
  }

  /** Show hours; `selected` is the one to read first, unless the one that was read is still there. */
  show(hours, today, selected, words) {
    const before = this.#hours[this.#at]?.at;
    const index = (at) => hours.findIndex((hour) => hour.at === at);
    [this.#hours, this.#today, this.#width] = [hours, today, 0];
    byId("chart-words").textContent = words;
    this.#slider.max = hours.length - 1;
    this.#at = Math.max(0, selected === null ? index(before) : index(selected));
    this.#draw();
  }

  #draw() {
    const width = Math.round(this.#drawing.parentElement.clientWidth);
    if (!this.#hours.length || !width || width === this.#width) return;
    this.#width = width;
    const height = width < NARROW ? 250 : 290;
    const { x, y, max, step } = this.#scales(width, height);
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#drawing.replaceChildren(
      ...this.#days(x, width, height),
      ...levels(y, max, step, width),
      area(this.#hours, x, y),
      ...[...LINES].reverse().map(({ key }) => line(this.#hours, key, x, y)),
      ...this.#end(x, width, height),
      this.#cross,
    );
    this.#read(this.#at);
  }

  #scales(width, height) {
    const [first, last] = [this.#hours[0].instant, this.#hours.at(-1).instant + HOUR];
    const largest = Math.max(1, ...this.#hours.flatMap((hour) => LINES.map(({ key }) => hour[key] ?? 0)));
    const step = stepFor(largest);
    const max = Math.ceil(largest / step) * step;
    const [broad, tall] = [width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom];
    return {
      x: (instant) => EDGE.left + ((instant - first) / (last - first)) * broad,
      y: (bikes) => EDGE.top + (1 - bikes / max) * tall,
      max,
      step,
    };
  }

  #days(x, width, height) {
    const starts = this.#hours.filter((hour, index) => hour.day !== this.#hours[index - 1]?.day);
    const low = height - EDGE.bottom;
    return starts.flatMap(({ day, instant }, index) => {
      const [left, right] = [x(instant), index + 1 < starts.length ? x(starts[index + 1].instant) : width - EDGE.right];
      const middle = { x: (left + right) / 2, "text-anchor": "middle", class: "axis" };
      return [
        svg("path", { d: `M${left} ${EDGE.top}V${low + 6}`, class: "day" }),
        svg("text", { ...middle, y: low + 17 }, weekdayOf(day)),
        svg("text", { ...middle, y: low + 32 }, String(Number(day.slice(8)))),
      ];
    });
  }

  #end(x, width, height) {
    const end = endOfCounts(this.#hours);
    if (end === null) return [];
    const at = x(end);
    const label = { x: at - 6, y: EDGE.top - 8, "text-anchor": "end", class: "end-label" };
    const [broad, tall] = [width - EDGE.right - at, height - EDGE.bottom - EDGE.top];
    return [
      svg("rect", { x: at, y: EDGE.top, width: broad, height: tall, class: "next" }),
      svg("path", { d: `M${at} ${EDGE.top - 18}V${height - EDGE.bottom}`, class: "end" }),
      svg("text", label, "counts end"),
      svg("text", { ...label, x: at + 6, "text-anchor": "start" }, "next days"),
    ];
  }

  #follow(event) {
    const frame = this.#drawing.getBoundingClientRect();
    const share = (event.clientX - frame.left - EDGE.left) / (this.#width - EDGE.left - EDGE.right);
    const [first, last] = [this.#hours[0].instant, this.#hours.at(-1).instant + HOUR];
    const instant = first + share * (last - first);
    const index = this.#hours.findIndex((hour) => instant < hour.instant + HOUR);
    this.#read(index < 0 ? this.#hours.length - 1 : index);
  }

  #read(index) {
    const hour = this.#hours[index];
    this.#at = index;
    this.#slider.value = index;
    this.#slider.setAttribute("aria-valuetext", readingOf(hour, this.#today));
    setText(byId("moment"), momentOf(hour, this.#today));
    byId("series").replaceChildren(...LINES.map((each) => legendItem(each, hour[each.key])));
    const { x, y } = this.#scales(this.#width, this.#drawing.viewBox.baseVal.height);
    const at = x(hour.instant + HOUR / 2);
    const dots = LINES.filter(({ key }) => hour[key] !== null).map(({ key }) =>
      svg("circle", { cx: at, cy: y(hour[key]), r: 4, class: `dot ${key}` }),
    );
    const low = this.#drawing.viewBox.baseVal.height - EDGE.bottom;
    this.#cross.replaceChildren(svg("path", { d: `M${at} ${EDGE.top}V${low}`, class: "hair" }), ...dots);
  }
}

function stepFor(largest) {
  const power = 10 ** Math.floor(Math.log10(largest / 4));
  return Math.max(1, power * STEPS.find((step) => step * power * 5 >= largest));
}

function legendItem({ key, label, format }, value) {
  const sample = svg("svg", { viewBox: "0 0 24 12", width: 24, height: 12, "aria-hidden": "true" });
  sample.append(svg("path", { d: "M1 6H23", class: `line ${key}` }));
  return html("li", {}, sample, `${label} `, html("b", {}, value === null ? "–" : format(value)));
}

function levels(y, max, step, width) {
  const drawn = [svg("text", { x: 2, y: 10, class: "axis" }, "bikes an hour")];
  for (let bikes = 0; bikes <= max; bikes += step) {
    drawn.push(
      svg("path", { d: `M${EDGE.left} ${y(bikes)}H${width - EDGE.right}`, class: bikes ? "level" : "level zero" }),
      svg("text", { x: EDGE.left - 7, y: y(bikes) + 4, "text-anchor": "end", class: "axis" }, inWhole(bikes)),
    );
  }
  return drawn;
}

function runsOf(hours, key) {
  const runs = [];
  hours.forEach((hour, index) => {
    if (hour[key] === null) return;
    const continues = index > 0 && hours[index - 1][key] !== null && hour.instant - hours[index - 1].instant === HOUR;
    if (continues) runs.at(-1).push(hour);
    else runs.push([hour]);
  });
  return runs;
}

const placed = (run, key, x, y) =>
  run.map((hour) => `${x(hour.instant + HOUR / 2).toFixed(1)} ${y(hour[key]).toFixed(1)}`).join("L");

function line(hours, key, x, y) {
  const paths = runsOf(hours, key).map((run) => `M${placed(run, key, x, y)}${run.length === 1 ? "h0.1" : ""}`);
  return svg("path", { d: paths.join(""), class: `line ${key}` });
}

function area(hours, x, y) {
  const paths = runsOf(hours, "counted").map((run) => {
    const [first, last] = [x(run[0].instant + HOUR / 2), x(run.at(-1).instant + HOUR / 2)];
    return `M${first.toFixed(1)} ${y(0)}L${placed(run, "counted", x, y)}L${last.toFixed(1)} ${y(0)}Z`;
  });
  return svg("path", { d: paths.join(""), class: "area" });
}
