"""Bounds, records and explains what AI agents spend.

    >>> import outlay
    >>> with outlay.task("refund", usd=0.50, store="memory:") as task:
    ...     call = task.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000)
    ...     settled = call.settle(outlay.Usage(input_tokens=1000, output_tokens=500))
    >>> print(settled.charge)
    0.0075 USD

``outlay.instrument()`` puts the guard into the OpenAI, Anthropic and Google clients, so that a task
bounds whatever runs inside it without another line.
"""

from __future__ import annotations

from . import _process
from ._alerts import alerts, on_alert
from ._approval import approve, await_approval, wait_approval
from ._call_options import call
from ._export import export
from ._logs import import_logs
from ._native import (
    Alert,
    Breaker,
    Call,
    Charge,
    Count,
    Limit,
    Money,
    ObservedRow,
    Settled,
    Usage,
    Verdict,
    count,
    price,
)
from ._plan import plan
from ._process import (
    budget,
    configure,
    forget,
    halt,
    instrument,
    ledger,
    meter_report,
    observed,
    report,
    report_html,
    resolve,
    unhalt,
    uninstrument,
)
from ._reports import forecast, kinds, margin, slo, suggest_limits, tax, value, waste, what_if
from ._telemetry import telemetry
from ._usage import extract_usage
from .errors import (
    ApprovalRequired,
    BreakerTripped,
    BudgetExceeded,
    Conflict,
    Corrupt,
    Fault,
    Halted,
    InvalidInput,
    LeaseLost,
    Misuse,
    NotFound,
    OutlayError,
    Stopped,
    StoreUnavailable,
    Unbounded,
    Unknowable,
    Unpriced,
    Unsupported,
)
from .task import Task, current, task

__version__ = _process.VERSION

__all__ = [
    "Alert",
    "ApprovalRequired",
    "Breaker",
    "BreakerTripped",
    "BudgetExceeded",
    "Call",
    "Charge",
    "Conflict",
    "Corrupt",
    "Count",
    "Fault",
    "Halted",
    "InvalidInput",
    "LeaseLost",
    "Limit",
    "Misuse",
    "Money",
    "NotFound",
    "ObservedRow",
    "OutlayError",
    "Settled",
    "Stopped",
    "StoreUnavailable",
    "Task",
    "Unbounded",
    "Unknowable",
    "Unpriced",
    "Unsupported",
    "Usage",
    "Verdict",
    "__version__",
    "alerts",
    "approve",
    "await_approval",
    "budget",
    "call",
    "configure",
    "count",
    "current",
    "export",
    "extract_usage",
    "forecast",
    "forget",
    "halt",
    "import_logs",
    "instrument",
    "kinds",
    "ledger",
    "margin",
    "meter_report",
    "observed",
    "on_alert",
    "plan",
    "price",
    "report",
    "report_html",
    "resolve",
    "slo",
    "suggest_limits",
    "task",
    "tax",
    "telemetry",
    "unhalt",
    "uninstrument",
    "value",
    "wait_approval",
    "waste",
    "what_if",
]
