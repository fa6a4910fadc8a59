/** What belongs to the whole process: options, ledgers, budgets, the end. */

import { isMainThread, listened } from "./alerted.js";
import { Audit } from "./audit.js";
import { current } from "./context.js";
import { InvalidInput } from "./errors.js";
import { type KindOptions, plainKinds } from "./kind_options.js";
import { known, limitSpecs, Money, maybeText, tagTexts, text, thresholds, type UnitLimits } from "./money.js";
import { native, unwrap, unwrapped, whole } from "./native.js";
import { MeterReport, Report } from "./report.js";
import { type Usage, usageSpec } from "./usage.js";

/** The version of the package. */
export const version: string = native.version();

// Workers share the process's ledgers: these end with the process.
process.on("exit", () => isMainThread() && native.closeAll());

/** Options of the process. What is not given stays as it was. */
export interface Options {
  /** The ledger of tasks that name none. */
  store?: string;
  /** `os` (a commit survives kill -9) or `disk` (it survives loss of power). */
  durability?: "os" | "disk";
  /** Calls under no task: `warn` (charge the default task) or `refuse`. */
  unbound?: "warn" | "refuse";
  /** Billed methods that cannot be metered, under a limit in USD: `refuse` or `allow`. */
  unmetered?: "refuse" | "allow";
  /** If the ledger cannot answer: `refuse` or `allow`. */
  onUnavailable?: "refuse" | "allow";
  /** How requests are bounded: `counted`, or `strict`, a token for every byte. */
  bound?: "counted" | "strict";
  /** Streamed chat completions: `ask` them for their usage, or `leave` them as they are. */
  streamUsage?: "ask" | "leave";
  /** Whose signature an approval needs: public Ed25519 keys in PEM, by name. */
  approvers?: Record<string, string>;
  /**
   * Rules for tasks without `fallback`, the first about a model holds; without `when` once money gets short,
   * without `kind` for all.
   */
  routes?: readonly {
    model: string;
    fallback: readonly string[];
    kind?: string;
    when?: "short" | "always";
  }[];
  /** By model, in USD per million tokens: `{ "house-7b": { input: 0, output: "0.20" } }`. */
  prices?: Record<string, object>;
  /** For requests that set none; reasoning models have four times that. */
  defaultMaxOutputTokens?: number;
  /** Fewer are not worth a call; reasoning models need sixteen times that. */
  minOutputTokens?: number;
  /** At which shares of their limits budgets tell that name none themselves; see `onAlert`. */
  alerts?: readonly (number | string)[];
  /**
   * What tasks of a kind take that their callers give nothing of, in place of all kinds there were:
   * `{ refund: { usd: 0.5, llmCalls: 30, deadline: 600 } }`.
   */
  kinds?: Record<string, KindOptions>;
  /** What runs may cost in USD, by their kind; for `slo()`, nothing is refused by it. */
  slo?: Record<
    string,
    { target?: number | string; p95?: number | string; cap?: number | string; month?: number | string }
  >;
  /** What an hour of a run costs beside its models, for `kinds()`. */
  computeUsdPerHour?: number | string;
  /** What an entry about its calls costs, likewise. */
  orchestrationUsdPerEntry?: number | string;
}

const OPTIONS = {
  store: "store",
  durability: "durability",
  unbound: "unbound",
  unmetered: "unmetered",
  onUnavailable: "on_unavailable",
  bound: "bound",
  streamUsage: "stream_usage",
  approvers: "approvers",
  routes: "routes",
  prices: "prices",
  defaultMaxOutputTokens: "default_max_output_tokens",
  minOutputTokens: "min_output_tokens",
  alerts: "alerts",
  kinds: "kinds",
  slo: "slo",
  computeUsdPerHour: "compute_usd_per_hour",
  orchestrationUsdPerEntry: "orchestration_usd_per_entry",
} as const satisfies Record<keyof Options, string>;

/**
 * Changes options of the process.
 *
 * @throws {InvalidInput} an option that cannot be; nothing is changed.
 * @example
 * configure({ prices: { "house-7b": { input: 0, output: 0 } } });
 */
export function configure(options: Options): void {
  known(options, Object.keys(OPTIONS), "configure");
  const chosen = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [OPTIONS[name as keyof Options], name === "kinds" ? plainKinds(value) : value]);
  let json: string;
  try {
    json = JSON.stringify(Object.fromEntries(chosen), plain);
  } catch (error) {
    throw new InvalidInput(`an option cannot be read: ${(error as Error).message}`);
  }
  whole(native.configure(json));
}

function plain(_name: string, value: unknown): unknown {
  const isLost = typeof value === "function" || typeof value === "symbol";
  // JSON would leave it out, or make it null.
  if (isLost || (typeof value === "number" && !Number.isFinite(value)))
    throw new Error(`\`${String(value).slice(0, 40)}\``);
  return value;
}

/** Where something is kept: a ledger, opened once per process. */
export class Ledger {
  /** @internal */
  readonly handle: number;
  /** The store it was opened at. */
  readonly store: string;

  /** @internal */
  constructor(handle: number, store: string) {
    this.handle = handle;
    this.store = store;
  }

  /** The ids of calls in doubt, oldest first, each with what it holds. */
  async inDoubt(most = 1000): Promise<{ id: string; held: Money }[]> {
    const calls = await unwrapped(native.inDoubt(this.handle, most));
    return calls.map(({ id, held }) => ({ id, held: Money.fromNanos(held) }));
  }

  /** Recomputes every balance from the entries. @throws {Corrupt} if one differs. */
  async checkBalances(): Promise<void> {
    await unwrapped(native.checkBalances(this.handle));
  }

  /**
   * Computes chains, balances and names again.
   *
   * @param options `checkpoint`: its text, against which what lies before it is held; `key`: the public key
   * that must have signed it.
   * @returns what is wrong, if anything is.
   * @throws {Corrupt} a checkpoint that was edited.
   * @throws {Conflict} one of another ledger, or by another key.
   * @throws {Unsupported} a ledger in memory, which has no chain.
   * @example
   * const store = `sqlite:${join(folder, "ledger.db")}`;
   * const audit = await (await ledger(store)).audit();
   * console.log(audit.isSound, String(audit));
   */
  async audit(options: { checkpoint?: string; key?: string } = {}): Promise<Audit> {
    known(options, ["checkpoint", "key"], "audit");
    const checkpoint = maybeText(options.checkpoint, "checkpoint");
    const key = maybeText(options.key, "key");
    return new Audit(await unwrapped(native.audit(this.handle, checkpoint, key)));
  }

  /**
   * What the ledger is now, signed, as a text to keep elsewhere.
   *
   * @param key a private Ed25519 key in PEM, as `outlay audit keygen` makes one.
   * @throws {InvalidInput} no such key.
   * @throws {Unsupported} a ledger in memory, which has no chain.
   */
  async checkpoint(key: string): Promise<string> {
    return unwrapped(native.checkpoint(this.handle, text(key, "key")));
  }

  /** The halts in force, oldest first: what is halted, by whom, why. */
  async halts(): Promise<{ scope: string; by: string; reason: string }[]> {
    return unwrapped(native.halts(this.handle));
  }

  /**
   * What tasks ask for that nobody has approved, oldest first: by which id to approve it, the task, whose limit
   * is in its way, of which unit, and how much is needed.
   */
  async approvals(): Promise<{ id: string; task: string; budget: string; unit: string; needed: string }[]> {
    return unwrapped(native.approvals(this.handle));
  }

  /** Ends owners that died; returns how many of their calls are in doubt now. */
  sweep(): Promise<number> {
    return unwrapped(native.sweep(this.handle));
  }
}

const ledgers = new Map<string, Promise<Ledger>>();

/**
 * The ledger at `store`; without one, the running task's or the default.
 *
 * @throws {InvalidInput} a store that cannot be.
 * @throws {StoreUnavailable | Corrupt | Unsupported} the file cannot be used.
 */
export async function ledger(store?: string): Promise<Ledger> {
  const name = unwrap(native.storeName(maybeText(store, "store") ?? current()?.store));
  const open = ledgers.get(name);
  if (open !== undefined) return open;
  const opening = opened(name);
  ledgers.set(name, opening);
  opening.catch(() => ledgers.delete(name));
  return opening;
}

async function opened(name: string): Promise<Ledger> {
  await listened();
  const facts = await unwrapped(native.openLedger(name));
  return new Ledger(facts.handle, facts.store);
}

/** A budget that many tasks fall under. */
export interface Budget extends UnitLimits {
  /** The scope; none means every task. */
  tags?: Record<string, string>;
  /** Each value of this tag has a budget of its own. */
  per?: string;
  /** The window of limits given as numbers: `life`, `day`, `week`, `month`, `rolling:24h`. */
  window?: string;
  /** The time zone of calendar windows; UTC if absent. */
  tz?: string;
  /** The ledger; see `task`. */
  store?: string;
  /** Who declares it, for the entry of a grant. */
  by?: string;
  /** At which shares of its limits to tell, as `[0.5, "80%", "90% for 10m"]`; see `onAlert`. */
  alerts?: readonly (number | string)[];
}

const BUDGET = [
  "tags",
  "per",
  "window",
  "tz",
  "store",
  "by",
  "alerts",
  "usd",
  "tokens",
  "llmCalls",
  "toolCalls",
];

/**
 * Declares a budget that every task with these tags falls under, in every process.
 *
 * Declaring it again with the same limits changes nothing, with larger ones is a recorded grant.
 *
 * @throws {InvalidInput} no limit, or one that cannot be.
 * @throws {Conflict} smaller or other limits than there are.
 * @example
 * await budget({ tags: { tenant: "acme" }, usd: 50, window: "month", tz: "Europe/Berlin" });
 */
export async function budget(options: Budget): Promise<void> {
  known(options, BUDGET, "budget");
  const window = maybeText(options.window, "window") ?? "life";
  const tz = maybeText(options.tz, "tz");
  const per = maybeText(options.per, "per");
  const by = maybeText(options.by, "by");
  const alerts = thresholds(options.alerts);
  const spec = {
    tags: tagTexts(options.tags),
    limits: limitSpecs(options, { window, ...(tz !== undefined && { tz }) }),
    ...(per !== undefined && { per }),
    ...(by !== undefined && { by }),
    ...(alerts !== undefined && { alerts }),
  };
  await unwrapped(native.setBudget((await ledger(options.store)).handle, spec));
}

/**
 * Erases the value of a tag for ever; entries keep its number, reports say `erased`.
 *
 * @throws {NotFound} no such value.
 * @throws {Conflict} it has a budget of its own.
 */
export async function forget(key: string, value: string, options: { store?: string } = {}): Promise<void> {
  const { handle } = await ledger(options.store);
  await unwrapped(native.forget(handle, text(key, "key"), text(value, "value")));
}

/**
 * Ends a call in doubt: with the usage on the provider's bill, or as not billed.
 *
 * @param id the call's id, as `outlay resolve` lists it.
 * @param options `usage`: what the provider billed, absent means nothing; `by`: who says so.
 * @returns what the call cost.
 * @throws {NotFound} no such call.
 * @throws {Conflict} it is open in a running process, or ended with other content.
 */
export async function resolve(
  id: string,
  options: { usage?: Usage; by: string; store?: string },
): Promise<Money> {
  known(options, ["usage", "by", "store"], "resolve");
  const used = options.usage && usageSpec(options.usage);
  const { handle } = await ledger(options.store);
  const by = text(options.by, "by");
  return Money.fromNanos(await unwrapped(native.resolve(handle, text(id, "id"), used, by)));
}

/**
 * Where the money went.
 *
 * @param by `task`, `attempt`, `kind`, `agent`, `step`, `turn`, `model`, `provider` or `tag:NAME`.
 * @param options `since`: `7d`, `24h` or a date; absent means all.
 * @throws {InvalidInput} a word that is not known.
 */
export async function report(by = "task", options: { since?: string; store?: string } = {}): Promise<Report> {
  known(options, ["since", "store"], "report");
  const { handle } = await ledger(options.store);
  const since = maybeText(options.since, "since");
  return new Report(await unwrapped(native.report(handle, text(by, "by"), since)));
}

/**
 * The same as a page of HTML with charts, in one file that loads nothing from elsewhere.
 *
 * @param by `task`, `attempt`, `kind`, `agent`, `step`, `turn`, `model`, `provider` or `tag:NAME`.
 * @param options `since`: `7d`, `24h` or a date; absent means all.
 * @throws {InvalidInput} a word that is not known.
 * @example
 * await writeFile(join(folder, "november.html"), await reportHtml("agent", { since: "7d" }));
 */
export async function reportHtml(
  by = "task",
  options: { since?: string; store?: string } = {},
): Promise<string> {
  known(options, ["since", "store"], "reportHtml");
  const { handle } = await ledger(options.store);
  const since = maybeText(options.since, "since");
  return unwrapped(native.reportHtml(handle, text(by, "by"), since));
}

/**
 * How far the bounds of input were from what providers counted, by model.
 *
 * @param options `since`: `7d`, `24h` or a date; absent means all.
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * const { rows } = await meterReport(); // 995: what 99.5 % of the calls stay within
 * for (const row of rows) console.log(row.model, row.calls, row.overruns, row.boundOverTruth(995) / 1000);
 */
export async function meterReport(options: { since?: string; store?: string } = {}): Promise<MeterReport> {
  known(options, ["since", "store"], "meterReport");
  const { handle } = await ledger(options.store);
  return new MeterReport(await unwrapped(native.meterReport(handle, maybeText(options.since, "since"))));
}
