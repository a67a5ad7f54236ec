"""The lines of the magics: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from hybridnb.definition import from_mapping
from hybridnb.model import Dependency, Job, Kind
from hybridnb.notebook.arguments import Parser, Words, help_of, hosts_parser, job_mapping, job_parser, runs_parser, workflow_parser
from hybridnb.sweep import expand as swept
from hybridnb.model import Workflow

README = (Path(__file__).parent.parent / "README.md").read_text()


def job(line: str, body: str = "true\n", variables: dict[str, Any] | None = None) -> Job:
    """Return the job that a cell records."""
    name, mapping = job_mapping(job_parser().parse(line, variables), body)
    return from_mapping(name or "unnamed", mapping)


def refusal(parser: Parser | Words, line: str, variables: dict[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        parser.parse(line, variables)
    return str(refused.value)


# -- %%job ----------------------------------------------------------------------------------------------------------------
def test_a_cell_is_a_job_of_its_host_with_all_that_was_said() -> None:
    line = (
        "rivanna train --after split,fetch:any --after old:failed --time 1:00:00 --partition gpu --account bii --qos high "
        "--constraint a100 --nodes 2 --ntasks 4 --cpus 8 --gpus a100:2 --mem 4G --sbatch --exclusive --sbatch='-C gpu' "
        "-p lr=0.1 --in 'data/*.csv',x.txt --in y.txt --out model.pt --retries 2 --timeout 10m --env A=b=c"
    )
    made = job(line, "echo hello\n")
    assert (made.host, made.name, made.script) == ("rivanna", "train", "echo hello\n")
    assert made.after == (Dependency("split"), Dependency("fetch", Kind.ANY), Dependency("old", Kind.FAILED))
    r = made.resources
    assert (r.time, r.partition, r.account, r.qos, r.constraint) == ("1:00:00", "gpu", "bii", "high", "a100")
    assert (r.nodes, r.ntasks, r.cpus_per_task, r.gpus, r.mem) == (2, 4, 8, "a100:2", "4G")
    assert r.sbatch == ("--exclusive", "-C gpu")
    assert (made.params, made.env) == ({"lr": 0.1}, {"A": "b=c"})
    assert (made.inputs, made.outputs) == (("data/*.csv", "x.txt", "y.txt"), ("model.pt",))
    assert (made.retries, made.timeout) == (2, 600)


def test_what_was_not_said_is_no_part_of_the_job() -> None:
    assert job_mapping(job_parser().parse("local"), "true\n") == (None, {"host": "local", "script": "true\n"})


def test_names_and_options_may_come_in_any_order() -> None:
    asked = job_parser().parse("--run rivanna --time 10 train --wait")
    assert (asked.host, asked.name, asked.time, asked.run, asked.wait) == ("rivanna", "train", "10", True, True)


def test_a_line_leaves_nothing_to_the_next() -> None:
    job_parser().parse("local a --after x -p a=1 --in f --sbatch --exclusive")
    assert job_mapping(job_parser().parse("local b"), "true\n") == ("b", {"host": "local", "script": "true\n"})


def test_a_hash_in_a_line_begins_no_comment() -> None:
    assert job("local train --out model#1.pt").outputs == ("model#1.pt",)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("0.1", 0.1),
        ("3", 3),
        ("true", True),
        ("abc", "abc"),
        ("1,2", "1,2"),
        ("1:00", "1:00"),
        ("", ""),
        ("null", None),
        ("1e-3", 0.001),
    ],
)
def test_params_are_read_as_yaml_reads_them(said: str, meant: object) -> None:
    found = job(f"local train -p x={said}").params["x"]
    assert (found, type(found)) == (meant, type(meant))


def test_a_param_in_quotes_stays_a_text() -> None:
    assert job("""local train -p "a='1'" --param 'b="true"' -p "c='it''s'" """).params == {"a": "1", "b": "true", "c": "it's"}


def test_a_sweep_goes_through_the_lists_and_keeps_the_rest() -> None:
    made = job("local train -p lr=0.1,0.01 -p depth=2,4 -p seed=7 --sweep")
    assert (made.sweep, made.params) == ({"lr": (0.1, 0.01), "depth": (2, 4)}, {"seed": 7})
    assert len(swept(Workflow.of("study", [made])).jobs) == 4


def test_a_comma_within_quotes_divides_nothing() -> None:
    assert job("""local train -p "tag='a,b','c'" --sweep""").sweep == {"tag": ("a,b", "c")}


@pytest.mark.parametrize("text", ["0.1,,0.2", "0.1,", ",0.1"])
def test_an_empty_value_of_a_sweep_is_a_slip(text: str) -> None:
    with pytest.raises(UsageError, match="has an empty value"):
        job(f"local train -p lr={text} --sweep")


def test_the_files_of_a_sweep_keep_the_names_of_its_params_however_these_are_given() -> None:
    assert job("local train --param=lr=0.1,0.2 --sweep --out {lr}.json").outputs == ("{lr}.json",)


def test_a_sweep_without_a_list_is_refused_and_told_how_one_value_is_swept() -> None:
    with pytest.raises(UsageError, match=r"-p lr=0\.1,0\.01.*lr=0\.1 is one value, a sweep of one is lr=\[0\.1\]"):
        job("local train -p lr=0.1 --sweep")


@pytest.mark.parametrize("body", ["", "\n", "  \n\t\n"])
def test_a_cell_without_a_script_is_refused(body: str) -> None:
    with pytest.raises(UsageError, match="the cell has no script below its first line"):
        job("local train", body)


def test_a_body_that_was_written_on_windows_has_lines_that_a_shell_knows() -> None:
    assert job("local train", "cd /tmp\r\npwd\r\n").script == "cd /tmp\npwd\n"
    assert job("local train --lang python", "print(1)\r\n").script == "#!/usr/bin/env python3\nprint(1)\n"


# -- languages ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("language", "program"),
    [
        ("python", "python3"),
        ("R", "Rscript"),
        ("r", "Rscript"),
        ("julia", "julia"),
        ("python3.12", "python3.12"),
        ("Rscript", "Rscript"),
    ],
)
def test_a_language_becomes_the_first_line(language: str, program: str) -> None:
    assert job(f"local train --lang {language}", "print(1)\n").script == f"#!/usr/bin/env {program}\nprint(1)\n"


def test_a_first_line_of_the_same_language_stays() -> None:
    assert job("local a --lang python", "#!/usr/bin/python3 -u\nprint(1)\n").script == "#!/usr/bin/python3 -u\nprint(1)\n"


def test_a_first_line_of_another_language_is_refused() -> None:
    with pytest.raises(UsageError, match="--lang R does not go with the script's first line, #!/bin/bash"):
        job("local a --lang R", "#!/bin/bash\ntrue\n")


def test_empty_lines_do_not_hide_the_language_of_a_script() -> None:
    assert job("local a", "\n\n#!/usr/bin/env python3\nprint(1)\n").script == "#!/usr/bin/env python3\nprint(1)\n"


def test_a_language_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'python'"):
        job("local a --lang pyhton")


# -- what cannot be meant -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rivanna train --afer split", "unrecognized argument '--afer'; did you mean '--after'?"),
        ("rivanna --afer=split", "did you mean '--after'?"),
        ("", "HOST"),
        ("rivanna train tset", "too many words: 'tset'"),
        ("rivanna --nodes two", "--nodes: expected a whole number, not 'two'"),
        ("rivanna --time", "--time: expected one argument"),
        ("rivanna -p lr", "-p wants name=value, not 'lr'"),
        ("rivanna -p lr=1 -p lr=2", "-p lr=… is given twice"),
        ("rivanna --mem-per-cpu 2G", "--sbatch"),
        ("rivanna 'train", "no closing quotation"),
        ("local x --after a \\", "a magic and its options stand on one line"),
        ("local b --after x x9", "too many words: 'x9'; several in one option are one word: write --after x,x9"),
        ("local b --in=a.txt b.txt c.txt --run", "write --in a.txt,b.txt,c.txt"),
        ("local b --after x --run c d", "too many words: 'c d'; usage"),
        ("rivanna --tim 10", "did you mean '--time'?"),
        ("--help", "%%job? tells more"),
    ],
)
def test_a_line_that_means_nothing_is_refused_with_the_reason(line: str, told: str) -> None:
    assert told in refusal(job_parser(), line)


def test_a_word_that_a_magic_does_not_have_is_refused_with_the_nearest_and_all() -> None:
    told = refusal(workflow_parser(), "rnu")
    assert "did you mean 'run'?" in told
    assert all(word in told for word in ("show", "status", "disconnect", "clean"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("log", "JOB"),
        ("log train --attempt last", "--attempt: expected a whole number"),
        ("connect a b --kind anny", "did you mean 'any'?"),
        ("run --form train", "did you mean '--from'?"),
        ("rename a", "NEW"),
        ("remove", "JOB"),
        ("svg", "FILE"),
    ],
)
def test_what_a_word_of_the_workflow_cannot_take_is_refused(line: str, told: str) -> None:
    assert told in refusal(workflow_parser(), line)


# -- %workflow, %hosts, %runs ---------------------------------------------------------------------------------------------
def said(found: argparse.Namespace) -> dict[str, Any]:
    return {key: value for key, value in vars(found).items() if value not in (None, False, [])}


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", {"word": "show"}),
        ("run", {"word": "run"}),
        ("run --job a b,c --wait", {"word": "run", "job": ["a", "b", "c"], "wait": True}),
        ("run --from a --failed --new", {"word": "run", "start": "a", "failed": True, "new": True}),
        ("status", {"word": "status"}),
        ("status 2026-11-22-1015-k3f9", {"word": "status", "run": "2026-11-22-1015-k3f9"}),
        ("log train -f --err --attempt 2", {"word": "log", "job": "train", "follow": True, "err": True, "attempt": 2}),
        ("cancel", {"word": "cancel"}),
        ("cancel a b", {"word": "cancel", "job": ["a", "b"]}),
        ("retry a,b", {"word": "retry", "job": ["a", "b"]}),
        ("remove a b", {"word": "remove", "job": ["a", "b"]}),
        ("rename a b", {"word": "rename", "old": "a", "new": "b"}),
        ("connect a b", {"word": "connect", "parent": "a", "child": "b", "kind": "ok"}),
        ("connect --kind failed a b", {"word": "connect", "parent": "a", "child": "b", "kind": "failed"}),
        ("disconnect a b", {"word": "disconnect", "parent": "a", "child": "b"}),
        ("open 'my study.yaml'", {"word": "open", "file": "my study.yaml"}),
        ("svg a.svg --label '{name}'", {"word": "svg", "file": "a.svg", "label": "{name}"}),
        ("clean", {"word": "clean"}),
    ],
)
def test_the_words_of_the_workflow_mean_what_they_say(line: str, meant: dict[str, Any]) -> None:
    assert said(workflow_parser().parse(line, {})) == meant


def test_a_job_can_be_added_without_a_cell() -> None:
    asked = workflow_parser().parse("add tell local --exec 'echo all is well' --after train:any")
    assert job_mapping(asked) == ("tell", {"host": "local", "after": ["train:any"], "exec": "echo all is well"})
    asked = workflow_parser().parse("add train --script train.py")
    assert job_mapping(asked) == ("train", {"script": "train.py"})


def test_a_job_that_is_added_with_nothing_to_run_is_told_what_it_needs() -> None:
    with pytest.raises(UsageError, match="'a' has nothing to run: give it --script TEXT, a text or a file, or --exec COMMAND"):
        job_mapping(workflow_parser().parse("add a"))


@pytest.mark.parametrize("line", ["add a --script x --exec y", "add a --script ''", "add a --exec ls --lang R"])
def test_a_job_that_is_added_has_one_script_or_command(line: str) -> None:
    with pytest.raises(UsageError, match="script"):
        job_mapping(workflow_parser().parse(line))


def test_hosts_are_listed_or_one_is_checked() -> None:
    assert said(hosts_parser().parse("")) == {"word": "list"}
    assert said(hosts_parser().parse("check rivanna")) == {"word": "check", "name": "rivanna"}


def test_runs_are_those_of_the_workflow_or_all() -> None:
    assert (runs_parser().parse("").all, runs_parser().parse("--all").all) == (False, True)


# -- variables in a line --------------------------------------------------------------------------------------------------
def test_the_value_of_a_variable_stays_one_word() -> None:
    assert job("local {name} --env 'A={text}' -p x={n}", variables={"name": "train", "text": "it's a b", "n": 3}).env == {
        "A": "it's a b"
    }


def test_a_list_in_a_line_is_what_the_sweep_goes_through() -> None:
    assert job("local train -p lr={rates} --sweep", variables={"rates": [0.1, 0.01]}).sweep == {"lr": (0.1, 0.01)}


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        (range(3), (0, 1, 2)),
        ({0.1, 0.01}, (0.01, 0.1)),
        ({"b", 1, None}, (None, 1, "b")),
        ({"x": 1, "a": 2}.keys(), ("x", "a")),
        ({"x": 1, "a": 2}.values(), (1, 2)),
        (array("d", [0.1, 0.5]), (0.1, 0.5)),
        ((True, None, "x"), (True, None, "x")),
        (["a,b", "c"], ("a,b", "c")),
        (["it's", 'he\'s "x"', "", " a ", "[b]"], ("it's", 'he\'s "x"', "", " a ", "[b]")),
        ([0.1], (0.1,)),
        (["a,b"], ("a,b",)),
        (["[b]"], ("[b]",)),
        (range(1), (0,)),
    ],
    ids=repr,
)
def test_a_sweep_goes_through_whatever_is_like_a_list(values: Any, meant: tuple[Any, ...]) -> None:
    assert job("local train -p v={values} --sweep", variables={"values": values}).sweep == {"v": meant}
    assert job("local train --param=v={values} --sweep", variables={"values": values}).sweep == {"v": meant}


def test_what_can_be_made_a_list_is_swept_as_one_and_a_number_that_can_stays_a_number() -> None:
    class Series:
        """Stands for one of NumPy or pandas, which are not needed here."""

        def __init__(self, held: Any) -> None:
            self.held = held

        def __str__(self) -> str:
            return f"0  {self.held}"

        def tolist(self) -> Any:
            return self.held

    assert job("local train -p v={v} --sweep", variables={"v": Series([0.1, 0.2])}).sweep == {"v": (0.1, 0.2)}
    assert job("local train -p v={v} -p w=1,2 --sweep", variables={"v": Series(0.1)}).params == {"v": "0  0.1"}


def test_a_list_without_values_makes_no_sweep() -> None:
    with pytest.raises(UsageError, match=r"-p v=\[\] has no values, which makes no job"):
        job("local train -p v={none} --sweep", variables={"none": []})


@pytest.mark.parametrize("values", [{"a": 1, "b": 2}, iter([1, 2])], ids=["mapping", "iterator"])
def test_what_is_no_list_is_not_swept_as_the_text_that_python_shows(values: Any) -> None:
    assert "a sweep goes through a list" in refusal(job_parser(), "local train -p v={values} --sweep", {"values": values})


def test_brackets_make_a_sweep_of_one_value() -> None:
    assert job("local train -p lr=[0.1] -p 'depth=[2, 4]' --sweep").sweep == {"lr": (0.1,), "depth": (2, 4)}


def test_nothing_and_truth_are_yamls_in_a_param() -> None:
    variables = {"nothing": None, "yes": True, "one": ["a"]}
    made = job("local train -p a={nothing} -p b={yes} -p c={one} -p d=x-{yes}", variables=variables)
    assert made.params == {"a": None, "b": True, "c": "a", "d": "x-True"}


def test_a_list_of_any_kind_names_files() -> None:
    assert job("local train --in {files} --out {more}", variables={"files": {"b", "a"}, "more": {"c": 1}.keys()}).inputs == (
        "a",
        "b",
    )


def test_the_files_of_a_sweep_keep_the_names_of_its_params() -> None:
    made = job("local train -p lr=1,2 --sweep --out 'm-{lr}-{tag}.pt'", variables={"lr": 9, "tag": "x"})
    assert made.outputs == ("m-{lr}-x.pt",)


def test_a_variable_that_there_is_not_is_refused_with_the_nearest() -> None:
    assert "no variable 'nmae'; did you mean 'name'?" in refusal(job_parser(), "local {nmae}", {"name": "train"})


# -- help -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("parser", [job_parser(), workflow_parser(), hosts_parser(), runs_parser()], ids=repr)
def test_the_help_of_a_magic_ends_with_an_example_that_can_be_said(parser: Parser | Words) -> None:
    text = help_of(parser)
    example = text.strip().splitlines()[-1]
    assert example.startswith("example: ")
    parser.parse(example.partition(parser.prog)[2])


def everywhere() -> list[tuple[str, Parser]]:
    """All parsers, by what a person types."""
    words = [*workflow_parser().parsers.values(), *hosts_parser().parsers.values()]
    return [(parser.prog, parser) for parser in (job_parser(), runs_parser(), *words)]


def test_the_help_tells_every_word_and_option() -> None:
    texts = {parser.prog: help_of(parser) for parser in (job_parser(), workflow_parser(), hosts_parser(), runs_parser())}
    for prog, parser in everywhere():
        text = texts[prog.split()[0]]
        assert prog in text
        assert [option for option in parser.options if not re.search(rf"(?<!\S){re.escape(option)}\b", text)] == []


def section() -> str:
    found = re.search(r"^## Magics\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, "the README has no section 'Magics'"
    return found[1]


def test_every_word_and_option_of_the_magics_is_in_the_readme() -> None:
    text = section()
    words = [prog for prog, _ in everywhere() if prog not in ("%workflow show", "%hosts list")]
    assert [word for word in words if not re.search(rf"{re.escape(word)}\b", text)] == []
    options = {option for _, parser in everywhere() for option in parser.options}
    assert [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)] == []


def test_the_readme_tells_no_option_of_the_magics_that_there_is_not() -> None:
    known = {option for _, parser in everywhere() for option in parser.options}
    tables = re.findall(r"^\|([^|]*)\|", section(), re.M)
    told = {option for cell in tables for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", cell)}
    assert told
    assert told <= known


def test_the_parsers_and_their_help_bring_nothing_that_is_slow_to_load() -> None:
    code = (
        "import sys, IPython.core.interactiveshell, IPython.core.magics\n"
        "before = set(sys.modules)\n"
        "from hybridnb.notebook import arguments, complete\n"
        "for make in (arguments.job_parser, arguments.workflow_parser, arguments.hosts_parser, arguments.runs_parser):\n"
        "    arguments.help_of(make())\n"
        "print(*(set(sys.modules) - before))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    ours = {name.split(".")[1] for name in loaded if name.startswith("hybridnb.")}
    assert ours == {"errors", "graph", "model", "notebook"}
    others = {name.partition(".")[0] for name in loaded} - {"hybridnb", "IPython"}
    assert others <= sys.stdlib_module_names
    assert others.isdisjoint({"http", "ssl", "email", "sqlite3", "multiprocessing"})
