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
import { refuseUnmetered } from "./attempt.js";
import { Frame, type Told } from "./frame.js";

/**
 * Gives the models of another provider, kept inside the budgets of the task they are asked under.
 *
 * @param provider whose models; the SDK's own OpenAI models if absent.
 * @throws {InvalidInput} it is no provider of models.
 * @example
 * const runner = new Runner({ modelProvider: outlayModels() });
 * await task("refund", { usd: 0.5 }, () => runner.run(agent, "Where is my money?"));
 */
export function outlayModels(provider?: ModelProvider): ModelProvider {
  if (provider !== undefined && typeof provider?.getModel !== "function") {
    throw new InvalidInput("what is given is no provider of models");
  }
  let inner = provider;
  return {
    async getModel(name) {
      if (inner === undefined) {
        const { OpenAIProvider } = await import("@openai/agents");
        inner = new OpenAIProvider();
      }
      return guardedModel(await inner.getModel(name), name);
    },
  };
}

/**
 * The same for one model, as an agent has it.
 *
 * @param name under which name it is priced, where it does not say.
 */
export function guardedModel(model: Model, name?: string): Model {
  return model instanceof Guarded ? model : new Guarded(model, name);
}

class Guarded implements Model {
  readonly #model: Model;
  readonly #name: string;
  declare readonly getRetryAdvice: NonNullable<Model["getRetryAdvice"]>;

  constructor(model: Model, name: string | undefined) {
    this.#model = model;
    const { model: own, _model: hidden = own } = model as { model?: unknown; _model?: unknown };
    this.#name = typeof hidden === "string" ? hidden : (name ?? model.constructor.name);
    const advise = model.getRetryAdvice?.bind(model);
    if (advise !== undefined) this.getRetryAdvice = advise;
  }

  async getResponse(request: ModelRequest): Promise<ModelResponse> {
    const { frame, sent } = await this.#framed(request, false);
    let response: ModelResponse;
    try {
      response = await frame.run(() => this.#model.getResponse(sent));
    } catch (error) {
      await frame.failed(error);
      throw error;
    }
    await frame.settle(told(response.usage));
    await toolCalls(frame, request, response.output);
    return response;
  }

  async *getStreamedResponse(request: ModelRequest): AsyncIterable<StreamEvent> {
    const { frame, sent } = await this.#framed(request, true);
    // A generator runs where it is asked for more, not where it was made.
    const within = frame.run(() => AsyncLocalStorage.snapshot());
    const events = within(() => this.#model.getStreamedResponse(sent)[Symbol.asyncIterator]());
    try {
      for (;;) {
        const { done, value } = await within(() => events.next());
        if (done) break;
        if (value.type === "output_text_delta") await frame.push(value.delta);
        if (value.type === "response_done") {
          await frame.settle(told(value.response.usage));
          await toolCalls(frame, request, value.response.output);
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

  async #framed(request: ModelRequest, stream: boolean): Promise<{ frame: Frame; sent: ModelRequest }> {
    const frame = new Frame(this.#model, { countsTools: true });
    if (frame.isOverClient) return { frame, sent: request };
    const { modelSettings, previousResponseId, conversationId, prompt, tools } = request;
    const hosted = tools.find((tool) => tool.type === "hosted_tool");
    const unseen = hosted?.name ?? previousResponseId ?? conversationId ?? prompt;
    if (unseen !== undefined && held().maxUsd === undefined) {
      await refuseUnmetered(hosted ? `tool ${hosted.name}` : "a conversation the provider keeps");
    }
    const chosen = await frame.hold(bodyOf(this.#name, request, stream), request.signal);
    const maxTokens = chosen ?? modelSettings.maxTokens;
    if (maxTokens === undefined) return { frame, sent: request };
    return { frame, sent: { ...request, modelSettings: { ...modelSettings, maxTokens } } };
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

/** The request as a chat completion, which the core can read. */
function bodyOf(model: string, request: ModelRequest, stream: boolean): object {
  const { systemInstructions, input, modelSettings, tools, handoffs, outputType } = request;
  const system = systemInstructions ? [{ role: "system", content: systemInstructions }] : [];
  const items = typeof input === "string" ? [{ role: "user", content: input }] : input.map(messageOf);
  const functions = [
    ...tools.map((tool) => ("parameters" in tool ? tool : { name: tool.name, parameters: tool })),
    ...handoffs.map((handoff) => ({
      name: handoff.toolName,
      description: handoff.toolDescription,
      parameters: handoff.inputJsonSchema,
    })),
    // The form of the answer is input, too.
    ...(typeof outputType === "object" ? [{ name: "output", parameters: outputType }] : []),
  ];
  const { maxTokens } = modelSettings;
  return {
    model,
    messages: [...system, ...items],
    ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    ...(functions.length > 0 && {
      tools: functions.map((each) => ({ type: "function", function: each })),
    }),
    ...(stream && { stream: true }),
  };
}

function messageOf(item: object): object {
  const { role = "user", content } = item as { role?: string; content?: unknown };
  if (typeof content === "string") return { role, content };
  if (Array.isArray(content)) return { role, content: content.map(partOf) };
  return { role, content: JSON.stringify(item) };
}

function partOf(part: { text?: unknown; image?: unknown; type?: string; file?: unknown }): object {
  if (typeof part.text === "string") return { type: "text", text: part.text };
  if (part.type === "input_image") return { type: "image_url", image_url: { url: part.image } };
  if (part.type === "input_file") return { type: "file", file: { file_data: part.file } };
  return { type: "text", text: JSON.stringify(part) };
}

function told(usage: object): Told {
  const { inputTokens, outputTokens, inputTokensDetails, outputTokensDetails } = usage as Record<
    string,
    object
  >;
  const first = (details: unknown) => (Array.isArray(details) ? details[0] : details) ?? {};
  const isTold = Boolean(inputTokens) || Boolean(outputTokens);
  const body = {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    input_tokens_details: first(inputTokensDetails),
    output_tokens_details: first(outputTokensDetails),
  };
  // The SDK says 0 where a model said nothing.
  return { body: isTold ? { usage: body } : {}, provider: "openai", api: "responses" };
}
