"""A run's folder, and the user's list of runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybridnb import definition, environment, store
from hybridnb import home as places
from hybridnb.errors import CallError, NotFound, RunBusy, StoreError
from hybridnb.journal import read
from hybridnb.lock import Lock
from hybridnb.model import Dependency, Job, Workflow
from hybridnb.run import Run
from hybridnb.store import Store

JOBS = [
    Job("fetch", script="echo 'é: \U0001f600' >data.csv", outputs=("data.csv",)),
    Job("train", script="train.py", after=(Dependency("fetch"),), params={"lr": 1e-07, "note": "no: \u2028 yes"}),
]
KEYS = [
    "state",
    "host",
    "attempt",
    "exit_code",
    "native_id",
    "submitted_at",
    "started_at",
    "ended_at",
    "progress",
    "log",
    "reason",
    "metrics",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A workflow's file with a script beside it."""
    (tmp_path / "train.py").write_bytes(b"print('caf\xe9')\r\n")
    path = tmp_path / "digits.yaml"
    path.write_text(definition.dump(Workflow.of("digits", JOBS, layout={"fetch": (10, 20.5)})))
    return path


def create(source: Path, **more: Any) -> Store:
    return Store.create(definition.load(source), source, **more)


def moved(source: Path) -> Store:
    """A run on its way: one job done, one running."""
    made = create(source)
    for name in ("fetch", "train"):
        made.note({"event": "attempt", "job": name, "attempt": 1, "token": "t", "host": "local"})
        made.note({"event": "state", "job": name, "attempt": 1, "state": "running", "native_id": "4711"})
    made.note({"event": "progress", "job": "train", "attempt": 1, "progress": 50.5, "metrics": {"loss": 1e-07, "word": "\x85"}})
    made.note({"event": "state", "job": "fetch", "attempt": 1, "state": "done", "exit_code": 0})
    made.note({"event": "files", "job": "fetch", "attempt": 1, "files": {"outputs": {"data.csv": {"size": 1, "sha256": "x"}}}})
    return made


# -- making ---------------------------------------------------------------------------------------------------------------
def test_a_new_run_freezes_everything_beside_the_workflow_s_file(source: Path) -> None:
    made = create(source, variables={"A": "1"}, request="who")
    folder = made.folder
    assert folder.parent == source.with_suffix(".runs")
    assert definition.parse((folder / "workflow.yaml").read_text()) == definition.load(source)
    assert (folder / "scripts/train.py").read_bytes() == (source.parent / "train.py").read_bytes()
    first = read(folder / "journal.yaml")[0][0]
    assert (first["event"], first["run"], first["source"], first["request"]) == ("created", folder.name, str(source), "who")
    assert environment.path(folder.name).read_text() == "export A=1\n"
    assert made.run.layout == {"fetch": (10, 20.5)}


def test_a_frozen_script_is_what_runs_whatever_happens_to_its_file(source: Path) -> None:
    made = create(source)
    (source.parent / "train.py").unlink()
    assert made.script(made.run.jobs["train"]).encode(errors="surrogateescape") == b"print('caf\xe9')\r\n"
    assert made.script(made.run.jobs["fetch"]) == JOBS[0].script
    assert made.script(Job("a", exec="make all")) == "make all\n"
    assert made.script(Job("a", exec=("echo", "a b"))) == "echo 'a b'\n"


def test_a_frozen_script_that_is_gone_is_told(source: Path) -> None:
    made = create(source)
    (made.folder / "scripts/train.py").unlink()
    with pytest.raises(StoreError, match=r"scripts/train\.py: the frozen script is gone"):
        made.script(made.run.jobs["train"])


def test_a_script_that_changed_is_frozen_anew(source: Path) -> None:
    made = create(source)
    (source.parent / "train.py").write_text("new")
    made.freeze(made.run.jobs["train"])
    assert made.script(made.run.jobs["train"]) == "new"


def test_runs_can_be_put_elsewhere(source: Path, tmp_path: Path) -> None:
    assert create(source, runs=tmp_path / "other").folder.parent == tmp_path / "other"


def test_a_hundred_runs_of_one_minute_have_a_hundred_names(source: Path) -> None:
    made = [create(source) for _ in range(100)]
    assert len({each.folder for each in made}) == 100
    for each in made:
        each.close()


def test_a_workflow_whose_script_is_gone_leaves_nothing_behind(source: Path) -> None:
    workflow = definition.load(source)
    (source.parent / "train.py").unlink()
    with pytest.raises(StoreError, match=r"train\.py: the run cannot be written: No such file"):
        Store.create(workflow, source)
    assert list(source.with_suffix(".runs").iterdir()) == list(store.runs()) == list(store.active()) == []


@pytest.mark.parametrize("name", ["two\nlines", os.fsdecode(b"caf\xe9")])
def test_a_folder_whose_name_breaks_lines_or_is_no_utf_8_is_refused_and_stays_empty(
    source: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with pytest.raises(
        StoreError, match="a folder with a line break in its name, or a name that is not UTF-8, cannot hold runs; rename it"
    ):
        Store.create(Workflow.of("w", JOBS[:1]), folder / "w.yaml")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ['it\'s $(x) "q" * ', "back\\nslash", "ünï ☃ \U0001f600", "-n", "#: {a"])
def test_a_folder_of_any_other_name_holds_runs(source: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    made = Store.create(Workflow.of("w", JOBS[:1]), folder / "w.yaml")
    made.snapshot(force=True)
    made.close()
    assert Store.open(store.find(made.run.id)).run.folder == str(folder)
    assert yaml.safe_load((made.folder / "run.yaml").read_text())["folder"] == str(made.folder)


def test_a_file_in_the_place_of_the_runs_is_told(source: Path) -> None:
    source.with_suffix(".runs").write_text("")
    with pytest.raises(StoreError, match=r"digits\.runs: no run can be made here: File exists"):
        create(source)


def test_a_read_only_folder_is_told(source: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(source.parent)], check=True)
    try:
        with pytest.raises(StoreError, match=r"digits\.runs: no run can be made here: Read-only file system"):
            Store.create(Workflow.of("w", JOBS[:1]), source)
    finally:
        subprocess.run(["umount", "-l", str(source.parent)], check=True)


def test_a_full_disk_is_told_and_nothing_is_left_of_the_run(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        with pytest.raises(StoreError, match="No space left on device"):
            Store.create(Workflow.of("w", [Job("a", script="#" * 100_000)]), disk / "w.yaml")
        assert list((disk / "w.runs").iterdir()) == list(store.runs()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# -- opening --------------------------------------------------------------------------------------------------------------
def test_a_run_opened_again_is_the_run_that_was_written(source: Path) -> None:
    made = moved(source)
    made.close()
    again = Store.open(made.folder)
    assert again.run == made.run
    assert again.status() == made.status()
    assert again.sequence == made.sequence == len(read(made.folder / "journal.yaml")[0])


def test_a_run_can_be_read_while_another_writes_it(source: Path) -> None:
    made = moved(source)
    assert Store.open(made.folder).run.id == made.run.id
    made.commit()
    assert Store.open(made.folder).run == made.run


def test_a_second_writer_is_told_who_holds_the_run(source: Path) -> None:
    made = create(source)
    with pytest.raises(RunBusy) as told:
        Store.open(made.folder, write=True)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    name = made.folder.name
    assert str(told.value) == f"run {name} is moved forward by {holder}; follow it by 'hybridnb status {name}'"
    made.close()
    Store.open(made.folder, write=True).close()


def test_a_run_whose_writer_was_killed_can_be_written_at_once(source: Path) -> None:
    code = "import os, sys; from pathlib import Path; from hybridnb import definition; from hybridnb.store import Store; p = Path(sys.argv[1])\n"
    code += "s = Store.create(definition.load(p), p); print(s.folder, flush=True); os.kill(os.getpid(), 9)"
    folder = Path(subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True).stdout.strip())
    again = Store.open(folder, write=True)
    assert list(again.run.jobs) == ["fetch", "train"]
    again.close()


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone", tmp_path / ("x" * 300)):
        with pytest.raises(NotFound, match=r"there is no run here \(no journal\.yaml\)"):
            Store.open(folder)


@pytest.mark.parametrize("write", [False, True])
def test_a_run_that_was_killed_before_its_first_record_is_told_and_not_held(source: Path, write: bool) -> None:
    folder = source.with_suffix(".runs") / "2026-11-22-1015-k3f9"
    folder.mkdir(parents=True)
    (folder / "journal.yaml").write_bytes(b'- {"n": 1, "eve')
    with pytest.raises(NotFound, match="this run never began"):
        Store.open(folder, write=write)
    assert not Lock(folder / "lock").held()
    assert store.latest(source) is None


def test_a_damaged_run_is_refused_and_not_held(source: Path) -> None:
    made = create(source)
    made.close()
    text = (made.folder / "journal.yaml").read_bytes()
    (made.folder / "journal.yaml").write_bytes(text.replace(b"created", b"creatad", 1))
    with pytest.raises(StoreError, match=r"journal\.yaml:1: the journal is damaged here"):
        Store.open(made.folder, write=True)
    assert not Lock(made.folder / "lock").held()


def test_a_torn_tail_is_dropped_when_the_run_is_written_again(source: Path) -> None:
    made = create(source)
    made.close()
    with open(made.folder / "journal.yaml", "ab") as out:
        out.write(b'- {"n": 99, "event": "sta')
    again = Store.open(made.folder, write=True)
    again.note({"event": "finished", "state": "done"})
    again.close()
    assert Store.open(made.folder).run.ended_at


# -- writing --------------------------------------------------------------------------------------------------------------
def test_observers_hear_each_record_as_it_is_noted_with_its_number(source: Path) -> None:
    made = create(source)
    heard: list[tuple[Store, Any]] = []
    made.observers.append(lambda run, record: heard.append((run, record)))
    made.note({"event": "facts", "facts": {}})
    made.close()
    assert heard == [(made, read(made.folder / "journal.yaml")[0][-1])]


def test_the_journal_replayed_is_what_is_in_memory(source: Path) -> None:
    made = moved(source)
    made.commit()
    replayed = Run()
    for record in read(made.folder / "journal.yaml")[0]:
        replayed.apply(record)
    assert replayed == made.run


def test_a_closed_run_can_be_closed_again_and_is_free(source: Path) -> None:
    made = create(source)
    made.close()
    made.close()
    assert not Lock(made.folder / "lock").held()


# -- status and snapshot --------------------------------------------------------------------------------------------------
def test_the_status_tells_the_run_and_each_job_in_its_order(source: Path) -> None:
    made = moved(source)
    status = made.status()
    assert list(status) == ["run", "workflow", "state", "folder", "created_at", "ended_at", "jobs"]
    assert (status["run"], status["workflow"], status["state"], status["ended_at"]) == (made.folder.name, "digits", "running", None)
    assert list(status["jobs"]) == ["fetch", "train"]
    fetch, train = status["jobs"].values()
    assert list(fetch) == KEYS
    assert (fetch["state"], fetch["exit_code"], fetch["attempt"], fetch["native_id"]) == ("done", 0, 1, "4711")
    assert fetch["submitted_at"] <= fetch["started_at"] <= fetch["ended_at"]
    assert (train["state"], train["exit_code"], train["progress"], train["metrics"]) == (
        "running",
        None,
        50.5,
        {"loss": 1e-07, "word": "\x85"},
    )
    assert train["log"] == str(made.folder / "jobs/train/1/out")


def test_a_job_that_was_not_tried_or_is_to_be_tried_again_has_nothing_of_an_attempt(source: Path) -> None:
    made = create(source)
    blank = dict.fromkeys(KEYS, None) | {"state": "waiting", "host": "local", "attempt": 0, "reason": "", "metrics": {}}
    assert made.job_status("train") == blank
    made.note({"event": "ended", "jobs": ["train"], "state": "skipped", "reason": "'fetch' is failed"})
    assert made.job_status("train") == {**blank, "state": "skipped", "reason": "'fetch' is failed"}
    again = moved(source)
    again.note({"event": "again", "jobs": ["fetch"]})
    assert again.job_status("fetch") == {**blank, "attempt": 1}


def test_run_yaml_is_valid_yaml_with_a_line_a_job_that_says_what_the_status_says(source: Path) -> None:
    made = moved(source)
    made.note({"event": "facts", "facts": {"host local": {"memory_gib": 1e-07}, "odd": "\u2028\x7f\U0001f600"}})
    made.snapshot(force=True)
    text = (made.folder / "run.yaml").read_text(encoding="utf-8")
    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        found = yaml.load(text, loader)
        assert found.pop("facts") == made.run.facts
        assert found["jobs"]["fetch"].pop("files") == {"outputs": {"data.csv": {"size": 1, "sha256": "x"}}}
        assert found["jobs"]["train"].pop("params") == JOBS[1].params
        told = made.status()
        for job in told["jobs"].values():
            job["log"] = job["log"] and job["log"].removeprefix(f"{made.folder}/")
        assert found == told
    lines = text.split("\n")
    assert [line.split(":")[0] for line in lines[lines.index("jobs:") + 1 :]] == ['  "fetch"', '  "train"', ""]


def test_the_picture_shows_the_run_as_it_stands(source: Path) -> None:
    made = moved(source)
    made.snapshot(force=True)
    text = (made.folder / "graph.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert "fetch" in text and "train" in text


def test_a_snapshot_is_whole_whenever_it_is_read(source: Path) -> None:
    made = moved(source)
    made.snapshot(force=True)
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            made.note({"event": "facts", "facts": {"number": "x" * 1000 * number}})
            made.snapshot(force=True)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    read_times = 0
    while not done.is_set():
        for line in (made.folder / "run.yaml").read_text().splitlines()[-1:]:
            assert line.startswith('  "train": {') and line.endswith("}")
        ET.fromstring((made.folder / "graph.svg").read_text())
        read_times += 1
    writer.join()
    assert read_times > 5
    assert not list(made.folder.glob("*.new"))


def test_a_snapshot_is_written_when_something_changed_or_when_it_must_be(source: Path) -> None:
    made = create(source)
    made.snapshot()
    (made.folder / "run.yaml").unlink()
    made.snapshot()
    assert not (made.folder / "run.yaml").exists()
    made.snapshot(force=True)
    assert (made.folder / "run.yaml").exists()


def test_many_changes_cost_few_snapshots(source: Path) -> None:
    made = create(source)
    made.snapshot()
    (made.folder / "run.yaml").unlink(missing_ok=True)
    for _ in range(100):
        made.note({"event": "facts", "facts": {}})
        made.snapshot()
    assert not (made.folder / "run.yaml").exists()


def test_a_snapshot_that_could_not_be_written_is_told_and_written_when_it_can_be(source: Path) -> None:
    made = moved(source)
    (made.folder / "run.yaml").mkdir()
    with pytest.raises(StoreError, match=r"run\.yaml: cannot be written: Is a directory.* run again to resume") as told:
        made.snapshot(force=True)
    assert told.value.run == made.run.id
    (made.folder / "run.yaml").rmdir()
    made.snapshot(force=True)
    assert yaml.safe_load((made.folder / "run.yaml").read_text())["run"] == made.run.id


def test_a_folder_that_was_deleted_meanwhile_is_told(source: Path) -> None:
    made = moved(source)
    shutil.rmtree(made.folder)
    with pytest.raises(StoreError, match=r"run\.yaml: cannot be written: the run's folder is not there any more\. Run again"):
        made.snapshot(force=True)
    made.close()
    assert list(store.runs()) == list(store.active()) == []
    with pytest.raises(NotFound):
        store.find(made.run.id)


# -- the user's runs ------------------------------------------------------------------------------------------------------
def test_a_run_is_found_by_its_id_by_its_folder_and_as_the_last_of_its_file(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = create(source)
    monkeypatch.chdir(source.parent)
    words = (made.run.id, str(made.folder), f"digits.runs/{made.run.id}", str(source), "digits.yaml", "./digits.yaml")
    assert [store.find(word) for word in words] == [made.folder] * len(words)


def test_what_is_not_found_is_told_with_the_nearest_run(source: Path) -> None:
    made = create(source)
    name = made.run.id
    with pytest.raises(NotFound) as told:
        store.find(name[:-1] + "0")
    assert str(told.value) == f"there is no run '{name[:-1]}0'; did you mean '{name}'? See 'hybridnb runs'"
    with pytest.raises(NotFound, match=r"^there is no run 'zzz'\. See 'hybridnb runs'$"):
        store.find("zzz")


@pytest.mark.parametrize("word", ["", "x" * 5000, "a\0b", "../..", "ü/\n", "/dev/null/x"])
def test_a_word_of_any_kind_is_looked_for_without_harm(word: str) -> None:
    with pytest.raises(NotFound):
        store.find(word)


def test_a_file_that_was_not_run_yet_is_told_with_how_to_run_it(source: Path) -> None:
    with pytest.raises(NotFound, match=rf"^{source}: this workflow has not been run yet\. Start it by 'hybridnb run {source}'$"):
        store.find(str(source))
    assert store.latest(source) is None
    assert store.newest(source) == []


def test_runs_are_listed_by_when_they_were_made_whatever_their_names_and_files_say(source: Path) -> None:
    made = [create(source) for _ in range(6)]
    for number, each in enumerate(made):
        each.close()
        os.utime(each.folder / "workflow.yaml", (1_000_000 - number, 1_000_000 - number))  # as by a copy
    newest = [each.folder for each in reversed(made)]
    assert store.newest(source) == list(store.runs()) == newest
    assert store.latest(source) == newest[0]


def test_runs_of_another_file_and_folders_without_a_run_are_not_a_file_s(source: Path, tmp_path: Path) -> None:
    made = create(source)
    create(source, runs=tmp_path / "other.runs")
    (source.with_suffix(".runs") / "9999-notes").mkdir()
    (source.with_suffix(".runs") / "9999-file").write_text("")
    assert store.newest(source) == [made.folder]


def test_a_run_is_active_until_it_rests_and_again_when_it_is_woken(source: Path) -> None:
    made, other = create(source), create(source)
    assert set(store.active()) == {made.folder, other.folder}
    made.rest()
    made.rest()
    assert list(store.active()) == [other.folder]
    assert (store.listed(made.folder), store.listed(other.folder)) == (False, True)
    made.wake()
    assert set(store.active()) == {made.folder, other.folder}


def test_a_run_stays_active_while_its_disk_is_away_and_not_when_its_folder_is_removed(source: Path, tmp_path: Path) -> None:
    made, other = create(source), create(source)
    made.folder.parent.rename(tmp_path / "away")
    assert not list(store.active())
    (tmp_path / "away").rename(made.folder.parent)
    shutil.rmtree(other.folder)
    assert list(store.active()) == [made.folder]
    assert not store.listed(other.folder)


def test_ids_differ_among_all_runs_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_ALPHABET", "ab")
    made = [Store.create(Workflow.of("w", JOBS[:1]), tmp_path / f"w{i}.yaml") for i in range(12)]
    assert len({each.run.id for each in made}) == len(made)


def test_a_forgotten_run_is_on_no_list_and_its_folder_stays(source: Path) -> None:
    made = create(source)
    store.forget(made.folder)
    store.forget(made.folder)
    assert list(store.runs()) == list(store.active()) == []
    assert (made.folder / "journal.yaml").is_file()


def test_a_copy_of_a_run_can_be_looked_at_but_nothing_else(source: Path, tmp_path: Path) -> None:
    made = create(source)
    copy = tmp_path / "copy" / made.folder.name
    shutil.copytree(made.folder, copy)
    assert store.find(str(copy)) == copy
    assert (store.listed(made.folder), store.listed(copy)) == (True, False)
    with pytest.raises(CallError, match=f"^{copy} is a copy, .* the run itself is {made.folder}$"):
        store.enlist(copy)
    assert store.enlist(made.folder) == made.run.id


def test_a_run_that_was_moved_is_found_again_once_it_is_named_by_its_folder(source: Path, tmp_path: Path) -> None:
    made = create(source)
    made.close()
    moved_to = tmp_path / "elsewhere" / made.folder.name
    shutil.move(made.folder, moved_to)
    assert list(store.runs()) == []
    assert store.enlist(moved_to) == made.run.id
    assert store.find(made.run.id) == moved_to


def test_without_any_run_the_lists_are_empty() -> None:
    assert list(store.runs()) == list(store.active()) == []


def test_the_lists_are_for_the_user_alone(source: Path) -> None:
    create(source)
    assert [(places.state() / name).stat().st_mode & 0o777 for name in ("runs", "active")] == [0o700, 0o700]
