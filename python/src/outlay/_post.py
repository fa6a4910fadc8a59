"""How does the command line send a webhook? By the standard library and the system's trust."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO, Any

_TIMEOUT_S = 10


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What was signed for one receiver goes to no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def post(url: str, headers: dict[str, str], body: str) -> int | str:
    """The status it answers, or why there is none; never the URL, which may be a secret."""
    request: Any = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
    handlers: list[Any] = [_NoRedirect]
    # In the clear it goes to this machine or where the user said, and by no machine between.
    if request.type == "http":
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT_S) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except urllib.error.URLError as error:
        return (
            f"{type(error.reason).__name__}" if isinstance(error.reason, Exception) else "no answer"
        )
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__
