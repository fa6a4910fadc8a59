"""How does one HTTP attempt of a Stainless-made client (openai, anthropic) get its reservation?

Invariant: an attempt's bytes leave only under a reservation of its own. (`_response` ends it,
exactly once.)

What a request costs and whether it may go out is decided in the core; here is only the order in
which a client's own steps are put round that decision. The modules `openai` and `anthropic` beside
this one say which functions are wrapped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from ..errors import BudgetExceeded
from ..task import current_or_default
from ._billed import Bill


def current_native() -> Any:
    """The core's side of the task this call falls under."""
    task: Any = current_or_default()
    return task._native


def ask(bill: Bill, client: Any, options: Any) -> Ask | None:
    """What the guard has to know about a request, None if it is free; Unsupported if unmetered."""
    api = bill.api(options.method, options.url)
    if api is None:
        return None
    task, body = current_native(), options.json_data
    if api and isinstance(body, Mapping) and not options.files:
        return Ask(
            task, api, {**body, **(options.extra_json or {})}, str(client._prepare_url(options.url))
        )
    task.unmetered(f"{bill.provider} {options.method.upper()} {bill.path(options.url)}")
    return None


class Ask:
    """One request as the guard sees it; reserved for anew at each of its HTTP attempts."""

    __slots__ = ("api", "body", "streaming", "task", "url")

    def __init__(self, task: Any, api: str, body: dict[str, Any], url: str) -> None:
        self.task = task
        self.api = api
        self.body = json.dumps(body, default=_plain, ensure_ascii=False)
        self.url = url
        self.streaming = body.get("stream") is True

    def reserve(self, wait_ms: int | None = None) -> Any:
        """Holds the worst case, waiting on this thread for other holds to end."""
        return self.task.reserve_http(
            self.api, self.body, url=self.url, streaming=self.streaming, wait_ms=wait_ms
        )

    async def reserve_async(self) -> Any:
        """The same for an event loop, which it must not block: what holds the money may need it."""
        import anyio

        until = anyio.current_time() + self.task.wait_ms / 1000
        pause = 0.002
        while True:
            try:
                if not self.task.blocking:
                    return self.reserve(0)
                return await _Reserving(self).done()
            except BudgetExceeded as refused:
                if not refused.contended or anyio.current_time() >= until:
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, 0.1)

    async def end(self, act: Callable[[], None] | None) -> None:
        """Runs what ends an attempt, in a thread if the store can block, even if cancelled."""
        if act is None:
            return
        if not self.task.blocking:
            act()
            return
        try:
            await _in_thread(act)
        except BaseException as error:
            # Cancelled, perhaps before a thread was free. Ending twice in one way is ending once.
            if not isinstance(error, Exception):
                act()
            raise


class _Reserving:
    """A reservation being made in a thread, given back if by then nobody waits for it."""

    __slots__ = ("ask", "call", "unwanted")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.call: Any = None
        self.unwanted = False

    async def done(self) -> Any:
        try:
            await _in_thread(self._make)
        except BaseException:
            self.unwanted = True
            self._give_back()
            raise
        return self._taken()

    def _make(self) -> None:
        self.call = self.ask.reserve(0)
        if self.unwanted:
            self._give_back()

    def _give_back(self) -> None:
        if (call := self._taken()) is not None:
            call.fail("not_sent")

    def _taken(self) -> Any:
        # An idle thread may keep its last piece of work, and so this object, for long.
        call, self.call = self.call, None
        return call


@cache
def _limiter() -> Any:
    from anyio.lowlevel import RunVar

    return cast("Any", RunVar("outlay_threads"))


async def _in_thread(act: Callable[[], None]) -> None:
    """Runs `act` in a thread of our own: the shared ones may all be waiting for what it records."""
    from anyio import CapacityLimiter, to_thread

    threads = _limiter().get(None)
    if threads is None:
        threads = CapacityLimiter(8)
        _limiter().set(threads)
    await to_thread.run_sync(act, limiter=threads)


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
