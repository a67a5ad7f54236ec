"""A channel that is a program of this machine, on every system."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hybridnb.errors import Unreachable
from hybridnb.hosts.pipe import Pipe

DEADLINE = 30.0  # seconds
ECHO = "import os\nwhile piece := os.read(0, 1 << 16):\n    os.write(1, piece)"
DEAF = "import os, time; os.write(1, b'here'); time.sleep(600)"


@pytest.fixture
def start() -> Iterator[Callable[[str], Pipe]]:
    started: list[Pipe] = []

    def build(script: str) -> Pipe:
        started.append(Pipe([sys.executable, "-c", script], host="box"))
        return started[-1]

    yield build
    for pipe in started:
        pipe.close()


def everything(pipe: Pipe) -> bytes:
    said = b""
    while piece := pipe.receive(DEADLINE):
        said += piece
    return said


def test_bytes_of_any_kind_and_number_come_back(start: Callable[[str], Pipe]) -> None:
    pipe, data = start(ECHO), bytes(range(256)) * 4000

    def feed() -> None:
        pipe.send(data)
        pipe.finish()

    feeding = threading.Thread(target=feed)
    feeding.start()
    assert everything(pipe) == data
    feeding.join(DEADLINE)
    assert pipe.receive() == b"", "the end stays the end"


def test_an_answer_is_there_as_soon_as_it_was_written(start: Callable[[str], Pipe]) -> None:
    pipe = start(ECHO)
    for word in (b"one", b"two"):
        pipe.send(word)
        assert pipe.receive(DEADLINE) == word
    with pytest.raises(TimeoutError):
        pipe.receive(0.05)


@pytest.mark.parametrize("act", [Pipe.close, lambda pipe: pipe.process.kill()], ids=["closed", "killed"])
def test_the_end_wakes_who_receives_and_who_sends(start: Callable[[str], Pipe], act: Callable[[Pipe], None]) -> None:
    pipe = start(DEAF)
    assert pipe.receive(DEADLINE) == b"here"
    ends: list[object] = []

    def send() -> None:
        try:
            while True:
                pipe.send(bytes(1 << 20))
        except Unreachable as error:
            ends.append(error)

    threads = [
        threading.Thread(target=send, daemon=True),
        threading.Thread(target=lambda: ends.append(pipe.receive()), daemon=True),
    ]
    for thread in threads:
        thread.start()
    assert pipe.alive
    act(pipe)
    for thread in threads:
        thread.join(DEADLINE)
    assert {type(end) for end in ends} == {Unreachable, bytes}
    assert "host 'box': the connection was lost" in str(next(end for end in ends if isinstance(end, Unreachable)))
    assert not pipe.alive


def test_a_program_waits_for_a_slow_reader_and_nothing_is_lost(start: Callable[[str], Pipe]) -> None:
    pipe = start("import os\nfor _ in range(400): os.write(1, b'x' * 65536)\nos.write(2, b'done')")
    assert pipe.receive(DEADLINE)
    time.sleep(0.3)  # the time in which all of it would come, if it did not wait
    assert pipe.alive
    assert sum(map(len, iter(lambda: pipe.receive(DEADLINE), b""))) > 300 * 65536
    assert pipe.process.wait(DEADLINE) == 0
    assert pipe.words == b"done"


def test_what_a_program_said_before_it_ended_can_be_read_later(start: Callable[[str], Pipe]) -> None:
    pipe = start("print('last', end='')")
    pipe.process.wait(DEADLINE)
    pipe.finish()
    assert everything(pipe) == b"last"


def test_only_the_last_words_on_standard_error_are_kept(start: Callable[[str], Pipe]) -> None:
    pipe = start("import os\nfor _ in range(100): os.write(2, b'y' * 65536)\nos.write(2, b'the end')")
    assert everything(pipe) == b""
    pipe.process.wait(DEADLINE)
    assert pipe.words.endswith(b"yyy" + b"the end")
    assert len(pipe.words) == 4000


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        Pipe([os.path.join(os.sep, "no-such-program")], host="box")
