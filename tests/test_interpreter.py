"""What runs a script where the kernel does not read its first line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hybridnb.hosts.windows import interpreter

EXE = ".exe" if os.name == "nt" else ""
PLAIN: dict[str, Any] = {"exec": [], "interpreter": [], "suffix": "", "setup": [], "shell": []}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Give a folder for a PATH: with a few programs, of which only the names count."""
    folder = tmp_path / "programs"
    for name in ("bash", "ruby", "python3", "pixi"):
        add(folder, name)
    return folder


def add(folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name + EXE)
    path.write_text("")
    path.chmod(0o755)
    return str(path)


def words(programs: Path, folder: Path, **spec: Any) -> list[str]:
    found = interpreter.command({**PLAIN, **spec}, folder=folder, environment={"PATH": str(programs), "HYBRIDNB_PARAMS": "p"})
    return [
        word.replace(str(programs), "P").replace(str(folder), "F").replace("\\", "/").replace(".exe", "").replace(".EXE", "")
        for word in found
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"suffix": ".py"}, ["P/python3", "F/script"]),
        ({"interpreter": ["/usr/bin/env", "python3"]}, ["P/python3", "F/script"]),
        ({"interpreter": ["/usr/bin/env", "-S ruby -w"]}, ["P/ruby", "-w", "F/script"]),
        ({"interpreter": ["/opt/conda/bin/python3.11", "-u"]}, ["P/python3", "-u", "F/script"]),
        ({"interpreter": ["C:\\Tools\\ruby.exe"]}, ["P/ruby", "F/script"]),
        ({}, ["P/bash", "F/script"]),
        ({"interpreter": ["/bin/sh"]}, ["P/bash", "F/script"]),
        ({"exec": ["pixi", "run", "a b"]}, ["P/pixi", "run", "a b"]),
        ({"exec": ["pixi"], "setup": ["module load x"], "shell": ["bash", "-l"]},
         ["P/bash", "-l", "-c", 'module load x\nexec "$@"', "hybridnb", "P/pixi"]),
    ],
)  # fmt: skip
def test_a_script_is_run_by_what_its_first_line_or_its_suffix_names(
    programs: Path, tmp_path: Path, spec: dict[str, Any], expected: list[str]
) -> None:
    assert words(programs, tmp_path, **spec) == expected


@pytest.mark.parametrize(("suffix", "program"), [(".bat", "cmd"), (".cmd", "cmd"), (".ps1", "powershell")])
def test_windows_own_scripts_keep_their_suffix(programs: Path, tmp_path: Path, suffix: str, program: str) -> None:
    (tmp_path / "script").write_text("echo hi\n")
    first, *_, last = words(programs, tmp_path, suffix=suffix)
    assert (first, last) == (program, f"F/script{suffix}")
    assert (tmp_path / f"script{suffix}").read_text() == "echo hi\n"


def test_a_notebook_is_run_by_papermill_in_a_copy(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("{}")
    command = words(programs, tmp_path, suffix=".ipynb")
    assert command[:3] == ["P/python3", "-m", "papermill"]
    assert command[-2:] == ["F/notebook.ipynb", "F/executed.ipynb"]
    assert (tmp_path / "notebook.ipynb").read_text() == "{}"


def test_the_python_that_only_opens_a_shop_is_passed_over(tmp_path: Path) -> None:
    shop = tmp_path / "WindowsApps"
    add(shop, "python3")
    assert interpreter.program(["python3"], str(shop)) == [sys.executable]
    good = add(tmp_path / "good", "python")
    path = os.pathsep.join([str(shop), str(tmp_path / "good")])
    assert [word.lower() for word in interpreter.program(["python3"], path)] == [good.lower()]


def test_the_bash_of_wsl_is_no_shell_of_windows(tmp_path: Path) -> None:
    add(tmp_path / "System32", "bash")
    with pytest.raises(FileNotFoundError, match="the script needs 'bash', and there is none: on Windows install Git"):
        interpreter.program(["bash"], str(tmp_path / "System32"))


def test_another_shell_is_not_taken_for_the_one_that_is_named(programs: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the script needs 'zsh'"):
        interpreter.program(["/bin/zsh"], str(programs))


def test_a_program_that_is_missing_is_named(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'julia' is not on the PATH; install it, or name it by its whole path"):
        words(programs, tmp_path, interpreter=["/usr/bin/env", "julia"])
