"""The canvas in JupyterLab, in a real browser: until it is there, while states change, and while it is moved with the mouse."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

import clock
import work
from figures import Figure
from tools import HERE
from whole import Bench

sys.path.append(str(HERE.parent))

from testbed.guard import Guard
from testbed.processes import program
from ui.board import WIDGET, Seen
from ui.lab import Lab, Screen, chromium

FIRST = {1000: 1.5, 5000: 5.0}  # s from the begin of the cell
CHANGES, SEEN_WITHIN = 1000, 150.0  # states that change at once, and ms until they are on the screen
FRAME, PAN = 1000 / 57, 1000 / 30  # ms from a frame to the next; a browser's 60 a second are 57 to 60 when they are counted
WATCHED = 4.0  # seconds in which frames are counted

_GRAPH = """
import random, threading, time
choice = random.Random(1)
def graph(jobs, column=70):
    nodes = [(f"j{i}", 200 * (i // column), 31 * (i % column)) for i in range(jobs)]
    above = lambda i: choice.sample(range(i // column * column - column, i // column * column), 2)
    return nodes, [(f"j{parent}", f"j{i}") for i in range(column, jobs) for parent in above(i)]
w = Board(*graph(JOBS)); w"""
_CHANGE = """
turn = 1 - globals().get("turn", 0)
now = bytearray(w.states)
now[:CHANGES] = bytes([6 + turn]) * CHANGES
print(time.time() * 1000)
w.states = bytes(now)"""
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
        const spent = () => performance.now() - begin;
        const next = () => spent() < argument ? (count++, requestAnimationFrame(next)) : done(spent() / count);
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
            const pixels = () => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            canvas?.width > 300 && pixels().some(Boolean) ? done((performance.now() - begin) / 1000) : requestAnimationFrame(look);
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
        yield _watched(seen, jobs)


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
    for _ in range(2 * bench.rounds):
        seen.ask(_PAINTED)
        seen.book.run(2)
        began = float(seen.book.output(2).inner_text())
        times.append(seen.page.evaluate("() => window.changed") - began)
    note = f"{min(times):.3g}–{max(times):.3g} ms from Python's line to the frame"
    return Figure(f"{CHANGES} changes on the screen, of {jobs} jobs", statistics.median(times), "ms", SEEN_WITHIN, note)


def _panned(seen: Seen, jobs: int) -> Figure:
    """Frames while the mouse drags the whole."""
    x, y = seen.ask("const {x, y, width} = stage.getBoundingClientRect(); return [x + width / 2, y + 6]")
    seen.mouse.move(x, y)
    seen.mouse.down()
    before = seen.ask("return cy.pan()")
    seen.ask(_FRAMES, WATCHED * 1000)
    end = time.monotonic() + WATCHED * 0.9
    moves = 0
    while time.monotonic() < end:
        moves += 1
        seen.mouse.move(x + 4 * (moves % 40), y + 3 * (moves % 20))
    took = seen.page.evaluate("() => window.frames")
    moved = seen.ask("return cy.pan()") != before
    seen.mouse.up()
    if not moved:
        raise clock.Failed("the canvas was not moved")
    note = f"{1000 / took:.0f} frames/s, {moves} moves of the mouse"
    return Figure(f"a frame while {jobs} jobs are moved", took, "ms", PAN, note)


def _watched(seen: Seen, jobs: int) -> Figure:
    """Frames while a thousand states change five times a second."""
    seen.book.run(3)
    seen.ask(_FRAMES, WATCHED * 1000)
    took = seen.page.evaluate("() => window.frames")
    note = f"{1000 / took:.0f} frames/s, {CHANGES} changes 5 times a second"
    return Figure(f"a frame while states of {jobs} jobs change", took, "ms", FRAME, note)
