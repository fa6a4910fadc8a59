/** The `ai` package, 7 and 6, with its real models against the loopback provider. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import * as openai7 from "@ai-sdk/openai";
import * as ai7 from "ai";
import * as ai6 from "ai6";
import OpenAI from "openai";
import * as openai6 from "openai6";
import { BudgetExceeded, call, instrument, Unsupported, uninstrument } from "outlay";
import { outlayMiddleware } from "outlay/ai";

import { agrees, covers, recorded, within } from "./clients.js";
import { Provider } from "./provider.js";

// Each generation has types of its own; what is tested here is the same in both.
// biome-ignore lint/suspicious/noExplicitAny: as above.
type Any = any;

let provider: Provider;
before(async () => {
  provider = await Provider.start();
});
beforeEach(() => provider.reset());
after(() => provider.stop());

const GENERATIONS: [string, Any, Any, "v3" | "v4"][] = [
  ["ai 7", ai7, openai7, "v4"],
  ["ai 6", ai6, openai6, "v3"],
];

for (const [name, ai, sdk, version] of GENERATIONS) {
  for (const api of ["chat", "responses"] as const) {
    describe(`${name}, ${api}`, () => {
      const model = () =>
        ai.wrapLanguageModel({
          model: sdk.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any" })[api]("gpt-4o"),
          middleware: outlayMiddleware({ version }),
        });
      const ask = (more: object = {}) =>
        ai.generateText({
          model: model(),
          prompt: "hello world",
          maxOutputTokens: 100,
          maxRetries: 0,
          ...more,
        });
      const stream = (more: object = {}) =>
        ai.streamText({
          model: model(),
          prompt: "hello world",
          maxOutputTokens: 100,
          maxRetries: 0,
          onError: () => undefined,
          ...more,
        });
      /** The text of a stream; throws what stands in it as an error. */
      const read = async (result: Any, most = Number.POSITIVE_INFINITY) => {
        let text = "";
        for await (const part of result.fullStream) {
          if (part.type === "error") throw part.error;
          if (part.type === "text-delta") text += part.text ?? part.delta ?? "";
          if (text.length > most) break;
        }
        return text;
      };

      test("is charged what the provider bills", () =>
        within({}, async (t) => {
          assert.notEqual((await ask()).text, "");
          assert.notEqual(await read(stream()), "");
          assert.equal((await agrees(t, provider)).served, 2);
        }));

      test("does not send what does not fit, and throws ours, once", () =>
        within({ usd: 0.0001 }, async (t) => {
          await assert.rejects(ask({ maxOutputTokens: 4000, maxRetries: 2 }), BudgetExceeded);
          await assert.rejects(read(stream({ maxOutputTokens: 4000 })), BudgetExceeded);
          assert.equal((await recorded(t, provider)).count, 0);
        }));

      test("gets a maximum where none was set", () =>
        within({ usd: 0.02 }, async (t) => {
          await ask({ maxOutputTokens: undefined });
          const [entry] = (await agrees(t, provider)).entries;
          assert.ok(entry?.max_tokens && entry.max_tokens <= 2000, String(entry?.max_tokens));
        }));

      test("reserves anew where it asks again", () =>
        within({}, async (t) => {
          await provider.reset({ tokens: 20 }, [{ status: 429, retry_after_s: 0.001 }]);
          await ask({ maxRetries: 2 });
          const { count, refused } = await agrees(t, provider);
          assert.deepEqual([count, refused], [2, 1]);
          assert.equal((await t.summary()).totals.voidedCalls, 1);
        }));

      const TOOL = { tool_calls: [{ name: "search", arguments: '{"query":"x"}' }] };
      const counting = () => {
        const runs = { count: 0 };
        const search = ai.tool({
          description: "Searches.",
          inputSchema: ai.jsonSchema({ type: "object", properties: { query: { type: "string" } } }),
          execute: async () => `nothing, ${++runs.count}`,
        });
        return { runs, tools: { search }, stopWhen: ai.stepCountIs(9) };
      };

      test("runs tools, each step a call", () =>
        within({ toolCalls: 5 }, async (t) => {
          await provider.reset({ tokens: 20 }, [TOOL]);
          const { runs, ...tools } = counting();
          await ask(tools);
          await provider.control({ queue: [TOOL] });
          await read(stream(tools));
          const bill = await provider.bill();
          assert.deepEqual([bill.count, runs.count, (await t.used()).toolCalls], [4, 2, 2]);
          assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
        }));

      test("does not run a tool that does not fit, and throws ours", async () => {
        for (const run of [ask, async (more: object) => read(stream(more))]) {
          await provider.reset(TOOL);
          const { runs, ...tools } = counting();
          const refused = within({ toolCalls: 2 }, async (t) => {
            try {
              await run(tools);
            } finally {
              const bill = await provider.bill();
              assert.deepEqual([bill.served, runs.count], [3, 2]);
              assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
            }
          });
          await assert.rejects(refused, (error: BudgetExceeded) => error.unit === "tool_calls");
        }
      });

      test("refuses tools a provider runs, unless told what they can cost", () =>
        within({}, async (t) => {
          if (api === "chat") return;
          const tools = { web_search: sdk.openai.tools.webSearch({}) };
          await assert.rejects(ask({ tools }), Unsupported);
          await call({ maxUsd: 0.01 }, () => ask({ tools }).catch(() => undefined));
          assert.equal((await recorded(t, provider)).count, 1);
        }));

      test("cuts a stream that goes on beyond its reservation", () =>
        within({}, async (t) => {
          await provider.reset({ fill: true, chunk_tokens: 5, chunk_ms: 2 });
          await call({ maxUsd: 0.002 }, () =>
            assert.rejects(read(stream({ maxOutputTokens: 8000 })), BudgetExceeded),
          );
          const { partial, served } = await recorded(t, provider);
          assert.deepEqual([partial, served], [1, 0]);
          assert.equal((await t.spent()).usd, "0.002");
        }));

      test("settles a stream that was left at what it can have cost", () =>
        within({}, async (t) => {
          await provider.reset({ fill: true, chunk_tokens: 2, chunk_ms: 3 });
          const prompt = [{ role: "user", content: [{ type: "text", text: "hello world" }] }];
          const { stream: parts } = await model().doStream({ prompt, maxOutputTokens: 100 });
          for await (const part of parts) if (part.type === "text-delta") break;
          assert.equal((await covers(t, provider)).partial, 1);
        }));

      test("settles a stream that was aborted at what it can have cost", () =>
        within({}, async (t) => {
          await provider.reset({ tokens: 90, chunk_tokens: 1, chunk_ms: 5 });
          const controller = new AbortController();
          setTimeout(() => controller.abort(), 150);
          await read(stream({ abortSignal: controller.signal })).catch(() => undefined);
          const bill = await recorded(t, provider);
          assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos));
        }));
    });
  }
}

/** A model of somebody's own that asks through the openai package, which is guarded. */
function overClient(version: string): Any {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
  const body = ({ maxOutputTokens }: Any) => ({
    model: "gpt-4o",
    messages: [{ role: "user" as const, content: "hello world" }],
    max_tokens: maxOutputTokens,
  });
  const usageOf = (usage: Any) => ({
    inputTokens: { total: usage.prompt_tokens },
    outputTokens: { total: usage.completion_tokens },
  });
  const stop = { unified: "stop", raw: "stop" };
  return {
    specificationVersion: version,
    provider: "own",
    modelId: "gpt-4o",
    supportedUrls: {},
    async doGenerate(params: Any) {
      const { choices, usage } = await client.chat.completions.create(body(params));
      const content = [{ type: "text", text: choices[0]?.message.content }];
      return { content, finishReason: stop, usage: usageOf(usage), warnings: [] };
    },
    // Nothing is sent before somebody reads.
    async doStream(params: Any) {
      async function* parts() {
        const stream = await client.chat.completions.create({ ...body(params), stream: true });
        let usage: Any = {};
        yield { type: "stream-start", warnings: [] };
        yield { type: "text-start", id: "0" };
        for await (const chunk of stream) {
          usage = chunk.usage ?? usage;
          const delta = chunk.choices[0]?.delta.content;
          if (delta) yield { type: "text-delta", id: "0", delta };
        }
        yield { type: "text-end", id: "0" };
        yield { type: "finish", finishReason: stop, usage: usageOf(usage) };
      }
      return { stream: (ReadableStream as Any).from(parts()) };
    },
  };
}

for (const [name, ai, sdk, version] of GENERATIONS) {
  describe(`${name}, stacked`, () => {
    before(() => instrument());
    after(() => uninstrument());
    const models: [string, () => Any][] = [
      ["a guarded client below", () => overClient(version)],
      [
        "the middleware twice",
        () => sdk.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any" })("gpt-4o"),
      ],
    ];
    for (const [below, model] of models) {
      test(`${below}: a call is recorded once`, () =>
        within({}, async (t) => {
          const inner = below === "the middleware twice" ? [outlayMiddleware({ version })] : [];
          const middleware = [outlayMiddleware({ version }), ...inner];
          const asked = {
            model: ai.wrapLanguageModel({ model: model(), middleware }),
            prompt: "hello world",
            maxOutputTokens: 100,
            maxRetries: 0,
          };
          assert.notEqual((await ai.generateText(asked)).text, "");
          assert.notEqual(await ai.streamText(asked).text, "");
          const bill = await provider.bill();
          assert.deepEqual([bill.served, (await t.summary()).totals.calls], [2, 2]);
          assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
          assert.equal((await t.pending()).nanos, 0n);
        }));
    }
  });
}
