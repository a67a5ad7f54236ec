"""Notebooks as files: written, executed by the programs that people use for it, and read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from testbed.processes import DEADLINE


class Notebook:
    """A notebook of code cells, whose ids are c1, c2 and so on."""

    def __init__(self, path: Path, *sources: str, tags: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.cells = {f"c{number}": source for number, source in enumerate(sources, 1)}
        self._tags = dict(tags or {})  # a cell's
        self.save()

    def save(self) -> None:
        """Write the cells as they are now, without outputs."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [self._cell(name, source) for name, source in self.cells.items()]
        book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(book))

    def _cell(self, name: str, source: str) -> dict[str, Any]:
        about = {"tags": [self._tags[name]]} if name in self._tags else {}
        return {"cell_type": "code", "id": name, "source": source, "metadata": about, "outputs": [], "execution_count": None}

    # -- who executes it ------------------------------------------------------------------------------------------------
    def execute(self) -> Executed:
        """Execute it by nbclient, and save it; raise CellExecutionError when a cell fails, saved as far as it came."""
        book = nbformat.reads(self.path.read_text(), as_version=4)  # type: ignore[no-untyped-call]
        where = {"metadata": {"path": str(self.path.parent)}}
        client = NotebookClient(book, timeout=DEADLINE, kernel_name="python3", resources=where)
        try:
            client.execute()
        finally:
            self.path.write_text(json.dumps(book))
        return self.executed()

    def jupyter(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of Jupyter's with this notebook."""
        return self._run("-m", "jupyter", *words, self.path.name)

    def papermill(self, output: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("-m", "papermill", self.path.name, output, *words)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=self.path.parent, env=os.environ, text=True, capture_output=True, timeout=250)

    def executed(self, name: str = "") -> Executed:
        """Read what came of it, or of the copy of this name."""
        return Executed(json.loads((self.path.with_name(name) if name else self.path).read_text()))


class Executed:
    """What an executed notebook holds: the outputs of its cells, as anybody reads them in the file."""

    def __init__(self, book: dict[str, Any]) -> None:
        self.book = book

    def outputs(self, cell: str = "") -> list[dict[str, Any]]:
        """Return the outputs of one cell, or of all."""
        return [output for found in self.book["cells"] if cell in ("", found["id"]) for output in found.get("outputs", [])]

    def text(self, cell: str = "") -> str:
        """All that is written there in plain text."""
        return "\n".join(_written(output, "text/plain") for output in self.outputs(cell))

    def html(self, cell: str = "") -> str:
        return "\n".join(_written(output, "text/html") for output in self.outputs(cell))


def _written(output: dict[str, Any], kind: str) -> str:
    if output["output_type"] == "error":
        return "\n".join(output["traceback"])
    text = output["text"] if output["output_type"] == "stream" else output["data"].get(kind, "")
    return text if isinstance(text, str) else "".join(text)
