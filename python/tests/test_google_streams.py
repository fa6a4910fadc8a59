"""What does a stream of Google's guarded client come to, however it ends?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import outlay
import pytest
from endpoints import OUTPUT_NANOS, Contents, agrees, covers, fresh_provider, recorded, task
from outlay.testing import Provider, Reply, ToolCall

pytest.importorskip("google.genai")

#: Slow enough for a reader to leave before all of it is on its way.
SLOW = Reply(fill=True, chunk_ms=3, chunk_tokens=2, reasoning_tokens=0)
#: Endless beside what its reservation allows.
ENDLESS = Reply(fill=True, chunk_ms=1, chunk_tokens=10, reasoning_tokens=0)
CUT_USD = "0.0005"
OUTPUT = OUTPUT_NANOS[Contents.model]


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture
def api(provider: Provider) -> Contents:
    return Contents(provider)


@pytest.fixture(params=["httpx", "aiohttp"])
def aio(request: pytest.FixtureRequest, provider: Provider) -> Contents:
    """To be read in asyncio, over either transport."""
    return Contents(provider, request.param)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What ends here was not ended by the garbage collector."""
    gc.disable()
    yield
    gc.enable()


async def events(api: Contents, **more: Any) -> AsyncIterator[Any]:
    async for event in await api.create(api.aio, stream=True, **more):
        yield event


async def texts(api: Contents, said: list[str], **more: Any) -> None:
    async with api.aio:
        async for event in await api.create(api.aio, stream=True, **more):
            said.append(api.text(event))


def left(t: outlay.Task, provider: Provider) -> None:
    """One stream was left: it costs what it was allowed, which covers what was sent."""
    assert t.pending.nanos == 0
    assert covers(t, provider).count == 1
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos >= 100 * OUTPUT


def test_a_stream_costs_what_the_provider_bills(api: Contents, provider: Provider) -> None:
    with task() as t:
        assert "".join(api.text(event) for event in api.create(stream=True))
        assert t.pending.nanos == 0
    assert agrees(t, provider).served == 1
    assert t.summary().totals.estimated_calls == 0


def test_a_stream_in_asyncio_does_too(aio: Contents, provider: Provider, any_store: str) -> None:
    said: list[str] = []
    with task(store=any_store) as t:
        asyncio.run(texts(aio, said, max_output_tokens=None))
    assert "".join(said)
    assert agrees(t, provider).served == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="So:", tool_calls=[ToolCall("search", '{"query": "weather"}')]),
        Reply(tokens=300),
        Reply(text="日本語 🙂\u2028\u0085 {end}", chunk_tokens=1),
    ],
)
def test_whatever_a_stream_holds_it_costs_what_is_billed(
    api: Contents, aio: Contents, provider: Provider, reply: Reply
) -> None:
    provider.default(reply)
    thoughts = {"thinking_config": {"include_thoughts": True}, "candidate_count": 2}
    with task() as t:
        assert list(api.create(stream=True, **thoughts))
        asyncio.run(texts(aio, [], **thoughts))
    assert agrees(t, provider).served == 2


def test_an_attempt_before_the_stream_is_recorded_too(aio: Contents, provider: Provider) -> None:
    once = {"attempts": 3, "initial_delay": 0, "max_delay": 0, "jitter": 0}
    options: Any = {"http_options": {"retry_options": once}}
    provider.script(Reply(status=429), Reply(status=500), Reply(), Reply(status=503))
    with task() as t:
        assert list(aio.create(stream=True, **options))
        asyncio.run(texts(aio, [], **options))
    bill = agrees(t, provider)
    assert (bill.served, bill.refused) == (2, 3)


@pytest.mark.parametrize("usage", ["missing", "no_final"])
def test_a_whole_stream_without_usage_costs_the_upper_count_of_its_text(
    api: Contents, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(text="the quick brown fox", usage=usage))
    with task() as t:
        assert list(api.create(stream=True, thinking_config={"thinking_budget": 0}))
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos < 25 * OUTPUT


@pytest.mark.parametrize("usage", ["missing", "no_final"])
def test_where_it_may_have_thought_it_costs_all_it_was_allowed(
    api: Contents, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(text="the quick brown fox", usage=usage))
    with task() as t:
        assert list(api.create(stream=True))
    left(t, provider)


@pytest.mark.parametrize("usage", ["negative", "floats", "huge"])
def test_a_stream_whose_usage_cannot_be_is_not_lost(
    api: Contents, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(tokens=20, usage=usage))
    with task() as t:
        try:
            list(api.create(stream=True))
        except ValueError:  # the client itself may not read such a usage
            assert usage in ("floats", "huge")
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1


def cut(t: outlay.Task, provider: Provider) -> None:
    """The stream was stopped at its reservation, long before its end."""
    bill = recorded(t, provider)
    assert (bill.partial, t.spent) == (1, outlay.Money(CUT_USD))
    assert bill.entries[0].chunks < 400
    assert isinstance(t.stopped, outlay.BudgetExceeded)


def test_a_stream_beyond_its_reservation_is_cut_and_its_text_stays(
    api: Contents, provider: Provider
) -> None:
    provider.default(ENDLESS)
    said: list[str] = []
    with task() as t:
        with outlay.call(max_usd=CUT_USD), pytest.raises(outlay.BudgetExceeded) as stop:
            for event in api.create(stream=True, max_output_tokens=8_000):
                said.append(api.text(event))
        assert type(stop.value) is outlay.BudgetExceeded
        assert (stop.value.affordable_output_tokens, stop.value.contended) == (0, False)
    assert len("".join(said)) > 100
    cut(t, provider)


def test_a_stream_in_asyncio_is_cut_too(aio: Contents, provider: Provider) -> None:
    provider.default(ENDLESS)
    said: list[str] = []
    with task() as t, outlay.call(max_usd=CUT_USD), pytest.raises(outlay.BudgetExceeded):
        asyncio.run(texts(aio, said, max_output_tokens=8_000))
    assert len("".join(said)) > 100
    cut(t, provider)


def test_a_stream_in_a_chat_is_cut_too(api: Contents, provider: Provider) -> None:
    provider.default(ENDLESS)
    chat = api.sync.chats.create(model=api.model, config={"max_output_tokens": 8_000})
    with task() as t, outlay.call(max_usd=CUT_USD), pytest.raises(outlay.BudgetExceeded):
        list(chat.send_message_stream("hello world"))
    cut(t, provider)


@pytest.mark.usefixtures("no_collector")
def test_a_stream_left_without_a_word_ends_at_once(api: Contents, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t:
        for number, _ in enumerate(api.create(stream=True)):
            if number > 3:
                break
        assert t.pending.nanos == 0
    left(t, provider)
    assert provider.bill().partial == 1


@pytest.mark.usefixtures("no_collector")
def test_a_stream_left_in_asyncio_ends_soon(aio: Contents, provider: Provider) -> None:
    provider.default(SLOW)

    async def read(t: outlay.Task) -> None:
        async for _ in await aio.create(aio.aio, stream=True):
            break
        await asyncio.sleep(0.02)
        assert t.pending.nanos == 0

    with task() as t:
        asyncio.run(read(t))
    left(t, provider)
    assert provider.bill().partial == 1


def test_a_closed_stream_ends_at_once(api: Contents, provider: Provider) -> None:
    provider.default(SLOW)
    with task() as t:
        stream = api.create(stream=True)
        next(stream)
        stream.close()
        assert t.pending.nanos == 0
    left(t, provider)


def test_a_stream_nobody_reads_is_not_sent(api: Contents, provider: Provider) -> None:
    with task() as t:
        api.create(stream=True)
        asyncio.run(api.create(api.aio, stream=True))
    assert agrees(t, provider).count == 0


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_reader_ends_the_stream(
    api: Contents, provider: Provider, error: type[BaseException]
) -> None:
    provider.default(SLOW)

    def read() -> None:
        for _ in api.create(stream=True):
            raise error

    with task() as t:
        with pytest.raises(error):
            read()
        assert t.pending.nanos == 0
    left(t, provider)


@pytest.mark.usefixtures("no_collector")
def test_an_async_generator_that_is_closed_ends_its_stream(
    aio: Contents, provider: Provider
) -> None:
    provider.default(SLOW)

    async def read(t: outlay.Task) -> None:
        reading: Any = events(aio)
        await anext(reading)
        await reading.aclose()
        await asyncio.sleep(0.02)
        assert t.pending.nanos == 0

    with task() as t:
        asyncio.run(read(t))
    left(t, provider)


@pytest.mark.usefixtures("no_collector")
def test_a_cancelled_reader_ends_its_stream(aio: Contents, provider: Provider) -> None:
    provider.default(SLOW)

    async def read(came: asyncio.Event) -> None:
        async for _ in await aio.create(aio.aio, stream=True):
            came.set()

    async def cancelled(t: outlay.Task) -> None:
        came = asyncio.Event()
        reading = asyncio.create_task(read(came))
        await came.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.sleep(0.02)
        assert t.pending.nanos == 0

    with task() as t:
        asyncio.run(cancelled(t))
    left(t, provider)


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("behaviour", ["drop_middle", "error_middle", "stall_middle"])
def test_a_broken_stream_costs_all_it_was_allowed(
    provider: Provider, behaviour: Any, transport: str
) -> None:
    provider.default(Reply(fill=True, behaviour=behaviour, after_chunks=3))
    api = Contents(provider, transport, timeout=250)
    errors: list[Exception] = []
    with task() as t:
        for reading in (
            lambda: list(api.create(stream=True)),
            lambda: asyncio.run(texts(api, [])),
        ):
            try:
                reading()
            except Exception as error:
                errors.append(error)
    assert len(errors) == 2
    assert not any(isinstance(error, outlay.OutlayError) for error in errors)
    assert covers(t, provider).count == 2
    assert t.summary().totals.estimated_calls == 2
    assert t.spent.nanos >= 200 * OUTPUT
