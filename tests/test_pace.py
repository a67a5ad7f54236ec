"""When a Slurm host is looked at and its controller asked."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hybridnb.hosts.slurm.pace import Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def gaps(pace: Pace, clock: Clock, seconds: float) -> list[float]:
    """Step through so many quiet seconds; return the time between calls of squeue."""
    asked, end = [clock.now], clock.now + seconds
    while clock.now < end:
        clock.now += 0.3
        if pace.look_due and pace.looked() == "always":
            pace.asked(awaiting=False)
            asked.append(clock.now)
    return [b - a for a, b in pairwise(asked)]


def test_a_new_connection_is_asked_at_once(clock: Clock) -> None:
    pace = Pace(clock)
    assert pace.look_due
    assert pace.looked() == "always"
    assert pace.try_due


def test_the_controller_is_asked_ever_more_seldom_while_nothing_happens(clock: Clock) -> None:
    pace = Pace(clock)
    quiet = gaps(pace, clock, 3600)[1:]
    assert min(quiet) >= 2
    assert 55 < max(quiet) < 95
    assert len(quiet) < 100


def test_a_person_who_looks_sees_nothing_older_than_seconds(clock: Clock) -> None:
    pace = Pace(clock)
    pace.watched = True
    assert max(gaps(pace, clock, 3600)[1:]) < 8


def test_news_brings_the_quick_pace_back(clock: Clock) -> None:
    pace = Pace(clock)
    gaps(pace, clock, 3600)
    pace.news()
    pace.looked()
    clock.now += 0.31
    assert pace.look_due
    clock.now += 2
    assert pace.looked() in ("ends", "always")


def test_an_end_is_confirmed_soon_but_not_in_a_loop(clock: Clock) -> None:
    pace = Pace(clock)
    pace.looked()
    pace.asked(awaiting=True)
    clock.now += 0.5
    assert pace.looked() == "always"
    pace.asked(awaiting=True)
    clock.now += 0.5
    assert pace.looked() == "never"
    clock.now += 1.6
    assert pace.looked() == "always"


def test_a_person_waits_for_the_word_of_a_quick_controller_only_a_moment(clock: Clock) -> None:
    pace = Pace(clock)
    pace.watched = True
    for took, pause in ((0.05, 0.31), (0.3, 1.51), (5.0, 2.01)):
        pace.looked()
        clock.now += took
        pace.asked(awaiting=False)
        clock.now += pause - 0.1
        assert pace.looked(awaiting=True) == "never"
        clock.now += 0.1
        assert (pace.looked(), pace.looked(awaiting=True)) == ("always" if pause > 2 else "ends", "always")


def test_what_was_refused_is_tried_ever_more_seldom_until_something_ends(clock: Clock) -> None:
    pace = Pace(clock)
    tries = 0
    for _ in range(3600):
        clock.now += 1
        if pace.try_due:
            pace.tried()
            tries += 1
    assert tries < 70
    pace.news()
    clock.now += 2
    assert pace.try_due
