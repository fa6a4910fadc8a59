/** What do the hooks of `ai` and @openai/agents do for a run that goes in circles, or whose budget ends? */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import * as openai7 from "@ai-sdk/openai";
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import * as ai7 from "ai";
import * as ai6 from "ai6";
import OpenAI from "openai";
import * as openai6 from "openai6";
import {
  ApprovalRequired,
  BudgetExceeded,
  InvalidInput,
  instrument,
  Limit,
  StoreUnavailable,
  uninstrument,
} from "outlay";
import { outlayMiddleware } from "outlay/ai";
import { guardedModel, outlayModels } from "outlay/openai-agents";
import { z } from "zod";

import { within } from "./clients.js";
import { Provider } from "./provider.js";
import { climbs, last, messagesOf, noting, RESULT } from "./sent.js";

// biome-ignore lint/suspicious/noExplicitAny: requests of several APIs, by two generations of a package.
type Any = any;

const DONE = { text: "I do not know." };

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  setTracingDisabled(true);
});
beforeEach(() => provider.reset());
after(() => provider.stop());

const looked = (query: string) => ({ tool_calls: [{ name: "look", arguments: JSON.stringify({ query }) }] });
const looks = (count: number) => [...Array(count).keys()].map((number) => looked(String(number)));

interface Asked {
  /** Gets the bodies of the requests that were sent. */
  sent?: Any[];
  tellBudget?: boolean | number[];
  /** The conversation; a question by default. */
  messages?: Any[];
  /** Gets the calls of the tool that were made. */
  called?: string[];
  /** What the tool answers; always the same by default. */
  answer?: (query: string) => string;
}

interface Hook {
  name: string;
  isGuarded?: boolean;
  /** Asks until the model calls no tool any more; the text of its answer. */
  run(asked?: Asked): Promise<string>;
}

const QUESTION = [{ role: "user", content: "how is the weather?" }];

function looking({
  called = [],
  answer = () => RESULT,
}: Asked): (input: { query: string }) => Promise<string> {
  return async ({ query }) => {
    called.push(query);
    return answer(query);
  };
}

function aiHook(ai: Any, sdk: Any, version: "v3" | "v4", api: "chat" | "responses", streams: boolean): Hook {
  const run = async (asked: Asked = {}) => {
    const { sent = [], tellBudget = false, messages = QUESTION } = asked;
    const own = sdk.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any", fetch: noting(sent) });
    const request = {
      model: ai.wrapLanguageModel({
        model: own[api]("gpt-4o"),
        middleware: outlayMiddleware({ version, tellBudget }),
      }),
      messages,
      tools: {
        look: ai.tool({
          description: "Looks something up.",
          inputSchema: ai.jsonSchema({ type: "object", properties: { query: { type: "string" } } }),
          execute: looking(asked),
        }),
      },
      stopWhen: ai.stepCountIs(50),
      maxOutputTokens: 50,
      maxRetries: 0,
      onError: () => undefined,
    };
    if (!streams) return (await ai.generateText(request)).text;
    let text = "";
    for await (const part of ai.streamText(request).fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "text-delta") text += part.text ?? part.delta ?? "";
    }
    return text;
  };
  return { name: `ai ${version === "v4" ? 7 : 6}, ${api}${streams ? ", streams" : ""}`, run };
}

function agentsHook(useResponses: boolean, streams: boolean, isGuarded: boolean): Hook {
  const run = async (asked: Asked = {}) => {
    const { sent = [], tellBudget = false, messages = QUESTION } = asked;
    const options = { baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0, fetch: noting(sent) };
    const models = new OpenAIProvider({ openAIClient: new OpenAI(options) as never, useResponses });
    const runner = new Runner({ modelProvider: outlayModels(models, { tellBudget }) });
    const look = tool({
      name: "look",
      description: "Looks something up.",
      parameters: z.object({ query: z.string() }),
      execute: looking(asked),
    });
    const agent = new Agent({
      name: "support",
      model: "gpt-4o",
      modelSettings: { maxTokens: 50 },
      tools: [look],
    });
    if (!streams) return String((await runner.run(agent, messages, { maxTurns: 50 })).finalOutput);
    const result = await runner.run(agent, messages, { maxTurns: 50, stream: true });
    for await (const _ of result);
    await result.completed;
    return String(result.finalOutput);
  };
  const name = `@openai/agents, ${useResponses ? "responses" : "chat"}${streams ? ", streams" : ""}`;
  return { name: `${name}${isGuarded ? ", over a guarded client" : ""}`, isGuarded, run };
}

const HOOKS: Hook[] = [
  aiHook(ai7, openai7, "v4", "chat", false),
  aiHook(ai7, openai7, "v4", "chat", true),
  aiHook(ai7, openai7, "v4", "responses", false),
  aiHook(ai6, openai6, "v3", "chat", false),
  aiHook(ai6, openai6, "v3", "responses", true),
  agentsHook(false, false, false),
  agentsHook(false, true, false),
  agentsHook(true, false, false),
  agentsHook(true, true, true),
  agentsHook(false, false, true),
];

/** What was said of the budget, by the number of the request; nowhere but in its last message. */
function lines(sent: Any[]): Map<number, string> {
  const told = new Map<number, string>();
  for (const [number, body] of sent.entries()) {
    const messages = messagesOf(body);
    const places = messages.flatMap((one, at) => (JSON.stringify(one).includes("[Budget: ") ? [at] : []));
    if (places.length === 0) continue;
    assert.deepEqual([places, messages.at(-1).role], [[messages.length - 1], "user"]);
    told.set(number, last(body));
  }
  return told;
}

for (const { name, isGuarded, run } of HOOKS) {
  describe(name, () => {
    if (isGuarded) {
      before(() => instrument());
      after(() => uninstrument());
    }

    test("a run in circles is told, refused, and comes to an end", () =>
      within({ breaker: true }, async (t) => {
        await provider.reset(DONE, Array(6).fill(looked("rain")));
        const sent: Any[] = [];
        assert.equal(await run({ sent }), DONE.text);
        assert.equal(t.stopped, null);
        climbs(sent, "look");
        const bill = await provider.bill();
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
      }));

    test("a pause is thrown before the request, and again until it is excused", () =>
      within({ breaker: true }, async (t) => {
        await provider.reset(looked("rain"));
        const sent: Any[] = [];
        const paused = (error: unknown) => ApprovalRequired.isInstance(error);
        await assert.rejects(run({ sent }), paused);
        assert.equal(sent.length, 8);
        await assert.rejects(run({ sent }), paused);
        assert.equal(sent.length, 8);
        t.excuse();
        await assert.rejects(run({ sent }), paused);
        assert.ok(sent.length > 8);
      }));

    test("a run that only observes is told nothing", () =>
      within({ breaker: true, enforce: false }, async () => {
        await provider.reset(DONE, Array(14).fill(looked("rain")));
        const sent: Any[] = [];
        assert.equal(await run({ sent }), DONE.text);
        assert.ok(!sent.some((body) => last(body).includes("outlay breaker")));
      }));

    test("a run that spends more than its kind needs is told once", async () => {
      const store = `memory:doomed-${name.replace(/\W+/g, "-")}`;
      const sent: Any[] = [];
      const answer = (query: string) => `${query}: it rains`;
      await provider.reset({ tokens: 40 });
      await within({ kind: "weather", store }, () => run({ sent }));
      await provider.reset(DONE, looks(12));
      const breaker = { doomed: { pause: null } };
      await within({ kind: "weather", store, breaker }, async (t) => {
        assert.equal(await run({ sent, answer }), DONE.text);
        assert.equal(t.stopped, null);
      });
      const told = sent.map((body) => last(body).includes("this run has spent"));
      assert.equal(told.filter(Boolean).length, 1);
      assert.ok(!told.slice(0, 2).includes(true), "of what was not spent yet");
    });

    test("what it holds is the model it sends, whatever the task may fall back to", async () => {
      const usd = [new Limit(1), new Limit("0.00001", { soft: true })];
      await within({ usd, fallback: ["gpt-4o-mini"] }, async (t) => {
        for (let asked = 0; asked < 3; asked++) await run();
        const bill = await provider.bill();
        assert.equal(bill.served, 3);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
        const models = new Set(bill.entries.map(({ model }) => model));
        assert.deepEqual([...models], isGuarded ? ["gpt-4o-mini"] : ["gpt-4o"]);
      });
    });

    test("answers by its last call once a limit is met", () =>
      within({ llmCalls: 4, wrapUpUsd: 0.1, onLimit: "finish" }, async (t) => {
        await provider.reset(DONE, looks(3));
        const sent: Any[] = [];
        assert.equal(await run({ sent }), DONE.text);
        const told = lines(sent);
        assert.deepEqual([...told.keys()], [3]);
        assert.match(told.get(3) ?? "", /kept for the last call\. It is spent: answer now/);
        assert.deepEqual(
          sent.map(({ tool_choice }) => tool_choice),
          [sent[0].tool_choice, sent[0].tool_choice, sent[0].tool_choice, "none"],
        );
        assert.notEqual(sent[0].tool_choice, "none");
        const bill = await provider.bill();
        assert.deepEqual([bill.served, (await t.summary()).totals.calls], [4, 4]);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
        await assert.rejects(run(), /last call/);
      }));

    test("answers by its last call where a call of a tool does not fit", () =>
      within({ toolCalls: 2, wrapUpUsd: 0.1, onLimit: "finish" }, async (t) => {
        await provider.reset(DONE, looks(3));
        const called: string[] = [];
        const sent: Any[] = [];
        assert.equal(await run({ called, sent }), DONE.text);
        assert.deepEqual(called, ["0", "1"]);
        assert.deepEqual([...lines(sent).keys()], [3]);
        const bill = await provider.bill();
        const { totals } = await t.summary();
        assert.deepEqual([bill.served, totals.calls, totals.toolCalls], [4, 4, 2]);
        assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
      }));

    test("a refused last call is none: the next turn asks as ever", () =>
      within({ llmCalls: new Limit(1, { window: "turn" }), wrapUpUsd: 0.1, onLimit: "finish" }, async () => {
        const messages: Any[] = [{ role: "user", content: "rain?" }];
        await provider.reset(DONE, [looked("rain")]);
        await assert.rejects(run({ messages }), (error: BudgetExceeded) => error.window === "turn");
        messages.push({ role: "user", content: "and now?" });
        const sent: Any[] = [];
        await provider.reset(DONE, []);
        assert.equal(await run({ messages, sent }), DONE.text);
        assert.deepEqual([...lines(sent).keys()], []);
      }));

    test("goes on where the ledger cannot say what is left", () =>
      within({ llmCalls: 2, wrapUpUsd: 0.1, onLimit: "finish" }, async (t) => {
        const gone = () => Promise.reject(new StoreUnavailable("gone"));
        Object.assign(t, { status: gone });
        await provider.reset(DONE, looks(1));
        const sent: Any[] = [];
        assert.equal(await run({ sent, tellBudget: [1] }), DONE.text);
        const told = lines(sent);
        assert.deepEqual([...told.keys()], [1]);
        assert.match(told.get(1) ?? "", /\[Budget: It is spent: answer now/);
      }));

    test("without that the limit is thrown", async () => {
      await provider.reset(looked("rain"));
      await assert.rejects(
        within({ llmCalls: 3, wrapUpUsd: 0.1 }, () => run()),
        BudgetExceeded,
      );
    });

    test("is told what is left at the end of one request for each share", () =>
      within({ llmCalls: 10, usd: 100 }, async () => {
        await provider.reset(DONE, looks(9));
        const sent: Any[] = [];
        await run({ sent, tellBudget: true, answer: (query) => `${query}: it rains` });
        const told = lines(sent);
        assert.deepEqual([...told.keys()], [3, 5, 8, 9]);
        assert.match(told.get(3) ?? "", /3 of 10 llm calls used, 7 left/);
        for (const [number, body] of sent.entries()) {
          if (number === 0) continue;
          const before = messagesOf(sent[number - 1]).slice(0, told.has(number - 1) ? -1 : undefined);
          assert.deepEqual(messagesOf(body).slice(0, before.length), before, "what was cached stays good");
        }
      }));

    test("a turn is what its user said", async () => {
      for (const [limits, made] of [
        [{ llmCalls: new Limit(2, { window: "turn" }) }, 2 + 2 + 2],
        [{ toolCalls: new Limit(2, { window: "turn" }) }, 1 + 1 + 2],
      ] as const) {
        const [unit] = Object.keys(limits) as ["llmCalls" | "toolCalls"];
        const refused = within(limits, async (t) => {
          const messages: Any[] = [];
          // The same words twice are two turns.
          for (const content of ["rain?", "rain?"]) {
            await provider.reset(DONE, [looked("rain")]);
            messages.push({ role: "user", content });
            const said = await run({ messages });
            messages.push({ role: "assistant", content: [{ type: "text", text: said }] });
            if (name.startsWith("@openai")) messages.splice(-1, 1, answerOf(said));
          }
          await provider.reset(looked("rain"));
          messages.push({ role: "user", content: "and now?" });
          await run({ messages }).finally(async () => assert.equal((await t.used())[unit], made));
        });
        await assert.rejects(refused, (error: BudgetExceeded) => error.window === "turn");
      }
    });
  });
}

test("of an agent inside a tool of another, where no hook sees tools, the inner one takes the last call", async () => {
  const [hook] = HOOKS;
  const task = { llmCalls: 3, wrapUpUsd: 0.1, onLimit: "finish" } as const;
  const said: string[] = [];
  const refused = within(task, async () => {
    const own = openai7.createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
    await provider.reset(DONE, looks(2));
    await ai7.generateText({
      model: ai7.wrapLanguageModel({ model: own.chat("gpt-4o"), middleware: outlayMiddleware() }),
      prompt: "how is the weather?",
      maxRetries: 0,
      stopWhen: ai7.stepCountIs(9),
      tools: {
        look: ai7.tool({
          inputSchema: ai7.jsonSchema({ type: "object" }),
          execute: async () => said.push((await hook?.run()) ?? ""),
        }),
      },
    });
  });
  await assert.rejects(refused, (error: BudgetExceeded) => error.unit === "last_call");
  assert.deepEqual(said, [DONE.text]);
});

function answerOf(text: string) {
  return {
    type: "message",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text }],
  };
}

test("what is no share of a budget is refused", () => {
  for (const tellBudget of [[0], [101], ["half"], "yes"] as Any[]) {
    assert.throws(() => outlayMiddleware({ tellBudget }), InvalidInput);
    assert.throws(() => outlayModels(undefined, { tellBudget }), InvalidInput);
    assert.throws(() => guardedModel({} as Any, "gpt-4o", { tellBudget }), InvalidInput);
  }
});
