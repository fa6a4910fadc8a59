// Builds the package: the core for this platform, and `src` into `dist`, as CommonJS with an ES module in
// front of it.
//
// One implementation for both: a program that imports the package and one of its dependencies that
// requires it share the running task, the ledgers and the classes of errors.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { core } from "./platform.mjs";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

const library = { darwin: "liboutlay_node.dylib", win32: "outlay_node.dll" };
const built = join(process.env.CARGO_TARGET_DIR ?? join(root, "../target"), "release");
const cargo = ["build", "--release", "--locked", "--quiet", "--package", "outlay-node"];
execFileSync("cargo", cargo, { cwd: join(root, ".."), stdio: "inherit" });
// Anew: a running program may have loaded the file that is there.
rmSync(join(root, core), { force: true });
copyFileSync(join(built, library[process.platform] ?? "liboutlay_node.so"), join(root, core));

rmSync(dist, { recursive: true, force: true });
execFileSync(join(root, "node_modules/.bin/tsc"), ["--project", root], { stdio: "inherit" });
mkdirSync(join(dist, "integrations"), { recursive: true });
copyFileSync(join(root, "../tests/billed.json"), join(dist, "integrations/billed.json"));
// A program need not have the types of Node.js.
const declared = readFileSync(join(root, "src/core.d.ts"), "utf8").replace(/\bBuffer\b/g, "Uint8Array");
writeFileSync(join(dist, "core.d.ts"), declared);

for (const entry of [
  "index",
  "testing",
  ...["ai", "agents", "fetch", "langchain"].map((name) => `integrations/${name}`),
]) {
  const types = readFileSync(join(dist, `${entry}.d.ts`), "utf8");
  writeFileSync(join(dist, `${entry}.d.mts`), types);
  const names = Object.keys(createRequire(import.meta.url)(join(dist, `${entry}.js`))).sort();
  const module = `./${entry.split("/").pop()}.js`;
  writeFileSync(join(dist, `${entry}.mjs`), `export {\n  ${names.join(",\n  ")},\n} from "${module}";\n`);
}
