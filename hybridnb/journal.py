"""A durable log of records: one line each, a YAML flow mapping with its number and checksum, appended in constant time.

A line is `- {"n": 7, …, "crc": "1c291ca3"}`; crc is zlib.crc32 of the mapping without it. The file is valid YAML.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import StoreError

Record = dict[str, Any]

_BINARY: int = getattr(os, "O_BINARY", 0)  # or Windows writes another line break
_SYNC_INTERVAL = 0.1  # seconds: what a power cut may cost of observations, which the hosts can tell again
# YAML 1.1 reads 1e-07 as a text, 1.0e-07 as a number; strings are skipped by the first alternative.
_BARE_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.])(-?\d+)(e[+-]?\d+)')
# JSON lets them stand; YAML refuses them or folds them as line breaks. Half a surrogate pair is a byte of a name that is no UTF-8.
_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder().decode


def flow(value: Any) -> str:
    """Write plain data in one line that JSON and YAML read alike."""
    text = _encode(value)
    if "e-" in text or "e+" in text:
        text = _BARE_EXPONENT.sub(lambda m: f"{m[1]}.0{m[2]}" if m[1] else m[0], text)
    if not text.isascii() or "\x7f" in text:
        text = _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
    return text


def line(number: int, record: Record) -> str:
    """Write one record as a line of the journal."""
    body = flow({"n": number, **record})
    return f'- {body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'


def parse(text: bytes) -> Record | None:
    """Read one line; None when it is torn or damaged."""
    body, mark, crc = text.rpartition(b', "crc": "')
    if not mark or len(crc) != 11 or crc[8:] != b'"}\n':
        return None
    body = body[2:] + b"}"
    try:
        if zlib.crc32(body) != int(crc[:8], 16):
            return None
        record: Record = _decode(body.decode())
    except ValueError:
        return None
    return record


def refused(path: Path, what: str, error: OSError) -> StoreError:
    """Say that a file of a run's folder cannot be read or written, why, and what to do."""
    if not path.parent.is_dir():
        return StoreError(
            f"{path}: cannot be {what}: the run's folder is not there any more. Run again to begin another", run=path.parent.name
        )
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    step = "Make room" if full else "See to the folder and its permissions"
    return StoreError(f"{path}: cannot be {what}: {error.strerror}. {step}, and run again to resume", run=path.parent.name)


def read(path: Path) -> tuple[list[Record], int]:
    """Return the records and how many bytes they take; what follows is a torn tail.

    Raises StoreError when sound lines follow a damaged or missing one: that is no torn write, and a person has to look.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise refused(path, "read", error) from error
    records: list[Record] = []
    good = 0
    lines = data.splitlines(keepends=True)
    for index, text in enumerate(lines):
        record = parse(text)
        if record is None or record.get("n") != len(records) + 1:
            if any(parse(later) for later in lines[index:]):
                raise StoreError(
                    f"{path}:{index + 1}: the journal is damaged here, and it goes on after that. "
                    "Everything before this line is sound: remove the lines from here on, and run again to resume"
                )
            break
        records.append(record)
        good += len(text)
    return records, good


class Journal:
    """The journal opened for its single writer. `append` is memory, `commit` is the disk."""

    def __init__(self, path: Path, *, count: int = 0, size: int = 0) -> None:
        self.path = path
        self._count = count
        self._size = size
        self._pending: list[str] = []
        self._synced = 0.0
        self._dirty = False
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise refused(path, "written", error) from error

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r}, records={self._count})"

    @classmethod
    def open(cls, path: Path) -> tuple[Journal, list[Record]]:
        """Read the records, drop a torn tail, and go on after it."""
        records, size = read(path)
        return cls(path, count=len(records), size=size), records

    @property
    def count(self) -> int:
        """How many records there are, the pending ones among them."""
        return self._count

    def append(self, record: Record) -> None:
        """Add a record; nothing is on disk before `commit`."""
        self._pending.append(line(self._count + 1, record))
        self._count += 1

    def commit(self, *, sync: bool = False) -> None:
        """Write what is pending with one call; with sync, or some time after the last one, wait for the disk.

        Raises StoreError when the disk refuses; the file then ends where it ended before.
        """
        try:
            if self._pending:
                self._write("".join(self._pending).encode())
                self._pending.clear()
            if self._dirty and (sync or time.monotonic() - self._synced > _SYNC_INTERVAL):
                os.fsync(self._fd)
                self._synced, self._dirty = time.monotonic(), False
        except OSError as error:
            with suppress(OSError):  # what is left is a torn tail, which readers drop
                os.ftruncate(self._fd, self._size)
            raise refused(self.path, "written", error) from error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size, self._dirty = self._size + len(data), True

    def close(self) -> None:
        """Commit with sync and close; safe to call again."""
        if self._fd >= 0:
            try:
                self.commit(sync=True)
            finally:
                os.close(self._fd)
                self._fd = -1
