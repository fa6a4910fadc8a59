/** What does a LangChain agent hear once its budget is spent? */

import { HumanMessage, ToolMessage } from "@langchain/core/messages";

import type { BudgetExceeded } from "../errors.js";
import { finishing, refusalIn } from "./finish.js";

// biome-ignore lint/suspicious/noExplicitAny: LangChain types requests by the agent's own state.
type Any = any;

/**
 * Models that are told by a word to call none of their tools. These stay where they are: what is cached
 * begins with them, and Anthropic refuses a conversation with calls of tools that it does not know.
 */
const KEEPS_TOOLS = new Set(["openai", "anthropic"]);

/** The request with words behind its last message, for this once. */
export function withWords(request: Any, words: string | undefined): Any {
  if (words === undefined) return request;
  return { ...request, messages: [...request.messages, new HumanMessage(words)] };
}

/** The request that asks for the last answer. */
export function lastRequest(request: Any, words: string, model: Any): Any {
  const last = withWords(request, words);
  if (!(request.tools?.length > 0)) return last;
  const keeps = KEEPS_TOOLS.has(model._llmType?.()) && request.responseFormat === undefined;
  return { ...last, ...(keeps ? { toolChoice: "none" } : { tools: [], toolChoice: undefined }) };
}

/** What the agent hears of a call of a tool that a limit refused; throws that where it may not finish. */
export function notCalled(called: Any, error: unknown): ToolMessage {
  const refused = refusalIn(error);
  const task = finishing();
  if (refused === undefined || task === undefined) throw error;
  task.isFinishing = true;
  return refusal(called, refused, "This call was not made.");
}

/** What it hears of a tool in which a limit over the agent refused something; throws any other error. */
export function cutShort(called: Any, error: unknown): ToolMessage {
  const refused = refusalIn(error);
  const task = finishing();
  if (refused === undefined || task === undefined || !task.isUnder(refused)) throw error;
  task.isFinishing = true;
  return refusal(called, refused, "This call was cut short.");
}

function refusal(called: Any, { message }: BudgetExceeded, what: string): ToolMessage {
  const content = `[Budget: ${message}. ${what}]`;
  return new ToolMessage({ content, tool_call_id: called.id ?? "", name: called.name, status: "error" });
}
