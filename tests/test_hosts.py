"""hosts.yaml: the user's hosts, and everything that can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybridnb.errors import CallError, DefinitionError, HostError, NotFound, StoreError
from hybridnb.hosts import entries, registry
from hybridnb.hosts.config import Hosts, cores, limits
from hybridnb.hosts.host import PlainHost
from hybridnb.hosts.local import LocalTransport
from hybridnb.model import Resources


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
        "'slot' is not a field of host 'a'; did you mean 'slots'? (known: transport, address, user, port, identity,",
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
        "transport of host 'a': 'locl' is not there; did you mean 'local'? (this version has local, ssh, openssh, wsl)",
    ),
    (
        "hosts:\n  a: {scheduler: proces}",
        2,
        "scheduler of host 'a': 'proces' is not there; did you mean 'process'? (this version has process, slurm)",
    ),
    ("hosts:\n  a: {transport: ssh, port: 0}", 2, "port of host 'a': expected 1 or more, not 0"),
    ("hosts:\n  a: {transport: ssh, port: 65536}", 2, "port of host 'a': expected 65535 or less, not 65536"),
    ("hosts:\n  a: {transport: ssh, port: ssh}", 2, "port of host 'a': expected a whole number, not 'ssh'"),
    ("hosts:\n  a: {transport: ssh, address: me@x}", 2, "address of host 'a': expected a name, an IP address or an alias"),
    ("hosts:\n  a: {transport: ssh, address: 'x:22'}", 2, "address of host 'a': expected a name, an IP address or an alias"),
    ("hosts:\n  a: {transport: ssh, address: -oProxyCommand=x}", 2, "address of host 'a': expected a name, not '-oProxyCommand=x'"),
    ("hosts:\n  a: {transport: ssh, user: 'a b'}", 2, "user of host 'a': expected one word, without spaces"),
    ("hosts:\n  a: {transport: ssh, user: -l}", 2, "user of host 'a': expected a name, not '-l', which begins with a dash"),
    ("hosts:\n  a: {transport: wsl, distro: --shutdown}", 2, "distro of host 'a': expected a name, not '--shutdown'"),
    ("hosts:\n  a: {transport: ssh, identity: id_ed25519}", 2, "identity of host 'a': expected the path of a private key"),
    ("hosts:\n  a: {transport: ssh, directory: ../x}", 2, "directory of host 'a': expected a path without '..', not '../x'"),
    ("hosts:\n  a: {transport: ssh, directory: ~bob/x}", 2, "directory of host 'a': expected a path from / or ~/ on"),
    ('hosts:\n  a: {transport: ssh, directory: "a\\nb"}', 2, "directory of host 'a': expected one line without control characters"),
    ("hosts:\n  a: {shell: 'bash \"'}", 2, "shell of host 'a': expected the words of a command, such as bash -l"),
    ("hosts:\n  a: {setup: {a: b}}", 2, "setup of host 'a': expected a list of texts, not a mapping"),
    ("hosts:\n  a: {resources: {partion: x}}", 2, "'partion' is not a field of resources of host 'a'; did you mean 'partition'?"),
    ("hosts:\n  a: {resources: {time: soon}}", 2, "time in resources of host 'a': expected Slurm's minutes"),
    (
        "hosts:\n  a:\n    address: x",
        3,
        "address of host 'a': is for the transports ssh, openssh; without 'transport: …' a host is this machine",
    ),
    ("hosts:\n  a: {transport: wsl, port: 22}", 2, "port of host 'a': is for the transports ssh, openssh, not for wsl"),
    ("hosts:\n  a: {transport: local, user: me}", 2, "user of host 'a': is for the transports ssh, openssh, wsl, not for local"),
    ("hosts:\n  a: {transport: ssh, distro: x}", 2, "distro of host 'a': is for the transport wsl, not for ssh"),
    ("hosts:\n  a: {directory: /scratch}", 2, "directory of host 'a': this machine's jobs live in the folders of their runs"),
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


def test_an_entry_that_is_wrong_keeps_nobody_from_the_others(home: Path, tmp_path: Path) -> None:
    found = hosts(home, "hosts:\n  bad: {slot: 2}\n  good: {slots: 2}\n  mended: {slot: 3}\n")
    (tmp_path / "hosts.yaml").write_text("hosts: {mended: {slots: 3}, worse: 1}")
    assert found.known("good", tmp_path) == {"slots": 2}
    assert found.known("mended", tmp_path) == {"slots": 3}
    assert found.known("local") == {}
    with pytest.raises(DefinitionError) as told:
        found.known("bad")
    assert [(problem.line, "did you mean 'slots'" in problem.message) for problem in told.value.problems] == [(2, True)]
    with pytest.raises(NotFound, match="did you mean 'bad'"):
        found.known("badd")
    known = found.described(tmp_path)
    assert ([*known.good], [*known.bad]) == (["local", "good", "mended"], ["bad", "worse"])


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


# -- what can be said of a host -------------------------------------------------------------------------------------------
ALL = """\
hosts:
  rivanna:
    transport: ssh
    address: rivanna.hpc.virginia.edu
    user: ab1cd
    port: 2222
    identity: ~/.ssh/id_rivanna
    scheduler: slurm
    directory: /scratch/ab1cd/jobs
    slots: 500
    grace: 30s
    resources: {partition: gpu, account: bii, cpus: 4}
    setup: [module load python, conda activate x]
    shell: bash -l
  box:
    transport: wsl
    distro: Ubuntu-22.04
    user: me
    setup: export A=1
  kerberos: {transport: openssh}
  here: {scheduler: slurm, directory: ~/x}
"""


def test_all_that_can_be_said_of_a_host_is_read(home: Path) -> None:
    found = hosts(home, ALL).entries()
    assert found["rivanna"] == {
        "transport": "ssh",
        "address": "rivanna.hpc.virginia.edu",
        "user": "ab1cd",
        "port": 2222,
        "identity": str(Path("~/.ssh/id_rivanna").expanduser()),
        "scheduler": "slurm",
        "directory": "/scratch/ab1cd/jobs",
        "slots": 500,
        "grace": 30.0,
        "resources": Resources(partition="gpu", account="bii", cpus_per_task=4),
        "setup": ("module load python", "conda activate x"),
        "shell": "bash -l",
    }
    assert found["box"] == {"transport": "wsl", "distro": "Ubuntu-22.04", "user": "me", "setup": ("export A=1",)}
    assert {key for entry in found.values() for key in entry} == entries.KEYS.keys()


def test_an_entry_is_told_as_plain_data(home: Path) -> None:
    told = entries.plain(hosts(home, ALL).known("rivanna"))
    assert told["resources"] == {"partition": "gpu", "account": "bii", "cpus_per_task": 4}
    assert told["setup"] == ["module load python", "conda activate x"]


def test_a_far_host_has_as_many_slots_as_it_sees_fit(home: Path) -> None:
    found = hosts(home, ALL)
    assert limits(found.known("kerberos")) == {"slots": 0, "grace": 10}
    assert limits(found.known("rivanna")) == {"slots": 500, "grace": 30.0}


# -- beside the workflow --------------------------------------------------------------------------------------------------
def test_a_file_beside_the_workflow_adds_hosts_and_replaces_whole_entries(home: Path, tmp_path: Path) -> None:
    found = hosts(home, "hosts:\n  local: {slots: 3}\n  a: {slots: 1, grace: 5}\n  b: {slots: 2}\n")
    (tmp_path / "hosts.yaml").write_text("hosts:\n  a: {slots: 7}\n  c: {}\n")
    assert found.entries(tmp_path) == {"local": {"slots": 3}, "a": {"slots": 7}, "b": {"slots": 2}, "c": {}}
    assert found.known("c", tmp_path) == {}
    with pytest.raises(NotFound):
        found.known("c")


def test_what_is_wrong_beside_the_workflow_is_told_with_that_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("hosts: {a: {slots: 0}}")
    with pytest.raises(DefinitionError) as told:
        Hosts().entries(tmp_path)
    assert told.value.problems[0].file == str(tmp_path / "hosts.yaml")


def test_two_workflows_may_mean_different_hosts_by_one_name(home: Path, tmp_path: Path) -> None:
    found = hosts(home, "hosts: {a: {}}")
    (tmp_path / "hosts.yaml").write_text("hosts: {a: {setup: [export A=1], slots: 2}}")
    mine, theirs = found.get("a"), found.get("a", tmp_path)
    assert mine is not theirs
    assert found.open() == [mine, theirs]
    found.close()


def test_hosts_that_differ_by_their_limits_are_one(home: Path, tmp_path: Path) -> None:
    found = hosts(home, "hosts: {a: {slots: 1}}")
    (tmp_path / "hosts.yaml").write_text("hosts: {a: {slots: 4, grace: 1}}")
    host = found.get("a")
    assert isinstance(host, PlainHost)
    assert found.get("a", tmp_path) is host
    assert host.slots == 4
    found.close()


@pytest.mark.parametrize("text", ["hosts: {a: {slots: 0}}", "hosts: {}", "hosts: ["])
def test_a_host_that_is_open_stays_while_its_file_is_being_edited(home: Path, text: str) -> None:
    found = hosts(home, "hosts: {a: {}}")
    host = found.get("a")
    (home / "hosts.yaml").write_text(text)
    assert found.get("a") is host
    with pytest.raises((DefinitionError, NotFound)):
        found.known("a")
    found.close()


def test_a_file_is_read_once_until_it_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = hosts(home, "hosts: {a: {}}")
    found.known("a")
    monkeypatch.setattr(entries, "read", lambda file: pytest.fail(f"{file} was read again"))
    assert found.known("a") == {}


def test_a_question_wakes_whoever_waits_for_the_hosts() -> None:
    found, woken = Hosts(), []
    found.wake = lambda: woken.append(len(found.questions.open()))
    with pytest.raises(HostError):
        found.questions.ask("a", "Password:", timeout=0.01)
    assert woken == [1, 0]


# -- adding one -----------------------------------------------------------------------------------------------------------
def added(home: Path, text: str, name: str = "new", **entry: object) -> str:
    (home / "hosts.yaml").write_text(text)
    entries.add(home / "hosts.yaml", name, entry or {"transport": "ssh", "address": "x.org"}, replace="replace" in text)
    return (home / "hosts.yaml").read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\n", "# mine\nhosts:\n  new:\n    transport: ssh\n    address: x.org\n"),
        ("# mine", "# mine\nhosts:\n  new:\n    transport: ssh\n    address: x.org\n"),
        ("hosts:\n", "hosts:\n  new:\n    transport: ssh\n    address: x.org\n"),
        (
            "# all\nhosts:  # here\n  a: {slots: 2}   # two\n\n  # last\n  b:\n    grace: 1.0\n",
            "# all\nhosts:  # here\n  a: {slots: 2}   # two\n\n  # last\n  b:\n    grace: 1.0\n\n"
            "  new:\n    transport: ssh\n    address: x.org\n",
        ),
        (
            "hosts:\n  new: {slots: 2}   # replace\n  b: {}  # stays\n",
            "hosts:\n  new: # replace\n    transport: ssh\n    address: x.org\n  b: {}  # stays\n",
        ),
    ],
)
def test_a_host_is_added_and_comments_and_order_stay(home: Path, before: str, after: str) -> None:
    assert added(home, before) == after
    assert Hosts().known("new") == {"transport": "ssh", "address": "x.org"}


def test_into_a_file_in_one_line_a_host_is_added_too(home: Path) -> None:
    added(home, "hosts: {a: {slots: 2}}")
    assert Hosts().entries() == {"local": {}, "a": {"slots": 2}, "new": {"transport": "ssh", "address": "x.org"}}


def test_the_first_host_makes_the_file_and_its_folder(tmp_path: Path) -> None:
    entries.add(tmp_path / "deep/er/hosts.yaml", "a", {"slots": 2})
    assert entries.read(tmp_path / "deep/er/hosts.yaml").checked() == {"a": {"slots": 2}}


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("hosts: {}\n")
    (tmp_path / "mine.yaml").chmod(0o600)
    (tmp_path / "hosts.yaml").symlink_to("mine.yaml")
    entries.add(tmp_path / "hosts.yaml", "a", {})
    assert (tmp_path / "hosts.yaml").is_symlink()
    assert (tmp_path / "mine.yaml").stat().st_mode & 0o777 == 0o600
    assert entries.read(tmp_path / "mine.yaml").checked() == {"a": {}}


def test_odd_texts_come_back_as_they_were(home: Path) -> None:
    lines = ["module load 'x: y' # not a comment", 'export A="$B"', "- dash", "yes"]
    added(home, "", transport="ssh", setup=lines, shell="bash -l", identity="/a b/#c")
    assert Hosts().known("new") == {"transport": "ssh", "setup": tuple(lines), "shell": "bash -l", "identity": "/a b/#c"}


@pytest.mark.parametrize(
    ("text", "name", "entry", "kind", "message"),
    [
        ("hosts: {new: {}}", "new", {"slots": 2}, CallError, "host 'new' is in .*hosts.yaml already; --replace puts"),
        ("", "a b", {}, DefinitionError, "the host name 'a b' cannot be used"),
        ("", "new", {"adress": "x"}, DefinitionError, "did you mean 'address'"),
        ("", "new", {"address": "x"}, DefinitionError, "is for the transports ssh, openssh"),
        ("hosts: {a: {slots: 0}}", "new", {}, DefinitionError, "hosts.yaml:1: slots of host 'a'"),
        ("hosts: [", "new", {}, DefinitionError, "not YAML"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    home: Path, text: str, name: str, entry: dict[str, object], kind: type[Exception], message: str
) -> None:
    (home / "hosts.yaml").write_text(text)
    with pytest.raises(kind, match=message):
        entries.add(home / "hosts.yaml", name, entry)
    assert (home / "hosts.yaml").read_text() == text


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"hosts\.yaml: cannot be written: .*; nothing was changed"):
        entries.add(tmp_path / "file/hosts.yaml", "a", {})


# -- more transports ------------------------------------------------------------------------------------------------------
@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package with two transports, of which one is broken."""
    (tmp_path / "carrier.py").write_text("class Pigeon: pass\n")
    about = tmp_path / "carrier-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hybridnb.transports]\npigeon = carrier:Pigeon\nowl = carrier:Owl\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_another_package_can_add_a_transport(plugin: None, home: Path) -> None:
    assert hosts(home, "hosts: {a: {transport: pigeon, address: loft, distro: x}}").known("a")["transport"] == "pigeon"
    assert registry.load(registry.TRANSPORTS, "pigeon").__name__ == "Pigeon"
    with pytest.raises(DefinitionError, match="did you mean 'pigeon'"):
        hosts(home, "hosts: {a: {transport: pigon}}").entries()


def test_a_transport_that_cannot_be_loaded_is_told_with_its_place(plugin: None) -> None:
    with pytest.raises(HostError, match=r"'owl' \(carrier:Owl, by the entry point hybridnb.transports\) cannot be loaded"):
        registry.load(registry.TRANSPORTS, "owl")
    with pytest.raises(NotFound, match="did you mean 'owl'"):
        registry.load(registry.TRANSPORTS, "owls")


def test_our_own_transports_are_found_without_a_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **_: pytest.fail("looked"))
    assert registry.load(registry.TRANSPORTS, "local") is LocalTransport
    assert registry.known(registry.SCHEDULERS, "slurm")
