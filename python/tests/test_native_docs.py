"""The examples in the docs of the native module run; doctest itself reads Python files only."""

from __future__ import annotations

import doctest

import pytest
from outlay import _native


def documented() -> dict[str, str]:
    """The docs with an example in them, by what they are of."""
    owners = {name: value for name, value in vars(_native).items() if isinstance(value, type)}
    everything = [("_native", _native), *owners.items()]
    docs = {
        f"{owner}.{name}": value.__doc__
        for owner, of in everything
        for name, value in vars(of).items()
    }
    return {name: doc for name, doc in docs.items() if doc and ">>>" in doc}


DOCS = documented()


@pytest.mark.parametrize("name", DOCS)
def test_an_example_of_the_native_module_prints_what_it_says(name: str) -> None:
    test = doctest.DocTestParser().get_doctest(DOCS[name], {}, name, None, None)
    said: list[str] = []
    doctest.DocTestRunner().run(test, out=said.append)
    assert not said, "".join(said)


def test_the_verbs_of_a_call_have_examples() -> None:
    assert {"Task.reserve", "Call.settle"} <= DOCS.keys()
