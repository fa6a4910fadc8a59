/**
 * How long may a ledger in a file hold up one turn of the event loop?
 *
 * What the ledger can do at once takes less than handing it to a thread: it is done here, up to a millisecond
 * in each turn. What would have to wait, and what comes after that millisecond, a thread of ours does.
 */

import type { Failure } from "./native.js";
import { unwrap, whole } from "./native.js";

const TURN_MS = 1;
// What a `try` function of the core answers that would have had to wait, and did nothing.
const WAITS = -2;

let usedMs = 0;
let isCounting = false;

/** Does it by `attempt`, if that need not wait, else by `thread`. */
export async function soon(attempt: () => number, thread: () => Promise<number | Failure>): Promise<number> {
  const answer = usedMs > TURN_MS ? WAITS : timed(attempt);
  return answer === WAITS ? unwrap(await thread()) : whole(answer);
}

function timed(attempt: () => number): number {
  const began = performance.now();
  const answer = attempt();
  usedMs += performance.now() - began;
  if (!isCounting) {
    isCounting = true;
    setImmediate(() => {
      usedMs = 0;
      isCounting = false;
    });
  }
  return answer;
}
