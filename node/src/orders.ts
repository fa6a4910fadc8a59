/** What do people order, allow, and find out? Halts, approvals, and what limits would have refused. */

import { promises } from "node:timers";
import { ledger } from "./ledger.js";
import { type Amount, decimal, known, Money, maybeText, text } from "./money.js";
import { native, unwrapped } from "./native.js";

const LOOK_MS = 200;

/** The calls of one task name that one limit would have refused, had it been enforced. */
export interface ObservedRow {
  /** The name of the tasks. */
  readonly task: string | null;
  /** Whose limit it is, as in ``budget `tenant=acme` ``. */
  readonly budget: string | null;
  /** What is limited: `usd`, `tokens`, `llm_calls` or `tool_calls`. */
  readonly unit: string | null;
  /** How many calls, of models and tools. */
  readonly calls: number;
  /** What they cost. */
  readonly settled: Money;
}

/**
 * Lets no call in a scope start, in any process on the ledger, until `unhalt`.
 *
 * Calls are refused at once with `Halted`, those that wait for money too; streams are cut within a
 * second. It holds for tasks with `enforce: false` too.
 *
 * @param scope `all`, a tag as `tenant=acme`, or the name or id of a task, with all below it.
 * @param options `by`: who orders it; `reason`: why, for those whose runs are refused.
 * @returns how many open attempts lie in the scope.
 * @throws {InvalidInput} a scope, name or reason that cannot be.
 * @example
 * await halt("tenant=acme", { by: "maria", reason: "wrong prompt" });
 * await unhalt("tenant=acme", { by: "maria" });
 */
export async function halt(
  scope: string,
  options: { by: string; reason: string; store?: string },
): Promise<number> {
  known(options, ["by", "reason", "store"], "halt");
  const { handle } = await ledger(options.store);
  const [by, reason] = [text(options.by, "by"), text(options.reason, "reason")];
  return unwrapped(native.halt(handle, text(scope, "scope"), by, reason));
}

/**
 * Undoes a halt.
 *
 * @throws {NotFound} the scope is not halted.
 */
export async function unhalt(scope: string, options: { by: string; store?: string }): Promise<void> {
  known(options, ["by", "store"], "unhalt");
  const { handle } = await ledger(options.store);
  await unwrapped(native.unhalt(handle, text(scope, "scope"), text(options.by, "by")));
}

/**
 * Gives a task what it asks for: raises the limit that is in its way, for good.
 *
 * Approving it again with the same amount changes nothing.
 *
 * @param id the `id` of `ApprovalRequired`.
 * @param options `add`: by how much, USD, tokens or calls, whatever the limit is of; `by`: who approves, a
 * claim unless `approvers` are configured; `key`: their private Ed25519 key in PEM, if they are.
 * @throws {NotFound} no such request.
 * @throws {InvalidInput} an amount that raises nothing; no approver, or not their key.
 * @throws {Conflict} it was approved with another amount.
 */
export async function approve(
  id: string,
  options: { add: Amount; by: string; key?: string; store?: string },
): Promise<void> {
  known(options, ["add", "by", "key", "store"], "approve");
  const { handle } = await ledger(options.store);
  const add = options.add instanceof Money ? options.add.usd : decimal(options.add, "add");
  const key = maybeText(options.key, "key");
  await unwrapped(native.approve(handle, text(id, "id"), add, text(options.by, "by"), key));
}

/**
 * Waits until somebody approves what a task asks for.
 *
 * @param id the `id` of `ApprovalRequired`.
 * @param options `timeoutMs`: so long; for ever if absent.
 * @returns was it approved? False when the time is over.
 * @throws {Halted} the task was halted meanwhile.
 * @throws {NotFound} no such request.
 */
export async function waitApproval(
  id: string,
  options: { timeoutMs?: number; store?: string } = {},
): Promise<boolean> {
  known(options, ["timeoutMs", "store"], "waitApproval");
  const { handle } = await ledger(options.store);
  const until = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  while ((await unwrapped(native.isApproved(handle, text(id, "id")))) === 0) {
    if (performance.now() >= until) return false;
    await promises.setTimeout(LOOK_MS);
  }
  return true;
}

/**
 * What the limits of tasks with `enforce: false` would have refused, the dearest first.
 *
 * A refused call spends nothing: had the first been refused, later ones might have fitted.
 *
 * @param options `since`: `7d`, `24h` or a date; absent means all.
 */
export async function observed(options: { since?: string; store?: string } = {}): Promise<ObservedRow[]> {
  known(options, ["since", "store"], "observed");
  const { handle } = await ledger(options.store);
  const rows = await unwrapped(native.observed(handle, maybeText(options.since, "since")));
  return rows.map(({ task = null, budget = null, unit = null, calls, settled }) => {
    return { task, budget, unit, calls, settled: Money.fromNanos(settled) };
  });
}
