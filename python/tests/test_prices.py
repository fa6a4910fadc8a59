"""What does it cost? Prices by name, time and tier, the user's own, and a newer book."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import outlay
import pytest
from outlay import Money, Usage, _native

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "core" / "prices" / "book.txt"
THOUSAND = Usage(1000, 1000)


@pytest.fixture(autouse=True)
def own_options() -> Iterator[None]:
    _native.reset_options()
    yield
    _native.reset_options()


def test_the_examples_in_the_docs_print_what_they_say() -> None:
    failed, tried = doctest.testfile(str(ROOT / "docs" / "prices.md"), module_relative=False)
    assert failed == 0
    assert tried > 5


def test_a_charge_keeps_quantity_unit_price_and_version() -> None:
    cached = {"cache_read_input_tokens": 100_000, "cache_creation_input_tokens": 10_000}
    usage = Usage(120_000, 1000, **cached)
    charge = outlay.price("claude-sonnet-4-6-20260218", usage)
    assert (charge.rule, charge.provider, charge.model) == (
        "snapshot",
        "anthropic",
        "claude-sonnet-4-6",
    )
    assert charge.price_version.startswith("20")
    assert charge.lines == [
        ("cache_write", 10_000, Money("3.75")),
        ("cache_read", 100_000, Money("0.30")),
        ("input", 10_000, Money(3)),
        ("output", 1000, Money(15)),
    ]
    by_hand = sum(quantity * each.usd / 10**6 for _, quantity, each in charge.lines)
    assert charge.total.usd == by_hand == Decimal("0.1125")
    assert charge.input + charge.output == charge.total
    assert charge.fees == Money(0)


def test_searches_are_fees() -> None:
    charge = outlay.price("claude-opus-4-8", Usage(0, 0, web_searches=3))
    assert charge.fees == charge.total == Money("0.03")
    assert charge.lines == [("web_search", 3, Money("0.01"))]


def test_a_price_is_of_its_time() -> None:
    before, after = date(2026, 8, 20), date(2026, 8, 21)
    usage = Usage(1000, 0)
    assert outlay.price("gpt-5.6", usage, at=before).total == Money("0.005")
    assert outlay.price("gpt-5.6", usage, at=after).total == Money("0.004")
    midnight = datetime(2026, 8, 21)
    assert outlay.price("gpt-5.6", usage, at=midnight).total == Money("0.004")
    west = timezone(timedelta(hours=-5))
    late = datetime(2026, 8, 20, 19, 30, tzinfo=west)
    assert outlay.price("gpt-5.6", usage, at=late).total == Money("0.004")
    assert outlay.price("gpt-5.6", usage, at=datetime(1960, 1, 1)).total == Money("0.005")


def test_a_price_is_of_its_hour() -> None:
    peak = datetime(2026, 11, 20, 8, 0, tzinfo=timezone.utc)
    usage = Usage(1_000_000, 0)
    assert outlay.price("deepseek-v4-pro", usage, at=peak).total == Money("1.32")
    night = peak.replace(hour=12)
    assert outlay.price("deepseek-v4-pro", usage, at=night).total == Money("0.66")


def test_the_provider_is_given_apart_or_before_the_name() -> None:
    anthropic = outlay.price("claude-sonnet-4-6", THOUSAND)
    bedrock = outlay.price("us.anthropic.claude-sonnet-4-6", THOUSAND, provider="bedrock")
    assert bedrock.provider == "aws"
    assert bedrock.total > anthropic.total
    same = outlay.price("bedrock/us.anthropic.claude-sonnet-4-6", THOUSAND, None)
    assert same.total == bedrock.total
    assert outlay.price("ollama/llama3.1:8b", THOUSAND).total == Money(0)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-foo", None),
        ("gpt-4o-2024-08-06x", None),
        ("gpt-4o", "nobody"),
        ("azure/my-deployment", None),
        ("fal_ai/fal-ai/flux-pro/v1.1", None),
        ("", None),
    ],
)
def test_no_neighbour_has_its_price(model: str, provider: str | None) -> None:
    with pytest.raises(outlay.Unpriced):
        outlay.price(model, THOUSAND, provider)


def test_a_service_tier_has_its_price_or_none() -> None:
    standard = outlay.price("gpt-5", THOUSAND).total.usd
    for tier, times in [("flex", "0.5"), ("batch", "0.5"), ("priority", "2"), ("default", "1")]:
        charge = outlay.price("gpt-5", THOUSAND, service_tier=tier)
        assert charge.total.usd == standard * Decimal(times), tier
    with pytest.raises(outlay.Unpriced):
        outlay.price("gpt-3.5-turbo", THOUSAND, service_tier="priority")
    with pytest.raises(outlay.InvalidInput):
        outlay.price("gpt-5", THOUSAND, service_tier="warp")


@pytest.mark.parametrize("at", ["2026-01-01", 5, 1.5])
def test_what_is_no_time_is_refused(at: object) -> None:
    with pytest.raises(outlay.InvalidInput):
        outlay.price("gpt-4o", THOUSAND, at=at)  # type: ignore[arg-type]


def test_the_users_prices_win() -> None:
    list_price = outlay.price("claude-opus-5", THOUSAND)
    outlay.configure(
        prices={
            "azure/prod": {"as": "azure/gpt-4o"},
            "anthropic/*": {"discount": "15%"},
            "house-7b": {"input": 0, "output": "0.20"},
        }
    )
    assert outlay.price("azure/prod", THOUSAND).rule == "yours"
    assert outlay.price("prod", THOUSAND, provider="azure").total == Money("0.0125")
    ours = outlay.price("claude-opus-5", THOUSAND)
    assert ours.total.usd == list_price.total.usd * Decimal("0.85")
    assert ours.price_version != list_price.price_version
    assert outlay.price("house-7b", THOUSAND).total == Money("0.0002")
    for wrong in [{"discount": 15}, {"discount": "101%"}, {"as": "gpt-4o-foo"}]:
        with pytest.raises(outlay.InvalidInput):
            outlay.configure(prices={"m": wrong})


def command(*words: str, book: Path) -> subprocess.CompletedProcess[str]:
    """The command line, and the Python behind it, with a price book of the user's own."""
    environment = os.environ | {"OUTLAY_CONFIG": os.devnull, "OUTLAY_PRICES": str(book)}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )


def test_a_newer_book_is_used_by_those_that_start_later(tmp_path: Path) -> None:
    own, newer = tmp_path / "own" / "prices.txt", tmp_path / "book.txt"
    text = BOOK.read_text(encoding="utf-8")
    head, rest = text.split("\n", 1)
    name = head.split("\t")[1]
    rest = rest.replace("\ndavinci\t", "\ndavinci\t\ti1 o1\ndavinci-001\t", 1)
    newer.write_text(head.replace(name, "2099-01-01") + "\n" + rest, encoding="utf-8")
    ask = ["-c", "import outlay; print(outlay.price('davinci', outlay.Usage(1000, 0)).total)"]
    assert command(*ask, book=own).stdout == "0.02 USD\n"

    update = command("-m", "outlay", "prices", "update", str(newer), book=own)
    assert (update.returncode, update.stderr) == (0, "")
    assert "prices of 2099-01-01" in update.stdout
    assert command(*ask, book=own).stdout == "0.001 USD\n"
    assert own.stat().st_mode & 0o777 == 0o600
    diff = command("-m", "outlay", "prices", "diff", book=own)
    assert "davinci" in diff.stdout
    show = command("-m", "outlay", "prices", "show", "davinci", book=own)
    assert "prices of 2099-01-01" in show.stdout

    older = command("-m", "outlay", "prices", "update", str(BOOK), book=own)
    assert (older.returncode, older.stdout) == (1, "")
    assert command(*ask, book=own).stdout == "0.001 USD\n"
    own.write_text("{}", encoding="utf-8")
    assert "is no price book" in command(*ask, book=own).stderr
