"""A cell becomes a job of the workflow's file, beside what others write there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybridnb.errors import CallError, Conflict, DefinitionError
from hybridnb.notebook.place import Cell, Notebook
from hybridnb.notebook.record import Recorder, beside
from hybridnb.workflow_file import WorkflowFile


def saved(path: Path, **cells: str) -> Notebook:
    data = [{"cell_type": "code", "id": word, "source": source} for word, source in cells.items()]
    path.write_text(json.dumps({"cells": data}))
    return Notebook(path)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(WorkflowFile(tmp_path / "study.yaml"), Notebook(tmp_path / "study.ipynb"))


def say(recorder: Recorder, id: str, name: str | None, *, replaces: bool = False, **said: object) -> str:
    cell = Cell(id, f"%%job local {name or ''}\n{said.get('script', '')}")
    return recorder.record(name, {"host": "local", "script": "true", **said}, cell, replaces=replaces).job.name


def test_a_cell_without_a_name_gets_one_and_keeps_it(recorder: Recorder) -> None:
    assert [say(recorder, "c1", None), say(recorder, "c2", None), say(recorder, "c1", None)] == ["job-1", "job-2", "job-1"]


def test_a_cell_that_is_run_again_updates_its_job(recorder: Recorder) -> None:
    say(recorder, "c1", "train", script="one")
    say(recorder, "c1", "train", script="two")
    assert {name: job.script for name, job in recorder.file.definition.jobs.items()} == {"train": "two"}


def test_another_name_renames_the_job_and_the_edges_follow(recorder: Recorder) -> None:
    say(recorder, "c1", "train")
    say(recorder, "c2", "tell", after=["train"])
    say(recorder, "c1", "fit")
    assert {name: job.parents for name, job in recorder.file.definition.jobs.items()} == {"fit": (), "tell": ("fit",)}


def test_a_name_of_another_cell_is_refused_and_the_cell_is_named(recorder: Recorder, tmp_path: Path) -> None:
    say(recorder, "c1", "train")
    saved(tmp_path / "study.ipynb", x="1", c1="%%job local train\ntrue")
    with pytest.raises(CallError, match=r"'train' is in use by cell 2 of study\.ipynb \(%%job local train\).*--replace"):
        say(recorder, "c2", "train", script="mine")
    assert say(recorder, "c2", "train", script="mine", replaces=True) == "train"


def test_a_notebook_that_was_never_saved_keeps_its_names_too(recorder: Recorder) -> None:
    say(recorder, "c1", "train")
    with pytest.raises(CallError, match=r"in use by a cell of study\.ipynb"):
        say(recorder, "c2", "train")


def test_a_name_is_free_when_its_cell_was_deleted(recorder: Recorder, tmp_path: Path) -> None:
    say(recorder, "c1", "train")
    saved(tmp_path / "study.ipynb", c2="%%job local train\nmine")
    assert say(recorder, "c2", "train", script="mine") == "train"


def test_a_name_is_free_when_its_cell_has_another_one_now(recorder: Recorder, tmp_path: Path) -> None:
    say(recorder, "c1", "train")
    saved(tmp_path / "study.ipynb", c1="%%job local fit\ntrue", c2="%%job local train\nmine")
    assert say(recorder, "c2", "train", script="mine") == "train"


def test_a_name_in_use_by_another_notebook_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a.ipynb", c1="%%job local train\ntrue")
    file = WorkflowFile(tmp_path / "study.yaml")
    say(Recorder(file, Notebook(tmp_path / "a.ipynb")), "c1", "train")
    with pytest.raises(CallError, match=r"cell 1 of a\.ipynb"):
        say(Recorder(file, Notebook(tmp_path / "b.ipynb")), "c9", "train")


def test_what_a_person_wrote_beside_a_cells_words_stays(recorder: Recorder) -> None:
    say(recorder, "c1", "train")
    text = recorder.file.path.read_text().replace("  train:\n", "  train:\n    retries: 3   # the node is flaky\n")
    if "retries" not in text:
        text = text.replace("  train: ", "  train:\n    retries: 3   # the node is flaky\n    script: ")
    recorder.file.path.write_text(text)
    say(recorder, "c1", "train", script="two")
    job = recorder.file.definition["train"]
    assert (job.script, job.retries) == ("two", 3)
    assert "# the node is flaky" in recorder.file.path.read_text()


def test_what_a_cell_and_a_person_both_changed_is_refused_with_both_values(recorder: Recorder) -> None:
    say(recorder, "c1", "train", timeout=10)
    recorder.file.edit(lambda now: now.with_job(type(now["train"])("train", script="true", timeout=20.0)))
    before = recorder.file.path.read_text()
    with pytest.raises(Conflict, match=r"(?s)timeout.*--replace"):
        say(recorder, "c1", "train", timeout=30)
    assert recorder.file.path.read_text() == before


def test_a_parent_that_no_cell_has_recorded_is_refused_with_the_cell_to_run(recorder: Recorder, tmp_path: Path) -> None:
    saved(tmp_path / "study.ipynb", c1="%%job local split\ntrue")
    with pytest.raises(CallError, match=r"'train' waits for 'split'.*run cell 1 of study\.ipynb \(%%job local split\) first"):
        say(recorder, "c2", "train", after=["split"])
    assert not recorder.file.path.exists()


def test_a_parent_that_is_misspelt_is_refused_with_the_nearest_name(recorder: Recorder) -> None:
    say(recorder, "c1", "split")
    with pytest.raises(CallError, match="did you mean 'split'"):
        say(recorder, "c2", "train", after=["splt"])


def test_a_job_of_a_sweep_as_a_parent_is_refused_with_the_sweep_to_wait_for(recorder: Recorder) -> None:
    say(recorder, "c1", "sw", sweep={"lr": [0.1, 0.2]})
    with pytest.raises(CallError, match=r"'tell' waits for 'sw-lr=0\.1', which is one of the sweep 'sw'.* as a whole: --after sw$"):
        say(recorder, "c2", "tell", after=["sw-lr=0.1"])


@pytest.mark.parametrize("asked", [{"mem": "lots"}, {"gpus": "many"}, {"partition": "a b"}, {"sbatch": ["--array=1-3"]}], ids=str)
def test_a_cell_that_asks_for_what_sbatch_cannot_read_records_nothing(recorder: Recorder, asked: dict[str, object]) -> None:
    with pytest.raises(DefinitionError, match="in resources of job 'train'"):
        say(recorder, "c1", "train", resources=asked)
    assert not recorder.file.path.exists()


def test_a_cycle_is_refused_and_says_which_cells(recorder: Recorder, tmp_path: Path) -> None:
    say(recorder, "c1", "a")
    say(recorder, "c2", "b", after=["a"])
    saved(tmp_path / "study.ipynb", c1="%%job local a\ntrue", c2="%%job local b --after a\ntrue")
    with pytest.raises(DefinitionError, match=r"(?s)wait for each other: .*'a' is cell 1 of study.*'b' is cell 2 of study"):
        say(recorder, "c1", "a", after=["b"])
    assert recorder.file.definition["a"].after == ()


def test_a_cell_that_was_edited_and_not_run_again_is_stale(recorder: Recorder, tmp_path: Path) -> None:
    say(recorder, "c1", "a", script="one")
    saved(tmp_path / "study.ipynb", c1="%%job local a\none")
    assert recorder.stale() == []
    saved(tmp_path / "study.ipynb", c1="%%job local a\ntwo")
    assert recorder.stale() == ["a"]
    say(recorder, "c1", "a", script="two")
    assert recorder.stale() == []


def test_a_file_that_is_broken_is_refused_and_not_touched(recorder: Recorder) -> None:
    recorder.file.path.write_text("jobs: {a: [\n")
    with pytest.raises(DefinitionError, match=r"study\.yaml"):
        say(recorder, "c1", "train")
    assert recorder.file.path.read_text() == "jobs: {a: [\n"


def test_a_workflow_lies_beside_its_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert beside(tmp_path / "study.ipynb") == tmp_path / "study.yaml"
    assert beside(None) == tmp_path / "workflow.yaml"


def test_a_notebook_whose_name_cannot_be_a_workflows_gets_one_that_can(tmp_path: Path) -> None:
    recorder = Recorder(WorkflowFile(tmp_path / "My study (2).yaml"), None)
    assert say(recorder, "", "train") == "train"
    assert WorkflowFile(tmp_path / "My study (2).yaml").definition.name


# -- whose cell it is -------------------------------------------------------------------------------------------------------
def jobs(recorder: Recorder) -> dict[str, str]:
    return {name: str(job.script) for name, job in recorder.file.definition.jobs.items()}


def other(recorder: Recorder, notebook: Path) -> Recorder:
    """Return what records the cells of another notebook in the same file."""
    return Recorder(WorkflowFile(recorder.file.path), Notebook(notebook))


def test_the_place_of_a_cell_in_a_session_of_vs_code_is_no_id(recorder: Recorder) -> None:
    def run(place: str, name: str) -> None:
        cell = Cell.of(f"vscode-notebook-cell:/home/me/study.ipynb#{place}", f"%%job local {name}\ntrue")
        recorder.record(name, {"host": "local", "script": name}, cell)

    run("W1", "a")
    run("W2", "b")
    run("W1", "prepare")  # on the next day this is the first one
    run("W2", "a")
    assert jobs(recorder) == {"a": "a", "b": "b", "prepare": "prepare"}


def test_a_cell_without_id_and_name_that_is_run_again_keeps_its_job(recorder: Recorder) -> None:
    assert [say(recorder, "", None, script=text) for text in ("one", "two", "one")] == ["job-1", "job-2", "job-1"]
    assert say(recorder, "c1", None, script="one") == "job-1", "once the notebook was saved the cell has an id"


def test_a_loop_that_names_no_jobs_makes_one_each_time(recorder: Recorder) -> None:
    loop = Cell("", "for n in range(2): get_ipython().run_cell_magic('job', 'local', 'true')")
    made = [recorder.record(None, {"host": "local", "script": "true"}, loop).job.name for _ in range(2)]
    assert made == ["job-1", "job-2"]


def test_a_name_in_use_by_a_notebook_in_another_folder_is_refused(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder / "study.ipynb", c1="%%job local train\ntrue")
    file = WorkflowFile(tmp_path / "shared.yaml")
    say(Recorder(file, Notebook(tmp_path / "one" / "study.ipynb")), "c1", "train")
    later = Recorder(file, Notebook(tmp_path / "two" / "study.ipynb"))
    with pytest.raises(CallError, match=r"cell 1 of one/study\.ipynb"):
        say(later, "c1", "train", script="mine")


def test_a_copy_of_a_notebook_takes_no_job_of_the_original(recorder: Recorder, tmp_path: Path) -> None:
    saved(tmp_path / "study.ipynb", c1="%%job local train\ntrue")
    say(recorder, "c1", "train")
    saved(tmp_path / "copy.ipynb", c1="%%job local fit\ntrue")
    copy = other(recorder, tmp_path / "copy.ipynb")
    assert say(copy, "c1", "fit", script="fit") == "fit"
    assert jobs(recorder) == {"train": "true", "fit": "fit"}
    with pytest.raises(CallError, match=r"cell 1 of study\.ipynb"):
        say(copy, "c1", "train", script="mine")


def test_a_notebook_that_was_renamed_keeps_its_jobs(recorder: Recorder, tmp_path: Path) -> None:
    saved(tmp_path / "study.ipynb", c1="%%job local train\ntrue", c2="%%job local\ntrue")
    say(recorder, "c1", "train")
    say(recorder, "c2", None)
    (tmp_path / "study.ipynb").rename(tmp_path / "thesis.ipynb")
    renamed = other(recorder, tmp_path / "thesis.ipynb")
    say(renamed, "c1", "fit", script="fit")
    say(renamed, "c2", None)
    assert jobs(recorder) == {"fit": "fit", "job-1": "true"}


def test_a_cell_that_had_another_name_can_take_one_over(recorder: Recorder) -> None:
    say(recorder, "c1", "a")
    say(recorder, "c2", "b", after=["a"])
    say(recorder, "c3", "one", after=["a"])
    say(recorder, "c4", "two", after=["b"])
    assert say(recorder, "c1", "b", script="mine", replaces=True) == "b"
    assert jobs(recorder) == {"b": "mine", "one": "true", "two": "true"}
    assert [job.parents for job in recorder.file.definition.jobs.values()] == [(), ("b",), ("b",)]


def test_it_is_told_in_what_the_file_says_otherwise_than_the_cell(recorder: Recorder) -> None:
    say(recorder, "c1", "train", script="one", params={"lr": 0.1, "n": 2})
    file = recorder.file.path
    file.write_text(file.read_text().replace("script: one", "script: two\n    retries: 3").replace("lr: 0.1", "lr: 0.5"))
    say(recorder, "c1", "train", script="one", params={"lr": 0.1, "n": 2})
    job = recorder.file.definition["train"]
    assert (job.script, job.retries) == ("two", 3)
    assert sorted(recorder.otherwise(job)) == ["params.lr", "script"]
    say(recorder, "c1", "train", script="one", params={"lr": 0.1, "n": 2}, replaces=True)
    assert recorder.otherwise(recorder.file.definition["train"]) == []
