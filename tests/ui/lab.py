"""A JupyterLab of our own on loopback, and notebooks that are used in it as a person would."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Playwright, expect

from testbed import ports
from testbed.guard import Guard
from testbed.processes import Daemon, end_those_of, until

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WAIT = 60_000  # milliseconds for what should be there soon, also where the machine is slow
HARMLESS = (  # what JupyterLab and ipywidgets say themselves while a kernel comes or goes
    "Unsatisfied version",
    "Connection lost, reconnecting",
    "Could not restore the debugger state",
    "Subshell identifier not available",
    "Canceled future for create_subshell_request",
)
CURRENT = "const panel = window.jupyterapp.shell.currentWidget;"


class Lab:
    """The server: private folders, a token, and nothing of it left when it is closed."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self.folder, self.files = folder, folder / "files"
        self.files.mkdir()
        self._numbers = count(1)
        self._token = secrets.token_hex(16)
        self._url = f"http://127.0.0.1:{(port := ports.free())}"
        config = folder / "config" / "labconfig" / "page_config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
        words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
        words += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"]
        words += [f"--ServerApp.root_dir={self.files}", f"--IdentityProvider.token={self._token}"]
        self._server = Daemon(words, folder / "lab.log", env=self._environment())
        self._server.start()
        guard.watch("process", self._server.pid)
        guard.watch("folder", folder)
        until(self._answers, "JupyterLab answers", seconds=60, log=self._server.log)

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "PYTEST"))}
        places = {name: str(self.folder / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
        home = {
            "HOME": str(self.folder),
            "HYBRIDNB_HOME": str(self.folder / "hn"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
        }
        return {**env, **places, **home}

    def _answers(self) -> bool:
        assert self._server.alive, self._server.log.read_text()[-2000:]
        try:
            urllib.request.urlopen(self.address("/api/status"), timeout=5).close()
        except OSError:
            return False
        return True

    def address(self, path: str) -> str:
        return f"{self._url}{path}?token={self._token}"

    def notebook(self, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells that were never run."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        written = [{**empty, "id": f"cell{i}", "source": source} for i, source in enumerate(cells)]
        path = self.files / f"book{next(self._numbers)}.ipynb"
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": written}))
        return path

    def close(self) -> None:
        self._server.stop()
        end_those_of(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class Screen:
    """A browser's page with JupyterLab; it hears what the page complains of."""

    def __init__(self, lab: Lab, browser: Browser) -> None:
        self.lab = lab
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 900})
        self.page.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self._hear("error", error.message))
        self.load("/lab")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(harmless in text for harmless in HARMLESS):
            self.complaints.append(text)

    def load(self, path: str) -> None:
        """Load the page, with nothing open but what the path names."""
        self.page.goto(f"{self.lab.address(path)}&reset")
        self.page.wait_for_function("window.jupyterapp")
        self.page.evaluate("async () => { await window.jupyterapp.restored; }")

    def open(self, *cells: str) -> Notebook:
        """Write a notebook and open it."""
        return Notebook(self, self.lab.notebook(cells)).show()

    def theme(self, name: str) -> None:
        self.page.evaluate("async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}); }", name)
        self.page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")


class Notebook:
    """An open notebook."""

    def __init__(self, screen: Screen, path: Path) -> None:
        self.screen, self.page, self.path = screen, screen.page, path

    def _do(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(f"async argument => {{ {CURRENT} {script} }}", argument)

    def _command(self, name: str) -> None:
        self._do(f"await window.jupyterapp.commands.execute('{name}');")

    def show(self) -> Notebook:
        """Open it in the page, and wait until its kernel is there."""
        # A list of the sessions that was asked for before, and comes after, would have JupyterLab drop the one that begins now.
        self.page.evaluate("async () => { await window.jupyterapp.serviceManager.sessions.refreshRunning(); }")
        self.page.evaluate("async path => { await window.jupyterapp.commands.execute('docmanager:open', {path}); }", self.path.name)
        self._do("await panel.context.ready; await panel.sessionContext.ready; await panel.sessionContext.session.kernel.info;")
        self.page.wait_for_function("window.jupyterapp.commands.isEnabled('notebook:run-cell')")  # it may lag behind the shell
        return self

    def run(self, *indices: int) -> None:
        """Run cells, waiting until the kernel has done each."""
        for index in indices:
            self.begin(index)
            self._do("await window.running;")

    def begin(self, index: int) -> None:
        """Run a cell and do not wait."""
        command = "window.running = window.jupyterapp.commands.execute('notebook:run-cell');"
        self._do(f"panel.content.deselectAll(); panel.content.activeCellIndex = argument; {command}", index)

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        return self.cell(index).locator(".jp-OutputArea-output")

    def card(self, index: int) -> Locator:
        return self.cell(index).locator(".hnb-Card")

    def button(self, index: int, name: str) -> Locator:
        return self.card(index).get_by_role("button", name=name, exact=True)

    def is_dirty(self) -> bool:
        return bool(self._do("return panel.context.model.dirty;"))

    def save(self) -> list[dict[str, Any]]:
        """Save it; return its cells as they are in the file."""
        self._do("await panel.context.save();")
        cells: list[dict[str, Any]] = json.loads(self.path.read_text())["cells"]
        return cells

    def restart(self) -> None:
        """Restart the kernel."""
        self._do("await panel.sessionContext.session.kernel.restart(); await panel.sessionContext.session.kernel.info;")

    def reload(self) -> None:
        """Load the whole page anew, and open the notebook. Its address does not name it: JupyterLab would open it once more, some time later."""
        self.screen.load("/lab")
        self.show()

    def close(self) -> None:
        """Shut its kernel down and close it, as it is."""
        self._do("panel.context.model.dirty = false; await panel.sessionContext.shutdown(); panel.dispose();")


def chromium(playwright: Playwright, program: str) -> Browser:
    return playwright.chromium.launch(executable_path=program, args=FLAGS)


def holds(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so, while the page goes on."""
    until(condition, what, seconds=WAIT / 1000)
