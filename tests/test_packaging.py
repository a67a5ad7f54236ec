"""What a user gets by installing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hybridnb

ROOT = Path(__file__).parent.parent
LABEXTENSION = "data/data/share/jupyter/labextensions/hybridnb"
HEAVY = {
    "asyncio", "fastapi", "http", "IPython", "ipywidgets", "networkx", "papermill",
    "paramiko", "pydantic", "rich", "ruamel", "sqlite3", "uvicorn", "yaml",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build a wheel from a copy of what is here; return the names of its files."""
    copy = tmp_path_factory.mktemp("source") / "hybridnb"
    unwanted = shutil.ignore_patterns(".*", "node_modules", "*.runs", "results", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_every_file_of_the_package(wheel: list[str]) -> None:
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hybridnb").rglob("*") if path.is_file()}
    assert {name for name in here if "__pycache__" not in name} <= set(wheel)


def test_the_wheel_holds_the_shell_programs_and_the_types_marker(wheel: list[str]) -> None:
    assert {"hybridnb/hosts/runner.sh", "hybridnb/hosts/wrap.sh", "hybridnb/py.typed"} <= set(wheel)


def test_the_wheel_puts_the_labextension_where_jupyterlab_looks(wheel: list[str]) -> None:
    build = json.loads((ROOT / "labextension/prebuilt/package.json").read_text())["jupyterlab"]["_build"]
    for name in ("package.json", "install.json", build["load"]):
        assert f"hybridnb-{hybridnb.__version__}.{LABEXTENSION}/{name}" in wheel


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    assert {name.split("/")[0] for name in wheel} == {
        "hybridnb",
        f"hybridnb-{hybridnb.__version__}.data",
        f"hybridnb-{hybridnb.__version__}.dist-info",
    }


def test_jupyterlab_lists_the_labextension_as_enabled_and_ok() -> None:
    listed = subprocess.run([sys.executable, "-m", "jupyter", "labextension", "list"], capture_output=True, text=True, check=True)
    text = re.sub(r"\x1b\[[0-9;]*m", "", listed.stdout + listed.stderr)
    assert re.search(rf"^\s*hybridnb v{re.escape(hybridnb.__version__)} enabled OK", text, re.M), text


@pytest.mark.parametrize("name", ["labextension/package.json", "labextension/prebuilt/package.json"])
def test_the_labextension_has_the_version_of_the_package(name: str) -> None:
    assert json.loads((ROOT / name).read_text())["version"] == hybridnb.__version__


def test_the_version_is_written_once_in_python_and_told_in_the_changelog() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert f"## [{hybridnb.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh Python loads for a statement."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*{{m.split('.')[0] for m in set(sys.modules) - before}})"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


@pytest.mark.parametrize("statement", ["import hybridnb", "import hybridnb; hybridnb.Job", "import hybridnb.graph"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert not loaded_by(statement) & HEAVY


def test_the_root_loads_none_of_its_modules_by_itself() -> None:
    program = "import sys, hybridnb; print(*[m for m in sys.modules if m.startswith('hybridnb.')])"
    assert not subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT).stdout.split()


@pytest.mark.parametrize("name", hybridnb.__all__)
def test_every_name_of_the_root_can_be_used(name: str) -> None:
    assert getattr(hybridnb, name).__name__ == name


def test_a_name_that_the_root_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"hybridnb.*no attribute 'Jub'"):
        hybridnb.Jub  # noqa: B018
