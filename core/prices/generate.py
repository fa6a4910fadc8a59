"""Writes the bundled price files from two packages and our corrections.

    python -m pip install genai-prices==0.2.3 && python -m pip install --no-deps litellm==1.106.2
    python core/prices/generate.py

Prices, effective dates, context windows and names come from genai-prices (MIT); the largest output
and the reasoning flag come from the table in litellm (MIT); corrections.json wins over both. Prices
are whole pico-USD per token, fees whole nano-USD. What the files cannot carry is listed in them.
Running it again with the same pins gives the same bytes.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import importlib.util
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = {"genai-prices": "0.2.3", "litellm": "1.106.2"}
TAKEN = "2026-11-22"
PICO_PER_TOKEN = 10**6  # of one USD per million tokens
NANO_APIECE = 10**6  # of one USD per thousand requests

RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "cache_audio_read_mtok": "cache_audio_read",
    "cache_image_read_mtok": "cache_image_read",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
FEES = {"requests_kcount": "request", "web_searches_kcount": "web_search"}
FACTS = (
    "context_window",
    "max_output_tokens",
    "reasoning",
    "thinks_on_request",
    "encoding",
    "prior_per_mille",
    "exact_frames",
    "image_tokens",
    "unreported_searches",
)
# tiktoken's own table of prefixes (tiktoken/model.py 0.14), as far as the priced models reach.
ENCODINGS = [
    (re.compile(r"(o1|o3|o4-mini|gpt-5|gpt-4\.5|gpt-4\.1|chatgpt-4o|gpt-4o)([-.].*)?$"), "o200k"),
    (re.compile(r"ft:gpt-4o.*"), "o200k"),
    (re.compile(r"(gpt-4|gpt-3\.5|gpt-3\.5-turbo|ft:gpt-3\.5-turbo)(-.*)?$"), "cl100k"),
    (re.compile(r"(davinci|babbage)-002$|text-embedding-.*"), "cl100k"),
]


def main() -> None:
    """Writes one file per provider beside this script."""
    for package, pin in PINS.items():
        if (found := importlib.metadata.version(package)) != pin:
            sys.exit(f"{package} {found} is installed, the files are made from {pin}")
    from genai_prices.data import providers

    limits = json.loads(litellm_table().read_text())
    corrections = json.loads((HERE / "corrections.json").read_text())
    unused = {index for index, _ in enumerate(corrections["models"])}
    for provider in providers:
        if provider.id not in corrections["providers"]:
            continue
        table = provider_table(provider, limits, corrections, unused)
        write(HERE / f"{provider.id}.json", table)
        print(f"{provider.id}: {len(table['models'])} models, skipped {len(table['skipped'])}")
    if unused:
        sys.exit(
            f"corrections that fit no model: {[corrections['models'][i]['ids'] for i in unused]}"
        )


def litellm_table() -> Path:
    # Importing litellm itself asks the network for a newer table.
    spec = importlib.util.find_spec("litellm")
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json"


def provider_table(provider: Any, limits: dict, corrections: dict, unused: set[int]) -> dict:
    given = corrections["providers"][provider.id]
    models, skipped, left_out = [], {}, set()
    for model in provider.models:
        fixes = []
        for index, fix in enumerate(corrections["models"]):
            if fix["provider"] == provider.id and any(
                fnmatch.fnmatchcase(model.id, i) for i in fix["ids"]
            ):
                unused.discard(index)
                fixes.append(fix["set"])
        entry = {"id": model.id, **names(model), **facts(model, limits)}
        entry["prices"] = [row(rate, fixes, left_out) for rate in dated(model)]
        for fix in fixes:
            entry.update({key: fix[key] for key in FACTS if key in fix})
            entry["names"] = entry["names"] + fix.get("names", [])
        missing = [k for k in ("input", "output") for r in entry["prices"] if k not in r["rates"]]
        if missing:
            units = sorted(dated(model)[-1][1])
            skipped[model.id] = (
                f"no price of {missing[0]} tokens; priced by {', '.join(units) or 'nothing'}"
            )
        else:
            models.append(
                {key: value for key, value in entry.items() if value not in ([], None, False)}
            )
    check_unique(provider.id, models)
    return {
        "provider": provider.id,
        "aliases": given["aliases"],
        "automatic_cache_writes": given["automatic_cache_writes"],
        "source": [f"{package} {pin}" for package, pin in PINS.items()]
        + (provider.pricing_urls or []),
        "checked": TAKEN,
        "left_out": sorted(left_out | {"price_variants"}),
        "skipped": skipped,
        "models": models,
    }


def names(model: Any) -> dict[str, list[str]]:
    """The matching rules, narrowed: a stem is a name that may be followed by a snapshot only."""
    exact, stems, prefixes = [], [], []
    for kind, text in clauses(model.match):
        text = text.lower()
        if text.startswith("ft:") or text.endswith(".ft-"):
            (exact if kind == "Equals" else prefixes).append(text)
        elif kind in ("Equals", "EndsWith"):
            exact.append(text.rsplit("/", 1)[-1])
        else:
            stems.append(re.sub(r"(-20\d\d|[-@]0?)$", "", text))
    stems = [stem for stem in dict.fromkeys(stems) if stem not in ("moderation", "claude-2")]
    exact = [name for name in dict.fromkeys(exact) if name not in stems]
    return {"names": exact, "stems": stems, "prefixes": prefixes}


def clauses(match: Any) -> list[tuple[str, str]]:
    kind = type(match).__name__.removeprefix("Clause")
    if kind == "Or":
        return [pair for clause in match.or_ for pair in clauses(clause)]
    if kind == "And":
        first, second = match.and_
        # "starts with X but is no speech model": a stem never matches a speech model.
        if type(second).__name__ == "ClauseRegex" and "[tT][tT][sS]" in second.regex:
            return clauses(first)
    elif kind == "Regex":
        if snapshot := re.fullmatch(
            r"\^((?:[\w-]|\\\.)+?)(-|\[-@\])(\\d|\\d\{8\}\$|\\d\{4\}-.*)", match.regex
        ):
            return [("StartsWith", snapshot.group(1).replace("\\.", "."))]
    else:
        return [(kind, next(iter(vars(match).values())))]
    sys.exit(f"a matching rule nobody has judged yet: {match}")


def dated(model: Any) -> list[tuple[str | None, dict[str, Any]]]:
    rows = model.prices if isinstance(model.prices, list) else [model]
    result = []
    for entry in rows:
        constraint = getattr(entry, "constraint", None)
        if constraint is not None and type(constraint).__name__ != "StartDateConstraint":
            sys.exit(f"{model.id}: a constraint nobody has judged yet: {constraint}")
        since = constraint.start_date.isoformat() if constraint else None
        result.append((since, {k: v for k, v in vars(entry.prices).items() if v is not None}))
    if [since or "" for since, _ in result] != sorted(since or "" for since, _ in result):
        sys.exit(f"{model.id}: dated prices are out of order")
    return result


def row(
    entry: tuple[str | None, dict[str, Any]], fixes: list[dict], left_out: set[str]
) -> dict[str, Any]:
    since, prices = entry
    rates: dict[str, int] = {}
    fees: dict[str, int] = {}
    tiers: dict[int, dict[str, int]] = {}
    for key, price in prices.items():
        if name := RATES.get(key):
            rates[name] = integer(getattr(price, "base", price), PICO_PER_TOKEN)
            for tier in getattr(price, "tiers", []):
                tiers.setdefault(tier.start, {})[name] = integer(tier.price, PICO_PER_TOKEN)
        elif name := FEES.get(key):
            fees[name] = integer(price, NANO_APIECE)
        else:
            left_out.add(key)
    for fix in fixes:
        rates.update({key: fix[key] for key in RATES.values() if key in fix})
        if (times := fix.get("cache_write_1h_times_input")) and "cache_write_1h" not in rates:
            rates["cache_write_1h"] = times * rates["input"]
            for tier in tiers.values():
                tier["cache_write_1h"] = times * tier["input"]
    result = {"from": since, "rates": rates, **fees}
    # A tier holds every price, so that reading one never needs another.
    result["tiers"] = [
        {"above": start, "rates": rates | tier} for start, tier in sorted(tiers.items())
    ]
    return {key: value for key, value in result.items() if value not in ([], None)}


def integer(price: Decimal, scale: int) -> int:
    scaled = price * scale
    # Half a pico-USD a token can only be rounded up: a reservation must not be too small.
    return int(scaled.to_integral_value(rounding="ROUND_CEILING"))


def facts(model: Any, limits: dict) -> dict[str, Any]:
    listed = [model.id, *[text for _, text in clauses(model.match)]]
    found = next(
        (limits[name] for name in listed if "max_output_tokens" in limits.get(name, {})), {}
    )
    encoding = next((code for pattern, code in ENCODINGS if pattern.fullmatch(model.id)), None)
    return {
        "context_window": model.context_window,
        "max_output_tokens": found.get("max_output_tokens") or None,
        "reasoning": bool(found.get("supports_reasoning")),
        "encoding": encoding,
        "prior_per_mille": 1000 if encoding else None,
    }


def check_unique(provider: str, models: list[dict]) -> None:
    seen: dict[str, str] = {}
    for model in models:
        for name in {
            model["id"],
            *model.get("names", []),
            *model.get("stems", []),
            *model.get("prefixes", []),
        }:
            if (other := seen.setdefault(name, model["id"])) != model["id"]:
                sys.exit(f"{provider}: `{name}` names both {other} and {model['id']}")


def write(path: Path, table: dict) -> None:
    """One model a line, so that a change of prices is a readable difference."""
    models = table.pop("models")
    head = json.dumps(table, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(model, separators=(",", ":")) for model in models)
    path.write_text(f'{head},\n "models": [\n{lines}\n ]\n}}\n')
    table["models"] = models


if __name__ == "__main__":
    main()
