"""Where does a peer run? In an environment of its own, made once and kept under ``.cache``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "peers"
INSTALL_TIMEOUT_S = 600


class NotInstallable(Exception):
    """The peer's packages could not be installed for this Python."""


def python_of(name: str, requirements: tuple[str, ...]) -> Path:
    """Return the interpreter of the peer's environment, making it if it is not there yet.

    Raises:
        NotInstallable: with the last line the installer wrote.
    """
    home = CACHE / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = home / "requirements.json"
    wanted = json.dumps(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(home)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *requirements])
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstallable(f"no answer in {INSTALL_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise NotInstallable(lines[-1])
