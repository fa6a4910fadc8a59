"""Do the examples and demos run, print what they promise, and print the same in each language?"""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "examples" / "python"
RUST = ROOT / "examples" / "rust"
DEMO = PYTHON / "demo"
NAMES = sorted(path.stem for path in PYTHON.glob("*.py"))
# The first one may have to compile the core.
RUST_TIMEOUT_S = 280


def printed(*command: str | Path, timeout_s: float = 120) -> str:
    """Runs a program; returns what it printed, and fails if it failed or complained."""
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def promised(name: str) -> str:
    """What the docstring of the Python example says it prints."""
    text = ast.get_docstring(ast.parse((PYTHON / f"{name}.py").read_text()))
    assert text is not None
    _, found, lines = text.partition("Prints::\n\n")
    assert found
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines.splitlines())


def test_the_same_examples_exist_in_each_language() -> None:
    assert {"quickstart", "shared_budget", "stream_cut", "swallowed_error"} <= set(NAMES)
    assert sorted(path.stem for path in RUST.glob("*.rs")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_python_example_prints_what_it_promises(name: str) -> None:
    assert printed(sys.executable, PYTHON / f"{name}.py") == promised(name)


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
@pytest.mark.parametrize("name", NAMES)
def test_a_rust_example_prints_what_the_python_one_does(name: str) -> None:
    said = printed("cargo", "run", "-q", "--example", name, timeout_s=RUST_TIMEOUT_S)
    assert said == promised(name)


@pytest.mark.skipif(importlib.util.find_spec("langchain_openai") is None, reason="needs langchain")
def test_everything_the_demo_claims_holds() -> None:
    said = printed(sys.executable, DEMO / "demo.py")
    assert said.count("\nholds: ") == 6
    assert "FAILS" not in said
    assert "BudgetExceeded: task `refund report` allows 0.10 USD" in said
    assert "stopped attempts" in said


def test_a_demo_whose_claim_does_not_hold_fails() -> None:
    program = "import screen, sys; screen.claim('two is one', 2 == 1); sys.exit(screen.verdict())"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=DEMO, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert "FAILS: two is one" in ran.stdout


@pytest.mark.soak
@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs the real model's wheels"
)
def test_everything_the_demo_with_a_real_model_claims_holds() -> None:
    said = printed(sys.executable, DEMO / "demo_llm.py", timeout_s=600)
    assert said.count("\nholds: ") == 4
