"""What attempts wrote, told by real tools; and by hosts that mean no good."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnb.errors import HostError, Unreachable
from hybridnb.hosts import collect
from hybridnb.hosts.local import LocalTransport
from hybridnb.hosts.shell import ShellTransport
from hybridnb.hosts.transport import Transport
from test_shell import Local

PLACE = "20261122-200000-abcd/1/1"


@pytest.fixture(params=["dash", "bash --posix", "busybox sh", "local"])
def transport(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    if request.param == "local":
        yield LocalTransport("far")
        return
    with closing(ShellTransport("far", Local(request.param, folder=tmp_path_factory.mktemp("tools")))) as transport:
        transport.open()
        yield transport


class Says(LocalTransport):
    """A host that says what it likes."""

    def __init__(self, said: bytes) -> None:
        super().__init__("evil")
        self.said = said

    def ask(self, script: str, *args: str, **more: object) -> bytes:
        return self.said


class Counting(LocalTransport):
    """A host whose conversations are counted, and fail when they are to."""

    def __init__(self) -> None:
        super().__init__("far")
        self.asked = 0
        self.gone = False

    def ask(self, script: str, *args: str, input: bytes = b"", **more: object) -> bytes:
        if self.gone:
            raise Unreachable("host 'far' is gone")
        self.asked += 1
        return super().ask(script, *args, input=input)


def attempt(base: Path, place: str = PLACE, **files: bytes) -> Path:
    folder = base / place
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text)
    return folder


def packed(
    *members: tuple[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _: None, form: int = tarfile.GNU_FORMAT
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form) as tar:
        for name, text in members:
            about = tarfile.TarInfo(name)
            about.size = len(text)
            change(about)
            tar.addfile(about, io.BytesIO(text))
    return b"\n" + out.getvalue()


# -- whole files ------------------------------------------------------------------------------------------------------------
def test_the_files_of_attempts_come_with_their_times(transport: Transport, tmp_path: Path) -> None:
    folder = attempt(
        tmp_path, out=b"\0\xff\nlog", err=b"", rc=b"0 exit\n", claim=b"1 2 3\n", executed_ipynb=b"{}", secret=b"no", script=b"no"
    )
    os.utime(folder / "rc", (1_700_000_000, 1_700_000_000))
    (folder / "deeper").mkdir()
    (folder / "deeper" / "rc").write_text("1 exit\n")
    kept = {(k.place, k.name): k for k in collect.whole(transport, str(tmp_path), [PLACE, "other/1/1"])}
    assert {name: k.text for (_, name), k in kept.items()} == {
        "out": b"\0\xff\nlog", "err": b"", "rc": b"0 exit\n", "claim": b"1 2 3\n", "executed.ipynb": b"{}",
    }  # fmt: skip
    assert kept[PLACE, "rc"].changed == 1_700_000_000


def test_no_places_and_places_without_files_are_nothing(transport: Transport, tmp_path: Path) -> None:
    assert list(collect.whole(transport, str(tmp_path), [])) == []
    assert list(collect.whole(transport, str(tmp_path), [PLACE])) == []
    assert collect.grown(transport, str(tmp_path), {}) == {}
    assert collect.grown(transport, str(tmp_path), {(PLACE, "out"): 0}) == {}


def test_a_base_that_is_gone_is_told(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="far"):
        list(collect.whole(transport, str(tmp_path / "none"), [PLACE]))


def test_large_files_are_named_and_come_by_pieces(transport: Transport, tmp_path: Path) -> None:
    text = os.urandom(collect.WHOLE + 1)
    attempt(tmp_path, out=text, err=text[:-1], rc=b"0 exit\n", executed_ipynb=text)
    kept = {k.name: k.text for k in collect.whole(transport, str(tmp_path), [PLACE])}
    assert kept == {"out": None, "executed.ipynb": None, "err": text[:-1], "rc": b"0 exit\n"}
    for name in ("out", "executed.ipynb"):
        came = b""
        while piece := collect.grown(transport, str(tmp_path), {(PLACE, name): len(came)}, piece=400_000).get((PLACE, name)):
            came += piece
        assert came == text


def test_a_thousand_attempts_come_in_few_conversations(tmp_path: Path) -> None:
    places = [f"run/{n}/1" for n in range(1001)]
    for place in places:
        attempt(tmp_path, place, rc=f"{place}\n".encode())
    transport = Counting()
    assert {k.place: k.text for k in collect.whole(transport, str(tmp_path), places)} == {p: f"{p}\n".encode() for p in places}
    assert transport.asked == 3


# -- pieces -----------------------------------------------------------------------------------------------------------------
def test_what_is_new_comes_and_only_that(transport: Transport, tmp_path: Path) -> None:
    folder = attempt(tmp_path, out=b"one\ntwo\n", err=b"\0" * 10)
    attempt(tmp_path, "b/2/1", out=b"b/2/1/out 3\nxyz")
    offsets = {(PLACE, "out"): 4, (PLACE, "err"): 10, ("b/2/1", "out"): 0, ("b/2/1", "err"): 0}
    assert collect.grown(transport, str(tmp_path), offsets) == {(PLACE, "out"): b"two\n", ("b/2/1", "out"): b"b/2/1/out 3\nxyz"}
    (folder / "out").write_bytes(b"on")
    assert collect.grown(transport, str(tmp_path), {(PLACE, "out"): 4}) == {}


def test_an_offset_may_be_beyond_four_gigabytes(tmp_path: Path) -> None:
    folder, transport = attempt(tmp_path), LocalTransport("far")
    with (folder / "out").open("wb") as file:
        file.seek(5_000_000_000)
        file.write(b"the end")
    assert collect.grown(transport, str(tmp_path), {(PLACE, "out"): 5_000_000_003}) == {(PLACE, "out"): b" end"}


# -- hosts that mean no good ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [
    f"../{PLACE}/out", f"/etc/{PLACE}/out", f"{PLACE}/../out", f"{PLACE}/script", f"{PLACE}/.bashrc", "run/2/1/out", "out", "/", f"{PLACE}/out/x",
])  # fmt: skip
def test_what_was_not_asked_for_is_not_taken(name: str) -> None:
    said = packed((name, b"evil"), (f"{PLACE}/rc", b"0 exit\n"))
    assert [(k.name, k.text) for k in collect.whole(Says(said), "/x", [PLACE])] == [("rc", b"0 exit\n")]
    assert list(collect.whole(Says(f"{name}\n\n".encode()), "/x", [PLACE])) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_only_plain_files_are_taken(kind: bytes) -> None:
    def change(about: tarfile.TarInfo) -> None:
        about.type, about.linkname, about.size = kind, "/etc/passwd", 0

    assert list(collect.whole(Says(packed((f"{PLACE}/out", b""), change=change)), "/x", [PLACE])) == []


def test_more_than_was_agreed_is_not_taken() -> None:
    assert list(collect.whole(Says(packed((f"{PLACE}/out", bytes(collect.WHOLE + 1)))), "/x", [PLACE])) == []


@pytest.mark.parametrize("when", [-5.0, 1e300, 2.0**62])
def test_a_time_that_is_none_is_not_believed(when: float) -> None:
    said = packed((f"{PLACE}/rc", b"0 exit\n"), change=lambda about: setattr(about, "mtime", when), form=tarfile.PAX_FORMAT)
    assert [k.changed for k in collect.whole(Says(said), "/x", [PLACE])] == [0.0]


GOOD = packed((f"{PLACE}/out", os.urandom(3000)), (f"{PLACE}/rc", b"0 exit\n"))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_an_archive_that_is_damaged_or_cut_is_an_error_or_as_it_was(at: int, change: int, cut: bool) -> None:
    said = GOOD[:at] if cut else GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :]
    try:
        list(collect.whole(Says(said), "/x", [PLACE]))
    except HostError as error:
        assert "host 'evil'" in str(error)


@settings(deadline=None, max_examples=300)
@given(st.binary())
def test_any_answer_is_an_error_or_nothing(said: bytes) -> None:
    for answer in (said, b"\n" + gzip.compress(said)):
        with suppress(HostError):
            assert list(collect.whole(Says(answer), "/x", [PLACE])) == []
    assert collect.grown(Says(said), "/x", {(PLACE, "out"): 0}) == {}


@pytest.mark.parametrize(
    "said", [b"../../etc/1/out 4\nevil", f"{PLACE}/script 4\nevil".encode(), f"{PLACE}/out 99\nshort".encode(), b"x/1/1/out 3\nabc"]
)
def test_pieces_that_were_not_asked_for_are_not_taken(said: bytes) -> None:
    assert set(collect.grown(Says(said), "/x", {(PLACE, "out"): 0}).values()) <= {b"short"}
