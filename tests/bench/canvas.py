"""The canvas in JupyterLab, in a real browser: until it is there, while states change, and while it is moved with the mouse."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import WebSocket, sync_playwright

import clock
import work
from figures import Figure
from tools import HERE
from whole import Bench

sys.path.append(str(HERE.parent))

from testbed.guard import Guard
from testbed.processes import program
from ui.board import SEEN, WIDGET, Seen
from ui.lab import Lab, Notebook, Screen, chromium

FIRST = {1000: 1.5, 5000: 5.0}  # s from the begin of the cell
CHANGES, SEEN_WITHIN = 1000, 150.0  # states that change at once, and ms until they are on the screen
FRAME, PAN = 1000 / 60, 1000 / 30  # ms from a frame to the next
CONSTANT = 2000.0  # bytes of a message beside one for each job
WATCHED = 4.0  # seconds in which frames are counted

_GRAPH = """
import random, threading, time
choice = random.Random(1)
def graph(jobs, column=70):
    nodes = [(f"j{i}", 200 * (i // column), 31 * (i % column)) for i in range(jobs)]
    edges = [(f"j{above}", f"j{i}") for i in range(column, jobs) for above in choice.sample(range(i // column * column - column, i // column * column), 2)]
    return nodes, edges
w = Board(*graph(JOBS)); w"""
_CHANGE = "now = bytearray(w.states); now[:CHANGES] = bytes([CODE]) * CHANGES; print(time.time() * 1000); w.states = bytes(now)"
_LIVE = """
def live():
    for _ in range(60):
        now = bytearray(w.states)
        for i in choice.sample(range(len(now)), 1000):
            now[i] = choice.choice([1, 3, 4, 6, 7, 130])
        w.states = bytes(now)
        time.sleep(.2)
threading.Thread(target=live, daemon=True).start()"""
_FRAMES = """
    window.frames = new Promise(done => {
        const begin = performance.now(); let count = 0;
        const next = () => performance.now() - begin < argument ? (count++, requestAnimationFrame(next)) : done((performance.now() - begin) / count);
        requestAnimationFrame(next);
    });"""
_PAINTED = """
    const at = name => cy.getElementById(name).renderedPosition(), canvas = stage.querySelector('.hnb-Canvas-states');
    const pixel = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
    window.painted = () => {
        const {x, y} = at('j0'), ratio = canvas.width / stage.clientWidth;
        pixel.clearRect(0, 0, 1, 1);
        pixel.drawImage(canvas, x * ratio, y * ratio, 1, 1, 0, 0, 1, 1);
        return String(pixel.getImageData(0, 0, 1, 1).data);
    };
    const before = window.painted();
    window.changed = new Promise(done => {
        const look = () => window.painted() === before ? requestAnimationFrame(look) : done(performance.timeOrigin + performance.now());
        requestAnimationFrame(look);
    });"""
_FIRST = """() => {
    const begin = performance.now();
    window.first = new Promise(done => {
        const look = () => {
            const canvas = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .hnb-Canvas-states');
            const there = canvas?.width > 300 && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
            there ? done((performance.now() - begin) / 1000) : requestAnimationFrame(look);
        };
        look();
    });
}"""


def canvases(bench: Bench) -> Iterator[Figure]:
    """What a person at the canvas waits for, and how smoothly it moves; the browser draws without a graphics card."""
    with _screen() as screen:
        for jobs in (1000, 5000) if bench.full else (1000,):
            yield _first(bench, screen, jobs)
        jobs = 5000 if bench.full else 1000
        book = screen.open(WIDGET, _GRAPH.replace("JOBS", str(jobs)), _CHANGE.replace("CHANGES", str(CHANGES)), _LIVE)
        book.run(0, 1)
        seen = Seen(book)
        yield _changes(bench, seen, jobs)
        yield _panned(seen, jobs)
        yield from _watched(seen, jobs)


@contextmanager
def _screen() -> Iterator[Screen]:
    with ExitStack() as stack:
        guard = stack.enter_context(closing(Guard()))
        lab = stack.enter_context(closing(Lab(Path(tempfile.mkdtemp(prefix="hnb-")), guard)))
        browser = stack.enter_context(closing(chromium(stack.enter_context(sync_playwright()), program("chromium"))))
        yield Screen(lab, browser)


def _first(bench: Bench, screen: Screen, jobs: int) -> Figure:
    """The first picture of a workflow, in a notebook of its own each time: from the begin of the cell that shows it."""
    file = screen.lab.files / f"bench{jobs}.yaml"
    file.write_text((work.lay(bench.root / f"canvas{jobs}", work.layered(jobs, layers=20)) / "hybridnb.yaml").read_text())
    times: list[float] = []
    for _ in range(bench.few):
        book = screen.open("%load_ext hybridnb", f"%workflow open {file.name}", "%workflow")
        book.run(0, 1)
        screen.page.evaluate(_FIRST)
        book.begin(2)
        times.append(screen.page.evaluate("() => window.first"))
        book.close()
    note = f"{min(times):.2f}–{max(times):.2f} s from the begin of the cell"
    return Figure(f"the first picture of {jobs} jobs", statistics.median(times), "s", FIRST.get(jobs), note)


def _changes(bench: Bench, seen: Seen, jobs: int) -> Figure:
    """States that change at once: from the line of Python to the frame that shows them."""
    times: list[float] = []
    for turn in range(2 * bench.rounds):
        seen.book.page.evaluate(f"code => {{ window.code = code; {SEEN} {_PAINTED} }}", turn)
        seen.book._do(f"panel.content.widgets[2].model.sharedModel.setSource(argument)", _change(6 + turn % 2))
        seen.book.run(2)
        began = float(seen.book.output(2).inner_text())
        times.append(seen.page.evaluate("() => window.changed") - began)
    note = f"{min(times):.3g}–{max(times):.3g} ms from Python's line to the frame"
    return Figure(f"{CHANGES} changes on the screen, of {jobs} jobs", statistics.median(times), "ms", SEEN_WITHIN, note)
