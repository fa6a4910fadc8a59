"""Does a halt stop everybody on the ledger: calls, waiting calls, streams, other processes?"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import outlay
import pytest
from endpoints import MESSAGES, fresh_provider
from outlay.testing import Reply

PRICES = {"house": {"input": 0, "output": 10}}
CALL: Any = {"model": "house", "input_tokens": 0, "max_output_tokens": 5}
#: At one token in a tenth of a second a stream would go on for eight minutes.
SLOW = Reply(fill=True, chunk_ms=100, chunk_tokens=1)
STREAM: Any = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 5_000, "stream": True}
PROCESSES, WORKERS = 2, 32


def _call_until_halted(task: outlay.Task, started: threading.Event) -> str:
    while True:
        try:
            call = task.reserve(**CALL)
        except outlay.Halted as halted:
            return f"call: {halted.by}, {halted.reason}"
        started.set()
        time.sleep(0.01)
        call.settle(outlay.Usage(0, 5))


def _stream_until_halted(task: outlay.Task, url: str, started: threading.Event) -> str:
    client = openai.OpenAI(base_url=url, api_key="any", max_retries=0)
    try:
        for _ in client.chat.completions.create(**STREAM):
            started.set()
    except outlay.Halted as halted:
        return f"stream: {halted.by}, {halted.reason}"
    return "stream: ended"


def _process(store: str, url: str, started: Any, results: Any) -> None:
    outlay.configure(prices=PRICES)
    outlay.instrument()
    events = [threading.Event() for _ in range(WORKERS)]
    with (
        outlay.task("refund", tags={"tenant": "acme"}, store=store) as task,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        calls = [pool.submit(_call_until_halted, task, each) for each in events[: WORKERS // 2]]
        streams = [
            pool.submit(_stream_until_halted, task, url, each) for each in events[WORKERS // 2 :]
        ]
        for each in events:
            each.wait(60)
        started.put(True)
        results.put([future.result(120) for future in calls + streams])


def test_64_workers_and_their_streams_in_two_processes_stop(store: str) -> None:
    url = fresh_provider(SLOW).openai_url
    outlay.configure(prices=PRICES)
    outlay.ledger(store)
    context = multiprocessing.get_context("spawn")
    started, results = context.Queue(), context.Queue()
    workers = [
        context.Process(target=_process, args=(store, url, started, results))
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        assert started.get(timeout=120)
    attempts = outlay.halt("tenant=acme", by="maria", reason="bill", store=store)
    said = Counter(line for _ in workers for line in results.get(timeout=120))
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    half = PROCESSES * WORKERS // 2
    assert said == {"call: maria, bill": half, "stream: maria, bill": half}
    assert attempts == PROCESSES
    outlay.ledger(store).check_balances()
    with outlay.task("later", tags={"tenant": "acme"}, store=store) as task:
        with pytest.raises(outlay.Halted):
            task.reserve(**CALL)
        outlay.unhalt("tenant=acme", by="maria", store=store)
        task.reserve(**CALL).void()
    assert outlay.ledger(store).halts() == []


def test_a_call_that_waits_for_money_ends(any_store: str) -> None:
    outlay.configure(prices=PRICES)
    with outlay.task("refund", usd="0.00005", store=any_store) as task:
        held = task.reserve(**CALL)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(task.reserve, wait_ms=600_000, **CALL)
            time.sleep(0.05)
            assert not waiting.done()
            outlay.halt("refund", by="maria", reason="bill")
            with pytest.raises(outlay.Halted):
                waiting.result(60)
        held.void()


def test_a_stream_of_an_event_loop_is_cut_and_costs_what_it_was_allowed(any_store: str) -> None:
    url = fresh_provider(Reply(fill=True, chunk_ms=20, chunk_tokens=1)).openai_url
    outlay.instrument()

    async def read() -> None:
        client = openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0)
        async for _ in await client.chat.completions.create(**STREAM):
            if not outlay.ledger().halts():
                outlay.halt("refund", by="maria", reason="bill")

    with outlay.task("refund", usd=1, store=any_store) as task:
        with pytest.raises(outlay.Halted) as halted:
            asyncio.run(read())
        assert (halted.value.scope, halted.value.by) == ("refund", "maria")
        assert (task.pending.nanos, task.summary().totals.estimated_calls) == (0, 1)
        assert task.spent.nanos >= 5_000 * 10_000


def test_a_name_that_cannot_be_is_refused(any_store: str) -> None:
    for scope, reason in (("", "r"), ("Ten ant=x", "r"), ("all", "")):
        with pytest.raises(outlay.InvalidInput):
            outlay.halt(scope, by="maria", reason=reason, store=any_store)
    with pytest.raises(outlay.NotFound):
        outlay.unhalt("all", by="maria", store=any_store)
