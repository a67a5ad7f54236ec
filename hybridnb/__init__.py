"""Workflows of jobs that run here and elsewhere, from a notebook or a shell. The names below are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .definition import load
    from .errors import HybridnbError
    from .model import Dependency, Job, Kind, Resources, Workflow

__version__ = "0.1.0"
__all__ = ["Dependency", "HybridnbError", "Job", "Kind", "Resources", "Workflow", "load"]

_HOMES = {"HybridnbError": "errors", "load": "definition"}  # the rest is in model


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
