"""Is every request of the installed clients either metered, known to be free, or refused?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import anthropic
import openai
import pytest
from outlay.integrations._billed import ANTHROPIC, GOOGLE, OPENAI, Bill

TABLE = Path(__file__).parents[2] / "tests" / "billed.json"


def source(package: ModuleType) -> dict[str, str]:
    root = Path(package.__file__ or "").parent
    files = {path: path.read_text() for path in root.rglob("*.py")}
    return {path.relative_to(root).as_posix(): text for path, text in files.items()}


def posts(package: ModuleType) -> set[str]:
    """The paths the package's resources post to, with `id` for what is filled in."""
    found: set[str] = set()
    call = re.compile(r"self\._(?:post|put|patch)\(\s*(?:path_template\()?f?\"(/[^\"?]*)")
    for text in source(package).values():
        found |= {re.sub(r"\{\w*\}", "id", path) for path in call.findall(text)}
    return found


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/chat/completions", "openai.chat"),
        ("/responses?beta=true", "openai.responses"),
        ("/embeddings", "openai.embeddings"),
        ("/images/generations", "openai.images"),
        ("/openai/deployments/d/chat/completions?api-version=1", "openai.chat"),
        ("https://openrouter.ai/api/v1/chat/completions", "openai.chat"),
        ("/moderations", None),
        ("/files", None),
        ("/chat/completions/chatcmpl-1", None),
        ("/responses/resp_1/cancel", None),
        ("/responses/input_tokens", None),
        ("/threads/thread_1/messages", None),
        ("/completions", ""),
        ("/responses/compact", ""),
        ("/audio/speech", ""),
        ("/audio/transcriptions", ""),
        ("/audio/translations", ""),
        ("/images/edits", ""),
        ("/images/variations", ""),
        ("/videos", ""),
        ("/batches", ""),
        ("/fine_tuning/jobs", ""),
        ("/fine_tuning/jobs/job_1/resume", ""),
        ("/threads/runs", ""),
        ("/threads/thread_1/runs", ""),
        ("/threads/thread_1/runs/run_1/submit_tool_outputs", ""),
        ("/vector_stores", ""),
        ("/vector_stores/vs_1/files", ""),
        ("/vector_stores/vs_1/search", ""),
        ("/evals/eval_1/runs", ""),
        ("/containers", ""),
        ("/realtime/client_secrets", ""),
        ("/realtime/calls", ""),
        ("/a_method_added_tomorrow", ""),
    ],
)
def test_openai_requests_are_known_for_what_they_cost(path: str, api: str | None) -> None:
    assert OPENAI.api("post", path) == api


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/messages", "anthropic.messages"),
        ("/v1/messages?beta=true", "anthropic.messages"),
        ("/v1/messages/count_tokens", None),
        ("/v1/messages/batches/b_1/cancel", None),
        ("/v1/files", None),
        ("/v1/organizations/api_keys/k_1", None),
        ("/v1/messages/batches", ""),
        ("/v1/complete", ""),
        ("/v1/sessions", ""),
        ("/v1/sessions/s_1/events", ""),
        ("/v1/a_method_added_tomorrow", ""),
    ],
)
def test_anthropic_requests_are_known_for_what_they_cost(path: str, api: str | None) -> None:
    assert ANTHROPIC.api("POST", path) == api


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/models/gemini-2.5-flash:generateContent", "gemini.generate"),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini.generate"),
        ("https://a.b/c/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
         "gemini.generate"),
        ("/v1/models/gemini-embedding-001:embedContent", "gemini.generate"),
        ("/v1/models/gemini-embedding-001:batchEmbedContents", "gemini.generate"),
        ("/v1/tunedModels/mine:generateContent", "gemini.generate"),
        ("/v1/models/gemini-2.5-flash:countTokens", None),
        ("/v1beta1/publishers/google/models/m:computeTokens", None),
        ("/v1/batches/b:cancel", None),
        ("/upload/v1/files", None),
        ("/v1/files:register", None),
        ("/v1/fileSearchStores", None),
        ("/v1/auth_tokens", None),
        ("/v1/interactions/i/cancel", None),
        ("/v1/models/gemini-2.5-flash:batchGenerateContent", ""),
        ("/v1/models/gemini-embedding-001:asyncBatchEmbedContent", ""),
        ("/v1beta1/publishers/google/models/m:predict", ""),
        ("/v1beta1/publishers/google/models/m:predictLongRunning", ""),
        ("/v1beta1/publishers/anthropic/models/m:rawPredict", ""),
        ("/v1/cachedContents", ""),
        ("/v1/tunedModels", ""),
        ("/v1beta1/projects/p/locations/l/tuningJobs", ""),
        ("/v1beta1/projects/p/locations/l/batchPredictionJobs", ""),
        ("/v1/fileSearchStores/s:importFile", ""),
        ("/upload/v1/fileSearchStores/s:uploadToFileSearchStore", ""),
        ("/v1/interactions", ""),
        ("/v1/agents", ""),
        ("/v1/models/gemini-2.5-flash:aMethodAddedTomorrow", ""),
    ],
)  # fmt: skip
def test_google_requests_are_known_for_what_they_cost(path: str, api: str | None) -> None:
    assert GOOGLE.api("post", path) == api


@pytest.mark.parametrize("bill", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_the_table_is_that_of_every_language(bill: Bill) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))[bill.provider]
    assert table == {"metered": bill.metered, "free": bill.free}


@pytest.mark.parametrize("bill", [OPENAI, ANTHROPIC, GOOGLE], ids=lambda bill: str(bill.provider))
@pytest.mark.parametrize("method", ["get", "GET", "delete"])
def test_looking_and_deleting_are_free(bill: Bill, method: str) -> None:
    assert bill.api(method, "/batches") is None


def test_what_the_clients_really_post_falls_into_each_class() -> None:
    """The paths are read from the installed packages, so that this list cannot go stale alone."""
    for package, bill, metered, at_least in (
        (openai, OPENAI, 4, 20),
        (anthropic, ANTHROPIC, 1, 10),
    ):
        classes: dict[str | None, set[str]] = {}
        for path in posts(package):
            classes.setdefault(bill.api("POST", path), set()).add(path)
        free, refused = classes.pop(None), classes.pop("")
        assert len(classes) == metered, classes
        assert len(free) >= at_least, free
        assert len(refused) >= at_least, refused


@pytest.mark.parametrize("package", [openai, anthropic], ids=["openai", "anthropic"])
def test_the_package_sends_requests_from_one_place_only(package: ModuleType) -> None:
    """A request sent past `_base_client` would pass the guard, too."""
    sends = re.compile(r"\b_client\.(?:send|stream)\(|\bhttpx2?\.(?:post|stream|request)\(")
    senders = {name for name, text in source(package).items() if sends.search(text)}
    assert senders == {"_base_client.py"}


def test_google_sends_from_places_that_are_guarded_only() -> None:
    genai = pytest.importorskip("google.genai")
    sends = re.compile(
        r"\b(?:\w*client|session|_authorized_session)\.(?:send|request|stream|post|put)\("
        r"|\bws_connect\(|\bwith connect\(|\brequests\.(?:get|post|put)\("
    )
    files = {
        name: text
        for name, text in source(genai).items()
        if not name.startswith(("tests/", "_test"))
    }
    senders = {name for name, text in files.items() if sends.search(text)}
    # Resources go through `BaseApiClient`; tokenizers are loaded from elsewhere, free of charge.
    through = {name for name in senders if "_api_client.request(" in files[name]}
    assert senders - through - {"_local_tokenizer_loader.py", "_transformers.py"} == {
        "_api_client.py", "_gaos/basesdk.py", "live.py", "live_music.py",
    }  # fmt: skip
    # Whoever sends one attempt: the two that are wrapped, and what moves the bytes of files.
    by: dict[str, str] = {}
    for part in re.split(r"\n  (?=(?:async )?def )", files["_api_client.py"]):
        if sends.search(part):
            by[re.match(r"(?:async )?def (\w+)", part)[1]] = part  # type: ignore[index]
    assert {"_request_once", "_async_request_once"} <= set(by)
    assert {name for name in by if "file" not in name and "_fd" not in name} <= {
        "_request_once", "_async_request_once", "request", "request_streamed",
    }  # fmt: skip


def test_what_google_really_posts_falls_into_each_class() -> None:
    genai = pytest.importorskip("google.genai")
    paths: set[str] = set()
    for text in source(genai).values():
        paths |= set(re.findall(r"path = f?'([^'?]+)[^']*'\.format_map", text))
        paths |= set(re.findall(r"method=\"POST\",\s+path=\"([^\"]+)\"", text))
    filled = {"/v1/" + re.sub(r"\{+\w+\}+", "id", path).lstrip("/") for path in paths}
    classes: dict[str | None, set[str]] = {}
    for path in filled:
        classes.setdefault(GOOGLE.api("POST", path), set()).add(path)
    free, refused = classes.pop(None), classes.pop("")
    assert len(classes.pop("gemini.generate")) >= 3 and not classes
    assert len(free) >= 8, free
    assert len(refused) >= 12, refused


def test_every_websocket_is_opened_by_a_resource() -> None:
    opens = re.compile(r"websockets\.(?:sync|asyncio)\.client import \w*connect\b")
    for name, text in source(openai).items():
        if opens.search(text) and name not in ("_websocket_connection.py", "lib/_websocket.py"):
            assert name.startswith("resources/"), name
            assert re.search(r"class \w+\((?:Sync|Async)APIResource\)", text), name
            assert "    def connect(" in text, name
