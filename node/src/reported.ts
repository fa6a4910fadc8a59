/** How does a report of the command line become an object? Its keys in camel case, and nothing else changed. */

import { ledger } from "./ledger.js";
import { native, unwrapped } from "./native.js";

/** The report `outlay report WHAT --json` with these options, of a ledger; or `outlay limits suggest --json`. */
export async function reported<T>(
  what: string | readonly string[],
  options: Record<string, string | undefined>,
  store?: string,
): Promise<T> {
  const { handle } = await ledger(store);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const words = [...[what].flat(), ...given.map(([name, value]) => `--${name}=${value}`)];
  return JSON.parse(await unwrapped(native.reportJson(handle, words)), camel) as T;
}

function camel(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const name = (key: string) => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [name(key), each]));
}
