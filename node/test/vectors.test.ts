/** The cases of `tests/vectors`, which Rust and Python read too: the same values, counts and verdicts. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { type Call, count, extractUsage, Limit, Money, OutlayError, price, type Task, task } from "outlay";

// biome-ignore lint/suspicious/noExplicitAny: cases are what they say.
type Any = any;

function cases(name: string): Any[] {
  const path = join(__dirname, "../../../tests/vectors", `${name}.json`);
  const found = JSON.parse(readFileSync(path, "utf8")) as Any[];
  assert.ok(found.length > 0);
  return found;
}

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
/** What is given in snake case, as TypeScript has it. */
const named = (given: object): Any =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [camel(name), value]));

/** What came of it, or nothing if it failed as the case says. */
async function unlessRefused<T>(given: Any, act: () => T | Promise<T>): Promise<T | undefined> {
  if (given.error === undefined) return act();
  let caught: unknown;
  try {
    await act();
  } catch (error) {
    caught = error;
  }
  assert.ok(OutlayError.isInstance(caught), `it did not fail: ${JSON.stringify(given)}`);
  assert.equal(caught.code, given.error);
  assert.equal(caught.message, given.message ?? caught.message);
  for (const [name, wanted] of Object.entries(given.fields ?? {})) {
    const value: Any = caught.fields[camel(name)];
    assert.equal(value instanceof Money ? value.usd : value, wanted, name);
  }
  return undefined;
}

for (const given of cases("money")) {
  test(`money: ${given.text}`, async () => {
    const money = await unlessRefused(given, () => new Money(given.text));
    if (money) assert.deepEqual([String(money.nanos), money.usd], [given.nanos, given.usd]);
  });
}

for (const given of cases("usage")) {
  test(`usage: ${given.provider} ${given.api}`, async () => {
    const { provider, api, body } = given;
    const used = await unlessRefused(given, () => extractUsage(body, { provider, api }));
    if (used === undefined) return;
    const { model, serviceTier, unknownFields, cost, ...counts } = used;
    assert.deepEqual(counts, named(given.usage));
    assert.deepEqual([model, serviceTier], [given.model ?? null, given.service_tier ?? null]);
    assert.deepEqual([cost?.usd, unknownFields], [given.cost, given.unknown_fields ?? []]);
  });
}

for (const given of cases("price")) {
  test(`price: ${given.model}`, async () => {
    const at = new Date(given.at_ms);
    const how = { at, ...(given.service_tier && { serviceTier: given.service_tier }) };
    const charge = await unlessRefused(given, () => price(given.model, named(given.usage), how));
    if (charge === undefined) return;
    const parts = [charge.total, charge.input, charge.output].map(({ nanos }) => String(nanos));
    assert.deepEqual(parts, [given.nanos, given.input_nanos, given.output_nanos]);
  });
}

for (const given of cases("count")) {
  test(`count: ${given.model}`, async () => {
    const { text, messages, tokens, bound, method } = given;
    const what = text === undefined ? { messages } : { text };
    const counted = await unlessRefused(given, () => count(given.model, what));
    if (counted) assert.deepEqual(counted, { tokens, bound, method });
  });
}

for (const given of cases("decisions")) {
  test(`decisions: ${given.name}`, () => {
    const limits = Object.entries(given.limits as Record<string, Any[]>).map(([unit, all]) => [
      camel(unit),
      all.map(({ amount, soft }) => new Limit(amount, { soft })),
    ]);
    const store = `memory:${given.name.replace(/\W/g, "-")}`;
    const how = { store, clamp: given.clamp === true, enforce: given.observe !== true };
    return task("t", { ...Object.fromEntries(limits), ...how }, async (t) => {
      const calls: Call[] = [];
      for (const step of given.steps) await follow(t, calls, step);
      const now = [(await t.spent()).usd, (await t.pending()).usd, (await t.available())?.usd ?? null];
      assert.deepEqual(now, [given.spent, given.pending, given.available]);
    });
  });
}

async function follow(t: Task, calls: Call[], step: Any): Promise<void> {
  const call = calls[step.settle ?? step.void ?? step.doubt] as Call;
  if (step.reserve !== undefined) {
    const made = await unlessRefused(step, () => t.reserve(named(step.reserve)));
    if (made === undefined) return;
    calls.push(made);
    assert.equal(made.reserved.usd, step.reserved ?? made.reserved.usd);
    assert.equal(made.maxOutputTokens, step.max_output_tokens ?? made.maxOutputTokens);
    assert.equal(made.overSoft, step.over_soft ?? made.overSoft);
    assert.equal(made.wouldDeny !== null, step.would_deny === true);
  } else if (step.settle !== undefined) {
    const settled = await unlessRefused(step, () => call.settle(named(step.usage)));
    if (settled === undefined) return;
    assert.equal(settled.charge.usd, step.charge ?? settled.charge.usd);
    assert.equal(settled.overrun.usd, step.overrun ?? settled.overrun.usd);
  } else if (step.tool_call !== undefined) await unlessRefused(step, () => t.toolCall(step.tool_call));
  else await unlessRefused(step, () => (step.void === undefined ? call.doubt() : call.void()));
}
