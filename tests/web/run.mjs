// Runs a model in onnxruntime-web: node run.mjs MODEL CALLS, CALLS being JSON
// [{name: {type, dims, data}}, ...]; prints the outputs of each call in the same form.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

const ARRAYS = {
  float32: Float32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  int16: Int16Array,
};

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const [model, calls] = process.argv.slice(2);
const session = await ort.InferenceSession.create(await readFile(model), {
  executionProviders: ["wasm"],
});

const tensor = ({ type, dims, data }) => {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return new ort.Tensor(type, new ARRAYS[type](bytes.buffer), dims);
};

const plain = (found) => {
  const { buffer, byteOffset, byteLength } = found.data;
  const data = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
  return { type: found.type, dims: found.dims.map(Number), data };
};

const results = [];
for (const call of JSON.parse(await readFile(calls, "utf8"))) {
  const feeds = Object.fromEntries(Object.entries(call).map(([name, t]) => [name, tensor(t)]));
  const outputs = await session.run(feeds);
  results.push(Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, plain(t)])));
}
console.log(JSON.stringify({ version: ort.env.versions.web, inputs: session.inputNames, results }));
