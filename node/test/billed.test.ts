/** Is every request of the installed clients either metered, known to be free, or refused? */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";

import type * as Billed from "../dist/integrations/billed.js";

const { Bill } = require(join(__dirname, "../../dist/integrations/billed.js")) as typeof Billed;

/** The paths a package's resources post to, with `id` for what is filled in. */
function posts(name: string): Set<string> {
  const folder = dirname(createRequire(__filename).resolve(`${name}/client.js`));
  const call = /\.(?:post|put|patch)\(\s*(?:\(0, \w+\.path\)\s*)?['"`](\/[^'"`?]*)/g;
  const found = new Set<string>();
  for (const file of readdirSync(folder, { recursive: true }) as string[]) {
    if (!/^(resources|lib)\/.*\.js$/.test(file.replaceAll("\\", "/"))) continue;
    for (const [, path] of readFileSync(join(folder, file), "utf8").matchAll(call)) {
      found.add((path ?? "").replace(/\$\{[^}]*\}/g, "id"));
    }
  }
  return found;
}

const CLASSES: [string, string, number, number][] = [
  ["openai", "openai", 4, 20],
  ["anthropic", "@anthropic-ai/sdk", 1, 10],
];

for (const [provider, name, metered, atLeast] of CLASSES) {
  test(`what ${name} really posts falls into each class`, () => {
    const bill = new Bill(provider);
    const classes = new Map<string | null, string[]>();
    for (const path of posts(name)) {
      const api = bill.api("post", path);
      classes.set(api, [...(classes.get(api) ?? []), path]);
    }
    const free = classes.get(null) ?? [];
    const refused = classes.get("") ?? [];
    assert.equal(classes.size - 2, metered, JSON.stringify([...classes.keys()]));
    assert.ok(free.length >= atLeast, free.join("\n"));
    assert.ok(refused.length >= atLeast, refused.join("\n"));
  });
}

test("paths are known whatever stands before and behind them", () => {
  const openai = new Bill("openai");
  const cases: [string, string, string | null][] = [
    ["post", "/openai/deployments/d/chat/completions?api-version=1", "openai.chat"],
    ["POST", "https://openrouter.ai/api/v1/chat/completions", "openai.chat"],
    ["post", "/chat/completions/chatcmpl-1", null],
    ["post", "/a_method_added_tomorrow", ""],
    ["post", "/threads/runs", ""],
    ["post", "/threads/t_1", null],
    ["delete", "/batches", null],
    ["get", "/batches", null],
  ];
  for (const [method, path, api] of cases) assert.equal(openai.api(method, path), api, path);
  assert.equal(
    new Bill("anthropic").api("post", "https://api.anthropic.com/v1/messages?beta=true"),
    "anthropic.messages",
  );
});
