/** What does TypeScript make of what the core finds out: plans, logs, audits, bounds, waste? */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import OpenAI from "openai";
import * as outlay from "outlay";
import {
  configure,
  importLogs,
  kinds,
  ledger,
  margin,
  meterReport,
  openTask,
  plan,
  slo,
  task,
  tax,
  waste,
} from "outlay";

import { Provider, PYTHON } from "./provider.js";
import { sqlite } from "./stores.js";

const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 };
const STEP = { name: "refund", usd: 1, success: 0.9 };
const folder = mkdtempSync(join(tmpdir(), "outlay-findings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const near = (value: number | null | undefined, wanted: number) =>
  assert.ok(value != null && Math.abs(value - wanted) < 1e-9, `${value} is not ${wanted}`);

test("a plan is the same from a file and from an object", async () => {
  const file = join(folder, "flow.toml");
  writeFileSync(file, "tasks = 10\nretries = 1\nstep = [{ name = 'refund', usd = 1, success = 0.9 }]");
  const told = await plan({ tasks: 10, retries: 1, step: [STEP], resume_cost: null });
  assert.equal(String(told), String(await plan(file)));
  const [restart] = told.rows;
  assert.deepEqual([restart?.policy, restart?.usdInterval], ["restart", null]);
  near(restart?.usd, 1.1);
  near(restart?.success, 0.99);
  near(restart?.usdPerSuccess, 1.1 / 0.99);
  assert.deepEqual(restart?.usdQuantiles, [1, 2, 2]);
  assert.deepEqual([told.tasks, told.idealUsd, told.runSuccess], [10, 1, 0.9]);
});

test("what has no formula has an interval, and checkpoints a point from which they pay", async () => {
  const checkpoint = (await plan({ step: [{ ...STEP, fan_out: 3, need: 2 }], seed: 7 })).rows[1];
  const [low, high] = checkpoint?.usdInterval ?? [0, 0];
  assert.ok(checkpoint && low < checkpoint.usd && checkpoint.usd < high);
  const flow = { step: [STEP], failed_run_cost: "full" };
  assert.equal((await plan(flow)).checkpointGainUsd, null);
  const even = await plan({ ...flow, resume_cost: 0.3, checkpoint_cost: 0.05 });
  near(even.checkpointGainUsd, 1 / 0.9 - 1.05 - 0.3 / 9);
  near(even.checkpointFailureRate, 0.05 / 0.75);
});

test("what cannot be planned is refused", async () => {
  await assert.rejects(plan({ step: [STEP], speed: 3 }), outlay.InvalidInput);
  const unknown = { name: "s", model: "nobody-knows-it", input_tokens: 1 };
  await assert.rejects(plan({ step: [unknown] }), outlay.Unpriced);
  await assert.rejects(plan(join(folder, "no.toml")), { code: "ENOENT" });
  const loop: Record<string, unknown> = {};
  loop.step = loop;
  for (const wrong of [undefined, null, 3, [], loop]) {
    await assert.rejects(plan(wrong as object), outlay.InvalidInput, String(wrong));
  }
});

test("logs come in once, with their last usage", async () => {
  const logs = join(folder, "logs");
  const line = (id: string, output_tokens: number) => {
    const message = { id, model: "claude-sonnet-4-5", usage: { input_tokens: 1000, output_tokens } };
    const timestamp = "2026-03-01T10:00:00.000Z";
    return JSON.stringify({ type: "assistant", sessionId: "s1", cwd: "/home/ann/shop", timestamp, message });
  };
  mkdirSync(logs);
  writeFileSync(join(logs, "s1.jsonl"), [line("m1", 1), line("m1", 100), line("m2", 7), "{"].join("\n"));
  const store = sqlite();
  const imported = await importLogs("claude-code", logs, { store });
  assert.deepEqual([imported.calls, imported.lines, imported.files], [2, 4, 1]);
  assert.deepEqual([imported.repeatedLines, imported.malformedLines], [1, 1]);
  assert.equal(imported.spent.usd, "0.007605");
  assert.ok(imported.firstMalformed[0]?.startsWith(`${join(logs, "s1.jsonl")}:4: `));
  const again = await importLogs("claude-code", join(logs, "s1.jsonl"), { store });
  assert.deepEqual([again.calls, again.knownCalls, again.spent.nanos], [0, 2, 0n]);
  const { rows } = await outlay.report("tag:project", { store });
  assert.deepEqual(
    rows.map(({ key, calls }) => [key, calls]),
    [["shop", 2]],
  );
  await assert.rejects(importLogs("codex", join(folder, "none"), { store }), outlay.NotFound);
  await assert.rejects(importLogs("claude-code", logs, { store: "memory:past" }), outlay.Unsupported);
  await assert.rejects(importLogs("diary" as "csv", logs, { store }), outlay.InvalidInput);
});

test("an audit finds what was changed, and a checkpoint is of one ledger and one key", async () => {
  const store = sqlite();
  const pem = { type: "pkcs8", format: "pem" } as const;
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url").toString("hex");
  await task("t", { usd: 1, tags: { tenant: "acme" }, store }, async (t) => {
    await (await t.reserve(CALL)).settle({ inputTokens: 1000, outputTokens: 500 });
    await (await t.reserve(CALL)).doubt();
  });
  const held = await ledger(store);
  const checkpoint = await held.checkpoint(privateKey.export(pem) as string);
  const sound = await held.audit({ checkpoint, key });
  assert.ok(sound.isSound && sound.problems.length === 0 && sound.entries > 0);
  assert.equal(sound.checkpointEntries, sound.entries);
  assert.equal((await held.audit()).checkpointEntries, null);

  await assert.rejects(held.audit({ checkpoint, key: "00".repeat(32) }), outlay.Conflict);
  const edited = checkpoint.replace('"entries":', '"entries": ');
  await assert.rejects(held.audit({ checkpoint: edited }), outlay.Corrupt);
  await assert.rejects(held.checkpoint("no key"), outlay.InvalidInput);
  await assert.rejects((await ledger("memory:audit")).audit(), outlay.Unsupported);

  const copy = join(folder, "copy.db");
  const file = store.replace("sqlite:", "");
  const change = `
import sqlite3, shutil, sys
with sqlite3.connect(sys.argv[1]) as db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
shutil.copy(sys.argv[1], sys.argv[2])
with sqlite3.connect(sys.argv[2]) as db: db.execute("UPDATE entries SET usd = usd + 1 WHERE seq = 4")`;
  execFileSync(PYTHON, ["-c", change, file, copy]);
  const found = await (await ledger(`sqlite:${copy}`)).audit({ checkpoint });
  const [first] = found.problems;
  assert.deepEqual([found.isSound, first?.place, first?.number], [false, "entry", 4]);
  assert.ok(String(found).includes(String(first)));
});

test("halts and open requests are listed", async () => {
  const store = sqlite();
  const t = await openTask("t", { usd: 0.01, onLimit: "ask", store });
  await assert.rejects(t.reserve(CALL), outlay.ApprovalRequired);
  const held = await ledger(store);
  const [ask] = await held.approvals();
  assert.deepEqual([ask?.task, ask?.budget, ask?.unit, ask?.needed], ["t", "task `t`", "usd", "0.0325"]);
  await outlay.approve(ask?.id ?? "", { add: "0.5", by: "maria", store });
  assert.deepEqual(await held.approvals(), []);
  await outlay.halt("tenant=acme", { by: "maria", reason: "wrong prompt", store });
  assert.deepEqual(await held.halts(), [{ scope: "tenant=acme", by: "maria", reason: "wrong prompt" }]);
  await outlay.unhalt("tenant=acme", { by: "maria", store });
  assert.deepEqual(await held.halts(), []);
  await t[Symbol.asyncDispose]();
});

test("the report on bounds shows how far counts were from the truth", async () => {
  const provider = await Provider.start();
  const store = sqlite();
  outlay.instrument(OpenAI);
  try {
    const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
    const messages = [{ role: "user" as const, content: "May I have my money back?" }];
    await task("t", { usd: 1, store }, () =>
      client.chat.completions.create({ model: "gpt-4o", messages, max_completion_tokens: 50 }),
    );
  } finally {
    outlay.uninstrument();
    await provider.stop();
  }
  const report = await meterReport({ store });
  assert.equal(report.rows.length, 1);
  const [row] = report.rows;
  assert.ok(row !== undefined && String(report).includes("gpt-4o"));
  assert.deepEqual(
    [row.provider, row.model, row.hasTools, row.method, row.calls, row.overruns, report.droppedEntries],
    ["openai", "gpt-4o", false, "exact", 1, 0, 0],
  );
  for (const quantile of [0, 1, 500, 1000, 5000]) {
    assert.deepEqual([row.truthOverCount(quantile), row.boundOverTruth(quantile)], [1000, 1000]);
  }
  assert.throws(() => row.boundOverTruth(-1), outlay.InvalidInput);
  await assert.rejects(meterReport({ since: "tomorrow", store }), outlay.InvalidInput);
});

test("waste and tax say what failed attempts cost", async () => {
  const store = sqlite();
  const once = (fails: boolean) =>
    task("refund", { usd: 1, id: "r-1", store }, async (t) => {
      await (await t.reserve(CALL)).settle({ inputTokens: 1000, outputTokens: 500 }); // 0.0075 USD
      if (fails) t.fail();
    });
  await once(true);
  await once(false);
  const wasted = await waste({ store });
  assert.deepEqual([wasted.wastedUsd, wasted.settledUsd, wasted.since], ["0.0075", "0.015", null]);
  const [kind] = wasted.kinds.filter(({ usd }) => usd !== "0.00");
  assert.deepEqual([kind?.redoneUsd, kind?.calls], ["0.0075", 1]);
  assert.deepEqual([kind?.items[0]?.task, kind?.items[0]?.attempt], ["r-1", 1]);
  const { rows, totals } = await tax({ store, since: "7d" });
  assert.deepEqual(
    [totals.runs, totals.succeeded, totals.lostUsd, totals.taxPerMille],
    [2, 1, "0.0075", 1000],
  );
  assert.deepEqual(
    rows.map(({ task, deepest }) => [task, deepest]),
    [["refund", 2]],
  );
  await assert.rejects(waste({ since: "--by", store }), outlay.InvalidInput);
  await assert.rejects(tax({ span: "7d" } as object), outlay.InvalidInput);
});

test("what runs cost is held against what they may, and against what was earned", async () => {
  const store = sqlite();
  for (const tenant of ["acme", "umbrella"]) {
    await task("refund", { kind: "extractive", tags: { tenant }, store }, async (t) => {
      await (await t.reserve(CALL)).settle({ inputTokens: 1000, outputTokens: 500 }); // 0.0075 USD
    });
  }
  const { rows, models, totals, notes } = await kinds({ store });
  assert.deepEqual(
    [...rows, ...models].map((row) => [row.kind, row.model, row.runs, row.usdPerSuccess, row.usdP95]),
    [
      ["extractive", null, 2, "0.0075", "0.0075"],
      ["extractive", "gpt-4o", 2, "0.0075", "0.0075"],
    ],
  );
  assert.deepEqual(
    [totals.spentUsd, totals.isFew, totals.computeUsd, notes.length],
    ["0.015", true, null, 1],
  );
  const slos = { extractive: { target: 0.005, month: "0.02" } };
  configure({ slo: slos, orchestrationUsdPerEntry: "0.000025" });
  assert.deepEqual(
    (await slo({ store })).rows.map((row) => [row.what, row.overUsd, row.isMet]),
    [
      ["target", "0.0025", false],
      ["month", "-0.005", true],
    ],
  );
  assert.equal((await kinds({ store })).totals.orchestrationUsd, "0.0001");
  configure({ slo: {} });
  const left = await margin("tag:tenant", { acme: "0.01" }, { store });
  assert.deepEqual(
    left.rows.map((row) => [row.key, row.marginUsd, row.marginPerMille]),
    [
      ["acme", "0.0025", 250],
      ["umbrella", null, null],
    ],
  );
  assert.equal(left.unearnedUsd, "0.0075");
  await assert.rejects(margin("tag:tenant", { acme: "much" }, { store }), outlay.InvalidInput);
});
