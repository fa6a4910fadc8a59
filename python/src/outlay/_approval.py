"""Who may have more? What a task asks for when a limit is in its way, and how long it waits.

A task opened with ``on_limit="ask"`` raises ``ApprovalRequired`` with an ``id``. Nothing is held
meanwhile, and any process on the ledger can approve: ``outlay approve ID --add 0.50``.
"""

from __future__ import annotations

import time
from decimal import Decimal

from . import _native
from ._process import ledger

_LOOK_S = 0.2


def approve(
    id: str,
    *,
    add: int | float | str | Decimal | _native.Money,
    by: str,
    key: str | None = None,
    store: str | None = None,
) -> None:
    """Gives a task what it asks for: raises the limit that is in its way, for good.

    Approving it again with the same amount changes nothing.

    Args:
        id: the ``id`` of ``ApprovalRequired``.
        add: by how much: USD, tokens or calls, whatever the limit is of.
        by: who approves; a claim, unless ``approvers`` are configured.
        key: their private Ed25519 key in PEM, if they are.

    Raises:
        NotFound: no such request.
        InvalidInput: an amount that raises nothing; no approver, or not their key.
        Conflict: it was approved with another amount.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", usd=0.01, on_limit="ask", store="memory:") as t:
        ...     call = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}
        ...     try:
        ...         t.reserve(**call)
        ...     except outlay.ApprovalRequired as required:
        ...         outlay.approve(required.id, add=0.50, by="maria")
        ...     t.reserve(**call).reserved
        Money('0.0425')
    """
    ledger(store).approve(id, add=add, by=by, key=key)


def wait_approval(id: str, timeout: float | None = None, *, store: str | None = None) -> bool:
    """Waits until somebody approves what a task asks for.

    Args:
        id: the ``id`` of ``ApprovalRequired``.
        timeout: in seconds; None waits for ever.

    Returns:
        Was it approved? False when the time is over.

    Raises:
        Halted: the task was halted meanwhile.
        NotFound: no such request.
    """
    place, until = ledger(store), _deadline(timeout)
    while not place.is_approved(id):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_S)
    return True


async def await_approval(
    id: str, timeout: float | None = None, *, store: str | None = None
) -> bool:
    """The same on an event loop, which goes on meanwhile."""
    # Costs more than all else that `import outlay` does, and who waits so has it.
    import asyncio

    place, until = ledger(store), _deadline(timeout)
    while not await asyncio.to_thread(place.is_approved, id):
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout
