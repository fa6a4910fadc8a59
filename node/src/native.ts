/**
 * Where is the core? In the package of this platform, or beside the sources in a clone.
 *
 * Invariant: what the core answers is either a result or a thrown `OutlayError`.
 */

import type * as Core from "./core.js";
import { fromNative, type OutlayError } from "./errors.js";

export type Native = typeof Core;
export type { Failure, Figures, LimitSpec, TaskSpec, UsageSpec } from "./core.js";

function load(): Native {
  const platform = `${process.platform}-${process.arch}`;
  const names = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[process.platform as string] ?? [""];
  const tried: string[] = [];
  for (const name of names.flatMap((libc) => [
    `outlay-${platform}${libc}`,
    `../outlay.${platform}${libc}.node`,
  ])) {
    try {
      return require(name) as Native;
    } catch (error) {
      tried.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  throw new Error(`outlay has no core for ${platform} (${tried.join("; ")})`);
}

export const native: Native = load();

/** The error behind the core's last negative number. */
export function failure(): OutlayError {
  return fromNative(native.takeFailure() ?? { code: "corrupt", message: "unknown", fields: [] });
}

/** A number the core answered, or its error thrown. */
export function whole(answer: number): number {
  if (answer < 0) throw failure();
  return answer;
}

/** A result, or the error the core answered instead of it thrown. */
export function unwrap<T>(answer: T | Core.Failure): T {
  if (typeof answer === "object" && answer !== null && "code" in answer && "fields" in answer) {
    throw fromNative(answer);
  }
  return answer as T;
}

/** The same for what waits for a file. */
export async function unwrapped<T>(answer: Promise<T | Core.Failure>): Promise<T> {
  return unwrap(await answer);
}
