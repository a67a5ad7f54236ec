"""What every test stands on: a private home for user-level files, and nothing of it alive afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

CI = os.environ.get("CI", "").lower() == "true"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Move all user-level files into a short private folder; at the end, end what was started with it."""
    folder = Path(tempfile.mkdtemp(prefix="hn-"))
    monkeypatch.setenv("HYBRIDNB_HOME", str(folder))
    yield folder
    if any(folder.iterdir()):
        end_those_of(folder)
    shutil.rmtree(folder, ignore_errors=True)


def end_those_of(folder: Path) -> None:
    """Kill what was started with this HYBRIDNB_HOME (the service, runners, whatever follows them) and all that it started."""
    for _ in range(5):
        if not (theirs := [p for process in psutil.process_iter() if knows(process, folder) for p in family(process)]):
            break
        for process in theirs:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(theirs, timeout=2)


def knows(process: psutil.Process, folder: Path) -> bool:
    """Does another process have the folder among its words or as its HYBRIDNB_HOME?"""
    with suppress(psutil.Error, OSError):
        words = process.cmdline()
        return process.pid != os.getpid() and (
            any(str(folder) in word for word in words) or process.environ().get("HYBRIDNB_HOME") == str(folder)
        )
    return False


def family(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def skipped(session: pytest.Session) -> int:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """On CI a skipped test is a failure: there, everything can be run."""
    if CI and session.exitstatus == pytest.ExitCode.OK and skipped(session):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CI and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("ERROR: on CI no test may be skipped", red=True)
