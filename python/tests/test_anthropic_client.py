"""What of the anthropic package, beside asking and streaming, spends money, and is it all held?"""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import outlay
import pydantic
import pytest
from endpoints import MESSAGES, Messages, agrees, covers, fresh_provider, task
from outlay.testing import Provider, Reply

ASKED: Any = {"model": "claude-opus-4-7", "max_tokens": 100, "messages": MESSAGES}

middleware = pytest.mark.skipif(
    not hasattr(anthropic.Anthropic, "with_middleware"), reason="this version has no middleware"
)


class Sum(pydantic.BaseModel):
    total: int


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture
def client(provider: Provider) -> anthropic.Anthropic:
    made: anthropic.Anthropic = Messages(provider).sync
    return made


def test_structured_answers_are_metered(client: Any, provider: Provider) -> None:
    provider.default(Reply(text='{"total": 4}'))
    with task() as t:
        answer = client.messages.parse(**ASKED, output_format=Sum)
    assert answer.parsed_output == Sum(total=4)
    agrees(t, provider)


def test_the_beta_interface_is_metered(client: anthropic.Anthropic, provider: Provider) -> None:
    with task() as t:
        client.beta.messages.create(**ASKED)
        with client.beta.messages.stream(**ASKED) as stream:
            assert stream.get_final_text()
    assert agrees(t, provider).served == 2


def test_each_call_of_the_tool_runner_is_metered(client: Any, provider: Provider) -> None:
    @anthropic.beta_tool
    def search(query: str) -> str:
        """Searches."""
        return f"nothing about {query}"

    provider.script(*[Reply.tool("search", {"query": "weather"})] * 3, Reply(text="Done."))
    with task() as t:
        runner = client.beta.messages.tool_runner(**ASKED, tools=[search])
        assert runner.until_done().content[0].text == "Done."
    assert agrees(t, provider).served == 4


def test_a_tool_runner_stops_when_its_task_does(client: Any, provider: Provider) -> None:
    @anthropic.beta_tool
    def search(query: str) -> str:
        """Searches."""
        return f"nothing about {query}"

    provider.default(Reply.tool("search", {"query": "weather"}))
    runner = client.beta.messages.tool_runner(**ASKED, tools=[search])
    with task(llm_calls=3) as t, pytest.raises(outlay.BudgetExceeded):
        runner.until_done()
    assert agrees(t, provider).served == 3


def test_what_is_written_to_and_read_from_the_cache_costs_what_is_billed(
    client: anthropic.Anthropic, provider: Provider
) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 500
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    body: Any = {**ASKED, "system": [block]}
    with task() as t:
        client.messages.create(**body)
        with client.messages.stream(**body) as stream:
            assert stream.get_final_text()
    bill = agrees(t, provider)
    assert bill.usage.write_5m_tokens == bill.usage.cached_tokens > 4_096


def test_counting_is_free(client: anthropic.Anthropic, provider: Provider) -> None:
    with task(0) as t:
        counted = client.messages.count_tokens(model="claude-opus-4-7", messages=MESSAGES)
    assert counted.input_tokens > 0
    assert (t.summary().totals.calls, t.summary().totals.voided_calls) == (0, 0)


def test_what_cannot_be_metered_is_refused_under_a_limit(
    client: anthropic.Anthropic, provider: Provider
) -> None:
    billed = [
        lambda: client.messages.batches.create(requests=[]),
        lambda: client.post("/v1/complete", body={"model": "claude-2.1"}, cast_to=object),
        lambda: client.post("/v1/new", body={"model": "claude-opus-4-7"}, cast_to=object),
    ]
    with task() as t:
        for ask in billed:
            with pytest.raises(outlay.Unsupported):
                ask()
    assert agrees(t, provider).count == 0


def test_a_stream_left_costs_the_input_that_was_said_and_all_the_output(
    client: anthropic.Anthropic, provider: Provider
) -> None:
    provider.default(Reply(fill=True, chunk_ms=3, chunk_tokens=2))
    with task() as t, client.messages.create(**ASKED, stream=True) as stream:
        for _ in stream:
            break
    bill = covers(t, provider)
    assert t.spent.nanos == bill.usage.input_tokens * 5_000 + 100 * 25_000


@middleware
def test_each_request_of_a_callers_middleware_is_reserved_for(provider: Provider) -> None:
    def twice(request: Any, call_next: Any) -> Any:
        call_next(request)
        return call_next(request)

    async def twice_async(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return await call_next(request)

    api = Messages(provider)
    with task() as t:
        api.create(api.sync.with_middleware(twice))
        asyncio.run(api.create(api.aio.with_middleware(twice_async)))
    assert agrees(t, provider).served == 4


@middleware
def test_a_middleware_that_answers_itself_spends_nothing(provider: Provider) -> None:
    def cached(request: Any, call_next: Any) -> Any:
        return anthropic.types.Message.model_construct(id="kept")

    api = Messages(provider)
    with task() as t:
        assert api.create(api.sync.with_middleware(cached)).id == "kept"
    assert agrees(t, provider).count == 0


@middleware
def test_a_refusal_passes_a_callers_middleware_as_it_is(provider: Provider) -> None:
    seen: list[Exception] = []

    def watching(request: Any, call_next: Any) -> Any:
        try:
            return call_next(request)
        except Exception as error:
            seen.append(error)
            raise

    api = Messages(provider, max_retries=2)
    with task(0.000_1) as t, pytest.raises(outlay.BudgetExceeded):
        api.create(api.sync.with_middleware(watching))
    assert [type(error) for error in seen] == [outlay.BudgetExceeded]
    assert agrees(t, provider).count == 0
