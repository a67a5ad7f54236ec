"""What cells said of jobs is remembered beside the runs, whoever asks."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hybridnb.notebook.cells import Cells, Entry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "digits.yaml"


def test_the_last_word_of_a_cell_counts(file: Path) -> None:
    cells = Cells(file)
    cells.note(Entry("train", "c1", wrote={"script": "a"}))
    cells.note(Entry("train", "c1", wrote={"script": "b"}))
    entry = Cells(file).owner("train")
    assert entry and entry.wrote == {"script": "b"}


def test_a_renamed_job_is_its_cells_under_the_new_name_only(file: Path) -> None:
    cells = Cells(file)
    cells.note(Entry("train", "c1"))
    cells.note(Entry("fit", "c1"), instead_of="train")
    assert [entry.job for entry in cells.entries()] == ["fit"]
    assert cells.owner("train") is None


def test_another_kernel_sees_what_was_noted(file: Path) -> None:
    one, other = Cells(file), Cells(file)
    one.note(Entry("train", "c1"))
    other.note(Entry("eval", "c2"))
    assert [one.owner("eval") is not None, other.owner("train") is not None] == [True, True]


def test_a_torn_line_is_passed_over_and_the_next_one_counts(file: Path) -> None:
    cells = Cells(file)
    cells.note(Entry("train", "c1"))
    with open(cells.path, "a") as out:
        out.write('{"job": "torn')
    again = Cells(file)
    again.note(Entry("eval", "c2"))
    assert Cells(file).owner("train")
    assert Cells(file).owner("eval")
    assert Cells(file).owner("torn") is None


def test_how_far_a_run_was_shown_never_goes_back(file: Path) -> None:
    cells = Cells(file)
    cells.show("r1", 7)
    cells.show("r1", 3)
    assert (Cells(file).seen("r1"), Cells(file).seen("r2")) == (7, 0)


def test_the_file_does_not_grow_without_end(file: Path) -> None:
    cells = Cells(file)
    for n in range(400):
        cells.note(Entry("train", "c1", at=float(n)))
    assert len(cells.path.read_text().splitlines()) < 120
    entry = Cells(file).owner("train")
    assert entry and entry.at == 399


def test_others_follow_when_the_file_was_written_anew(file: Path) -> None:
    one, other = Cells(file), Cells(file)
    for n in range(150):
        one.note(Entry("train", "c1", at=float(n)))
        if n == 90:
            other.owner("train")
    entry = other.owner("train")
    assert entry and entry.at == 149


def test_a_line_of_another_version_is_passed_over(file: Path) -> None:
    cells = Cells(file)
    cells.note(Entry("train", "c1"))
    with open(cells.path, "a") as out:
        out.write(json.dumps({"job": "new", "word": 1}) + "\n")
    assert cells.owner("new") is None
    assert cells.owner("train")


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "digits.runs").write_text("in the way")
    cells = Cells(tmp_path / "digits.yaml")
    cells.note(Entry("train", "c1"))
    assert cells.owner("train") is None


@pytest.mark.parametrize(
    "line",
    ["[]", "1", '"a"', "null", '{"run": "r1", "seen": "x"}', '{"job": []}', '{"job": "b", "wrote": 1}', '{"job": "b", "cell": 2}'],
)
def test_a_line_that_says_nothing_of_ours_is_passed_over(file: Path, line: str) -> None:
    cells = Cells(file)
    cells.note(Entry("train", "c1"))
    with open(cells.path, "a") as out:
        out.write(f"{line}\n")
    again = Cells(file)
    assert [entry.job for entry in again.entries()] == ["train"]
    again.show("r1", 3)
    assert again.seen("r1") == 3


def test_threads_that_ask_at_once_miss_nothing(file: Path) -> None:
    Cells(file).note(Entry("train", "c1"))
    cells = Cells(file)
    missed: list[int] = []

    def ask() -> None:
        missed.extend(1 for _ in range(5000) if cells.owner("train") is None)

    def show() -> None:
        for number in range(1, 1000):
            cells.show("r1", number)

    threads = [threading.Thread(target=work) for work in (ask, ask, show)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (missed, cells.seen("r1")) == ([], 999)
