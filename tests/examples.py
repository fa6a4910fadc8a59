"""Do the examples run, and say the same in Rust and Python, and what their docs promise?

    python tests/examples.py

Each ``examples/python/NAME.py`` has an ``examples/rust/NAME.rs``. Both print the text that stands
under ``Prints::`` in the Python file. Exits with 1 and a diff if one does not.
"""

from __future__ import annotations

import ast
import difflib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "examples" / "python"
RUST = ROOT / "examples" / "rust"
TIMEOUT_S = 120
BUILD_TIMEOUT_S = 1200


def promised(example: Path) -> str:
    """What its docs say it prints."""
    doc = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    _, found, after = doc.partition("Prints::\n\n")
    if not found:
        raise SystemExit(f"{example.name} does not say what it prints")
    lines: list[str] = []
    for line in after.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines)).strip() + "\n"


def printed(command: list[str]) -> str:
    """What it prints, as nobody configured it; its errors with it if it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "OUTLAY_STORE"}
    environment["OUTLAY_CONFIG"] = os.devnull
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def main() -> int:
    """Runs each in both languages."""
    names = {file.stem for file in PYTHON.glob("*.py")}
    others = {file.stem for file in RUST.glob("*.rs")}
    if names != others or not names:
        print(f"only in one language: {', '.join(sorted(names ^ others))}", file=sys.stderr)
        return 1
    cargo = ["cargo", "--quiet", "--locked"]
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--package", "outlay", "--examples"],
        cwd=ROOT,
        check=True,
        timeout=BUILD_TIMEOUT_S,
    )
    failed = 0
    for name in sorted(names):
        wanted = promised(PYTHON / f"{name}.py")
        commands = {
            "python": [sys.executable, str(PYTHON / f"{name}.py")],
            "rust": [*cargo, "run", "--package", "outlay", "--example", name],
        }
        for language, command in commands.items():
            said = printed(command)
            if said != wanted:
                failed += 1
                lines = [text.splitlines() for text in (wanted, said)]
                print("\n".join(difflib.unified_diff(*lines, "promised", f"{name} in {language}")))
    print(f"{2 * len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
