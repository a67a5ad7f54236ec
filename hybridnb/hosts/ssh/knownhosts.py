"""The host keys that a user knows, in OpenSSH's files: every entry counts, hashed or not."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from typing import NamedTuple

from ...errors import Refused


class Entry(NamedTuple):
    """One line: a key for the names."""

    file: Path
    line: int
    marker: str  # "@revoked", "@cert-authority" or ""
    names: str
    key: bytes

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


class KnownHosts:
    """The entries of several files, read when they are asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)

    def __repr__(self) -> str:
        return f"KnownHosts({[str(file) for file in self.files]})"

    def find(self, name: str) -> list[Entry]:
        """Return the entries for a name: `address`, `[address]:port`, or an alias. Certificate authorities are left out."""
        entries = (entry for file in self.files for entry in _read(file))
        return [entry for entry in entries if entry.marker != "@cert-authority" and _names(entry.names, name.lower())]

    def types(self, name: str) -> set[str]:
        """Return the types of the keys that are known for a name."""
        return {key_type(entry.key) for entry in self.find(name) if not entry.marker}

    def check(self, host: str, names: Sequence[str], key: bytes) -> bool:
        """Is this the key of the first name, or does it go by another of the names? False when no key of its type is known.

        Raises Refused when the key was revoked, or another one of its type is known for the first name.
        """
        found = [self.find(name) for name in names]
        same = [entry for entries in found for entry in entries if entry.key == key]
        if revoked := next((entry for entry in same if entry.marker), None):
            raise Refused(
                f"host '{host}': its host key {fingerprint(key)} is revoked at {revoked.place}; do not use it, and ask its operators"
            )
        if same:
            return True
        kind = key_type(key)
        other = next((entry for entry in found[0] if not entry.marker and key_type(entry.key) == kind), None)
        if other:
            raise Refused(
                f"host '{host}': its host key has changed: {label(key)} is not the one at {other.place}. Somebody may be in between. "
                f"If its operators confirm the new key, remove that line ('ssh-keygen -R {names[0]} -f {other.file}') and try again"
            )
        return False


def append(file: Path, name: str, key: bytes, *, hashed: bool = False) -> None:
    """Add a key to a file, which is made, for its owner alone, when it is missing; raise OSError."""
    if not file.parent.exists():
        file.parent.mkdir(mode=0o700, parents=True)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(fd, "rb+", buffering=0) as stream:
        size = os.fstat(fd).st_size
        if size:
            stream.seek(size - 1)
        torn = size and stream.read(1) != b"\n"
        line = f"{_hash(name.lower()) if hashed else name.lower()} {key_type(key)} {base64.b64encode(key).decode()}\n"
        stream.write((b"\n" if torn else b"") + line.encode())


def fingerprint(key: bytes) -> str:
    """Return the fingerprint that OpenSSH shows."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def key_type(key: bytes) -> str:
    """Return the type that a public key, as it is on the wire, begins with."""
    return key[4 : 4 + int.from_bytes(key[:4], "big")].decode(errors="replace")


def label(key: bytes) -> str:
    """Name a key for a person: its type and its fingerprint."""
    return f"{key_type(key).removeprefix('ssh-').partition('-')[0].upper()} {fingerprint(key)}"


def _read(file: Path) -> Iterator[Entry]:
    try:
        lines = file.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Refused(f"{file}, which holds known host keys, cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        words = line.decode(errors="replace").split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue  # as OpenSSH does with lines that it does not understand
        if key_type(key) == words[1]:
            yield Entry(file, number, marker, words[0], key)


def _names(pattern: str, name: str) -> bool:
    """Do the names of an entry cover this one? One with '!' that matches takes all back."""
    if pattern.startswith("|1|"):
        return _is_hash_of(pattern, name)
    matching = [part for part in pattern.lower().split(",") if _matches(part.removeprefix("!"), name)]
    return bool(matching) and not any(part.startswith("!") for part in matching)


def _matches(part: str, name: str) -> bool:
    return re.fullmatch(translate(part.replace("[", "[[]")), name) is not None if set("*?") & set(part) else part == name


def _hash(name: str, salt: bytes = b"") -> str:
    salt = salt or os.urandom(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _is_hash_of(text: str, name: str) -> bool:
    try:
        salt = base64.b64decode(text.split("|")[2], validate=True)
    except (IndexError, binascii.Error):
        return False
    return bool(salt) and hmac.compare_digest(_hash(name, salt), text)
