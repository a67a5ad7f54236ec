"""A transport over any link: one shell that stays, for conversations of one round trip; further channels to follow and to stream.

What start-up files and banners print comes before a mark that nobody can guess, and is thrown away. A conversation is one text:
files as a tar stream in a here-document, the script as one quoted word in a subshell, its input in a second here-document. The answer is
the script's output, then the mark again, the exit code and what it wrote to standard error.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from base64 import encodebytes
from collections.abc import Callable, Generator, Iterable, Iterator
from shlex import quote

from ..errors import HostError, Unreachable
from .channel import Channel, Link
from .transport import File

_START = 30.0  # seconds for a channel to say its first word: start-up files may be slow
_WORDS = 4000  # bytes of standard error that are told
_BEAT = 10.0  # seconds within which a living host answers to nothing at all

# Where it is not spelled -d, or is not there at all
_BASE64 = r"""
if [ "$(echo aGk= | base64 -d 2>/dev/null)" = hi ]; then hybridnb_64() { base64 -d; }
elif [ "$(echo aGk= | base64 -D 2>/dev/null)" = hi ]; then hybridnb_64() { base64 -D; }
elif [ "$(echo aGk= | openssl base64 -d 2>/dev/null)" = hi ]; then hybridnb_64() { openssl base64 -d; }
else hybridnb_64() { python3 -c 'import base64, sys; sys.stdout.buffer.write(base64.decodebytes(sys.stdin.buffer.read()))'; }; fi
"""

# Standard error goes into a variable, standard output past it by descriptor 3; a subshell, so that no script ends the shell.
# The here-documents stand outside: dash loses one in a command substitution whose output is redirected.
_FRAME = """hybridnb_rc=0
{unpack}[ "$hybridnb_rc" -ne 0 ] || {{ hybridnb_err=$( {{ {decode}( set -- {args}
eval {script}
) ; }} 2>&1 >&3 3>&- ); hybridnb_rc=$?; }} 3>&1 {stdin}
printf '\\n%s %d\\n%.{words}s\\n%s.\\n' {mark} "$hybridnb_rc" "$hybridnb_err" {mark}
"""

_UNPACK = """{{ hybridnb_err=$( {{ mkdir -p {there} && hybridnb_64 | gzip -dc | ( cd {there} && tar -xmf - ); }} 2>&1 ); hybridnb_rc=$?; }} <<'{mark}'
{packed}{mark}
"""

# Ends with its standard input, so that no tail outlives its connection, and with tail, so that nobody listens to nothing.
_FOLLOW = """
mkdir -p "$3" && : >>"$1" || exit 1
o=$2; n=$(wc -c <"$1") || exit 1
[ "${o:-0}" -le "$n" ] || o=0
o=${o:-$((n))}
echo "$o"
exec 3<&0
tail -c +$((o + 1)) -f "$1" 2>/dev/null 3<&- & t=$!
{ cat >/dev/null; kill $t; } <&3 >/dev/null 2>&1 &
exec 3<&-
wait $t
"""

_FACTS = """
echo "machine $(uname -n)"; echo "system $(uname -srm)"
echo "cores $(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || getconf _NPROCESSORS_ONLN)"
sed -n 's/^model name[^:]*: /processor /p;/^model name/q' /proc/cpuinfo 2>/dev/null
sed -n 's/^MemTotal: *\\([0-9]*\\) kB/memory \\1/p' /proc/meminfo 2>/dev/null
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>/dev/null | sed 's/^/gpu /'
:
"""


class ShellTransport:
    """A host behind a link. Conversations come one after the other; any thread may hold them."""

    near = False

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.link = link
        self.lost: Callable[[], None] = lambda: None  # called when what is followed ends without `close`
        self._shell: _Stream | None = None
        self._lock = threading.RLock()
        self._followed: set[Channel] = set()

    def __repr__(self) -> str:
        return f"ShellTransport({self.name!r}, {self.link!r})"

    # -- the connection -------------------------------------------------------------------------------------------------
    @property
    def alive(self) -> bool:
        """Is the connection open, as far as anybody knows?"""
        return self._shell is not None and self.link.alive

    def open(self) -> None:
        """Connect, log in and start the shell; raises Unreachable, Refused and HostError."""
        with self._lock:
            if self.alive:
                return
            self.drop()
            self.link.open()
            self._shell = self._start("exec /bin/sh -s")
            self._shell.send(_BASE64.encode())

    def beat(self) -> None:
        """Raise Unreachable, and drop the connection, when the host does not answer any more."""
        self.run(":", timeout=_BEAT)

    def drop(self) -> None:
        """Close the connection at once; from any thread."""
        self.link.drop()
        self._shell = None

    def close(self) -> None:
        """See Transport."""
        followed, self._followed = self._followed, set()
        for channel in followed:
            channel.close()
        self.drop()

    # -- conversations --------------------------------------------------------------------------------------------------
    def run(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float = 60) -> str:
        """See Transport."""
        return self.ask(script, *args, input=input, files=files, timeout=timeout).decode(errors="replace")

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float = 60) -> bytes:
        """See Transport. `timeout` counts from the last sign of life."""
        mark = _mark()
        decode, stdin = _given(input, mark)
        text = _frame(script, args, mark=mark, unpack=_unpack(files, mark), decode=decode, stdin=stdin)
        with self._lock:
            if self._shell is None:
                raise Unreachable(f"host '{self.name}' is not connected")
            try:
                self._shell.send(text.encode(errors="surrogateescape"))
                output = self._shell.until(f"\n{mark} ".encode(), timeout)
                code = int(self._shell.until(b"\n", timeout))
                words = self._shell.until(f"\n{mark}.\n".encode(), timeout)
            except BaseException as error:
                self.drop()  # what else comes in would be taken for the answer to the next
                if isinstance(error, TimeoutError):
                    raise Unreachable(f"host '{self.name}' has not answered for {timeout:.0f} s; the connection was dropped") from None
                raise
        if code:
            raise self._failed(code, words)
        return output

    def put(self, files: Iterable[File]) -> None:
        """See Transport. It does not look what lies there: to ask would cost as much as to bring it."""
        self.ask(":", files=files)

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """See Transport."""
        script = '[ ! -e "$1" ] || tail -c "$2" "$1" | head -c "$3"'
        return self.ask(script, path, f"+{offset + 1}" if offset >= 0 else str(-offset), str(limit))

    def changed(self, path: str) -> float | None:
        """See Transport."""
        said = self.run('stat -c %Y "$1" 2>/dev/null || stat -f %m "$1" 2>/dev/null || :', path).strip()
        return float(said) if said else None

    def facts(self) -> dict[str, object]:
        """See Transport."""
        told = [line.split(" ", 1) for line in self.run(_FACTS).splitlines() if " " in line]
        known: dict[str, object] = {key: value for key, value in told if key != "gpu"}
        if memory := known.pop("memory", None):
            known["memory_gib"] = round(int(str(memory)) / 2**20, 1)
        return {**known, "gpus": [value for key, value in told if key == "gpu"]}

    # -- channels of their own ------------------------------------------------------------------------------------------
    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        """See Transport."""
        mark = _mark()
        stream = self._start(_frame(script, args, mark=mark))
        broken: list[BaseException] = []
        feeder = threading.Thread(target=_feed, args=(stream.channel, input, broken), name=f"feed-{self.name}", daemon=True)
        feeder.start()
        try:
            end = yield from stream.before(f"\n{mark} ".encode())
            feeder.join(1.0)  # what it was given it has taken, or wants no more
            if broken:
                raise broken[0]
            if end is None:
                raise Unreachable(f"host '{self.name}': the connection was lost on the way")
            code, _, words = end.partition(b"\n")
            if int(code):
                raise self._failed(int(code), words.rpartition(f"\n{mark}.\n".encode())[0])
        finally:
            stream.channel.close()

    def follow(self, path: str, offset: int | None, *, hear: Callable[[str], None]) -> None:
        """See Transport. It ends with the connection, and then calls `lost`."""
        words = _words((path, "" if offset is None else str(offset), os.path.dirname(path)))
        stream = self._start(f"set -- {words}\n{_FOLLOW}")
        stream.until(b"\n", _START)
        self._followed.add(stream.channel)
        threading.Thread(target=self._listen, args=(stream, hear), name=f"follow-{self.name}", daemon=True).start()

    def _listen(self, stream: _Stream, hear: Callable[[str], None]) -> None:
        try:
            for line in stream.lines():
                hear(line.decode(errors="replace"))
        except (Unreachable, TimeoutError):
            pass  # `lost` says so
        finally:
            stream.channel.close()
            if stream.channel in self._followed:
                self._followed.discard(stream.channel)
                self.lost()

    # -- the first word -------------------------------------------------------------------------------------------------
    def _start(self, script: str) -> _Stream:
        """Open a channel and start a script on it, whose output begins where start-up files have said what they say."""
        mark = _mark()
        stream = _Stream(self.link.channel(), self.name)
        try:
            stream.send(_line(f"echo {mark}\n{script}"))
            stream.until(f"{mark}\n".encode(), _START)
        except TimeoutError:
            stream.channel.close()
            said = stream.rest.decode(errors="replace").strip()[-200:]
            why = "its start-up files (.bashrc, .profile, …) may wait for something" + (f"; they say: {said}" if said else "")
            raise HostError(f"host '{self.name}': its shell has not answered for {_START:.0f} s; {why}") from None
        except Unreachable:
            stream.channel.close()
            if not self.link.alive:
                raise
            said = stream.rest.decode(errors="replace").strip()[-200:] or "nothing"
            raise HostError(
                f"host '{self.name}': its login shell ended before it ran anything, and says: {said}. Do its start-up files (.bashrc, …) exit?"
            ) from None
        return stream

    def _failed(self, code: int, words: bytes) -> HostError:
        said = words.decode(errors="replace").strip() or f"exit code {code}"
        return HostError(f"host '{self.name}': {said}")


class _Stream:
    """What comes from a channel, cut at marks."""

    def __init__(self, channel: Channel, host: str) -> None:
        self.channel = channel
        self.host = host
        self.rest = bytearray()
        self.send = channel.send

    def until(self, mark: bytes, timeout: float) -> bytes:
        """Return what comes before the mark, which is dropped."""
        start = 0
        while (at := self.rest.find(mark, start)) < 0:
            start = max(0, len(self.rest) - len(mark) + 1)
            self._more(timeout)
        found = bytes(self.rest[:at])
        del self.rest[: at + len(mark)]
        return found

    def before(self, mark: bytes) -> Generator[bytes, None, bytes | None]:
        """Yield what comes before the last mark as it comes; return what comes after it until the end, None when there is no mark."""
        kept = len(mark) + _WORDS + 100  # the mark, a number, standard error, the mark once more
        while piece := self.channel.receive():
            self.rest += piece
            if len(self.rest) > 2 * kept:
                yield bytes(self.rest[:-kept])
                del self.rest[:-kept]
        at = self.rest.rfind(mark)
        if at < 0:
            return None
        if at:
            yield bytes(self.rest[:at])
        return bytes(self.rest[at + len(mark) :])

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines, until the end."""
        while True:
            *lines, rest = self.rest.split(b"\n")
            self.rest = bytearray(rest)
            yield from map(bytes, lines)
            self._more(None)

    def _more(self, timeout: float | None) -> None:
        piece = self.channel.receive(timeout)
        if not piece:
            raise Unreachable(f"host '{self.host}': the connection was lost")
        self.rest += piece


def _mark() -> str:
    return f"hybridnb-{os.urandom(8).hex()}"


def _words(args: Iterable[str]) -> str:
    return " ".join(map(quote, args))


def _line(script: str) -> bytes:
    """Write a script as the one line that LOADER reads."""
    return script.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n"


def _frame(script: str, args: Iterable[str], *, mark: str, unpack: str = "", decode: str = "", stdin: str = "") -> str:
    words = {"args": _words(args), "script": quote(script), "words": _WORDS, "mark": mark}
    return _FRAME.format(unpack=unpack, decode=decode, stdin=stdin, **words)


def _given(input: bytes, mark: str) -> tuple[str, str]:
    """Write what decodes the input of a script, and what redirects it; the quoted mark keeps the shell from reading anything into it."""
    if not input:
        return "", "</dev/null"
    if input.isascii() and b"\0" not in input and input.endswith(b"\n"):
        return "", f"<<'{mark}'\n{input.decode()}{mark}"
    return "hybridnb_64 | ", f"<<'{mark}'\n{encodebytes(input).decode()}{mark}"  # a shell is no place for bytes that are no text


def _unpack(files: Iterable[File], mark: str) -> str:
    """Write what puts the files there. Each takes the place of an older one by its name, so that whoever reads that one reads on."""
    chosen = list(files)
    if not chosen:
        return ""
    base = os.path.commonpath([os.path.dirname(file.path) for file in chosen])
    return _UNPACK.format(there=quote(base), mark=mark, packed=encodebytes(_tar(chosen, base)).decode())


def _tar(files: Iterable[File], base: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1, format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            about = tarfile.TarInfo(os.path.relpath(file.path, base))
            about.size, about.mode = len(file.text), file.mode
            tar.addfile(about, io.BytesIO(file.text))
    return packed.getvalue()


def _feed(channel: Channel, pieces: Iterable[bytes], broken: list[BaseException]) -> None:
    """Write the pieces. A reader that has enough is no error here: its exit code tells whether it was one."""
    try:
        for piece in pieces:
            channel.send(piece)
        channel.finish()
    except Unreachable:
        pass
    except BaseException as error:  # noqa: BLE001  it belongs to whoever reads
        broken.append(error)
        channel.close()
