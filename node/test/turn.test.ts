/** Does a ledger in a file hold up the event loop? Only for what it can do at once, and a little of that. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { budget, type Call, ledger, type Task, task } from "outlay";

import { PYTHON } from "./provider.js";
import { sqlite } from "./stores.js";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const USAGE = { inputTokens: 1000, outputTokens: 500 };

/** Has what is begun ended before the event loop turns? */
async function isDoneInThisTurn(work: Promise<unknown>): Promise<boolean> {
  let hasTurned = false;
  setImmediate(() => {
    hasTurned = true;
  });
  await work;
  return !hasTurned;
}

const called = async (t: Task) => (await t.reserve(CALL)).settle(USAGE);
const turns = () => new Promise((done) => setImmediate(done));

test("a free ledger does a call at once, and many calls let the loop turn", async () => {
  const store = sqlite();
  await task("t", { usd: 100, store }, async (t) => {
    await called(t);
    const atOnce: boolean[] = [];
    for (let i = 0; i < 50; i++) {
      await turns();
      atOnce.push(await isDoneInThisTurn(called(t)));
    }
    assert.ok(atOnce.filter(Boolean).length > 0, "no call of fifty was done at once");
    const many = Promise.all(Array.from({ length: 500 }, () => called(t)));
    assert.equal(await isDoneInThisTurn(many), false);
    assert.equal(String(await t.spent()), "4.1325 USD"); // 551 calls of 0.0075 USD
  });
  await (await ledger(store)).checkBalances();
});

test("while another process writes, the loop turns, and only what has to be written waits", async () => {
  const store = sqlite();
  await task("t", { usd: 1, store }, async (t) => {
    await called(t);
    const [first, second, third] = [await t.reserve(CALL), await t.reserve(CALL), await t.reserve(CALL)];
    const script = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")`;
    const child = spawn(PYTHON, ["-c", script, store.replace("sqlite:", "")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    const done: string[] = [];
    const begun = Object.entries({
      reserve: () => t.reserve(CALL),
      settle: () => first.settle(USAGE),
      void: () => second.void(),
      dispose: () => third[Symbol.asyncDispose](),
      tool: () => t.toolCall("web"),
      open: () => task("u", { store }, () => 1),
      budget: () => budget({ tags: { tenant: "acme" }, usd: 1, store }),
    }).map(async ([name, act]) => {
      const result = await act();
      done.push(name);
      return result;
    });
    for (let i = 0; i < 100; i++) await turns();
    // What asks no ledger, or only reads it, waits for nobody.
    assert.deepEqual([first.state, t.stopped, String(await t.spent())], ["open", null, "0.0075 USD"]);
    assert.deepEqual(done, []);
    child.stdin.end("go\n");
    const [reserved] = (await Promise.all(begun)) as [Call];
    await reserved.settle(USAGE);
    assert.equal(done.length, begun.length);
    assert.equal(String(await t.spent()), "0.065 USD"); // three calls of 0.0075 USD, one in doubt
    await ended;
  });
  await (await ledger(store)).checkBalances();
});
