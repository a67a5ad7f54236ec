"""What went on while nobody looked: how a run differs from what was shown of it last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import show
from .reading import Reading

_MOST = 6  # jobs that are told one by one


def news(reading: Reading, seen: int) -> str:
    """Say how jobs went on since the record of this number; '' when they did not."""
    if seen >= reading.since:
        return ""
    before = reading.upto(seen) if seen else {}
    jobs = {name: reading.job(name) for name, state in reading.run.states.items() if state.value != before.get(name, "waiting")}
    if not jobs:
        return ""
    pressing = sorted(jobs, key=lambda name: jobs[name]["state"] not in ("failed", "lost", "running"))
    told = [f"{name} {_ending(jobs[name])}" for name in pressing[:_MOST]]
    more = len(jobs) - len(told)
    return f"since you last looked: {', '.join(told)}{more and f' and {more} more' or ''}"


def _ending(job: Mapping[str, Any]) -> str:
    took = show.elapsed(job["started_at"], job["ended_at"]) if job["ended_at"] else ""
    why = job["reason"] if job["state"] != "done" else ""
    facts = ", ".join(filter(None, (why, took)))
    return f"{job['state']}{f' ({facts})' if facts else ''}"
