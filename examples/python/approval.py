"""A run that reaches its limit asks for more, and goes on once somebody has approved it.

Run it with ``python examples/python/approval.py``. Prints::

    a step was made: 0.05 USD spent
    asked: task `refund` allows 0.08 USD
    approved: 0.08 USD available
    a step was made: 0.10 USD spent
"""

from __future__ import annotations

import outlay

STORE = "memory:approval"


def main() -> None:
    """Asks, is approved, and goes on."""
    with outlay.task("refund", usd=0.08, on_limit="ask", store=STORE) as task:
        step(task)
        try:
            step(task)
        except outlay.ApprovalRequired as required:
            print("asked:", str(required).partition(":")[0])
            # Elsewhere, by a person: outlay approve ID --add 0.05 --by maria
            outlay.approve(required.id, add=0.05, by="maria", store=STORE)
            if outlay.wait_approval(required.id, timeout=3600, store=STORE):
                print(f"approved: {task.available} available")
            step(task)


def step(task: outlay.Task) -> None:
    """Stands for a step of the run: one call of a model."""
    call = task.reserve(model="gpt-4o", input_tokens=4_000, max_output_tokens=4_000)
    call.settle(outlay.Usage(4_000, 4_000))
    print(f"a step was made: {task.spent} spent")


if __name__ == "__main__":
    main()
