"""How long does the guard take from Python? Prints the rows of the performance table.

    python tests/bench_python.py

CPU time of this thread, median of rounds; the SQLite rows are wall time. Nothing here is asserted:
machines differ, and the figures are for reading.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import outlay

CALL = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 500}
ROUNDS, CALLS = 31, 2_000


def memory_ns() -> float:
    """One reserve and settle, four limits, ledger in memory, token counts given."""
    rounds: list[float] = []
    with outlay.task(
        "bench", usd=1e6, tokens=10**12, llm_calls=10**9, store="memory:bench"
    ) as task:
        for _ in range(ROUNDS):
            start = time.thread_time_ns()
            for _ in range(CALLS):
                task.reserve(**CALL).settle(outlay.Usage(input_tokens=1000, output_tokens=500))
            rounds.append((time.thread_time_ns() - start) / CALLS)
    return statistics.median(rounds)


def sqlite_us(durability: str, calls: int) -> tuple[float, float]:
    """One reserve and settle in a file: median and 99th percentile, wall time."""
    outlay.configure(durability=durability)
    with tempfile.TemporaryDirectory() as folder:
        taken: list[float] = []
        store = f"sqlite:{Path(folder) / 'bench.db'}"
        with outlay.task("bench", usd=1e6, store=store) as task:
            for _ in range(calls):
                start = time.perf_counter_ns()
                task.reserve(**CALL).settle(outlay.Usage(input_tokens=1000, output_tokens=500))
                taken.append((time.perf_counter_ns() - start) / 1000)
        outlay._native.close_all()
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def import_ms() -> float:
    """`import outlay` in a fresh interpreter, CPU time, the interpreter's own start taken off."""

    def cpu(code: str) -> float:
        clock = "time.process_time_ns()"
        script = f"import time; s = {clock}; {code}; print({clock} - s)"
        command = [sys.executable, "-c", script]
        runs = [
            int(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(9)
        ]
        return statistics.median(runs) / 1e6

    return cpu("import outlay") - cpu("pass")


def main() -> None:
    """Prints the rows."""
    gc.disable()
    print("row                                     measured      bar")
    print(f"guarded call, memory                    {memory_ns():7.0f} ns    1500 ns CPU")
    median, tail = sqlite_us("os", 3_000)
    print(f"guarded call, SQLite, os     p50        {median:7.1f} us  100 us (p99 {tail:.0f})")
    median, tail = sqlite_us("disk", 300)
    print(f"guarded call, SQLite, disk   p50        {median:7.1f} us    - (p99 {tail:.0f})")
    print(f"import outlay                           {import_ms():7.1f} ms      50 ms CPU")


if __name__ == "__main__":
    main()
