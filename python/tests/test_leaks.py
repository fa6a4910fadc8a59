"""Does every cent that real clients spend get recorded, whatever happens to their calls?

Calls fail at random: before they are sent, at the provider, on the way back, and in the hands of
who reads the answer. Each is a task of its own, and is held against what the provider billed for
the requests that carry its number. `OUTLAY_LEAK_CALLS` says how many (default 600), and
`OUTLAY_LEAK_SEED` which.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, nullcontext
from dataclasses import dataclass
from typing import Any

import openai
import outlay
import pytest
from endpoints import ENDPOINTS, Contents, Endpoint, fresh_provider, genai, task
from outlay.testing import Entry, Provider, Reply

CALLS = int(os.environ.get("OUTLAY_LEAK_CALLS", "600"))
SEED = int(os.environ.get("OUTLAY_LEAK_SEED", "1"))
THREADS = 8
TASKS = 32
MODELS = {
    "chat": ["gpt-4o", "gpt-4.1", "gpt-5-mini"],
    "responses": ["gpt-4o", "gpt-5-mini"],
    "messages": ["claude-opus-4-7", "claude-haiku-4-5"],
    "contents": ["gemini-2.5-flash", "gemini-2.5-flash-lite"],
}
DISTORTED: Any = ["missing", "no_final", "null", "negative", "strings", "floats", "huge"]
#: What requests get that bring no order of their own; their repetitions may fare differently.
MIXED = (
    (6, Reply(tokens=30)),
    (1, Reply(status=429, retry_after_s=0.001)),
    (1, Reply(status=500)),
    (1, Reply(status=504, billed=True, tokens=30)),
    (1, Reply(behaviour="drop_head", tokens=30)),
)


class Interrupted(BaseException):
    """What a reader may be interrupted by, beside exceptions."""


@dataclass
class Plan:
    """What shall happen to one call."""

    number: int
    model: str
    stream: bool
    reply: Reply | None
    retries: int
    leave: str
    leave_after: int
    cancel_after_s: float | None

    def order(self, endpoint: Endpoint, words: int) -> dict[str, Any]:
        headers = {"x-outlay-call": str(self.number)}
        if self.reply is not None:
            headers["x-outlay-reply"] = json.dumps(self.reply.to_json())
        more: dict[str, Any] = {"model": self.model, "extra_headers": headers}
        said = {"role": "user", "content": "word " * words}
        if endpoint.name == "contents":
            more["contents"] = said["content"]
        else:
            more["input" if endpoint.name == "responses" else "messages"] = [said]
        if endpoint.name == "chat" and self.model == "gpt-5-mini":
            more |= {"max_tokens": openai.NOT_GIVEN, "max_completion_tokens": 100}
        return {**more, "stream": True} if self.stream else more


def planned(number: int, name: str) -> tuple[Plan, int]:
    """The same for the same seed and number; with the words of its input."""
    at_random = random.Random(f"{SEED} {number}")
    pick = at_random.random()
    common: dict[str, Any] = {
        "tokens": at_random.randrange(90),
        "chunk_ms": at_random.choice([0, 0, 1, 4]),
        "chunk_tokens": at_random.choice([None, 1, 5]),
        "latency_ms": at_random.choice([0, 0, 5, 30]),
        "after_chunks": at_random.randrange(6),
    }
    reply: Reply | None = Reply(**common)
    if pick < 0.15:
        reply = None
    elif pick < 0.25:
        reply = Reply(**common, status=at_random.choice([400, 429, 500, 503, 529]))
    elif pick < 0.30:
        reply = Reply(**common, status=at_random.choice([408, 502, 504]), billed=True)
    elif pick < 0.45:
        lost: Any = at_random.choice(["drop_head", "drop_middle", "error_middle"])
        reply = Reply(**common, behaviour=lost)
    elif pick < 0.50:
        silent: Any = at_random.choice(["stall_head", "stall_middle"])
        reply = Reply(**common, behaviour=silent)
    elif pick < 0.60:
        reply = Reply(**common, usage=at_random.choice(DISTORTED))
    ways = ["", "", "", "break", "close", "raise", "interrupt", "unread", "drop"]
    plan = Plan(
        number,
        at_random.choice(MODELS[name]),
        at_random.random() < 0.6,
        reply,
        at_random.randrange(3),
        at_random.choice(ways),
        at_random.randrange(8),
        at_random.random() * 0.06 if at_random.random() < 0.15 else None,
    )
    return plan, at_random.choice([1, 1, 5, 40, 3_000])


class Run:
    """All calls against one provider, in threads and in an event loop."""

    def __init__(self, provider: Provider) -> None:
        options: dict[str, Any] = {"timeout": 0.25, "max_retries": 2}
        self.endpoints = [maker(provider, **options) for maker in ENDPOINTS]
        if genai:
            transports = ("httpx", "aiohttp")
            self.endpoints += [Contents(provider, each, timeout=250) for each in transports]
        self.tasks: dict[int, outlay.Task] = {}
        self.whole: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.lock = threading.Lock()

    def plan(self, number: int) -> tuple[Endpoint, Plan, dict[str, Any]]:
        endpoint = self.endpoints[number % len(self.endpoints)]
        plan, words = planned(number, endpoint.name)
        return endpoint, plan, plan.order(endpoint, words)

    def note(self, plan: Plan, t: outlay.Task, error: BaseException | None) -> None:
        reply = plan.reply or Reply()
        # An error in a stream of responses is an event, which raises nothing.
        fine = reply.usage == "true" and reply.behaviour == "plain"
        with self.lock:
            self.tasks[plan.number] = t
            self.outcomes[type(error).__name__] += 1
            if error is None and not plan.leave and fine and plan.retries == 0:
                self.whole.add(plan.number)

    def ask(self, number: int) -> None:
        endpoint, plan, order = self.plan(number)
        client, more = endpoint.patient(endpoint.sync, plan.retries)
        error: BaseException | None = None
        with outlay.task(f"call {number}") as t:
            try:
                answer = endpoint.create(client, **order, **more)
                if plan.stream:
                    self.read(answer, plan)
            except (Exception, Interrupted) as caught:
                error = caught.with_traceback(None)
            answer = None
        self.note(plan, t, error)

    def read(self, stream: Any, plan: Plan) -> None:
        if plan.leave in ("unread", "drop"):
            if plan.leave == "unread":
                stream.close()
            return
        leaving = stream if hasattr(stream, "__exit__") else nullcontext()
        with closing(stream) if plan.leave == "close" else leaving:
            for position, _ in enumerate(stream):
                if position == plan.leave_after:
                    left(plan)
                    if plan.leave in ("break", "close"):
                        break

    async def ask_async(self, number: int, room: asyncio.Semaphore) -> None:
        endpoint, plan, order = self.plan(number)
        client, more = endpoint.patient(endpoint.aio, plan.retries)
        error: BaseException | None = None
        async with room:
            with outlay.task(f"call {number}") as t:
                try:
                    asking = self.read_async(endpoint, client, order | more, plan)
                    await asyncio.wait_for(asking, plan.cancel_after_s)
                except (Exception, Interrupted) as caught:
                    error = caught.with_traceback(None)
                for _ in range(20):  # a stream that was dropped is closed by the loop
                    await asyncio.sleep(0)
        self.note(plan, t, error)

    async def read_async(self, endpoint: Endpoint, client: Any, order: Any, plan: Plan) -> None:
        stream = await endpoint.create(client, **order)
        if not plan.stream or plan.leave == "drop":
            return
        if plan.leave == "unread":
            await (stream.aclose if hasattr(stream, "aclose") else stream.close)()
            return
        leaving: Any = stream if hasattr(stream, "__aexit__") else nullcontext()
        async with aclosing(stream.__aiter__()) if plan.leave == "close" else leaving as events:
            position = 0
            async for _ in events or stream:
                if position == plan.leave_after:
                    left(plan)
                    if plan.leave in ("break", "close"):
                        break
                position += 1


def left(plan: Plan) -> None:
    if plan.leave == "raise":
        raise ValueError("the reader failed")
    if plan.leave == "interrupt":
        raise Interrupted


def billed(entries: list[Entry]) -> dict[int, int]:
    """What the provider charges for each call, in nano-USD."""
    costs: dict[int, int] = {}
    for entry in entries:
        number = int(entry.headers["x-outlay-call"])
        costs[number] = costs.get(number, 0) + entry.cost_nanos
    return costs


@pytest.mark.timeout(3_600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_served_goes_unrecorded(any_store: str) -> None:
    provider = fresh_provider()
    provider.mix(SEED, *MIXED)
    run = Run(provider)
    half = CALLS // 4  # each store gets half of them, and each way of calling half of these

    async def asynchronous() -> None:
        room = asyncio.Semaphore(TASKS)
        numbers = range(half, 2 * half)
        await asyncio.gather(*[run.ask_async(number, room) for number in numbers])
        for endpoint in run.endpoints:
            await endpoint.aclose()

    with task(10_000, store=any_store) as t:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(run.ask, range(half)))
        asyncio.run(asynchronous())
        gc.collect()
        assert t.pending.nanos == 0
    for endpoint in run.endpoints:
        endpoint.sync.close()  # a stream dropped unread keeps its connection until then
    bill = provider.bill(60)
    assert (bill.open, len(run.tasks)) == (0, 2 * half)
    costs = billed(list(bill.entries))
    exact = 0
    for number, one in run.tasks.items():
        cost, spent = costs.get(number, 0), one.spent.nanos
        where = f"call {number} of seed {SEED}: {run.plan(number)[1]}"
        is_exact = one.summary().totals.estimated_calls == 0 and not one.in_doubt
        exact += is_exact
        assert spent >= cost, where
        assert spent == cost or not is_exact, where
        assert is_exact or number not in run.whole, where
        assert spent > 0 or cost == 0, where
    assert t.spent.nanos == sum(one.spent.nanos for one in run.tasks.values())
    # Otherwise nothing was tested.
    assert exact > half / 4
    assert len(run.outcomes) >= 5
