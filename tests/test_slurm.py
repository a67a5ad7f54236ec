"""The dialect of Slurm: recorded outputs, and what follows from them."""

from __future__ import annotations

import subprocess
from dataclasses import fields

import pytest

from hybridnb.hosts.slurm import dialect as slurm
from hybridnb.hosts.slurm.dialect import Phase, Refusal, Row, Told
from hybridnb.hosts.slurm.verdict import GONE, LAST_WORD, LATE, SETTLED, Silence, decide, judged
from hybridnb.model import Resources
from hybridnb.run import State

ABSENT, UNASKED = Silence.ABSENT, Silence.UNASKED


# -- what sbatch is given ------------------------------------------------------------------------------------------------
def test_every_resource_becomes_an_option_and_a_persons_own_come_last() -> None:
    resources = Resources(
        time="1-00:00:00",
        partition="gpu",
        account="a",
        qos="q",
        constraint="x&y",
        nodes=2,
        ntasks=4,
        cpus_per_task=8,
        gpus="a100:2",
        mem="4G",
        sbatch=("--exclusive",),
    )
    words = slurm.options(resources)
    assert words == [
        "--time=1-00:00:00",
        "--partition=gpu",
        "--account=a",
        "--qos=q",
        "--constraint=x&y",
        "--nodes=2",
        "--ntasks=4",
        "--cpus-per-task=8",
        "--gpus=a100:2",
        "--mem=4G",
        "--exclusive",
    ]
    assert len(words) == len(fields(Resources))


def evaluated(text: str) -> list[str]:
    """What a shell makes of the text of `sending`."""
    script = 'array= dependency=; eval "$1"; printf "%s\\n" "array=$array" "dependency=$dependency" "$@"'
    return subprocess.run(["sh", "-c", script, "sh", text], capture_output=True, text=True, check=True).stdout.splitlines()


def test_options_reach_sbatch_as_they_were_written() -> None:
    """Spaces and quotes (nextflow#218)."""
    words = ["--comment=it's $HOME `id`", "-d", "singleton"]
    shown = evaluated(slurm.sending(words, token="ab12", comment="run x", log="/a b/100%/log", array=True))
    assert shown[:2] == ["array=array", "dependency=singleton"]
    assert "--comment=it's $HOME `id`" in shown
    assert shown.index("--no-requeue") < shown.index("--comment=it's $HOME `id`")
    assert shown[-3:] == ["--job-name=hn-ab12", "--output=/a b/100%%/log.%a", "--chdir=/"]


@pytest.mark.parametrize("option", ["-dafterok:1", "--dependency=afterok:1"])
def test_a_persons_own_dependency_stands_beside_ours(option: str) -> None:
    shown = evaluated(slurm.sending([option], token="t", comment="c", log="/l", array=False))
    assert shown[:2] == ["array=", "dependency=afterok:1"]


@pytest.mark.parametrize("option", ["--array=1-3", "-a1-3", "-W", "--wait", "--wrap=true", "--test-only"])
def test_options_that_would_change_what_a_submission_is_are_refused(option: str) -> None:
    assert option in slurm.refused(Resources(sbatch=("--nice", option)))
    assert not slurm.refused(Resources(sbatch=("--nice", "--account=a")))


# -- states --------------------------------------------------------------------------------------------------------------
# Every "JOB STATE CODES" of squeue(1) and sacct(1), as of Slurm 24.05.
MANUAL = """BF BOOT_FAIL failed|CA CANCELLED cancelled|CD COMPLETED done|CF CONFIGURING running|CG COMPLETING running|DL DEADLINE failed
F FAILED failed|NF NODE_FAIL unsettled|OOM OUT_OF_MEMORY failed|PD PENDING pending|PR PREEMPTED unsettled|R RUNNING running
RD RESV_DEL_HOLD pending|RF REQUEUE_FED pending|RH REQUEUE_HOLD pending|RQ REQUEUED pending|RS RESIZING running|RV REVOKED failed
SI SIGNALING running|SE SPECIAL_EXIT pending|SO STAGE_OUT running|ST STOPPED running|S SUSPENDED running|TO TIMEOUT failed"""


@pytest.mark.parametrize("line", [line for row in MANUAL.splitlines() for line in row.split("|")])
def test_every_state_of_the_manual_has_a_meaning(line: str) -> None:
    code, name, phase = line.split()
    assert slurm.state(code) == slurm.state(name) == slurm.state(f"{name} by 1000") == name
    assert Row("hn-t", 1, "1", name).phase is Phase(phase)


def test_a_state_that_nobody_knows_yet_is_no_end() -> None:
    assert not Row("hn-t", 1, "1", slurm.state("HIBERNATING")).final


QUEUE = """squeue: some plugin's chatter
hn-70fb|20|2|PENDING|N/A||Resources
hn-70fb|20|1|RUNNING|2026-11-22T20:15:00|n1|None
hn-ab|31|N/A|PENDING|2026-11-22T21:00:00||launch failed requeued held
hn-cd|40|7|CANCELLED by 0|N/A||odd|reason
my own job|41|N/A|RUNNING|N/A|n2|None
hn-torn|4
= squeue 0
"""


def test_squeues_answer_is_read_by_name_and_task() -> None:
    rows = slurm.queue(QUEUE)
    assert [(r.name, r.task, r.native, r.state) for r in rows] == [
        ("hn-70fb", 2, "20_2", "PENDING"),
        ("hn-70fb", 1, "20_1", "RUNNING"),
        ("hn-ab", 1, "31", "PENDING"),
        ("hn-cd", 7, "40_7", "CANCELLED"),
    ]
    assert rows[3].reason == "odd|reason"
    assert slurm.asked(QUEUE, "squeue") is None
    assert slurm.asked(QUEUE, "sacct") == ""


def test_a_pending_job_shows_why_in_words() -> None:
    rows = slurm.queue(QUEUE)
    assert slurm.waiting(rows[0]) == "PENDING: Resources"
    shown = slurm.waiting(rows[2])
    assert shown.startswith("PENDING: launch failed requeued held (it could not be launched and is held")
    assert shown.endswith(", expected start 2026-11-22 21:00")


def test_a_controller_that_does_not_answer_is_told_apart_from_one_without_jobs() -> None:
    """SSH loss looked like an unknown job (xenon#668)."""
    text = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n= squeue 1\n"
    assert slurm.queue(text) == []
    assert "Unable to contact" in (slurm.asked(text, "squeue") or "")
    assert slurm.asked("= squeue 0\n", "squeue") is None


ACCOUNTS = """hn-70fb|20_1|COMPLETED|0:0
hn-70fb|20_[2-40%7]|PENDING|0:0
hn-ab|31|CANCELLED by 1000|0:15
hn-cd|32|NODE_FAIL|1:0
other|33|FAILED|1:0
= sacct 0
"""


def test_sacct_is_read_by_name_and_an_array_that_waits_says_nothing_of_its_tasks() -> None:
    """`123_[1%1]` matched nothing, and the array was called complete (reframe#3707)."""
    rows = slurm.accounts(ACCOUNTS)
    assert [(r.name, r.task, r.state, r.code) for r in rows] == [
        ("hn-70fb", 1, "COMPLETED", "0:0"),
        ("hn-ab", 1, "CANCELLED", "0:15"),
        ("hn-cd", 1, "NODE_FAIL", "1:0"),
    ]
    assert rows[1].reason == "by user 1000"


def test_of_two_jobs_of_one_name_the_one_that_runs_the_script_counts() -> None:
    twin, real = Row("hn-t", 1, "7", "FAILED"), Row("hn-t", 1, "8", "RUNNING")
    assert slurm.chosen([twin, real], "8") is real
    assert slurm.chosen([twin, real], "") is real
    assert slurm.chosen([twin, real], "7") is twin
    assert slurm.chosen([], "7") is None


# -- events --------------------------------------------------------------------------------------------------------------
def test_events_are_put_in_order_and_torn_ones_are_none() -> None:
    text = """end r_1_1 2 0 exit 5_1 1763840000 .
retry r_1_1 2 1 wait 5_1 1763839990 .
fail r_1_1 1 3 exit 5_1 1763839980 .
start r_1_1 1 0 run 5_1 1763839970 .
start r_1_1 2 0 run 5_1 1763839995 .
start r_2_1 1 0 run 5end r_3_1 1 0 exit 6 1763840000 .
end r_4_1 1 0 exit 7 176384
"""
    assert [(e.verb, e.attempt) for e in slurm.told(text)] == [("start", 1), ("fail", 1), ("retry", 2), ("start", 2), ("end", 2)]


# -- what follows --------------------------------------------------------------------------------------------------------
def end(code: int, word: str = "exit") -> Told:
    return Told("end", "r_1_1", 1, code, word, "5", 0.0)


def row(name: str, code: str = "", reason: str = "") -> Row:
    return Row("hn-t", 1, "5", name, reason, code=code)


DECISIONS = [
    # exit code, squeue, sacct, seconds, verdict, word of the reason
    (end(0), row("COMPLETED"), UNASKED, 0, State.DONE, ""),
    (end(0), row("RUNNING"), UNASKED, 1, None, ""),  # Slurm has not said its last word
    (end(0), row("COMPLETING"), UNASKED, LAST_WORD, State.DONE, ""),
    (end(0), UNASKED, UNASKED, 0, State.DONE, ""),  # it cannot be asked
    (end(0), ABSENT, UNASKED, 0, State.DONE, ""),
    (end(0), ABSENT, ABSENT, 1, None, ""),  # sacct is late
    (end(0), ABSENT, ABSENT, LAST_WORD, State.DONE, ""),
    (end(0), ABSENT, row("COMPLETED", "0:0"), 0, State.DONE, ""),
    (end(0), row("OUT_OF_MEMORY"), UNASKED, 0, State.FAILED, "out of memory"),  # qiita#3521
    (end(0), ABSENT, row("OUT_OF_MEMORY", "0:125"), 0, State.FAILED, "though the script ended with 0"),
    (end(0), row("TIMEOUT"), UNASKED, 0, State.FAILED, "time limit"),
    (end(0), row("NODE_FAIL"), UNASKED, 0, None, ""),
    (end(0), row("NODE_FAIL"), UNASKED, SETTLED, State.FAILED, "node failed"),
    (end(3), row("FAILED", reason="NonZeroExitCode"), UNASKED, 0, State.FAILED, "exit code 3"),
    (end(3), ABSENT, row("RUNNING"), LAST_WORD, State.FAILED, "exit code 3"),  # sacct lags: aiida-core#4646
    (end(3), UNASKED, UNASKED, 0, State.FAILED, "exit code 3"),
    (end(137), row("OUT_OF_MEMORY"), UNASKED, 0, State.FAILED, "out of memory"),
    (end(0), row("CANCELLED"), UNASKED, 0, State.DONE, ""),  # what a controller says of the end of a job that it forgot
    (end(0, "killed"), row("CANCELLED"), UNASKED, 0, State.CANCELLED, "though the script ended with 0"),
    (end(0, "killed"), row("COMPLETED"), UNASKED, 0, State.DONE, ""),
    (end(143), row("CANCELLED"), UNASKED, 0, State.CANCELLED, "CANCELLED"),
    (end(143), row("DEADLINE"), UNASKED, 0, State.FAILED, "deadline"),
    (end(143, "cancelled"), row("RUNNING"), UNASKED, 0, State.CANCELLED, ""),
    (end(75, "skipped"), UNASKED, UNASKED, 0, State.SKIPPED, ""),
    (end(75, "withdrawn"), row("PENDING"), UNASKED, 0, "withdrawn", ""),
    (end(137, "timeout"), row("RUNNING"), UNASKED, 0, State.FAILED, "time was up"),
    (end(0, "missing"), row("FAILED"), UNASKED, 0, State.FAILED, "output is missing"),
    # Slurm was ending it, and says why
    (end(143, "killed"), row("TIMEOUT"), UNASKED, 0, State.FAILED, "time limit"),
    (end(143, "killed"), row("PREEMPTED"), UNASKED, 0, None, ""),  # submitit#1770
    (end(143, "killed"), row("PREEMPTED"), UNASKED, SETTLED, State.FAILED, "preempted"),
    (end(143, "killed"), row("COMPLETING"), UNASKED, 100, None, ""),
    (end(143, "killed"), row("PENDING"), UNASKED, LATE, "retry", "queued again"),
    (end(143, "killed"), UNASKED, UNASKED, 1000, None, ""),
    (end(143, "killed"), ABSENT, UNASKED, LAST_WORD, State.FAILED, "signal 15"),
    # no exit code
    (None, row("PENDING"), UNASKED, 1e6, None, ""),
    (None, row("RUNNING"), UNASKED, 1e6, None, ""),
    (None, row("SOMETHING_NEW"), UNASKED, 1e6, None, ""),
    (None, row("REQUEUED"), UNASKED, 1e6, None, ""),
    (None, row("COMPLETED"), UNASKED, LATE, None, ""),  # a shared file system is late
    (None, row("COMPLETED"), UNASKED, SETTLED, State.DONE, ""),
    (None, row("FAILED", reason="JobLaunchFailure"), UNASKED, 0, None, ""),
    (None, row("FAILED", reason="JobLaunchFailure"), UNASKED, LATE, State.FAILED, "could not be launched"),
    (None, ABSENT, row("FAILED", "0:53"), LATE, State.FAILED, "could not be launched"),
    (None, ABSENT, row("FAILED", "72:0"), LATE, State.FAILED, "folder could not be entered"),
    (None, ABSENT, row("CANCELLED", "0:9", "by user 1000"), LATE, State.CANCELLED, "by user 1000"),
    (None, row("NODE_FAIL"), UNASKED, LATE, None, ""),
    (None, row("NODE_FAIL"), UNASKED, SETTLED, State.FAILED, "node failed"),
    (None, row("BOOT_FAIL"), UNASKED, LATE, State.FAILED, "boot"),
    (None, ABSENT, UNASKED, GONE - 1, None, ""),  # aiida-core#4326: a list lacked a job that ran
    (None, ABSENT, UNASKED, GONE, State.LOST, "knows it no more"),
    (None, ABSENT, ABSENT, GONE, State.LOST, "knows it no more"),
    (None, ABSENT, row("RUNNING"), 1e6, None, ""),
    (None, UNASKED, UNASKED, 1e6, None, ""),  # "could not ask" proves nothing: python-sscha#78
    (None, UNASKED, ABSENT, 1e6, None, ""),
]


@pytest.mark.parametrize(("evidence", "queued", "accounted", "waited", "what", "reason"), DECISIONS)
def test_an_attempt_ends_when_it_is_proven(
    evidence: Told | None,
    queued: Row | Silence,
    accounted: Row | Silence,
    waited: float,
    what: State | str | None,
    reason: str,
) -> None:
    verdict = decide(evidence, queued, accounted, waited=waited)
    assert (verdict.what if verdict else None) == what
    assert reason in (verdict.reason if verdict else "")


@pytest.mark.parametrize("name", ["TIMEOUT", "NODE_FAIL", "CANCELLED", "OUT_OF_MEMORY", "BOOT_FAIL"])
def test_what_was_left_as_evidence_by_slurms_word_is_read_as_that(name: str) -> None:
    verdict = judged(end(75, name))
    assert verdict.what is (State.CANCELLED if name == "CANCELLED" else State.FAILED)
    assert name in verdict.reason


REFUSALS = {
    "sbatch: error: Batch job submission failed: Invalid partition name specified": Refusal.FINAL,
    "sbatch: error: Invalid --time specification": Refusal.FINAL,
    "sbatch: unrecognized option '--bogus'": Refusal.FINAL,
    "sbatch: error: Batch job submission failed: Requested node configuration is not available": Refusal.FINAL,
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified": Refusal.FINAL,
    "sbatch: error: Batch job submission failed: I/O error writing script/environment to file": Refusal.LATER,
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying": Refusal.LATER,
    "sbatch: error: Batch job submission failed: Resource temporarily unavailable": Refusal.LATER,
    "sbatch: error: AssocMaxSubmitJobLimit": Refusal.LIMIT,
    "sbatch: error: QOSMaxSubmitJobPerUserLimit": Refusal.LIMIT,
    "sbatch: error: Batch job submission failed: Invalid job array specification": Refusal.LIMIT,
}


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_for_good_is_told_from_one_for_now(text: str) -> None:
    assert slurm.refusal(text) is REFUSALS[text]


def test_what_sbatch_says_is_shown_without_its_name() -> None:
    text = (
        "sbatch: error: invalid partition specified: x sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
    assert slurm.said(text) == "invalid partition specified: x; Invalid partition name specified"
