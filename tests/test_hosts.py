"""hosts.yaml: the user's hosts, and everything that can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybridnb.errors import DefinitionError, NotFound
from hybridnb.hosts.config import Hosts, cores
from hybridnb.hosts.host import PlainHost


def hosts(home: Path, text: str | bytes) -> Hosts:
    (home / "hosts.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Hosts()


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n\n  # hosts:\n", "hosts:\n", "hosts: {}\n"])
def test_without_a_word_on_it_there_is_this_machine(home: Path, text: str | None) -> None:
    found = Hosts() if text is None else hosts(home, text)
    assert found.entries() == {"local": {}}


def test_local_has_as_many_slots_as_this_process_has_cores(home: Path) -> None:
    found = Hosts()
    assert found.get("local").facts()["slots"] == cores() == len(os.sched_getaffinity(0))
    found.close()


def test_hosts_are_read_with_their_keys(home: Path) -> None:
    found = hosts(
        home,
        "hosts:\n  local: {slots: 3, grace: 0}\n  big_box-2.lab@x:\n    transport: local\n    scheduler: process\n    grace: 1.5\n",
    )
    assert found.entries() == {
        "local": {"slots": 3, "grace": 0.0},
        "big_box-2.lab@x": {"transport": "local", "scheduler": "process", "grace": 1.5},
    }
    assert found.known("local") == {"slots": 3, "grace": 0.0}


def test_a_host_without_keys_is_this_machine_under_another_name(home: Path) -> None:
    found = hosts(home, "hosts:\n  other:\n")
    host = found.get("other")
    assert isinstance(host, PlainHost)
    assert (host.name, host.slots) == ("other", cores())
    found.close()


def test_a_host_is_opened_once_and_let_go_at_the_end(home: Path) -> None:
    found = Hosts()
    first = found.get("local")
    assert found.get("local") is first
    assert found.open() == [first]
    found.close()
    assert found.open() == []


def test_what_is_written_meanwhile_is_read(home: Path) -> None:
    found = hosts(home, "hosts: {a: {}}")
    assert found.known("a") == {}
    (home / "hosts.yaml").write_text("hosts: {b: {slots: 2}}")
    assert found.known("b") == {"slots": 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rivana", "host 'rivana' is not known; did you mean 'rivanna'? Known are local, rivanna; describe it in "),
        ("zzz", "host 'zzz' is not known. Known are local, rivanna; describe it in "),
    ],
)
def test_an_unknown_host_is_told_with_the_known_ones_and_the_file(home: Path, name: str, message: str) -> None:
    found = hosts(home, "hosts: {rivanna: {}}")
    for ask in (found.known, found.get):
        with pytest.raises(NotFound) as told:
            ask(name)
        assert str(told.value) == message + str(home / "hosts.yaml")


WRONG = [
    (
        "hosts:\n  a: {slot: 2}",
        2,
        "'slot' is not a field of host 'a'; did you mean 'slots'? (known: transport, scheduler, slots, grace)",
    ),
    ("hosts:\n  a:\n    slots: 0", 3, "slots of host 'a': expected 1 or more, not 0"),
    ("hosts:\n  a: {slots: -1}", 2, "slots of host 'a': expected 1 or more, not -1"),
    ("hosts:\n  a: {slots: true}", 2, "slots of host 'a': expected a whole number, not 'true'"),
    ("hosts:\n  a: {slots: 1.5}", 2, "slots of host 'a': expected a whole number, not '1.5'"),
    ("hosts:\n  a: {slots: [1]}", 2, "slots of host 'a': expected a whole number, not a list"),
    ("hosts:\n  a: {slots: many}", 2, "slots of host 'a': expected a whole number, not 'many'"),
    ("hosts:\n  a: {grace: -1}", 2, "grace of host 'a': expected seconds, or a time as 90s, 10m, 2h, 1d or 1:30:00, not '-1'"),
    ("hosts:\n  a: {grace: .inf}", 2, "grace of host 'a': expected seconds"),
    ("hosts:\n  a: {grace: {}}", 2, "grace of host 'a': expected seconds"),
    ("hosts:\n  a: {transport: [x]}", 2, "transport of host 'a': expected a text, not a list"),
    (
        "hosts:\n  a: {transport: locl}",
        2,
        "transport of host 'a': 'locl' is not there; did you mean 'local'? (this version has local)",
    ),
    (
        "hosts:\n  a: {scheduler: proces}",
        2,
        "scheduler of host 'a': 'proces' is not there; did you mean 'process'? (this version has process)",
    ),
    ("hosts:\n  a: 3", 2, "host 'a': expected a mapping, not a number"),
    ("hosts:\n  a: {}\n  a: {}", 3, "'a' is defined twice in hosts, first in line 2"),
    ("hosts:\n  ../a: {}", 2, "the host name '../a' cannot be used"),
    ("hosts:\n  'a b': {}", 2, "the host name 'a b' cannot be used"),
    ("hosts:\n  '': {}", 2, "a host needs a name"),
    ("hosts:\n  1: {}", 2, "the host name 1 is not a text to YAML; put it in quotes"),
    ("hosts:\n  yes: {}", 2, "the host name yes is not a text to YAML; put it in quotes"),
    ("hosts:\n  null: {}", 2, "the host name null is not a text to YAML; put it in quotes"),
    ("hosts:\n  [a]: {}", 2, "hosts: a key is a text, not a list"),
    ("# mine\nhosts: [a]", 2, "hosts: expected a mapping, not a list"),
    ("rivanna: {}", 1, "'rivanna' is not a field of a hosts file (known: hosts)"),
    ("host: {}", 1, "'host' is not a field of a hosts file; did you mean 'hosts'? (known: hosts)"),
    ("- a", 1, "a hosts file: expected a mapping, not a list"),
    ("hosts:\n\ta: {}", 2, "this is not YAML"),
    ("hosts:\n  a: !!python/object/apply:os.system [x]", 2, "tags are not used here"),
    ("hosts:\n  a: &x {}\n  b: *x", 2, "anchors are not used here"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_is_wrong_is_told_with_file_and_line(home: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(DefinitionError) as told:
        hosts(home, text).entries()
    problem = told.value.problems[0]
    assert (problem.file, problem.line) == (str(home / "hosts.yaml"), line)
    assert problem.message.startswith(message)


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(home: Path) -> None:
    with pytest.raises(DefinitionError) as told:
        hosts(home, "hosts:\n  a: {slots: 0, transport: tcp}\n  2: {}\n  c: {grace: x}\nmore: 1\n").entries()
    assert [problem.line for problem in told.value.problems] == [2, 2, 3, 4, 5]


def test_a_number_in_quotes_is_a_name(home: Path) -> None:
    assert hosts(home, "hosts:\n  '1': {}").known("1") == {}


@pytest.mark.parametrize("text", [b"hosts: {caf\xe9: {}}", b"\xff\xfe"])
def test_a_file_that_is_no_utf_8_is_told(home: Path, text: bytes) -> None:
    with pytest.raises(DefinitionError, match=r"hosts\.yaml: cannot be read"):
        hosts(home, text).entries()


def test_a_folder_in_its_place_is_told(home: Path) -> None:
    (home / "hosts.yaml").mkdir()
    with pytest.raises(DefinitionError, match=r"hosts\.yaml: cannot be read: .*Is a directory"):
        Hosts().entries()


def test_another_file_can_be_read(tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.yaml").write_text("hosts: {a: {}}")
    assert repr(Hosts(file=tmp_path / "mine.yaml")) == "Hosts(['a', 'local'])"
