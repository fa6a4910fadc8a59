/**
 * Where does the @anthropic-ai/sdk package spend money, and where is it stopped before it does?
 *
 * `backendMiddleware` names what runs round each HTTP attempt, below the caller's own middleware and
 * before Bedrock and Vertex rewrite and sign the request. Invariant: what is thrown there is neither
 * retried nor wrapped.
 *
 * Not covered: the event streams of Bedrock are not server-sent events; such a call is settled at its
 * worst case.
 */

import { Ask, type Attempt, failureOf } from "./attempt.js";
import { Bill } from "./billed.js";
import { sending } from "./fetch.js";
import { type Method, Patches } from "./patches.js";
import { guarded } from "./response.js";

const ANTHROPIC = new Bill("anthropic");
const patches = new Patches();

/** A request as the client's middleware sees it. */
interface Request {
  url: string;
  method?: string;
  body?: unknown;
  signal?: AbortSignal | null;
}

async function attempted(request: Request, next: (request: Request) => Promise<Response>): Promise<Response> {
  const ask = await Ask.read(ANTHROPIC, request.method ?? "GET", request.url, request.body);
  if (ask === null) return next(request);
  const attempt: Attempt = await ask.reserve(request.signal);
  const body = JSON.stringify({ ...JSON.parse(String(request.body)), ...attempt.patch });
  attempt.sent();
  let response: Response;
  try {
    response = await sending(() => next({ ...request, body }));
  } catch (error) {
    await attempt.failed(failureOf(error));
    throw error;
  }
  return guarded(response, attempt, request.signal);
}

function backendMiddleware(original: Method): Method {
  return function backendMiddleware(...args) {
    const own = original.call(this, ...args);
    return patches.on ? [attempted, ...own] : own;
  };
}

/** Puts the clients of this copy of the package under the current task's budgets. */
export function guardAnthropic(client: { prototype: object }): void {
  patches.apply(client.prototype as Record<string, unknown>, "@anthropic-ai/sdk", { backendMiddleware });
}

/** Is this client one of those? */
export function isAnthropicGuarded(client: unknown): boolean {
  return patches.guards(client);
}

/** Undoes it. Calls already in flight are still settled. */
export function unguardAnthropic(): void {
  patches.restore();
}
