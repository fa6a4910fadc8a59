"""Limits of a turn, and of the attempts after the first: do they hold, whoever names the turn?"""

from __future__ import annotations

from typing import Any

import openai
import outlay
import pytest
from outlay.testing import Provider, Reply

pytest.importorskip("langchain")
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from outlay.integrations.langchain import OutlayMiddleware

CALL: Any = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}
USED = outlay.Usage(1000, 4000)


def test_each_turn_has_its_own_limit(store: str) -> None:
    limits: Any = {
        "usd": [outlay.Limit(1), outlay.Limit(0.05, window="turn")],
        "tool_calls": outlay.Limit(1, window="turn"),
    }
    with outlay.task("chat", store=store, **limits) as task:
        for turn in ("first", "second"):
            task.reserve(**CALL, turn=turn).settle(USED)
            task.tool_call("search", turn=turn)
            with pytest.raises(outlay.BudgetExceeded, match=r"allows 0\.05 USD per turn") as over:
                task.reserve(**CALL, turn=turn)
            assert over.value.window == "turn"
            with pytest.raises(outlay.BudgetExceeded, match="1 tool calls per turn"):
                task.tool_call("search", turn=turn)
        with pytest.raises(outlay.InvalidInput):
            task.reserve(**CALL, turn="")


def test_a_guarded_client_is_told_the_turn(provider: Provider) -> None:
    ask: Any = openai.OpenAI(base_url=provider.openai_url, api_key="any").chat.completions.create
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    once = outlay.Limit(1, window="turn")
    with outlay.task("chat", llm_calls=once, store="memory:"):
        for turn in ("first", "second"):
            with outlay.call(turn=turn):
                ask(**asked, max_tokens=50)
                with pytest.raises(outlay.BudgetExceeded, match="1 llm calls per turn"):
                    ask(**asked, max_tokens=50)


@tool
def look(query: str) -> str:
    """Looks something up."""
    return f"{query}: it rains"


@pytest.mark.parametrize("unit", ["llm_calls", "tool_calls"])
def test_a_turn_of_an_agent_is_what_its_user_said(provider: Provider, unit: str) -> None:
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [look], middleware=[OutlayMiddleware()])
    twice: Any = {unit: outlay.Limit(2, window="turn")}
    with outlay.task("chat", store="memory:", **twice) as task:
        messages: list[Any] = []
        for number in ("1", "2"):
            provider.script(Reply.tool("look", {"query": number}), Reply(text="Rainy."))
            messages = [*messages, HumanMessage("rain?", id=number)]
            messages = agent.invoke({"messages": messages})["messages"]
        provider.default(Reply.tool("look", {"query": "3"}))
        with pytest.raises(outlay.BudgetExceeded, match=f"2 {unit.replace('_', ' ')} per turn"):
            agent.invoke({"messages": [*messages, HumanMessage("and now?", id="3")]})
    assert task.spent.nanos == provider.bill().cost_nanos


def test_a_turn_may_have_any_id_of_a_message(provider: Provider) -> None:
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [look], middleware=[OutlayMiddleware()])
    once: Any = outlay.Limit(1, window="turn")
    with outlay.task("chat", store="memory:", llm_calls=[outlay.Limit(9), once]):
        for turn in ("\n", "\t", "\x7f\x85", "é" * 200):
            provider.script(Reply(text="Rainy."))
            asked: Any = {"messages": [HumanMessage("rain?", id=turn)]}
            assert agent.invoke(asked)["messages"][-1].text == "Rainy."
            with pytest.raises(outlay.BudgetExceeded, match="1 llm calls per turn"):
                agent.invoke(asked)


def test_retries_have_a_limit_together(any_store: str) -> None:
    options: Any = {"id": "t-1", "store": any_store, "usd": 1, "retry_usd": 0.10}
    with outlay.task("t", **options) as task:
        for _ in range(4):
            task.reserve(**CALL).settle(USED)
    for _ in range(2):
        with outlay.task("t", **options) as task:
            task.reserve(**CALL).settle(USED)
    with (
        outlay.task("t", **options) as task,
        pytest.raises(outlay.BudgetExceeded, match="for attempts after the first") as over,
    ):
        task.reserve(**CALL)
    assert (over.value.window, str(over.value.limit)) == ("retries", "0.10 USD")
