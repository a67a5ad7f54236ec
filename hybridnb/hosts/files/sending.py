"""Files that go to a host: small ones together as a tar stream, unpacked aside and then moved into place; large ones one by one, resumed."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from ...errors import HostError
from ..transport import Transport
from .manifest import HASH, Entry, entry, look, look_well
from .parcels import BLOCK, SAMPLE, SAVES, Moved, Progress, claimed, nothing, parted, portions, unsteady
from .patterns import OURS

_PIECE = 1 << 18  # bytes

# FOLDER STAGE z|- COUNT, a tar stream on standard input. Nothing is moved when not all is there; each folder's files by one command.
_UNPACK = """LC_ALL=C; export LC_ALL
mkdir -p "$1/$2" && cd "$1/$2" || exit
trap 'cd ..; rm -rf "$2"' EXIT
trap 'exit 1' HUP INT TERM PIPE
case $3 in z) gzip -dc ;; *) cat ;; esac | tar -xmof - || exit
count=$(find . -type f | wc -l)
[ "$count" -eq "$4" ] || {
  echo "$((count)) of $4 files arrived; are some told apart by upper and lower case alone?" >&2
  exit 1
}
find . -type d -exec sh -c '
  work=$0 move=$1
  shift
  for here do
    [ -d "$work/$here" ] || mkdir -p "$work/$here" || exit
    find "$here/." ! -name . -prune -type f -print0 | xargs -0 sh -c "$move" "$work/$here/" || exit
  done' .. '[ $# -eq 0 ] || exec mv -f "$@" "$0"' {} +
"""

# FOLDER PATH PART BLOCKS SIZE SHA256 x|- STALE, the rest of the file from that block on on standard input. It is written to its own place,
# not appended: a writer of before the cut, who lives still, writes the same. Says whether it is there now.
_WRITE = f"""LC_ALL=C; export LC_ALL
{HASH}mkdir -p "$1" && cd "$1" || exit
case $2 in */*) mkdir -p "${{2%/*}}" || exit ;; esac
[ -z "$8" ] || rm -f "$8"
[ ! -d "$2" ] || {{ echo "$2 is a folder there" >&2; exit 1; }}
words=$(dd of="$3" bs=1048576 seek="$4" conv=notrunc 2>&1) || {{ printf '%s\\n' "$words" | head -n 1 >&2; exit 1; }}
has=$(wc -c <"$3") || exit
[ "$has" -ge "$5" ] || {{ echo short; exit; }}
sum=$(hash "$3") || exit
case $sum in "$6"* | ?"$6"*) ;; *) rm -f "$3"; echo changed; exit ;; esac
[ "$7" != x ] || chmod +x "$3" || exit
mv -f "$3" "$2" && echo there
"""


def send(transport: Transport, folder: Path, work: str, entries: Iterable[Entry], *, moved: Moved = nothing) -> list[Entry]:
    """Bring files from the folder at home to `work` on the host; return them as they are there now.

    A file that changes meanwhile is taken as it is now, once. `moved` may be called by another thread.
    """
    wanted = list(entries)
    there = look(transport, work, (e.path for e in wanted))
    unsure = [e.path for e in wanted if (f := there.get(e.path)) and f.size == e.size and not f.sha256]
    there.update(look_well(transport, work, unsure))
    missing = [e for e in wanted if not ((f := there.get(e.path)) and f.holds(e))]
    small, large = parted(missing)
    begun = look(transport, work, map(_part, large), limit=-1)
    progress = Progress(moved, missing)
    sent = [now for portion in portions(small) for now in _send_small(transport, folder, work, portion, progress)]
    for e in large:
        with claimed(f"{transport.name}:{work}/{_part(e)}") as mine:
            part = begun.get(_part(e))
            sent.append(_send_large(transport, folder, work, e, part.size if part and mine else 0, progress, mine=mine))
    as_sent = {now.path: now for now in sent}
    return [as_sent.get(e.path, e) for e in wanted]


def _send_small(transport: Transport, folder: Path, work: str, portion: Sequence[Entry], progress: Progress) -> list[Entry]:
    sent: list[Entry] = []
    stream = _gathered(_tar(transport, folder, portion, sent, progress))
    sample = next(stream)
    squeeze = len(zlib.compress(sample[:SAMPLE], 1)) < SAVES * min(len(sample), SAMPLE)
    whole = chain([sample], stream)
    words = (f"{OURS}{os.urandom(6).hex()}", "z" if squeeze else "-", str(len(portion)))
    for _ in transport.stream(_UNPACK, work, *words, input=_squeezed(whole) if squeeze else whole):
        pass
    return sent


def _tar(transport: Transport, folder: Path, portion: Iterable[Entry], sent: list[Entry], progress: Progress) -> Iterator[bytes]:
    """Write a tar stream. In GNU's format, for busybox reads no long names in any other."""
    for e in portion:
        data, now = _content(transport, folder, e)
        about = tarfile.TarInfo(now.path)
        about.size, about.mode, about.mtime = now.size, 0o755 if now.mode & 0o111 else 0o644, int(time.time())
        yield about.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data + bytes(-now.size % tarfile.BLOCKSIZE)
        sent.append(now)
        progress.add(e.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(transport: Transport, folder: Path, e: Entry) -> tuple[bytes, Entry]:
    """Read a file while it does not change, at the second try at the latest."""
    try:
        for _ in range(2):
            with open(folder / e.path, "rb") as file:
                before, data, after = os.fstat(file.fileno()), file.read(), os.fstat(file.fileno())
            if (before.st_mtime_ns, len(data)) == (after.st_mtime_ns, after.st_size):
                return data, e._replace(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    except OSError as error:
        raise HostError(f"host '{transport.name}': {folder / e.path} cannot be sent: {error.strerror}") from error
    raise unsteady(transport, str(folder / e.path), "sent")


def _send_large(transport: Transport, folder: Path, work: str, e: Entry, has: int, progress: Progress, *, mine: bool) -> Entry:
    """Send the rest of a file, and once more what it is now, if that is something else. A part that is not ours gets no name to go on by."""
    suffix = "" if mine else os.urandom(6).hex()
    stale = ""
    for tried in (False, True):
        now = entry(folder, e.path) if tried else e
        if not now:
            raise HostError(f"host '{transport.name}': {folder / e.path} cannot be sent: it has gone")
        start, part = _start(0 if tried else has, now.size), f"./{_part(now, suffix)}"
        progress.add(start)
        words = (f"./{now.path}", part, f"{start // BLOCK}", f"{now.size}", now.sha256, "x" if now.mode & 0o111 else "-", stale)
        said = b"".join(transport.stream(_WRITE, work, *words, input=_rest(transport, folder, now, start, progress)))
        if said.strip() == b"there":
            return now
        stale = part
    raise unsteady(transport, str(folder / e.path), "sent")


def _start(has: int, size: int) -> int:
    """Return from where on to send a file of which so much is there."""
    return size if has == size else has // BLOCK * BLOCK if has < size else 0


def _rest(transport: Transport, folder: Path, e: Entry, start: int, progress: Progress) -> Iterator[bytes]:
    try:
        with open(folder / e.path, "rb", buffering=0) as file:
            file.seek(start)
            while start < e.size and (piece := file.read(min(_PIECE, e.size - start))):
                yield piece
                start += len(piece)
                progress.add(len(piece))
    except OSError as error:
        raise HostError(f"host '{transport.name}': {folder / e.path} cannot be sent: {error.strerror}") from error


def _part(e: Entry, suffix: str = "") -> str:
    """Name what is there of a file that is on its way, beside the file: by its content."""
    above, slash, _ = e.path.rpartition("/")
    return f"{above}{slash}{OURS}{e.sha256[:32]}{suffix}.part"


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in larger pieces."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= SAMPLE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _squeezed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
