"""A workflow's file, and what one does with it: change its jobs, run them, look back at its runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import definition, logs, show, store
from ..client import Client, Here
from ..errors import CallError, NotFound
from ..model import Dependency, Job, Kind
from ..model import Workflow as Definition
from ..watch import Watch, follow
from ..workflow_file import WorkflowFile
from .named import Named
from .present import draw, honest
from .run import Pathlike, Run, runs


class Workflow(Named[Job]):
    """A workflow's file. It is read when something is asked, and edited at once; what others write into it stays.

    DefinitionError is raised when the file, or what it would become, means nothing; StoreError when it cannot be read or written.

    >>> from hybridnb import Workflow
    >>> workflow = Workflow("digits.yaml")
    >>> _ = workflow.add("split", exec="echo 1 2 3 >parts.txt", outputs=["parts.txt"])
    >>> _ = workflow.add("train", script="cat parts.txt", after=["split"])
    >>> workflow
    Workflow('digits.yaml', 2 jobs)
    >>> run = workflow.run(wait=True)
    >>> print(run["train"].log(), end="")
    1 2 3
    >>> [path.name for path in run["split"].outputs]
    ['parts.txt']
    """

    def __init__(self, path: Pathlike) -> None:
        """Take a file, which is begun by the first job that is added; `load` takes one that must be there."""
        self._file = WorkflowFile(path)

    @classmethod
    def load(cls, path: Pathlike) -> Workflow:
        """Take a file that must be there and mean something; raise NotFound with near names, or DefinitionError with all its problems."""
        definition.load(Path(path))
        return cls(path)

    def __repr__(self) -> str:
        return honest("Workflow", lambda: f"{logs.near(str(self.path))!r}, {show.number(len(self), 'job')}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    # -- what it says ---------------------------------------------------------------------------------------------------
    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self._file.path

    @property
    def definition(self) -> Definition:
        """What the file says at this moment, as frozen data; empty when there is no file."""
        return self._file.definition

    @property
    def name(self) -> str:
        """The workflow's name: what the file says, else the file's own."""
        return self.definition.name

    @property
    def jobs(self) -> Mapping[str, Job]:
        """The jobs by their names, in the order of the file."""
        return self.definition.jobs

    def __getitem__(self, name: str) -> Job:
        return self.definition[name]

    def svg(self, path: Pathlike | None = None, *, label: str = "{name}") -> str:
        """Draw the definition, and write that to a file if a path is given; see Run.svg."""
        return draw(self.definition, path, label=label)

    # -- changing it ----------------------------------------------------------------------------------------------------
    def add(self, job: Job | str, **fields: Any) -> Job:
        """Put a job into the file, in the place of the one of its name if there is one; return it as it is recorded.

        The job is a Job, or a name with fields in the words of the file. Raises DefinitionError with everything that is wrong.

        >>> from hybridnb import Job, Workflow
        >>> workflow = Workflow("added.yaml")
        >>> _ = workflow.add(Job("first", exec="true"))
        >>> workflow.add("second", host="local", exec="true", after=["first:any"], params={"lr": 0.1}, timeout="10m").timeout
        600.0
        >>> list(workflow)
        ['first', 'second']
        """
        if isinstance(job, str):
            job = definition.from_mapping(job, fields)
        elif fields:
            raise CallError(
                f"add a Job as it is, or a name with fields: '{job.name}' has both; use dataclasses.replace to change a Job"
            )
        added = job
        return self._file.edit(lambda now: now.with_job(added))[job.name]

    def remove(self, name: str) -> None:
        """Take a job out, with every edge from it; raise NotFound when there is none."""
        self._file.edit(lambda now: now.without(name))

    def rename(self, old: str, new: str) -> None:
        """Give a job another name where it is; its edges go with it."""
        self._file.edit(lambda now: now.renamed(old, new))

    def connect(self, parent: str, child: str, *, kind: Kind | str = Kind.OK) -> None:
        """Let the child wait for the parent: that it is done ("ok"), that it ended ("any"), or that it ended otherwise ("failed").

        An edge that is there becomes of this kind. Raises NotFound for an unknown job, DefinitionError for a cycle or another kind.

        >>> from hybridnb import Workflow
        >>> workflow = Workflow("connected.yaml")
        >>> for name in ("train", "tell"):
        ...     _ = workflow.add(name, exec="true")
        >>> workflow.connect("train", "tell", kind="failed")
        >>> [str(dependency) for dependency in workflow["tell"].after]
        ['train:failed']
        """
        edge = Dependency.parse(f"{parent}:{kind.value if isinstance(kind, Kind) else kind}")

        def change(now: Definition) -> Definition:
            after = {d.job: d for d in now[child].after}
            return now.with_job(replace(now[child], after=tuple({**after, now[parent].name: edge}.values())))

        self._file.edit(change)

    def disconnect(self, parent: str, child: str) -> None:
        """Let the child wait for the parent no more; raise NotFound when it does not."""

        def change(now: Definition) -> Definition:
            if parent not in now[child].parents:
                raise NotFound(f"'{child}' does not wait for '{parent}'; it waits for {', '.join(now[child].parents) or 'nothing'}")
            return now.with_job(replace(now[child], after=tuple(d for d in now[child].after if d.job != parent)))

        self._file.edit(change)

    # -- running it -----------------------------------------------------------------------------------------------------
    def run(
        self,
        *,
        jobs: Iterable[str] = (),
        start: str | None = None,
        failed: bool = False,
        new: bool = False,
        wait: bool = False,
        here: bool = False,
    ) -> Run:
        """Run it: go on with its newest run, which gets what is new in the file, if that has not ended; else, or if `new`, begin another.

        Only `jobs`, or `start` and all below it, or what has `failed` when it was run last, if that is asked for. With `wait` return
        when it has ended, and raise RunFailed if it did not end well. With `here` this process moves it, without the service, and
        returns when it has ended; if this process ends sooner, what hosts were given goes on. When the newest run goes on and had begun
        one of these jobs before it was changed, that is a warning, and with `wait` a Conflict before anything is done. Raises
        DefinitionError, NotFound for an unknown job, CallError for a choice that means nothing, ServiceError.

        >>> from hybridnb import State, Workflow
        >>> workflow = Workflow("here.yaml")
        >>> _ = workflow.add("a", exec="true")
        >>> _ = workflow.add("b", exec="false")
        >>> workflow.run(jobs=["a"], here=True).counts
        {<State.DONE: 'done'>: 1}
        """
        chosen = [jobs] if isinstance(jobs, str) else list(jobs)
        with closing(Here() if here else Client()) as client:
            made = client.run(self.path, jobs=chosen, start=start, new=new, failed=failed, whole=wait)
            run = Run(made["folder"])
            if made["kept"]:
                told = f"run {run.id} goes on with {show.several(made['kept'])} as before the last change: too late for that"
                warnings.warn(told, stacklevel=2)
            if here:
                with Watch(run.folder) as watching:
                    follow(watching, client, made["run"])
        return run.wait() if wait else run

    def runs(self) -> list[Run]:
        """Return its runs, the newest first."""
        return runs(self.path)

    @property
    def latest(self) -> Run | None:
        """Its newest run, or None."""
        folder = store.latest(self.path)
        return Run(folder) if folder else None


def hosts() -> dict[str, dict[str, Any]]:
    """Return your hosts as they are described, those in this folder's hosts.yaml too, each with its "problem", or "".

    >>> from hybridnb import hosts
    >>> hosts()["local"]["scheduler"]
    'process'
    """
    with closing(Client()) as client:
        return client.hosts(folder=Path.cwd())
