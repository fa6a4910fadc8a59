/** Is somebody told that a share of a limit is spent: once, in turn, whatever the callback does? */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { type Alert, alerts, budget, InvalidInput, Money, onAlert, task } from "outlay";

import { stores } from "./stores.js";

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
  // Three names are taken above.
  const hear = (number: number) => onAlert(() => {}, { name: `name-${number}` });
  for (let number = 3; number < 16; number++) await hear(number);
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
  const root = join(__dirname, "../..");
  assert.equal(execFileSync(process.execPath, ["-e", program], { cwd: root, encoding: "utf8" }), "50%\n");
});
