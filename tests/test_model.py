"""Definitions that cannot mean anything cannot be made, and one is made of another without changing it."""

from __future__ import annotations

from typing import Any

import pytest

from hybridnb.errors import DefinitionError, NotFound
from hybridnb.model import Dependency, Job, Kind, Resources, Workflow, about_name, about_variable, is_path


def job(name: str, *after: str, **fields: Any) -> Job:
    return Job(name, script="true", after=tuple(map(Dependency.parse, after)), **fields)


def problems(error: pytest.ExceptionInfo[DefinitionError]) -> list[str]:
    return [problem.message for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "kind"), [("train", Kind.OK), ("train:ok", Kind.OK), ("train:any", Kind.ANY), ("train:failed", Kind.FAILED)]
)
def test_an_edge_says_which_end_it_waits_for(text: str, kind: Kind) -> None:
    assert Dependency.parse(text) == Dependency("train", kind)
    assert Dependency.parse(str(Dependency("train", kind))) == Dependency("train", kind)


@pytest.mark.parametrize(("text", "told"), [("a:fail", "did you mean 'failed'"), ("a:", "not ''"), ("a:any:any", "not 'any:any'")])
def test_another_kind_of_edge_is_refused(text: str, told: str) -> None:
    with pytest.raises(DefinitionError, match="after the colon comes one of ok, any, failed") as error:
        Dependency.parse(text)
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["a", "_a", "train-2", "lr=0.1", "a@b", "größe", "数据", "1", "x" * 100, "a.b+c"])
def test_names_that_are_safe_as_files_are_names(name: str) -> None:
    assert about_name(name) is None


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\n", "\na", "../x", ".", "..", "-rf", "a/b", "a\\b", "$(x)", "`x`", "a'b", 'a"b', "a:b", "x" * 101]
)
def test_names_that_could_be_a_path_or_a_command_are_refused(name: str) -> None:
    assert about_name(name)
    with pytest.raises(DefinitionError):
        Job(name, script="true")


def test_a_name_too_long_for_a_file_is_refused_by_its_bytes() -> None:
    assert about_name("数" * 67)
    assert not about_name("数" * 66)


@pytest.mark.parametrize("name", ["1a", "a-b", "", "a b", "é", "A=B", "a\n"])
def test_what_is_no_variable_is_refused(name: str) -> None:
    assert about_variable(name)
    with pytest.raises(DefinitionError, match="environment variable"):
        job("a", env={name: "1"})


def test_a_param_may_not_replace_what_the_shell_lives_by_but_env_may() -> None:
    with pytest.raises(DefinitionError, match="'PATH' cannot be a param"):
        job("a", params={"PATH": "/bin"})
    assert job("a", env={"PATH": "/bin"}).env == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "job 'a' needs either a script or an exec"),
        ({"script": "x", "exec": "y"}, "job 'a' needs either a script or an exec"),
        ({"script": ""}, "its script is empty"),
        ({"exec": ()}, "its exec is empty"),
        ({"script": "x", "retries": -1}, "retries are 0 or more"),
        ({"script": "x", "timeout": 0}, "more than 0 seconds"),
        ({"script": "x", "timeout": float("inf")}, "more than 0 seconds"),
        ({"script": "x", "timeout": float("nan")}, "more than 0 seconds"),
    ],
)
def test_a_job_that_cannot_mean_anything_cannot_be_made(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError) as error:
        Job("a", **fields)
    assert told in str(error.value)


def test_everything_that_is_wrong_with_a_job_is_told_at_once() -> None:
    with pytest.raises(DefinitionError) as error:
        Job("a b", params={"x y": 1}, env={"1": ""}, retries=-1)
    assert len(problems(error)) == 5


@pytest.mark.parametrize("script", ["a.sh", "sub/a.py", "nb.ipynb", " a.py\n", "/abs/a.sh", "~/a.sh"])
def test_one_word_that_ends_as_a_script_does_is_a_path(script: str) -> None:
    assert is_path(script)
    assert Job("a", script=script).file == script.strip()


@pytest.mark.parametrize("script", ["echo hi", "python a.py", "#!a.sh", "a.py\nb.py", "x|a.sh", "$A.sh", "a.txt", "a;b.sh"])
def test_everything_else_is_a_script(script: str) -> None:
    assert not is_path(script)
    assert Job("a", script=script).file is None


def test_a_command_has_no_file() -> None:
    assert Job("a", exec="a.sh").file is None


def test_definitions_are_compared_by_what_they_say() -> None:
    assert job("a", resources=Resources(gpus="1")) == job("a", resources=Resources(gpus="1")) != job("a")


def test_an_unknown_parent_is_told_with_the_nearest_name() -> None:
    with pytest.raises(DefinitionError) as error:
        Workflow.of("w", [job("train"), job("test", "trian")])
    assert problems(error) == ["job 'trian' is not defined; did you mean 'train'? ('test' waits for it)"]


def test_a_cycle_is_told_by_its_path() -> None:
    with pytest.raises(DefinitionError) as error:
        Workflow.of("w", [job("a", "b"), job("b", "a:any"), job("c", "c")])
    assert problems(error)[0] in ("the jobs wait for each other: a -> b -> a", "the jobs wait for each other: b -> a -> b")
    assert problems(error)[1:] == ["a job cannot wait for itself: c -> c"]


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ([job("a"), job("a")], "two jobs have the name 'a'"),
        ([job("a"), job("A")], "the jobs 'a' and 'A' differ by upper and lower case only"),
        ([job("a"), job("b", "a", "a:any")], "job 'b' waits for 'a' more than once"),
    ],
)
def test_jobs_that_cannot_live_together_are_refused(jobs: list[Job], told: str) -> None:
    with pytest.raises(DefinitionError) as error:
        Workflow.of("w", jobs)
    assert problems(error) == [told]


def test_the_workflow_has_a_name_too() -> None:
    with pytest.raises(DefinitionError, match="the workflow name 'a b' cannot be used"):
        Workflow("a b")


def test_a_place_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(DefinitionError, match="layout: 'a'"):
        Workflow.of("w", [job("a")], layout={"a": (float("nan"), 0.0)})


def test_asking_for_a_job_that_is_not_there_points_to_the_nearest() -> None:
    with pytest.raises(NotFound, match="workflow 'w' has no job 'trian'; did you mean 'train'"):
        Workflow.of("w", [job("train")])["trian"]


def test_a_job_is_added_or_put_in_the_place_of_the_old_one() -> None:
    one = Workflow.of("w", [job("a"), job("b", "a")])
    two = one.with_job(job("a", host="far")).with_job(job("c", "b"))
    assert list(two.jobs) == ["a", "b", "c"]
    assert two["a"].host == "far"
    assert (one["a"].host, list(one.jobs)) == ("local", ["a", "b"])


def test_without_a_job_its_edges_and_its_place_are_gone() -> None:
    one = Workflow.of("w", [job("a"), job("b", "a"), job("c", "a", "b")], layout={"a": (0, 0), "b": (1, 1)})
    two = one.without("a")
    assert two.parents() == {"b": (), "c": ("b",)}
    assert two.layout == {"b": (1, 1)}
    with pytest.raises(NotFound):
        one.without("x")


def test_only_some_jobs_keep_the_edges_among_them() -> None:
    one = Workflow.of("w", [job("a"), job("b", "a"), job("c", "a", "b")], layout={"a": (0, 0), "b": (1, 1)})
    assert one.only(["c", "b"]).parents() == {"b": (), "c": ("b",)}
    assert one.only(["b"]).layout == {"b": (1, 1)}
    with pytest.raises(NotFound):
        one.only(["x"])


def test_a_job_that_waits_for_very_many_is_checked_in_no_time() -> None:
    many = [job(f"n{i}") for i in range(5_000)]
    last = Job("last", script="true", after=tuple(Dependency(j.name) for j in many))
    assert len(Workflow.of("w", [*many, last])["last"].parents) == 5_000
