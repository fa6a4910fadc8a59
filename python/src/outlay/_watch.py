"""What follows from a verdict of the breaker over a task?

A nudge goes to the model with the answer of its tool, a refusal in place of it. A pause and a stop
are raised, and again by every later step of the task, until a person lets it go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ._native import Breaker, Verdict
from .errors import ApprovalRequired, BreakerTripped, OutlayError


class Watch:
    """A breaker over a task and the agents inside it; `enforce=False` only looks on."""

    def __init__(self, config: Mapping[str, Any] | bool, enforce: bool) -> None:
        given: Any = dict(config) if isinstance(config, Mapping) else config
        self.breaker = Breaker(None if given is True else given)
        self.tripped: OutlayError | None = None
        self._enforce = enforce

    def ask(self, call: dict[str, Any]) -> str | None:
        """What to answer instead of making this call of a tool, if it is refused."""
        self.go_on()
        call = {"kind": "tool", "at_ms": _now_ms(), **call}
        if not self._enforce or self.breaker.check(call).level == "ok":
            return None
        return self._follow(self.breaker.observe({**call, "refused": True}))

    def tell(self, step: dict[str, Any]) -> str | None:
        """What to tell the model about what has just happened."""
        return self._follow(self.breaker.observe({"at_ms": _now_ms(), **step}))

    def go_on(self) -> None:
        """Raises what stopped the task, if a hook, a client or a stream did."""
        if self.tripped is not None:
            raise self.tripped
        self.breaker._go_on()

    def excuse(self) -> None:
        """A person lets the task go on."""
        self.breaker.excuse()
        self.tripped = None

    def _follow(self, verdict: Verdict) -> str | None:
        if not self._enforce or verdict.level == "ok":
            return None
        if verdict.level in ("pause", "stop"):
            kind = BreakerTripped if verdict.level == "stop" else ApprovalRequired
            fields: dict[str, Any] = {"detector": verdict.detector, "evidence": verdict.evidence}
            self.tripped = kind(verdict.message, fields)
            raise self.tripped
        return verdict.message


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
