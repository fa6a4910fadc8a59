"""Do LangChain agents stay inside their budgets, and is each of their calls recorded once?"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import openai
import outlay
import pydantic
import pytest
from endpoints import agrees, covers, fresh_provider, task
from outlay.testing import Provider, Reply

pytest.importorskip("langchain")
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRetryMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from outlay._watch import Watch
from outlay.integrations import langchain as hook
from outlay.integrations._frame import Frame
from outlay.integrations.langchain import OutlayMiddleware

ASKED: Any = {"messages": [{"role": "user", "content": "hello world"}]}
DONE = Reply(tokens=20)
SEARCH = Reply.tool("search", {"query": "weather"})


class Sum(pydantic.BaseModel):
    """A sum."""

    total: int


@tool
def search(query: str) -> str:
    """Searches."""
    return f"nothing about {query}"


class OwnHttp(BaseChatModel):
    """A chat model with an HTTP client of its own, which nobody guards."""

    url: str
    model: str = "gpt-4o"
    max_tokens: int | None = 100
    tells_usage: bool = True

    @property
    def _llm_type(self) -> str:
        return "own-http"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run: Any = None, **more: Any) -> Any:
        body = {"model": self.model, "messages": convert_to_openai_messages(messages)}
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        request = urllib.request.Request(
            f"{self.url}/chat/completions", json.dumps(body).encode(), {"content-type": "x"}
        )
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        usage = answer["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        told: Any = {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
            "input_token_details": {"cache_read": cached},
        }
        text = answer["choices"][0]["message"]["content"]
        message = AIMessage(text, usage_metadata=told if self.tells_usage else None)
        return ChatResult(generations=[ChatGeneration(message=message)])


class OverClient(OwnHttp):
    """A chat model of somebody's own over the openai package, which is guarded."""

    def _generate(self, messages: Any, stop: Any = None, run: Any = None, **more: Any) -> Any:
        client = openai.OpenAI(base_url=self.url, api_key="any", max_retries=1)
        client._calculate_retry_timeout = lambda *_, **__: 0.001  # type: ignore[method-assign]
        answer = client.chat.completions.create(
            model=self.model, messages=convert_to_openai_messages(messages), max_tokens=90
        )
        message = AIMessage(answer.choices[0].message.content or "")
        return ChatResult(generations=[ChatGeneration(message=message)])


Make = Callable[..., BaseChatModel]

# LangChain keeps one asynchronous client for all models; it belongs to the loop it was made in.
_LOOP = asyncio.new_event_loop()


def run(awaitable: Any) -> Any:
    return _LOOP.run_until_complete(awaitable)


def chat(provider: Provider, **more: Any) -> BaseChatModel:
    where: Any = {"base_url": provider.openai_url, "api_key": "any", "max_retries": 0}
    return ChatOpenAI(model="gpt-4o", **where, **{"max_tokens": 100, **more})


def responses(provider: Provider, **more: Any) -> BaseChatModel:
    return chat(provider, use_responses_api=True, **more)


def messages(provider: Provider, **more: Any) -> BaseChatModel:
    where: Any = {"base_url": provider.anthropic_url, "api_key": "any", "max_retries": 0}
    return ChatAnthropic(model="claude-opus-4-7", **where, **{"max_tokens": 100, **more})


def own_http(provider: Provider, **more: Any) -> BaseChatModel:
    return OwnHttp(url=provider.openai_url, **more)


def over_client(provider: Provider, **more: Any) -> BaseChatModel:
    return OverClient(url=provider.openai_url, **more)


CLIENTS = [chat, responses, messages]
ALL = [*CLIENTS, own_http, over_client]


@pytest.fixture
def provider() -> Provider:
    return fresh_provider(DONE)


def agent_of(model: BaseChatModel, *tools: Any, middleware: Any = (), name: str = "") -> Any:
    hooks = [*middleware, OutlayMiddleware()]
    return create_agent(model, list(tools), middleware=hooks, name=name or None)


@pytest.mark.parametrize("make", CLIENTS)
def test_models_without_an_agent_are_metered(make: Make, provider: Provider) -> None:
    model = make(provider)

    async def asynchronous() -> None:
        await model.ainvoke("hello")
        assert [chunk async for chunk in model.astream("hello")]

    with task() as t:
        model.invoke("hello")
        assert list(model.stream("hello"))
        model.batch(["one", "two", "three"])
        run(asynchronous())
    assert agrees(t, provider).served == 7


@pytest.mark.parametrize("make", CLIENTS)
def test_a_stream_that_is_left_is_covered(make: Make, provider: Provider) -> None:
    provider.default(Reply(fill=True, chunk_ms=3, chunk_tokens=2))
    with task() as t:
        for _ in make(provider).stream("hello"):
            break
        gc.collect()
        assert t.pending.nanos == 0
    assert covers(t, provider).partial == 1


@pytest.mark.parametrize("make", ALL)
def test_calls_recorded_are_requests_the_provider_saw(make: Make, provider: Provider) -> None:
    agent = agent_of(make(provider))
    with task() as t:
        agent.invoke(ASKED)
        run(agent.ainvoke(ASKED))
    bill = provider.bill()
    assert (bill.served, t.summary().totals.calls) == (2, 2)
    assert t.spent.nanos == bill.cost_nanos
    assert t.pending.nanos == 0


class Another(OutlayMiddleware):
    """LangChain wants the hooks of an agent to have different names."""


@pytest.mark.parametrize("make", ALL)
def test_stacked_hooks_record_a_call_once(make: Make, provider: Provider) -> None:
    if make in CLIENTS:
        provider.script(SEARCH)
    agent = agent_of(make(provider), search, middleware=[Another()])
    with task() as t:
        agent.invoke(ASKED)
    bill = provider.bill()
    assert bill.served == t.summary().totals.calls > 0
    assert t.summary().totals.tool_calls == bill.served - 1
    assert t.spent.nanos == bill.cost_nanos
    assert t.pending.nanos == 0


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("make", ALL)
def test_a_refusal_leaves_the_agent_as_it_is(
    make: Make, provider: Provider, asynchronous: bool
) -> None:
    agent = agent_of(make(provider))

    def ask() -> Any:
        return run(agent.ainvoke(ASKED)) if asynchronous else agent.invoke(ASKED)

    with task(0.000_1) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            ask()
        assert type(refused.value) is outlay.BudgetExceeded
        assert isinstance(t.stopped, outlay.BudgetExceeded)
    assert provider.bill().count == 0
    assert t.spent.nanos == t.pending.nanos == 0


class Swallowing(AgentMiddleware[Any, Any, Any]):
    """Answers for the model, whatever went wrong."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        for _ in range(5):
            try:
                return handler(request)
            except Exception:
                continue
        return AIMessage("Sorry.")


@pytest.mark.parametrize("make", ALL)
def test_a_swallowed_refusal_sends_nothing(make: Make, provider: Provider) -> None:
    agent = agent_of(make(provider), middleware=[Swallowing()])
    retrying = agent_of(make(provider), middleware=[ModelRetryMiddleware(initial_delay=0.001)])
    with task(0.000_1) as t:
        assert agent.invoke(ASKED)["messages"][-1].content == "Sorry."
        assert retrying.invoke(ASKED)
        with pytest.raises(outlay.BudgetExceeded):
            t.raise_if_stopped()
    assert provider.bill().count == 0


@pytest.mark.parametrize("make", ALL)
def test_attempts_of_a_hook_that_repeats_are_recorded_each(make: Make, provider: Provider) -> None:
    again = ModelRetryMiddleware(max_retries=3, initial_delay=0.001, backoff_factor=0)
    agent = agent_of(make(provider), middleware=[again])
    provider.script(Reply(status=500), Reply(status=503))
    with task() as t:
        agent.invoke(ASKED)
    bill = provider.bill()
    assert (bill.count, bill.served) == (3, 1)
    assert t.spent.nanos >= bill.cost_nanos
    assert t.pending.nanos == 0
    if make is not own_http:  # its errors do not say that nothing was billed
        assert t.spent.nanos == bill.cost_nanos


@pytest.mark.parametrize("make", CLIENTS)
def test_tools_are_counted_and_the_loop_is_metered(make: Make, provider: Provider) -> None:
    provider.script(SEARCH, SEARCH)
    with task(tool_calls=5) as t:
        agent_of(make(provider), search).invoke(ASKED)
        assert t._native.used()["tool_calls"] == 2
    assert agrees(t, provider).served == 3
    assert t.summary().totals.tool_calls == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_tool_that_does_not_fit_stops_the_agent(provider: Provider, asynchronous: bool) -> None:
    provider.default(SEARCH)
    agent = agent_of(chat(provider), search, middleware=[Another()])

    def ask() -> Any:
        return run(agent.ainvoke(ASKED)) if asynchronous else agent.invoke(ASKED)

    with task(tool_calls=3) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            ask()
        assert refused.value.unit == "tool_calls"
    assert t.summary().totals.tool_calls == 3
    assert agrees(t, provider).served == 4


def test_an_error_of_a_tool_stays_what_it_is(provider: Provider) -> None:
    @tool
    def broken(query: str) -> str:
        """Fails."""
        raise LookupError(query)

    provider.script(Reply.tool("broken", {"query": "x"}))
    with task() as t, pytest.raises(LookupError):
        agent_of(chat(provider), broken).invoke(ASKED)
    assert agrees(t, provider).served == 1
    assert t.summary().totals.tool_calls == 1


def test_an_error_that_ends_iterations_is_no_answer_of_a_handler() -> None:
    def steps() -> hook.Steps[Any]:
        return (yield hook.Handle(None))

    thrown = StopIteration("an answer")

    def handler(request: Any) -> Any:
        raise thrown

    with pytest.raises(StopIteration) as raised:
        hook.run(steps(), handler)
    assert raised.value is thrown


def test_a_model_asked_by_a_tool_is_under_the_same_task(provider: Provider) -> None:
    inner = agent_of(chat(provider), name="inner")

    @tool
    def delegate(query: str) -> str:
        """Asks another agent."""
        return str(inner.invoke(ASKED)["messages"][-1].content)

    provider.script(Reply.tool("delegate", {"query": "x"}))
    with task(tags={"tenant": "acme"}, store="memory:delegates") as t:
        agent_of(chat(provider), delegate, name="outer").invoke(ASKED)
    assert agrees(t, provider).served == 3
    by_agent = outlay.report("agent", store="memory:delegates")
    calls = {row.key: row.calls for row in by_agent.rows}
    assert (calls["outer"], calls["inner"]) == (2, 1)


def test_what_an_agent_does_is_its_own_and_ends_with_its_task(provider: Provider) -> None:
    store = "memory:agents"
    outlay.budget(tags={"agent": "support"}, usd="0.002", store=store)
    agent = agent_of(chat(provider), name="support")
    with task(store=store) as t:
        agent.invoke(ASKED)
        with pytest.raises(outlay.BudgetExceeded):
            for _ in range(100):
                agent.invoke(ASKED)
        assert isinstance(t.stopped, outlay.BudgetExceeded)
        agent_of(chat(provider), name="sales").invoke(ASKED)
    agrees(t, provider)
    tasks = outlay.report("task", store=store).rows
    assert {row.key for row in tasks} == {"support", "sales"}
    with task(store=store, tags={"agent": "support"}), pytest.raises(outlay.BudgetExceeded):
        agent.invoke(ASKED)


def test_an_agent_that_outlives_its_task_is_refused(provider: Provider) -> None:
    agent = agent_of(chat(provider), name="support")
    with task() as t:
        late = contextvars.copy_context()
    with pytest.raises(outlay.Conflict):
        late.run(agent.invoke, ASKED)
    assert agrees(t, provider).count == 0


def test_an_agent_in_a_task_that_only_observes_is_not_refused(provider: Provider) -> None:
    with task(0, enforce=False) as t:
        agent_of(chat(provider), name="support").invoke(ASKED)
    assert agrees(t, provider).served == 1


def test_the_turn_is_the_users_message(provider: Provider) -> None:
    provider.script(SEARCH)
    seen: list[Any] = []

    class Watching(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            from outlay._context import current_frame

            seen.append(current_frame.get().turn)
            return handler(request)

    agent = create_agent(chat(provider), [search], middleware=[OutlayMiddleware(), Watching()])
    with task() as t:
        first = agent.invoke(ASKED)["messages"][0].id
    assert seen == [first, first]
    agrees(t, provider)


def test_the_ledger_is_asked_beside_the_event_loop(
    provider: Provider, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[int]] = {}

    def note(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*args: Any, **options: Any) -> Any:
            seen.setdefault(name, set()).add(threading.get_ident())
            return original(*args, **options)

        monkeypatch.setattr(owner, name, noted)

    acts = [(outlay.Task, "_of_agent"), (hook, "_count"), (Watch, "tell")]
    acts += [(Watch, "ask"), (Frame, "settle"), (hook, "told"), (hook, "_ask")]
    for owner, name in acts:
        note(owner, name)
    provider.script(SEARCH)
    tells = OutlayMiddleware(tell_budget=True)
    calling = create_agent(chat(provider), [search], middleware=[tells], name="a")
    with task(store=store, breaker=True) as t:
        run(calling.ainvoke(ASKED))
        run(agent_of(own_http(provider)).ainvoke(ASKED))
    assert seen.keys() == {name for _, name in acts}
    assert threading.get_ident() not in set().union(*seen.values())
    agrees(t, provider)


def test_a_model_that_nobody_guards_has_its_turn_and_its_own_name(provider: Provider) -> None:
    limits = [outlay.Limit(1), outlay.Limit("0.000001", soft=True)]
    once: Any = {"llm_calls": outlay.Limit(1, window="turn"), "fallback": ["gpt-4o-mini"]}
    agent = agent_of(own_http(provider))
    with task(limits, **once) as t:
        for turn in ("first", "second"):
            asked: Any = {"messages": [HumanMessage("hi", id=turn)]}
            agent.invoke(asked)
            with pytest.raises(outlay.BudgetExceeded, match="1 llm calls per turn"):
                agent.invoke(asked)
    # The hook cannot have another model asked, and charges the one that is.
    agrees(t, provider)


@pytest.mark.parametrize("hooks", [1, 2])
def test_a_model_that_nobody_guards_hears_what_the_run_has_spent(
    provider: Provider, hooks: int
) -> None:
    heard: list[str] = []

    class Hearing(OwnHttp):
        def _generate(self, messages: Any, stop: Any = None, run: Any = None, **more: Any) -> Any:
            heard.append(messages[-1].text)
            return super()._generate(messages, stop, run, **more)

    model = Hearing(url=provider.openai_url)
    agent = create_agent(model, [], middleware=[OutlayMiddleware(), Another()][:hooks])
    store: Any = {"kind": "weather", "store": f"memory:unguarded-{hooks}"}
    with outlay.task("past", **store):
        agent.invoke(ASKED)
    with outlay.task("now", breaker={"doomed": {"pause": None}}, **store):
        for number in range(5):
            agent.invoke({"messages": [("user", f"hello {number}")]})
    said = [text for text in heard if "this run has spent" in text]
    assert len(heard) == 6
    assert len(said) == 1
    assert said[0].startswith("hello 2")


@pytest.mark.parametrize("make", CLIENTS)
def test_streaming_agents_are_metered(make: Make, provider: Provider) -> None:
    agent = agent_of(make(provider))

    async def asynchronous() -> None:
        assert [part async for part in agent.astream(ASKED, stream_mode="messages")]

    with task() as t:
        for mode in ("messages", "updates", "values"):
            assert list(agent.stream(ASKED, stream_mode=mode))
        run(asynchronous())
    assert agrees(t, provider).served == 4


def test_structured_answers_are_metered(provider: Provider) -> None:
    provider.default(Reply(text='{"total": 4}'))
    hooks = [OutlayMiddleware()]
    agent = create_agent(chat(provider), [], middleware=hooks, response_format=Sum)
    with task() as t:
        assert agent.invoke(ASKED)["structured_response"] == Sum(total=4)
    assert agrees(t, provider).served == 1


class TestAModelOfItsOwn:
    """What the middleware holds itself, because no guarded client may lie below."""

    def test_without_a_maximum_it_is_refused_under_a_limit(self, provider: Provider) -> None:
        agent = agent_of(own_http(provider, max_tokens=None))
        with task() as t:
            with pytest.raises(outlay.Unsupported, match="maximum"):
                agent.invoke(ASKED)
            with outlay.call(max_usd="0.05"):
                agent.invoke(ASKED)
        assert agrees(t, provider).served == 1
        with outlay.task("no limit on money", llm_calls=5, store="memory:") as t:
            agent.invoke(ASKED)
            assert t.summary().totals.calls == 1

    def test_without_a_price_it_is_refused(self, provider: Provider) -> None:
        agent = agent_of(own_http(provider, model="house-7b"))
        with task(), pytest.raises(outlay.Unpriced):
            agent.invoke(ASKED)
        assert provider.bill().count == 0

    def test_without_usage_it_costs_its_reservation(self, provider: Provider) -> None:
        with task() as t:
            agent_of(own_http(provider, tells_usage=False)).invoke(ASKED)
        covers(t, provider)
        assert t.summary().totals.estimated_calls == 1
        assert t.spent.nanos >= 100 * 10_000

    def test_whose_request_fails_is_in_doubt(self, provider: Provider) -> None:
        provider.default(Reply(behaviour="drop_head", tokens=20))
        with task() as t, pytest.raises(OSError, match=r"closed|reset"):
            agent_of(own_http(provider)).invoke(ASKED)
        covers(t, provider)
        assert t.in_doubt == t.spent
        assert t.spent.nanos >= 100 * 10_000

    def test_a_class_that_overrides_how_it_asks_is_not_taken_for_its_base(
        self, provider: Provider
    ) -> None:
        class Patched(ChatOpenAI):
            def _generate(self, *args: Any, **more: Any) -> Any:
                return OwnHttp(url=provider.openai_url)._generate(*args, **more)

        model = Patched(model="gpt-4o", api_key="any", max_tokens=100)  # type: ignore[arg-type]
        with task() as t:
            agent_of(model).invoke(ASKED)
        assert agrees(t, provider).served == 1

    def test_a_client_nobody_guards_is_metered_by_the_middleware(self, provider: Provider) -> None:
        outlay.uninstrument()
        with task() as t:
            agent_of(chat(provider)).invoke(ASKED)
            agent_of(messages(provider)).invoke(ASKED)
        assert agrees(t, provider).served == 2
