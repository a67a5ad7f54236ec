"""What is no YAML, or hostile, is refused with its place; nothing in a file acts or expands."""

from __future__ import annotations

import pytest

from hybridnb.document import Fields, Items, Scalar, compose, is_text, of, plain
from hybridnb.errors import DefinitionError


def told(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(DefinitionError) as error:
        compose(text, file="w.yaml")
    assert {p.file for p in error.value.problems} == {"w.yaml"}
    return [(p.line, p.column, p.message) for p in error.value.problems]


def test_nodes_know_their_places() -> None:
    root = compose("a: [b, 'c']\nd:\n  e: f\n")
    assert isinstance(root, Fields)
    (a, items), (_, fields) = root.pairs()
    assert isinstance(items, Items)
    assert isinstance(items.nodes[1], Scalar)
    assert (a.start.line, a.start.column) == (0, 0)
    assert (items.flow, items.nodes[1].text, items.nodes[1].style, items.nodes[1].start.column) == (True, "c", "'", 7)
    assert isinstance(fields, Fields)
    assert (fields.flow, fields.start.line, fields.start.column) == (False, 2, 2)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: !!python/object/apply:os.system [x]", 1, 4, "tags are not used here: !!python/object/apply:os.system"),
        ("a: !x 1", 1, 4, "tags are not used here: !x"),
        ("a: 1\nb: &anchor 1", 2, 4, "anchors are not used here: &anchor"),
        ("a: {}\n---\nb: {}", 2, 1, "a second document begins here"),
        ("[" * 500, 1, 100, "nested deeper than 100 levels"),
        ("{a: " * 10_000, 1, 397, "nested deeper than 100 levels"),
        ("- " * 10_000, 1, 199, "nested deeper than 100 levels"),
        ("a: b: c", 1, 5, "this is not YAML: a ': ' stands where none can be"),
        ("a:\n\tb: c", 2, 1, "this is not YAML: an unquoted text cannot begin with this character (a tab"),
        ("a: [1, 2\nb: c", 2, 2, "did not find expected ',' or ']' (while parsing a flow sequence, which began in line 1)"),
        ("a: 'b\n\n", 3, 1, "the file ends within a quoted text (while scanning a quoted scalar, which began in line 1)"),
        ("a: 1\nb: \0", 2, 4, "the character U+0000 cannot be here"),
        ("a: 1\nb: \x1b[0m", 2, 4, "the character U+001B cannot be here"),
        ("a: \ud800", 1, 4, "the character U+D800 cannot be here"),
        ("jobs:\n  a: x\n b: y\n", 3, 2, "this is not YAML: "),
    ],
)
def test_what_is_no_yaml_or_hostile_is_refused_with_its_place(text: str, line: int, column: int, message: str) -> None:
    problems = told(text)
    assert [problem[:2] for problem in problems] == [(line, column)]
    assert message in problems[0][2]


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_however_deep_a_file_is_nested_it_is_refused_for_that(opened: str) -> None:
    (problem,) = told(opened * 10_000)  # here a newer libyaml may complain by itself, ahead of our count
    assert problem[0] == 1
    assert problem[1] >= 100
    assert problem[2] == "nested deeper than 100 levels"


def test_aliases_never_expand() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 50))
    problems = told(bomb)
    assert len(problems) == 50 + 49 * 9
    assert problems[2] == (2, 14 - 4, "aliases are not used here: *a0; write the value itself")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null")],
        *[(text, True) for text in ("yes", "on", "true", "True", "ON")],
        *[(text, False) for text in ("no", "off", "false")],
        *[("12", 12), ("-3", -3), ("0x1f", 31), ("010", 8), ("1_000", 1000)],
        *[("0.5", 0.5), ("1e-4", 1e-4), ("1.5E3", 1500.0), (".5", 0.5), ("2.", 2.0)],
        *[(text, text) for text in ("1:30:00", "2024-01-01", "y", "n", "=", "<<", "1.2.3", "x", "08", "1e", "-")],
    ],
)
def test_an_unquoted_text_means_what_yaml_says_but_for_times_and_dates(text: str, value: object) -> None:
    assert repr(plain(text)) == repr(value)


@pytest.mark.parametrize("text", ["1:30:00", "2024-01-01", "yes", "1e-4", "0o17", "08", "", "~", "12", "=", "<<"])
def test_a_text_that_some_reader_takes_for_something_else_is_known(text: str) -> None:
    assert not is_text(text)


def test_plain_data_become_nodes_that_mean_the_same() -> None:
    node = of({"a": [1, "1", None]})
    assert isinstance(node, Fields)
    ((_, items),) = node.pairs()
    assert isinstance(items, Items)
    assert [(n.text, n.style) for n in items.nodes if isinstance(n, Scalar)] == [("1", ""), ("1", '"'), ("null", "")]
    with pytest.raises(DefinitionError, match="expected a text, a number"):
        of(object())
