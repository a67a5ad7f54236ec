"""What a card in the browser and the kernel say to each other over a comm, in a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from testbed.kernel import Kernel, Outputs

from hybridnb.notebook.card import MIME
from hybridnb.notebook.talk import TARGET

WAITS = "until [ -e go ]; do sleep 0.02; done"
SLOW = f"%%job local slow\necho slow >> ran\necho begun\n{WAITS}\necho over"


class Browser:
    """One card in a browser."""

    def __init__(self, kernel: Kernel, card: dict[str, Any], *, comm: str = "", name: str = "a") -> None:
        self.kernel, self.name = kernel, name
        self.comm = comm or kernel.comm(TARGET)
        self.say("watch", card=card)

    def say(self, do: str, **more: Any) -> None:
        self.kernel.tell(self.comm, {"do": do, "id": self.name, **more})

    @property
    def heard(self) -> list[dict[str, Any]]:
        return [said for said in self.kernel.heard(self.comm) if said.get("id") == self.name]

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait for a message."""
        self.kernel.until(lambda: any(map(condition, self.heard)), f"{what}, but {self.heard[-1:]}")
        return next(said for said in reversed(self.heard) if condition(said))

    def shows(self, words: str, *actions: str) -> None:
        """Wait until the card has these words and buttons."""
        self.kernel.until(lambda: self._shows(words, actions), f"{words} with {actions}, but {self.heard[-1:]}")

    def _shows(self, words: str, actions: tuple[str, ...]) -> bool:
        last = next((said for said in reversed(self.heard) if "data" in said), None)
        return last is not None and words in last["data"]["text/plain"] and tuple(last["actions"]) == actions


def job(name: str = "slow", *, file: str = "study.yaml") -> dict[str, Any]:
    return {"version": 1, "file": file, "job": name, "run": None}


@pytest.fixture
def browser(kernel: Kernel) -> Browser:
    kernel.run(SLOW, "c1")
    return Browser(kernel, job())


def test_a_card_is_told_how_things_stand_and_what_can_be_done(browser: Browser) -> None:
    browser.shows("recorded", "run")


def test_run_on_a_card_starts_its_job_and_the_card_follows_to_the_end(browser: Browser, kernel: Kernel) -> None:
    browser.say("run")
    browser.shows("running", "cancel", "log")
    (kernel.folder / "go").touch()
    browser.shows("done", "run", "log")
    assert (kernel.folder / "ran").read_text() == "slow\n"


def test_cancel_on_a_card_stops_its_job_and_retry_starts_it_again(browser: Browser, kernel: Kernel) -> None:
    browser.say("run")
    browser.shows("running", "cancel", "log")
    browser.say("cancel")
    browser.shows("cancelled", "run", "retry", "log")
    (kernel.folder / "go").touch()
    browser.say("retry")
    browser.shows("done", "run", "log")


def test_a_log_is_told_by_pieces_to_its_end(browser: Browser, kernel: Kernel) -> None:
    browser.say("run")
    browser.shows("running", "cancel", "log")
    browser.say("log", stream="out", offset=0)
    piece = browser.until(lambda said: "log" in said, "a piece of the log")
    (kernel.folder / "go").touch()
    browser.shows("done", "run", "log")
    browser.say("log", stream="out", offset=piece["offset"])
    rest = browser.until(lambda said: said.get("offset", 0) > piece["offset"], "the rest")
    assert piece["log"] + rest["log"] == "begun\nover\n"
    browser.say("log", stream="out", offset=rest["offset"])
    assert browser.until(lambda said: said.get("ended"), "the end")["log"] == ""


def test_the_card_of_a_run_runs_and_cancels_all_of_it(browser: Browser, kernel: Kernel) -> None:
    run = Browser(kernel, {"file": "study.yaml", "job": None, "run": None}, comm=browser.comm, name="b")
    run.say("run")
    run.shows("1 running", "cancel")
    run.say("cancel")
    run.shows("1 cancelled", "run", "retry")


def test_a_button_that_cannot_be_obeyed_is_answered_in_words(browser: Browser) -> None:
    browser.say("cancel")
    assert "not been run yet" in browser.until(lambda said: "error" in said, "an error")["error"]
    browser.say("explode")
    assert "cannot ask for 'explode'" in browser.until(lambda said: "explode" in said.get("error", ""), "an error")["error"]


def test_a_card_of_a_job_that_is_gone_says_so(browser: Browser, kernel: Kernel) -> None:
    gone = Browser(kernel, job("gone"), comm=browser.comm, name="b")
    assert "'gone' is not in study.yaml any more" in gone.until(lambda said: "error" in said, "an error")["error"]


@pytest.mark.parametrize("file", ["/etc/passwd.yaml", "../other.yaml", "study.txt"])
def test_a_saved_output_cannot_name_a_file_elsewhere(browser: Browser, kernel: Kernel, file: str) -> None:
    stranger = Browser(kernel, job(file=file), comm=browser.comm, name="b")
    assert "%workflow open" in stranger.until(lambda said: "error" in said, "an error")["error"]


def test_a_card_that_was_taken_off_the_screen_hears_no_more(browser: Browser, kernel: Kernel) -> None:
    other = Browser(kernel, job(), comm=browser.comm, name="b")
    other.shows("recorded", "run")
    browser.say("forget")
    browser.say("run")
    assert "not known any more" in browser.until(lambda said: "error" in said, "an error")["error"]
    before = len(browser.heard)
    other.say("run")
    other.shows("running", "cancel", "log")
    assert len(browser.heard) == before


def test_a_page_that_was_left_is_drawn_for_no_more(browser: Browser, kernel: Kernel) -> None:
    browser.shows("recorded", "run")
    kernel.hang_up(browser.comm)
    session = "get_ipython().magics_manager.registry['Hybridnb'].session"
    kernel.until(lambda: kernel.run(f"len({session}.talks)").value == "0", "nobody is spoken to")
    before = len(browser.heard)
    other = Browser(kernel, job(), name="b")
    other.say("run")
    other.shows("running", "cancel", "log")
    assert len(browser.heard) == before


def test_the_canvas_goes_with_the_extension(browser: Browser, kernel: Kernel) -> None:
    workflow = Browser(kernel, {"file": "study.yaml", "job": None, "run": None}, comm=browser.comm, name="b")
    model = workflow.until(lambda said: "canvas" in said, "a canvas")["canvas"]
    kernel.run("%unload_ext hybridnb")
    closed = [("comm_close", model)]
    kernel.until(lambda: closed[0] in [(m["header"]["msg_type"], m["content"]["comm_id"]) for m in kernel.comms], "its end")


def test_the_kernel_opens_no_comm_itself(browser: Browser, kernel: Kernel) -> None:
    browser.shows("recorded", "run")
    assert [message for message in kernel.comms if message["header"]["msg_type"] == "comm_open"] == []


# -- which run a card is of -------------------------------------------------------------------------------------------------
def seen(cell: Outputs) -> dict[str, Any]:
    """Return what the browser reads of a card that was shown last."""
    return dict(cell.card.data[MIME])


def test_the_card_of_an_old_run_stays_with_it_and_that_of_a_job_goes_on(kernel: Kernel) -> None:
    cell = kernel.run("%%job local train\nexit 3", "c1")
    kernel.run("old = %workflow run\nold.wait(check=False)")
    kernel.run("%%job local train\ntrue", "c1")
    kernel.run("new = %workflow run --wait")
    old = Browser(kernel, seen(kernel.run("old['train']")))
    old.shows("failed", "retry", "log")
    whole = Browser(kernel, seen(kernel.run("old")), comm=old.comm, name="b")
    whole.until(lambda said: "data" in said and "1 failed" in said["data"]["text/plain"], "the old run's card")
    job_now = Browser(kernel, seen(cell), comm=old.comm, name="c")
    job_now.shows("done", "run", "log")


def test_the_card_of_a_workflow_goes_on_to_its_next_run_with_its_buttons(kernel: Kernel) -> None:
    kernel.run(SLOW, "c1")
    (kernel.folder / "go").touch()
    kernel.run("%workflow run --wait")
    browser = Browser(kernel, seen(kernel.run("_ = %workflow")))
    browser.shows("1 done", "run")
    (kernel.folder / "go").unlink()
    kernel.run("%workflow run --new")
    browser.shows("1 running", "cancel")
    browser.say("cancel")
    browser.shows("1 cancelled", "run", "retry")


# -- what may come from anywhere --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", ["x\0.yaml", "none.yaml", f"{'x' * 300}.yaml"])
def test_a_file_that_is_not_there_is_told_and_not_kept(browser: Browser, kernel: Kernel, file: str) -> None:
    stranger = Browser(kernel, job(file=file), comm=browser.comm, name="b")
    assert "there is no such file" in stranger.until(lambda said: "error" in said, "an error")["error"]
    assert kernel.run("1 + 1").text == "2", "no later cell hears of it"


def test_what_is_no_card_is_answered(browser: Browser, kernel: Kernel) -> None:
    stranger = Browser(kernel, cast("Any", [1]), comm=browser.comm, name="b")
    stranger.until(lambda said: "data" in said, "the current workflow")
    stranger.say("log", offset="x", stream=3)
    stranger.until(lambda said: "error" in said, "an error")


def test_a_browser_is_told_when_the_extension_is_loaded_anew(browser: Browser, kernel: Kernel) -> None:
    browser.shows("recorded", "run")
    assert not kernel.run("%reload_ext hybridnb").error
    closed = [m for m in kernel.comms if m["header"]["msg_type"] == "comm_close"]
    assert [message["content"]["comm_id"] for message in closed] == [browser.comm]
    again = Browser(kernel, job())
    again.shows("recorded", "run")
    again.say("run")
    again.shows("running", "cancel", "log")
