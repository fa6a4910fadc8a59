"""Does what the README shows run, each block by itself, as somebody would copy it?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from outlay.testing import Provider

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
TIMEOUT_S = 120


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(block: str, tmp_path: Path) -> None:
    if "langchain" in block:
        pytest.importorskip("langchain_openai")
    asks = "openai" in block
    with Provider() as provider:
        environment = {
            **os.environ,
            "OPENAI_API_KEY": "any",
            "OPENAI_BASE_URL": provider.openai_url,
            "OUTLAY_CONFIG": os.devnull,
            "OUTLAY_STORE": f"sqlite:{tmp_path / 'ledger.db'}",
        }
        command = [sys.executable, "-W", "error", "-c", block]
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert provider.bill().served == (1 if asks else 0)
    for promised in re.findall(r"^print\(.*\)\s+# (\d.*)$", block, re.MULTILINE):
        assert promised in ran.stdout


def test_the_readme_has_examples() -> None:
    assert len(BLOCKS) >= 4
