"""A run that reaches its limit still has the money for one last call, which says what it found.

Run it with ``python examples/python/last_call.py``. Prints::

    available at the start: 0.15 USD
    a step was made: 0.05 USD spent
    a step was made: 0.10 USD spent
    a step was made: 0.15 USD spent
    refused: task `refund` allows 0.20 USD: 0.15 spent, 0.05 pending, 0.05 requested
    the last call was made: 0.18 USD spent
    after the last call: last_call
    spent 0.18 USD
"""

from __future__ import annotations

import outlay


def main() -> None:
    """Spends what there is, but for what was put by at the start."""
    with outlay.task("refund", usd=0.20, wrap_up_usd=0.05, store="memory:") as task:
        print(f"available at the start: {task.available}")
        try:
            while True:
                step(task)
        except outlay.BudgetExceeded as refusal:
            print(f"refused: {refusal}")
        step(task, final=True)
        try:
            step(task)
        except outlay.BudgetExceeded as refusal:
            print(f"after the last call: {refusal.unit}")
        print(f"spent {task.spent}")


def step(task: outlay.Task, *, final: bool = False) -> None:
    """Stands for a step of the run: one call of a model."""
    most = 2_000 if final else 4_000
    call = task.reserve(model="gpt-4o", input_tokens=4_000, max_output_tokens=most, final=final)
    call.settle(outlay.Usage(4_000, most))
    print(f"{'the last call' if final else 'a step'} was made: {task.spent} spent")


if __name__ == "__main__":
    main()
