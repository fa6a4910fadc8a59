/** What do tasks of a kind take that their callers give nothing of? The core reads it; here are its names. */

import { type BreakerConfig, plainConfig } from "./breaker.js";
import { InvalidInput } from "./errors.js";
import { type Amount, known, type Limit, type UnitLimits } from "./money.js";
import type { TaskOptions } from "./task.js";

/** The options of `task` that may be configured for its kind. */
export interface KindOptions extends UnitLimits, Pick<TaskOptions, "onLimit" | "fallback" | "alerts"> {
  /** The most all attempts after the first may cost together. */
  retryUsd?: Amount;
  /** What is put by for one last call. */
  wrapUpUsd?: Amount;
  /** When its last call may start, or is late: so many seconds after the task was opened for the first time. */
  deadline?: number | Limit | readonly (number | Limit)[];
  /** Watches the steps an integration sees for loops; functions cannot be configured. */
  breaker?: BreakerConfig | boolean;
}

const OPTIONS = {
  usd: "usd",
  tokens: "tokens",
  llmCalls: "llm_calls",
  toolCalls: "tool_calls",
  retryUsd: "retry_usd",
  wrapUpUsd: "wrap_up_usd",
  deadline: "deadline",
  onLimit: "on_limit",
  fallback: "fallback",
  alerts: "alerts",
  breaker: "breaker",
} as const satisfies Record<keyof KindOptions, string>;

const MONEY = ["usd", "retryUsd", "wrapUpUsd"];

/** The options of all kinds, as the core names them. */
export function plainKinds(kinds: Record<string, KindOptions>): object {
  if (typeof kinds !== "object" || kinds === null) throw new InvalidInput("`kinds` are not options by kind");
  const plain = Object.entries(kinds).map(([kind, options]) => {
    known(options, Object.keys(OPTIONS), `kind \`${kind}\``);
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const named = given.map(([name, value]) => [
      OPTIONS[name as keyof KindOptions],
      plainOption(name, value),
    ]);
    return [kind, Object.fromEntries(named)];
  });
  return Object.fromEntries(plain);
}

function plainOption(name: string, value: unknown): unknown {
  if (MONEY.includes(name)) return Array.isArray(value) ? value.map(plainAmount) : plainAmount(value);
  if (name !== "breaker" || typeof value !== "object") return value;
  const config = value as BreakerConfig;
  const rules = Object.values(config?.tools ?? {}).flatMap((rule) => Object.values(rule ?? {}));
  if (rules.some((one) => typeof one === "function"))
    throw new InvalidInput("functions cannot be configured");
  return plainConfig(config);
}

function plainAmount(value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
