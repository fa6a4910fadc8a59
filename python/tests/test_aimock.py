"""Does the guard hold against a provider that is not of our making?

The npm package @copilotkit/aimock serves what `tests/aimock/fixtures.json` scripts, usage
included, and keeps a journal of the requests it saw; TypeScript asks it the same. `make test`
installs it there.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import outlay
import pytest
from endpoints import MESSAGES, task

ROOT = Path(__file__).parents[2] / "tests" / "aimock"
AIMOCK = ROOT / "node_modules" / ".bin" / "llmock"
TOOL: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
#: 1,001 tokens in and 37 out, at USD 2.50 and 10 per million, and at 5 and 25.
GPT_4O_NANOS = 1_001 * 2_500 + 37 * 10_000
OPUS_4_7_NANOS = 1_001 * 5_000 + 37 * 25_000


class Aimock:
    """The running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def requests(self) -> list[dict[str, Any]]:
        return [entry["body"] for entry in self.ask("GET", "/__aimock/journal")]


@pytest.fixture(scope="module")
def running() -> Iterator[Aimock]:
    if not AIMOCK.exists() or shutil.which("node") is None:
        pytest.skip("aimock is not installed: run `make test`, or `npm ci` in tests/aimock")
    fixtures = str(ROOT / "fixtures.json")
    command = [str(AIMOCK), "--port", "0", "--fixtures", fixtures, "--strict"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        said = ""
        while (found := re.search(r"listening on (http://\S+)", said)) is None:
            line = process.stdout.readline()
            assert line, said
            said += line
        yield Aimock(found[1])
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def aimock(running: Aimock) -> Aimock:
    running.ask("POST", "/__aimock/reset/journal")
    outlay.instrument()
    return running


@pytest.fixture
def gpt(aimock: Aimock) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{aimock.url}/v1", api_key="any", max_retries=0)


@pytest.fixture
def claude(aimock: Aimock) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=aimock.url, api_key="any", max_retries=0)


def recorded(t: outlay.Task, aimock: Aimock, nanos: int) -> list[dict[str, Any]]:
    """Every request was recorded once, and all of them cost so much."""
    requests = aimock.requests()
    totals = t.summary().totals
    assert totals.calls + totals.voided_calls == len(requests)
    assert totals.estimated_calls == 0
    assert (t.spent.nanos, t.pending.nanos, t.in_doubt.nanos) == (nanos, 0, 0)
    return requests


def test_chat_completions_cost_what_is_scripted(gpt: openai.OpenAI, aimock: Aimock) -> None:
    asked: Any = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 50}
    with task() as t:
        answer = gpt.chat.completions.create(**asked)
        chunks = list(gpt.chat.completions.create(**asked, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert answer.choices[0].message.content == text == "Hello there."
    _, streamed = recorded(t, aimock, 2 * GPT_4O_NANOS)
    assert streamed["stream_options"] == {"include_usage": True}


def test_an_asynchronous_stream_costs_what_is_scripted(aimock: Aimock) -> None:
    async def read() -> int:
        client = openai.AsyncOpenAI(base_url=f"{aimock.url}/v1", api_key="any")
        asked: Any = {"model": "gpt-4o", "messages": MESSAGES, "stream": True}
        return len([chunk async for chunk in await client.chat.completions.create(**asked)])

    with task() as t:
        assert asyncio.run(read())
    assert recorded(t, aimock, GPT_4O_NANOS)[0]["max_tokens"] == 4_096


def test_responses_cost_what_is_scripted(gpt: openai.OpenAI, aimock: Aimock) -> None:
    asked: Any = {"model": "gpt-4o", "input": "hello world", "max_output_tokens": 50}
    with task() as t:
        assert gpt.responses.create(**asked).output_text == "Hello there."
        assert list(gpt.responses.create(**asked, stream=True))
    recorded(t, aimock, 2 * GPT_4O_NANOS)


def test_messages_cost_what_is_scripted(claude: anthropic.Anthropic, aimock: Aimock) -> None:
    asked: Any = {"model": "claude-opus-4-7", "messages": MESSAGES, "max_tokens": 50}
    with task() as t:
        assert claude.messages.create(**asked).content
        with claude.messages.stream(**asked) as stream:
            assert stream.get_final_text() == "Hello there."
    recorded(t, aimock, 2 * OPUS_4_7_NANOS)


def test_a_loop_with_a_tool_costs_what_is_scripted(gpt: openai.OpenAI, aimock: Aimock) -> None:
    messages: Any = [{"role": "user", "content": "How is the weather?"}]
    function = {"name": "get_weather", "parameters": TOOL}
    asked: Any = {"model": "gpt-4o", "tools": [{"type": "function", "function": function}]}
    with task(tool_calls=1) as t:
        said = gpt.chat.completions.create(messages=messages, **asked).choices[0].message
        assert said.tool_calls
        t.tool_call(said.tool_calls[0].function.name)  # type: ignore[union-attr]
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "rain"}
        messages += [said.model_dump(exclude_none=True), result]
        chunks = list(gpt.chat.completions.create(messages=messages, **asked, stream=True))
    assert chunks
    recorded(t, aimock, 500 * 2_500 + 50 * 10_000)


def test_a_langchain_agent_costs_what_is_scripted(aimock: Aimock) -> None:
    agents: Any = pytest.importorskip("langchain.agents", reason="langchain is not installed")
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from outlay.integrations.langchain import OutlayMiddleware

    @tool
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"rain in {city}"

    model = ChatOpenAI(model="gpt-4o", base_url=f"{aimock.url}/v1", api_key="any")  # type: ignore[arg-type]
    agent = agents.create_agent(model, [get_weather], middleware=[OutlayMiddleware()])
    with task(tool_calls=5) as t:
        answer = agent.invoke({"messages": [("user", "How is the weather?")]})
    assert answer["messages"][-1].content == "It rains."
    recorded(t, aimock, 500 * 2_500 + 50 * 10_000)
    assert t.summary().totals.tool_calls == 1


def test_a_refusal_sends_nothing_and_a_refused_request_costs_nothing(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, aimock: Aimock
) -> None:
    too_much: Any = [{"role": "user", "content": "too much"}]
    with task() as t:
        for ask, error in (
            (gpt.chat.completions.create, openai.RateLimitError),
            (claude.messages.create, anthropic.RateLimitError),
        ):
            model = "gpt-4o" if error is openai.RateLimitError else "claude-opus-4-7"
            with pytest.raises(error):
                ask(model=model, messages=too_much, max_tokens=50)  # type: ignore[operator]
    assert len(recorded(t, aimock, 0)) == 2
    with task(0.000_1) as t, pytest.raises(outlay.BudgetExceeded):
        gpt.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert len(aimock.requests()) == 2
