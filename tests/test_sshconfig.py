"""How a host is reached, by OpenSSH's configuration and by hosts.yaml; with and without an ssh on this machine."""

from __future__ import annotations

import getpass
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridnb.errors import Refused
from hybridnb.hosts.ssh.config import Hop, route

Ways = Callable[..., tuple[Hop, ...]]


@pytest.fixture(params=["ssh", "paramiko"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the configuration be read by either."""
    if request.param == "paramiko":
        monkeypatch.setattr("shutil.which", lambda _: None)
    return str(request.param)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def ways(config: Path) -> Ways:
    def ways(text: str, name: str = "h", **entry: Any) -> tuple[Hop, ...]:
        config.write_text(text)
        return route(name, entry, config=config)

    return ways


def test_without_an_entry_it_is_the_address_and_the_users_own_name(reader: str, ways: Ways) -> None:
    (hop,) = ways("", "login.site.org")
    assert (hop.name, hop.address, hop.port, hop.user) == ("login.site.org", "login.site.org", 22, getpass.getuser())
    assert Path("~/.ssh/id_ed25519").expanduser() in hop.identities
    home = Path(pwd.getpwuid(os.getuid()).pw_dir) if reader == "ssh" else Path.home()  # OpenSSH does not believe $HOME
    assert hop.known[0] == home / ".ssh/known_hosts"
    assert hop.known_to_all[0] == Path("/etc/ssh/ssh_known_hosts")
    assert not hop.strict
    assert not hop.only


def test_an_alias_leads_to_what_the_configuration_says(reader: str, ways: Ways, tmp_path: Path) -> None:
    text = f"""
Host h
  HostName login.site.org
  Port 2222
  User me
  IdentityFile {tmp_path}/%h-%r
  IdentityFile ~/.ssh/second
  CertificateFile {tmp_path}/cert
  IdentitiesOnly yes
  HostKeyAlias cluster
  UserKnownHostsFile {tmp_path}/a {tmp_path}/b
  GlobalKnownHostsFile none
  HashKnownHosts yes
  StrictHostKeyChecking yes
  ConnectTimeout 7
  ServerAliveInterval 9
  AddressFamily inet
  IdentityAgent {tmp_path}/agent
"""
    (hop,) = ways(text)
    assert (hop.name, hop.address, hop.port, hop.user, hop.alias) == ("h", "login.site.org", 2222, "me", "cluster")
    assert hop.identities == (tmp_path / "login.site.org-me", Path("~/.ssh/second").expanduser())
    assert hop.certificates == (tmp_path / "cert",)
    assert hop.known == (tmp_path / "a", tmp_path / "b")
    assert hop.known_to_all == ()
    assert (hop.only, hop.hashed, hop.strict) == (True, True, True)
    assert (hop.patience, hop.alive, hop.family, hop.agent) == (7, 9, socket.AF_INET, f"{tmp_path}/agent")


def test_hosts_yaml_has_the_last_word(reader: str, ways: Ways, tmp_path: Path) -> None:
    text = "Host alias\n HostName real\n User me\n Port 1\n IdentityFile /other\n"
    (hop,) = ways(text, "h", address="alias", user="you", port=2, identity=str(tmp_path / "key"))
    assert (hop.address, hop.user, hop.port) == ("real", "you", 2)
    assert hop.identities == (tmp_path / "key",)
    assert hop.only


def test_an_address_may_name_the_user(reader: str, ways: Ways) -> None:
    (hop,) = ways("", address="you@real")
    assert (hop.name, hop.address, hop.user) == ("real", "real", "you")


def test_file_names_may_hold_blanks(ways: Ways, tmp_path: Path) -> None:
    (hop,) = ways(f'UserKnownHostsFile "{tmp_path}/my hosts" {tmp_path}/b\nIdentityFile "{tmp_path}/my key"\n')
    assert hop.known == (tmp_path / "my hosts", tmp_path / "b")
    assert hop.identities == (tmp_path / "my key",)


def test_included_and_matching_parts_count(ways: Ways, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host h\n User included\n")
    (hop,) = ways(f"Include {tmp_path}/mor*\nMatch originalhost h user included\n Port 77\n")
    assert (hop.user, hop.port) == ("included", 77)


def test_the_agent_is_that_of_the_environment_if_none_is_named(reader: str, ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/a")
    monkeypatch.setenv("OTHER", "/b")
    assert ways("")[0].agent == "/a"
    assert ways("IdentityAgent SSH_AUTH_SOCK\n")[0].agent == "/a"
    assert ways("IdentityAgent $OTHER\n")[0].agent == "/b"
    assert ways("IdentityAgent none\n")[0].agent == ""


def test_a_jump_leads_through_its_own_entry(reader: str, ways: Ways) -> None:
    gate, hop = ways("Host gate\n HostName g.site.org\n User guest\nHost h\n ProxyJump gate\n")
    assert (gate.name, gate.address, gate.user, hop.name) == ("gate", "g.site.org", "guest", "h")


def test_jumps_of_jumps_and_lists_of_jumps_are_followed(reader: str, ways: Ways) -> None:
    text = "Host a\n ProxyJump z\nHost b\n ProxyJump never\nHost h\n ProxyJump a,you@b:23\n"
    hops = ways(text)
    assert [hop.address for hop in hops] == ["z", "a", "b", "h"]
    assert (hops[2].user, hops[2].port) == ("you", 23)


@pytest.mark.parametrize(
    ("jump", "address", "user", "port"),
    [
        ("ssh://you@gate:23", "gate", "you", 23),
        ("[fe80::1]:23", "fe80::1", "me", 23),
        ("[fe80::1]", "fe80::1", "me", 22),
        ("you@10.0.0.1", "10.0.0.1", "you", 22),
    ],
)
def test_a_jump_may_be_written_in_many_ways(ways: Ways, jump: str, address: str, user: str, port: int) -> None:
    gate, _ = ways(f"Host h\n ProxyJump {jump}\nHost *\n User me\n")
    assert (gate.address, gate.user, gate.port) == (address, user, port)


def test_none_takes_jump_and_command_back(reader: str, ways: Ways) -> None:
    (hop,) = ways("Host h\n ProxyJump none\nHost g\n ProxyCommand none\n")
    assert hop.command == ""
    (hop,) = ways("Host g\n ProxyCommand none\n", "g")
    assert hop.command == ""


def test_a_command_gets_what_it_asks_for(reader: str, ways: Ways) -> None:
    (hop,) = ways("Host h\n HostName real\n Port 23\n User me\n ProxyCommand nc %h %p %r\n")
    assert hop.command == "nc real 23 me"


def test_a_jump_through_itself_is_refused(ways: Ways) -> None:
    with pytest.raises(Refused, match=r"ProxyJump leads through 'b' again|ProxyJump leads through 'a' again"):
        ways("Host a\n ProxyJump b\nHost b\n ProxyJump a\n", "a")


def test_a_configuration_that_openssh_does_not_understand_is_refused_with_its_line(ways: Ways, config: Path) -> None:
    with pytest.raises(Refused, match=f"{config}.*line 2.*[Nn]onsense"):
        ways("Host h\n Nonsense yes\n")


def test_a_configuration_that_is_missing_is_refused(reader: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="missing"):
        route("h", {}, config=tmp_path / "missing")


@pytest.mark.parametrize("address", ["-oProxyCommand=touch /tmp/x", " "])
def test_an_address_is_never_taken_for_an_option(reader: str, ways: Ways, address: str) -> None:
    with pytest.raises(Refused, match="no address"):
        ways("", address=address)
