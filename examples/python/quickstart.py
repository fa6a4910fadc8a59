"""The explicit form: reserve before a call, settle what it used, and see what is refused.

Run it with ``python examples/python/quickstart.py``. Prints::

    held 0.36 USD for gpt-4o, at most 16000 output tokens
    charged 0.212 USD
    spent 0.212 USD, available 0.288 USD
    refused: task `refund` allows 0.50 USD: 0.212 spent, 0.00 pending, 0.36 requested
    8800 output tokens would fit
    held 0.288 USD for gpt-4o, at most 8800 output tokens
    charged 0.212 USD
    spent 0.424 USD, available 0.076 USD
"""

from __future__ import annotations

import outlay

INPUT_TOKENS = 80_000


def main() -> None:
    """Spends under one task."""
    # "memory:" forgets everything at the end. Without `store` it is a file of the user's.
    with outlay.task("refund", usd=0.50, store="memory:") as task:
        first = task.reserve(model="gpt-4o", input_tokens=INPUT_TOKENS, max_output_tokens=16_000)
        make_call(task, first)
        try:
            task.reserve(model="gpt-4o", input_tokens=INPUT_TOKENS, max_output_tokens=16_000)
        except outlay.BudgetExceeded as refusal:
            print(f"refused: {refusal}")
            fits = refusal.affordable_output_tokens
        print(f"{fits} output tokens would fit")
        second = task.reserve(model="gpt-4o", input_tokens=INPUT_TOKENS, max_output_tokens=fits)
        make_call(task, second)


def make_call(task: outlay.Task, call: outlay.Call) -> None:
    """Stands for a call of the model, which answers with far less than it might have."""
    print(f"held {call.reserved} for {call.model}, at most {call.max_output_tokens} output tokens")
    settled = call.settle(outlay.Usage(input_tokens=INPUT_TOKENS, output_tokens=1_200))
    print(f"charged {settled.charge}")
    print(f"spent {task.spent}, available {task.available}")


if __name__ == "__main__":
    main()
