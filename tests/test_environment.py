"""The variables of the terminal or kernel that asked for a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridnb import environment
from hybridnb import home as places
from hybridnb.model import Job, Workflow
from hybridnb.store import Store

SHELLS = [
    words
    for words in (["sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ["zsh"], ["ksh"])
    if shutil.which(words[0])
]
HOSTILE = {
    "PLAIN": "x",
    "EMPTY": "",
    "QUOTES": 'it\'s "so" `pwd` $(touch pwned) ${HOME} $$ !! \\ \\n',
    "LINES": "one\ntwo\n\n",
    "SPACES": "  a  \t b ",
    "GLOB": "* ? [a-z] ~ {a,b}",
    "UNICODE": "ünï ☃ \U0001f600 \x85\u2028",
    "CONTROL": "\x01\x1b[0m\x7f\r",
    "BYTES": b"caf\xe9 \xff\xfe".decode(errors="surrogateescape"),
    "LONG": "x" * 100_000,
    "limit": "1",
    "here": "/nowhere",
}


def sourced(shell: list[str], file: Path) -> dict[bytes, bytes]:
    """What a program sees that a shell starts after it sourced the file."""
    script = '. "$1" || exit; exec env -0'
    done = subprocess.run(
        [*shell, "-c", script, "sh", str(file)], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    assert done.stderr == b""
    return dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_hostile_values_come_out_of_a_real_shell_as_they_went_in(
    shell: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen = sourced(shell, environment.save("r", HOSTILE))
    assert {k: seen[os.fsencode(k)] for k in HOSTILE} == {k: v.encode(errors="surrogateescape") for k, v in HOSTILE.items()}
    assert not list(tmp_path.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.from_regex(r"V[A-Za-z0-9_]{0,9}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_any_value_comes_out_of_sh_as_it_went_in(home: Path, variables: dict[str, str]) -> None:
    seen = sourced(["sh"], environment.save("r", variables))
    assert {k: v for k, v in seen.items() if k.startswith(b"V")} == {k.encode(): v.encode() for k, v in variables.items()}


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_what_a_shell_keeps_for_itself_does_not_stop_it(shell: list[str]) -> None:
    own = [
        "UID",
        "EUID",
        "PPID",
        "SHELLOPTS",
        "BASHOPTS",
        "BASH_VERSINFO",
        "OPTIND",
        "RANDOM",
        "HISTCMD",
        "IFS",
        "PWD",
        "_",
        "SHLVL",
        "BASH_ENV",
    ]
    seen = sourced(shell, environment.save("r", {**dict.fromkeys(own, "a b/c"), "LAST": "1"}))
    assert seen[b"LAST"] == b"1"
    assert seen.get(b"PWD") != b"a b/c"


def test_the_file_and_its_folder_are_for_the_user_alone() -> None:
    file = environment.save("r", {"SECRET": "s3cret"})
    assert file == environment.path("r")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in (file.parent, file.parent.parent)] == [0o700, 0o700]


def test_secrets_are_nowhere_in_the_run_s_folder(tmp_path: Path) -> None:
    workflow = Workflow.of("w", [Job("a", script="true")])
    store = Store.create(workflow, tmp_path / "w.yaml", variables={"SECRET": "s3cret"})
    store.snapshot(force=True)
    store.close()
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]
    assert "s3cret" in environment.path(store.run.id).read_text()


def test_a_name_that_is_no_variable_is_left_out_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = environment.save(
        "r", {"BASH_FUNC_x%%": "() { touch pwned; }", "a;touch pwned;b": "1", "1A": "1", "A-B": "1", "": "1", "GOOD": "1"}
    )
    assert file.read_text() == "export GOOD=1\n"


def test_the_variables_of_this_process_are_captured_but_not_ours_nor_the_shell_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MINE": "ü \n", "HYBRIDNB_JOB": "outer", "PWD": "/", "BASH_FUNC_x%%": "() { :; }", "EUID": "0"}.items():
        monkeypatch.setenv(name, value)
    found = environment.capture()
    assert found["MINE"] == "ü \n"
    assert not {"HYBRIDNB_JOB", "HYBRIDNB_HOME", "PWD", "BASH_FUNC_x%%", "EUID"} & found.keys()


def test_our_python_is_first_in_the_path_unless_an_environment_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", "/usr/bin")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    assert environment.capture()["PATH"] == f"{here}:/usr/bin"
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    assert environment.capture()["PATH"] == "/usr/bin"
    monkeypatch.delenv("CONDA_PREFIX")
    monkeypatch.delenv("PATH")
    assert environment.capture()["PATH"] == here


def test_what_is_saved_again_replaces_what_was_and_can_be_forgotten() -> None:
    environment.save("r", {"A": "1" * 50})
    assert environment.save("r", {"B": "2"}).read_text() == "export B=2\n"
    environment.forget("r")
    environment.forget("r")
    assert not environment.path("r").exists()
    assert places.state().exists()
