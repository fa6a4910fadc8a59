/** The net over the global `fetch`: what goes past every guarded client. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, wrapLanguageModel } from "ai";
import OpenAI from "openai";
import { BudgetExceeded, configure, InvalidInput, instrument, Unsupported, uninstrument } from "outlay";
import { outlayMiddleware } from "outlay/ai";
import { guardFetch } from "outlay/fetch";

import { agrees, covers, within } from "./clients.js";
import { Provider } from "./provider.js";

let provider: Provider;
let undo = () => {};
before(async () => {
  // What the tests tell the provider passes the net under no task.
  configure({ store: "memory:fetch" });
  provider = await Provider.start();
});
beforeEach(async () => {
  await provider.reset();
  undo = guardFetch({ hosts: { [new URL(provider.url).host]: "openai" } });
});
afterEach(() => {
  undo();
  uninstrument();
});
after(() => provider.stop());

const asked = (more: object = {}) => ({
  model: "gpt-4o",
  messages: [{ role: "user" as const, content: "hello world" }],
  max_tokens: 100,
  ...more,
});
const post = (body: object, init: RequestInit = {}) =>
  fetch(`${provider.openaiUrl}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": "1" },
    body: JSON.stringify(body),
    ...init,
  });

test("a plain request is charged what the provider bills, whole or streamed", () =>
  within({}, async (t) => {
    const answer = (await (await post(asked())).json()) as { choices: unknown[] };
    assert.equal(answer.choices.length, 1);
    assert.match(await (await post(asked({ stream: true }))).text(), /\[DONE\]/);
    const request = new Request(`${provider.openaiUrl}/chat/completions`, {
      method: "POST",
      body: JSON.stringify(asked()),
    });
    await (await fetch(request)).json();
    assert.equal((await agrees(t, provider)).served, 3);
  }));

test("what does not fit is not sent, and gets a maximum where it does", () =>
  within({ usd: 0.02 }, async (t) => {
    await assert.rejects(post(asked({ max_tokens: 16_000 })), BudgetExceeded);
    await (await post(asked({ max_tokens: undefined }))).json();
    const [entry] = (await agrees(t, provider)).entries;
    assert.ok(entry?.max_tokens && entry.max_tokens <= 2000);
  }));

test("a stream is left and aborted under its reservation", async () => {
  await provider.reset({ fill: true, chunk_tokens: 2, chunk_ms: 3 });
  await within({}, async (t) => {
    for await (const _ of (await post(asked({ stream: true }))).body ?? []) break;
    const signal = AbortSignal.timeout(100);
    const aborted = post(asked({ stream: true }), { signal }).then((response) => response.text());
    await assert.rejects(aborted);
    assert.equal((await covers(t, provider)).partial, 2);
  });
});

test("a body that is a stream is refused under a limit", () =>
  within({}, async (t) => {
    const body = new Blob([JSON.stringify(asked())]).stream();
    await assert.rejects(post(asked(), { body, duplex: "half" } as RequestInit), Unsupported);
    assert.equal((await covers(t, provider)).count, 0);
  }));

test("a client nobody guards repeats a refusal, sends nothing, and the task throws ours", async () => {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 2 });
  await within({}, async (t) => {
    await client.chat.completions.create(asked());
    assert.equal((await agrees(t, provider)).served, 1);
  });
  await provider.reset();
  const refused = within({ usd: 0.0001 }, () => client.chat.completions.create(asked()));
  await assert.rejects(refused, BudgetExceeded);
  assert.equal((await provider.bill()).count, 0);
});

test("a guarded client's requests are left to it", () =>
  within({}, async (t) => {
    instrument();
    const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
    await client.chat.completions.create(asked());
    for await (const _ of await client.chat.completions.create({ ...asked(), stream: true }));
    assert.equal((await agrees(t, provider)).served, 2);
  }));

test("a hook above gives back what it holds", () =>
  within({}, async (t) => {
    const openai = createOpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
    const model = wrapLanguageModel({ model: openai("gpt-4o"), middleware: outlayMiddleware() });
    await generateText({ model, prompt: "hello world", maxOutputTokens: 100, maxRetries: 0 });
    const bill = await provider.bill();
    assert.deepEqual([bill.served, (await t.summary()).totals.calls], [1, 1]);
    assert.equal((await t.spent()).nanos, BigInt(bill.cost_nanos));
  }));

test("other hosts, free requests and a net taken out are left alone", () =>
  within({}, async (t) => {
    await (await fetch(`${provider.openaiUrl}/models`)).text();
    undo();
    await (await post(asked(), { headers: {} })).json();
    assert.equal((await t.summary()).totals.calls, 0);
    assert.throws(() => guardFetch({ hosts: { "x.example": "other" as never } }), InvalidInput);
  }));
