"""Is an agent that calls a client by itself told, refused, and stopped when it goes in circles?"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import outlay
import pytest
from endpoints import fresh_provider, genai
from outlay.testing import Provider, Reply

SEARCH = Reply.tool("search", {"query": "weather"})
CHANT = Reply(text="Let me check that again, just to be sure. " * 60, chunk_tokens=5)


ledgers = itertools.count()


def fresh() -> str:
    """A ledger without a past: a run is held against successes before it."""
    return f"memory:breaker-{next(ledgers)}"


class Agent:
    """A loop round a client: asks, calls the tool, asks again; and what was really sent."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.sent: list[Any] = []

    def http(self, client: Any) -> Any:
        return client(verify=False, event_hooks={"request": [self.note]})

    def note(self, request: Any) -> None:
        self.sent.append(json.loads(request.content))

    def run(self) -> str:
        raise NotImplementedError


class Chat(Agent):
    def run(self) -> str:
        http = self.http(openai.DefaultHttpxClient)
        client = openai.OpenAI(base_url=self.provider.openai_url, api_key="any", http_client=http)
        messages: list[Any] = [{"role": "user", "content": "how is the weather?"}]
        while True:
            asked = client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=50)
            answer = asked.choices[0].message
            messages.append(answer.model_dump(exclude_none=True))
            if not answer.tool_calls:
                return str(answer.content)
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": "nothing found"}
                for call in answer.tool_calls
            ]


class Responses(Agent):
    def run(self) -> str:
        http = self.http(openai.DefaultHttpxClient)
        client = openai.OpenAI(base_url=self.provider.openai_url, api_key="any", http_client=http)
        items: list[Any] = [{"role": "user", "content": "how is the weather?"}]
        while True:
            answer = client.responses.create(model="gpt-4o", input=items, max_output_tokens=50)
            items += [item.model_dump(exclude_none=True) for item in answer.output]
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                return answer.output_text
            items += [
                {
                    "type": "function_call_output",
                    "call_id": call.call_id,
                    "output": "nothing found",
                }
                for call in calls
            ]


class Messages(Agent):
    def run(self) -> str:
        http = self.http(anthropic.DefaultHttpxClient)
        url = self.provider.anthropic_url
        client = anthropic.Anthropic(base_url=url, api_key="any", http_client=http)
        messages: list[Any] = [{"role": "user", "content": "how is the weather?"}]
        while True:
            answer = client.messages.create(
                model="claude-opus-4-7", messages=messages, max_tokens=50
            )
            messages.append({"role": "assistant", "content": answer.content})
            used = [block for block in answer.content if block.type == "tool_use"]
            if not used:
                return str(answer.content[0].text)  # type: ignore[union-attr]
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "nothing found"}
                for block in used
            ]
            messages.append({"role": "user", "content": results})


class Contents(Agent):
    def run(self) -> str:
        args = {"verify": False, "event_hooks": {"request": [self.note]}}
        where = {"base_url": self.provider.google_url, "client_args": args}
        client = genai.Client(api_key="any", http_options=where)
        contents: list[Any] = [{"role": "user", "parts": [{"text": "how is the weather?"}]}]
        while True:
            answer = client.models.generate_content(
                model="gemini-2.5-flash", contents=contents, config={"max_output_tokens": 200}
            )
            contents.append(answer.candidates[0].content)
            calls = answer.function_calls
            if not calls:
                return str(answer.text)
            results = [
                {"function_response": {"name": call.name, "response": {"result": "nothing found"}}}
                for call in calls
            ]
            contents.append({"role": "user", "parts": results})


AGENTS = (Chat, Responses, Messages, Contents) if genai else (Chat, Responses, Messages)


@pytest.fixture(params=AGENTS, ids=lambda agent: str(agent.__name__))
def agent(request: pytest.FixtureRequest) -> Agent:
    made: Agent = request.param(fresh_provider())
    return made


def last(sent: Any) -> str:
    """The last message as it was sent."""
    messages = sent.get("messages") or sent.get("input") or sent["contents"]
    return json.dumps(messages[-1])


def test_the_model_is_told_refused_and_comes_to_an_end(agent: Agent) -> None:
    agent.provider.script(*[SEARCH] * 6, Reply(text="I do not know."))
    with outlay.task("ask", store=fresh(), breaker=True) as task:
        assert agent.run() == "I do not know."
        assert task.stopped is None
    said = [last(sent) for sent in agent.sent]
    assert not any("outlay breaker" in text for text in said[:3])
    for told in said[3:5]:
        assert "nothing found" in told
        assert "outlay breaker: `search` gave the same result" in told
    for refused in said[5:]:
        assert "nothing found" not in refused
        assert "outlay breaker: this call was refused: " in refused


def test_a_pause_is_raised_before_the_request_and_again_until_excused(agent: Agent) -> None:
    agent.provider.default(SEARCH)
    with outlay.task("ask", store=fresh(), breaker=True) as task:
        with pytest.raises(outlay.ApprovalRequired) as paused:
            agent.run()
        assert (paused.value.detector, paused.value.evidence["count"]) == ("no_progress", 8)
        assert len(agent.sent) == 8
        with pytest.raises(outlay.ApprovalRequired):
            agent.run()
        assert len(agent.sent) == 8
        assert task.stopped is not None
        assert task._watch is not None
        with pytest.raises(outlay.ApprovalRequired):
            task._watch.ask({"name": "look", "args": {}})
        task.excuse()
        with pytest.raises(outlay.ApprovalRequired):
            agent.run()
        assert len(agent.sent) > 8


def test_a_run_that_only_observes_is_told_nothing(agent: Agent) -> None:
    agent.provider.script(*[SEARCH] * 14, Reply(text="I do not know."))
    with outlay.task("ask", store=fresh(), breaker=True, enforce=False):
        assert agent.run() == "I do not know."
    assert not any("outlay breaker" in last(sent) for sent in agent.sent)


def test_a_run_that_spends_more_than_its_kind_needs_is_told_once(agent: Agent) -> None:
    store = fresh()
    differing = [Reply.tool("search", {"query": f"weather {n}"}) for n in range(12)]
    agent.provider.script(Reply(tokens=40), *differing, Reply(text="I do not know."))
    with outlay.task("past", kind="weather", store=store):
        agent.run()
    told_only = {"doomed": {"pause": None}}
    with outlay.task("now", kind="weather", store=store, breaker=told_only) as task:
        assert agent.run() == "I do not know."
        assert task.stopped is None
    said = ["this run has spent" in last(sent) for sent in agent.sent]
    assert said.count(True) == 1
    assert not any(said[:2]), "of what was not spent yet"


def test_what_is_left_is_told_once_a_share_behind_all_that_is_cached(agent: Agent) -> None:
    outlay.instrument(tell_budget=True)
    searches = [Reply.tool("search", {"query": f"weather {n}"}) for n in range(7)]
    agent.provider.script(*searches, Reply(text="I do not know."))
    with outlay.task("ask", store=fresh(), llm_calls=8):
        agent.run()
    # Before the third call 2 of 8 are used: each share once, at the first request after it.
    assert [n for n, sent in enumerate(agent.sent) if "[Budget: " in json.dumps(sent)] == [2, 4, 6]
    assert "[Budget: 2 of 8 llm calls used, 6 left. " in last(agent.sent[2])
    for sent, after in itertools.pairwise(agent.sent):
        before, grown = (
            each.get("messages") or each.get("input") or each["contents"] for each in (sent, after)
        )
        assert before[:-1] == grown[: len(before) - 1], "what was cached stays good"
        assert "[Budget: " not in json.dumps(before[:-1])


def test_what_is_left_is_told_to_nobody_unasked(agent: Agent) -> None:
    outlay.instrument(tell_budget=[10])
    outlay.uninstrument()
    outlay.instrument()
    for wrong in ([0], [101], ["half"]):
        with pytest.raises(outlay.InvalidInput):
            outlay.instrument(tell_budget=wrong)  # type: ignore[arg-type]
    agent.provider.script(SEARCH, Reply(text="I do not know."))
    with outlay.task("ask", store=fresh(), llm_calls=2):
        agent.run()
    assert "[Budget: " not in json.dumps(agent.sent)


def stream_chat(provider: Provider) -> str:
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    messages: Any = [{"role": "user", "content": "hi"}]
    stream = client.chat.completions.create(
        model="gpt-4o", messages=messages, max_tokens=2_000, stream=True
    )
    return "".join(event.choices[0].delta.content or "" for event in stream if event.choices)


async def _stream_messages(provider: Provider) -> str:
    client = anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0)
    messages: Any = [{"role": "user", "content": "hi"}]
    said = ""
    async with client.messages.stream(
        model="claude-opus-4-7", messages=messages, max_tokens=2_000
    ) as stream:
        async for text in stream.text_stream:
            said += text
    return said


def stream_messages(provider: Provider) -> str:
    return asyncio.run(_stream_messages(provider))


@pytest.mark.parametrize("ask", [stream_chat, stream_messages])
def test_a_stream_that_goes_in_circles_is_ended(ask: Callable[[Provider], str]) -> None:
    provider = fresh_provider(CHANT)
    with outlay.task("ask", store=fresh(), breaker=True) as task:
        with pytest.raises(outlay.BreakerTripped) as tripped:
            ask(provider)
        assert tripped.value.detector == "chant"
        assert task.pending.nanos == 0
    with outlay.task("ask", store=fresh()) as task:
        assert len(ask(provider)) > 2_000


def chat_of(provider: Provider) -> Callable[[int], Awaitable[Any]]:
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "how is the weather?"}]

    def ask(turn: int) -> Awaitable[Any]:
        search = {"name": "search", "arguments": "{}"}
        called = {"id": f"c{turn}", "type": "function", "function": search}
        messages.append({"role": "assistant", "tool_calls": [called]})
        messages.append({"role": "tool", "tool_call_id": f"c{turn}", "content": "nothing found"})
        return client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=50)

    return ask


def messages_of(provider: Provider) -> Callable[[int], Awaitable[Any]]:
    client = anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "how is the weather?"}]

    def ask(turn: int) -> Awaitable[Any]:
        called = {"type": "tool_use", "id": f"c{turn}", "name": "search", "input": {}}
        result = {"type": "tool_result", "tool_use_id": f"c{turn}", "content": "nothing found"}
        messages.append({"role": "assistant", "content": [called]})
        messages.append({"role": "user", "content": [result]})
        return client.messages.create(model="claude-opus-4-7", messages=messages, max_tokens=50)

    return ask


def contents_of(provider: Provider) -> Callable[[int], Awaitable[Any]]:
    client = genai.Client(api_key="any", http_options={"base_url": provider.google_url})
    contents: list[Any] = [{"role": "user", "parts": [{"text": "how is the weather?"}]}]

    def ask(_: int) -> Awaitable[Any]:
        called = {"name": "search", "args": {}}
        result = {"name": "search", "response": {"result": "nothing found"}}
        contents.append({"role": "model", "parts": [{"function_call": called}]})
        contents.append({"role": "user", "parts": [{"function_response": result}]})
        asked: Awaitable[Any] = client.aio.models.generate_content(
            model="gemini-2.5-flash", contents=contents, config={"max_output_tokens": 200}
        )
        return asked

    return ask


# Another process on the ledger: locks of one process do not hold it up itself.
OTHER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    print(db.execute(line).fetchone(), flush=True)
"""


@pytest.mark.parametrize(
    "asking", [chat_of, messages_of, *([contents_of] if genai else [])], ids=lambda it: it.__name__
)
def test_an_event_loop_does_not_wait_for_what_a_breaker_records(
    asking: Callable[[Provider], Callable[[int], Awaitable[Any]]], store: str
) -> None:
    async def run(other: Callable[[str], str]) -> None:
        ask = asking(fresh_provider(Reply(text="Rainy.")))
        for turn in range(6):
            # Only the loop can end this: if it waits for the ledger, the ledger gives up.
            other("BEGIN IMMEDIATE")
            answer = asyncio.ensure_future(ask(turn))
            for _ in range(9):
                await asyncio.sleep(0)
            other("ROLLBACK")
            await answer

    with outlay.task("ask", store=store, breaker={"no_progress": {"pause": None}}) as task:
        command = [sys.executable, "-c", OTHER, store.removeprefix("sqlite:")]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as process:

            def other(sql: str) -> str:
                print(sql, file=process.stdin, flush=True)
                return str(process.stdout and process.stdout.readline().strip())

            asyncio.run(run(other))
            verdicts = other("SELECT count(*) > 0 FROM outlay_entries WHERE kind = 'verdict'")
        assert verdicts == "(1,)"
        assert task.stopped is None
