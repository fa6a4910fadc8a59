"""An operator halts all runs of one customer, and lets them go on again.

Run it with ``python examples/python/kill_switch.py``. Prints::

    a run of acme spent 0.015 USD
    a run of globex spent 0.015 USD
    tenant=acme was halted by maria: wrong prompt rolled out
    a run of globex spent 0.015 USD
    a run of acme spent 0.015 USD
"""

from __future__ import annotations

import outlay

STORE = "memory:kill_switch"


def main() -> None:
    """Halts `acme` while two customers have runs."""
    for tenant in ("acme", "globex"):
        step(tenant)
    # From a shell: outlay halt tenant=acme --by maria --reason "wrong prompt rolled out"
    outlay.halt("tenant=acme", by="maria", reason="wrong prompt rolled out", store=STORE)
    for tenant in ("acme", "globex"):
        try:
            step(tenant)
        except outlay.Halted as halted:
            print(f"{halted.scope} was halted by {halted.by}: {halted.reason}")
    outlay.unhalt("tenant=acme", by="maria", store=STORE)
    step("acme")


def step(tenant: str) -> None:
    """Stands for a run of a customer: one call of a model."""
    with outlay.task("refund", usd=1, tags={"tenant": tenant}, store=STORE) as task:
        call = task.reserve(model="gpt-4o", input_tokens=4_000, max_output_tokens=1_000)
        call.settle(outlay.Usage(4_000, 500))
        print(f"a run of {tenant} spent {task.spent}")


if __name__ == "__main__":
    main()
