/**
 * What did a call use?
 *
 * The text of a response is read in the core; here it is only made from what a caller has at hand.
 */

import { InvalidInput } from "./errors.js";
import { type Amount, count, decimal, known, Money, text } from "./money.js";
import { native, type UsageSpec, unwrap } from "./native.js";

/**
 * What one call used, in whole tokens; what is absent is none.
 *
 * Input includes what was read from and written to a cache; output includes reasoning. With a `cost`,
 * which a gateway tells, a call is charged that instead of list prices.
 */
export interface Usage {
  /** All input tokens. */
  inputTokens?: number | undefined;
  /** All output tokens. */
  outputTokens?: number | undefined;
  /** Of the input: read from a cache. */
  cacheReadInputTokens?: number | undefined;
  /** Of the input: written to a cache, of whatever lifetime. */
  cacheCreationInputTokens?: number | undefined;
  /** Of what was written to a cache: what lives one hour. */
  cacheCreation1hInputTokens?: number | undefined;
  /** Of the output: reasoning the caller does not see. */
  reasoningOutputTokens?: number | undefined;
  /** Of the input: audio. */
  inputAudioTokens?: number | undefined;
  /** Of the input: images, and pages of documents. */
  inputImageTokens?: number | undefined;
  /** Of the input: video. */
  inputVideoTokens?: number | undefined;
  /** Of what was read from a cache: audio, where the provider says so. */
  cacheReadAudioTokens?: number | undefined;
  /** Of what was read from a cache: images, where the provider says so. */
  cacheReadImageTokens?: number | undefined;
  /** Of the output: audio. */
  outputAudioTokens?: number | undefined;
  /** Of the output: images. */
  outputImageTokens?: number | undefined;
  /** Of the output: video. */
  outputVideoTokens?: number | undefined;
  /** Searches the provider ran on its side and bills apiece. */
  webSearches?: number | undefined;
  /** What the provider says it charges, where it does. */
  cost?: Amount | undefined;
}

/** A usage as a response tells it. */
export interface ExtractedUsage extends Usage {
  readonly cost?: Money | undefined;
  /** The model that answered, where the response names it. */
  readonly model: string | null;
  /** The service tier that served it, where the response names it. */
  readonly serviceTier: string | null;
  /** What the response has beside what we know, by path: perhaps billed. */
  readonly unknownFields: readonly string[];
}

const KINDS = [
  "inputTokens",
  "outputTokens",
  "cacheReadInputTokens",
  "cacheCreationInputTokens",
  "cacheCreation1hInputTokens",
  "reasoningOutputTokens",
  "inputAudioTokens",
  "inputImageTokens",
  "inputVideoTokens",
  "cacheReadAudioTokens",
  "cacheReadImageTokens",
  "outputAudioTokens",
  "outputImageTokens",
  "outputVideoTokens",
  "webSearches",
] as const satisfies readonly (keyof Usage)[];
const NAMES = [...KINDS, "cost", "model", "serviceTier", "unknownFields"];

/** A usage for the core. */
export function usageSpec(usage: Usage): UsageSpec {
  known(usage, NAMES, "a usage");
  const spec: UsageSpec = {};
  for (const kind of KINDS) {
    // Null is refused: who does not know a count must not say that it is none.
    if (usage[kind] !== undefined) spec[kind] = count(usage[kind], kind);
  }
  if (usage.cost !== undefined) spec.cost = decimal(usage.cost, "cost");
  return spec;
}

/**
 * Reads what a provider says a call used, in one normal form.
 *
 * Input includes what was read from and written to a cache, output includes reasoning, whatever the
 * provider's own convention. What it says it charges is `cost`; fields that outlay does not know are in
 * `unknownFields`.
 *
 * @param body the response as an object or as JSON text; or the list of a stream's events, of which the
 *   usage is read by the rule of the API: the last, or the sum.
 * @param from `provider`: who answered, such as `openai`, `anthropic`, `google`, `aws`; `langchain` for
 *   its `usage_metadata`, `ai_sdk` for its usage objects. `api`: which API of theirs, such as `chat`,
 *   `responses`, `embeddings` or `messages`; their main one by default.
 * @throws {InvalidInput} the API is none outlay knows, the body is no JSON, it has no usage, or one that
 *   cannot be: a count that is missing, negative, no number, more than its whole.
 * @example
 * const usage = { input_tokens: 100, cache_read_input_tokens: 900, output_tokens: 50 };
 * extractUsage({ usage }, { provider: "anthropic", api: "messages" }).inputTokens; // 1000
 */
export function extractUsage(body: unknown, from: { provider: string; api?: string }): ExtractedUsage {
  known(from, ["provider", "api"], "extractUsage");
  const { provider, api = "default" } = from;
  const told = unwrap(native.extractUsage(jsonOf(body), text(provider, "provider"), text(api, "api")));
  const { cost, ...counts } = told.usage;
  return {
    ...counts,
    ...(cost !== undefined && cost !== null && { cost: new Money(cost) }),
    model: told.model ?? null,
    serviceTier: told.serviceTier ?? null,
    unknownFields: told.unknownFields,
  };
}

function jsonOf(body: unknown): string {
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString("utf8");
  let json: string | undefined;
  try {
    json = JSON.stringify(body);
  } catch (error) {
    throw new InvalidInput(`the response is no JSON: ${(error as Error).message}`);
  }
  if (json === undefined) throw new InvalidInput("the response is no JSON");
  return json;
}
