"""Workflow files are read with everything that is wrong in them told at once, and written in one step or not at all."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybridnb import definition
from hybridnb.definition import dump, from_mapping, load, parse, save, to_mapping
from hybridnb.errors import DefinitionError, NotFound, StoreError
from hybridnb.model import Job, Resources, Workflow

DIGITS = """\
name: digits
jobs:
  fetch:
    script: |
      #!/bin/sh
      echo "hi"  # é
    outputs: [data.csv]
  train:
    host: rivanna
    after: [fetch, prepare:any]
    inputs: data.csv
    params: {lr: 0.1, eps: 1e-4, on: yes, clock: 1:30, day: 2024-01-01, list: [1, {a: ~}], text: "1"}
    env: {PATH: /bin, FLAG: yes, MODE: 010, EMPTY: }
    resources: {time: 1:00:00, gpus: 1, cpus: 4, mem: 4G, sbatch: --exclusive}
    retries: 2
    timeout: 1:30:00
    script: train.py
  prepare: echo prepare
  count: {exec: [wc, -l, data.csv], after: fetch, host: ~}
layout: {fetch: [0, 1.5], gone: [1, 1]}
"""


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text("jobs: {}")
    with pytest.raises(NotFound, match=r"there is no workflow file '.*digit.yaml'; did you mean 'digits.yaml'\?"):
        load(tmp_path / "digit.yaml")
    with pytest.raises(NotFound, match="there is no folder"):
        load(tmp_path / "none" / "digits.yaml")
    with pytest.raises(NotFound, match="there is no workflow file"):
        load(tmp_path / "digits.yaml" / "x.yaml")
    with pytest.raises(NotFound, match="is a folder, not a workflow file"):
        load(tmp_path)
    with pytest.raises(NotFound, match="is no file, not a workflow file"):
        load(Path(os.devnull))


def test_a_file_of_another_encoding_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"jobs:\n  a: \xe9\n")
    with pytest.raises(DefinitionError) as error:
        load(path)
    assert error.value.problems[0][1:] == (str(path), 2, 6)
    assert "not UTF-8" in error.value.problems[0].message


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    with path.open("wb") as out:
        out.truncate(10**12)
    with pytest.raises(DefinitionError, match="1,000,000,000,000 bytes are too many for a workflow file"):
        load(path)


def test_a_job_as_plain_data_is_the_same_job_again() -> None:
    for name, job in parse(DIGITS).jobs.items():
        data = json.loads(json.dumps(to_mapping(job)))
        assert from_mapping(name, data) == job
        assert data == to_mapping(job)


def test_plain_data_hold_only_what_is_not_by_default() -> None:
    assert to_mapping(Job("a", script="x")) == {"script": "x"}
    assert from_mapping("a", {"script": "x", "exec": None, "timeout": None, "params": {}}) == Job("a", script="x")


@pytest.mark.parametrize(
    "value", ["1", "yes", "null", "1e-4", 1, 1.0, True, None, 1e-05, 1e22, -0.0, 2**80, [1, "1", {"1": "~"}], {}, []]
)
def test_a_param_keeps_its_value_and_its_type(value: Any) -> None:
    job = Job("a", script="x", params={"p": value})
    for again in (from_mapping("a", to_mapping(job)), parse(dump(Workflow.of("w", [job])))["a"]):
        assert repr(again.params["p"]) == repr(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"script": "x", "hots": "y"}, "'hots' is not a field of job 'a'; did you mean 'host'?"),
        (
            {"script": "x", "params": {"p": Path("x")}},
            "job 'a': expected a text, a number, true or false, null, a list or a mapping, not PosixPath",
        ),
        ({"script": "x", "params": {"p": float("nan")}}, "is not a number that every language knows"),
        ({"script": "x", "after": ["b:x"]}, "after the colon comes one of"),
        ({"script": 5, "inputs": 5}, "inputs of job 'a': expected a list of file names, not a number"),
        ({}, "job 'a' has nothing to run"),
    ],
)
def test_plain_data_that_are_no_job_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        from_mapping("a", data)
    assert message in str(error.value)


def test_plain_data_that_hold_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(DefinitionError, match="nested deeper than 100 levels"):
        from_mapping("a", {"script": "x", "params": {"p": loop}})


DUMPED = """\
name: digits
jobs:
  fetch:
    outputs: [data.csv]
    script: |
      #!/bin/sh
      echo hi
  train:
    host: rivanna
    after: [fetch, prepare:any]
    resources:
      time: "1:00:00"
      gpus: 1
    params:
      lr: 1.0e-05
    timeout: 600
    script: train.py
  prepare:
    script: 'echo "a: b"'
layout:
  fetch: [0, 1.5]
"""


def test_a_dumped_workflow_reads_well() -> None:
    workflow = parse(DUMPED)
    assert dump(workflow) == DUMPED
    assert dump(replace(workflow, layout={**workflow.layout, "gone": (1, 1)})) == DUMPED


def test_a_new_file_is_what_is_dumped(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    save(parse(DUMPED), path)
    assert path.read_text() == DUMPED
    assert [p.name for p in tmp_path.iterdir()] == ["digits.yaml"]
    path.write_text("")
    save(parse(DUMPED), path)
    assert path.read_text() == DUMPED


def test_saving_what_the_file_says_already_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS)
    before = path.stat()
    save(load_without_scripts(path), path)
    assert path.stat() == before


def load_without_scripts(path: Path) -> Workflow:
    return parse(path.read_text(), file=str(path))


def test_a_saved_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "digits.yaml", tmp_path / "link.yaml"
    path.write_text("jobs: {}\n")
    path.chmod(0o640)
    link.symlink_to(path)
    save(parse(DUMPED), link)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert "train:" in path.read_text()
    path.write_text("jobs: {}\n")
    save(load(link), link)
    assert path.read_text() == "jobs: {}\n"


@pytest.mark.parametrize("text", ["jobs: [", "jobs: {a: {scirpt: x}}", "a: &a b", "# all that there is\n", "jobs: {a: \0}"])
def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(DefinitionError) as error:
        save(parse(DUMPED), path)
    assert error.value.problems[0].file == str(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "job",
    [
        Job("a", script="\0"),
        Job("a", script="\ud800"),
        Job("a", script="x", params={"p": Path("x")}),
        Job("a", script="x", inputs=("a\nb",)),
        Job("a", script="x", resources=Resources(nodes=0)),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(tmp_path: Path, job: Job) -> None:
    path = tmp_path / "w.yaml"
    with pytest.raises(DefinitionError, match=r"w.yaml: cannot be saved"):
        save(Workflow.of("w", [job]), path)
    assert not path.exists()
    path.write_text("jobs: {a: x}\n")
    with pytest.raises(DefinitionError, match=r"w.yaml: cannot be saved"):
        save(Workflow.of("w", [job]), path)
    assert path.read_text() == "jobs: {a: x}\n"


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user to whom permissions apply: root is not."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Give a folder that other users can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="hn-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def refused(path: Path) -> str:
    """Try to save; return what is told, and make sure that nothing was changed."""
    before = {p: p.read_bytes() for p in path.parent.iterdir()} if path.parent.is_dir() else {}
    with somebody_else(), pytest.raises(StoreError) as error:
        save(parse(DUMPED), path)
    assert before == ({p: p.read_bytes() for p in path.parent.iterdir()} if path.parent.is_dir() else {})
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_read_only_folder_is_told_and_the_file_stays(shared: Path) -> None:
    (shared / "w.yaml").write_text("jobs: {}\n")
    (shared / "w.yaml").chmod(0o666)
    shared.chmod(0o555)
    assert "cannot be saved: Permission denied; nothing was changed: make the folder writable" in refused(shared / "w.yaml")
    assert "cannot be saved" in refused(shared / "new.yaml")


def test_a_write_protected_file_stays(shared: Path) -> None:
    shared.chmod(0o777)
    (shared / "w.yaml").write_text("jobs: {}\n")
    (shared / "w.yaml").chmod(0o444)
    assert "write-protected" in refused(shared / "w.yaml")


def test_an_unreadable_file_is_told(shared: Path) -> None:
    (shared / "w.yaml").write_text("jobs: {}\n")
    (shared / "w.yaml").chmod(0)
    with somebody_else(), pytest.raises(StoreError, match="cannot be read: Permission denied"):
        load(shared / "w.yaml")


def test_a_missing_folder_is_told(shared: Path) -> None:
    assert refused(shared / "none" / "w.yaml").endswith(f"there is no folder '{shared / 'none'}'; make it, then save again")
    (shared / "file").touch()
    assert "Not a directory" in refused(shared / "file" / "w.yaml")


def test_a_full_disk_is_told_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("jobs: {}\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(StoreError, match=r"w.yaml: cannot be saved: .*make room, then save again"):
            save(parse(DUMPED), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "jobs: {}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["w.yaml"]


def test_an_import_reads_no_yaml_library() -> None:
    import subprocess
    import sys

    program = "import sys, hybridnb.definition; print('yaml' in sys.modules, 'ruamel' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(definition.__file__).parent.parent
    )
    assert found.stdout == "False False\n"
