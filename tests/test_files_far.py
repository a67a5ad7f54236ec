"""Files that move with jobs, through real sshds and networks that fail."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybridnb.errors import HostError, Unreachable
from hybridnb.hosts.files import fetch, local_manifest, send
from hybridnb.hosts.ssh.openssh import OpenSSH
from hybridnb.hosts.questions import Questions
from hybridnb.hosts.shell import ShellTransport
from hybridnb.hosts.ssh.link import SSH
from testbed.proxy import Proxy
from testbed.sshd import Door, Server, Sshd

MIB = 1 << 20
Proxied = Callable[[Door], tuple[Proxy, Door]]


class Hosts:
    def __init__(self, kind: type[SSH | OpenSSH]) -> None:
        self.kind = kind
        self.made: list[ShellTransport] = []

    def at(self, door: Door) -> ShellTransport:
        transport = ShellTransport(door.name, self.kind(door.name, {}, questions=Questions(), config=door.config))
        self.made.append(transport)
        transport.open()
        return transport


@pytest.fixture(params=[SSH, OpenSSH])
def hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    made = Hosts(request.param)
    yield made
    for transport in made.made:
        transport.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def held(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def top(folder: Path) -> dict[str, bytes]:
    """Read the files of a folder, and not what is aside: that goes at any moment."""
    return {p.name: p.read_bytes() for p in folder.glob("*") if p.is_file()}


def test_a_large_file_is_cut_off_both_ways_and_goes_on_where_it_was(
    hosts: Hosts, server: Server, proxy: Proxied, folder: Path
) -> None:
    net, door = proxy(server)
    host, work = hosts.at(door), Path(server.account.home) / "runs/work"
    (folder / "d").mkdir()
    (folder / "d/large").write_bytes(os.urandom(40 * MIB))
    manifest = local_manifest(folder, ["d"])
    for _ in range(2):
        net.cut("up", 15 * MIB)
        with pytest.raises(Unreachable):
            send(host, folder, str(work), manifest)
        assert not (work / "d/large").exists()
        host.open()
    before = net.passed["up"]
    send(host, folder, str(work), manifest)
    assert net.passed["up"] - before < 34 * MIB  # of 40: a reset throws away what lies in buffers, and this machine may be slow
    assert held(work) == held(folder)
    for _ in range(2):
        net.cut("down", 15 * MIB)
        with pytest.raises(Unreachable):
            fetch(host, str(work), ["d"], folder.parent / "home", staging=folder.parent / "staging")
        assert not (folder.parent / "home").exists()
        host.open()
    before = net.passed["down"]
    fetch(host, str(work), ["d"], folder.parent / "home", staging=folder.parent / "staging")
    assert net.passed["down"] - before < 34 * MIB  # of 40: a reset throws away what lies in buffers, and this machine may be slow
    assert held(folder.parent / "home") == held(folder)


@pytest.mark.parametrize("after", [0, 2000, 30_000, 500_000, 880_000])
def test_many_small_files_survive_a_cut_anywhere(hosts: Hosts, server: Server, proxy: Proxied, folder: Path, after: int) -> None:
    net, door = proxy(server)
    host, work, home = hosts.at(door), Path(server.account.home) / "work", folder.parent / "home"
    for number in range(300):
        (folder / f"{number:03} ü").write_bytes(os.urandom(3000))
    files, manifest = held(folder), local_manifest(folder, ["*"])
    moves: list[tuple[str, Path, Callable[[], object]]] = [
        ("up", work, lambda: send(host, folder, str(work), manifest)),
        ("down", home, lambda: fetch(host, str(work), ["*"], home, staging=folder.parent / "staging")),
    ]
    for way, place, move in moves:
        net.cut(way, after)
        with pytest.raises(Unreachable):
            move()
        assert top(place).items() <= files.items()
        host.open()
        move()
        assert top(place) == files


@pytest.mark.parametrize("shell", ["csh", "fish"])
def test_login_shells_and_their_noise_do_not_matter(hosts: Hosts, sshd: Sshd, folder: Path, shell: str) -> None:
    noise = {".cshrc": "echo noise\n", ".config/fish/config.fish": "echo noise\n"}
    server = sshd.up(shell=shell, files=noise)
    host, work = hosts.at(server), Path(server.account.home) / "work"
    for name, size in (("a 'b' $c", 100), ("large", 9 * MIB), ("zero", 0)):
        (folder / name).write_bytes(os.urandom(size))
    (folder / "a 'b' $c").chmod(0o755)
    manifest = local_manifest(folder, ["*"])
    assert send(host, folder, str(work), manifest) == manifest
    assert fetch(host, str(work), ["*"], folder.parent / "home", staging=folder.parent / "staging") == manifest
    assert held(work) == held(folder.parent / "home") == held(folder)


def test_a_full_disk_there_is_told_in_the_words_of_the_host(hosts: Hosts, server: Server, folder: Path) -> None:
    host, disk = hosts.at(server), Path(server.account.home) / "disk"
    (folder / "large").write_bytes(bytes(9 * MIB))
    for number in range(20):
        (folder / f"{number}").write_bytes(os.urandom(MIB // 2))
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=4m,uid={server.account.uid}", "tmpfs", str(disk)], check=True)
    try:
        for pattern in ("large", "[0-9]*"):
            with pytest.raises(HostError, match="No space left on device") as caught:
                send(host, folder, f"{disk}/work", local_manifest(folder, [pattern]))
            assert not isinstance(caught.value, Unreachable)
            assert all(path.startswith(".hybridnb-") for path in held(disk / "work"))
        assert host.run("echo yes") == "yes\n"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_conversations_go_on_while_a_large_file_moves(hosts: Hosts, server: Server, proxy: Proxied, folder: Path) -> None:
    net, door = proxy(server)
    host, work = hosts.at(door), f"{server.account.home}/work"
    (folder / "large").write_bytes(os.urandom(40 * MIB))
    manifest = local_manifest(folder, ["large"])
    net.rate = 20 * MIB
    moving = threading.Thread(target=send, args=(host, folder, work, manifest))
    moving.start()
    asked = 0
    while moving.is_alive():
        assert host.run("echo yes") == "yes\n"
        asked += moving.is_alive()
    moving.join()
    assert asked > 2, "answered before the file was there"
    assert held(Path(work)) == held(folder)
