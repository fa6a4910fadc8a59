/** Nobody wins the last cent twice: cap 1.00 USD, calls of 0.05 USD. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import cluster from "node:cluster";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";

import { setTracingDisabled } from "@openai/agents";
import { BudgetExceeded, budget, configure, instrument, ledger, task } from "outlay";

import { agrees, type Endpoint, endpoints, within } from "./clients.js";
import { hooks } from "./hooks.js";
import { Provider, PYTHON } from "./provider.js";
import { race } from "./race.js";
import { sqlite, stores } from "./stores.js";

const run = promisify(execFile);
const RACER = join(__dirname, "racer.js");
const RACER_PY = join(__dirname, "../../test/racer.py");
const sum = (made: number[]) => made.reduce((all, each) => all + each, 0);

for (const [kind, fresh] of stores) {
  test(`64 async workers share one cap, on a ledger in ${kind}`, async () => {
    const store = fresh();
    await task("race", { usd: 1, store }, async (t) => {
      assert.equal(await race(t, 64), 20);
      assert.deepEqual([(await t.spent()).usd, (await t.pending()).usd], ["1.00", "0.00"]);
    });
    await (await ledger(store)).checkBalances();
  });
}

/** A shared budget of 1.00 USD in a file, and what must be true of it in the end. */
async function shared(racers: (store: string) => Promise<number>[]): Promise<void> {
  const store = sqlite();
  await budget({ tags: { team: "blue" }, usd: 1, store });
  const made = await Promise.all(racers(store));
  assert.equal(sum(made), 20, String(made));
  await (await ledger(store)).checkBalances();
  await task("after", { tags: { team: "blue" }, store }, async (t) => {
    assert.equal((await t.available())?.usd, "0.00");
  });
}

const started = async (command: string, args: string[]) => Number((await run(command, args)).stdout);

test("4 processes of Node and 4 of Python share one budget", () =>
  shared((store) =>
    [0, 1, 2, 3].flatMap(() => [
      started(process.execPath, [RACER, store]),
      started(PYTHON, [RACER_PY, store]),
    ]),
  ));

test("worker threads share one budget", () =>
  shared((store) =>
    [0, 1, 2, 3].map(async () => {
      const worker = new Worker(RACER, { workerData: store });
      const [made] = await once(worker, "message");
      await worker.terminate();
      return made as number;
    }),
  ));

test("processes of a cluster share one budget", () =>
  shared((store) => {
    cluster.setupPrimary({ exec: RACER });
    return [0, 1, 2, 3].map(async () => {
      const worker = cluster.fork({ RACE_STORE: store });
      const [made] = await once(worker, "message");
      return made as number;
    });
  }));

test("a worker that is ended while it waits for the ledger takes nothing along", async () => {
  const store = sqlite();
  const worker = new Worker(RACER, { workerData: store });
  await new Promise((done) => setTimeout(done, 300));
  await worker.terminate();
  await task("after", { usd: 1, store }, async (t) => {
    const call = await t.reserve({ model: "gpt-4o", inputTokens: 1, maxOutputTokens: 1 });
    await call.settle({ inputTokens: 1 });
  });
  await (await ledger(store)).checkBalances();
});

describe("guarded clients", () => {
  let provider: Provider;
  const names = ["gpt-race", "claude-race"];
  const prices = Object.fromEntries(names.map((name) => [name, { input: 0, output: 10 }]));

  before(async () => {
    provider = await Provider.start();
    instrument();
    setTracingDisabled(true);
    configure({ prices });
  });
  after(() => provider.stop());

  /** Calls as long as calls fit; how many did. */
  async function untilRefused(client: Endpoint, stream: boolean): Promise<number> {
    const order = { model: client.name === "messages" ? "claude-race" : "gpt-race", max: 5000 };
    for (let made = 0; ; made++) {
      try {
        if (stream) for await (const _ of await client.stream(order));
        else await client.ask(order);
      } catch (error) {
        if (BudgetExceeded.isInstance(error)) return made;
        throw error;
      }
    }
  }
  for (const name of ["chat", "responses", "messages"]) {
    for (const stream of [false, true]) {
      const how = `${name}${stream ? " with streams" : ""}`;
      const fresh = async () => {
        await provider.control({ reset: true, default: { fill: true, latency_ms: 5 }, prices });
        const client = endpoints(provider).all.find((each) => each.name === name);
        assert.ok(client);
        return client;
      };

      test(`64 workers of ${how} make 20 calls`, () =>
        within({ usd: 1 }, async (t) => {
          const client = await fresh();
          const made = await Promise.all(Array.from({ length: 64 }, () => untilRefused(client, stream)));
          assert.equal(sum(made), 20);
          const bill = await agrees(t, provider);
          assert.deepEqual([bill.served, bill.cost_nanos], [20, 1_000_000_000]);
        }));

      test(`64 tasks of ${how} under one budget in a file make 20 calls`, async () => {
        const [client, store] = [await fresh(), sqlite()];
        const tags = { tenant: "acme" };
        await budget({ tags, usd: 1, store });
        const own = (number: number) =>
          task(`race ${number}`, { tags, store }, () => untilRefused(client, stream));
        const made = await Promise.all(Array.from({ length: 64 }, (_, number) => own(number)));
        assert.equal(sum(made), 20, String(made));
        const bill = await provider.bill();
        assert.deepEqual([bill.count, bill.served, bill.cost_nanos], [20, 20, 1_000_000_000]);
        await (await ledger(store)).checkBalances();
      });
    }
  }

  for (const which of [0, 1, 2, 3, 4]) {
    test(`64 agents make 20 calls, through hook ${which}`, () =>
      within({ usd: 1, waitMs: 60_000 }, async (t) => {
        await provider.control({ reset: true, default: { fill: true, latency_ms: 5 }, prices });
        const hook = hooks(provider, "gpt-race", 5000)[which];
        assert.ok(hook);
        const untilRefused = async () => {
          for (let made = 0; ; made++) {
            try {
              await hook.ask();
            } catch (error) {
              if (BudgetExceeded.isInstance(error) || BudgetExceeded.isInstance((error as Error).cause)) {
                return made;
              }
              throw error;
            }
          }
        };
        const made = await Promise.all(Array.from({ length: 64 }, untilRefused));
        assert.equal(sum(made), 20, hook.name);
        const bill = await provider.bill();
        assert.deepEqual([bill.count, bill.served, bill.cost_nanos], [20, 20, 1_000_000_000]);
        assert.deepEqual([(await t.spent()).usd, (await t.pending()).usd], ["1.00", "0.00"]);
        assert.equal((await t.summary()).totals.calls, 20);
      }));
  }
});
