/** What does a mistake get? An error that names it where it stands, and nothing is held. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { budget, call, configure, count, InvalidInput, Limit, OutlayError, type Task, task } from "outlay";

import { PYTHON } from "./provider.js";
import { sqlite, stores } from "./stores.js";

const GPT = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const INFINITY = Number.POSITIVE_INFINITY;
const mute = () => {
  throw new RangeError("of the program");
};
// What cannot even be shown.
const MUTE = { toString: mute, toJSON: mute, [Symbol.toPrimitive]: mute };
const ODD = [Symbol("x"), () => 1, MUTE, {}, new Date(Number.NaN)];
const NUMBERS = [Number.NaN, INFINITY, -1, 2 ** 63, 2 ** 64];
const NO_COUNT: unknown[] = [...ODD, ...NUMBERS, 1.5, "5", 5n, true, []];
const NO_TEXT: unknown[] = [...ODD, ...NUMBERS, 5, 5n, true, []];
const NO_YES: unknown[] = [...ODD, 0, 1, "no", "false", [], 5n];
const NO_LIST: unknown[] = [...ODD, 5, "gpt-4o", true];
const NO_AMOUNT: unknown[] = [...ODD, Number.NaN, INFINITY, -1, 1e30, "a lot", "1e400", true, -5n];

const REQUESTS: Record<string, unknown[]> = {
  model: [...NO_TEXT, null, undefined, ""],
  inputTokens: [...NO_COUNT, 10 ** 13],
  maxOutputTokens: NO_COUNT,
  choices: [...NO_COUNT, 0, 10 ** 6],
  waitMs: NO_COUNT,
  provider: NO_TEXT,
  serviceTier: [...NO_TEXT, "first class"],
  id: [...NO_TEXT, "", "\0"],
  turn: [...NO_TEXT, ""],
  maxUsd: NO_AMOUNT,
  final: [...NO_YES, null],
};
const USAGES: Record<string, unknown[]> = {
  inputTokens: [...NO_COUNT, 10 ** 13, null],
  outputTokens: [...NO_COUNT, null],
  cacheReadInputTokens: [...NO_COUNT, 2, null],
  webSearches: NO_COUNT,
  cost: NO_AMOUNT,
};
const TASKS: Record<string, unknown[]> = {
  usd: [...NO_AMOUNT, 1e-10, [1, MUTE], [new Limit(1), new Limit(2)]],
  tokens: [...NO_AMOUNT, 2 ** 70, 1.5],
  llmCalls: [...NO_AMOUNT, 1.5],
  toolCalls: NO_AMOUNT,
  tags: [5, "a", ["a"], { Tenant: "acme" }, { tenant: "" }, { tenant: 7 }, { tenant: MUTE }],
  id: [...NO_TEXT, "", "a\nb"],
  kind: NO_TEXT,
  by: NO_TEXT,
  store: [...NO_TEXT, "sqlite:", "sqlite:../up.db", "memory:/etc", "sqlite:a\0b"],
  waitMs: NO_COUNT,
  enforce: NO_YES,
  clamp: NO_YES,
  fallback: [...NO_LIST, [5], [MUTE]],
  alerts: [...NO_LIST, [0], [MUTE]],
  onLimit: NO_TEXT,
  deadline: [...ODD, ...NUMBERS, "5", true],
  retryUsd: NO_AMOUNT,
  breaker: [5, "yes", MUTE.toString],
};

const refusal = (where: string) => (error: unknown) => {
  assert.ok(OutlayError.isInstance(error), `${where}: ${error}`);
  assert.ok(["invalid_input", "unsupported"].includes(error.code), `${where}: ${error}`);
  return true;
};

/** Each wrong value of each name, with what it is called in a message. */
function* each(table: Record<string, unknown[]>): Iterable<[Record<string, unknown>, string]> {
  for (const [name, values] of Object.entries(table)) {
    for (const [i, value] of values.entries()) yield [{ [name]: value }, `${name}, value ${i}`];
  }
}

for (const [kind, fresh] of stores) {
  test(`odd requests and usages are refused and hold nothing, in ${kind}`, () =>
    task("t", { usd: 1, store: fresh() }, async (t) => {
      for (const [change, where] of each(REQUESTS)) {
        const request = { ...GPT, ...change } as never;
        await assert.rejects(t.reserve(request), refusal(where), where);
        if (kind === "memory") assert.throws(() => t.reserveSync(request), refusal(where));
      }
      for (const request of [null, undefined, 5, "gpt-4o"] as never[]) {
        await assert.rejects(t.reserve(request), InvalidInput);
        if (kind === "memory") assert.throws(() => t.reserveSync(request), InvalidInput);
      }
      assert.equal((await t.pending()).nanos, 0n);
      const reserved = await t.reserve(GPT);
      for (const [change, where] of each(USAGES)) {
        await assert.rejects(reserved.settle({ inputTokens: 1, ...change } as never), refusal(where), where);
        if (kind === "memory") {
          assert.throws(
            () => reserved.settleSync({ inputTokens: 1, ...change } as never),
            refusal(where),
            where,
          );
        }
      }
      assert.deepEqual([reserved.state, (await t.spent()).nanos], ["open", 0n]);
    }));
}

test("odd options of a task are refused, and it has no attempt", async () => {
  const store = "memory:odd-tasks";
  for (const [options, where] of each(TASKS)) {
    await assert.rejects(
      task("t", { id: "one", store, ...options } as never, () => assert.fail(where)),
      refusal(where),
    );
  }
  await task("t", { id: "one", store }, (t) => assert.equal(t.attempt, 1));
});

test("odd limits, budgets, options and messages are refused where they stand", async () => {
  const store = "memory:odd-others";
  const known = { soft: NO_YES, window: [...NO_TEXT, "fortnight"], tz: NO_TEXT };
  for (const [options, where] of each(known)) {
    const limit = () => new Limit(1, { window: "day", ...options } as never);
    assert.throws(limit, refusal(where));
    const { soft, ...rest } = options;
    if (soft === undefined)
      await assert.rejects(budget({ usd: 1, store, ...rest } as never), refusal(where), where);
  }
  for (const options of [null, 5, { soff: true }]) {
    if (options !== 5) assert.throws(() => new Limit(1, options as never), InvalidInput);
    assert.throws(() => configure(options as never), refusal(`configure ${options}`));
  }
  for (const value of [Symbol("x"), () => 1, Number.NaN, INFINITY, MUTE, 5n]) {
    assert.throws(() => configure({ minOutputTokens: value } as never), InvalidInput);
  }
  for (const messages of [...NO_LIST, null, [5n], [MUTE]]) {
    assert.throws(() => count("gpt-4o", { messages } as never), InvalidInput);
  }
  for (const [options, where] of each({ maxUsd: NO_AMOUNT, maxInputTokens: NO_COUNT, final: NO_YES })) {
    assert.throws(() => call(options as never, () => assert.fail(where)), refusal(where));
  }
});

test("what the program's own getters throw comes out as it is, and nothing is held", () =>
  task("t", { usd: 1, store: "memory:getters" }, async (t: Task) => {
    const trap = new Proxy({}, { get: mute, has: mute, ownKeys: mute });
    const traps = ["model", "inputTokens", "maxOutputTokens", "turn", "maxUsd"].map((name) =>
      Object.defineProperty({ ...GPT }, name, { get: mute, enumerable: true }),
    );
    for (const request of [trap as never, ...traps]) {
      await assert.rejects(t.reserve(request), RangeError);
      assert.throws(() => t.reserveSync(request), RangeError);
    }
    const reserved = await t.reserve(GPT);
    await assert.rejects(reserved.settle(trap), RangeError);
    assert.deepEqual([reserved.state, (await t.pending()).usd], ["open", "0.0425"]);
    // A field that is there and undefined is absent.
    const absent = { inputTokens: 1000, outputTokens: undefined, cost: undefined };
    assert.equal((await reserved.settle(absent as never)).charge.usd, "0.0025");
  }));

const SPEND = `
  const { task } = require("outlay");
  task("t", { id: "t-1", usd: 1, store: process.argv[1] }, async (t) => {
    const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
    await call.settle({ inputTokens: 1000, outputTokens: 500 });
    return (await t.spent()).usd;
  }).then(console.log, (error) => console.log(error.code));`;

test("a broken file is an error, and whole again goes on", () => {
  const store = sqlite();
  const file = store.slice("sqlite:".length);
  const spend = () => {
    const args = ["--no-warnings", "-e", SPEND, store];
    return execFileSync(process.execPath, args, { cwd: join(__dirname, "../.."), encoding: "utf8" }).trim();
  };
  const sql = (statement: string) => () => {
    const run = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])";
    execFileSync(PYTHON, ["-c", run, file, statement]);
  };
  assert.equal(spend(), "0.0075");
  // Whoever closes it last copies the log of what was written into the file.
  sql("PRAGMA user_version")();
  const whole = readFileSync(file);
  const breaks: [() => void, string][] = [
    [() => writeFileSync(file, Buffer.alloc(25_600, "broken")), "corrupt"],
    [() => writeFileSync(file, whole.subarray(0, 300)), "corrupt"],
    [sql("DROP TABLE balances"), "corrupt"],
    [sql("PRAGMA user_version = 4"), "unsupported"],
  ];
  for (const [breaking, code] of breaks) {
    breaking();
    assert.equal(spend(), code, String(breaking));
    for (const log of ["-wal", "-shm"]) rmSync(file + log, { force: true });
    writeFileSync(file, whole);
  }
  assert.equal(spend(), "0.015");
});
