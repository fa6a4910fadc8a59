"""Does what the caller says about single calls hold for these, and for no others?"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import outlay
import pytest
from endpoints import ENDPOINTS, Endpoint, agrees, fresh_provider, task
from outlay.testing import Provider


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture(params=ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


def asked_for(api: Endpoint) -> Any:
    """What a call would hold."""
    with task(0), pytest.raises(outlay.BudgetExceeded) as refused:
        api.create()
    return refused.value.requested


def test_its_own_word_is_held_instead_of_the_worst_case(api: Endpoint, provider: Provider) -> None:
    with task() as t:
        with outlay.call(max_usd="0.25"):
            assert asked_for(api) == outlay.Money("0.25")
            api.create()
        assert asked_for(api) < outlay.Money("0.01")
    assert agrees(t, provider).served == 1


def test_what_it_says_of_the_input_is_the_bound(api: Endpoint) -> None:
    with outlay.call(max_input_tokens=100_000):
        assert asked_for(api) > outlay.Money("0.25")


def test_an_inner_block_leaves_what_it_does_not_give(api: Endpoint) -> None:
    with outlay.call(max_usd="0.25"):
        with outlay.call(max_input_tokens=100_000):
            assert asked_for(api) == outlay.Money("0.25")
        with outlay.call(max_usd="0.5"):
            assert asked_for(api) == outlay.Money("0.5")
        assert asked_for(api) == outlay.Money("0.25")


def test_it_follows_into_threads_and_asyncio(api: Endpoint) -> None:
    seen: list[Any] = []

    async def asynchronous() -> None:
        seen.append(await asyncio.to_thread(asked_for, api))

    with outlay.call(max_usd="0.25"):
        thread = threading.Thread(target=lambda: seen.append(asked_for(api)))
        thread.start()
        thread.join()
        asyncio.run(asynchronous())
    thread = threading.Thread(target=lambda: seen.append(asked_for(api)))
    thread.start()
    thread.join()
    assert seen[:2] == [outlay.Money("0.25")] * 2
    assert seen[2] < outlay.Money("0.01")


@pytest.mark.parametrize(
    "options",
    [
        {"max_usd": float("nan")},
        {"max_usd": "much"},
        {"max_input_tokens": -1},
        {"max_input_tokens": 1.5},
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(options: dict[str, Any]) -> None:
    with pytest.raises(outlay.InvalidInput), outlay.call(**options):
        pytest.fail("entered")
