"""Does spending more than runs that succeeded tell that a run will fail?

    OUTLAY_TEST_DATA=FOLDER python tests/doomed_report.py

For each file of labelled runs under ``FOLDER/trajectories`` (one kind of task each) takes what the
successes of one half spent, and judges the runs of the other half by it, both ways round. Spend is
the tokens, input and output, that a run recorded. Prints the table of docs/breaker.md, the same
each time. Three rules: the 99th percentile of the successes however many there are; what a nudge
goes by: that from 100 successes on, below 1.5 times the largest; and what a pause goes by: twice
as much.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breaker_report import halves, source, wilson

ENOUGH = 100
Run = dict[str, Any]
Rule = Callable[[list[int]], int]


def spends(run: Run) -> list[int]:
    """What each step of a run used."""
    return [(step.get("tokens_in") or 0) + (step.get("tokens_out") or 0) for step in run["steps"]]


def p99(successes: list[int]) -> int:
    """The 99th percentile, by the nearest rank."""
    return sorted(successes)[math.ceil(0.99 * len(successes)) - 1]


def nudge(successes: list[int]) -> int:
    """The same from enough successes on; else half as much again as the largest."""
    return p99(successes) if len(successes) >= ENOUGH else max(successes) * 3 // 2


def pause(successes: list[int]) -> int:
    """Twice as much."""
    return 2 * nudge(successes)


@dataclass
class Found:
    """What a rule did to the runs it judged."""

    runs: int = 0
    successes: int = 0
    failures: int = 0
    hit: list[bool] = field(default_factory=list)
    """Of each run that went beyond: did it succeed all the same?"""
    saved: int = 0
    lost: int = 0
    tokens: int = 0

    def judge(self, run: Run, most: int) -> None:
        """Counts a run, and what it would not have used had it ended at the step that passed."""
        self.runs += 1
        self.successes += bool(run["success"])
        self.failures += not run["success"]
        steps = spends(run)
        self.tokens += sum(steps)
        used = 0
        for at, step in enumerate(steps):
            used += step
            if used > most:
                self.hit.append(bool(run["success"]))
                rest = sum(steps[at + 1 :])
                self.saved += 0 if run["success"] else rest
                self.lost += rest if run["success"] else 0
                return

    def cells(self) -> list[str]:
        """What goes into the table."""
        wrong = sum(self.hit)
        share = [f"{100 * part / max(self.tokens, 1):.1f} %" for part in (self.saved, self.lost)]
        return [
            str(self.runs),
            str(len(self.hit)),
            wilson(len(self.hit) - wrong, len(self.hit)),
            wilson(len(self.hit) - wrong, self.failures),
            wilson(wrong, self.successes),
            *share,
        ]


def judged(rule: Rule, taught: list[Run], tested: list[Run], found: dict[str, Found]) -> None:
    """Judges each run of one half by what successes of its kind spent in the other."""
    spent: dict[str, list[int]] = {}
    for run in taught:
        if run["success"]:
            spent.setdefault(run["file"], []).append(sum(spends(run)))
    for run in tested:
        successes = spent.get(run["file"])
        if successes:
            most = rule(successes)
            for kind in ("all", source(run)):
                found.setdefault(kind, Found()).judge(run, most)


def main() -> int:
    """Prints the table."""
    folder = Path(os.environ.get("OUTLAY_TEST_DATA", "")) / "trajectories"
    if "OUTLAY_TEST_DATA" not in os.environ or not folder.is_dir():
        print(
            "skipped: $OUTLAY_TEST_DATA names no folder with trajectories",
            file=sys.stderr,
        )
        return 0
    half = halves(folder)
    headings = "runs judged | beyond | of them failed | of failures | of successes | saved | lost"
    print(f"| rule | learned from | kind | {headings} |\n|{'---|' * 10}")
    rules: dict[str, Rule] = {"p99": p99, "nudge": nudge, "pause": pause}
    for name, rule in rules.items():
        for taught, tested in (("first", "second"), ("second", "first")):
            found: dict[str, Found] = {}
            judged(rule, half[taught], half[tested], found)
            for kind, one in sorted(found.items()):
                print(f"| {name} | {taught} | {kind} | {' | '.join(one.cells())} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
