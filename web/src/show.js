// Writes results into the page.
import { entropyOf, short } from "./numbers.js";

const at = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const width = (share) => `${(100 * share).toFixed(2)}%`;
const COLOURS = [
  "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#b0b7bf", "#8c564b", "#7b6fd0",
];
const GROUND = "#202833";
const FEW_CELLS = 6;

function make(tag, content = "", className = "") {
  const node = document.createElement(tag);
  node.textContent = content;
  node.className = className;
  return node;
}

const firstOf = (values) => values.indexOf(Math.max(...values));

/** Show the answer and a bar for each class, with the range over all draws. */
export function showAnswer(classes, { probabilities, map }, draws) {
  const best = firstOf(probabilities);
  at("answer").textContent = map
    ? inSight(classes, map)
    : `${classes[best]}, ${percent(probabilities[best])}`;
  const bars = at("bars");
  while (bars.children.length > classes.length) {
    bars.lastChild.remove();
  }
  while (bars.children.length < classes.length) {
    bars.append(bar());
  }
  classes.forEach((name, k) => {
    const [label, track, number] = bars.children[k].children;
    bars.children[k].className = k === best ? "first" : "";
    label.textContent = name;
    number.textContent = percent(probabilities[k]);
    const [fill, range] = track.children;
    fill.style.width = width(probabilities[k]);
    const all = draws.map((each) => each[k]);
    range.hidden = draws.length < 2;
    range.style.left = width(Math.min(...all, 1));
    range.style.right = width(1 - Math.max(...all, 0));
  });
}

function bar() {
  const item = make("li");
  const track = make("span", "", "track");
  track.append(make("span", "", "fill"), make("span", "", "range"));
  item.append(make("span"), track, make("span", "", "number"));
  return item;
}

/** Return which classes fill some cells of a map, the largest first. */
function inSight(classes, { cells }) {
  const counts = classes.map(() => 0);
  for (const cell of cells) {
    counts[firstOf(cell)] += 1;
  }
  const found = classes
    .map((name, k) => ({ name, cells: counts[k] }))
    .slice(0, -1)
    .filter((each) => each.cells >= FEW_CELLS)
    .sort((a, b) => b.cells - a.cells)
    .map((each) => each.name);
  return found.length ? found.join(", ") : "Nothing but ground";
}

/** Say how often each answer was the first, over all draws. */
export function showSpread(classes, draws, samples) {
  if (!samples) {
    at("spread").textContent = "Nearest mode has no randomness: the seed changes nothing.";
    return;
  }
  if (draws.length < 2) {
    at("spread").textContent = "Draw again to see how far draws differ.";
    return;
  }
  const wins = classes.map(() => 0);
  for (const probabilities of draws) {
    wins[firstOf(probabilities)] += 1;
  }
  const told = wins
    .map((count, k) => ({ count, name: classes[k] }))
    .filter((each) => each.count)
    .sort((a, b) => b.count - a.count)
    .map((each) => `${each.name} ${each.count}`);
  at("spread").textContent = `First over ${draws.length} draws: ${told.join(", ")}. Lines in the bars: lowest to highest.`;
}

/** Show class and entropy of each cell, where the network gives them. */
export function showMaps(classes, map) {
  at("maps").hidden = !map;
  for (const item of at("bars").children) {
    item.firstElementChild.style = "";
  }
  if (!map) {
    return;
  }
  const top = Math.log2(classes.length);
  at("entropy-top").textContent = top.toFixed(2);
  fillMap(at("class-map"), map, (cell) => {
    const best = firstOf(map.cells[cell]);
    return COLOURS[best] ?? GROUND;
  });
  fillMap(at("entropy-map"), map, (cell) => {
    const share = entropyOf(map.cells[cell]) / top;
    return `hsl(${60 * share} 90% ${75 * share}%)`;
  });
  classes.forEach((_, k) => {
    const label = at("bars").children[k].firstElementChild;
    label.style.borderLeft = `0.5rem solid ${COLOURS[k] ?? GROUND}`;
    label.style.paddingLeft = "0.4rem";
  });
}

function fillMap(canvas, { rows, columns }, colourOf) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  for (let cell = 0; cell < rows * columns; cell += 1) {
    context.fillStyle = colourOf(cell);
    context.fillRect(cell % columns, Math.floor(cell / columns), 1, 1);
  }
}

/** Show the cost of a run. */
export function showCost({ products, shiftAdds }, milliseconds, { entropy, map }, classes, samples) {
  at("shift-adds").textContent = short(shiftAdds);
  at("shift-adds-note").textContent = samples
    ? `${samples} per weight that is not 0`
    : "64 per weight that is not 0: what nearest mode stands for";
  at("products").textContent = short(products);
  at("milliseconds").textContent = `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
  at("entropy").textContent = `${entropy.toFixed(2)} bits`;
  at("entropy-note").textContent = `${map ? "mean over places, " : ""}at most ${Math.log2(classes).toFixed(2)}`;
}

/** Show the counts of patterns, a row for each layer. */
export function showPatterns(layers) {
  const cells = (each) => [each.here, each.seen, each.fresh, each.units, each.places];
  at("patterns").replaceChildren(
    ...layers.map((each) => {
      const row = make("tr");
      const name = make("th", each.name.replace(/^\/(blocks|features)?\/?|\/Conv$/g, ""));
      name.scope = "row";
      row.append(name, ...cells(each).map((value) => make("td", value.toLocaleString("en-GB"))));
      if (each.full) {
        row.children[2].textContent += " (full)";
      }
      return row;
    }),
  );
}
