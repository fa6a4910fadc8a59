"""The command line: ``outlay`` and ``python -m outlay``."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command line and returns its exit code."""
    # The core runs without the interpreter's lock: let Ctrl-C end it at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
