"""The ground that tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from testbed.processes import end_those_of

pytest_plugins = ["pytester"]


def test_user_level_files_are_in_a_private_folder(home: Path) -> None:
    from hybridnb.home import config, state

    assert config() == home
    assert state().parent == home
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("knows", [lambda home: ([str(home)], {}), lambda home: ([], {"HYBRIDNB_HOME": str(home)})])
def test_what_a_test_left_running_is_ended_with_its_children(
    home: Path, knows: Callable[[Path], tuple[list[str], dict[str, str]]]
) -> None:
    words, variables = knows(home)
    script = "sleep 60 & echo $!; exec sleep 60"
    environment = {"PATH": os.environ["PATH"], **variables}
    left = subprocess.Popen(
        ["sh", "-c", f"({script})", "sh", *words], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    with left:
        assert left.stdout
        both = [psutil.Process(left.pid), psutil.Process(int(left.stdout.readline()))]
        end_those_of(home)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in both)


def test_other_processes_are_left_alone(home: Path) -> None:
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]}) as other:
        end_those_of(home)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(("ci", "status"), [("true", pytest.ExitCode.TESTS_FAILED), ("", pytest.ExitCode.OK)])
def test_on_ci_a_skipped_test_fails_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, status: pytest.ExitCode
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # its conftest has the testbed at hand
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makepyfile("import pytest\n\ndef test_one(): pytest.skip('no')\n\ndef test_two(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-ra")
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == status
    result.stdout.fnmatch_lines(["*SKIPPED*no", "*1 passed, 1 skipped*", "*1 test was not run*"])


ENDS = """
import signal, subprocess, sys

def test_one():
    for number in (signal.SIGINT, signal.SIGQUIT):
        script = "import os, signal, sys; os.kill(os.getpid(), int(sys.argv[1])); signal.pause()"
        assert subprocess.run([sys.executable, "-c", script, str(int(number))], stderr=subprocess.DEVNULL, timeout=60).returncode == -number
"""


def test_what_tests_start_can_be_interrupted_though_the_tests_were_started_by_nohup_or_in_the_background(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makepyfile(ENDS)
    words = ["sh", "-c", "trap '' INT QUIT; exec \"$@\"", "sh", sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=pytester.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
