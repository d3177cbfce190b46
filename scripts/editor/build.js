// Makes the console's code editor, `console/vendor/codemirror.js`, with its licence: the same bytes from the same lock file.
//
//     npm ci --ignore-scripts && node build.js FOLDER
//
// Prints the packages that are in it. A new version: change package.json, `npm install --package-lock-only`, run this for
// `src/codewords_mcp/console/vendor`, and write what is printed and the digest into the manifest there.
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** In a document style-mod makes a <style> element, which the console's policy refuses; a constructed sheet it does not. */
const CONDITION = "!root.head && root.adoptedStyleSheets";
const constructedSheets = {
  name: "constructed sheets",
  setup({ onLoad }) {
    onLoad({ filter: /style-mod[\\/]src[\\/]style-mod\.js$/ }, async ({ path }) => {
      const parts = (await readFile(path, "utf8")).split(CONDITION);
      if (parts.length !== 2) throw new Error("style-mod is not what this recipe knows: look at how it makes its sheets.");
      return { contents: parts.join("root.adoptedStyleSheets") };
    });
  },
};

const folder = process.argv[2];
const { metafile } = await build({
  entryPoints: ["entry.js"],
  outfile: join(folder, "codemirror.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
  legalComments: "none",
  charset: "utf8",
  plugins: [constructedSheets],
});

const [{ inputs }] = Object.values(metafile.outputs);
const names = [...new Set(Object.keys(inputs).flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []))].sort();
const licences = new Map();
const versions = {};
for (const name of names) {
  const { version, license } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  if (license !== "MIT") throw new Error(`${name} has the licence ${license}.`);
  versions[name] = version;
  const text = (await readFile(`node_modules/${name}/LICENSE`, "utf8")).trim();
  licences.set(text, [...(licences.get(text) ?? []), name]);
}
await writeFile(join(folder, "codemirror.LICENSE"), [...licences].map(([text, of]) => `${of.join(", ")}\n\n${text}\n`).join("\n\n"));
console.log(JSON.stringify(versions, null, 2));
