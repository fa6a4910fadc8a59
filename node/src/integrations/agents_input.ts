/** How is what @openai/agents asks and tells read as a chat completion, and a word put into it? */

import type { ModelRequest } from "@openai/agents";

import type { Told } from "./frame.js";
import type { Message, Word } from "./words.js";

// biome-ignore lint/suspicious/noExplicitAny: items of the SDK have two dozen shapes.
type Any = any;

/** The request as a chat completion, which the core can read. */
export function bodyOf(model: string, request: ModelRequest, stream: boolean) {
  const { systemInstructions, input, modelSettings, tools, handoffs, outputType } = request;
  const system = systemInstructions ? [{ role: "system", content: systemInstructions }] : [];
  const items = messagesOf(input);
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

/** The input as messages of a chat completion, one for each item. */
export function messagesOf(input: ModelRequest["input"]): Message[] {
  return typeof input === "string" ? [{ role: "user", content: input }] : input.map(messageOf);
}

function messageOf(item: Any): Message {
  const { type, role, content } = item;
  if (type === "function_call") {
    const call = { name: item.name, arguments: item.arguments };
    return {
      role: "assistant",
      content: "",
      tool_calls: [{ id: item.callId, type: "function", function: call }],
    } as Message;
  }
  if (type === "function_call_result") {
    return { role: "tool", content: textOf(item.output), tool_call_id: item.callId } as Message;
  }
  if (typeof content === "string") return { role: role ?? "user", content };
  if (role !== undefined && Array.isArray(content)) return { role, content: content.map(partOf) };
  // What a model thought, or called that the provider runs.
  return { role: role ?? "assistant", content: JSON.stringify(item) };
}

function textOf(output: Any): string {
  if (typeof output === "string") return output;
  return output?.type === "text" ? output.text : JSON.stringify(output);
}

function partOf(part: { text?: unknown; image?: unknown; type?: string; file?: unknown }): object {
  if (typeof part.text === "string") return { type: "text", text: part.text };
  if (part.type === "input_image") return { type: "image_url", image_url: { url: part.image } };
  if (part.type === "input_file") return { type: "file", file: { file_data: part.file } };
  return { type: "text", text: JSON.stringify(part) };
}

/** The request with what the breaker says in it. */
export function withWords(request: ModelRequest, words: readonly Word[]): ModelRequest {
  if (words.length === 0) return request;
  const { input, systemInstructions } = request;
  const items: Any[] = typeof input === "string" ? [{ role: "user", content: input }] : input;
  const before = systemInstructions ? 1 : 0;
  const said = items.map((item, at) => words.filter((word) => word.at === at + before).reduce(saying, item));
  return { ...request, input: said };
}

/** An item with a word behind it, or in its place. */
function saying(item: Any, { text, isInstead }: Word): Any {
  const part = { type: "input_text", text };
  const { output, content } = item;
  if (item.type === "function_call_result") {
    if (isInstead) return { ...item, output: text };
    return { ...item, output: Array.isArray(output) ? [...output, part] : `${textOf(output)}\n\n${text}` };
  }
  return { ...item, content: Array.isArray(content) ? [...content, part] : `${content}\n\n${text}` };
}

/** The request with a user's message behind the last one. */
export function saidTo(request: ModelRequest, text: string): ModelRequest {
  const { input } = request;
  const items = typeof input === "string" ? [{ role: "user", content: input } as const] : input;
  return { ...request, input: [...items, { role: "user", content: text }] };
}

/** The request that asks for the last answer. */
export function lastRequest(request: ModelRequest, words: string): ModelRequest {
  const said = saidTo(request, words);
  if (request.tools.length + request.handoffs.length === 0) return said;
  return { ...said, modelSettings: { ...said.modelSettings, toolChoice: "none" } };
}

/** What the SDK says was used. */
export function told(usage: object): Told {
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
