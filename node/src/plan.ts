/** What will it cost, before anything runs? */

import { promises } from "node:fs";

import type * as Core from "./core.js";
import { InvalidInput } from "./errors.js";
import { native, unwrapped } from "./native.js";

type Interval = readonly [number, number] | null;

/** What a policy comes to. */
export interface PlanRow {
  /** What is done about a run that failed: `restart`, `checkpoint` or `abort`. */
  readonly policy: string;
  /** How many of the tasks succeed, from 0 to 1. */
  readonly success: number;
  /** Where that lies 19 times of 20; null where it has a formula. */
  readonly successInterval: Interval;
  /** What a task costs in USD, whether it succeeds or not. */
  readonly usd: number;
  /** Where that lies 19 times of 20; null where it has a formula. */
  readonly usdInterval: Interval;
  /** What a task that succeeds costs in USD, with those that did not. */
  readonly usdPerSuccess: number;
  /** What a task costs beside a run in which nothing fails: 1.18 is a tax of 18 %. */
  readonly overhead: number;
  /** What half of the tasks, 95 and 99 of a hundred cost at most in USD, by simulation. */
  readonly usdQuantiles: readonly [number, number, number];
}

/** What a flow will cost. `String(plan)` is a table. */
export class Plan {
  /** How many tasks. */
  readonly tasks: number;
  /** The chance that a run succeeds at once, from 0 to 1. */
  readonly runSuccess: number;
  /** What a run costs in USD in which nothing fails. */
  readonly idealUsd: number;
  /** Each policy: restart, checkpoint, abort; without checkpoint where nobody knows what a resume costs. */
  readonly rows: readonly PlanRow[];
  /** What checkpoints may cost a task more in USD before they do not pay; null without their row. */
  readonly checkpointGainUsd: number | null;
  /** From which failure rate of a run on checkpoints pay; null where no formula or rate says. */
  readonly checkpointFailureRate: number | null;
  readonly #text: string;

  /** @internal */
  constructor(told: Core.Plan) {
    this.tasks = told.tasks;
    this.runSuccess = told.runSuccess;
    this.idealUsd = told.idealUsd;
    this.rows = told.rows.map(row);
    this.checkpointGainUsd = told.checkpointGainUsd ?? null;
    this.checkpointFailureRate = told.checkpointFailureRate ?? null;
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

/**
 * What a flow of steps will cost.
 *
 * @param flow the path of a file in TOML, or the same keys and values as an object: `step` is a list of
 * steps with `name`, `usd` (or `model`, `input_tokens` and `output_tokens`) and `success`; beside it
 * `tasks`, `retries`, `failed_run_cost`, `resume_cost` and others.
 * @throws {InvalidInput} a flow that cannot be, or that hardly ever succeeds.
 * @throws {Unpriced} a model without a known price.
 * @example
 * const step = { name: "refund", usd: 0.1, success: 0.9 };
 * const told = await plan({ step: [step], failed_run_cost: "full", resume_cost: 0.3 });
 * told.rows.map((row) => row.policy); // ["restart", "checkpoint", "abort"]
 */
export async function plan(flow: string | object): Promise<Plan> {
  const isPath = typeof flow === "string";
  const asked = isPath ? await promises.readFile(flow, "utf8") : json(flow);
  return new Plan(await unwrapped(native.plan(asked, !isPath)));
}

function json(flow: unknown): string {
  try {
    // What is no object has no JSON, or one that the core refuses.
    return JSON.stringify(flow) ?? "null";
  } catch (error) {
    throw new InvalidInput(`a flow cannot be read: ${(error as Error).message}`);
  }
}

function row(told: Core.PlanRow): PlanRow {
  return {
    ...told,
    successInterval: interval(told.successInterval),
    usdInterval: interval(told.usdInterval),
    usdQuantiles: told.usdQuantiles as [number, number, number],
  };
}

function interval(told: number[]): Interval {
  return told.length === 2 ? (told as [number, number]) : null;
}
