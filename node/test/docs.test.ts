/** Do the examples in the docs of the package and in its README run, and say what they say they do? */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { Agent, Runner, setTracingDisabled } from "@openai/agents";
import { generateText, wrapLanguageModel } from "ai";
import { createAgent } from "langchain";
import OpenAI from "openai";
import * as outlay from "outlay";
import * as hook from "outlay/ai";
import { guardFetch } from "outlay/fetch";
import * as langchain from "outlay/langchain";
import { outlayModels } from "outlay/openai-agents";
import * as testing from "outlay/testing";

import { Provider, PYTHON } from "./provider.js";
import "./stores.js";

const root = join(__dirname, "../..");
const folders = ["src", "src/integrations"];
const sources = folders.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)),
);

/** Each example with where it stands. */
function* examples(): Iterable<[string, string]> {
  for (const name of sources) {
    const text = readFileSync(join(root, name), "utf8");
    for (const [, code = ""] of text.matchAll(/@example\n([\s\S]*?)\n *\*\//g)) {
      yield [name, code.replace(/^ *\* ?/gm, "")];
    }
  }
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const [, code = ""] of readme.matchAll(/```ts\n([\s\S]*?)```/g)) yield ["README.md", code];
}

const folder = mkdtempSync(join(tmpdir(), "outlay-docs-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let provider: Provider;
before(async () => {
  provider = await Provider.start();
  process.env.OPENAI_BASE_URL = provider.openaiUrl;
  process.env.OPENAI_API_KEY = "any";
  process.env.OUTLAY_PYTHON = PYTHON;
  setTracingDisabled(true);
  outlay.instrument();
});
after(() => provider.stop());

let number = 0;
for (const [name, code] of examples()) {
  test(`example ${++number}, of ${name}`, async () => {
    const client = new OpenAI();
    const openai = createOpenAI({ baseURL: provider.openaiUrl });
    const isLangChain = /langchain/.test(name + code);
    const said: unknown[] = [];
    const known = {
      ...outlay,
      Anthropic,
      OpenAI,
      Provider: testing.Provider,
      Runner,
      agent: isLangChain ? undefined : new Agent({ name: "support", model: "gpt-4o" }),
      client,
      createAgent,
      folder: mkdtempSync(join(folder, "example-")),
      join,
      writeFile,
      console: { log: (...texts: unknown[]) => said.push(texts.join(" ")) },
      first: await client.responses.create({ model: "gpt-4o", input: "hello" }),
      generateText,
      guardFetch,
      model: wrapLanguageModel({ model: openai("gpt-4o"), middleware: hook.outlayMiddleware() }),
      openai,
      outlayModels,
      outlayMiddleware: (isLangChain ? langchain : hook).outlayMiddleware,
      tools: [],
      wrapLanguageModel,
      t: await outlay.openTask("docs", { usd: 1, store: "memory:docs" }),
      same: (value: unknown, wanted: unknown) => assert.deepEqual(value, wanted),
    };
    await runIn(known, code);
    const wanted = [...code.matchAll(/console\.log\(.*\/\/ (.*USD)$/gm)].map(([, text]) => text);
    assert.deepEqual(said.slice(0, wanted.length), wanted);
  });
}

/** Runs the code of an example; a value beside an expression is compared with it. */
function runIn(names: object, code: string): Promise<unknown> {
  const plain = code
    .replace(/^import .*;.*$/gm, "")
    .replace(/ as const;/g, ";")
    .replace(/^(?!const|await|console| )(.*); \/\/ (["[{\d].*|true|false)$/gm, "same($1, $2);");
  // Sloppy code, in which `with` gives the names.
  const run = new Function("names", `with (names) { return (async () => {${plain}\n})() }`);
  return run(names) as Promise<unknown>;
}
