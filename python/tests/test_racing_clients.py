"""Do 64 workers with real clients make exactly the calls that fit, and not one more?

The worst case of a call here is what it costs: input is free, and all of the 5,000 output tokens
are used, at 10 USD per million. Twenty such calls are one dollar.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import outlay
import pytest
from endpoints import ALL_ENDPOINTS, Endpoint, agrees, fresh_provider, task
from outlay.testing import Provider, Reply

WORKERS = 64
CAP_USD = 1.00
FIT = 20
MODELS = {
    "chat": "gpt-race",
    "responses": "gpt-race",
    "messages": "claude-race",
    "contents": "gemini-race",
}


@pytest.fixture
def provider() -> Provider:
    provider = fresh_provider(Reply(fill=True, latency_ms=5))
    rates = {"input": 0, "output": 10}
    names = [MODELS[each.name] for each in ALL_ENDPOINTS]
    provider.control({"prices": dict.fromkeys(names, rates)})
    outlay.configure(prices=dict.fromkeys(names, rates))
    return provider


@pytest.fixture(params=ALL_ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    made.model = MODELS[made.name]
    return made


def until_refused(api: Endpoint, stream: bool) -> int:
    """Calls as long as calls fit; returns how many did."""
    made = 0
    try:
        while True:
            answer = api.create(stream=stream, **{api.maximum: 5_000})
            if stream:
                for _ in answer:
                    pass
            made += 1
    except outlay.BudgetExceeded:
        return made


async def until_refused_async(api: Endpoint, stream: bool) -> int:
    made = 0
    try:
        while True:
            answer = await api.create(api.aio, stream=stream, **{api.maximum: 5_000})
            if stream:
                async for _ in answer:
                    pass
            made += 1
    except outlay.BudgetExceeded:
        return made


def in_threads(api: Endpoint, stream: bool) -> int:
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda _: until_refused(api, stream), range(WORKERS)))


def in_asyncio(api: Endpoint, stream: bool) -> int:
    async def race() -> int:
        return sum(
            await asyncio.gather(*[until_refused_async(api, stream) for _ in range(WORKERS)])
        )

    return asyncio.run(race())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("workers", [in_threads, in_asyncio])
def test_exactly_what_fits_is_served(
    api: Endpoint,
    provider: Provider,
    workers: Callable[[Endpoint, bool], int],
    stream: bool,
    any_store: str,
) -> None:
    with task(CAP_USD, store=any_store) as t:
        made = workers(api, stream)
        assert t.pending.nanos == 0
    bill = agrees(t, provider)
    assert (made, bill.served, bill.count) == (FIT, FIT, FIT)
    assert t.spent == outlay.Money(CAP_USD)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_several_tasks_under_one_budget_are_served_what_it_holds(
    api: Endpoint, provider: Provider, any_store: str, stream: bool
) -> None:
    outlay.budget(tags={"tenant": "acme"}, usd=CAP_USD, store=any_store)

    def own_task(number: int) -> int:
        options: Any = {"tags": {"tenant": "acme"}, "store": any_store}
        with outlay.task(f"race {number}", **options):
            return until_refused(api, stream)

    with ThreadPoolExecutor(WORKERS) as pool:
        made = sum(pool.map(own_task, range(WORKERS)))
    bill = provider.bill()
    assert (made, bill.served, bill.count) == (FIT, FIT, FIT)
    assert bill.cost_nanos == 1_000_000_000
