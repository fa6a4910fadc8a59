"""Is a LangChain agent that goes in circles told so, refused, and stopped?"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import outlay
import pytest
from outlay.testing import Provider, Reply, ToolCall

pytest.importorskip("langchain")
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from outlay.integrations.langchain import OutlayMiddleware

ASKED: Any = {"messages": [{"role": "user", "content": "how is the weather?"}]}
SEARCH = Reply.tool("search", {"query": "weather"})
DONE = Reply(text="I do not know.")
ledgers = itertools.count()
made: list[str] = []


def fresh() -> str:
    """A ledger without a past: a run is held against successes before it."""
    return f"memory:langchain-breaker-{next(ledgers)}"


class Again(OutlayMiddleware):
    """The same hook a second time."""


@tool
def search(query: str) -> str:
    """Searches."""
    made.append(query)
    return "nothing found"


def ask(provider: Provider, replies: list[Reply], **options: Any) -> tuple[outlay.Task, list[Any]]:
    made.clear()
    provider.script(*replies)
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [search], middleware=[OutlayMiddleware()])
    with outlay.task("ask", store=fresh(), **options) as task:
        return task, agent.invoke(ASKED, {"recursion_limit": 200})["messages"]


def answers(messages: list[Any]) -> list[str]:
    return [message.text for message in messages if message.type == "tool"]


def test_the_model_is_told_and_then_refused_the_call(provider: Provider) -> None:
    task, messages = ask(provider, [SEARCH] * 6 + [DONE], breaker=True)
    said = answers(messages)
    assert said[:2] == ["nothing found"] * 2
    for told in said[2:4]:
        assert told.startswith("nothing found\n\noutlay breaker: `search` gave the same result")
    for refused in said[4:]:
        assert refused.startswith("outlay breaker: this call was refused: ")
    assert len(made) == 4
    assert task.summary().totals.tool_calls == 4
    assert task.stopped is None


def test_a_pause_waits_for_a_person_and_is_not_forgotten(provider: Provider) -> None:
    made.clear()
    provider.default(SEARCH)
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [search], middleware=[OutlayMiddleware()])
    with outlay.task("ask", store=fresh(), breaker=True) as task:
        with pytest.raises(outlay.ApprovalRequired) as paused:
            agent.invoke(ASKED, {"recursion_limit": 200})
        assert (paused.value.detector, paused.value.evidence["count"]) == ("no_progress", 8)
        asked = task.summary().totals.calls
        with pytest.raises(outlay.ApprovalRequired):
            agent.invoke(ASKED)
        with pytest.raises(outlay.ApprovalRequired):
            model.invoke("a client without a hook")
        assert task.summary().totals.calls == asked
        assert task.stopped is paused.value
        task.excuse()
        provider.default(DONE)
        assert agent.invoke(ASKED)["messages"][-1].text == DONE.text


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_that_does_not_listen_is_stopped(provider: Provider, asynchronous: bool) -> None:
    provider.default(SEARCH)
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [search], middleware=[OutlayMiddleware(), Again()])
    ladder = {"no_progress": {"pause": None}}
    with (
        pytest.raises(outlay.BreakerTripped) as stopped,
        outlay.task("ask", store=fresh(), breaker=ladder) as task,
    ):
        if asynchronous:
            asyncio.run(agent.ainvoke(ASKED, {"recursion_limit": 200}))
        else:
            agent.invoke(ASKED, {"recursion_limit": 200})
    assert stopped.value.evidence["count"] == 12
    assert task.summary().outcome == "stopped"


def test_without_enforcing_it_only_looks_on(provider: Provider) -> None:
    task, messages = ask(provider, [SEARCH] * 15 + [DONE], breaker=True, enforce=False)
    assert answers(messages) == ["nothing found"] * 15
    assert task.breaker is not None
    step = {"kind": "tool", "name": "search", "args": {"query": "weather"}}
    assert task.breaker.check(step).level == "stop"


def test_the_calls_of_one_answer_count_once(provider: Provider) -> None:
    both = Reply(tool_calls=[ToolCall("search", '{"query": "weather"}')] * 3)
    _, messages = ask(provider, [both, both, DONE], breaker=True)
    assert answers(messages) == ["nothing found"] * 6


def test_without_a_breaker_nothing_is_said(provider: Provider) -> None:
    task, messages = ask(provider, [SEARCH] * 15 + [DONE])
    assert answers(messages) == ["nothing found"] * 15
    assert task.breaker is None


@tool
def screenshot(number: int) -> list[Any]:
    """Shows the screen."""
    image = {"type": "image", "base64": f"{number:04}", "mime_type": "image/png"}
    return [{"type": "text", "text": "taken"}, image]


@tool
def blocks(query: str) -> list[Any]:
    """Searches, and answers as tools of MCP do."""
    return [{"type": "text", "text": "nothing found"}]


def shown(provider: Provider, tool: Any, replies: list[Reply], config: Any = True) -> list[Any]:
    provider.script(*replies, DONE)
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)
    agent = create_agent(model, [tool], middleware=[OutlayMiddleware()])
    with outlay.task("ask", store=fresh(), breaker=config):
        messages = agent.invoke(ASKED, {"recursion_limit": 200})["messages"]
    return [message for message in messages if message.type == "tool"]


def test_a_tool_that_answers_in_blocks_is_told_in_one(provider: Provider) -> None:
    call = Reply.tool("blocks", {"query": "weather"})
    told = shown(provider, blocks, [call] * 3)
    assert told[1].content == [{"type": "text", "text": "nothing found"}]
    assert told[2].content[0] == told[1].content[0]
    assert told[2].content[1]["text"].startswith("outlay breaker: `blocks` gave the same result")


def test_another_image_is_another_result(provider: Provider) -> None:
    # Only the number of an image differs, which the declaration hides from the arguments.
    ladder: Any = {"tools": {"screenshot": {"ignore": ["number"]}}}
    same = [Reply.tool("screenshot", {"number": 1})] * 3
    other = [Reply.tool("screenshot", {"number": number}) for number in range(9)]
    for replies, is_told in [(other, False), (same, True)]:
        messages = shown(provider, screenshot, replies, ladder)
        assert ("outlay breaker: " in str(messages)) is is_told


@pytest.mark.parametrize("inside", [False, True])
def test_agents_side_by_side_are_no_loop(provider: Provider, inside: bool) -> None:
    made.clear()
    provider.script(*[SEARCH] * 10, *[DONE] * 10)
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50)

    async def one(number: int) -> str:
        agent = create_agent(model, [search], middleware=[OutlayMiddleware()])
        asked: Any = {"messages": [("user", "look" if inside else f"look at {number}")]}
        block = outlay.task(f"inner {number}") if inside else contextlib.nullcontext()
        with block:
            return str(await agent.ainvoke(asked))

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(one, range(10)))

    with outlay.task("fan", store=fresh(), breaker=True):
        answers = asyncio.run(all_of_them())
    assert made == ["weather"] * 10
    assert "outlay breaker: " not in str(answers)


@pytest.mark.parametrize("config", [{"x": 1}, 3])
def test_a_configuration_without_meaning_opens_no_task(config: Any, store: str) -> None:
    with (
        pytest.raises(outlay.InvalidInput),
        outlay.task("t", id="t", store=store, breaker=config),
    ):
        pass
    with outlay.task("t", id="t", store=store) as task:
        assert task.attempt == 1
