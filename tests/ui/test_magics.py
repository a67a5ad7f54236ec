"""What a researcher does and sees: cells that are jobs, run from their cards, and a notebook that is opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from hybridnb.notebook.card import MIME
from ui.lab import Lab, Notebook

Open = Callable[..., Notebook]
LOAD = "%load_ext hybridnb"
TRAIN = """%%job local train
for epoch in 1 2 3; do echo "epoch $epoch"; done
echo "only a warning" >&2
while [ ! -e go ]; do sleep 0.05; done
echo "accuracy 0.93" """
REPORT = "%%job local report --after train\necho written"


@pytest.fixture(autouse=True)
def go(lab: Lab) -> Iterator[Path]:
    """Give the file for which the job of this module waits."""
    go = lab.files / "go"
    yield go
    go.unlink(missing_ok=True)


def test_a_job_is_run_from_its_card_seen_running_and_seen_done_with_its_log(notebook: Open, go: Path) -> None:
    book = notebook(LOAD, TRAIN)
    book.run(0, 1)
    expect(book.card(1)).to_contain_text("not run yet")
    book.button(1, "Run").click()
    expect(book.card(1)).to_contain_text("train · running")
    book.button(1, "Log").click()
    log = book.card(1).get_by_role("region")
    expect(log).to_have_text("epoch 1\nepoch 2\nepoch 3\n")
    expect(book.button(1, "Cancel")).to_be_visible()
    go.touch()
    expect(book.card(1)).to_contain_text("train · done")
    expect(log).to_have_text("epoch 1\nepoch 2\nepoch 3\naccuracy 0.93\n")
    book.button(1, "err").click()
    expect(log).to_have_text("only a warning\n")
    expect(book.button(1, "Cancel")).to_be_hidden()


def test_a_job_is_cancelled_from_its_card_and_tried_again(notebook: Open, go: Path) -> None:
    book = notebook(LOAD, TRAIN)
    book.run(0, 1)
    book.button(1, "Run").click()
    book.button(1, "Cancel").click()
    expect(book.card(1)).to_contain_text("train · cancelled")
    go.touch()
    book.button(1, "Try again").click()
    expect(book.card(1)).to_contain_text("train · done")


def test_a_notebook_that_is_opened_again_tells_what_was_saved_and_after_loading_what_is_true(notebook: Open, go: Path) -> None:
    book = notebook(LOAD, TRAIN, REPORT)
    book.run(0, 1, 2)
    book.button(2, "Run").click()
    expect(book.card(1)).to_contain_text("train · running")
    expect(book.card(2)).to_contain_text("report · queued")
    book.save()
    book.restart()
    go.touch()
    book.reload()
    expect(book.card(1)).to_contain_text("train · running")
    expect(book.card(1).get_by_role("button")).to_have_count(0)
    book.run(0)
    expect(book.card(0).get_by_text("since you last looked: train done")).to_be_visible()
    expect(book.card(1)).to_contain_text("train · done")
    expect(book.card(2)).to_contain_text("report · done")
    saved = book.save()
    assert [saved[i]["outputs"][0]["data"][MIME]["state"] for i in (1, 2)] == ["done", "done"]
