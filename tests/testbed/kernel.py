"""A kernel that is spoken to as JupyterLab does it, and what its cells show."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.manager import KernelManager

from testbed.processes import DEADLINE

Answer = Callable[[str, bool], str | None]  # the words of a field, are they hidden -> what is typed, if anything


@dataclass
class Shown:
    """One display, as it looks now."""

    data: dict[str, Any]
    id: str = ""
    updates: int = 0

    @property
    def text(self) -> str:
        return str(self.data.get("text/plain", ""))

    @property
    def html(self) -> str:
        return str(self.data.get("text/html", ""))


@dataclass
class Outputs:
    """What one cell shows, now: updates of its displays are taken in, also those that come when it is over."""

    kernel: Kernel
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})
    shown: list[Shown] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)  # by MIME types
    error: str = ""  # name and words
    traceback: str = ""
    asked: list[str] = field(default_factory=list)  # the words of fields
    over: int = 0  # it is over when the kernel has replied and is idle again

    @property
    def text(self) -> str:
        """All that is to be read of it."""
        told = [
            *self.streams.values(),
            *(shown.text for shown in self.shown),
            str(self.result.get("text/plain", "")),
            self.traceback,
        ]
        return "\n".join(filter(None, told))

    @property
    def card(self) -> Shown:
        """The last display."""
        return self.shown[-1]

    @property
    def value(self) -> str:
        """The result as text."""
        return str(self.result.get("text/plain", ""))

    def until(self, condition: Callable[[Outputs], object], what: str = "an output", *, seconds: float = DEADLINE) -> Outputs:
        """Take in what the kernel says until something holds."""
        try:
            self.kernel.until(lambda: condition(self), what, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}, but {self.text!r}") from None
        return self

    def finish(self, *, seconds: float = DEADLINE) -> Outputs:
        """Wait until the cell is over."""
        self.kernel.until(lambda: self.over == 2, "the end of a cell", seconds=seconds)
        return self


class Kernel:
    """A Python kernel in a folder; with a notebook's name it is that notebook's, as the server tells kernels."""

    def __init__(self, folder: Path, notebook: str = "") -> None:
        self.folder, self.notebook = folder, notebook
        self.comms: list[dict[str, Any]] = []
        self._outputs: dict[str, Outputs] = {}
        self._answers: dict[str, Answer] = {}
        self._manager = KernelManager(kernel_name="python3")
        named = {"JPY_SESSION_NAME": str(folder / notebook)} if notebook else {}
        with (folder / "kernel.log").open("ab") as log:
            self._manager.start_kernel(cwd=str(folder), env={**os.environ, **named}, stdout=log, stderr=log)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=DEADLINE)
        self._poller = zmq.Poller()
        self._channels = {c.socket: c for c in (self._client.iopub_channel, self._client.shell_channel, self._client.stdin_channel)}
        for socket in self._channels:
            self._poller.register(socket, zmq.POLLIN)

    @property
    def pid(self) -> int:
        assert self._manager.provisioner
        return int(self._manager.provisioner.pid)  # type: ignore[attr-defined]

    @property
    def complaints(self) -> str:
        """What was written to standard error, by threads too: in its log, or below whichever cell was there."""
        below = (outputs.streams["stderr"] for outputs in self._outputs.values())
        return "\n".join([(self.folder / "kernel.log").read_text(), *below])

    # -- cells ----------------------------------------------------------------------------------------------------------
    def begin(self, code: str, cell: str = "", *, answer: Answer | None = None) -> Outputs:
        """Run a cell, and do not wait for it. `answer` is the person at the fields; without one nobody can be asked."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "stop_on_error": True}
        message = self._client.session.msg("execute_request", {**content, "allow_stdin": answer is not None})
        message["metadata"] = {"cellId": cell} if cell else {}
        outputs = self._outputs[message["header"]["msg_id"]] = Outputs(self)
        if answer:
            self._answers[message["header"]["msg_id"]] = answer
        self._client.shell_channel.send(message)
        return outputs

    def run(self, code: str, cell: str = "", *, answer: Answer | None = None, seconds: float = DEADLINE) -> Outputs:
        """Run a cell until it is over."""
        return self.begin(code, cell, answer=answer).finish(seconds=seconds)

    def complete(self, code: str) -> list[str]:
        """Return what Tab offers at the end of some code."""
        told: dict[str, Any] = self._client.complete(code, reply=True, timeout=DEADLINE)
        return list(told["content"]["matches"])

    def inspect(self, code: str) -> str:
        """Return the help for some code."""
        told: dict[str, Any] = self._client.inspect(code, reply=True, timeout=DEADLINE)
        return str(told["content"]["data"].get("text/plain", ""))

    def comm(self, target: str) -> str:
        """Open a comm as a browser does, and return its id."""
        name = uuid.uuid4().hex
        self._speak("comm_open", {"comm_id": name, "target_name": target, "data": {}})
        return name

    def tell(self, comm: str, data: dict[str, Any]) -> None:
        """Say something over a comm."""
        self._speak("comm_msg", {"comm_id": comm, "data": data})

    def hang_up(self, comm: str) -> None:
        """Close a comm, as a page does that is left."""
        self._speak("comm_close", {"comm_id": comm, "data": {}})

    def heard(self, comm: str) -> list[dict[str, Any]]:
        """Return what the kernel said over a comm so far."""
        return [
            m["content"]["data"] for m in self.comms if m["content"]["comm_id"] == comm and m["header"]["msg_type"] == "comm_msg"
        ]

    def _speak(self, kind: str, content: dict[str, Any]) -> None:
        self._client.shell_channel.send(self._client.session.msg(kind, content))

    # -- what it says -----------------------------------------------------------------------------------------------------
    def until(self, condition: Callable[[], object], what: str, *, seconds: float = DEADLINE) -> None:
        """Take in what it says until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {seconds:g} s")
            self._hear(0.05)

    def _hear(self, seconds: float) -> None:
        for socket, _ in self._poller.poll(int(1000 * seconds)):
            with suppress(zmq.Again):
                message = self._channels[socket].get_msg(timeout=0)
                take = getattr(self, f"_on_{message['header']['msg_type']}", None)
                outputs = self._outputs.get(message["parent_header"].get("msg_id", ""))
                if take and (outputs or message["header"]["msg_type"].startswith(("comm_", "update_"))):  # as JupyterLab takes them
                    take(message, outputs)

    def _on_stream(self, message: dict[str, Any], outputs: Outputs) -> None:
        outputs.streams[message["content"]["name"]] += message["content"]["text"]

    def _on_display_data(self, message: dict[str, Any], outputs: Outputs) -> None:
        content = message["content"]
        outputs.shown.append(Shown(content["data"], content.get("transient", {}).get("display_id", "")))

    def _on_update_display_data(self, message: dict[str, Any], _: Outputs | None) -> None:
        content = message["content"]
        for outputs in self._outputs.values():
            for shown in outputs.shown:
                if shown.id == content["transient"]["display_id"]:
                    shown.data, shown.updates = content["data"], shown.updates + 1

    def _on_execute_result(self, message: dict[str, Any], outputs: Outputs) -> None:
        outputs.result = message["content"]["data"]

    def _on_error(self, message: dict[str, Any], outputs: Outputs) -> None:
        outputs.traceback = "\n".join(message["content"]["traceback"])

    def _on_comm_open(self, message: dict[str, Any], _: Outputs | None) -> None:
        self.comms.append(message)

    _on_comm_msg = _on_comm_close = _on_comm_open

    def _on_status(self, message: dict[str, Any], outputs: Outputs) -> None:
        outputs.over += message["content"]["execution_state"] == "idle"

    def _on_execute_reply(self, message: dict[str, Any], outputs: Outputs) -> None:
        content = message["content"]
        if content["status"] == "error":  # a UsageError is told by this alone, beside its words on standard error
            outputs.error = f"{content['ename']}: {content['evalue']}"
        outputs.over += 1

    def _on_input_request(self, message: dict[str, Any], outputs: Outputs) -> None:
        words = message["content"]["prompt"]
        outputs.asked.append(words)
        typed = self._answers[message["parent_header"]["msg_id"]](words, message["content"]["password"])
        if typed is not None:
            self._client.input(typed)

    # -- its life ---------------------------------------------------------------------------------------------------------
    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        """End it as a machine's end would."""
        os.kill(self.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
