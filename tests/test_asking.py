"""Hosts that want a password and a code while a cell of a notebook waits for its job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from testbed.kernel import Kernel, Outputs
from testbed.laptop import entry, settle
from testbed.sshd import PASSWORD, Server, code

TRAIN = "%%job far train --wait\necho inside"


@pytest.fixture
def kernel(
    totp_server: Server, home: Path, jupyter: Path, monkeypatch: pytest.MonkeyPatch, kernels: Callable[..., Kernel]
) -> Kernel:
    """Give a kernel that knows the host far, which asks for a password and a code."""
    monkeypatch.setenv("PATH", str(settle(totp_server, jupyter)), prepend=os.pathsep)
    (home / "hosts.yaml").write_text(json.dumps({"hosts": {"far": entry(totp_server)}}))
    return kernels("study.ipynb")


def person(words: str, hidden: bool) -> str:
    """Type what is asked for."""
    assert hidden, "nobody looks over the shoulder"
    return PASSWORD if "assword" in words else code()


def told(outputs: Outputs) -> str:
    """All that was ever shown or written."""
    return json.dumps([outputs.text, [shown.data for shown in outputs.shown]])


def test_a_host_that_asks_is_answered_in_the_cell_that_waits(kernel: Kernel) -> None:
    done = kernel.run(TRAIN, "c1", answer=person)
    assert not done.error, done.text
    assert len(done.asked) == 2
    assert "far" in done.text
    assert "done" in done.card.text
    assert PASSWORD not in told(done)
    assert kernel.run("%workflow log train").value.strip() == "inside"


def test_where_nobody_can_be_asked_the_card_says_what_the_job_waits_for_until_somebody_answers(kernel: Kernel) -> None:
    waiting = kernel.begin(TRAIN, "c1")
    waiting.until(lambda cell: cell.shown and "hybridnb hosts check far" in cell.card.text, "the card says what to do")
    assert waiting.asked == []
    kernel.interrupt()
    assert "goes on" in waiting.finish().text
    checked = kernel.run("%hosts check far", answer=person)
    assert "jobs can go there" in checked.text
    assert PASSWORD not in told(checked)
    waiting.until(lambda cell: "done" in cell.card.text, "the job has gone there")


def test_an_interrupt_at_the_field_withholds_the_answer_and_nothing_else(kernel: Kernel) -> None:
    kernel.run("%%job local other\ntrue", "c2")
    kernel.run(TRAIN.replace(" --wait", ""), "c1")

    def interrupt(_words: str, _hidden: bool) -> None:
        kernel.interrupt()

    waiting = kernel.begin("r = %workflow run --wait", answer=interrupt)
    waiting.until(lambda cell: "no answer is given" in cell.text, "it is withheld")
    assert "hybridnb hosts check far" in waiting.text
    waiting.until(lambda cell: "1 done" in cell.card.text, "the other job is done")
    kernel.interrupt()
    assert "goes on" in waiting.finish().text
    assert "Traceback" not in waiting.text
