/** What does the breaker of a task see of a LangChain agent, and what does the agent hear? */

import { ToolMessage } from "@langchain/core/messages";

import type { Step } from "../breaker.js";
import { current } from "../context.js";
import { OutlayError } from "../errors.js";
import type { Watch } from "../watch.js";

// biome-ignore lint/suspicious/noExplicitAny: LangChain types requests by the agent's own state.
type Any = any;

/** Which conversation of a task it is, by the first words of the user. */
export type Conversation = Pick<Step, "conversation">;

/** The one that a request or the call of a tool belongs to, if somebody watches. */
export function conversationOf(watch: Watch | undefined, request: Any): Conversation {
  if (watch === undefined) return {};
  const task = current()?.id;
  const messages: Any[] = request.state?.messages ?? request.messages ?? [];
  const first = messages.find((each) => each.getType?.() === "human");
  return task === undefined || first === undefined ? {} : { conversation: `${task} ${first.text}` };
}

/** The text of a message, and what stands beside it, as an image. */
function gave(message: Any): Pick<Step, "result" | "parts"> {
  const { content, text } = message;
  const parts = Array.isArray(content) ? content.filter(({ type }: Any) => type !== "text") : [];
  return { result: text, parts };
}

/** Lets the breaker see what a model is asked. */
export async function asked(watch: Watch | undefined, messages: Any[], of: Conversation): Promise<void> {
  watch?.goOn();
  const last = messages.at(-1);
  if (last?.getType() === "human") await watch?.tell({ kind: "user", ...gave(last), ...of });
}

/** Lets it see what the model answered. */
export async function answered(watch: Watch | undefined, response: Any, of: Conversation): Promise<void> {
  if (typeof response?.getType !== "function" || response.getType() !== "ai") return;
  const malformed = (response.invalid_tool_calls?.length ?? 0) > 0;
  await watch?.tell({ kind: "llm", result: response.text, malformed, ...of });
}

/** One call of a tool, as the breaker sees it. */
export class Called {
  readonly #call: Any;
  readonly #watch: Watch | undefined;
  readonly #step: Step;

  constructor(request: Any, watch: Watch | undefined, of: Conversation) {
    this.#call = request.toolCall;
    this.#watch = watch;
    const together = request.state?.messages?.at(-1)?.tool_calls;
    this.#step = {
      kind: "tool",
      name: this.#call.name,
      args: this.#call.args,
      ...of,
      // The calls of one answer run side by side: they count as one.
      ...(together?.length > 1 && { batch: String(together[0].id) }),
    };
  }

  /** What to answer instead of calling the tool. */
  async refusal(): Promise<ToolMessage | undefined> {
    const content = await this.#watch?.ask(this.#step);
    if (content == null) return undefined;
    return new ToolMessage({
      content,
      tool_call_id: this.#call.id ?? "",
      name: this.#call.name,
      status: "error",
    });
  }

  /** The answer of the tool, with what the breaker says to it. */
  async answered(answer: Any): Promise<Any> {
    if (this.#watch === undefined || typeof answer?.getType !== "function") return answer;
    const error = answer.status === "error";
    const said = await this.#watch.tell({ ...this.#step, ...gave(answer), error });
    if (said === null) return answer;
    const note = `\n\n${said}`;
    const content =
      typeof answer.content === "string"
        ? answer.content + note
        : [...answer.content, { type: "text", text: note }];
    return new ToolMessage({ ...answer, content });
  }

  /** The tool threw. */
  async failed(error: unknown): Promise<void> {
    if (OutlayError.isInstance(error)) return;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    await this.#watch?.tell({ ...this.#step, result: `${name}: ${message}`, error: true });
  }
}
