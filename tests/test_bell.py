"""A wake-up call between processes of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from hybridnb.hosts.windows.bell import Bell, ring

DEADLINE = 30.0  # seconds


def test_whoever_waits_is_woken_by_a_ring_and_by_its_own_end(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bells")
    acts: list[Callable[[], None]] = [lambda: ring(tmp_path / "bells"), bell.close]
    for act in acts:
        waiting = threading.Thread(target=bell.wait, daemon=True)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        act()
        waiting.join(DEADLINE)
        assert not waiting.is_alive()
    assert not list((tmp_path / "bells").iterdir())


def test_a_ring_that_came_before_the_wait_is_not_lost(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bells")
    ring(tmp_path / "bells")
    began = time.monotonic()
    bell.wait(DEADLINE)
    assert time.monotonic() - began < DEADLINE / 2
    bell.close()


def test_all_bells_of_a_folder_ring_and_those_of_the_dead_are_no_matter(tmp_path: Path) -> None:
    dead, *living = (Bell(tmp_path) for _ in range(3))
    number = next(path.name for path in tmp_path.iterdir() if path.name in repr(dead))
    dead.close()
    (tmp_path / number).touch()
    ring(tmp_path)
    began = time.monotonic()
    for bell in living:
        bell.wait(DEADLINE)
        bell.close()
    assert time.monotonic() - began < DEADLINE / 2


def test_a_bell_that_somebody_took_down_hangs_again(tmp_path: Path) -> None:
    bell = Bell(tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    bell.hang()
    assert file.exists()
    bell.close()


def test_nobody_needs_to_be_there_to_be_rung(tmp_path: Path) -> None:
    ring(tmp_path / "nothing")
