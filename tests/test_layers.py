"""The picture in CONTRIBUTING.md is the truth about who may import whom; here it is held against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridnb import graph

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hybridnb"


def rows() -> list[list[str]]:
    """Read the picture, the lowest row first: a name is a module or a folder of hybridnb/."""
    picture = re.search(r"^```layers\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    assert picture, "CONTRIBUTING.md has no block ```layers"
    return [line.split() for line in picture[1].splitlines()]


HEIGHT = {name: height for height, row in enumerate(rows()) for name in row}


def module_name(path: Path) -> str:
    """hybridnb/hosts/local.py -> hosts.local; a package is named by its folder, the root is __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(module: str) -> str:
    return module.partition(".")[0]


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import of the tree, those inside functions too, but not those for the type checker alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not for_typing(child):
            yield from statements(child)


def absolute(node: ast.ImportFrom, path: Path) -> str:
    """Return the module that `from … import` names, relative to nothing."""
    above = ["hybridnb", *path.relative_to(PACKAGE).parent.parts]
    base = above[: len(above) + 1 - node.level] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def named(node: ast.Import | ast.ImportFrom, path: Path) -> Iterator[str]:
    """Yield full dotted names: `from . import graph` is hybridnb.graph, `from .model import Job` is hybridnb.model.Job."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        yield from (f"{absolute(node, path)}.{alias.name}" for alias in node.names)


def resolve(name: str) -> str:
    """Find the module of the package that a dotted name lies in; what only the root holds is the root's."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in FILES:
        parts.pop()
    return ".".join(parts) or "__init__"


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield (module of the package, name as imported) for everything of the package that a module imports."""
    path = FILES[module]
    for node in statements(ast.parse(path.read_text())):
        for name in named(node, path):
            if name.split(".")[0] == "hybridnb":
                yield resolve(name), name


def test_every_module_has_its_place_in_the_picture() -> None:
    assert {room(module) for module in FILES} == set(HEIGHT)


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down_only(module: str) -> None:
    wrong = [
        target for target, _ in imports(module) if room(target) != room(module) and HEIGHT[room(target)] >= HEIGHT[room(module)]
    ]
    assert not wrong, f"{module} imports {', '.join(wrong)}, which is not below it"


@pytest.mark.parametrize("module", FILES)
def test_the_root_gives_its_own_modules_nothing_but_the_version(module: str) -> None:
    assert {name for target, name in imports(module) if target == "__init__"} <= {"hybridnb.__version__"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    parents = {module: {target for target, _ in imports(module)} - {module} for module in FILES}
    assert graph.cycle({module: [t for t in targets if t in FILES] for module, targets in parents.items()}) is None
