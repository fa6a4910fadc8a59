/** Until when may a task call, and what is it worth? */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  ApprovalRequired,
  approve,
  BudgetExceeded,
  Conflict,
  current,
  InvalidInput,
  Limit,
  type TaskOptions,
  task,
  value,
  waitApproval,
} from "outlay";

import { stores } from "./stores.js";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const DAY_MS = 86_400_000;
const late = (error: unknown) => {
  assert.ok(BudgetExceeded.isInstance(error));
  assert.match(error.message, /^task `t` had a deadline at /);
  return error.unit === "deadline" && error.contended === false;
};

for (const [kind, fresh] of stores) {
  describe(`on a ledger in ${kind}`, () => {
    test("no call starts after the deadline, in the task and in those inside", async () => {
      await task("t", { deadline: 0, store: fresh() }, async (t) => {
        await assert.rejects(t.reserve(CALL), late);
        await task("inside", { usd: 1 }, async () => {
          await assert.rejects(current()?.toolCall("search") as Promise<void>, late);
        });
      });
    });

    test("a deadline is a time too", async () => {
      const soon = new Date(Date.now() + DAY_MS);
      await task("t", { deadline: soon, store: fresh() }, async (t) => {
        await (await t.reserve(CALL)).void();
        const told = new Date((await t.statusText()).replace("calls until ", ""));
        assert.ok(Math.abs(told.getTime() - soon.getTime()) <= 1000);
      });
      await task("t", { deadline: new Date(Date.now() - DAY_MS), store: fresh() }, async (t) => {
        await assert.rejects(t.reserve(CALL), late);
      });
    });

    test("declared again it is the same, later a grant, earlier a conflict", async () => {
      const store = fresh();
      const open = (deadline: number) => {
        return task("t", { id: "t-1", deadline, store }, async (t) => (await t.reserve(CALL)).void());
      };
      await assert.rejects(open(0), late);
      await open(3600);
      await open(3600);
      await assert.rejects(open(60), Conflict);
    });

    test("a soft one is told and refuses nothing", async () => {
      const store = fresh();
      const soft = new Limit(0, { soft: true });
      await task("t", { deadline: soft, store }, async (t) => {
        assert.match(await t.statusText(), /^to be done by /);
        const call = await t.reserve(CALL);
        assert.equal(call.overSoft, true);
        await call.void();
        await t.toolCall("web");
      });
      await task("t", { deadline: [new Limit(5000, { soft: true }), 3600], store }, async (t) => {
        assert.match(await t.statusText(), /^to be done by .*; calls until /);
        const call = await t.reserve(CALL);
        assert.equal(call.overSoft, false);
        await call.void();
      });
    });

    test("the wait for an approval does not count", async () => {
      const store = fresh();
      await task("t", { deadline: 3600, usd: 0.01, onLimit: "ask", store }, async (t) => {
        const until = async () => Date.parse((await t.statusText()).replace(/.*calls until /, ""));
        const before = await until();
        const required = await t.reserve(CALL).catch((error: unknown) => error);
        assert.ok(ApprovalRequired.isInstance(required));
        // Times are shown in seconds.
        const asked = Date.now();
        while (Date.now() - asked < 1100) {
          assert.equal(await waitApproval(required.id, { timeoutMs: 100, store }), false);
        }
        const waiting = waitApproval(required.id, { timeoutMs: 60_000, store });
        await approve(required.id, { add: 1, by: "maria", store });
        assert.equal(await waiting, true);
        assert.ok((await until()) > before, "it moved by what was waited");
      });
    });

    test("what a run was worth is held against what it cost", async () => {
      const store = fresh();
      await task("refund", { usd: 1, store }, async (t) => {
        await (await t.reserve(CALL)).settle({ inputTokens: 1000, outputTokens: 500 }); // 0.0075 USD
        t.succeed({ value: "1.5" });
      });
      await task("refund", { usd: 1, store }, async (t) => t.succeed());
      await task("refund", { usd: 1, store }, async (t) => {
        t.succeed({ value: 3 });
        t.fail("not after all");
      });
      const report = await value({ store });
      assert.deepEqual([report.totals.value, report.totals.settledUsd], ["1.50", "0.0075"]);
      assert.equal(report.totals.valuePerUsd, 200);
      assert.deepEqual(
        report.runs.map(({ task, attempt, tokens }) => [task, attempt, tokens]),
        [["refund", 1, 1500]],
      );
    });
  });
}

test("what is no deadline, or no worth, is refused", async () => {
  const wrongly = [new Limit("soon"), new Limit(5, { window: "day" }), [5, 6], [5, new Date()], [[5]]];
  const nothing = [
    ...wrongly,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    "60",
    true,
    new Date(Number.NaN),
    1e40,
    {},
  ];
  for (const deadline of nothing) {
    const options = { deadline, store: "memory:wrong" } as TaskOptions;
    await assert.rejects(
      task("t", options, () => 1),
      (error: unknown) => InvalidInput.isInstance(error) && /deadline/.test(error.message),
      String(deadline),
    );
  }
  await task("t", { store: "memory:wrong" }, async (t) => {
    await (await t.reserve(CALL)).settle({ inputTokens: 10, outputTokens: 5 });
    for (const value of [-1, "-0.5", "much", Number.NaN, 1e11, {}]) {
      assert.throws(() => t.succeed({ value } as { value: number }), InvalidInput, String(value));
    }
    assert.throws(() => t.succeed({ worth: 1 } as object), InvalidInput);
    t.succeed({ value: 2 });
  });
  assert.equal((await value({ store: "memory:wrong" })).totals.value, "2.00");
});
