"""Somebody is told when half of a budget is spent, and when all of it is.

Run it with ``python examples/python/alerts.py``. Prints::

    alert: the budget over all tasks has spent 0.05 of 0.10 USD, 50% of the limit
    alert: the budget over all tasks has spent 0.10 of 0.10 USD, 100% of the limit
    recorded: 50%, 100%
"""

from __future__ import annotations

import outlay

STORE = "memory:alerts"


def main() -> None:
    """Spends a budget over all tasks, under two of them."""
    outlay.on_alert(lambda alert: print(f"alert: {alert}"))
    outlay.budget(usd=0.10, alerts=["50%", "100%"], store=STORE)
    for name in ("refund", "invoice"):
        with outlay.task(name, store=STORE) as task:
            call = task.reserve(model="gpt-4o", input_tokens=4_000, max_output_tokens=4_000)
            call.settle(outlay.Usage(4_000, 4_000))
    # Recorded once over all processes; `outlay watch` sends them to a webhook.
    print("recorded:", ", ".join(alert.threshold for alert in outlay.alerts(store=STORE)))


if __name__ == "__main__":
    main()
