/**
 * Does the guard hold against a provider that is not of our making?
 *
 * The npm package @copilotkit/aimock serves what `tests/aimock/fixtures.json` scripts, usage included, and
 * keeps a journal of the requests it saw; Python asks it the same. `make test` installs it there.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, tool as agentTool, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents";
import { tool as aiTool, generateText, jsonSchema, stepCountIs, streamText, wrapLanguageModel } from "ai";
import { createAgent, tool } from "langchain";
import OpenAI from "openai";
import { BudgetExceeded, instrument, type Task } from "outlay";
import { outlayMiddleware } from "outlay/ai";
import { outlayMiddleware as forLangChain } from "outlay/langchain";
import { outlayModels } from "outlay/openai-agents";
import { z } from "zod";

import { within } from "./clients.js";

const folder = join(__dirname, "../../../tests/aimock");
const program = join(folder, "node_modules/.bin/llmock");
const skip = existsSync(program)
  ? false
  : "aimock is not installed: run `make test`, or `npm ci` in tests/aimock";

/** 1,001 tokens in and 37 out, at USD 2.50 and 10 per million, and at 5 and 25. */
const GPT_4O_NANOS = 1_001n * 2_500n + 37n * 10_000n;
const OPUS_4_7_NANOS = 1_001n * 5_000n + 37n * 25_000n;
/** Two steps: 200 in and 20 out, 300 in and 30 out. */
const LOOP_NANOS = 500n * 2_500n + 50n * 10_000n;

const messages = [{ role: "user" as const, content: "hello world" }];
const weather = "How is the weather?";

describe("aimock", { skip }, () => {
  let server: ChildProcess;
  let url = "";
  let gpt: OpenAI;
  let claude: Anthropic;

  before(async () => {
    const fixtures = join(folder, "fixtures.json");
    server = spawn(program, ["--port", "0", "--fixtures", fixtures, "--strict"]);
    let said = "";
    for await (const piece of server.stdout as NodeJS.ReadableStream) {
      said += piece;
      url = /listening on (http:\/\/\S+)/.exec(said)?.[1] ?? "";
      if (url !== "") break;
    }
    instrument();
    setTracingDisabled(true);
    gpt = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
    claude = new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0 });
  });
  beforeEach(() => fetch(`${url}/__aimock/reset/journal`, { method: "POST" }));
  after(() => server.kill());

  async function requests(): Promise<Record<string, unknown>[]> {
    const journal = (await (await fetch(`${url}/__aimock/journal`)).json()) as { body: object }[];
    return journal.map(({ body }) => body as Record<string, unknown>);
  }

  /** Every request was recorded once, and all of them cost so much. */
  async function recorded(t: Task, nanos: bigint): Promise<Record<string, unknown>[]> {
    const seen = await requests();
    const { totals } = await t.summary();
    // What a hook gave back to the client below it is no request.
    assert.ok(totals.calls <= seen.length && seen.length <= totals.calls + totals.voidedCalls);
    assert.equal(totals.estimatedCalls, 0);
    assert.deepEqual(
      [(await t.spent()).nanos, (await t.pending()).nanos, (await t.inDoubt()).nanos],
      [nanos, 0n, 0n],
    );
    return seen;
  }

  test("chat completions cost what is scripted", () =>
    within({}, async (t) => {
      const asked = { model: "gpt-4o", messages, max_tokens: 50 };
      const answer = await gpt.chat.completions.create(asked);
      let text = "";
      for await (const chunk of await gpt.chat.completions.create({ ...asked, stream: true })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      assert.deepEqual([answer.choices[0]?.message.content, text], ["Hello there.", "Hello there."]);
      const [, streamed] = await recorded(t, 2n * GPT_4O_NANOS);
      assert.deepEqual(streamed?.stream_options, { include_usage: true });
    }));

  test("a stream gets a maximum", () =>
    within({}, async (t) => {
      for await (const _ of await gpt.chat.completions.create({ model: "gpt-4o", messages, stream: true }));
      assert.equal((await recorded(t, GPT_4O_NANOS))[0]?.max_tokens, 4_096);
    }));

  test("responses cost what is scripted", () =>
    within({}, async (t) => {
      const asked = { model: "gpt-4o", input: "hello world", max_output_tokens: 50 };
      assert.equal((await gpt.responses.create(asked)).output_text, "Hello there.");
      for await (const _ of await gpt.responses.create({ ...asked, stream: true }));
      await recorded(t, 2n * GPT_4O_NANOS);
    }));

  test("messages cost what is scripted", () =>
    within({}, async (t) => {
      const asked = { model: "claude-opus-4-7", messages, max_tokens: 50 };
      assert.ok((await claude.messages.create(asked)).content.length > 0);
      assert.equal(await claude.messages.stream(asked).finalText(), "Hello there.");
      await recorded(t, 2n * OPUS_4_7_NANOS);
    }));

  test("a refusal sends nothing, and a refused request costs nothing", async () => {
    const tooMuch = [{ role: "user" as const, content: "too much" }];
    await within({}, async (t) => {
      const asked = { messages: tooMuch, max_tokens: 50 };
      await assert.rejects(gpt.chat.completions.create({ model: "gpt-4o", ...asked }), OpenAI.RateLimitError);
      await assert.rejects(
        claude.messages.create({ model: "claude-opus-4-7", ...asked }),
        Anthropic.RateLimitError,
      );
      assert.equal((await recorded(t, 0n)).length, 2);
    });
    const refused = within({ usd: 0.0001 }, () => gpt.chat.completions.create({ model: "gpt-4o", messages }));
    await assert.rejects(refused, BudgetExceeded);
    assert.equal((await requests()).length, 2);
  });

  test("a loop with a tool costs what is scripted", () =>
    within({ toolCalls: 1 }, async (t) => {
      const parameters = { type: "object", properties: { city: { type: "string" } } };
      const tools = [{ type: "function" as const, function: { name: "get_weather", parameters } }];
      const asked: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: weather }];
      const { choices } = await gpt.chat.completions.create({ model: "gpt-4o", tools, messages: asked });
      const said = choices[0]?.message;
      const [call] = said?.tool_calls ?? [];
      assert.ok(said && call);
      await t.toolCall("get_weather");
      asked.push(said, { role: "tool", tool_call_id: call.id, content: "rain" });
      const more = { model: "gpt-4o", tools, messages: asked, stream: true as const };
      for await (const _ of await gpt.chat.completions.create(more));
      await recorded(t, LOOP_NANOS);
    }));

  const schema = z.object({ city: z.string() });
  const rain = async ({ city }: { city: string }) => `rain in ${city}`;
  const about = { name: "get_weather", description: "Tells the weather." };
  const frameworks: [string, () => Promise<string>][] = [
    [
      "langchain",
      async () => {
        const configuration = { baseURL: `${url}/v1` };
        const model = new ChatOpenAI({ model: "gpt-4o", apiKey: "any", configuration });
        const agent = createAgent({
          model,
          tools: [tool(rain, { ...about, schema })],
          middleware: [forLangChain()],
        });
        const { messages: said } = await agent.invoke({ messages: [{ role: "user", content: weather }] });
        return String(said.at(-1)?.text);
      },
    ],
    [
      "@openai/agents",
      async () => {
        const models = new OpenAIProvider({ openAIClient: gpt as never, useResponses: false });
        const tools = [agentTool({ ...about, parameters: schema, execute: rain })];
        const agent = new Agent({ name: "support", model: "gpt-4o", tools });
        const runner = new Runner({ modelProvider: outlayModels(models) });
        return String((await runner.run(agent, weather)).finalOutput);
      },
    ],
    ...([generateText, streamText] as const).map((ask): [string, () => Promise<string>] => [
      `ai, ${ask.name}`,
      async () => {
        const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
        const model = wrapLanguageModel({ model: openai.chat("gpt-4o"), middleware: outlayMiddleware() });
        const inputSchema = jsonSchema<{ city: string }>({
          type: "object",
          properties: { city: { type: "string" } },
        });
        const get_weather = aiTool({ description: about.description, inputSchema, execute: rain });
        const asked = { model, prompt: weather, tools: { get_weather }, stopWhen: stepCountIs(3) };
        return (await ask(asked)).text;
      },
    ]),
  ];
  for (const [name, ask] of frameworks) {
    test(`an agent of ${name} costs what is scripted`, () =>
      within({ toolCalls: 5 }, async (t) => {
        assert.equal(await ask(), "It rains.");
        assert.equal((await recorded(t, LOOP_NANOS)).length, 2);
        const { totals } = await t.summary();
        assert.deepEqual([totals.calls, totals.toolCalls], [2, 1]);
      }));
  }
});
