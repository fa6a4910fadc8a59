"""What does a framework's hook know about the call of a model that it is about to let happen?

Invariant: money is held once. A hook that cannot know whether a guarded client lies below it holds
the worst case itself; the first client that asks for a reservation of its own has that given back
before.
"""

from __future__ import annotations

from typing import Any

from ._response import failed, give_back, record


class Frame:
    """One call of a model, as a hook above the clients sees it."""

    __slots__ = ("_above", "_held", "turn")

    def __init__(self, turn: str | None, above: Frame | None = None) -> None:
        self.turn = turn
        self._above = above
        self._held: Any = None

    def hold(self, exchange: Any) -> None:
        """Takes the reservation the hook made, because no client below may make one."""
        exchange.sent()
        self._held = exchange

    def give_back(self) -> None:
        """Ends that reservation, and those of hooks above: what is below reserves for itself."""
        if (held := self._taken()) is not None:
            give_back(held)
        if self._above is not None:
            self._above.give_back()

    def failed(self, error: BaseException) -> None:
        """Ends it without an answer: nobody knows whether one was billed."""
        if (held := self._taken()) is not None:
            failed(held, error)

    def settle(self, usage: Any) -> None:
        """Ends it with what the framework says was used; at its worst case if it does not say."""
        if (held := self._taken()) is None:
            return
        if usage is None:
            record(held.settle_http, 200, "{}")
        else:
            record(held.settle, usage)

    def _taken(self) -> Any:
        held, self._held = self._held, None
        return held
