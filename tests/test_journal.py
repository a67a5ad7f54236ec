"""The journal: lines that JSON and YAML read alike, a torn tail that is dropped, a disk that refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from hybridnb.errors import StoreError
from hybridnb.journal import Journal, flow, line, parse, read

RECORDS: list[dict[str, Any]] = [
    {"event": "created", "run": "2026-11-22-1015-k3f9", "folder": '/home/ü ñ/it\'s "here"', "layout": {"a": [1.5, -2]}},
    {
        "event": "defined",
        "job": "a",
        "definition": {"script": "#!/bin/sh\necho 'x: y' # {no} [yaml]\n\ttab\\n", "params": {"lr": 1e-07}},
    },
    {"event": "state", "job": "a", "attempt": 1, "state": "done", "exit_code": 0, "reason": "e-7 \U0001f600 ☃\u2028\x85\x7f"},
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)


def write(path: Path, *records: dict[str, Any]) -> bytes:
    journal = Journal(path)
    for record in records:
        journal.append(record)
    journal.close()
    return path.read_bytes()


def events(path: Path) -> list[Any]:
    return [record["event"] for record in read(path)[0]]


# -- lines ----------------------------------------------------------------------------------------------------------------
@given(st.dictionaries(st.text(max_size=20), JSON, max_size=4))
@example(
    {"small": 1e-07, "large": -1e16, "both": [1.5e-07, 1e300, 0.1, 5e-324], "text": "1e-07", "quoted": '"1e-07"', "e-7": "a\\"}
)
@example({"emoji": "\U0001f600", "line breaks": "\n\r\x85\u2028\u2029", "hidden": "\0\x1b\x7f\x9f\ufeff\ufffe\uffff"})
@example({"half": "\ud83d", "the other": "\ude00", "a byte": "\udcff"})
@example(
    {
        "yaml": "no",
        "null": "~",
        "time": "1:30:00",
        "merge": "<<",
        "tag": "!!x",
        "date": "2026-11-22",
        "comment": " # x",
        "end": "...",
    }
)
@example({"true": True, "none": None, "zero": -0.0, "big": 10**30, "empty": {}, "list": []})
def test_whatever_a_record_says_json_and_yaml_read_the_same_from_its_one_line(record: dict[str, Any]) -> None:
    text = flow(record)
    assert "\n" not in text
    assert json.loads(text) == record
    assert yaml.safe_load(text) == record
    assert repr(yaml.safe_load(text)) == repr(record)  # 1 is not 1.0, and 0.0 not -0.0


@given(st.dictionaries(st.text(max_size=20), JSON, max_size=4), st.integers(1))
def test_a_line_is_read_back_with_its_number(record: dict[str, Any], number: int) -> None:
    record.pop("n", None)
    assert parse(line(number, record).encode()) == {"n": number, **record}


def test_the_file_is_valid_yaml_that_says_what_was_written_and_c_readers_agree(tmp_path: Path) -> None:
    text = write(tmp_path / "journal.yaml", *RECORDS)
    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        found = yaml.load(text, loader)
        assert [{k: v for k, v in record.items() if k not in ("n", "crc")} for record in found] == RECORDS
        assert [record["n"] for record in found] == [1, 2, 3]
    assert len(text.splitlines()) == len(RECORDS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_cannot_say_is_refused_and_not_half_written(tmp_path: Path, value: object) -> None:
    journal = Journal(tmp_path / "journal.yaml")
    with pytest.raises((ValueError, TypeError)):
        journal.append({"event": "x", "value": value})
    journal.append({"event": "good"})
    journal.close()
    assert events(tmp_path / "journal.yaml") == ["good"]


def test_any_changed_byte_of_a_line_is_noticed() -> None:
    whole = line(1, RECORDS[1]).encode()
    for index in range(2, len(whole)):
        assert parse(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]) is None


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"- {}\n", b"\0" * 4096, b'- {"n": 1, "crc": "zzzzzzzz"}\n', b'- "x", "crc": "00000000"}\n', b"\xff\xfe\n"]
)
def test_what_is_no_line_of_a_journal_is_none(text: bytes) -> None:
    assert parse(text) is None


# -- the tail -------------------------------------------------------------------------------------------------------------
def test_cut_at_any_byte_everything_before_is_kept_and_writing_goes_on_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.yaml"
    whole = write(path, *RECORDS)
    ends = [0]
    for text in whole.splitlines(keepends=True):
        ends.append(ends[-1] + len(text))
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        sound = sum(end <= cut for end in ends) - 1
        assert read(path) == (read_all(whole)[:sound], ends[sound])
        journal, records = Journal.open(path)
        assert len(records) == journal.count == sound
        journal.append({"event": "after"})
        journal.close()
        assert path.read_bytes().startswith(whole[: ends[sound]])
        assert events(path) == [record["event"] for record in RECORDS[:sound]] + ["after"]


def read_all(text: bytes) -> list[Any]:
    return [parse(each) for each in text.splitlines(keepends=True)]


@pytest.mark.parametrize("tail", [b"\0" * 9000, b"- {", b"garbage\n", b"\r\r\r", b"\xff" * 100, b'- {"n": 4}\n'])
def test_a_tail_of_any_kind_is_dropped(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "journal.yaml"
    whole = write(path, *RECORDS)
    path.write_bytes(whole + tail)
    assert read(path) == (read_all(whole), len(whole))
    Journal.open(path)[0].close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_line_before_others_is_refused_by_its_number_and_nothing_is_changed(tmp_path: Path, damaged: int) -> None:
    path = tmp_path / "journal.yaml"
    lines = write(path, *RECORDS).splitlines(keepends=True)
    lines[damaged - 1] = lines[damaged - 1].replace(b"event", b"evemt")
    path.write_bytes(b"".join(lines))
    for opening in (read, Journal.open):
        with pytest.raises(
            StoreError,
            match=rf"journal\.yaml:{damaged}: the journal is damaged here.* remove the lines from here on, and run again",
        ):
            opening(path)
    assert path.read_bytes() == b"".join(lines)


def test_a_line_that_is_missing_or_twice_is_refused_by_the_place_where_the_count_breaks(tmp_path: Path) -> None:
    path = tmp_path / "journal.yaml"
    one, two, three = write(path, *RECORDS).splitlines(keepends=True)
    for lines in ([one, three], [one, one, two], [one, two, two, three]):
        path.write_bytes(b"".join(lines))
        with pytest.raises(StoreError, match=rf"journal\.yaml:{2 if len(lines) < 4 else 3}: "):
            read(path)


# -- writing --------------------------------------------------------------------------------------------------------------
def test_a_record_is_on_disk_from_the_commit_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.yaml")
    journal.append({"event": "a"})
    assert (journal.count, events(journal.path)) == (1, [])
    journal.commit()
    assert events(journal.path) == ["a"]


def test_an_append_costs_the_same_however_many_records_there_are(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.yaml")

    def written() -> int:
        before = int(next(row for row in Path("/proc/self/io").read_text().splitlines() if row.startswith("wchar")).split()[1])
        journal.append({"event": "state", "job": "a"})
        journal.commit(sync=True)
        return (
            int(next(row for row in Path("/proc/self/io").read_text().splitlines() if row.startswith("wchar")).split()[1]) - before
        )

    first = written()
    for _ in range(20_000):
        journal.append({"event": "state", "job": "a"})
    journal.commit()
    assert first <= written() <= first + 5  # the digits of the number


def test_opened_again_the_count_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "journal.yaml", *RECORDS)
    journal, records = Journal.open(tmp_path / "journal.yaml")
    assert [record["n"] for record in records] == [1, 2, 3]
    journal.append({"event": "fourth"})
    journal.close()
    journal.close()
    assert [record["n"] for record in read(journal.path)[0]] == [1, 2, 3, 4]


REFUSE = """
import resource, sys
from pathlib import Path
from hybridnb.errors import StoreError
from hybridnb.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append({"event": "before"})
journal.commit(sync=True)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
for number in range(20):
    journal.append({"event": "much", "number": number})
try:
    journal.commit()
except StoreError as error:
    print(error, error.run, sep="\\n")
sound = Path(sys.argv[1]).read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
if sys.argv[2] == "go on":
    journal.close()
print(sound.count(b"\\n"))
"""


@pytest.mark.parametrize(("then", "records"), [("go on", 21), ("die", 1)])
def test_a_disk_that_refuses_leaves_a_sound_journal_that_goes_on_when_there_is_room(
    tmp_path: Path, then: str, records: int
) -> None:
    path = tmp_path / "2026-11-22-1015-k3f9" / "journal.yaml"
    path.parent.mkdir()
    done = subprocess.run([sys.executable, "-c", REFUSE, str(path), then], capture_output=True, text=True, check=True)
    why, run, sound = done.stdout.splitlines()
    assert why == f"{path}: cannot be written: File too large. Make room, and run again to resume"
    assert (run, sound) == (path.parent.name, "1")
    assert len(read(path)[0]) == records


def test_a_full_disk_is_told_with_path_and_next_step_and_what_was_there_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=True)
    try:
        journal = Journal(disk / "journal.yaml")
        journal.append({"event": "before"})
        journal.commit()
        journal.append({"event": "much", "text": "x" * 20_000})
        with pytest.raises(
            StoreError, match=r"disk/journal\.yaml: cannot be written: No space left on device\. Make room, and run again"
        ):
            journal.commit()
        assert events(journal.path) == ["before"]
        subprocess.run(["mount", "-o", "remount,size=64k", str(disk)], check=True)
        journal.close()
        assert events(journal.path) == ["before", "much"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_journal_that_cannot_be_opened_names_its_path_and_the_next_step(tmp_path: Path) -> None:
    for opening in (read, Journal):
        with pytest.raises(
            StoreError, match=r"gone/journal\.yaml: cannot be .*: the run's folder is not there any more\. Run again"
        ):
            opening(tmp_path / "gone" / "journal.yaml")


def test_a_closed_journal_refuses_records_and_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.yaml")
    journal.close()
    journal.append({"event": "late"})
    with pytest.raises(StoreError, match="cannot be written"):
        journal.commit()
    assert os.path.getsize(journal.path) == 0
    assert repr(journal) == f"Journal({str(journal.path)!r}, records=1)"
