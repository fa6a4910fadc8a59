"""Does a client send a cheaper model once money gets short, and a conversation its API accepts?"""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import outlay
import pytest
from endpoints import agrees, fresh_provider
from outlay.testing import Provider, Reply

MESSAGES: Any = [{"role": "user", "content": "hello world"}]
ASKED: Any = {"model": "gpt-4o", "max_tokens": 1000, "messages": MESSAGES}
SHORT = outlay.Limit("0.015", soft=True)


@pytest.fixture
def provider() -> Provider:
    return fresh_provider(default=Reply(tokens=1000))


def models(provider: Provider) -> list[str]:
    return [entry.model for entry in provider.bill().entries]


def test_the_explicit_form_tells_which_model_to_call() -> None:
    request = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 1000}
    with outlay.task("t", usd=SHORT, store="memory:", fallback=["gpt-4o-mini"]) as t:
        for model in ("gpt-4o", "gpt-4o-mini", "gpt-4o-mini"):
            call = t.reserve(**request)
            assert call.model == model
            call.settle(outlay.Usage(1000, 1000))


@pytest.mark.parametrize("stream", [False, True])
def test_openai_goes_on_with_the_cheaper_model(provider: Provider, stream: bool) -> None:
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any")
    with outlay.task("t", usd=SHORT, store="memory:", fallback=["gpt-4o-mini"]) as t:
        for _ in range(3):
            answer = client.chat.completions.create(**ASKED, stream=stream)
            if stream:
                assert all(answer)
    assert models(provider) == ["gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]
    agrees(t, provider)


def test_async_clients_and_responses_too(provider: Provider) -> None:
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any")

    async def run() -> None:
        for _ in range(2):
            await client.responses.create(model="gpt-4o", max_output_tokens=1000, input="hello")

    with outlay.task("t", usd=SHORT, store="memory:", fallback=["gpt-4o-mini"]) as t:
        asyncio.run(run())
    assert models(provider) == ["gpt-4o", "gpt-4o-mini"]
    agrees(t, provider)


def test_anthropic_changes_between_turns_not_within(provider: Provider) -> None:
    client = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any")
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "done"}
    turn: Any = [
        *MESSAGES,
        {"role": "assistant", "content": [thinking, call]},
        {"role": "user", "content": [result]},
    ]
    tools: Any = [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    asked: Any = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "tools": tools}
    with outlay.task("t", usd=SHORT, store="memory:", fallback=["claude-haiku-4-5"]) as t:
        client.messages.create(**asked, messages=turn)
        client.messages.create(**asked, messages=turn)
        client.messages.create(
            **asked, messages=[*turn, {"role": "assistant", "content": "done"}, *MESSAGES]
        )
    assert models(provider) == ["claude-sonnet-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"]
    agrees(t, provider)


def test_a_rule_of_the_configuration_holds_for_its_kind(provider: Provider) -> None:
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any")
    rule = {"model": "^gpt-4o$", "kind": "extractive", "fallback": ["gpt-4o-mini"]}
    outlay.configure(routes=[{**rule, "when": "always"}])
    with outlay.task("a", kind="extractive", store="memory:"), outlay.task("inside"):
        client.chat.completions.create(**ASKED)
    with outlay.task("b", kind="creative", store="memory:"):
        client.chat.completions.create(**ASKED)
    assert models(provider) == ["gpt-4o-mini", "gpt-4o"]


@pytest.mark.parametrize("fallback", ["gpt-4o-mini", [5], [""], ["m"] * 33])
def test_odd_lists_are_refused(fallback: Any) -> None:
    with pytest.raises(outlay.InvalidInput), outlay.task("t", store="memory:", fallback=fallback):
        pass
    with pytest.raises(outlay.InvalidInput):
        outlay.configure(routes=[{"model": "(", "fallback": ["m"]}])
    with pytest.raises(outlay.InvalidInput):
        outlay.configure(routes=[{"model": "m", "fallback": ["m"], "then": 1}])
