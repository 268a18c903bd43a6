// Where counters lie on the map, in pixels. Pure: nothing is drawn here.

const METRES_PER_DEGREE = 111_320;
const MIN_SPAN_METRES = 500;
const MAX_METRES = 100_000;
const MIN_HEIGHT_SHARE = 0.6;
const MAX_HEIGHT_SHARE = 0.95;
const MAX_ROUNDS = 60;
const MIN_RADIUS = 4.5;
const STALE_RADIUS = 5.5;

function middle(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function ranges(points) {
  const [x, y] = [points.map((point) => point.x), points.map((point) => point.y)];
  return { left: Math.min(...x), right: Math.max(...x), top: Math.min(...y), bottom: Math.max(...y) };
}

/** Metres from the middle of the city, east and south; counters without a place, or very far off, are left out. */
export function metresFromMiddle(counters) {
  const placed = counters.filter(({ latitude, longitude }) => latitude !== null && longitude !== null);
  if (!placed.length) return [];
  const north = middle(placed.map((counter) => counter.latitude));
  const east = middle(placed.map((counter) => counter.longitude));
  const narrowing = Math.cos((north * Math.PI) / 180);
  return placed
    .map((counter) => ({
      counter,
      x: (counter.longitude - east) * METRES_PER_DEGREE * narrowing,
      y: (north - counter.latitude) * METRES_PER_DEGREE,
    }))
    .filter(({ x, y }) => Math.hypot(x, y) <= MAX_METRES);
}

/** Points in pixels for a width, and the height that suits the city. */
export function fit(metres, width, padding) {
  const { left, right, top, bottom } = ranges(metres);
  const [spanX, spanY] = [Math.max(right - left, MIN_SPAN_METRES), Math.max(bottom - top, MIN_SPAN_METRES)];
  const inner = width - 2 * padding;
  const height = Math.min(Math.max((inner * spanY) / spanX + 2 * padding, width * MIN_HEIGHT_SHARE), width * MAX_HEIGHT_SHARE);
  const pixelsPerMetre = Math.min(inner / spanX, (height - 2 * padding) / spanY);
  const points = metres.map(({ counter, x, y }) => ({
    counter,
    x: width / 2 + (x - (left + right) / 2) * pixelsPerMetre,
    y: height / 2 + (y - (top + bottom) / 2) * pixelsPerMetre,
  }));
  return { points, height, pixelsPerMetre };
}

/** The largest radius that leaves room for this many points. */
export function maxRadiusFor(points, width, height) {
  return Math.min(Math.max(0.34 * Math.sqrt((width * height) / points), 7), 15);
}

/** An area that is in proportion to the last count; counters that count no more have one size. */
export function radiusOf(counter, maxCount, largest) {
  if (counter.state === "silent" || counter.state === "gone" || !counter.last_count) return STALE_RADIUS;
  return Math.max(MIN_RADIUS, largest * Math.sqrt(counter.last_count / maxCount));
}

function fanOut(points) {
  const places = new Map();
  for (const point of points) {
    const place = `${Math.round(point.x)} ${Math.round(point.y)}`;
    places.set(place, [...(places.get(place) ?? []), point]);
  }
  for (const same of places.values()) {
    same.forEach((point, index) => {
      const turn = Math.PI + (2 * Math.PI * index) / same.length;
      if (same.length > 1) Object.assign(point, { x: point.x + Math.cos(turn), y: point.y + Math.sin(turn) });
    });
  }
}

/** Move points that would cover each other apart, a few pixels; those of one place to its sides. */
export function spread(points) {
  fanOut(points);
  for (let round = 0, moved = true; moved && round < MAX_ROUNDS; round += 1) {
    moved = false;
    for (const [index, one] of points.entries()) {
      for (const other of points.slice(index + 1)) {
        const [dx, dy] = [other.x - one.x, other.y - one.y];
        const distance = Math.hypot(dx, dy) || 1e-6;
        const push = (one.radius + other.radius + 1 - distance) / 2;
        if (push <= 0.05) continue;
        moved = true;
        one.x -= (dx / distance) * push;
        one.y -= (dy / distance) * push;
        other.x += (dx / distance) * push;
        other.y += (dy / distance) * push;
      }
    }
  }
  return points;
}

/** A round length in metres that is at most so many pixels long. */
export function scaleOf(pixelsPerMetre, maxPixels) {
  const power = 10 ** Math.floor(Math.log10(maxPixels / pixelsPerMetre));
  const metres = power * [5, 2, 1].find((step) => step * power * pixelsPerMetre <= maxPixels);
  return { metres, pixels: metres * pixelsPerMetre, label: metres < 1000 ? `${metres} m` : `${metres / 1000} km` };
}

/** The nearest point in a direction, or null: what lies straight ahead counts as nearer than what lies aside. */
export function nearestInDirection(points, from, dx, dy) {
  let best = null;
  for (const point of points) {
    const ahead = (point.x - from.x) * dx + (point.y - from.y) * dy;
    const aside = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
    const cost = ahead + 2 * aside;
    if (point !== from && ahead > 0.5 && (best === null || cost < best.cost)) best = { point, cost };
  }
  return best?.point ?? null;
}

export function nearest(points, x, y, maxDistance) {
  let best = null;
  for (const point of points) {
    const distance = Math.hypot(point.x - x, point.y - y) - point.radius;
    if (distance <= maxDistance && (best === null || distance < best.distance)) best = { point, distance };
  }
  return best?.point ?? null;
}
