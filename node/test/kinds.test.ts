/** What does a task take from its kind, and what does its caller's own option take the place of? */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import {
  ApprovalRequired,
  BudgetExceeded,
  configure,
  InvalidInput,
  Limit,
  Money,
  openTask,
  suggestLimits,
  type Task,
  task,
} from "outlay";

import { stores } from "./stores.js";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 }; // 0.0425 USD
const STEP = { kind: "tool", name: "web", args: {}, result: "nothing" } as const;

afterEach(() => configure({ kinds: {} }));

for (const [kind, fresh] of stores) {
  test(`a task takes what its kind has, in ${kind}`, async () => {
    const usd = [
      new Limit(new Money("0.50")),
      new Limit(0.3, { soft: true }),
      new Limit(5, { window: "day" }),
    ];
    const refund = {
      usd,
      llmCalls: 2,
      wrapUpUsd: new Money("0.05"),
      onLimit: "finish",
      deadline: 600,
    } as const;
    configure({ kinds: { refund } });
    const store = fresh();
    await task("refund", { kind: "refund", store }, async (t) => {
      assert.equal(String(await t.available()), "0.45 USD");
      assert.match(await t.statusText(), /of 2 llm calls.*calls until/);
      await task("step", async (inside) => assert.equal(String(await inside.available()), "0.45 USD"));
    });
    await task("other", { store }, async (t) => assert.equal(await t.available(), null));
  });

  test(`the caller's own option wins, in ${kind}`, async () => {
    configure({ kinds: { refund: { usd: 0.5, toolCalls: 1, onLimit: "ask" } } });
    const store = fresh();
    await task("refund", { usd: 1, onLimit: "raise", tags: { kind: "refund" }, store }, async (t) => {
      assert.equal(String(await t.available()), "1.00 USD");
      await t.toolCall("web");
      await assert.rejects(t.toolCall("web"), BudgetExceeded);
    });
    await task("refund", { usd: 0.01, kind: "refund", store }, async (t) => {
      // Hidden from the types: integrations alone ask for it.
      const { ofAgent } = t as unknown as { ofAgent(name: string): Promise<Task> };
      const agent = await ofAgent.call(t, "writer");
      for (const each of [t, agent]) await assert.rejects(each.reserve(CALL), ApprovalRequired);
    });
  });
}

test("its breaker watches unless the caller says otherwise", async () => {
  const noProgress = { nudge: 2, refuse: 9, pause: 10, stop: 11 };
  configure({ kinds: { refund: { breaker: { noProgress, tools: { myTool: { loopKey: ["a"] } } } } } });
  const levels = async (options: object) => {
    await using t = await openTask("refund", { store: "memory:", ...options });
    return t.breaker && [1, 2, 3].map(() => t.breaker?.observe(STEP).level);
  };
  assert.deepEqual(await levels({ kind: "refund" }), ["ok", "nudge", "nudge"]);
  assert.deepEqual(await levels({ kind: "refund", breaker: true }), ["ok", "ok", "nudge"]);
  assert.equal(await levels({ kind: "refund", breaker: false }), null);
  assert.equal(await levels({}), null);
});

test("money may be a bigint, in a list too", async () => {
  configure({ kinds: { one: { usd: 3n, retryUsd: 2n, wrapUpUsd: 1n }, two: { usd: [2n] as never } } });
  const left = (kind: string) =>
    task("t", { kind, store: "memory:" }, async (t) => String(await t.available()));
  assert.deepEqual([await left("one"), await left("two")], ["2.00 USD", "2.00 USD"]);
});

test("what cannot be changes nothing", async () => {
  configure({ kinds: { refund: { usd: 0.25 } } });
  const wrong: [object, RegExp][] = [
    [{ refund: { usdd: 1 } }, /has no `usdd`/],
    [{ refund: { usd: -1 } }, /kinds\.refund\.usd: /],
    [{ refund: { deadline: "soon" } }, /kinds\.refund\.deadline: /],
    [{ refund: { breaker: { cycle: 4 } } }, /kinds\.refund\.breaker: `cycle` is not an object/],
    [{ refund: { breaker: { tools: { web: { loopKey: () => 1 } } } } }, /functions cannot be configured/],
    [{ refund: 5 }, /kind `refund` is `5`, not an object/],
    [{ refund: { usd: () => 1 } }, /an option cannot be read/],
  ];
  for (const [kinds, said] of wrong) {
    const refused = (error: unknown) => InvalidInput.isInstance(error) && said.test(error.message);
    assert.throws(() => configure({ kinds: kinds as never }), refused, String(said));
  }
  await task("refund", { kind: "refund", store: "memory:" }, async (t) => {
    assert.equal(String(await t.available()), "0.25 USD");
  });
});

for (const [kind, fresh] of stores) {
  test(`limits are suggested from what runs have used, in ${kind}`, async () => {
    const store = fresh();
    for (const calls of [3, 1, 2, 9]) {
      await task("run", { kind: "refund", store }, async (t) => {
        for (let call = 0; call < calls; call++) await t.toolCall("web");
      });
    }
    const { kinds, share, toml, withoutKind, isCut } = await suggestLimits({ share: 75, since: "1h", store });
    assert.deepEqual([share, withoutKind, isCut], [75, 0, false]);
    const [refund] = kinds;
    assert.deepEqual([refund?.kind, refund?.runs, refund?.succeeded, refund?.refused], ["refund", 4, 4, 1]);
    assert.deepEqual(refund?.limits, [{ unit: "tool_calls", amount: "3", refused: 1 }]);
    assert.match(refund?.warning ?? "", /too few/);
    assert.ok(toml.endsWith("[kinds.refund]\ntool_calls = 3   # 1 of 4 used more\n"), toml);
    for (const wrong of [{ share: 0 }, { share: 1.5 }, { kind: "nobody" }, { since: "x" }]) {
      await assert.rejects(suggestLimits({ store, ...wrong }), InvalidInput);
    }
  });
}
