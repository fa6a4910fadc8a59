// An operator halts all runs of one customer, and lets them go on again.
//
// Run it with `node examples/node/kill_switch.mjs`. It prints what examples/python/kill_switch.py does.

import { Halted, halt, task, unhalt } from "outlay";

const store = "memory:kill_switch";

for (const tenant of ["acme", "globex"]) await step(tenant);
// From a shell: outlay halt tenant=acme --by maria --reason "wrong prompt rolled out"
await halt("tenant=acme", { by: "maria", reason: "wrong prompt rolled out", store });
for (const tenant of ["acme", "globex"]) {
  try {
    await step(tenant);
  } catch (halted) {
    if (!Halted.isInstance(halted)) throw halted;
    console.log(`${halted.scope} was halted by ${halted.by}: ${halted.reason}`);
  }
}
await unhalt("tenant=acme", { by: "maria", store });
await step("acme");

/** Stands for a run of a customer: one call of a model. */
async function step(tenant) {
  await task("refund", { usd: 1, tags: { tenant }, store }, async (refund) => {
    const call = await refund.reserve({ model: "gpt-4o", inputTokens: 4_000, maxOutputTokens: 1_000 });
    await call.settle({ inputTokens: 4_000, outputTokens: 500 });
    console.log(`a run of ${tenant} spent ${await refund.spent()}`);
  });
}
