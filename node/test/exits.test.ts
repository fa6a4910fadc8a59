/** Is what a process held kept, however it ends? And does a refusal that is swallowed spend nothing? */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { BudgetExceeded, ledger, task } from "outlay";

import { sqlite, stores } from "./stores.js";

const GPT = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const USAGE = { inputTokens: 1000, outputTokens: 500 };

const ENDS: [string, string, number | string][] = [
  ["at the end of its program", "", 0],
  ["by process.exit()", "process.exit(0);", 0],
  ["by an exception nobody takes", "setTimeout(() => { throw new Error('of the program'); });", 1],
  ["by a rejection nobody takes", "Promise.reject(new Error('of the program'));", 1],
  ["by kill -9", "process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);", "SIGKILL"],
  ["with its worker, which has opened the task", "worker", 0],
];

for (const [how, end, code] of ENDS) {
  test(`what a process settled is spent and what it held is in doubt, if it ends ${how}`, async () => {
    const store = sqlite();
    const inWorker = end === "worker";
    const spend = `
      const { openTask } = require("outlay");
      (async () => {
        const t = await openTask("t", { id: "t-1", usd: 1, store: ${JSON.stringify(store)} });
        await (await t.reserve(${JSON.stringify(GPT)})).settle(${JSON.stringify(USAGE)});
        globalThis.kept = [t, await t.reserve(${JSON.stringify(GPT)})];
        ${inWorker ? "require('node:worker_threads').parentPort.postMessage('held');" : end}
      })();`;
    const around = `
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(${JSON.stringify(spend)}, { eval: true });
      worker.on("message", () => worker.terminate());`;
    const ended = spawnSync(process.execPath, ["-e", inWorker ? around : spend], {
      cwd: join(__dirname, "../.."),
      encoding: "utf8",
    });
    assert.equal(ended.signal ?? ended.status, code, ended.stderr);
    const held = await ledger(store);
    await held.sweep();
    assert.deepEqual(
      (await held.inDoubt()).map((call) => call.held.usd),
      ["0.0425"],
    );
    await task("t", { id: "t-1", usd: 1, store }, async (t) => {
      assert.deepEqual([t.attempt, (await t.spent()).usd, (await t.pending()).usd], [2, "0.05", "0.00"]);
    });
    await held.checkBalances();
  });
}

for (const [kind, fresh] of stores) {
  test(`a refusal that is swallowed spends nothing, however often, in ${kind}`, () =>
    task("t", { usd: 0.05, toolCalls: 1, store: fresh() }, async (t) => {
      await (await t.reserve(GPT)).settle(USAGE);
      await t.toolCall("web");
      const swallowed = async (act: () => Promise<unknown>) => {
        const error = await act().catch((error: unknown) => error);
        assert.ok(BudgetExceeded.isInstance(error), String(error));
      };
      for (let tries = 0; tries < 50; tries++) {
        await Promise.all([
          swallowed(() => t.reserve({ ...GPT, maxOutputTokens: 4251 })),
          swallowed(() => t.toolCall("web")),
        ]);
      }
      assert.deepEqual([(await t.spent()).usd, (await t.pending()).usd], ["0.0075", "0.00"]);
      assert.deepEqual([(await t.used()).toolCalls, t.stopped?.code], [1, "budget_exceeded"]);
      assert.throws(() => t.raiseIfStopped(), BudgetExceeded);
      // What fits is not refused for what did not.
      await (await t.reserve({ ...GPT, maxOutputTokens: 4000 })).void();
    }));
}
