"""An agent goes in circles: first it is told so, then its call is refused, then it is paused.

No framework: the loop of the agent asks the breaker itself.

Run it with ``python examples/python/breaker.py``. Prints::

    step 3: nudge by no_progress
    step 4: nudge by no_progress
    step 5: not made
    step 5: refuse by no_progress
    step 6: not made
    step 6: refuse by no_progress
    step 7: not made
    step 7: refuse by no_progress
    step 8: pause by no_progress
    a person is asked: 8 times the same
"""

from __future__ import annotations

import outlay


def main() -> None:
    """Makes the same call again and again, which gives the same again and again."""
    breaker = outlay.Breaker()
    call = {"kind": "tool", "name": "search", "args": {"query": "order 4711"}}
    for number in range(1, 20):
        if breaker.check(call).level == "refuse":
            print(f"step {number}: not made")
            step = {**call, "refused": True}
        else:
            step = {**call, "result": "no such order"}
        verdict = breaker.observe(step)
        if verdict.level != "ok":
            print(f"step {number}: {verdict.level} by {verdict.detector}")
        if verdict.level in ("pause", "stop"):
            print(f"a person is asked: {verdict.evidence['count']} times the same")
            break


if __name__ == "__main__":
    main()
