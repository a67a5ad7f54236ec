"""The transport to this machine."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hybridnb.errors import HostError
from hybridnb.hosts.local import LocalTransport
from hybridnb.hosts.transport import File
from testbed.processes import knows, lives

DEADLINE = 60.0  # seconds


@pytest.fixture
def local() -> Iterator[LocalTransport]:
    transport = LocalTransport("here")
    yield transport
    transport.close()


# -- files ----------------------------------------------------------------------------------------------------------------
def test_files_are_brought_with_the_folders_and_modes_that_they_need(local: LocalTransport, tmp_path: Path) -> None:
    local.put([File(f"{tmp_path}/a b/ü/x", b"1"), File(f"{tmp_path}/a b/ü/y", b"", 0o600), File(f"{tmp_path}/z", b"\0\xff")])
    assert (tmp_path / "a b/ü/x").read_bytes() == b"1"
    assert (tmp_path / "a b/ü/y").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "z").read_bytes() == b"\0\xff"


def test_a_file_that_is_there_as_it_should_be_is_left_alone(local: LocalTransport, tmp_path: Path) -> None:
    file = File(f"{tmp_path}/x", b"same")
    local.put([file])
    os.utime(tmp_path / "x", ns=(1, 1))
    local.put([file])
    assert (tmp_path / "x").stat().st_mtime_ns == 1


@pytest.mark.parametrize("before", [b"lr: 0.1", b"a longer text than that", b""])
def test_a_file_that_says_something_else_is_replaced_also_at_the_same_size(
    local: LocalTransport, tmp_path: Path, before: bytes
) -> None:
    (tmp_path / "x").write_bytes(before)
    local.put([File(f"{tmp_path}/x", b"lr: 0.2")])
    assert (tmp_path / "x").read_bytes() == b"lr: 0.2"


def test_what_cannot_be_written_is_told_with_host_path_and_reason(local: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=r"^host 'here': .*/file/x.* cannot be written: Not a directory$"):
        local.put([File(f"{tmp_path}/file/x/y", b"")])


def test_a_full_disk_is_told_with_the_path(local: LocalTransport, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=True)
    try:
        with pytest.raises(HostError, match=r"^host 'here': .*/disk/large cannot be written: No space left on device$"):
            local.put([File(f"{disk}/small", b"x"), File(f"{disk}/large", b"x" * 100_000)])
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_piece_of_a_file_is_read(local: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    pieces = [
        local.read(f"{tmp_path}/log", offset, limit) for offset, limit in ((0, 4), (4, 100), (10, 5), (99, 5), (-3, 2), (-99, 2))
    ]
    assert pieces == [b"0123", b"456789", b"", b"", b"78", b"01"]


def test_a_missing_file_has_no_pieces_and_no_time(local: LocalTransport, tmp_path: Path) -> None:
    assert local.read(f"{tmp_path}/gone", 0, 10) == b""
    assert local.changed(f"{tmp_path}/gone") is None


def test_what_is_there_and_cannot_be_read_is_told(local: LocalTransport, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"^host 'here': .* cannot be read: Is a directory$"):
        local.read(str(tmp_path), 0, 10)


def test_the_time_of_a_file_is_when_it_was_written(local: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    os.utime(tmp_path / "x", (1.5, 1.5))
    assert local.changed(f"{tmp_path}/x") == 1.5


# -- commands -------------------------------------------------------------------------------------------------------------
def test_a_script_gets_its_arguments_and_input_as_they_are(local: LocalTransport) -> None:
    words = ["it's", "$(touch pwned)", "a  b", "", "-n", "ü\n*"]
    assert (
        local.run('for word; do printf "<%s>" "$word"; done; cat', *words, input=b"in\xff")
        == "".join(f"<{w}>" for w in words) + "in�"
    )


def test_a_script_that_fails_is_told_by_its_own_words_or_its_exit_code(local: LocalTransport) -> None:
    with pytest.raises(HostError, match=r"^host 'here': no such thing$"):
        local.run("echo no such thing >&2; exit 3")
    with pytest.raises(HostError, match=r"^host 'here': exit code 3$"):
        local.run("exit 3")


def test_without_a_shell_that_is_told(local: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError, match=r"^host 'here': the shell cannot be used: "):
        local.run("true")


# -- following ------------------------------------------------------------------------------------------------------------
def heard(lines: queue.Queue[str], count: int) -> list[str]:
    return [lines.get(timeout=DEADLINE).rstrip("\n") for _ in range(count)]


def test_lines_are_heard_from_the_offset_on_and_when_they_are_written(local: LocalTransport, tmp_path: Path) -> None:
    record, lines = tmp_path / "record", queue.Queue[str]()
    record.write_text("old\nnew\n")
    local.follow(str(record), 4, hear=lines.put)
    assert heard(lines, 1) == ["new"]
    with open(record, "ab", buffering=0) as out:
        out.write(b"one\ntwo\nhal")
        out.write(b"f\xff\n")
    assert heard(lines, 3) == ["one", "two", "half�"]


def test_a_file_that_is_not_there_yet_is_made_and_followed(local: LocalTransport, tmp_path: Path) -> None:
    lines = queue.Queue[str]()
    local.follow(f"{tmp_path}/new/record", 0, hear=lines.put)
    with open(tmp_path / "new/record", "a") as out:
        out.write("first\n")
    assert heard(lines, 1) == ["first"]


def test_a_killed_follower_is_replaced_and_no_line_is_lost_or_doubled(local: LocalTransport, tmp_path: Path) -> None:
    record, lines = tmp_path / "record", queue.Queue[str]()
    local.follow(str(record), 0, hear=lines.put)
    with open(record, "a", buffering=1) as out:
        for number in range(3):
            out.write(f"{number}\n")
            assert heard(lines, 1) == [f"{number}"]
            follower = next(p for p in psutil.Process().children() if lives(p) and knows(p, record))
            follower.kill()
            out.write(f"{number} again\n")
            assert heard(lines, 1) == [f"{number} again"]


def test_nothing_follows_after_the_end(tmp_path: Path) -> None:
    transport, lines = LocalTransport(), queue.Queue[str]()
    (tmp_path / "record").write_text("x\n")
    transport.follow(f"{tmp_path}/record", 0, hear=lines.put)
    heard(lines, 1)
    followers = [p for p in psutil.Process().children() if knows(p, tmp_path)]
    transport.close()
    transport.close()
    assert followers
    assert psutil.wait_procs(followers, timeout=DEADLINE)[1] == []


# -- facts ----------------------------------------------------------------------------------------------------------------
def test_the_machine_is_described(local: LocalTransport) -> None:
    facts = local.facts()
    assert facts["machine"] == socket.gethostname()
    assert facts["cores"] == os.cpu_count()
    assert facts["system"] and facts["processor"]
    assert facts["memory_gib"] == pytest.approx(psutil.virtual_memory().total / 2**30, rel=0.05)
    assert isinstance(facts["gpus"], list)


def test_gpus_are_those_that_the_driver_s_program_tells(
    local: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A100, 40960 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert local.facts()["gpus"] == ["NVIDIA A100, 40960 MiB"]
    program.write_text("#!/bin/sh\necho no driver; exit 9\n")
    assert local.facts()["gpus"] == []
