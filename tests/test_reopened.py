"""A notebook that is opened again, after whatever happened, shows the truth and runs nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from testbed.kernel import Kernel
from testbed.notebook import Notebook
from testbed.processes import until

from hybridnb.journal import line, parse
from hybridnb.notebook.card import MIME
from hybridnb.notebook.talk import TARGET
from hybridnb.service import process
from hybridnb.store import listed, newest

WAITS = "until [ -e {} ]; do sleep 0.02; done"
FIRST = f"%%job local first\necho first >> ran\n{WAITS.format('go')}\necho '# hybridnb loss=0.25'\necho learned"
SECOND = f"%%job local second --after first\necho second >> ran\n{WAITS.format('go-on')}"
BREAKS = "%%job local breaks --after first\necho breaks >> ran\nexit 3"


def ran(folder: Path) -> list[str]:
    return sorted((folder / "ran").read_text().split()) if (folder / "ran").exists() else []


def begun(kernel: Kernel) -> None:
    for number, source in enumerate((FIRST, SECOND, BREAKS), 1):
        assert not kernel.run(source, f"c{number}").error
    assert not kernel.run("r = %workflow run").error
    until(lambda: ran(kernel.folder) == ["first"], "the first job runs")


def kill_service() -> None:
    """Kill the service as a machine's end would."""
    service = process.find()
    assert service
    os.kill(service.pid, signal.SIGKILL)
    until(lambda: not service.alive, "the end of the service")


def state_of(kernel: Kernel, job: str) -> str:
    return kernel.run(f"r = %workflow status\nstr(r['{job}'].state)").value.strip("'")


def test_a_notebook_that_was_renamed_is_told_where_its_workflow_is(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    Notebook(jupyter / "study one.ipynb", "%%job local first --wait\ntrue").save()
    kernels("study one.ipynb").run("%%job local first --wait\ntrue", "c1")
    (jupyter / "study one.ipynb").rename(jupyter / "other.ipynb")
    kernel = kernels("other.ipynb", load=False)
    told = kernel.run("%load_ext hybridnb").text
    assert "other.yaml is not there, but study one.yaml has jobs of this notebook's cells" in told
    assert "%workflow open 'study one.yaml'" in told
    assert "1 done" in kernel.run("%workflow open 'study one.yaml'").card.text
    shutil.copy("other.ipynb", "study one.ipynb")
    assert "is not there" not in kernels("other.ipynb", load=False).run("%load_ext hybridnb").text, "a copy is another notebook"


def test_after_kernel_and_service_were_killed_a_notebook_tells_what_went_on_and_follows_it(
    kernels: Callable[..., Kernel], jupyter: Path
) -> None:
    kernel = kernels("study.ipynb")
    begun(kernel)
    kernel.kill()
    kill_service()
    (jupyter / "go").touch()
    until(lambda: process.find() is None, "nobody is there")
    kernel = kernels("study.ipynb", load=False)
    loaded = kernel.run("%load_ext hybridnb")
    assert not loaded.error
    assert "first" in loaded.text, "the load alone tells of the run"
    loaded.until(lambda cell: "1 done" in cell.card.text and "1 failed" in cell.card.text, "the card goes on")
    assert "since you last looked: " in loaded.text
    assert "first done" in loaded.text
    until(lambda: ran(jupyter) == ["breaks", "first", "second"], "all have begun")
    kernel.until(lambda: state_of(kernel, "second") == "running", "the second is told to run")
    (jupyter / "go-on").touch()
    loaded.until(lambda cell: "2 done" in cell.card.text, "the card tells the end")
    assert "failed" in loaded.card.text
    assert ran(jupyter) == ["breaks", "first", "second"], "nothing ran twice"
    assert len(newest(jupyter / "study.yaml")) == 1


def test_what_went_on_meanwhile_is_told_once(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    begun(kernel)
    kernel.kill()
    (jupyter / "go").touch()
    (jupyter / "go-on").touch()
    (folder,) = newest(jupyter / "study.yaml")
    until(lambda: '"event": "finished"' in (folder / "journal.yaml").read_text(), "the end of the run")
    kernel = kernels("study.ipynb", load=False)
    loaded = kernel.run("%load_ext hybridnb")
    assert "since you last looked" in loaded.text
    assert "first done" in loaded.text
    assert "breaks failed (exit code 3" in loaded.text
    kernel.close()
    again = kernels("study.ipynb", load=False).run("%load_ext hybridnb")
    assert "since you last looked" not in again.text
    assert "2 done" in again.text
    assert ran(jupyter) == ["breaks", "first", "second"]


def test_a_cell_that_is_run_again_after_a_restart_shows_its_job_as_it_is(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    begun(kernel)
    kernel.kill()
    kernel = kernels("study.ipynb")
    cell = kernel.run(FIRST, "c1").until(lambda cell: "running" in cell.card.text, "the card tells that it runs")
    run = kernel.run("r = %workflow run")
    assert not run.error
    (jupyter / "go").touch()
    (jupyter / "go-on").touch()
    cell.until(lambda cell: "done" in cell.card.text and "learned" in cell.card.text, "the card tells the end")
    run.until(lambda run: "2 done" in run.card.text, "the run's card tells the end")
    assert ran(jupyter) == ["breaks", "first", "second"], "the run that went on was followed"
    assert len(newest(jupyter / "study.yaml")) == 1


def test_a_job_that_only_an_older_run_has_is_found_there_after_a_restart(kernels: Callable[..., Kernel]) -> None:
    sources = (
        "%%job local naïve --run --wait\ntrue",
        "%%job local tries -p n=1,2 --sweep --run --wait\ntrue",
        "%%job local last --run --wait\ntrue",
    )
    kernel = kernels("study.ipynb")
    for number, source in enumerate(sources, 1):
        assert not kernel.run(source, f"c{number}").error
    kernel.kill()
    kernel = kernels("study.ipynb")
    one, several = (kernel.run(source.replace(" --run --wait", ""), f"c{number}") for number, source in enumerate(sources[:2], 1))
    assert "done" in one.card.text
    assert "2 done" in several.card.text
    assert "not run yet" in kernel.run("%%job local fresh\ntrue", "c4").card.text


def test_a_wait_goes_on_when_the_service_was_killed(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    kernel.run(FIRST, "c1")
    waiting = kernel.begin("r = %workflow run --wait")
    until(lambda: ran(jupyter) == ["first"], "the first job runs")
    kill_service()
    (jupyter / "go").touch()
    assert not waiting.finish().error, waiting.text
    assert "1 done" in waiting.card.text
    assert ran(jupyter) == ["first"]


def test_a_folder_that_was_copied_elsewhere_tells_the_same(kernels: Callable[..., Kernel], jupyter: Path, home: Path) -> None:
    kernel = kernels("study.ipynb")
    (jupyter / "go").touch()
    (jupyter / "go-on").touch()
    for number, source in enumerate((FIRST, SECOND), 1):
        kernel.run(source, f"c{number}")
    assert not kernel.run("r = %workflow run --wait").error
    kernel.close()
    kill_service()
    there = jupyter / "elsewhere"
    there.mkdir()
    shutil.copy(jupyter / "study.yaml", there)
    shutil.copytree(jupyter / "study.runs", there / "study.runs")
    shutil.rmtree(jupyter / "study.runs")
    kernel = kernels("study.ipynb", folder=there, load=False)
    loaded = kernel.run("%load_ext hybridnb")
    assert "2 done" in loaded.text
    assert kernel.run("r = %workflow status\nr['first'].metrics").value == "{'loss': 0.25}"
    assert "learned" in kernel.run("r['first'].log()").value
    assert "done" in kernel.run("r['first']").text
    assert ran(jupyter) == ["first", "second"]
    assert not ran(there)
    assert process.find() is None, "to look at what was needs no service"


def test_without_a_notebook_that_is_known_nothing_is_said(kernels: Callable[..., Kernel]) -> None:
    loaded = kernels("", load=False).run("%load_ext hybridnb")
    assert not loaded.error
    assert loaded.text == ""


def test_two_runs_that_go_on_are_both_told_and_followed(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    kernel.run(FIRST, "c1")
    for _ in range(2):
        assert not kernel.run("%workflow run --new").error
    until(lambda: ran(jupyter) == ["first", "first"], "both run")
    kernel.kill()
    loaded = kernels("study.ipynb", load=False).run("%load_ext hybridnb")
    assert len(loaded.shown) == 2
    (jupyter / "go").touch()
    loaded.until(lambda cell: all("1 done" in shown.text for shown in cell.shown), "both cards tell the end")


def test_what_ended_while_nobody_ran_a_cell_is_told(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    cell = kernel.run(FIRST.replace("first\n", "first --run\n", 1), "c1")
    until(lambda: ran(jupyter) == ["first"], "it runs")
    (jupyter / "go").touch()
    cell.until(lambda cell: "done" in cell.card.text, "it is done")
    kernel.kill()
    assert "since you last looked: first done" in kernels("study.ipynb", load=False).run("%load_ext hybridnb").text


def test_a_damaged_run_is_told_and_the_extension_is_there(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    assert not kernel.run("%%job local a --wait\ntrue", "c1").error
    kernel.close()
    (folder,) = newest(jupyter / "study.yaml")
    journal = folder / "journal.yaml"
    first, _, *rest = journal.read_text().splitlines()
    journal.write_text("\n".join([first, "damaged", *rest]) + "\n")
    kernel = kernels("study.ipynb", load=False)
    loaded = kernel.run("%load_ext hybridnb")
    assert not loaded.error
    assert "journal.yaml" in loaded.text
    assert kernel.run("%config").text.count("Hybridnb") == 1
    assert not kernel.run("%unload_ext hybridnb").error
    assert "Hybridnb" not in kernel.run("%config").text


def test_what_went_on_meanwhile_stays_on_the_card_in_a_browser(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    begun(kernel)
    kernel.kill()
    (jupyter / "go").touch()
    (jupyter / "go-on").touch()
    (folder,) = newest(jupyter / "study.yaml")
    until(lambda: '"event": "finished"' in (folder / "journal.yaml").read_text(), "the end of the run")
    kernel = kernels("study.ipynb", load=False)
    loaded = kernel.run("%load_ext hybridnb")
    comm = kernel.comm(TARGET)
    kernel.tell(comm, {"do": "watch", "id": "a", "card": loaded.card.data[MIME]})
    kernel.until(lambda: any("data" in said for said in kernel.heard(comm)), "an answer")
    assert "since you last looked: " in str(kernel.heard(comm))


def copied(folder: Path, to: Path) -> None:
    """Make a run of another id whose job has another name."""
    shutil.copytree(folder, to)
    records = filter(None, map(parse, (folder / "journal.yaml").read_bytes().splitlines(keepends=True)))
    told = [json.dumps(record).replace("prepare", "other").replace(folder.name, to.name) for record in records]
    (to / "journal.yaml").write_text("".join(line(number, json.loads(text)) for number, text in enumerate(told, 1)))


def test_a_job_of_a_run_long_ago_is_found(kernels: Callable[..., Kernel], jupyter: Path) -> None:
    kernel = kernels("study.ipynb")
    kernel.run("%%job local prepare --wait\necho prepare >> ran", "c1")
    kernel.close()
    (folder,) = newest(jupyter / "study.yaml")
    until(lambda: not listed(folder), "its last word is written")
    for number in range(25):  # later runs, of another job
        copied(folder, folder.with_name(f"{int(folder.name[:4]) + 1}{folder.name[4:-2]}{number + 10}"))
    kernel = kernels("study.ipynb")
    assert "done" in kernel.run("%%job local prepare\necho prepare >> ran", "c1").card.text
    train = kernel.run("%%job local train --after prepare --wait\necho train >> ran", "c2")
    assert not train.error, train.text
    assert ran(jupyter) == ["prepare", "train"], "nothing ran twice"
