"""When does an agent hear what is left of its budget, and where does it stand?

At given shares of the limit that is the most used up, once each, in a message after the last one.
It is in that one request only, not in the agent's state: the next request begins as if it had
never been, so what a provider has cached of the conversation stays good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from .._context import current_task
from ..errors import StoreUnavailable

if TYPE_CHECKING:
    from ..task import Task


def told(request: Any, shares: tuple[int, ...]) -> Any:
    """The request, with what is left at its end if another share is used up."""
    task = current_task.get()
    if not shares or task is None:
        return request
    text, used = standing(task)
    reached = max((share for share in shares if used is not None and share <= used), default=0)
    if reached <= task._told_percent:
        return request
    task._told_percent = reached
    message = HumanMessage(f"[Budget: {text}. Plan the rest of the work within what is left.]")
    return request.override(messages=[*request.messages, message])


def standing(task: Task) -> tuple[str, int | None]:
    """How a task stands; nothing where the ledger cannot say.

    Whether the call may go on without it is for its reservation to say.
    """
    try:
        return task._native.status()
    except StoreUnavailable:
        return "", None
