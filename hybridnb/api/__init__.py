"""Workflows and their runs as Python objects: what a notebook, a script or a program asks for is one call here.

The names of this package are found in hybridnb itself:

>>> from hybridnb import Workflow
>>> workflow = Workflow("hello.yaml")
>>> _ = workflow.add("greet", exec="echo hello")
>>> print(workflow.run(wait=True)["greet"].log(), end="")
hello
"""

from __future__ import annotations

from .job import RunGroup, RunJob
from .present import Log
from .run import Run, runs
from .workflow import Workflow, hosts

__all__ = ["Log", "Run", "RunGroup", "RunJob", "Workflow", "hosts", "runs"]
