"""The way into WSL, tried with a stand-in for wsl.exe (testbed/wsl.py): it shows that we launch and listen as we should, not that Windows does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridnb.engine import Engine
from hybridnb.errors import HostError, Refused, Unreachable
from hybridnb.hosts.attempts import Report, Submission
from hybridnb.hosts.channel import Channel
from hybridnb.hosts.host import PlainHost
from hybridnb.hosts.questions import Questions
from hybridnb.hosts.shell import ShellTransport
from hybridnb.hosts.wsl import Wsl, inside, outside
from hybridnb.model import Dependency, Job, Workflow
from hybridnb.run import State
from testbed.wsl import Wsl as Windows
from testbed.wsl_exe import split

DEADLINE = 30.0  # seconds


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Windows]:
    """Give a machine with WSL and no distribution."""
    machine = Windows(tmp_path / "windows")
    for name, value in machine.env.items():
        monkeypatch.setenv(name, value)
    yield machine
    machine.close()


@pytest.fixture
def windows(bare: Windows) -> Windows:
    """Give a machine with one distribution."""
    bare.add("Debian")
    return bare


@pytest.fixture
def make() -> Iterator[Callable[..., Wsl]]:
    made: list[Wsl] = []

    def build(**entry: Any) -> Wsl:
        made.append(Wsl("box", entry, questions=Questions()))
        return made[-1]

    yield build
    for link in made:
        link.drop()


def answer(channel: Channel) -> bytes:
    """Read all that comes, until the end."""
    pieces = []
    while piece := channel.receive(DEADLINE):
        pieces.append(piece)
    return b"".join(pieces)


def say(channel: Channel, script: str, data: bytes = b"") -> bytes:
    channel.send(script.encode().replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n" + data)
    channel.finish()
    return answer(channel)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_channel_runs_the_script_of_its_first_line_and_gives_it_what_follows(windows: Windows, make: Callable[..., Wsl]) -> None:
    link = make(distro="Debian")
    link.open()
    script = """echo "$WSL_DISTRO_NAME" '$HOME' "it's \\\\ \\"quoted\\"" *nothing; IFS= read -r x\nprintf '[%s]' "$x"; cat"""
    data = b" a\\b \xff\x00\r\n" + os.urandom(100_000)
    assert (
        say(link.channel(), script, data[:4] + b"\n" + data)
        == b'Debian $HOME it\'s \\ "quoted" *nothing\n[' + data[:4] + b"]" + data
    )


def test_no_shell_of_the_user_reads_the_words_again(windows: Windows, make: Callable[..., Wsl]) -> None:
    """WSL#41598: without --exec, `$SHELL -c` does. Here the user's shell can run nothing at all."""
    windows.add("Odd", shell="/bin/false")
    link = make(distro="Odd")
    link.open()
    assert say(link.channel(), 'X=1; echo "[$X]"') == b"[1]\n"
    program = str(windows.program)
    again = subprocess.run([program, "-d", "Debian", "--", "/bin/sh", "-c", 'X=1; echo "[$X]"'], capture_output=True)
    assert again.stdout == b"[]\n", "the stand-in does what WSL does"


@pytest.mark.parametrize("words", [["a", "b c", ""], ['say "hi"', "back\\slash\\"], ['a\\\\"b', "\\", "$x; 'y'"], ["\t", 'x"y z']])
def test_the_stand_in_cuts_what_python_joins_as_windows_does(words: list[str]) -> None:
    assert split(subprocess.list2cmdline(words)) == words


@pytest.mark.skipif(os.geteuid() != 0, reason="other accounts need root")
def test_the_default_distribution_and_a_chosen_user_are_used(windows: Windows, make: Callable[..., Wsl]) -> None:
    windows.add("Another")
    link = make(user="ada")
    link.open()
    assert say(link.channel(), 'echo "$WSL_DISTRO_NAME" $(id -u) "$HOME"') == b"Debian 1000 /home/ada\n"
    assert link.describe() == {"way": "wsl", "distro": "the default", "user": "ada"}


@pytest.mark.parametrize("old", [False, True], ids=["utf-8", "utf-16"])
def test_an_unknown_distribution_is_refused_with_those_that_are_there(
    windows: Windows, make: Callable[..., Wsl], old: bool
) -> None:
    """WSL#4607: its own messages are UTF-16 without a mark, whatever is asked of an old one; they come on standard output."""
    windows.add("Ubuntu-24.04")
    if old:
        windows.speak_utf16()
    with pytest.raises(Refused) as raised:
        make(distro="Ubuntu-24.4").open()
    assert str(raised.value) == (
        "host 'box': WSL distribution 'Ubuntu-24.4' is not installed; did you mean 'Ubuntu-24.04'? "
        "Installed are Debian, Ubuntu-24.04; correct 'distro' in hosts.yaml"
    )


def test_without_any_distribution_it_is_said_how_to_install_one(bare: Windows, make: Callable[..., Wsl]) -> None:
    with pytest.raises(Refused, match=r"no WSL distribution is installed; install one by 'wsl --install'"):
        make().open()


def test_without_wsl_it_is_said_how_to_install_it(make: Callable[..., Wsl], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(Refused, match=r"host 'box': wsl\.exe is not on the PATH: on Windows, install WSL by 'wsl --install'"):
        make().open()


@pytest.mark.parametrize("old", [False, True], ids=["utf-8", "utf-16"])
def test_a_launch_that_fails_otherwise_may_be_tried_again_and_is_told_in_its_words(
    windows: Windows, make: Callable[..., Wsl], old: bool
) -> None:
    if old:
        windows.speak_utf16()
    link = make()
    windows.fail("Wsl/Service/CreateInstance/CreateVm/HCS/0x800705aa")
    with pytest.raises(Unreachable, match=r"does not start: Es ist etwas passiert\. Error code: Wsl/Service/.*/HCS/0x800705aa$"):
        link.open()
    windows.fail("")
    link.open()
    assert link.alive


@pytest.mark.parametrize("reason", ["WSL_E_VIRTUAL_MACHINE_PLATFORM_REQUIRED", "WSL_E_USER_NOT_FOUND", "WSL_E_DISK_CORRUPTED"])
def test_what_only_a_person_can_mend_is_refused(windows: Windows, make: Callable[..., Wsl], reason: str) -> None:
    windows.fail(f"Wsl/Service/CreateInstance/{reason}")
    with pytest.raises(Refused, match=f"host 'box': WSL's default distribution cannot be used: Es ist .*{reason}"):
        make().open()


def test_a_user_who_is_not_there_is_refused(windows: Windows, make: Callable[..., Wsl]) -> None:
    with pytest.raises(Refused, match="WSL_E_USER_NOT_FOUND"):
        make(user="nobody-here").open()


def test_the_complaint_about_the_folder_is_no_failure_and_no_reason(
    windows: Windows, make: Callable[..., Wsl], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WSL#12705: a folder that cannot be translated is told of on standard error, and the launch goes on."""
    monkeypatch.chdir(tmp_path)
    link = make()
    link.open()
    assert b"CreateProcessParseCommon" in link.channel().words
    assert say(link.channel(), "pwd") == b"/root\n"
    windows.fail("Wsl/Service/E_UNEXPECTED")
    with pytest.raises(Unreachable) as raised:
        link.channel()
    assert "CreateProcessParseCommon" not in str(raised.value)
    monkeypatch.chdir(windows.drive)
    windows.fail("")
    assert say(link.channel(), "pwd") == b"/mnt/c\n"


def test_channels_are_there_together_and_do_not_wait_for_each_other(windows: Windows, make: Callable[..., Wsl]) -> None:
    link = make()
    link.open()
    channels: list[Channel] = []
    opening = [threading.Thread(target=lambda: channels.append(link.channel())) for _ in range(6)]
    for each in opening:
        each.start()
    for each in opening:
        each.join(DEADLINE)
    for number, channel in enumerate(channels):
        channel.send(f"echo {number}; cat >/dev/null\n".encode())
    assert sorted(channel.receive(DEADLINE) for channel in channels) == [b"%d\n" % n for n in range(6)]
    channels[0].finish()
    assert channels[0].receive(DEADLINE) == b""
    with pytest.raises(TimeoutError):
        channels[1].receive(0.1)


def test_a_distribution_is_held_as_long_as_the_link_is_open(windows: Windows, make: Callable[..., Wsl]) -> None:
    """WSL#8854: one that no launcher uses is stopped, whatever runs in it."""
    link = make()
    assert not link.alive
    link.open()
    assert len(windows.inside("Debian")) == 1
    link.drop()
    assert not link.alive
    until(lambda: not windows.inside("Debian"))


@pytest.mark.parametrize("how", ["dropped", "killed", "terminated"])
def test_the_end_of_a_launcher_ends_its_channels_and_is_noticed(windows: Windows, make: Callable[..., Wsl], how: str) -> None:
    link = make()
    link.open()
    channel = link.channel()
    channel.send(b"sleep 600\n")
    waiting: list[bytes] = []
    reader = threading.Thread(target=lambda: waiting.append(channel.receive()))
    reader.start()
    if how == "dropped":
        link.drop()
    elif how == "terminated":
        windows.terminate("Debian")
    else:
        assert link._held
        for each in (link._held, channel):
            os.kill(each.process.pid, signal.SIGKILL)
    reader.join(DEADLINE)
    assert waiting == [b""]
    until(lambda: not link.alive)
    link.open()
    assert say(link.channel(), "echo again") == b"again\n"


def test_drop_wakes_who_waits_for_a_launch(windows: Windows, make: Callable[..., Wsl]) -> None:
    windows.program.write_text("#!/bin/sh\nexec sleep 600\n")
    link = make()
    failed: list[Exception] = []

    def opening() -> None:
        try:
            link.open()
        except HostError as error:
            failed.append(error)

    thread = threading.Thread(target=opening)
    thread.start()
    until(lambda: link._channels)
    link.drop()
    thread.join(DEADLINE)
    assert [type(error) for error in failed] == [Unreachable]


def test_what_nobody_reads_makes_the_program_wait_and_closing_wakes_who_sends(windows: Windows, make: Callable[..., Wsl]) -> None:
    link = make()
    link.open()
    loud = link.channel()
    loud.send(b"while :; do head -c 100000 /dev/zero; echo x >>/tmp/written; done\n")
    written = windows.folder / "Debian/tmp/written"
    until(written.exists)
    assert loud.receive(DEADLINE)
    deaf = link.channel()
    deaf.send(b"sleep 600\n")
    failed = threading.Event()

    def send() -> None:
        try:
            while True:
                deaf.send(bytes(1 << 20))
        except Unreachable:
            failed.set()

    threading.Thread(target=send, daemon=True).start()
    assert not failed.wait(0.5)
    assert written.stat().st_size < 200, "it runs ahead of nobody's reading"
    deaf.close()
    assert failed.wait(DEADLINE)


@pytest.fixture
def transport(windows: Windows, make: Callable[..., Wsl]) -> Iterator[ShellTransport]:
    transport = ShellTransport("box", make(distro="Debian"))
    transport.open()
    yield transport
    transport.close()


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("C:\\Users\\Ada Müller\\it's $HOME", "/mnt/c/Users/Ada Müller/it's $HOME"),
        ("\\\\wsl.localhost\\Debian\\root\\x", "/root/x"),
    ],
)
def test_folders_are_translated_between_windows_and_the_distribution(transport: ShellTransport, there: str, here: str) -> None:
    assert outside(transport, here) == there
    if there.startswith("C"):
        assert inside(transport, there) == here


def test_a_folder_that_is_on_neither_side_is_told_of(transport: ShellTransport) -> None:
    with pytest.raises(HostError, match="host 'box': wslpath: nowhere"):
        inside(transport, "nowhere")


def test_jobs_go_on_when_all_launchers_are_killed_and_are_heard_of_later(windows: Windows, transport: ShellTransport) -> None:
    """WSL#2496: the end of wsl.exe is not the end of what it launched."""
    woken = threading.Event()
    host = PlainHost("box", transport, directory="/root/.hybridnb", slots=2, wake=woken.set)
    script = "echo begun; until [ -e /tmp/gate ]; do sleep 0.1; done; echo done"
    job = Submission("run-1", Job("wait", script=script), 1, 1, "token", "/root/.hybridnb/runs/run-1/1", script, work="/tmp")
    host.submit([job])
    root = windows.folder / "Debian"
    attempt = root / "root/.hybridnb/runs/run-1/1/1"
    until(lambda: (attempt / "out").exists() and (attempt / "out").read_text())
    for pipe in list(transport.link._channels):  # type: ignore[attr-defined]
        os.kill(pipe.process.pid, signal.SIGKILL)
    until(lambda: not transport.alive)
    (root / "tmp/gate").touch()
    until((attempt / "rc").exists)
    transport.open()
    host.reset()
    host.tend()
    heard: list[Report] = []
    while not any(report.what is State.DONE for report in heard):
        assert woken.wait(DEADLINE)
        woken.clear()
        heard += host.hear()
    assert (attempt / "out").read_text() == "begun\ndone\n"


def test_jobs_of_a_distribution_that_was_stopped_are_found_lost(windows: Windows, transport: ShellTransport) -> None:
    woken = threading.Event()
    host = PlainHost("box", transport, directory="/root/.hybridnb", slots=2, wake=woken.set)
    job = Submission(
        "run-1", Job("wait", script="sleep 600"), 1, 1, "token", "/root/.hybridnb/runs/run-1/1", "sleep 600", work="/tmp"
    )
    host.submit([job])
    claim = windows.folder / "Debian/root/.hybridnb/runs/run-1/1/1/claim"
    until(lambda: claim.exists() and claim.read_text().endswith("\n"))
    windows.terminate("Debian")
    until(lambda: not transport.alive)
    transport.open()
    host.reset()
    host.tend()
    heard: list[Report] = []
    while not any(report.what is State.LOST for report in heard):
        assert woken.wait(DEADLINE)
        woken.clear()
        heard += host.hear()


def test_a_workflow_goes_there_with_its_inputs_and_its_outputs_come_home(windows: Windows, home: Path, tmp_path: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  box: {transport: wsl, distro: Debian}\n")
    (tmp_path / "data.csv").write_text("1;2\n")
    there = Job("there", script="{ uname -n; cat data.csv; } >result", host="box", inputs=("data.csv",), outputs=("result",))
    here = Job("here", script="cat result", after=(Dependency("there"),))
    engine = Engine()
    try:
        store = engine.create(Workflow.of("test", (there, here)), tmp_path / "test.yaml")
        assert engine.until_idle(timeout=DEADLINE), engine.problems
        assert {name: state.value for name, state in store.run.states.items()} == {"there": "done", "here": "done"}
    finally:
        engine.close()
    assert (tmp_path / "result").read_text() == "winhost\n1;2\n"
