/** The loopback provider of `python -m outlay.testing`, as tests steer it and read its books. */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

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
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    readonly openaiUrl: string,
    readonly anthropicUrl: string,
  ) {}

  static async start(): Promise<Provider> {
    const command = ["-m", "outlay.testing", "--port", "0", "--until-stdin-closes"];
    const child = spawn(PYTHON, command, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const told = JSON.parse(line) as Record<string, string>;
      child.unref();
      return new Provider(child, told.url ?? "", told.openai_url ?? "", told.anthropic_url ?? "");
    }
    throw new Error("the provider did not start");
  }

  stop(): void {
    this.child.stdin?.end();
    this.child.kill();
  }

  async control(order: object): Promise<void> {
    const response = await fetch(`${this.url}/control`, { method: "POST", body: JSON.stringify(order) });
    const answer = (await response.json()) as { error?: { message: string } };
    if (answer.error) throw new Error(answer.error.message);
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
