"""The host's limit of channels is learnt, kept to, and forgotten when it was not the limit."""

from __future__ import annotations

import pytest

from hybridnb.errors import Refused
from hybridnb.hosts.channel import Crowded
from hybridnb.hosts.ssh.sessions import Full, Sessions


class Host:
    """Lets so many sessions be open."""

    def __init__(self, most: int) -> None:
        self.most, self.open, self.tries = most, 0, 0

    def start(self) -> str:
        self.tries += 1
        if self.open >= self.most:
            raise Full("open failed")
        self.open += 1
        return "started"


def test_the_limit_is_what_was_open_when_the_host_refused() -> None:
    host, sessions = Host(3), Sessions("h")
    for _ in range(3):
        sessions.enter(host.start, patience=0)
    assert sessions.limit is None
    with pytest.raises(Crowded, match="no more than 3 sessions"):
        sessions.enter(host.start, patience=0)
    assert sessions.limit == 3


def test_a_place_that_comes_free_is_taken() -> None:
    host, sessions = Host(1), Sessions("h")
    sessions.enter(host.start, patience=0)
    with pytest.raises(Crowded):
        sessions.enter(host.start, patience=0)
    host.open = 0
    sessions.left()
    assert sessions.enter(host.start, patience=0) == "started"


def test_a_limit_that_was_too_low_is_forgotten() -> None:
    """A program that lingers takes a place, and nobody tells when it ends."""
    host, sessions = Host(1), Sessions("h")
    sessions.enter(host.start, patience=0)
    with pytest.raises(Crowded):
        sessions.enter(host.start, patience=0)
    host.most = 2
    assert sessions.enter(host.start, patience=5) == "started"


def test_waiting_costs_few_tries() -> None:
    host, sessions = Host(1), Sessions("h")
    sessions.enter(host.start, patience=0)
    with pytest.raises(Crowded):
        sessions.enter(host.start, patience=2)
    assert host.tries < 10


def test_a_host_that_opens_none_at_all_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="runs no programs"):
        Sessions("h").enter(Host(0).start, patience=60)


def test_what_goes_wrong_otherwise_takes_no_place() -> None:
    host, sessions = Host(1), Sessions("h")

    def broken() -> str:
        raise OSError

    with pytest.raises(OSError):
        sessions.enter(broken, patience=0)
    assert sessions.enter(host.start, patience=0) == "started"
