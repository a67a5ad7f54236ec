"""`python -m hybridnb.hosts.windows.runner DIR SLOTS`: what runner.sh is, for a machine without a POSIX shell. It does what it is asked in the
same words, keeps the same record, and ends in the same way; what differs:

  DIR/bell/PORT        where it hears that something was put into its inbox (see bell.py), instead of a FIFO
  DIR/listeners/PORT   where those who follow the record hear that it has grown
Each attempt is run by a wrapper (wrapper.py) of its own, which outlives a killed runner and still writes its evidence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from queue import Empty, SimpleQueue

from ...lock import Lock
from . import bell, group
from .queued import Evidence, Job, Standing, alive, claim_of, evidence_of

ROOT = Path(__file__).parents[3]  # where `-m hybridnb…` is found, whatever the paths of scripts are
_LIMIT = 16_000_000  # bytes of the record, after which it begins anew: whoever has not read it asks again
_PAUSE = 1.0  # seconds between looks, where nobody tells


class Runner:
    """The queue. One thread moves it; others only wait, and put what is to be done next into `_events`."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder = folder
        self._slots = slots
        self._open = 0
        self._jobs: dict[str, Job] = {}
        self._ready: deque[Job] = deque()
        self._running: dict[str, Job] = {}
        self._due: list[tuple[float, int, Job]] = []
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._inbox, self._taken = folder / "inbox", folder / "taken"
        for each in (self._inbox, self._taken):
            each.mkdir(exist_ok=True)
        record = folder / "record"
        fresh = not record.exists() or record.stat().st_size > _LIMIT
        self._record = record.open("wb" if fresh else "ab", buffering=0)
        shutil.rmtree(folder / "bell", ignore_errors=True)  # a killed runner's
        self._bell = bell.Bell(folder / "bell")
        self._said = False

    def run(self) -> None:
        """Work until nothing is open and no batch waits."""
        for batch in sorted(self._taken.iterdir()):
            self._take(batch)
        threading.Thread(target=self._hear, daemon=True).start()
        self._accept()
        while self._open or not self._left():
            self._fill()
            if self._said:
                bell.ring(self._folder / "listeners")
                self._said = False
            if self._open:
                self._step()
        bell.ring(self._folder / "listeners")
        shutil.rmtree(self._folder / "listeners", ignore_errors=True)  # who still listens hangs up a bell again
        self._bell.close()
        self._record.close()
        shutil.rmtree(self._taken, ignore_errors=True)

    def _left(self) -> bool:
        """Remove the inbox, which succeeds only when it is empty: no batch falls between this runner and the next."""
        try:
            self._inbox.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            self._accept()
            return False
        return True

    def _step(self) -> None:
        """Wait for what happens next, and do it; then whatever else has happened."""
        wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
        with suppress(Empty):
            self._events.get(timeout=wait)()
            while True:
                self._events.get_nowait()()
        while self._due and self._due[0][0] <= time.monotonic():
            job = heappop(self._due)[2]
            if job.standing is Standing.PAUSING:
                self._enqueue(job)

    def _hear(self) -> None:
        while True:
            self._bell.wait()
            self._events.put(self._look)

    def _look(self) -> None:
        """Take what came in; and see to what nobody tells of, for whoever waits for it may have been killed."""
        self._bell.hang()
        self._accept()
        for job in list(self._running.values()):
            claim = claim_of(job.here)
            if claim and not evidence_of(job.here) and not group.alive(claim):
                self._ended(job, job.attempt)

    def _tell(self, verb: str, job: Job, attempt: int, *more: object) -> None:
        self._record.write(" ".join(map(str, (verb, job.key, attempt, *more))).encode() + b"\n")
        self._said = True

    # -- attempts -------------------------------------------------------------------------------------------------------
    def _enqueue(self, job: Job) -> None:
        job.standing = Standing.READY
        self._ready.append(job)

    def _fill(self) -> None:
        while self._ready and len(self._running) < self._slots:
            job = self._ready.popleft()
            if job.standing is Standing.READY:
                self._occupy(job)
                threading.Thread(target=self._attend, args=(job, job.attempt), daemon=True).start()

    def _occupy(self, job: Job) -> None:
        job.standing = Standing.RUNNING
        self._running[job.key] = job

    def _attend(self, job: Job, attempt: int) -> None:
        """Run a wrapper and wait for it, in a thread of its own."""
        command = [sys.executable, "-m", "hybridnb.hosts.windows.wrapper", str(job.folder / str(attempt))]
        while True:
            try:
                wrapper = group.lead(command, folder=str(ROOT), out=subprocess.PIPE, err=None)
                break
            except OSError as error:  # too many processes, perhaps
                print(f"{job.key}: {command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
                time.sleep(_PAUSE)
        assert wrapper.stdout
        with wrapper.stdout:
            if wrapper.stdout.read(1):  # it has claimed the attempt
                self._events.put(partial(self._tell_start, job, attempt))
        wrapper.wait()
        self._events.put(partial(self._ended, job, attempt))

    def _ended(self, job: Job, attempt: int) -> None:
        """Go on after an attempt that nobody runs any more."""
        if job.standing is not Standing.RUNNING or job.attempt != attempt:
            return
        evidence = evidence_of(job.here)
        if job.begun < attempt and evidence != (75, "cancelled"):  # a dead runner's wrapper was first
            self._tell_start(job, attempt)
        if not evidence:
            if job.stopped:
                evidence = self._leave(job, 137, "cancelled")
            elif alive(job.here):
                self._outlive(job)
                return
            else:
                evidence = self._leave(job, 75, "lost")
        del self._running[job.key]
        if end := self._advance(job):
            self._finish(job, end)
            return
        self._tell("retry", job, job.attempt, job.pause)
        if job.pause:
            job.standing = Standing.PAUSING
            heappush(self._due, (time.monotonic() + job.pause, id(job), job))
        else:
            self._enqueue(job)

    def _advance(self, job: Job) -> Evidence | None:
        """Go to the attempt that is to run; where there is none, return the end of the last."""
        while evidence := evidence_of(job.here):
            final = evidence == (0, "exit") or evidence.word in ("cancelled", "skipped", "withdrawn", "lost")
            if final or job.attempt >= job.last or job.stopped:
                return evidence
            self._tell("fail", job, job.attempt, *evidence)
            following = job.folder / str(job.attempt + 1)
            try:
                following.mkdir(exist_ok=True)
                for name in ("script", "spec.json"):
                    shutil.copy2(job.here / name, following / name)
            except OSError:
                return evidence
            job.attempt += 1
        return None

    def _leave(self, job: Job, code: int, word: str) -> Evidence:
        """Leave evidence for an attempt that no wrapper ended."""
        with suppress(OSError):
            (job.here / "rc").write_bytes(f"{code} {word}\n".encode())
        return Evidence(code, word)

    def _outlive(self, job: Job) -> None:
        """Wait for processes that have nobody else to wait for them; then look for evidence again."""
        here, attempt = job.here, job.attempt

        def wait() -> None:
            while not evidence_of(here) and alive(here):
                time.sleep(_PAUSE)
            self._events.put(partial(self._ended, job, attempt))

        threading.Thread(target=wait, daemon=True).start()

    # -- ends -----------------------------------------------------------------------------------------------------------
    def _finish(self, job: Job, evidence: Evidence) -> None:
        """End a job, and all that can now never run: a list, for a chain may be long."""
        ending = deque([(job, evidence)])
        while ending:
            job, evidence = ending.popleft()
            if not job.standing.ended:
                self._open -= 1
                job.standing = evidence.standing
                self._tell("end", job, job.attempt, *evidence)
                if evidence.word != "withdrawn":
                    doomed = [kid for kid, kind in job.kids if self._released(kid, kind, job.standing)]
                    ending.extend((kid, self._leave(kid, 75, "skipped")) for kid in doomed)

    def _released(self, kid: Job, kind: str, end: Standing) -> bool:
        """Count a parent's end; return whether the kid can never run now."""
        if kid.standing is not Standing.WAITING:
            return False
        if not _satisfied(kind, end):
            return True
        kid.missing -= 1
        if not kid.missing:
            self._enqueue(kid)
        return False

    # -- what is asked --------------------------------------------------------------------------------------------------
    def _accept(self) -> None:
        """Take what is in the inbox, into taken/ first, so that a successor finds it whenever this process ends."""
        with suppress(FileNotFoundError):
            for batch in sorted(self._inbox.iterdir()):
                taken = self._taken / batch.name
                with suppress(OSError):  # something on Windows may look at it just now: the next look finds it
                    batch.replace(taken)
                    self._take(taken)

    def _take(self, batch: Path) -> None:
        known: dict[str, Callable[..., None]]
        known = {"add": self._add, "cancel": self._cancel, "withdraw": self._withdraw, "slots": self._resize}
        for line in batch.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            verb, *words = line.split(" ", 6)
            with suppress(ValueError, TypeError):  # what makes no sense is asked in vain
                if verb in known:
                    known[verb](*words)

    def _add(self, key: str, attempt: str, retries: str, backoff: str, after: str, folder: str) -> None:
        first = int(attempt)
        job = self._jobs.get(key)
        if job and not job.standing.ended:
            self._begun(job, first)
            return
        job = Job(key, first, first + int(retries), int(backoff), Path(folder), first=first)
        self._jobs[key] = job  # what has ended is told by its evidence
        self._open += 1
        if (job.here / "claim").exists() or (job.here / "rc").exists():
            self._resume(job)
        elif not (job.here / "spec.json").exists():  # its run was deleted: it is among what a dead runner had taken
            self._finish(job, Evidence(75, "lost"))
        elif job.stopped:
            self._finish(job, self._leave(job, 75, "cancelled"))
        else:
            self._depend(job, [] if after == "-" else [edge.partition(":")[::2] for edge in after.split(",")])

    def _depend(self, job: Job, edges: list[tuple[str, str]]) -> None:
        for name, kind in edges:
            parent = self._jobs.get(name)
            if parent and not parent.standing.ended:
                parent.kids.append((job, kind))
                job.missing += 1
            elif not (parent and _satisfied(kind, parent.standing)):
                self._finish(job, self._leave(job, 75, "skipped"))
                return
        if not job.missing:
            self._enqueue(job)

    def _resume(self, job: Job) -> None:
        """Go on with an attempt that was touched before this runner lived."""
        for attempt in range(job.attempt, job.last + 1):
            self._tell_start(job, attempt)
        if end := self._advance(job):
            self._finish(job, end)
        elif (job.here / "claim").exists():
            self._occupy(job)
            self._outlive(job)
        else:
            self._enqueue(job)

    def _begun(self, job: Job, first: int) -> None:
        """Tell, asked once more, how the attempts from that one on began, and those before the present one ended."""
        for attempt in range(first, job.attempt + 1):
            self._tell_start(job, attempt)
            if attempt < job.attempt and (evidence := evidence_of(job.folder / str(attempt))):
                self._tell("fail", job, attempt, *evidence)

    def _tell_start(self, job: Job, attempt: int) -> None:
        if claim := claim_of(job.folder / str(attempt)):
            job.begun = attempt
            self._tell("start", job, attempt, claim.pid)

    def _cancel(self, key: str, grace: str = "10") -> None:
        job = self._jobs.get(key)
        if not job or job.standing.ended:
            return
        with suppress(OSError):
            (job.folder / "cancel").touch()
        if job.standing is not Standing.RUNNING:
            self._finish(job, self._leave(job, 75, "cancelled"))
        elif claim := claim_of(job.here):
            here = job.here
            group.ask(claim)
            timer = threading.Timer(float(grace), lambda: None if evidence_of(here) or not alive(here) else group.kill(claim))
            timer.daemon = True
            timer.start()

    def _withdraw(self, key: str) -> None:
        job = self._jobs.get(key)
        if job and job.standing in (Standing.WAITING, Standing.READY):
            self._finish(job, self._leave(job, 75, "withdrawn"))
        elif job and not job.standing.ended:
            self._tell("kept", job, job.attempt)

    def _resize(self, number: str) -> None:
        self._slots = max(1, int(number))


def _satisfied(kind: str, end: Standing) -> bool:
    return kind == "any" or end.value == (kind or "ok")


def main(folder: Path, slots: int) -> None:
    """Be the runner of a folder, unless one lives."""
    os.chdir(folder)
    lock = Lock(folder / "lock")
    end = time.monotonic() + 2 * _PAUSE  # who looks whether somebody holds it holds it for a moment
    while not lock.acquire():
        if time.monotonic() > end:
            return
        time.sleep(_PAUSE / 20)
    Runner(folder, slots).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
