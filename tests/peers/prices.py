"""Who knows what a call costs? Price tables side by side.

    python tests/peers/prices.py [--outlay-python PATH] [--json FILE]

Each package answers in a fresh process of its own environment: how many of the models that the two
public tables list it has a price of; what it says on the cases below; the CPU time of one answer.
The cases are those where tables disagree or a name misleads. Their answers come from the page
each one names, read by hand or cited by one of the tables, and from no package's own arithmetic.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from table import _table
from venvs import python_of

HERE = Path(__file__).resolve()
REQUIREMENTS = {
    "genai-prices": ("genai-prices==0.2.3",),
    "litellm": ("litellm==1.106.2",),
    "tokencost": ("tokencost==0.1.26",),
}
ROUNDS = 15
PER_ROUND = 200


class Case(NamedTuple):
    """A usage of a thousand tokens of each kind named, and what it costs; None is a refusal."""

    what: str
    provider: str
    model: str
    tokens: dict[str, int]
    usd: str | None
    tier: str | None = None
    at: str | None = None


# What our usages call some kinds of tokens.
OURS = {
    "cache_read": "cache_read_input_tokens",
    "cache_write_1h": "cache_creation_1h_input_tokens",
}


def _kilo(*kinds: str) -> dict[str, int]:
    return dict.fromkeys(("input", *kinds), 1000)


CASES = (
    Case("plain", "openai", "gpt-4o", _kilo("output"), "0.0125"),
    Case("dated name", "anthropic", "claude-sonnet-4-6-20260218", _kilo("output"), "0.018"),
    Case("cached input", "anthropic", "claude-haiku-4-5", _kilo("cache_read"), "0.0001"),
    Case("cache write, 1 h", "anthropic", "claude-haiku-4-5", _kilo("cache_write_1h"), "0.002"),
    Case("flex", "openai", "gpt-5", _kilo("output"), "0.005625", "flex"),
    Case("priority", "openai", "gpt-5", _kilo("output"), "0.0225", "priority"),
    Case("before a price cut", "openai", "gpt-5.6", _kilo("output"), "0.035", at="2026-08-20"),
    Case("alias that moved", "mistral", "mistral-large-latest", _kilo("output"), "0.002"),
    Case("cached, Mistral", "mistral", "codestral-latest", _kilo("cache_read"), "0.00003"),
    Case("discount that ended", "deepseek", "deepseek-chat", _kilo("output"), "0.0007"),
    Case("audio input", "openai", "gpt-4o-audio-preview-2024-12-17", _kilo("input_audio"), "0.04"),
    Case("fine-tune", "openai", "ft:gpt-4o-2024-08-06:acme::id", _kilo("output"), "0.01875"),
    Case("Bedrock, global", "bedrock", "global.anthropic.claude-opus-5", _kilo("output"), "0.03"),
    Case("on this machine", "ollama", "llama3.1:8b", _kilo("output"), "0"),
    Case("neighbour", "openai", "gpt-4o-foo", _kilo("output"), None),
    Case("neighbour", "anthropic", "claude-opus-5-turbo", _kilo("output"), None),
    Case("neighbour", "deepseek", "deepseek-r1-distill-llama-70b", _kilo("output"), None),
)


def _time(case: Case) -> datetime | None:
    return datetime.fromisoformat(case.at).replace(tzinfo=timezone.utc) if case.at else None


def _outlay() -> Callable[[Case], object]:
    outlay: Any = importlib.import_module("outlay")

    def price(case: Case) -> object:
        more = {OURS.get(kind, f"{kind}_tokens"): count for kind, count in case.tokens.items()}
        if hour := case.tokens.get("cache_write_1h"):
            more["cache_creation_input_tokens"] = hour
        usage = outlay.Usage(**more)
        provider = case.provider or None
        charge = outlay.price(case.model, usage, provider, _time(case), service_tier=case.tier)
        return charge.total.usd

    return price


def _genai() -> Callable[[Case], object]:
    genai: Any = importlib.import_module("genai_prices")

    def price(case: Case) -> object:
        count = dict(case.tokens)
        if "cache_write_1h" in count:
            count["cache_write"] = count["cache_write_1h"]
        usage = genai.Usage(**{f"{kind}_tokens": tokens for kind, tokens in count.items()})
        context = {"service_tier": case.tier} if case.tier else None
        return genai.calc_price(
            usage,
            case.model,
            provider_id=case.provider or None,
            genai_request_timestamp=_time(case),
            price_context=context,
        ).total_price

    return price


def _litellm() -> Callable[[Case], object]:
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    types: Any = importlib.import_module("litellm.types.utils")

    def price(case: Case) -> object:
        count = case.tokens
        hour = count.get("cache_write_1h", 0)
        details = types.PromptTokensDetailsWrapper(
            cached_tokens=count.get("cache_read", 0),
            audio_tokens=count.get("input_audio", 0),
            cache_creation_tokens=hour,
            cache_creation_token_details=types.CacheCreationTokenDetails(
                ephemeral_1h_input_tokens=hour
            )
            if hour
            else None,
        )
        usage = types.Usage(
            prompt_tokens=count["input"],
            completion_tokens=count.get("output", 0),
            prompt_tokens_details=details,
        )
        name = f"{case.provider}/{case.model}" if case.provider else case.model
        return sum(litellm.cost_per_token(model=name, usage_object=usage, service_tier=case.tier))

    return price


def _tokencost() -> Callable[[Case], object]:
    tokencost: Any = importlib.import_module("tokencost")

    def price(case: Case) -> object:
        for name in (case.model, f"{case.provider}/{case.model}"):
            try:
                return _sum(tokencost.calculate_cost_by_tokens, name, case.tokens)
            except KeyError as error:
                failed = error
        raise failed

    return price


def _sum(price: Any, name: str, count: dict[str, int]) -> Decimal:
    cached = count.get("cache_read", 0)
    parts = [(count["input"] - cached, "input"), (count.get("output", 0), "output")]
    parts += [(cached, "cached")] if cached else []
    total: Decimal = sum((price(tokens, name, kind) for tokens, kind in parts), Decimal(0))
    return total


PEERS: dict[str, Callable[[], Callable[[Case], object]]] = {
    "outlay": _outlay,
    "genai-prices": _genai,
    "litellm": _litellm,
    "tokencost": _tokencost,
}


def probe(name: str, lists: Path) -> dict[str, Any]:
    """What one package says; runs in its own environment."""
    price = PEERS[name]()
    answers: list[str | None] = []
    for case in CASES:
        try:
            answers.append(f"{Decimal(str(price(case))).normalize():f}")
        except Exception:
            answers.append(None)
    known = {
        table: sum(_knows(price, provider, model) for provider, model in names)
        for table, names in json.loads(lists.read_text()).items()
    }
    return {"answers": answers, "known": known, "cpu_us": _cpu_us(price)}


def _knows(price: Callable[[Case], object], provider: str, model: str) -> bool:
    """Has it an answer, in any of the ways it may be asked?"""
    head, _, rest = model.partition("/")
    ways = [(provider, model), ("", f"{provider}/{model}" if provider else model), ("", model)]
    for way in [*ways, (head, rest)]:
        try:
            if price(Case("", *way, _kilo("output"), "")) is not None:
                return True
        except Exception:  # every package has its own
            continue
    return False


def _cpu_us(price: Callable[[Case], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(PER_ROUND):
            price(CASES[0])
        rounds.append((time.thread_time_ns() - start) / PER_ROUND / 1000)
    return round(statistics.median(rounds), 2)


LISTS = """
import importlib.util, json, sys
from pathlib import Path
if sys.argv[1] == "genai-prices":
    from genai_prices.data import providers
    names = [(p.id, m.id) for p in providers for m in p.models]
else:
    folder = Path(importlib.util.find_spec("litellm").submodule_search_locations[0])
    table = json.loads((folder / "model_prices_and_context_window_backup.json").read_text())
    names = [("", key) for key, entry in table.items() if entry.get("input_cost_per_token")]
print(json.dumps(names))
"""


def main() -> None:
    """Reads the command line; with ``--probe`` answers for one package."""
    parser = argparse.ArgumentParser(description="Compare price tables.")
    parser.add_argument("--outlay-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer to FILE")
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        print(json.dumps(probe(options.probe[0], Path(options.probe[1]))))
        return
    pythons = {name: str(python_of(name, needs)) for name, needs in REQUIREMENTS.items()}
    pythons = {"outlay": options.outlay_python} | pythons
    lists = {
        name: json.loads(_run([pythons[name], "-c", LISTS, name]))
        for name in ("genai-prices", "litellm")
    }
    file = Path(python_of("litellm", REQUIREMENTS["litellm"])).parents[2] / "price-lists.json"
    file.write_text(json.dumps(lists))
    found = {
        name: json.loads(_run([python, str(HERE), "--probe", name, str(file)]))
        for name, python in pythons.items()
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(render(found, {name: len(names) for name, names in lists.items()}))


def _run(command: list[str]) -> str:
    # Without this, importing litellm asks a public host for prices.
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def render(found: dict[str, Any], sizes: dict[str, int]) -> str:
    """The table, with a row per package and one per case."""
    names = list(found)
    rows = [
        [f"of {size} models of {table}", "", *(str(found[n]["known"][table]) for n in names)]
        for table, size in sizes.items()
    ]
    wrong = dict.fromkeys(names, 0)
    for at, case in enumerate(CASES):
        cells = []
        for name in names:
            answer = found[name]["answers"][at]
            right = _right(answer, case.usd)
            wrong[name] += not right
            cells.append(("" if right else "! ") + (answer or "refused"))
        rows.append([f"{case.what}: {case.model}", case.usd or "refused", *cells])
    rows.append(["wrong", "", *(str(wrong[name]) for name in names)])
    rows.append(["CPU us per price", "", *(f"{found[name]['cpu_us']:.2f}" for name in names)])
    title = "Prices in USD for 1,000 tokens of each kind; ! is not what it costs"
    return _table(title, ["", "right", *names], rows)


def _right(answer: str | None, usd: str | None) -> bool:
    if answer is None or usd is None:
        return answer is usd
    return abs(Decimal(answer) - Decimal(usd)) <= Decimal("1e-9")


if __name__ == "__main__":
    main()
