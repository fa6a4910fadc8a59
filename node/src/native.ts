/**
 * Where is the core? In the package of this platform, or beside the sources in a clone.
 *
 * Invariant: what the core answers is either a result or a thrown `OutlayError`.
 */

import type * as Core from "./core.js";
import { fromNative, type OutlayError } from "./errors.js";

export type Native = typeof Core;
export type { Failure, Figures, LimitSpec, TaskSpec, UsageSpec } from "./core.js";

/** As `package.json` has them; of Linux npm installs the one for its C library. */
const PLATFORMS = [
  "darwin-arm64",
  "darwin-x64",
  "linux-arm64-gnu",
  "linux-arm64-musl",
  "linux-x64-gnu",
  "linux-x64-musl",
  "win32-x64-msvc",
];

function load(): Native {
  const platform = `${process.platform}-${process.arch}`;
  const names = PLATFORMS.filter((name) => name === platform || name.startsWith(`${platform}-`));
  const broken: string[] = [];
  for (const name of names.flatMap((name) => [`outlay-${name}`, `../outlay.${name}.node`])) {
    try {
      return require(name) as Native;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "MODULE_NOT_FOUND") broken.push(`${name}: ${message.split("\n")[0]}`);
    }
  }
  const packages = names.map((name) => `\`outlay-${name}\``).join(" or ");
  const missing = `the package ${packages} is not installed; npm leaves it out with \`--omit=optional\`, and where \`node_modules\` comes from another platform`;
  const why = names.length === 0 ? `there is none; there are ${PLATFORMS.join(", ")}` : missing;
  const message = `outlay has no core for ${platform}: ${broken.join("; ") || why}`;
  // No class of ours: they are made of the core.
  throw Object.assign(new Error(message), { code: "unsupported" });
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
