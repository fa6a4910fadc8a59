"""What does one guarded call cost, in CPU time?

The collector is off, a round is long enough for the clock, and the figure is the median over
rounds of the time of one call less the median of the bare call that carries it. Thread CPU time,
so that other work on the machine does not count; wall time beside it, because a guard that waits
for its disk uses little CPU.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

from adapter import Timed


def measure(timed: Timed, rounds: int) -> dict[str, float]:
    """Return ``cpu_us`` and ``wall_us`` of one call, net of its baseline."""
    base_cpu_us, base_wall_us = 0.0, 0.0
    if timed.baseline is not None:
        base_cpu_us, base_wall_us = _median_us(timed.baseline, timed.per_round, rounds)
    cpu_us, wall_us = _median_us(timed.open(), timed.per_round, rounds)
    cpu_us, wall_us = cpu_us - base_cpu_us, wall_us - base_wall_us
    return {"cpu_us": round(cpu_us, 3), "wall_us": round(wall_us, 3)}


def _median_us(call: Callable[[], object], per_round: int, rounds: int) -> tuple[float, float]:
    for _ in range(min(per_round, 200)):
        call()
    cpu, wall = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            wall_start, cpu_start = time.perf_counter_ns(), time.thread_time_ns()
            for _ in range(per_round):
                call()
            cpu.append(time.thread_time_ns() - cpu_start)
            wall.append(time.perf_counter_ns() - wall_start)
    finally:
        gc.enable()
    scale = per_round * 1_000
    return statistics.median(cpu) / scale, statistics.median(wall) / scale
