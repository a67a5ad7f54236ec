"""What attempts wrote, as their host tells it: the files of those that have ended in one go, the logs of those that run by pieces.

A place is an attempt's folder below the folder of runs on its host, RUN/NUMBER/ATTEMPT, and by its nature safe in any shell.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import HostError
from .transport import Transport

FILES = ("claim", "rc", "out", "err", "executed.ipynb")
LOGS = ("out", "err")
WHOLE = 1 << 20  # bytes: what is larger comes by pieces, as one of them is not to hold up the news of all
PIECE = 1 << 18  # bytes of one log at once

_MOST = 500  # places in one conversation: a program's list of arguments has an end, and busybox's tar takes no other list
_PLACE = re.compile(r"[\w.-]+/\d+/\d+\Z")
_HEADER = re.compile(rb"([\w.-]+/\d+/\d+)/(\w[\w.]*) (\d+)\n")
_LATEST = 1 << 33  # seconds since the epoch: whoever says more does not mean a time

# The names of what is too large, an empty line, an archive of the rest.
_OURS = f"-type f \\( {' -o '.join(f'-name {name}' for name in FILES)} \\)"
_WHOLE = f"""
cd "$1" || exit 1
set -- $(cat)
find "$@" {_OURS} -size +{WHOLE // 512} 2>/dev/null
echo
set -- $(find "$@" {_OURS} ! -size +{WHOLE // 512} 2>/dev/null)
[ $# -eq 0 ] || tar -cf - "$@" | gzip -1
"""

# Exactly as many bytes as were announced, even if the file is cut short meanwhile.
_GROWN = """
cd "$1" || exit 1
asked=$(cat)
files=$(printf '%s\\n' "$asked" | cut -d ' ' -f 1)
{ printf '%s\\n' "$asked"; wc -c $files 2>/dev/null; } | awk -v most="$2" '
  $1 !~ /^[0-9]+$/ { from[$1] = $2; next }
  ($2 in from) && $1 > from[$2] { n = $1 - from[$2]; print $2, from[$2], (n > most ? most : n) }
' | while read -r file from n; do
  echo "$file $n"
  { tail -c +$((from + 1)) "$file"; cat /dev/zero; } 2>/dev/null | head -c "$n"
done
"""


class Kept(NamedTuple):
    """A file of an attempt: which, what is in it (None when it is larger than WHOLE), when it was written (seconds, on the host's clock)."""

    place: str
    name: str
    text: bytes | None
    changed: float


def whole(transport: Transport, base: str, places: Sequence[str]) -> Iterator[Kept]:
    """Yield the files of these places."""
    for start in range(0, len(places), _MOST):
        asked = {_checked(place) for place in places[start : start + _MOST]}
        said = b"\n" + transport.ask(_WHOLE, base, input=("\n".join(sorted(asked)) + "\n").encode())
        large, _, packed = said.partition(b"\n\n")
        yield from _large(large, asked)
        if packed:
            yield from _unpack(transport, packed, asked)


def _large(said: bytes, asked: set[str]) -> Iterator[Kept]:
    for line in said.decode(errors="replace").splitlines():
        place, _, name = line.removeprefix("./").rpartition("/")
        if place in asked and name in FILES:
            yield Kept(place, name, None, 0.0)


def _unpack(transport: Transport, packed: bytes, asked: set[str]) -> Iterator[Kept]:
    """Take from the archive what was asked for, and nothing else: it comes from outside."""
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            for member in tar:
                place, _, name = member.name.removeprefix("./").rpartition("/")
                if not (member.isreg() and member.size <= WHOLE and place in asked and name in FILES):
                    continue
                if file := tar.extractfile(member):
                    yield Kept(place, name, file.read(), member.mtime if 0 <= member.mtime < _LATEST else 0.0)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise HostError(f"host '{transport.name}': what it sent of its logs cannot be read: {error}") from error


def grown(
    transport: Transport, base: str, offsets: Mapping[tuple[str, str], int], *, piece: int = PIECE
) -> dict[tuple[str, str], bytes]:
    """Return what is new in these files, (place, name) -> offset, at most so many bytes of each."""
    asked = "".join(f"{_checked(place)}/{name} {offset}\n" for (place, name), offset in offsets.items())
    said = transport.ask(_GROWN, base, str(piece), input=asked.encode()) if asked else b""
    return {which: text for which, text in _pieces(said) if which in offsets}


def _pieces(said: bytes) -> Iterator[tuple[tuple[str, str], bytes]]:
    at = 0
    while header := _HEADER.match(said, at):
        size = int(header[3])
        yield (header[1].decode(), header[2].decode()), said[header.end() : header.end() + size]
        at = header.end() + size


def _checked(place: str) -> str:
    assert _PLACE.match(place), place
    return place
