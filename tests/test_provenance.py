"""What makes a run an experiment's record."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

import pytest

from hybridnb import __version__, provenance
from hybridnb.journal import flow


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit with code.py and data/in.csv."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "code.py").write_text("old\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/in.csv").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    return tmp_path


def digest(text: bytes) -> dict[str, object]:
    return {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}


# -- git ------------------------------------------------------------------------------------------------------------------
def test_a_clean_repository_is_described_by_its_commit(repository: Path) -> None:
    about, diff = provenance.git(repository)
    assert about == {"commit": git(repository, "rev-parse", "HEAD"), "branch": "main", "dirty": False, "untracked": []}
    assert diff == b""


def test_changed_files_make_it_dirty_and_the_diff_brings_them_back(repository: Path) -> None:
    (repository / "code.py").write_text("new\n")
    (repository / "data/in.csv").write_bytes(b"\0\1\2")
    (repository / "added ü.py").write_text("x\n")
    git(repository, "add", "added ü.py")
    about, diff = provenance.git(repository / "data")
    assert (about["dirty"], about["untracked"]) == (True, [])
    git(repository, "reset", "-q", "--hard")
    subprocess.run(["git", "-C", str(repository), "apply"], input=diff, check=True)
    texts = [(repository / name).read_bytes() for name in ("code.py", "data/in.csv", "added ü.py")]
    assert texts == [b"new\n", b"\0\1\2", b"x\n"]


def test_files_that_git_does_not_know_are_named_and_do_not_make_it_dirty(repository: Path) -> None:
    (repository / "new ü\n.py").write_text("x")
    (repository / "digits.runs").mkdir()
    (repository / "digits.runs/a").write_text("x")
    about, diff = provenance.git(repository)
    assert (about["dirty"], about["untracked"], diff) == (False, ["digits.runs/", "new ü\n.py"], b"")


def test_the_user_s_own_ways_to_show_differences_do_not_change_the_diff(repository: Path) -> None:
    git(repository, "config", "diff.external", "false")
    git(repository, "config", "color.ui", "always")
    (repository / "code.py").write_text("new\n")
    assert b"\n-old\n+new\n" in provenance.git(repository)[1]


def test_a_large_diff_is_cut_and_that_is_told(repository: Path) -> None:
    (repository / "code.py").write_text("".join(f"{number}\n" for number in range(2_000_000)))
    about, diff = provenance.git(repository)
    assert about["diff_cut_at"] == len(diff) == 10 * 2**20


def test_a_detached_head_is_described_by_its_commit(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    about, _ = provenance.git(repository)
    assert (about["commit"], about["branch"]) == (git(repository, "rev-parse", "HEAD"), "HEAD")


def test_without_a_repository_a_commit_or_git_there_is_nothing_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.git(tmp_path) == ({}, b"")
    assert provenance.git(tmp_path / "gone") == ({}, b"")
    git(tmp_path, "init", "-q")
    assert provenance.git(tmp_path) == ({}, b"")
    monkeypatch.setenv("PATH", "/nowhere")
    assert provenance.git(tmp_path) == ({}, b"")


def test_what_git_cannot_tell_is_a_problem_and_not_clean(repository: Path) -> None:
    (repository / ".git/index").write_bytes(b"damaged")
    about, diff = provenance.git(repository)
    assert "dirty" not in about
    assert about["commit"] == git(repository, "rev-parse", "HEAD")
    assert "git did not tell everything" in about["problem"]
    assert diff == b""


def test_versions_are_those_of_what_runs_here() -> None:
    assert provenance.versions() == {"hybridnb": __version__, "python": platform.python_version()}


# -- checksums ------------------------------------------------------------------------------------------------------------
def test_files_globs_and_folders_are_told_with_size_and_checksum(tmp_path: Path) -> None:
    for name in ("a.csv", "part-1.h5", "part-2.h5", "deep/er/x", "deep/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = provenance.checksums(str(tmp_path), ["a.csv", "part-*.h5", "deep", "**/x"])
    assert found == {name: digest(name.encode()) for name in ("a.csv", "part-1.h5", "part-2.h5", "deep/er/x", "deep/y")}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    assert provenance.checksums(str(tmp_path), ["no such.csv", "*.h5"]) == {
        "no such.csv": {"missing": True},
        "*.h5": {"missing": True},
    }


def test_an_empty_folder_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert provenance.checksums(str(tmp_path), ["out"]) == {}


@pytest.mark.parametrize("name", ["data[1].csv", "a*b", "what?", "it's ü \U0001f600", "back\\slash", "-n", "new\nline"])
def test_names_that_look_like_patterns_or_worse_are_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "w[0]*"
    folder.mkdir()
    (folder / name).write_bytes(b"x")
    assert provenance.checksums(str(folder), [name]) == {name: digest(b"x")}


def test_patterns_hold_for_what_is_in_the_folder_and_not_for_its_name(tmp_path: Path) -> None:
    for folder in ("w[0]*", "w0x"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(folder)
    assert provenance.checksums(str(tmp_path / "w[0]*"), ["*.csv"]) == {"a.csv": digest(b"w[0]*")}


def test_a_name_that_is_no_utf_8_is_written_so_that_the_journal_can_hold_it(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9", "wb"):
        pass
    found = provenance.checksums(str(tmp_path), ["*"])
    assert found == {"caf\\xe9": digest(b"")}
    flow(found).encode()


def test_a_file_elsewhere_is_named_as_seen_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "data.csv").write_bytes(b"1")
    found = provenance.checksums(str(tmp_path / "work"), ["../data.csv", str(tmp_path / "data.csv")])
    assert found == {"../data.csv": digest(b"1")}


def test_what_has_no_content_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = provenance.checksums(str(tmp_path), ["pipe", "dangling", "/dev/zero"])
    assert found["pipe"] == {"error": "not a file with a content"}
    assert found["dangling"] == {"error": "No such file or directory"}
    assert "sha256" not in str(found)


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"one")
    first = provenance.checksums(str(tmp_path), ["data.csv"])
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    with open(file, "r+b") as out:  # the same size and time: only who reads it sees the difference
        out.write(b"two")
    os.utime(file, ns=times)
    assert provenance.checksums(str(tmp_path), ["data.csv"]) == first
    os.utime(file, ns=(times[0], times[1] + 1))
    assert provenance.checksums(str(tmp_path), ["data.csv"]) == {"data.csv": digest(b"two")}


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    text = os.urandom(1 << 20) * 3 + b"end"
    (tmp_path / "large").write_bytes(text)
    assert provenance.checksums(str(tmp_path), ["large"]) == {"large": digest(text)}
