/**
 * How are other packages' methods replaced, so that it can be undone?
 *
 * Invariant: a method is wrapped at most once, and after `restore()` ours does nothing, even where
 * somebody else has wrapped it in the meantime and ours must stay below theirs.
 */

import { Unsupported } from "../errors.js";

// biome-ignore lint/suspicious/noExplicitAny: other packages' methods have any shape.
export type Method = (this: any, ...args: any[]) => any;
export type Wrap = (original: Method) => Method;

/** The replacements one integration has made; each must step aside while `on` is false. */
export class Patches {
  on = false;
  readonly #made = new Map<object, Map<string, { original: Method; replacement: Method }>>();

  /**
   * Replaces each method by `wrap(original)`, once.
   *
   * @throws {Unsupported} the owner has no such method. Nothing is replaced.
   */
  apply(owner: Record<string, unknown>, what: string, wraps: Record<string, Wrap>): void {
    for (const name of Object.keys(wraps)) {
      if (typeof owner[name] !== "function") {
        throw new Unsupported(`this version of \`${what}\` has no \`${name}\` to guard`);
      }
    }
    this.on = true;
    if (this.#made.has(owner)) return;
    const made = new Map<string, { original: Method; replacement: Method }>();
    for (const [name, wrap] of Object.entries(wraps)) {
      const original = owner[name] as Method;
      const replacement = wrap(original);
      owner[name] = replacement;
      made.set(name, { original, replacement });
    }
    this.#made.set(owner, made);
  }

  /** Does this object have methods that were replaced? */
  guards(one: unknown): boolean {
    const owners = [...this.#made.keys()];
    return this.on && owners.some((owner) => Object.prototype.isPrototypeOf.call(owner, Object(one)));
  }

  /** Puts the originals back, except where another package's wrapper now holds ours. */
  restore(): void {
    this.on = false;
    for (const [owner, made] of this.#made) {
      for (const [name, { original, replacement }] of made) {
        const place = owner as Record<string, unknown>;
        if (place[name] !== replacement) continue;
        place[name] = original;
        made.delete(name);
      }
      if (made.size === 0) this.#made.delete(owner);
    }
  }
}
