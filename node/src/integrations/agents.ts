/**
 * How do the agents of @openai/agents stay inside their budget, whatever model they ask?
 *
 * `new Runner({ modelProvider: outlayModels() })`: each request a model sends is reserved for, from its
 * input, gets a maximum of output, and is settled by the usage the model reports; its stream is counted and
 * cut. Where the model asks through a guarded client, that client reserves instead.
 *
 * A call of a tool is counted when the model asks for it, and refused before it is run. Tools the provider
 * runs, and conversations it keeps, are refused under a limit in USD, unless the caller says by
 * `call({ maxUsd })` what a request can cost.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import type { Model, ModelProvider, ModelRequest, ModelResponse, StreamEvent } from "@openai/agents";

import { held } from "../context.js";
import { InvalidInput } from "../errors.js";
import { known } from "../money.js";
import { bodyOf, lastRequest, messagesOf, saidTo, told, withWords } from "./agents_input.js";
import { refuseUnmetered } from "./attempt.js";
import { finishing, lastOf, notLast, orLast, refusalIn } from "./finish.js";
import { Frame, turnBy } from "./frame.js";
import { budgetNews, sharesOf, type TellBudget } from "./tell_budget.js";

/** What holds for the models that are guarded. */
export interface ModelOptions {
  /**
   * Tell the model what is left when 25, 50, 75 and 90 per cent of a limit are used, or so many: at the end of one
   * request, so that what is cached stays good.
   */
  tellBudget?: TellBudget;
}

/**
 * Gives the models of another provider, kept inside the budgets of the task they are asked under.
 *
 * Under `breaker` of the task the model is told when it goes in circles, then refused the result, and then
 * `ApprovalRequired` or `BreakerTripped` is thrown. Under `onLimit: "finish"` nothing is thrown where a limit is in
 * the way: the model is told that the budget is spent, and asked for its answer, once and without tools.
 *
 * @param provider whose models; the SDK's own OpenAI models if absent.
 * @param options `tellBudget`: tell the model what is left, at 25, 50, 75 and 90 per cent or so many.
 * @throws {InvalidInput} it is no provider of models, or shares that are no per cents from 1 to 100.
 * @example
 * const runner = new Runner({ modelProvider: outlayModels() });
 * await task("refund", { usd: 0.5 }, () => runner.run(agent, "Where is my money?"));
 */
export function outlayModels(provider?: ModelProvider, options: ModelOptions = {}): ModelProvider {
  if (provider !== undefined && typeof provider?.getModel !== "function") {
    throw new InvalidInput("what is given is no provider of models");
  }
  const shares = sharesIn(options);
  let inner = provider;
  return {
    async getModel(name) {
      if (inner === undefined) {
        const { OpenAIProvider } = await import("@openai/agents");
        inner = new OpenAIProvider();
      }
      return wrapped(await inner.getModel(name), name, shares);
    },
  };
}

/**
 * The same for one model, as an agent has it.
 *
 * @param name under which name it is priced, where it does not say.
 * @param options as for `outlayModels`.
 * @throws {InvalidInput} shares that are no per cents from 1 to 100.
 */
export function guardedModel(model: Model, name?: string, options: ModelOptions = {}): Model {
  return wrapped(model, name, sharesIn(options));
}

function sharesIn(options: ModelOptions): readonly number[] {
  known(options, ["tellBudget"], "the models");
  return sharesOf(options.tellBudget);
}

function wrapped(model: Model, name: string | undefined, shares: readonly number[]): Model {
  return model instanceof Guarded ? model : new Guarded(model, name, shares);
}

class Guarded implements Model {
  readonly #model: Model;
  readonly #name: string;
  readonly #shares: readonly number[];
  declare readonly getRetryAdvice: NonNullable<Model["getRetryAdvice"]>;

  constructor(model: Model, name: string | undefined, shares: readonly number[]) {
    this.#model = model;
    this.#shares = shares;
    const { model: own, _model: hidden = own } = model as { model?: unknown; _model?: unknown };
    this.#name = typeof hidden === "string" ? hidden : (name ?? model.constructor.name);
    const advise = model.getRetryAdvice?.bind(model);
    if (advise !== undefined) this.getRetryAdvice = advise;
  }

  async getResponse(request: ModelRequest): Promise<ModelResponse> {
    return orLast(
      async () => this.#asked(request, await this.#told(request)),
      (words) => this.#asked(request, lastRequest(request, words)),
    );
  }

  async *getStreamedResponse(request: ModelRequest): AsyncIterable<StreamEvent> {
    const task = finishing();
    if (task?.isFinishing !== true) {
      const events = this.#streamed(request, await this.#told(request));
      let refused: unknown;
      let isBegun = false;
      try {
        let next = await events.next();
        for (; next.done !== true; next = await events.next()) {
          isBegun = true;
          yield next.value;
        }
        refused = next.value;
      } catch (error) {
        // What was handed on cannot be taken back.
        if (isBegun) throw error;
        refused = error;
      } finally {
        await events.return(undefined);
      }
      if (refused === undefined) return;
      if (task === undefined || refusalIn(refused) === undefined) throw refused;
    }
    const events = await lastOf(task, async (words) => this.#streamed(request, lastRequest(request, words)));
    let refused: unknown;
    try {
      refused = yield* events;
    } catch (error) {
      throw notLast(task, error);
    }
    if (refused !== undefined) throw refused;
  }

  /** Asks for a whole answer; `sent` is the request with what the model is told besides. */
  async #asked(request: ModelRequest, sent: ModelRequest): Promise<ModelResponse> {
    const { frame, patched } = await this.#framed(request, sent, false);
    let response: ModelResponse;
    try {
      response = await frame.run(() => this.#model.getResponse(patched));
    } catch (error) {
      await frame.failed(error);
      throw error;
    }
    await frame.settle(told(response.usage));
    await toolCalls(frame, request, response.output);
    return response;
  }

  /** The events of an answer, each counted; returns what refused a call of a tool that it asks for. */
  async *#streamed(
    request: ModelRequest,
    sent: ModelRequest,
    here = AsyncLocalStorage.snapshot(),
  ): AsyncGenerator<StreamEvent, unknown> {
    const { frame, patched } = await here(() => this.#framed(request, sent, true));
    // A generator runs where it is asked for more, not where it was made.
    const within = here(() => frame.run(() => AsyncLocalStorage.snapshot()));
    const events = within(() => this.#model.getStreamedResponse(patched)[Symbol.asyncIterator]());
    try {
      for (;;) {
        const { done, value } = await within(() => events.next());
        if (done) return undefined;
        if (value.type === "output_text_delta") await frame.push(value.delta);
        if (value.type === "response_done") {
          await frame.settle(told(value.response.usage));
          const refused = await toolCalls(frame, request, value.response.output).catch((error) => error);
          if (refused !== undefined) return refused;
        }
        yield value;
      }
    } catch (error) {
      await frame.failed(error);
      throw error;
    } finally {
      await frame.end();
      await within(() => events.return?.());
    }
  }

  async #told(request: ModelRequest): Promise<ModelRequest> {
    const news = await budgetNews(this.#shares);
    return news === undefined ? request : saidTo(request, news);
  }

  async #framed(request: ModelRequest, sent: ModelRequest, stream: boolean) {
    const frame = new Frame(this.#model, turnBy(messagesOf(request.input)));
    if (frame.isOverClient) return { frame, patched: sent };
    const { modelSettings, previousResponseId, conversationId, prompt, tools } = sent;
    const hosted = tools.find((tool) => tool.type === "hosted_tool");
    const unseen = hosted?.name ?? previousResponseId ?? conversationId ?? prompt;
    if (unseen !== undefined && held().maxUsd === undefined) {
      await refuseUnmetered(hosted ? `tool ${hosted.name}` : "a conversation the provider keeps");
    }
    const { maxTokens = modelSettings.maxTokens, words } = await frame.hold(
      bodyOf(this.#name, sent, stream),
      sent.signal,
    );
    const patched = withWords(sent, words);
    if (maxTokens === undefined) return { frame, patched };
    return { frame, patched: { ...patched, modelSettings: { ...modelSettings, maxTokens } } };
  }
}

/** Counts the calls of tools that an answer asks for; passing on to another agent is none. */
async function toolCalls(frame: Frame, request: ModelRequest, output: readonly object[]): Promise<void> {
  const handoffs = new Set(request.handoffs.map(({ toolName }) => toolName));
  for (const item of output as readonly { type?: string; name?: string }[]) {
    const { type, name = type ?? "unknown" } = item;
    if (type?.endsWith("_call") && type !== "hosted_tool_call" && !handoffs.has(name)) {
      await frame.toolCall(name);
    }
  }
}
