/**
 * What of the requests that go past every guarded client and hook? A net over the global `fetch`.
 *
 * `const undo = guardFetch()`: requests to the hosts of OpenAI and Anthropic, and to those given, are
 * reserved for, get a maximum of output, and are settled by their answers. Those of a guarded client are
 * left to it, and a hook above gives back what it holds, so that nothing is charged twice.
 *
 * What it cannot do, which is why it has to be asked for:
 * - A refusal is thrown inside `fetch`, where most clients take it for a fault of the network: they repeat
 *   it (nothing is sent) and wrap it in an error of their own. `task` unwraps it.
 * - `node:http`, a `fetch` that was kept before or comes from a package (undici), and websockets are not seen.
 * - Requests that are signed over their body (Bedrock) may not be changed, and would be rejected: they go
 *   to hosts it does not know, unguarded.
 * - Calls of tools are not counted, and bodies that are streams cannot be read: such a request is refused
 *   under a limit in USD.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { InvalidInput } from "../errors.js";
import { known } from "../money.js";
import { Ask, failureOf } from "./attempt.js";
import { Bill } from "./billed.js";
import { guarded } from "./response.js";

/** Whose HTTP interface a host has. */
export type Interface = "openai" | "anthropic";

const BILLS: Record<Interface, Bill> = { openai: new Bill("openai"), anthropic: new Bill("anthropic") };
const HOSTS: Record<string, Interface> = { "api.openai.com": "openai", "api.anthropic.com": "anthropic" };

const own = new AsyncLocalStorage<true>();
let nets = 0;

/** Runs what sends a request that is reserved for already. */
export function sending<T>(fn: () => T): T {
  return nets > 0 ? own.run(true, fn) : fn();
}

/**
 * Puts the guard into the global `fetch`.
 *
 * @param options `hosts`: further hosts, with port if they have one, and whose interface they have:
 *   `{ "gateway.example:8080": "openai" }`.
 * @returns what takes it out again.
 * @throws {InvalidInput} a host of another interface.
 * @example
 * const undo = guardFetch({ hosts: { "gateway.example": "openai" } });
 */
export function guardFetch(options: { hosts?: Record<string, Interface> } = {}): () => void {
  known(options, ["hosts"], "guardFetch");
  const hosts: Record<string, Interface> = { ...HOSTS, ...options.hosts };
  for (const [host, name] of Object.entries(hosts)) {
    if (!Object.hasOwn(BILLS, name)) throw new InvalidInput(`host \`${host}\` has no known interface`);
  }
  const original = globalThis.fetch;
  let isOn = true;
  const fetch: typeof original = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    const name = hosts[url.host];
    if (!isOn || name === undefined || own.getStore()) return original(input, init);
    return attempted(BILLS[name], url.href, input, init, original);
  };
  globalThis.fetch = fetch;
  nets += 1;
  return () => {
    if (!isOn) return;
    isOn = false;
    nets -= 1;
    // Somebody else's may lie over ours by now; then ours steps aside.
    if (globalThis.fetch === fetch) globalThis.fetch = original;
  };
}

type Fetch = typeof globalThis.fetch;
type Input = Parameters<Fetch>[0];
type Init = Parameters<Fetch>[1];

async function attempted(bill: Bill, url: string, input: Input, init: Init, send: Fetch): Promise<Response> {
  const request = input instanceof Request ? input : undefined;
  const method = init?.method ?? request?.method ?? "GET";
  const signal = init?.signal ?? request?.signal;
  const isFree = bill.api(method, url) === null;
  const ask = isFree ? null : await Ask.read(bill, method, url, await bodyOf(request, init));
  if (ask === null) return send(input, init);
  const text = (await bodyOf(request, init)) as string;
  const attempt = await ask.reserve(signal);
  const body = JSON.stringify({ ...JSON.parse(text), ...attempt.patch });
  const headers = new Headers(init?.headers ?? request?.headers);
  headers.delete("content-length");
  attempt.sent();
  let response: Response;
  try {
    response = await own.run(true, () => send(request ?? url, { ...init, method, headers, body }));
  } catch (error) {
    await attempt.failed(failureOf(error));
    throw error;
  }
  return guarded(response, attempt, signal);
}

/** The text of a request's body; undefined if it cannot be read without using it up. */
async function bodyOf(request: Request | undefined, init: Init): Promise<string | undefined> {
  const body = init?.body;
  if (body === undefined || body === null) return request?.clone().text();
  if (body instanceof Uint8Array || body instanceof ArrayBuffer) return Buffer.from(body as never).toString();
  return typeof body === "string" ? body : undefined;
}
