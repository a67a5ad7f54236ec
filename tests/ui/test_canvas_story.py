"""The canvas as a whole, with cells, a real kernel, the YAML and a run: what a researcher does in one sitting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import expect

from hybridnb import definition
from hybridnb.drawing.look import STYLES
from ui.board import Seen
from ui.lab import Lab, Notebook, holds

Open = Callable[..., Notebook]

LOAD = "%load_ext hybridnb"
FETCH = "%%job local fetch\necho rows"
TRAIN = "%%job local train\nwhile [ ! -e go ]; do sleep 0.05; done"
CHECK = "%%job local check\nexit 3"
REPORT = "%%job local report --after check\necho all is well"


@pytest.fixture(autouse=True)
def go(lab: Lab) -> Iterator[Path]:
    """Give the file for which the slow job waits."""
    file = lab.files / "go"
    file.unlink(missing_ok=True)
    yield file
    file.unlink(missing_ok=True)


def painted(seen: Seen, name: str, state: str) -> bool:
    """Is a job painted in the colour of a state? At its lower edge, where no words are."""
    strong = STYLES[state].tint.removeprefix("#")
    wanted = tuple(int(strong[i : i + 2], 16) for i in (0, 2, 4))
    return all(abs(a - b) <= 6 for a, b in zip(seen.colour(name, 60, -12), wanted))


def at_rest(seen: Seen) -> bool:
    """Has everything come to where it goes?"""
    places = "return cy.nodes().map(node => Object.values(node.renderedPosition())).flat()"
    before = seen.ask(places)
    seen.page.wait_for_timeout(100)
    return bool(before == seen.ask(places))


def test_jobs_of_cells_are_wired_by_mouse_run_and_seen_in_their_colours(notebook: Open, go: Path) -> None:
    book = notebook(LOAD, FETCH, TRAIN, CHECK, "%workflow", REPORT, "%%job local fetch --replace\necho more rows")
    file = book.path.with_suffix(".yaml")
    book.run(0, 1, 2, 3, 4)
    seen = Seen(book)
    seen.drag_edge("fetch", "train")
    holds(lambda: definition.load(file)["train"].parents == ("fetch",), "the edge is in the YAML")
    holds(lambda: seen.spot("train")[0] > seen.spot("fetch")[0] + 50 and at_rest(seen), "the jobs stand one after the other")
    seen.mouse.move(*seen.spot("check", 0, 80), steps=3)  # away from where the job was
    seen.drag_edge("train", "fetch", drop=False)
    expect(seen.words).to_have_text("this would close a cycle: train → fetch → train")
    seen.mouse.up()
    assert definition.load(file)["fetch"].parents == ()

    book.run(5)  # a cell adds a job, and the canvas follows
    holds(lambda: "report" in seen.ask("return cy.nodes().map(node => node.id())"), "the job of the cell is on the canvas")
    book.run(6)  # what the cell does not say, the edge that was drawn, stays
    now = definition.load(file)
    assert (str(now["fetch"].script).strip(), now["train"].parents) == ("echo more rows", ("fetch",))

    book.card(4).get_by_role("toolbar").get_by_role("button", name="Run", exact=True).click()
    for name, state in {"fetch": "done", "train": "running", "check": "failed", "report": "skipped"}.items():
        holds(partial(painted, seen, name, state), f"{name} is painted as {state}")
    go.touch()
    holds(lambda: painted(seen, "train", "done"), "train is painted as done")

    holds(
        lambda: re.search(r"failed +check", "".join(book.save()[4]["outputs"][0]["data"]["text/plain"])),
        "what is saved tells it, too",
    )
    book.restart()
    expect(book.card(4).get_by_role("img")).to_be_visible()  # the picture, for there is no kernel that knows the canvas
    book.run(0)
    expect(book.card(4).locator(".hnb-Canvas-stage")).to_be_visible()  # it is back
