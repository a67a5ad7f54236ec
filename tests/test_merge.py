"""What two people changed in one job is put together, or told when it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from hybridnb.errors import Conflict
from hybridnb.merge import merge

BASE = {
    "host": "rivanna",
    "after": ["fetch"],
    "resources": {"time": "60", "gpus": "1"},
    "params": {"lr": 0.1, "depth": 3},
    "env": {"MODE": "a"},
    "inputs": ["data.csv"],
    "script": "train.py",
}


def changed(**fields: Any) -> dict[str, Any]:
    """Return the base with other values; None takes a key away."""
    return {key: value for key, value in {**BASE, **fields}.items() if value is not None}


def merged(mine: dict[str, Any], theirs: dict[str, Any], *, base: dict[str, Any] | None = BASE) -> dict[str, Any]:
    return merge(base, mine, theirs, name="train", file="digits.yaml")


ONE_SIDED: list[dict[str, Any]] = [
    {"host": "local2"},
    {"host": None},
    {"retries": 2},
    {"after": ["fetch", "prepare:any"]},
    {"after": None},
    {"script": None, "exec": ["ls"]},
    {"params": {"lr": 0.2, "depth": 3}},
    {"params": {"lr": 0.1, "depth": True}},
    {"params": {"lr": 0.1}},
    {"params": None},
    {"params": {"lr": 0.1, "depth": 3, "seed": {"a": [1]}}},
    {"resources": {"time": "60", "gpus": "1", "mem": "4G"}},
    {"env": {"MODE": "a", "script": "x", "params": "y"}},
    {"sweep": {"seed": [1, 2]}},
]


@pytest.mark.parametrize("fields", ONE_SIDED)
def test_what_one_side_changed_is_taken_from_it(fields: dict[str, Any]) -> None:
    assert merged(changed(**fields), BASE) == changed(**fields)
    assert merged(BASE, changed(**fields)) == changed(**fields)


@pytest.mark.parametrize("fields", ONE_SIDED)
def test_what_both_changed_to_the_same_is_taken(fields: dict[str, Any]) -> None:
    assert merged(changed(**fields), changed(**fields)) == changed(**fields)


def test_changes_of_different_keys_and_entries_are_put_together() -> None:
    mine = changed(host="far", params={"lr": 0.2, "depth": 3, "seed": 1}, env=None)
    theirs = changed(retries=2, params={"lr": 0.1, "layers": 5}, resources={"time": "90", "gpus": "1"})
    assert merged(mine, theirs) == {
        "host": "far",
        "after": ["fetch"],
        "resources": {"time": "90", "gpus": "1"},
        "params": {"lr": 0.2, "layers": 5, "seed": 1},
        "inputs": ["data.csv"],
        "script": "train.py",
        "retries": 2,
    }


def test_the_file_s_order_is_kept_and_what_is_new_comes_last() -> None:
    assert list(merged({"retries": 1, **BASE}, BASE)) == [*BASE, "retries"]


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        ({"host": "a"}, {"host": "b"}, 'host is "a" in the cell, "b" in the file'),
        ({"host": None}, {"host": "b"}, 'host is not given in the cell, "b" in the file'),
        ({"host": "a"}, {"host": None}, 'host is "a" in the cell, not given in the file'),
        ({"retries": 1}, {"retries": 2}, "retries is 1 in the cell, 2 in the file"),
        ({"retries": 1}, {"retries": True}, "retries is 1 in the cell, true in the file"),
        ({"inputs": ["a"]}, {"inputs": ["data.csv", "b"]}, 'inputs is ["a"] in the cell, ["data.csv", "b"] in the file'),
        ({"params": {"lr": 1}}, {"params": {"lr": 2, "depth": 3}}, "params.lr is 1 in the cell, 2 in the file"),
        ({"params": None}, {"params": {"lr": 2, "depth": 3}}, "params.lr is not given in the cell, 2 in the file"),
        ({"sweep": {"s": [1, 2]}}, {"sweep": {"s": [1, 3]}}, "sweep.s is [1, 2] in the cell, [1, 3] in the file"),
        ({"script": None, "exec": "ls"}, {"script": "other.py"}, 'script is not given in the cell, "other.py" in the file'),
        (
            {"script": "#!/bin/sh\nset -e\necho one two three four\npython train.py --epochs 10\n"},
            {"script": "#!/bin/sh\nset -e\necho one two three four\npython train.py --epochs 20 --seed 3 --and so on\n"},
            'script is … --epochs 10\\n" in the cell, … --epochs 20 --seed 3 --and so on\\n" in the file',
        ),
    ],
)
def test_what_both_changed_to_different_values_is_told(mine: dict[str, Any], theirs: dict[str, Any], told: str) -> None:
    with pytest.raises(Conflict) as error:
        merged(changed(**mine), changed(**theirs))
    assert told in str(error.value)


def test_a_conflict_names_the_job_the_file_every_key_and_the_next_step() -> None:
    with pytest.raises(Conflict) as error:
        merged(changed(host="a", params={"lr": 1, "depth": 3}, retries=1), changed(host="b", params={"lr": 2, "depth": 4}))
    assert str(error.value) == (
        "job 'train' was changed both in this cell and in digits.yaml since the cell was run last: "
        'host is "a" in the cell, "b" in the file; params.lr is 1 in the cell, 2 in the file. '
        "Run the cell with --replace to take its version, or bring the file's into the cell"
    )


def test_without_a_base_the_cell_s_keys_count_and_what_only_the_file_has_stays() -> None:
    mine = {"host": "far", "params": {"lr": 1, "script": 2}, "script": "x"}
    theirs = {"host": "near", "params": {"lr": 2, "depth": 3, "exec": 1}, "retries": 2, "script": "y"}
    expected = {"host": "far", "params": {"lr": 1, "depth": 3, "exec": 1, "script": 2}, "retries": 2, "script": "x"}
    assert merged(mine, theirs, base=None) == expected
    assert merged(mine, {}, base=None) == mine
    assert merged(mine, mine, base=None) == mine


def test_without_a_base_the_cell_says_what_runs() -> None:
    assert merged({"script": "x"}, {"exec": ["ls"], "host": "far"}, base=None) == {"script": "x", "host": "far"}
    assert merged({"exec": ["ls"]}, {"script": "x"}, base=None) == {"exec": ["ls"]}


def test_the_data_that_are_merged_are_not_touched() -> None:
    mine, theirs = changed(params={"lr": 1, "depth": 3}), changed(params={"lr": 0.1, "depth": 5})
    copies = changed(params={"lr": 1, "depth": 3}), changed(params={"lr": 0.1, "depth": 5})
    merged(mine, theirs)["params"]["new"] = 1
    assert (mine, theirs) == copies
