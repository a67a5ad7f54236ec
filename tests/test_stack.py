"""Pictures show a group as one stack, which sums up its jobs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnb import graph
from hybridnb.drawing import Look, arrange, dot, draw, mermaid, stack
from hybridnb.drawing.look import STYLES
from hybridnb.engine import Engine
from hybridnb.model import Dependency, Job, Kind, Workflow
from hybridnb.sweep import expand


def job(name: str, *after: str, group: str = "", host: str = "local", sweep: Mapping[str, tuple[int, ...]] | None = None) -> Job:
    edges = tuple(map(Dependency.parse, after))
    return Job(name, script="true", host=host, after=edges, group=group, sweep=sweep or {})


def study(values: int = 8) -> Workflow:
    jobs = [job("fetch"), job("train", "fetch", host="far", sweep={"lr": tuple(range(values))}), job("report", "train:any")]
    return Workflow.of("study", jobs)


def grouped(**states: int) -> tuple[Workflow, dict[str, Look]]:
    """A group of jobs, so many in each state."""
    names = [f"{state}{n}" for state, many in states.items() for n in range(many)]
    looks = {name: Look(name.rstrip("0123456789")) for name in names}
    return Workflow.of("w", [job(name, group="all") for name in names]), looks


def edges(workflow: Workflow) -> dict[str, list[str]]:
    return {name: list(map(str, job.after)) for name, job in workflow.jobs.items()}


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.encode())


def boxes(svg: str) -> dict[str, ElementTree.Element]:
    """The drawn jobs, by their names."""
    groups = parse(svg).iter("{http://www.w3.org/2000/svg}g")
    found = [g for g in groups if (g.get("class") or "").startswith("job ")]
    return {next(t.text or "" for t in g if t.get("class") == "name"): g for g in found}


def words(box: ElementTree.Element, kind: str) -> list[str]:
    return [element.text or "" for element in box if (element.get("class") or "").split()[:1] == [kind]]


def sheets(box: ElementTree.Element) -> int:
    return len([element for element in box if element.get("class") == "box"])


def test_a_group_becomes_one_job_in_the_place_of_its_first() -> None:
    shown = stack(expand(study()))
    assert edges(shown.workflow) == {"fetch": [], "train": ["fetch"], "report": ["train:any"]}
    assert (shown.workflow["train"].host, shown.sizes) == ("far", {"train": 8})
    assert shown.members["train"][7] == "train-lr=7"


def test_a_sweep_that_is_not_expanded_is_a_stack_already() -> None:
    shown = stack(study())
    assert (shown.workflow, shown.sizes) == (study(), {"train": 8})
    assert stack(study(1)).sizes == {}


def test_a_workflow_without_groups_is_shown_as_it_is() -> None:
    workflow = Workflow.of("w", [job("a"), job("b", "a", group="alone")])
    shown = stack(workflow, {"a": Look("done"), "gone": Look("lost")})
    assert (shown.workflow, shown.sizes, shown.looks) == (workflow, {}, {"a": Look("done")})


def test_a_group_that_would_wait_for_itself_is_shown_job_by_job() -> None:
    jobs = [job("a", group="g"), job("b", "a"), job("c", "b", group="g"), job("x", group="h"), job("y", "x", group="h")]
    shown = stack(Workflow.of("w", jobs))
    assert edges(shown.workflow) == {"a": [], "b": ["a"], "c": ["b"], "h": []}


def test_groups_that_would_wait_for_each_other_are_shown_job_by_job() -> None:
    jobs = [job("a1", group="a"), job("b1", "a1", group="b"), job("b2", group="b"), job("a2", "b2", group="a")]
    workflow = Workflow.of("w", jobs)
    assert stack(workflow).workflow.jobs == workflow.jobs


def test_edges_of_several_kinds_are_shown_as_the_usual_one() -> None:
    shown = stack(Workflow.of("w", [job("a", group="g"), job("b", group="g"), job("c", "a:any", "b:failed")]))
    assert shown.workflow["c"].after == (Dependency("g", Kind.OK),)


def test_a_group_on_several_hosts_says_how_many() -> None:
    jobs = [job("a", group="g", host="one"), job("b", group="g", host="two")]
    assert stack(Workflow.of("w", jobs)).workflow["g"].host == "2 hosts"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_shown_never_holds_a_cycle_and_every_job_is_in_it_once(seed: int) -> None:
    chance = random.Random(seed)
    jobs: list[Job] = []
    for n in range(chance.randint(1, 12)):
        above = chance.sample([j.name for j in jobs], min(len(jobs), chance.randint(0, 3)))
        jobs.append(job(f"j{n}", *above, group=chance.choice(["", "g", "h", "i"])))
    shown = stack(Workflow.of("w", jobs))
    assert graph.cycle(shown.workflow.parents()) is None
    found = [name for word in shown.workflow.jobs for name in shown.members.get(word, (word,))]
    assert sorted(found) == sorted(j.name for j in jobs)


@pytest.mark.parametrize(
    ("states", "state", "progress", "detail"),
    [
        ({"waiting": 3}, "waiting", None, ""),
        ({"queued": 2, "submitting": 1}, "queued", None, "1 submitting, 2 queued"),
        ({"waiting": 1, "running": 2, "done": 5}, "running", 62.5, "5 done, 2 running, 1 waiting"),
        ({"waiting": 1, "done": 1}, "running", 50, "1 done, 1 waiting"),
        ({"failed": 1, "running": 3}, "running", 25, "1 failed, 3 running"),
        ({"lost": 1, "done": 1}, "failed", None, "1 done, 1 lost"),
        ({"cancelling": 1, "running": 1}, "cancelling", None, "1 cancelling, 1 running"),
        ({"cancelled": 1, "done": 1, "skipped": 1}, "cancelled", None, "1 done, 1 cancelled, 1 skipped"),
        ({"done": 2, "skipped": 1}, "done", None, "2 done, 1 skipped"),
        ({"done": 4}, "done", None, ""),
        ({"skipped": 2}, "skipped", None, ""),
    ],
)
def test_a_stack_sums_up_how_its_jobs_stand(states: dict[str, int], state: str, progress: float | None, detail: str) -> None:
    assert stack(*grouped(**states)).looks == {"all": Look(state, progress=progress, detail=detail)}


@given(st.lists(st.sampled_from(list(STYLES)), min_size=2, max_size=6))
def test_every_mixture_of_states_has_a_look(states: list[str]) -> None:
    workflow = Workflow.of("w", [job(f"j{n}", group="all") for n in range(len(states))])
    assert stack(workflow, {f"j{n}": Look(state) for n, state in enumerate(states)}).looks["all"].state in STYLES


def test_a_stack_stands_where_a_person_put_it_or_its_first_job() -> None:
    jobs = [job("a", group="g"), job("b", group="g")]
    for layout in ({"g": (5.0, 6.0), "a": (1.0, 1.0)}, {"b": (5.0, 6.0)}):
        assert stack(Workflow.of("w", jobs, layout=layout)).workflow.layout == {"g": (5.0, 6.0)}


# -- pictures -------------------------------------------------------------------------------------------------------------
def test_a_stack_is_drawn_with_two_sheets_behind_it_and_how_many_it_holds() -> None:
    for workflow in (study(), expand(study())):
        drawn = boxes(draw(workflow))
        assert list(drawn) == ["fetch", "train", "report"]
        assert {name: (sheets(box), words(box, "times")) for name, box in drawn.items()} == {
            "fetch": (1, []),
            "train": (3, ["×8"]),
            "report": (1, []),
        }


def test_a_stack_in_a_dense_picture_says_how_many_beside_its_name() -> None:
    jobs = [*(job(f"alone{n}") for n in range(301)), job("train", host="far", sweep={"v": (1, 2)})]
    assert words(boxes(draw(Workflow.of("w", jobs)))["train"], "times") == ["×2"]


def test_a_picture_with_stacks_tells_the_jobs_and_how_they_stand() -> None:
    workflow = expand(study(20))
    looks = {name: Look("done" if n < 8 else "running") for n, name in enumerate(workflow.jobs)}
    svg = draw(workflow, looks)
    title = parse(svg).find("{http://www.w3.org/2000/svg}desc")
    assert title is not None
    assert title.text == "Workflow study: 22 jobs, 40 edges; 14 running, 8 done; train ×20: 7 done, 13 running"
    box = boxes(svg)["train"]
    about = next(element.text for element in box if element.tag.endswith("title"))
    assert about is not None
    assert about.startswith("train · running · 7 done, 13 running · 35% · on far · 20 jobs: train-lr=0, train-lr=1, ")
    assert about.endswith("train-lr=11, …")
    assert [e.text for e in parse(svg).iter() if e.get("class") == "key"][:2] == ["14 running", "8 done"]


def test_counts_that_need_more_room_lose_the_last_ones() -> None:
    workflow, looks = grouped(done=5, failed=3, waiting=4)
    jobs = [Job(j.name, script="true", host="rivanna-gpu-cluster", group=j.group) for j in workflow.jobs.values()]
    drawn = boxes(draw(Workflow.of("w", jobs), looks))["all"]
    assert words(drawn, "fact") == ["5 done"]


def test_a_picture_can_show_every_job() -> None:
    workflow = expand(study())
    looks = {name: Look("done") for name in workflow.jobs}
    assert len(boxes(draw(workflow, looks, stacked=False))) == 10
    for text, edge in ((dot(workflow, looks, stacked=False), " -> "), (mermaid(workflow, looks, stacked=False), ">")):
        assert "×" not in text and text.count("train-lr") >= 8
        assert edge in text


def test_a_layout_of_the_stacks_can_be_arranged_before() -> None:
    workflow = expand(study())
    shown = stack(workflow).workflow
    assert draw(workflow, layout=arrange(shown.parents())) == draw(workflow)


def test_texts_for_other_programs_show_stacks_as_well() -> None:
    workflow = expand(study())
    looks = {name: Look("done") for name in workflow.jobs}
    text = dot(workflow, looks)
    assert '"train" [label="train ×8\\ndone\\non far", color="#007d5f", fillcolor="#e0f5ed", peripheries=2];' in text
    assert (text.count(" -> "), '"fetch" -> "train";' in text) == (2, True)
    lines = mermaid(workflow, looks).splitlines()
    assert '  j1[["train #215;8<br>done<br>on far"]]:::done' in lines
    assert "  j1 -. any .-> j2" in lines


def test_the_picture_of_a_run_shows_stacks(tmp_path: Path) -> None:
    engine = Engine()
    try:
        flow = Workflow.of("w", [job("first"), job("all", "first", sweep={"v": (1, 2, 3)})], layout={"all": (300.0, 0.0)})
        store = engine.create(expand(flow), tmp_path / "w.yaml", variables={})
        assert engine.until_idle(timeout=60)
    finally:
        engine.close()
    svg = (store.folder / "graph.svg").read_text()
    assert {name: re.split(" ", box.get("class") or "")[1] for name, box in boxes(svg).items()} == {"first": "done", "all": "done"}
    assert ">×3<" in svg


def test_a_large_sweep_is_stacked_quickly() -> None:
    workflow = expand(study(10_000))
    looks = {name: Look("done") for name in workflow.jobs}
    began = time.process_time()
    svg = draw(workflow, looks)
    assert time.process_time() - began < 1
    assert len(svg) < 10_000
