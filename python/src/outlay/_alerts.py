"""Who is told that a share of a limit is spent?

Whoever asks by ``on_alert``; and without asking, the logger ``outlay`` and the user's own
OpenTelemetry. Callbacks run on the thread whose call passed the threshold, after it was recorded.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native
from ._process import ledger
from .errors import InvalidInput

_logger = logging.getLogger("outlay")
# Few values each: what a metric is counted by.
_METRIC_KEYS = ("outlay.budget", "outlay.unit", "outlay.threshold")
_F = TypeVar("_F", bound=Callable[[_native.Alert], object])


def on_alert(callback: _F, *, name: str = "callback") -> _F:
    """Hands each alert of every ledger of this process to `callback`, once it is recorded.

    An alert is recorded once per threshold and window over all processes, and delivered to each
    name at least once: by the process that recorded it, or if that died before `callback` returned,
    by the next one that has a callback of this name. ``alert.id`` tells one that comes twice. An
    exception of `callback` is logged, and the alert is delivered.

    Args:
        callback: takes the ``Alert``. Another one under the same name takes its place.
        name: what is noted of each alert that was delivered; at most 15 names.

    Returns:
        `callback`, so that this may be a decorator.

    Raises:
        InvalidInput: no function, a name that cannot be, or too many.

    Example:
        >>> import outlay
        >>> told = []
        >>> _ = outlay.on_alert(told.append, name="docs")
        >>> outlay.budget(tool_calls=4, store="memory:alerts")
        >>> with outlay.task("search", store="memory:alerts") as t:
        ...     t.tool_call("web")
        ...     t.tool_call("web")
        >>> print(told[-1])
        the budget over all tasks has spent 2 of 4 tool calls, 50% of the limit
    """
    if not callable(callback):
        raise InvalidInput(f"callback `{callback!r}` is not a function")

    def hand(alert: _native.Alert) -> None:
        try:
            callback(alert)
        except Exception:
            _logger.exception("the callback `%s` failed with alert %s", name, alert.id)

    _native.on_alert(name, hand)
    return callback


def alerts(*, since: str | None = None, store: str | None = None) -> list[_native.Alert]:
    """The alerts recorded in the ledger, by whatever process, oldest first.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.
        store: the ledger; see ``task``.

    Raises:
        InvalidInput: a time that cannot be.
        StoreUnavailable: the ledger could not answer.

    Example:
        >>> import outlay
        >>> with outlay.task("t", tool_calls=2, alerts=[0.5], store="memory:told") as t:
        ...     t.tool_call("web")
        >>> outlay.alerts(store="memory:told")
        [<Alert 50% of tool_calls of task `t`>]
    """
    return _native.alerts(ledger(store), since)


def _tell(alert: _native.Alert) -> None:
    """Tells the log and, where the program uses it, OpenTelemetry."""
    _logger.warning("%s", alert, extra={"outlay_alert_id": alert.id})
    try:
        _tell_open_telemetry(alert)
    except Exception:
        _logger.exception("OpenTelemetry could not be told of alert %s", alert.id)


def _tell_open_telemetry(alert: _native.Alert) -> None:
    # What nobody imported nobody has set up.
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event("outlay.alert", _attributes(alert))
    metrics: Any = sys.modules.get("opentelemetry.metrics")
    if metrics is not None:
        counter = metrics.get_meter("outlay").create_counter(
            "outlay.alerts", unit="{alert}", description="Shares of limits that were spent."
        )
        told = _attributes(alert)
        counter.add(1, {key: told[key] for key in _METRIC_KEYS})


def _attributes(alert: _native.Alert) -> dict[str, str]:
    return {
        "outlay.alert.id": alert.id,
        "outlay.budget": alert.budget,
        "outlay.unit": alert.unit,
        "outlay.threshold": alert.threshold,
        "outlay.window": alert.window,
        "outlay.limit": _plain(alert.limit),
        "outlay.spent": _plain(alert.spent),
        "outlay.task.name": alert.task,
    }


def _plain(amount: _native.Money | int) -> str:
    return str(amount.usd if isinstance(amount, _native.Money) else amount)


_native.on_alert("log", _tell)
