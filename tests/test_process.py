"""The dialect of plain hosts, as tables: what is written to the runner, how its words are read."""

from __future__ import annotations

import pytest

from hybridnb.hosts import process
from hybridnb.hosts.attempts import Submission
from hybridnb.hosts.process import Said
from hybridnb.model import Dependency, Job, Kind
from hybridnb.run import State


def submission(*, retries: int = 0, after: tuple[tuple[str, Dependency], ...] = (), folder: str = "/d/jobs/a") -> Submission:
    job = Job("a", script="true", retries=retries)
    return Submission(
        run="2026-11-22-1015-k3f9", job=job, number=7, attempt=2, token="t", folder=folder, script="true\n", after=after
    )


KEY = "2026_11_22_1015_k3f9_7_2"
AFTER = (("r_1_1", Dependency("x")), ("r_2_1", Dependency("y", Kind.ANY)), ("r_3_4", Dependency("z", Kind.FAILED)))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (process.add(submission(), backoff=1), f"add {KEY} 2 0 1 - /d/jobs/a/\n"),
        (process.add(submission(retries=3), backoff=5), f"add {KEY} 2 3 5 - /d/jobs/a/\n"),
        (process.add(submission(after=AFTER), backoff=1), f"add {KEY} 2 0 1 r_1_1:ok,r_2_1:any,r_3_4:failed /d/jobs/a/\n"),
        (process.add(submission(folder="/d e/it's "), backoff=1), f"add {KEY} 2 0 1 - /d e/it's /\n"),
        (process.cancel("k", grace=10), "cancel k 10\n"),
        (process.cancel("k", grace=0.5), "cancel k 0.5\n"),
        (process.cancel("k", grace=2_000_000), "cancel k 2000000\n"),
        (process.withdraw("k"), "withdraw k\n"),
        (process.slots(4), "slots 4\n"),
    ],
)
def test_what_is_asked_of_the_runner_is_one_line(line: str, text: str) -> None:
    assert line == text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("start k_1 1 4711", Said("start", "k_1", 1, 4711)),
        ("end k_1 2 0 exit\n", Said("end", "k_1", 2, 0, "exit")),
        ("fail k_1 1 3 exit", Said("fail", "k_1", 1, 3, "exit")),
        ("retry k_1 2 4", Said("retry", "k_1", 2, 4)),
        ("kept k_1 1", Said("kept", "k_1", 1)),
        ("end k_1 1 75 lost and more", Said("end", "k_1", 1, 75, "lost")),
        ("", None),
        ("\n", None),
        ("end", None),
        ("end k_1", None),
        ("end k_1 one", None),
        ("end k_1 1 zero exit", None),
        ("\x00\x00\x00", None),
    ],
)
def test_a_line_of_the_record_is_read_and_another_is_none(line: str, said: Said | None) -> None:
    assert process.parse(line) == said


LOST = "its processes are gone and left no exit code: the machine restarted, or something killed them"


@pytest.mark.parametrize(
    ("code", "word", "judgement"),
    [
        (0, "exit", (State.DONE, 0, "")),
        (3, "exit", (State.FAILED, 3, "exit code 3")),
        (72, "exit", (State.FAILED, 72, "its folder could not be entered")),
        (126, "exit", (State.FAILED, 126, "not executable")),
        (127, "exit", (State.FAILED, 127, "command not found")),
        (137, "exit", (State.FAILED, 137, "ended by signal 9: killed, perhaps for want of memory")),
        (139, "exit", (State.FAILED, 139, "ended by signal 11")),
        (255, "exit", (State.FAILED, 255, "exit code 255")),
        (0, "missing", (State.FAILED, 0, "a declared output is missing")),
        (143, "timeout", (State.FAILED, 143, "its time was up")),
        (143, "cancelled", (State.CANCELLED, 143, "")),
        (75, "cancelled", (State.CANCELLED, None, "")),
        (75, "skipped", (State.SKIPPED, None, "what it waits for ended otherwise")),
        (75, "withdrawn", ("withdrawn", None, "")),
        (75, "lost", (State.LOST, None, LOST)),
        (None, "", (State.LOST, None, LOST)),
        (0, "gibberish", (State.LOST, None, LOST)),
    ],
)
def test_evidence_becomes_a_state_an_exit_code_and_a_reason(
    code: int | None, word: str, judgement: tuple[State | str, int | None, str]
) -> None:
    assert process.judge(code, word) == judgement


def test_done_needs_an_exit_code_of_zero_and_the_word_exit() -> None:
    words = ("exit", "missing", "timeout", "cancelled", "skipped", "withdrawn", "lost", "")
    good = [(code, word) for code in (None, *range(256)) for word in words if process.judge(code, word)[0] is State.DONE]
    assert good == [(0, "exit")]
