"""What is the OpenSSH link's own: a master that leaves nothing behind, and questions by SSH_ASKPASS. The rest is in test_ssh.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from hybridnb.errors import HostError, Refused, Unreachable
from hybridnb.hosts.ssh.askpass import Askpass
from hybridnb.hosts.ssh.openssh import OpenSSH
from hybridnb.hosts.questions import Questions
from testbed.processes import until
from testbed.sshd import Server, Sshd


@pytest.fixture
def link(server: Server) -> Iterator[OpenSSH]:
    link = OpenSSH(server.name, {}, questions=Questions(), config=server.config)
    yield link
    link.drop()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have temporary files in a folder of the test's own."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def masters(folder: Path) -> list[psutil.Process]:
    """Return what was started with the folder's control path."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_master_is_private_and_leaves_nothing_behind(link: OpenSSH, temporary: Path) -> None:
    link.open()
    (folder,) = temporary.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert masters(folder)
    link.drop()
    assert not list(temporary.iterdir())
    until(lambda: not masters(folder), "the end of the master")


def test_a_login_that_fails_leaves_nothing_behind(link: OpenSSH, server: Server, temporary: Path) -> None:
    server.stop()
    with pytest.raises(Unreachable):
        link.open()
    assert not list(temporary.iterdir())
    assert not masters(temporary)


def test_a_long_temporary_folder_does_not_make_the_control_path_too_long(
    link: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    link.open()
    assert link.alive


def test_a_master_does_not_outlive_the_process_that_wanted_it(server: Server, temporary: Path) -> None:
    opener = (
        "import sys, time; from pathlib import Path; from hybridnb.hosts.ssh.openssh import OpenSSH; "
        "from hybridnb.hosts.questions import Questions; link = OpenSSH(sys.argv[1], {}, questions=Questions(), "
        "config=Path(sys.argv[2])); link.open(); print('in', flush=True); time.sleep(100)"
    )
    words = [sys.executable, "-c", opener, server.name, str(server.config)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "in\n"
        assert server.sessions()
        process.kill()
    until(lambda: not server.sessions(), "the end of the connection")
    until(lambda: not list(temporary.iterdir()), "the end of its folder")


def test_a_master_that_is_killed_is_noticed(link: OpenSSH, temporary: Path) -> None:
    link.open()
    channel = link.channel()
    for process in masters(temporary):
        process.kill()
    with pytest.raises(Unreachable):
        channel.receive(20)
    assert not link.alive
    with pytest.raises(Unreachable):
        link.channel()


def test_without_a_program_ssh_the_other_transport_is_named(link: OpenSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="transport: ssh"):
        link.open()


def test_what_ssh_says_is_what_a_person_reads(sshd: Sshd) -> None:
    server = sshd.up()
    server.authorized_keys.write_text("")
    link = OpenSSH(server.name, {}, questions=Questions(), config=server.config)
    with pytest.raises(Refused) as caught:
        link.open()
    assert f"host '{server.name}': {server.user}@{server.address}: Permission denied (publickey)" in str(caught.value)
    assert "\n" not in str(caught.value)


# SSH_ASKPASS


class Asked:
    """Answers what ssh would ask, and remembers it."""

    def __init__(self, *answers: str | HostError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bool, tuple[str, ...]]] = []

    def __call__(self, text: str, *, hidden: bool = True, choices: tuple[str, ...] = ()) -> str:
        self.asked.append((text, hidden, choices))
        answer = self.answers.pop(0)
        if isinstance(answer, HostError):
            raise answer
        return answer


def as_ssh_asks(askpass: Askpass, text: str, kind: str = "") -> tuple[int, str]:
    environment = {**os.environ, **askpass.environment, **({"SSH_ASKPASS_PROMPT": kind} if kind else {})}
    words = [askpass.environment["SSH_ASKPASS"], text]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout


def test_a_question_of_ssh_gets_its_answer_letter_by_letter(tmp_path: Path) -> None:
    person = Asked("x 'y' \\ \"z\" ü $HOME")
    with closing(Askpass(tmp_path, person)) as askpass:
        assert as_ssh_asks(askpass, "me@host's password: ") == (0, "x 'y' \\ \"z\" ü $HOME\n")
    assert person.asked == [("me@host's password: ", True, ())]
    assert "$HOME" not in "".join(path.read_text() for path in tmp_path.iterdir() if path.is_file())


def test_a_host_key_and_a_use_of_the_agent_are_questions_of_yes_and_no(tmp_path: Path) -> None:
    person = Asked("yes", "yes", "no")
    with closing(Askpass(tmp_path, person)) as askpass:
        assert as_ssh_asks(askpass, "Are you sure (yes/no/[fingerprint])? ") == (0, "yes\n")
        assert as_ssh_asks(askpass, "Allow use of key k?", "confirm") == (0, "yes\n")
        assert as_ssh_asks(askpass, "Allow use of key l?", "confirm")[0] == 1
    assert [asked[1:] for asked in person.asked] == [(False, ("yes", "no"))] * 3


def test_what_is_only_told_asks_nobody(tmp_path: Path) -> None:
    person = Asked()
    with closing(Askpass(tmp_path, person)) as askpass:
        assert as_ssh_asks(askpass, "Confirm user presence for key", "none")[0] == 0
    assert not person.asked


def test_the_same_question_a_second_time_means_a_wrong_answer(tmp_path: Path) -> None:
    """A jump host's ssh asks three times by itself."""
    person = Asked("wrong", "right")
    with closing(Askpass(tmp_path, person)) as askpass:
        assert as_ssh_asks(askpass, "Password: ")[0] == 0
        assert as_ssh_asks(askpass, "Password: ") == (1, "")
        assert isinstance(askpass.trouble, Refused)
    assert len(person.asked) == 1


def test_an_answer_that_is_withheld_ends_the_login(tmp_path: Path) -> None:
    trouble = Refused("nobody answered")
    with closing(Askpass(tmp_path, Asked(trouble))) as askpass:
        assert as_ssh_asks(askpass, "Password: ") == (1, "")
        assert askpass.trouble is trouble


def test_passphrases_are_kept_after_a_login_and_nothing_else_is(tmp_path: Path) -> None:
    question = f"Enter passphrase for key '{tmp_path}': "
    with closing(Askpass(tmp_path, Asked("open", "word"))) as askpass:
        as_ssh_asks(askpass, question)
        as_ssh_asks(askpass, "Password: ")
        askpass.keep()
    again = tmp_path / "again"
    again.mkdir()
    person = Asked("word")
    with closing(Askpass(again, person)) as askpass:
        assert as_ssh_asks(askpass, question) == (0, "open\n")
        as_ssh_asks(askpass, "Password: ")
    assert [asked[0] for asked in person.asked] == ["Password: "]


def test_control_characters_of_a_host_are_not_shown(tmp_path: Path) -> None:
    person = Asked("x")
    with closing(Askpass(tmp_path, person)) as askpass:
        as_ssh_asks(askpass, "\x1b[2JPass\x07word:\n")
    assert person.asked[0][0] == "[2JPassword:\n"
