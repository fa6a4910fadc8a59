"""Does the loopback provider answer Google's client as Google would?

Counts are held against Python tiktoken; costs against sums worked out here by hand.
"""

from __future__ import annotations

import asyncio
import json
import math
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("google.genai")

from google import genai
from google.genai import errors, types
from outlay._tiktoken_offline import encoding
from outlay.testing import Provider, Reply, ToolCall

SENTENCE = "Größe, naïve 日本語のテキスト 🙂👩‍👩‍👧 and `code(x) -> None`\n\n\tend."
FLASH, PRO, LITE = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"


def scaled(*texts: str) -> int:
    counts = [len(encoding("o200k_base").encode_ordinary(text)) for text in texts]
    return math.ceil(sum(counts) * 6 / 5)


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider.spawn() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.reset()
    return running


@pytest.fixture
def gemini(provider: Provider) -> genai.Client:
    return genai.Client(api_key="any", http_options={"base_url": provider.google_url})


def streamed(gemini: genai.Client, **options: Any) -> list[Any]:
    return list(gemini.models.generate_content_stream(**{"model": FLASH, **options}))


def test_counts_are_tiktokens_scaled(provider: Provider, gemini: genai.Client) -> None:
    provider.default(Reply(text=SENTENCE))
    config: Any = {"system_instruction": "Be brief."}
    answer = gemini.models.generate_content(model=LITE, contents=[SENTENCE], config=config)
    used = answer.usage_metadata
    assert used and answer.text == SENTENCE
    assert used.prompt_token_count == scaled("Be brief.", SENTENCE)
    assert used.candidates_token_count == scaled(SENTENCE)
    assert used.thoughts_token_count is None
    counted = gemini.models.count_tokens(model=LITE, contents=SENTENCE)
    assert counted.total_tokens == scaled(SENTENCE)
    entries = provider.bill().entries
    cost = scaled("Be brief.", SENTENCE) * 100 + scaled(SENTENCE) * 400
    assert [entry.cost_nanos for entry in entries] == [cost, 0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("maximum", [1, 2, 16, 17])
def test_the_maximum_is_honoured_exactly(
    provider: Provider, gemini: genai.Client, maximum: int, stream: bool
) -> None:
    provider.default(Reply(text=SENTENCE * 3, reasoning_tokens=0))
    config: Any = {"max_output_tokens": maximum, "candidate_count": 2}
    if stream:
        last = streamed(gemini, contents="hello world", config=config)[-1]
    else:
        last = gemini.models.generate_content(model=FLASH, contents="hello world", config=config)
    assert [each.finish_reason.value for each in last.candidates] == ["MAX_TOKENS"] * 2
    assert last.usage_metadata.candidates_token_count == 2 * maximum
    entry = provider.bill().entries[0]
    assert (entry.usage.output_tokens, entry.max_tokens, entry.n) == (2 * maximum, maximum, 2)
    assert (entry.model, entry.stream, entry.message_count) == (FLASH, stream, 1)


@pytest.mark.parametrize(
    ("model", "thinking", "thoughts"),
    [
        (FLASH, None, 64),
        (FLASH, {"thinking_budget": 0}, 0),
        (FLASH, {"thinking_budget": -1}, 64),
        (LITE, None, 0),
        (LITE, {"thinking_budget": 512}, 64),
        (PRO, None, 64),
    ],
)
def test_thoughts_stand_beside_the_answer_and_are_billed_with_it(
    provider: Provider, gemini: genai.Client, model: str, thinking: Any, thoughts: int
) -> None:
    provider.default(Reply(tokens=20))
    config: Any = {"thinking_config": thinking, "max_output_tokens": 200}
    answer = gemini.models.generate_content(model=model, contents="hi", config=config)
    used = answer.usage_metadata
    assert used and used.candidates_token_count == 20
    assert (used.thoughts_token_count or 0) == thoughts
    assert used.total_token_count == scaled("hi") + 20 + thoughts
    usage = provider.bill().usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (20 + thoughts, thoughts)


def test_thinking_cannot_be_turned_off_where_it_cannot(gemini: genai.Client) -> None:
    config: Any = {"thinking_config": {"thinking_budget": 0}}
    with pytest.raises(errors.ClientError, match="only works in thinking mode"):
        gemini.models.generate_content(model=PRO, contents="hi", config=config)


def test_every_chunk_of_a_stream_tells_the_usage_so_far(
    provider: Provider, gemini: genai.Client
) -> None:
    provider.default(Reply(tokens=12, chunk_tokens=5))
    config: Any = {"thinking_config": {"include_thoughts": True}}
    chunks = streamed(gemini, contents="hi", config=config)
    parts = [chunk.candidates[0].content.parts[0] for chunk in chunks]
    assert [part.thought for part in parts] == [True, *[None] * (len(parts) - 1)]
    told = [chunk.usage_metadata.candidates_token_count for chunk in chunks]
    assert told == [0, 6, 12, 12]
    assert {chunk.usage_metadata.thoughts_token_count for chunk in chunks} == {64}
    assert scaled("".join(part.text or "" for part in parts[1:])) in (12, 13)
    assert provider.bill().entries[0].chunks == len(chunks) - 2


def test_long_prompts_cost_more_and_known_prefixes_less(
    provider: Provider, gemini: genai.Client
) -> None:
    provider.default(Reply(tokens=10, reasoning_tokens=0))
    for text in ("word " * 1500, "long " * 200_000):
        first = gemini.models.generate_content(model=PRO, contents=text).usage_metadata
        again = gemini.models.generate_content(model=PRO, contents=text).usage_metadata
        assert first and again and first.cached_content_token_count is None
        cached, prompt = again.cached_content_token_count, again.prompt_token_count
        assert cached and prompt and prompt - 154 <= cached <= prompt == first.prompt_token_count
    costs = [(entry.usage, entry.cost_nanos) for entry in provider.bill().entries]
    for at, (fresh, read, output) in enumerate(
        [(1250, 125, 10_000)] * 2 + [(2500, 250, 15_000)] * 2
    ):
        usage, cost = costs[at]
        uncached = usage.input_tokens - usage.cached_tokens
        assert cost == uncached * fresh + usage.cached_tokens * read + 10 * output


def test_functions_are_called_whole_and_counted(provider: Provider, gemini: genai.Client) -> None:
    calls = [ToolCall("search", '{"query": "weather"}'), ToolCall("stop")]
    provider.default(Reply(text="Let me see.", tool_calls=calls, chunk_tokens=2))
    declared: Any = {"name": "search", "description": "Searches", "parameters_json_schema": {}}
    config: Any = {"tools": [{"function_declarations": [declared]}]}
    answer = gemini.models.generate_content(model=LITE, contents="hi", config=config)
    chunks = streamed(gemini, model=LITE, contents="hi", config=config)
    for made in (answer.function_calls, [c for each in chunks for c in each.function_calls or []]):
        assert [(c.name, c.args) for c in made or []] == [
            ("search", {"query": "weather"}),
            ("stop", {}),
        ]
    result = types.Part.from_function_response(name="search", response={"result": "sun"})
    history: Any = ["hi", answer.candidates[0].content, result]  # type: ignore[index]
    gemini.models.generate_content(model=LITE, contents=history, config=config)
    first, second, third = provider.bill().entries
    said = scaled("Let me see.", "search", '{"query": "weather"}', "stop", "{}")
    assert first.usage.output_tokens == second.usage.output_tokens == said
    again = ("Let me see.", "search", '{"query":"weather"}', "stop", "{}", "search")
    schema = json.dumps({"name": "search", "description": "Searches", "parametersJsonSchema": {}})
    assert third.usage.input_tokens >= scaled("hi", *again, '{"result":"sun"}') + scaled(schema) / 2
    assert third.usage.input_tokens - first.usage.input_tokens >= scaled(*again)


def test_a_call_that_the_maximum_cuts_is_not_made(provider: Provider, gemini: genai.Client) -> None:
    provider.default(Reply.tool("search", {"query": "a long story about the weather"}))
    config: Any = {"max_output_tokens": 5}
    chunks = streamed(gemini, model=LITE, contents="hi", config=config)
    assert not any(chunk.function_calls for chunk in chunks)
    assert chunks[-1].candidates[0].finish_reason.value == "MAX_TOKENS"
    assert provider.bill().usage.output_tokens == 5


def test_embeddings_bill_their_texts(provider: Provider, gemini: genai.Client) -> None:
    config: Any = {"output_dimensionality": 8}
    answer = gemini.models.embed_content(
        model="gemini-embedding-001", contents=["hello world", SENTENCE], config=config
    )
    vectors = [each.values for each in answer.embeddings or []]
    assert [len(vector or []) for vector in vectors] == [8, 8] and vectors[0] != vectors[1]
    assert sum(part * part for part in vectors[0] or []) == pytest.approx(1)
    entry = provider.bill().entries[0]
    tokens = scaled("hello world") + scaled(SENTENCE)
    assert (entry.api, entry.cost_nanos) == ("gemini.embed", tokens * 150)


def test_the_asynchronous_client_and_vertex_work_too(provider: Provider) -> None:
    provider.default(Reply(text="Hi", reasoning_tokens=0))
    where: Any = {"base_url": provider.google_url}
    vertex = genai.Client(vertexai=True, api_key="any", http_options=where)
    assert vertex.models.generate_content(model=FLASH, contents="hi").text == "Hi"

    async def ask() -> None:
        async with genai.Client(api_key="any", http_options=where).aio as client:
            answer = await client.models.generate_content(model=FLASH, contents="hi")
            assert answer.text == "Hi"
            stream = await client.models.generate_content_stream(model=FLASH, contents="hi")
            assert "".join([chunk.text or "" async for chunk in stream]) == "Hi"

    asyncio.run(ask())
    paths = [entry.path for entry in provider.bill().entries]
    assert paths == [
        f"/v1beta1/publishers/google/models/{FLASH}:generateContent",
        f"/v1/models/{FLASH}:generateContent",
        f"/v1/models/{FLASH}:streamGenerateContent",
    ]


@pytest.mark.parametrize(("status", "named"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")])
def test_a_refusal_is_told_as_google_does_and_costs_nothing(
    provider: Provider, gemini: genai.Client, status: int, named: str
) -> None:
    provider.default(Reply(status=status))
    with pytest.raises(errors.APIError) as refused:
        gemini.models.generate_content(model=FLASH, contents="hi")
    assert (refused.value.code, refused.value.status) == (status, named)
    bill = provider.bill()
    assert (bill.refused, bill.cost_nanos) == (1, 0)


@pytest.mark.parametrize("behaviour", ["drop_middle", "error_middle"])
def test_a_broken_stream_is_billed_to_its_last_piece(
    provider: Provider, gemini: genai.Client, behaviour: Any
) -> None:
    provider.default(Reply(tokens=48, chunk_tokens=5, behaviour=behaviour, after_chunks=3))
    chunks: list[Any] = []
    with pytest.raises(Exception) as broken:
        chunks.extend(gemini.models.generate_content_stream(model=LITE, contents="hi"))
    assert getattr(broken.value, "code", 503) == 503
    entry = provider.bill().entries[0]
    assert (entry.outcome, entry.chunks, entry.usage.output_tokens) == ("partial", 3, 18)


def test_a_stream_can_end_without_usage(provider: Provider, gemini: genai.Client) -> None:
    provider.default(Reply(tokens=12, usage="no_final"))
    chunks = streamed(gemini, contents="hi")
    assert [chunk.usage_metadata is None for chunk in chunks] == [
        *[False] * (len(chunks) - 1),
        True,
    ]


def test_models_are_listed(gemini: genai.Client) -> None:
    listed = [model.name for model in gemini.models.list()]
    assert f"models/{PRO}" in listed and not any("gpt" in (name or "") for name in listed)
    assert gemini.models.get(model=PRO).name == f"models/{PRO}"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("models/gemini-2.5-flash:generateContent", {}, 400),
        (
            "models/gemini-2.5-flash:generateContent",
            {"contents": [{"parts": [{"fileData": {}}]}]},
            400,
        ),
        ("models/gpt-4o:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}, 404),
        ("models/gemini-2.5-flash:predict", {}, 404),
        ("models/gemini-2.5-flash:streamGenerateContent", {}, 404),
        ("models/gemini-embedding-001:embedContent", {"content": {"parts": []}}, 200),
    ],
)
def test_what_it_does_not_serve_it_refuses(
    provider: Provider, path: str, body: Any, status: int
) -> None:
    request = urllib.request.Request(
        f"{provider.google_url}/v1beta/{path}", json.dumps(body).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answered:
            got = answered.status
    except urllib.error.HTTPError as refused:
        got = refused.code
    assert got == status
