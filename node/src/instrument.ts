/**
 * How does the guard get into the packages that call models?
 *
 * Into both copies each of them has, the one that `import` and the one that `require` gives, whether
 * the program has loaded them yet or not.
 */

import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join } from "node:path";

import { InvalidInput, Unsupported } from "./errors.js";
import type * as AnthropicGuard from "./integrations/anthropic.js";
import type * as Frames from "./integrations/frame.js";
import type * as OpenAIGuard from "./integrations/openai.js";

type Client = { prototype: object };

// Not loaded before somebody guards a client: a tenth of the time the package's import takes.
const openai = () => require("./integrations/openai.js") as typeof OpenAIGuard;
const anthropic = () => require("./integrations/anthropic.js") as typeof AnthropicGuard;
const frames = () => require("./integrations/frame.js") as typeof Frames;

const guardOpenAI = (owner: Client) => openai().guardOpenAI(owner);
const guardAnthropic = (owner: Client) => anthropic().guardAnthropic(owner);
const PACKAGES = [
  { name: "openai", client: "OpenAI", guard: guardOpenAI },
  { name: "@anthropic-ai/sdk", client: "BaseAnthropic", guard: guardAnthropic },
] as const;
/** Packages that may bring a copy of a client of their own. */
const FRAMEWORKS = ["@langchain/openai", "@langchain/anthropic", "@openai/agents-openai"];

/**
 * Puts the guard into the clients it finds beside this package and the program: openai and
 * @anthropic-ai/sdk, and the copies that LangChain and the OpenAI Agents SDK bring along.
 *
 * Every billed request of a guarded client is reserved before it is sent; one that does not fit throws
 * `BudgetExceeded` and is not sent. Clients made earlier are included; calling it again changes nothing.
 *
 * @param clients further copies of the clients' classes, as a bundler or a framework may bring along:
 *   `instrument(OpenAI)`.
 * @throws {Unsupported} an installed client is of a version that cannot be guarded.
 * @throws {InvalidInput} what is given is no such class.
 */
export function instrument(...clients: Client[]): void {
  for (const { name, client, guard } of PACKAGES) {
    for (const found of copies(name)) guard(ownerOf(found[client] as Client | undefined, name));
  }
  for (const given of clients) {
    const prototype = given?.prototype as Record<string, unknown> | undefined;
    if (typeof prototype?.backendMiddleware === "function") guardAnthropic(ownerOf(given, "the client"));
    else if (typeof prototype?.fetchWithTimeout === "function") guardOpenAI(ownerOf(given, "the client"));
    else throw new InvalidInput("what is given is no class of a client of openai or @anthropic-ai/sdk");
  }
}

/** Takes the guard out again. Calls in flight are still settled. */
export function uninstrument(): void {
  openai().unguardOpenAI();
  anthropic().unguardAnthropic();
  frames().forgetClients();
}

/** The class at the root of the clients', which has what is wrapped. */
function ownerOf(client: Client | undefined, name: string): Client {
  if (typeof client !== "function")
    throw new Unsupported(`this version of \`${name}\` has no client to guard`);
  let root: Client = client;
  for (let up = Object.getPrototypeOf(root); up?.prototype; up = Object.getPrototypeOf(up)) root = up;
  return root;
}

function copies(name: string): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  for (const load of places()) {
    const entry = resolved(load, `${name}/client.js`);
    if (entry !== undefined) found.push(load(entry), load(join(dirname(entry), "client.mjs")));
  }
  return found;
}

/** Where clients are looked for; never in the working directory, where an agent may write. */
function places(): NodeJS.Require[] {
  const beside = [__filename, ...program()].map((file) => createRequire(file));
  const within = beside.flatMap((load) => FRAMEWORKS.map((name) => resolved(load, name)));
  return [...beside, ...within.filter((entry) => entry !== undefined).map((entry) => createRequire(entry))];
}

/** The file that was started, if one was: `node -e` has its first argument there. */
function program(): string[] {
  const given = process.argv[1] ?? "";
  if (!isAbsolute(given)) return [];
  try {
    return [realpathSync(given)];
  } catch {
    // Started without its ending, as `node app`.
    return [given];
  }
}

function resolved(load: NodeJS.Require, name: string): string | undefined {
  try {
    return load.resolve(name);
  } catch {
    return undefined;
  }
}
