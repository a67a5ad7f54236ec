"""Private Slurm clusters: munge, a controller, nodes, and if wanted accounting; on loopback, in one folder, without systemd."""

from __future__ import annotations

import os
import platform
import pwd
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import ports
from testbed.accounts import Account
from testbed.guard import Guard
from testbed.network import Network
from testbed.processes import PATH, Daemon, end_those_of, library, program, until

HERE = Path(__file__).parent

WITHOUT_ACCOUNTING = {"JobCompType": "jobcomp/filetxt", "JobCompLoc": "{folder}/log/jobcomp.txt"}
WITH_ACCOUNTING = {
    "JobCompType": "jobcomp/none",
    "AccountingStorageType": "accounting_storage/slurmdbd",
    "AccountingStorageHost": "{address}",
    "AccountingStoragePort": "{database}",
    "AccountingStoragePass": "{munge}",  # clients reach slurmdbd by this munge, and do not ask AuthInfo
    "AccountingStoreFlags": "job_comment,job_script,job_env",
}
ACCOUNTING_USER = """\
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""


class Slurm:
    """A cluster; its daemons slurmctld, slurmd.n1 …, slurmdbd, mariadbd and munged can be stopped, killed and started one by one."""

    def __init__(
        self,
        folder: Path,
        guard: Guard,
        *,
        nodes: int = 2,
        cpus: int = 8,
        dbd: bool = False,
        conf: Mapping[str, str] | None = None,
        network: Network | None = None,
    ) -> None:
        """Write its configuration. `conf` beats the usual settings; `network` gives each node a namespace."""
        self.folder, self._guard, self.network, self._dbd = folder, guard, network, dbd
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.daemons: dict[str, Daemon] = {}
        self.conf = folder / "etc/slurm.conf"
        self.env = {"SLURM_CONF": str(self.conf)}
        self._host, self._address = ("login", network.address("login")) if network else (hostname(), "127.0.0.1")
        self._user = pwd.getpwuid(os.getuid()).pw_name
        self._ports = {name: ports.free() for name in ("controller", "database", "storage", *self.nodes)}
        for name in ("etc", "run", "log", "state", "spool", "munge"):
            (folder / name).mkdir(mode=0o755)
        self.env |= self._names()
        self._configure(cpus, conf or {})

    def up(self) -> Slurm:
        """Start it and wait until its nodes are idle."""
        self._add("munged", *self._munged())
        if self._dbd:
            self._account()
        self._add("slurmctld", *self.inside("login"), program("slurmctld"), "-D")
        for node in self.nodes:
            self._add(f"slurmd.{node}", *self.inside(node), program("slurmd"), "-D", "-N", node)
        self.heal()
        return self

    def run(self, *command: str, account: Account | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the cluster's, like sbatch, as an account (in its home) or as whoever runs the tests."""
        program(command[0])
        words, env = list(command), {**os.environ, "PATH": PATH, **self.env}
        if account:
            words = account.words(*(f"{name}={value}" for name, value in self.env.items()), *command)
        cwd = account.home if account else self.folder
        return subprocess.run(
            [*self.inside("login"), *words], env=env, cwd=cwd, input=text, capture_output=True, text=True, timeout=60
        )

    def start(self, name: str) -> None:
        """Start a daemon, unless it runs; it may not answer yet."""
        if not self.daemons[name].alive:
            self.daemons[name].start()
            self._guard.watch("process", self.daemons[name].pid)

    def stop(self, name: str) -> None:
        """End a daemon by TERM: slurmctld saves its state, the jobs of a slurmd go on."""
        self.daemons[name].stop()

    def kill(self, name: str) -> None:
        """Kill a daemon: slurmctld forgets the last seconds."""
        self.daemons[name].kill()

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def heal(self) -> None:
        """Start what does not run, end all jobs, and wait until every node is idle."""
        for name in self.daemons:
            self.start(name)
        log = self.folder / "log/slurmctld.log"
        # a client that meets a closed port tries for nine seconds: look first
        until(lambda: self._open("controller"), "slurmctld", log=log)
        until(lambda: "is UP" in self.run("scontrol", "ping").stdout, "slurmctld", log=log)
        self._cancel()
        until(self._idle, "nodes of Slurm", log=log)

    def close(self) -> None:
        """Kill it with its jobs; nobody needs its state again."""
        for daemon in self.daemons.values():
            daemon.kill()
        end_those_of(self.folder)

    def inside(self, place: str) -> Sequence[str]:
        """Return the words that enter the namespace of a node or of "login", if it has one."""
        return self.network.inside(place) if self.network else []

    def _add(self, name: str, *words: str) -> Daemon:
        self.daemons[name] = Daemon(words, self.folder / f"log/{name}.out", env={**os.environ, "PATH": PATH, **self.env})
        self.start(name)
        return self.daemons[name]

    def _names(self) -> dict[str, str]:
        """Return variables by which names lead where they should, unless they do: Slurm listens where its host's name leads to."""
        if self.network:
            hosts = self.network.hosts
        elif leads_to(self._host, self._address):
            return {}
        else:
            hosts = self.folder / "etc/hosts"
            hosts.write_text(f"{self._address} localhost {self._host} {platform.node()}\n")
        return {"LD_PRELOAD": library("libnss_wrapper.so"), "NSS_WRAPPER_HOSTS": str(hosts)}

    def _munged(self) -> list[str]:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"socket": folder / "socket", "key-file": key, "seed-file": folder / "seed", "pid-file": folder / "pid"}
        words = [f"--{name}={path}" for name, path in files.items()]
        return [program("munged"), "--foreground", *words, f"--log-file={folder}/log", "--num-threads=4"]

    def _configure(self, cpus: int, conf: Mapping[str, str]) -> None:
        lines = [line for line in (HERE / "slurm.conf").read_text().splitlines() if line[:1] != "#"]
        settings = dict(line.split("=", 1) for line in lines)
        settings = {**settings, **(WITH_ACCOUNTING if self._dbd else WITHOUT_ACCOUNTING)}
        text = "".join(f"{name}={value.format_map(self._facts())}\n" for name, value in settings.items() if name not in conf)
        text += "".join(f"{name}={value}\n" for name, value in conf.items())
        for node in self.nodes:
            host, address = (node, self.network.address(node)) if self.network else (self._host, self._address)
            text += f"NodeName={node} NodeHostname={host} NodeAddr={address} Port={self._ports[node]} CPUs={cpus} RealMemory=4000\n"
        text += "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO\n"
        text += "PartitionName=short Nodes=ALL MaxTime=00:01:00 State=UP\n"
        self.conf.write_text(text)

    def _facts(self) -> dict[str, object]:
        """Return what the configuration files leave open."""
        where = {"host": self._host, "address": self._address, "munge": self.folder / "munge/socket"}
        return {**where, "user": self._user, "folder": self.folder, **self._ports}

    def _account(self) -> None:
        """Start MariaDB and slurmdbd."""
        mysql, log = self.folder / "mysql", self.folder / "log/mariadbd.log"
        install = [program("mariadb-install-db"), "--no-defaults", f"--user={self._user}", f"--datadir={mysql}", "--skip-test-db"]
        with (self.folder / "log/mariadb-install.out").open("wb") as out:
            subprocess.run(install, check=True, stdout=out, stderr=out)
        sock = self.folder / "run/mysql"
        where = [f"--datadir={mysql}", f"--socket={sock}", f"--pid-file={sock}.pid", f"--port={self._ports['storage']}"]
        small = ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M", "--innodb-lock-wait-timeout=900"]
        quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--skip-name-resolve", "--bind-address=127.0.0.1"]
        words = [program("mariadbd"), "--no-defaults", f"--user={self._user}", *where, *small, *quick, f"--log-error={log}"]
        self._add("mariadbd", *self.inside("login"), *words)
        client = [program("mariadb"), "--no-defaults", f"--socket={sock}", "-u", self._user]
        until(lambda: subprocess.run([*client, "-e", "select 1"], capture_output=True).returncode == 0, "mariadbd", log=log)
        subprocess.run(client, input=ACCOUNTING_USER, text=True, check=True)
        conf = self.folder / "etc/slurmdbd.conf"
        conf.write_text((HERE / "slurmdbd.conf").read_text().format_map(self._facts()))
        conf.chmod(0o600)
        self._add("slurmdbd", *self.inside("login"), program("slurmdbd"), "-D")
        until(lambda: self._open("database"), "slurmdbd", log=self.folder / "log/slurmdbd.log")
        until(lambda: self.run("sacctmgr", "-n", "list", "cluster").returncode == 0, "slurmdbd")
        self.run("sacctmgr", "-n", "-i", "add", "cluster", "hnb")

    def _open(self, name: str) -> bool:
        return ports.answers(self._address, self._ports[name])

    def _cancel(self) -> None:
        """End all jobs, and bring back nodes that were set down or drained."""
        jobs = self.run("squeue", "-h", "-o", "%A").stdout.split()
        if jobs:
            self.run("scancel", *jobs)
        for node, state in self._states().items():
            if state.startswith(("down", "drain")):
                self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def _states(self) -> dict[str, str]:
        listed = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").stdout.splitlines()
        return dict(line.split() for line in listed)

    def _idle(self) -> bool:
        return self._states() == dict.fromkeys(self.nodes, "idle")


def hostname() -> str:
    return platform.node().partition(".")[0]


def leads_to(name: str, address: str) -> bool:
    try:
        return socket.gethostbyname(name) == address
    except OSError:
        return False
