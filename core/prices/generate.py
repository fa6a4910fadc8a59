"""Writes the price book from two packages and our corrections.

    python -m pip install genai-prices==0.2.3 && python -m pip install --no-deps litellm==1.106.2
    python core/prices/generate.py

Models, prices and the dates they hold from come from genai-prices (MIT). The table in litellm
(MIT) adds the models, units and service tiers that are not there (but no keys of image sizes), and
is the alarm: where they disagree, `disagreements.txt` says so, and `corrections.json` decides, with
a reason. What nobody has decided is charged by genai-prices and reserved by the dearer of the two.
Running it again with the same pins gives the same bytes. `core/src/meter/price/table.rs` and
`row.rs` say how the book reads.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from merge import Corrections, Merged, merged
from sources import STANDARD, Model, genai_models, litellm_model, litellm_table
from verdicts import TODAY
from writing import line

HERE = Path(__file__).parent
PINS = {"genai-prices": "0.2.3", "litellm": "1.106.2"}


def main() -> None:
    """Writes `book.txt` and `disagreements.txt` beside this script."""
    for package, pin in PINS.items():
        if (found := importlib.metadata.version(package)) != pin:
            sys.exit(f"{package} {found} is installed, the book is made from {pin}")
    from genai_prices.data import providers

    corrections = Corrections(HERE / "corrections.json")
    theirs = by_provider(litellm_table(), corrections)
    corrections.genai = {provider.id: genai_models(provider) for provider in providers}
    sections: list[Merged] = []
    for provider in providers:
        known = theirs.pop(provider.id, {})
        sections.append(merged(provider.id, genai_models(provider), known, corrections))
    sections += [merged(name, [], known, corrections) for name, known in sorted(theirs.items())]
    corrections.check_used()
    book = "".join(written(sections, corrections))
    (HERE / "book.txt").write_text(book)
    differences = [difference for section in sections for difference in section.differences]
    (HERE / "disagreements.txt").write_text(listed(differences))
    models = sum(len(section.models) for section in sections)
    print(f"{len(sections)} providers, {models} models, {len(book)} bytes")
    undecided = sum(told.startswith("undecided") for *_, told in differences)
    print(f"{len(differences)} disagreements, {undecided} of them undecided")


def by_provider(
    table: dict[str, dict[str, Any]], corrections: Corrections
) -> dict[str, dict[str, list[Model]]]:
    """litellm's entries by our provider and the name behind its prefix, the preferred first."""
    found: dict[str, dict[str, list[tuple[bool, int, Model]]]] = {}
    for key, entry in table.items():
        # Vertex AI has a provider there for each maker and each kind of its models.
        own = re.sub(r"(?<=^vertex_ai)-.*|-models$", "", entry["litellm_provider"])
        provider, rank = corrections.provider_of(own)
        head, _, rest = key.partition("/")
        name = rest if rest and corrections.provider_of(head)[0] == provider else key
        name = name.removeprefix("models/")
        model = litellm_model(name, entry)
        if entry.get("mode") in ("embedding", "rerank", "moderation"):
            model.rows[0].sets[STANDARD].rates.setdefault("o", Decimal(0))
        rates = model.rows[0].sets[STANDARD].rates
        silent = not rates.get("i") and not rates.get("o")
        found.setdefault(provider, {}).setdefault(name, []).append((silent, rank, model))
    return {
        provider: {
            name: [model for *_, model in sorted(models, key=lambda found: found[:2])]
            for name, models in sorted(names.items())
        }
        for provider, names in found.items()
    }


def written(sections: list[Merged], corrections: Corrections) -> Iterable[str]:
    """The book: a head, then each provider with its names in the order of their bytes."""
    sources = ", ".join(f"{package} {pin} (MIT)" for package, pin in PINS.items())
    yield f"outlay prices 1\t{TODAY}\t{sources}, corrections.json\n"
    order = corrections.makers
    rank = {name: index for index, name in enumerate(order)}
    for section in sorted(sections, key=lambda s: (rank.get(s.id, len(order)), s.id)):
        yield corrections.heading(section.id)
        lines = [text for model in section.models for text in line(model)]
        names = [text.partition("\t")[0] for text in lines]
        if len(names) != len(set(names)):
            twice = sorted({name for name in names if names.count(name) > 1})
            sys.exit(f"{section.id}: two models have the name {twice}")
        yield from sorted(lines, key=lambda text: text.partition("\t")[0].encode())


def listed(differences: list[tuple[str, ...]]) -> str:
    """One line per price on which the sources disagree."""
    head = "provider\tmodel\tunit\tgenai-prices\tlitellm\tcharged by\n"
    return head + "".join("\t".join(row) + "\n" for row in sorted(differences))


if __name__ == "__main__":
    main()
