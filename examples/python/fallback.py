"""Short of money, a run goes on with a cheaper model that can take its calls.

Run it with ``python examples/python/fallback.py``. Prints::

    call 1 goes to gpt-4o, at most 0.09 USD
    call 2 goes to gpt-4o, at most 0.09 USD
    call 3 goes to gpt-4o-mini, at most 0.0054 USD
    call 4 goes to gpt-4o-mini, at most 0.0054 USD
    spent 0.1908 USD
"""

from __future__ import annotations

import outlay

# The first cannot see such long calls, the second is another provider's.
CHEAPER = ["gpt-3.5-turbo", "claude-haiku-4-5", "gpt-4o-mini"]


def main() -> None:
    """Makes four calls, two of which fit under the soft limit."""
    limits = [outlay.Limit(1.00), outlay.Limit(0.20, soft=True)]
    with outlay.task("refund", usd=limits, fallback=CHEAPER, store="memory:") as task:
        for number in range(1, 5):
            call = task.reserve(model="gpt-4o", input_tokens=20_000, max_output_tokens=4_000)
            print(f"call {number} goes to {call.model}, at most {call.reserved}")
            call.settle(outlay.Usage(20_000, 4_000))
        print(f"spent {task.spent}")


if __name__ == "__main__":
    main()
