// A framework that swallows exceptions: what does not fit is not sent all the same.
//
// The model is a provider on this machine, called by the real openai client.
//
// Run it with `node examples/node/swallowed_error.mjs`. It prints what examples/python/swallowed_error.py
// does.

import OpenAI from "openai";
import { BudgetExceeded, instrument, task } from "outlay";

import { startProvider } from "./provider/start.mjs";

/** Stands for the many frameworks that make a line of log of any error in a step. */
async function framework(step, steps) {
  for (let number = 1; number <= steps; number++) {
    try {
      await step();
      console.log(`step ${number}: answered`);
    } catch (error) {
      console.log(`step ${number}: failed (${error.code ?? "unknown"}), going on`);
    }
  }
  return "done";
}

instrument(OpenAI);
const provider = await startProvider({ tokens: 900 });
const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "none" });
const step = () =>
  client.chat.completions.create({
    model: "gpt-4o",
    messages: [{ role: "user", content: "Go on with the research." }],
    max_tokens: 1_000,
  });

let research;
try {
  await task("research", { usd: 0.03, store: "memory:" }, async (opened) => {
    research = opened;
    console.log(`the framework says: ${await framework(step, 6)}`);
    console.log(`requests sent: ${(await provider.bill()).count}, spent ${await opened.spent()}`);
    console.log(`the task was stopped: ${opened.stopped?.code}`);
    opened.raiseIfStopped();
  });
} catch (refusal) {
  if (!BudgetExceeded.isInstance(refusal)) throw refusal;
  console.log(`raised: ${refusal.message}`);
}
console.log(`the attempt: ${(await research.summary()).outcome}`);
provider.stop();
