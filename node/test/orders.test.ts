/** Do people's orders hold from TypeScript: halts, approvals, cheaper models, and what was only observed? */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ApprovalRequired,
  approve,
  Halted,
  halt,
  InvalidInput,
  Limit,
  observed,
  openTask,
  task,
  unhalt,
  waitApproval,
} from "outlay";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 }; // 0.0425 USD

test("a halted scope starts no call until it is undone", async () => {
  const store = "memory:halted";
  const tags = { tenant: "acme" };
  await task("t", { tags, store }, async (t) => {
    assert.equal(await halt("tenant=acme", { by: "maria", reason: "wrong prompt", store }), 1);
    await assert.rejects(t.reserve(CALL), (error: unknown) => {
      assert.ok(Halted.isInstance(error));
      assert.deepEqual([error.scope, error.by, error.reason], ["tenant=acme", "maria", "wrong prompt"]);
      return true;
    });
    await unhalt("tenant=acme", { by: "maria", store });
    await (await t.reserve(CALL)).void();
  });
  await assert.rejects(halt("=x", { by: "maria", reason: "y", store }), InvalidInput);
});

test("a refused call asks, and goes on once somebody approved", async () => {
  const store = "memory:asked";
  await task("t", { usd: 0.01, onLimit: "ask", store }, async (t) => {
    const required = await t.reserve(CALL).catch((error: unknown) => error);
    assert.ok(ApprovalRequired.isInstance(required));
    const { id } = required;
    assert.equal(await waitApproval(id, { timeoutMs: 0, store }), false);
    const waiting = waitApproval(id, { timeoutMs: 10_000, store });
    await approve(id, { add: 0.5, by: "maria", store });
    assert.equal(await waiting, true);
    await (await t.reserve(CALL)).void();
    assert.equal(await t.statusText(), "0.00 of 0.51 usd used, 0.51 left");
  });
  await assert.rejects(openTask("t", { onLimit: "beg" as "ask", store }), InvalidInput);
});

test("a cheaper model takes the call that would pass a soft limit", async () => {
  const usd = new Limit(0.05, { soft: true });
  await task("t", { usd, fallback: ["gpt-4o-mini"], store: "memory:routed" }, async (t) => {
    const asked = [await t.reserve(CALL), await t.reserve(CALL)];
    assert.deepEqual(
      asked.map((call) => call.model),
      ["gpt-4o", "gpt-4o-mini"],
    );
    await Promise.all(asked.map((call) => call.void()));
  });
});

test("what a limit would have refused is told", async () => {
  const store = "memory:observed";
  await task("write", { usd: 0.01, enforce: false, store }, async (t) => {
    await (await t.reserve(CALL)).settle({ inputTokens: 1000, outputTokens: 500 });
  });
  const [row, ...others] = await observed({ store });
  assert.equal(others.length, 0);
  assert.deepEqual([row?.task, row?.budget, row?.unit, row?.calls], ["write", "task `write`", "usd", 1]);
  assert.equal(String(row?.settled), "0.0075 USD");
});
