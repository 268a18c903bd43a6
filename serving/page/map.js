// The map of the counters: points, key, scale and north, by mouse, touch and keyboard. Positions come from `geometry`.

import { html, svg, setText } from "./elements.js";
import { fit, metresFromMiddle, nearest, radiusOf, maxRadiusFor, scaleOf, spread, nearestInDirection } from "./geometry.js";
import { mark, markBeside } from "./marks.js";
import { STATES, bikes, inWhole, lastCountOf, stateOf } from "./words.js";

const PADDING = 38;
const EDGE = 8;
const TOUCH = 22;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class CounterMap {
  #parts;
  #choose;
  #counters = [];
  #points = [];
  #elements = new Map();
  #chosen = null;
  #pointed = null;
  #overlay = svg("g", { "aria-hidden": "true", class: "overlay" });
  #width = 0;

  /** Parts: the elements `svg`, `states` and `size`; `choose` is called with the id of a counter. */
  constructor(parts, choose) {
    this.#parts = parts;
    this.#choose = choose;
    const { svg: drawing } = parts;
    drawing.addEventListener("click", (event) => this.#click(event));
    drawing.addEventListener("keydown", (event) => this.#press(event));
    drawing.addEventListener("pointermove", (event) => this.#point(this.#under(event)));
    drawing.addEventListener("pointerleave", () => this.#point(null));
    const figure = drawing.parentElement;
    figure.addEventListener("focusin", (event) => this.#focus(event.target.dataset?.counter));
    figure.addEventListener("focusout", () => this.#point(null));
    new ResizeObserver(() => this.#draw()).observe(figure);
  }

  show(counters) {
    this.#counters = counters;
    this.#width = 0;
    this.#draw();
  }

  mark(chosen) {
    this.#elements.get(this.#chosen)?.setAttribute("aria-pressed", "false");
    this.#chosen = chosen;
    this.#elements.get(chosen)?.setAttribute("aria-pressed", "true");
    this.#stopAt(chosen);
    this.#drawOverlay();
  }

  #draw() {
    const { svg: drawing } = this.#parts;
    const width = Math.round(drawing.parentElement.clientWidth);
    if (!width || width === this.#width) return;
    this.#width = width;
    const focused = document.activeElement?.dataset?.counter;
    const metres = metresFromMiddle(this.#counters);
    drawing.toggleAttribute("hidden", !metres.length);
    this.#showStates(metres.length);
    if (!metres.length) return;
    const { points, height, pixelsPerMetre } = fit(metres, width, PADDING);
    this.#size(points, width, height);
    this.#points = spread(points);
    this.#elements = new Map(this.#points.map((point) => [point.counter.counter_id, this.#pointElement(point)]));
    const back = [...this.#points].sort((a, b) => b.radius - a.radius);
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren(
      ground(width, height, scaleOf(pixelsPerMetre, width / 4)),
      svg("g", { class: "points" }, ...back.map(({ counter }) => this.#elements.get(counter.counter_id))),
      this.#overlay,
    );
    this.mark(this.#chosen);
    this.#elements.get(focused)?.focus();
  }

  #size(points, width, height) {
    const largest = maxRadiusFor(points.length, width, height);
    const maxCount = Math.max(1, ...points.map(({ counter }) => counter.last_count ?? 0));
    for (const point of points) point.radius = radiusOf(point.counter, maxCount, largest);
    const explanation = `The larger a circle, the more bikes in the counter's last hour: up to ${bikes(maxCount)}. ` +
      "Counters at one place are drawn side by side.";
    setText(this.#parts.size, explanation);
  }

  #pointElement(point) {
    const { counter, x, y, radius } = point;
    return svg(
      "g",
      {
        role: "button",
        class: "point",
        tabindex: -1,
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
        "data-counter": counter.counter_id,
        "aria-label": `${counter.counter_name}, ${stateOf(counter)}, ${lastCountOf(counter)}`,
        "aria-pressed": "false",
      },
      mark(counter.state, radius),
    );
  }

  #showStates(placed) {
    const states = Object.keys(STATES).map((state) => [state, this.#counters.filter((c) => c.state === state).length]);
    const keys = states
      .filter(([, number]) => number)
      .map(([state, number]) => html("li", {}, markBeside(state), `${state} `, html("b", {}, inWhole(number))));
    const unplaced = this.#counters.length - placed;
    if (unplaced) keys.push(html("li", {}, `not on the map, only in the search: ${inWhole(unplaced)}`));
    this.#parts.states.replaceChildren(...keys);
  }

  #stopAt(counter) {
    const stop = this.#elements.get(counter) ?? this.#elements.values().next().value;
    for (const element of this.#elements.values()) element.setAttribute("tabindex", element === stop ? 0 : -1);
  }

  #point(counter) {
    if (counter === this.#pointed) return;
    this.#pointed = counter;
    this.#parts.svg.classList.toggle("pointing", counter !== null);
    this.#drawOverlay();
  }

  #focus(counter) {
    if (!counter) return;
    this.#stopAt(counter);
    this.#point(counter);
  }

  #drawOverlay() {
    const find = (id) => this.#points.find(({ counter }) => counter.counter_id === id);
    const [chosen, pointed] = [find(this.#chosen), find(this.#pointed)];
    const drawn = [];
    if (chosen) drawn.push(ring(chosen, "ring ring-outer", 5), ring(chosen, "ring", 3));
    if (pointed && pointed !== chosen) drawn.push(ring(pointed, "ring ring-pointed", 2));
    this.#overlay.replaceChildren(...drawn);
    const named = pointed ?? chosen;
    if (named) writeName(this.#overlay, named, this.#points, this.#width);
  }

  #under(event) {
    const frame = this.#parts.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const maxDistance = event.pointerType === "mouse" ? TOUCH / 2 : TOUCH;
    return nearest(this.#points, x, y, maxDistance)?.counter.counter_id ?? null;
  }

  #click(event) {
    const counter = event.target.closest("[data-counter]")?.dataset.counter ?? this.#under(event);
    if (counter) this.#choose(counter);
  }

  #press(event) {
    const counter = event.target.dataset?.counter;
    if (!counter || event.ctrlKey || event.metaKey || event.altKey) return;
    const from = this.#points.find((point) => point.counter.counter_id === counter);
    const next = ARROWS[event.key] && nearestInDirection(this.#points, from, ...ARROWS[event.key]);
    if (event.key === "Enter" || event.key === " ") this.#choose(counter);
    else if (next) this.#elements.get(next.counter.counter_id).focus();
    else if (!ARROWS[event.key]) return;
    event.preventDefault();
  }
}

function ring({ x, y, radius }, name, away) {
  return svg("circle", { cx: x, cy: y, r: radius + away, class: name });
}

/** Write a point's name within the map, above or below, wherever it covers fewer points; a long one is cut. */
function writeName(overlay, { counter, x, y, radius }, points, width) {
  const text = svg("text", { "text-anchor": "middle", class: "point-name" }, counter.counter_name);
  overlay.append(text);
  const [room, length] = [width - 2 * EDGE, text.getComputedTextLength()];
  const letters = Math.floor((counter.counter_name.length * room) / length) - 2;
  if (length > room) text.textContent = `${counter.counter_name.slice(0, letters)}…`;
  const half = Math.min(length, room) / 2;
  const middle = Math.min(Math.max(x, half + EDGE), width - half - EDGE);
  const under = (point, low) => Math.abs(point.x - middle) < half && Math.abs(point.y - low + 5) < point.radius + 8;
  const covered = (low) => points.filter((point) => under(point, low)).length;
  const [above, below] = [y - radius - 10, y + radius + 20];
  text.setAttribute("x", middle);
  text.setAttribute("y", above < 20 || covered(below) < covered(above) ? below : above);
}

function ground(width, height, { pixels, label }) {
  const lines = [];
  for (let x = (width / 2) % pixels; x < width; x += pixels) lines.push(`M${x.toFixed(1)} 0V${height}`);
  for (let y = (height / 2) % pixels; y < height; y += pixels) lines.push(`M0 ${y.toFixed(1)}H${width}`);
  const [left, low] = [12, height - 12];
  return svg(
    "g",
    { "aria-hidden": "true", class: "ground" },
    svg("path", { d: lines.join(""), class: "grid" }),
    svg("path", { d: `M${left} ${low - 5}V${low}H${left + pixels}V${low - 5}`, class: "scale" }),
    svg("text", { x: left + pixels / 2, y: low - 6, "text-anchor": "middle", class: "scale-label" }, label),
    svg("path", { d: `M${width - 20} 10l6 16-6-4-6 4Z`, class: "north" }),
    svg("text", { x: width - 20, y: 40, "text-anchor": "middle", class: "scale-label" }, "N"),
  );
}
