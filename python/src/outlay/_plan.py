"""What will it cost, before anything runs?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import _native


def plan(flow: Mapping[str, Any] | str | os.PathLike[str]) -> _native.Plan:
    """What a flow of steps will cost.

    Args:
        flow: the path of a file in TOML, or the same keys and values as a mapping: ``step`` is a
            list of steps with ``name``, ``usd`` (or ``model``, ``input_tokens`` and
            ``output_tokens``) and ``success``; beside it ``tasks``, ``retries``,
            ``failed_run_cost``, ``resume_cost`` and others.

    Raises:
        InvalidInput: a flow that cannot be, or that hardly ever succeeds.
        Unpriced: a model without a known price.
        OSError: the file cannot be read.

    Example:
        >>> import outlay
        >>> step = {"name": "refund", "usd": 0.10, "success": 0.9}
        >>> plan = outlay.plan({"step": [step], "failed_run_cost": "full", "resume_cost": 0.3})
        >>> [(row.policy, round(row.overhead, 3)) for row in plan.rows]
        [('restart', 1.111), ('checkpoint', 1.033), ('abort', 1.0)]
    """
    if isinstance(flow, Mapping):
        return _native.plan(json.dumps(flow), True)
    return _native.plan(Path(flow).read_text(encoding="utf-8"), False)
