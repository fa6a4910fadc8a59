"""Does the demo show what it says, and would it tell if it did not?

The examples are compared across languages by `make examples`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "python" / "demo"
TIMEOUT_S = 120


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python where the demos are."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=DEMO, capture_output=True, text=True, timeout=TIMEOUT_S)


def test_everything_the_demo_claims_holds() -> None:
    pytest.importorskip("langchain_openai")
    ran = run("demo.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("\nholds: ") == 6
    assert "BudgetExceeded: task `refund report` allows 0.10 USD" in ran.stdout
    assert "stopped attempts" in ran.stdout


def test_a_demo_fails_when_a_claim_does_not_hold() -> None:
    ran = run("-c", "import screen; screen.claim('2 is 1', 2 == 1); exit(screen.verdict())")
    assert ran.returncode == 1
    assert "FAILS: 2 is 1" in ran.stdout
