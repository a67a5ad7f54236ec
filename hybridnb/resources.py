"""What sbatch(1) takes as the value of a resource: a text of ours that it would refuse is told before anything is submitted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|UNLIMITED|INFINITE", re.I | re.A)  # sbatch takes 1:99 for 2:39
_MEM = re.compile(r"\d+([KMGT]B?)?", re.I | re.A)
_GPUS = re.compile(r"([^\s:,]+:)?\d+(,([^\s:,]+:)?\d+)*", re.A)
_OPTION = re.compile(r"--?[A-Za-z]")
_BARE = re.compile(r"--[\w-]+|-[A-Za-z]")  # its value may be the next word
_BLANK = re.compile(r"(--[\w-]+)\s+(.*)", re.DOTALL)
# Options that would change what a unit is, or keep sbatch from answering.
_REFUSED = {"--array": "-a", "--wrap": "", "--wait": "-W", "--test-only": "", "--version": "-V", "--help": "-h", "--usage": ""}


def about_time(text: str) -> str:
    """Say what is wrong with a time limit, or ''."""
    known = "Slurm's minutes, hours:minutes:seconds or days-hours (90, 1:30:00, 2-12)"
    return "" if _TIME.fullmatch(text) else f"expected {known}, not '{text:.40}'"


def about_mem(text: str) -> str:
    """Say what is wrong with a size of memory, or ''."""
    known = "a whole number of megabytes, or one with K, M, G or T behind it (500M, 4G)"
    return "" if _MEM.fullmatch(text) else f"expected {known}, not '{text:.40}'"


def about_gpus(text: str) -> str:
    """Say what is wrong with a number of GPUs, or ''."""
    if _GPUS.fullmatch(text):
        return ""
    kind = f"; one of that kind is {text}:1" if re.fullmatch(r"[A-Za-z][\w.-]{0,39}", text) else ""
    return f"expected a number, or kinds with their numbers (2, a100:2, a100:1,v100:1), not '{text:.40}'{kind}"


def about_option(option: str) -> str:
    """Say why a person's own option for sbatch cannot be used, or ''."""
    for long, short in _REFUSED.items():
        if option == long or option.startswith(f"{long}=") or (short and option.startswith(short)):
            return f"the option {option} cannot be used: hybridnb makes arrays and waits for jobs itself"
    return ""


def wrong_options(options: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a list of options for sbatch, each with its number from 0; a value may be a word of its own."""
    for number, (before, option) in enumerate(zip(["", *options], options)):
        if about := about_option(option):
            yield number, about
        elif found := _BLANK.fullmatch(option):
            yield number, f"between an option and its value stands =, no space: {found[1]}={found[2]:.40}, not '{option:.40}'"
        elif option and not (_OPTION.match(option) or _BARE.fullmatch(before)):
            yield number, f"expected an option as sbatch spells it, with its dashes, such as --exclusive, not '{option:.40}'"
