"""What `outlay.count` says of texts, messages and tools."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay._tiktoken_offline import encoding

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OUTLAY_TEST_DATA", ROOT.parent / "shared" / "data"))
TEXT = "Tokens are what a model reads: 1,024 of them, naïve or not, 漢字 and all. "
FILE = {"type": "file", "file": {"file_id": "f"}}


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o", "o200k_base"), ("o3", "o200k_base"), ("gpt-4", "cl100k_base")],
)
def test_text_of_openai_is_counted_as_tiktoken_does(model: str, name: str) -> None:
    counted = outlay.count(model, text=TEXT * 50)
    truth = len(encoding(name).encode_ordinary(TEXT * 50))
    assert (counted.tokens, counted.bound, counted.method) == (truth, truth, "exact")


def test_text_of_claude_is_counted_as_the_reconstruction_does() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "claude_tokens.json").read_text())
    assert vectors["encodings"] == ["claude3", "claude47", "claude48"]
    models = ["claude-sonnet-4-5", "claude-opus-4-7", "claude-sonnet-5"]
    for text, truths in vectors["texts"][1:60]:
        for model, truth in zip(models, truths, strict=True):
            counted = outlay.count(model, text=text)
            assert (counted.tokens, counted.method) == (truth, "reconstructed"), (model, text)
            assert truth <= counted.bound <= truth * 1.03 + 1


def test_other_text_is_bounded_by_its_family() -> None:
    o200k = outlay.count("gpt-4o", text=TEXT).tokens
    for model, ratio in [("gemini-2.5-pro", 1.4), ("mistral-large", 1.15), ("unheard-of", 1.7)]:
        counted = outlay.count(model, text=TEXT)
        assert (counted.tokens, counted.method) == (o200k, "calibrated")
        assert o200k * ratio <= counted.bound <= o200k * ratio + 1, model


def chats() -> list[dict[str, Any]]:
    path = DATA / "chat_token_counts.dev.json"
    return json.loads(path.read_text()) if path.exists() else []


def test_recorded_chats_are_counted_as_the_api_billed_them() -> None:
    if not chats():
        pytest.skip("no chat_token_counts.dev.json; say where by OUTLAY_TEST_DATA")
    for chat in chats():
        tools = chat.get("tools") or chat.get("functions")
        counted = outlay.count(
            chat["model"].split()[0],
            messages=chat["messages"],
            tools=tools,
            tool_choice=chat.get("tool_choice") or chat.get("function_call"),
        )
        assert counted.tokens == counted.bound == chat["prompt_tokens"], chat
        has_calls = tools or any("function_call" in message for message in chat["messages"])
        assert counted.method == ("reconstructed" if has_calls else "exact")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, outlay.InvalidInput),
        ({"text": "x", "messages": []}, outlay.InvalidInput),
        ({"text": "x", "tools": []}, outlay.InvalidInput),
        ({"messages": 5}, outlay.InvalidInput),
        ({"messages": [{"content": "no role"}]}, outlay.InvalidInput),
        ({"messages": [{"role": "user", "content": object()}]}, outlay.InvalidInput),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
                ]
            },
            outlay.Unbounded,
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(
    arguments: dict[str, Any], error: type[outlay.OutlayError]
) -> None:
    with pytest.raises(error):
        outlay.count("gpt-4o", **arguments)


def test_counts_compare_and_show_themselves() -> None:
    counted = outlay.count("gpt-4o", text="hello world")
    assert counted == outlay.count("gpt-4o", text="hello world") != outlay.count("gpt-4o", text="x")
    assert repr(counted) == "Count(tokens=2, bound=2, method='exact')"
