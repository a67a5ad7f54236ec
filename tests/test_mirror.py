"""Logs of a far host as they grow at home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybridnb.errors import Unreachable
from hybridnb.hosts import collect, mirror
from hybridnb.hosts.mirror import Mirror
from test_collect import PLACE, Counting, attempt

OTHER = "20261122-200000-abcd/2/1"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_LOOKS", (0.0, 0.0))
    monkeypatch.setattr(mirror, "_YOUNG", 0.0)


@pytest.fixture
def there() -> Counting:
    return Counting()


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_logs_grow_at_home_as_they_do_there(there: Counting, tmp_path: Path) -> None:
    folder, home = attempt(tmp_path, out=b"one\n", err=b""), tmp_path / "home"
    followed = Mirror(there)
    followed.watch(PLACE, str(home))
    followed.look(str(tmp_path))
    assert (home / "out").read_bytes() == b"one\n"
    add(folder / "out", b"two\n")
    add(folder / "err", b"\xff\0")
    followed.look(str(tmp_path))
    followed.look(str(tmp_path))
    assert (home / "out").read_bytes() == b"one\ntwo\n"
    assert (home / "err").read_bytes() == b"\xff\0"
    assert there.asked == 3
    assert not followed.idle


def test_what_has_ended_is_completed_and_followed_no_more(there: Counting, tmp_path: Path) -> None:
    attempt(tmp_path, out=b"out", err=b"err", rc=b"0 exit\n", claim=b"1 2 3\n")
    home, followed = tmp_path / "home", Mirror(there)
    followed.watch(PLACE, str(home))
    changed = followed.complete(str(tmp_path), {PLACE: str(home)})
    assert {name for _, name in changed} == {"out", "err", "rc", "claim"}
    assert (home / "rc").read_text() == "0 exit\n"
    assert followed.idle


def test_what_never_began_has_nothing_to_follow(there: Counting, tmp_path: Path) -> None:
    attempt(tmp_path, rc=b"75 skipped\n")
    followed = Mirror(there)
    followed.complete(str(tmp_path), {PLACE: str(tmp_path / "home"), OTHER: str(tmp_path / "other")})
    assert followed.idle


def test_large_files_come_by_pieces_while_others_are_heard(there: Counting, tmp_path: Path) -> None:
    text = os.urandom(3 * collect.WHOLE + 5)
    attempt(tmp_path, out=text, err=b"", rc=b"0 exit\n", claim=b"1 2 3\n", executed_ipynb=text[::-1])
    running, home, followed = attempt(tmp_path, OTHER, out=b"", err=b""), tmp_path / "home", Mirror(there)
    followed.watch(OTHER, str(tmp_path / "other"))
    assert (PLACE, "rc") in followed.complete(str(tmp_path), {PLACE: str(home)})
    add(running / "out", b"news")
    for _ in range(20):
        followed.look(str(tmp_path))
    assert (home / "out").read_bytes() == text
    assert (home / "executed.ipynb").read_bytes() == text[::-1]
    assert (tmp_path / "other" / "out").read_bytes() == b"news"
    followed.complete(str(tmp_path), {OTHER: str(tmp_path / "other")})
    assert followed.idle


def test_a_cut_loses_nothing_and_doubles_nothing(there: Counting, tmp_path: Path) -> None:
    """covalent-slurm#64."""
    folder, home = attempt(tmp_path, out=b"one\n", err=b""), tmp_path / "home"
    followed = Mirror(there)
    followed.watch(PLACE, str(home))
    followed.look(str(tmp_path))
    there.gone = True
    add(folder / "out", b"two\n")
    with pytest.raises(Unreachable):
        followed.look(str(tmp_path))
    there.gone = False
    followed.look(str(tmp_path))
    assert (home / "out").read_bytes() == b"one\ntwo\n"


def test_another_service_goes_on_where_the_first_was_killed(there: Counting, tmp_path: Path) -> None:
    folder, home = attempt(tmp_path, out=b"one\n", err=b""), tmp_path / "home"
    first = Mirror(there)
    first.watch(PLACE, str(home))
    first.look(str(tmp_path))
    add(folder / "out", b"two\n")
    second = Mirror(there)
    second.watch(PLACE, str(home))
    second.look(str(tmp_path))
    assert (home / "out").read_bytes() == b"one\ntwo\n"


def test_a_home_that_cannot_be_written_is_told_and_tried_again(there: Counting, tmp_path: Path) -> None:
    attempt(tmp_path, out=b"one\n", err=b"two\n")
    home = tmp_path / "home"
    home.write_text("a file is in the way")
    followed = Mirror(there)
    followed.watch(PLACE, str(home))
    for _ in range(3):
        with pytest.raises(OSError, match="home"):
            followed.look(str(tmp_path))
    home.unlink()
    followed.look(str(tmp_path))
    assert (home / "out").read_bytes() == b"one\n"
    assert (home / "err").read_bytes() == b"two\n"


def test_a_log_that_its_script_cut_is_at_home_as_it_is_there(there: Counting, tmp_path: Path) -> None:
    folder, home = attempt(tmp_path, out=b"a long line\n", err=b"", claim=b"1 2 3\n"), tmp_path / "home"
    followed = Mirror(there)
    followed.watch(PLACE, str(home))
    followed.look(str(tmp_path))
    (folder / "out").write_bytes(b"short\n")
    followed.complete(str(tmp_path), {PLACE: str(home)})
    assert (home / "out").read_bytes() == b"short\n"


def test_many_logs_have_their_turns_in_few_conversations(there: Counting, tmp_path: Path) -> None:
    followed = Mirror(there)
    for n in range(450):
        attempt(tmp_path, f"run/{n}/1", out=f"{n}".encode(), err=b"")
        followed.watch(f"run/{n}/1", str(tmp_path / "home" / str(n)))
    for _ in range(5):
        followed.look(str(tmp_path))
    assert [(tmp_path / f"home/{n}/out").read_text() for n in range(450)] == [str(n) for n in range(450)]
    assert there.asked == 5


def test_nobody_asks_for_the_log_of_what_has_just_begun(there: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_YOUNG", 60.0)
    attempt(tmp_path, out=b"soon over", err=b"")
    followed = Mirror(there)
    followed.watch(PLACE, str(tmp_path / "home"))
    followed.look(str(tmp_path))
    assert (there.asked, followed.idle) == (0, False)


def test_it_is_asked_seldom_while_nothing_grows(there: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_LOOKS", (5.0, 50.0))
    attempt(tmp_path, out=b"", err=b"")
    followed = Mirror(there)
    followed.watch(PLACE, str(tmp_path / "home"))
    for _ in range(10):
        followed.look(str(tmp_path))
    assert there.asked == 1
