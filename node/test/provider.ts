/** The loopback provider of `outlay/testing`, as tests steer it and read its books: in its own words. */

import { join } from "node:path";
import { Provider as Running } from "outlay/testing";

export interface Entry {
  path: string;
  model: string;
  max_tokens: number | null;
  attempt: number | null;
  outcome: "open" | "served" | "partial" | "refused";
  status: number;
  stream: boolean;
  cost_nanos: number;
}

export interface Bill {
  count: number;
  open: number;
  served: number;
  partial: number;
  refused: number;
  cost_nanos: number;
  entries: Entry[];
}

export const PYTHON = process.env.OUTLAY_PYTHON ?? join(__dirname, "../../../.venv/bin/python");

/** One provider process; it ends with this one. */
export class Provider {
  readonly url: string;
  readonly openaiUrl: string;
  readonly anthropicUrl: string;

  private constructor(private readonly running: Running) {
    this.url = running.url;
    this.openaiUrl = running.openaiUrl;
    this.anthropicUrl = running.anthropicUrl;
  }

  static async start(): Promise<Provider> {
    return new Provider(await Running.start({ python: PYTHON }));
  }

  stop(): Promise<void> {
    return this.running.stop();
  }

  async control(order: object): Promise<void> {
    await this.running.control(order);
  }

  /** Forgets everything and answers so from now on. */
  reset(reply: object = { tokens: 20 }, queue: object[] = []): Promise<void> {
    return this.control({ reset: true, default: reply, queue });
  }

  /** The books, once no request is open. */
  async bill(): Promise<Bill> {
    const response = await fetch(`${this.url}/bill?wait_s=20`);
    return (await response.json()) as Bill;
  }
}
