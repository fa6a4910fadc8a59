"""Is what providers say they used read, and charged, as they mean it?"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import outlay
import pytest
from outlay import InvalidInput, Money, Usage, extract_usage

MESSAGES: Any = [{"role": "user", "content": "hello world"}]
BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "usage": {
        "input_tokens": 10,
        "output_tokens": 50,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 70,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 20},
        "output_tokens_details": {"thinking_tokens": 40},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
        "smell_tokens": 3,
    },
}


def test_a_usage_has_the_names_of_opentelemetry() -> None:
    used = extract_usage(BODY, provider="anthropic", api="messages")
    assert used == Usage(
        input_tokens=180,
        output_tokens=50,
        cache_read_input_tokens=100,
        cache_creation_input_tokens=70,
        cache_creation_1h_input_tokens=20,
        reasoning_output_tokens=40,
        web_searches=2,
    )
    assert (used.input_tokens, used.cache_read_input_tokens) == (180, 100)
    assert (used.cache_creation_input_tokens, used.cache_creation_1h_input_tokens) == (70, 20)
    assert (used.output_tokens, used.reasoning_output_tokens, used.web_searches) == (50, 40, 2)
    assert (used.model, used.service_tier, used.cost) == ("claude-haiku-4-5", "standard", None)
    assert used.unknown_fields == ["smell_tokens"]
    assert eval(repr(used), {"Usage": Usage}) == used


def test_a_body_comes_in_many_forms() -> None:
    plain = Usage(9, 4)
    usage = {"input_tokens": 9, "output_tokens": 4}
    body = {"usage": usage}
    whole, part = (
        SimpleNamespace(model_dump=lambda mode, told=told: told) for told in (body, usage)
    )
    for form in [body, json.dumps(body), json.dumps(body).encode(), whole, {"usage": part}]:
        assert extract_usage(form, provider="openai", api="responses") == plain
    events = [{"type": "message_start", "message": body}, {"type": "message_delta", "usage": usage}]
    assert extract_usage(events, provider="anthropic") == plain
    with pytest.raises(InvalidInput, match="without its end"):
        extract_usage(events[:1], provider="anthropic")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"usage": None},
        {"usage": {}},
        {"usage": []},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": "5", "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 1}},
        {"usage": {"prompt_tokens": float("nan"), "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 10**30, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": object(), "completion_tokens": 1}},
        [],
        [3],
        None,
        3,
        "",
        "{",
        "\ud800",
        b"\xff",
        "[" * 100_000,
        object(),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_cannot_be_is_refused(body: Any) -> None:
    with pytest.raises(InvalidInput):
        extract_usage(body, provider="openai", api="chat")


def test_an_api_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="`nobody`"):
        extract_usage(BODY, provider="nobody")


def test_a_usage_that_cannot_be_is_refused() -> None:
    for wrong in [
        {"cache_creation_input_tokens": 5, "cache_creation_1h_input_tokens": 6},
        {"input_video_tokens": 11},
        {"cache_read_input_tokens": 3, "cache_read_audio_tokens": 4},
        {"cost": "x"},
    ]:
        with pytest.raises(InvalidInput):
            Usage(10, **wrong)
    long = Usage(10, cache_creation_1h_input_tokens=6)
    assert long.cache_creation_input_tokens == 6


def test_what_a_gateway_says_it_charges_is_the_charge() -> None:
    body = {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "cost": 0.00034225}}
    used = extract_usage(body, provider="openrouter")
    assert (used.cost, used) == (Money("0.00034225"), Usage(9, 4, cost="0.00034225"))
    assert used != Usage(9, 4)
    with outlay.task("t", usd=1, store="memory:") as t:
        call = t.reserve(model="gpt-4o", input_tokens=9, max_output_tokens=4)
        assert call.settle(used).charge == Money("0.00034225")


def answering(host: str, usage: dict[str, Any]) -> openai.OpenAI:
    """A client of a host that answers every chat with this usage."""
    httpx: Any = importlib.import_module("httpx2" if openai.VERSION >= "3" else "httpx")
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": []}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={**body, "usage": usage}))
    client = httpx.Client(transport=transport)
    return openai.OpenAI(api_key="any", base_url=f"https://{host}/v1", http_client=client)


def spent(host: str, usage: dict[str, Any]) -> Money:
    outlay.instrument()
    with outlay.task("t", usd=1, store="memory:") as t:
        answering(host, usage).chat.completions.create(model="gpt-4o", messages=MESSAGES)
    return t.spent


def test_a_host_is_read_by_its_own_rules() -> None:
    used: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    assert spent("api.openai.com", used) == Money("0.0035")
    assert spent("openrouter.ai", {**used, "cost": 0.0031}) == Money("0.0031")
    reasoned = {**used, "completion_tokens_details": {"reasoning_tokens": 50}}
    assert spent("api.openai.com", reasoned) == Money("0.0035")
    assert spent("api.x.ai", reasoned) == Money("0.004")


def test_of_a_field_nobody_knows_is_warned_once() -> None:
    used = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "smell_tokens": 7}
    with pytest.warns(RuntimeWarning, match="`smell_tokens`.*perhaps billed"):
        spent("api.openai.com", used)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spent("api.openai.com", used)


# What genai-prices' extractors of these APIs make of a body, also where it is another API's.
RECORDED = {
    ("openai", "chat"),
    ("openai", "responses"),
    ("openai", "embeddings"),
    ("anthropic", "default"),
    ("google", "default"),
    ("aws", "default"),
    ("cohere", "default"),
    ("openrouter", "chat"),
    ("x-ai", "default"),
}
NAMES = {
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "cache_write_1h_tokens": "cache_creation_1h_input_tokens",
    "output_reasoning_tokens": "reasoning_output_tokens",
}
# Parts that have no count of their own: text is the rest, results of tools are input.
UNCOUNTED = {
    "input_text_tokens",
    "output_text_tokens",
    "input_tool_tokens",
    "cache_write_5m_tokens",
}


def test_what_a_response_says_of_itself_is_charged() -> None:
    flex = {"service_tier": "flex", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    us = {"usage": {"input_tokens": 1000, "output_tokens": 500, "inference_geo": "us"}}
    routed = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500, "cost": 0.0071}}
    with outlay.task("t", usd=1, store="memory:") as task:
        for model, body, provider, api, charge in [
            ("gpt-5", flex, "openai", "chat", "0.003125"),
            ("claude-opus-5", us, "anthropic", "messages", "0.01925"),
            ("openai/gpt-5", routed, "openrouter", "chat", "0.0071"),
        ]:
            call = task.reserve(model=model, input_tokens=1000, max_output_tokens=500)
            used = extract_usage(body, provider=provider, api=api)
            assert call.settle(used).charge == outlay.Money(charge)
            doubted = task.reserve(model=model, input_tokens=1000, max_output_tokens=500)
            doubted.doubt()
            charged = task._native.ledger().resolve(doubted.id, used, by="ann")
            assert charged == outlay.Money(charge)


def test_a_reservation_names_the_tier_it_asks_for() -> None:
    held = {}
    with outlay.task("t", usd=1, store="memory:") as task:
        for tier in (None, "flex", "priority"):
            request = {"model": "gpt-5", "input_tokens": 1000, "max_output_tokens": 500}
            held[tier] = task.reserve(**request, service_tier=tier).reserved
        with pytest.raises(outlay.InvalidInput, match="no tier"):
            task.reserve(**request, service_tier="first class")
    # It may be served as usual after all.
    assert held["flex"] == held[None] == outlay.Money("0.00625")
    assert held["priority"] == outlay.Money("0.0125")


def test_recorded_bodies_mean_what_they_meant() -> None:
    folder = os.environ.get("OUTLAY_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data"
    packed = Path(folder) / "usage_bodies.dev.json.gz"
    if not packed.exists():
        pytest.skip("no usage_bodies.dev.json.gz; say where by OUTLAY_TEST_DATA")
    compared = 0
    for case in json.loads(gzip.decompress(packed.read_bytes())):
        for meaning in case["extracted"]:
            for extractor in meaning["extractors"]:
                provider, api = extractor["provider_id"], extractor["api_flavor"]
                if (provider, api) not in RECORDED:
                    continue
                used = extract_usage(case["body"], provider=provider, api=api)
                for unit, count in meaning["usage"].items():
                    if unit not in UNCOUNTED:
                        assert getattr(used, NAMES.get(unit, unit)) == count, (case, unit)
                compared += 1
    assert compared > 700
