/** How does an event loop wait for money that other calls hold? By asking again after a pause. */

import { promises } from "node:timers";

const PAUSE_MIN_MS = 2;
const PAUSE_MAX_MS = 100;

/**
 * Tries until something comes of it; the last try, after `waitMs`, is told that it is the last.
 *
 * An aborted `signal` ends the waiting with its reason.
 */
export async function patiently<T>(
  waitMs: number,
  attempt: (isLast: boolean) => Promise<T | undefined>,
  signal?: AbortSignal | null,
): Promise<T> {
  const until = performance.now() + waitMs;
  for (let ms = PAUSE_MIN_MS; performance.now() < until; ms = Math.min(2 * ms, PAUSE_MAX_MS)) {
    signal?.throwIfAborted();
    const result = await attempt(false);
    if (result !== undefined) return result;
    await promises.setTimeout(ms, undefined, { signal: signal ?? undefined }).catch(() => undefined);
  }
  signal?.throwIfAborted();
  return (await attempt(true)) as T;
}
