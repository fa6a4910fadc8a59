/** Frameworks that ask through the guarded clients: their refusals reach the task, and spend nothing. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { ChatOpenAI } from "@langchain/openai";
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
} from "@openai/agents";
import { createAgent } from "langchain";
import OpenAI from "openai";
import { BudgetExceeded, instrument } from "outlay";

import { agrees, recorded, within } from "./clients.js";
import { Provider } from "./provider.js";

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  instrument();
  setTracingDisabled(true);
});
beforeEach(() => provider.reset());
after(() => provider.stop());

const ways: [string, () => Promise<unknown>][] = [
  ["@openai/agents, chat completions", () => run(agent(OpenAIChatCompletionsModel), "hello")],
  ["@openai/agents, responses", () => run(agent(OpenAIResponsesModel), "hello")],
  ["langchain", () => chain().invoke({ messages: [{ role: "user", content: "hello" }] })],
];

function agent(Model: typeof OpenAIChatCompletionsModel | typeof OpenAIResponsesModel) {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
  // The agents' own copy of the package has types of its own.
  return new Agent({ name: "support", model: new Model(client as never, "gpt-4o") });
}

function chain() {
  const configuration = { baseURL: provider.openaiUrl };
  return createAgent({ model: new ChatOpenAI({ model: "gpt-4o", apiKey: "any", configuration }), tools: [] });
}

for (const [name, ask] of ways) {
  test(`${name}: is charged what the provider bills`, () =>
    within({}, async (t) => {
      await ask();
      assert.equal((await agrees(t, provider)).served, 1);
    }));

  test(`${name}: what does not fit is not sent, and ends the run at once`, () => {
    let verdict: string | undefined;
    const refused = within({ usd: 0.00001 }, async (t) => {
      try {
        await ask();
      } finally {
        verdict = t.stopped?.code;
        assert.equal((await recorded(t, provider)).count, 0);
      }
    });
    return assert.rejects(refused, BudgetExceeded).then(() => assert.equal(verdict, "budget_exceeded"));
  });
}
