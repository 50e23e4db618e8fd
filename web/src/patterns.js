// Exact counts of activation patterns: which units of a layer are on, place by place.

const BITS = 16;
const MOST = 300000;

/** Return the pattern of every place of a layer's output, [1, units, places...] after a ReLU. */
export function patternsOf({ data, dims }) {
  const units = dims[1];
  const places = data.length / units;
  const words = Math.ceil(units / BITS);
  const codes = new Uint16Array(places * words);
  for (let unit = 0; unit < units; unit += 1) {
    const bit = 1 << unit % BITS;
    const word = Math.floor(unit / BITS);
    for (let place = 0; place < places; place += 1) {
      if (data[unit * places + place] > 0) {
        codes[place * words + word] |= bit;
      }
    }
  }
  const found = [];
  for (let place = 0; place < places; place += 1) {
    found.push(String.fromCharCode(...codes.subarray(place * words, (place + 1) * words)));
  }
  return found;
}

/** Counts the different patterns of each layer over many runs. */
export class PatternCounts {
  constructor() {
    this.seen = new Map();
  }

  /** Add a run's patterns of a layer; returns { places, here, seen, fresh, full }. */
  add(layer, patterns) {
    if (!this.seen.has(layer)) {
      this.seen.set(layer, new Set());
    }
    const known = this.seen.get(layer);
    const before = known.size;
    const here = new Set(patterns);
    for (const pattern of here) {
      if (known.size >= MOST) {
        break;
      }
      known.add(pattern);
    }
    return {
      places: patterns.length,
      here: here.size,
      seen: known.size,
      fresh: known.size - before,
      full: known.size >= MOST,
    };
  }
}
