"""Who is right where the two sources disagree, and what tells?

First whoever `corrections.json` says. Else the data itself, where it explains the difference:
litellm has no dates and no hours, so what genai-prices lists for another time is a price it still
has, or has for all hours. What neither explains is charged by genai-prices and reserved by the
dearer of the two.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sources import STANDARD, Model, Row

SAME = Decimal("0.001")
ROUNDING = Decimal("0.015")
TODAY = "2026-11-22"

# Unit, context above, service tier, and what the one and the other say.
Difference = tuple[str, int, str, Decimal, Decimal]


def in_force(model: Model) -> Row:
    """The row that holds today, whatever the hour."""
    return [row for row in model.rows if not row.hours and (row.since or "") <= TODAY][-1]


def differences(row: Row, other: Row) -> list[Difference]:
    """All prices in which two rows differ, tier by tier."""
    return [
        (unit, above, service, ours, theirs)
        for service in sorted(row.sets.keys() & other.sets.keys())
        for unit, above, ours, theirs in disagreements(row, other, service)
    ]


def disagreements(
    row: Row, other: Row, service: str = STANDARD
) -> list[tuple[str, int, Decimal, Decimal]]:
    """Units that both price in a service tier, and what by context."""
    if service not in row.sets or service not in other.sets:
        return []
    ours, theirs = row.sets[service], other.sets[service]
    if not ("i" in ours.rates and "i" in theirs.rates):
        return []
    if not (theirs.rates["i"] or theirs.rates.get("o")):
        return []  # a table without words: zero may mean unknown
    found = []
    starts = {0: 0} | {round(start, -3): start for start in (*ours.tiers, *theirs.tiers)}
    if service != STANDARD and not theirs.tiers:
        starts = {0: 0}  # it says nothing of contexts in this tier
    for shown, above in sorted(starts.items()):
        one, two = ours.at(above + 2 if above else 0), theirs.at(above + 2 if above else 0)
        for unit in one.keys() & two.keys():
            a, b = one[unit], two[unit]
            plain = above and (a, b) == (ours.rates.get(unit), theirs.rates.get(unit))
            if abs(a - b) > SAME * max(a, b) and not plain and (b or unit in "io"):
                found.append((unit, shown, a, b))
    return sorted(found)


def is_dearer(row: Row, other: Row, service: str) -> bool:
    """Is any price of the other above ours?"""
    return any(theirs > ours for _, _, ours, theirs in disagreements(row, other, service))


def fits(decision: dict[str, Any], found: list[Difference]) -> bool:
    """Is this the disagreement that was decided? With a ratio, every price must show it."""
    times = decision.get("genai_times_litellm")
    return bool(found) and (not times or all(abs(a - b * times) <= SAME * a for *_, a, b in found))


def concerns(entry: dict[str, Any], provider: str, model: str) -> bool:
    """Does an entry of the corrections name the model?"""
    of = entry["provider"]
    whose = provider in of if isinstance(of, list) else of in (provider, "*")
    return whose and any(fnmatch.fnmatchcase(model, name) for name in entry["ids"])


def explained(model: Model, other: Model) -> dict[str, Any] | None:
    """What the dates, hours or digits of the prices themselves say about a disagreement."""
    now, theirs = in_force(model), other.rows[0]
    found = differences(now, theirs)
    tiers = {service for _, _, service, *_ in found}
    rows = [row for row in model.rows if tiers <= row.sets.keys()]
    dated = [row for row in rows if not row.hours]
    for row, later in itertools.pairwise(dated):
        if (later.since or "") <= TODAY and is_same(row, theirs):
            reason = f"litellm has the price of before {later.since}"
            return {"take": "genai-prices", "reason": reason}
    for row in rows:
        if row.hours and row.since == now.since and is_same(row, theirs):
            reason = f"litellm has the price of {row.hours} UTC for all hours"
            return {"take": "genai-prices", "reason": reason}
    for exact, is_exact in (
        ("genai-prices", all(is_rounded(b, a) for *_, a, b in found)),
        ("litellm", all(is_rounded(a, b) for *_, a, b in found)),
    ):
        if is_exact:
            return {"take": exact, "reason": "the same price with more digits"}
    return None


def is_same(row: Row, other: Row) -> bool:
    """Do both have prices of tokens, the same ones?"""
    return "i" in row.sets[STANDARD].rates and not differences(row, other)


def is_rounded(short: Decimal, exact: Decimal) -> bool:
    """Is the one the other with fewer digits?"""
    near = abs(short - exact) <= ROUNDING * exact
    return near and exact.quantize(short.normalize(), rounding=ROUND_HALF_UP) == short


def shown(
    provider: str, model: str, found: Iterable[Difference], decision: dict[str, Any] | None
) -> Iterable[tuple[str, ...]]:
    """A disagreement as it is listed, a line for each price."""
    told = "undecided"
    if decision:
        whose = "undecided" if decision["take"] == "neither" else decision["take"]
        told = f"{whose}: {decision['reason']}"
    for unit, above, service, ours, theirs in found:
        tier = f" {service}" if service != STANDARD else ""
        what = f"{unit}>{above}{tier}" if above else f"{unit}{tier}"
        yield provider, model, what, f"{ours.normalize():f}", f"{theirs.normalize():f}", told
