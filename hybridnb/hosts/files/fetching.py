"""Files that come home from a host. It can say nothing but contents: their bytes come one file after the other, in announced sizes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, cast

from ...errors import HostError, Impossible
from ..transport import Transport
from .manifest import HASH, Entry, Found, checksum, entry, listed, look, look_well, refusal
from .parcels import BLOCK, SAMPLE, SAVES, Moved, Progress, claimed, nothing, parted, portions, unsteady
from .patterns import OURS

if TYPE_CHECKING:
    from hashlib import _Hash

_PIECE = 1 << 18  # bytes
_WORTH = 1 << 10  # bytes from which on compression may save a packet
_lock = threading.Lock()  # held while a staging folder comes or goes

# FOLDER SQUEEZE OFFSET, names on standard input: z or -, the files' contents one after the other (of a single one, from the offset on),
# then their checksums, which are made meanwhile. They are compressed when the sample's size is less than SQUEEZE then.
_READ = f"""LC_ALL=C; export LC_ALL
cd "$1" || exit
names=$(cat) offset=$3 kind=-
feed() {{ printf '%s\\n' "$names" | tr '\\n' '\\0'; }}
show() {{ if [ "$offset" -gt 0 ]; then tail -c "+$((offset + 1))" "$names"; else feed | xargs -0 cat; fi; }}
squeeze() {{ cat; }}
if [ "$2" -gt 0 ] && command -v gzip >/dev/null && [ "$(show 2>/dev/null | head -c {SAMPLE} | gzip -1 | wc -c)" -lt "$2" ]; then
  kind=z
  squeeze() {{ gzip -1; }}
fi
printf %s "$kind"
exec 4>&1
wrong=$( {{
  {{ feed | xargs -0 sh -c '{HASH}hash "$@"' sh || echo 1 >&3; }} | {{ show || echo 1 >&3; cat; }} | squeeze >&4
}} 3>&1 )
[ -z "$wrong" ]
"""


def fetch(
    transport: Transport, work: str, patterns: Iterable[str], folder: Path, *, staging: Path, moved: Moved = nothing
) -> list[Entry]:
    """Bring what the patterns name in `work` on the host home into the folder, by way of `staging`; return all that they name.

    What a host says is not trusted: nothing is written outside of the two folders, and names that cannot be are refused, after
    everything else is home.
    """
    found, refused = listed(transport, work, patterns)
    coming = _Fetch(transport, work, folder, staging)
    if changed := coming.bring(list(found.values()), moved):
        again = look(transport, work, [f.path for f in changed])
        if gone := [f.path for f in changed if f.path not in again]:
            raise HostError(f"host '{transport.name}': {gone[0]} has gone while it was being fetched")
        steady = [f for f in again.values() if f == found[f.path]]
        alone = [[f] for f in again.values() if f != found[f.path]]  # it may shift once more what comes after it
        if changed := [f for files in [steady, *alone] for f in coming.bring(files, moved)]:
            raise unsteady(transport, changed[0].path, "fetched")
    if refused:
        raise Impossible(f"host '{transport.name}': {refusal(refused)}")
    with _lock, suppress(OSError):  # others have parts there still
        staging.rmdir()
    return sorted(coming.entries)


class _Fetch:
    """Files on their way home."""

    def __init__(self, transport: Transport, work: str, folder: Path, staging: Path) -> None:
        self._transport, self._work, self._folder, self._staging = transport, work, folder, staging
        self.entries: list[Entry] = []  # those that are home
        self._changed: list[Found] = []

    def bring(self, found: Sequence[Found], moved: Moved) -> list[Found]:
        """Bring home those that differ; return those that were not, when they came, what the host had said."""
        self._changed = []
        twins = {f.path: e for f in found if (e := self._twin(f))}
        known = look_well(self._transport, self._work, [f.path for f in found if f.path in twins and not f.sha256])
        missing = []
        for file in found:
            f, twin = known.get(file.path, file), twins.get(file.path)
            if twin and twin.sha256 == f.sha256:
                self.entries.append(twin)
            else:
                missing.append(f)
        small, large = parted(missing)
        progress = Progress(moved, missing)
        for portion in portions(small):
            self._small(portion, progress)
        for f in large:
            self._large(f, progress)
        return self._changed

    def _twin(self, f: Found) -> Entry | None:
        """Describe what is at home under this name, if it may be the same."""
        try:
            about = os.stat(self._folder / f.path)
        except OSError:
            return None
        if about.st_size != f.size or f.mode & ~about.st_mode & 0o111:
            return None
        return entry(self._folder, f.path)

    def _small(self, portion: Sequence[Found], progress: Progress) -> None:
        size = sum(f.size for f in portion)
        squeeze = int(SAVES * min(size, SAMPLE)) if size > _WORTH else 0
        with self._aside() as aside:
            parts = [aside / str(number) for number in range(len(portion))]
            with self._open(portion, squeeze, 0) as source:
                sums = [self._receive(source, part, f, f.size, progress) for f, part in zip(portion, parts)]
                told = source.sums(len(portion))
            for f, part, is_, said in zip(portion, parts, sums, told):
                self._settle(f, part, is_, said)

    def _large(self, f: Found, progress: Progress) -> None:
        """Bring the rest of a file. Its part is bound to what is known of it before all of it was read: place, size, times."""
        name = hashlib.sha256(f"{self._transport.name}:{self._work}/{f.path}/{f.size}/{f.stamp}".encode()).hexdigest()[:32]
        with self._aside() as aside, claimed(name) as mine:
            part = self._staging / f"{name}.part" if mine else aside / "part"
            digest, has = hashlib.sha256(), 0
            with self._at_home(f.path):
                if part.exists() and part.stat().st_size <= f.size:
                    has = _digested(part, digest)
                else:
                    part.write_bytes(b"")
            progress.add(has)
            with self._open([f], 0, has) as source:
                is_ = self._receive(source, part, f, f.size - has, progress, digest)
                (told,) = source.sums(1)
            self._settle(f, part, is_, told)

    def _receive(self, source: _Source, part: Path, f: Found, size: int, progress: Progress, digest: _Hash | None = None) -> str:
        """Write so many bytes to a part, a new one without a digest; return the checksum of the whole."""
        mode, digest = ("ab", digest) if digest else ("wb", hashlib.sha256())
        with self._at_home(f.path), open(part, mode) as out:
            for piece in source.take(size):
                out.write(piece)
                digest.update(piece)
                progress.add(len(piece))
        return digest.hexdigest()

    def _settle(self, f: Found, part: Path, is_: str, told: str) -> None:
        """Move a part to where it belongs, if it is what the host says that it is."""
        with self._at_home(f.path):
            if is_ != told:
                part.unlink()
                self._changed.append(f)
                return
            _place(part, self._folder, f)
            self.entries.append(Entry(f.path, f.size, is_, f.mode))

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """Give a folder of our own for what a cut may cost."""
        with self._at_home(str(self._staging)), _lock:
            self._staging.mkdir(parents=True, exist_ok=True)
            aside = Path(mkdtemp(dir=self._staging))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def _open(self, files: Sequence[Found], squeeze: int, offset: int) -> Iterator[_Source]:
        names = "".join(f"./{f.path}\n" for f in files).encode()
        stream = self._transport.stream(_READ, self._work, str(squeeze), str(offset), input=[names])
        with closing(cast("Generator[bytes, None, None]", stream)):
            try:
                yield _Source(stream)
            except zlib.error as error:
                raise HostError(f"host '{self._transport.name}': what it sends is not understood: {error}") from error

    @contextmanager
    def _at_home(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            words = error.strerror or str(error)
            raise HostError(f"{path} of host '{self._transport.name}' cannot be written to {self._folder}: {words}") from error


class _Source:
    """What _READ writes."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = _plain(stream)
        self._rest = b""

    def take(self, size: int) -> Iterator[bytes]:
        """Yield so many bytes, fewer only at the end."""
        while size > 0 and (piece := self._rest or next(self._stream, b"")):
            self._rest, piece = piece[size:], piece[:size]
            size -= len(piece)
            yield piece

    def sums(self, count: int) -> list[str]:
        """Return so many checksums, and hear the stream out; "" where something else comes."""
        text = bytearray(self._rest)
        for piece in self._stream:
            text += piece
            if len(text) > count * 5000:  # a checksum and a path each
                return [""] * count
        try:
            sums = [checksum(bytes(line)) for line in text.splitlines()]
        except ValueError:
            sums = []
        return sums if len(sums) == count else [""] * count


def _plain(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack it if it is compressed, in pieces of bounded size whatever they unpack to."""
    stream = filter(None, stream)
    first = next(stream, b"")
    if first[:1] not in (b"z", b"-"):
        raise zlib.error(repr(first[:80]))
    if first[:1] == b"-":
        yield from filter(None, [first[1:]])
        yield from stream
        return
    unpacker = zlib.decompressobj(31)  # gzip's format
    for piece in chain([first[1:]], stream):
        rest = piece
        while out := unpacker.decompress(rest, _PIECE):
            yield out
            rest = unpacker.unconsumed_tail


def _place(part: Path, folder: Path, f: Found) -> None:
    """Move a file to its place below the folder, also from another file system; never through a link that leads out of it."""
    target = folder / f.path
    base, above = os.path.realpath(folder), os.path.realpath(target.parent)
    if os.path.commonpath([base, above]) != base:
        raise OSError(errno.EPERM, f"{target.parent} leads out of the folder, to {above}")
    os.makedirs(above, exist_ok=True)
    if f.mode & 0o111:
        mode = part.stat().st_mode
        part.chmod(mode | (mode & 0o444) >> 2)
    try:
        os.replace(part, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = Path(above, f"{OURS}{os.urandom(6).hex()}.part")
        try:
            shutil.copy(part, beside)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        part.unlink()


def _digested(part: Path, digest: _Hash) -> int:
    size = 0
    with open(part, "rb") as file:
        while piece := file.read(BLOCK):
            digest.update(piece)
            size += len(piece)
    return size
