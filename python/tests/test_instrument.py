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


def test_google_is_guarded_with_what_it_imports_late() -> None:
    pytest.importorskip("google.genai")
    run("""
    import sys, outlay
    outlay.instrument()
    from google import genai
    base = sys.modules["google.genai._api_client"].BaseApiClient
    live = sys.modules["google.genai.live"].AsyncLive
    theirs = live.connect.__wrapped__
    assert guarded(base, "_request_once") and guarded(base, "_async_request_once")
    assert "google.genai._gaos.basesdk" not in sys.modules
    genai.Client(api_key="any").interactions
    late = sys.modules["google.genai._gaos.basesdk"]
    assert guarded(late.BaseSDK, "do_request")
    assert guarded(late.AsyncBaseSDK, "do_request_async")
    outlay.uninstrument()
    assert not guarded(base, "_request_once") and not guarded(late.BaseSDK, "do_request")
    assert live.connect is theirs
    """)


def test_a_google_client_that_repeats_unseen_cannot_be_guarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = pytest.importorskip("google.genai._api_client").BaseApiClient

    async def _async_request_once(self: object, http_request: object) -> None: ...

    monkeypatch.setattr(base, "_async_request_once", _async_request_once)
    with pytest.raises(outlay.Unsupported, match="by itself"):
        outlay.instrument()


def test_nothing_is_imported_to_be_guarded() -> None:
    run("""
    import sys, outlay
    outlay.instrument()
    clients = {"openai", "anthropic", "google.genai", "aiohttp"}
    assert not (clients | {"httpx", "httpx2", "anyio"}) & set(sys.modules)
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
