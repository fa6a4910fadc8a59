"""What holds where the two sources meet? One model list per provider, and where they disagree."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sources import STANDARD, Model, Row, Set, completed, price, simplified
from verdicts import (
    concerns,
    differences,
    disagreements,
    explained,
    fits,
    in_force,
    is_dearer,
    shown,
)

# tiktoken's own table of prefixes (tiktoken/model.py 0.14), as far as the priced models reach.
ENCODINGS = [
    (re.compile(r"(o1|o3|o4-mini|gpt-5|gpt-4\.5|gpt-4\.1|chatgpt-4o|gpt-4o)([-.].*)?$"), "o200k"),
    (re.compile(r"ft:gpt-4o.*"), "o200k"),
    (re.compile(r"(gpt-4|gpt-3\.5|gpt-3\.5-turbo|ft:gpt-3\.5-turbo)(-.*)?$"), "cl100k"),
    (re.compile(r"(davinci|babbage)-002$|text-embedding-.*"), "cl100k"),
]
# As `book::without_snapshot` takes them off.
SNAPSHOT = re.compile(
    r"(-\d{4}-\d\d-\d\d|[-@]\d{8}|[-@]\d{3,4}|(?<=-preview|....-exp)(-\d\d-\d\d|-\d\d-\d{4})"
    r"|[-@:](latest|default|preview|exp|thinking)|[-@:]v\d+|:\d{1,2})$"
)
NO_OUTPUT = re.compile(r"embed|rerank|voyage|(^|[/-])bge-|(^|[/-])gte-")


class Corrections:
    """`corrections.json`: what is known of providers, models and disagreements, with reasons."""

    def __init__(self, path: Path) -> None:
        self.given = json.loads(path.read_text(), parse_float=Decimal)
        self.makers: list[str] = self.given["makers"]["order"]
        self.genai: dict[str, list[Model]] = {}
        self.unused = {id(entry): entry for entry in self.given["models"] + self.given["decisions"]}

    def provider_of(self, litellm: str) -> tuple[str, int]:
        """Our provider of one of litellm's, and how far down its list that stands."""
        for name, provider in self.given["providers"].items():
            if litellm in provider["litellm"]:
                return name, provider["litellm"].index(litellm)
        return litellm.lower(), 0

    def heading(self, provider: str) -> str:
        """The line that begins a provider: names, whom it resells, and what it does unasked."""
        own = self.given["providers"].get(provider, {})
        swapped = [provider, provider.replace("-", "_"), provider.replace("_", "-")]
        columns = [
            f":{provider}",
            " ".join(dict.fromkeys(own.get("aliases", swapped))),
            " ".join(own.get("resells", [])),
            "".join(
                mark
                for mark, holds in (
                    ("M", provider in self.makers),
                    ("W", own.get("automatic_cache_writes")),
                    ("F", own.get("free")),
                )
                if holds
            ),
        ]
        return "\t".join(columns).rstrip("\t") + "\n"

    def resold(self, provider: str) -> list[tuple[dict[str, Model], dict[str, Model]]]:
        """The names of the makers whose models a provider sells at their price."""
        makers = self.given["providers"].get(provider, {}).get("resells", [])
        return [names(self.genai[maker]) for maker in makers]

    def fixes(self, provider: str, model: str) -> list[dict[str, Any]]:
        """What is set by hand for a model."""
        entries = [e for e in self.given["models"] if concerns(e, provider, model)]
        return [self._used(entry)["set"] for entry in entries]

    def decision(self, provider: str, model: Model, other: Model) -> dict[str, Any] | None:
        """Who is right about a model, by hand or by what the sources themselves tell."""
        found = differences(in_force(model), other.rows[0])
        for entry in reversed(self.given["decisions"]):
            if concerns(entry, provider, model.id) and fits(entry, found):
                return self._used(entry)
        return explained(model, other) if found else None

    def check_used(self) -> None:
        """Stops if an entry fits nothing: a name has changed, or the source has been mended."""
        if self.unused:
            sys.exit(f"corrections that fit no model: {[e['ids'] for e in self.unused.values()]}")

    def _used(self, entry: dict[str, Any]) -> dict[str, Any]:
        self.unused.pop(id(entry), None)
        return entry


@dataclass
class Merged:
    """One provider: its models, and where the sources disagree about them."""

    id: str
    models: list[Model] = field(default_factory=list)
    differences: list[tuple[str, ...]] = field(default_factory=list)


def merged(
    provider: str,
    ours: list[Model],
    theirs: dict[str, list[Model]],
    corrections: Corrections,
) -> Merged:
    """The models of one provider from both sources."""
    section = Merged(provider)
    for model in ours:
        for fix in corrections.fixes(provider, model.id):
            model.exact += fix.get("names", [])
    drop_repeated_names(ours)
    exact, stems = names(ours)
    matched: dict[str, dict[str, list[Model]]] = {}
    for name, candidates in theirs.items():
        known = resolved(name, exact, stems)
        if known:
            matched.setdefault(known.id, {})[name] = candidates
        else:
            section.models.append(alone(section, candidates, corrections))
    for model in ours:
        section.models += with_alarm(section, model, matched.get(model.id, {}), corrections)
    for model in section.models:
        finish(provider, model, corrections)
    return section


def alone(section: Merged, candidates: list[Model], corrections: Corrections) -> Model:
    """A model only litellm lists; with its maker's history where it costs what it costs there."""
    model = candidates[0]
    for other in candidates[1:]:
        decision = corrections.decision(section.id, model, other)
        compare(section, model, other, decision)
        if is_open(decision):
            hold_dearer(model.rows[0], other.rows[0])
    for maker in corrections.resold(section.id):
        known = resolved(model.id, *maker)
        if known and "i" in in_force(known).sets[STANDARD].rates:
            if disagreements(in_force(known), model.rows[0]):
                decision = {"take": "litellm", "reason": "it lists what the reseller asks"}
                compare(section, known, model, decision, model.id)
                break
            rows = [copy.deepcopy(row) for row in known.rows]
            for row in rows:
                row.sets = {STANDARD: row.sets[STANDARD]}
            own = dataclasses.replace(model, rows=rows, source="both")
            merge_one(section, own, [model], corrections)
            return own
    model.rows[0].sets = all_completed(model.rows[0])
    return model


def drop_repeated_names(models: list[Model]) -> None:
    """A name belongs to the model that lists it first, as in genai-prices; an id to its own."""
    ids = {model.id for model in models}
    seen: set[str] = set()
    for model in models:
        taken = (seen | ids) - {model.id}
        model.exact = [name for name in model.exact if name not in taken]
        model.stems = [name for name in model.stems if name not in taken]
        seen |= {*model.exact, *model.stems, model.id}


def names(models: list[Model]) -> tuple[dict[str, Model], dict[str, Model]]:
    """Whose name each is, alone and where a snapshot may follow it."""
    exact = {name: model for model in models for name in (model.id, *model.exact)}
    return exact, {stem: model for model in models for stem in model.stems}


def resolved(name: str, exact: dict[str, Model], stems: dict[str, Model]) -> Model | None:
    """The model a name stands for, by the rules of the book."""
    if found := exact.get(name) or stems.get(name):
        return found
    while (shorter := SNAPSHOT.sub("", name)) != name:
        if found := stems.get(shorter):
            return found
        name = shorter
    return None


def with_alarm(
    section: Merged, model: Model, theirs: dict[str, list[Model]], corrections: Corrections
) -> list[Model]:
    """The model with what litellm adds; a name of it that litellm prices otherwise stands alone."""
    if not theirs:
        return [model]
    before = copy.deepcopy(model)
    now = in_force(before)

    strange = {name for name in theirs if disagreements(now, theirs[name][0].rows[0])}
    # An alias that is priced otherwise has perhaps moved on to another model.
    moved = {name for name in strange if name.endswith("-latest") and name != model.id}
    main = min(
        theirs.keys() - moved, default=None, key=lambda n: (n in strange, n != model.id, len(n), n)
    )
    if main:
        merge_one(section, model, theirs[main], corrections)
        note_abilities(model, {name: theirs[name][0].abilities for name in sorted(theirs)})
    split = []
    for name, candidates in theirs.items():
        if name == model.id or name not in strange:
            continue
        if main and not disagreements(theirs[main][0].rows[0], candidates[0].rows[0]):
            continue  # the same disagreement once more
        own = copy.deepcopy(before)
        own.id, own.exact, own.stems = name, [], []
        merge_one(section, own, candidates, corrections)
        model.exact = [other for other in model.exact if other != name]
        model.stems = [other for other in model.stems if other != name]
        model.abilities_by_name.pop(name, None)
        split.append(own)
    return [model, *split]


def merge_one(section: Merged, model: Model, theirs: list[Model], corrections: Corrections) -> None:
    first = theirs[0]
    model.source = "both"
    model.context_window = model.context_window or first.context_window
    model.max_output_tokens = first.max_output_tokens
    uplifts = [other.regional_per_mille for other in theirs if other.regional_per_mille]
    model.regional_per_mille = max(uplifts, default=None)
    model.traits |= first.traits
    model.abilities = first.abilities
    decision = corrections.decision(section.id, model, first)
    row, given = in_force(model), first.rows[0]
    for other in theirs:
        verdict = decision or corrections.decision(section.id, model, other)
        compare(section, model, other, verdict)
        if is_open(verdict):
            hold_dearer(row, other.rows[0])
    if decision and decision["take"] == "litellm":
        since = decision.get("since")
        model.rows = [row for row in model.rows if since]
        model.rows.append(Row(since, sets=all_completed(given), other=row.other))
        return
    fill(row.sets[STANDARD], given.sets[STANDARD])
    for service, own in all_completed(given).items():
        if service not in row.sets and "i" in row.sets[STANDARD].rates:
            row.sets[service] = own
    row.other |= given.other


def note_abilities(model: Model, told: dict[str, str | None]) -> None:
    """Keeps what is told otherwise of a name of the model than of the model itself."""
    for name, letters in told.items():
        if name != model.id and letters is not None and letters != model.abilities:
            model.abilities_by_name[name] = letters
            if name not in model.stems and name not in model.exact:
                model.exact.append(name)


def hold_dearer(row: Row, other: Row) -> None:
    """Keeps another row's prices for reservations, in the tiers where any of them is dearer."""
    for service, own in all_completed(other).items():
        if service in row.sets and is_dearer(row, other, service):
            known = row.alternatives.setdefault(service, own)
            for above in {0, *own.tiers, *known.tiers}:
                rates = known.rates if not above else known.tiers.setdefault(above, {})
                for unit, amount in own.at(above + 1 if above else 0).items():
                    rates[unit] = max(amount, rates.get(unit, amount))


def all_completed(row: Row) -> dict[str, Set]:
    """The prices of every service tier, with what litellm leaves out."""
    standard = row.sets[STANDARD]
    tiers = {service: completed(own, standard) for service, own in row.sets.items()}
    return tiers | {STANDARD: copy.deepcopy(standard)}


def fill(own: Set, theirs: Set) -> None:
    """A unit that only one of the two prices is taken from it; zero says nothing."""
    for unit, amount in theirs.rates.items():
        usual = price(own.rates, unit)
        if unit in own.rates or amount == usual or (not amount and unit != "o"):
            continue
        if unit == "o" and not amount and "i" not in own.rates:
            continue
        own.rates[unit] = amount
        for above in own.tiers:
            if tier := theirs.at(above + 2).get(unit):
                own.tiers[above].setdefault(unit, tier)


def compare(
    section: Merged,
    model: Model,
    other: Model,
    decision: dict[str, Any] | None,
    name: str = "",
) -> None:
    """Notes each price on which a model's present row and another's differ."""
    found = differences(in_force(model), other.rows[0])
    for entry in shown(section.id, name or model.id, found, decision):
        if entry not in section.differences:
            section.differences.append(entry)


def is_open(decision: dict[str, Any] | None) -> bool:
    """Does nobody know who is right?"""
    return not decision or decision["take"] == "neither"


def finish(provider: str, model: Model, corrections: Corrections) -> None:
    """What is set by hand, and what follows from the name."""
    bare = model.id.rsplit("/", 1)[-1]
    if provider in ("openai", "azure"):
        code = next((code for pattern, code in ENCODINGS if pattern.fullmatch(bare)), None)
        if code:
            model.traits.add(code)
            model.prior_per_mille = 1000
    for row in model.rows:
        for own in row.sets.values():
            if NO_OUTPUT.search(model.id) and "i" in own.rates:
                own.rates.setdefault("o", Decimal(0))
            cumulate(simplified(own))
    for fix in corrections.fixes(provider, model.id):
        apply_fix(model, fix)
    for row in model.rows:
        drop_unpriced(provider, model, row, corrections)


def cumulate(own: Set) -> None:
    """A tier holds every price in force there, so that reading one never needs another."""
    own.tiers = {above: own.at(above + 1) for above in own.tiers}


def apply_fix(model: Model, fix: dict[str, Any]) -> None:
    for key, value in fix.items():
        if key == "names":
            continue
        if key == "encoding":
            model.traits.add(value)
        elif value is True and key != "free":
            model.traits.add(key)
        elif key == "cache_write_1h_times_input":
            for own in (own for row in model.rows for own in row.sets.values()):
                own.rates.setdefault("h", value * own.rates["i"])
                for above, rates in own.tiers.items():
                    rates.setdefault("h", value * own.at(above + 1)["i"])
        elif key == "free":
            model.rows = [Row(sets={STANDARD: Set({"i": Decimal(0), "o": Decimal(0)})})]
        elif key in ("prior_per_mille", "max_output_tokens", "image_tokens", "context_window"):
            setattr(model, key, value)
        else:
            sys.exit(f"a correction of `{key}`, which is nothing a model has")


def drop_unpriced(provider: str, model: Model, row: Row, corrections: Corrections) -> None:
    """A row without both prices of tokens has none; zero from a table without words is none."""
    rates = row.sets[STANDARD].rates
    if model.id.endswith(":free") and not rates:
        rates |= {"i": Decimal(0), "o": Decimal(0)}
    local = corrections.given["providers"].get(provider, {}).get("free")
    free = model.id.endswith(":free") or (local and not model.id.endswith("-cloud"))
    silent = model.source == "litellm" and not free and not rates.get("i") and not rates.get("o")
    if "i" not in rates or "o" not in rates or silent:
        row.sets = {STANDARD: Set()}
        row.alternatives = {}
