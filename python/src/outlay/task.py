"""Which unit of work is this?

``with outlay.task("refund", usd=0.50):`` round a run, and the run cannot cost more. The task is
carried by a context variable, so everything called inside falls under it.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from datetime import datetime
from decimal import Decimal
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _native, _telemetry
from ._context import current_task as _current_task
from ._options import read_alerts, read_deadline, read_models, read_tags
from ._watch import Watch
from .errors import BudgetExceeded, Conflict, InvalidInput, OutlayError, Stopped

if TYPE_CHECKING:
    from ._spans import TaskTrace

Amount = int | float | str | Decimal | _native.Money | _native.Limit
"""A limit: a number (hard, for the life of the task) or a ``Limit``."""

Limits = Amount | list[_native.Limit]

_F = TypeVar("_F", bound=Callable[..., Any])
_AGENTS_MAX = 100
_INHERITED = ("enforce", "clamp", "wait_ms")
_agents_lock = threading.Lock()
_warned = False
# Packages a call of a client passes through on its way here.
_PASSED_THROUGH = frozenset({"outlay", "openai", "anthropic"})


class Task:
    """One attempt at a task, as ``with outlay.task(...) as task`` gives it."""

    def __init__(
        self,
        native: _native.Task,
        inherited: Mapping[str, Any] | None = None,
        watch: Watch | None = None,
        above: Task | None = None,
    ) -> None:
        self._native = native
        # How errors call the limits of its own and of the tasks above.
        self._labels: tuple[str, ...] = (f"task `{native.name}`", *(above._labels if above else ()))
        self._watch = watch
        if watch is not None:
            native.watch(watch.breaker)
        self._outcome: tuple[str, str | None] | None = None
        self._value: str | None = None
        self._inherited = dict(inherited or {})
        self._agents: dict[str, Task | None] = {}
        self._ended = False
        # Of the budget, how much was used when an integration last told the agent so.
        self._told_percent = 0
        # Has an integration met a limit, and will now ask for the last answer?
        self._is_finishing = False
        # Bound once: a call costs less than a microsecond, and so must the way to it.
        self.reserve = native.reserve
        self.tool_call = native.tool_call
        self._trace: TaskTrace | None = _telemetry.traced(self, above._trace if above else None)
        if self._trace is not None:
            self.reserve = self._trace.reserving(native.reserve)
            self.tool_call = self._trace.counting(native.tool_call)

    @property
    def name(self) -> str:
        """Its name."""
        return self._native.name

    @property
    def id(self) -> str:
        """Its id in the ledger, a UUID."""
        return self._native.id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._native.attempt

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, inherited ones too."""
        return self._native.tags

    @property
    def spent(self) -> _native.Money:
        """Settled and in doubt, over all attempts."""
        return self._native.spent

    @property
    def pending(self) -> _native.Money:
        """What open calls hold."""
        return self._native.pending

    @property
    def in_doubt(self) -> _native.Money:
        """What calls hold whose outcome nobody knows."""
        return self._native.in_doubt

    @property
    def available(self) -> _native.Money | None:
        """The least left over every hard limit on money it falls under; None without any."""
        return self._native.available

    def status_text(self) -> str:
        """What is used and left under its hard limits, shared ones too, for people and agents.

        What open calls hold counts as used. Empty without a hard limit.

        Example:
            >>> import outlay
            >>> with outlay.task("t", usd=0.50, llm_calls=30, store="memory:") as t:
            ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
            ...     _ = call.settle(outlay.Usage(1000, 500))
            ...     print(t.status_text())
            0.0075 of 0.50 usd used, 0.4925 left; 1 of 30 llm calls used, 29 left
        """
        return self._native.status()[0]

    @property
    def stopped(self) -> OutlayError | None:
        """The latest verdict against it, whoever swallowed the exception; None if there is none."""
        if self._watch is not None and self._watch.tripped is not None:
            return self._watch.tripped
        inside = (agent.stopped for agent in list(self._agents.values()) if agent is not None)
        return self._native.stopped or next((verdict for verdict in inside if verdict), None)

    def raise_if_stopped(self) -> None:
        """Raises the latest verdict against it, if there is one.

        Raises:
            Stopped: what was refused, and why.
        """
        if (error := self.stopped) is not None:
            raise error

    @property
    def breaker(self) -> _native.Breaker | None:
        """What watches it for loops; None without ``breaker=``."""
        return self._watch.breaker if self._watch is not None else None

    def excuse(self) -> None:
        """A person lets it go on after a pause or a stop by its breaker.

        What repeats now is forgiven, and the ladder begins again; the hard cap keeps counting.
        """
        if self._watch is not None:
            self._watch.excuse()

    def succeed(self, value: int | float | str | Decimal | None = None) -> None:
        """Notes that the attempt did what was wanted, whatever happens until its end.

        Args:
            value: what that is worth, in a unit of your own, with up to nine decimals: tickets
                closed, points. ``outlay report value`` holds it against what was spent.

        Raises:
            InvalidInput: a value that is no decimal number, negative, or beyond nine billion.

        Example:
            >>> import outlay
            >>> with outlay.task("refund", usd=1, store="memory:") as t:
            ...     t.succeed(value=2.5)
        """
        worth = None if value is None else _native.Money(value)
        if worth is not None and worth.nanos < 0:
            raise InvalidInput(f"value `{value}` is negative")
        self._value = None if worth is None else str(worth.usd)
        self._outcome = ("succeeded", None)

    def fail(self, reason: str | None = None) -> None:
        """Notes that the attempt did not do what was wanted.

        Args:
            reason: kept in the ledger; no text of prompts or answers belongs here.
        """
        self._outcome = ("failed", reason)

    def summary(self) -> _native.Summary:
        """What it spent, by model and attempt, and which part bought nothing.

        Example:
            >>> import outlay
            >>> with outlay.task("t", usd=1, store="memory:") as t:
            ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
            ...     _ = call.settle(outlay.Usage(1000, 500))
            ...     t.summary().spent
            Money('0.0075')
        """
        return self._native.summary()

    def __repr__(self) -> str:
        return f"<Task {self.name!r} attempt {self.attempt}>"

    def _of_agent(self, name: str) -> Task:
        """The task of what an agent of this name does inside this one; the two end together."""
        if self.tags.get("agent") == name:
            return self
        with _agents_lock:
            is_new = name not in self._agents and len(self._agents) < _AGENTS_MAX
            if is_new and not self._ended:
                self._agents[name] = self._open_agent(name)
            return self._agents.get(name) or self

    def _open_agent(self, name: str) -> Task | None:
        options: Any = {"under": self._native, "tags": {"agent": name}, **self._inherited}
        try:
            native = self._native.ledger().task(name, **options)
            task = Task(native, self._inherited, self._watch, above=self)
        except (Conflict, InvalidInput):
            # Too deep, or a budget holds for another agent's name: then it is this task's doing.
            return None
        if task._trace is not None:
            task._trace.begin()
        return task

    def _is_under(self, error: BudgetExceeded) -> bool:
        """Did a limit refuse it that this task falls under, not only a task inside it?"""
        budget = error.fields.get("budget")
        stopped = self.stopped
        # What refused it, or an agent inside it, may also be a shared budget.
        return budget in self._labels or (
            isinstance(stopped, BudgetExceeded) and stopped.fields.get("budget") == budget
        )

    def _end(self, outcome: str, reason: str | None) -> None:
        with _agents_lock:
            self._ended = True
        for agent in self._agents.values():
            if agent is not None:
                agent._outcome = agent._outcome or self._outcome
                agent._end(outcome, reason)
        try:
            self._native.end(outcome, reason, self._value)
        finally:
            if self._trace is not None:
                # What the caller gives as a reason may be any text.
                self._trace.end(outcome, None if self._outcome else reason)


class TaskBlock:
    """What ``outlay.task(...)`` gives: a ``with`` block, an ``async with`` block, a decorator."""

    def __init__(
        self,
        name: str,
        store: str | None,
        options: dict[str, Any],
        breaker: Mapping[str, Any] | bool | None = None,
    ) -> None:
        self._name = name
        self._store = store
        self._breaker = breaker
        self._options = options
        self._entered: list[tuple[Task, Token[Task | None]]] = []

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            message = f"`outlay.task(...)` has no attribute `{name}`"
            if name in ("reserve", "tool_call") or hasattr(Task, name):
                message += " until it is entered: `with outlay.task(...) as task:`"
            raise AttributeError(message, name=name, obj=self)

    def __enter__(self) -> Task:
        parent = _current_task.get()
        if parent is not None and self._store is None:
            ledger = parent._native.ledger()
            under: _native.Task | None = parent._native
        else:
            ledger = _native.ledger(self._store)
            same = parent is not None and parent._native.ledger().store == ledger.store
            under = parent._native if parent is not None and same else None
        # Before the task opens: a configuration without meaning must not leave an attempt behind.
        watch = parent._watch if parent is not None else None
        if (config := self._breaker_in(ledger)) is not False:
            watch = Watch(config, self._options["enforce"])
        native = ledger.task(self._name, under=under, **self._options)
        inherited = {name: self._options[name] for name in _INHERITED}
        inherited["on_limit"] = native.on_limit
        task = Task(native, inherited, watch, above=parent if under is not None else None)
        self._entered.append((task, _current_task.set(task)))
        if task._trace is not None:
            task._trace.begin()
            task._trace.enter()
        return task

    def _breaker_in(self, ledger: _native.Ledger) -> Mapping[str, Any] | bool:
        """What its breaker goes by: as its caller says, else as is configured for its kind."""
        kind = self._options["tags"].get("kind")
        if self._breaker is not None or kind is None:
            return False if self._breaker is None else self._breaker
        configured = ledger.kind_breaker(kind)
        return False if configured is None else json.loads(configured)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, token = self._entered.pop()
        try:
            _current_task.reset(token)
            if task._trace is not None:
                task._trace.leave()
        except ValueError:
            # Left in another context than entered in, as a generator's finaliser may be.
            _current_task.set(None)
        verdict = task.stopped if error is not None else None
        task._end(*(task._outcome or _default_outcome(error)))
        if verdict is not None and error is not None and _is_behind(verdict, error):
            raise verdict from error

    async def __aenter__(self) -> Task:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: _F) -> _F:
        """Decorates a function: each call of it is a task of its own."""

        def block() -> TaskBlock:
            return TaskBlock(self._name, self._store, self._options, self._breaker)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped_async(*args: Any, **kwargs: Any) -> Any:
                with block():
                    return await function(*args, **kwargs)

            return cast("_F", wrapped_async)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidInput("a generator outlives its call; open the task inside it")

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with block():
                return function(*args, **kwargs)

        return cast("_F", wrapped)


def task(
    name: str,
    *,
    usd: Limits | None = None,
    tokens: Limits | None = None,
    llm_calls: Limits | None = None,
    tool_calls: Limits | None = None,
    kind: str | None = None,
    tags: Mapping[str, str] | None = None,
    id: str | None = None,
    store: str | None = None,
    enforce: bool = True,
    clamp: bool = False,
    wait_ms: int | None = None,
    on_limit: str | None = None,
    by: str | None = None,
    breaker: Mapping[str, Any] | bool | None = None,
    fallback: Sequence[str] | None = None,
    deadline: float | datetime | _native.Limit | Sequence[Any] | None = None,
    wrap_up_usd: int | float | str | Decimal | _native.Money | None = None,
    alerts: Sequence[float | str | Decimal] | None = None,
    retry_usd: int | float | str | Decimal | _native.Money | None = None,
) -> TaskBlock:
    """Opens a task round what runs inside: it cannot use more than its limits.

    Args:
        name: what the task is, as reports show it.
        usd: the most it may cost, over all attempts; a number or a ``Limit``.
        tokens: the most tokens, input and output together.
        llm_calls: the most calls of a model.
        tool_calls: the most calls of a tool.
        kind: the class of the task, for comparing like with like. What is configured for it
            (``configure(kinds=...)``, ``[kinds.NAME]`` in outlay.toml) holds where the option is
            not given here.
        tags: key=value, inherited by tasks inside; shared budgets go by them.
        id: entering a task of the same id again is its next attempt.
        store: ``memory:``, ``memory:NAME`` or ``sqlite:PATH``; default: the task above's, the
            configured one, ``$OUTLAY_STORE``, or a file in the user's data folder.
        enforce: False denies nothing and records what would have been denied.
        clamp: lower a request's own maximum of output tokens where only that makes it fit.
        wait_ms: wait so long for money that other calls hold, before denying.
        on_limit: what a call raises that a hard limit refuses: ``raise`` ``BudgetExceeded`` (the
            default), or ``ask`` ``ApprovalRequired``; a person can then raise the limit by
            ``outlay approve``. Under ``finish``, which needs ``wrap_up_usd``, an integration raises
            nothing and lets the agent answer by one last call, without tools; elsewhere it is as
            ``raise``.
        by: who opens it, for the ledger entry when a limit is raised.
        breaker: watch the steps that a hook or a guarded client sees for loops: True for the
            default thresholds, or a configuration as for ``Breaker``. Tasks inside are watched
            with it. False: by none of its own, whatever is configured for its kind.
        fallback: cheaper models of the same provider, the first to be tried at the front. Once a
            call would pass a soft limit, or not fit under a hard one, the first that can take it
            does, and the attempt stays with it. Tasks inside use them too; an empty list switches
            off those of the configuration.
        deadline: when its last call may start: so many seconds after the task was opened for the
            first time, or a ``datetime`` with a time zone. Calls after it, in any attempt and in
            tasks inside, are ``BudgetExceeded``. ``Limit(300, soft=True)`` refuses nothing: calls
            after it are ``over_soft``, and ``status_text()`` says by when it was to be done. A list
            may hold one of each. Waits for an approval do not count.
        wrap_up_usd: put so much by for one last call when the attempt starts, and one call of a
            model, under every limit it falls under. ``reserve(final=True)`` or
            ``outlay.call(final=True)`` takes its place; no call follows it in the attempt. It
            counts as pending until then, and goes back when the attempt ends.
        alerts: at which shares of its limits to tell, as ``[0.5, "80%", "90% for 10m"]``; see
            ``on_alert``.
        retry_usd: the most all attempts after the first may cost together.

    Raises:
        InvalidInput: a name, tag or limit that cannot be.
        BudgetExceeded, Halted: nothing could be put by for the last call.
        Conflict: the id has an open attempt in a running process, or other limits now.
        StoreUnavailable: the ledger could not answer.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", usd=0.50, store="memory:") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000)
        ...     _ = call.settle(outlay.Usage(input_tokens=1000, output_tokens=500))
        ...     print(t.spent, t.available)
        0.0075 USD 0.4925 USD
    """
    if not isinstance(name, str):
        raise InvalidInput(f"task name `{name!r}` is not a text")
    every = read_tags(tags)
    if kind is not None:
        every["kind"] = kind
    options: dict[str, Any] = {
        "id": id,
        "usd": usd,
        "tokens": tokens,
        "llm_calls": llm_calls,
        "tool_calls": tool_calls,
        "tags": every,
        "enforce": enforce,
        "clamp": clamp,
        "wait_ms": wait_ms,
        "on_limit": on_limit,
        "by": by,
        "fallback": read_models(fallback),
        "wrap_up_usd": wrap_up_usd,
        "alerts": read_alerts(alerts),
        "retry_usd": retry_usd,
        **read_deadline(deadline),
    }
    return TaskBlock(name, store, options, breaker)


def current() -> Task | None:
    """The task the calling code runs under, or None."""
    return _current_task.get()


def current_or_default() -> Task:
    """The task the calling code runs under, or the process's default task.

    Raises:
        Unsupported: there is none, and ``unbound="refuse"`` is configured.
    """
    if (found := _current_task.get()) is not None:
        return found
    if _native.unbound_policy() == "refuse":
        from .errors import Unsupported

        raise Unsupported("this call runs under no task; open one with `outlay.task(...)`")
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "outlay: a call runs under no task and is charged to the task `default`, which has no "
            "limit; open one with `outlay.task(...)`",
            RuntimeWarning,
            stacklevel=_callers_level(),
        )
    return Task(_native.ledger(None).default_task())


def _callers_level() -> int:
    """How far above whoever warns the first line stands that is neither ours nor a client's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _package(frame) in _PASSED_THROUGH:
        frame, level = frame.f_back, level + 1
    return level


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _default_outcome(error: BaseException | None) -> tuple[str, str | None]:
    if error is None:
        return ("succeeded", None)
    if isinstance(error, Stopped):
        return ("stopped", error.code)
    # The name of the class only: a message may quote a prompt.
    return ("failed", type(error).__name__)


def _is_behind(verdict: OutlayError, error: BaseException) -> bool:
    """Is `error` somebody else's wrapping of one of our verdicts?"""
    if isinstance(error, OutlayError) or not isinstance(error, Exception):
        return False
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, Stopped):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
