"""Completion of the magics' lines, in IPython's completer and in a kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel

from hybridnb.definition import parse
from hybridnb.model import Workflow
from hybridnb.notebook import complete
from hybridnb.notebook.complete import Matcher

WORKFLOW = """
jobs:
  split: {script: "true", params: {seed: 1}, env: {OMP_NUM_THREADS: 1}}
  train: {host: rivanna, script: "true", sweep: {lr: [1, 2]}, params: {depth: 2}, resources: {account: bii, partition: standard}}
  fold-1: {script: "true", group: folds}
  fold-2: {script: "true", group: folds}
"""

PATIENCE = complete._PATIENCE


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let typing wait for answers that are late only because the machine is slow."""
    monkeypatch.setattr(complete, "_PATIENCE", 60.0)


class Here:
    """A source that answers at once."""

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        return {"local": {}, "rivanna": {"resources": {"account": "hpc", "qos": "normal"}}, "workstation": {}}

    def workflow(self) -> Workflow | None:
        return parse(WORKFLOW, file="study.yaml")

    def partitions(self, host: str) -> list[str]:
        return ["standard", "gpu"] if host == "rivanna" else []


class Broken(Here):
    """A source whose files cannot be read."""

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        raise ValueError("hosts.yaml")

    def workflow(self) -> Workflow | None:
        raise ValueError("study.yaml")


class Slow(Here):
    """A source that answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked = 0

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        self.asked += 1
        self.let.wait(60)
        return super().hosts()


Complete = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()  # type: ignore[no-untyped-call]
    yield made
    assert made.history_manager
    made.history_manager.end_session()


def texts(shell: InteractiveShell, code: str, *, at: int | None = None) -> list[str]:
    """Return the cell's first lines as they are after each completion."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(code, len(code) if at is None else at))
    return [code[: each.start] + each.text for each in found]


def completed(shell: InteractiveShell, source: complete.Source, code: str) -> list[str]:
    matcher = Matcher(source)
    complete.install(shell, matcher)
    try:
        return texts(shell, code)
    finally:
        complete.uninstall(shell, matcher)


@pytest.fixture
def tab(shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Complete a line in a folder with some files; returns what was put in the place of its last word."""
    for name in ("data.csv", "data 2.csv", "über.txt", "a,b.txt", "{x}.txt"):
        (tmp_path / name).touch()
    (tmp_path / "data.d").mkdir()
    monkeypatch.chdir(tmp_path)
    return lambda code: [text.removeprefix(code.rpartition(" ")[0] + " ") for text in completed(shell, Here(), code)]


# -- %%job ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%%job ", ["local", "rivanna", "workstation"]),
        ("%%job ri", ["rivanna"]),
        ("%%job --wait ri", ["rivanna"]),
        ("%%job rivanna tr", ["train"]),
        ("%%job rivanna new --after ", ["split", "train", "fold-1", "fold-2", "folds"]),
        ("%%job rivanna new --after spl", ["split"]),
        ("%%job rivanna new --after=spl", ["--after=split"]),
        ("%%job rivanna new --after split,t", ["split,train"]),
        ("%%job rivanna new --after folds:", ["folds:ok", "folds:any", "folds:failed"]),
        ("%%job rivanna new --after split,train:f", ["split,train:failed"]),
        ("%%job rivanna new --par", ["--partition", "--param"]),
        ("%%job rivanna new --after a --aft", ["--after"]),
        ("%%job rivanna --partition ", ["standard", "gpu"]),
        ("%%job rivanna --partition=g", ["--partition=gpu"]),
        ("%%job local --partition ", ["standard"]),
        ("%%job rivanna --account ", ["hpc", "bii"]),
        ("%%job rivanna --qos ", ["normal"]),
        ("%%job local --lang p", ["python", "perl", "php"]),
        ("%%job local new -p ", ["seed=", "depth=", "lr="]),
        ("%%job local new -p se", ["seed="]),
        ("%%job local new --env ", ["OMP_NUM_THREADS="]),
        ("%%job local --in da", ["'data 2.csv'", "data.csv", "data.d/"]),
        ("%%job local --in x,data.c", ["x,data.csv"]),
        ("%%job local --out ü", ["über.txt"]),
        ("%%job local --in '{'", ["'{{x}}.txt'"]),
    ],
)
def test_a_line_offers_what_can_stand_at_the_cursor(tab: Complete, line: str, offers: list[str]) -> None:
    assert tab(line) == offers


@pytest.mark.parametrize(
    "line", ["rivanna new --after split,spl", "rivanna new --wait --wa", "local --in a", "local a b c", "local --time 1"]
)
def test_what_cannot_be_said_there_is_not_offered(tab: Complete, line: str) -> None:
    assert Matcher(Here()).complete("%%job", line)[1] == {}


def test_a_name_with_a_space_is_completed_within_its_quotes(shell: InteractiveShell, tab: Complete) -> None:
    assert completed(shell, Here(), "%%job local --in 'data ") == ["%%job local --in 'data 2.csv'"]


def test_after_the_host_come_names_and_options(tab: Complete) -> None:
    found = tab("%%job rivanna ")
    assert found[:4] == ["split", "train", "fold-1", "fold-2"]
    assert {"--after", "--time", "--sweep"} <= set(found)


def test_the_body_of_a_cell_is_none_of_its_business(shell: InteractiveShell) -> None:
    assert "cell\n%%job rivanna" not in completed(shell, Here(), "cell\n%%job ri")
    assert not any("rivanna" in text for text in completed(shell, Here(), "%%job local\nri"))


def test_lines_that_are_not_ours_are_left_to_others(shell: InteractiveShell) -> None:
    assert "print" in completed(shell, Here(), "pri")
    assert "%%job" not in "".join(completed(shell, Here(), "%%timeit pri"))


# -- %workflow, %hosts, %runs ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%workflow r", ["run", "retry", "remove", "rename"]),
        ("x = 1\n%workflow con", ["connect"]),
        ("r = %workflow run --fr", ["--from"]),
        ("%workflow run --job split t", ["train"]),
        ("%workflow run --from fol", ["fold-1", "fold-2", "folds"]),
        ("%workflow cancel split fold", ["fold-1", "fold-2", "folds"]),
        ("%workflow log tr", ["train"]),
        ("%workflow connect split tr", ["train"]),
        ("%workflow connect split train --kind ", ["ok", "any", "failed"]),
        ("%workflow rename sp", ["split"]),
        ("%workflow add new ri", ["rivanna"]),
        ("%workflow open da", ["'data 2.csv'", "data.csv", "data.d/"]),
        ("%hosts ch", ["check"]),
        ("%hosts check wo", ["workstation"]),
        ("%runs --a", ["--all"]),
    ],
)
def test_a_line_magic_offers_its_words_and_what_they_take(tab: Complete, line: str, offers: list[str]) -> None:
    assert tab(line) == offers


# -- trouble --------------------------------------------------------------------------------------------------------------
def test_files_that_are_broken_are_no_reason_to_complain(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert "rivanna" not in "".join(completed(shell, Broken(), "%%job ri"))
    assert completed(shell, Broken(), "%%job local --af") == ["%%job local --after"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("line", ["%workflow nonsense ", "%%job ' ", '%%job a "b', "%%job a --", "%workflow -", "%%job \\"])
def test_a_line_that_nobody_understands_is_no_reason_to_complain(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    completed(shell, Here(), line)
    assert capsys.readouterr() == ("", "")


def test_typing_waits_for_nobody_long_and_the_answer_is_there_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Slow()
    matcher = Matcher(source)
    took = []
    with monkeypatch.context() as patch:
        patch.setattr(complete, "_PATIENCE", PATIENCE)
        for _ in range(5):
            began = time.monotonic()
            assert matcher.complete("%%job", "ri") == ("ri", {})
            took.append(time.monotonic() - began)
    assert min(took) < 0.3, "the machine may be slow, but not each time"
    assert source.asked == 1, "what is still asked is not asked again"
    source.let.set()
    assert matcher.complete("%%job", "ri") == ("ri", {"rivanna": "host"})


def test_nothing_stays_when_it_is_uninstalled(shell: InteractiveShell) -> None:
    before = list(shell.Completer.custom_matchers)
    completed(shell, Here(), "%%job ri")
    assert shell.Completer.custom_matchers == before


# -- a kernel -------------------------------------------------------------------------------------------------------------
SETUP = """
from hybridnb.notebook import complete
class Source:
    def hosts(self): return {"local": {}, "rivanna": {}}
    def workflow(self): return None
    def partitions(self, host): return ["standard", "gpu"]
complete._PATIENCE = 60.0
complete.install(get_ipython(), complete.Matcher(Source()))
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        assert client.execute_interactive(SETUP, timeout=60, output_hook=lambda _: None)["content"]["status"] == "ok"
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%%job ri", ["rivanna"]),
        ("%%job rivanna --partition=g", ["gpu"]),
        ("%workflow dis", ["disconnect"]),
        ("r = %workflow run --fa", ["--failed"]),
    ],
)
def test_a_kernel_answers_a_front_end(kernel: Any, line: str, offers: list[str]) -> None:
    told = kernel.complete(line, len(line), reply=True, timeout=60)["content"]
    assert told["matches"] == offers
    assert line[: told["cursor_start"]] + told["matches"][0] == line[: -len(_fragment(line))] + offers[0]
    assert [each["type"] for each in told["metadata"]["_jupyter_types_experimental"]] != ["<unknown>"]


def _fragment(line: str) -> str:
    return line.rpartition(" ")[2].rpartition("=")[2]
