"""How does an event loop wait for a ledger in a file?

Invariant: what ends a call is run, cancelled or not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


async def run(act: Callable[[], _T]) -> _T:
    """Runs `act` in a thread of our own: the shared ones may all be waiting for what it records."""
    from anyio import CapacityLimiter, to_thread

    threads = _limiter().get(None)
    if threads is None:
        threads = CapacityLimiter(8)
        _limiter().set(threads)
    return await to_thread.run_sync(act, limiter=threads)


async def surely(act: Callable[[], None], blocking: bool) -> None:
    """Runs `act`, which ends a call, in a thread if it can block."""
    if not blocking:
        act()
        return
    try:
        await run(act)
    except BaseException as error:
        # Cancelled, perhaps before a thread was free. Ending twice in one way is ending once.
        if not isinstance(error, Exception):
            act()
        raise


@cache
def _limiter() -> Any:
    from anyio.lowlevel import RunVar

    return cast("Any", RunVar("outlay_threads"))
