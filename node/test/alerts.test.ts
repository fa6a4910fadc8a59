/** Is somebody told that a share of a limit is spent: once, in turn, whatever the callback does? */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { metrics } from "@opentelemetry/api";
import { type Alert, alerts, budget, InvalidInput, Money, onAlert, task } from "outlay";

import { stores } from "./stores.js";

const ROOT = join(__dirname, "../..");
const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 };
const USED = { inputTokens: 1000, outputTokens: 500 }; // 0.0075 USD

async function spend(store: string, tenant: string, times: number): Promise<void> {
  await task("refund", { tags: { tenant }, store }, async (t) => {
    for (let made = 0; made < times; made++) await (await t.reserve(CALL)).settle(USED);
  });
}

/** Runs `fn`, and waits until it called back so often: nothing that listens keeps the process alive. */
async function times(count: number, fn: (called: () => void) => Promise<void>): Promise<void> {
  const alive = setInterval(() => {}, 60_000);
  let left = count;
  await new Promise<void>((resolve, reject) => {
    fn(() => --left === 0 && resolve()).catch(reject);
  });
  clearInterval(alive);
}

for (const [kind, fresh] of stores) {
  test(`an alert is listed and told once, in ${kind}`, async () => {
    const store = fresh();
    const tenant = `listed-${kind}`;
    const heard: Alert[] = [];
    await times(3, async (called) => {
      const callback = (alert: Alert) => {
        if (!alert.budget.includes(tenant)) return;
        heard.push(alert);
        called();
      };
      await onAlert(callback, { name: kind });
      await budget({ tags: { tenant }, usd: 0.015, store });
      await spend(store, tenant, 1);
      await spend(store, tenant, 1);
    });
    const listed = await alerts({ store });
    assert.deepEqual(heard.map(String), listed.map(String));
    assert.deepEqual(
      heard.map(({ threshold }) => threshold),
      ["50%", "80%", "100%"],
    );
    assert.equal(new Set(listed.map(({ id }) => id)).size, 3);
    const [first] = listed;
    assert.ok(first !== undefined && first.limit instanceof Money && first.spent instanceof Money);
    assert.deepEqual([first.id, first.unit, first.window], [heard[0]?.id, "usd", "life"]);
    assert.deepEqual([first.limit.usd, first.spent.usd], ["0.015", "0.0075"]);
    assert.deepEqual([first.task, first.windowStart], ["refund", null]);
    assert.match(first.at, /^\d{4}-\d\d-\d\dT/);
    assert.match(String(first), /has spent 0\.0075 of 0\.015 USD, 50% of the limit$/);
    assert.equal((await alerts({ since: "1h", store })).length, 3);
    await assert.rejects(alerts({ since: "soon", store }), InvalidInput);
    await assert.rejects(alerts({ until: "1h" } as object), InvalidInput);
  });
}

test("a callback that fails is a warning, and the next alert comes all the same", async () => {
  const store = "memory:failing";
  const tenant = "failing";
  const warnings: string[] = [];
  await times(2, async (called) => {
    process.on("warning", ({ message }) => {
      if (!message.startsWith("the callback `failing`")) return;
      warnings.push(message);
      called();
    });
    const callback = ({ budget, threshold }: Alert) => {
      if (!budget.includes(tenant)) return;
      if (threshold === "50%") throw new Error("no host");
      return Promise.reject(new Error("no route"));
    };
    await onAlert(callback, { name: "failing" });
    await budget({ tags: { tenant }, usd: 0.018, store });
    await spend(store, tenant, 2);
  });
  assert.match(warnings[0] ?? "", /failed with alert [0-9a-f-]{36}: Error: no host$/);
  assert.match(warnings[1] ?? "", /: Error: no route$/);
});

test("what cannot hear is refused", async () => {
  await assert.rejects(onAlert("loud" as unknown as () => void), InvalidInput);
  await assert.rejects(
    onAlert(() => {}, { name: "" }),
    InvalidInput,
  );
  await assert.rejects(
    onAlert(() => {}, { as: "x" } as object),
    InvalidInput,
  );
  // Three names are taken above, and one by the warnings of the process.
  const hear = (number: number) => onAlert(() => {}, { name: `name-${number}` });
  for (let number = 4; number < 16; number++) await hear(number);
  await assert.rejects(hear(16), InvalidInput);
  await hear(15);
});

test("a process ends although it listens, and is told of its last call before", () => {
  const program = `
    const { budget, onAlert, openTask } = require("outlay");
    const call = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 };
    (async () => {
      await onAlert((alert) => console.log(alert.threshold));
      await budget({ usd: 0.01, store: "memory:end" });
      const t = await openTask("t", { store: "memory:end" });
      t.reserveSync(call).settleSync({ inputTokens: 1000, outputTokens: 500 });
    })();`;
  const said = execFileSync(process.execPath, ["-e", program], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: "pipe",
  });
  assert.equal(said, "50%\n");
});

test("without asking, an alert is a warning of the process, once, which can be silenced", () => {
  const program = `
    const { budget, openTask } = require("outlay");
    const { Worker } = require("node:worker_threads");
    // A thread that opens a ledger too, and ends, takes no warning along.
    const inside = "require('outlay').openTask('t', { store: 'memory:warned' })";
    new Worker(inside, { eval: true }).on("exit", async () => {
      await budget({ toolCalls: 2, store: "memory:warned" });
      const t = await openTask("t", { store: "memory:warned" });
      await t.toolCall("web");
    });`;
  const said = (...flags: string[]) =>
    spawnSync(process.execPath, [...flags, "-e", program], { cwd: ROOT, encoding: "utf8" }).stderr;
  const line =
    /^\(node:\d+\) \[OUTLAY_ALERT\] OutlayWarning: the budget over all tasks has spent 1 of 2 tool calls, 50% of the limit\nalert [0-9a-f-]{36}\n/;
  assert.match(said(), line);
  assert.equal(said().match(/OUTLAY_ALERT/g)?.length, 1);
  assert.equal(said("--disable-warning=OUTLAY_ALERT"), "");
});

test("OpenTelemetry gets a count, and its errors reach nobody's call", async () => {
  const counts: unknown[][] = [];
  const warnings: string[] = [];
  await times(3, async (called) => {
    process.on("warning", ({ message }) => {
      if (message.includes("OpenTelemetry")) warnings.push(message);
      if (message.includes("task `counted`") || message.includes("OpenTelemetry")) called();
    });
    const createCounter = (name: string) => ({
      add(amount: number, attributes: Record<string, string>) {
        if (!attributes["outlay.budget"]?.includes("counted")) return;
        counts.push([name, amount, attributes]);
        if (counts.length > 1) throw new Error("no exporter");
      },
    });
    const set = metrics.setGlobalMeterProvider({ getMeter: () => ({ createCounter }) } as never);
    assert.ok(set);
    const alerts = ["50%", "100%"];
    await task("counted", { toolCalls: 2, alerts, store: "memory:counted" }, async (t) => {
      await t.toolCall("web");
      await t.toolCall("web");
    });
  });
  metrics.disable();
  const told = { "outlay.budget": "task `counted`", "outlay.unit": "tool_calls" };
  assert.deepEqual(counts, [
    ["outlay.alerts", 1, { ...told, "outlay.threshold": "50%" }],
    ["outlay.alerts", 1, { ...told, "outlay.threshold": "100%" }],
  ]);
  assert.deepEqual(warnings, ["OpenTelemetry could not be told: Error: no exporter"]);
});
