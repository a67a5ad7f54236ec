"""What files there are: at home, and on a host. A file is told from another by its size and its sha256."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import HostError, Impossible
from ...provenance import digest_of
from ..transport import Transport
from .patterns import Pattern, parse, select

_PATIENCE = 300.0  # seconds for a host to look through its folders
_LIMIT = 32 << 20  # bytes that are read for their checksums within a conversation; more takes a stream, which holds up nobody
_ALL = 1 << 62
_STEADY = 2  # seconds
_MANY = 20_000  # files on hosts whose checksums are remembered
_known: dict[tuple[str, str, str], Found] = {}  # by host, folder and path
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # they break lines and screens, or are no UTF-8 (PEP 383)
_STAMP = re.compile(r"-?\d{1,18}\.-?\d{1,18}\.\d{1,20}", re.ASCII)
_SUM = re.compile(rb"\\?([0-9a-f]{64})\b")  # the backslash is GNU's, for a name that it quotes


class Entry(NamedTuple):
    """A file that moves: its path from the folder on, with slashes. Of its mode only matters whether it can be executed."""

    path: str
    size: int
    sha256: str
    mode: int


class Found(NamedTuple):
    """A file that is there; without a checksum where to know it would have taken long."""

    path: str
    size: int
    mode: int
    stamp: str  # "MTIME.CTIME.INODE", in seconds of the host's clock
    sha256: str

    def holds(self, entry: Entry) -> bool:
        """Is it what the entry tells? A file system may call everything executable."""
        return (self.size, self.sha256) == (entry.size, entry.sha256) and not entry.mode & ~self.mode & 0o111


HASH = """hash() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r "$@"
  elif command -v sha256sum >/dev/null; then sha256sum "$@"
  elif command -v shasum >/dev/null; then shasum -a 256 "$@"
  else echo "none of openssl, sha256sum and shasum is there, and one is needed" >&2; return 1; fi
}
"""

# LIMIT FILE…: names, each ended by NUL, an empty one, `size mode stamp` of each, their checksums or nothing, the time
_FACTS = f"""LC_ALL=C; export LC_ALL
{HASH}limit=$1; shift
[ $# -gt 0 ] || exit 0
if stat -c %s . >/dev/null 2>&1; then about=$(stat -L -c '%s %a %Y.%Z.%i' -- "$@")
else about=$(stat -L -f '%z %Lp %m.%c.%i' -- "$@"); fi || exit
size=0 sums=
IFS='
'
for line in $about; do size=$((size + ${{line%% *}})); done
[ "$size" -gt "$limit" ] || sums=$(hash "$@") || exit
printf '%s\\0' "$@" '' "$about" "$sums" "$(date +%s)"
"""

# FOLDER FACTS LIMIT, names on standard input: the facts of those that are files, links followed
_LOOK = """cd "$1" 2>/dev/null || exit 0
tr '\\n' '\\0' | xargs -0 sh -c 'for f do [ ! -f "$f" ] || printf "%s\\0" "$f"; done' sh | xargs -0 sh -c "$2" sh "$3"
"""

# FOLDER FACTS LIMIT WORD…, a word being =NAME or *GLOB: the names that cannot be, and the facts of all other files that the words
# match or that are in folders that they match. A line break in a name becomes \1.
_LIST = """LC_ALL=C; export LC_ALL
cd "$1" || exit
facts=$2 limit=$3 nl='
'
shift 3
IFS=
there() { for f do [ ! -e "$f" ] || printf '%s\\0' "$f"; done; }
matches() { for f do case "${f#.}/" in */./* | */../*) ;; *) there "$f" ;; esac; done; } # in a shell .* is .. too
names=$(
  { for word do case $word in =*) there "./${word#=}" ;; *) matches ./${word#?} ;; esac; done |
    xargs -0 sh -c '[ $# -eq 0 ] || find -H "$@" -name ".hybridnb-*" -prune -o \\( -type f -o -type l \\) -print0' sh ||
    printf '!\\0'
  } | tr '\\0\\n' '\\n\\001' | sort -u
)
case $nl$names$nl in *"$nl!$nl"*) exit 1 ;; esac
printf '%s\\0' "$(printf '%s\\n' "$names" | grep '[[:cntrl:]]')"
printf '%s\\n' "$names" | grep -v '[[:cntrl:]]' | tr '\\n' '\\0' |
  xargs -0 sh -c 'for f do [ ! -f "$f" ] || printf "%s\\0" "$f"; done' sh | xargs -0 sh -c "$facts" sh "$limit"
"""


def local_manifest(folder: Path, patterns: Iterable[str], *, without: Iterable[str] = ()) -> list[Entry]:
    """Return the files below the folder that the patterns name, but not those that `without` names.

    Links to files are followed; what has no content (pipes, devices, dangling links) and empty folders are left out.
    Raises HostError for a pattern that leads out of the folder, a file that cannot be read, and a name that cannot be.
    """
    paths: set[str] = set()
    for pattern in parse(patterns):
        paths |= select([pattern], set(_candidates(str(folder), pattern)))
    if wrong := sorted(filter(unfit, paths)):
        raise Impossible(f"{folder}: {refusal(wrong)}")
    entries = (entry(folder, path) for path in sorted(paths - select(parse(without), paths)))
    return [e for e in entries if e]


def entry(folder: Path, path: str) -> Entry | None:
    """Describe a file at home; None for what is no file. Its checksum is known while the file does not change."""
    try:
        about = os.stat(name := f"{folder}/{path}")
        if not stat.S_ISREG(about.st_mode):
            return None
        return Entry(path, about.st_size, digest_of(name, about.st_ino, about.st_size, about.st_mtime_ns), about.st_mode & 0o777)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise HostError(f"{folder}/{path} cannot be read: {error.strerror}") from error


def look(transport: Transport, work: str, paths: Iterable[str], *, limit: int = _LIMIT) -> dict[str, Found]:
    """Return those of the files that are there. Their checksums are left out, if that means to read more than so many bytes."""
    names = "".join(f"./{path}\n" for path in paths).encode()
    return _found(transport, work, transport.ask(_LOOK, work, _FACTS, str(limit), input=names, timeout=_PATIENCE)) if names else {}


def look_well(transport: Transport, work: str, paths: Iterable[str]) -> dict[str, Found]:
    """Return those of the files that are there, all with their checksums, however long it takes."""
    names = "".join(f"./{path}\n" for path in paths).encode()
    return _found(transport, work, b"".join(transport.stream(_LOOK, work, _FACTS, str(_ALL), input=[names]))) if names else {}


def listed(transport: Transport, work: str, patterns: Iterable[str]) -> tuple[dict[str, Found], list[str]]:
    """Return what the patterns name there, and the names among these that cannot be."""
    chosen = parse(patterns)
    if not chosen:
        return {}, []
    words = dict.fromkeys(word for p in chosen for word in (f"={p.name}", ("*" if "*" in p.word else "=") + p.word))
    bad, end, rest = transport.ask(_LIST, work, _FACTS, str(_LIMIT), *words, timeout=_PATIENCE).partition(b"\0")
    found = _found(transport, work, rest if end else b"?" + bad)
    names = select(chosen, {*found, *(_path(line).replace("\1", "\n") for line in bad.splitlines())})
    wrong = {name for name in names if name not in found or unfit(name)}
    return {path: found[path] for path in sorted(names - wrong)}, sorted(wrong)


def unfit(path: str) -> bool:
    """Is this no path for a file below a folder, or one that breaks what shows it?"""
    if os.sep != "/" and (os.sep in path or ":" in path):
        return True
    return bool(_UNFIT.search(path)) or any(part in ("", ".", "..") for part in path.split("/"))


def refusal(paths: Sequence[str]) -> str:
    """Say why these are not moved; their names are written so that they can be shown."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return (
        f"{', '.join(map(ascii, paths[:5]))}{more} cannot be moved: a name that leads elsewhere, is not UTF-8 or holds line breaks "
        "or control characters is refused; rename it"
    )


def _candidates(folder: str, pattern: Pattern) -> Iterator[str]:
    """Yield all files at home among which those are that the pattern names."""
    tops = glob.glob(pattern.head, root_dir=folder)
    if not tops and os.path.lexists(f"{folder}/{pattern.name}"):
        tops = [pattern.name]
    for top in tops:
        if os.path.isdir(start := os.path.join(folder, top)):
            for here, _, names in os.walk(start, onerror=_unread):
                yield from (_tidy(os.path.relpath(os.path.join(here, name), folder)) for name in names)
        else:
            yield _tidy(top)


def _unread(error: OSError) -> None:
    raise HostError(f"{error.filename} cannot be read: {error.strerror}") from error


def _tidy(path: str) -> str:
    return "/".join(part for part in path.replace(os.sep, "/").split("/") if part not in ("", "."))


def _path(name: bytes) -> str:
    return _tidy(name.decode(errors="surrogateescape"))


def _found(transport: Transport, work: str, said: bytes) -> dict[str, Found]:
    """Read what _FACTS wrote. It may come from anybody."""
    found: dict[str, Found] = {}
    pieces, at = said.split(b"\0"), 0
    try:
        while pieces[at:] != [b""]:
            end = pieces.index(b"", at)
            names, about, sums, now = (
                pieces[at:end],
                pieces[end + 1].splitlines(),
                pieces[end + 2].splitlines(),
                int(pieces[end + 3]),
            )
            if len(names) != len(about) or len(sums) not in (0, len(names)):
                raise ValueError
            for number, name in enumerate(names):
                f = _read(_path(name), about[number], sums[number] if sums else b"")
                found[f.path] = _remembered(f, (transport.name, work, f.path), now)
            at = end + 4
    except (ValueError, IndexError):
        raise HostError(f"host '{transport.name}': what it says about its files is not understood: {said[:200]!r}") from None
    return found


def _read(path: str, about: bytes, line: bytes) -> Found:
    size, mode, stamp = about.decode().split()
    if not size.isdecimal() or not _STAMP.fullmatch(stamp):
        raise ValueError
    return Found(path, int(size), int(mode, 8) & 0o777, stamp, checksum(line) if line else "")


def _remembered(f: Found, place: tuple[str, str, str], now: int) -> Found:
    """Give a file the checksum that it had, if nobody can have written to it since: one input may go with a hundred jobs.

    Times have no fractions there, so what was written to a moment before it was read may be written to again and not show it.
    """
    if f.sha256:
        if now - int(f.stamp.split(".")[1]) >= _STEADY:
            _known[place] = f
        while len(_known) > _MANY:
            _known.pop(next(iter(_known)), None)
        return f
    known = _known.get(place)
    return known if known and known._replace(sha256="", mode=f.mode) == f else f


def checksum(line: bytes) -> str:
    """Read a line of sha256sum(1) or of one of its likes; raise ValueError when it is none."""
    if not (match := _SUM.match(line)):
        raise ValueError
    return match[1].decode()
