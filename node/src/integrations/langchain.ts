/**
 * How does a LangChain agent (1.x) stay inside its budget, whatever model it asks?
 *
 * Put `outlayMiddleware()` last into the agent's middleware. Where the model asks through a guarded client,
 * that client reserves, once per HTTP attempt; else the middleware reserves, from the messages, and
 * settles by the usage LangChain reports.
 *
 * Not covered: a model class with an HTTP client of its own that repeats a request by itself; its streams
 * are charged, not cut.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import type { AgentMiddleware } from "langchain";

import { current, held, under } from "../context.js";
import { known } from "../money.js";
import type { Running } from "../spans.js";
import { currentOrDefault } from "../task.js";
import { refuseUnmetered } from "./attempt.js";
import { orLast, within } from "./finish.js";
import { Frame } from "./frame.js";
import { cutShort, lastRequest, notCalled, withWords } from "./langchain_finish.js";
import { answered, asked, Called, conversationOf } from "./langchain_watch.js";
import { budgetNews, sharesOf, type TellBudget } from "./tell_budget.js";
import type { Message } from "./words.js";

// biome-ignore lint/suspicious/noExplicitAny: LangChain types requests by the agent's own state.
type Any = any;

/** Where classes of chat models keep the maximum of their answers. */
const MAXIMA = ["maxTokens", "maxOutputTokens", "maxCompletionTokens", "numPredict"];
const ROLES: Record<string, string> = { human: "user", ai: "assistant", tool: "tool", system: "system" };
const TURN_MAX = 64;
/** What the hook above is about: two of these may be stacked. */
const above = new AsyncLocalStorage<object>();

/**
 * Keeps an agent inside the budgets of the task it runs under.
 *
 * Calls of models are reserved before they are made, calls of tools are counted; what does not fit throws
 * `BudgetExceeded`, which LangChain wraps in an error of its own, and `task` unwraps. Inside a task, what
 * an agent with a name does is a task of its own with the tag `agent`. Under `breaker`, the model is told
 * when it goes in circles, then refused the call, and then `ApprovalRequired` or `BreakerTripped` is thrown.
 * Under `onLimit: "finish"` nothing is thrown where a limit is in the way: the model is told that the budget is
 * spent, and asked for its answer, once and without tools.
 *
 * @param options `name`: the middleware's, if an agent has two of them. `tellBudget`: tell the model what is left
 *   when 25, 50, 75 and 90 per cent of a limit are used, or so many: at the end of one request, so that what is
 *   cached stays good.
 * @throws {InvalidInput} shares that are no per cents from 1 to 100.
 * @example
 * const agent = createAgent({ model: "openai:gpt-4o", tools, middleware: [outlayMiddleware()] });
 * await task("refund", { usd: 0.5, toolCalls: 20 }, () =>
 *   agent.invoke({ messages: [{ role: "user", content: "Where is my money?" }] }));
 */
export function outlayMiddleware(options: { name?: string; tellBudget?: TellBudget } = {}): AgentMiddleware {
  known(options, ["name", "tellBudget"], "the middleware");
  const shares = sharesOf(options.tellBudget);
  const middleware = {
    // As `createMiddleware` makes it, which would load a second copy of LangChain.
    [Symbol.for("AgentMiddleware")]: true,
    name: options.name ?? "outlay",
    wrapModelCall: (request: Any, handler: Any) => inAgent(() => modelCall(request, handler, shares)),
    wrapToolCall: (request: Any, handler: Any) => inAgent(() => toolCall(request, handler)),
  };
  return middleware as unknown as AgentMiddleware;
}

/** Runs `fn` under the task of the agent that runs. */
async function inAgent<T>(fn: () => Promise<T>): Promise<T> {
  const task = current();
  const name = AsyncLocalStorageProviderSingleton.getRunnableConfig()?.metadata?.lc_agent_name;
  if (task === undefined || typeof name !== "string") return fn();
  return under(await task.ofAgent(name), fn);
}

async function modelCall(request: Any, handler: Any, shares: readonly number[]): Promise<Any> {
  return orLast(
    async () => ask(request, withWords(request, await budgetNews(shares)), handler),
    async (words) => ask(request, lastRequest(request, words, await itself(request.model)), handler),
  );
}

/** Asks the model; `sent` is what goes on to the next hook, with what the agent is told besides. */
async function ask(request: Any, sent: Any, handler: Any): Promise<Any> {
  const { messages } = request;
  const model = await itself(request.model);
  const watch = above.getStore() === messages ? undefined : current()?.watch;
  const conversation = conversationOf(watch, request);
  await asked(watch, messages, conversation);
  const frame = new Frame(model, { ...turnOf(messages), isTold: true });
  let asking = sent;
  if (!frame.isOverClient) {
    const { words } = await frame.hold(await bodyOf(sent, model), request.runtime?.signal);
    asking = words.reduce((before, { text }) => withWords(before, text), sent);
  }
  let response: Any;
  try {
    response = await frame.run(() => above.run(asking.messages, () => handler(asking)));
  } catch (error) {
    await frame.failed(error);
    throw error;
  }
  await frame.settle({ body: response?.usage_metadata ?? {}, provider: "langchain" });
  await answered(watch, response, conversation);
  return response;
}

async function toolCall(request: Any, handler: Any): Promise<Any> {
  const { toolCall, tool } = request;
  if (above.getStore() === toolCall) return handler(request);
  const watch = current()?.watch;
  const called = new Called(request, watch, conversationOf(watch, request));
  const refusal = await called.refusal();
  if (refusal !== undefined) return refusal;
  const { turn } = held();
  const said = turn === undefined ? turnOf(request.state?.messages ?? []) : { turn };
  const name = tool?.name ?? "unknown";
  let running: Running | undefined;
  try {
    const task = await currentOrDefault();
    running = await task.trace?.countTool(name, said);
    if (running === undefined) await task.toolCall(name, said);
  } catch (error) {
    return notCalled(toolCall, error);
  }
  try {
    const run = () => above.run(toolCall, () => handler(request));
    const ran = () => (running === undefined ? run() : running(run));
    return await called.answered(await within(toolCall, ran));
  } catch (error) {
    await called.failed(error);
    return cutShort(toolCall, error);
  }
}

/** What the user's message is called that is being answered. */
function turnOf(messages: readonly Any[]): { turn?: string } {
  // A message without an id is no user's: it was put in on the way, as what is left of the budget.
  const id = messages.findLast((message: Any) => message.getType?.() === "human" && message.id)?.id;
  return typeof id === "string" ? { turn: id.slice(0, TURN_MAX) } : {};
}

/** The model, where the agent was given its name only. */
async function itself(model: Any): Promise<Any> {
  const config = AsyncLocalStorageProviderSingleton.getRunnableConfig();
  return (await model._getModelInstance?.(config)) ?? model;
}

/** The request as a chat completion, which the core can read. */
async function bodyOf(request: Any, model: Any): Promise<{ messages: readonly Message[]; model: string }> {
  const { messages, systemMessage, tools } = request;
  const settings = request.modelSettings ?? {};
  const said = model.getLsParams?.(settings) ?? {};
  const maxima = MAXIMA.map((name) => settings[name] ?? model[name]);
  const most = said.ls_max_tokens ?? maxima.find((each) => typeof each === "number" && each > 0);
  if (most === undefined && held().maxUsd === undefined) {
    await refuseUnmetered(`langchain ${model.constructor.name} without a maximum of output`);
  }
  const before = systemMessage?.text ? [systemMessage] : [];
  return {
    model: said.ls_model_name ?? model.constructor.name,
    messages: [...before, ...messages].map(messageOf),
    ...(tools?.length > 0 && { tools: tools.map((tool: Any) => convertToOpenAITool(tool)) }),
    ...(most !== undefined && { max_tokens: most }),
  };
}

function messageOf(message: Any): Message {
  const { content, tool_calls: calls = [], tool_call_id } = message;
  const parts = typeof content === "string" ? content : content.map(partOf);
  const toolCalls = calls.map((call: Any) => ({
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: JSON.stringify(call.args ?? {}) },
  }));
  return {
    role: ROLES[message.getType()] ?? "user",
    content: parts,
    ...(tool_call_id !== undefined && { tool_call_id }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  };
}

function partOf(part: Any): object {
  if (part.type === "text" || part.type === "image_url") return part;
  const url = part.url ?? (part.data && `data:${part.mime_type ?? part.mimeType};base64,${part.data}`);
  if (part.type === "image" && url) return { type: "image_url", image_url: { url } };
  if (part.type === "file" && url) return { type: "file", file: { file_data: url } };
  return { type: "text", text: JSON.stringify(part) };
}
