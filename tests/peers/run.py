"""How do others do, on this machine, now? The comparison with peers.

    python tests/peers/run.py [--quick] [--json FILE] [--only NAME ...]

Installs each peer in its exact version into an environment of its own, asks it the same
questions in fresh processes, and prints tables. Needs only Python 3.10 and the package registry;
Outlay's own rows come from the interpreter that runs this file, or from ``--outlay-python``.

Exits with 1 when something that should have been measured was not, or when Outlay itself spent
more than its cap or lost a call that had returned.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import table
from adapter import CALL_USD, CAP_USD, Mode
from catalog import OUTLAY, PEERS, Peer
from venvs import NotInstallable, python_of

HERE = Path(__file__).resolve().parent
PROBE_TIMEOUT_S = 300
ARMS = ("threads", "tasks", "stream-threads", "stream-tasks")
IMPORT = "import time; a = time.process_time_ns(); import {}; print(time.process_time_ns() - a)"
VERSIONS = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"


class Survey:
    """One run: the loopback provider, the amounts, and what went wrong."""

    def __init__(self, port: int, quick: bool) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.calls_max = 10 if quick else 60
        self.rounds = 5 if quick else 15
        self.imports = 3 if quick else 7
        self.crash_after = 30 if quick else 150
        self.crash_patience_s = 0 if quick else 65
        self.failures: list[str] = []

    def probe(self, peer: Peer, python: Path, question: str, *more: str) -> dict[str, Any]:
        """Ask one question in a fresh process; a failure is noted and shown, never hidden."""
        with tempfile.TemporaryDirectory(prefix="outlay-peers-") as home:
            return self.probe_in(Path(home), peer, python, question, *more)

    def probe_in(
        self, home: Path, peer: Peer, python: Path, question: str, *more: str
    ) -> dict[str, Any]:
        """Ask one question over files that stay."""
        out = home / "answer.json"
        command = [*self._command(home, peer, python, question, *more), "--out", str(out)]
        try:
            done = subprocess.run(
                command,
                env=os.environ | peer.environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return self.fail(peer, question, more, f"no answer in {PROBE_TIMEOUT_S} s")
        if not out.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return self.fail(peer, question, more, lines[-1])
        answer: dict[str, Any] = json.loads(out.read_text())
        return answer

    def fail(self, peer: Peer, question: str, more: tuple[str, ...], why: str) -> dict[str, Any]:
        """Note that a question got no answer."""
        self.failures.append(f"{peer.name}: {question} {' '.join(more)}: {why}")
        return {"failed": why}

    def crash(self, peer: Peer, python: Path, mode: Mode) -> dict[str, Any]:
        """Kill a process in the middle of its calls and see what the next one finds.

        One peer's file stays locked by the dead process for a minute, so a refusal to open is
        asked again after that; both answers are kept.
        """
        named = ("--mode", mode.name)
        with tempfile.TemporaryDirectory(prefix="outlay-peers-") as name:
            home = Path(name)
            self._ask("/reset", b"")
            returned = self._kill(self._command(home, peer, python, "crash-write", *named), peer)
            time.sleep(0.3)
            found: dict[str, Any] = {"returned": returned, "served": self._ask("/bill")["calls"]}
            found["at_once"] = self.probe_in(home, peer, python, "crash-read", *named)
            if not found["at_once"].get("goes_on") and self.crash_patience_s:
                time.sleep(self.crash_patience_s)
                found["later"] = self.probe_in(home, peer, python, "crash-read", *named)
                found["later_s"] = self.crash_patience_s
        return found

    def _kill(self, command: list[str], peer: Peer) -> int:
        """Kill the writer after some calls; return how many had returned when it died."""
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | peer.environment,
        ) as writer:
            assert writer.stdout is not None
            watchdog = threading.Timer(PROBE_TIMEOUT_S, writer.kill)
            watchdog.start()
            try:
                returned = len(writer.stdout.read(self.crash_after))
            finally:
                watchdog.cancel()
                writer.kill()
            returned += len(writer.stdout.read())
        if returned < self.crash_after:
            self.fail(peer, "crash-write", (), f"ended by itself after {returned} calls")
        return returned

    def _command(
        self, home: Path, peer: Peer, python: Path, question: str, *more: str
    ) -> list[str]:
        path = "/slow/v1" if question == "abandon" else "/v1"
        options = {
            "--base-url": self.root + path,
            "--directory": str(home),
            "--calls-max": str(self.calls_max),
            "--rounds": str(self.rounds),
        }
        flat = [word for pair in options.items() for word in pair]
        return [str(python), str(HERE / "probe.py"), peer.reference, question, *more, *flat]

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, int]:
        with urllib.request.urlopen(self.root + path, data=body, timeout=10) as answer:
            return json.loads(answer.read())  # type: ignore[no-any-return]


def measure_peer(survey: Survey, peer: Peer, python: Path) -> dict[str, Any]:
    """Ask one peer everything."""
    found: dict[str, Any] = {"versions": versions(peer, python)}
    found["import_ms"] = import_ms(survey, peer, python)
    if peer.adapter.price is not None:
        found["price"] = survey.probe(peer, python, "price")
    if peer.adapter.price_unknown is not None:
        found["price_unknown"] = survey.probe(peer, python, "price-unknown")
    found["modes"] = {
        mode.name: measure_mode(survey, peer, python, mode) for mode in peer.adapter.modes
    }
    return found


def measure_mode(survey: Survey, peer: Peer, python: Path, mode: Mode) -> dict[str, Any]:
    """Ask one way of using a peer everything."""
    named = ("--mode", mode.name)
    races = {arm: survey.probe(peer, python, "race", *named, "--arm", arm) for arm in ARMS}
    found: dict[str, Any] = {"beside": mode.beside, "races": races}
    for question in ("abandon", "dear", "unknown", "speed"):
        found[question] = survey.probe(peer, python, question, *named)
    if mode.persistent:
        found["crash"] = survey.crash(peer, python, mode)
    return found


def broken_promises(found: dict[str, Any]) -> Iterator[str]:
    """Say where Outlay itself overspent or forgot; a peer may do both, that is the comparison."""
    for name, mode in found["modes"].items():
        for arm, race in mode["races"].items():
            if "usd" in race and (Decimal(race["usd"]) > CAP_USD or race["errors"]):
                yield f"outlay: {name}, {arm}: {race['usd']} USD, {race['first_error']}"
        crash = mode.get("crash")
        if crash is not None:
            recorded = Decimal(crash["at_once"].get("recorded_usd") or 0)
            if recorded < crash["returned"] * CALL_USD or not crash["at_once"].get("goes_on"):
                yield f"outlay: {name}, kill -9: {crash}"


def versions(peer: Peer, python: Path) -> dict[str, str]:
    """Return the versions installed in the peer's environment."""
    command = [str(python), "-c", VERSIONS, *peer.distributions]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return dict(zip(peer.distributions, done.stdout.split(), strict=False))


def import_ms(survey: Survey, peer: Peer, python: Path) -> float:
    """Return the median CPU milliseconds of the import in fresh processes, files compiled."""
    command = [str(python), "-c", IMPORT.format(peer.module)]
    taken = []
    for _ in range(survey.imports + 1):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env=os.environ | peer.environment,
        )
        taken.append(int(done.stdout.split()[-1]) / 1e6)
    return round(statistics.median(taken[1:]), 1)


def outlay_python(given: str | None) -> Path | None:
    """Return an interpreter that has Outlay, or None with a line that says so."""
    python = Path(given or sys.executable)
    done = subprocess.run([str(python), "-c", "import outlay"], capture_output=True, check=False)
    if done.returncode == 0:
        return python
    print(f"outlay: no row, `import outlay` fails in {python.name}; give --outlay-python PATH")
    return None


def peer_python(survey: Survey, peer: Peer) -> Path | None:
    """Return the interpreter of the peer's environment, or None with a line that says why not."""
    if sys.version_info < peer.python_min:
        print(f"{peer.name}: no row, it needs Python {peer.python_min[0]}.{peer.python_min[1]}")
        return None
    try:
        return python_of(peer.name, peer.requirements)
    except NotInstallable as error:
        survey.fail(peer, "install", (), str(error))
        return None


@contextmanager
def loopback() -> Iterator[int]:
    """Run the loopback provider; it ends with this process whatever happens."""
    command = [sys.executable, str(HERE / "loopback.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }


def run(options: argparse.Namespace) -> int:
    """Measure, print, and say by the exit code whether everything was measured."""
    results: dict[str, Any] = {}
    with loopback() as port:
        survey = Survey(port, options.quick)
        for peer in (OUTLAY, *PEERS):
            if options.only and peer.name not in options.only:
                continue
            if peer is OUTLAY:
                python = outlay_python(options.outlay_python)
            else:
                python = peer_python(survey, peer)
            if python is None:
                continue
            print(f"{peer.name} ...", file=sys.stderr, flush=True)
            results[peer.name] = measure_peer(survey, peer, python)
            if peer is OUTLAY:
                survey.failures.extend(broken_promises(results[peer.name]))
    whole = {"machine": machine(), "calls_max": survey.calls_max, "peers": results}
    whole["failures"] = survey.failures
    if options.json:
        options.json.write_text(json.dumps(whole, indent=2) + "\n")
    print(table.render(whole))
    return 1 if survey.failures else 0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare Outlay with its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter races")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure only these peers")
    parser.add_argument("--outlay-python", metavar="PATH", help="an interpreter that has outlay")
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
