"""Nobody wins the last cent twice: cap 1.00 USD, workers looping 0.05 USD calls of 5 ms."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import outlay
import pytest
from outlay import BudgetExceeded, Money, Usage

PRICES = {"race-model": {"input": 0, "output": 10}}  # 5,000 output tokens cost 0.05 USD
CALL = {"model": "race-model", "input_tokens": 0, "max_output_tokens": 5000}
WORKERS = 64


def loop(reserve: Callable[..., Any]) -> int:
    """Calls until refused for good; returns how many calls were made."""
    made = 0
    while True:
        try:
            call = reserve(**CALL)
        except BudgetExceeded as refused:
            if not refused.contended:
                return made
            time.sleep(0.002)
            continue
        time.sleep(0.005)
        call.settle(Usage(0, 5000))
        made += 1


def test_threads_share_one_cap(any_store: str) -> None:
    outlay.configure(prices=PRICES)
    made: list[int] = []
    with outlay.task("race", usd=1.00, store=any_store) as task:
        threads = [
            threading.Thread(target=lambda: made.append(loop(task.reserve))) for _ in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sum(made), task.spent, task.pending) == (20, Money(1), Money(0))
    outlay.ledger(any_store).check_balances()


def test_async_workers_share_one_cap(any_store: str) -> None:
    outlay.configure(prices=PRICES)

    async def worker(task: outlay.Task) -> int:
        made = 0
        while True:
            try:
                call = task.reserve(**CALL)
            except BudgetExceeded as refused:
                if not refused.contended:
                    return made
                await asyncio.sleep(0.002)
                continue
            await asyncio.sleep(0.005)
            call.settle(Usage(0, 5000))
            made += 1

    async def race() -> None:
        async with outlay.task("race", usd=1.00, store=any_store) as task:
            made = await asyncio.gather(*(worker(task) for _ in range(WORKERS)))
            assert (sum(made), task.spent, task.pending) == (20, Money(1), Money(0))

    asyncio.run(race())


def _process(store: str, results: Any) -> None:
    outlay.configure(prices=PRICES)
    made: list[int] = []
    with outlay.task("race", tags={"team": "blue"}, store=store) as task:
        threads = [
            threading.Thread(target=lambda: made.append(loop(task.reserve))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    results.put((sum(made), task.spent.nanos))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_one_budget(method: str, store: str) -> None:
    outlay.budget(tags={"team": "blue"}, usd=1.00, store=store)
    context = multiprocessing.get_context(method)
    results: Any = context.Queue()
    workers = [context.Process(target=_process, args=(store, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    made = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sum(calls for calls, _ in made) == 20
    assert sum(spent for _, spent in made) == 1_000_000_000
    outlay.ledger(store).check_balances()
    with outlay.task("after", tags={"team": "blue"}, store=store) as task:
        assert task.available == Money(0)


def test_named_calls_race_for_one_reservation(any_store: str) -> None:
    outlay.configure(prices=PRICES)
    with outlay.task("race", usd=1.00, store=any_store) as task:
        created: list[bool] = []
        barrier = threading.Barrier(16)

        def reserve() -> None:
            barrier.wait()
            created.append(task.reserve(id="the-one", **CALL).created)

        threads = [threading.Thread(target=reserve) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(created) == 1
