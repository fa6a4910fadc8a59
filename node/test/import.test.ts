/** What does a program load that only imports the package? Nothing that it may never use. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { sqlite } from "./stores.js";

const ROOT = join(__dirname, "../..");
const DEAR = ["child_process", "fs/promises", "http", "timers/promises", "worker_threads"];

/** What a fresh process prints. */
function printed(program: string, ...args: string[]): string {
  return execFileSync(process.execPath, ["-e", program, ...args], { cwd: ROOT, encoding: "utf8" });
}

test("the import loads no integration, and no module of Node.js that costs milliseconds", () => {
  const program = `
    const before = new Set(process.moduleLoadList);
    require("outlay");
    const builtin = process.moduleLoadList.filter((name) => !before.has(name));
    const own = Object.keys(require.cache).filter((file) => /integrations|testing/.test(file));
    console.log(JSON.stringify({ builtin, own }));`;
  const { builtin, own } = JSON.parse(printed(program)) as { builtin: string[]; own: string[] };
  assert.deepEqual(own, []);
  const loaded = DEAR.filter((name) => builtin.includes(`NativeModule ${name}`));
  assert.deepEqual(loaded, []);
});

test("no client is looked for in the working directory, where an argument of `-e` names a file", () => {
  const cwd = mkdtempSync(join(tmpdir(), "outlay-"));
  const client = join(cwd, "node_modules/openai/client.js");
  mkdirSync(dirname(client), { recursive: true });
  writeFileSync(client, "console.log('loaded')");
  writeFileSync(join(cwd, "app"), "");
  const program = `require(${JSON.stringify(ROOT)}).instrument(); console.log("done");`;
  const ran = execFileSync(process.execPath, ["-e", program, "app"], { cwd, encoding: "utf8" });
  assert.equal(ran, "done\n");
});

test("what the import leaves out is there when it is needed", () => {
  const program = `
    const { instrument, task, uninstrument } = require("outlay");
    instrument();
    uninstrument();
    const { once } = require("node:events");
    const { Worker } = require("node:worker_threads");
    const inside = "require('outlay').task('t', { store: 'memory:' }, () => 0)";
    task("t", { store: process.argv[1] }, async (t) => {
      await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
      const [code] = await once(new Worker(inside, { eval: true }), "exit");
      // A worker's end leaves the ledgers of the process open.
      console.log(code, (await t.pending()).usd);
    });`;
  assert.equal(printed(program, sqlite()), "0 0.0425\n");
});
