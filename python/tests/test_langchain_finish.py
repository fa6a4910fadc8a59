"""Does a LangChain agent that meets a limit answer by its last call, without tools?"""

from __future__ import annotations

import asyncio
from typing import Any

import outlay
import pytest
from outlay.testing import Provider, Reply

pytest.importorskip("langchain")
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from outlay.integrations.langchain import OutlayMiddleware

ASKED: Any = {"messages": [{"role": "user", "content": "how is the weather?"}]}
DONE = Reply(text="I could not find out.")


class Sent(AgentMiddleware[Any, Any, Any]):
    """Keeps what goes on to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.requests.append(request)
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        self.requests.append(request)
        return await handler(request)


class Again(OutlayMiddleware):
    """The same hook a second time."""


@tool
def look(query: str) -> str:
    """Looks something up."""
    return f"{query}: it rains"


def looks(count: int) -> list[Reply]:
    return [Reply.tool("look", {"query": str(number)}) for number in range(count)]


def chat(provider: Provider) -> Any:
    return ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)


@pytest.mark.parametrize("hooks", [[OutlayMiddleware], [OutlayMiddleware, Again]])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_answers_by_its_last_call(
    provider: Provider, hooks: list[Any], asynchronous: bool
) -> None:
    sent = Sent()
    provider.script(*looks(3), DONE)
    agent = create_agent(chat(provider), [look], middleware=[*(hook() for hook in hooks), sent])
    limits = {"llm_calls": 4, "usd": 1, "wrap_up_usd": 0.10}
    with outlay.task("ask", store="memory:", on_limit="finish", **limits) as task:
        if asynchronous:
            messages = asyncio.run(agent.ainvoke(ASKED))["messages"]
        else:
            messages = agent.invoke(ASKED)["messages"]
        assert messages[-1].text == DONE.text
        assert not any("Budget" in message.text for message in messages), "it is not kept"
        last = sent.requests[-1]
        told = [each.text for each in last.messages if each.text.startswith("[Budget: ")]
        assert len(told) == 1
        assert "of it kept for the last call. It is spent: answer now" in told[0]
        assert (last.tool_choice, [each.name for each in last.tools]) == ("none", ["look"])
        # The refused request went no further than the guard.
        assert len(sent.requests) == 5
        assert sent.requests[-2].tool_choice is None
        with pytest.raises(outlay.BudgetExceeded, match="last call"):
            agent.invoke(ASKED)
    summary = task.summary()
    assert (summary.outcome, summary.totals.calls) == ("succeeded", 4)
    assert task.spent.nanos == provider.bill().cost_nanos


def test_a_refused_call_of_a_tool_leads_to_the_last_answer(provider: Provider) -> None:
    sent = Sent()
    provider.script(*looks(3), DONE)
    agent = create_agent(chat(provider), [look], middleware=[OutlayMiddleware(), sent])
    limits: Any = {"tool_calls": 2, "usd": 1, "wrap_up_usd": 0.10, "on_limit": "finish"}
    with outlay.task("ask", store="memory:", **limits) as task:
        messages = agent.invoke(ASKED)["messages"]
    answers = [message.text for message in messages if message.type == "tool"]
    assert answers[:2] == ["0: it rains", "1: it rains"]
    assert answers[2].startswith("[Budget: task `ask` allows 2 tool calls: 2 spent")
    assert messages[-1].text == DONE.text
    assert [each.tool_choice for each in sent.requests] == [None, None, None, "none"]
    assert task.summary().totals.tool_calls == 2


CALL: Any = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


def worker(calls: int, **limits: Any) -> Any:
    """A tool that does its work under a task of its own, and how often it was run."""
    runs: list[str] = []

    @tool
    def work(query: str) -> str:
        """Works on it."""
        runs.append(query)
        with outlay.task("inner", **limits) as inner:
            for _ in range(calls):
                inner.reserve(**CALL).settle(outlay.Usage(1000, 4000))
        return "done"

    return work, runs


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_limit_inside_a_tool_ends_no_agent(provider: Provider, asynchronous: bool) -> None:
    work, _ = worker(1, usd=0.01)
    sent = Sent()
    provider.script(Reply.tool("work", {"query": "rain?"}), *looks(1), DONE)
    agent = create_agent(chat(provider), [work, look], middleware=[OutlayMiddleware(), sent])
    limits: Any = {"usd": 5, "wrap_up_usd": 0.10, "on_limit": "finish"}
    with outlay.task("ask", store="memory:", **limits):
        with pytest.raises(outlay.BudgetExceeded, match="task `inner` allows"):
            if asynchronous:
                asyncio.run(agent.ainvoke(ASKED))
            else:
                agent.invoke(ASKED)
        messages = agent.invoke(ASKED)["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert [each.tool_choice for each in sent.requests] == [None, None, None]


def test_a_limit_of_the_agent_met_inside_a_tool_leads_to_the_last_answer(
    provider: Provider,
) -> None:
    work, runs = worker(2)
    sent = Sent()
    provider.script(Reply.tool("work", {"query": "rain?"}), DONE)
    agent = create_agent(chat(provider), [work], middleware=[OutlayMiddleware(), sent])
    limits: Any = {"llm_calls": 3, "wrap_up_usd": 0.10, "on_limit": "finish"}
    with outlay.task("ask", store="memory:", **limits):
        messages = agent.invoke(ASKED)["messages"]
    assert runs == ["rain?"]
    assert messages[2].text.startswith("[Budget: task `ask` allows 3 llm calls")
    assert messages[2].text.endswith("This call was cut short.]"), "it was made"
    assert [each.tool_choice for each in sent.requests] == [None, "none"]


def test_a_refused_last_call_is_none(provider: Provider) -> None:
    sent = Sent()
    agent = create_agent(chat(provider), [look], middleware=[OutlayMiddleware(), sent])
    limits: Any = {"llm_calls": outlay.Limit(1, window="turn"), "usd": 1, "wrap_up_usd": 0.10}
    with outlay.task("chat", store="memory:", on_limit="finish", **limits):
        provider.script(*looks(1))
        with pytest.raises(outlay.BudgetExceeded) as refused:
            agent.invoke(ASKED)
        assert refused.value.fields["window"] == "turn"
        provider.script(DONE)
        assert agent.invoke(ASKED)["messages"][-1].text == DONE.text
        assert not any("Budget" in each.text for each in sent.requests[-1].messages)


class Gone:
    """A task whose ledger cannot say what is left."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def status(self) -> Any:
        raise outlay.StoreUnavailable("gone", {})


def test_an_agent_goes_on_where_the_ledger_cannot_say_what_is_left(provider: Provider) -> None:
    sent = Sent()
    provider.script(*looks(1), DONE)
    agent = create_agent(
        chat(provider), [look], middleware=[OutlayMiddleware(tell_budget=[1]), sent]
    )
    limits = {"llm_calls": 2, "usd": 1, "wrap_up_usd": 0.10}
    with outlay.task("ask", store="memory:", on_limit="finish", **limits) as task:
        setattr(task, "_native", Gone(task._native))  # noqa: B010
        assert agent.invoke(ASKED)["messages"][-1].text == DONE.text
    assert sent.requests[-1].messages[-1].text.startswith("[Budget: It is spent: answer now")


def test_claude_keeps_its_tools_and_calls_none(provider: Provider) -> None:
    sent = Sent()
    provider.script(*looks(1), DONE)
    model = ChatAnthropic(
        model_name="claude-sonnet-4-5",
        base_url=provider.anthropic_url,
        api_key="any",
        max_tokens=50,
    )
    agent = create_agent(model, [look], middleware=[OutlayMiddleware(), sent])
    limits: Any = {"llm_calls": 2, "wrap_up_usd": 0.10, "on_limit": "finish"}
    with outlay.task("ask", store="memory:", **limits) as task:
        assert agent.invoke(ASKED)["messages"][-1].text == DONE.text
    assert sent.requests[-1].tool_choice == {"type": "none"}
    assert task.spent.nanos == provider.bill().cost_nanos


def test_the_outer_of_two_agents_answers(provider: Provider) -> None:
    provider.script(Reply.tool("ask_expert", {"query": "rain?"}), *looks(2), DONE)
    expert = create_agent(chat(provider), [look], middleware=[OutlayMiddleware()], name="expert")

    @tool
    def ask_expert(query: str) -> str:
        """Asks an expert."""
        asked: Any = {"messages": [{"role": "user", "content": query}]}
        return str(expert.invoke(asked)["messages"][-1].text)

    agent = create_agent(chat(provider), [ask_expert], middleware=[OutlayMiddleware()], name="boss")
    limits: Any = {"llm_calls": 4, "wrap_up_usd": 0.10, "on_limit": "finish"}
    with outlay.task("ask", store="memory:", **limits) as task:
        messages = agent.invoke(ASKED)["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[2].text.startswith("[Budget: task `ask` allows 4 llm calls")
    assert messages[-1].text == DONE.text
    assert task.summary().totals.calls == 4


def test_without_it_the_limit_is_raised(provider: Provider) -> None:
    provider.default(Reply.tool("look", {"query": "rain"}))
    agent = create_agent(chat(provider), [look], middleware=[OutlayMiddleware()])
    with (
        pytest.raises(outlay.BudgetExceeded, match="llm calls"),
        outlay.task("ask", store="memory:", llm_calls=3, wrap_up_usd=0.10) as task,
    ):
        agent.invoke(ASKED)
    assert task.summary().outcome == "stopped"
