/**
 * What does a framework's hook know about the call of a model that it is about to let happen?
 *
 * Invariant: money is held once. A hook that cannot know whether a guarded client lies below it holds the
 * worst case itself; the first client that asks for a reservation of its own has that given back before,
 * and from then on the call is the client's to record.
 */

import { below, current, held } from "../context.js";
import { InvalidInput } from "../errors.js";
import { native, unwrap } from "../native.js";
import { currentOrDefault } from "../task.js";
import { extractUsage } from "../usage.js";
import { isAnthropicGuarded } from "./anthropic.js";
import { Ask, type Attempt, failureOf } from "./attempt.js";
import { isOpenAIGuarded } from "./openai.js";
import { type Message, type Word, wordsIn } from "./words.js";

// biome-ignore lint/suspicious/noExplicitAny: models have no type in common.
type Any = any;

/** Classes of models that ask through one client, always the same; and where they show it, if they do. */
const ONE_CLIENT: Record<string, (model: Any) => unknown[]> = {
  AzureChatOpenAI: ofLangChain,
  ChatAnthropic: () => [],
  ChatOpenAI: ofLangChain,
  OpenAIChatCompletionsModel: () => [],
  OpenAIResponsesModel: ({ _client }) => [_client],
};
/** Models of these classes that were seen to ask through a guarded client. */
let overClients = new WeakSet<object>();

/** How a framework says what a call used, as `extractUsage` reads it. */
export interface Told {
  body: unknown;
  provider: string;
  api?: string;
}

/** Forgets which models were seen above guarded clients: the guard is taken out. */
export function forgetClients(): void {
  overClients = new WeakSet();
}

/** What must go into a request that is held. */
export interface Held {
  /** The maximum of output. */
  maxTokens: number | undefined;
  /** What the breaker has to say to the model. */
  words: readonly Word[];
}

/** One call of a model, as a hook above the clients sees it. */
export class Frame {
  /** The user input that the call belongs to answering. */
  readonly turn: string | undefined;
  /** Has the breaker been told what is new in the request? Then no client below tells it again. */
  isTold: boolean;
  readonly #model: object;
  readonly #above: Frame | undefined = held().frame;
  #held: Attempt | undefined;

  /** @param model what is asked, as the framework has it. */
  constructor(model: object, options: { turn?: string; isTold?: boolean }) {
    this.#model = model;
    this.turn = this.#above?.turn ?? options.turn;
    this.isTold = options.isTold === true || this.#above?.isTold === true;
  }

  /** Does a client that is guarded hold the money of this model's calls? */
  get isOverClient(): boolean {
    if (overClients.has(this.#model)) return true;
    const clients = ONE_CLIENT[this.#model.constructor.name]?.(this.#model) ?? [];
    return clients.length > 0 && clients.every((one) => isOpenAIGuarded(one) || isAnthropicGuarded(one));
  }

  /**
   * Holds the worst case of a request, in the form of a chat completion; answers what must go into it.
   *
   * @throws {BudgetExceeded | Unbounded | Unpriced} it may not be sent.
   * @throws {ApprovalRequired | BreakerTripped} the task is watched, and goes in circles.
   */
  async hold(body: { messages: readonly Message[] }, signal?: AbortSignal | null): Promise<Held> {
    await this.#above?.giveBack(false);
    // A hook has no other model to ask than its framework's.
    const from = { keepsModel: true } as const;
    const ask = await this.run(() => Ask.of("openai.chat", JSON.stringify(body), from));
    this.isTold = true;
    const attempt = await ask.reserve(signal);
    attempt.sent();
    this.#held = attempt;
    const { max_tokens, max_completion_tokens = max_tokens, messages } = attempt.patch;
    const maxTokens = max_completion_tokens as number | undefined;
    return { maxTokens, words: wordsIn(body.messages, messages) };
  }

  /** Runs what asks the model. */
  run<T>(fn: () => T): T {
    return below(this, fn);
  }

  /** Ends what is held here: a client below, or another hook, reserves for itself. */
  async giveBack(toClient = true): Promise<void> {
    const attempt = this.#taken();
    if (attempt === undefined) return;
    if (toClient && this.#model.constructor.name in ONE_CLIENT) overClients.add(this.#model);
    await attempt.failed("given_back");
  }

  /**
   * Counts a piece of the answer.
   *
   * @throws {BudgetExceeded} the reservation is used up: stop reading.
   */
  async push(content: string): Promise<void> {
    const chunk = { object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] };
    await this.#held?.push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  }

  /** Ends it with what the framework says was used; at its worst case if it does not say. */
  async settle(told: Told): Promise<void> {
    const attempt = this.#taken();
    if (attempt === undefined) return;
    const { body, ...from } = told;
    try {
      await attempt.settle(extractUsage(body, from));
    } catch (error) {
      if (!InvalidInput.isInstance(error)) throw error;
      // Unknown is never zero: the core settles an answer without usage at its reservation.
      await attempt.answered(200, "{}");
    }
  }

  /**
   * Counts a call of a tool that an answer asks for, unless a hook above does.
   *
   * A tool that throws is an answer to most frameworks, so this comes before it is run, and ends the run.
   *
   * @throws {BudgetExceeded} no call of a tool is left.
   */
  async toolCall(tool: string): Promise<void> {
    if (this.#above !== undefined) return;
    const turn = held().turn ?? this.turn;
    await (await currentOrDefault()).toolCall(tool, turn === undefined ? {} : { turn });
  }

  /** Ends it without an answer. */
  async failed(error: unknown): Promise<void> {
    const { statusCode, status = statusCode } = Object(error) as { statusCode?: unknown; status?: unknown };
    if (typeof status === "number" && status >= 400) await this.#taken()?.answered(status, "");
    else await this.#taken()?.failed(failureOf(error));
  }

  /** Ends a stream, read to its end or not. */
  async end(): Promise<void> {
    await this.#taken()?.end();
  }

  #taken(): Attempt | undefined {
    const attempt = this.#held;
    this.#held = undefined;
    return attempt;
  }
}

/**
 * What the turn is called that these messages without ids belong to: by the user's last one, and how many there are.
 */
export function turnBy(messages: readonly Message[]): { turn?: string } {
  const task = current();
  const said = messages.filter(({ role }) => role === "user");
  if (task === undefined || said.length === 0) return {};
  const sized = (_: string, part: unknown) => (part instanceof Uint8Array ? part.length : part);
  const texts = [String(said.length), JSON.stringify(said.at(-1)?.content, sized)];
  return { turn: unwrap(native.turnOf(task.handle, texts)) };
}

/** The clients of LangChain's OpenAI models, which make them when first asked. */
function ofLangChain({ completions, responses }: Any): unknown[] {
  return [completions, responses].map((part) => {
    try {
      part._getClientOptions({});
    } catch {
      // Then it shows none, and the hook holds the money.
    }
    return part?.client;
  });
}
