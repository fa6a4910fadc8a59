// The explicit form: reserve before a call, settle what it used, and see what is refused.
//
// Run it with `node examples/node/quickstart.mjs`. It prints what examples/python/quickstart.py does.

import { BudgetExceeded, task } from "outlay";

const INPUT_TOKENS = 80_000;

// "memory:" forgets everything at the end. Without `store` it is a file of the user's.
await task("refund", { usd: 0.5, store: "memory:" }, async (refund) => {
  const request = { model: "gpt-4o", inputTokens: INPUT_TOKENS, maxOutputTokens: 16_000 };
  await makeCall(refund, await refund.reserve(request));
  let fits = 0;
  try {
    await refund.reserve(request);
  } catch (refusal) {
    if (!BudgetExceeded.isInstance(refusal)) throw refusal;
    console.log(`refused: ${refusal.message}`);
    fits = refusal.affordableOutputTokens;
  }
  console.log(`${fits} output tokens would fit`);
  await makeCall(refund, await refund.reserve({ ...request, maxOutputTokens: fits }));
});

/** Stands for a call of the model, which answers with far less than it might have. */
async function makeCall(refund, call) {
  console.log(`held ${call.reserved} for ${call.model}, at most ${call.maxOutputTokens} output tokens`);
  const settled = await call.settle({ inputTokens: INPUT_TOKENS, outputTokens: 1_200 });
  console.log(`charged ${settled.charge}`);
  console.log(`spent ${await refund.spent()}, available ${await refund.available()}`);
}
