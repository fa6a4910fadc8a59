"""Runs the loopback provider as a program that tests in any language can start.

It prints one line of JSON when it listens::

    $ python -m outlay.testing --port 0
    {"url": "http://127.0.0.1:49152", "openai_url": "http://127.0.0.1:49152/v1",
     "anthropic_url": "http://127.0.0.1:49152", "google_url": "http://127.0.0.1:49152",
     "host": "127.0.0.1", "port": 49152, "pid": 7}

(in one line). ``POST /control`` steers it, ``GET /bill`` reads its books.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading

from .exchange import Exchange
from .server import Server
from .tokens import encoding
from .work import State


def main() -> int:
    """Parses the arguments and serves until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m outlay.testing",
        description="A loopback OpenAI, Anthropic and Google look-alike for tests. It is no proxy, "
        "calls nothing, and listens on loopback only.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system pick")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when whoever started it is gone"
    )
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.host, arguments.port, arguments.until_stdin_closes))
    except (ValueError, OSError) as error:
        print(f"outlay.testing: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(host: str, port: int, until_stdin_closes: bool) -> None:
    encoding("o200k_base")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    server = Server(Exchange(State()))
    port = await server.start(host, port)
    if until_stdin_closes:
        watch = threading.Thread(target=_watch, args=(loop, stopped), daemon=True)
        watch.start()
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{port}"
    told = {"url": url, "openai_url": f"{url}/v1", "anthropic_url": url, "google_url": url}
    print(json.dumps({**told, "host": host, "port": port, "pid": os.getpid()}), flush=True)
    await stopped.wait()
    await server.stop()


def _watch(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Bare reads: a reader that holds stdin's lock would break the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stopped.set)


if __name__ == "__main__":
    sys.exit(main())
