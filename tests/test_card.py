"""What cells show: harmless, small, and telling a year later. Run this file as a script to write the golden files anew."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hybridnb import show
from hybridnb.drawing import draw
from hybridnb.model import Dependency, Job, Resources, Workflow
from hybridnb.notebook import card, html, telling
from hybridnb.notebook.card import MIME, group_card, hosts_card, job_card, run_card, runs_card

GOLDEN = Path(__file__).parent / "data" / "cards"
RUN = "2026-11-22-1402-k3f9"
START, END = "2026-11-22T13:02:11.000Z", "2026-11-22T13:05:16.000Z"
AT = datetime(2026, 11, 22, 13, 5, 16, tzinfo=timezone.utc)
HOSTILE = "</pre></td><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\"'`]]><!-- \x00\x07\x1b[31mred\x1b]0;title\x07 \u202eevil\u2066\ud800\ufffe\u200b"
TAGS = {"div", "span", "b", "bdi", "table", "thead", "tbody", "tr", "th", "td", "pre", "img"}
UNFIT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe]")


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


class Page(HTMLParser):
    """What a browser makes of the HTML: its elements, attributes and words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")


def status(state: str, **known: Any) -> dict[str, Any]:
    fields = ("exit_code", "native_id", "submitted_at", "started_at", "ended_at", "progress", "log")
    return {"state": state, "host": "rivanna", "attempt": 1, "reason": "", "metrics": {}, **dict.fromkeys(fields), **known}


TRAIN = Job(
    "train",
    host="rivanna",
    script="python train.py",
    after=(Dependency("prepare"), Dependency.parse("fetch:any")),
    params={"lr": 0.1, "depth": 4},
    outputs=("model.pt",),
    retries=1,
    resources=Resources(time="01:00:00", gpus="a100:1"),
)
DONE = status("done", exit_code=0, native_id="4711", started_at=START, ended_at=END, metrics={"loss": 0.0312345678, "epoch": 13})
RUNNING = status("running", native_id="4711", submitted_at=START, started_at=START, progress=40.9, attempt=2, metrics={"loss": 0.3})
QUEUED = status("queued", native_id="4711", submitted_at=START, reason="Priority")
FAILED = status("failed", exit_code=1, started_at=START, ended_at=END, reason="exit code 1")
LOG = ("epoch 1\n", "epoch 2: \x1b[32mok\x1b[0m\n", "10%\r55%\r100%\n", "  indented <b>\n")
STATES = {
    "done": DONE,
    "failed": FAILED,
    "running": RUNNING,
    "queued": QUEUED,
    "waiting": status("waiting", attempt=0),
}


def job_of(known: dict[str, Any] | None, **how: Any) -> dict[str, Any]:
    return job_card(TRAIN, known, **{"file": "digits.yaml", "run": RUN, "at": AT, **how})


def members(count: int, *, never: bool = False) -> dict[str, tuple[Job, dict[str, Any] | None]]:
    states = list(STATES.values())
    values = list(product(range(count // 2), (2, 4)))
    jobs = [Job(f"train-lr={lr}-depth={d}", exec="x", params={"lr": lr, "depth": d, "seed": 1}) for lr, d in values]
    return {job.name: (job, None if never else states[i % len(states)]) for i, job in enumerate(jobs)}


def group_of(jobs: Mapping[str, tuple[Job, dict[str, Any] | None]], **how: Any) -> dict[str, Any]:
    return group_card("train", jobs, **{"file": "digits.yaml", "run": RUN, "at": AT, **how})


def workflow(count: int) -> Workflow:
    first = Job("fetch", exec="x")
    rest = [Job(f"train-{i}", host="rivanna", exec="x", after=(Dependency("fetch"),), params={"lr": i}) for i in range(count - 1)]
    return Workflow.of("digits", [first, *rest])


def told(flow: Workflow, **known: Any) -> dict[str, Any]:
    states = list(STATES.values())
    jobs = {name: states[i % len(states)] for i, name in enumerate(flow.jobs)}
    head = {"run": RUN, "workflow": flow.name, "state": "running", "folder": f"/home/ann/digits.runs/{RUN}"}
    return {**head, "created_at": START, "ended_at": None, "jobs": jobs, "problems": {}, **known}


def run_of(flow: Workflow, run: dict[str, Any] | None, **how: Any) -> dict[str, Any]:
    return run_card(flow, run, **{"file": "digits.yaml", "at": AT, **how})


SUMMARY = {
    "run": RUN,
    "workflow": "digits",
    "state": "done",
    "created_at": START,
    "ended_at": END,
    "folder": "/x",
    "source": "/home/ann/digits.yaml",
    "counts": {"done": 5, "failed": 1},
    "problem": "",
    "params": {"lr": 0.1},
}


def goldens() -> dict[str, dict[str, Any]]:
    flow = workflow(5)
    return {
        "job-recorded": job_of(None),
        "job-queued": job_of(QUEUED),
        "job-running": job_of(RUNNING, log=LOG),
        "job-done": job_of(DONE, log=LOG, outputs=["model.pt (1.2 MB)"], note="changed since this run"),
        "job-failed": job_of(FAILED),
        "sweep": group_of(members(6)),
        "run": run_of(flow, told(flow)),
        "run-recorded": run_of(flow, None),
        "runs": runs_card([SUMMARY], at=AT),
        "hosts": hosts_card(
            {"rivanna": {"transport": "ssh", "scheduler": "slurm", "address": "a.edu", "problem": "not reachable"}}
        ),
    }


def written(bundle: Mapping[str, Any]) -> str:
    """Write a bundle for a person to review; HTML goes first, so that a browser shows what it can."""
    return f"{bundle['text/html']}\n<!--\n{bundle['text/plain']}\n{json.dumps(bundle.get(MIME))}\n-->\n"


@pytest.mark.parametrize(
    "name",
    [*("job-recorded", "job-queued", "job-running", "job-done", "job-failed"), *("sweep", "run", "run-recorded", "runs", "hosts")],
)
def test_the_card_is_the_golden_one(name: str) -> None:
    assert written(goldens()[name]) == (GOLDEN / f"{name}.html").read_text(encoding="utf-8")


# -- what it tells --------------------------------------------------------------------------------------------------------
def test_a_job_that_is_done_tells_where_when_how_long_and_what_came_out() -> None:
    bundle = job_of(DONE, outputs=["model.pt (1.2 MB)"])
    for words in (Page(bundle["text/html"]).words, bundle["text/plain"]):
        for fact in ("train", "done", "on rivanna", "in 3 min 05 s", "2026-11-22 14:02:11 +01:00 to 14:05:16", RUN, "4711"):
            assert fact in words
        assert "lr=0.1" in words and "loss=0.0312346" in words
    assert "model.pt (1.2 MB)" in bundle["text/html"] and "as of" not in bundle["text/html"]


def test_a_running_job_tells_since_when_how_far_and_as_of_when() -> None:
    words = Page(job_of(RUNNING)["text/html"]).words
    assert "running since 2026-11-22 14:02:11 +01:00 (3 min 05 s so far)" in words
    assert "40 %" in words and "attempt 2 of 2" in words and "as of 2026-11-22 14:05:16 +01:00" in words


def test_a_program_can_read_when_a_job_started_and_whether_it_is_over() -> None:
    common = {"version": 1, "file": "digits.yaml", "job": "train", "run": RUN}
    assert job_of(RUNNING)[MIME] == {**common, "state": "running", "ended": False, "started_at": START}
    assert job_of(DONE)[MIME] == {**common, "state": "done", "ended": True, "started_at": START}
    assert job_of(None)[MIME] == {**common, "run": None, "state": "recorded", "ended": False, "started_at": None}


def test_an_exit_code_is_told_once() -> None:
    assert Page(job_of(FAILED)["text/html"]).words.count("exit code 1") == 1


def test_a_host_names_its_scheduler_when_that_is_known() -> None:
    assert "Slurm 4711" in job_of({**DONE, "scheduler": "slurm"})["text/plain"]
    assert "native id 4711" in job_of(DONE)["text/plain"]


def test_times_in_utc_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # undone before the zone of all these tests is
        patch.setenv("TZ", "UTC")
        time.tzset()
        assert "running since 2026-11-22 13:02:11 UTC" in job_of(RUNNING)["text/plain"]


def test_a_job_over_two_days_tells_both() -> None:
    bundle = job_of({**DONE, "ended_at": "2026-11-23T13:05:16.000Z"})
    assert "2026-11-22 14:02:11 +01:00 to 2026-11-23 14:05:16 +01:00" in bundle["text/plain"]


def test_the_log_shows_its_last_ten_lines_as_a_terminal_would_in_the_end() -> None:
    page = job_of(RUNNING, log=[*(f"line {i}\n" for i in range(50)), *LOG])["text/html"]
    shown = re.search(r"<pre[^>]*>(.*)</pre>", page, re.S)
    assert shown
    lines = shown[1].split("\n")
    assert len(lines) == 10
    assert lines[-4:] == ["epoch 1", "epoch 2: ok", "100%", "  indented &lt;b&gt;"]


def test_a_sweep_shows_what_presses_most_and_counts_the_rest() -> None:
    bundle = group_of(members(40))
    words = Page(bundle["text/html"]).words
    assert re.findall(r"(\d+) (done|failed|running|queued|waiting)\b", words) == [
        (str(8), state) for state in ("done", "failed", "running", "queued", "waiting")
    ]
    rows = re.findall(r"<tr[^>]*><td[^>]*>(.*?)</td>", bundle["text/html"])
    assert [Page(row).words.split()[1] for row in rows] == ["failed"] * 6 + ["running"] * 6
    assert "and 28 more jobs" in words
    assert bundle[MIME] == {
        "version": 1,
        "file": "digits.yaml",
        "job": "train",
        "run": RUN,
        "state": "running",
        "ended": False,
        "started_at": START,
    }


def test_a_sweep_has_a_column_for_what_is_swept_and_none_for_what_is_the_same() -> None:
    titles = re.findall(r"<th[^>]*>(.*?)</th>", group_of(members(6))["text/html"])
    assert {"lr", "depth", "loss"} <= set(titles) and "seed" not in titles


def test_a_sweep_that_was_never_run_says_so() -> None:
    bundle = group_of(members(6, never=True), run=None)
    assert "6 not run yet" in Page(bundle["text/html"]).words and bundle[MIME]["state"] == "recorded"


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        (["done", "failed"], "failed"),
        (["done", "recorded"], "done"),
        (["done", "waiting"], "running"),
        (["waiting"], "waiting"),
        (["queued", "failed"], "running"),
        (["running", "cancelling"], "cancelling"),
        (["cancelled", "done"], "cancelled"),
        (["skipped"], "skipped"),
        ([], "recorded"),
    ],
)
def test_several_jobs_have_one_state_as_a_run_has(states: list[str], whole: str) -> None:
    assert telling.overall(telling.tally(states)) == whole


def test_a_run_tells_its_jobs_where_its_record_lies_and_what_holds_it_up() -> None:
    flow = workflow(5)
    bundle = run_of(flow, told(flow, problems={"rivanna": "not reachable"}))
    words = Page(bundle["text/html"]).words
    for fact in (RUN, f"digits.runs/{RUN}", "rivanna: not reachable", "going since 2026-11-22 14:02:11 +01:00", "started (+01:00)"):
        assert fact in words
    assert all(name in words and name in bundle["text/plain"] for name in flow.jobs)
    assert bundle["text/plain"].startswith(f"▶ running  digits  run {RUN}")
    assert "held up: rivanna: not reachable" in bundle["text/plain"]


@pytest.mark.parametrize("known", [None, RUNNING, DONE])
def test_what_is_to_be_noted_of_a_job_is_told_in_html_and_in_text(known: dict[str, Any] | None) -> None:
    bundle = job_of(known, note="the file says otherwise than the cell: script")
    assert "otherwise than the cell: script" in bundle["text/plain"]
    assert "otherwise than the cell: script" in Page(bundle["text/html"]).words


def test_a_run_that_ended_does_not_change_with_the_clock() -> None:
    flow = workflow(1)
    run = told(flow, state="done", ended_at=END)
    assert run_of(flow, run) == run_of(flow, run, at=AT.replace(year=2030))


def test_a_large_run_shows_as_many_jobs_as_there_is_room_for_failed_and_running_ones_both() -> None:
    flow = workflow(1000)
    bundle = run_of(flow, told(flow))
    shown = Page(bundle["text/html"]).words.partition(" more jobs")[0].rpartition(" ")[2].replace(",", "")
    assert 8 <= 1000 - int(shown) <= 40
    assert bundle["text/html"].count("<b>failed</b>") == bundle["text/html"].count("<b>running</b>") - 1 > 3
    assert len(bundle["text/plain"].splitlines()) <= 30


def test_a_workflow_that_was_never_run_shows_its_jobs() -> None:
    flow = workflow(5)
    bundle = run_of(flow, None)
    words = Page(bundle["text/html"]).words
    assert "not run yet: 5 jobs, 4 edges" in words and "train-3" in words
    assert bundle[MIME]["run"] is None and bundle[MIME]["job"] is None


def test_a_job_that_the_workflow_lost_is_still_told() -> None:
    assert "train-1" in Page(run_of(workflow(1), told(workflow(3)))["text/html"]).words


def test_lists_are_told_in_html_and_in_text() -> None:
    for bundle in (runs_card([SUMMARY], at=AT), hosts_card({"rivanna": {"transport": "ssh", "problem": "not reachable"}})):
        assert set(bundle) == {"text/html", "text/plain"}
    assert "2026-11-22 14:02:11 +01:00" in runs_card([SUMMARY])["text/plain"]
    assert runs_card([])["text/plain"] == "no runs yet" and hosts_card({})["text/plain"] == "no hosts"


def test_a_long_value_leaves_the_params_of_runs_their_column() -> None:
    runs = [{**SUMMARY, "params": {"lr": ",".join(map(str, range(500))), "tag": "x" * 80}}, SUMMARY]
    lines = runs_card(runs, at=AT)["text/plain"].splitlines()
    assert "params" in lines[0]
    assert "lr=0,1,2,3" in lines[1]
    assert "lr=0.1" in lines[2]
    assert max(map(show.columns, lines)) <= 140


def test_how_far_a_job_is_stands_with_its_state() -> None:
    assert "▶\ufe0e running 40 %train-1" in Page(run_of(workflow(5), told(workflow(5)))["text/html"]).words
    sweep = group_of(members(6))
    assert "▶\ufe0e running 40 %" in Page(sweep["text/html"]).words
    assert "▶ running 40 %" in sweep["text/plain"]


# -- pictures -------------------------------------------------------------------------------------------------------------
def test_the_picture_is_an_image_that_is_never_wider_than_the_page() -> None:
    flow = workflow(5)
    picture = draw(flow)
    bundle = run_of(flow, told(flow), picture=picture)
    image = re.search(r'<img alt="[^"]+" style="([^"]*)" src="data:image/svg\+xml;base64,([^"]*)">', bundle["text/html"])
    assert image
    assert "max-width:100%;height:auto" in image[1] and b64decode(image[2]).decode() == picture
    ElementTree.fromstring(b64decode(image[2]))


def test_exports_by_latex_tell_the_text_and_need_no_program_for_pictures() -> None:
    flow = workflow(5)
    assert set(run_of(flow, told(flow), picture=draw(flow))) == {"text/html", "text/plain", MIME}


def test_a_picture_that_is_too_large_stays_in_the_folder_of_the_run() -> None:
    flow = workflow(5)
    bundle = run_of(flow, told(flow), picture="<svg>" + " " * card.PICTURE + "</svg>")
    assert "<img" not in bundle["text/html"] and "graph.svg" in bundle["text/html"]


# -- looks ----------------------------------------------------------------------------------------------------------------
def test_a_card_needs_nothing_but_its_own_elements() -> None:
    for bundle in goldens().values():
        page = Page(bundle["text/html"])
        assert set(page.tags) <= TAGS and {name for name, _ in page.attributes} <= {"style"} and not page.open


def test_no_text_has_a_colour_that_a_dark_page_would_swallow() -> None:
    styles = [
        value or "" for bundle in goldens().values() for name, value in Page(bundle["text/html"]).attributes if name == "style"
    ]
    coloured = [style for style in styles if re.search(r"(^|;)color:(?!inherit)", style)]
    assert coloured and all("background:#" in style for style in coloured)


@pytest.mark.parametrize("state", show.SIGNS)
def test_every_state_is_told_by_its_word_and_its_symbol(state: str) -> None:
    bundle = job_of(status(state, started_at=START, ended_at=END if state in show.FINAL else None))
    for words in (Page(bundle["text/html"]).words, bundle["text/plain"]):
        assert state in words and show.SIGNS[state].symbol in words


# -- what others wrote ----------------------------------------------------------------------------------------------------
def hostile() -> list[dict[str, Any]]:
    job = Job("train", host=HOSTILE, exec="x", params={"lr": HOSTILE, "list": [HOSTILE]}, outputs=(HOSTILE,))
    known = {"host": HOSTILE, "native_id": HOSTILE, "reason": HOSTILE, "metrics": {HOSTILE: HOSTILE}}
    jobs = [status(state, started_at=START, **known) for state in show.SIGNS]
    flow = Workflow.of("digits", [job])
    run = {"run": HOSTILE, "workflow": HOSTILE, "state": "running", "folder": HOSTILE, "created_at": START, "ended_at": None}
    return [
        *(job_card(job, one, file=HOSTILE, run=HOSTILE, log=[HOSTILE], note=HOSTILE, outputs=[HOSTILE]) for one in (*jobs, None)),
        group_card(HOSTILE, {HOSTILE: (job, jobs[0]), "b": (job, None)}, file=HOSTILE, run=HOSTILE, note=HOSTILE),
        run_card(
            flow, {**run, "jobs": {"train": jobs[0], HOSTILE: jobs[1]}, "problems": {HOSTILE: HOSTILE}}, file=HOSTILE, note=HOSTILE
        ),
        run_card(flow, None, file=HOSTILE, note=HOSTILE),
        runs_card([{**SUMMARY, "run": HOSTILE, "workflow": HOSTILE, "source": HOSTILE, "problem": HOSTILE, "counts": {}}]),
        hosts_card({HOSTILE: {"transport": HOSTILE, "address": HOSTILE, "problem": HOSTILE, "slots": HOSTILE}}),
    ]


def test_no_element_and_no_attribute_comes_from_what_others_wrote() -> None:
    for bundle in hostile():
        page = Page(bundle["text/html"])
        assert set(page.tags) <= TAGS and not page.open
        assert all(name == "style" and "alert" not in (value or "") for name, value in page.attributes)
        assert "alert(1)" in page.words


def test_nothing_that_controls_a_terminal_or_turns_text_reaches_a_card() -> None:
    for bundle in hostile():
        assert not UNFIT.search(bundle["text/html"]) and not UNFIT.search(bundle["text/plain"])
        assert "[31m" not in bundle["text/html"] and "title" not in bundle["text/html"]
        bundle["text/html"].encode(), bundle["text/plain"].encode()


WORST = ("&" * 3000, "\U0001f600" * 3000, "数" * 3000, '"\\' * 3000)


@pytest.mark.parametrize("text", WORST)
def test_a_jobs_card_takes_less_than_20_kb_whatever_it_holds(text: str) -> None:
    many = {f"{text[:50]}{i}": text for i in range(300)}
    after = tuple(Dependency("数" * 60 + str(i)) for i in range(500))
    job = Job("数" * 66, host=text, exec="x", params={f"p{i}": text for i in range(300)}, outputs=(text,) * 300, after=after)
    known = status("running", host=text, reason=text, metrics=many, native_id=text, started_at=START, progress=3.0)
    for one in (known, None):
        bundle = job_card(job, one, file="digits.yaml", run=RUN, log=[text] * 300, note=text, outputs=[text] * 300, at=AT)
        assert len(json.dumps(bundle)) < 20_000
        Page(bundle["text/html"])


@pytest.mark.parametrize("text", WORST)
def test_a_sweeps_card_takes_less_than_20_kb_whatever_it_holds(text: str) -> None:
    jobs = {
        f"{i}-{text[:96]}": (
            Job(f"j{i}", host=text, exec="x", params={f"p{n}": f"{i}{text}" for n in range(30)}),
            status("failed", host=text, reason=text, metrics={f"{n}{text}": text for n in range(30)}),
        )
        for i in range(200)
    }
    assert len(json.dumps(group_of(jobs, note=text))) < card.SIZE


def test_a_run_of_a_thousand_jobs_takes_less_than_200_kb() -> None:
    flow = workflow(1000)
    text = WORST[0]
    jobs = {name: status("failed", reason=text, host=text, metrics={text: text, "b": text}) for name in flow.jobs}
    assert len(json.dumps(run_of(flow, told(flow, jobs=jobs)))) < 20_000


def test_a_line_of_a_megabyte_takes_no_time() -> None:
    began = time.process_time()
    job_of(RUNNING, log=["\x1b[" + "1;" * 500_000, "\x1b]" * 500_000, "<" * 1_000_000])
    assert time.process_time() - began < 0.5


def test_progress_that_makes_no_sense_stays_within_its_bar() -> None:
    for progress, words in ((-5.0, "0 %"), (250.0, "100 %")):
        assert words in Page(job_of({**RUNNING, "progress": progress})["text/html"]).words
    assert "nan" not in job_of({**RUNNING, "progress": float("nan")})["text/html"]


def test_what_is_no_html_is_escaped() -> None:
    assert html.text("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"


if __name__ == "__main__":
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    GOLDEN.mkdir(exist_ok=True)
    for file, made in goldens().items():
        (GOLDEN / f"{file}.html").write_text(written(made), encoding="utf-8")
        sys.stdout.write(f"{file}: {len(json.dumps(made)):,} bytes\n")
