"""Runs inside one peer's environment and measures one thing about it.

    python probe.py MODULE:NAME QUESTION [--mode MODE] [--arm ARM] --base-url URL --directory DIR

Writes its answer as JSON to ``--out`` and prints nothing, so that what a peer prints cannot be
taken for an answer. Each question runs in a process of its own: several peers patch the client
for the whole process.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapter import (
    CALL_USD,
    CAP_USD,
    UNKNOWN_MODEL,
    Absent,
    Adapter,
    Bench,
    Guard,
    Mode,
    Refused,
    Timed,
)
from racing import Outcome, race_tasks, race_threads
from timing import measure

DEAR_CAP_USD = Decimal("0.02")
AMPLE_USD = Decimal(1_000)
TIMING_CAP_USD = Decimal(1_000_000)
USD_PER_TOKEN = Decimal("0.00001")
ABANDON_AFTER_CHUNKS = 2
CRASH_WRITERS = 8


def ask(url: str, post: bool = False) -> dict[str, int]:
    """Return the JSON the loopback provider answers."""
    request = urllib.request.Request(url, data=b"" if post else None)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


class Ledger:
    """The two bills a guarded call can appear on: the loopback's and the in-process one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._root = bench.base_url.rsplit("/v1", 1)[0].removesuffix("/slow")
        ask(f"{self._root}/reset", post=True)

    def paid(self) -> tuple[int, Decimal]:
        """Return how many calls were served and the USD they cost."""
        bill = ask(f"{self._root}/bill")
        near = self._bench.provider.calls
        return bill["calls"] + near, bill["tokens"] * USD_PER_TOKEN + near * CALL_USD


def race(mode: Mode, bench: Bench, arm: str, calls_max: int) -> dict[str, Any]:
    """Race the workers on one arm and return what was really spent."""
    ledger = Ledger(bench)
    guard = mode.open(bench)
    started = time.monotonic()
    if arm.endswith("tasks"):
        call = guard.astream if arm.startswith("stream") else guard.acall
        outcome = asyncio.run(race_tasks(call, calls_max))
    else:
        blocking: Callable[[], None] = guard.stream if arm.startswith("stream") else guard.call
        outcome = race_threads(guard, blocking, calls_max)
    calls, usd = ledger.paid()
    return race_answer(outcome, calls, usd, time.monotonic() - started)


def race_answer(outcome: Outcome, calls: int, usd: Decimal, took_s: float) -> dict[str, Any]:
    """Return one race as JSON."""
    absent = [error for error in outcome.errors if error.startswith("Absent:")]
    if absent:
        return {"absent": absent[0].removeprefix("Absent: ")}
    return {
        "calls": calls,
        "usd": str(usd),
        "refused": outcome.refused,
        "exhausted": outcome.exhausted,
        "errors": len(outcome.errors),
        "first_error": outcome.errors[0] if outcome.errors else None,
        "took_s": round(took_s, 2),
    }


def abandoned(mode: Mode, bench: Bench) -> dict[str, Any]:
    """Leave a stream after two chunks; compare the guard's record with the bill."""
    ledger = Ledger(bench)
    guard = mode.open(bench)
    guard.abandon(ABANDON_AFTER_CHUNKS)
    time.sleep(0.4)
    _, usd = ledger.paid()
    return {"served_usd": str(usd), "recorded_usd": str(guard.recorded())}


def dear_stream(mode: Mode, bench: Bench) -> dict[str, Any]:
    """Ask for a 0.05 USD stream with 0.02 USD left; the bill says what happened."""
    ledger = Ledger(bench)
    guard = mode.open(bench)
    ended = "ran to its end"
    try:
        stream_once(guard)
    except Refused as refused:
        ended = f"refused: {refused}"[:160]
    _, usd = ledger.paid()
    return {"served_usd": str(usd), "ended": ended}


def stream_once(guard: Guard) -> None:
    """Read one stream to its end, by whichever of the two ways the peer has."""
    try:
        guard.stream()
    except Absent:
        asyncio.run(guard.astream())


def unknown_model(mode: Mode, bench: Bench) -> dict[str, Any]:
    """Make one served call of a model nobody lists; compare the record with the bill."""
    ledger = Ledger(bench)
    guard = mode.open(bench)
    ended = "went out"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            guard.call(UNKNOWN_MODEL)
        except Absent:
            raise
        except Exception as error:  # whatever a peer raises is its answer
            ended = f"{type(error).__name__}: {error}"[:160]
    calls, _ = ledger.paid()
    warned = sorted({warning.category.__name__ for warning in caught})
    recorded = str(guard.recorded())
    return {"calls": calls, "recorded_usd": recorded, "ended": ended, "warned": warned}


def price_unknown(adapter: Adapter) -> dict[str, Any]:
    """Price 5,000 output tokens of a model nobody lists."""
    if adapter.price_unknown is None:
        raise Absent("prices nothing by itself")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = str(adapter.price_unknown())
        except Exception as error:
            answer = type(error).__name__
    return {"answer": answer, "warned": sorted({one.category.__name__ for one in caught})}


def crash_write(mode: Mode, bench: Bench) -> None:
    """Call for ever from eight threads, writing one byte for every call that returned."""
    guard = mode.open(bench)

    def work() -> None:
        while True:
            guard.call()
            os.write(1, b".")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(CRASH_WRITERS)]
    for thread in threads:
        thread.start()
    threads[0].join()


def crash_read(mode: Mode, bench: Bench) -> dict[str, Any]:
    """Open the dead process's file, say what it holds, and try one more call."""
    found: dict[str, Any] = {"recorded_usd": None, "goes_on": False, "error": None}
    try:
        guard = mode.open(bench)
        found["recorded_usd"] = str(guard.recorded())
        guard.call()
        found["goes_on"] = True
    except Exception as error:  # whatever a peer raises is its answer
        found["error"] = f"{type(error).__name__}: {error}"[:160]
    return found


def speed(mode: Mode, bench: Bench, rounds: int) -> dict[str, Any]:
    """Time one guarded call."""
    if mode.timed is None:
        raise Absent("not timed")
    return measure(mode.timed(bench), rounds)


def price_speed(adapter: Adapter, rounds: int) -> dict[str, Any]:
    """Time the pricing of one usage."""
    if adapter.price is None:
        raise Absent("prices nothing by itself")
    return measure(Timed(adapter.price), rounds)


def answer(options: argparse.Namespace) -> dict[str, Any]:
    """Answer one question."""
    module, _, name = options.adapter.partition(":")
    adapter: Adapter = getattr(importlib.import_module(module), name)
    if options.question == "price":
        return price_speed(adapter, options.rounds)
    if options.question == "price-unknown":
        return price_unknown(adapter)
    mode = next(mode for mode in adapter.modes if mode.name == options.mode)
    caps = {"race": CAP_USD, "dear": DEAR_CAP_USD, "speed": TIMING_CAP_USD}
    bench = Bench(caps.get(options.question, AMPLE_USD), options.base_url, options.directory)
    if options.question == "race":
        return race(mode, bench, options.arm, options.calls_max)
    if options.question == "crash-write":
        crash_write(mode, bench)
    if options.question == "speed":
        return speed(mode, bench, options.rounds)
    asked: dict[str, Callable[[Mode, Bench], dict[str, Any]]] = {
        "abandon": abandoned,
        "dear": dear_stream,
        "unknown": unknown_model,
        "crash-read": crash_read,
    }
    return asked[options.question](mode, bench)


def main() -> None:
    """Answer the question on the command line."""
    parser = argparse.ArgumentParser(description="Measure one thing about one peer.")
    parser.add_argument("adapter")
    parser.add_argument("question")
    parser.add_argument("--mode")
    parser.add_argument("--arm", default="threads")
    parser.add_argument("--base-url", default="")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--calls-max", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    try:
        result = answer(options)
    except Absent as absent:
        result = {"absent": str(absent)}
    options.out.write_text(json.dumps(result))
    os._exit(0)


if __name__ == "__main__":
    main()
