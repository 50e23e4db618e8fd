// Builds the page, one file that needs no server: npm run build.
//
//   node build.mjs [--parts build] [--out build/index.html]
//
// The runtime and the networks are packed with gzip and written into the page as base64.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    parts: { type: "string", default: join(here, "build") },
    out: { type: "string", default: join(here, "build", "index.html") },
  },
});

if (!existsSync(join(values.parts, "parts.json"))) {
  const python = process.env.PYTHON ?? "python3";
  const made = spawnSync(python, [join(here, "make_parts.py"), "--out", values.parts], {
    stdio: "inherit",
  });
  if (made.status !== 0) {
    console.error(
      `${python} could not make the networks: set PYTHON to an interpreter in which reluflow is ` +
        "installed, such as ../.venv/bin/python.",
    );
    process.exit(2);
  }
}

const packed = async (path) => gzipSync(await readFile(path), { level: 9 }).toString("base64");
const held = (id, type, text) => `<script id="${id}" type="${type}">${text}</script>`;

const bundle = await build({
  entryPoints: [join(here, "src", "main.js")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  write: false,
});
const script = bundle.outputFiles[0].text.replaceAll("</script", "<\\/script");
const runtime = join(here, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");
const parts = await readFile(join(values.parts, "parts.json"), "utf8");
const { version } = JSON.parse(
  await readFile(join(here, "node_modules/onnxruntime-web/package.json"), "utf8"),
);
const insertions = {
  "/* style */": await readFile(join(here, "src", "style.css"), "utf8"),
  "<!-- parts -->": [
    held("parts", "application/json", parts.replaceAll("<", "\\u003c")),
    held("network-clothes", "text/plain", await packed(join(values.parts, "clothes.onnx"))),
    held("network-scenes", "text/plain", await packed(join(values.parts, "scenes.onnx"))),
    held("runtime", "text/plain", await packed(runtime)),
    `<script type="module">${script}</script>`,
  ].join("\n"),
  "<!-- version -->": version,
};
let page = await readFile(join(here, "src", "index.html"), "utf8");
for (const [mark, text] of Object.entries(insertions)) {
  page = page.replace(mark, () => text);
}
await mkdir(dirname(values.out), { recursive: true });
await writeFile(`${values.out}.new`, page);
await rename(`${values.out}.new`, values.out);
console.log(`Wrote ${values.out}, ${(page.length / 1e6).toFixed(1)} MB`);
