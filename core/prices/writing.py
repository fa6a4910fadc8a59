"""How is a model written? In a line of tab-separated columns: name, facts, prices."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from sources import ORDER, STANDARD, Model, Rates, Row, Set, shortest

# The finest price of a unit: a pico-USD per token, a nano-USD apiece.
FINEST, FINEST_APIECE = Decimal("0.000001"), Decimal("0.000000001")
FLAGS = {
    "reasoning": "R",
    "thinks_on_request": "T",
    "exact_frames": "E",
    "unreported_searches": "S",
    "searches_as_one": "O",
    "o200k": "o",
    "cl100k": "c",
}


def line(model: Model) -> list[str]:
    """The line of a model, and one for each of its other names."""
    stem = model.id in model.stems
    columns = [model.id, ("*" if stem else "") + facts(model), prices(model.rows)]
    found = ["\t".join(columns).rstrip("\t") + "\n"]
    for name in dict.fromkeys([*model.stems, *model.exact]):
        if name != model.id:
            mark = "*" if name in model.stems else ""
            letters = model.abilities_by_name.get(name)
            own = "" if letters is None else f" k{letters}"
            found.append(f"{name}\t{mark}>{model.id}{own}\n")
    return found


def facts(model: Model) -> str:
    """Windows, vocabulary and traits, as one word each."""
    words = []
    if model.context_window:
        words.append(f"w{model.context_window}")
    if model.max_output_tokens:
        words.append(f"m{model.max_output_tokens}")
    if model.prior_per_mille:
        words.append(f"p{model.prior_per_mille}")
    if model.image_tokens:
        words.append("g{},{}".format(*model.image_tokens))
    if model.regional_per_mille:
        words.append(f"u{model.regional_per_mille}")
    if model.abilities is not None:
        words.append(f"k{model.abilities}")
    words.append("".join(mark for trait, mark in FLAGS.items() if trait in model.traits))
    return " ".join(word for word in words if word)


def prices(rows: list[Row]) -> str:
    """All rows, the earliest first."""
    words: list[str] = []
    before: Set | None = None
    for index, row in enumerate(rows):
        last = rows[index - 1] if index else row
        same = (row.sets, row.alternatives) == (last.sets, last.alternatives)
        if index and same and not (row.hours or last.hours):
            continue
        if row.hours:
            words.append(f"~{row.hours}")
        elif row.since:
            words.append(f"@{row.since}")
        words += row_words(row, row.sets[STANDARD] == before)
        before = row.sets[STANDARD]
    return " ".join(words)


def row_words(row: Row, repeated: bool) -> list[str]:
    """Standard prices, unless they are those of the row before, then the service tiers."""
    words: list[str] = []
    standard = row.sets[STANDARD].rates
    for service, own in sorted(row.sets.items(), key=lambda pair: (pair[0] != STANDARD, pair[0])):
        words += [f"!{service}"] if service != STANDARD else []
        if service != STANDARD or not repeated:
            words += set_words(own, standard if service != STANDARD else {})
        if service in row.alternatives:
            words += ["?", *set_words(row.alternatives[service], standard)]
    return words if standard else [f"/{other}" for other in sorted(row.other)] or ["/"]


def set_words(own: Set, base: Rates) -> list[str]:
    """Plain prices where they are not those of `base`, then each context where it is another."""
    words = rate_words(own.rates, base)
    current = base | own.rates
    for above in sorted(own.tiers):
        words += [f">{above}", *rate_words(own.tiers[above], current)]
        current = current | own.tiers[above]
    return words


def rate_words(rates: Rates, base: Rates) -> list[str]:
    return [
        f"{unit}{shown(rates[unit], unit)}"
        for unit in ORDER
        if unit in rates and rates[unit] != base.get(unit)
    ]


def shown(price: Decimal, unit: str) -> str:
    """A price at its finest, rounded up: a reservation must not be too small."""
    fine = FINEST_APIECE if unit in ("q", "s") else FINEST
    return shortest(price.quantize(fine, rounding=ROUND_CEILING))
