"""When does an agent hear what is left of its budget, and where does it stand?

At given shares of the limit that is the most used up, once each, in a message after the last one.
It is in that one request only, not in the agent's state: the next request begins as if it had
never been, so what a provider has cached of the conversation stays good.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage

from .._context import current_task


def told(request: Any, shares: tuple[int, ...]) -> Any:
    """The request, with what is left at its end if another share is used up."""
    task = current_task.get()
    if not shares or task is None:
        return request
    text, used = task._native.status()
    reached = max((share for share in shares if used is not None and share <= used), default=0)
    if reached <= task._told_percent:
        return request
    task._told_percent = reached
    message = HumanMessage(f"[Budget: {text}. Plan the rest of the work within what is left.]")
    return request.override(messages=[*request.messages, message])
