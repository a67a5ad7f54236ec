"""What is around the canvas, used as a researcher would: with a real kernel, real files and real runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from hybridnb import definition
from hybridnb.model import Workflow
from ui.board import Seen
from ui.lab import WAIT, Lab, Notebook, Screen, holds

Open = Callable[..., Notebook]

FLOW = """# a small study
jobs:
  fetch:
    script: echo rows
  split:
    after: fetch
    params: {seed: 7, note: <img src=x onerror=hurt()>}
    script: |
      #!/usr/bin/env python3
      print("halves")
  train:
    after: split
    outputs: [model.bin]
    script: |
      echo begun
      while [ ! -e go ]; do sleep 0.05; done
      echo weights > model.bin
      echo ended
  check:
    after: train:any
    script: exit 3
  tune:
    after: split
    sweep: {lr: [0.1, 0.01]}
    script: echo "{lr}"
  away:
    after: split
    host: lab3
    script: echo far
"""
HERE = FLOW[: FLOW.index("  away:")]  # all of it runs on this machine
numbers = count(1)


class Desk(Seen):
    """A canvas with all that is around it."""

    def __init__(self, book: Notebook, file: Path) -> None:
        super().__init__(book)
        self.file = file
        self.board = book.card(1).locator(".hnb-Canvas")

    @property
    def workflow(self) -> Workflow:
        return definition.load(self.file)

    def tool(self, name: str) -> Locator:
        return self.board.get_by_role("toolbar").get_by_role("button", name=name, exact=True)

    def click(self, name: str, button: str = "left", times: int = 1) -> None:
        self.mouse.click(*self.spot(name), button=button, click_count=times)  # type: ignore[arg-type]

    def choose(self, name: str, item: str) -> None:
        """Choose from the menu of a job."""
        self.click(name, button="right")
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def middle(self, source: str, target: str) -> tuple[float, float]:
        """Where an edge is on the page."""
        place = "const at = cy.getElementById(argument).renderedMidpoint(); const box = stage.getBoundingClientRect();"
        x, y = self.ask(f"{place} return [box.x + at.x, box.y + at.y];", f"{source}\n{target}")
        return x, y

    def edge(self, source: str, target: str) -> None:
        """Open the menu of an edge."""
        self.mouse.click(*self.middle(source, target), button="right")

    def selected(self) -> list[str]:
        names: list[str] = self.ask("return cy.nodes(':selected').map(node => node.id())")
        return names

    def names(self) -> list[str]:
        names: list[str] = self.ask("return cy.nodes().map(node => node.id())")
        return names

    def form(self, name: str) -> Locator:
        """Open the form of a job."""
        self.click(name, times=2)
        form = self.board.get_by_role("region", name=f"Job {name}")
        expect(form).to_be_visible()
        return form

    def counts(self, *words: str) -> None:
        """Wait until the counts of states read so."""
        shown = self.board.get_by_role("group", name="Jobs by state").locator("button:visible")
        expect(shown).to_have_text(list(words), timeout=WAIT)


@pytest.fixture(autouse=True)
def go(lab: Lab) -> Iterator[Path]:
    """Give the file for which the job train waits."""
    go = lab.files / "go"
    yield go
    go.unlink(missing_ok=True)


@pytest.fixture
def desk(notebook: Open, lab: Lab) -> Callable[..., Desk]:
    """Give what opens a workflow of this text on a canvas."""

    def open_canvas(text: str = FLOW) -> Desk:
        file = lab.files / f"flow{next(numbers)}.yaml"
        file.write_text(text)
        book = notebook("%load_ext hybridnb", f"%workflow open {file.name}")
        book.run(0, 1)
        desk = Desk(book, file)
        expect(desk.tool("Add job")).to_be_visible()
        return desk

    return open_canvas


def test_a_job_deleted_by_key_comes_back_by_undo_and_goes_by_redo(desk: Callable[..., Desk]) -> None:
    seen = desk()
    expect(seen.tool("Undo")).to_be_disabled()
    seen.click("check")
    seen.page.keyboard.press("Delete")
    holds(lambda: "check" not in seen.workflow.jobs and "check" not in seen.names(), "the job goes from file and canvas")
    expect(seen.tool("Undo")).to_be_enabled()
    seen.page.keyboard.press("Control+z")
    holds(lambda: "check" in seen.workflow.jobs and "check" in seen.names(), "it comes back")
    assert [str(parent) for parent in seen.workflow["check"].after] == ["train:any"]
    expect(seen.tool("Redo")).to_be_enabled()
    seen.page.keyboard.press("Control+Shift+Z")
    holds(lambda: "check" not in seen.workflow.jobs, "it goes again")
    assert seen.file.read_text().startswith("# a small study\n")


def test_a_job_is_deleted_by_its_menu_and_undo_is_a_button_too(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.choose("fetch", "Delete this job")
    holds(lambda: "fetch" not in seen.workflow.jobs, "the job goes")
    seen.tool("Undo").click()
    holds(lambda: "fetch" in seen.workflow.jobs, "it comes back")


def test_keys_on_the_canvas_are_not_those_of_the_notebook_but_for_saving(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("fetch")
    expect(seen.board).to_be_focused()
    for key in "ddxaz0":
        seen.page.keyboard.press(key)
    assert seen.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell").count() == 2
    assert len(seen.workflow.jobs) == 6
    assert seen.book.is_dirty()
    seen.page.keyboard.press("Control+s")
    holds(lambda: not seen.book.is_dirty(), "the notebook is saved")


def test_all_are_selected_by_key_and_none_after_escape(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("fetch")
    seen.page.keyboard.press("Control+a")
    holds(lambda: len(seen.selected()) == 6, "all are selected")
    seen.page.keyboard.press("Escape")
    holds(lambda: seen.selected() == [], "none is")


def test_a_job_is_added_by_the_dialog_after_the_selected_one(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("split")
    seen.tool("Add job").click()
    dialog = seen.board.get_by_role("dialog", name="Add a job")
    expect(dialog.get_by_label("After")).to_have_value("split")
    dialog.get_by_label("Name").fill("fetch")
    dialog.get_by_label("Script").fill("echo counted")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("there is a job 'fetch' already")
    dialog.get_by_label("Name").fill("tally")
    dialog.get_by_label("Host").select_option("lab3")
    dialog.get_by_label("Name").press("Enter")
    expect(dialog).to_be_hidden()
    job = seen.workflow["tally"]
    assert (job.host, job.script, [str(parent) for parent in job.after]) == ("lab3", "echo counted", ["split"])
    holds(lambda: seen.selected() == ["tally"], "it is on the canvas, selected")


def test_a_job_is_edited_by_its_form(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("split")
    save = form.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    form.get_by_label("Host").select_option("lab3")
    form.get_by_label("Params: seed").fill("0.5")
    form.get_by_role("button", name="Add a param", exact=True).click()
    form.get_by_label("Params: name").last.fill("part")
    form.get_by_label("Params: value").last.fill("first half")
    form.get_by_label("Script").fill("#!/bin/sh\necho 'two halves'\n")
    form.get_by_text("Resources").click()
    form.get_by_label("time", exact=True).fill("1:30:00")
    form.get_by_label("cpus_per_task").fill("4")
    form.get_by_text("Retries and environment").click()
    form.get_by_label("Timeout").fill("10m")
    form.get_by_label("After: which end of fetch").select_option("any")
    form.get_by_label("Name", exact=True).fill("halve")
    save.click()
    expect(seen.board.get_by_role("region", name="Job halve").get_by_role("alert")).to_have_text("Saved")
    job = seen.workflow["halve"]
    assert (job.host, dict(job.params)) == ("lab3", {"seed": 0.5, "note": "<img src=x onerror=hurt()>", "part": "first half"})
    assert job.script == "#!/bin/sh\necho 'two halves'\n"
    assert (job.resources.time, job.resources.cpus_per_task, job.timeout) == ("1:30:00", 4, 600)
    assert [str(parent) for parent in job.after] == ["fetch:any"]
    assert "split" not in seen.workflow.jobs
    holds(lambda: "halve" in seen.names() and "split" not in seen.names(), "the canvas follows")


def test_what_the_kernel_refuses_is_said_in_the_form_and_stays_written(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("split")
    form.get_by_text("Resources").click()
    form.get_by_label("time", exact=True).fill("soon")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("expected Slurm's minutes")
    expect(form.get_by_label("time", exact=True)).to_have_value("soon")
    form.get_by_role("button", name="Discard").click()
    expect(form.get_by_label("time", exact=True)).to_have_value("")


def test_what_is_not_saved_survives_an_edit_by_hand_and_both_are_kept(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("split")
    form.get_by_label("Params: seed").fill("11")
    text = seen.file.read_text()
    seen.file.write_text(
        text.replace("    after: fetch\n", "    after: fetch\n    retries: 2\n") + "  more:\n    script: echo more\n"
    )
    holds(lambda: "more" in seen.names(), "the canvas follows the file")
    expect(form.get_by_label("Params: seed")).to_have_value("11")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_have_text("Saved")
    assert (seen.workflow["split"].params["seed"], seen.workflow["split"].retries) == (11, 2)


def test_what_is_not_saved_is_there_again_when_the_form_is_opened_again(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("fetch")
    form.get_by_label("Script").fill("echo other")
    seen.page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    expect(seen.board.get_by_text("Unsaved changes of 'fetch' are kept")).to_be_visible()
    expect(seen.form("fetch").get_by_label("Script")).to_have_text("echo other")
    assert seen.workflow["fetch"].script == "echo rows"


def test_an_edge_becomes_of_another_kind_and_is_deleted_by_its_menu(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.edge("split", "train")
    expect(seen.page.get_by_role("menuitemradio", checked=True)).to_contain_text("(ok)")
    seen.page.get_by_role("menuitemradio", name="(failed)").click()
    holds(lambda: [str(parent) for parent in seen.workflow["train"].after] == ["split:failed"], "the kind is in the file")
    holds(lambda: seen.ask("return cy.getElementById('split\\ntrain').data('kind')") == "failed", "and on the canvas")
    seen.edge("split", "train")
    seen.page.get_by_role("menuitem", name="Delete this edge").click()
    holds(lambda: seen.workflow["train"].after == (), "the edge goes")


def test_a_menu_is_walked_through_by_keys(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("fetch", button="right")
    expect(seen.page.get_by_role("menu").get_by_role("menuitem").first).to_be_focused()
    seen.page.keyboard.press("ArrowUp")
    expect(seen.page.get_by_role("menu").get_by_role("menuitem").last).to_be_focused()
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("Enter")
    expect(seen.board.get_by_role("region", name="Job fetch")).to_be_visible()
    expect(seen.page.get_by_role("menu")).to_have_count(0)
    seen.page.keyboard.press("Escape")
    expect(seen.board).to_be_focused()


def test_the_search_finds_the_jobs_of_a_sweep_that_is_one_node(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("fetch")
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("lr=0.01")
    expect(seen.board.locator(".hnb-Chrome-found")).to_have_text("1")
    seen.page.keyboard.press("Enter")
    holds(lambda: seen.selected() == ["tune"], "the sweep is selected")


def test_the_whole_graph_is_shown_beside_what_lies_over_the_canvas_and_again_without_it(desk: Callable[..., Desk]) -> None:
    seen = desk()
    zoom = seen.ask("return cy.zoom()")
    form = seen.form("split")
    free = (
        "const over = document.querySelector('.hnb-Chrome-form').getBoundingClientRect().left - stage.getBoundingClientRect().left;"
    )
    holds(lambda: seen.ask(f"{free} return cy.nodes().renderedBoundingBox().x2 < over"), "all jobs are beside the form")
    expect(form.get_by_label("Name", exact=True)).to_be_focused()
    seen.page.keyboard.press("Escape")
    holds(lambda: abs(seen.ask("return cy.zoom()") - zoom) < 0.01, "the view is as before")


def test_a_file_that_is_broken_by_hand_is_told_until_it_is_mended(desk: Callable[..., Desk]) -> None:
    seen = desk()
    message = seen.board.locator(".hnb-Chrome-message")
    seen.file.write_text("jobs: [")
    expect(message).to_contain_text(f"{seen.file.name} cannot be read now")
    seen.file.write_text(FLOW)
    expect(message).to_be_hidden()


def test_enter_in_the_search_goes_from_match_to_match(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.click("fetch")
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("T")
    found = seen.board.locator(".hnb-Chrome-found")
    expect(found).to_have_text("4")
    for name, at in ("fetch", 1), ("split", 2), ("train", 3), ("tune", 4), ("fetch", 1):
        seen.page.keyboard.press("Enter")
        holds(lambda name=name: seen.selected() == [name], f"{name} is selected")  # type: ignore[misc]
        expect(found).to_have_text(f"{at} of 4")
    seen.page.keyboard.press("Escape")
    expect(found).to_be_empty()
    expect(seen.board).to_be_focused()


def test_jobs_are_grouped_by_host_on_a_switch(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.tool("Group by host").click()
    expect(seen.tool("Group by host")).to_have_attribute("aria-pressed", "true")
    holds(lambda: seen.ask("return cy.nodes('.host').map(node => node.data('label'))") == ["local", "lab3"], "there are boxes")
    seen.tool("Group by host").click()
    holds(lambda: seen.ask("return cy.nodes('.host').length") == 0, "there are none")


def test_a_sweep_is_expanded_and_collapsed_and_what_cannot_be_done_is_said(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.choose("tune", "Expand to 2 jobs")
    holds(lambda: "tune-lr=0.1" in seen.names() and "tune" not in seen.names(), "its jobs are shown")
    seen.choose("tune-lr=0.1", "Delete this job")
    message = seen.board.get_by_text("'tune-lr=0.1' is one of the sweep 'tune'")
    expect(message).to_be_visible()
    seen.board.get_by_role("button", name="Dismiss").click()
    expect(message).to_have_count(0)
    seen.choose("tune-lr=0.1", "Collapse tune")
    holds(lambda: "tune" in seen.names(), "it is one again")


def test_a_selection_is_run_with_what_it_waits_for_and_the_legend_selects(desk: Callable[..., Desk]) -> None:
    seen = desk(HERE)
    expect(seen.tool("Run selection")).to_be_disabled()
    seen.click("split")
    seen.tool("Run selection").click()
    seen.counts("2 done")
    seen.board.get_by_role("button", name="2 done").click()
    holds(lambda: sorted(seen.selected()) == ["fetch", "split"], "the jobs of the state are selected")


def test_a_run_from_here_begins_there_and_what_failed_is_tried_again(desk: Callable[..., Desk], go: Path) -> None:
    seen = desk(HERE)
    go.touch()
    seen.tool("Run").click()
    seen.counts("5 done", "1 failed")
    (first,) = seen.file.with_suffix(".runs").glob("2*")
    seen.tool("Try failed again").click()
    holds(lambda: (first / "jobs/check/2/rc").exists(), "there is a second attempt")
    seen.counts("5 done", "1 failed")
    seen.click("check")
    drawer = seen.board.get_by_role("region", name="Log of check")
    expect(drawer).to_contain_text("failed · exit code 3")
    expect(drawer.get_by_label("Attempt").locator("option")).to_have_text(["attempt 1", "attempt 2"])
    seen.page.keyboard.press("Escape")
    seen.click("train")
    seen.tool("Run from here").click()
    holds(lambda: len(list(seen.file.with_suffix(".runs").glob("2*"))) == 2, "there is another run")
    (second,) = set(seen.file.with_suffix(".runs").glob("2*")) - {first}
    holds(lambda: (second / "jobs/check/1/rc").exists(), "it runs to its end")
    assert (second / "jobs/train").exists()
    assert not (second / "jobs/fetch").exists()


def test_the_log_of_a_job_that_is_renamed_is_closed(desk: Callable[..., Desk]) -> None:
    seen = desk("jobs:\n  only: {script: echo hi}\n")
    seen.tool("Run").click()
    seen.counts("1 done")
    seen.click("only")
    drawer = seen.board.get_by_role("region", name="Log of only")
    expect(drawer).to_be_visible()
    seen.file.write_text("jobs:\n  other: {script: echo hi}\n")
    expect(drawer).to_be_hidden()


def test_a_run_is_cancelled(desk: Callable[..., Desk]) -> None:
    seen = desk(HERE)
    expect(seen.tool("Cancel")).to_be_disabled()
    seen.tool("Run").click()
    expect(seen.board.get_by_role("button", name="1 running")).to_be_visible(timeout=WAIT)
    expect(seen.tool("Run")).to_be_disabled()
    seen.tool("Cancel").click()
    expect(seen.board.get_by_role("button", name=re.compile("cancelled"))).to_be_visible(timeout=WAIT)
    expect(seen.tool("Cancel")).to_be_disabled(timeout=WAIT)


def test_the_log_of_a_clicked_job_follows_what_it_writes_with_its_outputs_beside(desk: Callable[..., Desk], go: Path) -> None:
    seen = desk(HERE)
    seen.tool("Run").click()
    expect(seen.board.get_by_role("button", name="1 running")).to_be_visible(timeout=WAIT)
    seen.click("train")
    drawer = seen.board.get_by_role("region", name="Log of train")
    log = drawer.get_by_role("region", name="Log: standard output")
    expect(log).to_have_text("begun\n")
    go.touch()
    expect(log).to_have_text("begun\nended\n", timeout=WAIT)
    expect(drawer.get_by_role("complementary")).to_contain_text(re.compile(r"model\.bin\s*8 B"), timeout=WAIT)
    seen.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_a_tooltip_tells_what_is_known_as_text_whatever_it_is(desk: Callable[..., Desk], screen: Screen) -> None:
    seen = desk()
    seen.mouse.move(*seen.spot("split"))
    tip = seen.page.get_by_role("tooltip")
    expect(tip).to_contain_text("split")
    expect(tip.get_by_role("definition").filter(has_text="seed=7")).to_contain_text("<img src=x onerror=hurt()>")
    assert tip.locator("img").count() == 0
    x, y = seen.spot("split")
    box = tip.bounding_box()
    assert box
    assert not (box["x"] <= x <= box["x"] + box["width"] and box["y"] <= y <= box["y"] + box["height"])
    seen.mouse.move(5, 5)
    expect(tip).to_have_count(0)


def test_the_picture_is_saved_as_xml_under_the_name_of_the_workflow(desk: Callable[..., Desk]) -> None:
    seen = desk()
    with seen.page.expect_download() as download:
        seen.tool("Save as SVG").click()
    assert download.value.suggested_filename == f"{seen.file.stem}.svg"
    root = ElementTree.parse(download.value.path()).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "split" in "".join(root.itertext())


def test_connect_mode_is_a_switch_with_the_kind_of_the_next_edge(desk: Callable[..., Desk]) -> None:
    seen = desk()
    kind = seen.board.get_by_label("Kind of the next edge")
    expect(kind).to_be_hidden()
    seen.tool("Connect mode").click()
    expect(seen.tool("Connect mode")).to_have_attribute("aria-pressed", "true")
    kind.select_option("any")
    seen.mouse.move(*seen.spot("fetch"))
    seen.mouse.down()
    seen.mouse.move(*seen.spot("check", 0, 8), steps=6)
    seen.mouse.move(*seen.spot("check"), steps=3)
    seen.mouse.up()
    holds(lambda: "fetch:any" in map(str, seen.workflow["check"].after), "the edge is in the file")


def test_a_selected_edge_is_deleted_by_key(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.mouse.click(*seen.middle("split", "train"))
    holds(lambda: seen.ask("return cy.edges(':selected').length") == 1, "the edge is selected")
    seen.page.keyboard.press("Delete")
    holds(lambda: seen.workflow["train"].after == (), "the edge goes")
    assert len(seen.workflow.jobs) == 6


def test_what_was_open_goes_with_the_canvas(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.mouse.move(*seen.spot("split"))
    expect(seen.page.get_by_role("tooltip")).to_be_visible()
    seen.click("split", button="right")
    expect(seen.page.get_by_role("menu")).to_be_visible()
    seen.book.run(1)
    expect(seen.page.get_by_role("menu")).to_have_count(0)
    expect(seen.page.get_by_role("tooltip")).to_have_count(0)
    expect(seen.tool("Add job")).to_be_visible()


def test_a_sweep_is_edited_in_the_form_as_values_with_commas(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("tune")
    expect(form.get_by_label("Sweep: lr")).to_have_value("0.1, 0.01")
    form.get_by_label("Sweep: lr").fill('1e-3, adam, "2"')
    form.get_by_label("Sweep: lr").press("Control+Enter")
    expect(form.get_by_role("alert")).to_have_text("Saved")
    assert seen.workflow["tune"].sweep["lr"] == (0.001, "adam", "2")


def test_the_first_job_is_added_where_the_pointer_is(notebook: Open) -> None:
    book = notebook("%load_ext hybridnb", "%workflow")
    book.run(0, 1)
    board = book.card(1).locator(".hnb-Canvas")
    expect(board.get_by_text("No jobs yet")).to_be_visible()
    board.locator(".hnb-Canvas-stage").click(button="right", position={"x": 200, "y": 150})
    book.page.get_by_role("menuitem", name="Add a job here …").click()
    dialog = board.get_by_role("dialog", name="Add a job")
    dialog.get_by_label("Name").fill("first")
    dialog.get_by_label("Script").fill("echo begun")
    dialog.get_by_label("Script").press("Control+Enter")
    expect(board.get_by_text("No jobs yet")).to_be_hidden()
    workflow = definition.load(book.path.with_suffix(".yaml"))
    assert workflow["first"].script == "echo begun"
    assert "first" in workflow.layout


def test_the_first_job_is_shown_whole(notebook: Open) -> None:
    book = notebook("%load_ext hybridnb", "%workflow")
    book.run(0, 1)
    board = book.card(1).locator(".hnb-Canvas")
    board.get_by_role("toolbar").get_by_role("button", name="Add job", exact=True).click()
    dialog = board.get_by_role("dialog", name="Add a job")
    dialog.get_by_label("Name").fill("first")
    dialog.get_by_label("Script").fill("echo begun")
    dialog.get_by_label("Script").press("Control+Enter")
    seen = Seen(book)
    holds(lambda: seen.ask("return cy.nodes().renderedBoundingBox().y1 > 10"), "its upper border is in view")


def test_a_form_of_a_sweep_says_nothing_of_its_end_while_its_jobs_are_shown(desk: Callable[..., Desk]) -> None:
    seen = desk()
    seen.choose("tune", "Expand to 2 jobs")
    holds(lambda: "tune-lr=0.1" in seen.names(), "its jobs are shown")
    seen.click("tune-lr=0.1", times=2)
    form = seen.board.get_by_role("region", name="Job tune", exact=True)
    expect(form.get_by_label("Sweep: lr")).to_have_value("0.1, 0.01")
    whole = seen.file.read_text()
    seen.file.write_text(whole + "  more:\n    script: echo more\n")
    holds(lambda: "more" in seen.names(), "the canvas follows the file")
    expect(form.get_by_role("alert")).to_have_count(0)
    seen.file.write_text(whole.replace("  tune:\n", "  tuned:\n"))
    expect(form.get_by_role("alert")).to_have_text("'tune' is not in the workflow any more.")
    seen.file.write_text(whole)
    expect(form.get_by_role("alert")).to_have_count(0)


def test_a_form_that_is_closed_while_it_saves_is_saved(desk: Callable[..., Desk]) -> None:
    seen = desk()
    form = seen.form("fetch")
    form.get_by_label("Script").fill("echo other")
    form.get_by_label("Script").press("Control+Enter")
    seen.page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    holds(lambda: seen.workflow["fetch"].script == "echo other", "it is saved")
    expect(seen.board.get_by_text("Unsaved changes of 'fetch' are kept")).to_be_hidden()
    expect(seen.form("fetch").get_by_role("button", name="Save")).to_be_disabled()


def test_a_page_that_is_left_is_drawn_for_no_more(notebook: Open) -> None:
    talks = "print(len(get_ipython().magics_manager.registry['Hybridnb'].session.talks), 'talks')"
    book = notebook("%load_ext hybridnb", "%workflow", talks)
    book.run(0, 1)
    expect(book.card(1).locator(".hnb-Canvas")).to_be_visible()
    for _ in range(3):
        book.save()
        book.reload()
        expect(book.card(1).locator(".hnb-Canvas")).to_be_visible(timeout=WAIT)
    book.run(2)
    # the browser sends what a page says last when it can: mostly
    expect(book.output(2)).to_contain_text(re.compile("^[123] talks"))


def test_a_command_of_several_lines_is_as_it_was_after_another_field_is_saved_and_can_be_edited(desk: Callable[..., Desk]) -> None:
    seen = desk('jobs:\n  a:\n    exec: [bash, -c, "echo one\\n echo two "]\n')
    form = seen.form("a")
    command = ("bash", "-c", "echo one\n echo two ")
    form.get_by_text("Retries and environment").click()
    form.get_by_label("Retries").fill("2")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_have_text("Saved")
    assert (seen.workflow["a"].exec, seen.workflow["a"].retries) == (command, 2)
    words = form.get_by_label("Command")
    words.fill(words.input_value().replace("bash", "sh"))
    words.press("Control+Enter")
    holds(lambda: seen.workflow["a"].exec == ("sh", *command[1:]), "one word is another")
