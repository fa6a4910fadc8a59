// How long does the guard take from Node? Prints the rows of the performance table.
//
//     node node/scripts/bench.mjs
//
// CPU time of the process, garbage collection included; SQLite rows are wall time. Of each there is the quietest
// of many rounds, for what others do on the machine only adds to it, and the one in the middle. Nothing here is
// asserted: machines differ, and the figures are for reading.

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
const WIDTHS = [48, 10, 10, 3];
const line = (...cells) =>
  console.log(
    cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]) : cell.padStart(WIDTHS[i] ?? 0))).join(" "),
  );
const row = (name, rounds, unit, bar) => {
  const shown = (value) => value.toFixed(unit === "ns" ? 0 : 1);
  line(name, shown(Math.min(...rounds)), shown(median(rounds)), unit, `  ${bar}`);
};

async function memoryNs(isAsync) {
  const limits = { usd: 1e6, tokens: 1e12, llmCalls: 1e9, store: "memory:bench" };
  return task("bench", limits, async (t) => {
    const rounds = [];
    for (let round = 0; round < 31; round++) {
      const began = process.cpuUsage();
      for (let call = 0; call < 2000; call++) {
        if (isAsync) await (await t.reserve(CALL)).settle(USAGE);
        else t.reserveSync(CALL).settleSync(USAGE);
      }
      await turn();
      const { user, system } = process.cpuUsage(began);
      rounds.push(((user + system) * 1000) / 2000);
    }
    return rounds;
  });
}

/** The median of each of 15 rounds. */
async function sqliteUs(folder) {
  return task("bench", { usd: 1e6, store: `sqlite:${join(folder, "bench.db")}` }, async (t) => {
    const rounds = [];
    for (let round = 0; round < 15; round++) {
      const taken = [];
      for (let call = 0; call < 200; call++) {
        const began = performance.now();
        await (await t.reserve(CALL)).settle(USAGE);
        taken.push((performance.now() - began) * 1000);
      }
      rounds.push(median(taken));
    }
    return rounds;
  });
}

/** What keeps the event loop from turning under 1,000 calls a second, in ms: 99th percentile, maximum. */
async function delayMs(call) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const calls = [];
  delay.enable();
  const began = performance.now();
  for (let sent = 0, passed = 0; passed < 2000; passed = performance.now() - began) {
    for (; sent < passed; sent++) calls.push(call());
    await pause(1);
  }
  delay.disable();
  await Promise.all(calls);
  return [delay.percentile(99) / 1e6, delay.max / 1e6];
}

function importMs() {
  const cpu = (code) => {
    const script = `const s = process.cpuUsage(); ${code}; const u = process.cpuUsage(s); console.log(u.user + u.system)`;
    const args = ["--input-type=module", "-e", script];
    return Number(execFileSync(process.execPath, args, { encoding: "utf8" })) / 1000;
  };
  const rounds = Array.from({ length: 15 }, () => [
    cpu('await import("node:process")'),
    cpu(`await import(${JSON.stringify(index)})`),
  ]);
  // What an import of nothing takes, at its quietest, is not ours.
  const empty = Math.min(...rounds.map(([nothing]) => nothing));
  return rounds.map(([, all]) => all - empty);
}

const folder = mkdtempSync(join(tmpdir(), "outlay-bench-"));
try {
  line("row", "quietest", "median", "", "  bar");
  row("guarded call, memory, reserveSync", await memoryNs(false), "ns", "1500 ns CPU");
  row("guarded call, memory, await", await memoryNs(true), "ns", "-");
  row("guarded call, SQLite, os, p50", await sqliteUs(folder), "us", "100 us");
  row("import outlay", importMs(), "ms", "30 ms CPU");
  // By turns: what the same load does without us.
  const [without, guarded] = [[], []];
  for (let round = 0; round < 5; round++) {
    without.push(await delayMs(() => pause(1)));
    const load = { store: `sqlite:${join(folder, "load.db")}` };
    const call = (t) => async () => (await t.reserve(CALL)).settle(USAGE);
    guarded.push(await task("load", load, (t) => delayMs(call(t))));
  }
  const name = "event loop, 1,000 calls a second on SQLite";
  for (const [i, which] of ["p99", "longest"].entries()) {
    const [ours, theirs] = [guarded, without].map((rounds) => rounds.map((each) => each[i]));
    row(`${i === 0 ? name : ""}, ${which}`.replace(/^, /, "  "), ours, "ms", "-");
    row("  the same load without outlay", theirs, "ms", "-");
    line("  more by us", "", (median(ours) - median(theirs)).toFixed(1), "ms", i === 0 ? "  -" : "  5 ms");
  }
} finally {
  rmSync(folder, { recursive: true });
}
