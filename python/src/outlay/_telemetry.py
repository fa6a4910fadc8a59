"""What do the user's own OpenTelemetry traces and metrics say of tasks and calls?

Nothing, until `telemetry()` asks for it: then a span per attempt of a task, per call of a model and
per call of a tool, by the GenAI conventions, with what was held and spent beside them.

Invariant: what goes wrong there is logged, and spoils no call. No span or measurement has a prompt,
an answer or a key; a metric has only attributes of few values.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .errors import InvalidInput, Unsupported

if TYPE_CHECKING:
    from ._spans import TaskTrace, Telemetry
    from .task import Task

_MODES = ("spans", "attributes", "off")
_logger = logging.getLogger("outlay")
_logged: set[tuple[str, str]] = set()
_F = TypeVar("_F", bound=Callable[..., Any])

_active: Telemetry | None = None


def telemetry(
    *, mode: str = "spans", tracer_provider: Any = None, meter_provider: Any = None
) -> None:
    """Tells the OpenTelemetry of the program what tasks opened from now on do and spend.

    Each attempt of a task becomes a span ``invoke_agent``, each call of a model a span ``chat`` and
    each call of a tool a span ``execute_tool``, with ``outlay.cost.usd`` and its like beside the
    attributes of the GenAI conventions; the metrics are ``gen_ai.client.token.usage``,
    ``gen_ai.client.operation.duration``, ``outlay.cost`` and ``outlay.refusals``. No prompts and no
    answers. docs/telemetry.md has all of them.

    Args:
        mode: ``spans``; ``attributes`` of the span that is current when a call is reserved, and
            only our own metrics, where another instrumentation makes the spans; or ``off``.
        tracer_provider: where spans go; the global one if absent.
        meter_provider: where measurements go; the global one if absent.

    Raises:
        InvalidInput: a mode or a provider that is none.
        Unsupported: the package ``opentelemetry-api`` is not installed.

    Example:
        >>> import outlay
        >>> outlay.telemetry()
        >>> with outlay.task("refund", usd=0.50, store="memory:") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000)
        ...     _ = call.settle(outlay.Usage(1000, 500))  # a span `chat gpt-4o`
        >>> outlay.telemetry(mode="off")
    """
    if mode not in _MODES:
        raise InvalidInput(f"mode `{mode}` is none of `{'`, `'.join(_MODES)}`")
    for given, method in ((tracer_provider, "get_tracer"), (meter_provider, "get_meter")):
        if given is not None and not callable(getattr(given, method, None)):
            raise InvalidInput(f"what is given as a provider has no `{method}`")
    global _active
    if mode == "off":
        _active = None
        return
    try:
        import_module("opentelemetry.trace")
    except ImportError:
        raise Unsupported("telemetry needs the package `opentelemetry-api`") from None
    from ._spans import Telemetry

    _active = Telemetry(mode == "spans", tracer_provider, meter_provider)


def traced(task: Task, above: TaskTrace | None) -> TaskTrace | None:
    """What tells of a task; None where nobody asked."""
    return None if _active is None else _active.task(task, above)


def safely(act: _F) -> _F:
    """What goes wrong in `act` is logged, once of each kind; the answer is None then."""

    @functools.wraps(act)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except Exception as error:
            kind = (act.__qualname__, type(error).__name__)
            if kind not in _logged:
                _logged.add(kind)
                _logger.exception("OpenTelemetry could not be told")
            return None

    return cast("_F", run)
