"""Has Python the public names that `tests/surface.toml` says, no others, and is each documented?"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay import _native

# Python 3.10 has none.
tomllib: Any = pytest.importorskip("tomllib")

SURFACE = tomllib.loads((Path(__file__).parents[2] / "tests" / "surface.toml").read_text())
CLASSES = sorted(set(SURFACE) - {"package", "rust", "rust_none", "options"})
# What these show is shown by what they are made from, too.
PARENTS = {"ReportRow": "Figures", "AttemptLine": "Figures"}

# What TypeScript takes before the options.
POSITIONAL = {
    "task": {"name"},
    "price": {"model", "usage"},
    "Limit": {"amount"},
    "reserve": {"self"},
}


def told(name: str) -> set[str]:
    table = SURFACE[name]
    return {*table["same"], *table.get("python", {})}


def told_options(name: str) -> set[str]:
    table = SURFACE["options"][name]
    return {*table["same"], *table.get("python", {})}


def members(name: str) -> dict[str, Any]:
    owner: Any = getattr(outlay, name, None) or getattr(_native, name)
    found = {each: getattr(owner, each) for each in dir(owner) if not each.startswith("_")}
    if name == "Task":
        with outlay.task("t", store="memory:surface") as task:
            found |= {each: value for each, value in vars(task).items() if not each.startswith("_")}
    for inherited in members(PARENTS[name]) if name in PARENTS else ():
        del found[inherited]
    return found


def test_the_package_has_these_names() -> None:
    assert set(outlay.__all__) == told("package")
    for name in set(outlay.__all__) - {"__version__"}:
        assert getattr(outlay, name).__doc__, name


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_these_names(name: str) -> None:
    found = members(name)
    assert set(found) == told(name)
    for member, value in found.items():
        assert value.__doc__, f"{name}.{member}"


@pytest.mark.parametrize("name", SURFACE["options"])
def test_a_call_has_these_options(name: str) -> None:
    called: Any = _native.Task.reserve if name == "reserve" else getattr(outlay, name)
    parameters = inspect.signature(called).parameters
    assert set(parameters) - POSITIONAL.get(name, set()) == told_options(name)


def test_every_exception_has_a_reason() -> None:
    languages = ("python", "node")
    tables = [table.get(each, {}) for table in SURFACE.values() for each in languages]
    tables.append(SURFACE["rust_none"])
    assert all(len(why) > 5 for table in tables for why in table.values())
