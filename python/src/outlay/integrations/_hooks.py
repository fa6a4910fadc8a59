"""How does one hook serve a thread and an event loop alike?

It is written once, as a generator that yields what may wait: an act on the ledger, an attempt to
reserve, the framework's own handler. `run` does these at once; `run_async` awaits the handler, and
does the rest in a thread of ours where the ledger is a file, so that the loop never waits for it.

Invariant: what ends a call is done, cancelled or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from .._context import current_task
from . import _threads as threads
from ._stainless import Ask

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that may wait for the ledger; what ends a call is done even if cancelled."""

    act: Callable[[], Any]
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Reserve:
    """A reservation for one call."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Handle:
    """The handler of the framework is to be called with this."""

    request: Any


Step: TypeAlias = Act | Reserve | Handle
Steps: TypeAlias = Generator[Step, Any, _T]


def run(steps: Steps[_T], handler: Callable[[Any], Any]) -> _T:
    """Takes all steps on this thread."""

    def take(step: Step) -> Any:
        if isinstance(step, Handle):
            return handler(step.request)
        return step.ask.reserve() if isinstance(step, Reserve) else step.act()

    thrown: BaseException | None = None
    try:
        step = next(steps)
        while True:
            try:
                taken = take(step)
            except BaseException as error:
                thrown = error
                step = steps.throw(error)
            else:
                step = steps.send(taken)
    except StopIteration as end:
        value: _T = end.value
        return value
    except RuntimeError as error:
        # What a generator makes of a handler's `StopIteration`.
        if isinstance(thrown, StopIteration) and error.__cause__ is thrown:
            raise thrown from None
        raise
    finally:
        del thrown


async def run_async(steps: Steps[_T], handler: Callable[[Any], Awaitable[Any]]) -> _T:
    """Takes all steps for an event loop."""
    try:
        step = next(steps)
        while True:
            try:
                taken = await _taken(step, handler)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(taken)
    except StopIteration as end:
        value: _T = end.value
        return value


async def _taken(step: Step, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    if isinstance(step, Handle):
        return await handler(step.request)
    if isinstance(step, Reserve):
        return await step.ask.reserve_async()
    task = current_task.get()
    blocking = task is None or task._native.blocking
    if step.ends:
        return await threads.surely(step.act, blocking)
    return await threads.run(step.act) if blocking else step.act()
