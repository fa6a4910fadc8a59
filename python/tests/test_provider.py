"""Does the loopback provider answer the real clients as the real providers would?

Counts are held against Python tiktoken and against figures OpenAI's API returned (published
in its cookbook); costs against sums worked out here by hand.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from outlay._tiktoken_offline import encoding
from outlay.testing import Provider, Reply, ToolCall

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")

HELLO: Any = [{"role": "user", "content": "hello world"}]
SENTENCE = "Größe, naïve 日本語のテキスト 🙂👩‍👩‍👧 and `code(x) -> None`\n\n\tend."
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}


class Sum(pydantic.BaseModel):
    total: int


def tokens(text: str) -> int:
    return len(encoding("o200k_base").encode_ordinary(text))


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider.spawn() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.reset()
    return running


@pytest.fixture
def gpt(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(provider: Provider) -> Iterator[anthropic.Anthropic]:
    url = provider.anthropic_url
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


# Counts


def test_prompts_count_what_the_api_returned_for_them(gpt: openai.OpenAI) -> None:
    """124 and 101 are `prompt_tokens` of gpt-4o as OpenAI's cookbook published them."""
    jargon = "Let's circle back when we have more bandwidth to touch base on opportunities for "
    late = "This late pivot means we don't have time to boil the ocean for the client deliverable."
    pattern = "You are a helpful, pattern-following assistant that translates corporate jargon "
    user, assistant = "example_user", "example_assistant"
    messages: Any = [
        {"role": "system", "content": pattern + "into plain English."},
        ("New synergies will help drive top-line growth.", user),
        ("Things working well together will increase revenue.", assistant),
        (jargon + "increased leverage.", user),
        ("Let's talk later when we're less busy about how to do better.", assistant),
        {"role": "user", "content": late},
    ]
    messages = [
        {"role": "system", "name": each[1], "content": each[0]} if type(each) is tuple else each
        for each in messages
    ]
    answer = gpt.chat.completions.create(model="gpt-4o", messages=messages)
    assert answer.usage and answer.usage.prompt_tokens == 124
    about = "You are a helpful assistant that can answer to questions about the weather."
    messages = [
        {"role": "system", "content": about},
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]
    answer = gpt.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    assert answer.usage and answer.usage.prompt_tokens == 101


@pytest.mark.parametrize("text", [SENTENCE, "<|endoftext|>", "a" * 9000, " " * 1_100_000])
def test_counts_equal_tiktoken_for_any_text(
    provider: Provider, gpt: openai.OpenAI, text: str
) -> None:
    provider.script(Reply(text=SENTENCE))
    messages: Any = [{"role": "user", "content": text}]
    answer = gpt.chat.completions.create(model="gpt-4o", messages=messages)
    # tiktoken itself panics on a megabyte of spaces; in pieces it does not.
    pieces = [text[at : at + 65_536] for at in range(0, len(text), 65_536)]
    expected = sum(map(tokens, pieces if len(text) > 1_000_000 else [text]))
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 1 + expected + 3
    assert answer.usage.completion_tokens == tokens(SENTENCE)
    assert answer.choices[0].message.content == SENTENCE


@pytest.mark.parametrize("wanted", [1, 2, 7, 256, 5000])
def test_a_reply_of_n_tokens_has_exactly_n(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic, wanted: int
) -> None:
    provider.default(Reply(tokens=wanted))
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.usage and answer.usage.completion_tokens == wanted
    assert tokens(answer.choices[0].message.content or "") == wanted
    assert answer.choices[0].finish_reason == "stop"
    for model in ("claude-sonnet-4-5", "claude-opus-4-7"):
        message = claude.messages.create(model=model, messages=HELLO, max_tokens=6000)
        assert message.usage.output_tokens == wanted
        assert message.stop_reason == "end_turn"
        assert isinstance(message.content[0], anthropic.types.TextBlock)
        assert tokens(message.content[0].text) == wanted


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("maximum", [1, 2, 3, 16, 17])
def test_the_maximum_is_honoured_exactly(
    provider: Provider,
    gpt: openai.OpenAI,
    claude: anthropic.Anthropic,
    maximum: int,
    stream: bool,
) -> None:
    provider.default(Reply(text=SENTENCE * 3))
    finish: list[str | None] = []
    told: Any
    for name in ("max_tokens", "max_completion_tokens"):
        limit: Any = {name: maximum, "n": 2, "stream": stream}
        told = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, **limit)
        chunks = list(told) if stream else [told]
        finish += [each.finish_reason for chunk in chunks for each in chunk.choices]
    assert finish.count("length") == 4
    told = gpt.responses.create(
        model="gpt-4o", input="hi", max_output_tokens=maximum, stream=stream
    )
    response: Any = list(told)[-1].response if stream else told
    assert (response.status, response.usage.output_tokens) == ("incomplete", maximum)
    for model in ("claude-sonnet-4-5", "claude-opus-4-7"):
        told = claude.messages.create(
            model=model, messages=HELLO, max_tokens=maximum, stream=stream
        )
        delta: Any = list(told)[-2] if stream else told
        assert (delta.delta if stream else delta).stop_reason == "max_tokens"
        assert delta.usage.output_tokens == maximum
    assert [entry.usage.output_tokens for entry in provider.bill().entries] == [
        2 * maximum, 2 * maximum, maximum, maximum, maximum,
    ]  # fmt: skip


def test_filling_uses_all_of_the_maximum(provider: Provider, gpt: openai.OpenAI) -> None:
    provider.default(Reply(fill=True))
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=5000)
    assert answer.usage and answer.usage.completion_tokens == 5000
    assert answer.choices[0].finish_reason == "length"


def test_hidden_reasoning_is_billed_within_the_maximum(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    provider.default(Reply(text="one two", reasoning_tokens=100))
    seen = []
    for limit in (50, 101, 500):
        answer = gpt.chat.completions.create(
            model="gpt-5-mini", messages=HELLO, max_completion_tokens=limit
        )
        used = answer.usage
        assert used and used.completion_tokens_details
        choice = answer.choices[0]
        seen.append(
            (
                used.completion_tokens_details.reasoning_tokens,
                used.completion_tokens,
                choice.message.content,
                choice.finish_reason,
            )
        )
    assert seen == [
        (50, 50, "", "length"),
        (100, 101, "one", "length"),
        (100, 102, "one two", "stop"),
    ]
    with pytest.raises(openai.BadRequestError, match="max_completion_tokens"):
        gpt.chat.completions.create(model="o3-mini", messages=HELLO, max_tokens=50)
    response = gpt.responses.create(model="o3-mini", input="hi")
    assert response.usage and response.usage.output_tokens_details.reasoning_tokens == 100
    with claude.messages.stream(
        model="claude-sonnet-4-5",
        messages=HELLO,
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.usage.output_tokens == 100 + tokens("one two")


def test_a_stop_text_ends_the_answer_before_it(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    provider.default(Reply(text="one two END three"))
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stop=["END", "three"])
    assert answer.choices[0].message.content == "one two "
    assert answer.usage and answer.usage.completion_tokens == tokens("one two ")
    message = claude.messages.create(
        model="claude-haiku-4-5", messages=HELLO, max_tokens=99, stop_sequences=["END"]
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_images_count_by_their_size(gpt: openai.OpenAI) -> None:
    """85, 765 and 1105 are the examples of OpenAI's vision guide."""

    def count(model: str, width: int, height: int, detail: str) -> int:
        head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
        url = "data:image/png;base64," + base64.b64encode(head).decode()
        image: Any = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        messages: Any = [{"role": "user", "content": [image]}]
        answer = gpt.chat.completions.create(model=model, messages=messages)
        assert answer.usage
        return answer.usage.prompt_tokens - 7

    assert count("gpt-4o", 1024, 1024, "high") == 765
    assert count("gpt-4o", 2048, 4096, "high") == 1105
    assert count("gpt-4o", 4096, 4096, "low") == 85
    assert count("gpt-5-mini", 4000, 1474, "high") == 2489  # 1,536 patches x 1.62, rounded up


# Prompt caches


def test_openai_caches_whole_blocks_of_128_from_1024_on(
    provider: Provider, gpt: openai.OpenAI
) -> None:
    def cached(words: int, model: str = "gpt-4o") -> tuple[int, int]:
        messages: Any = [{"role": "user", "content": "x" + " cat" * words}]
        usage = gpt.chat.completions.create(model=model, messages=messages).usage
        assert usage and usage.prompt_tokens_details
        return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens or 0

    assert cached(900) == (908, 0)
    assert cached(900) == (908, 0)
    assert cached(1300) == (1308, 0)
    assert cached(1300) == (1308, 1280)
    # The end of the prompt differs, so the last whole block may not be counted.
    assert cached(1150) == (1158, 1152)
    assert cached(1300, "gpt-4o-mini") == (1308, 0)
    fresh, hit = provider.bill().entries[2:4]
    assert fresh.cost_nanos == 1308 * 2500 + 2 * 10_000
    assert hit.cost_nanos == 28 * 2500 + 1280 * 1250 + 2 * 10_000
    provider.advance(3600)
    assert cached(1300) == (1308, 0)


def test_anthropic_caches_what_is_marked(provider: Provider, claude: anthropic.Anthropic) -> None:
    def ask(text: str, ttl: Any, question: str) -> anthropic.types.Usage:
        mark: Any = {"type": "ephemeral", "ttl": ttl}
        return claude.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=9,
            system=[{"type": "text", "text": text, "cache_control": mark}],
            messages=[{"role": "user", "content": question}],
        ).usage

    long = "x" + " cat" * 1999  # 2,000 tokens
    first = ask(long, "5m", "hi")
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (2000, 0)
    assert first.cache_creation and first.cache_creation.ephemeral_5m_input_tokens == 2000
    # 7 for the frame.
    assert first.input_tokens == 7 + 1
    again = ask(long, "5m", "hi")
    assert (again.cache_creation_input_tokens, again.cache_read_input_tokens) == (0, 2000)
    assert ask("short", "5m", "hi").cache_creation_input_tokens == 0
    provider.advance(400)
    hour = ask(long, "1h", "hi")
    assert hour.cache_creation and hour.cache_creation.ephemeral_1h_input_tokens == 2000
    provider.advance(400)
    assert ask(long, "1h", "hi").cache_read_input_tokens == 2000
    costs = [entry.cost_nanos for entry in provider.bill().entries]
    rest = 8 * 3000 + 2 * 15_000
    assert costs[:2] == [2000 * 3750 + rest, 2000 * 300 + rest]
    assert costs[3:] == [2000 * 6000 + rest, 2000 * 300 + rest]


def test_a_previous_response_is_counted_again(gpt: openai.OpenAI) -> None:
    first = gpt.responses.create(model="gpt-4o", input="hello world")
    then = gpt.responses.create(model="gpt-4o", input="hello world", previous_response_id=first.id)
    assert first.usage and then.usage
    assert first.usage.input_tokens == 3 + 1 + 2 + 3
    assert then.usage.input_tokens == 3 * (3 + 1 + 2) + 3
    with pytest.raises(openai.BadRequestError, match="not found"):
        gpt.responses.create(model="gpt-4o", input="x", previous_response_id="resp_none")


# Shapes, as the real clients read them


def test_openai_streams_as_the_client_expects(provider: Provider, gpt: openai.OpenAI) -> None:
    provider.default(Reply(text=SENTENCE, chunk_tokens=1))
    options: Any = {"include_usage": True}
    chunks = list(
        gpt.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True, stream_options=options
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert said == SENTENCE
    assert chunks[-1].choices == [] and chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == tokens(SENTENCE)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    plain = list(gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in plain)
    with gpt.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        assert stream.get_final_completion().choices[0].message.content == SENTENCE
    with gpt.responses.stream(model="gpt-4o", input="hi") as events:
        kinds = [event.type for event in events]
        assert events.get_final_response().output_text == SENTENCE
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert [entry.chunks for entry in provider.bill().entries] == [tokens(SENTENCE)] * 4


def test_parse_and_raw_responses_work(provider: Provider, gpt: openai.OpenAI) -> None:
    provider.default(Reply(text='{"total": 42}'))
    chat = gpt.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=Sum)
    assert chat.choices[0].message.parsed == Sum(total=42)
    response = gpt.responses.parse(model="gpt-4o", input="hi", text_format=Sum)
    assert response.output_parsed == Sum(total=42)
    raw = gpt.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert raw.headers["x-request-id"] == provider.bill().entries[-1].request_id
    assert raw.parse().choices[0].message.content == '{"total": 42}'
    provider.script(Reply.invalid_json())
    with pytest.raises(pydantic.ValidationError):
        gpt.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=Sum)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_as_scripted(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic, stream: bool
) -> None:
    calls = [ToolCall("search", '{"q": "größe"}'), ToolCall("add", '{"a": 1}')]
    provider.default(Reply(text="Wait.", tool_calls=calls, chunk_tokens=2))
    expected = [("search", '{"q": "größe"}'), ("add", '{"a": 1}')]
    used = tokens("Wait.") + sum(tokens(name) + tokens(text) for name, text in expected)
    if stream:
        with gpt.chat.completions.stream(model="gpt-4o", messages=HELLO) as chat_events:
            chat: Any = chat_events.get_final_completion()
        with gpt.responses.stream(model="gpt-4o", input="hi") as events:
            list(events)
            response: Any = events.get_final_response()
        with claude.messages.stream(
            model="claude-haiku-4-5", messages=HELLO, max_tokens=999
        ) as message_events:
            message: Any = message_events.get_final_message()
    else:
        chat = gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
        response = gpt.responses.create(model="gpt-4o", input="hi")
        message = claude.messages.create(model="claude-haiku-4-5", messages=HELLO, max_tokens=999)
    spoken = [call.function for call in chat.choices[0].message.tool_calls]
    assert [(each.name, each.arguments) for each in spoken] == expected
    assert chat.choices[0].finish_reason == "tool_calls"
    items = [item for item in response.output if item.type == "function_call"]
    assert [(item.name, item.arguments) for item in items] == expected
    blocks = [block for block in message.content if block.type == "tool_use"]
    assert [(block.name, block.input) for block in blocks] == [
        ("search", {"q": "größe"}),
        ("add", {"a": 1}),
    ]
    assert message.stop_reason == "tool_use"
    billed = [entry.usage.output_tokens for entry in provider.bill().entries]
    assert billed == [used, used, used]


def test_async_clients_work(provider: Provider) -> None:
    async def ask() -> list[str]:
        provider.default(Reply(echo=True))
        async with (
            openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any") as gpt,
            anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any") as claude,
        ):
            answer = await gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
            said = [answer.choices[0].message.content or ""]
            stream = await gpt.responses.create(model="gpt-4o", input="hello", stream=True)
            events = [event async for event in stream]
            said.append("".join(getattr(event, "delta", "") for event in events))
            async with claude.messages.stream(
                model="claude-opus-4-7", messages=HELLO, max_tokens=99
            ) as text:
                said.append(await text.get_final_text())
        return said

    assert asyncio.run(ask()) == ["hello world", "hello", "hello world"]
    assert provider.bill().served == 3


def test_the_other_endpoints_answer(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    made = gpt.embeddings.create(model="text-embedding-3-small", input=["hello", SENTENCE])
    cl100k = len(encoding("cl100k_base").encode_ordinary(SENTENCE))
    assert made.usage.prompt_tokens == 1 + cl100k
    assert [len(each.embedding) for each in made.data] == [1536, 1536]
    assert sum(part * part for part in made.data[0].embedding) == pytest.approx(1)
    images = gpt.images.generate(model="gpt-image-1", prompt="hello", quality="low", n=2)
    assert images.data and images.data[0].b64_json and images.usage
    assert images.usage.output_tokens == 2 * 272
    counted = claude.messages.count_tokens(model="claude-opus-4-7", messages=HELLO)
    assert counted.input_tokens == 6 + 2
    assert "gpt-4o" in [model.id for model in gpt.models.list()]
    assert "claude-haiku-4-5" in [model.id for model in claude.models.list()]
    costs = [entry.cost_nanos for entry in provider.bill().entries]
    assert costs == [(1 + cl100k) * 20, 5000 + 2 * 272 * 40_000, 0]
    with pytest.raises(openai.NotFoundError):
        gpt.chat.completions.create(model="gpt-none", messages=HELLO)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="claude-none", messages=HELLO, max_tokens=9)
    with pytest.raises(openai.BadRequestError):
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=16_385)


# Failures


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, openai.APIStatusError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_a_refusal_costs_nothing(
    provider: Provider,
    gpt: openai.OpenAI,
    claude: anthropic.Anthropic,
    status: int,
    kind: type[openai.APIStatusError],
) -> None:
    provider.default(Reply(status=status, retry_after_s=1.5))
    with pytest.raises(kind) as refused:
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    assert refused.value.status_code == status
    assert refused.value.response.headers["retry-after"] == "2"
    assert refused.value.response.headers["retry-after-ms"] == "1500.0"
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        claude.messages.create(model="claude-haiku-4-5", messages=HELLO, max_tokens=9)
    assert overloaded.value.status_code == status
    bill = provider.bill()
    assert (bill.refused, bill.cost_nanos, bill.usage.input_tokens) == (2, 0, 0)


def test_the_client_repeats_what_was_refused_and_each_attempt_is_seen(provider: Provider) -> None:
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=2)
    provider.script(Reply(status=429, retry_after_s=0.01), Reply(status=500, retry_after_s=0.01))
    assert client.chat.completions.create(model="gpt-4o", messages=HELLO)
    seen = provider.requests()
    assert [(each.attempt, each.status, each.outcome) for each in seen] == [
        (0, 429, "refused"),
        (1, 500, "refused"),
        (2, 200, "served"),
    ]


def test_a_lost_answer_is_billed_whole(provider: Provider, gpt: openai.OpenAI) -> None:
    cost = 9 * 2500 + 40 * 10_000
    behaviours: list[Any] = ["drop_head", "drop_middle"]
    for behaviour in behaviours:
        provider.script(Reply(tokens=40, behaviour=behaviour))
        with pytest.raises(openai.APIConnectionError if behaviour == "drop_head" else Exception):
            gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
    provider.script(Reply(tokens=40, behaviour="stall_head", stall_s=30))
    with pytest.raises(openai.APITimeoutError):
        gpt.with_options(timeout=0.5).chat.completions.create(model="gpt-4o", messages=HELLO)
    provider.script(Reply(behaviour="drop_head", billed=False))
    with pytest.raises(openai.APIConnectionError):
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
    bill = provider.bill()
    assert [(entry.outcome, entry.cost_nanos) for entry in bill.entries] == [
        ("partial", cost), ("partial", cost), ("partial", cost), ("refused", 0),
    ]  # fmt: skip
    assert (bill.open, bill.cost_nanos) == (0, 3 * cost)


@pytest.mark.parametrize("behaviour", ["drop_middle", "error_middle", "stall_middle"])
def test_a_broken_stream_is_billed_to_its_last_piece(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic, behaviour: Any
) -> None:
    provider.default(
        Reply(tokens=40, chunk_tokens=4, behaviour=behaviour, after_chunks=3, stall_s=30)
    )
    said = ""
    timeout_s = 1 if behaviour == "stall_middle" else 20
    with pytest.raises(Exception):  # noqa: B017 (each client and version has its own)
        for chunk in gpt.with_options(timeout=timeout_s).chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True
        ):
            said += chunk.choices[0].delta.content or ""
    assert tokens(said) == 12
    texts: list[str] = []
    impatient = claude.with_options(timeout=timeout_s)
    ask: Any = {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 99}
    with pytest.raises(Exception), impatient.messages.stream(**ask) as stream:  # noqa: B017
        texts.extend(stream.text_stream)
    bill = provider.bill()
    assert [(entry.outcome, entry.chunks) for entry in bill.entries] == [("partial", 3)] * 2
    assert bill.entries[0].usage.output_tokens == 12
    assert bill.entries[1].usage.output_tokens == 12


def test_a_stream_the_client_leaves_is_billed_as_far_as_it_went(
    provider: Provider, gpt: openai.OpenAI
) -> None:
    provider.default(Reply(tokens=400, chunk_tokens=1, chunk_ms=20))
    stream = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    pieces = [next(iter(stream)) for _ in range(11)]
    stream.close()
    entry = provider.bill().entries[0]
    assert entry.outcome == "partial"
    # The first event carries no text; what was on its way when the client left is billed.
    assert len(pieces) - 1 <= entry.chunks == entry.usage.output_tokens < 200
    assert entry.cost_nanos == 9 * 2500 + entry.chunks * 10_000


def test_a_stall_ends_and_the_stream_goes_on(provider: Provider, gpt: openai.OpenAI) -> None:
    provider.default(Reply(tokens=8, behaviour="stall_middle", stall_s=0.2, latency_ms=100))
    began = time.monotonic()
    list(gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
    assert time.monotonic() - began >= 0.3
    assert provider.bill().served == 1


@pytest.mark.parametrize(
    ("form", "seen"),
    [
        ("missing", None),
        ("null", None),
        ("negative", -10),
        ("strings", "9 tokens"),
        ("floats", 9.5),
        ("huge", 10**30),
    ],
)
def test_usage_can_be_malformed_but_the_bill_is_true(
    provider: Provider, gpt: openai.OpenAI, form: Any, seen: object
) -> None:
    provider.default(Reply(usage=form))
    answer = gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
    found: Any = answer.usage and answer.usage.prompt_tokens
    assert found == (pytest.approx(seen) if form == "floats" else seen)
    assert provider.bill().entries[0].cost_nanos == 9 * 2500 + 2 * 10_000


def test_a_stream_can_end_without_usage(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    provider.default(Reply(usage="no_final"))
    options: Any = {"include_usage": True}
    chunks = gpt.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options=options
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    events: list[Any] = list(
        claude.messages.create(model="claude-haiku-4-5", messages=HELLO, max_tokens=9, stream=True)
    )
    assert events[0].message.usage.input_tokens == 7 + 2
    assert getattr(events[-2], "usage", None) is None
    assert provider.bill().served == 2


# The script, the bill, the program


def test_a_mix_is_the_same_for_the_same_seed(provider: Provider, gpt: openai.OpenAI) -> None:
    def outcomes() -> list[int]:
        provider.mix(7, (2, Reply()), (1, Reply(status=500)), (1, Reply(status=429)))
        for _ in range(30):
            try:
                gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
            except openai.APIStatusError:
                continue
        return [each.status for each in provider.requests()][-30:]

    first = outcomes()
    assert set(first) == {200, 429, 500}
    assert outcomes() == first


def test_a_request_can_bring_its_own_reply(provider: Provider, gpt: openai.OpenAI) -> None:
    provider.script(Reply(text="queued"))
    own = {"x-outlay-reply": json.dumps(Reply(text="own").to_json()), "x-request-id": "mine"}
    said = [
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO, extra_headers=headers)
        for headers in (own, {"authorization": "Bearer secret"}, {})
    ]
    assert [each.choices[0].message.content for each in said] == ["own", "queued", "Hello."]
    seen = provider.requests()
    assert seen[0].headers["x-request-id"] == "mine"
    assert (seen[0].message_count, seen[0].max_tokens, seen[0].stream) == (1, None, False)
    assert "secret" not in repr(seen) and "any" not in repr(seen)


def test_bad_orders_and_bad_requests_are_refused(provider: Provider) -> None:
    orders: list[dict[str, Any]] = [
        {"default": {"status": 302}}, {"default": {"latency_ms": -1}}, {"nonsense": 1},
        {"default": {"behaviour": "dance"}}, {"prices": {"gpt-4o": {"input": "-1"}}},
        {"mix": {"choices": [[0, {}]]}}, {"default": {"tokens": True}},
    ]  # fmt: skip
    for order in orders:
        with pytest.raises(ValueError):
            provider.control(order)
    bodies = [b"{", b"[]", b'{"model": "gpt-4o", "messages": [1]}']
    bodies += [b'{"model": "gpt-4o", "messages": [{"content": {"a": 1}}], "tools": [3]}']
    for body in bodies:
        url = f"{provider.openai_url}/chat/completions"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, body))
        assert refused.value.code == 400
        refused.value.close()
    assert provider.bill().refused == len(bodies)


def test_request_bodies_may_come_in_chunks(provider: Provider) -> None:
    host, port = provider.url.removeprefix("http://").split(":")
    body = json.dumps({"model": "gpt-4o", "messages": HELLO}).encode()
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    for _ in range(2):
        connection.request(
            "POST", "/v1/chat/completions", iter([body[:10], body[10:]]), encode_chunked=True
        )
        answer = json.load(connection.getresponse())
        assert answer["usage"]["prompt_tokens"] == 9
    connection.close()


def test_overridden_prices_are_charged_and_rounded_up_once() -> None:
    prices: dict[str, Any] = {
        "gpt-4o": {"output": 10},
        "mine": {"input": "0.0001", "output": "0.0001"},
    }
    with Provider(Reply(tokens=4999), prices=prices) as provider:
        gpt = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        gpt.chat.completions.create(model="gpt-4o", messages=HELLO)
        gpt.chat.completions.create(model="mine", messages=HELLO)
        costs = [entry.cost_nanos for entry in provider.bill().entries]
    # (9 + 4999) tokens at a tenth of a nano-USD are 500.8, so 501.
    assert costs == [4999 * 10_000, 501]


def test_sixty_four_clients_at_once_are_billed_one_by_one(provider: Provider) -> None:
    provider.default(Reply(tokens=20, latency_ms=5))
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)

    def ask(stream: bool) -> None:
        for _ in range(4):
            told = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream)
            if stream:
                list(told)

    threads = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bill = provider.bill()
    assert (bill.count, bill.served, bill.open) == (256, 256, 0)
    assert bill.cost_nanos == 256 * (9 * 2500 + 20 * 10_000)
    assert bill.cost_nanos == sum(entry.cost_nanos for entry in bill.entries)


def test_it_listens_on_loopback_only() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        with pytest.raises(ValueError, match="loopback only"):
            Provider(host=host).start()
    command = [sys.executable, "-m", "outlay.testing", "--host", "0.0.0.0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and "loopback only" in ended.stderr


def test_the_program_serves_other_languages_and_stops() -> None:
    command = [sys.executable, "-m", "outlay.testing", "--port", "0", "--until-stdin-closes"]
    for how in ("signal", "stdin"):
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert program.stdin and program.stdout
        told = json.loads(program.stdout.readline())
        order = urllib.request.Request(
            f"{told['url']}/control", json.dumps({"queue": [{"text": "Hi"}]}).encode()
        )
        assert json.load(urllib.request.urlopen(order)) == {"queued": 1}
        body = json.dumps({"model": "gpt-4o", "messages": HELLO}).encode()
        asked = urllib.request.Request(f"{told['openai_url']}/chat/completions", body)
        answer = json.load(urllib.request.urlopen(asked))
        assert answer["choices"][0]["message"]["content"] == "Hi"
        bill = json.load(urllib.request.urlopen(f"{told['url']}/bill?wait_s=1"))
        assert bill["cost_nanos"] == bill["entries"][0]["cost_nanos"] == 9 * 2500 + 10_000
        if how == "signal":
            program.send_signal(signal.SIGTERM)
        else:
            program.stdin.close()
        assert program.wait(10) == 0
        program.stdin.close()
        program.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_stops_the_provider() -> None:
    with Provider(Reply(behaviour="drop_head", latency_ms=300)) as provider:
        host, port = provider.url.removeprefix("http://").split(":")
        body = json.dumps({"model": "gpt-4o", "messages": HELLO})
        with socket.create_connection((host, int(port)), timeout=60) as sock:
            head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
            sock.sendall((head + body).encode())
            while not provider.requests():
                time.sleep(0.01)
            wait, go = os.pipe()
            child = os.fork()
            if child == 0:
                provider.stop()
                os.read(wait, 1)
                os._exit(0)
            assert sock.recv(1) == b""
            os.write(go, b".")
            os.close(go)
            os.close(wait)
        assert os.waitpid(child, 0)[1] == 0
        assert provider.bill().count == 1
