/** Does `outlay/testing` start the provider, steer it, and read its books? */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import OpenAI from "openai";
import { InvalidInput, Unsupported } from "outlay";
import { Provider } from "outlay/testing";

import { PYTHON } from "./provider.js";

const MESSAGES = [{ role: "user" as const, content: "May I have my money back?" }];

test("it says what is scripted, and keeps a bill", async () => {
  await using provider = await Provider.start({ python: PYTHON, default: { tokens: 20 } });
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
  const ask = async () => {
    const answer = await client.chat.completions.create({ model: "gpt-4o", messages: MESSAGES });
    return answer.choices[0]?.message;
  };
  await provider.script({ status: 429, retryAfterS: 0.01 }, { text: "Hi" });
  assert.equal((await ask())?.content, "Hi");
  await ask();
  const bill = await provider.bill();
  assert.deepEqual(
    bill.entries.map(({ status, outcome, maxTokens }) => [status, outcome, maxTokens]),
    [
      [429, "refused", null],
      [200, "served", null],
      [200, "served", null],
    ],
  );
  assert.deepEqual([bill.count, bill.open, bill.served, bill.refused], [3, 0, 2, 1]);
  assert.equal(bill.entries[2]?.usage.outputTokens, 20);
  // 2.50 and 10 USD a million tokens.
  assert.equal(bill.costNanos, bill.usage.inputTokens * 2_500 + bill.usage.outputTokens * 10_000);

  await provider.default({ toolCalls: [{ name: "search", arguments: "{}" }] });
  const called = (await ask())?.tool_calls?.[0];
  assert.equal(called?.type === "function" && called.function.name, "search");
  await provider.mix(7, [1, { text: "mixed" }]);
  assert.equal((await ask())?.content, "mixed");
  await provider.reset();
  assert.deepEqual(await provider.requests(), []);
  await assert.rejects(provider.script({ status: 99 }), InvalidInput);
  await assert.rejects(provider.default({ speed: 1 } as object), InvalidInput);
});

test("it has prices of a test's own", async () => {
  const prices = { "house-7b": { input: 1, output: "2.5" } };
  await using provider = await Provider.start({ python: PYTHON, default: { tokens: 10 }, prices });
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
  await client.chat.completions.create({ model: "house-7b", messages: MESSAGES });
  const { usage, costNanos } = await provider.bill();
  assert.equal(costNanos, usage.inputTokens * 1_000 + 10 * 2_500);
});

test("a provider that cannot start says why", async () => {
  const start = (python: string) => Provider.start({ python });
  await assert.rejects(start("/nowhere/python"), (error: unknown) => {
    return Unsupported.isInstance(error) && /ENOENT.*outlay\[testing\]/.test(error.message);
  });
  await assert.rejects(start(process.execPath), Unsupported);
  await assert.rejects(Provider.start({ python: PYTHON, default: { status: 99 } }), InvalidInput);
});

test("it keeps no program running", () => {
  const script = `import { Provider } from ${JSON.stringify(join(__dirname, "../../dist/testing.mjs"))};
    const provider = await Provider.start({ python: ${JSON.stringify(PYTHON)} });
    console.log((await provider.bill()).count);`;
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(said, "0\n");
});
