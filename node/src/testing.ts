/**
 * What can tests run instead of a real model provider?
 *
 * A loopback provider that speaks OpenAI's, Anthropic's and Google's APIs, with streams; honours maxima;
 * reports true counts; fails on demand; and keeps a bill of its own, counted and charged without Outlay, so
 * that the two bills can be held against each other. It is one program for all languages, in Python:
 * `pip install 'outlay[testing]'`. It is no model (it says what a test scripts), calls nothing, and listens on
 * loopback only.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { request } from "node:http";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { text as read } from "node:stream/consumers";

import { InvalidInput, Unsupported } from "./errors.js";

/**
 * What the provider answers to one request: `text`, or a text of so many `tokens`, or `fill`, all the
 * request's maximum, or `echo`, the last user message, or `toolCalls`; without any of them `Hello.`
 */
export interface Reply {
  /** What it says. */
  text?: string;
  /** A text of exactly so many of the model's tokens. */
  tokens?: number;
  /** As many tokens as the request allows, 256 if it sets no maximum. */
  fill?: boolean;
  /** The last user message. */
  echo?: boolean;
  /** Calls of tools, alone or after the text; `arguments` is JSON text. */
  toolCalls?: readonly { name: string; arguments?: string }[];
  /** Hidden output before the answer; if absent 64 for models that reason and 0 for others. */
  reasoningTokens?: number;
  /** 400 or more refuses and costs nothing. */
  status?: number;
  /** Sent with a refusal as `retry-after`. */
  retryAfterS?: number;
  /** Silence before the answer. */
  latencyMs?: number;
  /** Silence between pieces of a stream. */
  chunkMs?: number;
  /** Tokens in one piece of a stream; if absent at most 50 pieces. */
  chunkTokens?: number;
  /**
   * How it goes: closes the connection before any answer (`drop_head`) or midway (`drop_middle`), is silent
   * for `stallS` at the same places, or breaks a stream by an error (`error_middle`).
   */
  behaviour?: "plain" | "drop_head" | "drop_middle" | "stall_head" | "stall_middle" | "error_middle";
  /** After so many pieces of a stream it does so. */
  afterChunks?: number;
  /** How long it is silent. */
  stallS?: number;
  /** `true`, or a form no client should trust, such as `no_final`; the bill is true all the same. */
  usage?: string;
  /** Does a reply that is refused or lost cost? If absent a status of 400 or more does not. */
  billed?: boolean;
}

/** Tokens of one request. Input includes cached and written, output includes reasoning. */
export interface ProviderUsage {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly write5mTokens: number;
  readonly write1hTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

/** One request as the provider saw it and what it billed for it. */
export interface Entry {
  /** Number of the request, from 1 in the order of arrival. */
  readonly id: number;
  /** The path it was sent to. */
  readonly path: string;
  /** The model it asked for. */
  readonly model: string;
  /** Did it ask for a stream? */
  readonly stream: boolean;
  /** The maximum of output it set; null if none. */
  readonly maxTokens: number | null;
  /** The client's own count of retries, from its headers. */
  readonly attempt: number | null;
  /** The headers that tell requests apart; never keys. */
  readonly headers: Readonly<Record<string, string>>;
  /** `partial` was billed and did not reach the client whole; `refused` was not billed. */
  readonly outcome: "open" | "served" | "partial" | "refused";
  /** The HTTP status sent, 0 if none was. */
  readonly status: number;
  /** What it used. */
  readonly usage: ProviderUsage;
  /** What it cost, in nano-USD. */
  readonly costNanos: number;
}

/** The provider's books at one moment. */
export interface Bill {
  /** Requests in the order of arrival, the newest 100,000. */
  readonly entries: readonly Entry[];
  /** All requests. */
  readonly count: number;
  /** Those still running. */
  readonly open: number;
  /** Served whole. */
  readonly served: number;
  /** Billed, but not served whole. */
  readonly partial: number;
  /** Not billed. */
  readonly refused: number;
  /** Sums of tokens over all requests. */
  readonly usage: ProviderUsage;
  /** Sum of costs, in nano-USD. */
  readonly costNanos: number;
}

/** How a provider is started. */
export interface ProviderOptions {
  /** What it replies when nothing else is scripted. */
  default?: Reply;
  /** The interpreter that has `outlay[testing]`; `$OUTLAY_PYTHON` or `python3` if absent. */
  python?: string;
  /** By model, USD per million tokens: `{ "house-7b": { input: 1, output: "2.5" } }`. */
  prices?: Record<string, Record<string, number | string>>;
}

/** A look-alike of OpenAI, Anthropic and Google in a process of its own, which ends with this one. */
export class Provider {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  /** Where it listens. */
  readonly url: string;
  /** The base URL for OpenAI's clients. */
  readonly openaiUrl: string;
  /** The base URL for Anthropic's clients. */
  readonly anthropicUrl: string;
  /** The base URL for Google's clients. */
  readonly googleUrl: string;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, told: Record<string, string>) {
    this.#child = child;
    this.url = told.url ?? "";
    this.openaiUrl = told.openai_url ?? "";
    this.anthropicUrl = told.anthropic_url ?? "";
    this.googleUrl = told.google_url ?? "";
  }

  /**
   * Starts one; end it with `stop`, or by `await using`.
   *
   * @throws {Unsupported} there is no such interpreter, or it has no `outlay[testing]`.
   * @throws {InvalidInput} a reply or a price that cannot be.
   * @example
   * const provider = await Provider.start({ default: { tokens: 20 } });
   * const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
   * await provider.script({ status: 429, retryAfterS: 0.01 }, { tokens: 12 });
   * const messages = [{ role: "user", content: "May I have my money back?" }];
   * await client.chat.completions.create({ model: "gpt-4o", messages });
   * const { entries } = await provider.bill();
   * entries.map((entry) => entry.status); // [429, 200]
   * await provider.stop();
   */
  static async start(options: ProviderOptions = {}): Promise<Provider> {
    const python = options.python ?? process.env.OUTLAY_PYTHON ?? "python3";
    const words = ["-m", "outlay.testing", "--port", "0", "--until-stdin-closes"];
    const child = spawn(python, words, { stdio: ["pipe", "pipe", "inherit"] });
    const provider = new Provider(child, await listening(child, python));
    try {
      const { default: reply, prices } = options;
      await provider.control({ ...(reply && { default: snake(reply) }), ...(prices && { prices }) });
    } catch (error) {
      await provider.stop();
      throw error;
    }
    return provider;
  }

  /** Stops it and closes every connection. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.ref();
    this.#child.kill();
    await ended;
  }

  /** The same at the end of its block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Queues replies for the next requests, in this order. */
  async script(...replies: Reply[]): Promise<void> {
    await this.control({ queue: replies.map(snake) });
  }

  /** Empties the queue. */
  async clear(): Promise<void> {
    await this.control({ clear: true });
  }

  /** Sets what it replies when nothing else is scripted. */
  async default(reply: Reply): Promise<void> {
    await this.control({ default: snake(reply) });
  }

  /** Draws every further reply by weight, the same ones for the same seed. */
  async mix(seed: number, ...choices: (readonly [number, Reply])[]): Promise<void> {
    await this.control({ mix: { seed, choices: choices.map(([weight, reply]) => [weight, snake(reply)]) } });
  }

  /** Forgets books, script, prompt caches and prices of its own. */
  async reset(): Promise<void> {
    await this.control({ reset: true });
  }

  /** Lets the prompt caches age without waiting. */
  async advance(seconds: number): Promise<void> {
    await this.control({ advance_s: seconds });
  }

  /** The books, once no request is open or `waitS` has passed (5 if absent, 60 at most). */
  async bill(options: { waitS?: number } = {}): Promise<Bill> {
    return camel(await this.#ask("GET", `/bill?wait_s=${options.waitS ?? 5}`)) as Bill;
  }

  /** The requests so far, running ones too. */
  async requests(): Promise<readonly Entry[]> {
    return (camel(await this.#ask("GET", "/requests")) as { requests: Entry[] }).requests;
  }

  /**
   * Sends one message to `POST /control`, as the program has it.
   *
   * @throws {InvalidInput} the provider refused the message.
   */
  async control(order: object): Promise<Record<string, unknown>> {
    return this.#ask("POST", "/control", JSON.stringify(order));
  }

  /** By `node:http`, which no guard of ours touches. */
  async #ask(method: string, path: string, body?: string): Promise<Record<string, unknown>> {
    const answer = await new Promise<[number | undefined, string]>((done, fail) => {
      const asked = request(new URL(path, this.url), { method, agent: false }, (response) => {
        read(response).then((text) => done([response.statusCode, text]), fail);
      });
      asked.once("error", fail).end(body);
    });
    const told = JSON.parse(answer[1]) as Record<string, unknown> & { error?: { message: string } };
    if (answer[0] !== 200) throw new InvalidInput(String(told.error?.message));
    return told;
  }
}

async function listening(
  child: ChildProcessByStdio<Writable, Readable, null>,
  python: string,
): Promise<Record<string, string>> {
  const failed = new Promise<Error>((done) => child.once("error", done));
  const lines = createInterface({ input: child.stdout });
  const first = new Promise<string | undefined>((done) => {
    lines.once("line", done).once("close", () => done(undefined));
  });
  const line = await Promise.race([first, failed]);
  if (typeof line !== "string") {
    const why = line === undefined ? "its stderr says why" : line.message;
    const hint =
      "it needs `pip install 'outlay[testing]'`; name an interpreter by `python` or $OUTLAY_PYTHON";
    throw new Unsupported(`the provider did not start by \`${python}\`: ${why}; ${hint}`);
  }
  // It must not keep the program running; it ends when its stdin closes.
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) (pipe as Socket).unref();
  return JSON.parse(line) as Record<string, string>;
}

/** A reply as the program has it. */
function snake(reply: Reply): Record<string, unknown> {
  const name = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(reply).map(([key, value]) => [name(key), value]));
}

/** What the program tells, with keys as TypeScript has them, but for headers. */
function camel(told: unknown): unknown {
  if (Array.isArray(told)) return told.map(camel);
  if (typeof told !== "object" || told === null) return told;
  const name = (key: string) => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const entries = Object.entries(told);
  return Object.fromEntries(
    entries.map(([key, value]) => [name(key), key === "headers" ? value : camel(value)]),
  );
}
