/**
 * When does an agent hear what is left of its budget?
 *
 * At given shares of the limit that is the most used up, once each, in a message after the last one. It is in
 * that one request only: the next one begins as if it had never been, so what a provider has cached of the
 * conversation stays good.
 */

import { current } from "../context.js";
import { InvalidInput, StoreUnavailable } from "../errors.js";
import type { Task } from "../task.js";

/** Whether to tell the model what is left, or at how many per cent. */
export type TellBudget = boolean | readonly number[];

const SHARES = [25, 50, 75, 90];

/**
 * At how many per cent a model is told.
 *
 * @throws {InvalidInput} no share of a budget.
 */
export function sharesOf(tellBudget: TellBudget = false): readonly number[] {
  if (typeof tellBudget === "boolean") return tellBudget ? SHARES : [];
  const isShare = (share: unknown) => Number.isInteger(share) && 0 < Number(share) && Number(share) <= 100;
  if (!Array.isArray(tellBudget) || !tellBudget.every(isShare)) {
    throw new InvalidInput(`tellBudget \`${String(tellBudget)}\` is not per cents from 1 to 100`);
  }
  return [...tellBudget];
}

/** What to tell the model at the end of this request, if another share is used up. */
export async function budgetNews(shares: readonly number[]): Promise<string | undefined> {
  const task = current();
  if (shares.length === 0 || task === undefined) return undefined;
  const status = await standing(task);
  const reached = Math.max(0, ...shares.filter((share) => share <= (status?.usedPercent ?? -1)));
  if (reached <= task.toldPercent) return undefined;
  task.toldPercent = reached;
  return `[Budget: ${status?.text}. Plan the rest of the work within what is left.]`;
}

/** How a task stands, if the ledger can say; whether the call may go on without it is for its reservation to say. */
export async function standing(task: Task) {
  try {
    return await task.status();
  } catch (error) {
    if (!StoreUnavailable.isInstance(error)) throw error;
    return undefined;
  }
}
