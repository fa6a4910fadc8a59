"""Where does the anthropic package spend money, and where is it stopped before it does?

`_attempt_request` sends one HTTP attempt, below the client's retry loop and below the caller's own
middleware, before Bedrock and Vertex rewrite and sign the request. Invariant: an exception raised
there is neither retried nor wrapped.

Not covered: the event streams of Bedrock are not server-sent events; such a call is settled at its
worst case.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._patches import Patches
from . import _stainless as http
from ._billed import ANTHROPIC
from ._response import arrived, failed

_patches = Patches()


def _begin(client: Any, options: Any) -> http.Ask | None:
    return http.ask(ANTHROPIC, options, client.base_url.host) if _patches.on else None


def _attempt(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _attempt_request(self: Any, options: Any, **kwargs: Any) -> Any:
        ask = _begin(self, options)
        if ask is None:
            return original(self, options, **kwargs)
        call = ask.reserve()
        try:
            call.sent()
            response, prepared = original(self, http.chosen(options, call), **kwargs)
        except BaseException as error:
            failed(call, error, _was_sent(error))
            raise
        if (settle := arrived(call, response)) is not None:
            settle()
        return response, prepared

    return _attempt_request


def _attempt_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _attempt_request(self: Any, options: Any, **kwargs: Any) -> Any:
        ask = await http.off_loop(functools.partial(_begin, self, options))
        if ask is None:
            return await original(self, options, **kwargs)
        call = await ask.reserve_async()
        try:
            call.sent()
            response, prepared = await original(self, http.chosen(options, call), **kwargs)
        except BaseException as error:
            failed(call, error, _was_sent(error))
            raise
        await ask.end(arrived(call, response))
        return response, prepared

    return _attempt_request


def _was_sent(error: BaseException) -> bool:
    """Whether the request may have left: every error of sending, and no other, has this type."""
    from anthropic import APIConnectionError

    return not isinstance(error, Exception) or isinstance(error, APIConnectionError)


def instrument() -> None:
    """Puts every client of the installed anthropic package under the current task's budgets.

    Clients made earlier are included. Calling it again changes nothing.

    Raises:
        ImportError: the anthropic package is not installed.

    Example:
        >>> import anthropic, outlay.testing, outlay.integrations.anthropic as guard
        >>> guard.instrument()
        >>> asked = {"role": "user", "content": "May I have my money back?"}
        >>> model = "claude-sonnet-4-5"
        >>> with outlay.testing.Provider() as provider:
        ...     client = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any")
        ...     with outlay.task("refund", usd=0.50, store="memory:") as task:
        ...         answer = client.messages.create(model=model, max_tokens=99, messages=[asked])
        ...     task.spent.nanos == provider.bill().cost_nanos
        True
        >>> guard.uninstrument()
    """
    from anthropic._base_client import AsyncAPIClient, SyncAPIClient

    _patches.apply(
        [
            (SyncAPIClient, "_attempt_request", _attempt),
            (AsyncAPIClient, "_attempt_request", _attempt_async),
        ]
    )


def uninstrument() -> None:
    """Undoes `instrument`. Calls already in flight are still settled."""
    _patches.restore()
