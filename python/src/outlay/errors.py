"""What went wrong, and what can be done about it?

Four families under ``OutlayError``, one class per kind. ``code`` is stable for ever; what a
program may want to act on stands in attributes, never only in the message.

    >>> import outlay
    >>> with outlay.task("t", usd=0.01, store="memory:") as t:
    ...     try:
    ...         t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000)
    ...     except outlay.BudgetExceeded as error:
    ...         print(error.limit, error.affordable_output_tokens)
    0.01 USD 750
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class OutlayError(Exception):
    """Everything outlay raises."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.fields: dict[str, Any] = dict(fields or {})

    def __getattr__(self, name: str) -> Any:
        # Only reached for what the class does not have: the fields of the error.
        if name != "fields" and name in self.__dict__.get("fields", {}):
            return self.fields[name]
        raise AttributeError(f"{type(self).__name__} has no field `{name}`")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.fields))


class Stopped(OutlayError):
    """A verdict: the run should stop."""


class Misuse(OutlayError):
    """The program should be changed."""


class Unknowable(OutlayError):
    """A price or a bound is missing."""


class Fault(OutlayError):
    """Something below outlay failed."""


class BudgetExceeded(Stopped):
    """A hard limit would be passed; nothing was held.

    Attributes: ``budget`` (whose limit), ``unit``, ``limit``, ``spent``, ``pending``,
    ``requested`` (``Money``, or int for counts), ``affordable_output_tokens``, ``contended``
    (would it fit if nothing were pending?), ``window``, ``resets_at`` (RFC 3339 or None). After a
    deadline ``unit`` is ``deadline``, ``limit`` its time, and the amounts are None.
    """

    code = "budget_exceeded"


class BreakerTripped(Stopped):
    """The loop breaker stopped the run.

    Attributes: ``detector``, ``evidence`` (as of a ``Verdict``).
    """

    code = "breaker_tripped"


class Halted(Stopped):
    """Somebody halted a scope.

    Attributes: ``scope`` (as it was halted: ``all``, ``tenant=acme``, a task), ``by``, ``reason``.
    """

    code = "halted"


class ApprovalRequired(Stopped):
    """A person has to approve before the run may go on.

    Attributes, where a limit is in the way: ``id``, which ``outlay.approve`` takes, and those of
    ``BudgetExceeded``. Where the loop breaker asks: ``detector``, ``evidence``, as of a
    ``Verdict``.
    """

    code = "approval_required"


class InvalidInput(Misuse, ValueError):
    """An argument has no meaning here."""

    code = "invalid_input"


class NotFound(Misuse):
    """What was named does not exist."""

    code = "not_found"


class Conflict(Misuse):
    """It exists already with other content, or somebody else holds it."""

    code = "conflict"


class Unsupported(Misuse):
    """Outlay cannot meter or do this."""

    code = "unsupported"


class Unpriced(Unknowable):
    """The model has no known price."""

    code = "unpriced"


class Unbounded(Unknowable):
    """The worst case of the call cannot be known. Attribute: ``reason``."""

    code = "unbounded"


class StoreUnavailable(Fault):
    """The ledger could not answer."""

    code = "store_unavailable"


class LeaseLost(Fault):
    """The exclusive right ran out."""

    code = "lease_lost"


class Corrupt(Fault):
    """The ledger holds what it cannot hold."""

    code = "corrupt"


_FAMILIES: dict[str, type[OutlayError]] = {
    "stopped": Stopped,
    "misuse": Misuse,
    "unknowable": Unknowable,
    "fault": Fault,
}
_KINDS: dict[str, type[OutlayError]] = {
    kind.code: kind for family in _FAMILIES.values() for kind in family.__subclasses__()
}


def from_native(code: str, message: str, fields: Mapping[str, Any]) -> OutlayError:
    """The exception for an error of the core; an unknown code is an ``OutlayError``."""
    return _KINDS.get(code, OutlayError)(message, fields)
