"""Pictures in the formats of files."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from testbed.processes import library

from hybridnb import Workflow
from hybridnb.drawing import Look, figure
from hybridnb.errors import CallError
from hybridnb.model import Dependency, Job
from hybridnb.model import Workflow as Definition

ONE = Definition.of("study", [Job("split", exec="true"), Job("train", exec="true", after=(Dependency("split"),))])
LOOKS = {"split": Look("done"), "train": Look("running", progress=40)}
BEGINS = {
    "a.svg": b"<svg ",
    "a.png": b"\x89PNG",
    "a.pdf": b"%PDF-",
    "a.dot": b"digraph ",
    "a.mmd": b"flowchart ",
    "A.PNG": b"\x89PNG",
}


@pytest.mark.parametrize("file", BEGINS)
def test_the_name_of_a_file_tells_its_format(file: str) -> None:
    library("libcairo.so.2")
    assert figure(file, ONE, LOOKS).startswith(BEGINS[file])


def test_a_png_has_twice_the_size_of_the_svg() -> None:
    library("libcairo.so.2")
    svg = ElementTree.fromstring(figure("a.svg", ONE))
    png = figure("a.png", ONE)
    assert int.from_bytes(png[16:20], "big") == pytest.approx(2 * float(svg.attrib["width"]), abs=2)


def test_another_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CallError, match=r"a\.svgz: a picture is written as \.svg, \.png, .*; did you mean '\.svg'"):
        figure("a.svgz", ONE)


@pytest.mark.parametrize("file", ["a.dot", "a.mmd"])
def test_a_label_is_refused_where_none_can_be(file: str) -> None:
    with pytest.raises(CallError, match="a label is for"):
        figure(file, ONE, label="{name}")


def test_a_missing_cairosvg_is_told_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(CallError, match=r"pip install 'hybridnb\[figures\]', or write \.svg"):
        figure("a.png", ONE)


def test_scripts_write_them_too(tmp_path: Path) -> None:
    library("libcairo.so.2")
    workflow = Workflow(tmp_path / "study.yaml")
    workflow.add("a", exec="true")
    assert workflow.svg(tmp_path / "out.pdf").startswith("<svg ")
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF-")
