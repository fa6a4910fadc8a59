"""What is in a span of a task, a call or a tool, and in its measurements?

Imported only where `telemetry()` was asked for. The span of a call is made when the call has ended,
with the time and the parent it had when it was reserved: until then it costs nobody anything, and a
call that is dropped leaves no open span behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from . import _native
from ._telemetry import safely
from .errors import OutlayError

if TYPE_CHECKING:
    from .task import Task

_P = ParamSpec("_P")
_Names = tuple[str, str, str]

# As the conventions have them.
_TOKEN_BUCKETS = [4**power for power in range(14)]
_SECOND_BUCKETS = [0.01 * 2**power for power in range(14)]
_USAGE = {
    "gen_ai.usage.cache_read.input_tokens": "cache_read_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_creation_input_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_output_tokens",
}
# Given back before it was sent, because a client below reserves for itself: nothing happened.
_NOTHING = "given_back"


class Telemetry:
    """Where spans and measurements go."""

    def __init__(self, spans: bool, tracer_provider: Any, meter_provider: Any) -> None:
        self.spans = spans
        version = _native.version()
        self.tracer = trace.get_tracer("outlay", version, tracer_provider)
        meter = metrics.get_meter("outlay", version, meter_provider)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS,
        )
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECOND_BUCKETS,
        )
        self.cost = meter.create_counter(
            "outlay.cost", unit="{USD}", description="What calls were charged."
        )
        self.refusals = meter.create_counter(
            "outlay.refusals", unit="{call}", description="Calls that were not let happen."
        )

    def task(self, task: Task, above: TaskTrace | None) -> TaskTrace | None:
        """What tells of a task."""
        return TaskTrace(self, task, above)


class TaskTrace:
    """One attempt at a task, and what is told of its calls."""

    def __init__(self, telemetry: Telemetry, task: Task, above: TaskTrace | None) -> None:
        tags = task.tags
        self.telemetry = telemetry
        self.above = above
        self.kind: dict[str, Any] = {"outlay.kind": tags["kind"]} if "kind" in tags else {}
        self.agent = tags.get("agent", task.name)
        self.attributes: dict[str, Any] = {
            "outlay.task.name": task.name,
            "outlay.task.id": task.id,
            "outlay.attempt": task.attempt,
            **self.kind,
        }
        if "conversation" in tags:
            self.attributes["gen_ai.conversation.id"] = tags["conversation"]
        self.span: Span | None = None
        self._token: Any = None

    @safely
    def begin(self) -> None:
        """Opens its span."""
        if self.telemetry.spans:
            told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": self.agent}
            self.span = self.telemetry.tracer.start_span(
                f"invoke_agent {self.agent}", self.parent(), attributes={**told, **self.attributes}
            )

    @safely
    def enter(self) -> None:
        """Makes its span the current one."""
        if self.span is not None:
            self._token = context.attach(trace.set_span_in_context(self.span))

    @safely
    def leave(self) -> None:
        """Undoes `enter`, in the same context."""
        if self._token is not None:
            context.detach(self._token)

    @safely
    def end(self, outcome: str, error_type: str | None) -> None:
        """Closes its span."""
        if self.span is not None:
            self.span.set_attribute("outlay.outcome", outcome)
            if outcome != "succeeded":
                _failed(self.span, error_type or "_OTHER")
            self.span.end()

    def parent(self) -> context.Context:
        """Below what a span of its belongs: the current one, or its own if that is further up."""
        now = context.get_current()
        current = trace.get_current_span(now)
        nearest: TaskTrace | None = self
        while nearest is not None and nearest.span is None:
            nearest = nearest.above
        if nearest is None or nearest.span is None:
            return now
        further = nearest.above
        while further is not None and further.span is not current:
            further = further.above
        # Threads take the task along, not the span.
        if further is None and current.get_span_context().is_valid:
            return now
        return trace.set_span_in_context(nearest.span, now)

    def reserving(self, reserve: Callable[_P, _native.Call]) -> Callable[_P, _native.Call]:
        """The same `reserve`, told of."""

        @wraps(reserve)
        def reserve_told(*args: _P.args, **kwargs: _P.kwargs) -> _native.Call:
            try:
                call = reserve(*args, **kwargs)
            except OutlayError as error:
                asked = [str(kwargs.get(name) or "") for name in ("provider", "model")]
                self.refused(("chat", asked[0], asked[1]), error)
                raise
            # A second handle leaves the telling to the first.
            if call.created:
                self.started(call)
            return call

        return reserve_told

    def counting(self, count: Callable[..., None]) -> Callable[..., None]:
        """The same `tool_call`, told of. How long the tool runs is not known here."""

        @wraps(count)
        def count_told(tool: str, *, turn: str | None = None) -> None:
            with self.tool(count, tool, turn):
                pass

        return count_told

    def tool(
        self, count: Callable[..., None], tool: str, turn: str | None
    ) -> AbstractContextManager[None]:
        """Counts the call of a tool; gives what to run it in, where its span is the current one.

        Raises:
            BudgetExceeded: no call of a tool is left.
        """
        told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        try:
            count(tool, turn=turn)
        except OutlayError as error:
            self._refused(f"execute_tool {tool}", told, error, SpanKind.INTERNAL)
            raise
        return self._running(f"execute_tool {tool}", {**told, **self.attributes})

    @contextmanager
    def _running(self, name: str, attributes: dict[str, Any]) -> Generator[None, None, None]:
        span = self._tool_span(name, attributes)
        if span is None:
            yield
            return
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            kind = error.code if isinstance(error, OutlayError) else type(error).__name__
            safely(_failed)(span, kind)
            raise
        finally:
            context.detach(token)
            safely(span.end)()

    @safely
    def _tool_span(self, name: str, attributes: dict[str, Any]) -> Span | None:
        if not self.telemetry.spans:
            return None
        return self.telemetry.tracer.start_span(name, self.parent(), attributes=attributes)

    @safely
    def started(self, call: _native.Call | _native.Exchange) -> None:
        """A call was reserved: tells of its end."""
        told = CallTrace(self, self.parent())
        told.names = call._trace(told.ended)
        told.attributes = {
            "outlay.call.id": call.id,
            "outlay.held.usd": _usd(call.reserved),
            "gen_ai.request.max_tokens": call.max_output_tokens,
        }

    def refused(self, names: _Names, error: OutlayError) -> None:
        """A call was not let happen."""
        operation, _, model = names
        self._refused(f"{operation} {model}", _named(names), error, SpanKind.CLIENT)

    @safely
    def refused_request(
        self, api: str, host: str | None, model: object, error: OutlayError
    ) -> None:
        """A request of a guarded client was not let happen."""
        self.refused((*_native.genai_names(api, host), str(model or "")), error)

    @safely
    def _refused(self, name: str, told: dict[str, Any], error: OutlayError, kind: SpanKind) -> None:
        fields = {
            f"outlay.{key}": _plain(error.fields[key])
            for key in ("budget", "unit", "limit", "spent", "requested", "scope", "detector")
            if error.fields.get(key) is not None
        }
        attributes: dict[str, Any] = {**told, **self.attributes, **fields}
        attributes["outlay.outcome"] = "refused"
        self._span(name, self.parent(), None, kind, attributes, error.code)
        few: dict[str, Any] = {"error.type": error.code, **self.kind, **told}
        if "outlay.unit" in fields:
            few["outlay.unit"] = fields["outlay.unit"]
        self.telemetry.refusals.add(1, few)

    def _span(
        self,
        name: str,
        parent: context.Context,
        start_ns: int | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        error_type: str | None,
    ) -> None:
        if not self.telemetry.spans:
            theirs = trace.get_current_span(parent)
            if theirs.is_recording():
                own = attributes.items()
                theirs.set_attributes({key: told for key, told in own if key.startswith("outlay.")})
            return
        span = self.telemetry.tracer.start_span(
            name, parent, kind=kind, attributes=attributes, start_time=start_ns
        )
        if error_type is not None:
            _failed(span, error_type)
        span.end()


class Ended(NamedTuple):
    """What a call came to, as the core tells it."""

    state: str
    charge: _native.Money | None
    overrun: _native.Money | None
    estimated: bool
    usage: _native.Usage | None
    model: str | None
    error_type: str | None


class CallTrace:
    """One call, from its reservation to its end."""

    __slots__ = ("_begun", "_has_ended", "_parent", "_start_ns", "_task", "attributes", "names")

    def __init__(self, task: TaskTrace, parent: context.Context) -> None:
        self._task = task
        self._parent = parent
        self._start_ns = time.time_ns()
        self._begun = time.perf_counter()
        self._has_ended = False
        self.names: _Names = ("chat", "", "")
        self.attributes: dict[str, Any] = {}

    @safely
    def ended(self, *told: Any) -> None:
        """Tells what it came to; only the first end counts."""
        if self._has_ended:
            return
        self._has_ended = True
        end = Ended(*told)
        if end.error_type == _NOTHING:
            return
        named = _named(self.names)
        if end.model is not None:
            named["gen_ai.response.model"] = end.model
        attributes = {**named, **self._task.attributes, **self.attributes, **_outcome(end)}
        operation, _, model = self.names
        self._task._span(
            f"{operation} {model}",
            self._parent,
            self._start_ns,
            SpanKind.CLIENT,
            attributes,
            end.error_type,
        )
        self._measure(end, named)

    def _measure(self, end: Ended, named: dict[str, Any]) -> None:
        to = self._task.telemetry
        if to.spans:
            error = {} if end.error_type is None else {"error.type": end.error_type}
            to.duration.record(time.perf_counter() - self._begun, {**named, **error})
            # Only what the provider counted, and only of calls that did not fail.
            if end.usage is not None and not end.estimated and end.error_type is None:
                for kind in ("input", "output"):
                    used = getattr(end.usage, f"{kind}_tokens")
                    to.tokens.record(used, {**named, "gen_ai.token.type": kind})
        if end.charge is not None:
            to.cost.add(_usd(end.charge), {**named, **self._task.kind})


def _named(names: _Names) -> dict[str, Any]:
    keys = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
    return {key: name for key, name in zip(keys, names, strict=True) if name}


def _outcome(end: Ended) -> dict[str, Any]:
    told: dict[str, Any] = {"outlay.outcome": end.state}
    if end.charge is not None:
        told["outlay.cost.usd"] = _usd(end.charge)
        told["outlay.estimated"] = end.estimated
    if end.overrun:
        told["outlay.overrun.usd"] = _usd(end.overrun)
    if end.usage is not None:
        told["gen_ai.usage.input_tokens"] = end.usage.input_tokens
        told["gen_ai.usage.output_tokens"] = end.usage.output_tokens
        counts = {key: getattr(end.usage, name) for key, name in _USAGE.items()}
        told |= {key: count for key, count in counts.items() if count}
    return told


def _failed(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, error_type))


def _usd(amount: _native.Money) -> float:
    return float(amount.usd)


def _plain(field: Any) -> str:
    # As the events of alerts have these.
    return str(field.usd if isinstance(field, _native.Money) else field)
