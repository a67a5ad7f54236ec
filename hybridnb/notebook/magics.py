"""The magics: each parses its line, makes one call, and shows what came of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Unicode

from .. import show
from ..errors import CallError, Conflict, DefinitionError, HybridnbError, NotFound, in_words
from . import arguments, complete
from .session import Session
from .shown import JobCard, RunCard, WorkflowCard

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..api import Run, Workflow
    from ..model import Job
    from ..model import Workflow as Definition
    from .book import Book
    from .tables import HostTable, RunList


@magics_class
class Hybridnb(Magics):
    """Jobs in the cells of a notebook."""

    host = Unicode("local", help="Where jobs go that name no host: '%workflow add NAME'.").tag(config=True)
    picture = Bool(True, help="Draw the graph beside the table of jobs.").tag(config=True)  # noqa: FBT003
    widget = Bool(False, help="In VS Code, show the workflow as a plain ipycytoscape canvas, too.").tag(config=True)  # noqa: FBT003

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self.session = session
        self.matcher = complete.Matcher(session)
        self._shown: tuple[int, object] | None = None  # what this cell has shown already
        self._added: tuple[Job, Book] | None = None  # the last job that was added

    # -- a job ----------------------------------------------------------------------------------------------------------
    @no_var_expand
    @cell_magic
    def job(self, line: str, cell: str) -> None:
        with plain_errors():
            asked = arguments.job_parser().parse(line, self.shell.user_ns)
            body = self.session.cell.body(cell)
            body = arguments.expand(body, self.shell.user_ns, body=True) if asked.expand else body
            book = self.session.book
            name, said = arguments.job_mapping(asked, body)
            self.session.require(asked.host)
            recorded = book.recorder.record(name, said, self.session.cell, replaces=asked.replace)
            self.session.live.unsettle()
            run = book.start(recorded.job.name, whole=asked.wait) if asked.run or asked.wait else None
            self.session.live.show(JobCard(book, recorded.job.name))
            if run and asked.wait:
                self.session.wait(run, [recorded.job.name])

    # -- the workflow ---------------------------------------------------------------------------------------------------
    @no_var_expand
    @line_magic
    def workflow(self, line: str) -> Any:
        with plain_errors():
            asked = arguments.workflow_parser().parse(line, self.shell.user_ns)
            word: Callable[[Namespace, Book], Any] = getattr(self, f"_{asked.word}")
            return word(asked, self.session.book)

    def _show(self, _: Namespace, book: Book) -> Workflow:
        """Show the workflow with its newest run."""
        workflow = book.workflow
        self._once(workflow, WorkflowCard(book, picture=self.picture, chose=self.session.opened))
        if self.widget and "__vsc_ipynb_file__" in self.shell.user_ns:
            self._show_widget(workflow)
        return workflow

    def _show_widget(self, workflow: Workflow) -> None:
        """Show what a front end with widgets, but without the extension of JupyterLab, can show of a canvas."""
        from IPython.display import display

        from .canvas.widget import Canvas

        if plain := Canvas(workflow, session=self.session).plain():
            display(plain)  # type: ignore[no-untyped-call]

    def _run(self, asked: Namespace, book: Book) -> Run:
        """Run it; with --wait, until it has ended."""
        wanted = book.expanded
        run = book.run(jobs=asked.job or (), start=asked.start, failed=asked.failed, new=asked.new, whole=asked.wait)
        if book.odd(run.folder) or not (asked.wait and self.session.on_terminal):  # where the wait shows the run as it goes on
            self._once(run, RunCard(book, self.session.live.reading(run.folder), picture=self.picture))
        self._shown = (self.shell.execution_count, run)
        if asked.wait:
            self.session.wait(run)
            if otherwise := book.differing(self.session.live.reading(run.folder), wanted):
                print(f"run {run.id} was changed while it went on: {show.several(otherwise)}", file=sys.stderr)
        return run

    def _status(self, asked: Namespace, book: Book) -> Run:
        from ..api import Run

        return Run.find(asked.run) if asked.run else book.found()

    def _log(self, asked: Namespace, book: Book) -> Any:
        from .. import logs
        from ..api import RunGroup

        run, stream = book.found(asked.job), "err" if asked.err else "out"
        if asked.follow:
            return self._follow_log(run, asked)
        job = run[asked.job]
        if isinstance(job, RunGroup):
            raise CallError(f"'{asked.job}' stands for {len(job)} jobs; name one of them: {', '.join([*job][:5])} …")
        text = job.log(stream, attempt=asked.attempt)
        if not text:
            print(logs.silence(job.name, job.state, stream), file=sys.stderr)
        return text

    def _follow_log(self, run: Run, asked: Namespace) -> None:
        """Print a job's log until the job ends."""
        from codecs import getincrementaldecoder

        from .. import logs
        from ..client import Client

        decoder = getincrementaldecoder("utf-8")(errors="replace")
        stream = "err" if asked.err else "out"

        def write(piece: bytes) -> None:
            sys.stdout.write(decoder.decode(piece))

        try:
            logs.copy(Client(), run.folder, asked.job, stream=stream, number=asked.attempt, follow=True, write=write)
        except KeyboardInterrupt as error:
            raise in_words(error, f"interrupted: '{asked.job}' goes on") from None

    def _cancel(self, asked: Namespace, book: Book) -> list[str]:
        from .tables import Names

        nothing = "nothing to stop: what is named has ended" if asked.job else "nothing goes on"
        return Names(book.found().cancel(*asked.job), done="stopped", nothing=nothing)

    def _retry(self, asked: Namespace, book: Book) -> list[str]:
        from .tables import Names

        run = book.found()
        told = run.retry(*asked.job)
        self.session.live.follow(run.folder)
        self.session.live.unsettle()
        which = "all that is named" if asked.job else "all"
        return Names(told, done="trying again", nothing=f"nothing to try again: {which} is done")

    def _clean(self, _: Namespace, book: Book) -> dict[str, int]:
        from ..client import Client
        from .tables import Freed

        return Freed(Client().clean(str(book.found().folder)))

    def _add(self, asked: Namespace, book: Book) -> Any:
        if asked.name in book.definition.jobs and not asked.replace:
            where = book.recorder.where(asked.name)
            told = f"{book.name} has a job '{asked.name}' already{f', by {where}' if where else ''}"
            raise CallError(f"{told}: give this one another name, or put it in its place by --replace")
        _, said = arguments.job_mapping(asked)
        job = {"host": self.host, **said}
        self.session.require(job["host"])
        added = self._edited(book, lambda workflow: workflow.add(asked.name, **job))
        self._added = added, book
        return added

    def _remove(self, asked: Namespace, book: Book) -> Workflow:
        def without(now: Definition) -> Definition:
            for job in asked.job:
                now = now.without(job)
            return now

        before = book.definition.parents()
        now = book.file.edit(without)  # all of them, or none
        for job in asked.job:
            book.recorder.cells.forget(job)
        self.session.live.unsettle()
        cut = [name for name in now.jobs if not set(asked.job).isdisjoint(before.get(name, ()))]
        note = f"waited for what was removed, and no more: {show.several(cut)}" if cut else ""
        self._once(workflow := book.workflow, WorkflowCard(book, note=note, picture=self.picture))
        return workflow

    def _rename(self, asked: Namespace, book: Book) -> Workflow:
        self._edited(book, lambda workflow: workflow.rename(asked.old, asked.new))
        book.recorder.cells.rename(asked.old, asked.new)
        return book.workflow

    def _connect(self, asked: Namespace, book: Book) -> Workflow:
        self._edited(book, lambda workflow: workflow.connect(asked.parent, asked.child, kind=asked.kind))
        return book.workflow

    def _disconnect(self, asked: Namespace, book: Book) -> Workflow:
        self._edited(book, lambda workflow: workflow.disconnect(asked.parent, asked.child))
        return book.workflow

    def _edited(self, book: Book, edit: Callable[[Workflow], Any]) -> Any:
        try:
            told = edit(book.workflow)
        except DefinitionError as error:
            raise book.recorder.explained(error) from None
        self.session.live.unsettle()
        return told

    def _open(self, asked: Namespace, _: Book) -> Workflow:
        return self.session.open(Path(asked.file)).workflow

    def _svg(self, asked: Namespace, book: Book) -> Path:
        path = Path(asked.file)
        label = asked.label or "{name}"
        reading = book.latest
        from ..api import Run

        if reading:
            Run(reading.folder).svg(path, label=label)
        else:
            book.workflow.svg(path, label=label)
        return path

    # -- lists ----------------------------------------------------------------------------------------------------------
    @no_var_expand
    @line_magic
    def hosts(self, line: str) -> HostTable | None:
        with plain_errors():
            from ..client import Client
            from .tables import HostTable

            asked = arguments.hosts_parser().parse(line, self.shell.user_ns)
            folder = self.session.book.path.parent
            if asked.word != "check":
                return HostTable(Client().hosts(folder=folder))
            from ..host_commands import try_host
            from .ask import prompt

            client = Client()
            if try_host(client, asked.name, prompt(self.shell, client), folder=folder):
                raise CallError(f"host '{asked.name}' cannot be used yet, see above")
            return None

    @no_var_expand
    @line_magic
    def runs(self, line: str) -> RunList:
        with plain_errors():
            from .. import view
            from ..api import Run
            from .tables import RunList

            asked = arguments.runs_parser().parse(line, self.shell.user_ns)
            folders = self.session.book.folders()
            told = view.runs() if asked.all else [{**view.summary(folder), "source": ""} for folder in folders]
            return RunList([Run(Path(run["folder"])) for run in told], told)

    # -- what an object looks like as the last thing of a cell ------------------------------------------------------------
    def _once(self, told: object, card: Any) -> None:
        """Show a card now, and not again when the cell ends with the same object."""
        self.session.live.show(card)
        self._shown = (self.shell.execution_count, told)

    def show_run(self, run: Run) -> None:
        """Show a run, unless this cell has shown it."""
        if not self._has_shown(run):
            book, reading = self.session.look(run)
            self.session.live.show(RunCard(book, reading, picture=self.picture))

    def show_workflow(self, workflow: Workflow) -> None:
        """Show a workflow, unless this cell has shown it."""
        if not self._has_shown(workflow):
            self.session.live.show(WorkflowCard(self.session.book_of(workflow.path), picture=self.picture, chose=True))

    def show_job(self, job: Any) -> None:
        """Show a job of a run, or a sweep."""
        book, reading = self.session.look(job.run)
        self.session.live.show(JobCard(book, job.name, reading))

    def show_added(self, job: Job) -> None:
        """Show the job that was added last as it stands in its workflow; others show themselves as Python would."""
        if not self._added or self._added[0] is not job:
            raise NotImplementedError
        self.session.live.show(JobCard(self._added[1], job.name))

    def _has_shown(self, told: object) -> bool:
        """Has this cell shown it? A terminal, which has written `Out[n]:` already, gets its name."""
        shown, self._shown = self._shown == (self.shell.execution_count, told), None
        if shown and self.session.on_terminal:
            print(repr(told))
        return shown


Hybridnb.job.__doc__ = arguments.help_of(arguments.job_parser())
Hybridnb.workflow.__doc__ = arguments.help_of(arguments.workflow_parser())
Hybridnb.hosts.__doc__ = arguments.help_of(arguments.hosts_parser())
Hybridnb.runs.__doc__ = arguments.help_of(arguments.runs_parser())


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let errors tell the next step by magics, and what a person did wrong in IPython's manner, which has no traceback."""
    try:
        yield
    except HybridnbError as error:
        error.by_magic = True
        if isinstance(error, CallError | NotFound | DefinitionError | Conflict):
            raise UsageError(str(error)) from None
        raise  # it renders itself
