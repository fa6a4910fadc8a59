"""What is an agent told about its budget, when, and what does that do to its conversation?"""

from __future__ import annotations

from typing import Any

import outlay
import pytest
from outlay.testing import Provider, Reply

pytest.importorskip("langchain")
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from outlay.integrations.langchain import OutlayMiddleware

ASKED: Any = {"messages": [{"role": "user", "content": "how is the weather?"}]}


class Sent(AgentMiddleware[Any, Any, Any]):
    """Keeps what goes on to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[Any]] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.requests.append(request.messages)
        return handler(request)


class Again(OutlayMiddleware):
    """The same hook a second time."""


@tool
def look(query: str) -> str:
    """Looks something up."""
    return f"{query}: it rains"


def run(provider: Provider, middleware: list[Any], calls: int, **limits: Any) -> list[list[Any]]:
    """The messages of every request of an agent that makes this many calls."""
    looks = [Reply.tool("look", {"query": str(number)}) for number in range(calls - 1)]
    provider.script(*looks, Reply(text="Rainy."))
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    sent = Sent()
    agent = create_agent(model, [look], middleware=[*middleware, sent])
    with outlay.task("ask", store="memory:", **limits):
        answer = agent.invoke(ASKED, {"recursion_limit": 100})["messages"]
    assert not any("Budget" in message.text for message in answer), "it is not kept"
    return sent.requests


def budget_lines(requests: list[list[Any]]) -> dict[int, str]:
    """What was told, by the number of the request; nowhere but in its last message."""
    told = {}
    for number, messages in enumerate(requests):
        for place, message in enumerate(messages):
            if "[Budget" in message.text:
                assert (place, message.type) == (len(messages) - 1, "human")
                told[number] = message.text
    return told


def test_an_agent_is_told_at_the_end_of_one_request_a_share(provider: Provider) -> None:
    requests = run(provider, [OutlayMiddleware(tell_budget=True)], 10, llm_calls=10)
    told = budget_lines(requests)
    # Before the fourth call 3 of 10 are used: each share once, at the first request after it.
    assert list(told) == [3, 5, 8, 9]
    assert told[3].startswith("[Budget: 3 of 10 llm calls used, 7 left.")
    for number, messages in enumerate(requests[1:], 1):
        before = requests[number - 1][: -1 if number - 1 in told else None]
        assert messages[: len(before)] == before, "what was cached stays good"


def test_shares_can_be_chosen_and_without_a_limit_there_are_none(provider: Provider) -> None:
    chosen = run(provider, [OutlayMiddleware(tell_budget=[40])], 5, llm_calls=5)
    assert list(budget_lines(chosen)) == [2]
    assert not budget_lines(run(provider, [OutlayMiddleware(tell_budget=True)], 3))
    assert not budget_lines(run(provider, [OutlayMiddleware()], 5, llm_calls=5))
    for wrong in ([0], [101], ["half"]):
        with pytest.raises(outlay.InvalidInput):
            OutlayMiddleware(tell_budget=wrong)


def test_stacked_hooks_tell_once_and_the_breaker_hears_no_user(provider: Provider) -> None:
    sent = Sent()
    middleware = [OutlayMiddleware(tell_budget=True), Again(tell_budget=True), sent]
    provider.script(*[Reply.tool("look", {"query": "weather"})] * 3, Reply(text="Rainy."))
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [look], middleware=middleware)
    with outlay.task("ask", store="memory:", llm_calls=4, breaker=True):
        answer = agent.invoke(ASKED)["messages"]
    assert list(budget_lines(sent.requests)) == [1, 2, 3]
    said = [message.text for message in answer if message.type == "tool"]
    # Had what it was told counted as a user's word, three equal calls would be none.
    assert said[0] == said[1] != said[2]


def test_what_would_have_been_refused_is_told(any_store: str) -> None:
    with outlay.task("refund", usd="0.01", enforce=False, store=any_store) as task:
        call = task.reserve(model="gpt-4o", input_tokens=1_000, max_output_tokens=4_000)
        call.settle(outlay.Usage(1_000, 500))
        task.tool_call("web")
    (row,) = outlay.observed(since="1h", store=any_store)
    assert (row.task, row.budget, row.unit, row.calls) == ("refund", "task `refund`", "usd", 1)
    assert row.settled == outlay.Money("0.0075")
    with pytest.raises(outlay.InvalidInput):
        outlay.observed(since="soon", store=any_store)
