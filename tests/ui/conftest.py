"""One JupyterLab for all tests of this folder, one page a module, a notebook and a kernel of its own for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from testbed.guard import Guard
from testbed.processes import program
from ui.lab import Lab, Notebook, Screen, chromium


@pytest.fixture(scope="session")
def lab(guard: Guard) -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="hnl-"))
    guard.watch("folder", folder)
    with closing(Lab(folder, guard)) as lab:
        yield lab


@pytest.fixture(scope="module")
def screen(lab: Lab) -> Iterator[Screen]:
    """Give a page; not for the whole session, as the loop that drives it would be in the way of other tests."""
    path = program("chromium")
    with sync_playwright() as playwright, closing(chromium(playwright, path)) as browser:
        yield Screen(lab, browser)


@pytest.fixture
def notebook(screen: Screen) -> Iterator[Callable[..., Notebook]]:
    """Give what opens a notebook with these cells; afterwards the page must have had nothing to complain of."""
    opened: list[Notebook] = []

    def open_with(*cells: str) -> Notebook:
        opened.append(screen.open(*cells))
        return opened[-1]

    screen.complaints.clear()
    yield open_with
    for one in reversed(opened):
        one.show().close()
    assert not screen.complaints
