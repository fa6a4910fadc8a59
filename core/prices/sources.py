"""What do the two packages say? Both are read into one form: models with names, facts, dated rows.

A row holds from a date on, or only in some hours of the day; it has one :class:`Set` of prices per
service tier. Prices are USD per million tokens, fees USD apiece, all :class:`decimal.Decimal`.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from abilities import abilities

MILLION = Decimal(10**6)
THOUSAND = Decimal(10**3)
STANDARD = "standard"

GENAI_RATES = {
    "input_mtok": "i",
    "output_mtok": "o",
    "cache_read_mtok": "r",
    "cache_write_mtok": "w",
    "cache_write_1h_mtok": "h",
    "input_audio_mtok": "ia",
    "input_image_mtok": "im",
    "input_video_mtok": "iv",
    "cache_audio_read_mtok": "ra",
    "cache_image_read_mtok": "rm",
    "output_audio_mtok": "oa",
    "output_image_mtok": "om",
    "output_video_mtok": "ov",
    "output_reasoning_mtok": "t",
}
GENAI_FEES = {"requests_kcount": "q", "web_searches_kcount": "s"}
LITELLM_RATES = {
    "input_cost_per_token": "i",
    "output_cost_per_token": "o",
    "cache_read_input_token_cost": "r",
    "cache_creation_input_token_cost": "w",
    "cache_creation_input_token_cost_above_1hr": "h",
    "input_cost_per_audio_token": "ia",
    "input_cost_per_image_token": "im",
    "input_cost_per_video_token": "iv",
    "cache_read_input_audio_token_cost": "ra",
    "cache_read_input_image_token_cost": "rm",
    "output_cost_per_audio_token": "oa",
    "output_cost_per_image_token": "om",
    "output_cost_per_video_token": "ov",
    "output_cost_per_reasoning_token": "t",
}
SERVICES = {"batches": "batch", "flex": "flex", "priority": "priority", "ultrafast": "ultrafast"}
LITELLM_KEY = re.compile(
    r"(?P<unit>.+?)(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<service>[a-z]+))?$"
)
# What a unit costs that is not priced apart: the first of these that is.
PLAIN = {
    "r": ("i",),
    "w": ("i",),
    "h": ("w", "i"),
    "ia": ("i",),
    "im": ("i",),
    "iv": ("i",),
    "ra": ("ia", "r", "i"),
    "rm": ("im", "r", "i"),
    "t": ("o",),
    "oa": ("o",),
    "om": ("o",),
    "ov": ("o",),
}

UNIT_PREFIX = re.compile(r"^(input_|output_|ocr_|annotation_)?cost_per_|_cost_per_(?=query)")
IMAGE_SIZE = re.compile(r"(^|/)(\d+-x-\d+|max-x-max)/")

ORDER = ("i", "o", "r", "w", "h", "ia", "im", "iv", "ra", "rm", "t", "oa", "om", "ov", "q", "s")

Rates = dict[str, Decimal]


@dataclass
class Set:
    """Prices of one service tier: the plain ones, and by context above a number of tokens."""

    rates: Rates = field(default_factory=dict)
    tiers: dict[int, Rates] = field(default_factory=dict)

    def at(self, tokens: int) -> Rates:
        """All prices of an input of so many tokens."""
        rates = dict(self.rates)
        for above in sorted(self.tiers):
            if tokens > above:
                rates |= self.tiers[above]
        return rates


@dataclass
class Row:
    """Prices from a date on (ISO), or in some hours (``HHMM-HHMM``, UTC), by service tier.

    Alternatives are what the other source says, where nobody has decided who is right.
    """

    since: str | None = None
    hours: str | None = None
    sets: dict[str, Set] = field(default_factory=dict)
    alternatives: dict[str, Set] = field(default_factory=dict)
    other: set[str] = field(default_factory=set)


@dataclass
class Model:
    """One model of one provider."""

    id: str
    exact: list[str] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)
    context_window: int | None = None
    max_output_tokens: int | None = None
    prior_per_mille: int | None = None
    image_tokens: tuple[int, int] | None = None
    regional_per_mille: int | None = None
    traits: set[str] = field(default_factory=set)
    abilities: str | None = None
    abilities_by_name: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    source: str = "genai-prices"


def shortest(amount: Decimal) -> str:
    """A number without what it does not need."""
    text = f"{amount.normalize():f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def price(rates: Rates, unit: str) -> Decimal | None:
    """What a unit costs, priced apart or not."""
    return next((rates[name] for name in (unit, *PLAIN.get(unit, ())) if name in rates), None)


def simplified(own: Set) -> Set:
    """Without the units that cost everywhere what they would cost if they were not listed."""
    for unit in reversed(ORDER):
        sets = [own.at(above + 1 if above else 0) for above in (0, *own.tiers)]
        apart = ({**rates, unit: None} for rates in sets)
        plain = [price({k: v for k, v in r.items() if v is not None}, unit) for r in apart]
        if unit in PLAIN and unit in own.rates and plain == [rates.get(unit) for rates in sets]:
            for rates in (own.rates, *own.tiers.values()):
                rates.pop(unit, None)
    return own


def genai_models(provider: Any) -> list[Model]:
    """The models of one provider of genai-prices."""
    return [
        Model(
            id=model.id.lower().rstrip("-"),
            context_window=model.context_window,
            rows=_genai_rows(model),
            **_genai_names(model),
        )
        for model in provider.models
    ]


def _genai_rows(model: Any) -> list[Row]:
    given = model.prices if isinstance(model.prices, list) else [model]
    rows: list[Row] = []
    for entry in given:
        since, hours = _when(getattr(entry, "constraint", None))
        own, other = _genai_set(entry.prices)
        if hours and rows:
            # Hours without a date belong to the prices they stand behind.
            since = rows[-1].since
        rows.append(Row(since, hours, {STANDARD: own}, other=other))
    plain = [row.since or "" for row in rows if not row.hours]
    if plain != sorted(set(plain)):
        raise SystemExit(f"{model.id}: dated prices are out of order")
    for variant in model.price_variants or ():
        _add_variant(model.id, rows, variant)
    return rows


def _when(constraint: Any) -> tuple[str | None, str | None]:
    if constraint is None:
        return None, None
    if hasattr(constraint, "start_date"):
        return constraint.start_date.isoformat(), None
    start, end = constraint.start_time, constraint.end_time
    if start.utcoffset() or end.utcoffset():
        raise SystemExit(f"hours that are not in UTC: {constraint}")
    return None, f"{start:%H%M}-{end:%H%M}"


def _add_variant(model: str, rows: list[Row], variant: Any) -> None:
    """A service tier, on every row that is in force when it is; a later date begins a row."""
    (key, value), *more = variant.when.items()
    if more or key not in ("processing", "service_tier", "speed") or value == "default":
        return
    since, hours = _when(variant.constraint)
    if hours:
        raise SystemExit(f"{model}: a service tier by the hour")
    own, _ = _genai_set(variant.prices)
    if since and all((row.since or "") != since for row in rows):
        base = max((row for row in rows if (row.since or "") < since), key=lambda r: r.since or "")
        at = rows.index(base) + 1
        while at < len(rows) and rows[at].hours and rows[at].since == base.since:
            raise SystemExit(f"{model}: a service tier beside prices by the hour")
        standard = copy.deepcopy(base.sets[STANDARD])
        rows.insert(at, Row(since, None, {STANDARD: standard}, other=set(base.other)))
    for row in rows:
        if (row.since or "") >= (since or ""):
            # What a variant leaves out costs what it costs without it.
            standard = row.sets[STANDARD]
            starts = {*standard.tiers, *own.tiers}
            tiers = {start: standard.at(start + 1) | own.at(start + 1) for start in starts}
            row.sets.setdefault(value, Set(standard.rates | own.rates, tiers))


def _genai_set(prices: Any) -> tuple[Set, set[str]]:
    found, other = Set(), set()
    for key, value in vars(prices).items():
        if value is None:
            continue
        if name := GENAI_RATES.get(key):
            found.rates[name] = getattr(value, "base", value)
            for tier in getattr(value, "tiers", []):
                found.tiers.setdefault(tier.start, {})[name] = tier.price
        elif name := GENAI_FEES.get(key):
            found.rates[name] = value / THOUSAND
        else:
            other.add(f"{key.removesuffix('_kcount')}={value}")
    return found, other


def _genai_names(model: Any) -> dict[str, list[str]]:
    """The matching rules, narrowed: a stem is a name that may be followed by a snapshot only."""
    exact, stems = [], []
    for kind, text in _clauses(model.match):
        text = text.lower()
        if kind in ("Equals", "EndsWith") or text.endswith(".ft-"):
            exact.append((text if kind == "Equals" else text.removeprefix("/")).rstrip("-"))
        else:
            stems.append(re.sub(r"(-20\d\d)?([-@]0?)?$", "", text))
    stems = list(dict.fromkeys(stems))
    return {"exact": [n for n in dict.fromkeys(exact) if n not in stems], "stems": stems}


def _clauses(match: Any) -> list[tuple[str, str]]:
    kind = type(match).__name__.removeprefix("Clause")
    if kind == "Or":
        return [pair for clause in match.or_ for pair in _clauses(clause)]
    if kind == "And":
        first, second = match.and_
        # "starts with X but is no speech model": a stem never matches a speech model.
        if type(second).__name__ == "ClauseRegex" and "[tT][tT][sS]" in second.regex:
            return _clauses(first)
    elif kind == "Regex":
        text = match.regex.removeprefix("^").removesuffix("$").replace("\\.", ".")
        text = text.removeprefix("(typesafe/)?").replace("\\[", "[").replace("\\]", "]")
        snapshot = re.sub(r"(-|\[-@\]|\(-)(\\d(\{8\}\)?\??|\{4\}-\\d\{2\}-\\d\{2\})?)$", "", text)
        if not re.search(r"[\\^$*+?{}()|]", snapshot):
            return [("Equals" if snapshot == text else "StartsWith", snapshot)]
    else:
        return [(kind, next(iter(vars(match).values())))]
    raise SystemExit(f"a matching rule nobody has judged yet: {match}")


def litellm_table() -> dict[str, dict[str, Any]]:
    """The bundled table of litellm, without importing it: that asks the network for a newer one."""
    spec = importlib.util.find_spec("litellm")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    text = (folder / "model_prices_and_context_window_backup.json").read_text()
    table: dict[str, dict[str, Any]] = json.loads(text, parse_float=Decimal)
    table.pop("sample_spec")
    return {
        key.lower(): entry
        for key, entry in table.items()
        # A size of an image is part of some keys; a request names it apart from its model.
        if entry.get("litellm_provider") and not IMAGE_SIZE.search(key)
    }


def litellm_model(name: str, entry: dict[str, Any]) -> Model:
    """One entry of litellm's table: one row without a date."""
    row = Row(sets={STANDARD: Set()})
    for key, value in entry.items():
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            _litellm_price(row, key, Decimal(value))
    for step in entry.get("tiered_pricing", ()):
        if "range" not in step:
            row.other.add("tiered_by_size")
            continue
        target = row.sets[STANDARD].rates
        if step["range"][0]:
            target = row.sets[STANDARD].tiers.setdefault(int(step["range"][0]), {})
        for key, unit in LITELLM_RATES.items():
            if key in step:
                target[unit] = Decimal(step[key]) * MILLION
    searches = entry.get("search_context_cost_per_query") or {}
    if searches:
        row.sets[STANDARD].rates["s"] = max(Decimal(value) for value in searches.values())
    uplift = max((Decimal(value) for value in uplifts(entry)), default=None)
    for own in row.sets.values():
        _doubt_zeros(own)
    simplified(row.sets[STANDARD])
    return Model(
        id=name,
        context_window=entry.get("max_input_tokens"),
        max_output_tokens=entry.get("max_output_tokens"),
        regional_per_mille=int(uplift * 1000) if uplift else None,
        traits={"reasoning"} if entry.get("supports_reasoning") else set(),
        abilities=abilities(name, entry),
        rows=[row],
        source="litellm",
    )


def uplifts(entry: dict[str, Any]) -> list[Decimal]:
    """What tokens cost in a region, in parts of the price: of Anthropic, OpenAI and Vertex AI."""
    keys = [key for key in entry if re.match(r"regional_(endpoint|processing)_uplift", key)]
    own = (entry.get("provider_specific_entry") or {}).get("us")
    return [Decimal(entry[key]) for key in keys] + ([Decimal(own)] if own else [])


def _doubt_zeros(own: Set) -> None:
    """In a table without words zero may mean unknown, beside input that is not free."""
    for rates in (own.rates, *own.tiers.values()):
        for unit in [u for u in rates if u not in "io" and not rates[u] and own.rates.get("i")]:
            del rates[unit]


def _litellm_price(row: Row, key: str, value: Decimal) -> None:
    if key == "input_cost_per_request":
        row.sets[STANDARD].rates["q"] = value
        return
    unit, above, service = key, None, STANDARD
    if key not in LITELLM_RATES and (parts := LITELLM_KEY.fullmatch(key)):
        word = parts["service"]
        if word is None or word in SERVICES:
            unit, above = parts["unit"], parts["above"]
            service = SERVICES[word] if word else STANDARD
    if unit not in LITELLM_RATES:
        if "cost_per" in key and value and "per_token" not in key:
            row.other.add(f"{UNIT_PREFIX.sub('', key)}={shortest(value)}")
        return
    own = row.sets.setdefault(service, Set())
    target = own.tiers.setdefault(int(above) * 1000, {}) if above else own.rates
    target[LITELLM_RATES[unit]] = value * MILLION


def completed(given_set: Set, standard: Set) -> Set:
    """The prices of a service tier, with what the source leaves out.

    A unit that it prices, but not by context, rises with the context as it does without the tier. A
    unit that it does not price costs what it does without the tier, or more where input does.
    """
    own = copy.deepcopy(given_set)
    given = {start: dict(own.tiers.get(start, {})) for start in {*own.tiers, *standard.tiers}}
    plain = dict(own.rates)

    def filled(unit: str, usual: Rates, mine: Rates) -> Decimal:
        side = "o" if unit[0] in "ot" else "i"
        if unit in mine:
            return mine[unit]
        dearer = side in mine and usual.get(side) and mine[side] > usual[side] and unit not in "qs"
        return usual[unit] * mine[side] / usual[side] if dearer else usual[unit]

    for start in sorted(given):
        usual = standard.at(start + 1)
        mine = given[start]
        for unit in plain.keys() - mine.keys():
            base = standard.rates.get(unit)
            mine[unit] = plain[unit] * usual[unit] / base if base else plain[unit]
        own.tiers[start] = mine | {unit: filled(unit, usual, mine) for unit in usual}
    own.rates |= {unit: filled(unit, standard.rates, plain) for unit in standard.rates}
    return own
