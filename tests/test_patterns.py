"""Patterns of files."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridnb.errors import HostError
from hybridnb.hosts.files.patterns import parse, select

PARTS = st.sampled_from(
    ["a", "b", ".h", "a1", "a[1]", "a.csv", "-x", "*", "?", "a*", "*.csv", "[ab]", "[!a]", "[", "**", ".*", "a?", "[.]h"]
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
NAMES = st.sampled_from(["a", "b", ".h", "a1", "a[1]", "a.csv", "b.csv", "-x", "[", ".a"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=8)


def grown(folder: Path, paths: list[str]) -> list[str]:
    """Make those files that are in nobody's way; return them."""
    made = []
    for path in dict.fromkeys(paths):
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(path)
            made.append(path)
        except OSError:  # a file is where a folder should be, or the other way round
            continue
    return made


def by_glob(folder: Path, pattern: str) -> set[str]:
    """Find what glob finds, and the files in the folders among that."""
    tops = glob.glob(os.path.join(glob.escape(str(folder)), pattern), recursive=True)
    if not tops and os.path.lexists(folder / pattern):
        tops = [str(folder / pattern)]
    files = {top for top in tops if os.path.isfile(top)}
    files |= {os.path.join(here, name) for top in tops for here, _, names in os.walk(top) for name in names}
    return {os.path.relpath(file, folder) for file in files}


@given(tree=TREES, pattern=PATTERNS)
@example(["a[1]", "a1"], "a[1]")
@example(["a[1]/x"], "a[1]")
@example(["a/.h/b", "b"], "**")
@example(["a/.h/b", "a/b"], "**/b")
@example(["a"], "a/**")
@example(["a", "b/a"], "**/a/**")
def test_a_pattern_names_what_glob_finds_and_all_that_is_in_folders_among_that(tree: list[str], pattern: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        assert select(parse([pattern]), grown(folder, tree)) == by_glob(folder, pattern)
    finally:
        shutil.rmtree(folder)


@given(tree=TREES, pattern=PATTERNS)
def test_the_word_for_a_shell_matches_no_less_than_the_pattern_does(tree: list[str], pattern: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        (parsed,) = parse([pattern])
        found = grown(folder, tree)
        assert select([parsed], found) <= by_glob(folder, parsed.word) | {p for p in found if parsed.is_name_of(p)}
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("pattern", "word"),
    [("a b/$(x)`y`;&", "a b/$*`y`;&"), ("r[0-9].h5", "r*.h5"), ("a\\b", "a*b"), ("what?", "what?*"), ("x/**/y", "x"), ("**", ".")],
)
def test_a_word_holds_nothing_that_shells_read_in_different_ways(pattern: str, word: str) -> None:
    assert [p.word for p in parse([pattern])] == [word]


def test_a_slash_at_the_end_asks_for_folders() -> None:
    assert select(parse(["*/"]), ["a", "b/c", "b/d/e"]) == {"b/c", "b/d/e"}
    assert select(parse(["a/"]), ["a"]) == set()


def test_a_pattern_may_be_written_with_detours() -> None:
    assert select(parse(["./x//y/../z"]), ["x/z", "x/y"]) == {"x/z"}


def test_what_arrives_is_never_named() -> None:
    assert select(parse(["**", ".*", "a/.hybridnb-1.part"]), [".hybridnb-ab/x", "a/.hybridnb-1.part", "a/b"]) == {"a/b"}


@pytest.mark.parametrize("pattern", ["../x", "..", "a/../../x", "./../x/*"])
def test_a_pattern_that_leads_out_of_the_folder_is_refused(pattern: str) -> None:
    with pytest.raises(HostError, match="lies outside of the workflow's folder"):
        parse([pattern])


def test_absolute_patterns_name_what_lies_on_each_host_and_does_not_move() -> None:
    assert parse(["/scratch/data/*.h5", "", "a"]) == parse(["a"])
