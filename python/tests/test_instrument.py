"""Are clients guarded whenever they are imported, and free again after `uninstrument`?"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import outlay
import pytest

GUARDED = """
    def guarded(owner, name):
        return hasattr(getattr(owner, name), "__wrapped__")
"""


def run(code: str) -> str:
    """Runs code in an interpreter that has imported nothing yet; returns what it prints."""
    lines = textwrap.dedent(GUARDED) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_client_is_guarded_whenever_it_is_imported() -> None:
    run("""
    import sys, threading, outlay
    outlay.instrument()
    outlay.uninstrument()
    import openai
    base = openai._base_client
    assert not guarded(base.SyncAPIClient, "request")
    outlay.instrument()
    outlay.instrument()
    assert "anthropic" not in sys.modules
    assert guarded(base.SyncAPIClient, "request") and guarded(base.AsyncAPIClient, "request")
    assert not guarded(base.SyncAPIClient.request, "__wrapped__")
    from openai.resources.realtime import Realtime
    assert guarded(Realtime, "connect")
    import anthropic
    assert guarded(anthropic._base_client.SyncAPIClient, "_attempt_request")
    assert guarded(anthropic._base_client.AsyncAPIClient, "_attempt_request")

    outlay.uninstrument()
    assert not guarded(base.SyncAPIClient, "request") and not guarded(Realtime, "connect")
    assert not guarded(anthropic._base_client.SyncAPIClient, "_attempt_request")
    assert not guarded(threading.Thread, "start")
    """)


def test_nothing_is_imported_to_be_guarded() -> None:
    run("""
    import sys, outlay
    outlay.instrument()
    assert not {"openai", "anthropic", "httpx", "httpx2", "anyio"} & set(sys.modules)
    """)


def test_a_version_that_cannot_be_guarded_fails_at_its_import() -> None:
    said = run("""
    import importlib.machinery, outlay, sys
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader
    read = loader.get_data

    def renamed(self, path):
        code = read(self, path)
        if "anthropic" in path and path.endswith("_base_client.py"):
            code = code.replace(b"_attempt_request", b"_attempt_differently")
        return code

    def no_bytecode(self, path):
        raise OSError

    loader.get_data, loader.path_stats = renamed, no_bytecode
    outlay.instrument()
    try:
        import anthropic
    except outlay.Unsupported as error:
        print(error)
    """)
    assert "_attempt_request" in said


def test_another_guard_outside_ours_stays_when_ours_is_taken_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import openai._base_client

    outlay.instrument()
    ours = openai._base_client.SyncAPIClient.request

    def theirs(*args: object, **kwargs: object) -> object:
        return ours(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(openai._base_client.SyncAPIClient, "request", theirs)
    outlay.uninstrument()
    assert openai._base_client.SyncAPIClient.request is theirs
