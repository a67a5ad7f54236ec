"""The servers that tests stand on: each starts, answers, fails when it should, ends, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pexpect
import psutil
import pytest

from testbed import accounts as testbed_accounts
from testbed import processes, sshd as testbed_sshd
from testbed.accounts import Accounts
from testbed.proxy import Proxy
from testbed.slurm import Slurm
from testbed.sshd import PASSWORD, Door, Server, Sshd, code

Before = Callable[[Door], tuple[Proxy, Door]]
as_root = pytest.mark.skipif(not testbed_accounts.ROOT, reason="accounts of their own need root")


def listening(*pids: int) -> set[str]:
    """Return the addresses at which these processes listen."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3].rpartition(":")[0] for line in lines if any(f"pid={pid}," in line for pid in pids)}


# Accounts


def test_an_account_is_as_new_after_it_was_cleared(server: Server) -> None:
    server.account.write(".config/file", "text")
    server.ssh("sleep 60 >/dev/null 2>&1 </dev/null & mkdir -p ~/.hybridnb/runner")
    assert "sleep" in map(processes.name, server.account.processes())
    server.account.clear()
    assert server.account.processes() == []
    assert list(server.account.home.iterdir()) == []
    assert server.ssh("true").returncode == 0


@as_root
def test_a_login_shell_is_an_accounts_own(sshd: Sshd) -> None:
    told = {shell: sshd.up(shell, shell=shell).ssh("echo $SHELL; set") for shell in ("tcsh", "fish")}
    assert {shell: Path(each.stdout.split()[0]).name for shell, each in told.items()} == {"tcsh": "tcsh", "fish": "fish"}


# sshd


def test_an_sshd_lets_its_account_in_on_loopback_only(server: Server) -> None:
    told = server.ssh('echo "$USER $HOME"; cat', text="what is sent")
    assert told.stdout.split("\n") == [f"{server.account.name} {server.account.home}", "what is sent"], told.stderr
    assert listening(server.pid) == {"127.0.0.1"}


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_an_sshd_that_ended_took_its_connections_along_and_comes_back_on_the_same_port(
    server: Server, end: Callable[[Server], None]
) -> None:
    words = ["ssh", "-F", str(server.config), server.name, "echo here; sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as connected:
        assert connected.stdout
        assert connected.stdout.readline() == b"here\n"
        end(server)
        assert connected.wait(30) == 255
    assert server.ssh("true").returncode == 255
    server.start()
    assert server.ssh("true").returncode == 0


def test_a_session_can_be_frozen_and_thawed(server: Server) -> None:
    words = ["ssh", "-F", str(server.config), server.name, "cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as connected:
        assert connected.stdin
        assert connected.stdout
        processes.until(server.sessions, "a session")
        for session in server.sessions():
            session.suspend()
        connected.stdin.write(b"word\n")
        connected.stdin.flush()
        os.set_blocking(connected.stdout.fileno(), False)
        time.sleep(0.2)  # for what must not happen
        assert connected.stdout.read() is None
        for session in server.sessions():
            session.resume()
        os.set_blocking(connected.stdout.fileno(), True)
        assert connected.stdout.readline() == b"word\n"
        connected.stdin.close()


def test_options_of_an_sshd_beat_the_usual_ones(sshd: Sshd, tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("Welcome!\n")
    server = sshd.up(options=[f"Banner {banner}", "MaxSessions 0"])
    refused = server.ssh("true")
    assert "Welcome!" in refused.stderr
    assert refused.returncode == 255


def test_sessions_have_the_variables_of_their_sshd_and_the_noise_of_their_account(sshd: Sshd) -> None:
    server = sshd.up(env={"WORD": "a b"}, files={".bashrc": "echo noise\n"})
    noise = "noise\n" if server.account.shell.endswith("bash") else ""  # without root, the shell is whose it is
    assert server.ssh('echo "$WORD"').stdout == f"{noise}a b\n"


def test_a_server_is_reached_through_a_jump_host(sshd: Sshd) -> None:
    login = sshd.up("login", "127.0.0.2")
    inner = sshd.up("inner", "127.0.0.3", client=["ProxyJump login"])
    assert inner.ssh("echo $SSH_CONNECTION").stdout.split()[2] == "127.0.0.3"
    assert "Accepted publickey" in login.log.read_text()


def test_a_host_key_may_be_unknown_of_another_kind_or_another_than_before(sshd: Sshd) -> None:
    unknown = sshd.up("unknown", known=False)
    assert "verification failed" in unknown.ssh("true").stderr
    both = sshd.up("both", kinds=("ed25519", "ecdsa"))
    assert both.ssh("true", options=["-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"]).returncode == 0
    both.rekey()
    both.stop()
    both.start()
    assert "IDENTIFICATION HAS CHANGED" in both.ssh("true").stderr


def test_an_encrypted_key_needs_its_passphrase(server: Server) -> None:
    words = ["-F", str(server.config), "-i", str(server.encrypted_key), "-o", "IdentityFile=none", server.name, "echo in"]
    with_key = pexpect.spawn("ssh", words, encoding="utf-8", timeout=30, env={"PATH": os.environ["PATH"]})
    with_key.expect("passphrase")
    with_key.sendline(testbed_sshd.PASSPHRASE)
    with_key.expect(["in\r\n"])
    with_key.close()


def test_a_server_may_ask_for_a_password_and_a_code(totp_server: Server) -> None:
    refused = totp_server.ssh("true")
    assert "keyboard-interactive" in refused.stderr
    words = ["-F", str(totp_server.config), "-o", "PubkeyAuthentication=no", totp_server.name, "echo in"]
    asked = pexpect.spawn("ssh", words, encoding="utf-8", timeout=30)
    asked.expect("Password:")
    asked.sendline(PASSWORD)
    asked.expect("Verification code:")
    asked.sendline(code())
    asked.expect("in\r\n")
    asked.close()


# The proxy, in front of a server that sends back what it is sent


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=echoing, args=(listening,), daemon=True).start()
        yield listening.getsockname()[:2]
        listening.shutdown(socket.SHUT_RDWR)


def echoing(listening: socket.socket) -> None:
    with suppress(OSError):  # the end of the test
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=send_back, args=(connection,), daemon=True).start()


def send_back(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while piece := connection.recv(1 << 16):
            connection.sendall(piece)


@pytest.fixture
def net(echo: tuple[str, int]) -> Iterator[Proxy]:
    with closing(Proxy(*echo)) as proxy:
        yield proxy


@pytest.fixture
def line(net: Proxy) -> Iterator[socket.socket]:
    """Give a connection through the proxy that has been used once."""
    with socket.create_connection((net.address, net.port), timeout=30) as connection:
        assert exchange(connection, b"hello") == b"hello"
        yield connection


def exchange(connection: socket.socket, message: bytes) -> bytes:
    """Send a message and return as much as came back."""
    connection.sendall(message)
    back = b""
    while len(back) < len(message) and (piece := connection.recv(1 << 16)):
        back += piece
    return back


def test_through_a_proxy_an_sshd_is_the_same(server: Server, proxy: Before) -> None:
    net, door = proxy(server)
    assert door.ssh("echo here").stdout == "here\n"
    assert net.accepted == 1
    assert min(net.passed.values()) > 1000


def test_a_proxy_passes_everything_on_and_both_ends(net: Proxy, line: socket.socket) -> None:
    message = os.urandom(1 << 20)
    sending = threading.Thread(target=line.sendall, args=(message,))
    sending.start()
    back = b""
    while len(back) < len(message):
        back += line.recv(1 << 16)
    assert back == message
    sending.join()
    line.shutdown(socket.SHUT_WR)
    assert line.recv(1) == b""
    processes.until(lambda: net.open == 0, "the end of the connection")


def test_latency_is_added_each_way(net: Proxy, line: socket.socket) -> None:
    net.latency = 0.1
    took = []
    for _ in range(5):
        start = time.monotonic()
        exchange(line, b"x")
        took.append(time.monotonic() - start)
    assert 0.2 <= min(took) < 2, "the machine may be slow, but not each time"


def test_a_rate_is_not_exceeded(net: Proxy, line: socket.socket) -> None:
    net.rate = 100_000
    start = time.monotonic()
    exchange(line, bytes(30_000))
    assert time.monotonic() - start > 0.25


@pytest.mark.parametrize("ways", [("up",), ("down",), ()])
def test_what_stalls_is_silent_until_it_goes_on(net: Proxy, line: socket.socket, ways: tuple[str, ...]) -> None:
    net.stall(*ways)
    line.settimeout(0.2)
    with pytest.raises(TimeoutError):
        exchange(line, b"x")
    line.settimeout(30)
    net.resume()
    assert line.recv(9) == b"x"


def test_a_stalled_connection_can_be_reset(net: Proxy, line: socket.socket) -> None:
    net.stall()
    net.rst()
    with pytest.raises(ConnectionResetError):
        line.recv(1)
    processes.until(lambda: net.open == 0, "the end of the connection")


def test_fin_ends_a_connection_in_order(net: Proxy, line: socket.socket) -> None:
    net.fin()
    assert line.recv(1) == b""


def test_a_proxy_that_refuses_keeps_what_is_open_and_accepts_on_the_same_port_again(net: Proxy, line: socket.socket) -> None:
    net.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((net.address, net.port), timeout=30)
    assert exchange(line, b"x") == b"x"
    net.accept()
    socket.create_connection((net.address, net.port), timeout=30).close()


def test_in_a_hole_nothing_is_ever_said(net: Proxy, echo: tuple[str, int]) -> None:
    net.hole = True
    with socket.create_connection((net.address, net.port), timeout=0.2) as connection:
        with pytest.raises(TimeoutError):
            exchange(connection, b"x")
        net.heal()
        connection.settimeout(30)
        assert connection.recv(1) == b"x"


def test_a_cut_comes_after_so_many_bytes(net: Proxy, line: socket.socket) -> None:
    net.cut("down", 3)
    line.sendall(b"12345")
    assert line.recv(3) == b"123"
    with pytest.raises(ConnectionResetError):
        line.recv(1)


def test_a_flip_damages_one_byte(net: Proxy, line: socket.socket) -> None:
    net.flip("up", 7)
    assert exchange(line, b"12345") == b"12345"
    assert exchange(line, b"67890") == bytes([*b"67", ord("8") ^ 0xFF, *b"90"])
    assert exchange(line, b"12345") == b"12345"


# Slurm


def test_slurm_runs_a_job_of_an_ordinary_account_through_ssh(slurm_server: Server, slurm: Slurm) -> None:
    told = slurm_server.ssh("srun sh -c 'echo $USER $SLURM_JOB_NODELIST'")
    assert told.stdout.split() == [slurm_server.account.name, "n1"], told.stderr


def test_slurm_is_without_accounting_and_on_loopback(slurm: Slurm) -> None:
    assert "accounting storage is disabled" in slurm.run("sacct").stderr
    assert slurm.run("sinfo", "-h", "-o", "%P %D %C").stdout.splitlines() == ["main* 2 0/16/0/16", "short 2 0/16/0/16"]
    assert {address.partition(".")[0] for address in listening(*(daemon.pid for daemon in slurm.daemons.values()))} == {"127"}


def test_slurm_with_accounting_knows_how_a_job_ended(slurm_dbd: Slurm, accounts: Accounts) -> None:
    script = "#!/bin/sh\nexit 3\n"
    told = slurm_dbd.run("sbatch", "--wait", "--parsable", "--output=/dev/null", account=accounts.get(), text=script)
    assert told.returncode == 3, told.stderr
    words = ("sacct", "-n", "-X", "-o", "State,ExitCode", "-j", told.stdout.strip())
    processes.until(
        lambda: slurm_dbd.run(*words).stdout.split() == ["FAILED", "3:0"], "its end in the accounting, which comes bit by bit"
    )


def test_the_next_test_finds_the_cluster_well(slurm: Slurm) -> None:
    slurm.run("sbatch", "--wrap", "sleep 60", "--output=/dev/null")
    slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    slurm.kill("slurmd.n1")
    slurm.kill("slurmctld")
    slurm.heal()
    assert slurm.run("squeue", "-h").stdout == ""
    assert slurm.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").stdout.splitlines() == ["n1 idle", "n2 idle"]


@as_root
def test_nodes_can_be_machines_that_are_cut_off(slurms: Callable[..., Slurm], sshd: Sshd) -> None:
    cluster = slurms(nodes=2, cpus=2, network=True, conf={"MaxArraySize": "11"})
    assert cluster.network
    login = sshd.up("login", cluster.network.address("login"), env=cluster.env, inside=cluster.inside("login"))
    assert login.ssh("srun -N2 hostname | sort").stdout.split() == ["n1", "n2"]
    assert login.ssh("hostname; scontrol show config | grep MaxArraySize").stdout.split() == ["login", "MaxArraySize", "=", "11"]
    cluster.network.cut_off("n2")
    ping = ["ping", "-c1", "-W1", cluster.network.address("n2")]
    assert subprocess.run([*cluster.inside("login"), *ping], capture_output=True).returncode != 0
    cluster.network.reconnect("n2")
    assert login.ssh("srun -w n2 hostname").stdout.split() == ["n2"]


# The end

SESSION = """
import sys, tempfile
from pathlib import Path
from testbed.accounts import Accounts
from testbed.fixtures import public
from testbed.guard import Guard
from testbed.slurm import Slurm
from testbed.sshd import Sshd

guard = Guard()
ground = public(Path(tempfile.gettempdir()), "hnb-end-")
guard.watch("folder", ground)
slurm = Slurm(public(ground, "slurm-"), guard).up()
server = Sshd(public(ground, "sshd-"), Accounts(ground, guard), guard).up(env=slurm.env)
assert server.ssh("sleep 60 >/dev/null 2>&1 </dev/null & sbatch --wrap 'sleep 60'").returncode == 0
jobs = [process.pid for process in server.account.processes()]
print(ground, server.user, server.pid, *[daemon.pid for daemon in slurm.daemons.values()], *jobs, flush=True)
sys.stdin.read()
"""


def test_all_ends_with_the_tests_even_if_these_are_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    words = [sys.executable, "-c", SESSION]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout
        ground, user, *pids = session.stdout.readline().split()
        started = [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]
        assert len(started) >= 6  # sshd, munged, slurmctld, two slurmds, and what runs
        session.kill()
    processes.until(lambda: not Path(ground).exists(), "the end of the folder")
    assert [process for process in started if processes.lives(process)] == []
    if testbed_accounts.ROOT:
        processes.until(lambda: user not in [entry.pw_name for entry in pwd.getpwall()], "the end of the account")
