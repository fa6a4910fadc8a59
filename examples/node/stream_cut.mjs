// A stream that does not end: it is stopped when what was held for it is used up.
//
// The caller says by `call({ maxUsd })` what the answer can cost, though the request allows more. The
// answer goes on and on. It is cut, the text that came until then stays, and the call is settled at all
// that was held, since more than that came. The model is a provider on this machine.
//
// Run it with `node examples/node/stream_cut.mjs`. It prints what examples/python/stream_cut.py does.

import OpenAI from "openai";
import { BudgetExceeded, call, instrument, task } from "outlay";

import { startProvider } from "./provider/start.mjs";

const SENTENCE = "Then the agent looked at the order again.";
const STORY = Array(300).fill(SENTENCE).join(" ");

instrument(OpenAI);
const provider = await startProvider({ text: STORY, chunk_tokens: 6, chunk_ms: 5 });
const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "none" });

await task("story", { usd: 0.5, store: "memory:" }, async (story) => {
  let text = "";
  try {
    await call({ maxUsd: 0.002 }, async () => {
      const stream = await client.chat.completions.create({
        model: "gpt-4o",
        messages: [{ role: "user", content: "Tell me how the refund went." }],
        max_tokens: 4_000,
        stream: true,
      });
      console.log(`held ${await story.pending()}`);
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    });
  } catch (cut) {
    if (!BudgetExceeded.isInstance(cut)) throw cut;
    console.log(`kept: "${text.slice(0, SENTENCE.length)}"`);
    console.log(`cut: ${cut.code}, the ${cut.limit} held for it are used up`);
  }
  console.log(`settled ${(await story.summary()).totals.estimated}, estimated`);
  if ((await provider.bill()).partial !== 1) throw new Error("the provider served it all");
  const [spent, pending] = [await story.spent(), await story.pending()];
  console.log(`task: spent ${spent}, pending ${pending}, available ${await story.available()}`);
});
provider.stop();
