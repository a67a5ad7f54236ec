"""The README says all that the program understands, and nothing that it does not."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from hybridnb.hosts import check, entries, registry
from hybridnb.model import Job, Resources, Workflow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Return the text of a `## title` section."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, f"the README has no section '{title}'"
    return found[1]


def parser() -> argparse.ArgumentParser:
    from hybridnb import cli

    return cli.parser()


def commands(top: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield ("service start", its parser) for every command, those below commands too."""
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield " ".join((*words, name)), below
                yield from commands(below, (*words, name))


def options(command: argparse.ArgumentParser) -> set[str]:
    return {word for action in command._actions for word in action.option_strings} - {"-h", "--help"}


def listed() -> list[str]:
    """Return the README's list of commands; what is indented goes on with the line above."""
    return [re.sub(r"\n +", " ", found) for found in re.findall(r"^hybridnb .*(?:\n +.*)*", section("Commands"), re.M)]


def documented(command: str) -> list[str]:
    """Return the entries of that list that begin with this command."""
    return [entry for entry in listed() if f"{entry} ".startswith(f"hybridnb {command} ")]


def test_every_command_is_in_the_readme() -> None:
    assert [name for name, below in commands(parser()) if not documented(name) and not list(commands(below))] == []


def test_every_option_stands_beside_its_command_in_the_readme() -> None:
    missing = [
        f"{name} {option}"
        for name, below in commands(parser())
        for option in options(below)
        if not re.search(rf"(?<![\w-]){option}(?![\w-])", " ".join(documented(name)))
    ]
    assert missing == []


def test_the_readme_lists_no_command_or_option_that_does_not_exist() -> None:
    known = dict(commands(parser()))
    for line in listed():
        words, _, _ = line.removeprefix("hybridnb ").partition("  ")
        command = max((name for name in known if f"{words} ".startswith(f"{name} ")), key=len, default=None)
        if words.startswith("-"):
            assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", words)) <= {*options(parser()), "-h", "--help"}, line
            continue
        assert command, line
        assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", words)) <= options(known[command]), line


def keys(kind: type, *leave_out: str) -> set[str]:
    return {f.name for f in fields(kind)} - set(leave_out)


def table(title: str) -> set[str]:
    """Return what the first column of the table under `### title` names."""
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", README, re.M | re.S)
    assert found, f"the README has no part '{title}'"
    return {key for cell in re.findall(r"^\| ([^|]*) \|", found[1], re.M) for key in re.findall(r"`([\w ]+)`", cell)}


@pytest.mark.parametrize(
    ("title", "kind", "leave_out"),
    [("A workflow", Workflow, ()), ("A job", Job, ("name",)), ("Resources", Resources, ())],
)
def test_the_readme_tells_every_key_of_the_file_format_and_no_other(title: str, kind: type, leave_out: tuple[str, ...]) -> None:
    assert table(title) == keys(kind, *leave_out)


def test_the_example_in_the_readme_is_a_workflow(tmp_path: Path) -> None:
    from hybridnb.definition import load

    (example,) = re.findall(r"^```yaml\n(name: .*?)^```", README, re.M | re.S)
    (tmp_path / "example.yaml").write_text(example)
    assert load(tmp_path / "example.yaml").jobs


def test_the_example_notebook_has_a_workflow_that_loads() -> None:
    from hybridnb.definition import load

    assert "fetch" in load(ROOT / "example_notebooks/digits.yaml").jobs


def test_the_readme_tells_every_key_of_a_host_and_no_other() -> None:
    assert table("Hosts") == entries.KEYS.keys()


def test_the_transports_and_schedulers_that_the_readme_names_are_those_that_there_are() -> None:
    for key, group in (("transport", registry.TRANSPORTS), ("scheduler", registry.SCHEDULERS)):
        (row,) = re.findall(rf"^\| `{key}` \| (.*) \|$", README, re.M)
        assert set(re.findall(r"`(\w+)`", row)) == {*registry.own(group), *({"ssh"} if key == "transport" else set())}


def test_the_hosts_in_the_readme_can_be_read(tmp_path: Path) -> None:
    examples = re.findall(r"^```yaml\n(hosts:.*?)^```", README, re.M | re.S)
    assert examples
    for example in examples:
        (tmp_path / "hosts.yaml").write_text(example)
        assert entries.read(tmp_path / "hosts.yaml")


def test_the_steps_of_a_check_in_the_readme_are_those_that_there_are() -> None:
    (shown,) = re.findall(r"^\$ hybridnb hosts check .*?^```", README, re.M | re.S)
    steps = [step.strip() for step in re.findall(r"^[✔✘] (.{11})", shown, re.M)]
    there = [what for what, _ in check._probes({"scheduler": "slurm", "setup": ("true",)})]
    assert steps == ["name", "connection", "host key", "login", *there]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_document_names_exists_and_is_explained(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / document).read_text(), re.M)) <= targets


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_links_to_exists(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
