"""The lock that ends with its process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridnb.lock import Lock

HOLD = "import sys; from pathlib import Path; from hybridnb.lock import Lock; print(Lock(Path(sys.argv[1])).acquire(), flush=True); input()"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_one_process_at_a_time_holds_the_lock(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert not lock.acquire()
    assert lock.held()


def test_one_holder_at_a_time_also_within_a_process(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.held()
    first.release()
    assert second.acquire()


def test_a_lock_that_is_given_back_is_free(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    lock.release()
    lock.release()
    assert not lock.held()
    assert lock.acquire()


def test_kill_9_of_the_holder_frees_the_lock(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = Lock(tmp_path / "lock")
    assert not lock.held()
    assert lock.acquire()


def test_a_program_that_the_holder_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        assert Lock(tmp_path / "lock").acquire()
        assert child.poll() is None


def test_a_copy_of_the_descriptor_in_a_process_that_is_just_being_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    assert lock._fd is not None
    copy = os.dup(lock._fd)
    lock.release()
    assert Lock(tmp_path / "lock").acquire()
    os.close(copy)


def test_the_holder_is_named_for_whoever_finds_the_lock_taken(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    assert Lock(tmp_path / "lock").holder() == f"process {holder.pid} on {socket.gethostname()}"


def test_the_text_of_an_earlier_holder_does_not_show_through(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("a-machine-with-a-long-name 123456789\n" * 3)
    assert Lock(tmp_path / "lock").acquire()
    assert Lock(tmp_path / "lock").holder() == f"process {os.getpid()} on {socket.gethostname()}"


@pytest.mark.parametrize("text", [None, b"", b"garbage", b"\xff\xfe", b"a b c"])
def test_a_lock_without_a_readable_text_is_held_by_another_process(tmp_path: Path, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / "lock").write_bytes(text)
    assert Lock(tmp_path / "lock").holder() == "another process"


def test_asking_whether_a_missing_lock_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not Lock(tmp_path / "lock").held()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_made_is_an_error_and_not_a_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Lock(tmp_path / "gone" / "lock").acquire()


def test_the_lock_is_for_the_user_alone(tmp_path: Path) -> None:
    Lock(tmp_path / "lock").acquire()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_shows_whether_it_is_held(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert repr(lock).endswith("free)")
    lock.acquire()
    assert repr(lock).endswith("held)")
