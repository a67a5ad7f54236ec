"""Private sshds: on loopback and a free port, with keys, known_hosts and an ssh_config of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from testbed import ports
from testbed.accounts import ROOT, Account, Accounts
from testbed.guard import Guard
from testbed.processes import Daemon, end, program, until

PASSPHRASE = "secret"  # of the encrypted key
PASSWORD = "correct horse"  # of the account at the server that asks for one
SEED = "JBSWY3DPEHPK3PXP"  # of its one-time codes

LISTENING = "Server listening on "

PAM = """\
auth required pam_unix.so
auth required pam_google_authenticator.so secret={secret} user=root no_strict_owner allowed_perm=0400
account required pam_permit.so
session required pam_permit.so
"""

SETTINGS = """\
ListenAddress {address}
Port {port}
PidFile none
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 10
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""

ENTRY = """\
Host {name}
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


@dataclass(frozen=True)
class Door:
    """What a client is told of a server: `ssh -F config name` goes in."""

    name: str
    address: str
    port: int
    user: str
    config: Path
    key: Path
    encrypted_key: Path  # let in, too; its passphrase is PASSPHRASE
    known_hosts: Path

    def ssh(
        self, *command: str, options: Sequence[str] = (), text: str = "", seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there by the system's ssh."""
        words = [program("ssh"), "-F", str(self.config), "-o", "BatchMode=yes", *options, self.name, *command]
        return subprocess.run(words, input=text, capture_output=True, text=True, timeout=seconds)

    def through(self, port: int) -> Door:
        """Return the door at another port of this machine that leads here, as a proxy's does."""
        known = f"[{self.address}]:{self.port} "
        with self.known_hosts.open("r+") as lines:
            keys = [line.removeprefix(known) for line in lines if line.startswith(known)]
            lines.writelines(f"[127.0.0.1]:{port} {key}" for key in keys)
        door = Door(
            f"{self.name}-{port}", "127.0.0.1", port, self.user, self.config, self.key, self.encrypted_key, self.known_hosts
        )
        door.describe()
        return door

    def trust(self, host_key: Path) -> None:
        """Put the public half of a server's key into known_hosts."""
        with self.known_hosts.open("a") as known:
            known.write(f"[{self.address}]:{self.port} {' '.join(host_key.with_suffix('.pub').read_text().split()[:2])}\n")

    def describe(self, *more: str) -> None:
        """Put it into the ssh_config, with more lines if there are."""
        with self.config.open("a") as config:
            config.write(ENTRY.format(**vars(self)) + "".join(f"  {line}\n" for line in more))


@dataclass(frozen=True)
class Server(Door):
    """An sshd: the door to it, whom it lets in, and its process, which can be ended and started again on the same port."""

    account: Account
    folder: Path
    daemon: Daemon

    @property
    def pid(self) -> int:
        return self.daemon.pid

    @property
    def log(self) -> Path:
        return self.daemon.log

    @property
    def authorized_keys(self) -> Path:
        """What it reads at each login."""
        return self.folder / "authorized_keys"

    @property
    def host_keys(self) -> list[Path]:
        return sorted(path.with_suffix("") for path in self.folder.glob("host_*.pub"))

    def start(self) -> None:
        """Start it and wait until it listens."""
        before = self.log.read_text().count(LISTENING) if self.log.exists() else 0
        self.daemon.start()
        until(lambda: self.log.exists() and self.log.read_text().count(LISTENING) > before, f"sshd {self.name}", log=self.log)

    def stop(self) -> None:
        """End it and its connections, as the end of a machine does; what jobs it started stay."""
        sessions = self.sessions()
        self.daemon.stop()
        end(sessions)

    def kill(self) -> None:
        """The same without a goodbye."""
        sessions = self.sessions()
        self.daemon.kill()
        end(sessions)

    def sessions(self) -> list[psutil.Process]:
        """Return the sshd processes of its connections, to kill() or to suspend() and resume(); what they run is not among them."""
        return [process for process in self.daemon.children() if is_sshd(process)]

    def rekey(self) -> None:
        """Give it other host keys than the client knows; it has to be started again."""
        for path in self.host_keys:
            kind = path.name.removeprefix("host_")
            path.unlink()
            keygen(path, kind)


class Sshd:
    """Starts sshds that share one ssh_config, so that they can name each other as jump hosts."""

    def __init__(self, folder: Path, accounts: Accounts, guard: Guard) -> None:
        self.folder, self._accounts, self._guard = folder, accounts, guard
        self.servers: dict[str, Server] = {}
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        self.key, self.encrypted_key = keys / "id_ed25519", keys / "id_encrypted"
        keygen(self.key)
        keygen(self.encrypted_key, passphrase=PASSPHRASE)
        self.config, self.known_hosts = folder / "ssh_config", folder / "known_hosts"
        self.config.touch()
        self.known_hosts.touch()

    def up(
        self,
        name: str = "server",
        address: str = "127.0.0.1",
        *,
        shell: str = "",
        account: Account | None = None,
        files: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        kinds: Sequence[str] = ("ed25519",),
        client: Sequence[str] = (),
        known: bool = True,
        inside: Sequence[str] = (),
        binary: str = "",
    ) -> Server:
        """Start one and wait until it listens.

        `shell`: the login shell's program. `files`: put into the home, like a .bashrc. `options`: lines of sshd_config, which beat
        the usual ones. `env`: variables of its sessions. `kinds`: of host keys. `client`: more lines of its entry in ssh_config.
        `known`: is it in known_hosts? `inside`: the words that enter a namespace.
        """
        binary = binary or program("sshd")
        account = account or self._accounts.get(shell)
        for path, text in (files or {}).items():
            account.write(path, text)
        folder = self.folder / name
        folder.mkdir()
        hosts = [keygen(folder / f"host_{kind}", kind) for kind in kinds]
        (folder / "authorized_keys").write_text(
            "".join(key.with_suffix(".pub").read_text() for key in (self.key, self.encrypted_key))
        )
        daemon = Daemon([*inside, binary, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "log")
        door = (name, address, ports.free(), account.name, self.config, self.key, self.encrypted_key, self.known_hosts)
        server = Server(*door, account, folder, daemon)
        lines = [*options, *(f"HostKey {key}" for key in hosts), variables(account, env), settings(server)]
        (folder / "sshd_config").write_text("\n".join(lines))
        if ROOT:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it wants this empty folder; a boot usually makes it
        self.servers[name] = server
        server.start()
        self._guard.watch("process", server.pid)
        server.describe(*client)
        for key in hosts if known else ():
            server.trust(key)
        return server

    def up_with_codes(self, name: str = "codes", *, options: Sequence[str] = ()) -> Server:
        """Start one that asks for PASSWORD and a one-time code, instead of a key or after one; see code()."""
        if not ROOT:
            pytest.skip("an sshd that asks PAM needs root")
        program("google-authenticator")
        account = self._accounts.get()
        subprocess.run([program("chpasswd")], input=f"{account.name}:{PASSWORD}", text=True, check=True)
        secret = self.folder / f"totp.{account.name}"
        secret.write_text(f'{SEED}\n" TOTP_AUTH\n')
        secret.chmod(0o400)
        # PAM looks for a file named like sshd: a link by another name gives us one of our own
        binary = self.folder / f"{account.name}-sshd"
        binary.symlink_to(program("sshd"))
        service = Path("/etc/pam.d") / binary.name
        self._guard.watch("file", service)
        service.write_text(PAM.format(secret=secret))
        asks = [
            "UsePAM yes",
            "KbdInteractiveAuthentication yes",
            "AuthenticationMethods keyboard-interactive publickey,keyboard-interactive",
        ]
        client = ["BatchMode no", "PreferredAuthentications publickey,keyboard-interactive"]
        return self.up(name, account=account, options=[*options, *asks], client=client, binary=str(binary))

    def close(self) -> None:
        for server in self.servers.values():
            server.kill()


def code(at: float | None = None) -> str:
    """Compute the one-time code of a moment (RFC 6238), now by default."""
    step = int(time.time() if at is None else at) // 30
    digest = hmac.digest(base64.b32decode(SEED), step.to_bytes(8, "big"), hashlib.sha1)
    start = digest[-1] & 15
    return f"{int.from_bytes(digest[start : start + 4], 'big') % (1 << 31) % 1_000_000:06}"


def keygen(path: Path, kind: str = "ed25519", *, passphrase: str = "") -> Path:
    words = [program("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run([*words, *(["-a", "4"] if passphrase else [])], check=True, stdin=subprocess.DEVNULL)
    return path


def settings(server: Server) -> str:
    return SETTINGS.format(address=server.address, port=server.port, authorized=server.authorized_keys)


def variables(account: Account, env: Mapping[str, str] | None) -> str:
    """Return the line for the sessions' variables; without root their home is one of ours, too."""
    given = {**({} if ROOT else {"HOME": str(account.home)}), **(env or {})}
    return "SetEnv " + " ".join(f'"{name}={value}"' for name, value in given.items()) if given else ""


def is_sshd(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("sshd") or "-sshd" in process.name()
    except psutil.Error:
        return False
