"""Which requests of a provider's client cost money?

Invariant: a request is free only if it is named here as free. What is neither metered nor named is
taken to be billed in a way we cannot bound, so that a method a provider adds tomorrow is refused
under a hard limit, not overlooked.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_ID = r"/[^/]+"


class Bill:
    """What one provider's HTTP interface charges for."""

    def __init__(self, provider: str, metered: dict[str, str], free: list[str]) -> None:
        self.provider = provider
        self.metered = metered
        self.free = free
        self._is_free = re.compile("|".join(free))

    def path(self, url: str) -> str:
        """The path of a request's url, without its query."""
        return urlsplit(url).path

    def api(self, method: str, url: str) -> str | None:
        """The shape to meter a request by, "" if it is billed and cannot be, None if it is free."""
        if method.upper() in ("GET", "HEAD", "OPTIONS", "DELETE"):
            return None
        path = self.path(url)
        for ending, api in self.metered.items():
            if path.endswith(ending):
                return api
        return None if self._is_free.fullmatch(path) else ""


OPENAI = Bill(
    "openai",
    metered={
        "/chat/completions": "openai.chat",
        "/responses": "openai.responses",
        "/embeddings": "openai.embeddings",
        "/images/generations": "openai.images",
    },
    free=[
        r"/moderations",
        r"/responses/input_tokens",
        rf"/(responses|batches|threads{_ID}/runs|evals{_ID}/runs|chatkit/sessions){_ID}/cancel",
        rf"/evals{_ID}/runs{_ID}",  # how 2.0 cancels one
        rf"/(chat/completions|evals|assistants|vector_stores|threads{_ID}/(messages|runs)){_ID}",
        r"/(assistants|evals)",
        r"/threads(/(?!runs$)[^/]+(/messages)?)?",
        rf"/vector_stores{_ID}/(files{_ID}|file_batches{_ID}/cancel)",
        rf"/conversations({_ID}(/items)?)?",
        rf"/fine_tuning/(jobs{_ID}/(cancel|pause)|checkpoints{_ID}/permissions)",
        r"/fine_tuning/alpha/graders/validate",
        rf"/(files|uploads({_ID}/(parts|complete|cancel))?)",
        rf"/(containers|agents/environments){_ID}/files",
        rf"/skills({_ID}(/versions)?)?",
        rf"/(realtime/calls|live/sessions){_ID}/(hangup|reject|refer)",
        r"/(organization|projects|vaults|webhook_endpoints)(/.*)?",
    ],
)

ANTHROPIC = Bill(
    "anthropic",
    metered={"/v1/messages": "anthropic.messages"},
    free=[
        r"/v1/messages/count_tokens",
        rf"/v1/(messages/batches|dreams){_ID}/cancel",
        rf"/v1/(agents|deployments|dreams|environments|sessions){_ID}/archive",
        rf"/v1/(deployments{_ID}/pause|sessions{_ID}/threads{_ID}/archive)",
        rf"/v1/environments{_ID}/work{_ID}/(ack|heartbeat|stop)",
        r"/v1/(files|skills|organizations|user_profiles|vaults|memory_stores|tunnels)(/.*)?",
    ],
)

# The paths begin with a version, or with what the caller's own base url has, and on Vertex with a
# project; what is done stands at their end.
GOOGLE = Bill(
    "google",
    metered={
        ":generateContent": "gemini.generate",
        ":streamGenerateContent": "gemini.generate",
        ":embedContent": "gemini.generate",
        ":batchEmbedContents": "gemini.generate",
    },
    free=[
        r".*:(countTokens|computeTokens|cancel|fetchPredictOperation)",
        r".*/(files(:register)?|fileSearchStores|auth_tokens)",
        r".*/(models|tunedModels)/[^/:]+",
        rf".*/interactions{_ID}/cancel",
        rf".*/(webhooks|credentials)({_ID})?",
    ],
)
