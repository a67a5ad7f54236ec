"""Where user-level files are."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hybridnb import home as places


def test_one_variable_moves_all_files(home: Path) -> None:
    assert places.config() == home
    assert places.state() == home / socket.gethostname()


def test_a_relative_home_is_seen_from_where_we_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYBRIDNB_HOME", "here")
    assert places.config() == tmp_path / "here"
    assert places.state().parent == tmp_path / "here"


def test_without_it_the_places_of_the_platform_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HYBRIDNB_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert places.config() == tmp_path / "config/hybridnb"
    assert places.state() == tmp_path / "state/hybridnb" / socket.gethostname()


def test_without_any_variable_the_folders_are_in_the_user_s_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HYBRIDNB_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.config() == tmp_path / ".config/hybridnb"
    assert places.state() == tmp_path / ".local/state/hybridnb" / socket.gethostname()


def test_the_state_folder_is_made_for_the_user_alone(home: Path) -> None:
    assert places.state().stat().st_mode & 0o777 == 0o700


def test_asking_where_the_configuration_is_makes_nothing(home: Path) -> None:
    places.config()
    assert not list(home.iterdir())
