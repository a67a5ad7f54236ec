"""The partitions of a cluster are told where it is connected, and nobody logs in for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hybridnb.client import Client, Here
from hybridnb.hosts.config import Hosts
from hybridnb.hosts.far import FarHost
from hybridnb.hosts.partitions import Partitions
from hybridnb.service import process
from testbed.processes import until
from testbed.slurm import Slurm
from testbed.sshd import Server

THERE = ["main", "short"]


class Clock:
    """Time that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def described(folder: Path, text: str) -> Path:
    (folder / "hosts.yaml").write_text(f"hosts:\n  cluster: {text}\n  plain: {{transport: ssh, address: nowhere.invalid}}\n")
    return folder


@pytest.fixture
def local(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose cluster is this machine's."""
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    return described(tmp_path, "{scheduler: slurm}")


@pytest.fixture
def far(tmp_path: Path, slurm_server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose cluster is behind a server of OpenSSH's configuration, and is not connected."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {slurm_server.config} "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return described(tmp_path, f"{{transport: ssh, address: {slurm_server.name}, scheduler: slurm}}")


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with closing(Hosts()) as made:
        yield made


def test_this_machines_cluster_tells_its_partitions(local: Path, hosts: Hosts) -> None:
    assert Partitions(hosts).of("cluster", local) == THERE


@pytest.mark.parametrize("name", ["local", "plain", "nobody"])
def test_what_is_no_cluster_has_none(local: Path, hosts: Hosts, name: str) -> None:
    assert Partitions(hosts).of(name, local) == []


def test_a_hosts_file_that_is_broken_has_none(tmp_path: Path, hosts: Hosts) -> None:
    (tmp_path / "hosts.yaml").write_text("hosts: [")
    assert Partitions(hosts).of("cluster", tmp_path) == []


def test_nobody_logs_in_for_them(far: Path, hosts: Hosts, slurm_server: Server) -> None:
    assert Partitions(hosts).of("cluster", far) == []
    assert slurm_server.sessions() == []


def test_a_cluster_that_is_connected_tells_them(far: Path, hosts: Hosts, slurm_server: Server) -> None:
    host = hosts.get("cluster", far)
    assert isinstance(host, FarHost)
    host.connect()
    known = Partitions(hosts)
    assert known.of("cluster", far) == THERE
    host.transport.drop()
    assert known.of("cluster", far) == []


def test_the_controller_is_asked_once_in_some_minutes(local: Path, hosts: Hosts, slurm: Slurm) -> None:
    known = Partitions(hosts, clock=(clock := Clock()))
    known.of("cluster", local)
    slurm.run("scontrol", "create", "PartitionName=extra", "Nodes=n1")
    try:
        clock.now = 200
        assert known.of("cluster", local) == THERE
        clock.now = 400
        assert known.of("cluster", local) == [*THERE, "extra"]
    finally:
        slurm.run("scontrol", "delete", "PartitionName=extra")


def test_a_controller_that_is_down_is_asked_again(local: Path, hosts: Hosts, slurm: Slurm) -> None:
    known = Partitions(hosts)
    slurm.stop("slurmctld")
    assert known.of("cluster", local) == []
    slurm.start("slurmctld")
    until(lambda: "is UP" in slurm.run("scontrol", "ping").stdout, "the controller")
    assert known.of("cluster", local) == THERE


def test_without_a_service_none_is_started_for_them(local: Path) -> None:
    assert Client().partitions("cluster", folder=local) == THERE
    assert process.find() is None


def test_the_service_tells_them_of_what_it_is_connected_to(local: Path, tmp_path: Path) -> None:
    process.start()
    assert Client().partitions("cluster", folder=local) == THERE
    assert Client().partitions("plain", folder=local) == []


def test_an_engine_in_this_process_tells_them(local: Path) -> None:
    with closing(Here()) as here:
        assert here.partitions("cluster", folder=local) == THERE
