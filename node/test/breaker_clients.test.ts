/** Is an agent that calls a client by itself told, refused, and stopped when it goes in circles? */

import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { after, before, beforeEach, describe, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { ApprovalRequired, BreakerTripped, instrument, type Task, type TaskOptions, task } from "outlay";

import { endpoints, within } from "./clients.js";
import { Provider, PYTHON } from "./provider.js";
import { climbs, last, noting, RESULT } from "./sent.js";
import { sqlite } from "./stores.js";

// biome-ignore lint/suspicious/noExplicitAny: messages of three APIs.
type Any = any;

const SEARCH = { tool_calls: [{ name: "search", arguments: '{"query":"weather"}' }] };
const DONE = { text: "I do not know." };
const CHANT = { text: "Let me check that again, just to be sure. ".repeat(60), chunk_tokens: 5 };
const ASKED = { role: "user", content: "how is the weather?" } as const;

let provider: Provider;
before(async () => {
  provider = await Provider.start();
  instrument();
});
beforeEach(() => provider.reset());
after(() => provider.stop());

/** Bodies of the requests that were sent. */
type Sent = Any[];

/** A loop round a client: asks, calls the tool, asks again. */
type Run = (sent: Sent) => Promise<string>;

const chat: Run = async (sent) => {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", fetch: noting(sent) });
  const messages: Any[] = [ASKED];
  for (;;) {
    const asked = await client.chat.completions.create({ model: "gpt-4o", messages, max_tokens: 50 });
    const answer = asked.choices[0]?.message as Any;
    messages.push(answer);
    if (!answer.tool_calls) return answer.content;
    for (const { id } of answer.tool_calls)
      messages.push({ role: "tool", tool_call_id: id, content: RESULT });
  }
};

const responses: Run = async (sent) => {
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", fetch: noting(sent) });
  const input: Any[] = [ASKED];
  for (;;) {
    const answer = await client.responses.create({ model: "gpt-4o", input, max_output_tokens: 50 });
    input.push(...answer.output);
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return answer.output_text;
    for (const { call_id } of calls) input.push({ type: "function_call_output", call_id, output: RESULT });
  }
};

const messages: Run = async (sent) => {
  const options = { baseURL: provider.anthropicUrl, apiKey: "any", fetch: noting(sent) };
  const client = new Anthropic(options as Any);
  const said: Any[] = [ASKED];
  for (;;) {
    const request = { model: "claude-opus-4-7", messages: said, max_tokens: 50 };
    const { content } = await client.messages.create(request);
    said.push({ role: "assistant", content });
    const used = content.filter((block) => block.type === "tool_use");
    if (used.length === 0) return (content[0] as Any).text;
    const results = used.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: RESULT }));
    said.push({ role: "user", content: results });
  }
};

function watched<T>(options: TaskOptions, fn: (t: Task) => Promise<T>): Promise<T> {
  return within({ breaker: true, ...options }, fn);
}

for (const [name, run] of Object.entries({ chat, responses, messages })) {
  describe(name, () => {
    test("the model is told, refused, and comes to an end", () =>
      watched({}, async (t) => {
        await provider.reset(DONE, Array(6).fill(SEARCH));
        const sent: Sent = [];
        assert.equal(await run(sent), DONE.text);
        assert.equal(t.stopped, null);
        climbs(sent, "search");
      }));

    test("a pause is thrown before the request, and again until it is excused", () =>
      watched({}, async (t) => {
        await provider.reset(SEARCH);
        const sent: Sent = [];
        await assert.rejects(run(sent), (error: Any) => {
          assert.ok(ApprovalRequired.isInstance(error));
          const { detector, evidence } = error.fields as Any;
          assert.deepEqual(
            [detector, evidence.count, typeof evidence.firstStep],
            ["no_progress", 8, "number"],
          );
          return true;
        });
        assert.equal(sent.length, 8);
        await assert.rejects(run(sent), ApprovalRequired);
        assert.equal(sent.length, 8);
        assert.ok(ApprovalRequired.isInstance(t.stopped));
        // A hook of the same task lets no tool be called either.
        await assert.rejects((t as Any).watch.ask({ name: "look", args: {} }), ApprovalRequired);
        t.excuse();
        await assert.rejects(run(sent), ApprovalRequired);
        assert.ok(sent.length > 8);
      }));

    test("a run that only observes is told nothing", () =>
      watched({ enforce: false }, async () => {
        await provider.reset(DONE, Array(14).fill(SEARCH));
        const sent: Sent = [];
        assert.equal(await run(sent), DONE.text);
        assert.ok(!sent.some((body) => last(body).includes("outlay breaker")));
      }));

    test("a run that spends more than its kind needs is told once", async () => {
      const store = `memory:doomed-${name}`;
      const sent: Sent = [];
      await provider.reset({ tokens: 40 });
      await within({ kind: "weather", store }, () => run(sent));
      const search = (query: number) => ({
        tool_calls: [{ name: "search", arguments: JSON.stringify({ query }) }],
      });
      await provider.reset(DONE, [...Array(12).keys()].map(search));
      const breaker = { doomed: { pause: null } };
      await within({ kind: "weather", store, breaker }, async (t) => {
        assert.equal(await run(sent), DONE.text);
        assert.equal(t.stopped, null);
      });
      const told = sent.map((body) => last(body).includes("this run has spent"));
      assert.equal(told.filter(Boolean).length, 1);
      assert.ok(!told.slice(0, 2).includes(true), "of what was not spent yet");
    });
  });
}

test("a stream that goes in circles is ended", async () => {
  for (const { name, stream } of endpoints(provider).all) {
    await provider.reset(CHANT);
    const read = async () => {
      let text = "";
      for await (const piece of await stream({ max: 2000 })) text += piece;
      return text;
    };
    await watched({}, async (t) => {
      await assert.rejects(read(), (error: Any) => {
        assert.ok(BreakerTripped.isInstance(error), `${name}: ${error}`);
        return error.detector === "chant";
      });
      assert.equal((await t.pending()).nanos, 0n);
    });
    await within({}, async () => assert.ok((await read()).length > 2_000, name));
  }
});

/** Another process on the ledger: it holds it up until it is told to let go. */
class Other {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(store: string) {
    const program = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    print(db.execute(line).fetchone(), flush=True)
`;
    this.#process = spawn(PYTHON, ["-c", program, store.replace(/^sqlite:/, "")]);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async tell(sql: string): Promise<string> {
    this.#process.stdin.write(`${sql}\n`);
    return (await this.#lines.next()).value;
  }

  end(): void {
    this.#process.stdin.end();
  }
}

test("an event loop does not wait for what a breaker records, and a replay shows it", async () => {
  const store = sqlite();
  const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any" });
  const said: Any[] = [ASKED];
  const breaker = { noProgress: { pause: null } };
  await task("refund", { usd: 1, store, breaker }, async (t) => {
    const other = new Other(store);
    try {
      for (let turn = 0; turn < 6; turn++) {
        const id = `c${turn}`;
        const call = { id, type: "function", function: { name: "search", arguments: "{}" } };
        said.push({ role: "assistant", tool_calls: [call] });
        said.push({ role: "tool", tool_call_id: id, content: RESULT });
        // Only the loop can end this: if it waited for the ledger, the ledger would give up.
        await other.tell("BEGIN IMMEDIATE");
        const asked = client.chat.completions.create({ model: "gpt-4o", messages: said, max_tokens: 50 });
        asked.catch(() => undefined);
        await new Promise((done) => setImmediate(done));
        await other.tell("ROLLBACK");
        await asked;
      }
    } finally {
      other.end();
    }
    const step = { kind: "tool", name: "search", args: {}, result: RESULT } as const;
    assert.equal(t.breaker?.observe(step).level, "refuse");
  });
  const program = join(__dirname, "../../bin/outlay.js");
  const shown = spawnSync(process.execPath, [program, "--store", store, "breaker", "replay", "refund"]);
  assert.equal(shown.status, 0, String(shown.stderr));
  const verdicts = String(shown.stdout).trim().split("\n");
  const levels = verdicts.map((line) => JSON.parse(line).level);
  assert.deepEqual(levels, ["nudge", "nudge", "refuse", "refuse", "refuse"]);
});
