"""What sbatch takes as resources is taken, and what it cannot mean is told with what is meant instead."""

from __future__ import annotations

import pytest

from hybridnb.resources import about_gpus, about_mem, about_option, about_time, wrong_options


@pytest.mark.parametrize("text", ["0", "90", "10:30", "1:99", "1:30:00", "2-12", "2-12:30", "2-12:30:00", "UNLIMITED", "infinite"])
def test_every_time_that_sbatch_takes_is_one(text: str) -> None:
    assert about_time(text) == ""


@pytest.mark.parametrize("text", ["abc", "1h", "1.5", "1:2:3:4", "-1:00", "1-1-1", " 30", "1:", "３０"])
def test_what_sbatch_takes_for_no_time_is_refused(text: str) -> None:
    assert f"not '{text}'" in about_time(text)


@pytest.mark.parametrize("text", ["0", "4000", "4G", "4g", "4GB", "4gb", "512K", "1T"])
def test_every_size_that_sbatch_takes_is_one(text: str) -> None:
    assert about_mem(text) == ""


@pytest.mark.parametrize("text", ["lots", "4.5G", "4P", "4GiB", "-1", "4B", "4 G", "1e3"])
def test_what_sbatch_takes_for_no_size_is_refused(text: str) -> None:
    assert f"not '{text}'" in about_mem(text)


@pytest.mark.parametrize("text", ["0", "2", "a100:2", "a100:1,v100:1", "nvidia_a100-sxm4:8", "1,a100:1"])
def test_gpus_are_numbers_also_of_several_kinds(text: str) -> None:
    assert about_gpus(text) == ""


@pytest.mark.parametrize("text", ["-1", "a100:", "a100:many", "a100:1:2", "1.5", ",", "a b:1", "2 "])
def test_gpus_without_a_number_are_refused(text: str) -> None:
    assert f"not '{text}'" in about_gpus(text)


def test_a_kind_of_gpu_alone_is_told_with_its_number() -> None:
    assert about_gpus("a100").endswith("not 'a100'; one of that kind is a100:1")


@pytest.mark.parametrize(
    "options",
    [["--exclusive"], ["-C gpu"], ["-C", "gpu"], ["--constraint", "gpu"], ["--nice=-3", "-H"], ["--nice", "-3"], ["--comment=a b"]],
    ids=" ".join,
)
def test_options_are_taken_as_sbatch_spells_them(options: list[str]) -> None:
    assert list(wrong_options(options)) == []


@pytest.mark.parametrize(
    ("options", "number", "told"),
    [
        (["foo"], 0, "with its dashes, such as --exclusive, not 'foo'"),
        (["--nice=3", "foo"], 1, "not 'foo'"),
        (["-C", "gpu", "foo"], 2, "not 'foo'"),
        (["--"], 0, "not '--'"),
        (["--hold", "--gres gpu:1"], 1, "--gres=gpu:1, not '--gres gpu:1'"),
        (["--array=1-3"], 0, "the option --array=1-3 cannot be used: hybridnb makes arrays and waits for jobs itself"),
        (["--hold", "-W"], 1, "the option -W cannot be used"),
    ],
)
def test_what_is_no_option_is_told_with_its_number(options: list[str], number: int, told: str) -> None:
    ((found, message),) = wrong_options(options)
    assert found == number
    assert told in message


def test_an_option_that_only_looks_like_one_of_ours_is_taken() -> None:
    assert about_option("--wait-all-nodes=1") == ""
