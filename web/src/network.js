// The networks in onnxruntime-web, on WebAssembly in one thread.
import * as ort from "onnxruntime-web/wasm";

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Return the bytes that the page holds under an id, unpacked. */
async function held(id) {
  const packed = new Blob([bytesOf(document.getElementById(id).textContent)]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const sessions = new Map();

/** Return the session of a network, which is opened once. */
export function open(name) {
  if (!sessions.has(name)) {
    sessions.set(name, start(name));
  }
  return sessions.get(name);
}

async function start(name) {
  if (!ort.env.wasm.wasmBinary) {
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    ort.env.wasm.wasmBinary = (await held("runtime")).buffer;
  }
  return ort.InferenceSession.create(await held(`network-${name}`), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3, // errors
  });
}

const whole = (value) => new ort.Tensor("int64", BigInt64Array.of(BigInt(value)), []);

/**
 * Run a network once.
 *
 * picture: { rows, columns, grey: Float32Array in [0, 1] }; samples 0 is nearest mode.
 * Returns the outputs by name, { data, dims }, and the milliseconds of the run alone.
 */
export async function run(name, picture, samples, seed) {
  const session = await open(name);
  const feeds = {
    image: new ort.Tensor("float32", picture.grey, [1, 1, picture.rows, picture.columns]),
    samples: whole(samples),
    seed: whole(seed),
  };
  const start = performance.now();
  const outputs = await session.run(feeds);
  return { outputs, milliseconds: performance.now() - start };
}
