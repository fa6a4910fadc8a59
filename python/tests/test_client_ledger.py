"""What becomes of a client's calls where the ledger is a file, and where it cannot answer?"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import outlay
import pytest
from endpoints import ENDPOINTS, Endpoint, agrees, fresh_provider, task
from outlay.testing import Provider, Reply

resource = pytest.importorskip("resource")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setattr(sys.modules["outlay.integrations._response"], "_warned", set())
    return fresh_provider()


@pytest.fixture(params=ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


async def read(api: Endpoint, stream: bool) -> str:
    if not stream:
        return api.answer(await api.create(api.aio))
    return "".join([api.text(event) async for event in await api.create(api.aio, stream=True)])


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_costs_what_the_provider_bills(
    api: Endpoint, provider: Provider, store: str, stream: bool
) -> None:
    with task(store=store) as t:
        assert asyncio.run(read(api, stream))
        if stream:
            assert list(api.create(stream=True))
        else:
            assert api.create()
    assert agrees(t, provider).served == 2


def test_the_ledger_is_asked_beside_the_event_loop(
    api: Endpoint, provider: Provider, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    module: Any = sys.modules["outlay.integrations._threads"]
    run = module.run

    async def watched(act: Any) -> None:
        def noted() -> None:
            threads.append(threading.get_ident())
            act()

        await run(noted)

    async def both() -> None:
        await read(api, stream=False)
        await read(api, stream=True)

    monkeypatch.setattr(module, "run", watched)
    with task(store=store) as t:
        asyncio.run(both())
    assert len(threads) == 4
    assert threading.get_ident() not in threads
    agrees(t, provider)


class FullDisk:
    """While the provider is at work, the disk fills up; in the end there is room again."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> FullDisk:
        self.thread = threading.Thread(target=self.fill)
        self.thread.start()
        return self

    def fill(self) -> None:
        while not self.provider.requests():
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, self.limits[1]))

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collects what outlay warned of."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield messages
    messages += [str(each.message) for each in said if "outlay" in str(each.message)]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_not_lost_with_its_record(
    api: Endpoint, provider: Provider, store: str, stream: bool, asynchronous: bool
) -> None:
    provider.default(Reply(tokens=20, latency_ms=50))
    with task(store=store) as t:
        with warned() as messages, FullDisk(provider):
            if asynchronous:
                said = asyncio.run(read(api, stream))
            elif stream:
                said = "".join(api.text(event) for event in api.create(stream=True))
            else:
                said = api.answer(api.create())
        assert said
        assert len(messages) == 1
        assert "stays held" in messages[0]
        assert t.spent.nanos + t.pending.nanos >= provider.bill().cost_nanos
    assert t.pending.nanos == 0
    assert t.in_doubt == t.spent
    assert t.spent.nanos >= provider.bill().cost_nanos


def test_it_is_said_once(api: Endpoint, provider: Provider, store: str) -> None:
    with task(store=store), warned() as messages:
        for _ in range(3):
            provider.reset()
            provider.default(Reply(status=500, latency_ms=50))
            with FullDisk(provider), pytest.raises(api.package.InternalServerError):
                api.create()
    assert len(messages) == 1


def test_a_ledger_that_cannot_answer_lets_nothing_be_sent(
    api: Endpoint, provider: Provider, store: str
) -> None:
    patient = type(api)(provider, max_retries=2)
    with task(store=store):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            for asynchronous in (False, True):
                with pytest.raises(outlay.StoreUnavailable):
                    patient.ask(asynchronous)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert provider.bill().count == 0
