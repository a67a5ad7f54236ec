"""Asking in a notebook what hosts want to know: the front end shows a field, and the answer is in no cell and no output."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from ..prompt import Prompt, there

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..client import Client


def prompt(shell: InteractiveShell, client: Client) -> Prompt | None:
    """Return what asks the person at this notebook or terminal; None where nobody can be asked."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return Prompt(client) if there() else None
    return Prompt(client, read=_field(kernel)) if getattr(kernel, "_allow_stdin", False) else None


def _field(kernel: Any) -> Callable[[str, bool, Callable[[], bool]], str | None]:
    """Read a line from the front end's field; None when the cell is interrupted there."""

    def read(words: str, hidden: bool, _: Callable[[], bool]) -> str | None:  # noqa: FBT001
        try:
            return str(kernel.getpass(words) if hidden else kernel.raw_input(words))
        except (KeyboardInterrupt, EOFError):
            return None

    return read


def attend(person: Prompt | None, hosts: Container[str]) -> None:
    """Ask what these hosts ask, if there is somebody."""
    if person is not None:
        person.attend(hosts)
