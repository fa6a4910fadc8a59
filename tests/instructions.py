"""How many instructions does the guard take, and does a long history cost more?

    python tests/instructions.py            compares with tests/instructions.json
    python tests/instructions.py --write    writes it anew

Runs `core/examples/counted.rs` under callgrind and takes the median of its rounds. Behind 10, 1,000
and 100,000 earlier calls a call takes the same, within ten per cent; no row takes ten per cent more
than is written down. Instructions do not depend on what else the machine does; no time is judged.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "tests" / "instructions.json"
EARLIER = [10, 1_000, 100_000]
# SQLite itself takes what the C compiler of the machine makes of it.
WRITTEN = ["balances", "price", "call, memory"]
TOLERANCE_PER_CENT = 10


def build() -> str:
    """The path of the program."""
    command = "cargo build --locked --release --package outlay --example counted"
    said = subprocess.run(
        [*command.split(), "--message-format=json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    built = [path for line in said.splitlines() if (path := json.loads(line).get("executable"))]
    return str(built[-1])


def count(*arguments: str) -> int:
    """Instructions of one round, the median of all."""
    with tempfile.TemporaryDirectory() as folder:
        counted = "counted::counted"
        subprocess.run(
            [
                "valgrind",
                "--quiet",
                "--tool=callgrind",
                f"--callgrind-out-file={folder}/out",
                # Counts only inside, and writes at each beginning what the round before took.
                f"--toggle-collect={counted}",
                f"--dump-before={counted}",
                *arguments,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        lines = [line for dump in Path(folder).iterdir() for line in dump.read_text().splitlines()]
    totals = [int(line.split()[1]) for line in lines if line.startswith("totals:")]
    rounds = [total for total in totals if total > 0]
    if len(rounds) < 30:
        raise SystemExit(f"{len(rounds)} rounds were counted instead of 30 or more")
    return round(statistics.median(rounds))


def measure(program: str) -> dict[str, list[int]]:
    """The rows; more than one figure are those behind a longer and longer history."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f"sqlite:{folder}/{earlier}.db" for earlier in EARLIER]
        for file, earlier in zip(files, EARLIER, strict=True):
            subprocess.run([program, "fill", file, str(earlier)], check=True)
        return {
            "balances": [count(program, "balances")],
            "price": [count(program, "price")],
            "call, memory": [count(program, "call", "memory:", str(past)) for past in EARLIER],
            "call, SQLite": [count(program, "call", file, "0") for file in files],
        }


def judge(rows: dict[str, list[int]], baseline: dict[str, int]) -> list[str]:
    """What is wrong; says what was counted."""
    wrong = []
    print(f"{'instructions':<16}{'written':>10}{'counted':>10}   behind 1,000 and 100,000 calls")
    for name, figures in rows.items():
        before = f"{baseline[name]:,}" if name in baseline else "-"
        print(f"{name:<16}{before:>10}" + "".join(f"{figure:>10,}" for figure in figures))
        if max(figures) * 100 > min(figures) * (100 + TOLERANCE_PER_CENT):
            wrong.append(f"`{name}` takes more behind a long history: {figures}")
        if name in baseline and figures[0] * 100 > baseline[name] * (100 + TOLERANCE_PER_CENT):
            wrong.append(f"`{name}` takes {figures[0]:,} instructions, {baseline[name]:,} before")
    return wrong


def main() -> None:
    """Counts, and compares or writes."""
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed, so no instructions were counted")
        return
    rows = measure(build())
    if "--write" in sys.argv[1:]:
        figures = {name: figures[0] for name, figures in rows.items() if name in WRITTEN}
        written = {"machine": platform.machine(), "instructions": figures}
        BASELINE.write_text(json.dumps(written, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())
    if baseline["machine"] != platform.machine():
        print(f"skipped: the baseline is of {baseline['machine']}; only histories are compared")
        baseline["instructions"] = {}
    if wrong := judge(rows, baseline["instructions"]):
        raise SystemExit("\n".join([*wrong, "if that is meant: make cost"]))


if __name__ == "__main__":
    main()
