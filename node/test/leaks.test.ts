/** Does memory stay where it is, whatever becomes of calls? */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { setTracingDisabled } from "@openai/agents";
import { instrument, task } from "outlay";

import { endpoints, within } from "./clients.js";
import { hooks } from "./hooks.js";
import { Provider, PYTHON } from "./provider.js";
import { sqlite } from "./stores.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const CALLS = Number(process.env.OUTLAY_LEAK_CALLS ?? 1500);
const GPT = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 100 };

async function rssMb(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    collect();
    await new Promise((done) => setTimeout(done, 20));
  }
  return process.memoryUsage().rss / 2 ** 20;
}

/** What `step` adds to memory after it has run as often before. */
async function grown(times: number, step: () => Promise<unknown>): Promise<number> {
  const run = async () => {
    for (let i = 0; i < times; i++) {
      await step();
      // What nobody can reach is let go of when the event loop turns.
      if (i % 500 === 0) await new Promise(setImmediate);
    }
  };
  await run();
  const before = await rssMb();
  await run();
  return (await rssMb()) - before;
}

test("calls leave nothing behind", () =>
  task("t", { usd: 1e6, store: "memory:leaks" }, async (t) => {
    // A ledger in memory keeps its latest 100,000 entries: the first half makes the room for them.
    const mb = await grown(60_000, async () => {
      await (await t.reserve(GPT)).settle({ inputTokens: 10 });
    });
    assert.ok(mb < 24, `${mb.toFixed(1)} MB more`);
  }));

test("tasks and their calls leave nothing behind", async () => {
  const store = sqlite();
  const mb = await grown(CALLS, () =>
    task("t", { usd: 1, store }, async (t) => {
      await (await t.reserve(GPT)).settle({ inputTokens: 10 });
    }),
  );
  assert.ok(mb < 24, `${mb.toFixed(1)} MB more`);
});

test("calls and tasks nobody ends are let go of", async () => {
  const store = sqlite();
  await task("t", { usd: 1000, store }, async (t) => {
    const reserved = await t.reserve(GPT);
    assert.equal(reserved.state, "open");
    const before = (await t.inDoubt()).nanos;
    for (let i = 0; i < 50; i++) await t.reserve(GPT);
    for (let tries = 0; tries < 100; tries++) {
      await rssMb();
      if ((await t.inDoubt()).nanos > before) break;
    }
    assert.ok((await t.inDoubt()).nanos > before, "what nobody can end is in doubt");
    assert.equal(reserved.state, "open");
  });
});

test("the event loop turns while another process keeps the file", async () => {
  const store = sqlite();
  await task("t", { usd: 1, store }, async (t) => {
    const holds = `import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("begin immediate")
print("held", flush=True)
time.sleep(0.6)
db.execute("commit")`;
    const child = spawn(PYTHON, ["-c", holds, store.slice("sqlite:".length)]);
    const gone = once(child, "exit");
    await once(child.stdout, "data");
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const calls = await Promise.all(Array.from({ length: 16 }, () => t.reserve(GPT)));
    clearInterval(timer);
    assert.ok(ticks >= 10, `only ${ticks} ticks`);
    await Promise.all(calls.map((call) => call.settle({ inputTokens: 10 })));
    await gone;
  });
});

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  instrument();
});
after(() => provider.stop());

test("guarded clients leave nothing behind, streams left or read", async () => {
  await provider.reset({ tokens: 10, chunk_tokens: 1 });
  const clients = endpoints(provider).all;
  let turn = 0;
  const mb = await grown(CALLS / 3, () =>
    within({ store: "memory:leaks" }, async () => {
      const client = clients[turn++ % clients.length];
      await client?.ask();
      for await (const piece of (await client?.stream()) ?? []) if (piece && turn % 2) break;
    }),
  );
  assert.ok(mb < 48, `${mb.toFixed(1)} MB more`);
});

test("the hooks of frameworks leave nothing behind", async () => {
  setTracingDisabled(true);
  await provider.reset({ tokens: 10 });
  const all = hooks(provider, "gpt-4o", 100);
  let turn = 0;
  const mb = await grown(CALLS / 5, () =>
    within({ store: "memory:leaks", breaker: true }, () => all[turn++ % all.length]?.ask() as Promise<void>),
  );
  assert.ok(mb < 48, `${mb.toFixed(1)} MB more`);
});
