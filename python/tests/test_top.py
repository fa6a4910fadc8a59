"""Does ``outlay top`` halt a task of another process, and leave the terminal as it was?"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import outlay
import pytest

CALL: Any = {"model": "house", "input_tokens": 0, "max_output_tokens": 5}
#: Only ends a test that would never end.
PATIENCE_S = 120


class Terminal:
    """A pseudo-terminal of 80 by 24 with a program in it."""

    def __init__(self, *words: str) -> None:
        self.own, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "outlay", *words],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )

    def wait_for(self, pattern: str) -> None:
        """Reads until what is new on the screen has it; what was read before counts no more."""
        end = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text):
            if time.monotonic() > end or self.process.poll() is not None:
                pytest.fail(f"no {pattern!r} in {self.text!r}")
            if select.select([self.own], [], [], 0.1)[0]:
                self.text += os.read(self.own, 65_536).decode(errors="replace")
        self.text = ""

    def press(self, keys: str) -> None:
        os.write(self.own, keys.encode())

    def end(self) -> tuple[int, str]:
        """Its exit code, and the last of what it wrote."""
        threading.Thread(target=self.process.wait, args=(PATIENCE_S,), daemon=True).start()
        while self.process.poll() is None:
            if select.select([self.own], [], [], 0.1)[0]:
                self.text += os.read(self.own, 65_536).decode(errors="replace")
        while select.select([self.own], [], [], 0)[0]:
            self.text += os.read(self.own, 65_536).decode(errors="replace")
        return self.process.returncode, self.text

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.own)
        os.close(self.theirs)


def _until_halted(task: outlay.Task, verdicts: list[str]) -> None:
    while not verdicts:
        try:
            task.reserve(**CALL).settle(outlay.Usage(0, 5))
        except outlay.Halted as halted:
            verdicts.append(f"{halted.by}: {halted.reason}")
        time.sleep(0.02)


def test_a_key_halts_a_task_of_another_process(tmp_path: Path) -> None:
    outlay.configure(prices={"house": {"input": 0, "output": 10}})
    store = f"sqlite:{tmp_path / 'ledger.db'}"
    verdicts: list[str] = []
    with outlay.task("refund", usd=5, store=store) as task:
        worker = threading.Thread(target=_until_halted, args=(task, verdicts))
        worker.start()
        top = Terminal("--store", store, "top", "--by", "maria", "--reason", "too dear")
        try:
            top.wait_for(r"refund\s+0\.\d{4}\s+5\.0000")
            top.press("h")
            top.wait_for(r"halt refund\? y/n")
            top.press("n")
            top.wait_for("nothing was done")
            assert not verdicts
            top.press("hy")
            top.wait_for("refund is halted")
            worker.join(PATIENCE_S)
            assert verdicts == ["maria: too dear"]
            top.wait_for(r"refund[^\n]*halted")
            top.press("uy")
            top.wait_for("refund is unhalted")
            task.reserve(**CALL).settle(outlay.Usage(0, 5))
            top.press("q")
            code, text = top.end()
            assert (code, "\x1b[?1049l" in text) == (0, True)
            assert termios.tcgetattr(top.theirs) == top.before
        finally:
            verdicts.append("over")
            worker.join(PATIENCE_S)
            top.close()


def test_control_c_gives_the_terminal_back(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'ledger.db'}"
    with outlay.task("refund", usd=5, store=store):
        top = Terminal("--store", store, "top")
        try:
            top.wait_for("q quit")
            top.press("\x03")
            code, text = top.end()
            assert (code, "\x1b[?1049l" in text) == (0, True)
            assert termios.tcgetattr(top.theirs) == top.before
        finally:
            top.close()


def test_where_there_is_no_terminal_one_table_is_printed(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'ledger.db'}"
    with outlay.task("refund", usd=5, store=store):
        words = [sys.executable, "-m", "outlay", "--store", store, "top"]
        run = subprocess.run(words, capture_output=True, text=True, check=True)
    headings, row = run.stdout.splitlines()
    assert headings.split()[0] == "task"
    assert row.split()[:3] == ["refund", "0.0000", "5.0000"]
