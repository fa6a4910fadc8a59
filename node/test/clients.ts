/** How can one test call the endpoints of the real clients? */

import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { type Task, type TaskOptions, task } from "outlay";

import type { Bill, Provider } from "./provider.js";

export interface Endpoint {
  name: string;
  /** Asks the model; the text of the answer. */
  ask(more?: Ask): Promise<string>;
  /** Asks for a stream of texts. */
  stream(more?: Ask): Promise<AsyncIterable<string>>;
}

export interface Ask {
  model?: string;
  max?: number | null;
  body?: object;
  signal?: AbortSignal;
}

const messages = [{ role: "user" as const, content: "hello world" }];

export function endpoints(provider: Provider, options: { maxRetries?: number; timeout?: number } = {}) {
  const common = { apiKey: "any", maxRetries: 0, ...options };
  const openai = new OpenAI({ baseURL: provider.openaiUrl, ...common });
  const anthropic = new Anthropic({ baseURL: provider.anthropicUrl, ...common });
  const chat = ({ model = "gpt-4o", max = 100, body }: Ask) => ({
    model,
    messages,
    ...(max !== null && { max_tokens: max }),
    ...body,
  });
  const responses = ({ model = "gpt-4o", max = 100, body }: Ask) => ({
    model,
    input: "hello world",
    ...(max !== null && { max_output_tokens: max }),
    ...body,
  });
  const claude = ({ model = "claude-opus-4-7", max = 100, body }: Ask) => ({
    model,
    messages,
    max_tokens: max ?? 100,
    ...body,
  });
  const to = ({ signal }: Ask) => (signal ? { signal } : {});
  const all: Endpoint[] = [
    {
      name: "chat",
      async ask(more = {}) {
        const answer = await openai.chat.completions.create(chat(more), to(more));
        return answer.choices[0]?.message.content ?? "";
      },
      async stream(more = {}) {
        const stream = await openai.chat.completions.create({ ...chat(more), stream: true }, to(more));
        return map(stream, (chunk) => chunk.choices[0]?.delta.content ?? "");
      },
    },
    {
      name: "responses",
      async ask(more = {}) {
        return (await openai.responses.create(responses(more), to(more))).output_text;
      },
      async stream(more = {}) {
        const stream = await openai.responses.create({ ...responses(more), stream: true }, to(more));
        return map(stream, (event) => (event.type === "response.output_text.delta" ? event.delta : ""));
      },
    },
    {
      name: "messages",
      async ask(more = {}) {
        const [block] = (await anthropic.messages.create(claude(more), to(more))).content;
        return block?.type === "text" ? block.text : "";
      },
      async stream(more = {}) {
        const stream = await anthropic.messages.create({ ...claude(more), stream: true }, to(more));
        return map(stream, (event) =>
          event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : "",
        );
      },
    },
  ];
  return { all, openai, anthropic };
}

async function* map<T>(source: AsyncIterable<T>, text: (event: T) => string): AsyncIterable<string> {
  for await (const event of source) yield text(event);
}

let number = 0;

/** Runs `fn` under a task on a ledger of its own. */
export function within<T>(options: TaskOptions, fn: (t: Task) => Promise<T>): Promise<T> {
  return task("t", { usd: 1, store: `memory:clients-${++number}`, ...options }, fn);
}

/** Everything has ended, and every request was recorded once. */
export async function recorded(t: Task, provider: Provider): Promise<Bill> {
  const bill = await provider.bill();
  for (let tries = 0; (await t.pending()).nanos > 0n && tries < 200; tries++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  const { totals } = await t.summary();
  assert.equal((await t.pending()).nanos, 0n, "something is still held");
  assert.equal(totals.calls + totals.voidedCalls, bill.count, "calls recorded, requests seen");
  return bill;
}

/** The same, and the two bills are equal. */
export async function agrees(t: Task, provider: Provider): Promise<Bill> {
  const bill = await recorded(t, provider);
  assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
  return bill;
}

/** The same, and no more was billed than spent. */
export async function covers(t: Task, provider: Provider): Promise<Bill> {
  const bill = await recorded(t, provider);
  assert.ok((await t.spent()).nanos >= BigInt(bill.cost_nanos), "more was billed than spent");
  return bill;
}
