"""What can a model take? By the traits that litellm's table tells, as letters in a fixed order.

A letter stands where the table says so; where it is silent, the model is not known to be able to,
and no call that needs it goes to the model instead of another. `None` where the table has no traits
at all. The letters mean what `core/src/meter/price/abilities.rs` says.
"""

from __future__ import annotations

import re
from typing import Any

# Models that reason refuse `temperature` and the like, and these do by their makers' description.
OPENAI_REASONS = re.compile(r"(^|[/.])(o[134]|gpt-[5-9])([.-]|$)")
# Of them those that take one effort only, or none.
ONE_EFFORT = re.compile(r"chat|pro\b|deep-research|search|o1-(mini|preview)|cyber")
# They take only conversations with sound in them.
SOUND_ONLY = re.compile(r"audio")


def abilities(name: str, entry: dict[str, Any]) -> str | None:
    """The letters of one entry of litellm's table."""
    mode, endpoints = entry.get("mode"), entry.get("supported_endpoints")
    if not mode:
        return None

    def can(trait: str) -> bool:
        return entry.get(f"supports_{trait}") is True

    def cannot(trait: str) -> bool:
        return entry.get(f"supports_{trait}") is False

    def answers_at(path: str) -> bool:
        return any(endpoint.endswith(path) for endpoint in endpoints or ())

    talks = mode == "chat" and not SOUND_ONLY.search(name)
    claude = "claude" in name
    reasons = bool(OPENAI_REASONS.search(name))
    schema = "native_structured_output" if claude else "response_schema"
    efforts = can("output_config") if claude else reasons and not ONE_EFFORT.search(name)
    tools = can("function_calling")
    told = {
        "c": talks and (not endpoints or answers_at("/chat/completions")),
        "p": answers_at("/responses") or mode == "responses" or (talks and not endpoints),
        "y": not cannot("system_messages"),
        "t": tools,
        "f": tools and can("tool_choice") and not cannot("forced_tool_use"),
        "m": tools and can("parallel_function_calling"),
        "i": can("vision"),
        "d": can("pdf_input"),
        "a": can("audio_input"),
        "j": can(schema),
        "s": not cannot("sampling_params") and not reasons and "search" not in name,
        "l": can("assistant_prefill"),
        "v": can("mid_conversation_system"),
        "e": efforts and not cannot("low_reasoning_effort"),
        "n": can("none_reasoning_effort"),
        "k": can("minimal_reasoning_effort"),
        "x": can("xhigh_reasoning_effort"),
        "z": can("max_reasoning_effort"),
        "b": claude
        and can("reasoning")
        and (can("legacy_thinking") or not can("adaptive_thinking")),
        "h": can("adaptive_thinking"),
    }
    if not (told["c"] or told["p"]):
        return ""
    letters = "".join(letter for letter, holds in told.items() if holds)
    # Nearly all models take system text, and a choice of tool where they take tools.
    return re.sub("^c(p?)y", r"u\1", letters).replace("tf", "f")
