"""The SSH links against real sshds: whatever paramiko's does, the system's ssh does too."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybridnb.errors import HostError, Refused, Unreachable
from hybridnb.hosts.channel import Channel
from hybridnb.hosts.ssh.openssh import OpenSSH
from hybridnb.hosts.questions import Question, Questions
from hybridnb.hosts.ssh.link import SSH
from testbed.processes import program, until
from testbed.proxy import Proxy
from testbed.sshd import PASSPHRASE, PASSWORD, Door, Server, Sshd, code, keygen

Link = SSH | OpenSSH
Proxied = Callable[[Door], tuple[Proxy, Door]]
MIB = 1 << 20


class Person:
    """Answers in turn, and remembers what was asked; has no further answer than those."""

    def __init__(self, *answers: str | Callable[[], str]) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []
        self.questions = Questions()
        self.questions.changed = self.answer

    def answer(self) -> None:
        for question in self.questions.open():
            if question not in self.asked:
                self.asked.append(question)
                answer = self.answers.pop(0) if self.answers else None
                self.questions.answer(question.id, answer() if callable(answer) else answer)


class Links:
    """Makes links of one kind, and closes them."""

    def __init__(self, kind: type[Link]) -> None:
        self.kind = kind
        self.made: list[Link] = []

    def to(self, door: Door, person: Person | None = None, **entry: object) -> Link:
        link = self.kind(door.name, entry, questions=(person or Person()).questions, config=door.config)
        self.made.append(link)
        return link

    def opened(self, door: Door, person: Person | None = None, **entry: object) -> Link:
        link = self.to(door, person, **entry)
        link.open()
        return link


def closing_links(kind: type[Link]) -> Iterator[Links]:
    links = Links(kind)
    yield links
    for link in links.made:
        link.drop()


@pytest.fixture(params=[SSH, OpenSSH])
def links(request: pytest.FixtureRequest) -> Iterator[Links]:
    """Give links of either kind."""
    yield from closing_links(request.param)


@pytest.fixture
def ssh() -> Iterator[Links]:
    """Give paramiko's links."""
    yield from closing_links(SSH)


def line(script: str) -> bytes:
    """Write a script as LOADER reads it."""
    return script.replace("\\", r"\\").replace("\n", r"\n").encode() + b"\n"


def start(link: Link, script: str) -> Channel:
    channel = link.channel()
    channel.send(line(script))
    return channel


def rest(channel: Channel) -> bytes:
    """Read to the end."""
    return b"".join(iter(lambda: channel.receive(20), b""))


def run(link: Link, script: str, data: bytes = b"") -> bytes:
    channel = start(link, script)
    channel.send(data)
    channel.finish()
    try:
        return rest(channel)
    finally:
        channel.close()


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Do it beside; the list gets its result, or what it raised."""
    results: list[object] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  it belongs to the test
            results.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread, results


# What a channel does


def test_a_program_gets_all_bytes_after_the_first_line_and_answers_with_all_of_them(links: Links, server: Server) -> None:
    data = bytes(range(256)) * 4096
    assert run(links.opened(server), "cat", data) == data


@pytest.mark.parametrize("shell", ["csh", "fish", "dash"])
def test_a_script_runs_in_sh_whatever_the_login_shell_is(links: Links, sshd: Sshd, shell: str) -> None:
    link = links.opened(sshd.up(shell=shell))
    assert run(link, "a='x y'\nif [ \"$a\" = 'x y' ]; then printf '%s\\n' \"$a\" \"$(cat)\"; fi", b"z") == b"x y\nz\n"


def test_noise_of_a_login_comes_before_the_program_and_breaks_nothing(links: Links, sshd: Sshd, tmp_path: Path) -> None:
    """BatchJobs#85, ansible#2268: a .bashrc that writes, and a banner."""
    banner = tmp_path / "banner"
    banner.write_text("Authorised users only!\n")
    tmp_path.chmod(0o755)
    server = sshd.up(files={".bashrc": "echo noise; echo more >&2\n"}, options=[f"Banner {banner}"])
    assert run(links.opened(server), "echo -- $?; cat", b"data") == b"noise\n-- 0\ndata"


def test_standard_error_is_thrown_away_and_never_blocks(links: Links, server: Server) -> None:
    """paramiko#1778, #448: more than a window of it on one stream held up the other."""
    assert run(links.opened(server), f"head -c {40 * MIB} /dev/zero >&2; echo done") == b"done\n"


def test_receive_gives_up_after_its_time_and_can_go_on(links: Links, server: Server) -> None:
    channel = start(links.opened(server), "read -r x; echo $x")
    with pytest.raises(TimeoutError):
        channel.receive(0.1)
    channel.send(b"later\n")
    assert rest(channel) == b"later\n"


def test_receive_returns_what_is_there_without_waiting_for_more(links: Links, server: Server) -> None:
    channel = start(links.opened(server), "printf one; read -r x; printf two")
    assert channel.receive(20) == b"one"
    channel.send(b"\n")
    assert rest(channel) == b"two"


def send_too_much(link: Link, size: int) -> bytes:
    """Send more than a program reads that then ends."""
    channel = start(link, f"head -c {size} >/dev/null; echo enough")
    for _ in range(30):
        channel.send(bytes(1 << 16))
    channel.finish()
    answer = rest(channel)
    channel.close()
    return answer


def send_too_much_at_once(link: Link) -> None:
    work = [in_thread(lambda: {send_too_much(link, n * 20011) for n in range(15)}) for _ in range(4)]
    for thread, results in work:
        thread.join(60)
        assert results == [{b"enough\n"}]


@pytest.mark.parametrize("limit", ["default none", "1M"])
def test_send_returns_when_the_program_has_ended_and_the_connection_lives_on(links: Links, sshd: Sshd, limit: str) -> None:
    """A word about a channel after its last one makes sshd hang up."""
    send_too_much_at_once(links.opened(sshd.up(options=[f"RekeyLimit {limit}"])))


def test_close_wakes_whoever_receives(links: Links, server: Server) -> None:
    channel = start(links.opened(server), "exec sleep 100")
    thread, results = in_thread(lambda: channel.receive(60))
    channel.close()
    thread.join(30)
    assert results in ([b""], [results[0]] if results and isinstance(results[0], Unreachable) else [b""])
    assert results


def test_much_goes_both_ways_at_once(links: Links, server: Server) -> None:
    channel = start(links.opened(server), "cat")
    data = os.urandom(24 * MIB)
    thread, _ = in_thread(lambda: channel.send(data) or channel.finish())  # type: ignore[func-returns-value]
    assert rest(channel) == data
    thread.join()


def test_keys_are_renewed_while_data_flows(links: Links, sshd: Sshd) -> None:
    link = links.opened(sshd.up(options=["RekeyLimit 1M"]))
    data = os.urandom(16 * MIB)
    assert run(link, "cat >copy; cat copy", data) == data


def test_many_threads_use_many_channels(links: Links, server: Server) -> None:
    """Programs of several threads on one connection; paramiko's own exec_command ends it."""
    link = links.opened(server)
    work = [in_thread(lambda n=n: [run(link, f"cat; echo {n}.{i}", b"x") for i in range(10)]) for n in range(6)]  # type: ignore[misc]
    for n, (thread, results) in enumerate(work):
        thread.join(60)
        assert results == [[f"x{n}.{i}\n".encode() for i in range(10)]]


# MaxSessions


@pytest.mark.parametrize("most", [1, 2, 10])
def test_at_the_limit_a_channel_waits_until_one_has_ended(links: Links, sshd: Sshd, most: int) -> None:
    """autosubmit#1323: MaxSessions 2 at a real site."""
    link = links.opened(sshd.up(options=[f"MaxSessions {most}"]))
    channels = [start(link, "echo here; cat") for _ in range(most)]
    assert [channel.receive(20) for channel in channels] == [b"here\n"] * most
    thread, results = in_thread(lambda: run(link, "echo late"))
    thread.join(0.5)
    assert not results
    channels[0].finish()
    assert rest(channels[0]) == b""
    thread.join(60)
    assert results == [b"late\n"]


def test_a_place_is_free_only_when_the_program_has_ended(links: Links, sshd: Sshd) -> None:
    link = links.opened(sshd.up(options=["MaxSessions 1"]))
    channel = start(link, "trap '' HUP PIPE TERM; echo $$; exec >/dev/null 2>&1 </dev/null; exec sleep 1")
    channel.receive(20)
    channel.close()
    assert run(link, "echo later") == b"later\n"


def test_more_threads_than_places_all_get_theirs(links: Links, sshd: Sshd) -> None:
    link = links.opened(sshd.up(options=["MaxSessions 2"]))
    work = [in_thread(lambda: [run(link, "echo x") for _ in range(4)]) for _ in range(5)]
    for thread, results in work:
        thread.join(60)
        assert results == [[b"x\n"] * 4]


def test_an_account_that_runs_no_programs_is_refused(links: Links, sshd: Sshd) -> None:
    link = links.opened(sshd.up(options=["MaxSessions 0"]))
    with pytest.raises(Refused, match="runs no programs"):
        link.channel()


# Logins


def test_a_key_lets_in_without_a_question(links: Links, server: Server) -> None:
    person = Person()
    link = links.opened(server, person)
    assert not person.asked
    told = link.describe()
    assert (told["address"], told["port"], told["user"]) == (server.address, server.port, server.user)


def test_hosts_yaml_alone_says_how_a_host_is_reached(links: Links, server: Server, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"UserKnownHostsFile {server.known_hosts}\n")
    entry = {"address": server.address, "port": server.port, "user": server.user, "identity": str(server.key)}
    link = links.kind("cluster", entry, questions=Questions(), config=config)
    links.made.append(link)
    link.open()
    assert run(link, "id -un") == f"{server.user}\n".encode()


def test_a_passphrase_is_asked_once_also_for_later_connections(links: Links, server: Server) -> None:
    person = Person(PASSPHRASE)
    link = links.opened(server, person, identity=str(server.encrypted_key))
    link.drop()
    link.open()
    assert run(link, "echo in") == b"in\n"
    assert len(person.asked) == 1
    assert person.asked[0].hidden
    assert str(server.encrypted_key) in person.asked[0].text


@pytest.mark.parametrize("form", ["PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_in_older_formats_are_opened_too(links: Links, server: Server, tmp_path: Path, kind: str, form: str) -> None:
    key = tmp_path / "old"
    words = [program("ssh-keygen"), "-q", "-m", form, "-t", kind, "-N", PASSPHRASE, "-f", str(key)]
    subprocess.run(words, check=True)
    server.authorized_keys.write_text(Path(f"{key}.pub").read_text())
    person = Person(PASSPHRASE)
    links.opened(bare(server), person, identity=str(key))
    assert len(person.asked) == 1


def test_a_wrong_passphrase_is_refused_without_a_second_question(links: Links, server: Server) -> None:
    person = Person("hunter2", "hunter3")
    with pytest.raises(Refused) as caught:
        links.opened(bare(server), person, identity=str(server.encrypted_key))
    assert len(person.asked) == 1
    assert "hunter2" not in str(caught.value)


def test_a_wrong_key_is_refused_with_what_was_tried(links: Links, server: Server, tmp_path: Path) -> None:
    key = keygen(tmp_path / "other")
    link = links.to(bare(server), identity=str(key))
    with pytest.raises(Refused, match="publickey") as caught:
        link.open()
    assert server.name in str(caught.value)
    assert server.user in str(caught.value)
    assert not link.alive


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Start an agent of this test's own; its socket."""
    path = tmp_path / "agent"
    process = subprocess.Popen([program("ssh-agent"), "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    until(path.exists, "ssh-agent")
    yield path
    process.kill()
    process.wait()


def add_to_agent(key: Path, *options: str) -> None:
    subprocess.run([program("ssh-add"), "-q", *options, str(key)], check=True, stdin=subprocess.DEVNULL)


def bare(door: Door, *lines: str) -> Door:
    """Return the same door by an entry of its own, which names no key."""
    name = f"{door.name}-bare"
    with door.config.open("a") as config:
        where = f"Host {name}\n HostName {door.address}\n Port {door.port}\n User {door.user}\n"
        config.write(f"{where} UserKnownHostsFile {door.known_hosts}\n" + "".join(f" {line}\n" for line in lines))
    return Door(name, door.address, door.port, door.user, door.config, door.key, door.encrypted_key, door.known_hosts)


def test_the_agents_key_lets_in(links: Links, server: Server, agent: Path, tmp_path: Path) -> None:
    add_to_agent(keygen(tmp_path / "stranger"))
    add_to_agent(server.key)
    assert run(links.opened(bare(server)), "echo in") == b"in\n"


def test_the_configuration_may_name_another_agent(
    links: Links, server: Server, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_agent(server.key)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    links.opened(bare(server, f"IdentityAgent {agent}"))


def test_the_configuration_may_forbid_the_agents_other_keys(links: Links, server: Server, agent: Path, tmp_path: Path) -> None:
    add_to_agent(server.key)
    door = bare(server, f"IdentityFile {keygen(tmp_path / 'stranger')}", "IdentitiesOnly yes")
    with pytest.raises(Refused):
        links.opened(door)


def test_a_public_half_names_the_agents_key(links: Links, server: Server, agent: Path, tmp_path: Path) -> None:
    for n in range(8):
        add_to_agent(keygen(tmp_path / f"stranger{n}"))
    add_to_agent(server.key)
    links.opened(server, identity=str(server.key.with_suffix(".pub")))


def test_an_agent_that_does_not_sign_is_passed_over(links: Links, server: Server, agent: Path) -> None:
    """Its owner says no, since nobody can be asked here."""
    add_to_agent(server.key, "-c")
    with pytest.raises(Refused):
        links.opened(bare(server))
    links.opened(bare(server, f"IdentityFile {server.encrypted_key}"), Person(PASSPHRASE))


def test_too_many_keys_are_refused_with_the_way_out(links: Links, sshd: Sshd, agent: Path, tmp_path: Path) -> None:
    server = sshd.up(options=["MaxAuthTries 3"])
    for n in range(5):
        add_to_agent(keygen(tmp_path / f"stranger{n}"))
    with pytest.raises(Refused, match="Too many authentication failures"):
        links.opened(bare(server))


@pytest.mark.parametrize("held", [False, True], ids=["in a file", "in the agent"])
def test_a_certificate_lets_in(links: Links, sshd: Sshd, agent: Path, tmp_path: Path, held: bool) -> None:
    authority, key = keygen(tmp_path / "authority"), keygen(tmp_path / "mine")
    server = sshd.up(options=[f"TrustedUserCAKeys {authority}.pub"])
    words = [program("ssh-keygen"), "-q", "-s", str(authority), "-I", "me", "-n", server.user, f"{key}.pub"]
    subprocess.run(words, check=True)
    if held:
        add_to_agent(key)
        links.opened(bare(server))
    else:
        links.opened(server, identity=str(key))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_types_let_in(links: Links, server: Server, tmp_path: Path, kind: str) -> None:
    key = keygen(tmp_path / "mine", kind)
    server.authorized_keys.write_text(Path(f"{key}.pub").read_text())
    links.opened(server, identity=str(key))


def test_a_password_and_a_code_are_asked_once_with_the_hosts_words(links: Links, totp_server: Server, tmp_path: Path) -> None:
    person = Person(PASSWORD, code)
    link = links.opened(totp_server, person, identity=str(keygen(tmp_path / "stranger")))
    assert run(link, "echo in") == b"in\n"
    assert run(link, "echo still in") == b"still in\n"
    assert [question.text.strip() for question in person.asked] == [
        f"({totp_server.user}@{who(link, totp_server)}) Password:",
        f"({totp_server.user}@{who(link, totp_server)}) Verification code:",
    ]
    assert all(question.hidden and question.host == totp_server.name for question in person.asked)


def who(link: Link, door: Door) -> str:
    return door.name if isinstance(link, SSH) else door.address


def test_a_key_may_be_only_half_of_the_login(links: Links, totp_server: Server) -> None:
    """The publickey method succeeds partly, then the host asks."""
    totp_server.authorized_keys.touch()
    person = Person(PASSWORD, code)
    assert run(links.opened(totp_server, person), "echo in") == b"in\n"
    assert len(person.asked) == 2


def test_a_wrong_code_is_refused_and_the_answers_show_nowhere(links: Links, totp_server: Server) -> None:
    person = Person(PASSWORD, "000000", PASSWORD, "000000")
    link = links.to(totp_server, person)
    with pytest.raises(Refused) as caught:
        link.open()
    assert len(person.asked) <= 2
    assert PASSWORD not in f"{caught.value} {link!r} {person.questions!r} {vars(link)} {link.describe()}"


def test_a_question_that_nobody_answers_ends_the_login(links: Links, totp_server: Server) -> None:
    person = Person()
    with pytest.raises(Refused, match="nobody answered"):
        links.opened(totp_server, person)
    assert len(person.asked) == 1


def test_an_answer_that_came_too_late_makes_it_unreachable_for_now(links: Links, sshd: Sshd) -> None:
    server = sshd.up_with_codes(options=["LoginGraceTime 1"])
    with pytest.raises(Unreachable):
        links.opened(server, Person(PASSWORD, lambda: time.sleep(2) or code()))  # type: ignore[func-returns-value]


def test_a_password_is_asked_for_where_only_that_is_known(links: Links, sshd: Sshd) -> None:
    server = sshd.up(options=["PasswordAuthentication yes", "AuthenticationMethods password"])
    subprocess.run([program("chpasswd")], input=f"{server.user}:{PASSWORD}", text=True, check=True)
    person = Person(PASSWORD)
    links.opened(server, person)
    assert [question.text.strip() for question in person.asked] == [f"{server.user}@{server.address}'s password:"]
    assert person.asked[0].hidden


# Host keys


def test_an_unknown_host_key_is_asked_about_once(links: Links, sshd: Sshd) -> None:
    server = sshd.up(known=False, client=[])
    door = asking(server)
    person = Person("yes")
    links.opened(door, person)
    assert len(person.asked) == 1
    assert not person.asked[0].hidden
    assert person.asked[0].choices == ("yes", "no")
    assert fingerprint_of(server) in person.asked[0].text
    assert "ED25519" in person.asked[0].text
    links.opened(door, Person())


def asking(server: Server) -> Door:
    """Return the door to it as in ~/.ssh/config, where unknown keys are asked about."""
    folder = server.folder / "client"
    folder.mkdir()
    known = folder / "known_hosts"
    config = folder / "config"
    config.write_text(
        f"Host {server.name}\n HostName {server.address}\n Port {server.port}\n User {server.user}\n"
        f" IdentityFile {server.key}\n UserKnownHostsFile {known}\n"
    )
    return Door(server.name, server.address, server.port, server.user, config, server.key, server.encrypted_key, known)


def fingerprint_of(server: Server) -> str:
    words = [program("ssh-keygen"), "-l", "-f", f"{server.host_keys[0]}.pub"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1]


def test_no_means_no(links: Links, sshd: Sshd) -> None:
    door = asking(sshd.up(known=False))
    with pytest.raises(Refused):
        links.opened(door, Person("no"))
    assert not door.known_hosts.exists() or not door.known_hosts.read_text()


def test_an_unknown_key_is_refused_where_the_configuration_is_strict(links: Links, sshd: Sshd) -> None:
    person = Person("yes")
    with pytest.raises(Refused):
        links.opened(sshd.up(known=False), person)
    assert not person.asked


def test_a_changed_host_key_is_refused_with_its_line_and_never_asked_about(links: Links, server: Server) -> None:
    door = asking(server)
    links.opened(door, Person("yes")).drop()
    server.kill()
    server.rekey()
    server.start()
    person = Person("yes")
    with pytest.raises(Refused, match=f"{door.known_hosts}:1"):
        links.opened(door, person)
    assert not person.asked


def test_every_known_key_counts(links: Links, server: Server, tmp_path: Path) -> None:
    """paramiko#138, #1793: only the first entry of a type was looked at."""
    other = Path(f"{keygen(tmp_path / 'other')}.pub").read_text().split()[:2]
    old = f"[{server.address}]:{server.port} {' '.join(other)}\n"
    server.known_hosts.write_text(old + server.known_hosts.read_text())
    links.opened(server)


def test_a_host_is_known_by_any_of_its_keys(links: Links, sshd: Sshd) -> None:
    server = sshd.up(kinds=("ed25519", "ecdsa", "rsa"), known=False)
    server.trust(server.folder / "host_rsa")
    links.opened(server)


def test_hashed_names_are_known(links: Links, server: Server) -> None:
    subprocess.run([program("ssh-keygen"), "-q", "-H", "-f", str(server.known_hosts)], check=True, capture_output=True)
    assert server.address not in server.known_hosts.read_text()
    links.opened(server)


def test_a_revoked_host_key_is_refused(links: Links, server: Server) -> None:
    key = server.known_hosts.read_text().split(maxsplit=1)[1]
    server.known_hosts.write_text(f"{server.known_hosts.read_text()}@revoked * {key}")
    with pytest.raises(Refused, match=r"(?i)revoked"):
        links.opened(server)


# The way there


def test_each_machine_of_a_chain_of_jumps_is_logged_in_to(links: Links, sshd: Sshd) -> None:
    sshd.up("gate", "127.0.0.2")
    sshd.up("middle", "127.0.0.3", client=["ProxyJump gate"])
    link = links.opened(sshd.up("far", "127.0.0.4", client=["ProxyJump middle"]))
    data = os.urandom(MIB)
    assert run(link, "cat", data) == data
    hops = link.describe()["hops"]
    assert isinstance(hops, list)
    assert [hop.partition("@")[2].partition(":")[0] for hop in hops] == ["127.0.0.2", "127.0.0.3"]


def test_several_jumps_may_stand_in_one_line(links: Links, sshd: Sshd) -> None:
    gate, middle = sshd.up("gate", "127.0.0.2"), sshd.up("middle", "127.0.0.3")
    far = sshd.up("far", "127.0.0.4", client=["ProxyJump gate,middle"])
    links.opened(far)
    assert "Accepted publickey" in gate.log.read_text()
    assert "Accepted publickey" in middle.log.read_text()


def test_the_key_of_a_jump_host_is_checked_too(links: Links, sshd: Sshd) -> None:
    sshd.up("gate", "127.0.0.2", known=False)
    with pytest.raises(HostError, match=r"127\.0\.0\.2"):
        links.opened(sshd.up("far", client=["ProxyJump gate"]))


def test_a_jump_host_that_does_not_reach_the_next_is_named(links: Links, sshd: Sshd) -> None:
    sshd.up("gate", "127.0.0.2")
    far = sshd.up("far", client=["ProxyJump gate"])
    far.stop()
    with pytest.raises(Unreachable):
        links.opened(far)


def test_the_way_may_lead_through_a_program(links: Links, sshd: Sshd) -> None:
    gate = sshd.up("gate", "127.0.0.2")
    through = f"ProxyCommand {program('ssh')} -F {gate.config} -W %h:%p gate"
    link = links.opened(sshd.up("far", "127.0.0.3", client=[through]))
    data = os.urandom(4 * MIB)
    assert run(link, "cat", data) == data
    link.drop()
    until(lambda: not gate.sessions(), "the end of the program")


def test_a_program_that_leads_nowhere_makes_it_unreachable(links: Links, sshd: Sshd) -> None:
    with pytest.raises(Unreachable):
        links.opened(sshd.up(client=["ProxyCommand false"]))


def test_a_jump_host_that_does_not_forward_is_refused(links: Links, sshd: Sshd) -> None:
    sshd.up("gate", "127.0.0.2", options=["AllowTcpForwarding no"])
    with pytest.raises(Refused):
        links.opened(sshd.up("far", client=["ProxyJump gate"]))


# What goes wrong on the way


def test_a_host_that_refuses_connections_is_unreachable(links: Links, server: Server) -> None:
    server.stop()
    with pytest.raises(Unreachable, match=r"(?i)refuse"):
        links.opened(server)


def test_a_name_that_nobody_knows_is_unreachable(links: Links, server: Server) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        links.opened(server, address="nowhere.invalid")


def test_a_host_that_takes_the_connection_and_says_nothing_is_unreachable(links: Links, server: Server, proxy: Proxied) -> None:
    net, door = proxy(server)
    net.hole = True
    with door.config.open("a") as config:
        config.write("Host *\n ConnectTimeout 1\n")
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        links.opened(door)
    assert time.monotonic() - begun < 10


def test_too_many_logins_at_once_are_told_from_a_refusal(links: Links, sshd: Sshd) -> None:
    """paramiko#664, #2063: an error of the banner under MaxStartups; another try helps."""
    server = sshd.up()
    settings = server.folder / "sshd_config"
    settings.write_text(settings.read_text().replace("MaxStartups 200", "MaxStartups 1"))
    server.stop()
    server.start()
    link = links.to(server)
    with socket.create_connection((server.address, server.port)) as other:
        assert other.recv(100)
        with pytest.raises(Unreachable, match=r"(?i)MaxStartups|kex_exchange"):
            link.open()
    until(lambda: opens(link), "the other login's end")
    assert run(link, "echo in") == b"in\n"


def opens(link: Link) -> bool:
    try:
        link.open()
    except Unreachable:
        return False
    return True


@pytest.mark.parametrize("fault", ["rst", "fin"])
def test_a_lost_connection_wakes_whoever_waits_and_can_be_opened_again(
    links: Links, server: Server, proxy: Proxied, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    net, door = proxy(server)
    link = links.opened(door)
    channel = start(link, "echo on; cat")
    assert channel.receive(20) == b"on\n"
    thread, results = in_thread(lambda: channel.receive(60))
    getattr(net, fault)()
    thread.join(30)
    assert isinstance(results[0], Unreachable)
    assert not link.alive
    with pytest.raises(Unreachable):
        link.channel()
    link.open()
    assert run(link, "echo again") == b"again\n"
    assert capfd.readouterr().err == ""


def test_a_killed_server_ends_the_channels(links: Links, server: Server) -> None:
    link = links.opened(server)
    channel = start(link, "echo on; cat")
    assert channel.receive(20) == b"on\n"
    server.kill()
    with pytest.raises(Unreachable):
        while channel.receive(30):
            pass


def test_drop_wakes_everybody_when_the_network_is_silent(links: Links, server: Server, proxy: Proxied) -> None:
    """The dead peer that keepalives do not notice: paramiko#2463, #2326."""
    net, door = proxy(server)
    link = links.opened(door)
    reading, writing = start(link, "echo on; cat"), start(link, "echo on; exec sleep 100")
    assert reading.receive(20) == writing.receive(20) == b"on\n"
    net.stall()
    waits = [in_thread(lambda: reading.receive(60)), in_thread(lambda: writing.send(bytes(64 * MIB))), in_thread(link.channel)]
    time.sleep(0.3)  # the sender fills what there are of buffers meanwhile
    begun = time.monotonic()
    link.drop()
    for thread, results in waits:
        thread.join(10)
        assert isinstance(results[0], Unreachable)
    assert time.monotonic() - begun < 10, "long before they give up by themselves"
    assert not link.alive


def test_drop_ends_an_open_that_waits_for_the_network(links: Links, server: Server, proxy: Proxied) -> None:
    net, door = proxy(server)
    net.hole = True
    link = links.to(door)
    thread, results = in_thread(link.open)
    until(lambda: net.accepted == 1, "the connection")
    link.drop()
    thread.join(10)
    assert isinstance(results[0], Unreachable)


def test_drop_withdraws_the_question_that_open_waits_for(links: Links, totp_server: Server) -> None:
    questions = Questions()
    link = links.kind(totp_server.name, {}, questions=questions, config=totp_server.config)
    thread, results = in_thread(link.open)
    until(lambda: bool(questions.open()), "the question")
    link.drop()
    thread.join(30)
    assert isinstance(results[0], Unreachable)
    assert not questions.open()


def test_a_damaged_connection_is_unreachable(links: Links, server: Server, proxy: Proxied) -> None:
    net, door = proxy(server)
    link = links.opened(door)
    channel = start(link, "echo on; cat")
    assert channel.receive(20) == b"on\n"
    net.flip("down", 20)
    channel.send(b"data")
    with pytest.raises(Unreachable):
        channel.receive(20)


@pytest.mark.parametrize("after", [50, 700, 1300, 1600, 1750])
def test_a_login_that_is_damaged_is_unreachable(links: Links, server: Server, proxy: Proxied, after: int) -> None:
    net, door = proxy(server)
    net.flip("down", after)
    link = links.to(door)
    with pytest.raises(Unreachable):
        link.open()
        run(link, "echo x")


@pytest.mark.parametrize("after", [10, 60, 700, 1200, 1700])
def test_a_login_that_is_cut_off_is_unreachable(links: Links, server: Server, proxy: Proxied, after: int) -> None:
    net, door = proxy(server)
    net.cut("down", after)
    link = links.to(door)
    with pytest.raises(Unreachable):
        link.open()
        run(link, "echo x")
    link.open()
    assert run(link, "echo in") == b"in\n"


def test_a_link_that_was_dropped_leaves_nothing_there(links: Links, server: Server) -> None:
    link = links.opened(server)
    start(link, "cat")
    link.drop()
    until(lambda: not server.sessions(), "the end of the connection")
    assert not link.alive


def test_a_slow_line_carries_a_login_and_its_data(links: Links, server: Server, proxy: Proxied) -> None:
    net, door = proxy(server)
    net.latency = 0.05
    data = os.urandom(MIB)
    assert run(links.opened(door), "cat", data) == data


# paramiko alone


def test_what_is_learnt_of_hosts_is_for_the_user_alone(ssh: Links, sshd: Sshd) -> None:
    door = asking(sshd.up(known=False))
    ssh.opened(door, Person("yes"))
    assert door.known_hosts.stat().st_mode & 0o777 == 0o600


def test_paramiko_is_imported_only_when_a_link_is_opened() -> None:
    look = "import sys, hybridnb.hosts.ssh.link, hybridnb.hosts.ssh.openssh; sys.exit('paramiko' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], check=True)


def test_a_refused_login_names_what_was_tried(ssh: Links, server: Server, tmp_path: Path) -> None:
    key = keygen(tmp_path / "other")
    with pytest.raises(Refused, match=f"Tried: key {key}.*hosts check {server.name}"):
        ssh.opened(server, identity=str(key))


def test_a_key_that_cannot_be_used_is_named(ssh: Links, server: Server, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Refused, match=rf"key {key} \(it could not be opened\)"):
        ssh.opened(server, identity=str(key))


def test_describe_tells_the_way_of_a_login(ssh: Links, totp_server: Server) -> None:
    told = ssh.opened(totp_server, Person(PASSWORD, code)).describe()
    assert told["way"] == f"key {totp_server.key}, then keyboard-interactive"
    assert told["host key"] == f"ED25519 {fingerprint_of(totp_server)}"


def test_a_program_that_leads_nowhere_is_quoted(ssh: Links, sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match="no VPN today"):
        ssh.opened(sshd.up(client=["ProxyCommand echo no VPN today >&2"]))


def test_channels_may_end_while_we_renew_the_keys(ssh: Links, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that renews them must not wait for itself; else this happens each 512 MiB."""
    monkeypatch.setattr("paramiko.packet.Packetizer.REKEY_BYTES", MIB)
    send_too_much_at_once(ssh.opened(server))
