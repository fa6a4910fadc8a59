/**
 * How does an attempt end, whatever became of its response?
 *
 * Invariant: whoever reads the body, in whichever way, reads it through here, as it comes, and the
 * attempt ends with it: read to its end, left, aborted, broken, or out of anybody's reach.
 */

import type { Attempt } from "./attempt.js";

const BODY_MAX_BYTES = 32 * 1024 * 1024;

/** The response for the client to read; the attempt ends with its body. */
export async function guarded(
  response: Response,
  attempt: Attempt,
  signal: AbortSignal | null | undefined,
): Promise<Response> {
  const { status, statusText, headers, body } = response;
  // A `fetch` of the caller's may answer with a body that is none of the platform's: such a call is
  // settled at its worst case.
  if (status < 200 || status > 299 || typeof body?.getReader !== "function") {
    await attempt.answered(status, "");
    return response;
  }
  const isEvents = (headers.get("content-type") ?? "").startsWith("text/event-stream");
  const reading = isEvents ? new Events(attempt) : new Whole(attempt, status);
  const through = new Response(passing(body, reading, signal), { status, statusText, headers });
  for (const name of ["url", "redirected", "type"] as const) {
    Object.defineProperty(through, name, { value: response[name], configurable: true });
  }
  return through;
}

/** One way of reading a body. */
interface Reading {
  /** Takes bytes; returns those to hand on. */
  take(chunk: Uint8Array): Promise<Uint8Array>;
  /** The body came to its end; returns what was kept back. */
  end(): Promise<Uint8Array | null>;
  /** It did not. */
  leave(): Promise<void>;
}

function passing(
  body: ReadableStream<Uint8Array>,
  reading: Reading,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const left = () => void reading.leave();
  signal?.addEventListener("abort", left, { once: true });
  const over = () => signal?.removeEventListener("abort", left);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (let handed = 0; handed === 0; ) {
            const { done, value } = await reader.read();
            const chunk = done ? await reading.end() : await reading.take(value);
            if (chunk !== null && chunk.length > 0) controller.enqueue(chunk);
            handed = chunk?.length ?? 0;
            if (!done) continue;
            over();
            controller.close();
            return;
          }
        } catch (error) {
          over();
          await reading.leave();
          reader.cancel(error).catch(() => undefined);
          controller.error(error);
        }
      },
      async cancel(reason) {
        over();
        await Promise.all([reading.leave(), reader.cancel(reason).catch(() => undefined)]);
      },
    },
    // Nothing is read ahead: what is read has been counted and may be billed.
    { highWaterMark: 0 },
  );
}

/** Server-sent events, counted as they come. */
class Events implements Reading {
  readonly #attempt: Attempt;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  take(chunk: Uint8Array): Promise<Uint8Array> {
    return this.#attempt.push(chunk);
  }

  end(): Promise<Uint8Array | null> {
    return this.#attempt.finish();
  }

  leave(): Promise<void> {
    return this.#attempt.end();
  }
}

/** An answer that says at its end what it used. */
class Whole implements Reading {
  readonly #attempt: Attempt;
  readonly #status: number;
  readonly #kept: Uint8Array[] = [];
  #size = 0;

  constructor(attempt: Attempt, status: number) {
    this.#attempt = attempt;
    this.#status = status;
  }

  async take(chunk: Uint8Array): Promise<Uint8Array> {
    this.#size += chunk.length;
    if (this.#size <= BODY_MAX_BYTES) this.#kept.push(chunk);
    return chunk;
  }

  async end(): Promise<null> {
    if (this.#size > BODY_MAX_BYTES) await this.#attempt.failed("connection");
    else await this.#attempt.answered(this.#status, Buffer.concat(this.#kept).toString("utf8"));
    return null;
  }

  leave(): Promise<void> {
    return this.#attempt.failed("connection");
  }
}
