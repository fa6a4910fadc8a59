"""What belongs to the whole process: options, ledgers, budgets, forks, the end.

Importing this announces forks to the core, and ends this process as an owner at its exit.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from . import _native
from ._options import read_alerts, read_tags
from .errors import InvalidInput
from .task import Limits, current

VERSION = _native.version()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_native.after_fork_in_child,
    )
atexit.register(_native.close_all)


def configure(
    *,
    store: str | None = None,
    durability: str | None = None,
    unbound: str | None = None,
    unmetered: str | None = None,
    on_unavailable: str | None = None,
    bound: str | None = None,
    approvers: Mapping[str, str] | None = None,
    stream_usage: str | None = None,
    prices: Mapping[str, Mapping[str, Any]] | None = None,
    default_max_output_tokens: int | None = None,
    min_output_tokens: int | None = None,
    routes: Sequence[Mapping[str, Any]] | None = None,
    alerts: Sequence[float | str | Decimal] | None = None,
    kinds: Mapping[str, Mapping[str, Any]] | None = None,
    slo: Mapping[str, Mapping[str, Any]] | None = None,
    compute_usd_per_hour: float | str | Decimal | None = None,
    orchestration_usd_per_entry: float | str | Decimal | None = None,
) -> None:
    """Changes options of the process; what is not given stays as it was.

    Args:
        store: the ledger of tasks that name none.
        durability: ``os`` (a commit survives kill -9) or ``disk`` (it survives loss of power), for
            ledgers opened from now on.
        unbound: calls under no task: ``warn`` (charge the default task) or ``refuse``.
        unmetered: billed methods that cannot be metered, under a limit in USD: ``refuse`` or
            ``allow``.
        on_unavailable: if the ledger cannot answer: ``refuse`` or ``allow``.
        stream_usage: ``ask`` streamed chat completions for their usage, or ``leave`` them as they
            are, for servers that refuse ``stream_options``.
        bound: the input of a request held: ``counted`` (as good as the model's tokenizer is known)
            or ``strict`` (its bytes, which nothing passes).
        approvers: whose signature an approval needs: public Ed25519 keys in PEM, by name.
        prices: by model, in USD per million tokens:
            ``{"house-7b": {"input": 0, "output": "0.20"}}``.
        default_max_output_tokens: for requests that set none; reasoning models have four times
            that.
        min_output_tokens: fewer are not worth a call; reasoning models need sixteen times that.
        routes: rules for tasks without ``fallback=``, the first about a model holds:
            ``[{"model": "^gpt-4o$", "kind": "extractive", "fallback": ["gpt-4o-mini"],
            "when": "always"}]``; without ``when`` once money gets short, without ``kind`` for all.
        alerts: at which shares of their limits budgets tell that name none themselves; see
            ``on_alert``.
        kinds: what tasks of a kind take that their callers give nothing of, in place of all kinds
            there were: ``{"refund": {"usd": 0.50, "llm_calls": 30, "deadline": 600}}``. Options are
            those of ``task`` of these names: ``usd``, ``tokens``, ``llm_calls``, ``tool_calls``,
            ``retry_usd``, ``wrap_up_usd``, ``deadline`` (in seconds), ``on_limit``, ``fallback``,
            ``alerts`` and ``breaker``.
        slo: what runs may cost in USD, by their kind: ``{"refund": {"target": "0.05",
            "p95": "0.10", "cap": 1, "month": 500}}``; for ``slo()``, nothing is refused by it.
        compute_usd_per_hour: what an hour of a run costs beside its models, for ``kinds()``.
        orchestration_usd_per_entry: what an entry about its calls costs, likewise.

    Raises:
        InvalidInput: an option that cannot be; nothing is changed.

    Example:
        >>> import outlay
        >>> outlay.configure(prices={"house-7b": {"input": 0, "output": 0}})
        >>> with outlay.task("t", usd=0, store="memory:") as t:
        ...     t.reserve(model="house-7b", input_tokens=10, max_output_tokens=10).reserved
        Money('0.00')
    """
    given: dict[str, Any] = {
        "store": store,
        "durability": durability,
        "unbound": unbound,
        "unmetered": unmetered,
        "on_unavailable": on_unavailable,
        "bound": bound,
        "approvers": approvers,
        "stream_usage": stream_usage,
        "prices": prices,
        "default_max_output_tokens": default_max_output_tokens,
        "min_output_tokens": min_output_tokens,
        "routes": routes,
        "alerts": read_alerts(alerts),
        "kinds": kinds,
        "slo": slo,
        "compute_usd_per_hour": compute_usd_per_hour,
        "orchestration_usd_per_entry": orchestration_usd_per_entry,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        text = json.dumps(chosen, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"an option cannot be read: {error}") from None
    _native.configure(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, _native.Money):
        return str(value.usd)
    if isinstance(value, _native.Limit):
        return {name: getattr(value, name) for name in ("amount", "soft", "window", "tz")}
    raise TypeError(f"`{type(value).__name__}` is not a number, text or mapping")


def ledger(store: str | None = None) -> _native.Ledger:
    """The ledger at `store`, opened once per process; without one, the running task's or default.

    Raises:
        InvalidInput: a store that cannot be.
        StoreUnavailable, Corrupt, Unsupported: the file cannot be used.
    """
    task = current()
    if store is None and task is not None:
        return task._native.ledger()
    return _native.ledger(store)


def budget(
    *,
    tags: Mapping[str, str] | None = None,
    per: str | None = None,
    usd: Limits | None = None,
    tokens: Limits | None = None,
    llm_calls: Limits | None = None,
    tool_calls: Limits | None = None,
    window: str = "life",
    tz: str | None = None,
    store: str | None = None,
    by: str | None = None,
    alerts: Sequence[float | str | Decimal] | None = None,
) -> None:
    """Declares a budget that every task with these tags falls under, in every process.

    Declaring it again with the same limits changes nothing, with larger ones is a recorded grant.

    Args:
        tags: the scope; none means every task.
        per: each value of this tag has a budget of its own.
        usd: a number or a ``Limit``; likewise ``tokens``, ``llm_calls``, ``tool_calls``.
        window: the window of limits given as numbers: ``life``, ``day``, ``week``, ``month``,
            ``rolling:24h``.
        tz: the time zone of calendar windows; UTC if absent.
        store: the ledger; see ``task``.
        by: who declares it, for the entry of a grant.
        alerts: at which shares of its limits to tell, as ``[0.5, "80%", "90% for 10m"]``; see
            ``on_alert``. Without a word at half, 80 % and all, or as it was declared before.

    Raises:
        InvalidInput: no limit, or one that cannot be.
        Conflict: smaller or other limits than there are.

    Example:
        >>> import outlay
        >>> outlay.budget(tags={"tenant": "acme"}, usd=50, window="month", store="memory:docs")
        >>> with outlay.task("t", tags={"tenant": "acme"}, store="memory:docs") as t:
        ...     print(t.available)
        50.00 USD
    """
    limits = {"usd": usd, "tokens": tokens, "llm_calls": llm_calls, "tool_calls": tool_calls}
    windowed = {unit: _windowed(limit, window, tz) for unit, limit in limits.items()}
    ledger(store).budget(
        tags=read_tags(tags), per=per, by=by, alerts=read_alerts(alerts), **windowed
    )


def _windowed(limit: Limits | None, window: str, tz: str | None) -> Limits | None:
    if limit is None or isinstance(limit, (_native.Limit, list)):
        return limit
    return _native.Limit(limit, window=window, tz=tz)


def forget(key: str, value: str, *, store: str | None = None) -> None:
    """Erases the value of a tag for ever; entries keep its number, reports say ``erased``.

    Raises:
        NotFound: no such value.
        Conflict: it has a budget of its own.
    """
    ledger(store).forget(key, value)


def resolve(
    id: str, usage: _native.Usage | None = None, *, by: str, store: str | None = None
) -> _native.Money:
    """Ends a call in doubt: with the usage on the provider's bill, or as not billed.

    Args:
        id: the call's id, as ``outlay resolve`` lists it.
        usage: what the provider billed; None means nothing.
        by: who says so.

    Returns:
        What the call cost.

    Raises:
        NotFound: no such call.
        Conflict: it is open in a running process, or ended with other content.
    """
    return ledger(store).resolve(id, usage, by=by)


def halt(scope: str, *, by: str, reason: str, store: str | None = None) -> int:
    """Lets no call in a scope start, in any process on the ledger, until ``unhalt``.

    Calls are refused at once with ``Halted``, those that wait for money too; streams are cut within
    a second. It holds for tasks with ``enforce=False`` too.

    Args:
        scope: ``all``, a tag as ``tenant=acme``, or the name or id of a task, with all below it.
        by: who orders it.
        reason: why, for those whose runs are refused.

    Returns:
        How many open attempts lie in the scope.

    Raises:
        InvalidInput: a scope, name or reason that cannot be.
        StoreUnavailable: the ledger could not answer; nothing is halted.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", usd=1, store="memory:docs") as t:
        ...     outlay.halt("refund", by="maria", reason="wrong customer", store="memory:docs")
        ...     try:
        ...         t.reserve(model="gpt-4o", input_tokens=10, max_output_tokens=10)
        ...     except outlay.Halted as error:
        ...         print(error)
        ...     outlay.unhalt("refund", by="maria", store="memory:docs")
        1
        `refund` was halted by `maria`: wrong customer
    """
    return ledger(store).halt(scope, by=by, reason=reason)


def unhalt(scope: str, *, by: str, store: str | None = None) -> None:
    """Undoes a halt.

    Raises:
        NotFound: the scope is not halted.
        StoreUnavailable: the ledger could not answer.
    """
    ledger(store).unhalt(scope, by=by)


def report(
    by: str = "task", *, since: str | None = None, store: str | None = None
) -> _native.Report:
    """Where the money went.

    Args:
        by: ``task``, ``attempt``, ``kind`` (the tag, else the name of the outermost task),
            ``agent``, ``step``, ``turn``, ``model``, ``provider`` or ``tag:NAME``.
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a word that is not known.
    """
    return ledger(store).report(by, since=since)


def report_html(by: str = "task", *, since: str | None = None, store: str | None = None) -> str:
    """Where the money went, as a page of HTML with charts and tables that loads nothing.

    Its size has a bound: the largest rows, tasks and kinds, and one row for the rest of them. Names
    of tasks are in it; give the file the rights of the ledger, as ``outlay report --html`` does.

    Args:
        by: ``task``, ``attempt``, ``kind`` (the tag, else the name of the outermost task),
            ``agent``, ``step``, ``turn``, ``model``, ``provider`` or ``tag:NAME``.
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a word that is not known.

    Example:
        >>> import outlay
        >>> page = outlay.report_html(by="tag:tenant", since="30d")
        >>> page.splitlines()[0]
        '<!doctype html>'
    """
    return ledger(store).report_html(by, since=since)


def meter_report(*, since: str | None = None, store: str | None = None) -> _native.MeterReport:
    """How far the bounds of input were from what providers counted, by model.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> for row in outlay.meter_report().rows:  # 995: what 99.5 % of the calls stay within
        ...     print(row.model, row.calls, row.overruns, row.bound_over_truth(500) / 1000)
    """
    return ledger(store).meter_report(since=since)


def observed(*, since: str | None = None, store: str | None = None) -> list[_native.ObservedRow]:
    """What the limits of tasks with ``enforce=False`` would have refused, the dearest first.

    A refused call spends nothing: had the first been refused, later ones might have fitted.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", usd=0.01, enforce=False, store="memory:watch") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=4000)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        >>> outlay.observed(store="memory:watch")
        [<ObservedRow refund: 1 calls over the usd of task `refund`, 0.0075 USD>]
    """
    return ledger(store).observed(since=since)


def instrument(*, tell_budget: bool | Iterable[int] | None = None) -> None:
    """Puts the guard into the clients it finds, and lets threads carry the task.

    Every billed request of a patched client is reserved before it is sent; one that does not fit
    raises ``BudgetExceeded`` and is not sent. Calling it again finds clients imported since.

    Args:
        tell_budget: tell models what is left when 25, 50, 75 and 90 per cent of a limit are used,
            or so many: behind the last message of one request, so that what is cached stays good.
            Without it as it was; at first, never.

    Raises:
        InvalidInput: no per cents from 1 to 100.
        Unsupported: an installed client is of a version that cannot be guarded.
    """
    from . import integrations

    integrations.instrument(tell_budget)


def uninstrument() -> None:
    """Takes the guard out again."""
    from . import integrations

    integrations.uninstrument()
