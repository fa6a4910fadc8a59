/** Do the traces and metrics of the real OpenTelemetry SDK say what the ledger says? */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, beforeEach, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { ChatOpenAI } from "@langchain/openai";
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { createAgent, tool } from "langchain";
import {
  BudgetExceeded,
  InvalidInput,
  instrument,
  openTask,
  type Task,
  task,
  telemetry,
  Unpriced,
  uninstrument,
} from "outlay";
import { outlayMiddleware } from "outlay/langchain";
import { z } from "zod";

import { agrees, covers, type Endpoint, endpoints, within } from "./clients.js";
import { Provider } from "./provider.js";
import { stores } from "./stores.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const SECRET = "hello world";
const CALL = { model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 };
const SLOW = { fill: true, chunk_ms: 3, chunk_tokens: 2 };
const failing: SpanProcessor[] = [];
const exporter = new InMemorySpanExporter();
const tracers = new BasicTracerProvider({
  spanProcessors: [
    new SimpleSpanProcessor(exporter),
    {
      onStart: (span, parent) => {
        for (const each of failing) each.onStart(span, parent);
      },
      onEnd: () => {},
      forceFlush: async () => {},
      shutdown: async () => {},
    },
  ],
});
let measured: InMemoryMetricExporter;
let reader: PeriodicExportingMetricReader;
let provider: Provider;

function ask(mode?: "spans" | "attributes"): void {
  measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 });
  const meters = new MeterProvider({ readers: [reader] });
  telemetry({ ...(mode && { mode }), tracerProvider: tracers, meterProvider: meters });
}

before(async () => {
  provider = await Provider.start();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
beforeEach(async () => {
  await provider.reset();
  instrument();
  exporter.reset();
  failing.length = 0;
  ask();
});
after(async () => {
  telemetry({ mode: "off" });
  uninstrument();
  await provider.stop();
});

const of = (name: string, options: object = {}): Endpoint => {
  const found = endpoints(provider, options).all.find((each) => each.name === name);
  assert.ok(found);
  return found;
};

function spans(beginning: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter(({ name }) => name.startsWith(beginning));
}

function span(beginning: string): ReadableSpan {
  const [found, ...more] = spans(beginning);
  assert.ok(found, `no span ${beginning}`);
  assert.equal(more.length, 0, `several spans ${beginning}`);
  return found;
}

/** The next span whose name begins so, however late it ends. */
async function awaited(beginning: string): Promise<ReadableSpan> {
  for (let tries = 0; spans(beginning).length === 0 && tries < 1000; tries++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  return span(beginning);
}

async function points(name: string): Promise<DataPoint<unknown>[]> {
  measured.reset();
  await reader.forceFlush();
  const all = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
  const metrics = all.flatMap((scope) => scope.metrics).filter(({ descriptor }) => descriptor.name === name);
  return metrics.flatMap(({ dataPoints }) => dataPoints as DataPoint<unknown>[]);
}

const nanos = (usd: unknown) => BigInt(Math.round(Number(usd) * 1e9));
const costOf = (one: ReadableSpan) => nanos(one.attributes["outlay.cost.usd"]);
const cost = async () =>
  nanos((await points("outlay.cost")).reduce((sum, { value }) => sum + Number(value), 0));
const isBelow = (one: ReadableSpan, above: ReadableSpan) =>
  one.parentSpanContext?.spanId === above.spanContext().spanId;
const within1 = (t: Task, beginning: string) =>
  spans(beginning).every(({ attributes }) => attributes["outlay.task.id"] === t.id);

for (const [kind, fresh] of stores) {
  test(`a call reserved again under its id is told once, in ${kind}`, async () => {
    const store = fresh();
    await task("refund", { usd: 1, store }, async (t) => {
      const first = await t.reserve({ ...CALL, id: "once" });
      const again = await t.reserve({ ...CALL, id: "once" });
      assert.deepEqual([first.created, again.created], [true, false]);
      await first.settle({ inputTokens: 1000, outputTokens: 400 });
      await again.settle({ inputTokens: 1000, outputTokens: 400 });
      assert.equal(spans("chat").length, 1);
      assert.equal(await cost(), (await t.spent()).nanos);
    });
  });

  test(`a call is a span below its attempt, in ${kind}`, async () => {
    const tags = { agent: "support", conversation: "c-1" };
    const options = { usd: 1, kind: "extractive", tags, store: fresh() };
    const [t, call, settled] = await task("refund", options, async (t) => {
      const call = await t.reserve(CALL);
      const usage = { inputTokens: 1000, outputTokens: 400, cacheReadInputTokens: 600 };
      return [t, call, await call.settle(usage)] as const;
    });
    const [attempt, chat] = [span("invoke_agent"), span("chat")];
    assert.deepEqual([attempt.name, attempt.kind], ["invoke_agent support", SpanKind.INTERNAL]);
    assert.deepEqual([chat.name, chat.kind], ["chat gpt-4o", SpanKind.CLIENT]);
    assert.ok(isBelow(chat, attempt) && attempt.parentSpanContext === undefined);
    assert.equal(chat.status.code, SpanStatusCode.UNSET);
    const common = {
      "outlay.task.name": "refund",
      "outlay.task.id": t.id,
      "outlay.attempt": 1,
      "outlay.kind": "extractive",
      "gen_ai.conversation.id": "c-1",
    };
    assert.deepEqual(attempt.attributes, {
      ...common,
      "gen_ai.operation.name": "invoke_agent",
      "gen_ai.agent.name": "support",
      "outlay.outcome": "succeeded",
    });
    const named = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4o",
      "gen_ai.response.model": "gpt-4o",
    };
    assert.deepEqual(chat.attributes, {
      ...common,
      ...named,
      "gen_ai.request.max_tokens": 500,
      "gen_ai.usage.input_tokens": 1000,
      "gen_ai.usage.output_tokens": 400,
      "gen_ai.usage.cache_read.input_tokens": 600,
      "outlay.call.id": call.id,
      "outlay.held.usd": Number(call.reserved.usd),
      "outlay.cost.usd": Number(settled.charge.usd),
      "outlay.estimated": false,
      "outlay.outcome": "settled",
    });
    const tokens = (await points("gen_ai.client.token.usage")) as DataPoint<Histogram>[];
    assert.deepEqual(
      tokens.map(({ value, attributes }) => [value.sum, attributes]),
      [
        [1000, { ...named, "gen_ai.token.type": "input" }],
        [400, { ...named, "gen_ai.token.type": "output" }],
      ],
    );
    assert.deepEqual(tokens[0]?.value.buckets.boundaries.slice(0, 3), [1, 4, 16]);
    const [took] = (await points("gen_ai.client.operation.duration")) as DataPoint<Histogram>[];
    assert.deepEqual([took?.value.count, took?.attributes], [1, named]);
    assert.equal(took?.value.buckets.boundaries.at(-1), 81.92);
    assert.equal(await cost(), settled.charge.nanos);
  });

  test(`a refusal is an error with its limit, in ${kind}`, async () => {
    await task("refund", { usd: 0.001, toolCalls: 0, store: fresh() }, async (t) => {
      await assert.rejects(t.reserve(CALL), BudgetExceeded);
      await assert.rejects(t.reserve({ ...CALL, model: "nobody-knows" }), Unpriced);
      await assert.rejects(t.toolCall("web"), BudgetExceeded);
    });
    const [refused, unpriced] = spans("chat");
    const wanted = {
      "error.type": "budget_exceeded",
      "outlay.outcome": "refused",
      "outlay.budget": "task `refund`",
      "outlay.unit": "usd",
      "outlay.limit": "0.001",
      "outlay.requested": "0.0075",
    };
    assert.equal(refused?.status.code, SpanStatusCode.ERROR);
    assert.deepEqual({ ...refused?.attributes, ...wanted }, refused?.attributes);
    assert.equal(unpriced?.attributes["error.type"], "unpriced");
    assert.equal(span("execute_tool web").attributes["outlay.unit"], "tool_calls");
    const refusals = await points("outlay.refusals");
    assert.equal(refusals.length, 3);
    assert.ok(refusals.every(({ value, attributes }) => value === 1 && !("outlay.budget" in attributes)));
  });

  test(`calls end as the ledger has them, in ${kind}`, async () => {
    await task("t", { usd: 1, store: fresh() }, async (t) => {
      await (await t.reserve(CALL)).void();
      await (await t.reserve(CALL)).doubt();
      await (await t.reserve(CALL))[Symbol.asyncDispose]();
      const call = await t.reserve(CALL);
      await call.settle({ inputTokens: 1000, outputTokens: 600 });
      const { overrun } = await call.settle({ inputTokens: 1000, outputTokens: 600 });
      assert.equal(spans("chat").at(-1)?.attributes["outlay.overrun.usd"], Number(overrun.usd));
    });
    assert.deepEqual(
      spans("chat").map(({ attributes }) => attributes["outlay.outcome"]),
      ["voided", "in_doubt", "in_doubt", "settled"],
    );
  });
}

test("an attempt that fails is an error, of which no text is told", async () => {
  await assert.rejects(
    within({}, async () => {
      throw new RangeError(SECRET);
    }),
  );
  await task("u", { store: "memory:" }, (t) => t.fail(SECRET));
  await assert.rejects(
    within({ usd: 0 }, (t) => t.reserve(CALL)),
    BudgetExceeded,
  );
  assert.deepEqual(
    spans("invoke_agent").map(({ attributes: told }) => [told["outlay.outcome"], told["error.type"]]),
    [
      ["failed", "RangeError"],
      ["failed", "_OTHER"],
      ["stopped", "budget_exceeded"],
    ],
  );
  for (const one of spans("")) assert.ok(!JSON.stringify([one.attributes, one.status]).includes(SECRET));
});

test("spans are below what was current, and below the task where nothing was", async () => {
  const tracer = tracers.getTracer("program");
  await tracer.startActiveSpan("request", async (request) => {
    await within({}, async (outer) => {
      await (await outer.reserve(CALL)).void();
      await task("inside", async (inner) => (await inner.reserve(CALL)).void());
      await tracer.startActiveSpan("step", async (step) => {
        await (await outer.reserve(CALL)).void();
        step.end();
      });
      await using left = await openTask("opened");
      await (await left.reserve(CALL)).void();
    });
    request.end();
  });
  const [outer, inner, opened] = ["t", "inside", "opened"].map((name) => span(`invoke_agent ${name}`));
  assert.ok(outer && inner && opened);
  assert.ok(isBelow(outer, span("request")) && isBelow(inner, outer) && isBelow(opened, outer));
  const [first, second, third, fourth] = spans("chat");
  assert.ok(first && second && third && fourth);
  assert.ok(isBelow(first, outer) && isBelow(second, inner) && isBelow(third, span("step")));
  assert.ok(isBelow(fourth, opened));
});

for (const name of ["chat", "responses", "messages"]) {
  test(`the guarded client of ${name} tells of its calls and streams`, () =>
    within({}, async (t) => {
      await of(name).ask();
      const asked = span("chat");
      assert.ok(asked.attributes["gen_ai.usage.output_tokens"] === 20);
      const billed = name === "messages" ? "anthropic" : "openai";
      assert.equal(asked.attributes["gen_ai.provider.name"], billed);
      exporter.reset();
      for await (const _ of await of(name).stream()) assert.equal(spans("chat").length, 0);
      await agrees(t, provider);
      const streamed = await awaited("chat");
      assert.equal(streamed.attributes["outlay.outcome"], "settled");
      assert.equal(costOf(asked) + costOf(streamed), (await t.spent()).nanos);
      assert.equal(await cost(), (await t.spent()).nanos);
      assert.ok(within1(t, "chat"));
    }));
}

test("a stream that is left ends its span", () =>
  within({}, async (t) => {
    await provider.reset(SLOW);
    for await (const text of await of("chat").stream()) if (text !== "") break;
    await covers(t, provider);
    const { attributes } = await awaited("chat");
    assert.deepEqual([attributes["outlay.outcome"], attributes["outlay.estimated"]], ["settled", true]);
    assert.deepEqual(await points("gen_ai.client.token.usage"), [], "only what a provider counted");
  }));

test("what nobody can reach any more ends its span", () =>
  within({ usd: 1000 }, async (t) => {
    for (let i = 0; i < 50; i++) await t.reserve(CALL);
    for (let tries = 0; spans("chat").length === 0 && tries < 1000; tries++) {
      collect();
      await new Promise((done) => setTimeout(done, 10));
    }
    const [{ attributes } = assert.fail()] = spans("chat");
    assert.deepEqual([attributes["outlay.outcome"], attributes["error.type"]], ["in_doubt", "abandoned"]);
  }));

test("each HTTP attempt is a span, and a refused one too", async () => {
  await provider.reset({ tokens: 20 }, [{ status: 500 }]);
  await within({}, async (t) => {
    await of("chat", { maxRetries: 1 }).ask();
    const [failed, answered] = spans("chat");
    assert.ok(failed && answered);
    assert.equal(failed.attributes["error.type"], "500");
    assert.equal(failed.attributes["outlay.outcome"], "voided");
    assert.equal(costOf(answered), (await t.spent()).nanos);
  });
  exporter.reset();
  await assert.rejects(within({ usd: 0.0001 }, () => of("chat").ask()));
  const { attributes } = span("chat");
  assert.equal(attributes["error.type"], "budget_exceeded");
  assert.equal(attributes["gen_ai.provider.name"], "openai");
});

test("attributes go on the span of another instrumentation", async () => {
  ask("attributes");
  const t = await within({}, async (t) => {
    const theirs = tracers.getTracer("another").startSpan("chat of theirs");
    await context.with(trace.setSpan(context.active(), theirs), () => of("chat").ask());
    await t.toolCall("web");
    theirs.end();
    assert.equal(await cost(), (await t.spent()).nanos);
    return t;
  });
  const [only, ...more] = spans("");
  assert.ok(only && more.length === 0);
  assert.equal(only.attributes["outlay.task.id"], t.id);
  assert.ok(Object.keys(only.attributes).every((key) => key.startsWith("outlay.")));
  assert.deepEqual(await points("gen_ai.client.operation.duration"), []);
});

test("the span of a LangChain tool is above what it asks", async () => {
  const calls = { tool_calls: [{ name: "search", arguments: '{"query":"weather"}' }] };
  await provider.reset({ tokens: 20 }, [calls, { tokens: 5 }]);
  const search = tool(
    async () => {
      await of("chat").ask();
      return "nothing";
    },
    { name: "search", description: "Searches.", schema: z.object({ query: z.string() }) },
  );
  const model = new ChatOpenAI({
    model: "gpt-4o",
    apiKey: "any",
    maxTokens: 100,
    configuration: { baseURL: provider.openaiUrl },
  });
  const agent = createAgent({ model, tools: [search], middleware: [outlayMiddleware()], name: "support" });
  await within({}, async (t) => {
    await agent.invoke({ messages: [{ role: "user", content: SECRET }] });
    await agrees(t, provider);
  });
  const [first, inside, last] = spans("chat");
  const [ran, support] = [span("execute_tool search"), span("invoke_agent support")];
  assert.ok(first && inside && last);
  assert.ok(isBelow(first, support) && isBelow(last, support) && isBelow(ran, support));
  assert.ok(isBelow(inside, ran) && isBelow(support, span("invoke_agent t")));
});

test("what fails in the SDK spoils nothing", async () => {
  const heard: string[] = [];
  process.on("warning", ({ message }) => heard.push(message));
  failing.push({
    onStart: () => {
      throw new Error("the exporter is broken");
    },
  } as unknown as SpanProcessor);
  await within({}, async (t) => {
    await of("chat").ask();
    await t.toolCall("web");
    await agrees(t, provider);
  });
  await new Promise(setImmediate);
  assert.ok(heard.some((message) => message.includes("the exporter is broken")));
});

test("nothing is told, and nothing is loaded, without being asked", async () => {
  telemetry({ mode: "off" });
  await within({}, async (t) => (await t.reserve(CALL)).void());
  assert.equal(spans("").length, 0);
  assert.throws(() => telemetry({ mode: "loud" as "off" }), InvalidInput);
  for (const wrong of [{}, null]) {
    assert.throws(() => telemetry({ tracerProvider: wrong as never }), InvalidInput);
    assert.throws(() => telemetry({ meterProvider: wrong as never }), InvalidInput);
  }
  const code = `
    require("outlay");
    if (Object.keys(require.cache).some((name) => name.includes("opentelemetry"))) process.exit(1);`;
  execFileSync(process.execPath, ["-e", code], { cwd: __dirname, stdio: "inherit" });
});
