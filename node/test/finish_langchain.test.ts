/** Does a LangChain agent that meets a limit answer by its last call, and is it told what is left before? */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { ChatAnthropic } from "@langchain/anthropic";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, createMiddleware, tool } from "langchain";
import { BudgetExceeded, InvalidInput, instrument, type Task, type TaskOptions, task } from "outlay";
import { outlayMiddleware } from "outlay/langchain";
import { z } from "zod";

import { within } from "./clients.js";
import { Provider } from "./provider.js";

// biome-ignore lint/suspicious/noExplicitAny: agents have types by their tools and middleware.
type Any = any;

const ASKED = { messages: [{ role: "user", content: "how is the weather?" }] };
const DONE = { text: "I could not find out." };
const MUCH = { recursionLimit: 100 };

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  instrument();
});
beforeEach(() => provider.reset());
after(() => provider.stop());

const looked = (query: string, name = "look") => ({
  tool_calls: [{ name, arguments: JSON.stringify({ query }) }],
});
const looks = (count: number) => [...Array(count).keys()].map((number) => looked(String(number)));

const query = z.object({ query: z.string() });
const look = tool(async ({ query }: { query: string }) => `${query}: it rains`, {
  name: "look",
  description: "Looks something up.",
  schema: query,
});

const chat = (): Any =>
  new ChatOpenAI({
    model: "gpt-4o",
    apiKey: "any",
    maxTokens: 50,
    maxRetries: 0,
    configuration: { baseURL: provider.openaiUrl },
  });
const claude = (): Any =>
  new ChatAnthropic({
    model: "claude-sonnet-4-5",
    apiKey: "any",
    maxTokens: 50,
    maxRetries: 0,
    anthropicApiUrl: provider.anthropicUrl,
  });

/** An agent, and the requests that went on to its model. */
function agentOf(tools: Any[], hooks: Any[] = [outlayMiddleware()], model = chat(), name?: string) {
  const sent: Any[] = [];
  const keeping = createMiddleware({
    name: "keeping",
    wrapModelCall: (request, handler) => {
      sent.push(request);
      return handler(request);
    },
  });
  const agent: Any = createAgent({
    model,
    tools,
    middleware: [...hooks, keeping],
    ...(name && { name }),
  } as Any);
  return { agent, sent };
}

const ending = <T>(options: TaskOptions, fn: (t: Task) => Promise<T>) =>
  within({ wrapUpUsd: 0.1, onLimit: "finish", ...options }, fn);

/** What is said of the budget, by the number of the request; nowhere but in its last message. */
function lines(sent: Any[]): Map<number, string> {
  const told = new Map<number, string>();
  for (const [number, { messages }] of sent.entries()) {
    for (const [place, message] of messages.entries()) {
      if (!message.text.startsWith("[Budget: ") || message.getType() === "tool") continue;
      assert.deepEqual([place, message.getType()], [messages.length - 1, "human"]);
      told.set(number, message.text);
    }
  }
  return told;
}

for (const [name, model, hooks] of [
  ["chat", chat, () => [outlayMiddleware()]],
  ["claude", claude, () => [outlayMiddleware()]],
  ["stacked hooks", chat, () => [outlayMiddleware(), outlayMiddleware({ name: "again" })]],
] as const) {
  test(`${name}: an agent answers by its last call`, () =>
    ending({ llmCalls: 4 }, async (t) => {
      await provider.reset(DONE, looks(3));
      const { agent, sent } = agentOf([look], hooks(), model());
      const { messages } = await agent.invoke(ASKED, MUCH);
      assert.equal(messages.at(-1).text, DONE.text);
      assert.ok(!messages.some(({ text }: Any) => text.includes("[Budget")), "it is not kept");
      // The refused request of the fourth call went no further than the guard, or the client below it.
      const told = lines(sent);
      assert.deepEqual([...told.keys()], [sent.length - 1]);
      assert.match([...told.values()][0] ?? "", /kept for the last call\. It is spent: answer now/);
      assert.deepEqual([sent.at(-1).toolChoice, sent.at(-1).tools.length], ["none", 1]);
      assert.equal(sent.at(-2).toolChoice, undefined);
      const bill = await provider.bill();
      assert.deepEqual([bill.served, (await t.summary()).totals.calls], [4, 4]);
      assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
      await assert.rejects(agent.invoke(ASKED), /last call/);
    }));
}

test("a refused call of a tool leads to the last answer", () =>
  ending({ toolCalls: 2 }, async (t) => {
    await provider.reset(DONE, looks(3));
    const { agent, sent } = agentOf([look]);
    const { messages } = await agent.invoke(ASKED, MUCH);
    const answers = messages.filter((one: Any) => one.getType() === "tool").map(({ text }: Any) => text);
    assert.deepEqual(answers.slice(0, 2), ["0: it rains", "1: it rains"]);
    assert.match(answers[2], /^\[Budget: task `t` allows 2 tool calls: 2 spent.*This call was not made\.\]$/);
    assert.equal(messages.at(-1).text, DONE.text);
    assert.deepEqual(
      sent.map(({ toolChoice }) => toolChoice),
      [undefined, undefined, undefined, "none"],
    );
    assert.equal((await t.summary()).totals.toolCalls, 2);
  }));

/** A tool that works under a task of its own. */
function worker(calls: number, options: TaskOptions = {}) {
  let runs = 0;
  const work = tool(
    async () => {
      runs += 1;
      await task("inner", options, async (inner) => {
        for (let made = 0; made < calls; made++) {
          const call = await inner.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
          await call.settle({ inputTokens: 1000, outputTokens: 4000 });
        }
      });
      return "done";
    },
    { name: "work", description: "Works on it.", schema: query },
  );
  return { work, runs: () => runs };
}

test("a limit of the agent that is met inside a tool leads to the last answer", () =>
  ending({ llmCalls: 3 }, async () => {
    const { work, runs } = worker(2);
    await provider.reset(DONE, [looked("rain?", "work")]);
    const { agent, sent } = agentOf([work]);
    const { messages } = await agent.invoke(ASKED, MUCH);
    assert.equal(runs(), 1);
    assert.match(messages[2].text, /^\[Budget: task `t` allows 3 llm calls.*This call was cut short\.\]$/);
    assert.equal(messages.at(-1).text, DONE.text);
    assert.deepEqual(
      sent.map(({ toolChoice }) => toolChoice),
      [undefined, "none"],
    );
  }));

test("a limit that only a task inside a tool has is thrown", () =>
  ending({}, async () => {
    const { work } = worker(1, { usd: 0.01 });
    await provider.reset(DONE, [looked("rain?", "work"), ...looks(1)]);
    const { agent, sent } = agentOf([work, look]);
    await assert.rejects(agent.invoke(ASKED, MUCH), /task `inner` allows/);
    const { messages } = await agent.invoke(ASKED, MUCH);
    assert.equal(messages.length, 4);
    assert.ok(sent.every(({ toolChoice }) => toolChoice === undefined));
  }));

test("the outer of two agents answers", () =>
  ending({ llmCalls: 4 }, async (t) => {
    const expert = agentOf([look], [outlayMiddleware()], chat(), "expert").agent;
    const askExpert = tool(
      async ({ query: content }: { query: string }) => {
        const { messages } = await expert.invoke({ messages: [{ role: "user", content }] }, MUCH);
        return messages.at(-1).text;
      },
      { name: "ask_expert", description: "Asks an expert.", schema: query },
    );
    await provider.reset(DONE, [looked("rain?", "ask_expert"), ...looks(2)]);
    const { agent } = agentOf([askExpert], [outlayMiddleware()], chat(), "boss");
    const { messages } = await agent.invoke(ASKED, MUCH);
    assert.match(messages[2].text, /^\[Budget: task `t` allows 4 llm calls/);
    assert.equal(messages.at(-1).text, DONE.text);
    assert.equal((await t.summary()).totals.calls, 4);
  }));

test("without it the limit is thrown", async () => {
  await provider.reset(looked("rain"));
  const refused = within({ llmCalls: 3, wrapUpUsd: 0.1 }, () => agentOf([look]).agent.invoke(ASKED, MUCH));
  await assert.rejects(refused, BudgetExceeded);
});

describe("an agent is told what is left", () => {
  /** The requests of an agent that makes so many calls. */
  const run = async (hooks: Any[], calls: number, options: TaskOptions = {}) => {
    await provider.reset({ text: "Rainy." }, looks(calls - 1));
    const { agent, sent } = agentOf([look], hooks);
    const { messages }: Any = await within(options, () => agent.invoke(ASKED, MUCH));
    assert.ok(!messages.some(({ text }: Any) => text.includes("[Budget")), "it is not kept");
    return sent;
  };

  test("at the end of one request for each share", async () => {
    const sent = await run([outlayMiddleware({ tellBudget: true })], 10, { llmCalls: 10, usd: 100 });
    const told = lines(sent);
    // Before the fourth call 3 of 10 are used: each share once, at the first request after it.
    assert.deepEqual([...told.keys()], [3, 5, 8, 9]);
    assert.match(told.get(3) ?? "", /3 of 10 llm calls used, 7 left/);
    for (const [number, { messages }] of sent.entries()) {
      if (number === 0) continue;
      const before = sent[number - 1].messages.slice(0, told.has(number - 1) ? -1 : undefined);
      assert.deepEqual(messages.slice(0, before.length), before, "what was cached stays good");
    }
  });

  test("at shares of one's own, and never without a limit or the option", async () => {
    const chosen = await run([outlayMiddleware({ tellBudget: [40] })], 5, { llmCalls: 5, usd: 100 });
    assert.deepEqual([...lines(chosen).keys()], [2]);
    assert.equal(lines(await run([outlayMiddleware()], 5, { llmCalls: 5 })).size, 0);
    for (const wrong of [[0], [101], ["half"], "yes"]) {
      assert.throws(() => outlayMiddleware({ tellBudget: wrong as Any }), InvalidInput);
    }
  });

  test("once by stacked hooks, and the breaker hears no user", async () => {
    const hooks = ["outlay", "again"].map((name) => outlayMiddleware({ name, tellBudget: true }));
    await provider.reset({ text: "Rainy." }, Array(3).fill(looked("weather")));
    const { agent, sent } = agentOf([look], hooks);
    const { messages }: Any = await within({ llmCalls: 4, breaker: true }, () => agent.invoke(ASKED, MUCH));
    assert.deepEqual([...lines(sent).keys()], [1, 2, 3]);
    const said = messages.filter((one: Any) => one.getType() === "tool").map(({ text }: Any) => text);
    // Had what it was told counted as a user's word, three equal calls would be none.
    assert.equal(said[0], said[1]);
    assert.notEqual(said[1], said[2]);
  });
});
