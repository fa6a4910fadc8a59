/** Do the last call, limits per turn and of retries, and shares to tell of hold from TypeScript? */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";
import {
  alerts,
  BudgetExceeded,
  budget,
  call,
  configure,
  InvalidInput,
  instrument,
  Limit,
  openTask,
  task,
  uninstrument,
} from "outlay";

import { Provider } from "./provider.js";
import { stores } from "./stores.js";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 }; // 0.0425 USD
const USED = { inputTokens: 1000, outputTokens: 4000 };
const refused = (what: RegExp) => (error: unknown) => {
  assert.ok(BudgetExceeded.isInstance(error), String(error));
  assert.match(error.message, what);
  return true;
};

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  instrument();
});
after(() => {
  uninstrument();
  return provider.stop();
});
const client = () => new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
const messages = [{ role: "user" as const, content: "hello" }];

for (const [kind, fresh] of stores) {
  test(`what is put by pays for one last call, in ${kind}`, async () => {
    await task("t", { usd: 0.1, wrapUpUsd: "0.05", onLimit: "finish", store: fresh() }, async (t) => {
      assert.equal(String(await t.pending()), "0.05 USD");
      assert.match(await t.statusText(), /; 0\.05 usd of it kept for the last call$/);
      const open = await t.reserve(CALL);
      await assert.rejects(t.reserve(CALL), BudgetExceeded);
      await (await t.reserve({ ...CALL, final: true })).settle(USED);
      for (const final of [false, true]) {
        await assert.rejects(t.reserve({ ...CALL, final }), (error: unknown) => {
          assert.ok(BudgetExceeded.isInstance(error));
          assert.match(error.message, /has made its last call/);
          assert.deepEqual([error.unit, error.contended], ["last_call", false]);
          return true;
        });
      }
      await open.void();
      assert.equal(String(await t.spent()), "0.0425 USD");
    });
  });

  test(`each turn has its own limit, in ${kind}`, async () => {
    const once = new Limit(1, { window: "turn" });
    const usd = [new Limit(1), new Limit(0.05, { window: "turn" })];
    await task("chat", { usd, toolCalls: once, store: fresh() }, async (t) => {
      for (const turn of ["first", "second"]) {
        await (await t.reserve({ ...CALL, turn })).settle(USED);
        await t.toolCall("search", { turn });
        await assert.rejects(t.reserve({ ...CALL, turn }), refused(/allows 0\.05 USD per turn/));
        await assert.rejects(t.toolCall("search", { turn }), refused(/1 tool calls per turn/));
      }
      await assert.rejects(t.reserve({ ...CALL, turn: "" }), InvalidInput);
    });
  });

  test(`attempts after the first have a limit together, in ${kind}`, async () => {
    const options = { retryUsd: 0.05, id: "t-1", store: fresh() };
    await task("t", options, async (t) => {
      for (let made = 0; made < 2; made++) await (await t.reserve(CALL)).settle(USED);
    });
    await task("t", options, async (t) => (await t.reserve(CALL)).settle(USED));
    await task("t", options, async (t) => {
      assert.equal(t.attempt, 3);
      await assert.rejects(t.reserve(CALL), refused(/0\.05 USD/));
    });
  });

  test(`tasks and budgets say which shares are told, in ${kind}`, async () => {
    const store = fresh();
    const tags = { tenant: "acme" };
    await budget({ tags, toolCalls: 10, alerts: ["30%"], store });
    await task("t", { tags, toolCalls: 4, alerts: [0.25, "50%"], store }, async (t) => {
      for (let made = 0; made < 3; made++) await t.toolCall("web");
    });
    const told = (await alerts({ store })).map(({ budget, threshold }) => `${threshold} of ${budget}`);
    assert.deepEqual(told.sort(), ["25% of task `t`", "30% of budget `tenant=acme`", "50% of task `t`"]);
  });
}

test("budgets that name no shares have the configured ones", async () => {
  const store = "memory:configured-alerts";
  configure({ alerts: ["70%"] });
  try {
    await budget({ toolCalls: 4, store });
  } finally {
    configure({ alerts: [0.5, 0.8, 1] });
  }
  await task("t", { store }, async (t) => {
    for (let made = 0; made < 3; made++) await t.toolCall("web");
  });
  assert.deepEqual(
    (await alerts({ store })).map(({ threshold }) => threshold),
    ["70%"],
  );
});

test("what cannot be is refused, and leaves no attempt", async () => {
  const store = "memory:cannot-be";
  const wrong = [
    { onLimit: "finish" },
    { wrapUpUsd: 0 },
    { retryUsd: "x" },
    { alerts: 0.5 },
    { alerts: [0] },
  ];
  for (const options of wrong) {
    const opened = openTask("t", { usd: 1, id: "one", store, ...options } as object);
    await assert.rejects(opened, InvalidInput, JSON.stringify(options));
  }
  await assert.rejects(budget({ usd: 1, store, alerts: "50%" as unknown as [] }), InvalidInput);
  await task("t", { usd: 1, id: "one", store }, async (t) => {
    assert.equal(t.attempt, 1);
    await assert.rejects(t.reserve({ ...CALL, final: true }), InvalidInput);
    await assert.rejects(t.reserve({ ...CALL, final: 1 as unknown as true }), InvalidInput);
    await assert.rejects(t.toolCall("web", { turns: "x" } as object), InvalidInput);
  });
  assert.throws(() => call({ final: "no" as unknown as false }, () => 0), InvalidInput);
});

test("a guarded client makes the last call", async () => {
  const chat = client().chat.completions;
  const ask = (most: number) => chat.create({ model: "gpt-4o", messages, max_tokens: most });
  const limits = { usd: 0.02, llmCalls: 3, wrapUpUsd: 0.01, store: "memory:last" };
  await task("t", limits, async (t) => {
    await ask(100);
    await ask(100);
    await assert.rejects(ask(100), refused(/llm calls/));
    await call({ final: true }, async () => {
      // Its maximum is lowered to what is left.
      const answer = await ask(16_000);
      assert.ok(answer.choices[0]?.message.content);
      await assert.rejects(ask(100), refused(/last call/));
    });
    assert.equal((await t.summary()).totals.calls, 3);
  });
});

test("a guarded client is told the turn", async () => {
  const chat = client().chat.completions;
  const ask = () => chat.create({ model: "gpt-4o", messages, max_tokens: 50 });
  const llmCalls = new Limit(1, { window: "turn" });
  await task("chat", { llmCalls, store: "memory:turns" }, async () => {
    for (const turn of ["first", "second"]) {
      await call({ turn }, async () => {
        await ask();
        await assert.rejects(ask(), refused(/1 llm calls per turn/));
      });
    }
  });
});
