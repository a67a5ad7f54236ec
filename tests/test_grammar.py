"""What a workflow file may say is read, and everything that is wrong is told at once with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybridnb.definition import load, parse
from hybridnb.errors import DefinitionError
from hybridnb.model import Dependency, Job, Kind, Resources

DIGITS = """\
name: digits
jobs:
  fetch:
    script: |
      #!/bin/sh
      echo "hi"  # é
    outputs: [data.csv]
  train:
    host: rivanna
    after: [fetch, prepare:any]
    inputs: data.csv
    params: {lr: 0.1, eps: 1e-4, on: yes, clock: 1:30, day: 2024-01-01, list: [1, {a: ~}], text: "1"}
    env: {PATH: /bin, FLAG: yes, MODE: 010, EMPTY: }
    resources: {time: 1:00:00, gpus: 1, cpus: 4, mem: 4G, sbatch: --exclusive}
    retries: 2
    timeout: 1:30:00
    script: train.py
  prepare: echo prepare
  count: {exec: [wc, -l, data.csv], after: fetch, host: ~}
layout: {fetch: [0, 1.5], gone: [1, 1]}
"""


def told(text: str, **where: Any) -> list[tuple[int, int, str]]:
    with pytest.raises(DefinitionError) as error:
        parse(text, **where)
    return [(p.line, p.column, p.message) for p in error.value.problems]


def test_everything_that_a_file_can_say_is_read() -> None:
    workflow = parse(DIGITS)
    train = workflow["train"]
    assert (workflow.name, list(workflow.jobs)) == ("digits", ["fetch", "train", "prepare", "count"])
    assert workflow["fetch"].script == '#!/bin/sh\necho "hi"  # é\n'
    assert (train.host, train.script, train.retries, train.timeout) == ("rivanna", "train.py", 2, 5400.0)
    assert train.after == (Dependency("fetch"), Dependency("prepare", Kind.ANY))
    assert (train.inputs, workflow["fetch"].outputs) == (("data.csv",), ("data.csv",))
    assert train.resources == Resources(time="1:00:00", gpus="1", cpus_per_task=4, mem="4G", sbatch=("--exclusive",))
    assert workflow["prepare"] == Job("prepare", script="echo prepare")
    assert workflow["count"] == Job("count", exec=("wc", "-l", "data.csv"), after=(Dependency("fetch"),))
    assert workflow.layout == {"fetch": (0.0, 1.5)}


def test_unquoted_params_mean_what_people_mean() -> None:
    params = parse(DIGITS)["train"].params
    assert params == {
        "lr": 0.1,
        "eps": 0.0001,
        "on": True,
        "clock": "1:30",
        "day": "2024-01-01",
        "list": [1, {"a": None}],
        "text": "1",
    }
    assert isinstance(params["eps"], float)


def test_environment_variables_are_texts_as_they_are_written() -> None:
    assert parse(DIGITS)["train"].env == {"PATH": "/bin", "FLAG": "yes", "MODE": "010", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("1.5 h", 5400),
        ("1d", 86400),
        ("1:00:00", 3600),
        ("10:30", 630),
        ("'2h'", 7200),
    ],
)
def test_a_timeout_is_seconds_or_a_time_with_its_unit(text: str, seconds: float) -> None:
    assert parse(f"jobs: {{a: {{script: x, timeout: {text}}}}}")["a"].timeout == seconds


def test_the_file_names_a_workflow_that_has_no_name() -> None:
    assert parse("jobs: {}", file="sub/digits.yaml").name == "digits"
    assert parse("jobs: {}").name == "workflow"
    assert "the file's name is taken" in told("jobs: {}", file="my digits.yaml")[0][2]


A = "jobs:\n  a:\n    script: x\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 0, 0, "the file is empty"),
        ("# nothing\n", 0, 0, "the file is empty"),
        ("[1, 2]", 1, 1, "a workflow file: expected a mapping, not a list"),
        ("hello", 1, 1, "a workflow file: expected a mapping, not a text"),
        ("name: x", 1, 1, "'jobs' is missing"),
        ("jobs: 3", 1, 7, "jobs: expected a mapping, not a number"),
        ("job: {}\njobs: {}", 1, 1, "'job' is not a field of a workflow file; did you mean 'jobs'? (known: name, jobs, layout)"),
        ("name: [a]\njobs: {}", 1, 7, "name: expected a text, not a list"),
        ("name: a b\njobs: {}", 1, 7, "the workflow name 'a b' cannot be used"),
        (A + "    hots: y\n", 4, 5, "'hots' is not a field of job 'a'; did you mean 'host'? (known: host, script, exec"),
        (A + "    script: y\n", 4, 5, "'script' is defined twice in job 'a', first in line 3"),
        (A + "  a: y\n", 4, 3, "'a' is defined twice in jobs, first in line 2"),
        (A + "  A: y\n", 4, 3, "the jobs 'a' and 'A' differ by upper and lower case only"),
        (A + "  ../b: y\n", 4, 3, "the job name '../b' cannot be used"),
        (A + "  '': y\n", 4, 3, "a job needs a name"),
        (A + f"  {'n' * 300}: y\n", 4, 3, "is too long: 300 characters, at most 100"),
        (A + '  "$(x)": y\n', 4, 3, "the job name '$(x)' cannot be used"),
        (A + "  ? [b]\n  : y\n", 4, 5, "jobs: a key is a text, not a list"),
        (A + "    exec: y\n", 4, 5, "job 'a' has both a script and an exec"),
        (A + "  b: {}\n", 4, 3, "job 'b' has nothing to run"),
        (A + "  b:\n", 4, 3, "job 'b' has nothing to run"),
        (A + "  b: {scirpt: y}\n", 4, 7, "'scirpt' is not a field of job 'b'; did you mean 'script'?"),
        (A + "  b: {exec: ~}\n", 4, 3, "job 'b' has nothing to run"),
        (A + "  b: [y]\n", 4, 6, "job 'b': expected a mapping, not a list"),
        (A + "  b: {script: ''}\n", 4, 15, "script of job 'b': nothing is written here"),
        (A + "  b: {script: [y]}\n", 4, 15, "script of job 'b': expected a text, not a list"),
        (A + '  b: {script: "\\0"}\n', 4, 15, "a text cannot hold the character NUL"),
        (A + "  b: {exec: []}\n", 4, 13, "exec of job 'b': nothing is written here"),
        (A + "  b: {exec: {c: d}}\n", 4, 13, "exec of job 'b': expected a list of words, not a mapping"),
        (A + "    host: a b\n", 4, 11, "host of job 'a': expected one word, without spaces, not 'a b'"),
        (A + "    host:\n", 4, 10, "host of job 'a': nothing is written here"),
        (A + "    after: [trian]\n  train: y\n", 4, 13, "job 'trian' is not defined; did you mean 'train'?"),
        (A + "    after: [b:fail]\n  b: y\n", 4, 13, "after the colon comes one of ok, any, failed, not 'fail'"),
        (A + "    after: [b: any]\n  b: y\n", 4, 13, "write job:any without a space after the colon"),
        (A + "    after: {b: any}\n  b: y\n", 4, 12, "after of job 'a': expected a list of jobs, not a mapping"),
        (A + "    after: [b, b:any]\n  b: y\n", 4, 16, "job 'a' waits for 'b' more than once"),
        (A + "    after: a\n", 4, 12, "a job cannot wait for itself: a -> a"),
        (A + "    inputs: 5\n", 4, 13, "inputs of job 'a': expected a list of file names, not a number"),
        (A + "    inputs: true\n", 4, 13, "inputs of job 'a': expected a list of file names, not true"),
        (A + "    outputs: {}\n", 4, 14, "outputs of job 'a': expected a list of file names, not a mapping"),
        (A + '    outputs: [b, "c\\nd"]\n', 4, 18, "outputs of job 'a': a file name has one line, not 'c\\nd'"),
        (A + "    outputs: [b, [c]]\n", 4, 18, "outputs of job 'a': expected a text, not a list"),
        (A + "    retries: -1\n", 4, 14, "retries of job 'a': expected 0 or more, not -1"),
        (A + "    retries: 1.5\n", 4, 14, "retries of job 'a': expected a whole number, not '1.5'"),
        (A + "    timeout: -5\n", 4, 14, "timeout of job 'a': expected seconds"),
        (A + "    timeout: 0\n", 4, 14, "timeout of job 'a': expected more than 0 seconds, not 0"),
        (A + "    timeout: 1e999\n", 4, 14, "timeout of job 'a': expected more than 0 seconds, not 1e999"),
        (A + "    timeout: soon\n", 4, 14, "expected seconds, or a time as 90s, 10m, 2h, 1d or 1:30:00, not 'soon'"),
        (A + "    params: [b]\n", 4, 13, "params of job 'a': expected a mapping, not a list"),
        (A + "    params: {a-b: 1}\n", 4, 14, "'a-b' cannot be an environment variable"),
        (A + "    params: {PATH: 1}\n", 4, 14, "'PATH' cannot be a param"),
        (A + "    params: {b: .inf}\n", 4, 17, "b in params of job 'a': .inf is not a number that every language knows"),
        (A + f"    params: {{b: {'9' * 5000}}}\n", 4, 17, "is not a number that every language knows"),
        (A + "    params: {b: {c: 1, c: 2}}\n", 4, 24, "'c' is defined twice in b in params of job 'a', first in line 4"),
        (A + "    env: {1b: c}\n", 4, 11, "'1b' cannot be an environment variable"),
        (A + "    env: {b: [c]}\n", 4, 14, "b in env of job 'a': expected a text, not a list"),
        (
            A + "    resources: {time: 1h}\n",
            4,
            23,
            "expected Slurm's minutes, hours:minutes:seconds or days-hours (90, 1:30:00, 2-12), not '1h'",
        ),
        (A + "    resources: {mem: lots}\n", 4, 22, "mem in resources of job 'a': expected a whole number of megabytes"),
        (A + "    resources: {gpus: -1}\n", 4, 23, "gpus in resources of job 'a': expected a number, or kinds with their numbers"),
        (A + "    resources: {partition: a b}\n", 4, 28, "expected one word, without spaces, not 'a b'"),
        (A + "    resources: {sbatch: [--nice=3, foo bar]}\n", 4, 36, "expected an option as sbatch spells it"),
        (A + "    resources: {sbatch: --array=1-3}\n", 4, 25, "hybridnb makes arrays and waits for jobs itself"),
        (A + "    resources: {cpus: 0}\n", 4, 23, "cpus_per_task in resources of job 'a': expected 1 or more, not 0"),
        (A + "    resources: {cpus: 1, cpus_per_task: 1}\n", 4, 26, "'cpus_per_task' is defined twice"),
        (A + "    resources: {gpu: 1}\n", 4, 17, "'gpu' is not a field of resources of job 'a'; did you mean 'gpus'?"),
        (A + "layout: {a: [1]}\n", 4, 13, "a in layout: expected a place as [x, y], two numbers, not a list"),
        (A + "layout: {a: [1, .nan]}\n", 4, 13, "a in layout: expected a place"),
        (A + "layout: {a: [1, yes]}\n", 4, 13, "a in layout: expected a place"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, line: int, column: int, message: str) -> None:
    problems = told(text)
    assert [problem[:2] for problem in problems] == [(line, column)]
    assert message in problems[0][2]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "nam: x\njobs:\n  b:\n    script: x\n    after: [c, a]\n    hots: y\n  a:\n    script: y\n    after: b\n    retries: no\nlayout: 3\n"
    problems = told(text, file="w.yaml")
    assert [line for line, _, _ in problems] == sorted(line for line, _, _ in problems)
    assert [line for line, _, _ in problems if line not in (5, 9)] == [1, 6, 10, 11]
    assert "job 'c' is not defined ('b' waits for it)" in [message for _, _, message in problems]
    assert sum("wait for each other" in message for _, _, message in problems) == 1


def test_a_cycle_is_told_by_its_path_at_one_of_its_edges() -> None:
    text = "jobs:\n  a: {script: x, after: [c]}\n  b: {script: x, after: [a]}\n  c: {script: x, after: [b]}\n  d: {script: x, after: [a]}\n"
    ((line, column, message),) = told(text)
    path = message.removeprefix("the jobs wait for each other: ").split(" -> ")
    assert path[0] == path[-1]
    assert "".join(path) in "abcabca"
    assert column == 26
    assert line == "abc".index(path[1]) + 2


def test_a_problem_is_shown_with_file_and_line() -> None:
    with pytest.raises(DefinitionError, match=r"^w.yaml:1: 'jobs' is missing"):
        parse("name: x", file="w.yaml")


def test_a_script_file_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    text = "jobs:\n  a: {script: train.py}\n  b: trian.py\n  c: sub/x.sh\n"
    assert told(text, folder=tmp_path) == [
        (3, 6, f"script of job 'b': there is no file 'trian.py' in {tmp_path}; did you mean 'train.py'?"),
        (4, 6, f"script of job 'c': there is no file 'sub/x.sh' in {tmp_path}"),
    ]
    assert parse(text)["b"].file == "trian.py"
    path = tmp_path / "w.yaml"
    path.write_text("jobs: {a: train.py}")
    assert load(path)["a"].file == "train.py"
