"""What a workflow file may say: nodes are read as jobs, and everything that is wrong is noted with its place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from . import document
from .document import Fields, Items, Node, Scalar, is_empty, is_null, kind_of, number_of, shown
from .errors import DefinitionError, Problem, did_you_mean
from .model import Dependency, Job, Resources, Workflow, about_combinations, about_name, about_param, about_twice, about_value
from .model import about_variable, is_path, wrong_edges, wrong_groups
from .resources import about_gpus, about_mem, about_time, wrong_options

_DURATION = re.compile(r"(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*([smhd]?)")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Reader:
    """Reads nodes as definitions and notes everything that is wrong on the way; a value that is wrong is read as anything."""

    def __init__(self, file: str, folder: Path | None) -> None:
        self.file, self.folder = file, folder
        self.problems: list[Problem] = []  # in no order
        self.edges: dict[str, list[tuple[Dependency, Node]]] = {}
        self.groups: dict[str, tuple[str, Node]] = {}
        self.dependencies: dict[str, Dependency] = {}

    def wrong(self, node: Node, message: str) -> None:
        self.problems.append(document.problem(message, node.start, self.file))

    def workflow(self, root: Node) -> Workflow:
        found = self.fields(root, "a workflow file", {"name": 0, "jobs": 1, "layout": 2})
        name = self.name(found["name"][1]) if "name" in found else self.stem(root)
        if "jobs" not in found and isinstance(root, Fields):
            self.wrong(root, "'jobs' is missing: below 'jobs:' come the jobs by their names")
        table = self.fields(found["jobs"][1], "jobs", None) if "jobs" in found else {}
        jobs = {job: self.job(key, node) for job, (key, node) in table.items()}
        self.connect({job: key for job, (key, _) in table.items()})
        layout = self.layout(found["layout"][1]) if "layout" in found else {}
        if self.problems:
            self.problems.sort(key=lambda problem: (problem.line, problem.column))
            raise DefinitionError(self.problems)
        return Workflow(name, {k: job for k, job in jobs.items() if job}, {k: v for k, v in layout.items() if k in jobs})

    def name(self, node: Node) -> str:
        name = self.text(node, "name")
        if name and (about := about_name(name, what="workflow")):
            self.wrong(node, about)
        return name

    def stem(self, root: Node) -> str:
        """Name a workflow by its file."""
        name = Path(self.file).stem if self.file else "workflow"
        if about := about_name(name, what="workflow"):
            self.wrong(root, f"{about}; the file's name is taken where no line 'name: …' gives another")
        return name

    def connect(self, keys: Mapping[str, Scalar]) -> None:
        """Note what is wrong with the edges, where they are written."""
        for job, parent, message in wrong_edges({name: [d for d, _ in edges] for name, edges in self.edges.items()}):
            at = [node for dependency, node in self.edges[job] if dependency.job == parent]
            self.wrong(at[-1] if at else keys[job], message)
        for job, message in wrong_groups({name: group for name, (group, _) in self.groups.items() if group}, keys):
            self.wrong(self.groups[job][1], message)

    def job(self, key: Scalar, node: Node) -> Job | None:
        """Read one job; None when something is wrong with it."""
        name, noted = key.text, len(self.problems)
        if about := about_name(name):
            self.wrong(key, about)
        self.edges[name] = []
        if isinstance(node, Scalar) and not is_empty(node):  # a job that is only a script
            node = Fields(start=node.start, nodes=[Scalar("script"), node])
        found = self.fields(node, f"job '{name}'", _JOB)
        values: dict[str, Any] = {
            field: _JOB[field](self, value, f"{field} of job '{name}'") for field, (_, value) in found.items() if not is_null(value)
        }
        if "after" in values:
            self.edges[name] = values["after"]
            values["after"] = tuple(dependency for dependency, _ in values["after"])
        if "group" in values:
            self.groups[name] = values["group"], found["group"][1]
        if values.get("sweep"):
            self.beside_sweep(name, found, values)
        misread = isinstance(node, Items) or (isinstance(node, Fields) and len(node.nodes) > 2 * len(found))  # which was told
        if "script" in values and "exec" in values:
            self.wrong(found["exec"][0], f"job '{name}' has both a script and an exec; keep one of them")
        elif "script" not in values and "exec" not in values and not misread:
            self.wrong(key, f"job '{name}' has nothing to run: give it a script or an exec")
        return Job(name, **values) if len(self.problems) == noted else None

    def beside_sweep(self, name: str, found: Mapping[str, tuple[Scalar, Node]], values: Mapping[str, Any]) -> None:
        """Note what cannot stand beside a job's sweep."""
        if "group" in values:
            self.wrong(found["group"][0], f"job '{name}' is a sweep, whose jobs are a group of its name; take 'group' away")
        sweep = found["sweep"][1]
        for key, _ in sweep.pairs() if isinstance(sweep, Fields) else ():
            if isinstance(key, Scalar) and key.text in values.get("params", {}):
                self.wrong(key, about_twice(key.text, name))

    def fields(self, node: Node, what: str, known: Mapping[str, Any] | None) -> dict[str, tuple[Scalar, Node]]:
        """Read a mapping as {key: (its node, the value's)}; keys must be known (where it matters) and not come twice."""
        if not isinstance(node, Fields):
            if not is_empty(node):
                self.wrong(node, f"{what}: expected a mapping, not {kind_of(node)}")
            return {}
        found: dict[str, tuple[Scalar, Node]] = {}
        for key, value in node.pairs():
            if not isinstance(key, Scalar):
                self.wrong(key, f"{what}: a key is a text, not {kind_of(key)}")
                continue
            name = ALIASES.get(key.text, key.text) if known is _RESOURCES else key.text
            if known is not None and name not in known:
                self.wrong(
                    key,
                    f"'{key.text:.60}' is not a field of {what}{did_you_mean(key.text[:60], known)} (known: {', '.join(known)})",
                )
            elif name in found:
                first = found[name][0].start.line + 1
                self.wrong(key, f"'{key.text:.60}' is defined twice in {what}" + (f", first in line {first}" if first else ""))
            else:
                found[name] = key, value
        return found

    def text(self, node: Node, what: str) -> str:
        if not isinstance(node, Scalar):
            self.wrong(node, f"{what}: expected a text, not {kind_of(node)}")
        elif not node.text.strip():
            self.wrong(node, f"{what}: nothing is written here")
        elif "\0" in node.text:
            self.wrong(node, f"{what}: a text cannot hold the character NUL")
        else:
            return node.text
        return ""

    def word(self, node: Node, what: str) -> str:
        text = self.text(node, what)
        if re.search(r"\s", text):
            self.wrong(node, f"{what}: expected one word, without spaces, not {text!r:.60}")
        return text

    def texts(self, node: Node, what: str, *, of: str = "texts") -> tuple[str, ...]:
        """Read a list of texts, or one text as a list of one."""
        if isinstance(node, Items):
            return tuple(self.text(item, what) for item in node.nodes)
        if is_empty(node):
            return ()
        if isinstance(node, Scalar) and kind_of(node) == "a text":
            return (self.text(node, what),)
        self.wrong(node, f"{what}: expected a list of {of}, not {kind_of(node)}")
        return ()

    def files(self, node: Node, what: str) -> tuple[str, ...]:
        names = self.texts(node, what, of="file names")
        for number, name in enumerate(names):
            if "\n" in name or "\r" in name:
                at = node.nodes[number] if isinstance(node, Items) else node
                self.wrong(at, f"{what}: a file name has one line, not {name!r:.60}")
        return names

    def script(self, node: Node, what: str) -> str:
        text = self.text(node, what)
        if self.folder is not None and (about := about_script(text, self.folder)):
            self.wrong(node, f"{what}: {about}")
        return text

    def command(self, node: Node, what: str) -> str | tuple[str, ...]:
        if isinstance(node, Scalar):
            return self.text(node, what)
        if isinstance(node, Items) and not node.nodes:
            self.wrong(node, f"{what}: nothing is written here")
        return self.texts(node, what, of="words")

    def after(self, node: Node, what: str) -> list[tuple[Dependency, Node]]:
        if is_empty(node):
            return []
        if isinstance(node, Fields):
            self.wrong(node, f"{what}: expected a list of jobs, not a mapping")
            return []
        out: list[tuple[Dependency, Node]] = []
        for item in node.nodes if isinstance(node, Items) else [node]:
            if not isinstance(item, Scalar):
                hint = "; write job:any without a space after the colon" if isinstance(item, Fields) else ""
                self.wrong(item, f"{what}: expected a job's name, not {kind_of(item)}{hint}")
            elif dependency := self.dependency(item, what):
                out.append((dependency, item))
        return out

    def dependency(self, node: Scalar, what: str) -> Dependency | None:
        try:
            if node.text not in self.dependencies:
                self.dependencies[node.text] = Dependency.parse(node.text)
        except DefinitionError as error:
            self.wrong(node, f"{what}: {error}")
        return self.dependencies.get(node.text)

    def resources(self, node: Node, what: str) -> Resources:
        found = self.fields(node, what, _RESOURCES)
        return Resources(
            **{name: _RESOURCES[name](self, value, f"{name} in {what}") for name, (_, value) in found.items() if not is_null(value)}
        )

    def options(self, node: Node, what: str) -> tuple[str, ...]:
        """Read further options of sbatch."""
        options = self.texts(node, what)
        for number, about in wrong_options(options):
            self.wrong(node.nodes[number] if isinstance(node, Items) else node, f"{what}: {about}")
        return options

    def count(self, node: Node, what: str, *, least: int = 1) -> int:
        text = node.text if isinstance(node, Scalar) else ""
        if not re.fullmatch(r"-?\d{1,9}", text, re.A):
            self.wrong(node, f"{what}: expected a whole number, not {shown(node)}")
        elif int(text) < least:
            self.wrong(node, f"{what}: expected {least} or more, not {text}")
        else:
            return int(text)
        return least

    def retries(self, node: Node, what: str) -> int:
        return self.count(node, what, least=0)

    def timeout(self, node: Node, what: str) -> float:
        """Read seconds: 90, 90s, 10m, 2h, 1d, 1:30:00 or 10:00."""
        text = node.text.strip() if isinstance(node, Scalar) else ""
        seconds = 0.0
        if found := _DURATION.fullmatch(text):
            seconds = float(found[1]) * _SECONDS[found[2]]
        elif found := _CLOCK.fullmatch(text):
            seconds = float(int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3]))
        else:
            self.wrong(node, f"{what}: expected seconds, or a time as 90s, 10m, 2h, 1d or 1:30:00, not {shown(node)}")
            return 1.0
        if not (seconds > 0 and isfinite(seconds)):
            self.wrong(node, f"{what}: expected more than 0 seconds, not {text}")
        return seconds

    def params(self, node: Node, what: str) -> dict[str, Any]:
        found = self.fields(node, what, None)
        for name, (key, _) in found.items():
            if about := about_param(name):
                self.wrong(key, f"{what}: {about}")
        return {name: self.value(value, f"{name:.60} in {what}") for name, (_, value) in found.items()}

    def group(self, node: Node, what: str) -> str:
        text = self.text(node, what)
        if text and (about := about_name(text, what="group")):
            self.wrong(node, about)
        return text

    def sweep(self, node: Node, what: str) -> dict[str, tuple[Any, ...]]:
        """Read params, each with a list of values."""
        found = self.fields(node, what, None)
        out = {name: self.choices(value, f"{name:.60} in {what}") for name, (_, value) in found.items()}
        for name, (key, _) in found.items():
            if about := about_param(name):
                self.wrong(key, f"{what}: {about}")
        if about := about_combinations(out):
            self.wrong(node, f"{what}: {about}")
        return out

    def choices(self, node: Node, what: str) -> tuple[Any, ...]:
        if not isinstance(node, Items):
            hint = f"; for one value write [{node.text:.40}], or put it into params" if isinstance(node, Scalar) else ""
            self.wrong(node, f"{what}: expected a list of values, not {kind_of(node)}{hint}")
            return ()
        if not node.nodes:
            self.wrong(node, f"{what}: a list without values makes no job")
        out: dict[tuple[type, Any], None] = {}
        for item in node.nodes:
            noted, value = len(self.problems), self.value(item, what)
            if len(self.problems) > noted:
                continue
            if about := about_value(value):
                self.wrong(item, f"{what}: {about}")
            elif (type(value), value) in out:
                self.wrong(item, f"{what}: {shown(item)} comes twice")
            else:
                out[type(value), value] = None
        return tuple(value for _, value in out)

    def value(self, node: Node, what: str) -> Any:
        """Read what JSON can say."""
        if isinstance(node, Items):
            return [self.value(item, what) for item in node.nodes]
        if isinstance(node, Fields):
            return {key: self.value(value, what) for key, (_, value) in self.fields(node, what, None).items()}
        if "\0" in node.text:
            self.wrong(node, f"{what}: a text cannot hold the character NUL")
        if node.style:
            return node.text
        try:
            value = document.plain(node.text)
        except ValueError:
            value = float("nan")
        if isinstance(value, float) and not isfinite(value):
            self.wrong(node, f"{what}: {node.text:.40} is not a number that every language knows; a text is put in quotes")
        return value

    def env(self, node: Node, what: str) -> dict[str, str]:
        """Read variables; their values are texts as they are written, also the empty one."""
        out = {}
        for name, (key, value) in self.fields(node, what, None).items():
            if about := about_variable(name):
                self.wrong(key, f"{what}: {about}")
            if not isinstance(value, Scalar):
                self.wrong(value, f"{name} in {what}: expected a text, not {kind_of(value)}")
            elif "\0" in value.text:
                self.wrong(value, f"{name} in {what}: a text cannot hold the character NUL")
            else:
                out[name] = value.text
        return out

    def layout(self, node: Node) -> dict[str, tuple[float, float]]:
        out = {}
        for name, (_, value) in self.fields(node, "layout", None).items():
            numbers = [number_of(item) for item in value.nodes] if isinstance(value, Items) else []
            x, y = numbers if len(numbers) == 2 else (None, None)
            if x is None or y is None:
                self.wrong(value, f"{name} in layout: expected a place as [x, y], two numbers, not {kind_of(value)}")
            else:
                out[name] = (x, y)
        return out


def about_script(script: str, folder: Path) -> str:
    """Say that a script is the path of a file that is not in the folder, with the nearest, or ''."""
    path = script.strip()
    if not is_path(script) or os.path.isfile(folder / path):
        return ""
    beside = (folder / path).parent
    names = os.listdir(beside) if os.path.isdir(beside) else os.listdir(folder) if os.path.isdir(folder) else []
    return f"there is no file '{path}' in {folder}{did_you_mean(Path(path).name, names)}"


def _spelled(about: Callable[[str], str]) -> Callable[[Reader, Node, str], str]:
    """Return what reads a text of which something may be wrong."""

    def read(reader: Reader, node: Node, what: str) -> str:
        text = reader.text(node, what)
        if text and (wrong := about(text)):
            reader.wrong(node, f"{what}: {wrong}")
        return text

    return read


_JOB: dict[str, Callable[[Reader, Node, str], Any]] = {
    "host": Reader.word,
    "script": Reader.script,
    "exec": Reader.command,
    "after": Reader.after,
    "resources": Reader.resources,
    "params": Reader.params,
    "sweep": Reader.sweep,
    "group": Reader.group,
    "env": Reader.env,
    "inputs": Reader.files,
    "outputs": Reader.files,
    "retries": Reader.retries,
    "timeout": Reader.timeout,
}
_RESOURCES: dict[str, Callable[[Reader, Node, str], Any]] = {
    "time": _spelled(about_time),
    "partition": Reader.word,
    "account": Reader.word,
    "qos": Reader.word,
    "constraint": Reader.text,
    "nodes": Reader.count,
    "ntasks": Reader.count,
    "cpus_per_task": Reader.count,
    "gpus": _spelled(about_gpus),
    "mem": _spelled(about_mem),
    "sbatch": Reader.options,
}
ALIASES = {"cpus": "cpus_per_task"}
