"""What a demo prints, and what it claims: plain text, and every claim counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_failed: list[str] = []


def prepare() -> None:
    """Makes a demo show the same for everybody, and keeps it on this machine."""
    os.environ["OUTLAY_CONFIG"] = os.devnull  # no options of whoever runs it
    os.environ["LANGSMITH_TRACING"] = "false"  # nothing of their tracing either


def step(title: str) -> None:
    """Prints the heading of a part."""
    print(f"\n\n{title}\n{'-' * len(title)}\n")


def code(*lines: str) -> None:
    """Prints the program text that does what follows."""
    print("\n".join(f"    {line}" for line in lines) + "\n")


def claim(text: str, holds: bool) -> None:
    """Prints what is claimed, and remembers it if it does not hold."""
    print(f"{'holds' if holds else 'FAILS'}: {text}", flush=True)
    if not holds:
        _failed.append(text)


def outlay_command(folder: Path, *words: str) -> None:
    """Runs the command line as a process of its own, and prints both.

    Raises:
        subprocess.CalledProcessError: it failed; its message is on the screen.
    """
    print(f"$ outlay {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "outlay", *words], cwd=folder, check=True, timeout=60)
    print(flush=True)


def verdict() -> int:
    """Prints whether all claims held; returns the exit code."""
    if _failed:
        print(f"\n\n{len(_failed)} of the claims above did not hold: {'; '.join(_failed)}")
    else:
        print("\n\nEverything claimed above held.")
    return 1 if _failed else 0
