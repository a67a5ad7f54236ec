"""Known host keys: which entry speaks for which name, and what follows."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from hybridnb.errors import Refused
from hybridnb.hosts.ssh.knownhosts import KnownHosts, append, fingerprint, key_type, label
from testbed.processes import program


def key(kind: str = "ssh-ed25519", *, seed: str = "a") -> bytes:
    """Make what looks like a public key on the wire."""
    return len(kind).to_bytes(4, "big") + kind.encode() + seed.encode() * 32


def entry(names: str, blob: bytes, marker: str = "") -> str:
    return f"{marker + ' ' if marker else ''}{names} {key_type(blob)} {base64.b64encode(blob).decode()} a comment\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


ONE, OTHER, RSA = key(), key(seed="b"), key("ssh-rsa")


@pytest.mark.parametrize(
    ("names", "name", "known"),
    [
        ("login.site.org", "login.site.org", True),
        ("login.site.org", "LOGIN.site.org", True),
        ("login.site.org", "login", False),
        ("other,login,10.0.0.1", "login", True),
        ("*.site.org", "login.site.org", True),
        ("*.site.org", "site.org", False),
        ("login?.site.org", "login2.site.org", True),
        ("*.site.org,!bad.site.org", "login.site.org", True),
        ("*.site.org,!bad.site.org", "bad.site.org", False),
        ("!bad", "good", False),
        ("[login]:2222", "[login]:2222", True),
        ("[login]:2222", "login", False),
        ("[*.site.org]:2222", "[login.site.org]:2222", True),
        ("[*]:22??", "[login]:2222", True),
    ],
)
def test_an_entry_speaks_for_the_names_that_its_patterns_match(file: Path, names: str, name: str, known: bool) -> None:
    file.write_text(entry(names, ONE))
    assert KnownHosts([file]).check("x", [name], ONE) is known


def test_every_entry_of_every_file_counts(tmp_path: Path) -> None:
    """paramiko#138, #1793: only the first key of a type was looked at."""
    mine, everybodys = tmp_path / "mine", tmp_path / "everybodys"
    mine.write_text(entry("h", OTHER) + entry("h", key(seed="c")))
    everybodys.write_text(entry("h", ONE))
    assert KnownHosts([mine, tmp_path / "missing", everybodys]).check("x", ["h"], ONE)


def test_another_key_of_the_same_type_means_that_it_changed(file: Path) -> None:
    file.write_text("# a comment\n\n" + entry("h", RSA) + entry("h", OTHER))
    with pytest.raises(Refused, match=f"changed.*{file}:4") as caught:
        KnownHosts([file]).check("x", ["h"], ONE)
    assert fingerprint(ONE) in str(caught.value)


def test_a_key_of_another_type_is_unknown_and_the_known_types_are_told(file: Path) -> None:
    file.write_text(entry("h", RSA))
    known = KnownHosts([file])
    assert not known.check("x", ["h"], ONE)
    assert known.types("h") == {"ssh-rsa"}


def test_a_revoked_key_is_refused_also_where_it_is_known(file: Path) -> None:
    file.write_text(entry("h", ONE) + entry("*", ONE, "@revoked"))
    with pytest.raises(Refused, match=f"revoked at {file}:2"):
        KnownHosts([file]).check("x", ["h"], ONE)
    assert KnownHosts([file]).types("h") == {"ssh-ed25519"}


def test_another_revoked_key_says_nothing(file: Path) -> None:
    file.write_text(entry("*", OTHER, "@revoked"))
    assert not KnownHosts([file]).check("x", ["h"], ONE)


def test_authorities_are_left_out(file: Path) -> None:
    file.write_text(entry("*", OTHER, "@cert-authority") + entry("*", ONE, "@cert-authority"))
    assert not KnownHosts([file]).check("x", ["h"], ONE)


def test_the_name_without_its_port_may_confirm_a_key_but_not_deny_it(file: Path) -> None:
    file.write_text(entry("h", ONE))
    assert KnownHosts([file]).check("x", ["[h]:2222", "h"], ONE)
    assert not KnownHosts([file]).check("x", ["[h]:2222", "h"], OTHER)


@pytest.mark.parametrize(
    "bad", ["h ssh-ed25519\n", "h ssh-ed25519 %%%\n", "h ssh-rsa AAAA\n", "|1|x\n", "|1|?|? ssh-ed25519 AAAA\n", "\x00\xff\n"]
)
def test_lines_that_make_no_sense_are_passed_over(file: Path, bad: str) -> None:
    file.write_bytes(bad.encode("latin-1") + entry("h", ONE).encode())
    assert KnownHosts([file]).check("x", ["h"], ONE)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=str(tmp_path)):
        KnownHosts([tmp_path]).find("h")


@pytest.mark.parametrize("hashed", [False, True])
def test_what_is_appended_is_known_afterwards_to_openssh_too(tmp_path: Path, hashed: bool) -> None:
    file = tmp_path / "new" / "known_hosts"
    append(file, "[Login]:2222", ONE, hashed=hashed)
    assert KnownHosts([file]).check("x", ["[login]:2222"], ONE)
    assert ("login" in file.read_text()) is not hashed
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    words = [program("ssh-keygen"), "-F", "[login]:2222", "-f", str(file)]
    assert "found: line 1" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_appending_keeps_what_is_there_and_completes_a_torn_line(file: Path) -> None:
    file.write_text(entry("h", RSA).rstrip("\n"))
    file.chmod(0o640)
    append(file, "h", ONE)
    assert KnownHosts([file]).types("h") == {"ssh-rsa", "ssh-ed25519"}
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_key_is_shown_as_openssh_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ecdsa", "-N", "", "-f", str(path)], check=True)
    blob = base64.b64decode(Path(f"{path}.pub").read_text().split()[1])
    shown = subprocess.run([program("ssh-keygen"), "-l", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert fingerprint(blob) == shown.split()[1]
    assert label(blob) == f"ECDSA {shown.split()[1]}"
