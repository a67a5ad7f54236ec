"""Trying a host step by step, each with what was found, the time that it took, and what to do when it fails."""

from __future__ import annotations

import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from shlex import split
from typing import Any

from .. import home
from ..errors import HostError, HybridnbError, Refused, Unreachable
from ..model import Resources
from .slurm import dialect as slurm
from .config import Hosts, plain
from .far import FarHost
from .local import LocalTransport
from .shell import ShellTransport
from .transport import Transport

_BEAT = 0.2  # seconds
_SKEW = 60  # seconds that clocks may differ before a person should know
_ROOM = 1 << 20  # KiB that should be free
_REPLACED = {"setsid": "", "flock": "", "sha256sum": "shasum openssl", "base64": "openssl python3"}  # by what
_NEEDED = ("tar", "gzip")

_SHELL = 'echo "${SHELL:-/bin/sh}"; uname -srm; uname -n'
_SETUP = """
lines=$1; shift
[ $# -gt 0 ] || set -- "$(command -v bash || command -v sh)"
said=$("$@" -c "$lines" 2>&1 >/dev/null </dev/null) || { code=$?; echo "${said:-exit code $code}" >&2; exit "$code"; }
printf %s "$said"
"""
_DIRECTORY = """
case $1 in /*) d=$1 ;; "~" | "~/"*) d=$HOME${1#"~"} ;; *) d=$HOME/$1 ;; esac
mkdir -p "$d" && cd "$d" && : >".hybridnb-$$" && rm ".hybridnb-$$" || exit 1
pwd; df -Pk . | tail -n 1
"""
_TOOLS = 'for tool; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done'
_SLURM = "sbatch --version && command -v squeue scancel scontrol >/dev/null"
_LIMITS = r"""
config=$(scontrol show config) && partitions=$(sinfo -h -o 'partition %P %a %l %D') || exit 1
printf '%s\n' "$config" | sed -n -e 's/^\(MaxArraySize\) *= */\1 /p' -e 's/^\(MaxJobCount\) *= */\1 /p'
printf '%s\n' "$partitions"
sacctmgr -nP show user "$(id -un)" format=defaultaccount 2>/dev/null | sed 's/^/account /'
:
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: it begins (`ok` is None), and then has gone well or not."""

    what: str
    told: str = ""
    _: KW_ONLY
    ok: bool | None = None
    seconds: float = 0.0
    advice: str = ""  # what to do next


class _Wrong(Exception):
    """A step has failed, though the host answers: what was found, and what to do."""


Found = tuple[str, str]  # what, and what to do about it, if anything
Probe = Callable[[Transport, Mapping[str, Any]], Found]


def steps(transport: Transport, entry: Mapping[str, Any], *, connect: Callable[[], None] | None = None) -> Iterator[Step]:
    """Try a host, told as it goes. What cannot be reached, or has no shell, is tried no further.

    `connect` connects the transport, waits for it, and raises what stands in the way; without it the transport does so itself.
    """
    if isinstance(transport, ShellTransport):
        for step in _reach(transport, entry, connect or transport.open):
            yield step
            if step.ok is False and step.what != "name":
                return
    for what, probe in _probes(entry):
        yield Step(what)
        step = _step(transport.name, what, lambda probe=probe: probe(transport, entry))  # type: ignore[misc]
        yield step
        if not step.ok and what == "shell":
            return


def _step(host: str, what: str, probe: Callable[[], Found]) -> Step:
    began = time.monotonic()
    try:
        told, advice = probe()
        ok = True
    except _Wrong as wrong:
        told, advice, ok = *wrong.args, False
    except HybridnbError as error:
        told, advice, ok = _brief(host, error), "", False
    took = time.monotonic() - began
    return Step(what, told, ok=ok, seconds=took, advice=advice if ok else advice or _ADVICE.get(what, ""))


def _probes(entry: Mapping[str, Any]) -> Iterator[tuple[str, Probe]]:
    yield "shell", _shell
    if entry.get("setup") or entry.get("shell"):
        yield "set-up", _setup
    yield "directory", _directory
    yield "tools", _tools
    yield "clock", _clock
    yield "round trip", _round_trip
    match entry.get("scheduler", "process"):
        case "process":
            yield "scheduler", _process
        case "slurm":
            yield "scheduler", _slurm
            yield "limits", _limits


_ADVICE = {
    "set-up": "correct 'setup' or 'shell' in hosts.yaml; they run before each job",
    "directory": "set 'directory' in hosts.yaml to a place where you may write, such as /scratch/YOU/hybridnb",
    "scheduler": "is Slurm on the PATH of a shell that is not interactive there? Set it in your ~/.bashrc or ~/.profile, or choose 'scheduler: process'",
}


# -- the connection -------------------------------------------------------------------------------------------------------
def _reach(transport: ShellTransport, entry: Mapping[str, Any], connect: Callable[[], None]) -> Iterator[Step]:
    """Connect and log in, unless that has been done."""
    by_ssh = entry["transport"] in ("ssh", "openssh")
    if by_ssh:
        yield Step("name")
        yield _step(transport.name, "name", lambda: _name(transport.name, entry))
    yield Step("connection")
    began = time.monotonic()
    try:
        connect()
    except (Unreachable, Refused) as error:
        what = "login" if isinstance(error, Refused) and entry["transport"] != "wsl" else "connection"
        what = "host key" if "host key" in str(error) else what
        by_hand = f"to see more, log in by hand: ssh {_by_hand(transport.name, entry)}" if by_ssh else ""
        yield Step(what, _brief(transport.name, error), ok=False, seconds=time.monotonic() - began, advice=by_hand)
        return
    except HostError as error:
        if not transport.alive:  # there was a connection, and no shell at its end
            yield from _reached(transport.link.describe(), time.monotonic() - began)
            yield Step("shell", _brief(transport.name, error), ok=False, advice="log in by hand and mend the start-up files there")
            return
    yield from _reached(transport.link.describe(), time.monotonic() - began)


def _name(name: str, entry: Mapping[str, Any]) -> Found:
    """Find the machine that is spoken to first."""
    from .ssh.config import route

    hops = route(name, entry)
    first, way = hops[0], "".join(f", then {hop}" for hop in hops[1:])
    if first.command:
        return f"through '{first.command}'{way}", ""
    try:
        found = {str(place[4][0]) for place in socket.getaddrinfo(first.address, first.port, first.family, socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        advice = "correct 'address' in hosts.yaml, or does it want a VPN?"
        raise _Wrong(f"'{first.address}' is not found: {why}", advice) from None
    return f"{first.address}{'' if first.address in found else f' is {min(found)}'}, port {first.port}{way}", ""


def _reached(about: Mapping[str, object], seconds: float) -> Iterator[Step]:
    """Tell what a link says of itself, in the order in which it happened."""
    said = {key: " > ".join(value) if isinstance(value, list) else str(value) for key, value in about.items() if value}
    key, way, login = said.pop("host key", ""), said.pop("way", ""), said.pop("login", "")
    if login:
        said = {name: value for name, value in said.items() if name not in ("address", "port", "user")}
    words = {"distro": "{}", "server": "{}", "hops": "through {}"}
    told = ", ".join(words.get(name, f"{name} {{}}").format(value) for name, value in said.items())
    yield Step("connection", told or "open", ok=True, seconds=seconds)
    if key:
        yield Step("host key", key, ok=True)
    if login:
        yield Step("login", f"{login} by {way}", ok=True)


def _brief(host: str, error: HybridnbError) -> str:
    """Leave out which host it is."""
    return str(error).removeprefix(f"host '{host}': ")


def _by_hand(name: str, entry: Mapping[str, Any]) -> str:
    user = f"{entry['user']}@" if "user" in entry else ""
    port = f"-p {entry['port']} " if "port" in entry else ""
    return f"{port}{user}{entry.get('address', name)}"


# -- what is there --------------------------------------------------------------------------------------------------------
def _shell(transport: Transport, _: Mapping[str, Any]) -> Found:
    shell, system, machine = transport.run(_SHELL).splitlines()[:3]
    return f"{shell} on {machine}, {system}", ""


def _setup(transport: Transport, entry: Mapping[str, Any]) -> Found:
    lines = "\n".join([*entry.get("setup", ()), ""])
    try:
        said = transport.run(_SETUP, lines, *split(entry.get("shell", "")))
    except HostError as error:
        raise _Wrong(f"{error}", "") from None
    return (
        (f"says: {' '.join(said.split())[:200]}", _ADVICE["set-up"])
        if said.strip()
        else (f"{len(entry.get('setup', ()))} lines", "")
    )


def _directory(transport: Transport, entry: Mapping[str, Any]) -> Found:
    wanted = entry.get("directory", str(home.state()) if transport.near else ".hybridnb")
    path, _, room = transport.run(_DIRECTORY, wanted).partition("\n")
    found = re.search(r"\s(\d+)\s+\d+%\s", room) or re.search(r"\s\d+\s+\d+\s+(\d+)\s", room)
    if not found:
        return path, ""
    free = int(found[1])
    return (
        f"{path}, {free / 2**20:.1f} GiB free",
        "" if free > _ROOM else "make room there, or set another 'directory' in hosts.yaml",
    )


def _tools(transport: Transport, _: Mapping[str, Any]) -> Found:
    stand_ins = " ".join(_REPLACED.values()).split()
    missing = transport.run(_TOOLS, *_NEEDED, *_REPLACED, *stand_ins).split()
    lost = [t for t in _NEEDED if t in missing]
    lost += [t for t, by in _REPLACED.items() if t in missing and by and all(other in missing for other in by.split())]
    if lost:
        raise _Wrong(f"there is no {', '.join(lost)}", "install them there, or ask the administrator to")
    replaced = [t for t in _REPLACED if t in missing]
    return (f"without {', '.join(replaced)}, in whose place others do the work" if replaced else "all that is needed"), ""


def _clock(transport: Transport, _: Mapping[str, Any]) -> Found:
    before = time.time()
    there = int(transport.run("date +%s"))
    after = time.time()
    ahead = there - before if there < before - 1 else there - after if there > after + 1 else 0.0
    if not ahead:
        return "as here, within a second", ""
    advice = "times of jobs there are told by its clock; have it set right (NTP)" if abs(ahead) > _SKEW else ""
    return f"{abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}", advice


def _round_trip(transport: Transport, _: Mapping[str, Any]) -> Found:
    return f"{1000 * statistics.median(_took(transport) for _ in range(5)):.1f} ms", ""


def _took(transport: Transport) -> float:
    began = time.monotonic()
    transport.run(":")
    return time.monotonic() - began


# -- the scheduler --------------------------------------------------------------------------------------------------------
def _process(transport: Transport, entry: Mapping[str, Any]) -> Found:
    cores = transport.facts().get("cores")
    return f"the machine itself, {cores} cores, {entry.get('slots') or cores} jobs at once", ""


def _slurm(transport: Transport, _: Mapping[str, Any]) -> Found:
    return transport.run(_SLURM).strip(), ""


def _limits(transport: Transport, entry: Mapping[str, Any]) -> Found:
    told = [line.split() for line in transport.run(_LIMITS).splitlines()]
    partitions = {words[1]: words[2:] for words in told if words[0] == "partition" and len(words) == 5}
    words = [
        f"{name} (up to {about[1]}, {about[2]} nodes{'' if about[0] == 'up' else ', ' + about[0]})"
        for name, about in partitions.items()
    ]
    accounts = [line[1] for line in told if line[0] == "account" and line[1:]]
    limits = [f"{line[0]} {line[1]}" for line in told if line[0].startswith("Max") and line[1:]]
    asked = entry.get("resources", Resources())
    if refused := slurm.refused(asked):
        raise _Wrong(refused, "correct 'resources' in hosts.yaml")
    for name in asked.partition.split(",") if asked.partition else ():
        if name not in {known.rstrip("*") for known in partitions}:
            raise _Wrong(f"there is no partition '{name}'; there are {', '.join(partitions)}", "correct 'resources' in hosts.yaml")
    parts = [f"partitions {', '.join(words)}", *limits, f"default account {accounts[0]}" if accounts else ""]
    return "; ".join(filter(None, parts)), ""


# -- beside everything else -----------------------------------------------------------------------------------------------
class Trial:
    """Tries a host in a thread of its own. Iterate for the steps, and for None while one takes long."""

    def __init__(self, hosts: Hosts, name: str, folder: Path | None = None) -> None:
        """Find the host; raises NotFound and DefinitionError. The connection of a far one is that which its jobs use, and stays."""
        entry = hosts.known(name, folder)
        self._told: SimpleQueue[Step | None] = SimpleQueue()
        self._left = False  # nobody listens any more
        if plain(entry):
            self._steps = steps(LocalTransport(name), entry)
        else:
            host = hosts.get(name, folder)
            assert isinstance(host, FarHost)
            self._steps = steps(host.transport, entry, connect=host.connect)

    def __iter__(self) -> Iterator[Step | None]:
        threading.Thread(target=self._work, name="check", daemon=True).start()
        try:
            while True:
                try:
                    step = self._told.get(timeout=_BEAT)
                except Empty:
                    yield None
                    continue
                if step is None:
                    return
                yield step
        finally:
            self._left = True

    def _work(self) -> None:
        try:
            for step in self._steps:
                self._told.put(step)
                if self._left:
                    return
        except Exception as error:  # noqa: BLE001  it is told
            self._told.put(Step("hybridnb", f"{type(error).__name__}: {error}", ok=False, advice="this is a fault of hybridnb"))
        finally:
            self._told.put(None)
