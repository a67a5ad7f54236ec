"""Variables of the notebook in a text: what stands for one, and what is left as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.error import UsageError

from hybridnb.notebook.expansion import expand

VARIABLES: dict[str, Any] = {
    "name": "train",
    "cfg": SimpleNamespace(lr=0.125, deep={"key": "value"}),
    "xs": ["a", "b"],
    "table": {"a b": 1},
    "größe": 7,
}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{name}", "train"),
        ("{name}-{name}", "train-train"),
        ("{cfg.lr}", "0.125"),
        ("{cfg.lr:.1f}", "0.1"),
        ("{cfg.deep[key]}", "value"),
        ("{xs[1]}", "b"),
        ("{table[a b]}", "1"),
        ("{name!r}", "'train'"),
        ("{größe}", "7"),
        ("{xs}", "a,b"),
        ("${name}", "${name}"),
        ("${name[@]} $name", "${name[@]} $name"),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{train}"),
        ("nothing", "nothing"),
    ],
)
def test_a_name_in_braces_stands_for_its_value_and_all_else_for_itself(text: str, meant: str) -> None:
    assert expand(text, VARIABLES) == meant


def test_in_a_body_a_list_is_written_as_python_does() -> None:
    assert expand("xs = {xs}", VARIABLES, body=True) == "xs = ['a', 'b']"


def test_names_to_keep_stay_as_they_are() -> None:
    assert expand("{name}/{lr}", VARIABLES, keep=["lr"]) == "train/{lr}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{nmae}", "no variable 'nmae'; did you mean 'name'?"),
        ("{cfg.rate}", r"\{cfg.rate\} cannot be read: AttributeError"),
        ("{xs[5]}", r"\{xs\[5\]\} cannot be read: IndexError"),
        ("{name:.2f}", r"\{name:.2f\} cannot be written: ValueError"),
        ("{name()}", r"write \{\{ and \}\} for braces"),
        ("{a,b}.csv", "in the line of the magic"),
        ("}", "for braces"),
    ],
)
def test_what_stands_for_nothing_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        expand(text, VARIABLES)


def test_a_lonely_brace_in_a_body_is_told_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"in line 2 of the body: '\{print \$1\}'"):
        expand("true\nawk '{print $1}'", VARIABLES, body=True)


def test_nothing_is_called_on_the_way() -> None:
    called: list[str] = []
    with pytest.raises(UsageError):
        expand("{act()}", {"act": lambda: called.append("act")})
    assert called == []
