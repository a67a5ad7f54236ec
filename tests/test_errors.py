"""The tree of errors and the words that they share."""

from __future__ import annotations

import inspect
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from hybridnb import errors
from hybridnb.errors import (
    Conflict,
    DefinitionError,
    HybridnbError,
    NotFound,
    Problem,
    RunBusy,
    RunFailed,
    Step,
    StoreError,
    did_you_mean,
    in_words,
)


def test_every_error_is_one_of_the_tree() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) == 13
    assert all(issubclass(kind, HybridnbError) for kind in kinds)


def test_whoever_waits_for_trouble_with_a_folder_hears_of_a_busy_run_too() -> None:
    with pytest.raises(StoreError):
        raise RunBusy("busy", run="r")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("wrong"), "wrong"),
        (Problem("wrong", "a.yaml"), "a.yaml: wrong"),
        (Problem("wrong", "a.yaml", 3, 7), "a.yaml:3: wrong"),
    ],
)
def test_a_problem_shows_its_place_as_far_as_it_has_one(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_definition_error_holds_all_problems_and_shows_one_a_line() -> None:
    error = DefinitionError(["first", Problem("second", "a.yaml", 2)])
    assert error.problems == (Problem("first"), Problem("second", "a.yaml", 2))
    assert str(error) == "first\na.yaml:2: second"


def test_a_store_error_carries_the_run_that_it_is_about() -> None:
    assert StoreError("full", run="2026-11-22-1015-k3f9").run == "2026-11-22-1015-k3f9"
    assert StoreError("full").run == ""


def test_a_failed_run_names_itself_and_what_is_not_done() -> None:
    error = RunFailed("it failed", run="2026-11-22-1015-k3f9", jobs=["train"])
    assert (str(error), error.run, error.jobs) == ("it failed", "2026-11-22-1015-k3f9", ("train",))


@pytest.mark.parametrize(("message", "between"), [("it is gone.", " "), ("it is gone\nfor good", "\n")])
def test_the_next_step_is_told_last_in_the_words_of_the_face_that_tells_it(message: str, between: str) -> None:
    error = NotFound(message, step=Step("See 'hybridnb runs'", "See '%runs'"))
    assert str(error) == f"{message}{between}See 'hybridnb runs'"
    error.by_magic = True
    assert str(error) == f"{message}{between}See '%runs'"


def shown(error: BaseException, folder: Path) -> str:
    """What IPython shows of an error."""
    shell: Any = InteractiveShell(ipython_dir=str(folder), config=Config(HistoryManager={"enabled": False}))  # type: ignore[no-untyped-call]
    with redirect_stdout(io.StringIO()) as told:
        shell.showtraceback((type(error), error, None))
    return told.getvalue().strip()


@pytest.mark.parametrize("error", [Conflict("changed meanwhile"), DefinitionError(["first", "second"])])
def test_a_notebook_shows_what_an_error_says_without_a_traceback(error: HybridnbError, tmp_path: Path) -> None:
    assert shown(error, tmp_path) == f"{type(error).__name__}: {error}"


def test_an_interrupt_in_words_is_shown_by_these_alone_and_stays_what_it_is(tmp_path: Path) -> None:
    interrupt = KeyboardInterrupt()
    assert in_words(interrupt, "the run goes on") is interrupt
    assert shown(interrupt, tmp_path) == str(interrupt) == "the run goes on"


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("trian", ["train", "test"], "; did you mean 'train'?"),
        ("trian", iter(["train"]), "; did you mean 'train'?"),
        ("zzz", ["train", "test"], ""),
        ("train", [], ""),
        ("", ["train"], ""),
    ],
)
def test_the_nearest_known_word_is_asked_for_if_one_is_near(word: str, known: list[str], said: str) -> None:
    assert did_you_mean(word, known) == said
