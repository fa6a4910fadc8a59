"""How often does the breaker speak on real runs, and how soon does it find loops?

    OUTLAY_TEST_DATA=FOLDER python tests/breaker_report.py [--half first|second]

Replays the labelled runs under ``FOLDER/trajectories`` (one JSON run a line: ``success``,
``steps``) under the default thresholds, and prints the tables of docs/breaker.md. The thresholds
were fixed on the first half of each file before anything was run on the second. The loops are
written into real runs by a seeded generator, so that this prints the same each time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import outlay

LEVELS = ["ok", "nudge", "refuse", "pause", "stop"]
NUDGE_AT = {"repeat": 3, "cycle": 3, "same error": 5, "unknown tool": 3, "malformed": 10}
"""The default count at which each kind of loop gets its nudge."""
LOOPS_PER_RUN = 5
STEPS_MAX = 60

Step = dict[str, Any]
Run = dict[str, Any]


def wilson(hits: int, of: int) -> str:
    """A share in per cent with its 95 % interval."""
    if of == 0:
        return "–"
    z, p = 1.96, hits / of
    middle = p + z * z / (2 * of)
    spread = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * spread) / (1 + z * z / of) for sign in (-1, 1))
    return f"{hits} ({100 * p:.1f} %; {100 * max(low, 0):.1f} to {100 * min(high, 1):.1f})"


def halves(folder: Path) -> dict[str, list[Run]]:
    """The first and the second half of every file, in its order."""
    found: dict[str, list[Run]] = {"first": [], "second": []}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            runs = [json.loads(line) | {"file": path.name} for line in lines]
        found["first"] += runs[: len(runs) // 2]
        found["second"] += runs[len(runs) // 2 :]
    return found


def highest(steps: Iterable[Step]) -> int:
    """The highest level any step of a run gets."""
    breaker = outlay.Breaker()
    return max((LEVELS.index(breaker.observe(step).level) for step in steps), default=0)


def source(run: Run) -> str:
    """What kind of runs these are."""
    name = str(run["file"])
    return next(
        (kind for kind in ("mini_swe", "tau", "who_and_when") if name.startswith(kind)), name
    )


def on_real_runs(half: str, runs: list[Run]) -> Iterator[str]:
    """The rows of the table of real runs."""
    rows: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for run in runs:
        level = highest(run["steps"])
        rows[source(run), bool(run["success"])].append(level)
        rows["all", bool(run["success"])].append(level)
    for (kind, success), levels in sorted(rows.items()):
        shares = [wilson(sum(level >= at for level in levels), len(levels)) for at in (1, 2, 3, 4)]
        outcome = "succeeded" if success else "failed"
        yield f"| {half} | {kind} | {outcome} | {len(levels)} | {' | '.join(shares)} |"


class Noise:
    """What varies between two turns of a loop without meaning anything."""

    KINDS = ("order", "white space", "volatile ids", "timestamps", "thoughts", "answers")

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.kinds = {kind for kind in self.KINDS if chance.random() < 0.5}

    def step(self, step: Step) -> Iterator[Step]:
        """The step as it comes this time, with what is said before it."""
        chance = self.chance
        if "answers" in self.kinds:
            yield {"kind": "llm", "result": f"Attempt {chance.random()}: once more."}
        if "thoughts" in self.kinds:
            yield {"kind": "thought", "result": f"I wonder whether {chance.random()} helps."}
        args = self.shuffled(step["args"]) if isinstance(step["args"], dict) else {}
        if "volatile ids" in self.kinds:
            args[chance.choice(["request_id", "nonce", "trace_id"])] = self.uuid()
        if "timestamps" in self.kinds:
            args[chance.choice(["ts", "timestamp"])] = self.moment()
        yield {**step, "args": args, "result": self.result(step["result"])}

    def shuffled(self, value: Any) -> Any:
        if isinstance(value, dict):
            members = list(value.items())
            if "order" in self.kinds:
                self.chance.shuffle(members)
            return {key: self.shuffled(member) for key, member in members}
        if isinstance(value, list):
            return [self.shuffled(item) for item in value]
        if isinstance(value, str) and "white space" in self.kinds:
            blank = self.chance.choice([" ", "  ", "\t", "\n"])
            return value.replace(" ", blank) + self.chance.choice(["", " ", "\n"])
        return value

    def result(self, text: str) -> str:
        chance = self.chance
        if "timestamps" in self.kinds:
            text += f"\n[{self.moment()}] done in {chance.uniform(0, 9):.3f}s"
        if "volatile ids" in self.kinds:
            pid, address = chance.randint(2, 99_999), chance.getrandbits(48)
            text += f" request_id={self.uuid()} pid={pid} at {address:#014x}"
        return text

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def moment(self) -> str:
        hour, minute, second = (self.chance.randrange(of) for of in (24, 60, 60))
        return f"2026-11-22T{hour:02}:{minute:02}:{second:02}.{self.chance.randrange(1000):03}Z"


def loop(kind: str, before: list[Step], chance: random.Random) -> list[list[Step]]:
    """The turns of a loop, made of what the run really did before."""
    tools = [step for step in before if step["kind"] == "tool" and step["name"] != "format_error"]
    call = {
        "kind": "tool",
        "name": "search",
        "args": {"q": "price", "page": 1},
        "result": "nothing found",
    }
    noise = Noise(chance)
    at_least = NUDGE_AT[kind] + 1
    if kind == "repeat":
        step = chance.choice(tools) if tools else call
        return [list(noise.step(step)) for _ in range(chance.randint(5, STEPS_MAX))]
    if kind == "cycle":
        last: list[Step] = []
        for step in reversed(tools):
            if all((step["args"], step["result"]) != (one["args"], one["result"]) for one in last):
                last.append(step)
        last = (
            last[: chance.randint(2, 6)]
            if len(last) > 1
            else [call, {**call, "args": {"q": "cost"}}]
        )
        rounds = chance.randint(at_least, max(at_least, STEPS_MAX // len(last)))
        return [[said for step in last for said in noise.step(step)] for _ in range(rounds)]
    turns = chance.randint(max(5, at_least), STEPS_MAX)
    if kind == "same error":
        errors = [str(step["result"]) for step in tools if step["error"]]
        text = chance.choice(
            errors or ["Error: the service is not available", "Permission denied: '/x'"]
        )
        steps = [
            {**call, "args": {"q": f"try {n}"}, "result": text, "error": True} for n in range(turns)
        ]
    elif kind == "unknown tool":
        steps = [
            {
                **call,
                "name": f"tool_{n}",
                "result": f"Error: unknown tool `tool_{n}`",
                "error": True,
            }
            for n in range(turns)
        ]
    else:
        said = "Please give exactly ONE action, found {} actions."
        step = {**call, "name": "format_error", "error": True}
        steps = [{**step, "result": said.format(n % 5)} for n in range(turns)]
    return [list(noise.step(step)) for step in steps]


def on_loops(half: str, runs: list[Run]) -> Iterator[str]:
    """The rows of the table of loops."""
    found: dict[str, list[bool]] = defaultdict(list)
    for number, run in enumerate(runs):
        chance = random.Random(f"{half} {number}")
        for kind in chance.choices(list(NUDGE_AT), weights=[5, 4, 2, 1, 1], k=LOOPS_PER_RUN):
            before = run["steps"][: chance.randint(0, len(run["steps"]))]
            breaker = outlay.Breaker()
            for step in before:
                breaker.observe(step)
            turns = loop(kind, before, chance)[: NUDGE_AT[kind] + 1]
            raised = [breaker.observe(step).level != "ok" for turn in turns for step in turn]
            found[kind].append(any(raised))
            found["all"].append(any(raised))
    for kind in ["all", *NUDGE_AT]:
        hits, of = sum(found[kind]), len(found[kind])
        yield f"| {half} | {kind} | {of} | {wilson(hits, of)} |"


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--half", choices=["first", "second"])
    asked = parser.parse_args()
    folder = Path(os.environ.get("OUTLAY_TEST_DATA", "")) / "trajectories"
    if "OUTLAY_TEST_DATA" not in os.environ or not folder.is_dir():
        print("skipped: $OUTLAY_TEST_DATA names no folder with trajectories", file=sys.stderr)
        return 0
    wanted = {name: runs for name, runs in halves(folder).items() if asked.half in (None, name)}
    print("Real runs (95 % Wilson intervals in per cent; each column holds those to its right):\n")
    print("| half | runs | outcome | n | nudged | refused | paused | stopped |")
    print("|---|---|---|---|---|---|---|---|")
    for name, runs in wanted.items():
        print("\n".join(on_real_runs(name, runs)))
    print("\nLoops written into them, found within the threshold and one turn more:\n")
    print("| half | loop | n | found |")
    print("|---|---|---|---|")
    for name, runs in wanted.items():
        print("\n".join(on_loops(name, runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
