/** LangChain agents under `outlayMiddleware`: each of their calls is recorded once, whoever holds its money. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { ChatAnthropic } from "@langchain/anthropic";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessage, type BaseMessage, HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, createMiddleware, modelRetryMiddleware, tool } from "langchain";
import OpenAI from "openai";
import { BudgetExceeded, budget, call, instrument, Limit, report, Unsupported, uninstrument } from "outlay";
import { outlayMiddleware } from "outlay/langchain";
import { z } from "zod";

import { agrees, covers, within } from "./clients.js";
import { type Bill, Provider } from "./provider.js";

// biome-ignore lint/suspicious/noExplicitAny: agents have types by their tools and middleware.
type Any = any;

const ASKED = { messages: [{ role: "user", content: "hello world" }] };
const SEARCH = { tool_calls: [{ name: "search", arguments: '{"query":"weather"}' }] };

let provider: Provider;
before(async () => {
  provider = await Provider.start();
});
beforeEach(async () => {
  await provider.reset();
  instrument();
});
after(() => provider.stop());

/** A chat model with an HTTP client of its own, which nobody guards. */
class OwnHttp extends BaseChatModel {
  maxTokens: number | undefined = 100;
  tellsUsage = true;

  constructor(more: Partial<OwnHttp> = {}) {
    super({ maxRetries: 0 });
    Object.assign(this, more);
  }

  override _llmType() {
    return "own-http";
  }

  override getLsParams(): Any {
    return { ls_model_name: "gpt-4o" };
  }

  override bindTools() {
    return this as Any;
  }

  override async _generate(messages: BaseMessage[], options: Any) {
    const response = await fetch(`${provider.openaiUrl}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "gpt-4o", messages: plain(messages), max_tokens: this.maxTokens }),
      signal: options.signal,
    });
    const { usage, choices } = (await response.json()) as Any;
    const told = {
      input_tokens: usage.prompt_tokens,
      output_tokens: usage.completion_tokens,
      total_tokens: usage.total_tokens,
      input_token_details: { cache_read: usage.prompt_tokens_details.cached_tokens },
    };
    const content = choices[0].message.content;
    const fields = { content, ...(this.tellsUsage && { usage_metadata: told }) };
    const message = new AIMessage(fields as Any);
    return { generations: [{ text: content, message }] };
  }
}

/** A chat model of somebody's own over the openai package, which is guarded. */
class OverClient extends OwnHttp {
  override async _generate(messages: BaseMessage[]) {
    const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
    const body = { model: "gpt-4o", messages: plain(messages) as Any, max_tokens: 90 };
    const content = (await client.chat.completions.create(body)).choices[0]?.message.content ?? "";
    return { generations: [{ text: content, message: new AIMessage(content) }] };
  }
}

function plain(messages: BaseMessage[]) {
  return messages.map(({ text }) => ({ role: "user", content: text }));
}

const openai = (more: object = {}) =>
  new ChatOpenAI({
    model: "gpt-4o",
    apiKey: "any",
    maxTokens: 100,
    maxRetries: 0,
    configuration: { baseURL: provider.openaiUrl },
    ...more,
  });

const anthropic = (more: object = {}): Any =>
  new ChatAnthropic({
    model: "claude-opus-4-7",
    maxTokens: 100,
    apiKey: "any",
    anthropicApiUrl: provider.anthropicUrl,
    maxRetries: 0,
    ...more,
  });

const CLIENTS: [string, () => Any][] = [
  ["chat", () => openai()],
  ["responses", () => openai({ useResponsesApi: true })],
  ["anthropic", () => anthropic()],
];
const ALL: [string, () => Any][] = [
  ...CLIENTS,
  ["a client of its own", () => new OwnHttp()],
  ["a model of one's own over the client", () => new OverClient()],
];

const search = tool(async ({ query }: { query: string }) => `nothing about ${query}`, {
  name: "search",
  description: "Searches.",
  schema: z.object({ query: z.string() }),
});

function agentOf(model: Any, options: { tools?: Any[]; middleware?: Any[]; name?: string } = {}): Any {
  const { tools = [], middleware = [], name } = options;
  const hooks = [...middleware, outlayMiddleware()];
  return createAgent({ model, tools, middleware: hooks, ...(name && { name }) } as Any);
}

for (const [name, make] of ALL) {
  describe(name, () => {
    test("calls recorded are requests the provider saw", () =>
      within({}, async (t) => {
        const agent = agentOf(make());
        for (let run = 0; run < 3; run++) await agent.invoke(ASKED);
        const bill = await provider.bill();
        assert.deepEqual([bill.served, (await t.summary()).totals.calls], [3, 3]);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
        assert.equal((await t.pending()).nanos, 0n);
      }));

    test("stacked hooks record a call once", () =>
      within({}, async (t) => {
        const again = [outlayMiddleware({ name: "another" })];
        await agentOf(make(), { middleware: again }).invoke(ASKED);
        const bill = await provider.bill();
        assert.deepEqual([bill.served, (await t.summary()).totals.calls], [1, 1]);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
      }));

    test("what does not fit is not sent, and ends the task", async () => {
      const refused = within({ usd: 0.0001 }, async (t) => {
        try {
          await agentOf(make()).invoke(ASKED);
        } finally {
          assert.ok(BudgetExceeded.isInstance(t.stopped));
          assert.equal((await t.summary()).totals.calls, 0);
        }
      });
      await assert.rejects(refused, BudgetExceeded);
      assert.equal((await provider.bill()).count, 0);
    });

    test("a swallowed refusal sends nothing", () =>
      within({ usd: 0.0001 }, async (t) => {
        const swallowing = createMiddleware({
          name: "swallowing",
          wrapModelCall: async (request, handler) => {
            for (let tries = 0; tries < 3; tries++) {
              try {
                return await handler(request);
              } catch {}
            }
            return new AIMessage("Sorry.");
          },
        });
        const { messages } = await agentOf(make(), { middleware: [swallowing] }).invoke(ASKED);
        assert.equal(messages.at(-1).text, "Sorry.");
        assert.throws(() => t.raiseIfStopped(), BudgetExceeded);
        assert.equal((await provider.bill()).count, 0);
      }));

    test("each attempt of a hook that repeats is recorded", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 20 }, [{ status: 500 }, { status: 503 }]);
        const again = modelRetryMiddleware({ maxRetries: 3, initialDelayMs: 1, backoffFactor: 0 });
        await agentOf(make(), { middleware: [again] }).invoke(ASKED);
        const bill = await provider.bill();
        assert.deepEqual([bill.count, bill.served], [3, 1]);
        assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos));
        assert.equal((await t.pending()).nanos, 0n);
      }));

    test("an aborted run is charged no less than the provider bills", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 90, latency_ms: 200 });
        const signal = AbortSignal.timeout(60);
        await assert.rejects(agentOf(make()).invoke(ASKED, { signal }));
        const bill = await settledBill(t);
        assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos));
      }));
  });
}

async function settledBill(t: Any): Promise<Bill> {
  const bill = await provider.bill();
  for (let tries = 0; (await t.pending()).nanos > 0n && tries < 200; tries++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  assert.equal((await t.pending()).nanos, 0n, "something is still held");
  return bill;
}

for (const [name, make] of CLIENTS) {
  test(`${name}: tools are counted, each step a call`, () =>
    within({ toolCalls: 5 }, async (t) => {
      await provider.reset({ tokens: 20 }, [SEARCH, SEARCH]);
      const again = [outlayMiddleware({ name: "another" })];
      await agentOf(make(), { tools: [search], middleware: again }).invoke(ASKED);
      const bill = await provider.bill();
      const { totals } = await t.summary();
      assert.deepEqual([bill.served, totals.calls, totals.toolCalls], [3, 3, 2]);
      assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
    }));

  test(`${name}: streams of an agent are metered`, () =>
    within({}, async (t) => {
      const agent = agentOf(make());
      await agent.invoke(ASKED);
      for (const streamMode of ["messages", "updates", "values"]) {
        for await (const _ of await agent.stream(ASKED, { streamMode }));
      }
      const bill = await provider.bill();
      assert.deepEqual([bill.served, (await t.summary()).totals.calls], [4, 4]);
      assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
    }));

  test(`${name}: a stream is cut when its reservation is used up`, () =>
    within({}, async (t) => {
      await provider.reset({ fill: true, chunk_tokens: 5, chunk_ms: 2 });
      const agent = agentOf(make());
      const cut = call({ maxUsd: 0.0005 }, async () => {
        for await (const _ of await agent.stream(ASKED, { streamMode: "messages" }));
      });
      await assert.rejects(cut);
      assert.ok(BudgetExceeded.isInstance(t.stopped));
      assert.equal((await provider.bill()).partial, 1);
      assert.equal((await t.spent()).usd, "0.0005");
    }));

  test(`${name}: a stream that is left is covered`, () =>
    within({}, async (t) => {
      await provider.reset({ fill: true, chunk_ms: 3, chunk_tokens: 2 });
      for await (const _ of await make().stream("hello")) break;
      await covers(t, provider);
    }));
}

test("a tool that does not fit stops the agent", async () => {
  await provider.reset(SEARCH);
  const refused = within({ toolCalls: 3 }, async (t) => {
    try {
      await agentOf(openai(), { tools: [search] }).invoke(ASKED);
    } finally {
      assert.equal((await t.summary()).totals.toolCalls, 3);
      assert.equal((await provider.bill()).served, 4);
    }
  });
  await assert.rejects(refused, (error: BudgetExceeded) => error.unit === "tool_calls");
});

for (const [unit, made] of [
  ["llmCalls", 2 + 2 + 2],
  ["toolCalls", 1 + 1 + 2],
] as const) {
  test(`a turn of an agent is what its user said, for ${unit}`, async () => {
    const twice = new Limit(2, { window: "turn" });
    const refused = within({ [unit]: twice }, async (t) => {
      const agent = agentOf(openai(), { tools: [search] });
      let messages: BaseMessage[] = [];
      for (const id of ["1", "2"]) {
        await provider.control({ queue: [SEARCH] });
        const asked = [...messages, new HumanMessage({ content: "rain?", id })];
        messages = (await agent.invoke({ messages: asked })).messages;
      }
      await provider.control({ default: SEARCH });
      const asked = [...messages, new HumanMessage({ content: "and now?", id: "3" })];
      await agent.invoke({ messages: asked }).finally(async () => {
        assert.equal((await t.used())[unit], made);
      });
    });
    await assert.rejects(refused, (error: BudgetExceeded) => error.window === "turn");
  });
}

test("a call the middleware holds the money of is of the turn, too", async () => {
  const refused = within({ llmCalls: new Limit(1, { window: "turn" }) }, async (t) => {
    const agent = agentOf(new OwnHttp());
    const asked = (id: string) => agent.invoke({ messages: [new HumanMessage({ content: "rain?", id })] });
    await asked("1");
    await asked("2");
    await asked("2").finally(async () => assert.equal((await t.used()).llmCalls, 2));
  });
  await assert.rejects(refused, (error: BudgetExceeded) => error.window === "turn");
});

test("what an agent with a name does is its own, and ends with its task", async () => {
  const store = "memory:agents";
  await budget({ tags: { agent: "support" }, usd: 0.002, store });
  await within({ store }, async (t) => {
    const agent = agentOf(openai(), { name: "support" });
    await agent.invoke(ASKED);
    const often = async () => {
      for (let run = 0; run < 100; run++) await agent.invoke(ASKED);
    };
    await assert.rejects(often());
    assert.ok(BudgetExceeded.isInstance(t.stopped));
    await agentOf(openai(), { name: "sales" }).invoke(ASKED);
    assert.equal((await t.spent()).nanos, BigInt((await provider.bill()).cost_nanos));
  });
  const rows = (await report("agent", { store })).rows.map(({ key }) => key);
  assert.deepEqual(rows.sort(), ["sales", "support"]);
});

test("an agent that goes in circles is told, refused and stopped", async () => {
  await provider.reset(SEARCH);
  const said: string[] = [];
  const hearing = createMiddleware({
    name: "hearing",
    wrapToolCall: async (request, handler) => {
      const answer = await handler(request);
      said.push((answer as Any).text);
      return answer;
    },
  });
  const stopped = within({ breaker: true }, async (t) => {
    try {
      const agent = agentOf(openai(), { tools: [search], middleware: [hearing] });
      await agent.invoke(ASKED, { recursionLimit: 200 });
    } finally {
      const { totals } = await t.summary();
      assert.ok(totals.toolCalls < said.length, "a refused call of a tool was made");
    }
  });
  await assert.rejects(stopped, { code: "approval_required" });
  assert.match(said[2] ?? "", /same result/);
});

describe("what the middleware holds itself", () => {
  test("is refused without a maximum, under a limit", () =>
    within({}, async (t) => {
      const agent = agentOf(new OwnHttp({ maxTokens: undefined }));
      await assert.rejects(agent.invoke(ASKED), ({ cause }) => Unsupported.isInstance(cause));
      await call({ maxUsd: "0.05" }, () => agent.invoke(ASKED));
      assert.equal((await agrees(t, provider)).served, 1);
    }));

  test("costs its reservation where no usage is told", () =>
    within({}, async (t) => {
      await agentOf(new OwnHttp({ tellsUsage: false })).invoke(ASKED);
      await covers(t, provider);
      assert.equal((await t.summary()).totals.estimatedCalls, 1);
    }));

  for (const [name, make] of CLIENTS) {
    test(`is what a client nobody guards sends: ${name}`, () =>
      within({}, async (t) => {
        const agent = agentOf(make());
        await agent.invoke(ASKED);
        uninstrument();
        await agent.invoke(ASKED);
        const bill = await provider.bill();
        assert.deepEqual([bill.served, (await t.summary()).totals.calls], [2, 2]);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
      }));
  }

  test("a class that asks in its own way is not taken for its base", () =>
    within({}, async (t) => {
      class Patched extends ChatOpenAI {
        override async _generate(messages: BaseMessage[], options: Any) {
          return (await new OwnHttp()._generate(messages, options)) as Any;
        }
        override withConfig(): Any {
          return this;
        }
      }
      await agentOf(new Patched({ model: "gpt-4o", apiKey: "any", maxTokens: 100 })).invoke(ASKED);
      assert.equal((await agrees(t, provider)).served, 1);
    }));
});
