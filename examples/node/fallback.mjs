// Short of money, a run goes on with a cheaper model that can take its calls.
//
// Run it with `node examples/node/fallback.mjs`. It prints what examples/python/fallback.py does.

import { Limit, task } from "outlay";

// The first cannot see such long calls, the second is another provider's.
const fallback = ["gpt-3.5-turbo", "claude-haiku-4-5", "gpt-4o-mini"];
const usd = [new Limit(1), new Limit(0.2, { soft: true })];

await task("refund", { usd, fallback, store: "memory:" }, async (refund) => {
  for (let number = 1; number <= 4; number++) {
    const request = { model: "gpt-4o", inputTokens: 20_000, maxOutputTokens: 4_000 };
    const call = await refund.reserve(request);
    console.log(`call ${number} goes to ${call.model}, at most ${call.reserved}`);
    await call.settle({ inputTokens: 20_000, outputTokens: 4_000 });
  }
  console.log(`spent ${await refund.spent()}`);
});
