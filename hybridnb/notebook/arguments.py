"""The words of the magics: what may stand in a line, what it means, and what is said when it cannot mean anything."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

from IPython.core.error import UsageError

from ..errors import did_you_mean
from ..model import Kind
from .expansion import as_param, as_sweep, expand
from .recipe import job_mapping

__all__ = ["Parser", "Words", "expand", "help_of", "hosts_parser", "job_mapping", "job_parser", "runs_parser", "workflow_parser"]

Variables = Mapping[str, Any]

_WIDTH = 100  # characters of a line of help
_PARAM = re.compile(r"(?P<option>--param=|-p(?!$))(?P<name>[^=]*)(?P<equals>=?)")
_OTHERS = "; what only sbatch knows goes behind --sbatch"


class Parser(argparse.ArgumentParser):
    """Reads the line of one magic, or of one word of it. Options and names may come in any order."""

    def __init__(self, prog: str, usage: str, *, about: str, example: str = "", hint: str = "") -> None:
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {usage}".rstrip(),
            description=about,
            epilog=f"example: {example}" if example else "",
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH, max_help_position=30),
            add_help=False,
            allow_abbrev=False,
        )
        self.color = False  # help is shown in notebooks, too
        self.hint = hint

    def parse(self, line: str, variables: Variables | None = None) -> argparse.Namespace:
        """Read a line; raise UsageError. With variables, a `{name}` in it stands for one, and its value stays one word."""
        return self.read(words(line), variables)

    def read(self, words: Sequence[str], variables: Variables | None = None) -> argparse.Namespace:
        """Read a line that is split into words."""
        if variables is not None:
            words = _expanded(words, variables)
        words = _joined(words)
        for word in words:
            self._recognize(word.partition("=")[0])
        found, extra = self.parse_known_intermixed_args(words)
        if extra:
            hint = self._one_word(words, extra) or self.format_usage().strip()
            self.error(f"too many words: '{' '.join(extra)}'; {hint}")
        return found

    def _one_word(self, words: Sequence[str], extra: Sequence[str]) -> str:
        """Say how several values of an option are written, if that is where these words come from."""
        option, said = "", list[str]()
        for word in [*words, "--"]:
            if not word.startswith("-"):
                said.append(word)
                continue
            takes = self.options.get(option)
            if isinstance(takes, _List) and takes.nargs is None and said[1:] and extra[0] in said:
                return f"several in one option are one word: write {option} {','.join(said)}"
            option, _, value = word.partition("=")
            said = [value] if value else []
        return ""

    def _recognize(self, word: str) -> None:
        """Raise UsageError for an option that there is not."""
        known = self._option_string_actions
        if re.match(r"--?[^\W\d]\S*$", word) and word not in known and word[:2] not in known:
            near = "" if word in ("-h", "--help") else did_you_mean(word, known)
            self.error(f"unrecognized argument '{word}'{near or self.hint}")

    @property
    def options(self) -> Mapping[str, argparse.Action]:
        """What an option leads to."""
        return self._option_string_actions

    @property
    def names(self) -> Sequence[argparse.Action]:
        """What is said without an option, in its order."""
        return self._get_positional_actions()

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with the way to more."""
        raise UsageError(f"{self.prog}: {message}{'' if message.endswith('?') else '.'} {self.prog.split()[0]}? tells more")


class Words:
    """A magic whose line begins with a word: each has a parser of its own. Without a word it is the default one."""

    def __init__(self, prog: str, parsers: Mapping[str, Parser], *, default: str, about: str, example: str) -> None:
        self.prog, self.parsers, self.default, self.about, self.example = prog, parsers, default, about, example

    def __repr__(self) -> str:
        return f"Words({self.prog}: {', '.join(self.parsers)})"

    def parse(self, line: str, variables: Variables | None = None) -> argparse.Namespace:
        """Read a line; the namespace has also `word`. Raise UsageError."""
        said = words(line)
        word, rest = (said[0], said[1:]) if said and not said[0].startswith("-") else (self.default, said)
        if word not in self.parsers:
            known = ", ".join(self.parsers)
            raise UsageError(f"{self.prog} has no word '{word}'{did_you_mean(word, self.parsers)} (its words: {known})")
        found = self.parsers[word].read(rest, variables)
        found.word = word
        return found

    def format_help(self) -> str:
        """Tell every word with its options."""
        return "\n".join([f"{self.about}\n", *map(_brief, self.parsers.values()), f"\nexample: {self.example}", ""])


def help_of(parser: Parser | Words) -> str:
    """Return the help of a magic, as its docstring."""
    return parser.format_help()


def words(line: str) -> list[str]:
    """Split a line as a shell does, without comments; raise UsageError when a quote is not closed."""
    try:
        return shlex.split(line)
    except ValueError as error:
        if line.rstrip().endswith("\\"):
            told = "a magic and its options stand on one line"
            raise UsageError(f"{told}: write the next line behind this one, without the \\ at its end: {line.strip()}") from None
        raise UsageError(f"{str(error).lower()} in: {line.strip()}") from None


def _brief(parser: Parser) -> str:
    """Return a parser's help without what stands above and below all."""
    lines = parser.format_help().splitlines()
    options = [line for line in lines if line.startswith(("  -", " " * 10))]
    usage = parser.format_usage().strip().removeprefix("usage: ")
    return "\n".join([f"{usage}\n    {parser.description}", *(f"  {option}" for option in options)])


def _joined(words: Sequence[str]) -> list[str]:
    """Bind the option behind --sbatch to it: what begins with a dash would be taken for one of ours."""
    out: list[str] = []
    for word in words:
        if out and out[-1] == "--sbatch":
            out[-1] = f"--sbatch={word}"
        else:
            out.append(word)
    return out


def _expanded(words: Sequence[str], variables: Variables) -> list[str]:
    """Expand each word, but not what is filled in later: the label of a picture, in the files of a sweep the names of its params."""
    pairs = list(zip(["", *words], words))
    given = [found for before, word in pairs if (found := _PARAM.match(f"-p{word}" if before in ("-p", "--param") else word))]
    sweeps = "--sweep" in words
    swept = {param["name"] for param in given} if sweeps else set()

    def expanded(before: str, word: str) -> str:
        if before in ("-p", "--param"):
            return expanded("", f"-p{word}").removeprefix("-p")
        if found := _PARAM.match(word):
            value = expand(word[found.end() :], variables, alone=as_sweep if sweeps else as_param)
            return found["option"] + expand(found["name"], variables) + found["equals"] + value
        option = word.partition("=")[0] if word.startswith("--") else before
        return word if option == "--label" else expand(word, variables, keep=swept if option in ("--in", "--out") else ())

    return [expanded(before, word) for before, word in pairs]


# -- kinds of values ------------------------------------------------------------------------------------------------------
class _List(argparse.Action):
    """Collects a,b and what other words or options of this kind name."""

    def __call__(self, _: Any, namespace: argparse.Namespace, values: Any, *_more: Any) -> None:
        said = [values] if isinstance(values, str) else values or []
        before = getattr(namespace, self.dest, None) or []
        setattr(namespace, self.dest, [*before, *(part.strip() for word in said for part in word.split(",") if part.strip())])


class _Pairs(argparse.Action):
    """Collects name=value, each name once."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        name, equals, value = values.partition("=")
        pairs = dict(getattr(namespace, self.dest) or {})
        if not (equals and name):
            parser.error(f"{option} wants name=value, not '{values}'")
        if name in pairs:
            parser.error(f"{option} {name}=… is given twice")
        setattr(namespace, self.dest, {**pairs, name: value})


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.A):
        raise argparse.ArgumentTypeError(f"expected a whole number, not '{text}'")
    return int(text)


def _kind(text: str) -> str:
    kinds = [kind.value for kind in Kind]
    if text not in kinds:
        raise argparse.ArgumentTypeError(f"expected {', '.join(kinds)}, not '{text}'{did_you_mean(text, kinds)}")
    return text


# -- the magics -----------------------------------------------------------------------------------------------------------
@cache
def job_parser() -> Parser:
    """Describe `%%job`."""
    about = "Record the cell's body as a job of the notebook's workflow. Running the cell again updates the job."
    example = "%%job rivanna train --after split --time 1:00:00 --gpus 1 -p lr=0.1 --out model.pt --lang python"
    parser = Parser("%%job", "HOST [NAME] [options]", about=about, example=example, hint=_OTHERS)
    parser.add_argument("host", metavar="HOST", help="where it runs; %%hosts lists them")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the job's name; default: job-1, job-2 …")
    _job_options(parser)
    for flag, about in (
        ("run", "start it now, with what it waits for, as far as that is not done"),
        ("wait", "start it now, and wait for its end; the run goes on if you interrupt"),
        ("expand", "a {name} in the body, too, stands for a variable of the notebook"),
    ):
        parser.add_argument(f"--{flag}", action="store_true", help=about)
    parser.set_defaults(script=None, exec=None)
    return parser


def _job_options(parser: Parser) -> None:
    add = parser.add_argument
    add("--after", metavar="JOB,…", action=_List, help="what it waits for: train, train:any (however it ends) or train:failed")
    for option, meta, about in (
        ("time", "TIME", "the longest it may take, as sbatch has it: 30 (minutes), 1:00:00, 2-12"),
        ("partition", "NAME", "Slurm's partition"),
        ("account", "NAME", "Slurm's account"),
        ("qos", "NAME", "Slurm's quality of service"),
        ("constraint", "WORDS", "features that its nodes must have"),
        ("gpus", "N", "GPUs: 1, or a kind and a number: a100:2"),
        ("mem", "SIZE", "memory for each node: 4G"),
    ):
        add(f"--{option}", metavar=meta, help=about)
    for option, about in (("nodes", "nodes"), ("ntasks", "tasks"), ("cpus", "processors for each task")):
        add(f"--{option}", metavar="N", type=_count, dest="cpus_per_task" if option == "cpus" else option, help=about)
    about = 'another option, as sbatch spells it: --sbatch "-C gpu"; again for more'
    add("--sbatch", metavar="OPTION", action="append", help=about)
    add("-p", "--param", metavar="K=V", dest="params", action=_Pairs, help="a param: a variable in the script; again for more")
    add("--sweep", action="store_true", help="a job for each combination of params: -p lr=0.1,0.01 -p depth=2,4")
    add("--in", metavar="FILE,…", dest="inputs", action=_List, help="files and globs that it needs")
    add("--out", metavar="FILE,…", dest="outputs", action=_List, help="files and globs that it promises")
    add("--retries", metavar="N", type=_count, help="how often it is tried again when it failed")
    add("--timeout", metavar="T", help="when it is stopped: seconds, or 90s, 10m, 2h, 1d, 1:30:00")
    add("--env", metavar="K=V", action=_Pairs, help="an environment variable; again for more")
    add("--lang", metavar="LANG", help="the language: bash (default), python, R, julia … as #!/usr/bin/env in the first line")
    add("--replace", action="store_true", help="take the name over from another cell, and count instead of what the file says")


@cache
def workflow_parser() -> Words:
    """Describe `%workflow`."""
    parsers = [_word("show", "", "Draw the workflow with its states; so does %workflow alone.")]
    parsers += [_run_word()]
    parsers += [_word("status", "[RUN]", "Tell how the last run stands, or another.", ("run?",))]
    log = _word("log", "JOB [-f] [--err] [--attempt N]", "Print what a job wrote.", ("job",))
    log.add_argument("-f", dest="follow", action="store_true", help="go on while the job does")
    log.add_argument("--err", action="store_true", help="standard error instead of standard output")
    log.add_argument("--attempt", metavar="N", type=_count, help="the N-th attempt instead of the last")
    parsers += [log]
    parsers += [_word("cancel", "[JOB …]", "Stop the last run, or some of its jobs.", ("job*",))]
    parsers += [_word("retry", "[JOB …]", "Try again what did not end well, or some jobs.", ("job*",))]
    parsers += [_add_word()]
    parsers += [_word("remove", "JOB …", "Take jobs out of the workflow.", ("job+",))]
    parsers += [_word("rename", "OLD NEW", "Give a job another name, also where others wait for it.", ("old", "new"))]
    connect = _word("connect", "A B [--kind KIND]", "Let B wait for A.", ("parent", "child"), metas=("A", "B"))
    about = "wait until A is done (ok, the default), ended however (any), or ended otherwise than done (failed)"
    connect.add_argument("--kind", metavar="KIND", type=_kind, default=Kind.OK.value, help=about)
    parsers += [connect]
    parsers += [_word("disconnect", "A B", "Let B wait for A no more.", ("parent", "child"), metas=("A", "B"))]
    parsers += [_word("open", "FILE", "Make FILE the notebook's workflow; default: the file named after the notebook.", ("file",))]
    svg = _word("svg", "FILE [--label TEMPLATE]", "Write the picture to a file.", ("file",))
    svg.add_argument("--label", metavar="TEMPLATE", help='what a box says, such as "{name} {elapsed}"')
    parsers += [svg, _word("clean", "", "Remove what the last run left on its hosts; its record here stays.")]
    return _words("%workflow", parsers, about="Run, watch and change the notebook's workflow.", example="r = %workflow run --wait")


def _run_word() -> Parser:
    about = "Run the workflow, or follow its run that still goes on."
    run = _word("run", "[--job NAME …] [--from NAME] [--failed] [--new] [--wait]", about)
    run.add_argument("--job", metavar="NAME", dest="job", nargs="+", action=_List, default=[], help="only these jobs")
    run.add_argument("--from", metavar="NAME", dest="start", help="this job and all that come after it")
    run.add_argument("--failed", action="store_true", help="what failed, and what was skipped because of it")
    run.add_argument("--new", action="store_true", help="start another run, even if one still goes on")
    run.add_argument("--wait", action="store_true", help="wait for the end, and raise an error when a job fails")
    return run


def _add_word() -> Parser:
    add = _word("add", "NAME [HOST] (--script TEXT | --exec COMMAND) [options]", "Add a job without a cell.", ("name", "host?"))
    add.hint = _OTHERS
    add.add_argument("--script", metavar="TEXT", help="the script, or the path of a .sh, .py or .ipynb file")
    add.add_argument("--exec", metavar="COMMAND", help="a command line for the shell")
    _job_options(add)
    return add


@cache
def hosts_parser() -> Words:
    """Describe `%hosts`."""
    parsers = [_word("list", "", "List the hosts that jobs can go to; so does %hosts alone.", magic="%hosts")]
    parsers += [
        _word("check", "HOST", "Try a host step by step, and answer what it asks.", ("name",), metas=("HOST",), magic="%hosts")
    ]
    return _words("%hosts", parsers, about="Look at the hosts that jobs can go to.", example="%hosts check rivanna")


@cache
def runs_parser() -> Parser:
    """Describe `%runs`."""
    parser = Parser("%runs", "[--all]", about="List the runs of the notebook's workflow, the newest first.", example="%runs --all")
    parser.add_argument("--all", action="store_true", help="those of all workflows")
    return parser


def _words(magic: str, parsers: Sequence[Parser], *, about: str, example: str) -> Words:
    named = {parser.prog.split()[1]: parser for parser in parsers}
    return Words(magic, named, default=next(iter(named)), about=about, example=example)


def _word(
    word: str, usage: str, about: str, names: Sequence[str] = (), *, metas: Sequence[str] = (), magic: str = "%workflow"
) -> Parser:
    """Describe one word; names are its positional arguments, with argparse's ? * + for how many."""
    parser = Parser(f"{magic} {word}", usage, about=about)
    for name, meta in zip(names, metas or [name.rstrip("?*+").upper() for name in names]):
        if name[-1] in "*+":
            parser.add_argument(name[:-1], metavar=meta, nargs=name[-1], action=_List, default=[])
        else:
            parser.add_argument(name.rstrip("?"), metavar=meta, nargs="?" if name.endswith("?") else None)
    return parser
