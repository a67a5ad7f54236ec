"""What is to be done at a far host is done in order, kept when it cannot be done, and dropped when it has become pointless."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from hybridnb.errors import HostError, Refused, Unreachable
from hybridnb.hosts.tasks import Task, Tasks


@pytest.fixture
def ready() -> threading.Event:
    return threading.Event()


@pytest.fixture
def tasks(ready: threading.Event) -> Iterator[Tasks]:
    with closing(Tasks("far", ready=ready.set)) as tasks:
        yield tasks


def test_what_is_posted_is_done_in_order_and_then_forgotten(tasks: Tasks, ready: threading.Event) -> None:
    done: list[int] = []
    for number in range(3):
        tasks.post("run", lambda _, number=number: not done.append(number))  # type: ignore[misc, func-returns-value]
    assert ready.is_set() and tasks
    assert tasks.work()
    assert done == [0, 1, 2]
    assert not tasks and not tasks.work()


def test_what_the_host_cannot_do_holds_up_its_own_order_only(tasks: Tasks) -> None:
    done: list[str] = []

    def full(_: Task) -> bool:
        raise HostError("host 'far': no space left on device")

    tasks.post("one", full)
    tasks.post("one", lambda _: not done.append("behind"))  # type: ignore[func-returns-value]
    tasks.post("two", lambda _: not done.append("beside"))  # type: ignore[func-returns-value]
    assert tasks.work()
    assert done == ["beside"]
    assert tasks.trouble == "host 'far': no space left on device"
    assert tasks


@pytest.mark.parametrize("error", [Unreachable("gone"), Refused("no key")])
def test_a_host_that_is_not_there_is_nobodys_own_trouble(tasks: Tasks, error: HostError) -> None:
    def meet(_: Task) -> bool:
        raise error

    tasks.post("", meet)
    with pytest.raises(type(error)):
        tasks.work()
    assert tasks and not tasks.trouble


def test_what_has_become_void_is_dropped_before_anybody_connects_for_it(tasks: Tasks) -> None:
    void = False
    tasks.post("", lambda _: True, void=lambda: void)
    tasks.prune()
    assert tasks
    void = True
    tasks.prune()
    assert not tasks


def test_files_move_beside_everything_else_and_say_when_they_are_there(tasks: Tasks, ready: threading.Event) -> None:
    gate, order = threading.Event(), []
    tasks.post("run", lambda task: tasks.moved(task, gate.wait))
    tasks.post("run", lambda _: not order.append("after"))  # type: ignore[func-returns-value]
    tasks.work()
    assert not order
    ready.clear()
    gate.set()
    assert ready.wait(30)
    tasks.work()
    assert order == ["after"]
    assert not tasks


def test_what_goes_wrong_with_files_is_told_and_tried_again(tasks: Tasks, ready: threading.Event) -> None:
    outcomes = iter([OSError("disk full"), None])

    def move() -> None:
        if error := next(outcomes):
            raise error

    held: list[Task] = []

    def work(task: Task) -> bool:
        held[:] = [task]
        return tasks.moved(task, move)

    tasks.post("", work)
    for _ in range(2):
        ready.clear()
        tasks.work()
        assert ready.wait(30)
        tasks.work()
        held[0].due = 0.0
    assert not tasks.trouble
    assert not tasks
