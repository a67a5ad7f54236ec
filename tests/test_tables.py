"""What magics return: it can be programmed with, and a notebook shows it in words."""

from __future__ import annotations

import pytest
from IPython.lib.pretty import pretty

from hybridnb.notebook.shown import _sizes
from hybridnb.notebook.tables import Freed, Names


def names(*jobs: str) -> Names:
    return Names(jobs, done="stopped", nothing="nothing goes on")


def test_names_of_jobs_are_a_list_and_say_what_was_done() -> None:
    assert names("a", "b") == ["a", "b"]
    assert pretty(names("a", "b")) == "stopped: a, b"  # type: ignore[no-untyped-call]
    assert pretty(names()) == "nothing goes on"  # type: ignore[no-untyped-call]


def test_very_many_names_are_told_by_the_first_of_them() -> None:
    told = pretty(names(*(f"job-{n}" for n in range(5000))))  # type: ignore[no-untyped-call]
    assert told.startswith("stopped: job-0, job-1, ")
    assert told.endswith(" more")
    assert len(told) < 3000


@pytest.mark.parametrize(
    ("freed", "told"),
    [
        ({"local": 0}, "local: nothing was left"),
        ({"a": 1_250_000, "b": 0}, "a: 1.25 MB freed\nb: nothing was left"),
        ({}, "nothing was left"),
    ],
)
def test_what_was_freed_is_told_by_host(freed: dict[str, int], told: str) -> None:
    assert Freed(freed) == freed
    assert pretty(Freed(freed)) == told  # type: ignore[no-untyped-call]


def test_an_output_that_is_not_there_is_told_as_missing() -> None:
    assert _sizes({"model.pt": {"size": 1200}, "other/*.csv": {"missing": True}}) == ["model.pt (1.2 kB)", "other/*.csv (missing)"]
