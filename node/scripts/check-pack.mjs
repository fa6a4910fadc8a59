// Does what was packed work in an empty project, imported, required, and by TypeScript?
//
//     node scripts/pack.mjs && node scripts/check-pack.mjs

import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { platform } from "./platform.mjs";

const root = join(import.meta.dirname, "..");
const packed = join(root, ".build/packed");
const tarballs = readdirSync(packed).map((name) => join(packed, name));
const main = tarballs.find((name) => /outlay-\d/.test(name));
const bin = join(root, "node_modules/.bin");

const SPEND = `
await task("t", { usd: 1, store: "memory:" }, async (t) => {
  const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
  const settled = await call.settle({ inputTokens: 1000, outputTokens: 500 });
  console.log(String(settled.charge));
});`;
const FILES = {
  "import.mjs": `import { task } from "outlay";${SPEND}`,
  "require.cjs": `const { task } = require("outlay"); (async () => {${SPEND}})();`,
  "both.mjs": `import { createRequire } from "node:module";
import { current, task } from "outlay";
const other = createRequire(import.meta.url)("outlay");
await task("t", { store: "memory:" }, (t) => console.log(other.current() === t && current() === t));`,
  "typed.mts": `import { BudgetExceeded, type Money, openTask, task } from "outlay";
import { outlayMiddleware } from "outlay/ai";
export const middleware = outlayMiddleware();
export const spent: Promise<Money> = task("t", { usd: 0.5, tags: { tenant: "acme" } }, (t) => t.spent());
await using t = await openTask("t", { usd: "1.00" });
await using call = await t.reserve({ model: "gpt-4o", inputTokens: 1 });
export const limit = (error: unknown) => (BudgetExceeded.isInstance(error) ? error.limit : call.reserved);
// @ts-expect-error a name that is none
void task("t", { dollars: 1 }, () => 1);`,
  "ai.mjs": `import { outlayMiddleware } from "outlay/ai";
console.log(outlayMiddleware({ version: "v3" }).specificationVersion);`,
  "testing.mjs": `import { Provider } from "outlay/testing";
console.log(await Provider.start({ python: "no-python" }).catch((error) => error.code));`,
  "fetch.cjs": `const { guardFetch } = require("outlay/fetch");
const before = fetch, undo = guardFetch();
console.log(fetch !== before, undo() === undefined && fetch === before);`,
  "kept.mjs": `import { task } from "outlay";
await task("kept", { usd: 1, store: "sqlite:kept.db" }, async (t) => {
  await (await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 })).settle({ inputTokens: 1000 });
});`,
  "plain.mts": `import { task } from "outlay";
import { outlayMiddleware } from "outlay/ai";
import { guardFetch } from "outlay/fetch";
import { Provider } from "outlay/testing";
console.log(outlayMiddleware(), guardFetch, Provider);${SPEND}`,
  "typed.cts": `import outlay = require("outlay");
export const told: string = outlay.version;`,
};

function run(command, args, options) {
  return execFileSync(command, args, { encoding: "utf8", ...options });
}

console.log(run(join(bin, "publint"), ["run", main, "--strict"]).trim().split("\n").pop());
run(join(bin, "attw"), [main, "--format", "ascii", "--profile", "node16"], {
  stdio: ["ignore", "inherit", "inherit"],
});

const project = mkdtempSync(join(tmpdir(), "outlay-pack-"));
try {
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  // The packages of other platforms are not there to be had, and none is needed.
  const quiet = ["--offline", "--omit=optional", "--no-audit", "--no-fund", "--silent"];
  run("npm", ["install", ...quiet, ...tarballs], { cwd: project });
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(project, name), text);
  const env = { ...process.env, OUTLAY_CONFIG: "/dev/null" };
  const wanted = {
    "import.mjs": "0.0075 USD\n",
    "require.cjs": "0.0075 USD\n",
    "both.mjs": "true\n",
    "ai.mjs": "v3\n",
    "testing.mjs": "unsupported\n",
    "fetch.cjs": "true true\n",
    "kept.mjs": "",
  };
  for (const [name, text] of Object.entries(wanted)) {
    const said = run(process.execPath, [name], { cwd: project, env });
    if (said !== text) throw new Error(`${name} printed ${said}`);
  }
  const shipped = (name) =>
    readdirSync(join(project, "node_modules", name))
      .filter((file) => file.startsWith("LICENSE-"))
      .sort();
  const licences = [...shipped("outlay"), ...shipped(`outlay-${platform}`)]
    .map((file) => file.slice(8))
    .join(" ");
  const due = "APACHE MIT APACHE MIT ctok uPlot vocabularies";
  if (licences !== due) throw new Error(`the licences that are shipped: ${licences}`);
  const version = run("npx", ["--no-install", "outlay", "--version"], { cwd: project, env });
  if (!version.startsWith("outlay ")) throw new Error(`the command printed ${version}`);
  const command = ["--no-install", "outlay", "report", "--store", "sqlite:kept.db"];
  const report = run("npx", command, { cwd: project, env });
  if (!/kept.*0\.0025/.test(report)) throw new Error(`the command printed ${report}`);
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  symlinkSync(join(root, "node_modules/@types/node"), join(project, "node_modules/@types/node"));
  const strict = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022"];
  const lib = ["--lib", "es2023,esnext.disposable", "--types", "node"];
  run(join(bin, "tsc"), [...strict, ...lib, "typed.mts", "typed.cts"], { cwd: project, stdio: "inherit" });
  // As a stranger begins: no types of Node.js, no `lib`, what we declare checked too.
  for (const resolution of [
    ["--module", "node16"],
    ["--module", "esnext", "--moduleResolution", "bundler"],
  ]) {
    const begun = ["--strict", "--noEmit", "--target", "es2022", "--types", "", ...resolution];
    run(join(bin, "tsc"), [...begun, "plain.mts"], { cwd: project, stdio: "inherit" });
  }
} finally {
  rmSync(project, { recursive: true, force: true });
}
// A core that was built elsewhere goes into a package of its own; a file for another processor does not.
const elsewhere = mkdtempSync(join(tmpdir(), "outlay-pack-"));
try {
  const elf = Buffer.alloc(64);
  elf.write("7f454c46", "hex");
  elf.write("b700", 18, "hex");
  writeFileSync(join(elsewhere, "arm64.node"), elf);
  const pack = (name) => {
    const core = `${name}=${join(elsewhere, "arm64.node")}`;
    const script = join(root, "scripts/pack.mjs");
    run(process.execPath, [script, "--into", elsewhere, core], { stdio: "pipe" });
  };
  pack("linux-arm64-musl");
  const { name, version, os, cpu, libc, main } = JSON.parse(
    readFileSync(join(elsewhere, "staged/outlay-linux-arm64-musl/package.json"), "utf8"),
  );
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
  const said = [name, version, ...os, ...cpu, ...libc, main].join(" ");
  const wanted = `outlay-linux-arm64-musl ${own} linux arm64 musl outlay.linux-arm64-musl.node`;
  if (said !== wanted) throw new Error(`the package of another platform says ${said}`);
  const files = readdirSync(join(elsewhere, "packed"));
  if (!files.some((file) => file.startsWith(`${name}-`))) throw new Error(`${name} is not among ${files}`);
  for (const wrong of ["linux-x64-musl", "darwin-arm64", "sunos-x64"]) {
    try {
      pack(wrong);
    } catch {
      continue;
    }
    throw new Error(`a core for linux-arm64 was packed as ${wrong}`);
  }
} finally {
  rmSync(elsewhere, { recursive: true });
}
console.log(`${tarballs.length} tarballs: imported, required, typed, run as a command`);
