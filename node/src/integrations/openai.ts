/**
 * Where does the openai package spend money, and where is it stopped before it does?
 *
 * Every HTTP attempt of every resource passes `buildRequest` and then `fetchWithTimeout`. Invariant: it
 * is reserved for in the first, where what is thrown is neither retried nor wrapped, and ends in the
 * second, or in `makeRequest` where it never got so far.
 *
 * Not covered: websockets (realtime), and requests sent past the openai package.
 */

import { Ask, type Attempt, failureOf } from "./attempt.js";
import { Bill } from "./billed.js";
import { sending } from "./fetch.js";
import { type Method, Patches } from "./patches.js";
import { guarded } from "./response.js";

const OPENAI = new Bill("openai");
const patches = new Patches();

/** Attempts by what the client passes on from `buildRequest` to `fetchWithTimeout`. */
const built = new WeakMap<object, Attempt | "aborted">();
/** The latest attempt of a request, by its options. */
const latest = new WeakMap<object, Attempt>();
/** Requests by their options, read once for all their attempts. */
const asks = new WeakMap<object, Ask>();

function buildRequest(original: Method): Method {
  return async function buildRequest(options, ...more) {
    if (!patches.on) return original.call(this, options, ...more);
    const { method, path, body: asked } = options;
    const ask = asks.get(options) ?? (await Ask.read(OPENAI, method, path, asked, this.baseURL));
    if (ask === null) return original.call(this, options, ...more);
    asks.set(options, ask);
    let attempt: Attempt;
    try {
      attempt = await ask.reserve(options.signal);
    } catch (error) {
      if (!options.signal?.aborted) throw error;
      // The client has an error of its own for this, and throws it in time.
      const request = await original.call(this, options, ...more);
      built.set(request.req, "aborted");
      return request;
    }
    latest.set(options, attempt);
    const body = typeof options.body === "string" ? JSON.parse(options.body) : options.body;
    const patched = { ...options, body: { ...body, ...attempt.patch } };
    const request = await original.call(this, patched, ...more);
    built.set(request.req, attempt);
    return request;
  };
}

function makeRequest(original: Method): Method {
  return async function makeRequest(input, retriesRemaining, ...more) {
    const options = await input;
    // A caller may have changed and sent the same options again.
    if (retriesRemaining == null) asks.delete(options);
    try {
      return await original.call(this, options, retriesRemaining, ...more);
    } catch (error) {
      const attempt = latest.get(options);
      if (attempt !== undefined && !attempt.isSent) await attempt.failed("not_sent");
      throw error;
    }
  };
}

function fetchWithTimeout(original: Method): Method {
  return async function fetchWithTimeout(url, init, ms, controller, ...more) {
    const attempt = init && built.get(init);
    if (attempt === undefined) return original.call(this, url, init, ms, controller, ...more);
    if (attempt === "aborted") throw new DOMException("aborted", "AbortError");
    built.delete(init);
    attempt.sent();
    let response: Response;
    try {
      response = await sending(() => original.call(this, url, init, ms, controller, ...more));
    } catch (error) {
      await attempt.failed(failureOf(error));
      throw error;
    }
    return guarded(response, attempt, controller?.signal);
  };
}

/** Puts the clients of this copy of the package under the current task's budgets. */
export function guardOpenAI(client: { prototype: object }): void {
  patches.apply(client.prototype as Record<string, unknown>, "openai", {
    buildRequest,
    makeRequest,
    fetchWithTimeout,
  });
}

/** Is this client one of those? */
export function isOpenAIGuarded(client: unknown): boolean {
  return patches.guards(client);
}

/** Undoes it. Calls already in flight are still settled. */
export function unguardOpenAI(): void {
  patches.restore();
}
