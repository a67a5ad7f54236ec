"""Namespaces with a network between them, for tests that cut a node off."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.accounts import ROOT
from testbed.guard import Guard
from testbed.processes import PATH, program


class Network:
    """A place "login" and nodes n1 …, each a network namespace that knows the others by name; this machine is .254 there."""

    def __init__(self, folder: Path, guard: Guard, *, nodes: int) -> None:
        if not ROOT:
            pytest.skip("network namespaces need root")
        program("ip")
        pid = os.getpid()
        self._prefix, self._subnet, self.hosts = f"hnb{pid}", f"10.78.{pid % 256}", folder / "hosts"
        self.places = {"login": 1, **{f"n{number}": 10 + number for number in range(1, nodes + 1)}}
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{self.address(name)} {name}\n" for name in self.places))
        login = self.namespace("login")
        for place in self.places:
            guard.watch("namespace", self.namespace(place))
            ip("netns", "add", self.namespace(place))
            within(self.namespace(place), "link", "set", "lo", "up")
        within(login, "link", "add", "br0", "type", "bridge")
        within(login, "address", "add", f"{self.address('login')}/24", "dev", "br0")
        within(login, "link", "set", "br0", "up")
        link = f"h{pid}"
        ip("link", "add", link, "type", "veth", "peer", "name", "host", "netns", login)
        within(login, "link", "set", "host", "master", "br0", "up")
        ip("address", "add", f"{self._subnet}.254/24", "dev", link)
        ip("link", "set", link, "up")
        for place in list(self.places)[1:]:
            space = self.namespace(place)
            within(login, "link", "add", place, "type", "veth", "peer", "name", "eth0", "netns", space)
            within(login, "link", "set", place, "master", "br0", "up")
            within(space, "address", "add", f"{self.address(place)}/24", "dev", "eth0")
            within(space, "link", "set", "eth0", "up")

    def namespace(self, place: str) -> str:
        return f"{self._prefix}-{place}"

    def address(self, place: str) -> str:
        return f"{self._subnet}.{self.places[place]}"

    def inside(self, place: str) -> Sequence[str]:
        """Return the words that enter a place: its network and its host name; names of others are in the `hosts` file."""
        # not `ip netns exec`, whose new /sys hides the control groups from slurmd; nothing is mounted, which not every chroot can
        enter = ["nsenter", f"--net=/run/netns/{self.namespace(place)}", "unshare", "--uts", "sh", "-c"]
        return [*enter, 'hostname "$1"; shift; exec "$@"', "sh", place]

    def cut_off(self, place: str) -> None:
        """Let nothing through to a node or from it."""
        within(self.namespace("login"), "link", "set", place, "down")

    def reconnect(self, place: str) -> None:
        within(self.namespace("login"), "link", "set", place, "up")

    def close(self) -> None:
        for place in self.places:
            ip("netns", "del", self.namespace(place))  # and the links that have an end there


def ip(*words: str) -> None:
    run("ip", *words)


def within(namespace: str, *words: str) -> None:
    """Do the same in a namespace; not by `ip -n`, which mounts things and cannot in every chroot."""
    run("nsenter", f"--net=/run/netns/{namespace}", "ip", *words)


def run(*words: str) -> None:
    subprocess.run(words, check=True, env={**os.environ, "PATH": PATH})
