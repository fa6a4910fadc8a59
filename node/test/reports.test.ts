/** Does TypeScript get what-ifs, forecasts, pages and files from the same ledger as the command line? */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import * as outlay from "outlay";
import { exportLedger, forecast, report, reportHtml, task, whatIf } from "outlay";

import { stores } from "./stores.js";

const folder = mkdtempSync(join(tmpdir(), "outlay-reports-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Two calls of 0.0075 USD, one by the agent `writer`. */
async function spend(store: string): Promise<void> {
  for (const tags of [{}, { agent: "writer" }]) {
    await task("refund", { tags, store }, async (t) => {
      const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
      await call.settle({ inputTokens: 1000, outputTokens: 500 });
    });
  }
}

for (const [kind, fresh] of stores) {
  test(`what was recorded is priced elsewhere, in ${kind}`, async () => {
    const store = fresh();
    await spend(store);
    const told = await whatIf("gpt-4o-mini", { since: "7d", store });
    assert.equal(told.model, "gpt-4o-mini");
    const { calls, recordedUsd, leastUsd, mostUsd, exact, leftOutCalls } = told.totals;
    assert.deepEqual([calls, recordedUsd, leastUsd, mostUsd], [2, "0.015", "0.0009", "0.0009"]);
    assert.deepEqual([exact, leftOutCalls, told.rows.length], [true, 0, 1]);
    assert.deepEqual([told.rows[0]?.task, told.rows[0]?.model], ["refund", "gpt-4o"]);
    const batch = await whatIf(null, { serviceTier: "batch", store });
    assert.deepEqual([batch.serviceTier, batch.totals.mostUsd], ["batch", "0.0075"]);
    await assert.rejects(whatIf(undefined, { store }), outlay.InvalidInput);
    await assert.rejects(whatIf("gpt-4o", { serviceTier: "sometime", store }), outlay.InvalidInput);
    await assert.rejects(whatIf("nobody-knows-it", { store }), outlay.Unpriced);
    await assert.rejects(whatIf("gpt-4o", { tier: "batch" } as object), outlay.InvalidInput);
  });

  test(`the month is forecast, in ${kind}`, async () => {
    const store = fresh();
    await outlay.budget({ usd: 50, window: "month", store });
    await spend(store);
    const told = await forecast("agent", { store });
    const keys = told.rows.map((row) => [row.key, row.spentUsd, row.expectedUsd]);
    assert.deepEqual(keys.sort(), [
      [null, "0.0075", null],
      ["writer", "0.0075", null],
    ]);
    assert.deepEqual([told.by, told.total.spentUsd, told.total.what], ["agent", "0.015", "total"]);
    const [month] = told.budgets;
    assert.deepEqual([month?.window, month?.limitUsd, month?.hard], ["month", "50.00", true]);
    assert.deepEqual([month?.spentUsd, month?.endsAt], ["0.015", told.monthEndsAt]);
    assert.equal((await forecast(null, { store })).rows.length, 0);
    await assert.rejects(forecast("colour", { store }), outlay.InvalidInput);
  });

  test(`a page has the figures of the report, in ${kind}`, async () => {
    const store = fresh();
    await spend(store);
    const page = await reportHtml("model", { store });
    assert.match(page, /^<!doctype html>/i);
    assert.ok(page.includes("gpt-4o") && page.includes("0.015"));
    assert.equal(String((await report("model", { store })).totals.spent), "0.015 USD");
    await assert.rejects(reportHtml("colour", { store }), outlay.InvalidInput);
    await assert.rejects(reportHtml("task", { since: "soon", store }), outlay.InvalidInput);
  });

  test(`the ledger is written to a file for its owner, in ${kind}`, async () => {
    const store = fresh();
    await spend(store);
    const path = join(folder, `${kind}.csv`);
    const written = await exportLedger("focus", path, { account: "acme", store });
    assert.equal(String(written), "4 rows, 0.015 USD settled");
    assert.deepEqual([written.rows, written.settled.usd, written.unpricedCalls], [4, "0.015", 0]);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    assert.equal(lines.length, 5);
    assert.ok(lines[0]?.includes("BilledCost") && lines[1]?.includes("acme"));
    if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);

    const entries = await exportLedger("jsonl", path, { since: "7d", store });
    const read = readFileSync(path, "utf8").trimEnd().split("\n");
    assert.equal(read.length, entries.rows);
    for (const line of read) assert.equal(typeof JSON.parse(line), "object");
    assert.equal((await exportLedger("csv", path, { until: "2026-01-01", store })).rows, 0);
    await assert.rejects(exportLedger("xml" as "csv", path, { store }), outlay.InvalidInput);
    await assert.rejects(exportLedger("csv", join(folder, "no", "file"), { store }), outlay.InvalidInput);
    await assert.rejects(exportLedger("csv", path, { since: "soon", store }), outlay.InvalidInput);
  });
}
