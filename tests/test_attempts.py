"""The spec of an attempt: whatever a job's fields hold, real shells carry it to the script as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hybridnb import environment
from hybridnb.hosts.attempts import Submission, command, key, seconds, spec, variables
from hybridnb.model import Job

WRAP = str(files("hybridnb.hosts") / "wrap.sh")
SHELLS = [words for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(words[0])]
SEE = 'env -0; printf "work=%s\\0" "$(pwd; echo .)"'  # the dot keeps line breaks at the end
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NAME = st.sampled_from(
    [
        "limit",
        "grace",
        "outputs",
        "here",
        "code",
        "shell",
        "guard",
        "file",
        "key",
        "try",
        "folder",
        "word",
        "me",
        "stat",
        "token",
        "env",
        "me1",
    ]
) | st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
FOLDER = st.text(st.characters(exclude_characters="\0/\n", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda n: n not in (".", "..")
)
MANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Ended:
    """What is left of an attempt."""

    rc: str
    out: bytes
    err: str

    @property
    def seen(self) -> dict[str, str]:
        """The environment of a script that showed it, and its folder."""
        pairs = (entry.split(b"=", 1) for entry in self.out.split(b"\0") if entry)
        return {k.decode(): v.decode() for k, v in pairs}


def run(
    base: Path, job: Job, script: str = SEE, *, shell: list[str] = SHELLS[0], work: Path | None = None, environment: str = ""
) -> Ended:
    """Run one attempt as a worker does."""
    folder = base / "jobs" / job.name
    attempt = folder / "1"
    attempt.mkdir(parents=True)
    made = Submission("2026-r", job, 3, 1, "t0ken", str(folder), script, work=str(work or base), environment=environment)
    (attempt / "script").write_text(script, encoding="utf-8", newline="")
    (attempt / "spec").write_text(spec(made, grace=1), encoding="utf-8", newline="")
    subprocess.run([*shell, WRAP, str(attempt)], env={"PATH": os.environ["PATH"]}, start_new_session=True, timeout=60, cwd="/")
    return Ended(
        (attempt / "rc").read_text().strip(), (attempt / "out").read_bytes(), (attempt / "err").read_text(errors="replace")
    )


# -- what the script sees -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@MANY
@given(params=st.dictionaries(NAME, TEXT, max_size=4), env=st.dictionaries(NAME, TEXT, max_size=4), folder=FOLDER)
@example(params={"limit": "1e-9", "outputs": "no such file", "grace": "x"}, env={"here": "/nowhere", "shell": "false"}, folder="w")
@example(
    params={"a": 'it\'s "$(touch pwned)" `x` ${HOME}\n\n', "b": "-n", "c": "\\"},
    env={"d": "!! * ~ #"},
    folder="$(touch pwned) 'q' \"",
)
@example(params={"a": ""}, env={}, folder="-")
@example(params={}, env={}, folder=" a \\n ")
def test_any_param_variable_and_folder_reaches_the_script_as_it_is(
    shell: list[str], params: dict[str, str], env: dict[str, str], folder: str
) -> None:
    with tempfile.TemporaryDirectory() as base:
        work = Path(base) / folder
        work.mkdir()
        ended = run(Path(base), Job("a", script="x", params=params, env=env, timeout=50), shell=shell, work=work)
        assert ended.rc == "0 exit", ended.err
        wanted = {**params, **env, "HYBRIDNB_RUN": "2026-r", "HYBRIDNB_JOB": "a", "HYBRIDNB_ATTEMPT": "1", "work": f"{work}\n."}
        assert {name: ended.seen.get(name) for name in wanted} == wanted
        assert sorted(os.listdir(base)) == sorted({"jobs", folder})
        assert os.listdir(work) == []


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@MANY
@given(names=st.lists(FOLDER.filter(lambda n: "\r" not in n), min_size=1, max_size=3, unique=True))
@example(names=["data[1].csv", "*", "?", "[a", "a\\b", "\\"])
@example(names=["-e", "!", "(", "a b ", " ", "$(touch pwned)", "'"])
def test_declared_outputs_of_any_name_are_found_when_they_are_there_and_missed_when_not(shell: list[str], names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as base:
        work = Path(base) / "w"
        work.mkdir()
        job = Job("there", script="x", outputs=tuple(names))
        for name in names:
            (work / name).touch()
        assert run(Path(base), job, "true", shell=shell, work=work).rc == "0 exit"
        shutil.rmtree(work)
        work.mkdir()
        missed = run(Path(base), Job("gone", script="x", outputs=tuple(names)), "true", shell=shell, work=work)
        assert missed.rc == "0 missing"
        assert all(f"the output '{name}'" in missed.err for name in names)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_job_s_own_variables_go_over_its_params_and_those_over_the_terminal_s(tmp_path: Path, shell: list[str]) -> None:
    saved = environment.save("r", {"one": "terminal", "two": "terminal", "three": "terminal", "limit": "1", "here": "/"})
    job = Job("a", script="x", params={"two": "param", "three": "param"}, env={"three": "env"}, timeout=50)
    seen = run(tmp_path, job, shell=shell, environment=str(saved)).seen
    assert [seen[name] for name in ("one", "two", "three", "limit", "here")] == ["terminal", "param", "env", "1", "/"]


def test_without_the_terminal_s_variables_a_job_runs_all_the_same(tmp_path: Path) -> None:
    assert run(tmp_path, Job("a", script="x"), environment=f"{tmp_path}/it's gone").rc == "0 exit"


def test_nothing_of_the_wrapper_s_own_reaches_the_script(tmp_path: Path) -> None:
    own = {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "HYBRIDNB_RUN", "HYBRIDNB_JOB", "HYBRIDNB_ATTEMPT", "HYBRIDNB_PARAMS", "work"}
    assert run(tmp_path, Job("a", script="x", timeout=50, outputs=("jobs",))).seen.keys() <= own


def test_params_are_texts_as_they_are_and_else_what_json_says() -> None:
    params = {"text": "1 \n", "int": 3, "float": 1e-07, "true": True, "none": None, "list": [1, "ü"], "map": {"a": 0.5}}
    told = variables(params)
    assert told["text"] == "1 \n"
    assert told["list"] == '[1, "ü"]'
    assert {k: json.loads(v) for k, v in told.items() if k != "text"} == {k: v for k, v in params.items() if k != "text"}


def test_a_work_folder_that_is_gone_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    assert run(tmp_path, Job("a", script="x"), work=tmp_path / "gone").rc == "72 exit"


def test_a_time_limit_ends_the_script(tmp_path: Path) -> None:
    assert run(tmp_path, Job("a", script="x", timeout=0.2), "exec sleep 60").rc == "143 timeout"


def test_a_time_limit_holds_also_where_the_script_has_no_path(tmp_path: Path) -> None:
    job = Job("a", exec=("/bin/sh", "-c", "exit 4"), env={"PATH": "/nowhere"}, timeout=50)
    assert run(tmp_path, job).rc == "4 exit"


@pytest.mark.parametrize(
    ("number", "text"),
    [(10, "10"), (0.5, "0.5"), (1e6, "1000000"), (1234567.25, "1234567.25"), (1e-9, "0.001"), (0, "0.001"), (100.0, "100")],
)
def test_times_are_written_as_every_sleep_reads_them(number: float, text: str) -> None:
    assert seconds(number) == text


def test_a_key_has_nothing_that_a_shell_s_variable_cannot_have() -> None:
    assert key("2026-11-22-1015-k3f9", 12, 3) == "2026_11_22_1015_k3f9_12_3"
    assert Submission("a-b", Job("x", script="y"), 1, 2, "t", "/", "").key == "a_b_1_2"


# -- which command --------------------------------------------------------------------------------------------------------
HERE = '"$hybridnb_here/script"'


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hi", '"$hybridnb_shell"'),
        ("#!/bin/sh\necho", "/bin/sh"),
        ("#! /usr/bin/env  python3 \nprint()", "/usr/bin/env python3"),
        ("#!/usr/bin/env -S python3 -u\n", "/usr/bin/env '-S python3 -u'"),
        ("#!/bin/sh -e x\r\ntrue\r\n", "/bin/sh '-e x'"),
        ("#!/opt/my$(x)/sh", "'/opt/my$(x)/sh'"),
        ("#!\necho hi", '"$hybridnb_shell"'),
        ("#!   \n", '"$hybridnb_shell"'),
        (" #!/bin/false\n", '"$hybridnb_shell"'),
        ("\n#!/bin/false\n", '"$hybridnb_shell"'),
        ("", '"$hybridnb_shell"'),
    ],
)
def test_a_shebang_names_the_interpreter_with_one_argument_at_most_as_the_kernel_reads_it(script: str, words: str) -> None:
    for job in (Job("a", script="echo"), Job("a", script="a.sh"), Job("a", exec="echo")):
        assert command(job, script) == [f"set -- {words} {HERE}"]


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ('echo $0 | grep -c script; [ -n "$BASH_VERSION" ] && echo bash', "1\nbash\n"),
        ("#!/usr/bin/env python3\nprint(6 * 7)\n", "42\n"),
        ("#!/usr/bin/awk -f\nBEGIN { print 6 * 7 }\n", "42\n"),
        ("#!/bin/sh -e\nfalse\necho not here\n", ""),
        ("#!/bin/cat\nitself\n", "#!/bin/cat\nitself\n"),
    ],
)
def test_scripts_run_by_what_their_first_line_says(tmp_path: Path, script: str, out: str) -> None:
    assert run(tmp_path, Job("a", script="x"), script).out.decode() == out


@pytest.mark.parametrize("first", ["", "#!/usr/bin/env python3\n"], ids=["plain", "shebang"])
def test_a_python_file_finds_the_modules_beside_it(tmp_path: Path, first: str) -> None:
    beside = tmp_path / "it's"
    beside.mkdir()
    (beside / "helper.py").write_text("WORD = 'found'\n")
    job = Job("a", script="it's/train.py", env={"PYTHONPATH": "/elsewhere"})
    ended = run(tmp_path, job, f"{first}import helper, sys\nprint(helper.WORD, '/elsewhere' in sys.path)\n")
    assert ended.out == b"found True\n", ended.err


@pytest.mark.parametrize(
    "words", [("printf", "%s|", "a b", "", "$(touch pwned)", "it's", "*", "-n", "ü\n"), ("printf", "%s|", "--")]
)
def test_the_words_of_a_command_meet_no_shell(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, Job("a", exec=words)).out.decode() == "".join(f"{word}|" for word in words[2:])
    assert not (tmp_path / "pwned").exists()


def test_a_command_line_is_the_shell_s(tmp_path: Path) -> None:
    assert run(tmp_path, Job("a", exec="echo $((6 * 7)) | cat"), "echo $((6 * 7)) | cat\n").out == b"42\n"


def test_a_notebook_runs_with_its_params_and_is_kept_as_it_ran(tmp_path: Path) -> None:
    cell: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}
    cells = [
        {**cell, "id": "a", "metadata": {"tags": ["parameters"]}, "source": "lr = 1"},
        {**cell, "id": "b", "metadata": {}, "source": "print('lr is', lr)"},
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "x"}}
    text = json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    saved = environment.save("r", {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    folder = tmp_path / "jobs/a"
    folder.mkdir(parents=True)
    (folder / "params.json").write_text('{"lr": 0.25}')
    ended = run(tmp_path, Job("a", script="train.ipynb", params={"lr": 0.25}), text, environment=str(saved))
    assert ended.rc == "0 exit", ended.err
    assert "lr is 0.25" in (folder / "1/executed.ipynb").read_text()
    assert (folder / "1/script").read_text() == text
