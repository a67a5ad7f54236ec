"""How OpenSSH's configuration says that a host is reached: address, login, keys, and the machines on the way."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import Refused

_DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_MANY = 8  # hops: more is a jump host that is reached through itself
_PATIENCE = 15.0
_Options = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine to log in to, the last one being the host itself."""

    name: str  # as it was asked for: an alias or an address
    address: str
    port: int
    user: str
    alias: str = ""  # the name that it has among the known hosts, if another one
    identities: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    only: bool = False  # no keys of the agent but those of `identities`
    agent: str = ""  # the agent's socket; "" for none
    known: tuple[Path, ...] = ()  # the user's files of known host keys; new ones go into the first
    known_to_all: tuple[Path, ...] = ()
    hashed: bool = False  # are names hashed there?
    strict: bool = False  # are unknown keys refused without a question?
    command: str = ""  # a program to speak through, instead of a connection
    family: int = socket.AF_UNSPEC
    patience: float = _PATIENCE  # seconds for a connection to come about
    alive: int = 0  # seconds between signs of life that the user wants

    def __str__(self) -> str:
        return f"{self.user}@{self.address}" + (f":{self.port}" if self.port != 22 else "")


def route(name: str, entry: Mapping[str, Any], *, config: Path | None = None) -> tuple[Hop, ...]:
    """Return the machines on the way to a host, itself the last; raise Refused when the configuration cannot be followed."""
    user, port = str(entry.get("user") or ""), int(entry.get("port") or 0)
    hops = _route(name, str(entry.get("address") or name), user, port, config, 0)
    if identity := entry.get("identity"):
        hops = (*hops[:-1], replace(hops[-1], identities=(Path(str(identity)).expanduser(),), certificates=(), only=True))
    return hops


def _route(host: str, name: str, user: str, port: int, config: Path | None, depth: int) -> tuple[Hop, ...]:
    if depth > _MANY:
        raise Refused(f"host '{host}': its ProxyJump leads through '{name}' again and again; correct {_place(config)}")
    options = _options(host, name, user, port, config)
    hop = _hop(name.rpartition("@")[2], options)
    jumps = _one(options, "proxyjump")
    if not jumps:
        return (hop,)
    # As OpenSSH does it: only the first of several follows a ProxyJump of its own.
    first, *rest = [_jump(text) for text in jumps.split(",")]
    before = [_hop(name, _options(host, name, user, port, config)) for name, user, port in rest]
    return (*_route(host, *first, config, depth + 1), *before, hop)


def _jump(text: str) -> tuple[str, str, int]:
    """Read [ssh://][user@]address[:port] into address, user and port."""
    user, _, rest = text.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    found = re.fullmatch(r"\[(?P<six>.*)\](?::(?P<sixth>\d+))?|(?P<name>[^:]*)(?::(?P<port>\d+))?|(?P<bare>.*)", rest)
    assert found
    return found["six"] or found["name"] or found["bare"] or "", user, int(found["sixth"] or found["port"] or 0)


def _options(host: str, name: str, user: str, port: int, config: Path | None) -> _Options:
    """Ask OpenSSH itself, since it knows Include, Match and its defaults; without it, paramiko's reader."""
    if not name.strip() or name.startswith("-"):
        raise Refused(f"host '{host}': '{name}' is no address; correct it in hosts.yaml")
    if not (program := shutil.which("ssh")):
        return _parsed(host, name, user, port, config)
    words = [program, "-G", *given(user, port, config), "--", name]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=20)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise Refused(f"host '{host}': 'ssh -G {name}' did not end; a Match exec in {_place(config)} may hang") from None
    if done.returncode:
        said = " ".join(line for line in done.stderr.splitlines() if "Pseudo-terminal" not in line)
        raise Refused(f"host '{host}': OpenSSH cannot use {_place(config)}: {said.strip()}")
    options: _Options = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        options.setdefault(key.lower(), []).append(value)
    return options


def given(user: str, port: int, config: Path | None) -> list[str]:
    """Return the words for ssh(1) that tell what hosts.yaml says."""
    return [*(["-F", str(config)] if config else []), *(["-l", user] if user else []), *(["-p", str(port)] if port else [])]


def _parsed(host: str, name: str, user: str, port: int, config: Path | None) -> _Options:
    """Read the file alone: without Include, and without the machine's own configuration."""
    import paramiko

    file = config or Path("~/.ssh/config").expanduser()
    login, _, name = name.rpartition("@")
    try:
        known = paramiko.SSHConfig.from_path(str(file)) if config or file.exists() else paramiko.SSHConfig()
        found = known.lookup(name)
    except (OSError, ValueError, ImportError, paramiko.SSHException) as error:
        raise Refused(f"host '{host}': {file} cannot be used: {error}") from error
    options = {key: value if isinstance(value, list) else [str(value or "")] for key, value in dict[str, Any](found).items()}
    over = {"user": user or login, "port": str(port or "")}
    return {**options, **{key: [value] for key, value in over.items() if value}}


def _hop(name: str, options: _Options) -> Hop:
    """Gather what is of use here, expanded."""
    address, port = _one(options, "hostname") or name, int(_one(options, "port") or 22)
    user = _one(options, "user") or getpass.getuser()
    tokens = _tokens(name, address, port, user)
    return Hop(
        name=name,
        address=address,
        port=port,
        user=user,
        alias=_one(options, "hostkeyalias"),
        identities=_paths(options.get("identityfile", _DEFAULT_KEYS), tokens),
        certificates=_paths(options.get("certificatefile", ()), tokens),
        only=_one(options, "identitiesonly") == "yes",
        agent=_agent(_one(options, "identityagent"), tokens),
        known=_paths(_several(options, "userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"), tokens),
        known_to_all=_paths(
            _several(options, "globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"), tokens
        ),
        hashed=_one(options, "hashknownhosts") == "yes",
        strict=_one(options, "stricthostkeychecking") in ("yes", "true"),
        command=_expand(_one(options, "proxycommand"), tokens),
        family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(_one(options, "addressfamily"), socket.AF_UNSPEC),
        patience=_number(_one(options, "connecttimeout")) or _PATIENCE,
        alive=_number(_one(options, "serveraliveinterval")),
    )


def _tokens(name: str, address: str, port: int, user: str) -> dict[str, str]:
    """Return what ssh_config(5) calls TOKENS."""
    home, here, me = os.path.expanduser("~"), socket.gethostname(), getpass.getuser()
    short = here.partition(".")[0]
    return {"%": "%", "d": home, "h": address, "i": str(getattr(os, "getuid", int)()), "k": name, "L": short, "l": here} | {
        "n": name, "p": str(port), "r": user, "u": me
    }  # fmt: skip


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)


def _paths(texts: Any, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    full = (os.path.expandvars(os.path.expanduser(_expand(text.strip('"'), tokens))) for text in texts)
    return tuple(Path(text) for text in full if text.lower() != "none")


def _several(options: _Options, key: str, default: str) -> list[str]:
    """Split what OpenSSH prints as one line: a name may hold blanks, but each begins like a path."""
    return re.split(r"\s+(?=[/~%$\"]|[A-Za-z]:|none$)", _one(options, key) or default)


def _agent(said: str, tokens: Mapping[str, str]) -> str:
    """Return the socket of the agent that is to be asked."""
    if said.lower() == "none":
        return ""
    if not said or said == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    return os.environ.get(said[1:], "") if re.fullmatch(r"\$\w+", said) else str(_paths([said], tokens)[0])


def _one(options: _Options, key: str) -> str:
    value = options.get(key, [""])[0]
    return "" if value.lower() == "none" and key in ("proxyjump", "proxycommand", "connecttimeout", "hostkeyalias") else value


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _place(config: Path | None) -> str:
    return str(config or "~/.ssh/config")
