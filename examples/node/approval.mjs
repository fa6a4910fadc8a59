// A run that reaches its limit asks for more, and goes on once somebody has approved it.
//
// Run it with `node examples/node/approval.mjs`. It prints what examples/python/approval.py does.

import { ApprovalRequired, approve, task, waitApproval } from "outlay";

const store = "memory:approval";

await task("refund", { usd: 0.08, onLimit: "ask", store }, async (refund) => {
  await step(refund);
  try {
    await step(refund);
  } catch (required) {
    if (!ApprovalRequired.isInstance(required)) throw required;
    console.log(`asked: ${required.message.split(":")[0]}`);
    // Elsewhere, by a person: outlay approve ID --add 0.05 --by maria
    await approve(required.id, { add: 0.05, by: "maria", store });
    if (await waitApproval(required.id, { timeoutMs: 3_600_000, store })) {
      console.log(`approved: ${await refund.available()} available`);
    }
    await step(refund);
  }
});

/** Stands for a step of the run: one call of a model. */
async function step(refund) {
  const call = await refund.reserve({ model: "gpt-4o", inputTokens: 4_000, maxOutputTokens: 4_000 });
  await call.settle({ inputTokens: 4_000, outputTokens: 4_000 });
  console.log(`a step was made: ${await refund.spent()} spent`);
}
