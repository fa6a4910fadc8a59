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
 *
 * No hook sees tools run: the breaker of the task reads what they gave in the next request. An answer that
 * asks for a call that does not fit is dropped for the last one, where the task may finish so.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { held } from "../context.js";
import { known } from "../money.js";
import { lastParams, messagesOf, saidTo, toolOf, withWords } from "./ai_prompt.js";
import { refuseUnmetered } from "./attempt.js";
import { finishing, lastOf, orLast, refusalIn } from "./finish.js";
import { Frame, type Told, turnBy } from "./frame.js";
import { budgetNews, sharesOf, type TellBudget } from "./tell_budget.js";

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
 * Under `breaker` of the task the model is told when it goes in circles, then refused the result, and then
 * `ApprovalRequired` or `BreakerTripped` is thrown. Under `onLimit: "finish"` nothing is thrown where a limit is in
 * the way: the model is told that the budget is spent, and asked for its answer, once and without tools.
 *
 * @param options `version`: the middleware specification, `v4` for `ai` 7 (the default), `v3` for 6. `tellBudget`:
 *   tell the model what is left when 25, 50, 75 and 90 per cent of a limit are used, or so many: at the end of one
 *   request, so that what is cached stays good.
 * @throws {InvalidInput} shares that are no per cents from 1 to 100.
 * @example
 * const model = wrapLanguageModel({ model: openai("gpt-4o"), middleware: outlayMiddleware() });
 * await task("refund", { usd: 0.5 }, () => generateText({ model, prompt: "Where is my money?" }));
 */
export function outlayMiddleware(
  options: { version?: "v3" | "v4"; tellBudget?: TellBudget } = {},
): OutlayMiddleware {
  known(options, ["version", "tellBudget"], "the middleware");
  const shares = sharesOf(options.tellBudget);
  const told = async (params: Any) => {
    const news = await budgetNews(shares);
    return news === undefined ? params : { ...params, prompt: saidTo(params.prompt, news) };
  };
  return {
    specificationVersion: options.version ?? "v4",
    wrapGenerate: ({ model, params }) =>
      orLast(
        async () => generate(model, params, await told(params)),
        (words) => generate(model, params, lastParams(params, words)),
      ),
    async wrapStream({ model, params }) {
      const task = finishing();
      const here = AsyncLocalStorage.snapshot();
      const last = (words: string) => open(model, params, lastParams(params, words));
      const more = task && (() => here(() => lastOf(task, last)));
      return orLast(
        async () => streaming(await open(model, params, await told(params)), more),
        async (words) => streaming(await last(words)),
      );
    },
  };
}

/** Asks for a whole answer; `sent` is the request with what the model is told besides. */
async function generate(model: Any, params: Any, sent: Any): Promise<Any> {
  const { frame, patched } = await framed(model, params, sent, false);
  let result: Any;
  try {
    result = await frame.run(() => model.doGenerate(patched));
  } catch (error) {
    await frame.failed(error);
    throw error;
  }
  await frame.settle(usageOf(result.usage));
  for (const part of result.content) await toolCall(frame, part);
  return result;
}

/** An answer that streams in. */
interface Open {
  readonly result: Any;
  readonly frame: Frame;
  /** Whoever reads may do so elsewhere, and only then may a client below send its request. */
  readonly within: <T>(fn: () => T) => T;
}

async function open(model: Any, params: Any, sent: Any): Promise<Open> {
  const { frame, patched } = await framed(model, params, sent, true);
  try {
    const result = await frame.run(() => model.doStream(patched));
    return { result, frame, within: frame.run(() => AsyncLocalStorage.snapshot()) };
  } catch (error) {
    await frame.failed(error);
    throw error;
  }
}

async function framed(model: Any, params: Any, sent: Any, stream: boolean) {
  const { prompt, maxOutputTokens, tools } = sent;
  const foreign = tools?.find((tool: Any) => tool.type !== "function");
  if (foreign && held().maxUsd === undefined) await refuseUnmetered(`tool ${foreign.id ?? foreign.name}`);
  const body = {
    model: String(model.modelId),
    messages: (prompt as Any[]).flatMap(messagesOf),
    ...(maxOutputTokens !== undefined && { max_tokens: maxOutputTokens }),
    ...(tools?.length > 0 && { tools: tools.map(toolOf) }),
    ...(stream && { stream: true }),
  };
  const frame = new Frame(model, turnBy(params.prompt));
  const { maxTokens = maxOutputTokens, words } = await frame.hold(body, sent.abortSignal);
  return { frame, patched: { ...sent, prompt: withWords(prompt, words), maxOutputTokens: maxTokens } };
}

function streaming(first: Open, more?: () => Promise<Open>): Any {
  return { ...first.result, stream: counted(first, more) };
}

/**
 * The parts of a stream as they came, each counted; cut when the reservation is used up.
 *
 * @param more the last answer, which takes the place of what asked for a call of a tool that does not fit.
 */
function counted(first: Open, more?: () => Promise<Open>): ReadableStream<Any> {
  let { frame, within } = first;
  let reader = first.result.stream.getReader();
  let refusal: unknown;
  let last = more;
  // From the first call of a tool on, until it is known that all of them fit.
  let kept: Any[] = [];
  const next = async (answer: Open) => {
    ({ frame, within } = answer);
    reader = answer.result.stream.getReader();
    last = undefined;
    refusal = undefined;
    kept = [];
  };
  return new ReadableStream<Any>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await within(() => reader.read());
            if (done) {
              await frame.end();
              if (refusal !== undefined) {
                if (last === undefined || refusalIn(refusal) === undefined) throw refusal;
                await next(await last());
                continue;
              }
              for (const part of kept) controller.enqueue(part);
              controller.close();
              return;
            }
            const delta = /^(text|reasoning|tool-input)-delta$/.test(value.type) ? value.delta : undefined;
            if (delta) await frame.push(delta);
            if (value.type === "finish") await frame.settle(usageOf(value.usage));
            // Read to its end even so: its usage is in its last part.
            refusal ??= await toolCall(frame, value).catch((error) => error);
            if (refusal !== undefined || (more !== last && value.type === "stream-start")) continue;
            if (last !== undefined && (kept.length > 0 || /^tool-(input-start|call)$/.test(value.type))) {
              kept.push(value);
              continue;
            }
            controller.enqueue(value);
            return;
          }
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

function usageOf(usage: unknown): Told {
  return { body: { usage }, provider: "ai_sdk" };
}
