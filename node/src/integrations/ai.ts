/**
 * How does the `ai` package (6 and 7) stay inside its budget, whatever model it asks?
 *
 * `wrapLanguageModel({ model, middleware: outlayMiddleware() })`: each request a model sends is reserved
 * for, from its prompt, gets a maximum of output, and is settled by the usage the model reports; its
 * stream is counted and cut. Invariant: a call of the wrapped model is one request of the provider, as
 * the models of @ai-sdk packages do it; `ai` repeats above the middleware, which reserves anew.
 *
 * Tools a provider runs by itself are refused under a limit in USD, unless the caller says by
 * `call({ maxUsd })` what a request can cost. Not covered: a model that asks through a guarded client (it
 * would be charged twice: wrap the model or guard the client).
 */

import type { Usage } from "../call.js";
import { held } from "../context.js";
import { known } from "../money.js";
import { Ask, type Attempt, failureOf, refuseUnmetered } from "./attempt.js";
import { Bill } from "./billed.js";

// Structural, so that `ai` stays an optional peer: its own types come with each version.
// biome-ignore lint/suspicious/noExplicitAny: `ai` 6 and 7 name the same shapes differently.
type Any = any;

/** What `wrapLanguageModel` of `ai` takes. */
export interface OutlayMiddleware {
  specificationVersion: Any;
  wrapGenerate(options: Any): Promise<Any>;
  wrapStream(options: Any): Promise<Any>;
}

const CHAT = new Bill("openai");

/**
 * Keeps a language model inside the budgets of the task it is asked under.
 *
 * @param options `version`: the middleware specification, `v4` for `ai` 7 (the default), `v3` for 6.
 * @example
 * const model = wrapLanguageModel({ model: openai("gpt-4o"), middleware: outlayMiddleware() });
 * await task("refund", { usd: 0.5 }, () => generateText({ model, prompt: "Where is my money?" }));
 */
export function outlayMiddleware(options: { version?: "v3" | "v4" } = {}): OutlayMiddleware {
  known(options, ["version"], "the middleware");
  return {
    specificationVersion: options.version ?? "v4",
    async wrapGenerate({ model, params }) {
      const { attempt, sent } = await reserved(model, params, false);
      let result: Any;
      try {
        result = await model.doGenerate(sent);
      } catch (error) {
        await failed(attempt, error);
        throw error;
      }
      await settled(attempt, result.usage);
      return result;
    },
    async wrapStream({ model, params }) {
      const { attempt, sent } = await reserved(model, params, true);
      let result: Any;
      try {
        result = await model.doStream(sent);
      } catch (error) {
        await failed(attempt, error);
        throw error;
      }
      return { ...result, stream: counted(result.stream, attempt) };
    },
  };
}

async function reserved(model: Any, params: Any, stream: boolean): Promise<{ attempt: Attempt; sent: Any }> {
  const { prompt, maxOutputTokens, tools } = params;
  const foreign = tools?.find((tool: Any) => tool.type !== "function");
  if (foreign && held().maxUsd === undefined) await refuseUnmetered(`tool ${foreign.id ?? foreign.name}`);
  const body = {
    model: String(model.modelId),
    messages: (prompt as Any[]).flatMap(messagesOf),
    ...(maxOutputTokens !== undefined && { max_tokens: maxOutputTokens }),
    ...(tools?.length > 0 && { tools: tools.map(toolOf) }),
    ...(stream && { stream: true }),
  };
  const ask = (await Ask.read(CHAT, "post", "/chat/completions", body)) as Ask;
  const attempt = await ask.reserve(params.abortSignal);
  const chosen = attempt.patch.max_tokens ?? attempt.patch.max_completion_tokens ?? maxOutputTokens;
  attempt.sent();
  return { attempt, sent: { ...params, maxOutputTokens: chosen } };
}

/** The parts of a stream as they came, each counted; cut when the reservation is used up. */
function counted(stream: ReadableStream<Any>, attempt: Attempt): ReadableStream<Any> {
  const reader = stream.getReader();
  return new ReadableStream<Any>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            await attempt.end();
            controller.close();
            return;
          }
          const delta = /^(text|reasoning|tool-input)-delta$/.test(value.type) ? value.delta : undefined;
          if (delta) await attempt.push(eventOf(delta));
          if (value.type === "finish") await settled(attempt, value.usage);
          controller.enqueue(value);
        } catch (error) {
          await attempt.end();
          reader.cancel(error).catch(() => undefined);
          controller.error(error);
        }
      },
      async cancel(reason) {
        await Promise.all([attempt.end(), reader.cancel(reason).catch(() => undefined)]);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A piece of an answer, as the core reads streams. */
function eventOf(content: string): Uint8Array {
  const chunk = { object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] };
  return Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
}

async function settled(attempt: Attempt, usage: Any): Promise<void> {
  const [input, output] = [usage?.inputTokens, usage?.outputTokens];
  if (typeof input?.total !== "number" || typeof output?.total !== "number") {
    // Unknown is never zero: the core settles an answer without usage at its reservation.
    await attempt.answered(200, "{}");
    return;
  }
  const used: Usage = {
    inputTokens: input.total,
    outputTokens: output.total,
    cacheReadTokens: input.cacheRead ?? 0,
    cacheWriteTokens: input.cacheWrite ?? 0,
    reasoningTokens: output.reasoning ?? 0,
  };
  await attempt.settle(used);
}

async function failed(attempt: Attempt, error: Any): Promise<void> {
  const status = error?.statusCode;
  if (typeof status === "number" && status >= 400) await attempt.answered(status, "");
  else await attempt.failed(failureOf(error));
}

function messagesOf(message: Any): object[] {
  if (typeof message.content === "string") return [{ role: message.role, content: message.content }];
  if (message.role === "tool") {
    return message.content.map((part: Any) => ({
      role: "tool",
      tool_call_id: part.toolCallId ?? "",
      content: JSON.stringify(part.output ?? part),
    }));
  }
  const calls = message.content.filter((part: Any) => part.type === "tool-call");
  const content = message.content.filter((part: Any) => part.type !== "tool-call").map(partOf);
  const toolCalls = calls.map((part: Any) => ({
    id: part.toolCallId,
    type: "function",
    function: { name: part.toolName, arguments: JSON.stringify(part.input ?? {}) },
  }));
  return [{ role: message.role, content, ...(calls.length > 0 && { tool_calls: toolCalls }) }];
}

function partOf(part: Any): object {
  if (part.type !== "file") return { type: "text", text: part.text ?? JSON.stringify(part) };
  const url = dataOf(part.data?.data ?? part.data?.url ?? part.data, part.mediaType);
  if (String(part.mediaType).startsWith("image/")) return { type: "image_url", image_url: { url } };
  return { type: "file", file: { file_data: url } };
}

function dataOf(data: Any, mediaType: string): string {
  if (data instanceof URL) return data.href;
  const text = data instanceof Uint8Array ? Buffer.from(data).toString("base64") : String(data);
  return /^(https?|data):/.test(text) ? text : `data:${mediaType};base64,${text}`;
}

function toolOf(tool: Any): object {
  const { name, description, inputSchema } = tool;
  return { type: "function", function: { name, description, parameters: inputSchema ?? tool } };
}
