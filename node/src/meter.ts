/** How many tokens is this, and what does it cost? Both are asked of the core; nothing is sent. */

import { InvalidInput } from "./errors.js";
import { known, Money, maybeText, shown, text } from "./money.js";
import { native, unwrap } from "./native.js";
import { type Usage, usageSpec } from "./usage.js";

/** How many tokens something is to a model. */
export interface Count {
  /** The count, in the model's tokens as far as its tokenizer is known. */
  readonly tokens: number;
  /** The most it is taken to be: what a reservation of the same holds. */
  readonly bound: number;
  /**
   * How it came about: `exact` (the model's own tokenizer and published frames), `reconstructed` (a
   * published reconstruction of them), `calibrated` (the nearest tokenizer times what the model's family
   * uses at most, or the length in bytes).
   */
  readonly method: "exact" | "reconstructed" | "calibrated";
}

/** What is counted: a text, or messages with tools as a request has them. */
export type Countable =
  | { text: string }
  | { messages: readonly unknown[]; tools?: readonly unknown[]; toolChoice?: unknown };

/**
 * Counts the tokens of a text, or of messages with tools, as a model reads them.
 *
 * A text is counted on its own. Messages are in the form of OpenAI's chat or of Anthropic's messages, and
 * are counted with the frames that the provider puts round them. It runs at once, on this thread.
 *
 * @param model its name, as the client is given it.
 * @param what `{ text }`, or `{ messages, tools, toolChoice }`; functions may lack their wrapper.
 * @throws {InvalidInput} neither or both of text and messages, or no such messages.
 * @throws {Unbounded} some of it nobody can count, such as a file the provider keeps.
 * @example
 * count("gpt-4o", { text: "hello world" }); // { tokens: 2, bound: 2, method: "exact" }
 */
export function count(model: string, what: Countable): Count {
  known(what, ["text", "messages", "tools", "toolChoice"], "count");
  const given: { text?: unknown; messages?: unknown; tools?: unknown; toolChoice?: unknown } = what;
  const { text: words, messages, tools, toolChoice } = given;
  const isText = words !== undefined && tools === undefined && toolChoice === undefined;
  if (isText === (messages !== undefined)) {
    throw new InvalidInput("give either `text` or `messages`, and tools with messages only");
  }
  const name = text(model, "model");
  if (isText) return unwrap(native.countText(name, text(words, "text"))) as Count;
  if (!Array.isArray(messages)) throw new InvalidInput(`\`messages\` is \`${shown(messages)}\`, not a list`);
  let request: string;
  try {
    request = JSON.stringify({ messages, tools, tool_choice: toolChoice });
  } catch (error) {
    throw new InvalidInput(`the messages are no JSON: ${(error as Error).message}`);
  }
  return unwrap(native.countMessages(name, request)) as Count;
}

/**
 * What a usage costs, with the unit prices that make it up.
 *
 * `input` and `output` are each rounded up to a nano-USD by themselves; `total` is rounded once, and
 * includes fees per request and search.
 */
export interface Charge {
  /** All of it. */
  readonly total: Money;
  /** What the input costs. */
  readonly input: Money;
  /** What the output costs. */
  readonly output: Money;
  /** Fees per request and search. */
  readonly fees: Money;
  /** How the name was found: `listed`, `snapshot`, `fine_tune`, `maker`, `local` or `yours`. */
  readonly rule: string;
  /** The edition of the prices. */
  readonly priceVersion: string;
  /** Who bills it. */
  readonly provider: string;
  /** The main name of the model. */
  readonly model: string;
  /** Each unit with its quantity and its price: USD per million tokens, or apiece for fees. */
  readonly lines: readonly { readonly unit: string; readonly quantity: number; readonly price: Money }[];
}

/** What else decides a price. */
export interface PriceOptions {
  /** Who bills it, where the name does not say. */
  provider?: string;
  /** When; now by default. */
  at?: Date;
  /** The tier that served it, such as `flex` or `batch`. */
  serviceTier?: string;
}

/**
 * What a usage of a model costs.
 *
 * @param model its name, with or without its provider (`bedrock/us.anthropic.claude-opus-5`).
 * @param usage what was used.
 * @throws {Unpriced} no price is known of the model, its tier or its searches.
 * @throws {InvalidInput} a usage or a time that cannot be.
 * @example
 * const charge = price("gpt-4o", { inputTokens: 1000, outputTokens: 500 });
 * String(charge.total); // "0.0075 USD"
 */
export function price(model: string, usage: Usage, options: PriceOptions = {}): Charge {
  known(options, ["provider", "at", "serviceTier"], "price");
  const at = options.at === undefined ? undefined : options.at?.getTime?.();
  if (options.at !== undefined && !Number.isFinite(at)) throw new InvalidInput("`at` is no `Date`");
  const provider = maybeText(options.provider, "provider");
  const tier = maybeText(options.serviceTier, "serviceTier");
  const told = unwrap(native.priceUsage(text(model, "model"), usageSpec(usage), provider, at, tier));
  const { total, input, output, fees } = told;
  return {
    ...told,
    total: Money.fromNanos(total),
    input: Money.fromNanos(input),
    output: Money.fromNanos(output),
    fees: Money.fromNanos(fees),
    lines: told.lines.map((line) => ({ ...line, price: Money.fromNanos(line.price) })),
  };
}
