"""The transport by one shell, over pipes to the shells that hosts have."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridnb.errors import HostError, Unreachable
from hybridnb.hosts import frame, shell
from hybridnb.hosts.channel import LOADER, Crowded
from hybridnb.hosts.pipe import Pipe
from hybridnb.hosts.shell import ShellTransport
from hybridnb.hosts.transport import File
from testbed.processes import end, end_those_of, family, knows, name, program, until

# What /bin/sh is, and what the login shell is. With busybox all tools are busybox's, too.
SHELLS = ("dash", "bash --posix", "busybox sh")
LOGINS = ("sh", "bash", "csh", "fish")


class Line(Pipe):
    """A channel that may break after so many more bytes of its link's."""

    def __init__(self, link: Local, command: list[str]) -> None:
        self.link = link
        self.first = True
        super().__init__(command, host=link.name, environment=link.environment)

    def send(self, data: bytes) -> None:
        if self.first:
            data, self.first = data.replace(b"exec /bin/sh -s", b"exec " + self.link.shell.encode() + b" -s"), False
        if self.link.up is None:
            return super().send(data)
        super().send(data[: self.link.up])
        self.link.up = max(0, self.link.up - len(data))
        if not self.link.up:
            self.finish()
        return None

    def receive(self, timeout: float | None = None) -> bytes:
        if self.link.down is None:
            return super().receive(timeout)
        piece = super().receive(timeout)[: self.link.down] if self.link.down else b""
        self.link.down -= len(piece)
        return piece


class Local:
    """A link that is shells of this machine."""

    name = "far"

    def __init__(self, sh: str, *, login: str = "sh", folder: Path | None = None) -> None:
        words = sh.split()
        self.shell = " ".join([program(words[0]), *words[1:]])
        self.login = program(login)
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        if folder and words[0] == "busybox":
            subprocess.run([program("busybox"), "--install", "-s", str(folder)], check=True)
            self.environment["PATH"] = str(folder)
        self.alive = False
        self.channels: list[Line] = []
        self.up: int | None = None
        self.down: int | None = None
        self.limit = 10

    def open(self) -> None:
        self.alive = True

    def channel(self, *, patience: float = 60.0) -> Line:
        if sum(channel.alive for channel in self.channels) >= self.limit:
            raise Crowded(f"host 'far' opens no more than {self.limit} sessions")
        self.channels.append(Line(self, [self.login, "-c", f"exec {LOADER.replace('/bin/sh', self.shell)}"]))
        return self.channels[-1]

    def drop(self) -> None:
        self.alive = False
        for channel in self.channels:
            channel.close()

    def describe(self) -> dict[str, object]:
        return {}


@pytest.fixture(params=SHELLS)
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Local]:
    tools = tmp_path / "tools"
    tools.mkdir()
    yield Local(request.param, folder=tools)
    end_those_of(tmp_path)


@pytest.fixture
def host(link: Local) -> Iterator[ShellTransport]:
    with closing(ShellTransport("far", link)) as transport:
        transport.open()
        yield transport


@pytest.fixture(scope="module")
def dash() -> Iterator[ShellTransport]:
    with closing(ShellTransport("far", Local("dash"))) as transport:
        transport.open()
        yield transport


def again(transport: ShellTransport) -> ShellTransport:
    """Open a connection that was cut."""
    assert isinstance(transport.link, Local)
    transport.link.up = transport.link.down = None
    transport.open()
    return transport


class Heard(list[str]):
    """What is heard of a file that is followed."""

    def __init__(self, transport: ShellTransport, path: Path, offset: int | None = None) -> None:
        super().__init__()
        transport.follow(str(path), offset, hear=self.append)

    def until(self, *lines: str) -> None:
        until(lambda: len(self) >= len(lines), f"{lines}, heard {list(self)}")
        assert self == list(lines)


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def control(transport: ShellTransport) -> list[psutil.Process]:
    """Return the shell that stays, with its login shell."""
    assert isinstance(transport.link, Local)
    return family(psutil.Process(transport.link.channels[0].process.pid))


# -- conversations ----------------------------------------------------------------------------------------------------------
def test_a_script_gets_its_arguments_and_input_and_its_output_comes_back(host: ShellTransport) -> None:
    assert host.run('printf "%s|" "$@"; cat', "a'b", "", "\\n$HOME `id` *\n", input=b"in\n") == "a'b||\\n$HOME `id` *\n|in\n"
    assert host.run("cat; printf 'a\n\n'; echo unheard >&2") == "a\n\n"


@pytest.mark.parametrize("login", LOGINS)
def test_any_login_shell_will_do(login: str, tmp_path: Path) -> None:
    with closing(ShellTransport("far", Local("dash", login=login))) as host:
        host.open()
        assert host.run('printf "%s\n" "$1"; cat', "a\\b 'c'", input=b"\\n $x\n") == "a\\b 'c'\n\\n $x\n"
        assert b"".join(host.stream('cat; printf "%s\n" "$1"', "!*\\", input=[b"\0\xff"])) == b"\0\xff!*\\\n"
        heard = Heard(host, tmp_path / "it's a record")
        add(tmp_path / "it's a record", "one\n")
        heard.until("one")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))), st.binary())
def test_nothing_that_is_said_is_read_by_a_shell(dash: ShellTransport, args: list[str], text: bytes) -> None:
    assert (
        dash.ask('printf "%s\\n" "$#" "$@"; cat', *args, input=text)
        == "".join(f"{a}\n" for a in [len(args), *args]).encode() + text
    )


@pytest.mark.parametrize("data", [b"", b"\n", b"\0", bytes(range(256)), b"no end of line", b"x" * 3_000_000, os.urandom(1_000_000)])
def test_bytes_come_back_as_they_went(host: ShellTransport, data: bytes) -> None:
    assert host.ask("cat", input=data) == data
    assert b"".join(host.stream("cat", input=[data])) == data


def test_a_script_that_fails_is_told_in_its_own_words_and_the_next_one_runs(host: ShellTransport) -> None:
    with pytest.raises(HostError, match=r"^host 'far': no room$"):
        host.run("echo no room >&2; exit 3")
    with pytest.raises(HostError, match=r"^host 'far': exit code 1$"):
        host.run("false")
    with pytest.raises(HostError, match=r"(?i)syntax error"):
        host.run("if")
    with pytest.raises(HostError):
        host.run("echo $((")
    with pytest.raises(HostError, match=r"^host 'far': (é{4000}|é{2000})$"):
        host.run("i=0; while [ $i -lt 5000 ]; do printf é; i=$((i + 1)); done >&2; false")
    assert host.run("set -e; cd /; exec 1>&1; unset PATH; trap 'echo bye' EXIT; :") == "bye\n"
    assert host.run("pwd; echo $0") != "/\n"
    assert host.alive


def test_a_script_that_leaves_something_running_does_not_hold_the_answer_up(host: ShellTransport) -> None:
    assert host.run("sleep 60 </dev/null >/dev/null 2>&1 & echo there") == "there\n"


def test_a_mark_in_the_output_of_another_conversation_means_nothing(host: ShellTransport) -> None:
    assert host.run("printf '\\nhybridnb-0123456789abcdef 0\\n\\nhybridnb-0123456789abcdef.\\n'").count("hybridnb") == 2


def test_conversations_of_several_threads_are_not_mixed_up(host: ShellTransport) -> None:
    said: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda n=n: said.update({n: [host.run('echo "$1"', f"{n}") for _ in range(20)]})) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {n: [f"{n}\n"] * 20 for n in range(4)}


def test_a_host_that_says_nothing_for_too_long_is_dropped(host: ShellTransport) -> None:
    with pytest.raises(Unreachable, match=r"host 'far' has not answered for 0 s"):
        host.run("sleep 60", timeout=0.1)
    assert not host.alive
    with pytest.raises(Unreachable, match=r"host 'far' is not connected"):
        host.run(":")
    assert again(host).run("echo back") == "back\n"


def test_a_host_that_takes_nothing_any_more_is_dropped(host: ShellTransport) -> None:
    host.run(":")  # it has begun, and has no children that would hold its input open
    for process in control(host):
        process.suspend()
    with pytest.raises(Unreachable):
        host.ask("cat", input=bytes(5_000_000), timeout=0.2)


# -- files ------------------------------------------------------------------------------------------------------------------
def test_files_arrive_with_their_modes_and_odd_names(host: ShellTransport, tmp_path: Path) -> None:
    base = tmp_path / 'it\'s a \\n "folder" ☃'
    files = [
        File(f"{base}/deep/er/script", b"\0\xff\r\n" * 1000, 0o755),
        File(f"{base}/-rf", b""),
        File(f"{base}/.hidden", b"h"),
        File(f"{base}/{'n' * 200}/{'m' * 200}", b"long"),
    ]
    assert host.run('cat "$1"', f"{base}/.hidden", files=files) == "h"
    for file in files:
        assert Path(file.path).read_bytes() == file.text
        assert os.stat(file.path).st_mode & 0o777 == file.mode
    assert sorted(os.listdir(base)) == sorted(["-rf", ".hidden", "deep", "n" * 200])


def test_a_thousand_files_are_one_conversation(host: ShellTransport, tmp_path: Path) -> None:
    host.put(File(f"{tmp_path}/new/{n}/1/script", f"{n}".encode()) for n in range(1000))
    assert [(tmp_path / f"new/{n}/1/script").read_text() for n in range(1000)] == [str(n) for n in range(1000)]


def test_a_file_takes_the_place_of_an_older_one_at_once(host: ShellTransport, tmp_path: Path) -> None:
    old = File(f"{tmp_path}/a/1/script", b"old")
    host.put([old, File(f"{tmp_path}/a/2/script", b"other")])
    with open(old.path, "rb") as reading:
        host.put([old._replace(text=b"new"), File(f"{tmp_path}/a/3/script", b"third")])
        assert reading.read() == b"old"
    assert Path(old.path).read_bytes() == b"new"
    assert (tmp_path / "a/2/script").read_bytes() == b"other"
    assert sorted(os.listdir(tmp_path / "a")) == ["1", "2", "3"]


def test_what_was_there_stays_as_it_was_when_there_is_no_room(host: ShellTransport, tmp_path: Path) -> None:
    """A full disk spoils no script that a queue has taken already. qiita#2965."""
    path = tmp_path / "run/1/1/script"
    host.put([File(str(path), b"#!/bin/sh\necho good\n")])
    with pytest.raises(HostError, match=r"(?i)too large|size limit|write|short|no room"):
        host.run(":", files=[File(f"{tmp_path}/run/1/1/data", os.urandom(200_000)), File(str(path), b"#")] if limit(host) else [])
    assert path.read_bytes() == b"#!/bin/sh\necho good\n"
    assert os.listdir(path.parent.parent) == ["1"]
    assert os.listdir(path.parent) == ["script"]


def limit(host: ShellTransport) -> bool:
    """Let nothing that the shell starts write more than 50 kB into a file: the disk is full."""
    for process in control(host):
        process.rlimit(psutil.RLIMIT_FSIZE, (50_000, 50_000))
    return True


def test_a_script_is_not_run_when_its_files_could_not_be_put_there(host: ShellTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=r"(?i)file exists|not a directory"):
        host.run('echo ran >"$1"', f"{tmp_path}/ran", files=[File(f"{tmp_path}/file/below", b"")])
    assert not (tmp_path / "ran").exists()


def test_pieces_of_files_are_read(host: ShellTransport, tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_bytes(bytes(range(256)))
    assert host.read(str(path), 0, 3) == b"\0\1\2"
    assert host.read(str(path), 250, 100) == bytes(range(250, 256))
    assert host.read(str(path), -2, 100) == b"\xfe\xff"
    assert host.read(str(path), 256, 100) == host.read(str(tmp_path / "none"), 0, 9) == b""
    assert host.changed(str(path)) == int(path.stat().st_mtime)
    assert host.changed(str(tmp_path / "none")) is None


def test_the_machine_is_described(host: ShellTransport) -> None:
    facts = host.facts()
    assert facts["machine"] == os.uname().nodename
    assert int(str(facts["cores"])) >= 1
    assert facts["gpus"] == []


# -- streams ----------------------------------------------------------------------------------------------------------------
def test_streams_go_both_ways_at_once(host: ShellTransport) -> None:
    pieces = [os.urandom(1 << 18) for _ in range(40)]
    stream = host.stream("cat", input=iter(pieces))
    assert host.run("echo meanwhile") == "meanwhile\n"
    assert b"".join(stream) == b"".join(pieces)


def test_a_stream_that_fails_midway_is_told_after_what_came(host: ShellTransport) -> None:
    came = bytearray()
    with pytest.raises(HostError, match=r"^host 'far': the disk broke$"):
        for piece in host.stream("head -c 300000 /dev/zero; echo the disk broke >&2; exit 4", input=[bytes(1 << 20)] * 4):
            came += piece
    assert came == bytes(300_000)


def test_what_breaks_the_input_of_a_stream_is_raised_where_it_is_read(host: ShellTransport) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise OSError("the file went away")

    with pytest.raises(OSError, match="the file went away"):
        list(host.stream("cat", input=broken()))
    assert host.run("echo well") == "well\n"


def test_a_program_that_wants_no_more_ends_its_stream(host: ShellTransport) -> None:
    assert b"".join(host.stream("head -c 3", input=(b"abc" * 100_000 for _ in range(100)))) == b"abc"


# -- what is followed -------------------------------------------------------------------------------------------------------
def test_lines_are_heard_when_they_are_whole(host: ShellTransport, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "record"
    heard = Heard(host, path)
    add(path, "one\ntw")
    heard.until("one")
    add(path, "o\nthree\n")
    heard.until("one", "two", "three")


def test_it_is_followed_from_an_offset_or_from_the_end(host: ShellTransport, tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("one\ntwo\n")
    late, early, beyond = Heard(host, path), Heard(host, path, 4), Heard(host, path, 100)
    add(path, "three\n")
    late.until("three")
    early.until("two", "three")
    beyond.until("one", "two", "three")  # it was begun anew


def test_a_record_that_was_begun_anew_is_followed(host: ShellTransport, tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("an old one\n")
    heard = Heard(host, path)
    until(lambda: tail(path) == 11, "tail stands at the end")
    path.write_text("new\n")
    heard.until("new")


def tail(path: Path) -> int | None:
    """Where does whoever follows the file stand in it?"""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            stands = [
                int((folder.parent / "fdinfo" / fd.name).read_text().split()[1])
                for fd in folder.iterdir()
                if os.readlink(fd) == str(path)
            ]
        except OSError:
            continue
        if stands:
            return max(stands)
    return None


def test_when_the_listening_ends_the_connection_does(host: ShellTransport, tmp_path: Path) -> None:
    """Nobody waits for ever for what nobody can hear any more."""
    lost = threading.Event()
    host.lost = lost.set
    Heard(host, tmp_path / "record")
    until(lambda: listening(tmp_path), "tail")
    end(listening(tmp_path))
    assert lost.wait(60)
    assert not host.alive


def listening(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if name(p) in ("tail", "busybox") and knows(p, folder)]


def test_a_close_is_no_loss_and_leaves_nothing_running(host: ShellTransport, tmp_path: Path) -> None:
    lost = threading.Event()
    host.lost = lost.set
    Heard(host, tmp_path / "record")
    until(lambda: listening(tmp_path), "tail")
    host.close()
    until(lambda: not listening(tmp_path), "the end of tail")
    assert not lost.is_set()


# -- few channels -----------------------------------------------------------------------------------------------------------
def test_with_one_channel_all_is_done_by_the_shell(host: ShellTransport, tmp_path: Path) -> None:
    """MaxSessions 1. autosubmit#1323."""
    host.link.limit = 1  # type: ignore[attr-defined]
    path = tmp_path / "record"
    path.write_text("before\n")
    heard = Heard(host, path)
    add(path, "one\ntw")
    heard.until("one")
    add(path, "o\n")
    heard.until("one", "two")
    path.write_text("new\n")
    heard.until("one", "two", "new")
    assert b"".join(host.stream("cat; echo end", input=[b"a\0", b"b"])) == b"a\0bend\n"
    with pytest.raises(HostError, match="bad"):
        list(host.stream("echo bad >&2; exit 1"))


def test_with_two_channels_listening_leaves_its_own_to_files(host: ShellTransport, tmp_path: Path) -> None:
    """MaxSessions 2. autosubmit#1323."""
    host.link.limit = 2  # type: ignore[attr-defined]
    lost = threading.Event()
    host.lost = lost.set
    path = tmp_path / "record"
    heard = Heard(host, path)
    add(path, "one\n")
    heard.until("one")
    assert b"".join(host.stream("cat", input=[b"x" * 1_000_000])) == b"x" * 1_000_000
    add(path, "two\n")
    heard.until("one", "two")
    assert b"".join(host.stream("cat", input=[b"y"])) == b"y"
    assert host.alive
    assert not lost.is_set()


def test_what_is_asked_for_from_time_to_time_is_lost_with_the_connection_too(host: ShellTransport, tmp_path: Path) -> None:
    host.link.limit = 1  # type: ignore[attr-defined]
    lost = threading.Event()
    host.lost = lost.set
    Heard(host, tmp_path / "record")
    end(control(host))
    assert lost.wait(60)
    assert not host.alive


# -- cuts -------------------------------------------------------------------------------------------------------------------
def test_an_answer_that_is_cut_after_any_byte_is_none(dash: ShellTransport) -> None:
    """Not before it is whole does anybody believe it. dpdispatcher: "Socket timed out"."""
    cut_everywhere(dash, lambda: dash.ask("echo 12; echo words >&2; exit 0"), b"12\n")


def test_a_stream_that_is_cut_after_any_byte_is_none(dash: ShellTransport) -> None:
    cut_everywhere(dash, lambda: b"".join(dash.stream("echo 12; echo words >&2; exit 0")), b"12\n")


def test_a_failure_that_is_cut_after_any_byte_is_no_success_and_no_other_failure(dash: ShellTransport) -> None:
    def fail() -> str:
        try:
            return dash.run("echo 12; echo words >&2; exit 30")
        except Unreachable:
            raise
        except HostError as error:
            return str(error)

    cut_everywhere(dash, fail, "host 'far': words")


def cut_everywhere(transport: ShellTransport, work: Callable[[], object], right: object) -> None:
    """Do it with ever more bytes of the answer, until it is answered."""
    again(transport)
    for size in count():
        transport.link.down = size  # type: ignore[attr-defined]
        try:
            answer = work()
        except Unreachable:
            again(transport)
            continue
        except HostError as error:
            assert "its login shell ended" in str(error)  # a channel of its own that said nothing
            again(transport)
            continue
        break
    assert answer == right
    assert size > 60, "the answer is too short to mean anything"
    again(transport)


@pytest.mark.parametrize("sh", SHELLS)
def test_a_request_that_is_cut_after_any_byte_does_nothing(sh: str, tmp_path: Path) -> None:
    """Half a batch, half a script, half an archive: nothing of it is there afterwards."""
    folder = tmp_path / "there"
    folder.mkdir()
    words, files = f"{folder}/ran", [File(f"{folder}/files/{name}", b"text") for name in ("script", "spec")]
    size = len(frame.frame('cat >"$1"', [words], mark=frame.mark(), input=b"a\nb\n", files=files))
    link = Local(sh)
    with closing(ShellTransport("far", link)) as transport:
        for cut in [*range(12), *range(12, size - 12, 29), *range(size - 12, size - 1)]:
            again(transport).run(":")
            link.up = cut
            with pytest.raises(Unreachable):
                transport.run('cat >"$1"', words, input=b"a\nb\n", files=files)
            link.channels[-1].process.wait(60)
            assert os.listdir(folder) == [], f"cut after {cut} of {size} bytes"
        again(transport).run('cat >"$1"', words, input=b"a\nb\n", files=files)
    assert sorted(os.listdir(folder)) == ["files", "ran"]


# -- the first word ---------------------------------------------------------------------------------------------------------
class Noisy(Local):
    """A link whose login shell says or does something first."""

    def __init__(self, first: str) -> None:
        super().__init__("dash")
        self.said = first

    def channel(self, *, patience: float = 60.0) -> Line:
        self.channels.append(Line(self, ["/bin/sh", "-c", f"{self.said}; exec {LOADER}"]))
        return self.channels[-1]


def test_what_start_up_files_say_is_not_taken_for_an_answer() -> None:
    """BatchJobs#85, ansible#2268, autosubmit#3024."""
    noise = "echo 'Welcome!\nhybridnb-0000000000000000'; printf '\\377\\0 no end of line'; echo errors >&2"
    with closing(ShellTransport("far", Noisy(noise))) as transport:
        transport.open()
        assert transport.run("echo answer") == "answer\n"
        assert b"".join(transport.stream("echo answer")) == b"answer\n"


def test_start_up_files_that_exit_are_named() -> None:
    with (
        closing(ShellTransport("far", Noisy("echo 'Sorry, closed'; exit 0"))) as transport,
        pytest.raises(HostError, match="Sorry, closed"),
    ):
        transport.open()


def test_start_up_files_that_wait_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_START", 0.3)
    with (
        closing(ShellTransport("far", Noisy("echo 'Which project?'; sleep 60"))) as transport,
        pytest.raises(HostError, match="Which project"),
    ):
        transport.open()


def test_start_up_files_that_read_swallow_what_was_said_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_START", 0.3)
    with (
        closing(ShellTransport("far", Noisy("read project; echo $project | cut -c 1-4"))) as transport,
        pytest.raises(HostError, match="echo"),
    ):
        transport.open()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=40), st.binary()
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_name_and_any_content_may_be_brought(dash: ShellTransport, tmp_path: Path, named: list[tuple[str, bytes]]) -> None:
    base = tmp_path / os.urandom(4).hex()
    files = {f"{base}/x{name}": content for name, content in named if len(name.encode()) < 250}
    dash.put(File(path, content) for path, content in files.items())
    assert {path: Path(path).read_bytes() for path in files} == files


def test_the_first_line_of_a_channel_that_is_cut_after_any_byte_does_nothing(dash: ShellTransport, tmp_path: Path) -> None:
    link = again(dash).link
    assert isinstance(link, Local)
    size = len(frame.line(frame.frame('touch "$1"', [f"{tmp_path}/ran"], mark=frame.mark(), input=None)))
    for cut in [*range(0, size, 13), *range(size - 5, size)]:
        link.up = cut
        with pytest.raises(HostError):
            list(dash.stream('touch "$1"', f"{tmp_path}/ran"))
        link.channels[-1].process.wait(60)
        assert os.listdir(tmp_path) == [], f"cut after {cut} of {size} bytes"
        again(dash)
    assert list(dash.stream('touch "$1"', f"{tmp_path}/ran")) == []
    assert os.listdir(tmp_path) == ["ran"]
