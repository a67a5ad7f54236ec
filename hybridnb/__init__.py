"""Workflows of jobs that run here and elsewhere, from a notebook or a shell. The names below are loaded when they are first used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Run, Workflow, hosts, runs
    from .errors import HybridnbError, RunFailed
    from .model import Dependency, Job, Kind, Resources
    from .notebook.canvas.widget import Canvas
    from .notebook import load_ipython_extension, unload_ipython_extension
    from .run import State

__version__ = "0.1.0"
__all__ = [
    "Canvas",
    "Dependency",
    "HybridnbError",
    "Job",
    "Kind",
    "Resources",
    "Run",
    "RunFailed",
    "State",
    "Workflow",
    "hosts",
    "load_ipython_extension",
    "runs",
    "unload_ipython_extension",
]

_HOMES = {
    **dict.fromkeys(("Run", "Workflow", "hosts", "runs"), "api"),
    **dict.fromkeys(("HybridnbError", "RunFailed"), "errors"),
    **dict.fromkeys(("Dependency", "Job", "Kind", "Resources"), "model"),
    **dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "notebook"),
    "Canvas": "notebook.canvas.widget",
    "State": "run",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Root(ModuleType):
    """Keeps `hosts` the function: whoever imports the package hybridnb.hosts would put that in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root
