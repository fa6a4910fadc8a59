/** Runs of @openai/agents under `outlayModels`: each of their calls is recorded once, whoever holds its money. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import {
  Agent,
  type Model,
  type ModelProvider,
  OpenAIProvider,
  Runner,
  setTracingDisabled,
  tool,
} from "@openai/agents";
import OpenAI from "openai";
import { BudgetExceeded, call, instrument, uninstrument } from "outlay";
import { guardedModel, outlayModels } from "outlay/openai-agents";
import { z } from "zod";

import { within } from "./clients.js";
import { Provider } from "./provider.js";

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  setTracingDisabled(true);
});
beforeEach(async () => {
  await provider.reset();
  instrument();
});
after(() => provider.stop());

function models(useResponses: boolean): ModelProvider {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
  return new OpenAIProvider({ openAIClient: client as never, useResponses });
}

const SEARCH = { tool_calls: [{ name: "search", arguments: '{"query":"weather"}' }] };
let searches = 0;
const search = tool({
  name: "search",
  description: "Searches.",
  parameters: z.object({ query: z.string() }),
  execute: async ({ query }) => `nothing about ${query}, ${++searches}`,
});

/** With the clients guarded, and with nothing below the models that is. */
for (const isGuarded of [true, false]) {
  for (const api of ["chat", "responses"]) {
    describe(`${api}, clients ${isGuarded ? "" : "not "}guarded`, () => {
      const runner = () => {
        if (!isGuarded) uninstrument();
        return new Runner({ modelProvider: outlayModels(models(api === "responses")) });
      };
      const agent = (more: object = {}) =>
        new Agent({ name: "support", model: "gpt-4o", modelSettings: { maxTokens: 100 }, ...more });
      const streamed = async (runs: Runner, more: object = {}, options: object = {}) => {
        const result = await runs.run(agent(more), "hello world", { stream: true, ...options });
        for await (const _ of result);
        await result.completed;
        return result;
      };

      test("calls recorded are requests the provider saw", () =>
        within({}, async (t) => {
          const runs = runner();
          for (let run = 0; run < 2; run++) await runs.run(agent(), "hello world");
          await streamed(runs);
          const bill = await provider.bill();
          assert.deepEqual([bill.served, (await t.summary()).totals.calls], [3, 3]);
          assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
          assert.equal((await t.pending()).nanos, 0n);
        }));

      test("a model wrapped twice is charged once", () =>
        within({}, async (t) => {
          const runs = new Runner({ modelProvider: outlayModels(outlayModels(models(api === "responses"))) });
          if (!isGuarded) uninstrument();
          await runs.run(agent(), "hello world");
          const bill = await provider.bill();
          assert.deepEqual([bill.served, (await t.summary()).totals.calls], [1, 1]);
        }));

      test("what does not fit is not sent, and ends the run at once", async () => {
        for (const ask of [
          (runs: Runner) => runs.run(agent(), "hello world"),
          (runs: Runner) => streamed(runs),
        ]) {
          const refused = within({ usd: 0.0001 }, async (t) => {
            try {
              await ask(runner());
            } finally {
              assert.equal((await t.summary()).totals.calls, 0);
            }
          });
          await assert.rejects(refused, BudgetExceeded);
        }
        assert.equal((await provider.bill()).count, 0);
      });

      test("gets a maximum where none was set", () =>
        within({ usd: 0.05 }, async () => {
          await runner().run(agent({ modelSettings: {} }), "hello world");
          const [entry] = (await provider.bill()).entries;
          assert.ok(entry?.max_tokens && entry.max_tokens <= 4096, String(entry?.max_tokens));
        }));

      test("runs tools, each step a call", () =>
        within({ toolCalls: 5 }, async (t) => {
          await provider.reset({ tokens: 20 }, [SEARCH]);
          await runner().run(agent({ tools: [search] }), "hello world");
          const bill = await provider.bill();
          const { totals } = await t.summary();
          assert.deepEqual([bill.served, totals.calls, totals.toolCalls], [2, 2, 1]);
          assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
        }));

      test("a tool that does not fit is not run, and ends the run", async () => {
        for (const isStream of [false, true]) {
          await provider.reset(SEARCH);
          searches = 0;
          const refused = within({ toolCalls: 2 }, async (t) => {
            const runs = runner();
            try {
              await (isStream
                ? streamed(runs, { tools: [search] })
                : runs.run(agent({ tools: [search] }), "hello"));
            } finally {
              const bill = await provider.bill();
              assert.deepEqual([bill.served, searches], [3, 2]);
              assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
            }
          });
          await assert.rejects(refused, (error: BudgetExceeded) => error.unit === "tool_calls");
        }
      });

      test("cuts a stream that goes on beyond its reservation", () =>
        within({}, async (t) => {
          await provider.reset({ fill: true, chunk_tokens: 5, chunk_ms: 2 });
          const runs = runner();
          const long = { modelSettings: { maxTokens: 8000 } };
          await assert.rejects(call({ maxUsd: 0.002 }, () => streamed(runs, long)));
          assert.ok(BudgetExceeded.isInstance(t.stopped));
          assert.equal((await provider.bill()).partial, 1);
          assert.equal((await t.spent()).usd, "0.002");
        }));

      test("an aborted stream is charged no less than the provider bills", () =>
        within({}, async (t) => {
          await provider.reset({ tokens: 90, chunk_tokens: 1, chunk_ms: 5 });
          const signal = AbortSignal.timeout(150);
          await streamed(runner(), {}, { signal }).catch(() => undefined);
          const bill = await provider.bill();
          for (let tries = 0; (await t.pending()).nanos > 0n && tries < 200; tries++) {
            await new Promise((done) => setTimeout(done, 10));
          }
          assert.equal((await t.pending()).nanos, 0n);
          assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos));
        }));
    });
  }
}

test("a stream that is left is covered", () =>
  within({}, async (t) => {
    await provider.reset({ fill: true, chunk_tokens: 2, chunk_ms: 3 });
    const model: Model = guardedModel(await models(false).getModel("gpt-4o"), "gpt-4o");
    const request = {
      input: "hello",
      modelSettings: { maxTokens: 100 },
      tools: [],
      outputType: "text" as const,
      handoffs: [],
      tracing: false,
    };
    for await (const event of model.getStreamedResponse(request)) {
      if (event.type === "output_text_delta") break;
    }
    const bill = await provider.bill();
    assert.equal(bill.partial, 1);
    for (let tries = 0; (await t.pending()).nanos > 0n && tries < 200; tries++) {
      await new Promise((done) => setTimeout(done, 10));
    }
    assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos));
    assert.equal((await t.pending()).nanos, 0n);
  }));
