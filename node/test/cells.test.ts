/** Streams that are cut, left or aborted, chosen maxima, and hooks over hooks: what no test of one hook asks. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import * as openai7 from "@ai-sdk/openai";
import { ChatAnthropic } from "@langchain/anthropic";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents";
import * as ai7 from "ai";
import * as ai6 from "ai6";
import { createAgent } from "langchain";
import OpenAI from "openai";
import * as openai6 from "openai6";
import { BudgetExceeded, call, instrument, type Task, uninstrument } from "outlay";
import { outlayMiddleware } from "outlay/ai";
import { guardFetch } from "outlay/fetch";
import { outlayMiddleware as forLangChain } from "outlay/langchain";
import { outlayModels } from "outlay/openai-agents";

import { endpoints, within } from "./clients.js";
import { type Bill, Provider } from "./provider.js";
import { noting, RESULT } from "./sent.js";

// biome-ignore lint/suspicious/noExplicitAny: frameworks in several generations.
type Any = any;

const SLOW = { fill: true, chunk_tokens: 2, chunk_ms: 3 };

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

/** The bill, once everything has ended; no more was billed than spent. */
async function covered(t: Task): Promise<Bill> {
  const bill = await provider.bill();
  for (let tries = 0; (await t.pending()).nanos > 0n && tries < 500; tries++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  assert.equal((await t.pending()).nanos, 0n, "something is still held");
  assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos), "more was billed than spent");
  return bill;
}

/** How many requests have come in, whether they are answered yet or not. */
async function seen(): Promise<number> {
  const response = await fetch(`${provider.url}/bill?wait_s=0`);
  return ((await response.json()) as Bill).count;
}

interface Cell {
  name: string;
  isGuarded?: boolean;
  /** Does the framework keep a stream open that is left? Then its call ends with its task. */
  isKept?: boolean;
  /** A whole answer. */
  ask(signal?: AbortSignal, max?: number | null): Promise<unknown>;
  /** A stream as the framework hands it out. */
  stream(signal?: AbortSignal, max?: number | null): Promise<AsyncIterable<unknown>>;
}

const most = (name: string, max: number | null) => (max === null ? {} : { [name]: max });

function aiCell(name: string, ai: Any, sdk: Any, version: "v3" | "v4", api: "chat" | "responses"): Cell {
  const request = (abortSignal: AbortSignal | undefined, max: number | null) => {
    const own = sdk.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
    return {
      model: ai.wrapLanguageModel({ model: own[api]("gpt-4o"), middleware: outlayMiddleware({ version }) }),
      prompt: "hello world",
      maxRetries: 0,
      onError: () => undefined,
      abortSignal,
      ...most("maxOutputTokens", max),
    };
  };
  return {
    name: `${name}, ${api}`,
    isKept: version === "v4",
    ask: (signal, max = 100) => ai.generateText(request(signal, max)),
    async stream(signal, max = 100) {
      const { fullStream } = ai.streamText(request(signal, max));
      return (async function* () {
        for await (const part of fullStream) {
          if (part.type === "error") throw part.error;
          if (part.type === "abort") throw new Error("aborted");
          if (part.type === "text-delta") yield part;
        }
      })();
    },
  };
}

function langchainCell(name: string, make: (max: number | null) => Any): Cell {
  const agent = (max: number | null): Any =>
    createAgent({ model: make(max), tools: [], middleware: [forLangChain()] });
  const asked = { messages: [{ role: "user", content: "hello world" }] };
  return {
    name: `langchain, ${name}`,
    isGuarded: true,
    ask: (signal, max = 100) => agent(max).invoke(asked, { signal }),
    stream: (signal, max = 100) => agent(max).stream(asked, { streamMode: "messages", signal }),
  };
}

function agentsCell(useResponses: boolean, isGuarded: boolean): Cell {
  const run = (signal: AbortSignal | undefined, max: number | null, stream: boolean): Promise<Any> => {
    const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
    const models = new OpenAIProvider({ openAIClient: client as never, useResponses });
    const runner = new Runner({ modelProvider: outlayModels(models) });
    const modelSettings = most("maxTokens", max);
    const agent = new Agent({ name: "support", model: "gpt-4o", modelSettings });
    return runner.run(agent, "hello world", { stream, ...(signal && { signal }) } as Any);
  };
  const api = useResponses ? "responses" : "chat";
  return {
    name: `@openai/agents, ${api}${isGuarded ? ", over a guarded client" : ""}`,
    isGuarded,
    ask: (signal, max = 100) => run(signal, max, false),
    async stream(signal, max = 100) {
      const result = await run(signal, max, true);
      return (async function* () {
        for await (const event of result.toTextStream()) yield event;
        await result.completed;
      })();
    },
  };
}

const CELLS: Cell[] = [
  aiCell("ai 7", ai7, openai7, "v4", "chat"),
  aiCell("ai 7", ai7, openai7, "v4", "responses"),
  aiCell("ai 6", ai6, openai6, "v3", "chat"),
  langchainCell(
    "chat",
    (max) =>
      new ChatOpenAI({
        model: "gpt-4o",
        apiKey: "any",
        maxRetries: 0,
        configuration: { baseURL: provider.openaiUrl },
        ...most("maxTokens", max),
      }),
  ),
  langchainCell(
    "responses",
    (max) =>
      new ChatOpenAI({
        model: "gpt-4o",
        apiKey: "any",
        maxRetries: 0,
        useResponsesApi: true,
        configuration: { baseURL: provider.openaiUrl },
        ...most("maxTokens", max),
      }),
  ),
  langchainCell(
    "anthropic",
    (max) =>
      new ChatAnthropic({
        model: "claude-opus-4-7",
        apiKey: "any",
        maxRetries: 0,
        anthropicApiUrl: provider.anthropicUrl,
        ...most("maxTokens", max),
      }),
  ),
  agentsCell(false, false),
  agentsCell(false, true),
  agentsCell(true, false),
  agentsCell(true, true),
];

for (const { name, isGuarded, isKept, ask, stream } of CELLS) {
  describe(name, () => {
    beforeEach(() => {
      if (!isGuarded) uninstrument();
    });

    test("a stream that is left through the framework is covered", async () => {
      const left = await within({}, async (t) => {
        await provider.reset(SLOW);
        for await (const _ of await stream()) break;
        if (!isKept) await covered(t);
        return t;
      });
      assert.equal((await covered(left)).count, 1);
    });

    test("a stream that is aborted is covered", () =>
      within({}, async (t) => {
        await provider.reset(SLOW);
        const controller = new AbortController();
        const read = async () => {
          for await (const _ of await stream(controller.signal)) controller.abort();
        };
        await read().catch(() => undefined);
        assert.equal((await covered(t)).count, 1);
      }));

    test("a request that is aborted before its answer is covered", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 90, latency_ms: 5000 });
        const controller = new AbortController();
        const asked = assert.rejects(ask(controller.signal));
        for (let tries = 0; tries < 5000 && (await seen()) === 0; tries++);
        controller.abort();
        await asked;
        assert.equal((await covered(t)).count, 1);
      }));

    test("goes out with a maximum where none is set, whole and streamed", () =>
      within({}, async (t) => {
        await ask(undefined, null);
        for await (const _ of await stream(undefined, null));
        const { served, cost_nanos, entries } = await provider.bill();
        assert.equal(served, 2);
        for (const { max_tokens } of entries) assert.ok(max_tokens && max_tokens <= 20_000);
        assert.equal((await t.spent()).nanos, BigInt(cost_nanos));
      }));
  });
}

test("the net over fetch cuts a stream, and lies twice over the same request", () =>
  within({}, async (t) => {
    uninstrument();
    const hosts = { [new URL(provider.url).host]: "openai" } as const;
    const nets = [guardFetch({ hosts }), guardFetch({ hosts })];
    const post = (more: object) =>
      fetch(`${provider.openaiUrl}/chat/completions`, {
        method: "POST",
        body: JSON.stringify({
          model: "gpt-4o",
          messages: [{ role: "user", content: "hello world" }],
          ...more,
        }),
      });
    try {
      await (await post({ max_tokens: 100 })).json();
      assert.equal((await t.summary()).totals.calls, 1);
      const before = (await t.spent()).nanos;
      await provider.reset({ fill: true, chunk_tokens: 5, chunk_ms: 2 });
      const cut = call({ maxUsd: 0.002 }, async () =>
        (await post({ max_tokens: 8000, stream: true })).text(),
      );
      await assert.rejects(cut, BudgetExceeded);
      assert.equal((await t.spent()).nanos - before, 2_000_000n);
    } finally {
      for (const undo of nets) undo();
    }
    assert.equal((await provider.bill()).partial, 1);
  }));

test("a client that is guarded twice reserves once", () =>
  within({}, async (t) => {
    instrument();
    for (const { ask } of endpoints(provider).all) await ask();
    assert.deepEqual([(await provider.bill()).served, (await t.summary()).totals.calls], [3, 3]);
    uninstrument();
    await endpoints(provider).all[0]?.ask();
    assert.equal((await t.summary()).totals.calls, 3);
  }));

test("hooks over hooks over a guarded client tell the breaker once", async () => {
  const tools = [{ name: "look", arguments: "{}" }];
  await within({ breaker: true }, async () => {
    await provider.reset({ text: "Rainy." }, Array(3).fill({ tool_calls: tools }));
    const sent: Any[] = [];
    const own = openai7.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any", fetch: noting(sent) });
    const middleware = [outlayMiddleware(), outlayMiddleware()];
    await ai7.generateText({
      model: ai7.wrapLanguageModel({ model: own.chat("gpt-4o"), middleware }),
      prompt: "hello world",
      stopWhen: ai7.stepCountIs(9),
      tools: {
        look: ai7.tool({
          inputSchema: ai7.jsonSchema({ type: "object" }),
          execute: async () => RESULT,
        }),
      },
    });
    assert.deepEqual(
      sent.map((body) => JSON.stringify(body).split("outlay breaker").length - 1),
      [0, 0, 0, 1],
    );
  });
});
