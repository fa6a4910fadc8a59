import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";
import {
  BudgetExceeded,
  call,
  configure,
  instrument,
  Money,
  Unbounded,
  Unpriced,
  Unsupported,
  uninstrument,
} from "outlay";

import { agrees, covers, type Endpoint, endpoints, recorded, within } from "./clients.js";
import { Provider } from "./provider.js";
import { sqlite } from "./stores.js";

let provider: Provider;
const of = (name: string, options: object = {}): Endpoint => {
  const found = endpoints(provider, options).all.find((each) => each.name === name);
  assert.ok(found);
  return found;
};

/** An address where nobody listens. */
async function nobodyAt(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `http://127.0.0.1:${port}`;
}

before(async () => {
  provider = await Provider.start();
  instrument();
});
beforeEach(() => provider.reset());
after(() => provider.stop());

for (const name of ["chat", "responses", "messages"]) {
  describe(`the guarded client of ${name}`, () => {
    test("is charged what the provider bills", () =>
      within({}, async (t) => {
        assert.notEqual(await of(name).ask(), "");
        const bill = await agrees(t, provider);
        assert.deepEqual([bill.count, bill.served], [1, 1]);
      }));

    test("works on a ledger in SQLite", () =>
      within({ store: sqlite() }, async (t) => {
        await Promise.all(Array.from({ length: 8 }, () => of(name).ask()));
        assert.equal((await agrees(t, provider)).count, 8);
      }));

    test("does not send what does not fit, and throws ours, once", () =>
      within({ usd: 0.0001 }, async (t) => {
        const refusal = of(name, { maxRetries: 2 }).ask({ max: 4000 });
        await assert.rejects(refusal, (error) => {
          assert.ok(BudgetExceeded.isInstance(error) && error instanceof BudgetExceeded);
          return error.affordableOutputTokens >= 0;
        });
        assert.equal((await recorded(t, provider)).count, 0);
      }));

    test("gets a maximum where it set none", () =>
      within({ usd: 0.02 }, async (t) => {
        if (name === "messages") return;
        await of(name).ask({ max: null });
        const [entry] = (await agrees(t, provider)).entries;
        assert.ok(entry?.max_tokens && entry.max_tokens <= 2000, String(entry?.max_tokens));
      }));

    test("reserves anew for each of the client's own attempts", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 20 }, [
          { status: 429, retry_after_s: 0.001 },
          { status: 500, retry_after_s: 0.001 },
        ]);
        await of(name, { maxRetries: 2 }).ask();
        const bill = await agrees(t, provider);
        assert.deepEqual([bill.count, bill.refused, bill.served], [3, 2, 1]);
        const { totals } = await t.summary();
        assert.deepEqual([totals.calls, totals.voidedCalls], [1, 2]);
      }));

    test("stops repeating when the money is gone", () =>
      within({ llmCalls: 1 }, async (t) => {
        await provider.reset({ behaviour: "drop_head" });
        await assert.rejects(of(name, { maxRetries: 5 }).ask(), BudgetExceeded);
        const bill = await covers(t, provider);
        assert.equal(bill.count, 1);
        assert.ok((await t.inDoubt()).nanos > 0n, "nobody knows what became of it");
      }));

    test("gives the money back where nothing was sent", () =>
      within({}, async (t) => {
        const url = await nobodyAt();
        const nobody = { ...provider, openaiUrl: `${url}/v1`, anthropicUrl: url };
        const client = endpoints(nobody as Provider, { maxRetries: 1 }).all.find(
          (each) => each.name === name,
        );
        await assert.rejects(client?.ask() ?? Promise.resolve());
        const { totals } = await t.summary();
        assert.deepEqual([totals.calls, totals.voidedCalls], [0, 2]);
        assert.equal((await t.spent()).nanos, 0n);
      }));

    test("counts a stream, with usage the caller did not ask for", () =>
      within({}, async (t) => {
        let text = "";
        for await (const piece of await of(name).stream()) text += piece;
        assert.notEqual(text, "");
        await agrees(t, provider);
      }));

    test("estimates a stream that says nothing of its usage", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 20, usage: "missing" });
        for await (const _ of await of(name).stream());
        await covers(t, provider);
        assert.equal((await t.summary()).totals.estimatedCalls, 1);
      }));

    test("cuts a stream that goes on beyond its reservation", () =>
      within({}, async (t) => {
        await provider.reset({ fill: true, chunk_tokens: 5, chunk_ms: 2 });
        const maxUsd = name === "messages" ? 0.01 : 0.002;
        let text = "";
        await assert.rejects(
          call({ maxUsd }, async () => {
            for await (const piece of await of(name).stream({ max: 8000 })) text += piece;
          }),
          BudgetExceeded,
        );
        assert.ok(text.length > 100, "what came until then stays");
        const bill = await recorded(t, provider);
        assert.deepEqual([bill.partial, bill.served], [1, 0]);
        assert.equal((await t.spent()).usd, new Money(maxUsd).usd);
        assert.equal(t.stopped?.code, "budget_exceeded");
      }));

    test("settles a stream that was left at what it can have cost", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 90, chunk_tokens: 1, chunk_ms: 5 });
        for await (const piece of await of(name).stream()) if (piece) break;
        const bill = await covers(t, provider);
        assert.equal(bill.partial, 1, "the connection was closed");
        assert.ok((await t.spent()).nanos > 0n);
      }));

    test("settles a stream that was aborted, and one that broke", () =>
      within({}, async (t) => {
        await provider.reset({ tokens: 90, chunk_tokens: 1, chunk_ms: 5 });
        const controller = new AbortController();
        const stream = await of(name).stream({ signal: controller.signal });
        try {
          for await (const piece of stream) if (piece) controller.abort();
        } catch (error) {
          assert.match(String(error), /abort/i);
        }
        await covers(t, provider);
        await provider.reset({ tokens: 90, behaviour: "drop_middle", chunk_tokens: 1 });
        await assert.rejects(async () => {
          for await (const _ of await of(name).stream());
        });
        assert.equal((await t.pending()).nanos, 0n);
      }));

    test("leaves a request aborted before its answer in doubt", () =>
      within({}, async (t) => {
        await provider.reset({ behaviour: "stall_head", stall_s: 5 });
        const asked = of(name).ask({ signal: AbortSignal.timeout(100) });
        await assert.rejects(asked);
        assert.ok((await t.inDoubt()).nanos > 0n);
        assert.equal((await t.pending()).nanos, 0n);
      }));

    test("does not wait for money after an abort", () =>
      within({ usd: 0.01 }, async (t) => {
        await t.reserve({ model: "gpt-4o", maxUsd: 0.01 });
        const asked = of(name).ask({ signal: AbortSignal.timeout(50) });
        await assert.rejects(asked, (error) => {
          assert.equal((error as Error).constructor.name, "APIUserAbortError");
          return true;
        });
        assert.equal((await provider.bill()).count, 0);
      }));

    test("refuses what it cannot price", () =>
      within({}, async (t) => {
        await assert.rejects(of(name).ask({ model: "no-such-model" }), Unpriced);
        assert.equal((await recorded(t, provider)).count, 0);
      }));

    test("races 64 workers for the last cent", () =>
      within({ usd: 0.05, waitMs: 0 }, async (t) => {
        await provider.reset({ fill: true });
        const client = of(name);
        let refused = 0;
        const worker = async () => {
          for (let i = 0; i < 4; i++) {
            await client.ask({ max: 200 }).catch((error) => {
              assert.ok(BudgetExceeded.isInstance(error), String(error));
              refused++;
            });
          }
        };
        await Promise.all(Array.from({ length: 64 }, worker));
        const bill = await agrees(t, provider);
        assert.ok(refused > 0 && bill.cost_nanos <= 50_000_000, `${refused} refused, ${bill.cost_nanos}`);
      }));
  });
}

test("what is billed and cannot be metered is refused, unless allowed", () =>
  within({}, async (t) => {
    const { openai, anthropic } = endpoints(provider);
    const ways = [
      () => openai.audio.speech.create({ model: "tts-1", voice: "alloy", input: "hi" }),
      () =>
        openai.batches.create({ input_file_id: "f", endpoint: "/v1/responses", completion_window: "24h" }),
      () => openai.images.edit({ image: new File(["x"], "x.png"), prompt: "x" }),
      () => openai.videos.create({ prompt: "x" }),
      () => anthropic.messages.batches.create({ requests: [] }),
    ];
    for (const way of ways) await assert.rejects(way(), Unsupported);
    assert.equal((await recorded(t, provider)).count, 0);
    configure({ unmetered: "allow" });
    try {
      for (const way of ways) await assert.rejects(way(), (error) => !Unsupported.isInstance(error));
    } finally {
      configure({ unmetered: "refuse" });
    }
  }));

test("a request that goes on from text we cannot see needs a word of the caller's", () =>
  within({}, async (t) => {
    const client = of("responses");
    const body = { previous_response_id: "resp_unknown" };
    await assert.rejects(client.ask({ body }), Unbounded);
    await call({ maxInputTokens: 8_000 }, () => client.ask({ body }).catch(() => undefined));
    assert.equal((await recorded(t, provider)).count, 1);
  }));

test("both copies of a package are guarded, until the guard is taken out", async () => {
  const load = createRequire(__filename);
  const required = load("openai").OpenAI;
  const imported = (await import("openai")).OpenAI;
  for (const OpenAI of [required, imported]) {
    await within({ usd: 0.000001 }, async (t) => {
      const client = new OpenAI({ baseURL: provider.openaiUrl, apiKey: "any", maxRetries: 0 });
      const ask = () =>
        client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "hi" }] });
      await assert.rejects(ask(), BudgetExceeded);
      uninstrument();
      await ask();
      instrument();
      instrument(OpenAI);
      await assert.rejects(ask(), BudgetExceeded);
      assert.equal((await t.summary()).totals.calls, 0);
    });
  }
});

test("a caller's middleware that sends twice is reserved for twice", () =>
  within({}, async (t) => {
    const { anthropic } = endpoints(provider);
    const twice = async (request: never, next: (request: never) => Promise<Response>) => {
      await (await next(request)).text();
      return next(request);
    };
    const client = anthropic.withOptions({ middleware: [twice as never] } as never);
    await client.messages.create({
      model: "claude-opus-4-7",
      max_tokens: 50,
      messages: [{ role: "user", content: "hi" }],
    });
    assert.equal((await agrees(t, provider)).count, 2);
  }));

test("a response says where it came from, and can be read raw", () =>
  within({}, async (t) => {
    const { openai } = endpoints(provider);
    const body = { model: "gpt-4o", max_tokens: 50, messages: [{ role: "user" as const, content: "hi" }] };
    const { data, response } = await openai.chat.completions.create(body).withResponse();
    assert.match(response.url, /chat\/completions/);
    assert.ok(data.usage);
    const raw = await openai.chat.completions.create(body).asResponse();
    assert.ok(((await raw.json()) as { usage: object }).usage);
    await agrees(t, provider);
  }));

test("a response nobody reads is charged at its worst case when its task ends", async () => {
  const t = await within({}, async (t) => {
    const { openai } = endpoints(provider);
    const body = { model: "gpt-4o", max_tokens: 50, messages: [{ role: "user" as const, content: "hi" }] };
    await openai.chat.completions.create(body).asResponse();
    return t;
  });
  assert.ok((await t.inDoubt()).nanos >= BigInt((await provider.bill()).cost_nanos));
});

test("what never left is given back, whatever the client threw", () =>
  within({}, async (t) => {
    const { openai } = endpoints(provider);
    const client = openai.withOptions({});
    Object.assign(client, { prepareRequest: () => Promise.reject(new Error("no signature")) });
    const body = { model: "gpt-4o", max_tokens: 50, messages: [{ role: "user" as const, content: "hi" }] };
    await assert.rejects(client.chat.completions.create(body), { message: "no signature" });
    const { totals } = await t.summary();
    assert.deepEqual([totals.calls, totals.voidedCalls], [0, 1]);
  }));

test("a gateway's own charge is what a call costs", () =>
  within({}, async (t) => {
    const usage = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15, cost: 0.00125 };
    const choices = [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }];
    const headers = { "content-type": "application/json" };
    const answer = JSON.stringify({ id: "1", object: "chat.completion", choices, usage });
    const client = new OpenAI({
      // The host says whose dialect of usage is spoken.
      baseURL: "https://openrouter.ai/api/v1",
      apiKey: "any",
      fetch: async () => new Response(answer, { headers }),
    });
    await client.chat.completions.create({
      model: "openai/gpt-4o",
      messages: [{ role: "user", content: "hello" }],
      max_tokens: 10,
    });
    assert.equal((await t.spent()).usd, "0.00125");
  }));

test("a host that keeps requests in a region costs what it asks for that", async () => {
  const usage = { prompt_tokens: 1_000_000, completion_tokens: 0, total_tokens: 1_000_000 };
  const choices = [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }];
  const answer = JSON.stringify({ id: "1", object: "chat.completion", model: "gpt-5.4", choices, usage });
  const spent: number[] = [];
  for (const host of ["api.openai.com", "eu.api.openai.com"]) {
    await within({ usd: 100 }, async (t) => {
      const headers = { "content-type": "application/json" };
      const client = new OpenAI({
        baseURL: `https://${host}/v1`,
        apiKey: "any",
        fetch: async () => new Response(answer, { headers }),
      });
      const messages = [{ role: "user" as const, content: "hello" }];
      await client.chat.completions.create({ model: "gpt-5.4", messages, max_completion_tokens: 10 });
      spent.push(Number((await t.spent()).nanos));
    });
  }
  const [everywhere = 0, inEurope = 0] = spent;
  assert.ok(everywhere > 0);
  assert.equal(inEurope * 10, everywhere * 11);
});
