"""The kernel's side of the canvas: what browsers are told, what they may ask, and what then stands in the workflow's file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from testbed.kernel import Kernel
from testbed.processes import until

from hybridnb import Job, Run, Workflow, definition
from hybridnb.drawing import routes
from hybridnb.errors import CallError, Conflict, DefinitionError, HybridnbError, NotFound
from hybridnb.notebook.book import Book
from hybridnb.notebook.canvas.desk import Desk
from hybridnb.notebook.canvas.eye import Eye
from hybridnb.notebook.canvas.messages import Messages
from hybridnb.notebook.canvas.said import Said
from hybridnb.notebook.live import Live
from hybridnb.notebook.talk import TARGET

GATE = "until [ -e go ]; do sleep 0.02; done"
FILE = """\
# my study
name: digits
jobs:
  fetch:           # gets the rows
    exec: "true"
  train:
    host: local
    after: [fetch]
    params: {lr: 0.1}
    script: |
      echo training
  tell:
    exec: "true"   # at last
"""


class Window:
    """A canvas without its widget: what it asks is answered, what it shows can be seen."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.desk = Desk(Book(file, None, Live(cast("Any", None))))
        self._messages = Messages(self.desk)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Ask as JSON, as a browser does."""
        return self._messages.answer(Said(json.loads(json.dumps({"do": do, **more}))))

    @property
    def told(self) -> dict[str, Any]:
        return self.desk.facts().told

    @property
    def graph(self) -> dict[str, Any]:
        graph: dict[str, Any] = json.loads(self.desk.facts().graph_json)
        return graph

    @property
    def nodes(self) -> dict[str, list[Any]]:
        return {node[0]: node for node in self.graph["nodes"]}

    @property
    def edges(self) -> set[tuple[str, str, int]]:
        names = list(self.nodes)
        return {(names[source], names[target], kind) for source, target, kind, *_ in self.graph["edges"]}

    def way(self, source: str, target: str) -> list[float]:
        """Where an edge passes between its ends."""
        names = list(self.nodes)
        return next(list(way) for a, b, _, *way in self.graph["edges"] if (names[a], names[b]) == (source, target))

    @property
    def states(self) -> dict[str, int]:
        return dict(zip(self.nodes, self.desk.facts().states, strict=True))

    @property
    def jobs(self) -> dict[str, list[str]]:
        """What the file says: each job and what it waits for."""
        return {name: [str(d) for d in job.after] for name, job in definition.load(self.file).jobs.items()}

    def place(self, name: str) -> tuple[float, float]:
        _, x, y, *_ = self.nodes[name]
        return x, y


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def window(here: Path) -> Window:
    (here / "digits.yaml").write_text(FILE)
    return Window(here / "digits.yaml")


@pytest.fixture
def swept(here: Path) -> Window:
    workflow = Workflow("swept.yaml")
    workflow.add("fetch", exec="true")
    workflow.add("train", exec="echo $lr", after="fetch", sweep={"lr": [0.1, 0.01, 0.001]})
    workflow.add("tell", exec="true", after="train")
    return Window(here / "swept.yaml")


# -- what is shown ----------------------------------------------------------------------------------------------------------
def test_each_job_is_a_node_and_each_edge_has_its_kind(window: Window) -> None:
    window.ask("connect", source="train", target="tell", kind="failed")
    assert list(window.nodes) == ["fetch", "train", "tell"]
    assert window.edges == {("fetch", "train", 0), ("train", "tell", 2)}
    assert window.graph["hosts"] == ["local"]
    assert window.told["title"] == "digits"
    assert window.told["can"] == ["run"]
    assert set(window.states.values()) == {0}


def test_the_canvas_and_the_svg_place_jobs_alike(window: Window) -> None:
    places = {name: window.place(name) for name in window.nodes}
    assert places["train"][0] > places["fetch"][0]
    assert "fetch" in window.ask("svg")["svg"]
    window.ask("move", places={"tell": [400, 300]})
    assert definition.load(window.file).layout["tell"] == (400, 300)


def test_a_long_edge_runs_on_the_canvas_as_in_the_svg_also_when_another_job_was_moved(window: Window) -> None:
    for name, after in (("check", ["train"]), ("tell2", ["check", "fetch"])):
        Workflow(window.file).add(name, exec="true", after=after)
    parents = definition.load(window.file).parents()
    around = [value for point in routes(parents)["fetch", "tell2"][1:-1] for value in point]
    assert len(around) >= 4
    assert window.way("fetch", "tell2") == pytest.approx(around, abs=0.1)
    window.ask("move", places={"tell": [400, 300]})
    assert window.way("fetch", "tell2") == pytest.approx(around, abs=0.1)
    window.ask("move", places={"tell2": [900, 300]})
    assert window.way("fetch", "tell2") == []


def test_edges_of_many_jobs_are_told_without_their_bends(window: Window) -> None:
    jobs = {f"j{i}": {"exec": "true", "after": [f"j{k}" for k in (i - 1, i - 3) if k >= 0]} for i in range(502)}
    window.file.write_text(json.dumps({"name": "digits", "jobs": jobs}))
    assert {len(edge) for edge in window.graph["edges"]} == {3}


def test_a_sweep_is_one_node_which_can_be_expanded(swept: Window) -> None:
    assert swept.nodes["train"][3:6] == [1, 0, 3]
    assert swept.graph["groups"] == ["train"]
    swept.ask("expand", group="train", on=True)
    assert list(swept.nodes) == ["fetch", "train-lr=0.1", "train-lr=0.01", "train-lr=0.001", "tell"]
    assert swept.told["expanded"] == ["train"]
    assert ("train-lr=0.01", "tell", 0) in swept.edges
    swept.ask("expand", group="train", on=False)
    assert list(swept.nodes) == ["fetch", "train", "tell"]


def test_one_sweep_can_be_expanded_while_another_is_not(swept: Window) -> None:
    Workflow(swept.file).add("more", exec="true", after="train", sweep={"n": [1, 2]})
    swept.ask("expand", group="more", on=True)
    assert list(swept.nodes) == ["fetch", "train", "tell", "more-n=1", "more-n=2"]
    assert swept.nodes["train"][3:6] == [1, 0, 3]


def test_what_is_no_group_cannot_be_expanded(swept: Window) -> None:
    with pytest.raises(NotFound, match=r"no sweep or group 'trian'.*did you mean 'train'"):
        swept.ask("expand", group="trian", on=True)


def test_by_host_there_is_a_box_for_each_host_and_no_job_stands_in_the_room_of_another(window: Window) -> None:
    Workflow(window.file).add("far", host="gpu", exec="true", after=["fetch"])
    window.ask("by_host", on=True)
    nodes = window.nodes
    assert nodes["host:gpu"][3] == 2
    assert nodes["far"][6] == list(nodes).index("host:gpu")
    here, there = ([node[2] for node in nodes.values() if node[6] == box] for box in (0, 1))
    assert max(here) < min(there)
    assert window.states["host:gpu"] == 0
    window.ask("by_host", on=False)
    assert list(window.nodes) == ["fetch", "train", "tell", "far"]


def test_what_is_moved_among_boxes_of_hosts_leaves_the_places_of_the_file(window: Window) -> None:
    window.ask("move", places={"train": [500, 250]})
    before = window.file.read_text()
    window.ask("by_host", on=True)
    window.ask("move", places={"train": [1, 2]})
    assert window.place("train") == (1, 2)
    window.ask("tidy")
    assert window.place("train") != (1, 2)
    assert window.file.read_text() == before
    window.ask("by_host", on=False)
    assert window.place("train") == (500, 250)


def test_what_changes_nothing_in_the_picture_sends_no_other_graph(window: Window) -> None:
    serial = window.graph["serial"]
    window.ask("edit", name="tell", job={"exec": "false"}, was={"exec": "true"})
    assert window.graph["serial"] == serial
    window.ask("connect", source="train", target="tell")
    assert window.graph["serial"] == serial + 1


def test_a_file_that_cannot_be_read_is_a_problem_and_the_picture_stays(window: Window) -> None:
    assert len(window.nodes) == 3
    window.file.write_text("jobs: [")
    assert len(window.nodes) == 3
    assert window.told["problem"].startswith("digits.yaml cannot be read now: line ")
    with pytest.raises(DefinitionError):
        window.ask("remove", jobs=["tell"])
    assert window.file.read_text() == "jobs: ["
    window.file.write_text(FILE)
    assert window.told["problem"] == ""


# -- edges ------------------------------------------------------------------------------------------------------------------
def test_an_edge_that_is_drawn_is_in_the_file_and_the_rest_of_the_file_stays(window: Window) -> None:
    window.ask("connect", source="train", target="tell", kind="any")
    assert window.jobs["tell"] == ["train:any"]
    text = window.file.read_text()
    assert all(comment in text for comment in ("# my study", "# gets the rows", "# at last"))


def test_an_edge_that_is_drawn_again_becomes_of_the_other_kind(window: Window) -> None:
    window.ask("connect", source="fetch", target="train", kind="failed")
    assert window.jobs["train"] == ["fetch:failed"]


def test_a_cycle_is_refused_with_its_path_and_changes_nothing(window: Window) -> None:
    window.ask("connect", source="train", target="tell")
    before = window.file.read_text()
    with pytest.raises(DefinitionError, match=r"wait for each other: .*->"):
        window.ask("connect", source="tell", target="fetch")
    with pytest.raises(DefinitionError, match="cannot wait for itself"):
        window.ask("connect", source="fetch", target="fetch")
    assert window.file.read_text() == before


def test_edges_and_jobs_are_removed_in_one_step(window: Window) -> None:
    window.ask("connect", source="train", target="tell")
    window.ask("remove", jobs=["fetch"], edges=[["train", "tell"], ["fetch", "train"]])
    assert window.jobs == {"train": [], "tell": []}
    window.ask("undo")
    assert window.jobs == {"fetch": [], "train": ["fetch"], "tell": ["train"]}


def test_an_edge_that_is_not_there_cannot_be_removed(window: Window) -> None:
    with pytest.raises(NotFound, match="'tell' does not wait for 'fetch'"):
        window.ask("disconnect", edges=[["fetch", "tell"]])


def test_a_group_is_wired_and_removed_as_a_whole(here: Path) -> None:
    workflow = Workflow("grouped.yaml")
    for name in ("a", "b"):
        workflow.add(name, exec="true", group="both")
    workflow.add("end", exec="true")
    window = Window(here / "grouped.yaml")
    assert list(window.nodes) == ["both", "end"]
    window.ask("connect", source="both", target="end")
    assert window.jobs["end"] == ["a", "b"]
    window.ask("disconnect", edges=[["both", "end"]])
    assert window.jobs["end"] == []
    window.ask("remove", jobs=["both"])
    assert window.jobs == {"end": []}


def test_one_job_of_a_sweep_cannot_be_edited_alone(swept: Window) -> None:
    swept.ask("expand", group="train", on=True)
    asked: list[dict[str, Any]] = [
        {"do": "connect", "source": "train-lr=0.1", "target": "tell"},
        {"do": "remove", "jobs": ["train-lr=0.1"]},
        {"do": "form", "name": "train-lr=0.1"},
        {"do": "rename", "old": "train-lr=0.1", "new": "best"},
    ]
    for said in asked:
        with pytest.raises(CallError, match="one of the sweep 'train'"):
            swept.ask(**said)


# -- jobs -------------------------------------------------------------------------------------------------------------------
def test_a_job_is_added_where_the_pointer_was(window: Window) -> None:
    before = {name: window.place(name) for name in window.nodes}
    window.ask("add", name="more", host="local", script="echo more\n", after=["fetch:any"], place=[300.4, 200.0])
    assert window.jobs["more"] == ["fetch:any"]
    assert window.place("more") == (300, 200)
    assert {name: window.place(name) for name in before} == before
    window.ask("undo")
    assert "more" not in window.jobs
    assert not definition.load(window.file).layout


def test_a_name_in_use_is_refused(window: Window) -> None:
    with pytest.raises(DefinitionError, match="there is a job 'tell' already"):
        window.ask("add", name="tell", exec="true")


@pytest.mark.parametrize("name", ["", "a b", "<img src=x>", "../up"])
def test_what_is_no_name_is_refused(window: Window, name: str) -> None:
    with pytest.raises(DefinitionError):
        window.ask("add", name=name, exec="true")
    with pytest.raises(DefinitionError):
        window.ask("rename", old="tell", new=name)


def test_a_job_is_renamed_with_its_edges_and_its_comments(window: Window) -> None:
    window.ask("rename", old="fetch", new="load")
    assert window.jobs == {"load": [], "train": ["load"], "tell": []}
    assert "load:           # gets the rows" in window.file.read_text()
    window.ask("undo")
    assert window.file.read_text() == FILE


def test_a_form_with_another_name_is_one_edit_which_is_undone_in_one_step(window: Window) -> None:
    form = window.ask("form", name="fetch")
    window.ask("edit", name="fetch", was=form["job"], job={**form["job"], "timeout": "10m"}, new="load")
    assert window.jobs == {"load": [], "train": ["load"], "tell": []}
    assert definition.load(window.file)["load"].timeout == 600
    with pytest.raises(DefinitionError, match="train"):
        form = window.ask("form", name="load")
        window.ask("edit", name="load", was=form["job"], job={**form["job"], "timeout": "20m"}, new="train")
    assert definition.load(window.file)["load"].timeout == 600, "all of it, or nothing"
    window.ask("undo")
    assert window.file.read_text() == FILE


def test_jobs_of_a_sweep_that_are_not_drawn_are_found(swept: Window) -> None:
    assert swept.ask("find", text="LR=0.0") == {"found": {"train": 2}}
    assert swept.ask("find", text="fetch") == {"found": {}}
    swept.ask("expand", group="train", on=True)
    assert swept.ask("find", text="lr=0.0") == {"found": {}}


def test_a_form_is_filled_in_words_of_the_file_and_written_back(window: Window) -> None:
    form = window.ask("form", name="train")
    assert form["job"] == {"after": ["fetch"], "params": {"lr": 0.1}, "script": "echo training\n"}
    assert form["hosts"] == ["local"]
    assert form["jobs"] == ["fetch", "train", "tell"]
    assert form["cell"] == ""
    window.ask("edit", name="train", was=form["job"], job={**form["job"], "timeout": "10m", "script": "echo more\n"})
    job = definition.load(window.file)["train"]
    assert (job.timeout, job.script, job.params) == (600, "echo more\n", {"lr": 0.1})


def test_a_form_keeps_what_others_changed_meanwhile_and_refuses_what_both_changed(window: Window) -> None:
    was = window.ask("form", name="train")["job"]
    Workflow(window.file).add("train", script="echo training\n", after=["fetch"], params={"lr": 0.5}, retries=2)
    window.ask("edit", name="train", was=was, job={**was, "script": "echo mine\n"})
    job = definition.load(window.file)["train"]
    assert (job.script, job.params, job.retries) == ("echo mine\n", {"lr": 0.5}, 2)
    with pytest.raises(Conflict, match=r"both in this form and in digits\.yaml.*lr is 0\.9 in the form, 0\.5 in the file"):
        window.ask("edit", name="train", was=was, job={**was, "params": {"lr": 0.9}})


def test_a_form_that_means_nothing_is_refused_with_everything_that_is_wrong(window: Window) -> None:
    with pytest.raises(DefinitionError, match="timeout"):
        window.ask("edit", name="tell", was={"exec": "true"}, job={"exec": "true", "timeout": "soon"})


# -- places -----------------------------------------------------------------------------------------------------------------
def test_from_the_first_move_on_all_keep_their_places_and_tidy_ends_that(window: Window) -> None:
    before = {name: window.place(name) for name in window.nodes}
    window.ask("move", places={"train": [500, 250.4]})
    assert window.place("train") == (500, 250)
    assert all(window.place(name) == before[name] for name in ("fetch", "tell"))
    assert set(definition.load(window.file).layout) == set(window.nodes)
    window.ask("tidy")
    assert not definition.load(window.file).layout
    assert "layout" not in window.file.read_text()
    window.ask("undo")
    assert window.place("train") == (500, 250)
    window.ask("undo")
    assert {name: window.place(name) for name in window.nodes} == before


def test_jobs_of_a_sweep_are_moved_without_a_trace_in_the_file(swept: Window) -> None:
    swept.ask("expand", group="train", on=True)
    before = swept.file.read_text()
    swept.ask("move", places={"train-lr=0.1": [7, 8]})
    assert swept.place("train-lr=0.1") == (7, 8)
    assert swept.file.read_text() == before


@pytest.mark.parametrize("place", [[1], [1, None], ["1", "2"], {"x": 1}, [1e999, 0]])
def test_what_is_no_place_is_refused(window: Window, place: Any) -> None:
    with pytest.raises(CallError, match="means nothing"):
        window.ask("move", places={"train": place})


# -- undo -------------------------------------------------------------------------------------------------------------------
def test_every_edit_is_undone_and_made_again(window: Window) -> None:
    edits: list[dict[str, Any]] = [
        {"do": "connect", "source": "train", "target": "tell"},
        {"do": "add", "name": "more", "exec": "true", "after": ["tell"]},
        {"do": "move", "places": {"more": [900, 10]}},
        {"do": "rename", "old": "tell", "new": "say"},
        {"do": "remove", "jobs": ["fetch"], "edges": []},
        {"do": "edit", "name": "say", "was": {"exec": "true"}, "job": {"exec": "false"}},
    ]
    found = [definition.load(window.file)]
    for edit in edits:
        window.ask(**edit)
        found.append(definition.load(window.file))
    for expected in reversed(found[:-1]):
        assert window.told["undo"]
        window.ask("undo")
        assert definition.load(window.file) == expected
    assert not window.told["undo"]
    for expected in found[1:]:
        assert window.told["redo"]
        window.ask("redo")
        assert definition.load(window.file) == expected
    assert not window.told["redo"]


def test_undo_keeps_what_others_wrote_meanwhile(window: Window) -> None:
    window.ask("connect", source="train", target="tell")
    Workflow(window.file).add("other", exec="true")
    Workflow(window.file).add("tell", exec="echo told", after=["train"])
    window.ask("undo")
    assert window.jobs == {"fetch": [], "train": ["fetch"], "tell": [], "other": []}
    assert definition.load(window.file)["tell"].exec == "echo told"


def test_undo_of_what_others_changed_since_is_refused_and_changes_nothing(window: Window) -> None:
    window.ask("connect", source="train", target="tell")
    window.ask("remove", jobs=["fetch"], edges=[])
    Workflow(window.file).add("fetch", exec="echo another")
    before = window.file.read_text()
    with pytest.raises(Conflict, match=r"'fetch' was written into digits\.yaml meanwhile"):
        window.ask("undo")
    assert window.file.read_text() == before
    window.ask("undo")
    assert window.jobs["tell"] == [], "the edit before it can still be undone"


def test_there_is_nothing_to_undo_at_first_and_nothing_to_make_again_after_an_edit(window: Window) -> None:
    with pytest.raises(CallError, match="nothing to undo"):
        window.ask("undo")
    window.ask("connect", source="train", target="tell")
    window.ask("undo")
    window.ask("connect", source="fetch", target="tell")
    with pytest.raises(CallError, match="nothing to make again"):
        window.ask("redo")


def test_what_cannot_be_undone_while_the_file_is_broken_can_be_when_it_is_whole_again(window: Window) -> None:
    window.ask("connect", source="train", target="tell")
    whole = window.file.read_text()
    for undo, after in (("undo", []), ("redo", ["train"])):
        window.file.write_text("jobs: [")
        with pytest.raises(DefinitionError):
            window.ask(undo)
        window.file.write_text(whole)
        window.ask(undo)
        assert window.jobs["tell"] == after
        whole = window.file.read_text()


def test_an_edit_beside_a_damaged_run_is_made_and_told_and_can_be_undone(window: Window) -> None:
    window.ask("run")
    run = over(window)
    lines = (run.folder / "journal.yaml").read_text().splitlines(keepends=True)
    lines[3] = "{[garbage\n"
    (run.folder / "journal.yaml").write_text("".join(lines))
    window = Window(window.file)
    assert "the journal is damaged" in window.ask("connect", source="train", target="tell")["note"]
    assert window.jobs["tell"] == ["train"]
    window.ask("undo")
    assert window.jobs["tell"] == []


# -- what browsers say ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "said",
    [
        {"do": "fly"},
        {"do": "connect", "source": 1, "target": "tell"},
        {"do": "connect", "target": "tell"},
        {"do": "connect", "source": "train", "target": "tell", "kind": "perhaps"},
        {"do": "connect", "source": "nobody", "target": "tell"},
        {"do": "disconnect", "edges": [["train"]]},
        {"do": "disconnect", "edges": "train"},
        {"do": "remove", "jobs": [None]},
        {"do": "remove", "jobs": [""]},
        {"do": "remove", "edges": [["fetch", ""]]},
        {"do": "connect", "source": "", "target": "tell"},
        {"do": "move", "places": {"tell": [10**400, 1]}},
        {"do": "move", "places": {"nobody": [1, 2]}},
        {"do": "add", "name": "x"},
        {"do": "add", "name": "x", "exec": "true", "after": ["nobody"]},
        {"do": "edit", "name": "tell", "job": [], "was": {}},
        {"do": "run", "jobs": ["nobody"]},
        {"do": "tip", "name": "nobody"},
        {"do": "log", "name": "tell"},
        {"do": "outputs", "name": "nobody"},
        {"do": "form", "name": "nobody"},
        {"do": "cancel"},
        {"do": "retry"},
    ],
)
def test_what_means_nothing_is_refused_in_words_and_changes_nothing(window: Window, said: dict[str, Any]) -> None:
    with pytest.raises(HybridnbError) as error:
        window.ask(**said)
    assert "\n" not in str(error.value).strip()
    assert window.file.read_text() == FILE


# -- runs -------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def going(here: Path) -> Iterator[Window]:
    """Give the canvas of a run whose first job runs until there is a file `go`."""
    workflow = Workflow("going.yaml")
    workflow.add("first", script=f"echo begun\necho '# hybridnb progress=40 loss=0.5'\n{GATE}\necho over\n")
    workflow.add("second", exec="echo second >>ran", after=["first"])
    window = Window(here / "going.yaml")
    window.ask("run")
    until(lambda: window.states["first"] == 140, "it runs, and has told its progress")
    yield window
    (here / "go").touch()
    Run.find(str(window.file)).wait(60, check=False)


def over(window: Window) -> Run:
    Path("go").touch()
    return Run.find(str(window.file)).wait(60, check=False)


def test_each_state_is_one_byte_and_the_whole_is_counted(going: Window) -> None:
    until(lambda: going.states == {"first": 140, "second": 3}, "the second is queued behind it")
    assert going.told["counts"] == {"running": 1, "queued": 1}
    assert (going.told["state"], going.told["ended"], going.told["elapsed"]) == ("running", False, None)
    assert going.told["can"] == ["cancel"]
    over(going)
    assert going.states == {"first": 6, "second": 6}
    assert (going.told["state"], going.told["ended"], going.told["can"]) == ("done", True, ["run"])
    assert going.told["elapsed"] > 0


def test_a_going_run_follows_an_edge_that_is_drawn_and_a_job_that_is_added(going: Window) -> None:
    assert going.ask("add", name="third", exec="echo third >>ran", after=["first"]) == {}
    assert going.ask("connect", source="third", target="second") == {}
    until(lambda: "third" in jobs_of_run(going)["second"].parents, "its host let go of it")
    assert over(going).state == "done"
    assert Path("ran").read_text() == "third\nsecond\n"


def jobs_of_run(window: Window) -> dict[str, Job]:
    """What the run has by now: what a host has is changed when it has let go of it."""
    reading = window.desk.book.latest
    assert reading
    return reading.run.jobs


def test_a_going_run_follows_what_is_removed(going: Window) -> None:
    assert going.ask("remove", jobs=["second"], edges=[]) == {}
    until(lambda: "second" not in jobs_of_run(going), "its host let go of it")
    assert [*over(going)] == ["first"]


def test_what_a_run_that_is_gone_on_with_does_not_take_over_is_told(going: Window) -> None:
    Workflow(going.file).add("first", exec="echo otherwise")
    going.ask("run")
    assert "changed too late for this run, which goes on with it as it was: first" in going.told["note"]
    over(going)


def test_a_tooltip_tells_what_a_job_waits_for(going: Window) -> None:
    told = dict(going.ask("tip", name="second")["lines"])
    assert told["reason"] == "waits for first (running)"
    over(going)


def test_what_is_too_late_to_change_is_told(going: Window) -> None:
    told = going.ask("edit", name="first", was={"script": going_script(going)}, job={"script": "echo another\n"})
    assert "goes on with 'first' as it was" in told["note"]
    assert "goes on with 'first' as it was" in going.told["note"]
    over(going)
    until(lambda: going.told["ended"], "the run ends")
    assert going.told["note"] == "", "what did not follow is no matter any more"
    assert definition.load(going.file)["first"].script == "echo another\n"


def going_script(window: Window) -> str:
    return str(definition.load(window.file)["first"].script)


def test_what_a_going_run_cannot_follow_is_told_and_the_file_is_edited(going: Window) -> None:
    told = going.ask("add", name="far", host="nowhere", exec="true")
    assert "goes on as it was" in told["note"]
    assert "nowhere" in told["note"]
    assert "far" in going.jobs


def test_a_move_is_no_matter_of_the_run(going: Window) -> None:
    before = len((Run.find(str(going.file)).folder / "journal.yaml").read_bytes().splitlines())
    going.ask("move", places={"second": [9, 9]})
    assert len((Run.find(str(going.file)).folder / "journal.yaml").read_bytes().splitlines()) == before


def test_a_run_of_some_jobs_does_not_get_the_others_by_an_edit(here: Path) -> None:
    workflow = Workflow("some.yaml")
    workflow.add("first", exec=GATE)
    workflow.add("second", exec="touch second", after=["first"])
    workflow.add("other", exec="touch other")
    window = Window(here / "some.yaml")
    window.ask("run", jobs=["second"])
    window.ask("connect", source="second", target="other")
    window.ask(
        "edit", name="second", was={"exec": "touch second", "after": ["first"]}, job={"exec": "touch edited", "after": ["first"]}
    )
    until(lambda: jobs_of_run(window)["second"].exec == "touch edited", "its host let go of it")
    assert over(window).state == "done"
    assert Path("edited").exists()
    assert not Path("other").exists()


def test_a_job_is_run_with_those_above_it_that_are_not_done(window: Window) -> None:
    window.ask("run", jobs=["train"])
    assert [*over(window)] == ["fetch", "train"]
    assert window.states == {"fetch": 6, "train": 6, "tell": 0}
    assert window.told["can"] == ["run"]
    window.ask("run", jobs=["train"])
    assert [*over(window)] == ["train"]


def test_some_jobs_are_run_with_those_above_them_and_what_runs_is_not_run_twice(window: Window, here: Path) -> None:
    window.ask("run", jobs=["train", "tell"], new=True)
    assert [*over(window)] == ["fetch", "train", "tell"]
    Workflow(window.file).add("long", exec=GATE)
    (here / "go").unlink()
    window.ask("run", jobs=["long"])
    until(lambda: window.states["long"] == 4, "it runs")
    with pytest.raises(CallError, match="'long' is running in run"):
        window.ask("run", jobs=["long"])
    over(window)


def test_runs_begin_from_a_job_and_with_what_failed(here: Path) -> None:
    workflow = Workflow("fails.yaml")
    workflow.add("first", exec="true")
    workflow.add("second", exec="[ -e there ]", after=["first"])
    workflow.add("third", exec="true", after=["second"])
    window = Window(here / "fails.yaml")
    window.ask("run")
    assert over(window).state == "failed"
    assert window.states == {"first": 6, "second": 7, "third": 9}
    assert window.told["can"] == ["run", "retry"]
    Path("there").touch()
    assert window.ask("retry")["jobs"] == ["second", "third"]
    over(window)
    assert set(window.states.values()) == {6}
    window.ask("run", **{"from": "second"})
    assert [*over(window)] == ["second", "third"]


def test_cancel_stops_what_is_named(going: Window) -> None:
    assert going.ask("cancel", jobs=["first"])["jobs"] == ["first"]
    until(lambda: going.told["ended"], "it is stopped")
    assert going.states == {"first": 8, "second": 9}


def test_a_stack_has_the_state_of_all_its_jobs(swept: Window) -> None:
    Workflow(swept.file).add("train", exec="[ $lr != 0.01 ]", after="fetch", sweep={"lr": [0.1, 0.01, 0.001]})
    swept.ask("run")
    over(swept)
    assert swept.states == {"fetch": 6, "train": 7, "tell": 9}
    assert dict(swept.ask("tip", name="train")["lines"])["jobs"] == "✔ 2 done  ✘ 1 failed"
    swept.ask("expand", group="train", on=True)
    assert swept.states == {"fetch": 6, "train-lr=0.1": 6, "train-lr=0.01": 7, "train-lr=0.001": 6, "tell": 9}


def test_a_tip_tells_how_a_job_stands(going: Window) -> None:
    told = dict(going.ask("tip", name="first")["lines"])
    assert told["state"] == "running, 40 %"
    assert told["when"].startswith("running since 20")
    assert told["host"].startswith("local")
    assert told["metrics"] == "loss=0.5"
    assert "progress=40" in told["log"]
    assert dict(going.ask("tip", name="second")["lines"])["after"] == "first"


def test_a_tip_of_what_was_not_run_tells_what_is_recorded(window: Window) -> None:
    assert window.ask("tip", name="train")["lines"] == [
        ["state", "not run yet"],
        ["host", "local"],
        ["params", "lr=0.1"],
        ["after", "fetch"],
    ]


def test_a_log_is_told_piece_by_piece_to_its_end(going: Window) -> None:
    first = going.ask("log", name="first", stream="out", offset=0)
    assert first["text"].startswith("begun\n")
    assert (first["attempt"], first["attempts"]) == (1, 1)
    assert not first["ended"]
    over(going)
    rest = going.ask("log", name="first", stream="out", offset=first["offset"])
    assert rest["text"] == "over\n"
    assert going.ask("log", name="first", stream="out", offset=rest["offset"])["ended"]


def test_outputs_are_told_with_their_sizes(here: Path) -> None:
    Workflow("out.yaml").add("make", exec="echo 12345 >made.txt", outputs=["made.txt"])
    window = Window(here / "out.yaml")
    window.ask("run")
    over(window)
    assert window.ask("outputs", name="make") == {"files": [["made.txt", 6]]}


# -- the file, as others edit it --------------------------------------------------------------------------------------------
def test_the_eye_tells_of_each_change_and_its_thread_ends_with_the_last_file(here: Path) -> None:
    seen: list[str] = []
    eye = Eye(pause=0.02)
    eye.add(here / "a.yaml", lambda: seen.append("a"))
    eye.add(here / "b.yaml", lambda: seen.append("b"))
    put(here / "a.yaml")
    until(lambda: seen == ["a"], "the change is seen")
    (here / "b.runs").mkdir()
    until(lambda: seen == ["a", "b"], "a new run is seen")
    eye.drop(here / "a.yaml")
    assert eye.open
    eye.drop(here / "b.yaml")
    until(lambda: not eye.open, "nothing is looked at any more")
    until(lambda: "hybridnb files" not in {thread.name for thread in threading.enumerate()}, "the thread ends")


def put(file: Path) -> None:
    """Let there be a workflow's file, whole from the first look on."""
    aside = file.with_suffix(".new")
    aside.write_text("jobs: {}")
    aside.rename(file)


def test_the_eye_goes_on_looking_after_one_who_looked_had_an_accident(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    eye, seen = Eye(pause=0.01), list[str]()

    def stumble() -> None:
        seen.append("a")
        raise RuntimeError("over a stone")

    eye.add(here / "a.yaml", stumble)
    eye.add(here / "b.yaml", lambda: seen.append("b"))
    put(here / "a.yaml")
    until(lambda: seen == ["a"], "the change is seen")
    put(here / "b.yaml")
    until(lambda: seen == ["a", "b"], "a later change is seen")
    assert "over a stone" in caplog.text
    eye.close()
    until(lambda: not eye.open, "nothing is looked at any more")


# -- the widget, in a kernel --------------------------------------------------------------------------------------------------
class Browser:
    """A browser that shows the card of the workflow, and in it the canvas."""

    def __init__(self, kernel: Kernel, *, run: str | None = None, name: str = "a") -> None:
        self.kernel, self.name, self._asked = kernel, name, 0
        self.cards = kernel.comm(TARGET)
        kernel.tell(
            self.cards,
            {"do": "watch", "id": name, "card": {"file": "study.yaml", "job": None, "run": run, "pinned": run is not None}},
        )
        kernel.until(lambda: any("data" in said for said in self.heard), "the card is told")

    @property
    def heard(self) -> list[dict[str, Any]]:
        return [said for said in self.kernel.heard(self.cards) if said.get("id") == self.name]

    @property
    def model(self) -> str:
        return next((str(said["canvas"]) for said in self.heard if "canvas" in said), "")

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        self._asked += 1
        content = {"do": do, "ask": self._asked, **more}
        self.kernel.tell(self.model, {"method": "custom", "content": content, "buffer_paths": []})
        self.kernel.until(lambda: self._answers(), f"an answer to {do}")
        return self._answers()[0]

    def _answers(self) -> list[dict[str, Any]]:
        return [said["content"] for said in self.kernel.heard(self.model) if said.get("content", {}).get("ask") == self._asked]

    def state(self) -> dict[str, Any]:
        """What the model is by now."""
        state: dict[str, Any] = {}
        for message in self.kernel.comms:
            data = message["content"].get("data", {})
            if message["content"]["comm_id"] == self.model and "state" in data:
                state |= data["state"]
                state |= {path[0]: bytes(buffer) for path, buffer in zip(data.get("buffer_paths", []), message["buffers"])}
        return state

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> None:
        self.kernel.until(lambda: condition(self.state()), f"{what}, but {self.state().get('told')}")

    def names(self) -> list[str]:
        return [node[0] for node in json.loads(self.state()["graph_json"])["nodes"]]


@pytest.fixture
def study(kernel: Kernel) -> Kernel:
    kernel.run("%%job local fetch\necho fetch", "c1")
    kernel.run("%%job local train --after fetch\necho train", "c2")
    return kernel


def test_a_kernel_that_no_browser_asks_opens_no_comm(study: Kernel) -> None:
    shown = study.run("import hybridnb\ncanvas = hybridnb.Canvas('study')\ncanvas")
    study.run("%workflow")
    assert "study.yaml" in shown.card.html
    assert "application/vnd.jupyter.widget-view+json" not in shown.card.data
    assert study.comms == []
    assert study.run("canvas._repr_mimebundle_().keys() >= {'text/html'}").value == "True"
    assert study.run("print(repr(canvas))").text == "Canvas('study.yaml', 2 jobs)\n"


def test_a_canvas_brings_the_extension_and_may_begin_a_file(kernels: Callable[..., Kernel]) -> None:
    kernel = kernels("study.ipynb", load=False)
    kernel.run("import hybridnb\nhybridnb.Canvas('fresh.yaml')")
    assert kernel.run("print(repr(hybridnb.Canvas('fresh')))").text == "Canvas('fresh.yaml', 0 jobs)\n"
    assert not kernel.run("%workflow").error


def test_the_card_behind_a_canvas_of_many_jobs_is_not_drawn_at_each_change(study: Kernel) -> None:
    many = "\n".join(f"  j{number}:\n    exec: 'true'" for number in range(300))
    (study.folder / "study.yaml").write_text(f"jobs:\n{many}\n")
    browser, began = Browser(study), time.monotonic()
    browser.ask("run")
    browser.until(lambda state: state["told"]["ended"], "the run ends")
    study.until(lambda: browser.heard[-1]["data"]["application/vnd.hybridnb.card+json"]["ended"], "the card tells the end")
    drawn = [said for said in browser.heard if "data" in said]
    assert len(drawn) <= 4 + (time.monotonic() - began) / 3, "at first, at the run's begin and end, and each three seconds"


def test_the_extension_alone_loads_no_widgets(kernel: Kernel) -> None:
    assert kernel.run("import sys; 'ipycytoscape' in sys.modules").value == "False"


def test_the_first_picture_takes_at_most_five_messages(study: Kernel) -> None:
    browser = Browser(study)
    opened = [message for message in study.comms if message["header"]["msg_type"] == "comm_open"]
    assert len(opened) <= 5
    state = browser.state()
    assert (state["_model_module"], state["_model_name"], state["_view_name"]) == ("hybridnb", "CanvasModel", "CanvasView")
    assert state["cytoscape_layout"] == {"name": "preset"}
    assert browser.names() == ["fetch", "train"]
    assert state["states"] == bytes(2)


def test_two_cards_and_an_object_of_ones_own_show_one_canvas(study: Kernel) -> None:
    study.run("import hybridnb\ncanvas = hybridnb.Canvas('study')")
    first, second = Browser(study), Browser(study, name="b")
    assert first.model == second.model
    assert study.run("canvas.model_id").value == repr(first.model)


def test_edits_by_cells_and_by_hand_appear(study: Kernel) -> None:
    browser = Browser(study)
    study.run("%%job local tell --after train\necho tell", "c3")
    browser.until(lambda state: browser.names() == ["fetch", "train", "tell"], "the cell's job appears")
    file = study.folder / "study.yaml"
    file.write_text(file.read_text().replace("tell:", "say:"))
    browser.until(lambda state: browser.names() == ["fetch", "train", "say"], "the edit by hand appears")


def test_an_edit_is_answered_and_in_the_file(study: Kernel) -> None:
    browser = Browser(study)
    assert browser.ask("add", name="tell", exec="true", after=["train"])["ok"]
    assert browser.names() == ["fetch", "train", "tell"]
    assert list(definition.load(study.folder / "study.yaml").jobs) == ["fetch", "train", "tell"]
    refused = browser.ask("connect", source="tell", target="fetch")
    assert "wait for each other" in refused["error"]
    assert "ok" not in refused
    form = browser.ask("form", name="train")
    assert "study.ipynb" in form["cell"]


def test_a_browser_has_its_answer_also_when_what_is_to_be_shown_cannot_be_told(study: Kernel) -> None:
    browser = Browser(study)
    study.run(
        "import hybridnb\ndef broken(): raise hybridnb.errors.StoreError('gone')\nhybridnb.Canvas('study').desk.facts = broken"
    )
    assert browser.ask("add", name="tell", exec="true")["ok"]
    assert "tell" in definition.load(study.folder / "study.yaml").jobs


def test_a_run_is_followed_to_its_end_with_few_bytes(study: Kernel) -> None:
    browser = Browser(study)
    browser.ask("run")
    browser.until(lambda state: state["told"]["ended"], "the run ends")
    assert browser.state()["states"] == bytes([6, 6])
    graphs = [m for m in study.comms if "graph_json" in m["content"].get("data", {}).get("state", {})]
    assert len(graphs) == 1, "the graph is told once"


def test_after_a_run_of_one_job_the_others_stay_as_they_were(study: Kernel) -> None:
    browser = Browser(study)
    browser.ask("run")
    browser.until(lambda state: state["told"]["ended"], "the run ends")
    first = browser.state()["told"]["run"]
    name = json.loads(browser.state()["graph_json"])["nodes"][0][0]
    browser.ask("run", jobs=[name])
    browser.until(lambda state: state["told"]["run"] != first and state["told"]["ended"], "one job is run again")
    assert browser.state()["states"] == bytes([6, 6])
    assert browser.state()["told"]["counts"] == {"done": 2}


def test_a_job_that_was_renamed_on_a_canvas_is_still_its_cells_also_after_undo(study: Kernel) -> None:
    study.run("%%job local late\ntrue", "c9")
    browser = Browser(study)
    browser.ask("rename", old="late", new="later")
    file = study.folder / "study.yaml"
    assert not study.run("%%job local late\ntrue", "c9").error
    assert "later" not in definition.load(file).jobs
    browser.ask("rename", old="late", new="later")
    browser.ask("undo")
    assert not study.run("%%job local other\ntrue", "c9").error
    assert not {"late", "later"} & definition.load(file).jobs.keys()


def test_a_card_of_a_job_that_was_deleted_says_so(study: Kernel) -> None:
    cell = study.run("%%job local late\ntrue", "c9")
    assert "not run yet" in cell.card.text
    assert Browser(study).ask("remove", jobs=["late"])["ok"]
    cell.until(lambda cell: "late is not in study.yaml any more" in cell.card.text, "the card says so")


def test_a_run_from_elsewhere_appears(study: Kernel) -> None:
    browser = Browser(study)
    Workflow(study.folder / "study.yaml").run(wait=True)
    browser.until(lambda state: state["told"]["ended"], "the run appears and ends")


def test_the_card_of_an_old_run_has_no_canvas(study: Kernel) -> None:
    study.run("r = %workflow run --wait")
    study.run("s = %workflow run --wait --new")
    old, new = (study.run(f"print({name}.id)").streams["stdout"].strip() for name in "rs")
    assert not Browser(study, run=old).model
    assert Browser(study, run=new, name="b").model


def test_when_no_browser_looks_any_more_nothing_is_looked_at(study: Kernel) -> None:
    browser = Browser(study)
    threads = "import threading; 'hybridnb files' in {thread.name for thread in threading.enumerate()}"
    assert study.run(threads).value == "True"
    study.tell(browser.cards, {"do": "forget", "id": "a"})
    study.until(lambda: study.run(threads).value == "False", "the thread ends")


def test_a_browser_that_comes_back_finds_everything_as_it_is_now(study: Kernel) -> None:
    model = Browser(study).model
    study.run("%workflow add tell --exec true --after train")
    again = Browser(study, name="b")
    assert again.model == model
    again.until(lambda state: again.names() == ["fetch", "train", "tell"], "it is up to date")


# -- without the extension ----------------------------------------------------------------------------------------------------
PLAIN = "import hybridnb\nplain = hybridnb.Canvas('study').plain()"


def test_a_plain_canvas_is_made_of_few_messages_and_its_colours_follow_by_one(study: Kernel) -> None:
    study.run(PLAIN)
    assert study.run("type(plain).__module__, len(plain.graph.nodes), len(plain.graph.edges)").value == (
        "('ipycytoscape.cytoscape', 2, 1)"
    )
    assert len(study.comms) < 20
    model = study.run("plain.model_id").value.strip("'")
    before = len(study.heard(model))
    study.run("r = %workflow run --wait")
    styles = [said["state"]["cytoscape_style"] for said in study.heard(model)[before:]]
    study.until(lambda: styled(study, model).get("#n0,#n1") == "#e0f5ed", "both are of the colour of done")
    assert styles, "the run is followed"
    assert all(said["method"] == "update" for said in study.heard(model))


def styled(kernel: Kernel, model: str) -> dict[str, str]:
    """The colours by the nodes that have them."""
    rules = kernel.heard(model)[-1]["state"].get("cytoscape_style", [])
    return {rule["selector"]: rule["style"].get("background-color", "") for rule in rules}


def test_a_plain_canvas_has_names_as_data_only(study: Kernel) -> None:
    study.run(PLAIN)
    assert study.run("plain.graph.nodes[0].data['label'], plain.tooltip_source").value == "('fetch', '')"


def test_more_than_a_plain_canvas_can_show_is_shown_as_a_card_that_says_so(study: Kernel) -> None:
    many = "\n".join(f"  j{number}:\n    exec: 'true'" for number in range(301))
    (study.folder / "study.yaml").write_text(f"jobs:\n{many}\n")
    shown = study.run(PLAIN + "\nprint(plain)")
    assert "None" in shown.text
    assert "301 nodes are too many for a plain canvas (at most 300)" in shown.card.text
    assert study.comms == []


def test_vs_code_shows_a_plain_canvas_to_those_who_want_it(study: Kernel) -> None:
    study.run("__vsc_ipynb_file__ = 'study.ipynb'")
    study.run("%workflow")
    assert study.comms == []
    study.run("%config Hybridnb.widget = True")
    shown = study.run("%workflow")
    assert "application/vnd.jupyter.widget-view+json" in shown.card.data
    assert "text/html" in shown.shown[0].data
