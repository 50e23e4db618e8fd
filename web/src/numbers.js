// Probabilities, entropy and counts of a run.

/** Return the softmax of one vector. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** Return the entropy of probabilities, in bits. */
export function entropyOf(probabilities) {
  return -probabilities.reduce((sum, p) => (p > 0 ? sum + p * Math.log2(p) : sum), 0);
}

/** Return the probabilities at each cell of a map [1, classes, rows, columns]. */
export function cellsOf({ data, dims }) {
  const [, classes, rows, columns] = dims;
  const cells = [];
  for (let cell = 0; cell < rows * columns; cell += 1) {
    const logits = [];
    for (let k = 0; k < classes; k += 1) {
      logits.push(data[k * rows * columns + cell]);
    }
    cells.push(softmax(logits));
  }
  return { rows, columns, cells };
}

const MOST_SAMPLES = 64;

/** Return the shift-adds of a run and the multiplications of the float network. */
export function costOf(layers, outputs, samples) {
  let products = 0;
  let nonzero = 0;
  for (const layer of layers) {
    const dims = outputs[layer.output].dims;
    const places = dims.slice(2).reduce((a, b) => a * b, 1);
    products += layer.weights * places;
    nonzero += layer.nonzero * places;
  }
  return { products, shiftAdds: nonzero * (samples || MOST_SAMPLES) };
}

/** Return a number in a few characters. */
export function short(value) {
  return new Intl.NumberFormat("en-US", {
    notation: "compact",
    maximumSignificantDigits: 3,
  }).format(value);
}
