/** How can one test ask through the hooks of the frameworks? */

import { createOpenAI } from "@ai-sdk/openai";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, OpenAIProvider, Runner } from "@openai/agents";
import { generateText, streamText, wrapLanguageModel } from "ai";
import { createAgent } from "langchain";
import OpenAI from "openai";
import { outlayMiddleware } from "outlay/ai";
import { outlayMiddleware as forLangChain } from "outlay/langchain";
import { outlayModels } from "outlay/openai-agents";

import type { Provider } from "./provider.js";

export interface Hook {
  name: string;
  /** Asks the model once, read to its end. */
  ask(): Promise<void>;
}

export function hooks(provider: Provider, model: string, max: number): Hook[] {
  const baseURL = provider.openaiUrl;
  const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
  const asked = {
    model: wrapLanguageModel({
      model: createOpenAI({ baseURL, apiKey: "any" }).chat(model),
      middleware: outlayMiddleware(),
    }),
    prompt: "hello world",
    maxOutputTokens: max,
    maxRetries: 0,
  };
  const chain = createAgent({
    model: new ChatOpenAI({
      model,
      apiKey: "any",
      maxTokens: max,
      maxRetries: 0,
      configuration: { baseURL },
    }),
    tools: [],
    middleware: [forLangChain()],
  });
  const models = new OpenAIProvider({ openAIClient: client as never, useResponses: false });
  const runner = new Runner({ modelProvider: outlayModels(models) });
  const agent = new Agent({ name: "support", model, modelSettings: { maxTokens: max } });
  return [
    {
      name: "ai",
      async ask() {
        await generateText(asked);
      },
    },
    {
      name: "ai, streams",
      async ask() {
        for await (const part of streamText({ ...asked, onError: () => undefined }).fullStream) {
          if (part.type === "error") throw part.error;
        }
      },
    },
    {
      name: "langchain",
      async ask() {
        await chain.invoke({ messages: [{ role: "user", content: "hello world" }] });
      },
    },
    {
      name: "@openai/agents",
      async ask() {
        await runner.run(agent, "hello world");
      },
    },
    {
      name: "@openai/agents, streams",
      async ask() {
        const result = await runner.run(agent, "hello world", { stream: true });
        for await (const _ of result);
        await result.completed;
      },
    },
  ];
}
