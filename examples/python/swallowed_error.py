"""A framework that swallows exceptions: what does not fit is not sent all the same.

The model is `outlay.testing`'s provider on this machine, called by the real openai client.

Run it with ``python examples/python/swallowed_error.py``. Prints::

    step 1: answered
    step 2: answered
    step 3: answered
    step 4: failed (budget_exceeded), going on
    step 5: failed (budget_exceeded), going on
    step 6: failed (budget_exceeded), going on
    the framework says: done
    requests sent: 3, spent 0.0270975 USD
    the task was stopped: budget_exceeded
    raised: task `research` allows 0.03 USD: 0.0270975 spent, 0.00 pending, 0.0100325 requested
    the attempt: stopped
"""

from __future__ import annotations

from collections.abc import Callable

import openai
import outlay
from outlay.testing import Provider, Reply


def framework(step: Callable[[int], None], steps: int) -> str:
    """Stands for the many frameworks that make a line of log of any exception in a step."""
    for number in range(1, steps + 1):
        try:
            step(number)
            print(f"step {number}: answered")
        except Exception as error:
            print(f"step {number}: failed ({getattr(error, 'code', 'unknown')}), going on")
    return "done"


def main() -> None:
    """Runs six steps where three fit, and learns of it."""
    outlay.instrument()
    with Provider(default=Reply(tokens=900)) as provider:
        client = openai.OpenAI(base_url=provider.openai_url, api_key="none")

        def step(number: int) -> None:
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "Go on with the research."}],
                max_tokens=1_000,
            )

        try:
            with outlay.task("research", usd=0.03, store="memory:") as task:
                print(f"the framework says: {framework(step, 6)}")
                print(f"requests sent: {provider.bill().count}, spent {task.spent}")
                print(f"the task was stopped: {task.stopped and task.stopped.code}")
                task.raise_if_stopped()
        except outlay.BudgetExceeded as refusal:
            print(f"raised: {refusal}")
        print(f"the attempt: {task.summary().outcome}")


if __name__ == "__main__":
    main()
