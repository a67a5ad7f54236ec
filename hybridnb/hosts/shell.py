"""A transport over any link: one shell that stays, for conversations of one round trip; further channels to follow and to stream.

What start-up files and banners print comes before a mark that nobody can guess, and is thrown away. Where a host opens too few channels,
the shell does it all: what is followed is asked for from time to time, and what would be streamed is one conversation.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..errors import HostError, Unreachable
from . import frame
from .channel import Channel, Crowded, Link
from .stream import Stream
from .transport import File

_START = 30.0  # seconds for a channel to say its first word: start-up files may be slow
_ANSWER = 60.0  # seconds without a sign of life, unless a conversation says otherwise
_BEAT = 10.0  # seconds within which a living host answers to nothing at all
_PATIENCE = 1.0  # seconds to wait for a channel while none of those that end by themselves is open
_POLL = 0.5  # seconds between looks at what is followed without a channel
_PIECE = 1 << 18  # bytes

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

# The same for one look; says first from where on.
_LOOK = """
mkdir -p "$3" && : >>"$1" || exit 1
o=$2; n=$(wc -c <"$1") || exit 1
[ "${o:-0}" -le "$n" ] || o=0
o=${o:-$((n))}
echo "$o"
tail -c +$((o + 1)) "$1" | head -c "$4"
"""

_FACTS = """
echo "machine $(uname -n)"; echo "system $(uname -srm)"
echo "cores $(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || getconf _NPROCESSORS_ONLN)"
sed -n 's/^model name[^:]*: /processor /p;/^model name/q' /proc/cpuinfo 2>/dev/null
sed -n 's/^MemTotal: *\\([0-9]*\\) kB/memory \\1/p' /proc/meminfo 2>/dev/null
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>/dev/null | sed 's/^/gpu /'
:
"""


@dataclass(eq=False)
class _Followed:
    """A file that is followed, heard as far as `offset`; without a channel when there is none to be had."""

    path: str
    hear: Callable[[str], None]
    over: threading.Event
    offset: int | None
    channel: Channel | None = None

    @property
    def words(self) -> tuple[str, str, str]:
        return self.path, "" if self.offset is None else str(self.offset), posixpath.dirname(self.path)


class ShellTransport:
    """A host behind a link. Conversations come one after the other; any thread may hold them."""

    near = False

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.link = link
        self.lost: Callable[[], None] = lambda: None  # called when the connection turns out to be of no use any more
        self._shell: Stream | None = None
        self._lock = threading.RLock()
        self._followed: set[_Followed] = set()
        self._streams = 0

    def __repr__(self) -> str:
        return f"ShellTransport({self.name!r}, {self.link!r})"

    # -- the connection -------------------------------------------------------------------------------------------------
    @property
    def alive(self) -> bool:
        """Is the connection open, as far as anybody knows?"""
        return self._shell is not None and self.link.alive

    def open(self) -> None:
        """Connect, log in and start the shell, unless that is done; raises Unreachable, Refused and HostError."""
        with self._lock:
            if self.alive:
                return
            self.drop()
            self.link.open()
            shell = self._start(self.link.channel(), "exec /bin/sh -s")
            shell.channel.send(frame.PRELUDE.encode())
            self._shell = shell

    def beat(self) -> None:
        """Raise Unreachable, and drop the connection, when the host does not answer any more."""
        self.run(":", timeout=_BEAT)

    def drop(self) -> None:
        """Close the connection at once; from any thread."""
        followed, self._followed = self._followed, set()
        for each in followed:
            each.over.set()
        self._shell = None
        self.link.drop()

    def _lose(self) -> None:
        self.drop()
        self.lost()

    def close(self) -> None:
        """See Transport."""
        self.drop()

    # -- conversations --------------------------------------------------------------------------------------------------
    def run(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> str:
        """See Transport."""
        return self.ask(script, *args, input=input, files=files, timeout=timeout).decode(errors="replace")

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> bytes:
        """See Transport. `timeout` counts from the last sign of life."""
        mark, patience = frame.mark(), timeout or _ANSWER
        text = frame.frame(script, args, mark=mark, input=input, files=files).encode(errors="surrogateescape")
        with self._lock:
            shell = self._shell
            if shell is None:
                raise Unreachable(f"host '{self.name}' is not connected")
            try:
                self._send(shell.channel, text, patience)
                output = shell.until(f"\n{mark} ".encode(), patience)
                code = int(shell.until(b"\n", patience))
                words = shell.until(f"\n{mark}.\n".encode(), patience)
            except BaseException as error:
                self._lose()  # what else comes in would be taken for the answer to the next
                if isinstance(error, TimeoutError):
                    raise Unreachable(
                        f"host '{self.name}' has not answered for {patience:.0f} s; the connection was dropped"
                    ) from None
                raise
        if code:
            raise self._failed(code, words)
        return output

    def _send(self, channel: Channel, text: bytes, patience: float) -> None:
        """Send it. What is large may fill all that lies between; who then takes nothing more for so long is not there any more."""
        for start in range(0, len(text), _PIECE):
            watch = threading.Timer(patience, self.drop)
            watch.daemon = True
            if len(text) > _PIECE:
                watch.start()
            try:
                channel.send(text[start : start + _PIECE])
            finally:
                watch.cancel()

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

    def _failed(self, code: int, words: bytes) -> HostError:
        said = words.decode(errors="replace").strip() or f"exit code {code}"
        return HostError(f"host '{self.name}': {said}")

    # -- streams --------------------------------------------------------------------------------------------------------
    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        """See Transport."""
        mark = frame.mark()
        stream = self._beside(frame.frame(script, args, mark=mark, input=None))
        if stream is None:
            yield self.ask(script, *args, input=b"".join(input))
            return
        broken: list[BaseException] = []
        feeder = threading.Thread(target=_feed, args=(stream.channel, input, broken), name=f"feed-{self.name}", daemon=True)
        self._streams += 1
        feeder.start()
        try:
            try:
                code, words = yield from stream.answer(mark)
            finally:
                feeder.join(1.0)  # what it was given it has taken, or wants no more
                if broken:
                    raise broken[0]
            if code:
                raise self._failed(code, words)
        finally:
            self._streams -= 1
            stream.channel.close()

    def _beside(self, script: str) -> Stream | None:
        """Start a script on a channel of its own, be it that of what is followed; None when the host opens none but the shell's."""
        while True:
            try:
                return self._start(self.link.channel(patience=_ANSWER if self._streams else _PATIENCE), script)
            except Crowded:
                following = [each for each in self._followed if each.channel]
                if not following:
                    return None
                for each in following:
                    self._leave(each)

    # -- what is followed -----------------------------------------------------------------------------------------------
    def follow(self, path: str, offset: int | None, *, hear: Callable[[str], None]) -> None:
        """See Transport. It ends with the connection, and then calls `lost`."""
        followed = _Followed(path, hear, threading.Event(), offset)
        try:
            stream = self._start(self.link.channel(patience=_PATIENCE), f"set -- {frame.words(followed.words)}\n{_FOLLOW}")
        except Crowded:
            followed.offset = int(self.run(_LOOK, *followed.words, "0"))
            work: Callable[[], None] = lambda: self._poll(followed)  # noqa: E731
        else:
            followed.channel, followed.offset = stream.channel, int(stream.until(b"\n", _START))
            work = lambda: self._listen(followed, stream)  # noqa: E731
        self._followed.add(followed)
        threading.Thread(target=work, name=f"follow-{self.name}", daemon=True).start()

    def _listen(self, followed: _Followed, stream: Stream) -> None:
        assert followed.offset is not None
        try:
            for line in stream.lines():
                followed.offset += len(line) + 1
                followed.hear(line.decode(errors="replace"))
        except (Unreachable, TimeoutError):
            pass  # `lost` says so
        finally:
            stream.channel.close()
        if followed.channel:
            self._deaf(followed)
        else:
            self._poll(followed)

    def _leave(self, followed: _Followed) -> None:
        """Give its channel up: another needs it more."""
        channel, followed.channel = followed.channel, None
        if channel:
            channel.close()

    def _poll(self, followed: _Followed) -> None:
        """Look from time to time."""
        try:
            while not followed.over.wait(_POLL):
                start, _, piece = self.ask(_LOOK, *followed.words, str(_PIECE)).partition(b"\n")
                lines = piece[: piece.rfind(b"\n") + 1]
                followed.offset = int(start) + len(lines)
                for line in lines.splitlines():
                    followed.hear(line.decode(errors="replace"))
        except HostError:
            self._deaf(followed)

    def _deaf(self, followed: _Followed) -> None:
        """It has ended. A connection on which nobody listens any more is of no use: with the next one all is asked for again."""
        if followed in self._followed:
            self._lose()

    # -- the first word -------------------------------------------------------------------------------------------------
    def _start(self, channel: Channel, script: str) -> Stream:
        """Start a script on a channel, whose output begins where start-up files have said what they say."""
        mark = frame.mark()
        stream = Stream(channel, self.name)
        try:
            with suppress(Unreachable):  # a shell that has ended already may have said why
                channel.send(frame.line(f"echo {mark}\n{script}"))
            stream.until(f"{mark}\n".encode(), _START)
        except TimeoutError:
            channel.close()
            said = stream.rest.decode(errors="replace").strip()[-200:]
            why = "its start-up files (.bashrc, .profile, …) may wait for something" + (f"; they say: {said}" if said else "")
            raise HostError(f"host '{self.name}': its shell has not answered for {_START:.0f} s; {why}") from None
        except Unreachable:
            channel.close()
            if not self.link.alive:
                raise
            said = stream.rest.decode(errors="replace").strip()[-200:] or "nothing"
            raise HostError(
                f"host '{self.name}': its login shell ended before it ran anything, and says: {said}. Do its start-up files (.bashrc, …) exit?"
            ) from None
        return stream


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
