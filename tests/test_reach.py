"""Reaching a host: what its first words tell, and how long to wait when there are none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hybridnb.errors import HostError, Refused, Unreachable
from hybridnb.hosts.local import LocalTransport
from hybridnb.hosts.reach import Reach


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    return Reach(LocalTransport("far"), directory=f"{tmp_path}/its own/folder", pinned=True)


def test_the_first_words_make_the_folder_and_tell_where_it_is(reach: Reach, tmp_path: Path) -> None:
    assert reach.connect(doubt=False)
    assert reach.directory == f"{tmp_path}/its own/folder"
    assert Path(reach.directory).stat().st_mode & 0o777 == 0o700
    assert {f.name for f in Path(reach.directory).iterdir()} == {"runs", "runner"}
    assert reach.cores >= 1 and abs(reach.skew) < 2
    assert not reach.connect(doubt=True), "the connection is not new any more"


def test_a_folder_that_cannot_be_made_is_the_hosts_word(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="file"):
        Reach(LocalTransport("far"), directory=f"{tmp_path}/file/below", pinned=False).connect(doubt=False)


def test_another_machine_with_the_same_home_is_refused(reach: Reach) -> None:
    reach.connect(doubt=False)
    node = Path(reach.directory) / "runner" / "node"
    node.write_text("login2\n")
    with pytest.raises(Refused, match="its queue is on login2"):
        Reach(LocalTransport("far"), directory=reach.directory, pinned=True).connect(doubt=False)


def test_a_scheduler_of_its_own_lets_every_login_node_do(reach: Reach) -> None:
    reach.connect(doubt=False)
    (Path(reach.directory) / "runner" / "node").write_text("login2\n")
    assert Reach(LocalTransport("far"), directory=reach.directory, pinned=False).connect(doubt=False)


def test_waits_grow_and_a_success_ends_them(reach: Reach) -> None:
    waits = []
    for _ in range(12):
        reach.fail(Unreachable("host 'far' is away"))
        waits.append(reach.due)
    assert waits[0] <= 1 and waits[4] > 8 and all(wait <= 300 for wait in waits)
    assert reach.problem.startswith("host 'far' is away; tried 12 times, next at ")
    assert reach.succeed() and not reach.succeed()
    assert (reach.problem, reach.due) == ("", 0.0)


def test_the_first_failure_is_told_without_a_count(reach: Reach) -> None:
    reach.fail(Unreachable("host 'far' is away"))
    assert reach.problem == "host 'far' is away"


def test_what_only_a_person_can_mend_waits_longest_and_not_when_asked_to_try(reach: Reach) -> None:
    reach.fail(Refused("host 'far' wants a code"))
    assert reach.due > 200
    reach.try_again()
    assert reach.due == 0


def test_a_silence_is_ended_by_a_question(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    reach.connect(doubt=False)
    asked: list[float] = []
    monkeypatch.setattr(LocalTransport, "beat", lambda _: asked.append(time.monotonic()))
    reach.connect(doubt=False)
    assert not asked
    reach.beat = 0.0
    reach.connect(doubt=False)
    assert len(asked) == 1
