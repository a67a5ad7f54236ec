"""What is on the screen is drawn again, whatever happens to one card."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from testbed.processes import until

from hybridnb.errors import HybridnbError, NotFound, StoreError
from hybridnb.notebook.live import Bundle, Display, Live


class Counting:
    """A card that tells how often it was asked, or fails as it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def facts(self) -> int:
        self.asked += 1
        if self.error:
            raise self.error
        return self.asked

    def bundle(self, facts: Any) -> Bundle:
        return {"text/plain": str(facts)}

    def settled(self) -> bool:
        return False


class Screen:
    """A display of such a card, and what it shows."""

    def __init__(self, live: Live) -> None:
        self.card, self.shown = Counting(), ""
        self.display = Display(self.card, self._show)
        live.add(self.display)

    def _show(self, bundle: Bundle) -> None:
        self.shown = bundle["text/plain"]


@pytest.fixture
def live() -> Iterator[Live]:
    with closing(Live(cast("Any", SimpleNamespace(log=logging.getLogger("kernel"))))) as live:
        yield live


def test_a_card_that_cannot_be_drawn_is_logged_once_and_the_others_go_on(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Screen(live), Screen(live)
    until(lambda: bad.shown and good.shown, "both are drawn")
    bad.card.error = RuntimeError("dictionary changed size")
    live.changed()
    until(lambda: "dictionary changed size" in caplog.text, "it is logged")
    for _ in range(2):
        before = good.shown
        live.changed()
        until(lambda: good.shown != before, "the other one is drawn")  # noqa: B023
    assert len(caplog.records) == 1


def test_a_card_whose_files_cannot_be_read_now_is_tried_again(live: Live) -> None:
    screen = Screen(live)
    screen.card.error = StoreError("journal.yaml: cannot be read: Too many open files")
    live.changed()
    asked = screen.card.asked
    until(lambda: screen.card.asked > asked + 1, "it is tried again by itself")
    screen.card.error, shown = None, screen.shown
    until(lambda: screen.shown != shown, "it is drawn")


@pytest.mark.parametrize(
    ("error", "settled"), [(NotFound("gone"), True), (StoreError("torn"), False), (HybridnbError("half"), False)]
)
def test_only_what_is_gone_is_asked_for_no_more(live: Live, error: HybridnbError, settled: bool) -> None:
    screen = Screen(live)
    screen.card.error = error
    screen.display.settled = False
    live.draw()
    assert screen.display.settled == settled


def test_a_painter_that_ended_is_followed_by_another(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(live, "draw", lambda: (_ for _ in ()).throw(MemoryError))
    screen = Screen(live)
    until(lambda: not any(thread.name == "hybridnb cards" for thread in threading.enumerate()), "the painter ends")
    monkeypatch.undo()
    live.changed()
    until(lambda: screen.shown, "it is drawn")
