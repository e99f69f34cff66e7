// Find points by their place: a grid of cells over the square from -1 to 1.

const SIDE = 128;
const cell = (value) => Math.max(0, Math.min(SIDE - 1, Math.floor(((value + 1) / 2) * SIDE)));

export class Cells {
  /** places: Float32Array of x, y for each point. */
  constructor(places) {
    this.places = places;
    this.cells = new Map();
    for (let i = 0; i < places.length / 2; i++) {
      const key = cell(places[2 * i]) * SIDE + cell(places[2 * i + 1]);
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push(i);
    }
  }

  /** The points in a rectangle; at most `most`. */
  within(left, bottom, right, top, most = Infinity) {
    const found = [], { places } = this;
    for (let i = cell(left); i <= cell(right); i++) {
      for (let j = cell(bottom); j <= cell(top); j++) {
        for (const point of this.cells.get(i * SIDE + j) ?? []) {
          const x = places[2 * point], y = places[2 * point + 1];
          if (x < left || x > right || y < bottom || y > top) continue;
          found.push(point);
          if (found.length > most) return found;
        }
      }
    }
    return found;
  }

  /** The point nearest to a place, within a distance; -1 if there is none. */
  nearest(x, y, far) {
    let best = -1, least = far * far;
    for (const point of this.within(x - far, y - far, x + far, y + far)) {
      const distance = (this.places[2 * point] - x) ** 2 + (this.places[2 * point + 1] - y) ** 2;
      if (distance <= least) [best, least] = [point, distance];
    }
    return best;
  }

  /** The points inside a polygon, given as [x, y] corners. */
  inside(polygon) {
    const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
    const boxed = this.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
    return boxed.filter((point) => contains(polygon, this.places[2 * point], this.places[2 * point + 1]));
  }
}

function contains(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
