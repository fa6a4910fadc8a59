"""What did it buy, and what would it have been? The reports beside ``outlay.report``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from . import _native
from ._process import ledger
from .errors import InvalidInput


def waste(*, since: str | None = None, store: str | None = None) -> _native.WasteReport:
    """What was paid for nothing, by kind, with what is behind it and what to do.

    No cent is in two kinds.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", store="memory:waste") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        ...     t.fail("no JSON")
        >>> outlay.waste(store="memory:waste").kinds
        [<Waste failed attempts: 0.0075 USD, 1 calls>]
    """
    return ledger(store).waste(since=since)


def suggest_limits(
    *,
    kind: str | None = None,
    since: str | None = None,
    share: int = 95,
    store: str | None = None,
) -> _native.Suggestions:
    """Limits for tasks of each kind, from what runs that succeeded have used.

    A run is a task in no other, with all its attempts; a limit is what `share` per cent of them
    used at most, in each unit by itself. ``str()`` is TOML for ``outlay.toml``.

    Args:
        kind: only tasks of this kind; runs without a kind are in no answer.
        since: only tasks opened from then on: ``7d``, ``24h`` or a date; None means all.
        share: of how many runs that succeeded, in per cent, a limit is to be kept.

    Raises:
        InvalidInput: a time or a share that cannot be, or no task of this kind has ended.

    Example:
        >>> import outlay
        >>> for calls in (3, 1, 2, 9):
        ...     with outlay.task("r", kind="refund", store="memory:suggest") as t:
        ...         for _ in range(calls):
        ...             t.tool_call("web")
        >>> refund = outlay.suggest_limits(share=75, store="memory:suggest").kinds[0]
        >>> refund.tool_calls, refund.succeeded, refund.refused, refund.warning
        (3, 4, 1, '4 runs that succeeded are too few to rely on')
    """
    if not isinstance(share, int) or not 1 <= share <= 100:
        raise InvalidInput(f"share `{share!r}` is not from 1 to 100 per cent")
    return ledger(store).suggest_limits(kind=kind, since=since, share=share)


def tax(*, since: str | None = None, store: str | None = None) -> _native.TaxReport:
    """How often runs fail, how often they are repeated, and what that cost.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> for reason in ("no JSON", None):
        ...     with outlay.task("refund", id="refund-4711", store="memory:tax") as t:
        ...         call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...         _ = call.settle(outlay.Usage(1000, 500))
        ...         if reason:
        ...             t.fail(reason)
        >>> totals = outlay.tax(store="memory:tax").totals
        >>> totals.lost, totals.useful, totals.tax_per_mille
        (Money('0.0075'), Money('0.0075'), 1000)
    """
    return ledger(store).tax(since=since)


def value(*, since: str | None = None, store: str | None = None) -> _native.ValueReport:
    """What the money bought, for runs that say with ``task.succeed(value=…)`` what they were worth.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", store="memory:value") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        ...     t.succeed(value=3)
        >>> outlay.value(store="memory:value").totals.per_usd
        400.0
    """
    return ledger(store).value(since=since)


def kinds(*, since: str | None = None, store: str | None = None) -> _native.KindsReport:
    """What a run of each kind costs, how often it succeeds, and with which model.

    A run is an attempt at a task that lies in no other, with all inside it; its kind is the tag
    ``kind``, else the task's name. A run of several models stands under the one it spent most on.

    Args:
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> for model in ("gpt-4o", "gpt-4o-mini"):
        ...     with outlay.task("refund", kind="extractive", store="memory:kinds") as t:
        ...         call = t.reserve(model=model, input_tokens=1000, max_output_tokens=500)
        ...         _ = call.settle(outlay.Usage(1000, 500))
        >>> for row in outlay.kinds(store="memory:kinds").models:
        ...     print(row.kind, row.model, row.usd_per_success)
        extractive gpt-4o-mini 0.00045 USD
        extractive gpt-4o 0.0075 USD
    """
    return ledger(store).kinds(since=since)


def margin(
    by: str,
    revenue: Mapping[str, float | str | Decimal],
    *,
    since: str | None = None,
    store: str | None = None,
) -> _native.MarginReport:
    """What is left of what was earned, the largest loss first.

    Rows whose revenue is not given have no margin: it is not taken for zero.

    Args:
        by: what rows are: ``tag:tenant``, or whatever ``report()`` takes.
        revenue: what was earned in USD, by the key of the row.
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: a word, a time or an amount that cannot be.

    Example:
        >>> import outlay
        >>> for tenant in ("acme", "umbrella"):
        ...     with outlay.task("refund", tags={"tenant": tenant}, store="memory:margin") as t:
        ...         call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...         _ = call.settle(outlay.Usage(1000, 500))
        >>> earned = {"acme": "0.01", "umbrella": 0.005}
        >>> for row in outlay.margin("tag:tenant", earned, store="memory:margin").rows:
        ...     print(row.key, row.margin, row.margin_per_mille)
        umbrella -0.0025 USD -500
        acme 0.0025 USD 250
    """
    try:
        text = json.dumps({key: str(usd) for key, usd in revenue.items()})
    except (AttributeError, TypeError) as error:
        raise InvalidInput("`revenue` is not amounts by keys") from error
    return ledger(store).margin(by, text, since=since)


def slo(*, since: str | None = None, store: str | None = None) -> _native.SloReport:
    """Whether runs of each kind cost what ``slo`` of the configuration says they may.

    Args:
        since: ``7d``, ``24h`` or a date; None means all. Months begin at their own beginning.

    Raises:
        InvalidInput: a time that cannot be.

    Example:
        >>> import outlay
        >>> outlay.configure(slo={"refund": {"target": "0.005", "cap": "0.01"}})
        >>> with outlay.task("refund", store="memory:slo") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        >>> for row in outlay.slo(store="memory:slo").rows:
        ...     print(row.what, row.actual, row.is_met)
        target 0.0075 USD False
        cap 0.0075 USD True
        >>> outlay.configure(slo={})
    """
    return ledger(store).slo(since=since)


def what_if(
    model: str | None = None,
    *,
    provider: str | None = None,
    service_tier: str | None = None,
    since: str | None = None,
    store: str | None = None,
) -> _native.WhatIfReport:
    """What the recorded calls would have cost with another model, provider or service tier.

    Prices are those of the time of each call. With the same tokenizer the answer is exact, else it
    is a range. Whether the other model would have done the work is not in it.

    Args:
        model: the model they would have gone to; None leaves each its own.
        provider: who would have served them; None is the maker of ``model``.
        service_tier: ``batch``, ``flex``, ``priority`` or another.
        since: ``7d``, ``24h`` or a date; None means all.

    Raises:
        InvalidInput: nothing is to be other than it was, or a word that is not known.
        Unpriced: nobody knows what ``model`` costs.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", store="memory:what-if") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        >>> totals = outlay.what_if("gpt-4o-mini", store="memory:what-if").totals
        >>> print(totals.recorded, "would be", totals.most)
        0.0075 USD would be 0.00045 USD
    """
    return ledger(store).what_if(model, provider=provider, service_tier=service_tier, since=since)


def forecast(by: str | None = None, *, store: str | None = None) -> _native.Forecast:
    """What the month will cost by its end, and when shared budgets will be used up.

    It is made of the days of the last eight weeks, in UTC, and says how far such guesses were off
    on this history. What was spent is exact, what is expected is a ``float`` of USD.

    Args:
        by: ``task`` (by their names), ``kind``, ``agent``, ``model`` or ``tag:NAME``; None is all
            in one.

    Raises:
        InvalidInput: a word that is not known.

    Example:
        >>> import outlay
        >>> with outlay.task("refund", store="memory:forecast") as t:
        ...     call = t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(1000, 500))
        >>> forecast = outlay.forecast("model", store="memory:forecast")
        >>> forecast.rows  # nothing is expected before there is a week of whole days
        [<ForecastRow gpt-4o: 0.0075 USD spent, - expected>]
    """
    return ledger(store).forecast(by)
