/** Calls of 0.05 USD, and workers that make them until refused for good. */

import { setTimeout as pause } from "node:timers/promises";

import { BudgetExceeded, configure, type Task } from "outlay";

/** 5,000 output tokens cost 0.05 USD. */
export const PRICES = { "race-model": { input: 0, output: 10 } };
const CALL = { model: "race-model", inputTokens: 0, maxOutputTokens: 5000 };

/** Calls until refused for good; how many calls were made. */
export async function worker(t: Task): Promise<number> {
  for (let made = 0; ; ) {
    try {
      const call = await t.reserve(CALL);
      await pause(5);
      await call.settle({ outputTokens: 5000 });
      made++;
    } catch (error) {
      if (!BudgetExceeded.isInstance(error)) throw error;
      if (!error.contended) return made;
      await pause(2);
    }
  }
}

/** So many workers side by side. */
export async function race(t: Task, workers: number): Promise<number> {
  configure({ prices: PRICES });
  const made = await Promise.all(Array.from({ length: workers }, () => worker(t)));
  return made.reduce((sum, each) => sum + each, 0);
}
