"""The service as a process: who finds it, who is refused, what it survives. Real processes on this machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from hybridnb import home as places
from hybridnb.client import Client
from hybridnb.errors import NotFound, ServiceError
from hybridnb.service import process
from hybridnb.service.process import Address
from testbed.processes import until

DEADLINE = 60.0  # seconds
ROOT = Path(__file__).parent.parent
NOBODY = 65534
Headers = dict[str, "str | None"]


@pytest.fixture
def service() -> Iterator[Address]:
    address = process.start()
    yield address
    process.stop(address)


@pytest.fixture
def going(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A run with one job that runs until the test ends."""
    os.mkfifo(tmp_path / "gate")
    fd = os.open(tmp_path / "gate", os.O_RDWR)
    (tmp_path / "w.yaml").write_text("name: w\njobs:\n  a:\n    script: read x <gate\n")
    yield Client().run(tmp_path / "w.yaml")
    os.write(fd, b"go\n" * 10)
    os.close(fd)


def ask(
    address: Address, method: str = "GET", path: str = "/health", *, body: bytes | None = None, headers: Headers | None = None
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    """Ask with the right headers, but for those given; None leaves one out."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=DEADLINE)
    given: Headers = {
        "Host": f"127.0.0.1:{address.port}",
        "Authorization": f"Bearer {address.secret}",
        "Content-Type": "application/json",
    }
    length: Headers = {} if body is None else {"Content-Length": str(len(body))}
    connection.putrequest(method, path, skip_host=True)
    for name, value in {**given, **length, **(headers or {})}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text else {}, response.headers


def kill(address: Address) -> None:
    """Kill -9, and wait for the end."""
    victim = psutil.Process(address.pid)
    victim.kill()
    victim.wait(DEADLINE)


# -- being found ----------------------------------------------------------------------------------------------------------
def test_it_is_started_once_and_found_afterwards(service: Address) -> None:
    assert process.find() == service
    assert process.start() == service
    assert ask(service)[1]["pid"] == service.pid


def test_it_is_nobodys_child_and_leads_away_from_the_terminal(service: Address) -> None:
    found = psutil.Process(service.pid)
    assert found.ppid() != os.getpid()
    assert os.getsid(service.pid) != os.getsid(0)
    assert found.cwd() == "/"


def test_its_environment_holds_nothing_of_the_starters_work(monkeypatch: pytest.MonkeyPatch, service: Address) -> None:
    process.stop(service)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("TOKEN", "private")
    names = psutil.Process(process.start().pid).environ()
    assert "HYBRIDNB_HOME" in names
    assert not {"SLURM_JOB_ID", "TOKEN"} & set(names)


def test_of_many_that_start_it_at_once_all_find_the_same_one(home: Path) -> None:
    words = [sys.executable, "-c", "from hybridnb.service import process; print(process.start().pid)"]
    starters = [subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) for _ in range(5)]
    told = {starter.communicate(timeout=DEADLINE)[0] for starter in starters}
    assert told == {f"{process.start().pid}\n".encode()}
    assert len([p for p in psutil.process_iter() if serves(p, home)]) == 1


def serves(candidate: psutil.Process, home: Path) -> bool:
    try:
        return candidate.cmdline()[1:3] == ["-m", "hybridnb.service"] and candidate.environ().get("HYBRIDNB_HOME") == str(home)
    except psutil.Error:
        return False


def test_a_second_one_leaves_the_place_to_the_first(service: Address) -> None:
    second = subprocess.run([sys.executable, "-m", "hybridnb.service"], cwd=ROOT, timeout=DEADLINE)
    assert second.returncode == 0
    assert process.find() == service


def test_after_kill_9_another_takes_over_at_once(service: Address) -> None:
    kill(service)
    assert process.find() is None
    assert process.start().pid != service.pid


def test_a_starter_that_is_killed_does_not_keep_others_waiting(home: Path) -> None:
    words = (
        "import os, fcntl, sys; from hybridnb.service import process\nwith process._alone(): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as starter:
        assert starter.stdout and starter.stdout.readline()
        starter.kill()
    assert process.start().alive


def test_a_start_that_fails_tells_the_last_words_and_where_more_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ImportError('no such luck')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"no such luck.*service\.log"):
        process.start()
    monkeypatch.delenv("PYTHONPATH")
    assert process.start().alive


def test_it_announces_itself_again_when_its_file_was_removed(service: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.state() / "service.json").unlink()
    assert process.start() == service  # a second one waits for the place until the first is found again


def test_it_ends_when_its_whole_folder_was_removed(service: Address) -> None:
    remove(places.state())
    psutil.Process(service.pid).wait(DEADLINE)
    assert process.start().pid != service.pid


def test_stop_ends_it_in_order_and_leaves_no_file(service: Address) -> None:
    process.stop(service)
    assert not service.alive
    assert not (places.state() / "service.json").exists()
    assert process.log().read_text() == ""


def test_it_can_be_asked_to_stop(service: Address) -> None:
    running = psutil.Process(service.pid)
    assert ask(service, "POST", "/stop")[0] == 202
    running.wait(DEADLINE)


def test_it_ends_itself_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRIDNB_IDLE", "2")  # long enough to be found before
    ends(process.start())
    assert process.find() is None


def ends(address: Address) -> None:
    """Wait until a service has ended by itself, which it may have done already."""
    process.wait_for_end(address, timeout=DEADLINE)
    assert not address.alive


def test_it_stays_while_a_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYBRIDNB_IDLE", "1")
    (tmp_path / "w.yaml").write_text("name: w\njobs:\n  a:\n    script: sleep 3\n")
    made = Client().run(tmp_path / "w.yaml")
    address = process.find()
    if address:  # else all is over already
        ends(address)
    assert Client().status(made["run"])["state"] == "done"
    assert process.find() is None


# -- who may come in ------------------------------------------------------------------------------------------------------
def test_its_file_is_for_its_user_alone(service: Address) -> None:
    path = places.state() / "service.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert service.secret not in repr(service)
    assert not [p for p in psutil.process_iter() if service.secret in " ".join(words(p))]


def words(candidate: psutil.Process) -> list[str]:
    try:
        return candidate.cmdline()
    except psutil.Error:
        return []


def test_without_the_secret_every_route_is_closed(service: Address) -> None:
    for path in ("/health", "/openapi.json", "/runs", "/runs/x/events", "/docs", "/nowhere"):
        for method in ("GET", "POST", "OPTIONS"):
            for authorization in (None, "", "Bearer", "Bearer wrong", f"Basic {service.secret}", service.secret):
                assert ask(service, method, path, headers={"Authorization": authorization})[0] == 401


FOREIGN: list[Headers] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1:1"},
]


def test_a_browsers_page_is_refused_even_with_the_secret(service: Address) -> None:
    for headers in FOREIGN:
        status, _, answered = ask(service, headers=headers)
        assert (status, answered["access-control-allow-origin"]) == (403, None)


def test_localhost_is_an_address_of_it(service: Address) -> None:
    assert ask(service, headers={"Host": f"localhost:{service.port}"})[0] == 200


def test_a_body_without_end_is_refused_before_it_is_read(service: Address) -> None:
    assert ask(service, "POST", "/runs", body=b"", headers={"Content-Length": str(1 << 40)})[0] == 413


def test_a_caller_that_asks_nothing_is_not_waited_for(service: Address) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE) as line:
        line.sendall(b"GET /health HTTP/1.1\r\n")
        with suppress(ConnectionResetError):
            assert line.recv(1) == b""


def test_it_listens_on_this_machine_only(service: Address) -> None:
    listening = [c for c in psutil.Process(service.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def as_nobody(code: str) -> str:
    """Run Python that becomes another user of this machine, and return what it prints."""
    become = (
        f"import os, urllib.request, urllib.error, encodings.idna\nos.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    )
    done = subprocess.run([sys.executable, "-c", become + code], capture_output=True, text=True, timeout=DEADLINE)
    return done.stdout.strip() or done.stderr


def test_another_user_can_neither_read_the_secret_nor_call(service: Address, home: Path) -> None:
    home.chmod(0o755)
    assert os.geteuid() == 0, "this test changes the user, which root can"
    path = places.state() / "service.json"
    read = f"try: print(open({str(path)!r}).read())\nexcept PermissionError: print('refused')"
    assert as_nobody(read) == "refused"
    call = f"""
try: print(urllib.request.urlopen('http://127.0.0.1:{service.port}/health').status)
except urllib.error.HTTPError as error: print(error.code)
"""
    assert as_nobody(call) == "401"


def test_a_file_that_another_user_put_there_is_not_trusted(service: Address) -> None:
    path = places.state() / "service.json"
    os.chown(path, NOBODY, -1)
    with pytest.raises(ServiceError, match="not yours alone"):
        process.find()
    os.chown(path, os.geteuid(), -1)


# -- the interface --------------------------------------------------------------------------------------------------------
def test_every_route_is_described(service: Address) -> None:
    described = ask(service, "GET", "/openapi.json")[1]
    routes = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert routes >= {
        ("/runs", "get"),
        ("/runs", "post"),
        ("/runs/{run}", "get"),
        ("/runs/{run}", "delete"),
        ("/runs/{run}/events", "get"),
        ("/hosts", "get"),
        ("/hosts/{host}/check", "post"),
        ("/hosts/{host}/partitions", "get"),
        ("/questions", "get"),
        ("/questions/{number}", "post"),
    }
    assert all(about["summary"] for methods in described["paths"].values() for about in methods.values())


WRONG: list[tuple[str, str, bytes | None, int, str]] = [
    ("GET", "/runs/nope", None, 404, "NotFound"),
    ("GET", "/nowhere", None, 404, "NotFound"),
    ("PATCH", "/runs", None, 405, "CallError"),
    ("POST", "/runs", b"{}", 400, "CallError"),
    ("POST", "/runs", b"not json", 400, "CallError"),
    ("POST", "/runs", b'{"file": "/nowhere.yaml", "nwe": true}', 400, "CallError"),
    ("POST", "/runs", b'{"file": "/nowhere.yaml"}', 404, "NotFound"),
    ("GET", "/runs/nope/jobs/a/log?offset=-1", None, 400, "CallError"),
    ("GET", "/runs/..%2f..%2fetc/jobs/a/log", None, 404, "NotFound"),
    ("POST", "/hosts/nobody/check", b"{}", 404, "NotFound"),
    ("POST", "/hosts/local/check", b'{"file": "x"}', 400, "CallError"),
    ("POST", "/questions/1", b'{"text": "open sesame"}', 404, "NotFound"),
    ("POST", "/questions/one", b'{"text": "open sesame"}', 400, "CallError"),
    ("POST", "/questions/1", b'{"text": ["open sesame"]}', 400, "CallError"),
    ("POST", "/questions/1", b"open sesame", 400, "CallError"),
]


def test_what_is_wrong_is_told_by_class_and_message(service: Address) -> None:
    for method, path, body, status, error in WRONG:
        answered, told, _ = ask(service, method, path, body=body)
        assert (answered, told["error"]) == (status, error)
        assert told["message"]
        assert "open sesame" not in str(told), "an answer is told to nobody"
    assert "open sesame" not in process.log().read_text()


def test_a_job_cannot_name_its_way_out_of_the_run(service: Address, going: dict[str, Any]) -> None:
    for name in ("..", "%2e%2e", "..%2f..%2f..", "a%2f..%2f..", "%00"):
        assert ask(service, "GET", f"/runs/{going['run']}/jobs/{name}/log")[0] in (400, 404)


@pytest.mark.parametrize(("method", "path"), [("GET", "/questions"), ("POST", "/questions/1"), ("POST", "/hosts/local/check")])
def test_questions_and_checks_are_for_who_has_the_secret(service: Address, method: str, path: str) -> None:
    refused: list[tuple[Headers, int]] = [
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Origin": "null"}, 403),
    ]
    for headers, status in refused:
        assert ask(service, method, path, body=b"{}", headers=headers)[0] == status


def test_a_check_is_streamed_as_lines_of_json(service: Address) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE)
    headers = {"Authorization": f"Bearer {service.secret}", "Content-Type": "application/json"}
    connection.request("POST", "/hosts/local/check", b"{}", headers)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/x-ndjson"
    steps = [json.loads(line) for line in response]
    connection.close()
    assert {key for step in steps for key in step} == {"what", "told", "ok", "seconds", "advice"}
    assert [step["what"] for step in steps if step.get("ok")][-1] == "scheduler"


# -- its life with runs ---------------------------------------------------------------------------------------------------
def test_a_run_that_another_process_let_go_of_is_taken_over(tmp_path: Path) -> None:
    """The run of a killed `--here` process; the service looks at the list of runs from time to time."""
    (tmp_path / "w.yaml").write_text(
        "name: w\njobs:\n  a:\n    script: sleep 1; echo done >>a\n  b:\n    after: [a]\n    script: echo b\n"
    )
    code = """
import sys, pathlib; from hybridnb.client import Here
here = Here(); made = here.run(pathlib.Path(sys.argv[1]))
for record in here.events(made["run"]):
    if record.get("state") == "running": print(made["run"], flush=True)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "w.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}) as here:
        assert here.stdout
        run = here.stdout.readline().strip()
        here.kill()
    assert [r for r in Client().events(run) if r.get("event") == "finished"]
    assert Client().status(run)["state"] == "done"
    assert (tmp_path / "a").read_text() == "done\n"


def test_disk_full_stops_only_the_run_that_is_on_it_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(small)], check=True)
    try:
        os.mkfifo(small / "gate")
        fd = os.open(small / "gate", os.O_RDWR)
        jobs = "".join(f"  j{i}:\n    after: [a]\n    script: echo j{i} >>{tmp_path}/ran\n" for i in range(20))
        (small / "w.yaml").write_text(f"name: w\njobs:\n  a:\n    script: read x <gate\n{jobs}")
        client = Client()
        made = client.run(small / "w.yaml")
        records = client.events(made["run"])
        next(r for r in records if r.get("state") == "running")
        fill(small / "ballast")
        os.write(fd, b"go\n")
        while made["run"] not in (client.status(made["run"])["problems"]):
            next(records)
        assert "Make room" in client.status(made["run"])["problems"][made["run"]]
        (tmp_path / "w.yaml").write_text("name: other\njobs:\n  a:\n    script: echo hi\n")
        assert finished(client, client.run(tmp_path / "w.yaml")) == "done"
        (small / "ballast").unlink()
        assert finished(client, made) == "done"
        assert sorted((tmp_path / "ran").read_text().split()) == sorted(f"j{i}" for i in range(20))
        os.close(fd)
    finally:
        process.stop(process.start())
        subprocess.run(["umount", "-l", str(small)], check=True)


def fill(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        try:
            while os.write(fd, b"x" * size):
                pass
        except OSError:
            continue
    os.close(fd)


def finished(client: Client, made: dict[str, Any]) -> str:
    for _ in client.events(made["run"]):
        pass
    return str(client.status(made["run"])["state"])


def remove(folder: str | Path) -> None:
    """Remove a folder that the service writes to: as a person would, again if something new was in it."""
    until(lambda: subprocess.run(["rm", "-rf", folder], capture_output=True).returncode == 0, f"{folder} to be gone")


def test_a_run_whose_folder_is_removed_does_not_hurt_the_service(tmp_path: Path, going: dict[str, Any]) -> None:
    remove(going["folder"])
    (tmp_path / "other.yaml").write_text("name: other\njobs:\n  a:\n    script: echo hi\n")
    assert finished(Client(), Client().run(tmp_path / "other.yaml")) == "done"


def test_who_follows_a_run_whose_folder_is_removed_is_told_and_nothing_stumbles(going: dict[str, Any]) -> None:
    events = Client().events(going["run"], since=10_000)
    next(events)
    remove(going["folder"])
    with pytest.raises(NotFound, match=going["run"]):
        for _ in events:
            pass
    assert "Traceback" not in process.log().read_text()


def test_sigterm_lets_jobs_go_on(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("name: w\njobs:\n  a:\n    script: sleep 1; echo done >>a\n")
    client = Client()
    made = client.run(tmp_path / "w.yaml")
    next(r for r in client.events(made["run"]) if r.get("state") == "running")
    address = process.start()
    running = psutil.Process(address.pid)
    os.kill(address.pid, signal.SIGTERM)
    running.wait(DEADLINE)
    assert finished(client, made) == "done"
    assert (tmp_path / "a").read_text() == "done\n"
