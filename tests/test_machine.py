"""The state machine of a run: whatever is submitted, ended, cut, crashed, cancelled, retried and changed, in any order.

The host is a model with a runner's behaviour; the engine, journal and folder are the real ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from hybridnb.engine import Engine
from hybridnb.errors import HostError
from hybridnb.hosts.attempts import Report, Submission
from hybridnb.hosts.config import Hosts
from hybridnb.journal import read
from hybridnb.model import Dependency, Job, Kind, Workflow
from hybridnb.run import Run, State, now
from hybridnb.store import Store


class Crash(BaseException):
    """The process that moves the run ends here, as by kill -9."""


@dataclass
class Task:
    """A submission as the host has it."""

    made: Submission = field(repr=False)
    attempt: int
    state: str = "waiting"  # waiting ready running ended
    word: str = ""
    code: int | None = None

    @property
    def last(self) -> int:
        return self.made.attempt + self.made.job.retries


@dataclass
class World:
    """What outlives the engine: the host's tasks, and evidence of what ran."""

    tasks: dict[str, Task] = field(default_factory=dict)
    claims: Counter[tuple[str, int]] = field(default_factory=Counter)  # (token, attempt) -> times run
    evidence: dict[tuple[str, int], tuple[State, int | None]] = field(default_factory=dict)  # (job, attempt)
    fault: str = ""  # what the next conversation meets: refuse, cut, crash, crash-after
    listener: ModelHost | None = None
    far: bool = False
    slow: bool = False  # a far host that has not done what was posted yet

    def tell(self, report: Report) -> None:
        if self.listener:
            self.listener.reports.append(report)

    def talk(self) -> str:
        fault, self.fault = self.fault, ""
        if fault == "refuse":
            raise HostError("host 'model': no route")
        if fault == "crash":
            raise Crash
        return fault

    def after(self, fault: str) -> None:
        if fault == "cut":
            raise HostError("host 'model': the connection was lost")
        if fault == "crash-after":
            raise Crash

    def settle(self) -> None:
        """Let edges have their effect, as the runner does."""
        moved = True
        while moved:
            moved = False
            for task in self.tasks.values():
                if task.state == "waiting" and (verdicts := [self.verdict(k, d) for k, d in task.made.after]) is not None:
                    if any(v is False for v in verdicts):
                        self.end(task, "skipped", None)
                        moved = True
                    elif all(verdicts):
                        task.state = "ready"
                        moved = True

    def verdict(self, key: str, dependency: Dependency) -> bool | None:
        parent = self.tasks.get(key)
        if parent is None:
            return False
        if parent.state != "ended" or parent.word == "withdrawn":
            return None
        if dependency.kind is Kind.ANY:
            return True
        good = parent.word == "exit" and parent.code == 0
        return good if dependency.kind is Kind.OK else not good and parent.word != "skipped"

    def end(self, task: Task, word: str, code: int | None) -> None:
        task.state, task.word, task.code = "ended", word, code
        states = {"skipped": State.SKIPPED, "cancelled": State.CANCELLED, "lost": State.LOST}
        state = states.get(word, State.DONE if code == 0 else State.FAILED)
        if word != "withdrawn":
            self.evidence[task.made.job.name, task.attempt] = (state, code)
        self.report(task)

    def report(self, task: Task) -> None:
        key, number = task.made.key, task.attempt
        for n in range(task.made.attempt, number):
            state, code = self.evidence[task.made.job.name, n]
            self.tell(Report(key, n, state, now(), exit_code=code, again=True))
        if task.state == "running":
            self.tell(Report(key, number, State.RUNNING, now(), native_id="1"))
        elif task.word == "withdrawn":
            self.tell(Report(key, number, "withdrawn", now()))
        elif task.state == "ended":
            state, code = self.evidence[task.made.job.name, number]
            self.tell(Report(key, number, state, now(), exit_code=code))


class ModelHost:
    """The engine's side of it; a new one after each crash."""

    problem = ""
    watched = False

    def __init__(self, world: World) -> None:
        self.name = "local"
        self.world = world
        self.reports: list[Report] = []
        world.listener = self

    def limit(self, *, slots: int, grace: float) -> None:
        pass

    def submit(self, submissions: Sequence[Submission]) -> bool:
        fault = self.world.talk()
        for s in submissions:
            if s.key in self.world.tasks:
                self.world.report(self.world.tasks[s.key])
            else:
                self.world.tasks[s.key] = Task(s, s.attempt)
        self.world.settle()
        self.world.after(fault)
        return True

    def cancel(self, keys: Iterable[str]) -> None:
        fault = self.world.talk()
        for key in keys:
            task = self.world.tasks.get(key)
            if task and task.state != "ended":
                self.world.end(task, "cancelled", 143 if task.state == "running" else None)
        self.world.settle()
        self.world.after(fault)

    def withdraw(self, keys: Iterable[str]) -> None:
        fault = self.world.talk()
        for key in keys:
            task = self.world.tasks.get(key)
            if task is None:
                continue
            if task.state in ("waiting", "ready") and task.attempt == task.made.attempt:
                self.world.end(task, "withdrawn", None)
            elif task.state == "ended":
                self.world.report(task)
            else:
                self.world.tell(Report(key, task.attempt, "kept", now()))
        self.world.after(fault)

    def hear(self) -> list[Report]:
        reports, self.reports = self.reports, []
        return reports

    def tend(self) -> None:
        pass

    def forget(self, keys: Iterable[str]) -> None:
        pass

    def facts(self) -> dict[str, object]:
        return {}

    def carries(self, run: str) -> bool:
        return False

    def clean(self, run: str) -> int:
        return 0

    def close(self) -> None:
        pass


class FarModelHost(ModelHost):
    """One that is posted to, as FarHost is: what the engine says is done later, in order within the run, and what it then hears comes later still."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.posts: list[tuple[str, list[Any]]] = []
        self.held: set[str] = set()
        self.cancelled: set[str] = set()

    def submit(self, submissions: Sequence[Submission]) -> bool:
        self.posts.append(("submit", list(submissions)))
        return False

    def cancel(self, keys: Iterable[str]) -> None:
        chosen = list(keys)
        self.cancelled.update(chosen)
        self.posts.append(("cancel", chosen))

    def withdraw(self, keys: Iterable[str]) -> None:
        self.posts.append(("withdraw", list(keys)))

    def hear(self) -> list[Report]:
        if not self.world.slow:
            self._do_posts()
        told = [report for report in super().hear() if report.key in self.held]
        for report in told:
            if (isinstance(report.what, State) and report.what.final and not report.again) or report.what == "withdrawn":
                self.held.discard(report.key)
                self.cancelled.discard(report.key)
        return told

    def _do_posts(self) -> None:
        held_up = False
        for post in list(self.posts):
            what, chosen = post
            if held_up and what != "cancel":
                continue
            try:
                if what == "submit":
                    self._submit(chosen)
                else:
                    getattr(super(), what)([key for key in chosen if key in self.held])
            except HostError:
                held_up = held_up or what != "cancel"
                continue
            self.posts.remove(post)

    def _submit(self, submissions: Sequence[Submission]) -> None:
        self.held |= {s.key for s in submissions}
        for s in submissions:
            if s.key in self.cancelled and s.key not in self.world.tasks:
                self.world.tasks[s.key] = Task(s, s.attempt)
                self.world.end(self.world.tasks[s.key], "cancelled", None)
        super().submit(submissions)
        self.reports += [Report(s.key, s.attempt, State.QUEUED, now()) for s in submissions]


class ModelHosts(Hosts):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.host = FarModelHost(world) if world.far else ModelHost(world)

    def known(self, name: str, folder: Path | None = None) -> dict[str, object]:
        return {}

    def get(self, name: str, folder: Path | None = None) -> ModelHost:
        return self.host

    def open(self) -> list[ModelHost]:  # type: ignore[override]
        return [self.host]

    def close(self) -> None:
        pass


NAMES = [f"j{i}" for i in range(6)]
EDGES = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(list(Kind))), max_size=2, unique_by=lambda edge: edge[0])


def workflow(shape: Sequence[Sequence[tuple[int, Kind]]], retries: int) -> Workflow:
    jobs = []
    for index, edges in enumerate(shape):
        after = tuple(Dependency(NAMES[p], kind) for p, kind in edges if p < index)
        jobs.append(Job(NAMES[index], script="true", after=after, retries=retries if index % 2 else 0))
    return Workflow.of("machine", jobs)


class Machine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    @initialize(shape=st.lists(EDGES, min_size=2, max_size=6), retries=st.integers(0, 2), far=st.booleans())
    def begin(self, shape: list[list[tuple[int, Kind]]], retries: int, far: bool) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="machine-"))
        self.world = World(far=far)
        self.engine = Engine(ModelHosts(self.world))
        self.definition = workflow(shape, retries)
        self.folder = self.engine.create(self.definition, self.base / "machine.yaml", variables={}).folder
        self.changes = 0
        self.step()

    @property
    def store(self) -> Store:
        return self.engine.executions[self.folder.name].store

    @rule()
    def step(self) -> None:
        """The engine steps, and may crash while it does."""
        self.engine._again.clear()
        try:
            self.engine.step(0)
        except Crash:
            self.crash(torn=b"")

    @rule(fault=st.sampled_from(["refuse", "cut", "crash", "crash-after"]))
    def trouble_ahead(self, fault: str) -> None:
        self.world.fault = fault

    @rule(slow=st.booleans())
    def slowness(self, slow: bool) -> None:
        self.world.slow = slow

    @rule(torn=st.sampled_from([b"", b"- {", b'- {"n": 3, "event": "state"']))
    def crash(self, torn: bytes) -> None:
        """Everything in memory is gone; a line may be half written."""
        store = self.store
        assert store._journal and store._lock
        if self.engine._pool:
            self.engine._pool.shutdown(wait=True)
        os.close(store._journal._fd)
        store._lock.release()
        with open(self.folder / "journal.yaml", "ab") as file:
            file.write(torn)
        self.engine = Engine(ModelHosts(self.world))
        self.engine.open(self.folder)

    def tasks(self, *states: str) -> list[Task]:
        return [t for t in self.world.tasks.values() if t.state in states]

    @precondition(lambda self: self.tasks("ready"))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.tasks("ready")))
        self.world.claims[task.made.token, task.attempt] += 1
        task.state = "running"
        self.world.report(task)

    @precondition(lambda self: self.tasks("running"))
    @rule(data=st.data(), code=st.sampled_from([0, 0, 1, None]))
    def finish(self, data: st.DataObject, code: int | None) -> None:
        task = data.draw(st.sampled_from(self.tasks("running")))
        if code == 1 and task.attempt < task.last:
            self.world.evidence[task.made.job.name, task.attempt] = (State.FAILED, 1)
            self.world.tell(Report(task.made.key, task.attempt, State.FAILED, now(), exit_code=1, again=True))
            task.attempt, task.state = task.attempt + 1, "ready"
            self.world.tell(Report(task.made.key, task.attempt, "retry", now()))
        else:
            self.world.end(task, "lost" if code is None else "exit", code)
        self.world.settle()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        names = data.draw(st.one_of(st.none(), st.lists(st.sampled_from(sorted(self.store.run.jobs) or NAMES), max_size=2)))
        if self.store.run.jobs:
            self.engine.execution(self.folder.name).cancel(names)

    @rule()
    def retry(self) -> None:
        self.engine.execution(self.folder.name).retry()

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        """A job's script changes, a job goes, or one comes: the run follows as far as nothing has started."""
        jobs = dict(self.definition.jobs)
        name = data.draw(st.sampled_from(NAMES))
        self.changes += 1
        if name not in jobs or data.draw(st.integers(0, 3)) == 0:
            earlier = [n for n in NAMES[: NAMES.index(name)] if n in jobs]
            parents = data.draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
            after = tuple(Dependency(p, data.draw(st.sampled_from(list(Kind)))) for p in parents)
            jobs[name] = Job(name, script=f"echo {self.changes}", after=after)
        elif data.draw(st.booleans()):
            jobs[name] = replace(jobs[name], script=f"echo {self.changes}")
        else:
            jobs = dict(Workflow("machine", jobs).without(name).jobs)
        self.definition = Workflow("machine", jobs)
        self.engine.execution(self.folder.name).change(self.definition)

    @invariant()
    def no_attempt_runs_twice(self) -> None:
        if hasattr(self, "world"):
            assert not [claim for claim, times in self.world.claims.items() if times > 1]

    @invariant()
    def no_final_state_without_evidence(self) -> None:
        if not hasattr(self, "engine"):
            return
        for name, attempts in self.store.run.attempts.items():
            for attempt in attempts:
                if attempt.state in (State.DONE, State.FAILED, State.LOST):
                    assert self.world.evidence[name, attempt.number] == (attempt.state, attempt.exit_code)

    @invariant()
    def replaying_the_journal_gives_what_is_in_memory(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.store.commit()
        replayed = Run()
        for record in read(self.folder / "journal.yaml")[0]:
            replayed.apply(record)
        assert replayed == self.store.run

    @invariant()
    def the_counts_are_those_of_the_states(self) -> None:
        if hasattr(self, "engine"):
            assert +self.store.run.counts == Counter(self.store.run.states.values())

    def teardown(self) -> None:
        """Whatever happened: with a host that answers and jobs that end, the run comes to its end."""
        if not hasattr(self, "engine"):
            return
        try:
            self.drain()
        finally:
            self.engine.close()
            shutil.rmtree(self.base)

    def drain(self) -> None:
        self.world.fault, self.world.slow = "", False
        for _ in range(200):
            self.step()
            if self.engine._pool:
                self.engine._pool.shutdown(wait=True)
                self.engine._pool = None
            if self.engine.idle:
                break
            for task in self.tasks("ready"):
                self.world.claims[task.made.token, task.attempt] += 1
                task.state = "running"
                self.world.report(task)
            for task in self.tasks("running"):
                self.world.end(task, "exit", 0)
            self.world.settle()
        assert self.engine.idle, f"{self.store.run} {self.store.run.states} pending {self.store.run.pending}"
        self.no_attempt_runs_twice()
        self.no_final_state_without_evidence()
        self.replaying_the_journal_gives_what_is_in_memory()


Machine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestMachine = pytest.mark.timeout(600)(Machine.TestCase)
