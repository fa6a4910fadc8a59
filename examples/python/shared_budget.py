"""A budget over tasks: all that run for one tenant, in every process that uses the same ledger.

Run it with ``python examples/python/shared_budget.py``. Prints::

    refund may use 0.30 USD
    refund was charged 0.20 USD
    triage may use 0.10 USD
    triage is refused by budget `tenant=acme`: 0.20 USD requested, 0.20 USD of 0.30 USD spent
    triage was charged 0.05 USD
    globex may use 1.00 USD
    tenant=acme: 0.25 USD in 2 calls
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import outlay


def main() -> None:
    """Spends under three tasks of two tenants."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:{Path(folder) / 'ledger.db'}"
        # Declared once, for every process; declaring it again with the same limit is no change.
        outlay.budget(tags={"tenant": "acme"}, usd=0.30, window="month", store=store)
        spend(store)
        for row in outlay.report("tag:tenant", store=store).rows:
            print(f"tenant={row.key}: {row.spent} in {row.calls} calls")


def spend(store: str) -> None:
    """Lets two tasks use up what the tenant has."""
    acme = {"tenant": "acme"}
    with outlay.task("refund", usd=0.50, tags=acme, store=store) as refund:
        # The least of what its own limit and the tenant's leave.
        print(f"refund may use {refund.available}")
        call = refund.reserve(model="gpt-4o", input_tokens=40_000, max_output_tokens=10_000)
        settled = call.settle(outlay.Usage(input_tokens=40_000, output_tokens=10_000))
        print(f"refund was charged {settled.charge}")

    with outlay.task("triage", usd=0.50, tags=acme, store=store) as triage:
        print(f"triage may use {triage.available}")
        try:
            triage.reserve(model="gpt-4o", input_tokens=40_000, max_output_tokens=10_000)
        except outlay.BudgetExceeded as refusal:
            print(
                f"triage is refused by {refusal.budget}: {refusal.requested} requested,"
                f" {refusal.spent} of {refusal.limit} spent"
            )
        call = triage.reserve(model="gpt-4o", input_tokens=16_000, max_output_tokens=2_000)
        settled = call.settle(outlay.Usage(input_tokens=16_000, output_tokens=1_000))
        print(f"triage was charged {settled.charge}")

    with outlay.task("refund", usd=1.00, tags={"tenant": "globex"}, store=store) as other:
        print(f"globex may use {other.available}")


if __name__ == "__main__":
    main()
