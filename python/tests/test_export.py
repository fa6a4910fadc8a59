"""The ledger as files: what Python makes of what the core writes, and FOCUS's own rules."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import outlay
import pytest

# From the specification, FOCUS 1.2: columns that must be there, and must not be null.
MANDATORY = {
    "BilledCost": True,
    "BillingAccountId": True,
    "BillingAccountName": False,
    "BillingCurrency": True,
    "BillingPeriodEnd": True,
    "BillingPeriodStart": True,
    "ChargeCategory": True,
    "ChargeClass": False,
    "ChargeDescription": False,
    "ChargePeriodEnd": True,
    "ChargePeriodStart": True,
    "ContractedCost": True,
    "EffectiveCost": True,
    "InvoiceIssuerName": True,
    "ListCost": True,
    "PricingQuantity": True,
    "PricingUnit": True,
    "ProviderName": True,
    "PublisherName": True,
    "ServiceCategory": True,
    "ServiceName": True,
}
# Must not be null for usage, by what a seller of tokens supports.
CONDITIONAL = {
    "ConsumedQuantity",
    "ConsumedUnit",
    "ListUnitPrice",
    "PricingCategory",
    "SkuId",
    "SkuPriceId",
}


@pytest.fixture
def store(tmp_path: Path) -> str:
    store = f"sqlite:{tmp_path / 'ledger.db'}"
    usage = outlay.Usage(1000, 107, cache_read_input_tokens=300, reasoning_output_tokens=7)
    for number, model in enumerate(("gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash-lite")):
        tags = {"tenant": "acme", "user": f"=u{number}"}
        with outlay.task('=refund, "x"', usd=1, tags=tags, store=store) as task:
            call = task.reserve(model=model, input_tokens=2000, max_output_tokens=500)
            call.settle(usage)
            task.tool_call("search")
    return store


def exported(store: str, path: Path) -> list[dict[str, str]]:
    told = outlay.export("focus", path, store=store, account="1234")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert told.rows == len(rows) > 0
    assert sum(Decimal(row["BilledCost"]) for row in rows) == told.settled.usd
    return rows


def test_focus_has_what_the_specification_asks_for(store: str, tmp_path: Path) -> None:
    for row in exported(store, tmp_path / "focus.csv"):
        for name, must in MANDATORY.items():
            assert name in row
            assert row[name] or not must, name
        for name in CONDITIONAL:
            assert row[name], name
        assert all(name in MANDATORY or name[0].isupper() or name.startswith("x_") for name in row)
        assert row["BillingAccountId"] == "1234"
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
        assert json.loads(row["Tags"])["tenant"] == "acme"
        quantity = Decimal(row["PricingQuantity"])
        assert quantity * Decimal(row["ListUnitPrice"]) == Decimal(row["ListCost"])


@pytest.mark.skipif(find_spec("focus_validator") is None, reason="focus-validator is not installed")
def test_the_published_validator_finds_only_the_invoice(store: str, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    exported(store, path)
    spec = find_spec("focus_validator")
    assert spec is not None and spec.origin is not None
    supported = "PUBLIC_PRICE_LIST,UNIT_PRICING,USAGE_MEASUREMENT,TAGGING,NEGOTIATED_PRICING"
    criteria = ",".join(f"{word}_SUPPORTED" for word in supported.split(","))
    words = ["-m", "focus_validator.main", "--data-file", str(path), "--validate-version", "1.2"]
    words += ["--block-download", "--applicability-criteria", criteria]
    # It looks for its own files from where it is installed.
    folder = Path(spec.origin).parent.parent
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    failed = {line.split()[1] for line in done.stdout.splitlines() if ": FAIL" in line}
    assert "BilledCost" in done.stdout
    assert {rule.partition("-")[0] for rule in failed} <= {"InvoiceId"}


def test_entries_are_lines_of_json(store: str, tmp_path: Path) -> None:
    path = tmp_path / "entries.jsonl"
    path.write_text("what was there", encoding="utf-8")
    path.chmod(0o644)
    if os.name == "posix":
        with path.open(encoding="utf-8") as before:
            told = outlay.export("jsonl", path, store=store)
            assert before.read() == "what was there", "it is replaced, not written over"
    else:
        told = outlay.export("jsonl", path, store=store)
    assert list(tmp_path.glob("entries*")) == [path]
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    settled = sum(entry["usd"] for entry in entries if entry["kind"] in ("settled", "corrected"))
    assert (len(entries), settled) == (told.rows, told.settled.nanos)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    assert str(told) == f"{told.rows} rows, {told.settled} settled"


def test_what_cannot_be_is_refused(store: str, tmp_path: Path) -> None:
    with pytest.raises(outlay.InvalidInput, match="is none of `focus`"):
        outlay.export("xml", tmp_path / "x", store=store)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(outlay.InvalidInput, match="is no time"):
        outlay.export("csv", tmp_path / "x", since="yesterday", store=store)
    with pytest.raises(outlay.InvalidInput, match="cannot be written"):
        outlay.export("csv", tmp_path / "none" / "x", store=store)
    assert not (tmp_path / "x").exists()
