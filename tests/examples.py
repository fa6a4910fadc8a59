"""Do the examples run, and say the same in every language, and what their docs promise?

    python tests/examples.py

Each ``examples/python/NAME.py`` has an ``examples/rust/NAME.rs`` and an ``examples/node/NAME.mjs``.
All print the text that stands under ``Prints::`` in the Python file. Exits with 1 and a diff if one
does not.
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
NODE = ROOT / "examples" / "node"
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
    environment["OUTLAY_PYTHON"] = sys.executable
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


def install_for_node() -> None:
    """Lets the examples import the built package, and what it was tested with."""
    packages = ROOT / "node" / "node_modules"
    for link, target in ((packages / "outlay", ROOT / "node"), (NODE / "node_modules", packages)):
        if not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)


def main() -> int:
    """Runs each in every language."""
    names = {file.stem for file in PYTHON.glob("*.py")}
    for others in (RUST.glob("*.rs"), NODE.glob("*.mjs")):
        differing = names ^ {file.stem for file in others}
        if differing or not names:
            print(f"not in every language: {', '.join(sorted(differing))}", file=sys.stderr)
            return 1
    install_for_node()
    cargo = ["cargo", "--quiet", "--locked"]
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--package", "outlay", "--examples"],
        cwd=ROOT,
        check=True,
        timeout=BUILD_TIMEOUT_S,
    )
    passed = failed = 0
    for name in sorted(names):
        wanted = promised(PYTHON / f"{name}.py")
        commands = {
            "python": [sys.executable, str(PYTHON / f"{name}.py")],
            "rust": [*cargo, "run", "--package", "outlay", "--example", name],
            "node": ["node", str(NODE / f"{name}.mjs")],
        }
        for language, command in commands.items():
            said = printed(command)
            if said == wanted:
                passed += 1
            else:
                failed += 1
                lines = [text.splitlines() for text in (wanted, said)]
                print("\n".join(difflib.unified_diff(*lines, "promised", f"{name} in {language}")))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
