// The mark of each state, the same on the map, in its key and in the list: a shape of its own, not only a colour.

import { svg } from "./elements.js";

const SIZE = 16;

function shape(state, radius) {
  const [long, wide] = [radius * 1.15, radius * 0.95];
  switch (state) {
    case "new":
      return svg("path", { d: `M0 ${-long}L${long} 0 0 ${long} ${-long} 0Z` });
    case "silent":
      return svg("path", { d: `M0 ${-long}L${wide} ${radius * 0.75}H${-wide}Z` });
    case "gone":
      return svg("path", { d: `M${-wide} ${-wide}L${wide} ${wide}M${wide} ${-wide}L${-wide} ${wide}` });
    default:
      return svg("circle", { r: radius });
  }
}

export function mark(state, radius) {
  const made = shape(state, radius);
  made.setAttribute("class", `mark mark-${["new", "silent", "gone"].includes(state) ? state : "active"}`);
  return made;
}

export function markBeside(state) {
  const box = `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`;
  return svg("svg", { viewBox: box, width: SIZE, height: SIZE, "aria-hidden": "true" }, mark(state, 5.5));
}
