// Bundles d3.js and writes it, and what it is made of, beside the page's own scripts.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const TARGET = "../../furiosa_ir/reports/assets/";
const { packages: locked } = JSON.parse(readFileSync("package-lock.json", "utf8"));

const { outputFiles, metafile } = await build({
  entryPoints: ["d3.js"], bundle: true, minify: true, format: "iife", globalName: "d3", target: "es2022",
  legalComments: "none", charset: "ascii", metafile: true, write: false, outdir: ".",
});
const [{ inputs }] = Object.values(metafile.outputs);
const used = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput).map((path) => path.match(/^node_modules\/[^/]+/)?.[0]);
const folders = [...new Set(used)].filter((folder) => folder).sort();
const name = (folder) => `${folder.replace("node_modules/", "")} ${locked[folder].version}`;

// Their licences ask for the notice in all copies, and each page is one.
const holders = new Map();
for (const folder of folders) {
  const licence = readFileSync(`${folder}/LICENSE`, "utf8").trim();
  holders.set(licence, [...(holders.get(licence) ?? []), name(folder)]);
}
const notices = [...holders].map(([licence, names]) => `${names.join(", ")}\n\n${licence}`).join("\n\n");
const text = `/*\n${notices}\n*/\n${outputFiles[0].text}`;
if (text.includes("</script")) throw new Error("the bundle would end the page's <script>");

writeFileSync(`${TARGET}d3.min.js`, text);
const made = {
  sha256: createHash("sha256").update(text).digest("hex"),
  packages: Object.fromEntries(folders.map((folder) => [name(folder), locked[folder].integrity])),
};
writeFileSync(`${TARGET}d3.min.json`, `${JSON.stringify(made, null, 2)}\n`);
