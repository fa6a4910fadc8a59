/** Which limits would runs have kept within? The report of `outlay limits suggest`, its keys in camel case. */

import { known, maybeCount, maybeText } from "./money.js";
import { reported } from "./reported.js";
import type { Span } from "./worth.js";

/** What is suggested for tasks of one kind. */
export interface SuggestedLimits {
  /** The kind. */
  readonly kind: string;
  /** Runs that have ended: tasks in no other. */
  readonly runs: number;
  /** Attempts at them. */
  readonly attempts: number;
  /** Of the runs those that succeeded, by which the limits go. */
  readonly succeeded: number;
  /** How many of these used more of some unit. */
  readonly refused: number;
  /** Why not to rely on it: too few runs. */
  readonly warning: string | null;
  /** One for each unit of which some was used: `usd`, `tokens`, `llm_calls` or `tool_calls`; as a decimal number. */
  readonly limits: readonly { readonly unit: string; readonly amount: string; readonly refused: number }[];
}

/** Limits from what runs have used. */
export interface Suggestions {
  /** From when on; null for all. */
  readonly since: string | null;
  /** Of how many runs that succeeded a limit is kept, in per cent. */
  readonly share: number;
  /** By kind, in the order of their names. */
  readonly kinds: readonly SuggestedLimits[];
  /** Runs that have ended and have no kind. */
  readonly withoutKind: number;
  /** Were there more runs than are read? Then the newest are in it. */
  readonly isCut: boolean;
  /** The part of `outlay.toml` that sets them. */
  readonly toml: string;
}

/**
 * Limits for tasks of each kind, from what runs that succeeded have used: what `share` per cent of them, 95
 * without it, used at most, in each unit by itself.
 *
 * @throws {InvalidInput} a time or a share that cannot be, or no task of this kind has ended.
 * @example
 * const { kinds, toml } = await suggestLimits({ since: "30d" });
 * for (const { kind, succeeded, warning } of kinds) console.log(kind, succeeded, warning);
 * console.log(toml);
 */
export async function suggestLimits(
  options: Span & { kind?: string; share?: number } = {},
): Promise<Suggestions> {
  known(options, ["kind", "since", "share", "store"], "suggestLimits");
  const share = maybeCount(options.share, "share");
  const [kind, since] = [maybeText(options.kind, "kind"), maybeText(options.since, "since")];
  return reported(["limits", "suggest"], { kind, since, share: share?.toString() }, options.store);
}
