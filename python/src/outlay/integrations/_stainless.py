"""How does one HTTP attempt of a guarded client get its reservation?

Invariant: an attempt's bytes leave only under a reservation of its own. (`_response` ends it,
exactly once.)

What a request costs and whether it may go out is decided in the core; here is only the order in
which a client's own steps are put round that decision. `Ask` is for all clients, `ask` and `chosen`
for those that Stainless makes (openai, anthropic); the modules of their names beside this one say
which functions are wrapped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from .._context import current_frame, current_options, current_task
from ..errors import OutlayError
from ..task import current_or_default
from . import _threads as threads
from ._billed import Bill
from ._response import give_back

_T = TypeVar("_T")

# At how many per cent of a limit models are told what is left, where no hook above does.
tell_budget: tuple[int, ...] = ()


def current_native() -> Any:
    """The core's side of the task this call falls under."""
    return current_or_default()._native


def ask(bill: Bill, options: Any, host: str) -> Ask | None:
    """What the guard has to know about a request to a host, None if it is free.

    Raises:
        Unsupported: it is billed and cannot be metered, under a hard limit on money.
        Unbounded, Unpriced, InvalidInput: its worst case cannot be known.
    """
    api = bill.api(options.method, options.url)
    if api is None:
        return None
    body = options.json_data
    if api and isinstance(body, Mapping) and not options.files:
        return Ask(api, {**body, **(options.extra_json or {})}, host)
    current_native().unmetered(f"{bill.provider} {options.method.upper()} {bill.path(options.url)}")
    return None


async def off_loop(make: Callable[[], _T]) -> _T:
    """What `make` makes of a request, in a thread if that can wait for a file.

    It can where a breaker watches, which reads what was spent and records what it says, and where
    the model is told what is left.
    """
    task = current_task.get()
    if task is None or not task._native.blocking:
        return make()
    waits = task.breaker is not None or tell_budget
    return await threads.run(make) if waits else make()


class Ask:
    """One request as the guard sees it; reserved for anew at each of its HTTP attempts."""

    __slots__ = ("_asked", "_trace", "blocking", "frame", "outgoing")

    def __init__(
        self, api: str, body: dict[str, Any], host: str | None = None, own_model: bool = False
    ) -> None:
        self.frame = current_frame.get()
        says = current_options.get()
        text = json.dumps(body, default=_plain, ensure_ascii=False)
        task = current_or_default()
        self._trace = task._trace
        self._asked = (api, host, body.get("model"))
        try:
            if task._watch is not None:
                task._watch.go_on()
            self.outgoing: Any = task._native.outgoing(
                api,
                text,
                host=host,
                max_usd=says.max_usd,
                max_input_tokens=says.max_input_tokens,
                turn=says.turn or (self.frame and self.frame.turn),
                # A hook above sees the tools themselves, and tells the breaker.
                watched=self.frame is not None,
                # Nobody here can have another model asked.
                keeps_model=own_model,
                tell_budget=() if self.frame is not None else tell_budget,
                final=says.final,
            )
        except OutlayError as error:
            self._refused(error)
            raise
        self.blocking: bool = self.outgoing.blocking

    def reserve(self) -> Any:
        """Holds the worst case, waiting on this thread for other holds to end."""
        self._take_over()
        try:
            return self._started(self.outgoing.reserve())
        except OutlayError as error:
            self._refused(error)
            raise

    async def reserve_async(self) -> Any:
        """The same for an event loop, which it must not block: what holds the money may need it."""
        import anyio

        self._take_over()
        until = anyio.current_time() + self.outgoing.wait_ms / 1000
        pause = 0.002
        while anyio.current_time() < until:
            if (call := await self._try(self.outgoing.poll)) is not None:
                return call
            await anyio.sleep(pause)
            pause = min(2 * pause, 0.1)
        return await self._try(partial(self.outgoing.reserve, 0))

    async def _try(self, reserve: Callable[[], Any]) -> Any:
        try:
            call = await _Reserving(reserve).done() if self.blocking else reserve()
        except OutlayError as error:
            self._refused(error)
            raise
        return self._started(call)

    def _started(self, call: Any) -> Any:
        if self._trace is not None and call is not None:
            self._trace.started(call)
        return call

    def _refused(self, error: OutlayError) -> None:
        if self._trace is not None:
            self._trace.refused_request(*self._asked, error)

    def _take_over(self) -> None:
        # What a hook above holds for this very call, because it could not know of us.
        if self.frame is not None:
            self.frame.give_back()

    async def end(self, act: Callable[[], None] | None) -> None:
        """Runs what ends an attempt, even if cancelled."""
        if act is not None:
            await threads.surely(act, self.blocking)


class _Reserving:
    """A reservation being made in a thread, given back if by then nobody waits for it."""

    __slots__ = ("call", "reserve", "unwanted")

    def __init__(self, reserve: Callable[[], Any]) -> None:
        self.reserve = reserve
        self.call: Any = None
        self.unwanted = False

    async def done(self) -> Any:
        try:
            await threads.run(self._make)
        except BaseException:
            self.unwanted = True
            self._give_back()
            raise
        return self._taken()

    def _make(self) -> None:
        self.call = self.reserve()
        if self.unwanted:
            self._give_back()

    def _give_back(self) -> None:
        if (call := self._taken()) is not None:
            give_back(call)

    def _taken(self) -> Any:
        # An idle thread may keep its last piece of work, and so this object, for long.
        call, self.call = self.call, None
        return call


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ in ("NotGiven", "Omit"):  # the SDK leaves these out of what it sends
        return None
    raise TypeError(f"`{type(value).__name__}` in a request body is not JSON")


def chosen(options: Any, call: Any) -> Any:
    """The request with what the guard chose: its maximum output, model, stream options."""
    patch = call.body_patch
    if patch:
        options = options.model_copy()
        options.json_data = {**(options.json_data or {}), **(options.extra_json or {}), **patch}
        options.extra_json = None
    return options
