"""Running from cells, in a kernel: what is shown while a run goes on, what can be asked of it, and what interrupts do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from testbed.kernel import Kernel
from testbed.notebook import Notebook
from testbed.processes import until

from hybridnb import Workflow, definition

WAITS = "until [ -e go ]; do sleep 0.02; done"
SLOW = f"%%job local slow\necho slow >> ran\necho '# hybridnb progress=40 loss=0.5'\necho begun\n{WAITS}\necho over"
TELLS = """
import threading
def tell():
    while not any(thread.name.startswith("waiting for") for thread in threading.enumerate()):
        threading.Event().wait(0.01)
    print("it waits", flush=True)
threading.Thread(target=tell).start()
"""


@pytest.fixture
def file(jupyter: Path) -> Path:
    return jupyter / "study.yaml"


def go(kernel: Kernel) -> None:
    (kernel.folder / "go").touch()


def running(kernel: Kernel, job: str = "slow") -> None:
    """Wait until a job of the run r runs."""
    kernel.until(lambda: kernel.run(f"str(r['{job}'].state)").value == "'running'", f"{job} runs")


# -- what is shown ----------------------------------------------------------------------------------------------------------
def test_the_kernel_computes_on_while_a_job_runs_and_its_card_follows(kernel: Kernel) -> None:
    cell = kernel.run(SLOW, "c1")
    assert "not run yet" in cell.card.text
    run = kernel.run("r = %workflow run")
    cell.until(lambda cell: "running" in cell.card.text and "begun" in cell.card.text, "the card says that it runs")
    cell.until(lambda cell: "40 %" in cell.card.html, "the card says how far it is")
    assert kernel.run("6 * 7").value == "42"
    go(kernel)
    cell.until(lambda cell: "done" in cell.card.text and "over" in cell.card.html, "the card says that it is done")
    run.until(lambda run: "1 done" in run.card.text, "the run's card says that it is done")
    assert cell.card.updates >= 2
    assert kernel.comms == []


def test_run_in_a_cell_starts_its_job_and_again_when_it_is_over(kernel: Kernel, file: Path) -> None:
    cell = kernel.run(SLOW.replace("slow\n", "slow --run\n", 1), "c1")
    cell.until(lambda cell: "begun" in cell.card.text, "it runs")
    again = kernel.run(SLOW.replace("slow\n", "slow --run\n", 1), "c1")
    assert "'slow' is running" in again.text
    assert "%workflow cancel slow" in again.text
    go(kernel)
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    again = kernel.run(SLOW.replace("slow\n", "slow --wait\n", 1), "c1")
    assert not again.error
    assert "done" in again.card.text
    assert (kernel.folder / "ran").read_text().split() == ["slow", "slow"]


def test_run_in_a_cell_brings_what_its_job_waits_for(kernel: Kernel) -> None:
    kernel.run("%%job local fetch\necho fetch >> ran", "c1")
    done = kernel.run("%%job local train --after fetch --wait\necho train >> ran", "c2")
    assert not done.error, done.text
    assert (kernel.folder / "ran").read_text().split() == ["fetch", "train"]


def test_run_in_a_cell_tries_what_failed_above_its_job_again_in_the_run_that_goes_on(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("%%job local bad\necho bad >> ran\n[ -e mended ]", "c2")
    kernel.run("r = %workflow run")
    kernel.until(lambda: kernel.run("str(r['bad'].state)").value == "'failed'", "it fails")
    (kernel.folder / "mended").touch()
    done = kernel.run("%%job local train --after bad --wait\necho train >> ran", "c3")
    assert not done.error, done.text
    assert sorted((kernel.folder / "ran").read_text().split()) == ["bad", "bad", "slow", "train"]
    go(kernel)


def test_a_cell_that_waits_for_a_run_that_began_otherwise_is_refused_and_changes_nothing(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("%%job local after --after slow\necho old > what", "c2")
    kernel.run("r = %workflow run")
    running(kernel)
    kernel.run(SLOW.replace("over", "otherwise"), "c1")
    kernel.run("%%job local after --after slow\necho new > what", "c2")
    refused = kernel.run("%workflow run --wait")
    assert "has begun 'slow' as it was before it was changed" in refused.text
    assert "--new" in refused.text
    go(kernel)
    kernel.run("r.wait()")
    assert (kernel.folder / "what").read_text() == "old\n"


def test_what_is_too_late_for_a_run_that_goes_on_is_told(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("%%job local after --after slow\ntrue", "c2")
    kernel.run("r = %workflow run")
    running(kernel)
    cell = kernel.run(SLOW.replace("over", "otherwise"), "c1")
    assert "changed since it began: it goes on as it was" in cell.card.html
    cell = kernel.run("%%job local after --after slow\nfalse", "c2")
    assert "changed since: '%workflow run' hands that on" in cell.card.text
    run = kernel.run("r = %workflow run")
    assert "changed too late for this run, which goes on with it as it was: slow" in run.card.text
    cell.until(lambda cell: "changed since" not in cell.card.text, "the run has the new script")
    go(kernel)
    kernel.run("r.wait(check=False)")
    assert kernel.run("str(r['after'].state)").value == "'failed'"


def test_a_cell_that_waited_is_told_that_others_changed_its_run_meanwhile(kernel: Kernel, file: Path) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("%%job local after --after slow\ntrue", "c2")
    waiting = kernel.begin("r = %workflow run --wait")
    until(lambda: (kernel.folder / "ran").exists(), "it runs")
    workflow = Workflow(file)
    workflow.add("after", after=["slow"], script="echo other", params={"other": 1})
    run = workflow.run()
    until(lambda: run["after"].params == {"other": 1}, "the run is changed")
    go(kernel)
    told = waiting.finish()
    assert not told.error
    assert "was changed while it went on: after" in told.text


def test_a_job_is_run_on_what_is_done_above_it_and_its_card_tells_when_that_was_changed_since(kernel: Kernel) -> None:
    kernel.run("%%job local fetch --wait\necho fetch >> ran", "c1")
    kernel.run("%%job local fetch\necho again >> ran", "c1")
    card = kernel.run("%%job local train --after fetch --wait\necho train >> ran", "c2").card
    assert "changed since it was done, and not run again: fetch" in card.text
    assert (kernel.folder / "ran").read_text().split() == ["fetch", "train"]


def test_the_job_of_a_cell_that_is_gone_from_the_notebook_is_named_by_run(kernel: Kernel, file: Path) -> None:
    book = Notebook(file.with_suffix(".ipynb"), "%%job local keep\ntrue", "%%job local gone\ntrue")
    kernel.run("%%job local keep\ntrue", "c1")
    kernel.run("%%job local gone\ntrue", "c2")
    book.cells.pop("c2")
    book.save()
    told = kernel.run("_ = %workflow run --wait").text
    assert "in no cell of the notebook any more ('%workflow remove' takes it out): gone" in told
    kernel.run("_ = %workflow remove gone")
    assert "in no cell" not in kernel.run("_ = %workflow run --wait").text


def test_after_a_run_of_one_job_the_workflow_shows_the_others_as_they_were(kernel: Kernel) -> None:
    kernel.run("%%job local bad\nexit 3", "c1")
    kernel.run("%%job local good\ntrue", "c2")
    kernel.run("r = %workflow run\nr.wait(check=False)")
    kernel.run("%%job local late\ntrue", "c3")
    kernel.run("r = %workflow run --job good --wait")
    card = kernel.run("_ = %workflow").card
    assert "1 failed" in card.text
    assert "as of an earlier run: bad" in card.text
    assert "not in this run: late" in card.text


def test_an_old_run_that_is_damaged_does_not_hide_the_workflow(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local bad\nexit 3", "c1")
    kernel.run("r = %workflow run\nr.wait(check=False)")
    kernel.run("%%job local good --wait\ntrue", "c2")
    (old,) = {path.parent for path in file.with_suffix(".runs").glob("*/journal.yaml") if b'"bad"' in path.read_bytes()}
    journal = old / "journal.yaml"
    journal.write_bytes(journal.read_bytes().replace(b'"state"', b'"stat"', 1))
    kernel.run("%reload_ext hybridnb")
    assert "not in this run: bad" in kernel.run("_ = %workflow").card.text


def test_the_card_of_a_job_in_a_run_of_some_jobs_has_all_that_it_waits_for(kernel: Kernel) -> None:
    kernel.run("%%job local fetch\ntrue", "c1")
    cell = kernel.run("%%job local train --after fetch\ntrue", "c2")
    kernel.run("r = %workflow run --job train --wait")
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    assert ">fetch<" in cell.card.html


def test_a_job_cannot_be_added_in_the_place_of_another_unless_that_is_said(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local train\necho mine", "c1")
    refused = kernel.run("%workflow add train --exec hostname")
    assert "has a job 'train' already, by a cell of study.ipynb (%%job local train)" in refused.text
    assert not kernel.run("_ = %workflow add train --exec hostname --replace").error
    assert definition.load(file)["train"].exec == "hostname"


def test_what_waited_for_a_job_that_is_removed_is_named(kernel: Kernel) -> None:
    kernel.run("%%job local fetch\ntrue", "c1")
    kernel.run("%%job local train --after fetch\ntrue", "c2")
    assert "waited for what was removed, and no more: train" in kernel.run("_ = %workflow remove fetch").card.text


def test_a_run_can_be_asked_about_its_jobs(kernel: Kernel) -> None:
    kernel.run("%%job local train --out model.txt\necho '# hybridnb loss=0.25'\necho learned | tee model.txt", "c1")
    kernel.run("r = %workflow run --wait")
    assert kernel.run("str(r.state), str(r['train'].state), r['train'].metrics").value == "('done', 'done', {'loss': 0.25})"
    assert "learned" in kernel.run("r['train'].log()").value
    assert kernel.run("[path.name for path in r['train'].outputs]").value == "['model.txt']"
    assert "train" in kernel.run("r").text
    assert not kernel.run("r['train'].wait()").error
    assert "did you mean 'train'?" in kernel.run("r['trian']").text


def test_a_run_can_be_awaited_in_a_cell(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("r = %workflow run")
    running(kernel)
    waiting = kernel.begin("(await r).counts")
    go(kernel)
    assert "1" in waiting.finish().value
    assert not waiting.error


def test_a_wait_that_fails_tells_the_job_and_its_last_words_and_no_traceback(kernel: Kernel) -> None:
    kernel.run("%%job local train\necho 'no such column: pixel' >&2\nexit 3", "c1")
    for code_ in ("%workflow run --wait", "%%job local train --wait\necho 'no such column: pixel' >&2\nexit 3"):
        failed = kernel.run(code_, "c1")
        assert failed.error.startswith("RunFailed"), failed.text
        assert "'train'" in failed.error or "train" in failed.error
        assert "no such column: pixel" in failed.error
        assert failed.error.endswith("try again: %workflow retry")
        assert "hybridnb/" not in failed.traceback
        assert "----" not in failed.traceback


# -- interrupts -------------------------------------------------------------------------------------------------------------
def test_an_interrupted_wait_leaves_the_run_going_and_says_so(kernel: Kernel) -> None:
    cell = kernel.run(SLOW, "c1")
    waiting = kernel.begin("%workflow run --wait")
    cell.until(lambda cell: "begun" in cell.card.text, "it runs")
    kernel.interrupt()
    told = waiting.finish()
    assert "goes on" in told.text
    assert "%workflow cancel" in told.text
    assert "Traceback" not in told.text
    go(kernel)
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    assert kernel.run("r = %workflow status\nstr(r.state)").value == "'done'"


def test_an_interrupted_cell_does_not_end_its_job(kernel: Kernel) -> None:
    waiting = kernel.begin(SLOW.replace("slow\n", "slow --wait\n", 1), "c1")
    waiting.until(lambda cell: cell.shown and "begun" in cell.card.text, "it runs")
    kernel.interrupt()
    assert "goes on" in waiting.finish().text
    go(kernel)
    waiting.until(lambda cell: "done" in cell.card.text, "it is done")


@pytest.mark.parametrize("waits", ["r.wait()", "r['slow'].wait()"])
def test_an_interrupted_wait_in_python_says_in_a_line_that_the_run_goes_on(kernel: Kernel, waits: str) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("r = %workflow run")
    running(kernel)
    waiting = kernel.begin(f"{TELLS}\n{waits}")
    waiting.until(lambda cell: "it waits" in cell.streams["stdout"], "it waits")
    kernel.interrupt()
    told = waiting.finish(seconds=5).traceback
    assert re.fullmatch(r"interrupted: run \S+ goes on; wait for it again, or stop it by \.cancel\(\)", told)
    go(kernel)
    assert kernel.run("str(r.wait().state)").value == "'done'"


# -- the words of %workflow -------------------------------------------------------------------------------------------------
def test_a_run_is_cancelled_and_retried(kernel: Kernel) -> None:
    cell = kernel.run(SLOW, "c1")
    kernel.run("r = %workflow run")
    running(kernel)
    assert kernel.run("%workflow cancel slow").value == "stopped: slow"
    cell.until(lambda cell: "cancelled" in cell.card.text, "it is cancelled")
    go(kernel)
    assert kernel.run("%workflow retry slow").value == "trying again: slow"
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    assert kernel.run("r['slow'].attempt").value == "2"
    assert kernel.run("r.wait()\n%workflow cancel").value == "nothing goes on"
    assert kernel.run("%workflow retry").value == "nothing to try again: all is done"
    assert kernel.run("freed = %workflow clean\nfreed").value == "local: nothing was left"


def test_jobs_are_connected_renamed_added_and_removed(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local fetch\ntrue", "c1")
    kernel.run("%%job local train\ntrue", "c2")
    for words, jobs in (
        ("connect fetch train", {"fetch": [], "train": ["fetch"]}),
        ("rename fetch load", {"load": [], "train": ["load"]}),
        ("disconnect load train", {"load": [], "train": []}),
        ("add tell --exec hostname --after train", {"load": [], "train": [], "tell": ["train"]}),
        ("remove tell", {"load": [], "train": []}),
    ):
        outputs = kernel.run(f"_ = %workflow {words}")
        assert not outputs.error, outputs.text
        found = definition.load(file).jobs.items()
        assert {name: [str(parent) for parent in job.after] for name, job in found} == jobs
    assert "did you mean 'train'?" in kernel.run("%workflow connect load trian").text
    assert not kernel.run("%%job local fetch\ntrue", "c1").error
    assert list(definition.load(file).jobs) == ["fetch", "train"], "a renamed job is still its cell's"


def test_a_job_that_is_added_shows_its_card_and_can_be_programmed_with(kernel: Kernel) -> None:
    added = kernel.run("%workflow add tell --exec true")
    assert "tell  recorded in study.yaml, not run yet" in added.card.text
    assert not added.result
    assert not kernel.run("job = %workflow add more --exec true").shown
    assert kernel.run("job.name, job.exec").value == "('more', 'true')"
    assert "more  recorded" in kernel.run("job").card.text


def test_some_jobs_of_a_workflow_are_run(kernel: Kernel) -> None:
    note = "echo $HYBRIDNB_JOB >> ran"
    for number, (name, options) in enumerate((("a", ""), ("b", "--after a"), ("c", "--after b"), ("other", "")), 1):
        kernel.run(f"%%job local {name} {options}\n{note}\n[ $HYBRIDNB_JOB != b ] || [ -e go ]", f"c{number}")

    def ran(words: str) -> list[str]:
        (kernel.folder / "ran").write_text("")
        assert not (outputs := kernel.run(f"r = %workflow run {words}\nr.wait(check=False)")).error, outputs.text
        return sorted((kernel.folder / "ran").read_text().split())

    assert ran("--job other") == ["other"]
    assert ran("--new") == ["a", "b", "other"]
    go(kernel)
    assert ran("--failed") == ["b", "c"]
    assert ran("--from b") == ["b", "c"]
    assert "did you mean 'other'?" in kernel.run("%workflow run --job othr").text


def test_a_job_of_an_earlier_run_is_shown_as_it_was(kernel: Kernel) -> None:
    kernel.run("%%job local train\nexit 3", "c1")
    kernel.run("old = %workflow run\nold.wait(check=False)")
    kernel.run("%%job local train\ntrue", "c1")
    kernel.run("new = %workflow run --wait")
    assert "failed" in kernel.run("old['train']").card.text
    assert "done" in kernel.run("new['train']").card.text
    assert "1 failed" in kernel.run("old").card.text


def test_a_job_that_was_changed_after_its_run_shows_what_ran(kernel: Kernel) -> None:
    kernel.run("%%job local train -p lr=0.1 --wait\ntrue", "c1")
    card = kernel.run("%%job local train -p lr=0.7\ntrue", "c1").card
    assert "done" in card.text
    assert "lr=0.1" in card.text
    assert "lr=0.7" not in card.html
    assert "changed since this run" in card.html


def test_a_card_follows_its_run_also_while_the_file_is_broken(kernel: Kernel, file: Path) -> None:
    cell = kernel.run(SLOW.replace("slow\n", "slow --run\n", 1), "c1")
    cell.until(lambda cell: "begun" in cell.card.text, "it runs")
    good = file.read_text()
    file.write_text(f"{good}  half: [written\n")
    go(kernel)
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    assert "done" in kernel.run("r = %workflow status\nr['slow']").text
    assert "study.yaml:" in kernel.run("%workflow run").text
    assert "study.yaml cannot be read now: line 11: " in kernel.run("%workflow").card.text
    cell.until(
        lambda cell: "study.yaml cannot be read now: line 11: " in cell.card.text, "the card says what is wrong with the file"
    )
    assert "cannot be read" not in kernel.run("r").card.text, "a run is what it was"
    file.write_text(good)
    assert not kernel.run("%workflow run --wait").error
    file.unlink()
    file.mkdir()
    assert "study.yaml is a folder, not a workflow file" in kernel.run("%workflow").card.text


def test_a_log_is_printed_and_followed(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    kernel.run("r = %workflow run")
    running(kernel)
    following = kernel.begin("%workflow log slow -f")
    following.until(lambda cell: "begun\n" in cell.streams["stdout"], "the first lines")
    go(kernel)
    assert following.finish().streams["stdout"].endswith("begun\nover\n")
    assert "over" in kernel.run("%workflow log slow").text


def test_a_log_that_is_empty_says_where_else_to_look(kernel: Kernel) -> None:
    kernel.run("%%job local train --run\necho 'no such column' >&2\nexit 3", "c1")
    kernel.run("r = %workflow status\nr.wait(check=False)")
    empty = kernel.run("%workflow log train")
    assert "'train' wrote nothing here; it is failed. For what it wrote to standard error, add --err" in empty.streams["stderr"]
    told = kernel.run("%workflow log train --err")
    assert "no such column" in told.value
    assert not told.streams["stderr"]


def test_lists_and_pictures(kernel: Kernel, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  rivanna: {transport: ssh}\n")
    kernel.run("%%job local train -p lr=0.1\ntrue", "c1")
    assert "train" in kernel.run("%workflow").text
    assert "not been run yet" in kernel.run("%workflow status").text
    assert "there is no run 'nope'. See '%runs'" in kernel.run("%workflow status nope").text
    for _ in range(2):
        kernel.run("r = %workflow run --wait")
    hosts, runs = kernel.run("%hosts"), kernel.run("%runs")
    assert "rivanna" in hosts.text
    assert "rivanna" in str(hosts.result["text/html"])
    assert runs.value.count("1 done") == 2
    assert "lr=0.1" in runs.value
    assert kernel.run("_ = %runs\n_[0] == r, len(_)").value == "(True, 2)"
    assert not kernel.run("%workflow svg picture.svg").error
    assert (kernel.folder / "picture.svg").read_text().startswith("<svg")


def test_a_cell_that_was_edited_since_it_was_recorded_is_named_by_run(kernel: Kernel, file: Path) -> None:
    book = Notebook(file.with_suffix(".ipynb"), "%%job local train\ntrue")
    kernel.run("%%job local train\ntrue", "c1")
    book.cells["c1"] = "%%job local train\nfalse"
    book.save()
    assert "edited after it was recorded" in kernel.run("_ = %workflow run --wait").text


def test_a_run_that_somebody_else_began_is_followed_on_the_card_of_its_workflow(kernel: Kernel, file: Path) -> None:
    kernel.run(SLOW, "c1")
    Workflow(file).run()
    until(lambda: (kernel.folder / "ran").exists(), "it runs")
    assert "1 done" not in kernel.run("_ = %runs").text
    cell = kernel.run("_ = %workflow")
    go(kernel)
    cell.until(lambda cell: "1 done" in cell.card.text, "the card tells the end")


def test_a_parent_that_was_edited_since_is_named_on_the_card_that_runs_it(kernel: Kernel, file: Path) -> None:
    split, other = "%%job local split\ntrue", "%%job local other\ntrue"
    book = Notebook(file.with_suffix(".ipynb"), split, other)
    kernel.run(split, "c1")
    kernel.run(other, "c2")
    book.cells = {"c1": f"{split}\n# again", "c2": f"{other}\n# again"}
    book.save()
    card = kernel.run("%%job local train --after split --wait\ntrue", "c3").card
    assert "edited after it was recorded, and run as it was then: split" in card.html
    assert "other" not in card.html


def test_a_card_tells_that_the_file_says_otherwise_than_its_cell(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local train\necho one", "c1")
    file.write_text(file.read_text().replace("echo one", "echo two"))
    assert "the file says otherwise than the cell: script" in kernel.run("%%job local train\necho one", "c1").card.html
    assert "otherwise" not in kernel.run("%%job local train --replace\necho one", "c1").card.html


def test_jobs_are_removed_together_or_not_at_all(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local a\ntrue", "c1")
    kernel.run("%%job local b\ntrue", "c2")
    assert "'c'" in kernel.run("%workflow remove a c").text
    assert list(definition.load(file).jobs) == ["a", "b"]
    assert not kernel.run("_ = %workflow remove a b").error
    assert not definition.load(file).jobs


def test_a_list_of_runs_shows_those_that_are_in_it(kernel: Kernel) -> None:
    kernel.run("%%job local train -p lr=0.1 --wait\ntrue", "c1")
    kernel.run("%%job local train -p lr=0.2 --wait\ntrue", "c1")
    shown = kernel.run("found = %runs\nfound.reverse()\ndel found[1:]\nfound").value
    assert "lr=0.1" in shown
    assert "lr=0.2" not in shown


# -- sweeps -----------------------------------------------------------------------------------------------------------------
def test_a_sweep_makes_a_job_of_each_combination_and_what_comes_after_waits_for_all(kernel: Kernel, file: Path) -> None:
    sweep = "%%job local train -p lr=0.1,0.01 -p depth=2,4 --sweep --out 'out-{lr}-{depth}'\necho $lr $depth > out-$lr-$depth"
    cell = kernel.run(sweep, "c1")
    assert "4 jobs" in cell.card.text
    kernel.run("%%job local best --after train\ncat out-* | wc -l", "c2")
    kernel.run("r = %workflow run --wait")
    assert "4 done" in cell.card.text
    assert kernel.run("str(r['train'].state), len(r['train']), r['best'].log().strip()").value == "('done', 4, '4')"
    assert kernel.run("r['train-lr=0.1-depth=2'].params").value in ("{'lr': 0.1, 'depth': 2}", "{'depth': 2, 'lr': 0.1}")
    assert "train-lr=0.01-depth=4" in kernel.run("r['train']").text
    assert list(definition.load(file).jobs) == ["train", "best"]


def test_a_cell_waits_for_all_jobs_of_its_sweep(kernel: Kernel) -> None:
    cell = kernel.begin(f"%%job local train -p n=1,2 --sweep --wait\ntouch begun-$n\n{WAITS}", "c1")
    cell.until(lambda _: (kernel.folder / "begun-1").exists(), "it runs")
    go(kernel)
    assert not cell.finish().error, cell.text
    assert "2 done" in cell.card.text
    assert "changed" not in cell.card.html
    assert "changed since this run" in kernel.run("%%job local train -p n=1,3 --sweep\ntrue", "c1").card.html
