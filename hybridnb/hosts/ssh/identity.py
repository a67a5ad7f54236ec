"""A user's keys: those of the agent, and those in files, whose passphrases are asked for once."""

from __future__ import annotations

import base64
import binascii
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob

from .config import Hop
from .knownhosts import key_type

_MAGIC = b"openssh-key-v1\0"
_PATIENCE = 60.0  # seconds for an agent to sign: it may wait for a finger or a PIN
_unlocked: dict[tuple[str, int], paramiko.PKey] = {}  # by file and time, for the life of this process
_unlocking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class Identity(NamedTuple):
    """A key to be tried; `load` may ask for a passphrase, and gives None when there is no way to use the key."""

    key: bytes | Path  # what tells it from others
    name: str
    load: Callable[[], paramiko.PKey | None]


class KeyFile(NamedTuple):
    """What can be read of a key file without a passphrase."""

    path: Path
    kind: str  # the type of its key; "" when it holds none that can be used here
    encrypted: bool
    public: bytes  # b"" where only the private half is there


class Agent(AgentSSH):
    """An agent at a socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(_PATIENCE)
        try:
            stream.connect(path)
            self._connect(stream)  # type: ignore[attr-defined]
        except BaseException:
            stream.close()
            raise

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


def agent(hop: Hop) -> AgentSSH | None:
    """Return the user's agent; None when there is none, or it is of no use."""
    try:
        if hop.agent and os.name == "posix":
            return Agent(hop.agent)
        return paramiko.Agent() if os.name != "posix" else None
    except (OSError, paramiko.SSHException):
        return None


def identities(hop: Hop, keeper: AgentSSH | None, ask: Callable[..., str]) -> Iterator[Identity]:
    """Yield what can be tried: the agent's keys (those that the configuration names first), then files, encrypted ones last."""
    files = [file for path in hop.identities if (file := read(path) or read(Path(f"{path}.pub")))]
    named = [file.public for file in files if file.public]
    held = sorted(keeper.get_keys() if keeper else (), key=lambda key: _rank(_blob(key), named))
    for key in held:
        if not hop.only or _blob(key) in named:
            yield Identity(_blob(key), f"key '{key.comment or _blob(key)[:8].hex()}' of the agent", lambda key=key: _Held(key))  # type: ignore[misc]
    offered = {_blob(key) for key in held}
    for file in sorted(files, key=lambda file: file.encrypted):
        if file.public not in offered:
            yield Identity(file.path, f"key {file.path}", lambda file=file: unlock(file, hop, ask))  # type: ignore[misc]


def read(path: Path) -> KeyFile | None:
    """Look into a key file; None when there is none."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        text = ""
    if text.startswith(("ssh-", "ecdsa-", "sk-")):  # the public half, to name a key of the agent
        return KeyFile(path, "", encrypted=False, public=_decoded(text.split()[1:2]))
    if "BEGIN OPENSSH PRIVATE KEY" in text:
        return _container(path, text)
    kind = "PEM" if "PRIVATE KEY-----" in text else ""
    return KeyFile(path, kind, "ENCRYPTED" in text, _public(path))


def _container(path: Path, text: str) -> KeyFile:
    """Read OpenSSH's format: cipher, kdf, its options, the number of keys, the public one; the rest may be encrypted."""
    blob = _decoded(["".join(line.strip() for line in text.splitlines() if "-" not in line)])
    if not blob.startswith(_MAGIC):
        return KeyFile(path, "", encrypted=False, public=b"")
    cipher, at = _string(blob, len(_MAGIC))
    _, at = _string(blob, at)
    _, at = _string(blob, at)
    public, _ = _string(blob, at + 4)
    kind = key_type(public)
    return KeyFile(path, "" if kind.startswith("sk-") else kind, cipher != b"none", public)


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
    return blob[at + 4 : end], end


def _public(path: Path) -> bytes:
    half = read(Path(f"{path}.pub")) if not path.name.endswith(".pub") else None
    return half.public if half else b""


def _decoded(words: list[str]) -> bytes:
    try:
        return base64.b64decode(words[0]) if words else b""
    except binascii.Error:
        return b""


def unlock(file: KeyFile, hop: Hop, ask: Callable[..., str]) -> paramiko.PKey | None:
    """Load a key, asking for its passphrase where it has one that was not given yet; None when it does not open."""
    if not file.kind:
        return None
    which = str(file.path), file.path.stat().st_mtime_ns
    with _unlocking[which[0]]:  # whoever waits here finds the key open
        if not (key := _unlocked.get(which)):
            secret = ask(f"Passphrase for the key {file.path}:") if file.encrypted else None
            try:
                key = _load(file, secret)
            except (paramiko.SSHException, ValueError, TypeError, IndexError, OSError):
                return None
            if file.encrypted:
                _unlocked[which] = key
    for certificate in (*hop.certificates, Path(f"{file.path}-cert.pub")):
        if certificate.exists():
            try:
                key.load_certificate(str(certificate))
            except ValueError:
                continue  # it belongs to another key
            break
    return key


def _load(file: KeyFile, secret: str | None) -> paramiko.PKey:
    """Load a key; one in the formats of PEM, which paramiko knows in part, by way of OpenSSH's."""
    if file.kind != "PEM":
        return _class(file.kind).from_private_key_file(str(file.path), secret)
    from cryptography.hazmat.primitives import serialization as to

    pem = to.load_pem_private_key(file.path.read_bytes(), secret.encode() if secret else None)
    text = pem.private_bytes(to.Encoding.PEM, to.PrivateFormat.OpenSSH, to.NoEncryption()).decode()
    return _class(_container(file.path, text).kind).from_private_key(StringIO(text))


def _class(kind: str) -> type[paramiko.PKey]:
    if kind == "ssh-rsa":
        return paramiko.RSAKey
    return paramiko.Ed25519Key if kind == "ssh-ed25519" else paramiko.ECDSAKey


def _blob(key: paramiko.PKey) -> bytes:
    return bytes(getattr(key, "blob", b"") or key.asbytes())


def _rank(blob: bytes, named: list[bytes]) -> int:
    return named.index(blob) if blob in named else len(named)


class _Held(paramiko.AgentKey):
    """A key of the agent. Where paramiko would end the connection, a signature that is refused is an empty one."""

    def __init__(self, key: paramiko.AgentKey) -> None:
        super().__init__(key.agent, key.blob, key.comment)
        if "-cert-" in key.get_name():  # shown as what it is, which paramiko forgets
            self.public_blob = PublicBlob(key.get_name(), key.blob)  # type: ignore[assignment]

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Any:  # type: ignore[override]
        try:
            return super().sign_ssh_data(data, algorithm)
        except (paramiko.SSHException, OSError):
            return b""
