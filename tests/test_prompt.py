"""What hosts ask reaches the person at the terminal, and nobody else: real terminals, real processes, a transport that asks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hybridnb import cli
from hybridnb import home as places
from hybridnb.client import Client
from hybridnb.errors import NotFound
from testbed.processes import until
from testbed.sshd import PASSWORD, Server, code

COMMAND = [sys.executable, "-m", "hybridnb"]
PATIENCE = 60  # seconds
SECRET = "open sesame"
KEY = "The key of door:22 is not known.\nED25519 SHA256:abcdef\nIs it the right one?"

# A transport as another package may bring it: it asks, then speaks to a shell of this machine.
ASKING = """
from hybridnb.errors import Refused
from hybridnb.hosts.channel import SCRIPT
from hybridnb.hosts.pipe import Pipe

class Asking:
    alive = False

    def __init__(self, name, entry, *, questions):
        self.name, self.questions, self.user = name, questions, entry.get("user", "key")

    def open(self):
        ask = self.questions.ask
        if self.user == "key" and ask(self.name, {key!r}, hidden=False, choices=("yes", "no")) != "yes":
            raise Refused(f"host '{{self.name}}': the key is not trusted")
        if ask(self.name, "Password: \\x1b[31m") != {secret!r}:
            raise Refused(f"host '{{self.name}}': wrong password")
        self.alive = True

    def channel(self, *, patience=None):
        return Pipe(["/bin/sh", "-c", SCRIPT], host=self.name)

    def drop(self):
        self.alive = False

    def describe(self):
        return {{"server": "Door_1.0"}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own; `door` and `word` are hosts that ask."""
    monkeypatch.chdir(tmp_path)
    plugin = tmp_path / "plugin"
    about = plugin / "asking-1.0.dist-info"
    about.mkdir(parents=True)
    (plugin / "asking.py").write_text(ASKING.format(key=KEY, secret=SECRET))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: asking\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hybridnb.transports]\nasking = asking:Asking\n")
    monkeypatch.setenv("PYTHONPATH", f"{Path(cli.__file__).parent.parent}:{plugin}")
    where = f"directory: {tmp_path}/there"
    (home / "hosts.yaml").write_text(
        f"hosts:\n  door: {{transport: asking, {where}}}\n  word: {{transport: asking, user: word, {where}}}\n"
    )
    return tmp_path


def terminal(*words: str | Path, size: tuple[int, int] = (24, 100), **environment: str) -> pexpect.spawn[str]:
    known = {**os.environ, "TERM": "xterm-256color", **environment}
    return pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], *map(str, words)], dimensions=size, env=known, encoding="utf-8", timeout=PATIENCE
    )


def ended(child: pexpect.spawn[str]) -> tuple[int | None, str]:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", child.before or "")


def asked(client: Client) -> dict[str, Any]:
    """Wait for a question."""
    until(lambda: bool(client.questions()), "a question")
    return client.questions()[0]


def everything(folder: Path) -> Iterator[bytes]:
    """What is in any file of the user's or of the run's."""
    for base in (places.state(), folder):
        yield from (path.read_bytes() for path in base.rglob("*") if path.is_file() and "plugin" not in path.parts)


# -- hosts check ----------------------------------------------------------------------------------------------------------
def test_a_check_asks_on_the_terminal_and_a_secret_is_shown_and_written_nowhere(folder: Path) -> None:
    child = terminal("hosts", "check", "door")
    shown = []
    child.logfile_read = type("Log", (), {"write": lambda _, text: shown.append(text), "flush": lambda _: None})()
    child.expect(
        "host 'door' asks:\r\nThe key of door:22 is not known.\r\nED25519 SHA256:abcdef\r\nIs it the right one\\? \\(yes/no\\) "
    )
    child.sendline("maybe")
    child.expect("please answer yes or no\r\nIs it the right one\\? \\(yes/no\\) ")
    child.sendline(" YES ")
    child.expect("host 'door' asks:\r\nPassword: ")
    child.sendline(SECRET)
    child.expect("✔.* connection +Door_1.0")
    code, text = ended(child)
    assert code == 0
    assert "host 'door': jobs can go there" in text
    assert SECRET not in "".join(shown)
    assert "\x1b[31m " not in "".join(shown), "a host cannot colour the terminal"
    assert not any(SECRET.encode() in data for data in everything(folder))


def test_a_wrong_answer_fails_the_login_with_the_hosts_word(folder: Path) -> None:
    child = terminal("hosts", "check", "word")
    child.expect("Password: ")
    child.sendline("guess")
    code, text = ended(child)
    assert code == 1
    assert re.search(r"✘ login +wrong password", text)
    assert "host 'word': 1 step failed" in text


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_or_ctrl_d_withholds_the_answer(folder: Path, key: str) -> None:
    child = terminal("hosts", "check", "word")
    child.expect("Password: ")
    child.send(key)
    child.expect("no answer is given; to be asked again: hybridnb hosts check word")
    code, text = ended(child)
    assert code == 1
    assert "nobody answered its question" in " ".join(text.split())
    assert Client().questions() == []


def test_without_a_terminal_a_check_tells_where_to_answer_and_ends(folder: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "hosts", "check", "word"], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert "host 'word' asks 'Password:" in done.stderr
    assert "on a terminal to answer" in done.stderr
    assert "\x1b" not in done.stderr
    assert re.search(r"^✘ login +nobody answered", done.stdout, re.M)


def test_a_prompt_goes_when_the_question_was_answered_elsewhere(folder: Path) -> None:
    child = terminal("hosts", "check", "word")
    child.expect("Password: ")
    client = Client()
    client.answer(asked(client)["id"], SECRET)
    child.expect("it waits for no answer any more")
    assert ended(child)[0] == 0


def test_the_terminal_echoes_again_after_a_secret(folder: Path) -> None:
    command = " ".join([*COMMAND, "hosts", "check", "word"])
    child = pexpect.spawn("/bin/sh", ["-c", f"{command}; stty -a"], encoding="utf-8", timeout=PATIENCE)
    child.expect("Password: ")
    child.sendline(SECRET)
    child.expect(pexpect.EOF)
    assert re.search(r"(?<!-)\becho\b", child.before or "")


# -- answers --------------------------------------------------------------------------------------------------------------
def test_a_question_is_answered_once(folder: Path) -> None:
    client = Client()
    steps = client.check("word")
    next(steps)
    question = asked(client)
    assert (question["host"], question["hidden"], question["choices"]) == ("word", True, [])
    client.answer(question["id"], SECRET)
    with pytest.raises(NotFound, match="waits for no answer any more"):
        client.answer(question["id"], SECRET)
    assert all(step["ok"] is not False for step in steps if step)


def test_hosts_tell_what_waits_for_an_answer(folder: Path) -> None:
    client = Client()
    steps = client.check("word")
    next(steps)
    question = asked(client)
    problem = client.hosts()["word"]["problem"]
    assert problem.startswith("waits for an answer: Password:")
    assert problem.endswith("answer by 'hybridnb hosts check word'")
    client.answer(question["id"], None)
    assert [step for step in steps if step and step["ok"] is False]
    assert client.hosts()["word"]["problem"].startswith("host 'word': nobody answered its question")


# -- run ------------------------------------------------------------------------------------------------------------------
FLOW = "name: flow\njobs:\n  a: {script: echo here}\n  b: {host: word, script: echo there}\n"


def workflow(folder: Path) -> Path:
    (folder / "flow.yaml").write_text(FLOW)
    return folder / "flow.yaml"


@pytest.mark.parametrize("here", [[], ["--here"]])
def test_a_run_on_a_terminal_asks_at_once_and_draws_on_when_it_was_answered(folder: Path, here: list[str]) -> None:
    child = terminal("run", workflow(folder), *here)
    child.expect("host 'word' asks:\r\nPassword: ")
    child.sendline(SECRET)
    code, text = ended(child)
    assert code == 0
    assert "✔ 2 done" in text
    assert SECRET not in text
    assert not any(SECRET.encode() in data for data in everything(folder))


def test_a_run_goes_on_when_an_answer_is_withheld_and_tells_how_to_be_asked_again(folder: Path) -> None:
    child = terminal("run", workflow(folder))
    child.expect("Password: ")
    child.sendintr()
    child.expect("no answer is given; to be asked again: hybridnb hosts check word")
    child.expect("nobody answered its question")
    child.sendintr()
    assert ended(child)[0] == 130
    other = terminal("hosts", "check", "word")
    other.expect("Password: ")
    other.sendline(SECRET)
    assert ended(other)[0] == 0
    done = subprocess.run(
        [*COMMAND, "run", "flow.yaml"], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout


def test_a_run_in_a_pipe_tells_once_how_to_answer_and_status_tells_it_too(folder: Path) -> None:
    child = subprocess.Popen([*COMMAND, "run", str(workflow(folder))], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert child.stdout
    for line in child.stdout:
        if "waits for an answer" in line:
            break
    assert re.fullmatch(r"\d\d:\d\d:\d\d word: waits for an answer: Password:.*; answer by 'hybridnb hosts check word'\n", line)
    status = subprocess.run([*COMMAND, "status", "flow.yaml"], capture_output=True, text=True, timeout=PATIENCE).stdout
    assert "word: waits for an answer: Password:" in status
    client = Client()
    client.answer(asked(client)["id"], SECRET)
    rest, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0
    assert "answer" not in rest.replace("word: it goes on", "")


def test_ctrl_c_at_a_question_under_here_withholds_the_answer_and_stops_nothing(folder: Path) -> None:
    child = terminal("run", workflow(folder), "--here")
    child.expect("Password: ")
    child.sendintr()
    child.expect("no answer is given")
    child.expect("nobody answered its question")
    child.sendintr()
    child.expect("asking the jobs to stop")
    child.sendintr()
    assert ended(child)[0] == 130


def test_a_connection_that_took_a_code_is_kept_and_a_run_in_a_pipe_uses_it(
    folder: Path, home: Path, totp_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = folder / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {totp_server.config} "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    (home / "hosts.yaml").write_text(f"hosts:\n  word: {{transport: ssh, address: {totp_server.name}}}\n")
    child = terminal("hosts", "check", "word", size=(24, 200))
    child.expect("Password: ")
    child.sendline(PASSWORD)
    child.expect("Verification code: ")
    child.sendline(code())
    status, text = ended(child)
    assert status == 0, text
    assert "keyboard-interactive" in text
    words = [*COMMAND, "run", str(workflow(folder))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout
    assert "answer" not in done.stdout + done.stderr
    logs = [data for data in everything(folder) if PASSWORD.encode() in data]
    assert logs == []
