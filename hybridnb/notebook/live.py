"""What is on the screen, kept up to date while runs go on: by threads that sleep until something happens."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..client import Client
from ..errors import HybridnbError, NotFound, StoreError
from .reading import Reading

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Bundle = dict[str, Any]

KEPT = 300  # displays that are kept up to date; older ones keep what they show
_PAUSE = 0.25  # seconds between two pictures, at least
_SHARE = 4  # times as long as a picture took to make is waited before the next one
_TICK = 2.0  # seconds between looks at logs, and at why nothing moves, while a run goes on


class Card(Protocol):
    """Something to show."""

    def facts(self) -> object:
        """Return all that the picture is made of: while it is the same, nothing is drawn."""

    def bundle(self, facts: Any) -> Bundle:
        """Draw it, by MIME types."""

    def settled(self) -> bool:
        """Can nothing change it any more, but another run?"""


@dataclass(eq=False)
class Display:
    """One place where a card is shown."""

    card: Card
    send: Callable[[Bundle], None]
    facts: object = None
    settled: bool = False
    id: str = field(default_factory=lambda: f"hybridnb-{uuid.uuid4().hex}")
    drawn: threading.Lock = field(default_factory=threading.Lock)  # by one thread at a time


class Live:
    """Follows runs, and draws the displays again whose facts have changed."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._displays: dict[str, Display] = {}
        self._readings: dict[Path, Reading] = {}
        self._followed: dict[Path, threading.Event] = {}  # set when the run has ended
        self._changing = threading.Lock()  # held for no longer than a change takes: cells wait for it
        self._wake = threading.Condition()
        self._due = False
        self._closed = False
        self._painter: threading.Thread | None = None
        self._asking: set[Path] = set()  # runs of which a host asks something
        self._held_up: dict[str, str] = {}  # why hosts and runs do not move, as the service tells it
        self._unheard: dict[str, str] = {}  # why nothing is heard of a run
        self._looking: threading.Thread | None = None
        self._unsure = False  # could something not be read just now?

    def __repr__(self) -> str:
        return f"Live({len(self._displays)} displays, {len(self._followed)} runs)"

    # -- runs -----------------------------------------------------------------------------------------------------------
    def reading(self, folder: Path) -> Reading:
        """Return what reads this run: one for all who ask."""
        reading = self._readings.get(folder)
        if reading is None:
            reading = Reading(folder)
            reading.refresh()
            reading = self._readings.setdefault(folder, reading)
        return reading

    def reads(self, folder: Path) -> bool:
        """Has this run been taken in already?"""
        return folder in self._readings

    def follows(self, folder: Path) -> bool:
        """Has this run been followed?"""
        return folder in self._followed

    def follow(self, folder: Path) -> threading.Event:
        """Follow a run until it ends; return the event of its end."""
        reading = self.reading(folder)
        reading.refresh()
        if (over := self._followed.get(folder)) is not None and not over.is_set():
            return over
        over = self._followed[folder] = threading.Event()
        if reading.ended:
            over.set()
        else:
            threading.Thread(target=self._hear, args=(reading, over), name=f"hybridnb {folder.name}", daemon=True).start()
        self.unsettle()
        return over

    def _hear(self, reading: Reading, over: threading.Event) -> None:
        """Wake the painter at each news of a run. It is moved by the service, whether or not anybody hears."""
        client, folder = Client(), reading.folder
        self._unheard.pop(folder.name, None)
        try:
            for _ in client.events(str(folder), since=reading.since):
                if self._closed:
                    return
                (self._asking.add if client.asked else self._asking.discard)(folder)
                self.changed()
        except Exception as error:  # noqa: BLE001  whoever waits is told
            self._unheard[folder.name] = str(error) or type(error).__name__
        finally:
            self._asking.discard(folder)
            with suppress(HybridnbError, OSError):
                reading.refresh()
            over.set()
            self.unsettle()

    @property
    def asked(self) -> bool:
        """Does a host ask something of a person?"""
        return bool(self._asking)

    @property
    def problems(self) -> dict[str, str]:
        """Return why hosts and runs do not move, by their names."""
        return {**self._held_up, **self._unheard}

    @property
    def going(self) -> bool:
        """Is a run followed that has not ended?"""
        return any(not over.is_set() for over in list(self._followed.values()))

    # -- displays -------------------------------------------------------------------------------------------------------
    def show(self, card: Card) -> None:
        """Show a card in the output of the present cell, and keep it up to date; a terminal gets it once, as text."""
        display = Display(card, lambda bundle: self._publish(display, bundle, update=True))
        display.settled, display.facts = card.settled(), card.facts()
        self._publish(display, card.bundle(display.facts), update=False)
        if getattr(self._shell, "kernel", None):
            self.add(display)

    def add(self, display: Display) -> None:
        """Keep a display up to date from now on."""
        with self._changing:
            self._displays[display.id] = display
            while len(self._displays) > KEPT:
                del self._displays[next(iter(self._displays))]
        self.changed()

    def drop(self, display: Display) -> None:
        """Draw a display no more."""
        with self._changing:
            self._displays.pop(display.id, None)

    def unsettle(self) -> None:
        """Look at all displays again: a run has begun, or a definition changed."""
        for display in self._kept():
            display.settled = False
        self.changed()

    def _kept(self) -> list[Display]:
        with self._changing:
            return list(self._displays.values())

    def _publish(self, display: Display, bundle: Bundle, *, update: bool) -> None:
        self._shell.display_pub.publish(bundle, transient={"display_id": display.id}, update=update)

    # -- drawing --------------------------------------------------------------------------------------------------------
    def changed(self) -> None:
        """Have what changed drawn soon."""
        with self._wake:
            self._due = True
            if not (self._painter and self._painter.is_alive()) and not self._closed and self._displays:
                self._painter = threading.Thread(target=self._paint, name="hybridnb cards", daemon=True)
                self._painter.start()
            self._wake.notify_all()

    def _paint(self) -> None:
        looked = 0.0
        while not self._closed:
            with self._wake:
                self._wake.wait_for(lambda: self._due or self._closed, timeout=_TICK if self.going or self._unsure else None)
                self._due = False
            began = time.monotonic()
            if self.going and began - looked > _TICK and not (self._looking and self._looking.is_alive()):
                self._looking = threading.Thread(target=self._look, name="hybridnb problems", daemon=True)  # it may take long
                self._looking.start()
                looked = began
            self.draw()
            time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - began)))

    def _look(self) -> None:
        """Ask why nothing moves."""
        with suppress(HybridnbError, OSError):
            self._held_up, before = Client().problems(), self._held_up
            if self._held_up != before:
                self.changed()

    def draw(self) -> None:
        """Draw again what has changed since it was drawn last."""
        self._unsure = False
        for reading in list(self._readings.values()):
            with suppress(HybridnbError, OSError):  # its folder was removed: what is on the screen stays
                if not reading.ended:
                    reading.refresh()
        for display in self._kept():
            with display.drawn:
                if not display.settled:
                    self._draw(display)

    def _draw(self, display: Display) -> None:
        display.settled = True  # first, so that nobody's `unsettle` is undone who comes while it is drawn
        try:
            settled = display.card.settled()  # before the facts, which then tell of the end, too
            facts = display.card.facts()
            if facts != display.facts:
                display.send(display.card.bundle(facts))
                display.facts = facts
            if not settled:
                display.settled = False
        except NotFound:
            pass  # what it was about is gone; what it shows stays
        except (HybridnbError, OSError) as error:  # a file that cannot be read now, or is being edited
            display.settled, self._unsure = False, self._unsure or isinstance(error, StoreError | OSError)
        except Exception:
            self._shell.log.exception("a card of hybridnb cannot be drawn any more")

    def close(self) -> None:
        """Draw no more, and let the runs go on."""
        self._closed = True
        with self._wake:
            self._wake.notify_all()
