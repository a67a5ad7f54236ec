"""Finding the notebook of a kernel, and the cells in its file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from hybridnb.notebook.place import Cell, Notebook, find


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def write(path: Path, *sources: str) -> Path:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "source": source.splitlines(keepends=True)} for n, source in enumerate(sources, 1)
    ]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "id": "m", "source": "# Title"}, *cells]}))
    return path


def test_jupyter_tells_the_notebook_by_its_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(here / "digits.ipynb"))
    found = find({})
    assert found and found.path == here / "digits.ipynb"


def test_a_console_of_jupyter_has_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/u/console-1-0c1d")
    assert find({}) is None


def test_vs_code_tells_the_notebook_by_a_variable(here: Path) -> None:
    found = find({"__vsc_ipynb_file__": str(here / "digits.ipynb")})
    assert found and found.path == here / "digits.ipynb"


def test_papermill_tells_the_notebook_by_a_parameter(here: Path) -> None:
    found = find({"PAPERMILL_INPUT_PATH": "digits.ipynb"})
    assert found and found.path == here / "digits.ipynb"


def test_headless_the_notebook_is_the_one_that_holds_the_cell(here: Path) -> None:
    write(here / "other.ipynb", "%%job local\ntrue")
    write(here / "digits.ipynb", "%%job local fetch\ntrue\n")
    found = find({}, source="%%job local fetch\ntrue")
    assert found and found.path == here / "digits.ipynb"


def test_two_notebooks_that_hold_the_cell_leave_it_open(here: Path) -> None:
    write(here / "a.ipynb", "%%job local\ntrue")
    write(here / "b.ipynb", "%%job local\ntrue")
    assert find({}, source="%%job local\ntrue") is None


def test_cells_are_numbered_as_a_reader_counts_them(here: Path) -> None:
    book = Notebook(write(here / "a.ipynb", "x = 1", "%%job local\ntrue"))
    assert [(cell.number, cell.id) for cell in book.cells()] == [(2, "c1"), (3, "c2")]
    found = book.cell("c2")
    assert found and found.first == "%%job local"


def test_a_notebook_that_is_saved_again_is_read_again(here: Path) -> None:
    book = Notebook(write(here / "a.ipynb", "x = 1"))
    assert len(book.cells()) == 1
    write(here / "a.ipynb", "x = 1", "y = 22")
    assert len(book.cells()) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 1}', '{"cells": [1, {"cell_type": "code", "source": 3}]}'])
def test_a_file_that_is_no_notebook_has_no_cells_that_matter(here: Path, text: str) -> None:
    (here / "a.ipynb").write_text(text)
    assert [cell.source for cell in Notebook(here / "a.ipynb").cells() if cell.source != "3"] == []


def test_a_notebook_that_is_not_there_has_no_cells(here: Path) -> None:
    book = Notebook(here / "none.ipynb")
    assert book.cells() == []
    assert book.saved_at == 0


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("%%job rivanna train --after a\ntrue", True),
        ("%%job rivanna\ntrue", True),  # the name was made for it
        ("%%job rivanna --after a\ntrue", True),
        ("%%job rivanna eval\ntrue", False),
        ("print('train')", False),
        ("%%bash\ntrain", False),
    ],
)
def test_a_cell_that_no_longer_records_the_job_does_not_name_it(source: str, names: bool) -> None:
    assert Cell("c1", source).names("train") is names


def test_the_cell_that_would_record_a_job_is_found_by_its_first_line(here: Path) -> None:
    book = Notebook(write(here / "a.ipynb", "%%job local fetch\ntrue", "%%job local train --after fetch\ntrue"))
    assert (cell := book.recording("train")) is not None
    assert cell.number == 3
    assert book.recording("evaluate") is None


@pytest.mark.parametrize("id", ["c1", "0c1d-a_B", "x" * 64])
def test_the_id_of_a_cell_is_one_that_a_notebook_can_hold(id: str) -> None:
    assert Cell.of(id, "true").id == id


@pytest.mark.parametrize("id", [None, "", 3, "x" * 65, "vscode-notebook-cell:/study.ipynb#W1sZmlsZQ==", "#ch0000001"])
def test_what_a_front_end_counts_anew_each_time_is_no_id(id: object) -> None:
    assert Cell.of(id, "true").id == ""


@pytest.mark.parametrize(
    "source",
    ["%%job local a\nx\n   \ny", "\n\n%%job local a\n\n  x\n \t\n  y\n  ", "%%job local a\r\nx\r\n   \r\ny\r\n"],
)
def test_a_body_is_as_it_was_written_where_ipython_strips_it(source: str) -> None:
    handed: list[str] = []
    shell = SimpleNamespace(run_cell_magic=lambda _name, _line, cell: handed.append(cell))
    code = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    exec(code, {"get_ipython": lambda: shell})
    body = Cell("", source).body(handed[0])
    assert body.removesuffix("\n") == source.lstrip().partition("\n")[2].removesuffix("\n")


def test_a_body_that_is_not_the_cells_own_stays_as_it_is_handed_over() -> None:
    assert Cell("", "%%job local a\nx\n  \ny").body("other\n") == "other\n"
    assert Cell("", "for n in 1, 2:\n    \n    run(n)").body("    \n    run(n)\n") == "    \n    run(n)\n"


def test_a_long_first_line_is_shortened() -> None:
    assert len(Cell("c", "%%job local train " + "-p x=1 " * 40).first) == 60
