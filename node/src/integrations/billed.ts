/**
 * Which requests of a provider's client cost money?
 *
 * Invariant: a request is free only if the table names it as free. What is neither metered nor named
 * is taken to be billed in a way we cannot bound, so that a method a provider adds tomorrow is refused
 * under a hard limit, not overlooked. The table is the one of every language, `tests/billed.json`.
 */

interface Table {
  /** Endings of paths, each with the shape to meter them by. */
  metered: Record<string, string>;
  /** Patterns of whole paths. */
  free: string[];
}

const tables = require("./billed.json") as Record<string, Table>;

/** What one provider's HTTP interface charges for. */
export class Bill {
  readonly provider: string;
  readonly #metered: readonly [string, string][];
  readonly #free: RegExp;

  constructor(provider: string) {
    const { metered = {}, free = [] } = tables[provider] ?? {};
    this.provider = provider;
    this.#metered = Object.entries(metered);
    this.#free = new RegExp(`^(?:${free.join("|")})$`);
  }

  /** The path of a request's url, without its query. */
  path(url: string): string {
    return url.replace(/^[a-z]+:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "");
  }

  /** The shape to meter a request by, "" if it is billed and cannot be, null if it is free. */
  api(method: string, url: string): string | null {
    if (["GET", "HEAD", "OPTIONS", "DELETE"].includes(method.toUpperCase())) return null;
    const path = this.path(url);
    for (const [ending, api] of this.#metered) {
      if (path.endsWith(ending)) return api;
    }
    return this.#free.test(path) ? null : "";
  }
}
