"""A workflow's file that several programs and people edit loses nothing that any of them wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridnb import definition, home
from hybridnb.errors import DefinitionError, NotFound, StoreError
from hybridnb.lock import Lock
from hybridnb.model import Job, Resources, Workflow
from hybridnb.workflow_file import WorkflowFile

DIGITS = """\
# The digits experiment.
name: digits

jobs:
  # Where the data come from.
  fetch:
    script: |
      curl -O data.csv
    outputs: [data.csv]   # 3 MB

  # The long one.
  train:
    host: rivanna
    after: [fetch]   # of course
    script: train.py

layout:
  fetch: [0, 0]   # above
  train: [0, 100.5]
"""


@pytest.fixture
def file(tmp_path: Path) -> WorkflowFile:
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS)
    return WorkflowFile(path)


def adding(*jobs: Job) -> Callable[[Workflow], Workflow]:
    def change(workflow: Workflow) -> Workflow:
        for job in jobs:
            workflow = workflow.with_job(job)
        return workflow

    return change


def setting(name: str, **fields: Any) -> Callable[[Workflow], Workflow]:
    return lambda workflow: workflow.with_job(replace(workflow[name], **fields))


def test_a_file_that_is_not_there_is_an_empty_workflow_and_begun_by_the_first_edit(tmp_path: Path) -> None:
    file = WorkflowFile(tmp_path / "digits.yaml")
    assert file.definition == Workflow("digits")
    file.edit(lambda workflow: workflow)
    assert not file.path.exists()
    assert file.edit(adding(Job("a", script="x"))) == file.definition
    assert file.path.read_text() == "name: digits\njobs:\n  a:\n    script: x\n"


def test_an_empty_file_is_an_empty_workflow(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    path.touch()
    assert WorkflowFile(path).definition == Workflow("digits")


def test_a_file_that_an_editor_has_just_emptied_is_awaited(file: WorkflowFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some editors write in place: they empty the file first, and an edit then would be made to nothing."""
    monkeypatch.setattr("hybridnb.workflow_file.PAUSE", 30.0)  # longer than this machine may need to write
    with file.path.open("w") as editor:
        edit = threading.Thread(target=file.edit, args=[setting("train", retries=1)])
        edit.start()
        edit.join(0.05)
        editor.write(DIGITS)
    edit.join()
    assert file.path.read_text() == DIGITS.replace("    script: train.py\n", "    retries: 1\n    script: train.py\n")


@pytest.mark.parametrize(
    ("stem", "name"), [("my digits (2)", "my-digits-2"), ("-x", "x"), ("!", "workflow"), ("ä" * 150, "ä" * 100)]
)
def test_a_file_whose_name_cannot_name_a_workflow_gives_it_one_that_can(tmp_path: Path, stem: str, name: str) -> None:
    file = WorkflowFile(tmp_path / f"{stem[:120]}.yaml")
    assert file.edit(lambda now: now.with_job(Job("a", script="true"))).name == name
    assert definition.load(file.path).name == name


def test_a_path_is_absolute_from_the_beginning(file: WorkflowFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(file.path.parent)
    relative = WorkflowFile("digits.yaml")
    monkeypatch.chdir("/")
    assert relative.path == file.path
    assert relative.definition == file.definition


def test_what_the_file_says_is_read_again_when_somebody_wrote_it(file: WorkflowFile) -> None:
    """Also when the file has the same size, time and inode as before."""
    assert file.definition["train"].host == "rivanna"
    assert file.definition is file.definition
    before = file.path.stat()
    file.path.write_text(DIGITS.replace("rivanna", "rivanne"))
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.definition["train"].host == "rivanne"


def by_rename(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.replace(path)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("write", [by_rename, in_place])
def test_what_an_editor_wrote_meanwhile_stays(file: WorkflowFile, write: Callable[[Path, str], None]) -> None:
    file.edit(setting("train", retries=1))
    write(file.path, file.path.read_text().replace("# 3 MB", "# 4 MB").replace("curl", "wget"))
    file.edit(setting("train", retries=2))
    text = DIGITS.replace("# 3 MB", "# 4 MB").replace("curl", "wget")
    assert file.path.read_text() == text.replace("    script: train.py\n", "    retries: 2\n    script: train.py\n")


@pytest.mark.parametrize("write", [by_rename, in_place])
def test_what_an_editor_wrote_during_an_edit_stays(file: WorkflowFile, write: Callable[[Path, str], None]) -> None:
    seen = []

    def change(workflow: Workflow) -> Workflow:
        seen.append(workflow["train"].host)
        if len(seen) == 1:
            write(file.path, DIGITS.replace("rivanna", "far"))
        return setting("train", retries=2)(workflow)

    told = file.edit(change)
    assert seen == ["rivanna", "far"]
    assert (told["train"].host, told["train"].retries) == ("far", 2)
    assert file.definition == told == definition.parse(file.path.read_text())


def test_a_program_that_writes_all_the_time_is_told(file: WorkflowFile) -> None:
    def change(workflow: Workflow) -> Workflow:
        in_place(file.path, file.path.read_text() + "# once more\n")
        return setting("train", retries=2)(workflow)

    with pytest.raises(StoreError, match=r"digits.yaml: another program writes this file all the time; nothing was changed"):
        file.edit(change)
    assert "retries" not in file.path.read_text()


PROGRAM = """
import sys
from hybridnb.model import Job
from hybridnb.workflow_file import WorkflowFile
file = WorkflowFile(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    file.edit(lambda workflow: workflow.with_job(Job(f"{sys.argv[2]}{number}", script="x")))
"""


def test_processes_that_add_jobs_at_once_lose_none(file: WorkflowFile) -> None:
    command = [sys.executable, "-c", PROGRAM, str(file.path)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen([*command, name], stdin=pipe, stdout=pipe, text=True) for name in "ab"]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert set(file.definition.jobs) == {"fetch", "train", *(f"{name}{number}" for name in "ab" for number in range(50))}
    assert file.path.read_text().startswith(DIGITS[: DIGITS.index("\nlayout:")])
    assert [path.name for path in file.path.parent.iterdir()] == ["digits.yaml"]


def test_threads_that_add_jobs_at_once_lose_none(file: WorkflowFile) -> None:
    def work(name: str) -> None:
        for number in range(20):
            file.edit(adding(Job(f"{name}{number}", script="x")))

    threads = [threading.Thread(target=work, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.definition.jobs) == 62


def test_a_link_and_its_file_have_one_lock_and_the_link_stays(file: WorkflowFile) -> None:
    link = WorkflowFile(file.path.with_name("link.yaml"))
    link.path.symlink_to(file.path)
    link.edit(setting("train", retries=1))
    file.edit(setting("train", retries=2))
    assert link.path.is_symlink()
    assert file.definition == link.definition
    assert len(list((home.state() / "edits").iterdir())) == 1


def test_an_editor_that_holds_the_lock_for_long_is_named(file: WorkflowFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.edit(setting("train", retries=1))
    monkeypatch.setattr("hybridnb.workflow_file.PATIENCE", 0.05)
    [path] = (home.state() / "edits").iterdir()
    lock = Lock(path)
    assert lock.acquire()
    with pytest.raises(StoreError, match=f"process {os.getpid()} on .* has been editing this file for"):
        file.edit(setting("train", retries=2))
    lock.release()
    assert file.edit(setting("train", retries=2))["train"].retries == 2


def test_a_lock_that_cannot_be_made_is_told(file: WorkflowFile) -> None:
    (home.state() / "edits").touch()
    with pytest.raises(StoreError, match=r"edits.*: cannot be locked: .*make the folder writable or make room"):
        file.edit(setting("train", retries=1))


def test_an_edit_that_fails_gives_the_lock_back(file: WorkflowFile) -> None:
    for _ in range(2):
        with pytest.raises(NotFound, match="has no job 'tran'; did you mean 'train'"):
            file.edit(lambda workflow: workflow.without("tran"))
    assert file.path.read_text() == DIGITS


@pytest.mark.parametrize("text", ["jobs: [", "jobs: {a: {scirpt: x}}", "# all that there is\n", "jobs: {a: \0}"])
def test_a_broken_file_is_told_and_not_touched(file: WorkflowFile, text: str) -> None:
    file.edit(setting("train", retries=1))
    file.path.write_text(text)
    with pytest.raises(DefinitionError) as error:
        file.edit(adding(Job("b", script="y")))
    assert error.value.problems[0].file == str(file.path)
    assert file.path.read_text() == text


@pytest.mark.parametrize(
    "fields",
    [
        {"script": "\0"},
        {"script": "x", "params": {"p": Path("x")}},
        {"script": "x", "inputs": ("a\nb",)},
        {"script": "x", "resources": Resources(nodes=0)},
    ],
)
@pytest.mark.parametrize("name", ["train", "new"])
def test_what_could_not_be_read_again_is_refused_and_nothing_is_touched(
    file: WorkflowFile, fields: dict[str, Any], name: str
) -> None:
    before = file.definition
    with pytest.raises(DefinitionError, match=r"digits.yaml: cannot be saved: "):
        file.edit(adding(Job(name, **fields)))
    assert file.path.read_text() == DIGITS
    assert file.definition == before


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


def test_data_as_deep_as_a_file_can_hold_are_written_and_deeper_ones_refused(file: WorkflowFile) -> None:
    deep = next(levels for levels in range(100, 0, -1) if _saved(file, nested(levels)))
    assert file.definition["train"].params == {"p": nested(deep)} == definition.parse(file.path.read_text())["train"].params
    assert deep > 90


def _saved(file: WorkflowFile, value: Any) -> bool:
    try:
        return bool(file.edit(setting("train", params={"p": value})))
    except DefinitionError:
        assert file.path.read_text() == DIGITS
        return False


def test_an_edit_returns_what_the_file_says(file: WorkflowFile) -> None:
    told = file.edit(setting("train", params={"a": (1, 2), "b": 1}, timeout=600))
    assert told["train"].params == {"a": [1, 2], "b": 1}
    assert told == file.definition == definition.parse(file.path.read_text())
    told = file.edit(setting("train", params={"a": (1, 2), "b": True}))
    assert told["train"].params["b"] is True is definition.parse(file.path.read_text())["train"].params["b"]


EDGES = """\
jobs:
  # Where the data come from: train
  train:   # train
    script: |
      train it
  "a":
    script: x
    after: train   # one
  b: {after: [a, train:any], script: train}   # two
  c:
    after:
      # the third
      - "train"   # in quotes
      - 'b'
    script: x

  d:
    script: x
    after: |-
      train:failed

layout:
  train: [0, 0]   # there
  gone: [1, 1]
"""


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (
            "train",
            "fit",
            [
                ("  train:   # train", "  fit:   # train"),
                ("    after: train   # one", "    after: fit   # one"),
                ("[a, train:any]", "[a, fit:any]"),
                ('- "train"   # in quotes', '- "fit"   # in quotes'),
                ("after: |-\n      train:failed", "after: fit:failed"),
                ("  train: [0, 0]   # there", "  fit: [0, 0]   # there"),
            ],
        ),
        ("a", "größe", [('  "a":', '  "größe":'), ("after: [a, train:any]", "after: [größe, train:any]")]),
        ("b", "on", [("  b: {", '  "on": {'), ("- 'b'", "- 'on'")]),
        ("b", "a.b=1", [("  b: {", "  a.b=1: {"), ("- 'b'", "- 'a.b=1'")]),
        ("d", "D", [("  d:", "  D:")]),
        (
            "a",
            "gone",
            [('  "a":', '  "gone":'), ("after: [a, train:any]", "after: [gone, train:any]"), ("  gone: [1, 1]\n", "")],
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_renamed_job_keeps_its_place_its_comments_and_its_edges(
    file: WorkflowFile, old: str, new: str, changes: list[tuple[str, str]], newline: str
) -> None:
    file.path.write_bytes(EDGES.replace("\n", newline).encode())
    before = file.definition
    told = file.edit(lambda workflow: workflow.renamed(old, new))
    assert list(told.jobs) == [new if name == old else name for name in before.jobs]
    assert file.definition == told == definition.parse(file.path.read_text(), file=str(file.path))
    expected = EDGES
    for was, now in changes:
        assert expected.count(was) == 1
        expected = expected.replace(was, now)
    assert file.path.read_bytes().decode() == expected.replace("\n", newline)


def test_a_renamed_and_changed_job_is_both_in_one_edit(file: WorkflowFile) -> None:
    file.edit(lambda workflow: setting("load", host="far")(workflow.renamed("fetch", "load")))
    expected = (
        DIGITS.replace("  fetch:\n", "  load:\n    host: far\n").replace("[fetch]", "[load]").replace("fetch: [0", "load: [0")
    )
    assert file.path.read_text() == expected


def test_a_job_that_takes_the_place_of_another_is_not_the_other_with_a_new_name(file: WorkflowFile) -> None:
    other = Job("other", script="x")
    file.edit(lambda workflow: Workflow.of("digits", [other, *workflow.without("fetch").jobs.values()]))
    assert "# Where the data come from." not in file.path.read_text()
    assert set(file.definition.jobs) == {"other", "train"}


def test_a_renamed_workflow_s_edges_kinds_and_positions_follow() -> None:
    workflow = definition.parse(EDGES).renamed("train", "fit")
    assert [str(edge) for job in workflow.jobs.values() for edge in job.after] == ["fit", "a", "fit:any", "fit", "b", "fit:failed"]
    assert workflow.layout == {"fit": (0, 0)}
    assert workflow.renamed("fit", "fit") == workflow


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("train", "a", "'train' cannot be renamed to 'a': there is such a job; remove it first, or use another name"),
        ("trian", "z", "has no job 'trian'; did you mean 'train'"),
        ("train", "x y", "the job name 'x y' cannot be used"),
        ("train", "B", "the jobs 'B' and 'b' differ by upper and lower case only"),
    ],
)
def test_a_name_that_a_job_cannot_have_is_refused(old: str, new: str, error: str) -> None:
    with pytest.raises((DefinitionError, NotFound), match=error):
        definition.parse(EDGES).renamed(old, new)


# A window's edit is what a whole edit would be: over all the ways to write a file.

WRITTEN = [
    "{0}:\n    script: |\n      #!/bin/sh\n\n      echo '{0}'\n",
    "{0}:  # a comment\n    host: here  # another\n    # of the script\n    script: x\n    # behind it\n",
    "{0}: {{script: 'echo {0}', params: {{lr: 0.1}}}}   # tiny\n",
    "{0}: echo {0}\n",
    '{0}: "a text\n      of two lines"   # why\n',
    "{0}: |\n    a script\n\n    alone\n",
    "{0}: |+\n    kept\n\n",
    "{0}:\n    params:\n      lr: 0.1   # found\n\n      deep:\n      - 1\n      - 2\n    exec: [ls, -l]\n",
    "{0}:\n    script: >-\n      folded\n      text\n    host: ~\n",
    "'{0}':\n    inputs:\n      - a  # first\n      - b\n    exec: ls\n      -l\n",
    "? {0}\n  : script: x\n",
]
ABOVE = ["", "", "\n", "  # above\n", "\n  # above\n\n", "      # deep\n", "    # below\n\n"]
HEADS = ["jobs:\n", "# first\nname: w   # short\n\njobs:   # all\n", "---\nname: w\njobs:\n"]
ENDS = [
    "",
    "\n",
    "# the end\n",
    "layout:\n  a: [0, 0]   # here\n",
    "\nlayout: {a: [0, 0]}\n",
    "layout:\n  old: [1, 1]\n",
    "name: w\n",
]
NAMES = ["a", "b2", "c-c", "on"]


@st.composite
def texts(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    parts = [draw(st.sampled_from(HEADS))]
    for name in names:
        key = f'"{name}"' if name == "on" else name
        parts += [
            draw(st.sampled_from(ABOVE)),
            "  ",
            draw(st.sampled_from([*WRITTEN, *WRITTEN[:3]])).format(key).replace("'\"on\"'", "'on'"),
        ]
    end = draw(st.sampled_from(ENDS))
    text = "".join(parts) + (end if "name" not in end or "name" not in parts[0] else "")
    text = text.rstrip("\n") if draw(st.integers(0, 9)) == 0 else text
    text = text.replace("\n", "\r\n") if draw(st.integers(0, 3)) == 0 else text
    text = text.replace("\r\n", "\n", 2) if draw(st.integers(0, 9)) == 0 else text
    return ("\ufeff" if draw(st.integers(0, 9)) == 0 else "") + text


FIELDS: list[dict[str, Any]] = [
    {"host": "far"},
    {"retries": 2},
    {"params": {}},
    {"params": {"lr": 0.1, "n": [1, "a\nb"]}},
    {"params": {"lr": 0.2}, "timeout": 90.0},
    {"script": "echo\n\n  deep\n", "exec": None},
    {"script": "a # text", "exec": None},
    {"script": " \n b\n", "exec": None},
    {"exec": ("a", "b: c"), "script": None},
    {"inputs": ("a", "c")},
    {"outputs": ("x" * 60, "y" * 60)},
    {"env": {"A": "\u2028"}, "resources": Resources(gpus="1", time="1:00:00")},
]


def drawn(draw: Callable[[st.SearchStrategy[Any]], Any], workflow: Workflow) -> Workflow:
    """Draw a change: of one job, mostly, of several, of the places, of the name, an addition anywhere, a removal, a renaming."""
    names = list(workflow.jobs)
    kind = draw(st.sampled_from(["change", "change", "change", "add", "add", "into", "more", "remove", "place", "name", "rename"]))
    fields = draw(st.sampled_from(FIELDS))
    one = draw(st.sampled_from(names)) if names else ""
    fresh = draw(st.sampled_from(["n1", "n2", "n3", "yes"]))
    if kind == "add" or not names or (kind != "change" and fresh in names):
        return workflow.with_job(Job(fresh, **{"script": "x", **fields}))
    if kind == "into":
        jobs = list(workflow.jobs.values())
        return Workflow.of(workflow.name, [*jobs[:1], Job(fresh, script="x\ny\n"), *jobs[1:]], layout=workflow.layout)
    if kind == "remove":
        return workflow.without(one)
    if kind == "rename":
        return workflow.renamed(one, fresh)
    if kind == "place":
        return replace(workflow, layout={**workflow.layout, one: (5.0, 6.5)})
    if kind == "name":
        return replace(workflow, name="other")
    changed = workflow.with_job(replace(workflow[one], **fields))
    return changed.with_job(replace(changed[names[0]], host="near")) if kind == "more" else changed


@given(texts(), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_edit_writes_byte_for_byte_what_saving_the_whole_would_write(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("w")
    file, other = WorkflowFile(folder / "w.yaml"), folder / "other" / "w.yaml"
    other.parent.mkdir()
    for path in (file.path, other):
        path.write_bytes(text.encode())
    for _ in range(4):
        then = drawn(data.draw, file.definition)
        told = file.edit(lambda _: then)  # noqa: B023
        definition.save(then, other)
        assert file.path.read_bytes().decode() == other.read_bytes().decode()
        again = definition.parse(file.path.read_bytes().decode(), file="w.yaml")
        assert definition.same(told, again)
        assert list(told.jobs) == list(again.jobs)
        assert file.definition is told


# -- files of scripts -----------------------------------------------------------------------------------------------------
def test_a_job_whose_script_is_a_file_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    file = WorkflowFile(tmp_path / "w.yaml")
    with pytest.raises(DefinitionError, match=r"script of job 'a': there is no file 'trian.py' in .*; did you mean 'train.py'\?"):
        file.edit(lambda now: now.with_job(Job("a", script="trian.py")))
    assert not file.path.exists()
    assert file.edit(lambda now: now.with_job(Job("a", script="train.py")))["a"].file == "train.py"


def test_a_job_whose_file_has_gone_can_be_changed_otherwise(tmp_path: Path) -> None:
    file = WorkflowFile(tmp_path / "w.yaml")
    file.path.write_text("jobs: {a: gone.py, b: echo}")
    file.edit(lambda now: now.renamed("a", "c").with_job(Job("d", script="echo")))
    assert list(file.definition.jobs) == ["c", "b", "d"]
    assert file.edit(lambda now: now.with_job(Job("c", script="gone.py", retries=2)))["c"].retries == 2
