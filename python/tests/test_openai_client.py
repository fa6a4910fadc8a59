"""What of the openai package, beside asking and streaming, spends money, and is it all held?"""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import Any

import openai
import outlay
import pydantic
import pytest
from endpoints import (
    MESSAGES,
    OUTPUT_NANOS,
    Chat,
    Endpoint,
    Responses,
    agrees,
    covers,
    fresh_provider,
    task,
)
from outlay.testing import Provider, Reply


class Sum(pydantic.BaseModel):
    total: int


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture
def client(provider: Provider) -> openai.OpenAI:
    made: openai.OpenAI = Chat(provider).sync
    return made


@pytest.fixture(params=[Chat, Responses], ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


def test_the_usage_of_a_stream_is_asked_for_and_kept_back(provider: Provider) -> None:
    api = Chat(provider)

    async def read() -> list[Any]:
        return [chunk async for chunk in await api.create(api.aio, stream=True)]

    with task() as t:
        assert all(chunk.choices for chunk in api.create(stream=True))
        assert all(chunk.choices for chunk in asyncio.run(read()))
    agrees(t, provider)


def test_the_usage_of_a_stream_is_handed_on_if_asked_for(provider: Provider) -> None:
    options = {"stream_options": {"include_usage": True}}
    with task() as t:
        *_, last = Chat(provider).create(stream=True, **options)
    assert (last.choices, last.usage.completion_tokens) == ([], 20)
    agrees(t, provider)


def test_each_of_several_answers_is_held(provider: Provider) -> None:
    provider.default(Reply(fill=True))
    worst = 3 * 100 * OUTPUT_NANOS["gpt-4o"]
    with task() as t:
        Chat(provider).create(n=3)
        list(Chat(provider).create(n=3, stream=True))
    assert agrees(t, provider).usage.output_tokens == 600
    with task(worst / 1e9) as t, pytest.raises(outlay.BudgetExceeded):
        Chat(provider).create(n=3)


def test_structured_answers_are_metered(client: openai.OpenAI, provider: Provider) -> None:
    provider.default(Reply(text='{"total": 4}'))
    with task() as t:
        chat = client.chat.completions.parse(
            model="gpt-4o", messages=MESSAGES, response_format=Sum, max_tokens=50
        )
        answer = client.responses.parse(model="gpt-4o", input="2 + 2", text_format=Sum)
        with client.responses.stream(model="gpt-4o", input="2 + 2", text_format=Sum) as stream:
            streamed = stream.get_final_response()
    assert chat.choices[0].message.parsed == Sum(total=4)
    assert answer.output_parsed == streamed.output_parsed == Sum(total=4)
    agrees(t, provider)


def test_embeddings_are_metered(client: openai.OpenAI, provider: Provider) -> None:
    with task() as t:
        client.embeddings.create(model="text-embedding-3-small", input=["one", "two three"])
        with pytest.raises(outlay.BudgetExceeded), outlay.task("in", usd=0, store="memory:"):
            client.embeddings.create(model="text-embedding-3-small", input="one")
    assert agrees(t, provider).count == 1


def test_images_are_metered(client: openai.OpenAI, provider: Provider) -> None:
    with task() as t:
        client.images.generate(model="gpt-image-1", prompt="a red square", quality="low")
    assert agrees(t, provider).served == 1
    with task(0.001), pytest.raises(outlay.BudgetExceeded):
        client.images.generate(model="gpt-image-1", prompt="a red square", quality="high")


def test_input_from_the_cache_costs_what_the_provider_bills(provider: Provider) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 200
    messages = [{"role": "user", "content": text}]
    with task() as t:
        Chat(provider).create(messages=messages)
        list(Chat(provider).create(messages=messages, stream=True))
    bill = agrees(t, provider)
    assert bill.usage.cached_tokens > 1_000
    assert t.summary().totals.cache_read_tokens == bill.usage.cached_tokens


def test_hidden_output_is_covered_where_a_stream_is_left(provider: Provider) -> None:
    asked: Any = {
        "model": "gpt-5-mini",
        "max_tokens": openai.NOT_GIVEN,
        "max_completion_tokens": 5_000,
        "stream": True,
    }
    provider.default(Reply(tokens=900, reasoning_tokens=3_000, chunk_ms=2))
    with task() as t:
        for _ in Chat(provider).create(**asked):
            break
    assert covers(t, provider).usage.output_tokens >= 3_000
    provider.reset()
    provider.default(Reply(tokens=900, reasoning_tokens=3_000, usage="missing"))
    with task() as t:
        assert list(Chat(provider).create(**asked))
    assert covers(t, provider).served == 1


def test_what_goes_on_from_kept_text_needs_a_word(
    client: openai.OpenAI, provider: Provider
) -> None:
    with task() as t:
        first = client.responses.create(model="gpt-4o", input="hello", max_output_tokens=50)
        more: Any = {"model": "gpt-4o", "input": "and?", "previous_response_id": first.id}
        with pytest.raises(outlay.Unbounded):
            client.responses.create(**more)
        with outlay.call(max_input_tokens=2_000):
            client.responses.create(**more)
    assert agrees(t, provider).served == 2


def test_what_cannot_be_metered_is_refused_under_a_limit(
    client: openai.OpenAI, provider: Provider
) -> None:
    image = b"\x89PNG"
    batch: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    billed = [
        lambda: client.audio.speech.create(model="tts-1", voice="alloy", input="x"),
        lambda: client.batches.create(input_file_id="file-1", **batch),
        lambda: client.images.edit(model="gpt-image-1", image=image, prompt="x"),
        lambda: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x"),
        lambda: client.post("/new/method", body={"model": "gpt-4o"}, cast_to=object),
        lambda: client.realtime.connect(model="gpt-realtime"),
    ]
    with task() as t:
        for ask in billed:
            with pytest.raises(outlay.Unsupported):
                ask()
        assert client.models.list().data
    assert agrees(t, provider).count == 0
    outlay.configure(unmetered="allow")
    with task(), pytest.raises(openai.NotFoundError):  # sent, to a provider that has none
        client.audio.speech.create(model="tts-1", voice="alloy", input="x")


def test_an_azure_client_is_guarded(provider: Provider) -> None:
    hidden = openai.AzureOpenAI(api_key="any", azure_endpoint=provider.url, api_version="1")
    with task(0.000_01), pytest.raises(outlay.BudgetExceeded):
        hidden.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_the_client_of_the_module_is_guarded(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "api_key", "any")
    monkeypatch.setattr(openai, "base_url", provider.openai_url + "/")
    monkeypatch.setattr(openai, "_client", None, raising=False)
    with task() as t:
        openai.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=20)
    assert agrees(t, provider).served == 1


def test_a_client_over_the_older_httpx_is_guarded(provider: Provider) -> None:
    httpx = pytest.importorskip("httpx")
    where: Any = {"api_key": "any", "base_url": provider.openai_url}
    client = openai.OpenAI(**where, http_client=httpx.Client(verify=False))
    body: Any = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 20}
    with task() as t:
        client.chat.completions.create(**body)
        assert list(client.chat.completions.create(**body, stream=True))
    assert agrees(t, provider).served == 2


def test_a_stream_that_comes_whole_is_metered(provider: Provider) -> None:
    httpx: Any = importlib.import_module("httpx2" if openai.VERSION >= "3" else "httpx")
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    text = {**head, "choices": [{"index": 0, "delta": {"content": "hello"}}]}
    usage = {**head, "choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 1_000}}
    events = [json.dumps(text), json.dumps(usage), "[DONE]"]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    headers = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body))
    client = openai.OpenAI(api_key="any", http_client=httpx.Client(transport=transport))
    asked: Any = {"model": "gpt-4o", "messages": MESSAGES}
    with task() as t:
        assert len(list(client.chat.completions.create(**asked, stream=True))) == 1
        assert t.spent.nanos == 12_500_000
        plain = client.post(
            "/chat/completions", body={**asked, "stream": True}, cast_to=httpx.Response
        )
        assert t.spent.nanos == 25_000_000
    assert b'"choices": []' not in plain.content


def test_a_request_made_while_another_is_prepared_is_apart_from_it(provider: Provider) -> None:
    inner = Chat(provider)

    def key() -> str:
        inner.create()
        return "any"

    outer = openai.OpenAI(api_key=key, base_url=provider.openai_url)
    with task() as t:
        outer.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=30)
    assert agrees(t, provider).served == 2
