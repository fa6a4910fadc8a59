/** How is a prompt of the `ai` package read as a chat completion, and a word put into it? */

import type { Message, Word } from "./words.js";

// biome-ignore lint/suspicious/noExplicitAny: `ai` 6 and 7 name the same shapes differently.
type Any = any;

/** A message of a prompt as those of a chat completion: each result of a tool is one of its own. */
export function messagesOf(message: Any): Message[] {
  if (typeof message.content === "string") return [{ role: message.role, content: message.content }];
  if (message.role === "tool") {
    return message.content.map((part: Any) => ({
      role: "tool",
      tool_call_id: part.toolCallId ?? "",
      content: textOf(part),
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

function textOf({ output, ...part }: Any): string {
  const isText = output?.type === "text" || output?.type === "error-text";
  return isText ? output.value : JSON.stringify(output ?? part);
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

/** A tool as a chat completion has it. */
export function toolOf(tool: Any): object {
  const { name, description, inputSchema } = tool;
  return { type: "function", function: { name, description, parameters: inputSchema ?? tool } };
}

/** The prompt with what the breaker says in it. */
export function withWords(prompt: Any[], words: readonly Word[]): Any[] {
  let at = 0;
  return words.length === 0
    ? prompt
    : prompt.map((message) => {
        const from = at;
        at += messagesOf(message).length;
        const own = words.filter((word) => from <= word.at && word.at < at);
        if (own.length === 0) return message;
        if (message.role !== "tool") {
          const texts = own.map(({ text }) => ({ type: "text", text }));
          return { ...message, content: [...message.content, ...texts] };
        }
        const content = message.content.map((part: Any, place: number) =>
          own.filter((word) => word.at === from + place).reduce(saying, part),
        );
        return { ...message, content };
      });
}

/** The result of a tool with a word behind it, or in its place. */
function saying(part: Any, { text, isInstead }: Word): Any {
  const { output } = part;
  if (isInstead) return { ...part, output: { type: "error-text", value: text } };
  if (output?.type === "content") {
    return { ...part, output: { ...output, value: [...output.value, { type: "text", text }] } };
  }
  const type = String(output?.type).startsWith("error") ? "error-text" : "text";
  return { ...part, output: { type, value: `${textOf(part)}\n\n${text}` } };
}

/** The prompt with a user's message behind the last one. */
export function saidTo(prompt: Any[], text: string): Any[] {
  return [...prompt, { role: "user", content: [{ type: "text", text }] }];
}

/** The request that asks for the last answer. */
export function lastParams(params: Any, words: string): Any {
  const none = params.tools?.length > 0 && { toolChoice: { type: "none" } };
  return { ...params, prompt: saidTo(params.prompt, words), ...none };
}
