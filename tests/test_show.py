"""Runs as text: what fits, what is left out, and what may not reach a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from hybridnb import show
from hybridnb.run import State
from hybridnb.show import Screen

HEAD = {
    "workflow": "digits",
    "run": "2026-11-22-1015-k3f9",
    "created_at": "2026-11-22T10:15:00.000Z",
    "ended_at": "2026-11-22T10:15:42.500Z",
}


def status(state: str, **known: Any) -> dict[str, Any]:
    fields = ("exit_code", "native_id", "submitted_at", "started_at", "ended_at", "progress", "log")
    return {"state": state, "host": "local", "attempt": 1, "reason": "", "metrics": {}, **dict.fromkeys(fields), **known}


def drawn(jobs: Mapping[str, dict[str, Any]], screen: Screen, **how: Any) -> list[str]:
    return show.picture(HEAD, {name: job["state"] for name, job in jobs.items()}, jobs.__getitem__, screen, **how)


def bare(line: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", line)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.84, "0.8 s"), (42.9, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (273600, "3 d 4 h")],
)
def test_a_span_is_told_in_the_units_that_a_person_would_use(seconds: float, text: str) -> None:
    assert show.span(seconds) == text


def test_every_state_has_a_sign_of_its_own_in_unicode_and_in_ascii() -> None:
    assert set(show.SIGNS) == {state.value for state in State}
    assert len({sign.symbol for sign in show.SIGNS.values()}) == len({sign.ascii for sign in show.SIGNS.values()}) == len(State)
    assert all(sign.ascii.isascii() for sign in show.SIGNS.values())


@pytest.mark.parametrize("text", ["short", "x" * 200, "数据" * 60, "é" * 90, "e\u0301" * 90])
@pytest.mark.parametrize("width", [0, 1, 2, 12, 79])
def test_what_is_fitted_is_never_wider_than_its_room(text: str, width: int) -> None:
    assert show.columns(show.fit(text, width)) <= width


def test_a_name_that_is_too_long_keeps_both_its_ends() -> None:
    assert show.fit("train-with-all-the-data-fold-0042", 16) == "train-wi…ld-0042"


def test_a_terminal_is_not_sent_control_characters_that_a_job_wrote() -> None:
    jobs = {"a": status("failed", reason="\x1b]0;title\x07 \x1b[2J", metrics={"m": "\r\x9b31m\u202egnp"})}
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", "".join(drawn(jobs, Screen(80, 24))))


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "\x1b[1;38;5;196mre\x1b[Kd", "\x1b]0;title\x07red", "\x1b(Bred\x1b7"])
def test_colours_and_titles_leave_nothing_behind(text: str) -> None:
    assert show.plain(text) == "red"


@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("body", [show.live, show.table])
def test_a_thousand_jobs_fit_a_screen_and_show_what_fails_and_what_runs(width: int, body: Any) -> None:
    jobs = {f"fold-{i:04}": status("done" if i < 500 else "queued") for i in range(1000)}
    jobs["fold-0007"] = status("failed", reason="exit code 3")
    jobs["fold-0500"] = status("running", progress=40.0, metrics={"loss": 0.31})
    lines = [bare(line) for line in drawn(jobs, Screen(width, 24, colour=True), body=body)]
    assert len(lines) <= 23
    assert max(map(show.columns, lines)) <= width
    text = "\n".join(lines)
    assert "fold-0007" in text
    assert "fold-0500" in text
    assert "500/1000" in text
    assert "and 998 more jobs" in text


def test_many_failures_leave_room_for_what_runs() -> None:
    states = {**{f"f{i}": "failed" for i in range(100)}, **{f"r{i}": "running" for i in range(4)}, "w": "waiting"}
    chosen = show.pressing(states, 10)
    assert len(chosen) == 10
    assert {"r0", "r1", "r2", "r3"} <= set(chosen)


def test_a_pipe_is_given_every_job_at_full_width_without_colours() -> None:
    name = "a" * 100
    jobs = {name: status("done"), **{f"j{i}": status("waiting") for i in range(200)}}
    text = "\n".join(drawn(jobs, Screen(), body=show.table))
    assert name in text
    assert "j199" in text
    assert "\x1b" not in text


def test_a_state_is_told_by_a_word_and_a_symbol_and_not_by_colour_alone() -> None:
    (line,) = [line for line in drawn({"a": status("failed")}, Screen(80, 24)) if line.startswith("✘ failed  a")]
    assert "\x1b" not in line


def test_progress_is_a_bar_with_its_percent_and_metrics() -> None:
    line = drawn({"a": status("running", progress=50.0, metrics={"loss": 0.31, "epoch": 3})}, Screen(100, 24))[-1]
    assert line.endswith(" 50% ━━━━━━━━────────  loss=0.31 epoch=3")


def test_a_narrow_screen_keeps_the_percent_of_the_progress() -> None:
    jobs = {"a-long-name-of-a-job": status("running", progress=50.0, metrics={"loss": 0.31})}
    assert " 50% ━━━" in drawn(jobs, Screen(50, 24))[-1]


def test_a_screen_without_unicode_gets_ascii() -> None:
    jobs = {"a": status("running", progress=50.0), "b": status("done")}
    assert "\n".join(drawn(jobs, Screen(80, 24, unicode=False))).isascii()


def test_a_narrow_screen_drops_columns_and_keeps_state_and_job() -> None:
    jobs = {"train": status("failed", exit_code=3, started_at=HEAD["created_at"], ended_at=HEAD["ended_at"])}
    wide, narrow = (drawn(jobs, Screen(width, 24), body=show.table)[4] for width in (120, 30))
    assert wide.split() == ["state", "job", "host", "attempt", "exit", "started", "ended", "elapsed"]
    assert narrow.split()[:2] == ["state", "job"]
    assert "ended" not in narrow


def test_a_workflow_without_jobs_is_shown_too() -> None:
    assert "0/0" in "\n".join(drawn({}, Screen(80, 24)))


# -- hosts ----------------------------------------------------------------------------------------------------------------
def test_hosts_are_listed_with_their_addresses_and_problems() -> None:
    told: dict[str, dict[str, Any]] = {
        "local": {"transport": "local", "scheduler": "process", "slots": 6, "problem": ""},
        "rivanna": {
            "transport": "ssh",
            "scheduler": "slurm",
            "address": "rivanna.hpc.virginia.edu",
            "problem": "cannot be reached",
        },
    }
    head, local, far = show.hosts(told, Screen())
    assert head.split() == ["host", "transport", "scheduler", "address", "slots"]
    assert local.split() == ["local", "local", "process", "6"]
    assert far.split("  ")[-1].strip() == "cannot be reached"
    assert "rivanna.hpc.virginia.edu" in far


@pytest.mark.parametrize("width", [20, 40, 79])
@pytest.mark.parametrize("text", ["short", "word " * 60, "x" * 300, "数据" * 60])
def test_a_long_problem_is_folded_and_nothing_of_its_words_is_lost(width: int, text: str) -> None:
    lines = show.folded(text, width)
    assert all(show.columns(line) <= width for line in lines)
    if text.startswith("word"):
        assert " ".join(" ".join(lines).split()) == text.strip()


def test_notes_below_a_run_take_their_room_from_the_jobs() -> None:
    jobs = {f"j{i}": status("running") for i in range(40)}
    lines = drawn(jobs, Screen(60, 24), notes=["far: " + "cannot be reached " * 8])
    assert len(lines) <= 24
    assert lines[-1].strip().endswith("reached")


def test_a_host_is_named_once_in_its_trouble() -> None:
    assert show.trouble("far", "host 'far' does not answer") == "host 'far' does not answer"
    assert show.trouble("far", "waits for an answer") == "far: waits for an answer"
