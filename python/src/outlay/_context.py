"""Which task does this line of code run under, in whatever thread it runs?

A context variable holds it. asyncio carries context variables into tasks, callbacks and `to_thread`
by itself; threads and thread pools do not, so `carry()` makes `Thread.start` and
`ThreadPoolExecutor.submit` take ours along.

Invariant: a pool's thread holds nothing between two pieces of work, whoever caused it to be
started.

Only Outlay's own variables are carried: what other libraries keep in theirs (spans, decimal
contexts, requests) stays where they left it. Threads of `multiprocessing.pool.ThreadPool` keep the
task they were started under.

    with outlay.task("refund", usd=0.50):
        threading.Thread(target=work).start()   # `work` spends from the same 0.50
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from ._patches import Patches

if TYPE_CHECKING:
    from .task import Task


class CallOptions(NamedTuple):
    """What `outlay.call(...)` says about each call inside it."""

    max_usd: Any = None
    max_input_tokens: int | None = None
    final: bool = False
    turn: str | None = None


_NO_OPTIONS = CallOptions()

#: The innermost open task, or None outside every `with outlay.task(...)`.
current_task: ContextVar[Task | None] = ContextVar("outlay_task", default=None)
#: What an outer hook (framework middleware) knows about the model call being made below it.
current_frame: ContextVar[Any] = ContextVar("outlay_frame", default=None)
#: What holds for each call made here.
current_options: ContextVar[CallOptions] = ContextVar("outlay_options", default=_NO_OPTIONS)

_Held = tuple[Any, Any, CallOptions]
_NOTHING: _Held = (None, None, _NO_OPTIONS)


class _Carried:
    """Runs a callable under what was held where it was made, and leaves its thread as it was."""

    __slots__ = ("held", "run")

    def __init__(self, run: Callable[..., Any], held: _Held) -> None:
        self.run = run
        self.held = held

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        task, frame, options = self.held
        task_token = current_task.set(task)
        frame_token = current_frame.set(frame)
        options_token = current_options.set(options)
        try:
            return self.run(*args, **kwargs)
        finally:
            current_options.reset(options_token)
            current_frame.reset(frame_token)
            current_task.reset(task_token)


def _held() -> _Held:
    return current_task.get(), current_frame.get(), current_options.get()


def _carrying_start(
    original: Callable[[threading.Thread], None],
) -> Callable[[threading.Thread], None]:
    from concurrent.futures import thread as pool

    worker = vars(pool)["_worker"]

    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        # A pool's worker outlives the work that started it: it must not keep that work's task, not
        # even where Python itself hands threads a copy of the context (3.14 with
        # thread_inherit_context).
        held = _NOTHING if getattr(self, "_target", None) is worker else _held()
        inherits = getattr(sys.flags, "thread_inherit_context", 0)
        if not _patches.on or (held == _NOTHING and not inherits):
            return original(self)
        own = self.run

        def run() -> None:
            vars(self).pop("run", None)
            _Carried(own, held)()

        vars(self)["run"] = run
        try:
            return original(self)
        except RuntimeError:  # started before, or no thread to be had
            vars(self).pop("run", None)
            raise

    return start


def _carrying_submit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        held = _held()
        # Work for another interpreter is pickled, and a task cannot go there.
        if not _patches.on or held == _NOTHING or type(self).__name__ == "InterpreterPoolExecutor":
            return original(self, fn, *args, **kwargs)
        return original(self, _Carried(fn, held), *args, **kwargs)

    return submit


_patches = Patches()


def carry() -> None:
    """Makes threads and thread pools take the current task along; once is enough."""
    from concurrent.futures import ThreadPoolExecutor

    _patches.apply(
        [
            (threading.Thread, "start", _carrying_start),
            (ThreadPoolExecutor, "submit", _carrying_submit),
        ]
    )


def uncarry() -> None:
    """Undoes `carry`. Threads already running keep their task."""
    _patches.restore()
