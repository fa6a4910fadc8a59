// How long does the guard take from Node? Prints the rows of the performance table.
//
//     node node/scripts/bench.mjs
//
// CPU time of the process, garbage collection included, median of rounds; SQLite rows are wall time.
// Nothing here is asserted: machines differ, and the figures are for reading.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { task } from "../dist/index.mjs";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 };
const USAGE = { inputTokens: 1000, outputTokens: 500 };
const index = join(import.meta.dirname, "../dist/index.mjs");

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const row = (name, value, unit, bar) =>
  console.log(`${name.padEnd(44)}${value.toFixed(unit === "ns" ? 0 : 1).padStart(8)} ${unit}   ${bar}`);

async function memoryNs(asynchronous) {
  const limits = { usd: 1e6, tokens: 1e12, llmCalls: 1e9, store: "memory:bench" };
  return task("bench", limits, async (t) => {
    const rounds = [];
    for (let round = 0; round < 31; round++) {
      const began = process.cpuUsage();
      for (let call = 0; call < 2000; call++) {
        if (asynchronous) await (await t.reserve(CALL)).settle(USAGE);
        else t.reserveSync(CALL).settleSync(USAGE);
      }
      await turn();
      const { user, system } = process.cpuUsage(began);
      rounds.push(((user + system) * 1000) / 2000);
    }
    return median(rounds);
  });
}

async function sqliteUs(folder) {
  return task("bench", { usd: 1e6, store: `sqlite:${join(folder, "bench.db")}` }, async (t) => {
    const taken = [];
    for (let call = 0; call < 3000; call++) {
      const began = performance.now();
      await (await t.reserve(CALL)).settle(USAGE);
      taken.push((performance.now() - began) * 1000);
    }
    return median(taken);
  });
}

/** What keeps the event loop from turning under 1,000 calls a second, in ms: 99th percentile, maximum. */
async function delayMs(call) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const calls = [];
  delay.enable();
  const until = performance.now() + 2000;
  for (let sent = 0, began = performance.now(); performance.now() < until; ) {
    for (; sent < performance.now() - began; sent++) calls.push(call());
    await pause(1);
  }
  delay.disable();
  await Promise.all(calls);
  return [delay.percentile(99) / 1e6, delay.max / 1e6];
}

function importMs() {
  const cpu = (code) => {
    const script = `const s = process.cpuUsage(); ${code}; const u = process.cpuUsage(s); console.log(u.user + u.system)`;
    const run = () =>
      Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }));
    return median(Array.from({ length: 9 }, run)) / 1000;
  };
  return cpu(`await import(${JSON.stringify(index)})`) - cpu('await import("node:process")');
}

const folder = mkdtempSync(join(tmpdir(), "outlay-bench-"));
try {
  console.log("row                                         measured      bar");
  row("guarded call, memory, reserveSync", await memoryNs(false), "ns", "1500 ns CPU");
  row("guarded call, memory, await", await memoryNs(true), "ns", "-");
  row("guarded call, SQLite, os, p50", await sqliteUs(folder), "us", "100 us (wall)");
  row("import outlay", importMs(), "ms", "30 ms CPU");
  // By turns, on a machine that others use: medians of what the same load does with us and without.
  const [without, guarded] = [[], []];
  for (let round = 0; round < 5; round++) {
    without.push(await delayMs(() => pause(1)));
    const load = { store: `sqlite:${join(folder, "load.db")}` };
    const call = (t) => async () => (await t.reserve(CALL)).settle(USAGE);
    guarded.push(await task("load", load, (t) => delayMs(call(t))));
  }
  const shown = (rounds) =>
    ["p99", "max"]
      .map((name, i) => `${name} ${median(rounds.map((each) => each[i])).toFixed(1)} ms`)
      .join(", ");
  console.log(`event loop, 1,000 calls a second on SQLite   ${shown(guarded)}`);
  console.log(`the same load without outlay                 ${shown(without)}   at most 5 ms less`);
} finally {
  rmSync(folder, { recursive: true });
}
