/**
 * How does an agent answer once its budget is spent?
 *
 * Under `onLimit: "finish"` by one last call, paid from what its task has put by: the model is told that the
 * budget is spent, and no tool can be called. Once a limit has refused a call, of a model or of a tool, the
 * next question to the model is the last.
 *
 * An agent inside a tool of another does not finish so, where a hook runs the tools: the limit is the outer
 * one's, which may then answer.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { call, current, held } from "../context.js";
import { BudgetExceeded } from "../errors.js";
import type { Task } from "../task.js";
import { standing } from "./tell_budget.js";

/** The call of a tool that this code runs in. */
const inside = new AsyncLocalStorage<unknown>();

/** The task an agent may finish here by a last call, if it may. */
export function finishing(): Task | undefined {
  const task = current();
  // Two hooks may be stacked: what asks for the last answer already, does not ask again.
  const may = task?.finishes === true && inside.getStore() === undefined && !held().final;
  return may ? task : undefined;
}

/** Runs a call of a tool. */
export function within<T>(called: unknown, fn: () => T): T {
  return inside.run(called, fn);
}

/** Asks a model; once a limit refuses that, or has refused something before, for its last answer. */
export async function orLast<T>(ask: () => Promise<T>, last: (words: string) => Promise<T>): Promise<T> {
  const task = finishing();
  if (task === undefined) return ask();
  if (!task.isFinishing) {
    try {
      return await ask();
    } catch (error) {
      if (refusalIn(error) === undefined) throw error;
    }
  }
  return lastOf(task, last);
}

/** Asks for the last answer. */
export async function lastOf<T>(task: Task, last: (words: string) => Promise<T>): Promise<T> {
  task.isFinishing = true;
  const text = (await standing(task))?.text ?? "";
  const left = text === "" ? "" : `${text}. `;
  const words = `[Budget: ${left}It is spent: answer now from what you have, no tool can be called.]`;
  try {
    return await call({ final: true }, () => last(words));
  } catch (error) {
    throw notLast(task, error);
  }
}

/** If a limit refuses the last call itself, the next question is none: it may be of a turn that has money left. */
export function notLast(task: Task, error: unknown): unknown {
  if (refusalIn(error) !== undefined) task.isFinishing = false;
  return error;
}

/** What of ours is behind an error, if a limit is. */
export function refusalIn(error: unknown): BudgetExceeded | undefined {
  const seen = new Set<unknown>();
  for (let cause = error; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    if (BudgetExceeded.isInstance(cause)) return cause;
    seen.add(cause);
  }
  return undefined;
}
