"""What does a stream of a guarded client come to, however it ends?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import outlay
import pytest
from endpoints import (
    ENDPOINTS,
    OUTPUT_NANOS,
    Endpoint,
    agrees,
    covers,
    fresh_provider,
    recorded,
    task,
)
from outlay.testing import Provider, Reply, ToolCall

#: Slow enough for a reader to leave before all of it is on its way.
SLOW = Reply(fill=True, chunk_ms=3, chunk_tokens=2)
#: Endless beside what its reservation allows.
ENDLESS = Reply(fill=True, chunk_ms=1, chunk_tokens=10)
CUT_USD = {"gpt-4o": "0.001", "claude-opus-4-7": "0.002"}


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture(params=ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


@contextmanager
def no_collector() -> Iterator[None]:
    """What ends here was not ended by the garbage collector."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def left(t: outlay.Task, provider: Provider) -> None:
    """One stream was left: it costs what it was allowed, which covers what was sent."""
    assert t.pending.nanos == 0
    assert covers(t, provider).count == 1
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos >= 100 * OUTPUT_NANOS["gpt-4o"]


def test_a_stream_costs_what_the_provider_bills(api: Endpoint, provider: Provider) -> None:
    with task() as t, api.create(stream=True) as stream:
        assert "".join(api.text(event) for event in stream)
        assert t.pending.nanos == 0
    assert agrees(t, provider).served == 1
    assert t.summary().totals.estimated_calls == 0


def test_a_stream_in_asyncio_does_too(api: Endpoint, provider: Provider) -> None:
    async def read() -> str:
        return "".join([api.text(event) async for event in await api.create(api.aio, stream=True)])

    with task() as t:
        assert asyncio.run(read())
    assert agrees(t, provider).served == 1


def test_a_stream_of_tool_calls_does_too(api: Endpoint, provider: Provider) -> None:
    provider.default(Reply(text="So:", tool_calls=[ToolCall("search", '{"query": "weather"}')]))
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    tool: dict[str, Any] = {"type": "function", "name": "search", "parameters": schema}
    if api.name == "chat":
        tool = {"type": "function", "function": {"name": "search", "parameters": schema}}
    elif api.name == "messages":
        tool = {"name": "search", "input_schema": schema}
    with task() as t:
        assert list(api.create(stream=True, tools=[tool]))
    assert agrees(t, provider).served == 1


def test_the_helpers_of_the_clients_do_too(api: Endpoint, provider: Provider) -> None:
    async def read() -> None:
        async with api.helper(api.aio) as stream:
            assert [event async for event in stream]

    with task() as t:
        with api.helper() as stream:
            assert list(stream)
        asyncio.run(read())
    assert agrees(t, provider).served == 2


def test_raw_streams_and_their_lines_do_too(api: Endpoint, provider: Provider) -> None:
    async def lines() -> list[str]:
        async with api.streaming(api.aio, stream=True) as response:
            return [line async for line in response.iter_lines()]

    with task() as t:
        assert "".join(api.text(event) for event in api.raw(stream=True).parse())
        with api.streaming(stream=True) as response:
            assert list(response.iter_lines())
        assert asyncio.run(lines())
    assert agrees(t, provider).served == 3


def test_an_attempt_before_the_stream_is_recorded_too(api: Endpoint, provider: Provider) -> None:
    patient = type(api)(provider, max_retries=2)
    provider.script(Reply(status=429, retry_after_s=0.001), Reply(status=500))
    with task() as t:
        assert list(patient.create(stream=True))
    assert agrees(t, provider).count == 3


@pytest.mark.parametrize("usage", ["missing", "no_final"])
def test_a_whole_stream_without_usage_costs_the_upper_count_of_its_text(
    api: Endpoint, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(text="the quick brown fox", usage=usage))
    with task() as t:
        assert list(api.create(stream=True))
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos < 25 * OUTPUT_NANOS[api.model]


@pytest.mark.parametrize("usage", ["negative", "strings", "floats", "huge"])
def test_a_stream_whose_usage_cannot_be_is_not_lost(
    api: Endpoint, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(tokens=20, usage=usage))
    with task() as t, api.streaming(stream=True) as response:
        assert list(response.iter_lines())
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1


def read_until_cut(api: Endpoint, said: list[str], **more: Any) -> None:
    for event in api.create(stream=True, **{api.maximum: 8_000}, **more):
        said.append(api.text(event))


def cut(t: outlay.Task, api: Endpoint, provider: Provider) -> None:
    """The stream was stopped at its reservation, long before its end."""
    bill = recorded(t, provider)
    assert (bill.partial, t.spent) == (1, outlay.Money(CUT_USD[api.model]))
    assert bill.entries[0].chunks < 400
    assert isinstance(t.stopped, outlay.BudgetExceeded)


def test_a_stream_beyond_its_reservation_is_cut_and_its_text_stays(
    api: Endpoint, provider: Provider
) -> None:
    provider.default(ENDLESS)
    said: list[str] = []
    with task() as t:
        with outlay.call(max_usd=CUT_USD[api.model]), pytest.raises(outlay.BudgetExceeded) as stop:
            read_until_cut(api, said)
        assert type(stop.value) is outlay.BudgetExceeded
        assert (stop.value.affordable_output_tokens, stop.value.contended) == (0, False)
    assert len("".join(said)) > 100
    cut(t, api, provider)


def test_a_stream_in_asyncio_is_cut_too(api: Endpoint, provider: Provider) -> None:
    provider.default(ENDLESS)
    said: list[str] = []

    async def read() -> None:
        async for event in await api.create(api.aio, stream=True, **{api.maximum: 8_000}):
            said.append(api.text(event))

    with task() as t, outlay.call(max_usd=CUT_USD[api.model]), pytest.raises(outlay.BudgetExceeded):
        asyncio.run(read())
    assert len("".join(said)) > 100
    cut(t, api, provider)


def test_a_stream_in_a_helper_is_cut_too(api: Endpoint, provider: Provider) -> None:
    provider.default(ENDLESS)
    said: list[str] = []

    def read(stream: Any) -> None:
        for event in stream:
            said.append(str(getattr(event, "delta", "")))

    cap = outlay.call(max_usd=CUT_USD[api.model])
    with task() as t, cap, api.helper(**{api.maximum: 8_000}) as stream:
        with pytest.raises(outlay.BudgetExceeded):
            read(stream)
        if api.name == "messages":
            assert len(stream.current_message_snapshot.content[0].text) > 100
    assert len("".join(said)) > 100
    cut(t, api, provider)


def test_a_stream_left_without_a_word_ends_at_once(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t, no_collector():
        for number, _ in enumerate(api.create(stream=True)):
            if number > 3:
                break
        assert t.pending.nanos == 0
    left(t, provider)


def test_a_stream_left_in_asyncio_ends_at_once(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)

    async def read(t: outlay.Task) -> None:
        async for _ in await api.create(api.aio, stream=True):
            break
        await asyncio.sleep(0.02)
        assert t.pending.nanos == 0

    with task() as t, no_collector():
        asyncio.run(read(t))
    left(t, provider)


def test_a_helper_left_in_asyncio_ends_at_once(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)

    async def read(t: outlay.Task) -> None:
        async with api.helper(api.aio) as stream:
            async for _ in stream:
                break
        assert t.pending.nanos == 0

    with task() as t:
        asyncio.run(read(t))
    left(t, provider)


def test_a_stream_can_be_taken_up_again(api: Endpoint, provider: Provider) -> None:
    with task() as t:
        stream = api.create(stream=True)
        said = [api.text(event) for event, _ in zip(stream, range(4), strict=False)]
        said += [api.text(event) for event in stream]
        assert "".join(said)
    assert agrees(t, provider).served == 1


def test_a_closed_stream_ends_at_once(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t:
        stream = api.create(stream=True)
        next(iter(stream))
        stream.close()
        assert t.pending.nanos == 0
    left(t, provider)


def test_a_stream_closed_unread_ends_at_once(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t:
        api.create(stream=True).close()
        assert t.pending.nanos == 0
    left(t, provider)


def test_a_stream_dropped_unread_is_in_doubt(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t:
        api.create(stream=True)
        gc.collect()
        assert t.pending.nanos == 0
    covers(t, provider)
    assert t.spent.nanos >= 100 * OUTPUT_NANOS[api.model]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_reader_ends_the_stream(
    api: Endpoint, provider: Provider, error: type[BaseException]
) -> None:
    provider.default(SLOW)

    def read() -> None:
        with api.create(stream=True) as stream:
            for _ in stream:
                raise error

    with task() as t:
        with pytest.raises(error):
            read()
        assert t.pending.nanos == 0
    left(t, provider)


def test_a_generator_that_is_closed_ends_its_stream(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)

    def texts() -> Iterator[str]:
        for event in api.create(stream=True):
            yield api.text(event)

    with task() as t, no_collector():
        reading = texts()
        next(reading)
        reading.close()
        assert t.pending.nanos == 0
    left(t, provider)


def test_an_async_generator_that_is_closed_ends_its_stream(
    api: Endpoint, provider: Provider
) -> None:
    provider.default(SLOW)

    async def texts() -> AsyncIterator[str]:
        async for event in await api.create(api.aio, stream=True):
            yield api.text(event)

    async def read(t: outlay.Task) -> None:
        reading: Any = texts()
        await anext(reading)
        await reading.aclose()
        await asyncio.sleep(0.02)
        assert t.pending.nanos == 0

    with task() as t, no_collector():
        asyncio.run(read(t))
    left(t, provider)


def test_a_cancelled_reader_ends_its_stream(api: Endpoint, provider: Provider) -> None:
    provider.default(SLOW)

    async def read(came: asyncio.Event) -> None:
        async for _ in await api.create(api.aio, stream=True):
            came.set()

    async def cancelled(t: outlay.Task) -> None:
        came = asyncio.Event()
        reading = asyncio.create_task(read(came))
        await came.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert t.pending.nanos == 0

    with task() as t, no_collector():
        asyncio.run(cancelled(t))
    left(t, provider)


@pytest.mark.parametrize("behaviour", ["drop_middle", "error_middle", "stall_middle"])
def test_a_broken_stream_costs_all_it_was_allowed(
    api: Endpoint, provider: Provider, behaviour: Any
) -> None:
    provider.default(Reply(fill=True, behaviour=behaviour, after_chunks=3))
    hasty = type(api)(provider, timeout=0.15)
    errors: list[Exception] = []

    async def read() -> None:
        async for _ in await hasty.create(hasty.aio, stream=True):
            pass

    with task() as t:
        for reading in (lambda: list(hasty.create(stream=True)), lambda: asyncio.run(read())):
            try:
                reading()
            except Exception as error:
                errors.append(error)
    # An error in a stream of responses is an event like any other.
    silent = (api.name, behaviour) == ("responses", "error_middle")
    assert len(errors) == (0 if silent else 2)
    assert not any(isinstance(error, outlay.OutlayError) for error in errors)
    assert covers(t, provider).count == 2
    assert t.summary().totals.estimated_calls == 2
    assert t.spent.nanos >= 200 * OUTPUT_NANOS[api.model]
