"""Progress lines: what is read from them, and what is not one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridnb.journal import flow
from hybridnb.progress import Metric, Progress, scan


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("# hybridnb progress=40", 40),
        ("# hybridnb progress=50.5", 50.5),
        ("# hybridnb progress=100%", 100),
        ("# hybridnb progress=.5", 0.5),
        ("# hybridnb progress=5e1", 50),
        ("# hybridnb progress=+7", 7),
        ("# hybridnb progress=40, loss=0.3", 40),
        ('# hybridnb progress="40"', 40),
        ("#hybridnb progress=40", 40),
        ("#\thybridnb\tprogress=40\tloss=1", 40),
        ("#   hybridnb    loss=1   progress=40   ", 40),
        ("2026-11-22 10:15:00 INFO [train] # hybridnb progress=40", 40),
        ("\x1b[32m# hybridnb progress=40 \x1b[0m", 40),
        ("# cloudmesh status=running progress=40 pid=4711", 40),
        ("# cloudmesh status=done progress=100 pid=4711 time='2022-08-05 16:29:40.228901'", 100),
        ("# hybridnb progress=140", 100),
        ("# hybridnb progress=-3", 0),
        ("# hybridnb progress=1e999", 100),
        ("# hybridnb progress=" + "9" * 5000, 100),
        ("# hybridnb progress=10 progress=20", 20),
    ],
)
def test_percent_done_is_read_tolerantly(line: str, percent: float) -> None:
    assert scan(line.encode()).percent == percent


@pytest.mark.parametrize(
    "line",
    [
        "hybridnb progress=40",
        "# progress=40",
        "# hybridnbs progress=40",
        "# myhybridnb progress=40",
        "# hybridnb: progress=40",
        "# hybridnbprogress=40",
        "# hybridnb\nprogress=40",
        "# Hybridnb progress=40",
        "installed hybridnb # then progress=40",
        "import hybridnb; progress=40",
        "https://example.org/#hybridnb/progress=40",
        "# hybridnb progress",
        "# hybridnb progress =40",
        "",
    ],
)
def test_what_is_no_progress_line_tells_nothing(line: str) -> None:
    assert not scan(line.encode())


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "forty", "40x", "0%%", "0x10", "1_000", "--3", "1/2"])
def test_a_percent_that_is_no_number_leaves_the_one_before(value: str) -> None:
    assert scan(f"# hybridnb progress=30\n# hybridnb progress={value}\n".encode()).percent == 30
    assert scan(f"# hybridnb progress={value}".encode()).percent is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("007", 7),
        ("0.31", 0.31),
        ("1e-7", 1e-7),
        ("5.", 5.0),
        ("123456789012345678", 123456789012345678.0),
        ("nan", "nan"),
        ("inf", "inf"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        ('"two words"', "two words"),
        ('"0.5"', 0.5),
        ('""', ""),
        ('"open', '"open'),
        ("50%", "50%"),
        ("a=b", "a=b"),
        ("http://x/?progress=3", "http://x/?progress=3"),
        ("1:30:00", "1:30:00"),
        ("x" * 1000, "x" * 200),
        ("9" * 1000, "9" * 200),
        ("naïve☃", "naïve☃"),
    ],
)
def test_a_metric_is_a_number_if_it_is_a_finite_one_and_else_a_text(text: str, value: Metric) -> None:
    found = scan(f"# hybridnb m={text}".encode())
    assert found == Progress(None, {"m": value})
    assert type(found.metrics["m"]) is type(value)


def test_several_metrics_of_a_line_are_read_and_the_last_word_of_each_name_counts() -> None:
    log = b"# hybridnb progress=10 loss=0.5, epoch=1\nnoise\n# hybridnb progress=20 loss=0.25; lr.head=1 top-1=2 _x=3\n"
    assert scan(log) == Progress(20, {"loss": 0.25, "epoch": 1, "lr.head": 1, "top-1": 2, "_x": 3})


def test_what_cloudmesh_says_of_state_process_and_time_is_left_aside() -> None:
    assert scan(b"# cloudmesh status=failed progress=40 pid=4711 time=now host=r2d2") == Progress(40, {"host": "r2d2"})


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_way_also_as_a_progress_bar_draws_them(end: bytes) -> None:
    log = end.join([b" 10%|#   | # hybridnb progress=10 loss=3", b"# hybridnb progress=20 loss=2", b"# hybridnb progress=30"])
    assert scan(log) == Progress(30, {"loss": 2})


def test_bytes_that_are_no_utf_8_do_no_harm() -> None:
    assert scan(b"\xff\xfe\n# hybridnb progress=40 note=caf\xe9 loss=1\n\x00\x80") == Progress(40, {"note": "caf�", "loss": 1})


def test_names_are_cut_as_values_are() -> None:
    assert list(scan(b"# hybridnb " + b"n" * 5000 + b"=1").metrics) == ["n" * 200]


def test_a_large_log_without_progress_is_passed_over_at_once() -> None:
    assert not scan(b"# " * 2_000_000)
    assert scan(b"# " * 1_000_000 + b"\n# hybridnb progress=1\n" + b"#" * 1_000_000).percent == 1


def test_later_news_goes_over_earlier_and_leaves_what_it_does_not_tell() -> None:
    assert Progress(10, {"a": 1, "b": 1}).then(Progress(None, {"b": 2})) == Progress(10, {"a": 1, "b": 2})
    assert Progress(10).then(Progress(0)) == Progress(0)


def test_nothing_told_is_false_and_zero_percent_is_not_nothing() -> None:
    assert not Progress()
    assert Progress(0.0)
    assert Progress(None, {"a": 0})


@given(st.binary(max_size=200))
def test_whatever_a_log_holds_the_journal_can_hold_what_is_read(noise: bytes) -> None:
    found = scan(b"# hybridnb progress=" + noise + b" m=" + noise + b"\n# cloudmesh " + noise)
    assert found.percent is None or 0 <= found.percent <= 100
    assert json.loads(flow(found.metrics)) == found.metrics
