// Somebody is told when half of a budget is spent, and when all of it is.
//
// Run it with `node examples/node/alerts.mjs`. It prints what examples/python/alerts.py does.

import { alerts, budget, onAlert, task } from "outlay";

const store = "memory:alerts";
const told = [];
const bothTold = new Promise((resolve) => {
  onAlert((alert) => {
    console.log(`alert: ${alert}`);
    if (told.push(alert) === 2) resolve();
  });
});

await budget({ usd: 0.1, alerts: ["50%", "100%"], store });
for (const name of ["refund", "invoice"]) {
  await task(name, { store }, async (opened) => {
    const call = await opened.reserve({ model: "gpt-4o", inputTokens: 4_000, maxOutputTokens: 4_000 });
    await call.settle({ inputTokens: 4_000, outputTokens: 4_000 });
  });
}
await bothTold;
// Recorded once over all processes; `outlay watch` sends them to a webhook.
const recorded = await alerts({ store });
console.log(`recorded: ${recorded.map((alert) => alert.threshold).join(", ")}`);
