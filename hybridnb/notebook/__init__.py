"""The notebook's face: magics, cards, completion. `%load_ext hybridnb` comes here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import HybridnbError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .magics import Hybridnb


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a shell the magics, and tell what went on since its notebook was looked at last."""
    from . import complete, talk
    from .magics import Hybridnb
    from .session import Session

    session = Session(shell)
    magics = Hybridnb(shell, session)
    shell.register_magics(magics)
    _format(shell, magics)
    shell.events.register("pre_run_cell", session.begin)
    shell.events.register("post_run_cell", session.end)
    talk.listen(session)
    complete.install(shell, magics.matcher)
    try:
        for card in session.reattach():
            session.live.show(card)
        if told := session.left_behind():
            print(told)
    except HybridnbError as error:  # of a run, or of the file; all the same, everything can be used
        print(f"hybridnb: {error}", file=sys.stderr)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take all of it away again. Runs go on."""
    from . import complete, talk

    magics: Hybridnb | None = shell.magics_manager.registry.pop("Hybridnb", None)
    if magics is None:
        return
    session = magics.session
    shell.events.unregister("pre_run_cell", session.begin)
    shell.events.unregister("post_run_cell", session.end)
    shell.configurables.remove(magics)  # type: ignore[arg-type]
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    _format(shell, None)
    complete.uninstall(shell, magics.matcher)
    talk.hush(session)
    session.close()


def _format(shell: InteractiveShell, magics: Hybridnb | None) -> None:
    """Have runs, jobs and workflows show themselves as cards, or as other objects do."""
    from ..api import Run, RunGroup, RunJob, Workflow
    from ..model import Job

    formatter = shell.display_formatter.ipython_display_formatter  # type: ignore[union-attr]
    kinds = {Run: "show_run", RunJob: "show_job", RunGroup: "show_job", Workflow: "show_workflow", Job: "show_added"}
    for kind, method in kinds.items():
        if magics:
            formatter.for_type(kind, getattr(magics, method))
        else:
            formatter.pop(kind, None)
