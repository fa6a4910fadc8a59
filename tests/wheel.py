"""Is the wheel what a user should get? Reads it, and imports what was installed from it.

    python tests/wheel.py dist/outlay-*.whl

Exits with 1 if it is too large, lacks a part, or holds a native module twice: a library left in
the source tree by hand would win over the one built for the wheel. The time an import takes is
printed, not judged: it is the machine's as much as ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

SIZE_MAX_MB = 10
IMPORTS = 9
PARTS = (
    "outlay/__init__.py",
    "outlay/_native.pyi",
    "outlay/py.typed",
    "outlay/LICENSE-ctok",
    "outlay/LICENSE-uPlot",
    "outlay/LICENSE-vocabularies",
    "outlay/integrations/__init__.py",
    "outlay/testing/__init__.py",
)
TIMED = (
    "import time; before = time.process_time_ns(); import outlay;"
    "print(time.process_time_ns() - before); print(outlay.__file__)"
)


def faults(wheel: Path) -> list[str]:
    """What is wrong with the file."""
    names = zipfile.ZipFile(wheel).namelist()
    found = [f"it has no {part}" for part in PARTS if part not in names]
    if not any(name.endswith("dist-info/entry_points.txt") for name in names):
        found.append("it has no command")
    native = [name for name in names if name.endswith((".so", ".pyd", ".dylib"))]
    if len(native) != 1:
        found.append(f"it has {len(native)} native modules: {native}")
    if "abi3" not in wheel.name:
        found.append("it is for one version of Python only")
    if wheel.stat().st_size > SIZE_MAX_MB * 1_000_000:
        found.append(f"it is larger than {SIZE_MAX_MB} MB")
    return found


def imported() -> tuple[float, str]:
    """The fastest of some imports in fresh processes, in ms of processor time, and from where."""
    fastest, place = float("inf"), ""
    for _ in range(IMPORTS):
        done = subprocess.run(
            [sys.executable, "-c", TIMED],
            capture_output=True,
            text=True,
            check=True,
            cwd=os.path.dirname(sys.executable),
        )
        nanos, place = done.stdout.splitlines()
        fastest = min(fastest, int(nanos) / 1e6)
    return fastest, place


def main(wheel: Path) -> int:
    """Prints the figures, then what is wrong."""
    found = faults(wheel)
    import_ms, place = imported()
    if not Path(place).is_relative_to(sys.prefix):
        found.append(f"python imports another one, from {place}")
    command = Path(sys.executable).with_name("outlay")
    shown = subprocess.run([str(command), "--help"], capture_output=True, text=True, check=False)
    if shown.returncode != 0 or "outlay" not in shown.stdout:
        found.append(f"`outlay --help` ends with {shown.returncode}: {shown.stderr.strip()}")
    size_mb = wheel.stat().st_size / 1e6
    print(f"wheel {size_mb:.1f} MB (at most {SIZE_MAX_MB}); import {import_ms:.1f} ms (bar: 50)")
    for fault in found:
        print(f"{wheel.name}: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
