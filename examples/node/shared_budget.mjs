// A budget over tasks: all that run for one tenant, in every process that uses the same ledger.
//
// Run it with `node examples/node/shared_budget.mjs`. It prints what examples/python/shared_budget.py does.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { BudgetExceeded, budget, report, task } from "outlay";

const folder = mkdtempSync(join(tmpdir(), "outlay-"));
const store = `sqlite:${join(folder, "ledger.db")}`;
process.on("exit", () => rmSync(folder, { recursive: true }));

// Declared once, for every process; declaring it again with the same limit is no change.
await budget({ tags: { tenant: "acme" }, usd: 0.3, window: "month", store });

const acme = { usd: 0.5, tags: { tenant: "acme" }, store };
const large = { model: "gpt-4o", inputTokens: 40_000, maxOutputTokens: 10_000 };

await task("refund", acme, async (refund) => {
  // The least of what its own limit and the tenant's leave.
  console.log(`refund may use ${await refund.available()}`);
  const call = await refund.reserve(large);
  const settled = await call.settle({ inputTokens: 40_000, outputTokens: 10_000 });
  console.log(`refund was charged ${settled.charge}`);
});

await task("triage", acme, async (triage) => {
  console.log(`triage may use ${await triage.available()}`);
  try {
    await triage.reserve(large);
  } catch (refusal) {
    if (!BudgetExceeded.isInstance(refusal)) throw refusal;
    const { budget: whose, requested, spent, limit } = refusal;
    console.log(`triage is refused by ${whose}: ${requested} requested, ${spent} of ${limit} spent`);
  }
  const call = await triage.reserve({ model: "gpt-4o", inputTokens: 16_000, maxOutputTokens: 2_000 });
  const settled = await call.settle({ inputTokens: 16_000, outputTokens: 1_000 });
  console.log(`triage was charged ${settled.charge}`);
});

await task("refund", { usd: 1, tags: { tenant: "globex" }, store }, async (other) => {
  console.log(`globex may use ${await other.available()}`);
});

for (const row of (await report("tag:tenant", { store })).rows) {
  console.log(`tenant=${row.key}: ${row.spent} in ${row.calls} calls`);
}
