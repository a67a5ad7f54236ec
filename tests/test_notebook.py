"""Notebooks that nobody watches: nbclient, nbconvert and papermill run them, and what they leave tells everything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError
from testbed.notebook import Notebook

from hybridnb import definition
from hybridnb.store import newest

FETCH = "%%job local fetch --out numbers.txt\nseq 1 5 > numbers.txt\necho fetch >> ran\necho five numbers"
TRAIN = """\
%%job local train --after fetch --in numbers.txt -p lr=0.1 --out model.txt
echo train >> ran
echo "# hybridnb progress=50 loss=0.25"
echo "learned at $lr" | tee model.txt"""
TELL = "%%job local tell --after train\necho tell >> ran\ncat model.txt"
RUN = "r = %workflow run --wait"
FAILS = "%%job local train\necho reading rows\necho 'no such column: pixel' >&2\nexit 3"
TODAY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (UTC|[+-]\d\d:\d\d)")


@pytest.fixture
def study(jupyter: Path) -> Notebook:
    return Notebook(jupyter / "study.ipynb", "%load_ext hybridnb", FETCH, TRAIN, TELL, RUN, "print(r.state)")


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


# -- what is left -----------------------------------------------------------------------------------------------------------
def test_the_saved_outputs_tell_what_ran_where_when_how_long_and_what_came_out(study: Notebook) -> None:
    saved = study.execute()
    assert saved.text("c6") == "done\n"
    for told in (saved.text("c3"), saved.html("c3")):
        for fact in ("train", "done", "local", "lr=0.1", "loss=0.25", "learned at 0.1"):
            assert fact in told
        assert TODAY.search(told), told
        assert re.search(r"\d(\.\d+)? (ms|s)\b", told), told
    assert "model.txt" in saved.html("c3")
    for told in (saved.text("c5"), saved.html("c5")):
        for fact in ("fetch", "train", "tell", "3 done"):
            assert fact in told
        assert TODAY.search(told), told
    (run,) = saved.outputs("c5")
    assert run["data"]["application/vnd.hybridnb.card+json"]["state"] == "done"
    assert "data:image/svg+xml" in saved.html("c5"), "the picture is there, too"


def test_each_cell_has_one_small_output_which_is_no_widget(study: Notebook) -> None:
    saved = study.execute()
    for cell in ("c2", "c3", "c4"):
        (output,) = saved.outputs(cell)
        assert "done" in saved.html(cell)
        assert "not run yet" not in saved.html(cell)
        assert len(json.dumps(output["data"])) < 20_000
    assert "widget" not in json.dumps(saved.book)
    workflow = definition.load(study.path.with_suffix(".yaml"))
    assert workflow.name == "study"
    assert list(workflow.jobs) == ["fetch", "train", "tell"]
    assert (workflow["train"].params, workflow["train"].outputs) == ({"lr": 0.1}, ("model.txt",))


def test_a_notebook_that_is_executed_again_records_nothing_twice(study: Notebook) -> None:
    study.execute()
    before = study.path.with_suffix(".yaml").read_text()
    study.execute()
    assert study.path.with_suffix(".yaml").read_text() == before
    assert len(newest(study.path.with_suffix(".yaml"))) == 2
    assert ran(study.path.parent) == ["fetch", "train", "tell"] * 2
    assert not (study.path.parent / "workflow.yaml").exists()


# -- when a job fails -------------------------------------------------------------------------------------------------------
def test_a_job_that_fails_makes_the_notebook_fail_with_its_name_and_its_last_words(jupyter: Path) -> None:
    study = Notebook(jupyter / "study.ipynb", "%load_ext hybridnb", FAILS, RUN, "print('on and on')")
    with pytest.raises(CellExecutionError) as failed:
        study.execute()
    assert "train" in str(failed.value)
    assert "no such column: pixel" in str(failed.value)
    assert "hybridnb/notebook" not in str(failed.value)
    saved = study.executed()
    assert "no such column: pixel" in saved.html("c2")
    assert "exit code 3" in saved.html("c2")
    assert "Traceback" not in saved.text()
    assert saved.outputs("c4") == []


def test_without_wait_a_notebook_ends_and_its_run_goes_on(jupyter: Path) -> None:
    waits = "%%job local train\nuntil [ -e go ]; do sleep 0.02; done"
    study = Notebook(jupyter / "study.ipynb", "%load_ext hybridnb", waits, "r = %workflow run", "print(r.id)")
    first = study.execute()
    (jupyter / "go").touch()
    study.cells["c3"] = "r = %workflow status\nr.wait()"
    study.save()
    assert study.execute().text("c4") == first.text("c4")
    assert len(newest(study.path.with_suffix(".yaml"))) == 1


# -- other programs ---------------------------------------------------------------------------------------------------------
def test_nbconvert_executes_a_notebook_again_beside_the_copy_that_it_made(study: Notebook) -> None:
    done = study.jupyter("nbconvert", "--to", "notebook", "--execute")
    assert done.returncode == 0, done.stderr
    assert "done" in study.executed("study.nbconvert.ipynb").text("c3")
    done = study.jupyter("nbconvert", "--to", "html", "--execute")
    assert done.returncode == 0, done.stderr
    page = study.path.with_suffix(".html").read_text()
    assert all(fact in page for fact in ("learned at 0.1", "3 done", "loss=0.25"))
    assert sorted(path.name for path in study.path.parent.glob("*.yaml")) == ["study.yaml"]
    assert len(newest(study.path.with_suffix(".yaml"))) == 2


def test_papermill_sets_a_param_of_a_job(jupyter: Path) -> None:
    train = TRAIN.replace("lr=0.1", "lr={lr}")
    cells = ("lr = 0.1", "%load_ext hybridnb", FETCH, train, RUN)
    study = Notebook(jupyter / "study.ipynb", *cells, tags={"c1": "parameters"})
    done = study.papermill("out.ipynb", "-p", "lr", "0.5")
    assert done.returncode == 0, done.stderr
    assert "learned at 0.5" in study.executed("out.ipynb").html("c4")
    assert sorted(path.name for path in jupyter.glob("*.yaml")) == ["study.yaml"]
    assert definition.load(jupyter / "study.yaml")["train"].params == {"lr": 0.5}


def test_a_failed_job_is_what_jupyter_execute_fails_with(jupyter: Path) -> None:
    study = Notebook(jupyter / "study.ipynb", "%load_ext hybridnb", FAILS, RUN)
    done = study.jupyter("execute", "--inplace")
    assert done.returncode != 0
    assert "train" in done.stderr
    assert "no such column: pixel" in done.stderr
    assert "hybridnb/notebook" not in done.stderr
