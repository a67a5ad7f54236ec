"""What every test stands on: a private home for user-level files, and nothing of it alive afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import end_those_of

pytest_plugins = ["testbed.fixtures"]

CI = os.environ.get("CI", "").lower() == "true"

# nohup, and a shell's background, may have them ignored; so would be all that tests start, and no script can change that for itself
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Move all user-level files into a short private folder; at the end, end what was started with it."""
    folder = Path(tempfile.mkdtemp(prefix="hn-"))
    monkeypatch.setenv("HYBRIDNB_HOME", str(folder))
    yield folder
    if any(folder.iterdir()):
        end_those_of(folder)
    shutil.rmtree(folder, ignore_errors=True)


def skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """On CI a skipped test is a failure: there, everything can be run."""
    if CI and session.exitstatus == pytest.ExitCode.OK and skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say at the very end how much was not run; why is in the summary above."""
    if count := skipped(config):
        error = "ERROR: on CI nothing may be left out: " if CI else ""
        print(f"{error}{count} {'tests were' if count > 1 else 'test was'} not run, see SKIPPED above")
