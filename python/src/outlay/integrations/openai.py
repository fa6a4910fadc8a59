"""Where does the openai package (2.x and 3.x) spend money, and where is it stopped before it does?

Every HTTP request of every resource passes `SyncAPIClient.request` or `AsyncAPIClient.request`,
which repeats it by the client's own policy. Invariant: each repetition is reserved for anew,
because `_sleep_for_retry` runs before each of them, and an exception raised there, as in `request`
itself, reaches the caller as it is.

Not covered: requests sent with an HTTP client of the caller's own, past the openai package.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from typing import Any

from .._patches import Patches
from . import _openai_sockets as sockets
from . import _stainless as http
from ._billed import OPENAI
from ._response import arrived, failed


class _Flight:
    """One call of `request`, from its first attempt to its last."""

    __slots__ = ("ask", "call", "sent")

    def __init__(self, ask: http.Ask) -> None:
        self.ask = ask
        self.call: Any = None
        self.sent = False

    def hold(self, call: Any) -> None:
        self.call, self.sent = call, False

    def ended(self) -> Any:
        """The open call, handed over to whoever ends it."""
        call, self.call = self.call, None
        return call

    def missed(
        self, error: BaseException | None, response: Any = None
    ) -> Callable[[], None] | None:
        """What ends the attempt that just failed; None if it has ended."""
        call = self.ended()
        if call is None:
            return None
        if response is not None:
            return arrived(call, response)
        return functools.partial(failed, call, error or ConnectionError(), self.sent)

    def end(self, act: Callable[[], None] | None) -> None:
        if act is not None:
            act()


_flight: ContextVar[_Flight | None] = ContextVar("outlay_openai_request", default=None)
_patches = Patches()


def _begin(client: Any, options: Any) -> _Flight | None:
    ask = http.ask(OPENAI, options, client.base_url.host) if _patches.on else None
    return _Flight(ask) if ask is not None else None


def _request(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def request(self: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        flight = _begin(self, options)
        token = _flight.set(flight)
        try:
            if flight is not None:
                flight.hold(flight.ask.reserve())
            return _uncycled(original(self, cast_to, options, **kwargs))
        except BaseException as error:
            if flight is not None:
                flight.end(flight.missed(error))
            raise
        finally:
            _flight.reset(token)

    return request


def _request_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def request(self: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        flight = await http.off_loop(functools.partial(_begin, self, options))
        token = _flight.set(flight)
        try:
            if flight is not None:
                flight.hold(await flight.ask.reserve_async())
            return _uncycled(await original(self, cast_to, options, **kwargs))
        except BaseException as error:
            if flight is not None:
                flight.end(flight.missed(error))
            raise
        finally:
            _flight.reset(token)

    return request


def _uncycled(result: Any) -> Any:
    """The result; if a stream, without its reference to itself, so that dropping it closes it."""
    if "_iterator" in getattr(result, "__dict__", {}) and hasattr(result, "__stream__"):
        twin = copy(result)
        del twin._iterator
        result._iterator = twin.__stream__()
    return result


def _build_request(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _build_request(self: Any, options: Any, **kwargs: Any) -> Any:
        flight = _flight.get()
        if flight is None or flight.call is None:
            return original(self, options, **kwargs)
        request = original(self, http.chosen(options, flight.call), **kwargs)
        flight.call.sent()
        flight.sent = True
        return request

    return _build_request


def _sleep(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _sleep_for_retry(self: Any, **kwargs: Any) -> None:
        flight = _flight.get()
        if flight is None:
            original(self, **kwargs)
            return
        flight.end(flight.missed(sys.exc_info()[1], kwargs.get("response")))
        original(self, **kwargs)
        flight.hold(flight.ask.reserve())

    return _sleep_for_retry


def _sleep_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _sleep_for_retry(self: Any, **kwargs: Any) -> None:
        flight = _flight.get()
        if flight is None:
            await original(self, **kwargs)
            return
        await flight.ask.end(flight.missed(sys.exc_info()[1], kwargs.get("response")))
        await original(self, **kwargs)
        flight.hold(await flight.ask.reserve_async())

    return _sleep_for_retry


def _process(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _process_response(self: Any, **kwargs: Any) -> Any:
        flight = _flight.get()
        if flight is not None and flight.call is not None:
            flight.end(arrived(flight.ended(), kwargs["response"]))
        return original(self, **kwargs)

    return _process_response


def _process_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _process_response(self: Any, **kwargs: Any) -> Any:
        flight = _flight.get()
        if flight is not None and flight.call is not None:
            await flight.ask.end(arrived(flight.ended(), kwargs["response"]))
        return await original(self, **kwargs)

    return _process_response


def instrument() -> None:
    """Puts every client of the installed openai package under the current task's budgets.

    Clients made earlier are included. Calling it again changes nothing.

    Raises:
        ImportError: the openai package is not installed.

    Example:
        >>> import openai, outlay.testing, outlay.integrations.openai as guard
        >>> guard.instrument()
        >>> messages = [{"role": "user", "content": "May I have my money back?"}]
        >>> with outlay.testing.Provider() as provider:
        ...     client = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        ...     with outlay.task("refund", usd=0.50, store="memory:") as task:
        ...         answer = client.chat.completions.create(model="gpt-4o", messages=messages)
        ...     task.spent.nanos == provider.bill().cost_nanos
        True
        >>> guard.uninstrument()
    """
    from openai._base_client import AsyncAPIClient, BaseClient, SyncAPIClient

    _patches.apply(
        [
            (SyncAPIClient, "request", _request),
            (AsyncAPIClient, "request", _request_async),
            (SyncAPIClient, "_sleep_for_retry", _sleep),
            (AsyncAPIClient, "_sleep_for_retry", _sleep_async),
            (SyncAPIClient, "_process_response", _process),
            (AsyncAPIClient, "_process_response", _process_async),
            (BaseClient, "_build_request", _build_request),
            *sockets.places(_patches),
        ]
    )


def uninstrument() -> None:
    """Undoes `instrument`. Calls already in flight are still settled."""
    _patches.restore()
