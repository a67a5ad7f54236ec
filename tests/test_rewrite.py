"""A changed workflow is recorded in the text that a person wrote, and only what changed is written anew."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridnb import definition, rewrite
from hybridnb.definition import dump, parse, save, to_mapping
from hybridnb.model import Dependency, Job, Kind, Resources, Workflow

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
LINES = st.lists(
    st.sampled_from(["echo hi", "", " ", "  x", "\ty", "# no comment", "a: b", "- c", "'q'", '"', "é ", "\\", "|", "..."])
).map("\n".join)
SCRIPTS = st.one_of(TEXT, LINES, LINES.map(lambda text: text + "\n")).filter(str.strip)
WORDS = st.one_of(
    TEXT, st.sampled_from(["yes", "1:00:00", "1e-4", "010", "~", "null", "1", "=", "<<", "&a", "*a", "!x", "a: b", "a #b"])
)
DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS, LINES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=5,
)
FILES = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30), max_size=4).map(tuple)
RESOURCES = st.builds(
    Resources,
    time=st.sampled_from([None, "60", "1:00:00", "2-12"]),
    nodes=st.sampled_from([None, 2]),
    gpus=st.sampled_from([None, "1", "01", "a100:2"]),
    sbatch=st.sampled_from([(), ("--exclusive",), ("--comment=a: b", "-x 'n1'")]),
)
NAMES = ["fetch", "train", "on", "1", "größe"]
VARIABLES = st.sampled_from(["lr", "n", "y", "DEBUG", "_x"])
GROUPS = st.sampled_from(["", "some", "others"]).map(lambda group: {"group": group})
CHOICES = st.lists(
    WORDS.filter(lambda text: not re.search("[\r\n]", text)) | st.integers() | st.booleans() | st.none(), min_size=1, max_size=3
)
SWEEPS = st.dictionaries(
    st.sampled_from(["rate", "no"]), CHOICES.map(lambda found: tuple(v for _, v in dict.fromkeys((type(v), v) for v in found)))
).map(lambda sweep: {"sweep": sweep})


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    jobs = []
    for i, name in enumerate(names):
        above = draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
        run: dict[str, Any] = (
            {"script": draw(SCRIPTS)} if draw(st.booleans()) else {"exec": draw(st.sampled_from(["ls -l", ("ls", "-l x")]))}
        )
        jobs.append(
            Job(
                name,
                **run,
                host=draw(st.sampled_from(["local", "rivanna"])),
                after=tuple(Dependency(parent, draw(st.sampled_from(Kind))) for parent in above),
                resources=draw(RESOURCES),
                params=draw(st.dictionaries(VARIABLES, DATA, max_size=3)),
                env=draw(st.dictionaries(VARIABLES, WORDS, max_size=3)),
                **draw(st.one_of(GROUPS, SWEEPS)),
                inputs=draw(FILES),
                outputs=draw(FILES),
                retries=draw(st.integers(0, 2)),
                timeout=draw(st.one_of(st.none(), st.floats(1e-6, 1e18))),
            )
        )
    places = (
        draw(st.dictionaries(st.sampled_from(names), st.tuples(st.floats(-1e6, 1e6), st.integers(-9, 9).map(float))))
        if names
        else {}
    )
    return Workflow.of(draw(st.sampled_from(["w", "digits-2"])), jobs, layout=places)


def same(one: Workflow, other: Workflow) -> bool:
    """Are they equal, with 1 and True apart?"""
    jobs = ({name: to_mapping(job) for name, job in w.jobs.items()} for w in (one, other))
    return one == other and rewrite.alike(*jobs)


def decorated(text: str) -> str:
    """Add the comments and blank lines that a person might; script lines are indented by 6 and more, so they stay."""
    out = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and indent <= 4 and not line.startswith("jobs:"):
            out += ["\n"] * (number % 3 == 0) + [" " * indent + f"# note {number}\n"] * (number % 2)
        if re.match(r"    (host|retries|timeout|after): ", line):
            out.append(line.rstrip("\n") + "  # why\n")
        else:
            out.append(line)
    return "".join(out)


def test_blank_lines_of_what_is_removed_do_not_become_those_of_a_text_above_that_keeps_them() -> None:
    text = "jobs:\n  a: |+\n    kept\n\n  b:\n    script: |\n      echo b\n\n\n  c: echo c\n"
    workflow = parse(text)
    assert parse(definition.recorded(workflow.without("b"), text)) == workflow.without("b")
    assert parse(definition.recorded(workflow.without("b").without("c"), text)) == workflow.without("b").without("c")


@given(workflows())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_dumped_is_read_as_it_was(workflow: Workflow) -> None:
    assert same(parse(dump(workflow)), workflow)
    assert list(parse(dump(workflow)).jobs) == list(workflow.jobs)


@given(workflows(), workflows(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_workflow_can_be_recorded_in_the_file_of_any_other(old: Workflow, new: Workflow, notes: bool, windows: bool) -> None:
    text = decorated(dump(old)) if notes else dump(old)
    assert same(parse(text), old)
    after = definition.recorded(new, text.replace("\n", "\r\n" if windows else "\n"), file="w.yaml")
    assert same(parse(after), new), after
    assert ("\r\n" in after) == windows
    for name, job in new.jobs.items():
        if name in old.jobs and rewrite.alike(to_mapping(old[name]), to_mapping(job)):
            assert own(text, name) in after.replace("\r\n", "\n")
    assert definition.recorded(new, after, file="w.yaml") == after


def own(text: str, name: str) -> str:
    """Return a job's own lines, without the comments that may belong to the next."""
    key = dump(Workflow.of("w", [Job(name, script="x")])).splitlines()[2]
    found = re.search(rf"^{re.escape(key)}\n((    .*)?\n)*", text[text.index("jobs:") :], re.M)
    assert found
    return re.sub(r"(\n *#.*|\n *)*\Z", "", found[0])


DIGITS = """\
# The digits experiment.
name: digits   # short

jobs:
  # Where the data come from.
  fetch:
    host: local        # no queue there
    script: |
      #!/bin/sh
      # a comment of the script

      curl -O data.csv
    outputs: [data.csv]   # 3 MB

  # The long one.
  train:
    host: rivanna
    after: [fetch]
    # found by a sweep
    params:
      lr: 0.1    # not more
      # layers
      depth: 3
    resources: {time: 1:00:00, gpus: 1}   # a100
    script: train.py

  report: {after: [train], script: 'echo done'}   # tiny

layout:
  fetch: [0, 0]
  train: [0, 100.5]   # below
"""


def recorded(tmp_path: Path, change: Any, text: str = DIGITS) -> list[str]:
    """Save a change of a file and return what it did: '-' lines that are gone, '+' lines that are new."""
    import difflib

    path = tmp_path / "digits.yaml"
    path.write_text(text)
    new = change(parse(text, file=str(path)))
    save(new, path)
    assert same(parse(path.read_text(), file=str(path)), new)
    lines = difflib.ndiff(text.splitlines(), path.read_text().splitlines())
    return [line for line in lines if line[0] in "+-"]


def with_(**fields: Any) -> Any:
    """Return a change of the job `train`, or of another `job`."""
    name = fields.pop("job", "train")
    return lambda workflow: workflow.with_job(replace(workflow[name], **fields))


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (with_(host="local2"), ["-     host: rivanna", "+     host: local2"]),
        (with_(job="fetch", host="far"), ["-     host: local        # no queue there", "+     host: far        # no queue there"]),
        (with_(params={"lr": 0.2, "depth": 3}), ["-       lr: 0.1    # not more", "+       lr: 0.2    # not more"]),
        (with_(params={"lr": 0.1}), ["-       # layers", "-       depth: 3"]),
        (with_(params={"lr": 0.1, "depth": 3, "on": [1]}), ['+       "on": [1]']),
        (with_(params={"lr": 0.1, "depth": True}), ["-       depth: 3", "+       depth: true"]),
        (with_(after=()), ["-     after: [fetch]"]),
        (with_(after=(Dependency("fetch", Kind.ANY),)), ["-     after: [fetch]", "+     after: [fetch:any]"]),
        (with_(retries=2), ["+     retries: 2"]),
        (with_(timeout=600.0), ["+     timeout: 600"]),
        (
            with_(resources=Resources(time="2:00:00", gpus="1")),
            ["-     resources: {time: 1:00:00, gpus: 1}   # a100", '+     resources: {time: "2:00:00", gpus: 1}   # a100'],
        ),
        (
            with_(resources=Resources(gpus="1", mem="4G")),
            ["-     resources: {time: 1:00:00, gpus: 1}   # a100", "+     resources: # a100", "+       gpus: 1", "+       mem: 4G"],
        ),
        (with_(script="a\nb\n"), ["-     script: train.py", "+     script: |", "+       a", "+       b"]),
        (
            with_(job="fetch", script="#!/bin/sh\n# a comment of the script\n\ncurl -O x\n"),
            ["-       curl -O data.csv", "+       curl -O x"],
        ),
        (with_(job="fetch", outputs=("a", "b c")), ["-     outputs: [data.csv]   # 3 MB", "+     outputs: [a, b c]   # 3 MB"]),
        (
            with_(job="report", script="true story"),
            [
                "-   report: {after: [train], script: 'echo done'}   # tiny",
                "+   report: {after: [train], script: true story}   # tiny",
            ],
        ),
        (
            with_(job="report", retries=1),
            [
                "-   report: {after: [train], script: 'echo done'}   # tiny",
                "+   report: # tiny",
                "+     after: [train]",
                "+     retries: 1",
                "+     script: echo done",
            ],
        ),
        (lambda w: w.with_job(Job("end", exec=("ls", "-l"))), ["+ ", "+   end:", "+     exec: [ls, -l]"]),
        (lambda w: replace(w, name="letters"), ["- name: digits   # short", "+ name: letters   # short"]),
        (
            lambda w: replace(w, layout={**w.layout, "train": (5, 6)}),
            ["-   train: [0, 100.5]   # below", "+   train: [5, 6]   # below"],
        ),
        (lambda w: replace(w, layout={**w.layout, "report": (5, 6.5)}), ["+   report: [5, 6.5]"]),
        (
            lambda w: w.without("report"),
            ["- ", "-   report: {after: [train], script: 'echo done'}   # tiny"],
        ),
        (lambda w: replace(w, layout={}), ["- layout:", "-   fetch: [0, 0]", "-   train: [0, 100.5]   # below", "- "]),
    ],
)
def test_a_change_writes_only_its_own_lines(tmp_path: Path, change: Any, lines: list[str]) -> None:
    assert sorted(line.rstrip() for line in recorded(tmp_path, change)) == sorted(line.rstrip() for line in lines)


def test_a_removed_job_takes_its_comment_and_its_edges_along(tmp_path: Path) -> None:
    recorded(tmp_path, lambda workflow: workflow.without("fetch"))
    text = (tmp_path / "digits.yaml").read_text()
    head = "# The digits experiment.\nname: digits   # short\n\njobs:\n  # The long one.\n  train:\n    host: rivanna\n    # found by a sweep\n"
    assert text.startswith(head)
    assert text.endswith("\nlayout:\n  train: [0, 100.5]   # below\n")
    assert "fetch" not in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("jobs:\n  train: x\n", "jobs:\n  train:\n    host: far\n    script: x\n"),
        ("jobs:\n  train:\n    host:   here  # h\n    script: x", "jobs:\n  train:\n    host: far  # h\n    script: x\n"),
        ("jobs: {train: {script: x, host: here}}\n", "jobs:\n  train:\n    host: far\n    script: x\n"),
        ("{name: digits, jobs: {train: x}}", "name: digits\njobs:\n  train:\n    host: far\n    script: x\n"),
        ("? jobs\n: train: x\n", "name: digits\njobs:\n  train:\n    host: far\n    script: x\n"),
        (
            "jobs:\n    train:\n        script: x\n        host: ''\n".replace("''", "~"),
            "jobs:\n    train:\n        script: x\n        host: far\n",
        ),
        (
            "jobs:\n  train:\n    script: >-\n      folded\n      text\n\n\n# end\n",
            "jobs:\n  train:\n    host: far\n    script: >-\n      folded\n      text\n\n\n# end\n",
        ),
        (
            "---\njobs:\n  train:\n    exec: |+\n      x\n\n...\n",
            "---\njobs:\n  train:\n    host: far\n    exec: |+\n      x\n\n...\n",
        ),
        ("\ufeffjobs:\n  train: x\n", "\ufeffjobs:\n  train:\n    host: far\n    script: x\n"),
        ("jobs:\n  train:\n    # \u2028\n    script: x\n", "name: digits\njobs:\n  train:\n    host: far\n    script: x\n"),
    ],
)
def test_every_way_to_write_a_file_can_be_changed(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(text, encoding="utf-8")
    new = with_(host="far")(parse(text, file=str(path)))
    save(new, path)
    assert path.read_text(encoding="utf-8") == told
    assert same(parse(told, file=str(path)), new)


def test_comments_within_a_list_stay_when_one_is_added_or_removed(tmp_path: Path) -> None:
    text = "jobs:\n  train:\n    script: x\n    inputs:\n      - a  # first\n      # the second\n      - b\n      - c  # third\n"
    new = with_(inputs=("a", "c", "d e"))
    assert recorded(tmp_path, new, text) == ["-       # the second", "-       - b", "+       - d e"]


def test_what_is_commented_out_stays_with_its_job_and_is_never_swallowed_by_a_script(tmp_path: Path) -> None:
    text = "jobs:\n  train:\n    script: x\n      # deep\n    # retries: 2\n\n    # env: {}\n  # the next\n  b: y\n"
    added = recorded(tmp_path, lambda workflow: workflow.with_job(Job("c", script="a\nb\n")), text)
    assert added == ["+   c:", "+     script: |", "+       a", "+       b"]
    assert recorded(tmp_path, with_(script="a\nb\n"), text) == ["-     script: x", '+     script: "a\\nb\\n"']
    assert recorded(tmp_path, lambda workflow: workflow.without("train"), text) == ["- " + line for line in text.splitlines()[1:7]]
    text = text.replace("b: y\n", "b: {script: y}\n      # deep\n")
    new = recorded(tmp_path, lambda workflow: workflow.with_job(Job("b", script="a\nb\n")), text)
    assert new == ["-   b: {script: y}", "+   b:", "+     script: |", "+       a", "+       b"]


@pytest.mark.parametrize(("value", "line"), [([True], "+       k: [true]"), ("1", '+       k: "1"'), ([1.0], "+       k: [1.0]")])
def test_one_and_what_only_equals_it_are_not_the_same(tmp_path: Path, value: Any, line: str) -> None:
    text = "jobs:\n  train:\n    script: x\n    params:\n      k:\n        - 1\n"
    changed = recorded(tmp_path, with_(params={"k": value}), text)
    assert sorted(changed) == [line, "-         - 1", "-       k:"]


def test_a_list_in_another_order_is_written_anew(tmp_path: Path) -> None:
    text = "jobs:\n  train:\n    script: x\n    inputs:\n      - a\n      - b\n"
    assert "+     inputs: [b, a]" in recorded(tmp_path, with_(inputs=("b", "a")), text)


def test_places_of_jobs_that_are_gone_go_with_the_next_change(tmp_path: Path) -> None:
    text = "jobs:\n  train: x\nlayout:\n  old: [1, 2]\n  train: [3, 4]\n"
    gone = recorded(tmp_path, with_(script="y"), text)
    assert "-   old: [1, 2]" in gone
    assert not any("train: [3, 4]" in line for line in gone)


def test_the_last_job_can_be_removed_and_another_added(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    save(Workflow.of("w", [Job("a", script="x")]), path)
    save(Workflow("w"), path)
    assert path.read_text() == "name: w\njobs: {}\n"
    save(Workflow.of("w", [Job("b", script="y")]), path)
    assert path.read_text() == "name: w\njobs:\n  b:\n    script: y\n"


def test_a_long_list_takes_a_line_for_each_item() -> None:
    lines = rewrite.block({"a": ["x" * 60, "y" * 60]})
    assert lines == ["a:", f"  - {'x' * 60}", f"  - {'y' * 60}"]
    assert rewrite.block({"a": ["x", [1], {"b": None}]}) == ["a: [x, [1], {b: null}]"]


def test_a_removed_first_entry_leaves_the_blank_line_below_its_job(tmp_path: Path) -> None:
    text = "jobs:\n  a:\n    script: x\n\n  b: y\n"
    changed = recorded(tmp_path, lambda workflow: workflow.with_job(Job("a", exec="ls")), text)
    assert changed == ["-     script: x", "+     exec: ls"]


def test_blank_lines_that_a_script_keeps_are_not_put_below_it(tmp_path: Path) -> None:
    text = "jobs:\n  a: x\n\n  b: |+\n    kept\n"
    assert recorded(tmp_path, lambda workflow: workflow.with_job(Job("c", exec="ls")), text) == ["+   c:", "+     exec: ls"]


@pytest.mark.parametrize("change", [with_(host="far"), lambda workflow: workflow.with_job(Job("b", script="y"))])
def test_a_script_at_the_end_is_the_same_with_and_without_a_last_newline(tmp_path: Path, change: Any) -> None:
    text = "jobs:\n  train:\n    script: |\n      echo"
    assert parse(text) == parse(text + "\n")
    recorded(tmp_path, change, text)
