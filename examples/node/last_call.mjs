// A run that reaches its limit still has the money for one last call, which says what it found.
//
// Run it with `node examples/node/last_call.mjs`. It prints what examples/python/last_call.py does.

import { BudgetExceeded, task } from "outlay";

await task("refund", { usd: 0.2, wrapUpUsd: 0.05, store: "memory:" }, async (refund) => {
  console.log(`available at the start: ${await refund.available()}`);
  const limit = await refused(async () => {
    for (;;) await step(refund);
  });
  console.log(`refused: ${limit.message}`);
  await step(refund, true);
  const after = await refused(() => step(refund));
  console.log(`after the last call: ${after.unit}`);
  console.log(`spent ${await refund.spent()}`);
});

/** What refuses it. */
async function refused(work) {
  return work().catch((error) => {
    if (BudgetExceeded.isInstance(error)) return error;
    throw error;
  });
}

/** Stands for a step of the run: one call of a model. */
async function step(refund, final = false) {
  const maxOutputTokens = final ? 2_000 : 4_000;
  const call = await refund.reserve({ model: "gpt-4o", inputTokens: 4_000, maxOutputTokens, final });
  await call.settle({ inputTokens: 4_000, outputTokens: maxOutputTokens });
  console.log(`${final ? "the last call" : "a step"} was made: ${await refund.spent()} spent`);
}
