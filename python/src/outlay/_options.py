"""What does an option mean, whose type the core cannot tell?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from ._native import Limit
from .errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CENTURY_S = 100 * 366 * 86_400
_SOFT = "soft_deadline_ms"


def read_deadline(deadline: Any) -> dict[str, int]:
    """When the last call may start, or is late, as the core takes it; nothing if at any time."""
    if deadline is None:
        return {}
    several = isinstance(deadline, (list, tuple))
    each = cast("Sequence[Any]", deadline) if several else [deadline]
    found = [_deadline(one) for one in each]
    if len({name == _SOFT for name, _ in found}) < len(found):
        raise InvalidInput(f"deadline `{deadline!r}` is not one hard and one soft one")
    return dict(found)


def _deadline(given: Any) -> tuple[str, int]:
    name, seconds = "deadline_ms", given
    if isinstance(given, datetime):
        if given.utcoffset() is None:
            raise InvalidInput(f"deadline `{given}` has no time zone")
        return "deadline_at_ms", (given - _EPOCH) // timedelta(milliseconds=1)
    if isinstance(given, Limit) and given.window == "life":
        name = _SOFT if given.soft else name
        with contextlib.suppress(ValueError):
            seconds = float(given.amount)
    # A hundred years: of what is no number, the comparison is false too.
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds <= _CENTURY_S:
        raise InvalidInput(f"deadline `{given!r}` is neither seconds nor a datetime")
    return name, int(seconds * 1000)


def read_alerts(alerts: Sequence[Any] | None) -> list[Any] | None:
    """The shares of a limit to be told of, of which there may be none."""
    if alerts is None:
        return None
    if isinstance(alerts, (str, bytes)) or not isinstance(alerts, Sequence):
        raise InvalidInput(f"alerts `{alerts!r}` is not a list of shares")
    return list(alerts)


def read_shares(tell_budget: bool | Iterable[int]) -> tuple[int, ...]:
    """At how many per cent of a limit a model is told what is left; none if never."""
    if isinstance(tell_budget, bool):
        return (25, 50, 75, 90) if tell_budget else ()
    shares = tuple(tell_budget)
    if not all(isinstance(share, int) and 0 < share <= 100 for share in shares):
        raise InvalidInput(f"tell_budget `{tell_budget!r}` is not per cents from 1 to 100")
    return shares


def read_models(fallback: Sequence[str] | None) -> list[str] | None:
    """The models to fall back to, of which there may be none."""
    if fallback is None:
        return None
    if isinstance(fallback, str) or not all(isinstance(model, str) for model in fallback):
        raise InvalidInput(f"fallback `{fallback!r}` is not a list of models")
    return list(fallback)


def read_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of `tags`, of which there may be none; the core looks at what is in it."""
    given: object = tags
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput(f"tags `{tags!r}` are not texts by texts")
    return dict(tags or {})
