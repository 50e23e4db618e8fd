// The page: what the visitor does changes the state, and every change runs the network once.
import { open, run } from "./network.js";
import { cellsOf, costOf, entropyOf, softmax } from "./numbers.js";
import { PatternCounts, patternsOf } from "./patterns.js";
import { blank, capture, inverted, line, paint, unpack } from "./picture.js";
import { showAnswer, showCost, showMaps, showPatterns, showSpread } from "./show.js";

const SAMPLES = [0, 1, 2, 4, 8, 16, 32, 64];
const MANY = 16;
const LARGEST_SEED = Number.MAX_SAFE_INTEGER;
const parts = JSON.parse(document.getElementById("parts").textContent);
const at = (id) => document.getElementById(id);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const state = {
  network: "clothes",
  picture: blank("clothes"),
  samples: 0,
  seed: 0,
  draws: [], // probabilities of all runs on this picture with this number of samples
  cursor: null,
  pen: "",
  counts: new Map(),
  result: null,
};

// ---- Running: one run at a time; changes that come meanwhile are taken together.

let current = null;
let wanted = false;

function refresh() {
  wanted = true;
  current ??= work().finally(() => {
    current = null;
  });
  return current;
}

async function work() {
  while (wanted) {
    wanted = false;
    try {
      await once();
    } catch (error) {
      at("status").textContent = `The network could not run: ${error.message}`;
      throw error;
    }
    await wait(0); // lets the page paint and take input
  }
}

async function once() {
  const { network, samples, seed, picture } = state;
  at("status").textContent = state.result ? "Running …" : "Loading the runtime …";
  const { outputs, milliseconds } = await run(network, picture, samples, seed);
  if (network !== state.network) {
    return;
  }
  const { classes, layers } = parts.networks[network];
  const found = read(outputs.logits, network);
  if (samples > 0) {
    state.draws.push(found.probabilities);
  }
  if (!state.counts.has(network)) {
    state.counts.set(network, new PatternCounts());
  }
  const counts = state.counts.get(network);
  const rows = layers
    .filter((layer) => layer.relu)
    .map((layer) => ({
      name: layer.name,
      units: layer.units,
      ...counts.add(layer.name, patternsOf(outputs[layer.output])),
    }));
  showAnswer(classes, found, state.draws);
  showMaps(classes, found.map);
  showSpread(classes, state.draws, samples);
  showCost(costOf(layers, outputs, samples), milliseconds, found, classes.length, samples);
  showPatterns(rows);
  state.result = {
    network, samples, seed,
    logits: Array.from(outputs.logits.data),
    dims: outputs.logits.dims.map(Number),
    probabilities: found.probabilities,
    patterns: Object.fromEntries(rows.map((row) => [row.name, row.here])),
    seen: Object.fromEntries(rows.map((row) => [row.name, row.seen])),
    milliseconds,
  };
  at("status").textContent = "Ready";
}

/** Return probabilities of the classes, over the whole picture, and the map where there is one. */
function read(logits, network) {
  if (network === "clothes") {
    const probabilities = softmax(logits.data);
    return { probabilities, entropy: entropyOf(probabilities), map: null };
  }
  const map = cellsOf(logits);
  const probabilities = map.cells[0].map(
    (_, k) => map.cells.reduce((sum, cell) => sum + cell[k], 0) / map.cells.length,
  );
  const entropies = map.cells.map(entropyOf);
  const entropy = entropies.reduce((a, b) => a + b, 0) / entropies.length;
  return { probabilities, entropy, map: { ...map, entropies } };
}

// ---- The picture

function setPicture(picture, pressed = null) {
  state.picture = picture;
  state.draws = [];
  for (const button of at("samples").children) {
    button.setAttribute("aria-pressed", String(button === pressed));
  }
  paint(at("picture"), picture, state.cursor);
  return refresh();
}

function listSamples() {
  at("samples").replaceChildren(
    ...parts.pictures
      .filter((each) => each.network === state.network)
      .map((each) => {
        const button = document.createElement("button");
        const canvas = document.createElement("canvas");
        button.type = "button";
        paint(canvas, unpack(each));
        button.append(canvas, each.name);
        button.addEventListener("click", () => {
          stopCamera();
          at("invert").checked = false;
          setPicture(unpack(each), button);
        });
        return button;
      }),
  );
}

function taken(source, width, height) {
  const picture = capture(source, width, height, state.network);
  return at("invert").checked ? inverted(picture) : picture;
}

async function readFile(file) {
  if (!file) {
    return;
  }
  stopCamera();
  try {
    const image = await createImageBitmap(file);
    await setPicture(taken(image, image.width, image.height));
  } catch {
    at("status").textContent = `${file.name} is no picture that this browser reads; give a PNG or JPEG.`;
  }
}

let stream = null;

async function toggleCamera() {
  if (stream) {
    stopCamera();
    return;
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    at("status").textContent = "This browser gives this page no camera; open a file instead.";
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    at("status").textContent = `There is no camera: ${error.message}`;
    return;
  }
  at("camera-button").setAttribute("aria-pressed", "true");
  const video = at("camera");
  video.srcObject = stream;
  await video.play();
  while (stream) {
    if (video.videoWidth) {
      await setPicture(taken(video, video.videoWidth, video.videoHeight));
    }
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) {
    track.stop();
  }
  stream = null;
  at("camera-button").setAttribute("aria-pressed", "false");
}

// ---- Drawing, with pointer and keyboard

function placeOf(event) {
  const box = at("picture").getBoundingClientRect();
  const { rows, columns } = state.picture;
  return {
    x: ((event.clientX - box.left) / box.width) * columns,
    y: ((event.clientY - box.top) / box.height) * rows,
  };
}

let last = null;

function draw(from, to, erase) {
  const picture = { ...state.picture, grey: state.picture.grey.slice() };
  line(picture, state.network, from, to, erase);
  setPicture(picture);
}

at("picture").addEventListener("pointerdown", (event) => {
  stopCamera();
  at("picture").setPointerCapture(event.pointerId);
  last = placeOf(event);
  draw(last, last, event.button === 2 || event.shiftKey);
});
at("picture").addEventListener("pointermove", (event) => {
  if (last) {
    const next = placeOf(event);
    draw(last, next, event.buttons === 2 || event.shiftKey);
    last = next;
  }
});
for (const name of ["pointerup", "pointercancel"]) {
  at("picture").addEventListener(name, () => {
    last = null;
  });
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

at("picture").addEventListener("keydown", (event) => {
  const { rows, columns } = state.picture;
  state.cursor ??= { x: columns / 2, y: rows / 2 };
  const before = state.cursor;
  if (STEPS[event.key]) {
    const [dx, dy] = STEPS[event.key];
    const far = event.shiftKey ? 5 : 1;
    state.cursor = {
      x: Math.min(columns - 0.5, Math.max(0.5, before.x + far * dx)),
      y: Math.min(rows - 0.5, Math.max(0.5, before.y + far * dy)),
    };
  } else if (event.key === " ") {
    state.pen = state.pen === "draws" ? "" : "draws";
  } else if (event.key.toLowerCase() === "e") {
    state.pen = state.pen === "erases" ? "" : "erases";
  } else {
    return;
  }
  event.preventDefault();
  at("status").textContent = state.pen ? `The pen ${state.pen}` : "The pen is up";
  if (state.pen) {
    stopCamera();
    draw(before, state.cursor, state.pen === "erases");
  } else {
    paint(at("picture"), state.picture, state.cursor);
  }
});
at("picture").addEventListener("blur", () => {
  state.cursor = null;
  state.pen = "";
  paint(at("picture"), state.picture);
});

// ---- Controls

function setSamples(index) {
  state.samples = SAMPLES[index];
  state.draws = [];
  const text = state.samples ? String(state.samples) : "nearest (64, rounded)";
  at("samples-value").textContent = text;
  at("samples-slider").setAttribute("aria-valuetext", text);
  at("redraw").disabled = at("redraw-many").disabled = at("seed").disabled = !state.samples;
}

function setSeed(seed) {
  state.seed = Number.isSafeInteger(seed) && seed >= 0 ? seed : 0;
  at("seed").value = state.seed;
}

async function redraw(times) {
  for (let i = 0; i < times; i += 1) {
    setSeed(state.seed < LARGEST_SEED ? state.seed + 1 : 0);
    await refresh();
  }
}

function setNetwork(network) {
  stopCamera();
  state.network = network;
  state.cursor = null;
  document.body.classList.toggle("is-scene", network === "scenes");
  at("network-file").textContent = parts.networks[network].file;
  listSamples();
  at("samples").firstElementChild.click();
}

at("samples-slider").addEventListener("input", (event) => {
  setSamples(Number(event.target.value));
  refresh();
});
at("seed").addEventListener("change", (event) => {
  setSeed(Number(event.target.value));
  refresh();
});
at("redraw").addEventListener("click", () => redraw(1));
at("redraw-many").addEventListener("click", () => redraw(MANY));
at("clear").addEventListener("click", () => {
  stopCamera();
  setPicture(blank(state.network));
});
at("invert").addEventListener("change", () => stream ?? setPicture(inverted(state.picture)));
at("file").addEventListener("change", (event) => {
  readFile(event.target.files[0]);
  event.target.value = "";
});
at("camera-button").addEventListener("click", toggleCamera);
at("forget").addEventListener("click", () => {
  state.counts.clear();
  refresh();
});
for (const input of document.getElementsByName("network")) {
  input.addEventListener("change", () => setNetwork(input.value));
}
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop") {
      readFile(event.dataTransfer.files[0]);
    }
  });
}

// What a script, such as a test, may ask: the last result, once nothing runs any longer.
globalThis.reluflow = {
  async result() {
    while (current) {
      await current;
    }
    return state.result;
  },
};

setSamples(0);
setNetwork("clothes");
await open("clothes");
at("samples-slider").disabled = false;
