"""Do the traces and metrics of the real OpenTelemetry SDK say what the ledger says?"""

from __future__ import annotations

import asyncio
import doctest
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import outlay
import pytest
from endpoints import ALL_ENDPOINTS, ENDPOINTS, Chat, Endpoint, agrees, fresh_provider, task
from outlay.testing import Provider, Reply

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

DOCS = Path(__file__).parents[2] / "docs" / "telemetry.md"
SECRET = "hello world"


class Told:
    """What an OpenTelemetry SDK of the program's own was told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def ask(self, mode: str = "spans") -> None:
        outlay.telemetry(mode=mode, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self, beginning: str) -> list[ReadableSpan]:
        found = self.exporter.get_finished_spans()
        return [span for span in found if span.name.startswith(beginning)]

    def span(self, beginning: str) -> ReadableSpan:
        [span] = self.spans(beginning)
        return span

    def points(self, name: str) -> list[Any]:
        read = self.reader.get_metrics_data()
        scopes = [scope for each in read.resource_metrics if read for scope in each.scope_metrics]
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]

    def cost(self) -> int:
        """In nano-USD, by the metric."""
        return round(sum(point.value for point in self.points("outlay.cost")) * 10**9)


def cost_of(span: ReadableSpan) -> int:
    return round(float(str((span.attributes or {})["outlay.cost.usd"])) * 10**9)


def is_below(span: ReadableSpan, above: ReadableSpan) -> bool:
    parent, context = span.parent, above.get_span_context()
    return parent is not None and context is not None and parent.span_id == context.span_id


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    told.ask()
    yield told
    outlay.telemetry(mode="off")


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture(params=ALL_ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


def reserve(task: outlay.Task, most: int = 500) -> outlay.Call:
    return task.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=most)


def test_a_call_is_a_span_below_its_attempt(told: Told, any_store: str) -> None:
    tags = {"agent": "support", "conversation": "c-1"}
    usage = outlay.Usage(1000, 400, cache_read_input_tokens=600, reasoning_output_tokens=50)
    with outlay.task("refund", usd=1, kind="extractive", tags=tags, store=any_store) as t:
        call = reserve(t)
        settled = call.settle(usage)
    attempt, chat = told.span("invoke_agent"), told.span("chat")
    assert (attempt.name, attempt.kind) == ("invoke_agent support", SpanKind.INTERNAL)
    assert (chat.name, chat.kind) == ("chat gpt-4o", SpanKind.CLIENT)
    assert is_below(chat, attempt) and attempt.parent is None
    assert chat.status.status_code == attempt.status.status_code == StatusCode.UNSET
    common = {
        "outlay.task.name": "refund",
        "outlay.task.id": t.id,
        "outlay.attempt": 1,
        "outlay.kind": "extractive",
        "gen_ai.conversation.id": "c-1",
    }
    assert attributes(attempt) == {
        **common,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "outlay.outcome": "succeeded",
    }
    assert attributes(chat) == {
        **common,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 500,
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 400,
        "gen_ai.usage.cache_read.input_tokens": 600,
        "gen_ai.usage.reasoning.output_tokens": 50,
        "outlay.call.id": call.id,
        "outlay.held.usd": float(call.reserved.usd),
        "outlay.cost.usd": float(settled.charge.usd),
        "outlay.estimated": False,
        "outlay.outcome": "settled",
    }


def test_the_metrics_are_those_of_the_conventions(told: Told, any_store: str) -> None:
    with outlay.task("refund", usd=1, kind="extractive", store=any_store) as t:
        for output in (100, 200):
            reserve(t).settle(outlay.Usage(1000, output))
    named = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
    }
    used = {
        point.attributes["gen_ai.token.type"]: point
        for point in told.points("gen_ai.client.token.usage")
    }
    assert {kind: point.sum for kind, point in used.items()} == {"input": 2000, "output": 300}
    assert dict(used["input"].attributes) == {**named, "gen_ai.token.type": "input"}
    assert used["input"].explicit_bounds == tuple(4**power for power in range(14))
    [duration] = told.points("gen_ai.client.operation.duration")
    assert (duration.count, dict(duration.attributes)) == (2, named)
    assert (
        duration.explicit_bounds[:3] == (0.01, 0.02, 0.04) and len(duration.explicit_bounds) == 14
    )
    assert duration.explicit_bounds[-1] == 81.92
    [cost] = told.points("outlay.cost")
    assert dict(cost.attributes) == {**named, "outlay.kind": "extractive"}
    assert told.cost() == t.spent.nanos


def test_a_refusal_is_an_error_with_its_limit(told: Told, any_store: str) -> None:
    with outlay.task("refund", usd=0.001, store=any_store) as t:
        with pytest.raises(outlay.BudgetExceeded):
            reserve(t)
        with pytest.raises(outlay.Unpriced):
            t.reserve(model="nobody-knows", input_tokens=1, max_output_tokens=1)
    refused, unpriced = told.spans("chat")
    assert refused.status.status_code == unpriced.status.status_code == StatusCode.ERROR
    expected = {
        "error.type": "budget_exceeded",
        "outlay.outcome": "refused",
        "outlay.budget": "task `refund`",
        "outlay.unit": "usd",
        "outlay.limit": "0.001",
        "outlay.spent": "0.00",
        "outlay.requested": "0.0075",
    }
    assert expected.items() <= attributes(refused).items()
    assert attributes(unpriced)["error.type"] == "unpriced"
    counted = {point.attributes["error.type"]: point for point in told.points("outlay.refusals")}
    assert {code: point.value for code, point in counted.items()} == {
        "budget_exceeded": 1,
        "unpriced": 1,
    }
    # A budget may be one of a tag's values: too many of them for a metric.
    assert "outlay.budget" not in counted["budget_exceeded"].attributes
    assert not told.points("gen_ai.client.operation.duration")


def test_a_tool_is_counted_and_refused(told: Told, any_store: str) -> None:
    with outlay.task("search", tool_calls=1, store=any_store) as t:
        t.tool_call("web")
        with pytest.raises(outlay.BudgetExceeded):
            t.tool_call("web")
    made, refused = told.spans("execute_tool web")
    assert attributes(made)["gen_ai.tool.name"] == "web"
    assert made.status.status_code == StatusCode.UNSET
    assert attributes(refused)["outlay.unit"] == "tool_calls"
    assert is_below(made, told.span("invoke_agent")) and is_below(
        refused, told.span("invoke_agent")
    )


def test_calls_end_as_the_ledger_has_them(told: Told, any_store: str) -> None:
    with outlay.task("t", usd=1, store=any_store) as t:
        reserve(t).void()
        reserve(t).doubt()
        with reserve(t):
            pass
        call = reserve(t)
        del call
        gc.collect()
        call = reserve(t)
        first = call.settle(outlay.Usage(1000, 600))
        assert call.settle(outlay.Usage(1000, 600)).charge == first.charge
    outcomes = [attributes(span)["outlay.outcome"] for span in told.spans("chat")]
    assert outcomes == ["voided", "in_doubt", "in_doubt", "in_doubt", "settled"]
    *_, dropped, over = told.spans("chat")
    assert attributes(dropped)["error.type"] == "abandoned"
    assert attributes(over)["outlay.overrun.usd"] == float(first.overrun.usd) > 0
    assert told.cost() == first.charge.nanos


def test_an_attempt_that_fails_is_an_error(told: Told, any_store: str) -> None:
    with pytest.raises(KeyError), outlay.task("t", store=any_store):
        raise KeyError(SECRET)
    with outlay.task("u", store=any_store) as t:
        t.fail(SECRET)
    with pytest.raises(outlay.BudgetExceeded), outlay.task("v", usd=0, store=any_store) as t:
        reserve(t)
    ends = {
        span.name[-1]: (attributes(span)["outlay.outcome"], attributes(span)["error.type"])
        for span in told.spans("invoke_agent")
    }
    assert ends == {
        "t": ("failed", "KeyError"),
        "u": ("failed", "_OTHER"),
        "v": ("stopped", "budget_exceeded"),
    }
    assert all(SECRET not in span.to_json() for span in told.spans(""))


def test_what_a_task_is_said_to_have_failed_of_is_not_told_of_its_agents(told: Told) -> None:
    with outlay.task("t", store="memory:") as t:
        t._of_agent("support")
        t.fail(SECRET)
    for span in told.spans("invoke_agent"):
        assert attributes(span)["error.type"] == "_OTHER"


def test_calls_in_threads_and_tasks_inside_are_below_theirs(told: Told) -> None:
    outlay.instrument()
    tracer = told.tracers.get_tracer("program")
    with tracer.start_as_current_span("request"), task() as t:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: reserve(t).void()).result()
        with outlay.task("inside"):
            thread = threading.Thread(target=lambda: outlay.current() and reserve(_now()).void())
            thread.start()
            thread.join()
        with tracer.start_as_current_span("step"):
            reserve(t).void()
    outer, inner = told.span("invoke_agent t"), told.span("invoke_agent inside")
    first, second, third = told.spans("chat")
    assert is_below(outer, told.span("request")) and is_below(inner, outer)
    assert is_below(first, outer) and is_below(second, inner) and is_below(third, told.span("step"))


def _now() -> outlay.Task:
    current = outlay.current()
    assert current is not None
    return current


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_guarded_clients_tell_of_their_calls(
    told: Told, provider: Provider, api: Endpoint, asynchronous: bool
) -> None:
    with task() as t:
        api.ask(asynchronous)
    agrees(t, provider)
    span = told.span("generate_content" if api.name == "contents" else "chat")
    assert is_below(span, told.span("invoke_agent"))
    said = attributes(span)
    assert said["gen_ai.request.model"] == api.model
    assert said["gen_ai.provider.name"] == {"messages": "anthropic", "contents": "gcp.gen_ai"}.get(
        api.name, "openai"
    )
    assert said["gen_ai.usage.output_tokens"] == t.summary().totals.output_tokens >= 20
    assert cost_of(span) == told.cost() == t.spent.nanos > 0
    assert SECRET not in span.to_json()


@pytest.mark.parametrize("kind", ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def test_a_stream_ends_its_span_when_it_is_settled(
    told: Told, provider: Provider, kind: type[Endpoint]
) -> None:
    api = kind(provider)
    with task() as t, api.create(stream=True) as stream:
        events = iter(stream)
        next(events)
        assert not told.spans("chat")
        for _ in events:
            pass
    agrees(t, provider)
    span = told.span("chat")
    assert attributes(span)["outlay.outcome"] == "settled"
    assert cost_of(span) == t.spent.nanos


def test_a_stream_that_is_dropped_or_cancelled_ends_its_span(
    told: Told, provider: Provider
) -> None:
    provider.default(Reply(fill=True, chunk_ms=3, chunk_tokens=2))
    api = Chat(provider)

    async def cancelled() -> None:
        got = asyncio.Event()

        async def read() -> None:
            async for _ in await api.create(api.aio, stream=True):
                got.set()

        reading = asyncio.create_task(read())
        await got.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    with task() as t:
        stream = api.create(stream=True)
        next(iter(stream))
        del stream
        gc.collect()
        asyncio.run(cancelled())
    assert t.pending.nanos == 0
    dropped, left = told.spans("chat")
    for span in (dropped, left):
        assert attributes(span)["outlay.outcome"] == "settled"
        assert attributes(span)["outlay.estimated"] is True
    assert cost_of(dropped) + cost_of(left) == told.cost() == t.spent.nanos
    assert not told.points("gen_ai.client.token.usage"), "only what a provider counted"


def test_a_stream_that_is_cut_says_why(told: Told, provider: Provider) -> None:
    provider.default(Reply(fill=True, chunk_ms=1, chunk_tokens=10))
    api = Chat(provider)
    with task() as t, pytest.raises(outlay.BudgetExceeded), outlay.call(max_usd="0.001"):
        for _ in api.create(stream=True, max_tokens=10_000):
            pass
    span = told.span("chat")
    assert (attributes(span)["outlay.outcome"], span.status.status_code) == (
        "settled",
        StatusCode.ERROR,
    )
    assert attributes(span)["error.type"] == "budget_exceeded"
    assert cost_of(span) == t.spent.nanos


def test_each_http_attempt_is_a_span(told: Told, provider: Provider) -> None:
    provider.script(Reply(status=500), Reply(tokens=20))
    with task() as t:
        Chat(provider, max_retries=1).create()
    failed, answered = told.spans("chat")
    assert attributes(failed)["error.type"] == "500"
    assert attributes(failed)["outlay.outcome"] == "voided"
    assert cost_of(answered) == t.spent.nanos


def test_a_refused_request_of_a_client_is_told_of(told: Told, provider: Provider) -> None:
    api = Chat(provider)
    with task(usd=0.0001) as t:
        for asynchronous in (False, True):
            with pytest.raises(outlay.BudgetExceeded):
                api.ask(asynchronous)
    assert provider.bill().count == 0 and t.spent.nanos == 0
    for span in told.spans("chat"):
        assert attributes(span)["gen_ai.provider.name"] == "openai"
        assert attributes(span)["error.type"] == "budget_exceeded"
    [refusals] = told.points("outlay.refusals")
    assert refusals.value == len(told.spans("chat")) == 2


def test_attributes_go_on_the_span_of_another_instrumentation(
    told: Told, provider: Provider
) -> None:
    told.ask("attributes")
    tracer = told.tracers.get_tracer("another")
    with task() as t, tracer.start_as_current_span("chat of theirs"):
        Chat(provider).create()
        t.tool_call("web")
    [span] = told.spans("")
    said = attributes(span)
    assert said["outlay.task.id"] == t.id
    assert cost_of(span) == told.cost() == t.spent.nanos
    assert all(key.startswith("outlay.") for key in said)
    for name in ("token.usage", "operation.duration"):
        assert not told.points(f"gen_ai.client.{name}")


def test_nothing_is_told_without_being_asked(told: Told) -> None:
    outlay.telemetry(mode="off")
    with task() as t:
        reserve(t).void()
    assert not told.spans("")
    assert t.reserve.__self__ is t._native  # type: ignore[attr-defined]


class _Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("the exporter is broken")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("the exporter is broken")


def test_what_fails_in_the_sdk_spoils_nothing(
    told: Told, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    told.tracers.add_span_processor(_Broken())
    with caplog.at_level(logging.ERROR, logger="outlay"), task(tool_calls=1) as t:
        Chat(provider).create()
        t.tool_call("web")
        with pytest.raises(outlay.BudgetExceeded):
            t.tool_call("web")
    agrees(t, provider)
    assert "OpenTelemetry could not be told" in caplog.text


def test_a_mode_without_meaning_is_refused() -> None:
    with pytest.raises(outlay.InvalidInput):
        outlay.telemetry(mode="loud")
    with pytest.raises(outlay.InvalidInput):
        outlay.telemetry(tracer_provider=object())
    with pytest.raises(outlay.InvalidInput):
        outlay.telemetry(meter_provider={})


def test_nobody_is_made_to_import_open_telemetry() -> None:
    code = (
        "import sys, outlay\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "sys.modules['opentelemetry'] = None\n"
        "try:\n    outlay.telemetry()\n"
        "except outlay.Unsupported as error:\n    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout == "telemetry needs the package `opentelemetry-api`\n"


def test_the_example_of_the_docs_runs() -> None:
    failed, tried = doctest.testfile(str(DOCS), module_relative=False)
    outlay.telemetry(mode="off")
    assert tried > 5 and failed == 0


def test_the_span_of_a_tool_is_above_what_it_asks(told: Told, provider: Provider) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from outlay.integrations.langchain import OutlayMiddleware

    @tool
    def search(query: str) -> str:
        """Searches."""
        Chat(provider).create()
        return "nothing"

    provider.script(Reply.tool("search", {"query": "weather"}), Reply(tokens=5), Reply(tokens=20))
    model: Any = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any")  # type: ignore[arg-type]
    middleware = [OutlayMiddleware(), type("Stacked", (OutlayMiddleware,), {})()]
    agent: Any = create_agent(model, tools=[search], middleware=middleware, name="support")
    with task() as t:
        agent.invoke({"messages": [("user", SECRET)]})
    agrees(t, provider)
    first, inside, last = told.spans("chat")
    ran, support = told.span("execute_tool search"), told.span("invoke_agent support")
    assert is_below(first, support) and is_below(last, support) and is_below(ran, support)
    assert is_below(inside, ran)
    assert is_below(support, told.span("invoke_agent t"))
    assert (ran.end_time or 0) >= (inside.end_time or 0) > (inside.start_time or 0)
    assert all(SECRET not in span.to_json() for span in told.spans(""))


def test_what_is_given_back_unsent_leaves_no_span(told: Told, provider: Provider) -> None:
    from outlay.integrations._frame import Frame
    from outlay.integrations._stainless import Ask

    body = {"model": "gpt-4o", "messages": [], "max_tokens": 10}
    with task() as t:
        frame = Frame(None)
        frame.hold(Ask("openai.chat", body).reserve())
        frame.give_back()
        Ask("openai.chat", body).reserve().fail("not_sent")
    assert attributes(told.span("chat"))["error.type"] == "not_sent"
    assert t.spent.nanos == 0


def test_a_second_handle_on_a_call_tells_nothing(told: Told, any_store: str) -> None:
    with outlay.task("t", usd=1, store=any_store) as t:
        asked = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 500, "id": "a"}
        first = t.reserve(**asked)
        again = t.reserve(**asked)
        charges = [call.settle(outlay.Usage(1000, 500)).charge for call in (again, first)]
        assert charges[0] == charges[1]
        del again
        gc.collect()
    assert attributes(told.span("chat"))["outlay.outcome"] == "settled"
    assert told.cost() == t.spent.nanos
    [tokens] = [p for p in told.points("gen_ai.client.token.usage") if p.sum == 1000]
    assert tokens.count == 1


def test_what_a_tool_fails_of_is_told_by_its_kind(told: Told) -> None:
    with outlay.task("t", tool_calls=1) as t, pytest.raises(SystemExit):
        assert t._trace is not None
        with t._trace.tool(t._native.tool_call, "web", None):
            raise SystemExit(SECRET)
    assert attributes(told.span("execute_tool web"))["error.type"] == "SystemExit"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_ends_no_call_of_its_parent(told: Told, tmp_path: Path) -> None:
    with outlay.task("t", usd=0.05, store=f"sqlite:{tmp_path / 'ledger.db'}") as t:
        call = t.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=4000)
        pid = os.fork()
        if pid == 0:
            del call
            gc.collect()
            os._exit(0 if told.spans("chat") == [] else 1)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert call.state == "open"
        with pytest.raises(outlay.BudgetExceeded):
            t.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=4000)
        call.settle(outlay.Usage(0, 4000))
    assert t.spent.nanos == 40_000_000
