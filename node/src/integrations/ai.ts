/**
 * How does the `ai` package (6 and 7) stay inside its budget, whatever model it asks?
 *
 * `wrapLanguageModel({ model, middleware: outlayMiddleware() })`: each request a model sends is reserved
 * for, from its prompt, gets a maximum of output, and is settled by the usage the model reports; its
 * stream is counted and cut. Invariant: a call of the wrapped model is one request of the provider, as
 * the models of @ai-sdk packages do it; `ai` repeats above the middleware, which reserves anew.
 *
 * A call of a tool is counted when the model asks for it, and refused before it is run. Where a model asks
 * through a guarded client, that client reserves instead. Tools a provider runs by itself are refused under
 * a limit in USD, unless the caller says by `call({ maxUsd })` what a request can cost.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { held } from "../context.js";
import { known } from "../money.js";
import { refuseUnmetered } from "./attempt.js";
import { Frame, type Told } from "./frame.js";

// Structural, so that `ai` stays an optional peer: its own types come with each version.
// biome-ignore lint/suspicious/noExplicitAny: `ai` 6 and 7 name the same shapes differently.
type Any = any;

/** What `wrapLanguageModel` of `ai` takes. */
export interface OutlayMiddleware {
  specificationVersion: Any;
  wrapGenerate(options: Any): Promise<Any>;
  wrapStream(options: Any): Promise<Any>;
}

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
      const { frame, sent } = await framed(model, params, false);
      let result: Any;
      try {
        result = await frame.run(() => model.doGenerate(sent));
      } catch (error) {
        await frame.failed(error);
        throw error;
      }
      await frame.settle(told(result.usage));
      for (const part of result.content) await toolCall(frame, part);
      return result;
    },
    async wrapStream({ model, params }) {
      const { frame, sent } = await framed(model, params, true);
      let result: Any;
      try {
        result = await frame.run(() => model.doStream(sent));
      } catch (error) {
        await frame.failed(error);
        throw error;
      }
      return { ...result, stream: counted(result.stream, frame) };
    },
  };
}

async function framed(model: Any, params: Any, stream: boolean): Promise<{ frame: Frame; sent: Any }> {
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
  const frame = new Frame(model, { countsTools: true });
  const chosen = await frame.hold(body, params.abortSignal);
  return { frame, sent: { ...params, maxOutputTokens: chosen ?? maxOutputTokens } };
}

/** The parts of a stream as they came, each counted; cut when the reservation is used up. */
function counted(stream: ReadableStream<Any>, frame: Frame): ReadableStream<Any> {
  const reader = stream.getReader();
  // Whoever reads may do so elsewhere, and only then may a client below send its request.
  const within = frame.run(() => AsyncLocalStorage.snapshot());
  let refusal: unknown;
  return new ReadableStream<Any>(
    {
      async pull(controller) {
        try {
          do {
            const { done, value } = await within(() => reader.read());
            if (done) {
              await frame.end();
              if (refusal !== undefined) throw refusal;
              controller.close();
              return;
            }
            const delta = /^(text|reasoning|tool-input)-delta$/.test(value.type) ? value.delta : undefined;
            if (delta) await frame.push(delta);
            if (value.type === "finish") await frame.settle(told(value.usage));
            // Read to its end even so: its usage is in its last part.
            refusal ??= await toolCall(frame, value).catch((error) => error);
            if (refusal === undefined) controller.enqueue(value);
          } while (refusal !== undefined);
        } catch (error) {
          await frame.end();
          reader.cancel(error).catch(() => undefined);
          controller.error(error);
        }
      },
      async cancel(reason) {
        await Promise.all([frame.end(), reader.cancel(reason).catch(() => undefined)]);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Counts a part of an answer that asks for a call of a tool. */
async function toolCall(frame: Frame, part: Any): Promise<void> {
  if (part.type === "tool-call" && !part.providerExecuted) await frame.toolCall(String(part.toolName));
}

function told(usage: unknown): Told {
  return { body: { usage }, provider: "ai_sdk" };
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
