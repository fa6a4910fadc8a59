import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import * as outlay from "outlay";
import {
  Breaker,
  call,
  count,
  current,
  extractUsage,
  Limit,
  Money,
  openTask,
  price,
  type Task,
  type TaskOptions,
  task,
} from "outlay";

import { stores } from "./stores.js";

const GPT = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const root = join(__dirname, "../../..");

for (const [kind, fresh] of stores) {
  describe(`a task on a ledger in ${kind}`, () => {
    const within = <T>(options: TaskOptions, fn: (t: Task) => Promise<T>) =>
      task("t", { usd: 1, store: fresh(), ...options }, fn);

    test("is charged what its calls used", () =>
      within({}, async (t) => {
        const reserved = await t.reserve(GPT);
        assert.equal(String(reserved.reserved), "0.0425 USD");
        assert.equal(String(await t.pending()), "0.0425 USD");
        const settled = await reserved.settle({ inputTokens: 1000, outputTokens: 500 });
        assert.equal(String(settled.charge), "0.0075 USD");
        assert.deepEqual([settled.overrun.nanos, settled.estimated], [0n, false]);
        assert.equal(String(await t.spent()), "0.0075 USD");
        assert.equal(String(await t.available()), "0.9925 USD");
      }));

    test("refuses what does not fit, and says what would", () =>
      within({ usd: 0.01 }, async (t) => {
        const refusal = await t.reserve(GPT).catch((error: unknown) => error);
        assert.ok(outlay.BudgetExceeded.isInstance(refusal));
        assert.ok(refusal instanceof outlay.Stopped && refusal instanceof Error);
        assert.equal(refusal.code, "budget_exceeded");
        assert.equal(String(refusal.limit), "0.01 USD");
        assert.equal(refusal.affordableOutputTokens, 750);
        assert.equal(refusal.resetsAt, null);
        assert.equal((await t.pending()).nanos, 0n);
        assert.equal(t.stopped?.code, "budget_exceeded");
        assert.throws(() => t.raiseIfStopped(), outlay.BudgetExceeded);
        assert.equal((await t.reserve({ ...GPT, maxOutputTokens: 750 })).maxOutputTokens, 750);
      }));

    test("gives a voided call's money back, and ends a call once", () =>
      within({}, async (t) => {
        const voided = await t.reserve(GPT);
        await voided.void();
        assert.equal(voided.state, "voided");
        assert.equal((await t.available())?.usd, "1.00");
        const settled = await t.reserve(GPT);
        const usage = { inputTokens: 1000, outputTokens: 1 };
        const first = await settled.settle(usage);
        assert.equal((await settled.settle(usage)).charge.nanos, first.charge.nanos);
        await assert.rejects(settled.settle({ inputTokens: 1 }), outlay.Conflict);
        await assert.rejects(settled.void(), outlay.Conflict);
      }));

    test("leaves what its block left open in doubt, and somebody resolves it", async () => {
      const store = fresh();
      const opened = await task("t", { usd: 1, store }, async (t) => {
        const left = await t.reserve(GPT);
        return { t, id: left.id };
      });
      assert.equal((await opened.t.inDoubt()).usd, "0.0425");
      const held = await outlay.ledger(store);
      assert.deepEqual(
        (await held.inDoubt()).map(({ id, held }) => [id, held.usd]),
        [[opened.id, "0.0425"]],
      );
      const usage = { inputTokens: 1000, outputTokens: 500 };
      assert.equal((await outlay.resolve(opened.id, { usage, by: "me", store })).usd, "0.0075");
      assert.equal((await opened.t.spent()).usd, "0.0075");
      await held.checkBalances();
    });

    test("counts tools, tokens and calls", () =>
      within({ toolCalls: 1, llmCalls: 1, tokens: 6000 }, async (t) => {
        await t.toolCall("search");
        await assert.rejects(t.toolCall("search"), outlay.BudgetExceeded);
        await (await t.reserve(GPT)).settle({ inputTokens: 10, outputTokens: 20, reasoningOutputTokens: 5 });
        await assert.rejects(t.reserve(GPT), (error) => {
          assert.ok(outlay.BudgetExceeded.isInstance(error));
          return error.unit === "llm_calls" && error.limit === 1;
        });
        const used = await t.used();
        assert.deepEqual([used.tokens, used.llmCalls, used.toolCalls], [30, 1, 1]);
      }));

    test("is carried to everything inside it, and tasks lie in tasks", () =>
      within({ usd: 0.1, tags: { tenant: "acme" } }, async (outer) => {
        assert.equal(current(), outer);
        await Promise.all(
          ["a", "b"].map((name) =>
            task(name, { usd: 1 }, async (inner) => {
              await new Promise((done) => setTimeout(done, 1));
              assert.equal(current(), inner);
              assert.equal(inner.tags.tenant, "acme");
              await (await inner.reserve(GPT)).settle({ inputTokens: 1000, outputTokens: 1000 });
              assert.equal((await inner.spent()).usd, "0.0125");
            }),
          ),
        );
        assert.equal((await outer.spent()).usd, "0.025");
        assert.equal(current(), outer);
      }));

    test("waits for money other calls hold, without blocking the event loop", () =>
      within({ usd: 0.05 }, async (t) => {
        const first = await t.reserve(GPT);
        setTimeout(() => void first.void(), 30);
        const second = await t.reserve({ ...GPT, waitMs: 10_000 });
        assert.equal(second.state, "open");
        assert.equal(t.stopped, null);
        await assert.rejects(t.reserve({ ...GPT, waitMs: 10 }), (error) => {
          assert.ok(outlay.BudgetExceeded.isInstance(error));
          return error.contended;
        });
      }));

    test("has attempts, and says which bought nothing", async () => {
      const store = fresh();
      const broken = task("refund", { id: "r-1", store }, async (t) => {
        await (await t.reserve(GPT)).settle({ inputTokens: 1000, outputTokens: 500 });
        throw new TypeError("no JSON");
      });
      await assert.rejects(broken, { message: "no JSON" });
      const summary = await task("refund", { id: "r-1", store }, async (t) => {
        assert.equal(t.attempt, 2);
        t.succeed();
        return t.summary();
      });
      assert.deepEqual(
        summary.attempts.map((line) => [line.number, line.outcome, line.reason, line.calls]),
        [
          [1, "failed", "TypeError", 1],
          [2, "running", null, 0],
        ],
      );
      assert.deepEqual(
        summary.boughtNothing.map((loss) => [loss.what, loss.spent.usd]),
        [["failed attempts", "0.0075"]],
      );
      assert.match(String(summary), /failed attempts/);
      const report = await outlay.report("attempt", { store });
      const [row] = report.rows;
      assert.deepEqual([row?.key, row?.attempt, row?.spent.usd], ["r-1", 1, "0.0075"]);
    });

    test("throws its verdict where somebody else wrapped it", async () => {
      const run = within({ usd: 0.001 }, async (t) => {
        try {
          await t.reserve(GPT);
        } catch (cause) {
          throw new Error("the agent failed", { cause });
        }
      });
      await assert.rejects(run, (error) => {
        assert.ok(outlay.BudgetExceeded.isInstance(error));
        return (error.cause as Error).message === "the agent failed";
      });
    });

    test("falls under shared budgets, whose names can be forgotten", async () => {
      const store = fresh();
      await outlay.budget({ per: "tenant", usd: 0.05, window: "month", tz: "Europe/Berlin", store });
      await task("a", { tags: { tenant: "acme" }, store }, async (t) => {
        await t.reserve(GPT);
        await assert.rejects(t.reserve(GPT), (error) => {
          assert.ok(outlay.BudgetExceeded.isInstance(error));
          return error.window === "month" && error.resetsAt !== null;
        });
      });
      await task("b", { tags: { tenant: "globex", user: "u1" }, store }, (t) => t.reserve(GPT));
      await assert.rejects(outlay.budget({ per: "tenant", usd: 0.04, store }), outlay.Conflict);
      await outlay.forget("user", "u1", { store });
      const report = await outlay.report("tag:user", { store });
      assert.ok(report.rows.some((row) => row.key === "erased"));
      await assert.rejects(outlay.forget("user", "nobody", { store }), outlay.NotFound);
    });

    test("ends with the block of `await using`", async () => {
      const store = fresh();
      const t = await openTask("t", { usd: 1, store });
      const reserved = await t.run(() => t.reserve(GPT));
      await reserved[Symbol.asyncDispose]();
      assert.equal(reserved.state, "in_doubt");
      await t[Symbol.asyncDispose]();
      assert.equal((await t.summary()).outcome, "succeeded");
    });

    test("observes without denying", () =>
      within({ usd: 0.01, enforce: false }, async (t) => {
        const over = await t.reserve(GPT);
        assert.match(over.wouldDeny ?? "", /allows 0.01 USD/);
      }));
  });
}

test("what has no meaning is refused where it stands", async () => {
  const bad: [unknown, RegExp][] = [
    [{ model: "gpt-4o", inputTokens: 1.5 }, /`inputTokens` is `1.5`, not a whole number/],
    [{ model: "gpt-4o", inputTokens: -1 }, /not negative/],
    [{ model: "gpt-4o", inputTokens: Number.NaN }, /not a whole number/],
    [{ model: "gpt-4o", inputTokens: 2 ** 60 }, /whole number/],
    [{ model: "gpt-4o", inputTokens: "1000" }, /not a whole number/],
    [{ model: "gpt-4o", inputTokens: 1, maxOutputTokens: 10n }, /not a whole number/],
    [{ model: 4, inputTokens: 1 }, /`model` is `4`, not a text/],
    [{ model: "gpt-4o", inputTokens: 1, max_output_tokens: 5 }, /has no `max_output_tokens`/],
    [{ model: "gpt-4o", inputTokens: 1, choices: 0 }, /answers/],
    [{ model: "", inputTokens: 1 }, /model/],
    [null, /not an object/],
  ];
  await task("t", { usd: 1, store: "memory:" }, async (t) => {
    for (const [request, message] of bad) {
      const refused = (error: unknown) => {
        assert.ok(outlay.InvalidInput.isInstance(error), String(error));
        assert.match(error.message, message);
        return true;
      };
      await assert.rejects(t.reserve(request as never), refused);
    }
    await assert.rejects(t.reserve({ model: "gpt-4o" }), outlay.Unbounded);
    await assert.rejects(t.reserve({ model: "no-such-model", inputTokens: 1 }), outlay.Unpriced);
    const reserved = await t.reserve(GPT);
    for (const usage of [
      { inputTokens: -1 },
      { outputTokens: 0.5 },
      { prompt_tokens: 5 },
      7,
      { inputTokens: 1, cacheReadInputTokens: 2 },
    ]) {
      await assert.rejects(reserved.settle(usage as never), outlay.InvalidInput);
    }
    assert.equal(reserved.state, "open");
  });
  const tasks: unknown[] = [
    { usd: "lots" },
    { usd: true },
    { usd: Number.NaN },
    { budget: 1 },
    { tags: ["a"] },
    { tags: { a: 1 } },
    { llmCalls: 0.5 },
  ];
  for (const options of tasks) {
    await assert.rejects(
      task("t", { store: "memory:", ...(options as object) }, () => 1),
      outlay.InvalidInput,
      JSON.stringify(options),
    );
  }
  await assert.rejects(
    task(7 as never, () => 1),
    outlay.InvalidInput,
  );
  await assert.rejects(task("t", {}, undefined as never), outlay.InvalidInput);
  assert.throws(() => new Limit(1, { window: "fortnight" }), outlay.InvalidInput);
  assert.throws(() => call({ maxUsd: "x" }, () => 1), outlay.InvalidInput);
  assert.throws(() => outlay.configure({ store: 5 } as never), outlay.InvalidInput);
  assert.throws(() => outlay.configure({ colour: "red" } as never), outlay.InvalidInput);
  await assert.rejects(
    task("t", { store: "redis:" }, () => 1),
    outlay.Unsupported,
  );
  await assert.rejects(
    task("t", { store: "sqlite:/dev/null/x.db" }, () => 1),
    outlay.StoreUnavailable,
  );
});

test("what cannot be counted, priced, read or watched is refused", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const bad: [() => unknown, RegExp][] = [
    [() => count("gpt-4o", {} as never), /either `text` or `messages`/],
    [() => count("gpt-4o", { text: "a", messages: [] } as never), /either `text` or `messages`/],
    [() => count("gpt-4o", { text: 5 } as never), /`text` is `5`, not a text/],
    [() => count(5 as never, { text: "a" }), /`model` is `5`/],
    [() => count("gpt-4o", { words: "a" } as never), /has no `words`/],
    [() => price("gpt-4o", { inputTokens: -1 }), /not negative/],
    [() => price("gpt-4o", { prompt_tokens: 1 } as never), /has no `prompt_tokens`/],
    [() => price("gpt-4o", {}, { at: "now" as never }), /`at` is no `Date`/],
    [() => price("gpt-4o", {}, { at: new Date(Number.NaN) }), /`at` is no `Date`/],
    [() => extractUsage(circle, { provider: "openai" }), /no JSON/],
    [() => extractUsage(undefined, { provider: "openai" }), /no JSON/],
    [() => extractUsage("{", { provider: "openai" }), /JSON/],
    [() => extractUsage({}, {} as never), /`provider` is `undefined`/],
    [() => new Breaker({ colour: {} } as never), /colour/],
    [() => new Breaker({ noProgress: { nudge: -1 } }), /./],
    [() => new Breaker(undefined, new Uint8Array([1, 2, 3])), /state/],
    [() => new Breaker(5 as never), /./],
    [() => new Breaker().observe({} as never), /kind/],
    [() => new Breaker().observe(null as never), /./],
    [() => new Breaker().observe({ kind: "tool", args: circle }), /no JSON/],
  ];
  for (const [act, message] of bad) {
    const asWanted = (error: Error) => {
      assert.ok(outlay.InvalidInput.isInstance(error), `${act}: ${error}`);
      assert.match(error.message, message, String(act));
      return true;
    };
    assert.throws(act, asWanted, String(act));
  }
});

test("a breaker climbs its ladder, goes on from its state, and asks functions of tools", () => {
  const step = { kind: "tool", name: "bash", args: { command: "ls" }, result: "a.txt" } as const;
  const breaker = new Breaker();
  const levels = Array.from({ length: 12 }, () => breaker.observe(step).level);
  const ladder = { ok: 2, nudge: 2, refuse: 3, pause: 4, stop: 1 };
  assert.deepEqual(
    levels,
    Object.entries(ladder).flatMap(([level, times]) => Array(times).fill(level)),
  );
  const { evidence, detector } = new Breaker(undefined, breaker.state()).observe(step);
  assert.deepEqual([detector, evidence.count, evidence.firstStep], ["no_progress", 13, 1]);
  assert.equal(breaker.check(step).level, "stop");
  breaker.excuse();
  assert.equal(breaker.observe(step).level, "ok");
  assert.equal(breaker.observeStream("Let me check that again, to be sure. ".repeat(15)).detector, "chant");

  const loopKey = ({ path }: { path: string }) => path;
  const reading = new Breaker({ noProgress: { nudge: 2 }, tools: { read: { loopKey } } });
  const read = (at: number) =>
    reading.observe({ kind: "tool", name: "read", args: { path: "a", at }, result: "same" }).level;
  assert.deepEqual([read(1), read(2)], ["ok", "nudge"]);
});

test("`reserveSync` is for a ledger in memory", async () => {
  await task("t", { usd: 1, store: "memory:" }, async (t) => {
    const reserved = t.reserveSync(GPT);
    assert.equal(reserved.settleSync({ inputTokens: 10, outputTokens: 1 }).charge.usd, "0.000035");
  });
  const sqlite = stores.find(([kind]) => kind === "SQLite")?.[1];
  await task("t", { usd: 1, store: sqlite?.() ?? "" }, async (t) => {
    assert.throws(() => t.reserveSync(GPT), outlay.Unsupported);
  });
});

test("a call of the same id is the same call", () =>
  task("t", { usd: 1, store: "memory:" }, async (t) => {
    const first = await t.reserve({ ...GPT, id: "one" });
    const again = await t.reserve({ ...GPT, id: "one" });
    assert.deepEqual([first.created, again.created, first.id === again.id], [true, false, true]);
    await assert.rejects(t.reserve({ ...GPT, id: "one", inputTokens: 5 }), outlay.Conflict);
  }));

test("the kinds of errors are those of every language", () => {
  const told = JSON.parse(readFileSync(join(root, "tests/errors.json"), "utf8")) as Record<string, string>[];
  const families = {
    stopped: outlay.Stopped,
    misuse: outlay.Misuse,
    unknowable: outlay.Unknowable,
    fault: outlay.Fault,
  };
  const own: string[] = [];
  for (const { name, code, family } of told) {
    const kind = (outlay as unknown as Record<string, typeof outlay.OutlayError>)[name ?? ""];
    assert.ok(kind, name);
    assert.equal(kind.code, code);
    assert.equal(Object.getPrototypeOf(kind), families[family as keyof typeof families]);
    const error = new kind("x");
    assert.equal(error.name, name);
    assert.ok(kind.isInstance(error) && outlay.OutlayError.isInstance(error));
    own.push(name ?? "");
  }
  const all = Object.entries(outlay).filter(
    ([, value]) => (value as { prototype?: object })?.prototype instanceof outlay.OutlayError,
  );
  const kinds = all
    .map(([name]) => name)
    .filter((name) => !["Stopped", "Misuse", "Unknowable", "Fault"].includes(name));
  assert.deepEqual(kinds.sort(), own.sort());
  assert.equal(outlay.OutlayError.isInstance({ code: "conflict" }), false);
  assert.equal(outlay.Conflict.isInstance(new outlay.NotFound("x")), false);
});

test("money is exact", () => {
  assert.equal(new Money("0.1").nanos + new Money("0.2").nanos, new Money(0.3).nanos);
  assert.equal(String(new Money(1e-5)), "0.00001 USD");
  assert.equal(JSON.stringify({ cost: new Money(0.5) }), '{"cost":"0.50"}');
  assert.ok(new Money(2) > new Money("1.99"));
  const most = Money.fromNanos(2n ** 63n - 1n);
  assert.equal(most.minus(new Money(1)).plus(new Money(1)).usd, most.usd);
  assert.equal(new Money(1).minus(new Money(3)).usd, "-2.00");
  assert.equal(new Money(-0).usd, "0.00");
  assert.ok(new Money("0.10").equals(new Money(0.1)) && !new Money(1).equals(new Money(2)));
  assert.deepEqual(
    [2, 1, 3, 1].map((usd) => new Money(usd).compare(new Money(2))),
    [0, -1, 1, -1],
  );
  const no = { nanos: 1n } as Money;
  const bad = [
    () => Money.fromNanos(2n ** 63n),
    () => Money.fromNanos(1 as unknown as bigint),
    () => most.plus(Money.fromNanos(1n)),
    () => most.minus(new Money(-1)),
    () => most.plus(1 as unknown as Money),
    () => most.minus(no),
    () => most.equals("1" as unknown as Money),
    () => most.compare(undefined as unknown as Money),
    ...[
      Number.NaN,
      Number.POSITIVE_INFINITY,
      "1e400",
      "0x10",
      "",
      " ",
      "1,5",
      10n ** 30n,
      null,
      {},
      true,
    ].map((usd) => () => new Money(usd as number)),
  ];
  for (const act of bad) assert.throws(act, outlay.InvalidInput, String(act));
});

test("options change the process", async () => {
  outlay.configure({ prices: { "house-7b": { input: 0, output: "0.20" } } });
  await task("t", { usd: 1, store: "memory:" }, async (t) => {
    const reserved = await t.reserve({ model: "house-7b", inputTokens: 5, maxOutputTokens: 1_000_000 });
    assert.equal(reserved.reserved.usd, "0.20");
  });
});
