"""Cells that record jobs, in a kernel: what is written, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from testbed.kernel import Kernel
from testbed.notebook import Notebook

from hybridnb import definition
from hybridnb.model import Workflow

FETCH, TRAIN = "%%job local fetch\necho fetch", "%%job local train --after fetch\necho train"


@pytest.fixture
def file(jupyter: Path) -> Path:
    return jupyter / "study.yaml"


def load(file: Path) -> Workflow:
    return definition.load(file)


def script(file: Path, job: str) -> str:
    return str(load(file)[job].script).strip()


def refused(kernel: Kernel, code: str, cell: str = "") -> str:
    """Run a cell that is to be refused; return the words, which are no traceback."""
    outputs = kernel.run(code, cell)
    assert outputs.error, outputs.text
    assert "Traceback" not in outputs.text
    assert "hybridnb/" not in outputs.text
    return outputs.text


# -- recording --------------------------------------------------------------------------------------------------------------
def test_a_cell_becomes_a_job_of_the_file_beside_the_notebook(kernel: Kernel, file: Path) -> None:
    outputs = kernel.run("%%job local fetch --retries 2\necho fetch", "c1")
    assert "fetch" in outputs.text
    assert "not run yet" in outputs.text
    assert load(file)["fetch"].retries == 2
    assert script(file, "fetch") == "echo fetch"
    assert kernel.comms == []


def test_a_cell_that_is_run_again_updates_its_job(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    kernel.run("%%job local fetch --timeout 10m\necho more", "c1")
    assert list(load(file).jobs) == ["fetch"]
    assert load(file)["fetch"].timeout == 600
    assert script(file, "fetch") == "echo more"
    kernel.run(FETCH, "c1")
    assert load(file)["fetch"].timeout is None, "what a cell says no more is gone"


def test_every_option_of_a_cell_is_recorded(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    options = "--after fetch:any --time 1:00:00 --partition gpu --account bii --nodes 2 --ntasks 4 --cpus 8 --gpus a100:2 --mem 4G"
    more = '--sbatch "-C skylake" -p lr=0.1 -p kind=rbf --in "*.csv" --out model.pt,loss.txt --retries 3 --timeout 2h --env A=b --lang python'
    kernel.run(f"%%job local train {options} {more}\nprint(1)", "c2")
    said = definition.to_mapping(load(file)["train"])
    asked = {"time": "1:00:00", "partition": "gpu", "account": "bii", "nodes": 2, "ntasks": 4, "cpus_per_task": 8}
    assert said["resources"] == {**asked, "gpus": "a100:2", "mem": "4G", "sbatch": ["-C skylake"]}
    assert said["params"] == {"lr": 0.1, "kind": "rbf"}
    assert (said["inputs"], said["outputs"], said["env"]) == (["*.csv"], ["model.pt", "loss.txt"], {"A": "b"})
    assert (said["after"], said["retries"]) == (["fetch:any"], 3)
    assert said["script"].startswith("#!/usr/bin/env python3\n")


def test_a_cell_that_gives_another_name_renames_its_job_and_what_waits_for_it(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    kernel.run(TRAIN, "c2")
    kernel.run("%%job local download\necho fetch", "c1")
    assert list(load(file).jobs) == ["download", "train"]
    assert [str(parent) for parent in load(file)["train"].after] == ["download"]


def test_a_cell_without_a_name_keeps_the_one_that_it_was_given(kernel: Kernel, file: Path) -> None:
    for _ in range(2):
        kernel.run("%%job local\necho one", "c1")
    kernel.run("%%job local\necho two", "c2")
    assert list(load(file).jobs) == ["job-1", "job-2"]


def test_a_loop_records_a_job_each_time_and_again_the_same(kernel: Kernel, file: Path) -> None:
    loop = "for n in range(3):\n    get_ipython().run_cell_magic('job', f'local part-{n} -p n={n}', 'echo $n')"
    for _ in range(2):
        outputs = kernel.run(loop, "c1")
        assert not outputs.error
        assert len(outputs.shown) == 3
    assert {name: job.params for name, job in load(file).jobs.items()} == {f"part-{n}": {"n": n} for n in range(3)}


def test_variables_stand_in_the_option_line_and_by_expand_in_the_body(kernel: Kernel, file: Path) -> None:
    kernel.run("rate, files = 0.5, ['a.csv', 'b.csv']")
    kernel.run("%%job local plain -p lr={rate} --in {files}\necho ${HOME} {rate} {print $1}", "c1")
    kernel.run("%%job local full --expand\necho ${HOME} {rate} {{print $1}}", "c2")
    jobs = load(file).jobs
    assert (jobs["plain"].params, jobs["plain"].inputs) == ({"lr": 0.5}, ("a.csv", "b.csv"))
    assert script(file, "plain") == "echo ${HOME} {rate} {print $1}"
    assert script(file, "full") == "echo ${HOME} 0.5 {print $1}"
    assert "rate" in refused(kernel, "%%job local more -p lr={rat}\ntrue", "c3")


# -- names --------------------------------------------------------------------------------------------------------------------
def test_a_name_in_use_is_refused_with_the_cell_that_has_it_until_it_is_taken_over(kernel: Kernel, file: Path) -> None:
    Notebook(file.with_suffix(".ipynb"), FETCH, "%%job local fetch\necho other")
    kernel.run(FETCH, "c1")
    told = refused(kernel, "%%job local fetch\necho other", "c2")
    assert "'fetch'" in told
    assert "cell 1" in told
    assert "--replace" in told
    assert script(file, "fetch") == "echo fetch"
    assert not kernel.run("%%job local fetch --replace\necho other", "c2").error
    assert script(file, "fetch") == "echo other"


def test_a_name_is_free_when_its_cell_was_deleted(kernel: Kernel, file: Path) -> None:
    book = Notebook(file.with_suffix(".ipynb"), FETCH, "%%job local fetch\necho other")
    kernel.run(FETCH, "c1")
    del book.cells["c1"]
    book.save()
    assert not kernel.run("%%job local fetch\necho other", "c2").error
    assert script(file, "fetch") == "echo other"


def test_a_cell_that_waits_for_one_that_was_not_run_says_which(kernel: Kernel, file: Path) -> None:
    Notebook(file.with_suffix(".ipynb"), FETCH, TRAIN)
    told = refused(kernel, TRAIN, "c2")
    assert "run cell 1 of study.ipynb (%%job local fetch) first" in told
    assert not file.exists()
    kernel.run(FETCH, "c1")
    assert "did you mean 'fetch'?" in refused(kernel, "%%job local eval --after fecth\ntrue", "c3")


def test_a_cycle_is_refused_with_its_cells(kernel: Kernel, file: Path) -> None:
    Notebook(file.with_suffix(".ipynb"), FETCH, TRAIN)
    kernel.run(FETCH, "c1")
    kernel.run(TRAIN, "c2")
    before = file.read_text()
    told = refused(kernel, "%%job local fetch --after train\necho fetch", "c1")
    assert "fetch -> train -> fetch" in told
    assert "'train' is cell 2 of study.ipynb" in told
    assert "'fetch' is cell 1 of study.ipynb" in told
    assert file.read_text() == before
    assert "'train' is cell 2 of study.ipynb" in refused(kernel, "%workflow connect train fetch")
    assert file.read_text() == before


# -- what cannot be a job -----------------------------------------------------------------------------------------------------
def test_an_unknown_host_is_refused_with_the_known_ones_and_how_to_add_one(kernel: Kernel, home: Path, file: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  rivanna: {transport: ssh}\n")
    told = refused(kernel, "%%job rivana train\ntrue", "c1")
    assert "rivana" in told
    assert "local, rivanna" in told
    assert "did you mean 'rivanna'?" in told
    assert "hybridnb hosts add rivana" in told
    assert not file.exists()


def test_an_entry_of_a_host_that_is_wrong_matters_to_cells_that_name_it_only(kernel: Kernel, home: Path, file: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  box: {}\n  far: {adress: x}\n")
    assert not kernel.run(FETCH, "c1").error
    told = refused(kernel, "%%job far fetch\necho fetch", "c1")
    assert "hosts.yaml:3: 'adress' is not a field of host 'far'; did you mean 'address'?" in told
    told = kernel.run("%hosts", "c2").text
    assert "box" in told
    assert "did you mean 'address'?" in told
    assert "box" in kernel.complete("%%job b")


def test_an_empty_cell_is_refused(kernel: Kernel, file: Path) -> None:
    assert "the cell body is empty" in refused(kernel, "%%job local train", "c1")
    assert "no script" in refused(kernel, "%%job local train\n\n  \n", "c1")
    assert not file.exists()


def test_a_workflow_without_jobs_cannot_be_run(kernel: Kernel, file: Path) -> None:
    assert "study.yaml has no jobs yet: run a cell that begins with %%job" in refused(kernel, "%workflow run")
    assert "not been run yet" in refused(kernel, "%workflow status")
    assert not file.exists()


def test_a_script_that_is_a_file_must_be_there_when_it_is_named(kernel: Kernel, file: Path) -> None:
    file.with_name("train.sh").write_text("echo train\n")
    told = "there is no file 'trian.sh'"
    assert told in refused(kernel, "%workflow add x --script trian.sh", "c1")
    assert "did you mean 'train.sh'?" in refused(kernel, "%%job local x\ntrian.sh", "c2")
    assert told in refused(kernel, "import hybridnb; hybridnb.Workflow('study.yaml').add('x', script='trian.sh')", "c3")
    assert not file.exists()


def test_a_file_that_is_not_there_is_told_as_such_with_the_nearest_until_a_job_begins_it(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    begins = "does not exist yet; the first job that is added begins it"
    assert f"tsudy.yaml {begins}; did you mean 'study.yaml'?" in kernel.run("%workflow open tsudy.yaml", "c2").text
    assert (
        f"stduy.yaml {begins}; did you mean 'study.yaml'?"
        in kernel.run("import hybridnb; hybridnb.Workflow('stduy.yaml')", "c3").text
    )
    kernel.run("%workflow add fetch --exec true", "c4")
    assert "recorded in tsudy.yaml, not run yet: 1 job" in kernel.run("%workflow", "c5").text


def test_a_file_that_was_deleted_is_told_beside_its_last_run(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local fetch --wait\necho fetch", "c1")
    file.unlink()
    told = kernel.run("%workflow", "c2").text
    assert "study.yaml is not there any more; a job that is added begins it anew" in told
    assert "fetch" in told


def test_a_wrong_option_is_refused_with_the_nearest_one(kernel: Kernel, file: Path) -> None:
    assert "did you mean '--after'?" in refused(kernel, "%%job local train --aftr fetch\ntrue", "c1")
    assert "did you mean 'status'?" in refused(kernel, "%workflow staus")
    assert not file.exists()


# -- a file that others edit, too ---------------------------------------------------------------------------------------------
def test_a_file_that_is_broken_is_refused_with_the_line_and_left_as_it_is(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    file.write_text(file.read_text() + "  train: {scrpt: true}\n")
    before = file.read_text()
    told = refused(kernel, "%%job local eval\ntrue", "c2")
    assert "study.yaml:" in told
    assert "did you mean 'script'?" in told
    assert file.read_text() == before


def test_what_was_added_by_hand_stays(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    text = (
        file.read_text().replace("  fetch:\n", "  fetch:   # the raw data\n    retries: 4\n") + "  by-hand:\n    exec: hostname\n"
    )
    file.write_text(text)
    assert not kernel.run("%%job local fetch\necho anew", "c1").error
    assert load(file)["fetch"].retries == 4
    assert script(file, "fetch") == "echo anew"
    assert load(file)["by-hand"].exec == "hostname"
    assert "# the raw data" in file.read_text()


def test_what_was_changed_by_hand_and_in_the_cell_is_refused_with_both_values(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local fetch --retries 1\necho fetch", "c1")
    file.write_text(file.read_text().replace("retries: 1", "retries: 7"))
    before = file.read_text()
    told = refused(kernel, "%%job local fetch --retries 2\necho fetch", "c1")
    assert "retries" in told
    assert "2" in told
    assert "7" in told
    assert file.read_text() == before
    assert not kernel.run("%%job local fetch --retries 2 --replace\necho fetch", "c1").error
    assert load(file)["fetch"].retries == 2


def test_two_notebooks_share_a_file(kernels: Callable[..., Kernel], file: Path) -> None:
    one, other = kernels("study.ipynb"), kernels("other.ipynb")
    Notebook(file.with_name("study.ipynb"), FETCH)
    Notebook(file.with_name("other.ipynb"), "%workflow open study.yaml", TRAIN)
    one.run(FETCH, "c1")
    other.run("%workflow open study.yaml", "c1")
    assert not other.run(TRAIN, "c2").error
    assert not one.run("%%job local fetch\necho changed", "c1").error
    assert list(load(file).jobs) == ["fetch", "train"]
    assert script(file, "fetch") == "echo changed"
    assert "other.ipynb" in refused(one, "%%job local train\necho mine", "c9")
    assert not file.with_name("other.yaml").exists()


def test_the_workflow_of_a_kernel_stays_the_one_that_its_first_job_went_to(kernels: Callable[..., Kernel], file: Path) -> None:
    kernel = kernels("")
    kernel.run(FETCH)
    Notebook(file.with_name("old.ipynb"), TRAIN)
    assert not kernel.run(TRAIN).error
    assert list(load(file.with_name("workflow.yaml")).jobs) == ["fetch", "train"]
    assert not file.with_name("old.yaml").exists()


def test_the_names_of_cells_of_vs_code_are_no_ids(kernel: Kernel, file: Path) -> None:
    place = "vscode-notebook-cell:/home/me/study.ipynb#W{}sZmlsZQ=="
    kernel.run(FETCH, place.format(1))
    kernel.run("%%job local prepare\ntrue", place.format(1))
    assert list(load(file).jobs) == ["fetch", "prepare"]


# -- manners ------------------------------------------------------------------------------------------------------------------
def test_help_tells_every_option(kernel: Kernel) -> None:
    told = kernel.inspect("%%job")
    assert all(option in told for option in ("--after", "--time", "--sbatch", "--sweep", "--expand", "--replace", "--wait"))
    assert all(word in kernel.inspect("%workflow") for word in ("show", "run", "status", "cancel", "retry", "connect", "svg"))


def test_hosts_jobs_and_options_are_completed(kernel: Kernel, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  rivanna: {transport: ssh}\n")
    kernel.run(FETCH, "c1")
    kernel.until(lambda: "rivanna" in kernel.complete("%%job riv"), "the host; it may be there only the next time")
    kernel.until(lambda: "fetch" in kernel.complete("%%job local train --after fe"), "the job")
    assert "--retries" in kernel.complete("%%job local train --ret")
    assert "status" in kernel.complete("%workflow sta")


def test_the_extension_has_settings(kernel: Kernel, file: Path) -> None:
    assert kernel.run("%config").text.count("Hybridnb") == 1
    assert "picture" in kernel.run("%config Hybridnb").text
    kernel.run(FETCH, "c1")
    assert "data:image/svg+xml" in kernel.run("_ = %workflow").card.html
    kernel.run("%config Hybridnb.picture = False")
    assert "data:image/svg+xml" not in kernel.run("_ = %workflow").card.html


def test_the_extension_can_be_taken_away_and_loaded_again(kernel: Kernel, file: Path) -> None:
    kernel.run(FETCH, "c1")
    assert not kernel.run("%unload_ext hybridnb").error
    assert "not found" in kernel.run(FETCH, "c1").text
    assert "local" not in kernel.complete("%%job lo")
    assert "Hybridnb" not in kernel.run("%config").text
    assert not kernel.run("%load_ext hybridnb").error
    assert not kernel.run("%%job local fetch\necho again", "c1").error
    assert not kernel.run("%reload_ext hybridnb").error
    assert not kernel.run("%%job local fetch\necho again", "c1").error
    assert script(file, "fetch") == "echo again"


def test_a_body_is_recorded_with_the_blanks_of_its_empty_lines(kernel: Kernel, file: Path) -> None:
    kernel.run("%%job local text\ncat <<END\na\n   \nb\nEND", "c1")
    assert script(file, "text") == "cat <<END\na\n   \nb\nEND"
