"""Files that move with jobs: to a host that lies nearby, for what happens to them; behind a real sshd in test_files_far.py."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybridnb.errors import HostError, Unreachable
from hybridnb.hosts.files import manifest as hosts_manifest
from hybridnb.hosts.files import Entry, fetch, local_manifest, send
from hybridnb.hosts.local import LocalTransport
from hybridnb.hosts.transport import File
from testbed.processes import program

MIB = 1 << 20
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.startswith(".hybridnb-")
)
PARTS = st.sampled_from(
    ["a", "b", ".h", "a1", "a[1]", "a.csv", "-x", "*", "?", "a*", "*.csv", "[ab]", "[!a]", "[", "**", ".*", "[.]h", "ü?"]
)
PATHS = st.sampled_from(["a", "b", ".h", "a1", "a[1]", "a.csv", "-x", "[", "üß", ".a"])


class Host(LocalTransport):
    """A host nearby that counts conversations and bytes, and whose connection may be cut."""

    def __init__(self) -> None:
        super().__init__("host")
        self.asked = self.streamed = 0
        self.passed = {"up": 0, "down": 0}
        self.cut: dict[str, int] = {}

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> bytes:
        self.asked += 1
        return super().ask(script, *args, input=input, files=files, timeout=timeout)

    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        self.streamed += 1
        yield from self._pass("down", super().stream(script, *args, input=self._pass("up", input)))

    def _pass(self, way: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            left = self.cut.get(way, len(piece))
            self.passed[way] += min(len(piece), left)
            yield piece[:left]
            if way in self.cut:
                self.cut[way] -= len(piece)
                if self.cut[way] < 0:
                    del self.cut[way]
                    raise Unreachable("host 'host': the connection was lost")


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def work(tmp_path: Path) -> str:
    (tmp_path / "work").mkdir()
    return str(tmp_path / "work")


def written(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def held(folder: Path | str) -> dict[str, bytes]:
    """Read all files below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file() or p.is_symlink()}


def brought(
    host: LocalTransport, work: str, patterns: list[str], folder: Path, moved: Callable[[int, int], None] = lambda *_: None
) -> list[Entry]:
    return fetch(host, work, patterns, folder, staging=folder.parent / "staging", moved=moved)


@contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


# -- there and back ---------------------------------------------------------------------------------------------------------
@given(files=st.dictionaries(st.lists(NAMES, min_size=1, max_size=2).map("/".join), st.binary(max_size=50), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
@example(
    {"-rf": b"1", "--": b"2", "a b": b"3", "it's": b"4", '"$HOME"': b"5", "$(touch x)`touch y`": b"6", "\\n\\": b"7", "*": b"8"}
)
@example(
    {
        "\u00e9": b"composed",
        "e\u0301": b"not composed",
        "\u202etxt.exe": b"",
        "😀/😀": b"\0\xff",
        "~": b"",
        "!": b"",
        "=a": b"",
        "#": b"",
    }
)
def test_files_of_any_name_arrive_as_they_are_and_come_home(files: dict[str, bytes]) -> None:
    base, host = Path(tempfile.mkdtemp()), Host()
    try:
        for path in list(files):  # where both a and a/b would be
            if any(other.startswith(f"{path}/") for other in files):
                del files[path]
        (base / "folder").mkdir()
        written(base / "folder", files)
        manifest = local_manifest(base / "folder", ["."])
        assert {e.path for e in manifest} == set(files)
        assert send(host, base / "folder", f"{base}/work", manifest) == manifest
        assert held(base / "work") == files
        assert brought(host, f"{base}/work", ["."], base / "home") == manifest
        assert held(base / "home") == files
        assert not (base / "staging").exists()
    finally:
        shutil.rmtree(base)


@given(
    tree=st.lists(st.lists(PATHS, min_size=1, max_size=3).map("/".join), max_size=8),
    pattern=st.lists(PARTS, min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
@example(["=*", "=a", "*a"], ["=*"])
@example(["a[1]/x", "a1"], ["a[1]"])
@example(["a\\b", "a\\c"], ["a\\*"])
def test_a_pattern_means_the_same_at_home_and_on_a_host(tree: list[str], pattern: list[str]) -> None:
    base = Path(tempfile.mkdtemp())
    try:
        (base / "work").mkdir()
        for path in tree:
            if not any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in tree):
                written(base / "work", {path: path.encode()})
        patterns = ["/".join(pattern)]
        assert brought(Host(), f"{base}/work", patterns, base / "home") == local_manifest(base / "work", patterns)
    finally:
        shutil.rmtree(base)


def test_only_what_differs_is_sent(host: Host, folder: Path, work: str) -> None:
    written(folder, {"same": b"1" * 1000, "size": b"12", "content": b"abc", "large": b"x" * 9 * MIB})
    send(host, folder, work, local_manifest(folder, ["*"]))
    inodes = {name: os.stat(f"{work}/{name}").st_ino for name in os.listdir(work)}
    written(folder, {"size": b"123", "content": b"abd"})
    told: list[tuple[int, int]] = []
    send(host, folder, work, local_manifest(folder, ["*"]), moved=lambda *now: told.append(now))
    assert told == [(3, 6), (6, 6)]
    assert held(work) == held(folder)
    assert [name for name in inodes if os.stat(f"{work}/{name}").st_ino != inodes[name]] in (
        ["size", "content"],
        ["content", "size"],
    )


def test_only_what_differs_comes_home(host: Host, folder: Path, work: str) -> None:
    written(Path(work), {"same": b"1" * 1000, "other": b"12", "large": b"x" * 40 * MIB, "larger": b"y" * 40 * MIB})
    written(folder, {"same": b"1" * 1000, "other": b"21", "large": b"x" * 40 * MIB, "larger": b"z" * 40 * MIB})
    told: list[tuple[int, int]] = []
    brought(host, work, ["*"], folder, lambda *now: told.append(now))
    assert told[-1] == (40 * MIB + 2, 40 * MIB + 2)
    assert host.passed["down"] < 41 * MIB
    assert held(folder) == held(work)
    streamed = host.streamed
    brought(host, work, ["*"], folder, lambda *_: pytest.fail("nothing is to be moved"))
    assert host.streamed == streamed + 1  # to read that much for its checksum holds up no conversation


def test_a_large_file_there_is_read_again_only_when_it_may_have_changed(
    host: Host, folder: Path, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, {"large": b"x" * 33 * MIB})
    manifest = local_manifest(folder, ["*"])
    send(host, folder, work, manifest)
    streams = []
    for steady in (1000, -5, -5, -5):  # seconds since it was written to
        monkeypatch.setattr(hosts_manifest, "_STEADY", steady)
        before = host.streamed
        send(host, folder, work, manifest)
        streams.append(host.streamed - before)
    assert streams == [1, 1, 0, 0]
    about = os.stat(f"{work}/large")
    written(Path(work), {"large": b"y" * 33 * MIB})
    os.utime(f"{work}/large", ns=(about.st_atime_ns, about.st_mtime_ns - 10**9))
    send(host, folder, work, manifest)
    assert held(work) == held(folder)


def test_a_thousand_small_files_take_two_conversations_each_way(host: Host, folder: Path, work: str) -> None:
    written(folder, {f"{number % 7}/{number}.csv": f"{number}\n".encode() * 200 for number in range(1000)})
    manifest = local_manifest(folder, ["*"])
    assert send(host, folder, work, manifest) == manifest
    assert (host.asked, host.streamed) == (1, 1)
    assert brought(host, work, ["**/*.csv"], folder.parent / "home") == manifest
    assert (host.asked, host.streamed) == (2, 2)
    assert held(folder.parent / "home") == held(folder)
    size = sum(e.size for e in manifest)
    assert host.passed["up"] < size / 4  # compressed, since it helps
    assert host.passed["down"] < size / 4


def test_what_does_not_get_smaller_is_not_compressed(host: Host, folder: Path, work: str) -> None:
    written(folder, {"noise": os.urandom(MIB)})
    send(host, folder, work, local_manifest(folder, ["noise"]))
    assert host.passed["up"] == MIB + 512 + 1024  # tar's header and end
    brought(host, work, ["noise"], folder.parent / "home")
    assert host.passed["down"] < MIB + 100
    assert held(work) == held(folder.parent / "home") == held(folder)


def test_files_go_in_portions_that_a_cut_may_cost(host: Host, folder: Path, work: str) -> None:
    written(folder, {f"{number}": os.urandom(7 * MIB) for number in range(12)})
    manifest = local_manifest(folder, ["*"])
    host.cut["up"] = 70 * MIB
    with pytest.raises(Unreachable):
        send(host, folder, work, manifest)
    host.passed["up"] = 0
    send(host, folder, work, manifest)
    assert host.passed["up"] < 22 * MIB
    assert held(work) == held(folder)


def test_executable_files_stay_executable(host: Host, folder: Path, work: str) -> None:
    written(folder, {"run.sh": b"1", "plain": b"2", "large": b"x" * 9 * MIB})
    for name in ("run.sh", "large"):
        (folder / name).chmod(0o755)
    send(host, folder, work, local_manifest(folder, ["*"]))
    brought(host, work, ["*"], folder.parent / "home")
    for place in (Path(work), folder.parent / "home"):
        assert [os.access(place / name, os.X_OK) for name in ("run.sh", "plain", "large")] == [True, False, True]
    (folder / "plain").chmod(0o755)
    send(host, folder, work, local_manifest(folder, ["plain"]))
    assert os.access(f"{work}/plain", os.X_OK)


def test_empty_files_move_and_empty_folders_do_not(host: Host, folder: Path, work: str) -> None:
    written(folder, {"empty": b"", "a/none": b""})
    (folder / "void").mkdir()
    send(host, folder, work, local_manifest(folder, ["*"]))
    assert sorted(os.listdir(work)) == ["a", "empty"]
    brought(host, work, ["*"], folder.parent / "home")
    assert held(folder.parent / "home") == {"empty": b"", "a/none": b""}


def test_what_nothing_is_named_by_is_no_conversation_about_contents(host: Host, folder: Path, work: str) -> None:
    assert send(host, folder, work, []) == []
    assert brought(host, work, [], folder) == []
    assert host.asked == 0
    assert brought(host, work, ["no such*", "neither"], folder) == []
    assert (host.asked, host.streamed) == (1, 0)


# -- at home ----------------------------------------------------------------------------------------------------------------
def test_links_to_files_are_followed_and_what_has_no_content_is_left_out(folder: Path) -> None:
    written(folder, {"a": b"1", "d/b": b"2"})
    (folder / "link").symlink_to("a")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "to_folder").symlink_to("d")
    (folder / "d/up").symlink_to("..")
    os.mkfifo(folder / "pipe")
    paths = [e.path for e in local_manifest(folder, ["**"])]
    assert paths == ["a", "d/b", "link"]
    assert [e.path for e in local_manifest(folder, ["to_folder", "*_folder/b"])] == ["to_folder/b"]


def test_links_mean_the_same_on_a_host(host: Host, folder: Path, work: str) -> None:
    written(Path(work), {"a": b"1", "d/b": b"2"})
    for name, target in (("link", "a"), ("dangling", "nowhere"), ("to_folder", "d"), ("d/up", ".."), ("self", "self")):
        Path(work, name).symlink_to(target)
    os.mkfifo(f"{work}/pipe")
    for patterns in (["**"], ["to_folder", "*_folder/*"], ["*"]):
        assert brought(host, work, patterns, folder) == local_manifest(Path(work), patterns)


def test_what_an_earlier_job_makes_there_is_left_out(folder: Path) -> None:
    written(folder, {"a.csv": b"", "b.csv": b"", "out/x": b"", "out/y/z": b""})
    assert [e.path for e in local_manifest(folder, ["*.csv", "out"], without=["b.*", "out/y"])] == ["a.csv", "out/x"]


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb", r"a\nb"), ("a\x1b[31m", r"a\x1b[31m"), ("a\u2028", r"a\u2028"), ("caf\udce9", r"caf\udce9")]
)
def test_names_that_break_what_shows_them_are_refused_both_ways(host: Host, folder: Path, work: str, name: str, shown: str) -> None:
    written(folder, {name: b"", "good": b"1"})
    with pytest.raises(HostError) as caught:
        local_manifest(folder, ["*"])
    assert shown in str(caught.value)
    assert str(caught.value).isprintable()
    written(Path(work), {f"out/{name}": b"", "out/good": b"1"})
    with pytest.raises(HostError) as caught:
        brought(host, work, ["out"], folder.parent / "home")
    assert str(caught.value).startswith("host 'host': 'out/")
    assert shown in str(caught.value)
    assert held(folder.parent / "home") == {"out/good": b"1"}  # the others are home


def test_a_bad_name_that_nobody_asked_for_is_nobody_s_business(host: Host, folder: Path, work: str) -> None:
    written(Path(work), {"a\nb": b"", "x.csv": b"1"})
    assert [e.path for e in brought(host, work, ["*.csv"], folder)] == ["x.csv"]


def test_a_folder_or_file_at_home_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))

    written(folder, {"closed/a": b""})
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        with pytest.raises(HostError, match=r"/closed cannot be read: Permission denied$"):
            local_manifest(folder, ["closed"])
    monkeypatch.setattr(os, "stat", lambda name, **_: refuse(name) if str(name).endswith("/a") else os.lstat(name))
    with pytest.raises(HostError, match=r"/closed/a cannot be read: Permission denied$"):
        local_manifest(folder, ["closed"])


def test_a_file_is_read_once_for_its_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, {"a": b"1"})
    first = local_manifest(folder, ["a"])
    monkeypatch.setattr(hashlib, "sha256", None)
    assert local_manifest(folder, ["a", "*"]) == first


# -- cuts -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("at", [0, 1, MIB - 1, MIB, 7 * MIB + 12345, 20 * MIB - 1])
def test_a_large_file_goes_on_where_the_connection_was_cut(host: Host, folder: Path, work: str, at: int) -> None:
    written(folder, {"d/large": os.urandom(20 * MIB)})
    manifest = local_manifest(folder, ["d"])
    host.cut["up"] = at
    with pytest.raises(Unreachable):
        send(host, folder, work, manifest)
    assert not os.path.exists(f"{work}/d/large")
    host.passed["up"] = 0
    told: list[tuple[int, int]] = []
    send(host, folder, work, manifest, moved=lambda *now: told.append(now))
    assert host.passed["up"] <= 20 * MIB - at // MIB * MIB
    assert held(work) == held(folder)
    assert told[0][0] >= at // MIB * MIB
    assert told[-1] == (20 * MIB, 20 * MIB)


@pytest.mark.parametrize("at", [0, 1, MIB, 7 * MIB + 12345, 20 * MIB - 1, 20 * MIB + 2])
def test_a_large_file_comes_on_from_where_the_connection_was_cut(host: Host, folder: Path, work: str, at: int) -> None:
    written(Path(work), {"d/large": os.urandom(20 * MIB)})
    host.cut["down"] = at
    with pytest.raises(Unreachable):
        brought(host, work, ["d"], folder)
    assert held(folder) == {}
    host.passed["down"] = 0
    brought(host, work, ["d"], folder)
    assert host.passed["down"] <= 20 * MIB - at + 300
    assert held(folder) == held(work)
    assert not (folder.parent / "staging").exists()


def test_small_files_that_were_cut_off_leave_nothing_half(host: Host, folder: Path, work: str) -> None:
    written(folder, {f"{number}": os.urandom(1000) for number in range(50)})
    host.cut["up"] = 20_000
    with pytest.raises(Unreachable):
        send(host, folder, work, local_manifest(folder, ["*"]))
    assert all(data == (folder / name).read_bytes() for name, data in held(work).items())
    send(host, folder, work, local_manifest(folder, ["*"]))
    host.cut["down"] = 20_000
    with pytest.raises(Unreachable):
        brought(host, work, ["*"], folder.parent / "home")
    assert held(folder.parent / "home") == {}
    brought(host, work, ["*"], folder.parent / "home")
    assert held(folder.parent / "home") == held(folder) == held(work)


@pytest.mark.parametrize("damage", [b"x" * 12 * MIB, b"x" * 5 * MIB, b"x" * 13 * MIB], ids=["whole", "half", "too long"])
def test_a_part_that_is_not_what_its_name_says_is_sent_anew(host: Host, folder: Path, work: str, damage: bytes) -> None:
    written(folder, {"large": os.urandom(12 * MIB)})
    (e,) = local_manifest(folder, ["large"])
    written(Path(work), {f".hybridnb-{e.sha256[:32]}.part": damage})
    send(host, folder, work, [e])
    assert held(work) == held(folder)


def test_a_part_at_home_that_is_not_what_it_was_is_fetched_anew(host: Host, folder: Path, work: str) -> None:
    written(Path(work), {"large": os.urandom(12 * MIB)})
    host.cut["down"] = 6 * MIB
    with pytest.raises(Unreachable):
        brought(host, work, ["large"], folder)
    (part,) = (folder.parent / "staging").glob("*.part")
    part.write_bytes(b"x" * 4 * MIB)
    brought(host, work, ["large"], folder)
    assert held(folder) == held(work)


# -- full disks ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("count", "size"), [(1, 9 * MIB), (40, MIB // 4)], ids=["large", "small"])
def test_a_full_disk_there_is_told_in_its_words_and_a_later_attempt_goes_on(
    host: Host, folder: Path, tmp_path: Path, count: int, size: int
) -> None:
    written(folder, {f"{number}": os.urandom(size) for number in range(count)})
    manifest = local_manifest(folder, ["*"])
    with disk(tmp_path / "disk", "4m") as small:
        with pytest.raises(HostError, match=r"(?s)^host 'host': .*No space left on device"):
            send(host, folder, f"{small}/work", manifest)
        assert [name for name in held(small / "work") if not name.startswith(".hybridnb-")] == []
        subprocess.run(["mount", "-o", "remount,size=30m", str(small)], check=True)
        send(host, folder, f"{small}/work", manifest)
        assert held(small / "work") == held(folder)


@pytest.mark.parametrize(("count", "size"), [(1, 9 * MIB), (40, MIB // 4)], ids=["large", "small"])
def test_a_full_disk_at_home_is_told_and_a_later_attempt_goes_on(
    host: Host, work: str, tmp_path: Path, count: int, size: int
) -> None:
    written(Path(work), {f"{number}": os.urandom(size) for number in range(count)})
    with disk(tmp_path / "disk", "4m") as small:
        with pytest.raises(HostError, match=r"of host 'host' cannot be written to .*/disk/home: No space left on device$"):
            brought(host, work, ["*"], small / "home")
        assert not (small / "home").exists()
        subprocess.run(["mount", "-o", "remount,size=30m", str(small)], check=True)
        brought(host, work, ["*"], small / "home")
        assert held(small / "home") == held(work)


def test_a_limit_of_file_sizes_there_is_told(folder: Path, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Limited(Host):
        def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
            return super().stream(f"trap '' XFSZ\nulimit -f 4096\n{script}", *args, input=input)

    written(folder, {"large": os.urandom(9 * MIB)})
    with pytest.raises(HostError, match="File too large"):
        send(Limited(), folder, work, local_manifest(folder, ["large"]))
    send(Host(), folder, work, local_manifest(folder, ["large"]))
    assert held(work) == held(folder)


# -- files that change --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1000, 20 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("now", [b"longer" * 4 * MIB, b"short", b"same"], ids=["longer", "shorter", "same size"])
def test_a_file_that_changed_since_it_was_looked_at_is_sent_as_it_is_now(
    host: Host, folder: Path, work: str, size: int, now: bytes
) -> None:
    written(folder, {"changing": b"a" * size, "other": b"1"})
    manifest = local_manifest(folder, ["*"])
    now = now if now != b"same" else b"b" * size
    written(folder, {"changing": now})
    sent = send(host, folder, work, manifest)
    assert held(work) == held(folder)
    assert [e.sha256 for e in sent] == [hashlib.sha256(data).hexdigest() for data in (now, b"1")]


def test_a_file_that_changes_all_the_time_is_not_sent(host: Host, folder: Path, work: str) -> None:
    written(folder, {"changing": os.urandom(9 * MIB)})
    manifest = local_manifest(folder, ["*"])

    def change(_done: int, _whole: int) -> None:
        with open(folder / "changing", "r+b") as file:
            file.seek(8 * MIB)
            file.write(os.urandom(MIB))

    with pytest.raises(
        HostError, match=r"^host 'host': .*/changing changes while it is being sent; try again when nothing writes to it$"
    ):
        send(host, folder, work, manifest, moved=change)
    assert held(work) == {}


def test_a_file_that_went_is_told(host: Host, folder: Path, work: str) -> None:
    written(folder, {"gone": b"1"})
    manifest = local_manifest(folder, ["*"])
    (folder / "gone").unlink()
    with pytest.raises(HostError, match=r"^host 'host': .*/gone cannot be sent: No such file or directory$"):
        send(host, folder, work, manifest)


class Busy(Host):
    """A host where a file is written to after it was looked at."""

    def __init__(self, change: Callable[[], None], times: int) -> None:
        super().__init__()
        self.change, self.times = change, times

    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        if self.times:
            self.times -= 1
            self.change()
        return super().stream(script, *args, input=input)


@pytest.mark.parametrize("size", [1000, 9 * MIB], ids=["small", "large"])
def test_a_file_that_changed_there_since_it_was_listed_comes_as_it_is_now(folder: Path, work: str, size: int) -> None:
    written(Path(work), {"a": b"a" * size, "b": b"b", "c": b"c"})
    host = Busy(lambda: written(Path(work), {"a": b"other" * size}), 1)
    assert [e.size for e in brought(host, work, ["*"], folder)] == [5 * size, 1, 1]
    assert held(folder) == held(work)


def test_a_file_that_grows_all_the_time_is_told_and_keeps_no_other_back(folder: Path, work: str) -> None:
    def grow() -> None:
        with open(f"{work}/a", "ab") as file:
            file.write(b"more")

    written(Path(work), {"a": b"a" * 1000, "b": b"b", "c": b"c"})
    with pytest.raises(HostError, match=r"^host 'host': a changes while it is being fetched"):
        brought(Busy(grow, 9), work, ["*"], folder)
    assert held(folder) == {"b": b"b", "c": b"c"}


def test_a_file_that_went_there_is_told_in_the_host_s_words(folder: Path, work: str) -> None:
    written(Path(work), {"a": b"a"})
    with pytest.raises(HostError, match=r"(?s)^host 'host': .*\./a.*No such file or directory"):
        brought(Busy(lambda: os.unlink(f"{work}/a"), 1), work, ["*"], folder)


# -- what a host may say ------------------------------------------------------------------------------------------------------
class Liar(Host):
    """A host that says what it likes."""

    def __init__(self, listing: bytes, contents: bytes = b"") -> None:
        super().__init__()
        self.listing, self.contents = listing, contents

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> bytes:
        return self.listing[1:] if input else self.listing  # when it is asked again for files that it named

    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        yield self.contents


def listing(*names: str, size: int = 1, sums: str = "") -> bytes:
    about = "\n".join([f"{size} 644 1.1.1"] * len(names))
    return "\0".join(["", *names, "", about, sums, "9", ""]).encode(errors="surrogateescape")


def content(data: bytes, *, more: bytes = b"") -> bytes:
    return b"-" + data + more + hashlib.sha256(data).hexdigest().encode() + b"  x\n"


@pytest.mark.parametrize(
    "name", ["out/../../evil", "../evil", "out/..", "/etc/evil", "out/\0evil", "./out/../../folder/../evil", "out//../../evil"]
)
def test_no_name_that_a_host_says_leads_out_of_the_folder(folder: Path, name: str) -> None:
    before = held(folder.parent)
    with suppress(HostError):
        brought(Liar(listing(name), content(b"x")), "/work", ["out", "**", "."], folder)
    after = {path for path in held(folder.parent) if path not in before}
    assert all(path.startswith(("folder/", "staging/")) for path in after)
    assert not Path("/etc/evil").exists()


def test_files_that_nobody_asked_for_are_not_taken(folder: Path) -> None:
    assert brought(Liar(listing("other", ".bashrc", "out.csv.exe"), content(b"x")), "/work", ["out.csv"], folder) == []
    assert held(folder.parent) == {}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"?",
        b"\0?",
        b"\0a\0\0\0\0",
        listing("out", sums="short"),
        listing("out", sums=f"{'0' * 64} x\n{'0' * 64} y"),
        listing("out", size=-1),
    ],
)
def test_a_listing_that_is_none_is_told(folder: Path, said: bytes) -> None:
    with pytest.raises(HostError, match=r"^host 'host': what it says about its files is not understood: "):
        brought(Liar(said), "/work", ["out"], folder)


@pytest.mark.parametrize(
    "said",
    [content(b"x", more=b"yy"), content(b""), b"-", b"-x", b"-x" + b"z" * 100_000, content(b"x")[:-8], content(b"x") * 2],
    ids=["larger", "smaller", "nothing", "no checksum", "endless", "half a checksum", "twice"],
)
def test_contents_that_are_not_what_was_announced_are_not_taken(folder: Path, said: bytes) -> None:
    with pytest.raises(HostError, match="changes while it is being fetched"):
        brought(Liar(listing("out"), said), "/work", ["out"], folder)
    assert held(folder) == {}


@pytest.mark.parametrize("said", [b"", b"?", b"zno gzip at all"])
def test_a_stream_that_is_none_is_told(folder: Path, said: bytes) -> None:
    with pytest.raises(HostError, match=r"^host 'host': what it sends is not understood: "):
        brought(Liar(listing("out"), said), "/work", ["out"], folder)


def test_what_unpacks_to_much_more_than_was_announced_is_not_unpacked(folder: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"z" + b"".join(packer.compress(bytes(MIB)) for _ in range(500)) + packer.flush()
    host = Liar(listing("out", size=1000), bomb)
    tracemalloc.start()
    try:
        with pytest.raises(HostError, match="changes while it is being fetched"):
            brought(host, "/work", ["out"], folder)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()
    assert held(folder.parent) == {}


def test_a_folder_at_home_that_is_a_link_elsewhere_is_not_written_through(
    host: Host, folder: Path, work: str, tmp_path: Path
) -> None:
    written(Path(work), {"out/deep/x": b"evil", "in/x": b"1", "y": b"2"})
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "in").symlink_to("data")
    (folder / "y").symlink_to(tmp_path / "elsewhere/y")
    with pytest.raises(
        HostError,
        match=r"out/deep/x of host 'host' cannot be written to .*: .*/folder/out/deep leads out of the folder, to .*/elsewhere/deep$",
    ):
        brought(host, work, ["*"], folder)
    assert held(tmp_path / "elsewhere") == {}
    brought(host, work, ["in", "y"], folder)
    assert (folder / "data/x").read_bytes() == b"1"
    assert not (folder / "y").is_symlink()
    assert held(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("size", [10, 9 * MIB], ids=["small", "large"])
def test_a_folder_where_a_file_should_be_is_told(host: Host, folder: Path, work: str, size: int) -> None:
    written(folder, {"a": b"1" * size})
    written(Path(work), {"a/b": b"2"})
    with pytest.raises(HostError, match=r"^host 'host': .*(directory|folder)"):
        send(host, folder, work, local_manifest(folder, ["a"]))
    assert held(work) == {"a/b": b"2"}
    with pytest.raises(HostError, match=r"^a/b of host 'host' cannot be written to .*: (Not a directory|File exists)$"):
        brought(host, work, ["a"], folder)


def test_what_cannot_be_read_there_is_told(host: Host, folder: Path, work: str) -> None:
    class Ordinary(Host):
        def ask(
            self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None
        ) -> bytes:
            inner = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script, "sh", *args]
            return super().ask('"$@"', *inner, input=input)

    folder.parent.chmod(0o755)
    for above in folder.parents[1:3]:
        above.chmod(0o755)
    Path(work).chmod(0o755)
    written(Path(work), {"closed/a": b"", "b": b""})
    os.chmod(f"{work}/closed", 0o700)
    with pytest.raises(HostError, match=r"closed.*Permission denied"):
        brought(Ordinary(), work, ["*"], folder)
    os.chmod(f"{work}/b", 0o600)
    with pytest.raises(HostError, match=r"b.*Permission denied"):
        brought(Ordinary(), work, ["b"], folder)


def test_patterns_and_names_are_nothing_that_a_shell_acts_on(host: Host, folder: Path, work: str, tmp_path: Path) -> None:
    evil = [
        f"$(touch {tmp_path}/1)",
        f"`touch {tmp_path}/2`",
        f";touch {tmp_path}/3;*",
        f"a|touch {tmp_path}/4",
        "~root",
        "$HOME",
        "-delete",
        "--help",
        "!",
    ]
    names = [e.replace("/", "_") for e in evil if "*" not in e]
    written(folder, dict.fromkeys(names, b"1"))
    send(host, folder, work, local_manifest(folder, [*evil, *names]))
    assert sorted(e.path for e in brought(host, work, [*evil, *names], folder.parent / "home")) == sorted(names)
    assert not [n for n in "1234" if (tmp_path / n).exists()]


# -- other machines -----------------------------------------------------------------------------------------------------------
def programs(folder: Path, names: Iterable[str], **written: str) -> str:
    folder.mkdir()
    for name in names:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    for name, text in written.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


TOOLS = [
    "sh",
    "cat",
    "chmod",
    "date",
    "dd",
    "find",
    "gzip",
    "grep",
    "head",
    "mkdir",
    "mv",
    "printf",
    "rm",
    "sort",
    "stat",
    "tail",
    "tar",
    "tr",
    "wc",
]
TOOLS += ["xargs"]
# as on macOS: no -c, no sha256sum
STAT = """[ "$1" != -c ] || exit 1
shift 2; format=$1; shift
[ "$format" = '%z %Lp %m.%c.%i' ] && [ "$1" = -- ] || exit 2
exec /usr/bin/stat -L -c '%s %a %Y.%Z.%i' "$@"
"""


@pytest.mark.parametrize("machine", ["busybox", "bash", "shasum", "sha256sum", "BSD's stat"])
def test_it_works_with_the_tools_of_other_machines(
    machine: str, folder: Path, work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match machine:
        case "busybox":
            path = programs(tmp_path / "bin", ())
            subprocess.run([program("busybox"), "--install", "-s", path], check=True)
            assert os.path.realpath(f"{path}/sh").endswith("busybox")
        case "bash":
            path = programs(tmp_path / "bin", [*TOOLS, "openssl"])
            os.unlink(f"{path}/sh")
            os.symlink("/bin/bash", f"{path}/sh")
        case "BSD's stat":
            path = programs(tmp_path / "bin", [tool for tool in TOOLS if tool != "stat"] + ["shasum", "perl"], stat=STAT)
        case tool:
            path = programs(tmp_path / "bin", [*TOOLS, tool, "perl"])
    files = {
        "a b/ü": b"1",
        "-x": b"2" * 5000,
        "back\\slash": b"3",
        "large": os.urandom(9 * MIB),
        "n" * 150 + "/" + "m" * 150: b"4",
        "empty": b"",
        ".h/.i": b"5",
    }
    written(folder, files)
    (folder / "-x").chmod(0o755)
    monkeypatch.setenv("PATH", path)
    host = Host()
    manifest = local_manifest(folder, ["."])
    host.cut["up"] = 4 * MIB
    with pytest.raises(Unreachable):
        send(host, folder, work, manifest)
    assert send(host, folder, work, manifest) == manifest
    assert held(work) == files
    told: list[int] = []
    send(host, folder, work, manifest, moved=lambda done, _: told.append(done))
    assert told == []
    host.cut["down"] = 4 * MIB
    with pytest.raises(Unreachable):
        brought(host, work, ["."], folder.parent / "home")
    assert brought(host, work, ["."], folder.parent / "home") == manifest
    assert held(folder.parent / "home") == files
    with pytest.raises(HostError, match=r"a\\nb"):
        written(Path(work), {"a\nb": b""})
        brought(host, work, ["*"], folder.parent / "home")


@pytest.mark.parametrize(
    ("missing", "words"), [("tar", "tar: not found"), ("openssl", "none of openssl, sha256sum and shasum is there")]
)
def test_a_program_that_is_missing_there_is_named(
    host: Host, folder: Path, work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    written(folder, {"a": b"1" * 5000})
    if missing == "openssl":
        written(Path(work), {"a": b"2" * 5000})
    manifest = local_manifest(folder, ["a"])
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", [tool for tool in TOOLS if tool != missing]))
    with pytest.raises(HostError, match=f"(?s)^host 'host': .*{words}"):
        send(host, folder, work, manifest)


def test_a_host_that_unpacks_less_than_it_was_sent_is_told(
    host: Host, folder: Path, work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, {"a": b"1", "A": b"2"})
    tar = f'{shutil.which("tar")} "$@" && rm -f a'  # as a file system does it to which both are one name
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", [tool for tool in TOOLS if tool != "tar"], tar=tar))
    with pytest.raises(HostError, match="1 of 2 files arrived; are some told apart by upper and lower case alone"):
        send(host, folder, work, local_manifest(folder, ["*"]))
    assert held(work) == {}


def test_the_staging_may_be_on_another_file_system(host: Host, folder: Path, work: str, tmp_path: Path) -> None:
    written(Path(work), {"a/b": b"1", "large": b"2" * 9 * MIB})
    os.chmod(f"{work}/a/b", 0o755)
    with disk(tmp_path / "disk", "30m") as other:
        fetch(host, work, ["*"], folder, staging=other / "staging")
        assert not (other / "staging").exists()
    assert held(folder) == held(work)
    assert os.access(folder / "a/b", os.X_OK)


# -- side by side ---------------------------------------------------------------------------------------------------------------
def test_two_that_bring_the_same_files_at_once_do_not_disturb_each_other(folder: Path, work: str, tmp_path: Path) -> None:
    written(Path(work), {"large": os.urandom(12 * MIB), **{f"{n}": os.urandom(2000) for n in range(100)}})
    together = threading.Barrier(3)
    wrong: list[BaseException] = []

    def go(move: Callable[[], object]) -> None:
        try:
            together.wait(60)
            move()
        except BaseException as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=go, args=(lambda: brought(Host(), work, ["*"], folder),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert held(folder) == held(work)
    assert not (tmp_path / "staging").exists()
    manifest = local_manifest(folder, ["*"])
    threads = [threading.Thread(target=go, args=(lambda: send(Host(), folder, f"{tmp_path}/new", manifest),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert held(f"{tmp_path}/new") == held(folder)


def test_an_error_at_home_is_no_error_of_the_host(host: Host, folder: Path, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    written(Path(work), {"a": b"1"})
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(HostError, match=r"^a of host 'host' cannot be written to .*/folder: Disk quota exceeded$"):
        brought(host, work, ["a"], folder)
    assert held(folder.parent / "staging") == {}
