"""Which peers are measured, in which exact versions?

Everything is pinned, so that a figure can be measured again. Peers whose dependencies conflict
cannot share an environment (litellm needs the 2.x OpenAI client, the others run on 3.x), so each
has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import agentguard_peer
import outlay_peer
import pricers_peer
import pydantic_peer
import shekel_peer
import tokencap_peer
from adapter import Adapter

OPENAI = "openai==3.54.0"


@dataclass(frozen=True)
class Peer:
    """One package of the comparison."""

    name: str
    adapter: Adapter
    reference: str
    """Where the probe finds the adapter: ``module:NAME``."""

    module: str
    """What a user imports."""

    requirements: tuple[str, ...]
    distributions: tuple[str, ...]
    """Whose versions are shown."""

    environment: dict[str, str] = field(default_factory=dict)
    python_min: tuple[int, int] = (3, 10)


OUTLAY = Peer(
    "outlay", outlay_peer.ADAPTER, "outlay_peer:ADAPTER", "outlay", (), ("outlay", "openai")
)

PEERS = (
    Peer(
        "shekel",
        shekel_peer.ADAPTER,
        "shekel_peer:ADAPTER",
        "shekel",
        ("shekel==1.2.0", OPENAI),
        ("shekel", "openai"),
    ),
    Peer(
        "tokencap",
        tokencap_peer.ADAPTER,
        "tokencap_peer:ADAPTER",
        "tokencap",
        ("tokencap==0.2.0", OPENAI),
        ("tokencap", "openai"),
    ),
    Peer(
        "agentguard47",
        agentguard_peer.ADAPTER,
        "agentguard_peer:ADAPTER",
        "agentguard",
        ("agentguard47==2.0.0", OPENAI),
        ("agentguard47", "openai"),
        python_min=(3, 11),
    ),
    Peer(
        "pydantic-ai",
        pydantic_peer.ADAPTER,
        "pydantic_peer:ADAPTER",
        "pydantic_ai",
        ("pydantic-ai-slim[openai]==2.68.0", "genai-prices==0.2.3", OPENAI),
        ("pydantic-ai-slim", "genai-prices", "openai"),
    ),
    Peer(
        "tokencost",
        pricers_peer.TOKENCOST,
        "pricers_peer:TOKENCOST",
        "tokencost",
        ("tokencost==0.1.26",),
        ("tokencost",),
    ),
    Peer(
        "litellm",
        pricers_peer.LITELLM,
        "pricers_peer:LITELLM",
        "litellm",
        ("litellm==1.106.2",),
        ("litellm",),
        # Without this, importing it asks a public host for prices.
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
)
