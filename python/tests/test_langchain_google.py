"""Is each call of a LangChain model of Google's recorded once, by the client below it?

The package asks through google-genai 2.x, which has an environment of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import outlay
import pytest
from endpoints import agrees, fresh_provider, task
from outlay.testing import Provider

pytest.importorskip("langchain_google_genai", reason="needs google-genai 2.x: make test-openai2")
from langchain.agents import create_agent
from langchain_google_genai import ChatGoogleGenerativeAI
from outlay.integrations.langchain import OutlayMiddleware, _client_below

ASKED: Any = {"messages": [{"role": "user", "content": "hello world"}]}


def chat(provider: Provider) -> ChatGoogleGenerativeAI:
    return ChatGoogleGenerativeAI(
        model="gemini-2.5-flash",
        base_url=provider.google_url,
        google_api_key="any",
        max_output_tokens=100,
        max_retries=1,
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_recorded_calls_are_the_requests_seen(asynchronous: bool) -> None:
    provider = fresh_provider()
    model = chat(provider)
    assert _client_below(model)
    agent = create_agent(model, middleware=[OutlayMiddleware()])
    with task() as held:
        if asynchronous:
            asyncio.run(agent.ainvoke(ASKED))
        else:
            agent.invoke(ASKED)
            model.invoke("outside of an agent")
            assert [*model.stream("in a stream")]
        assert agrees(held, provider).count == (1 if asynchronous else 3)


def test_a_call_beyond_the_budget_is_not_sent() -> None:
    provider = fresh_provider()
    agent = create_agent(chat(provider), middleware=[OutlayMiddleware()])
    with pytest.raises(outlay.BudgetExceeded), task(usd=0.00001):
        agent.invoke(ASKED)
    assert not provider.requests()
