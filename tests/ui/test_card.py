"""Cards in JupyterLab, drawn by the renderer alone: the kernel's side is the cell below."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from hybridnb.notebook.card import MIME
from ui.lab import Notebook, Screen, holds

Open = Callable[..., Notebook]
SAY = """
from IPython.display import display

def bundle(state, html=None):
    told = {"version": 1, "file": "flow.yaml", "job": "train", "run": "r1", "state": state, "ended": state in ("done", "failed")}
    told["started_at"] = "2026-01-01T00:00:00Z" if state == "running" else None
    return {"text/html": html or f"<b>train</b> is {state}", "text/plain": f"train is {state}", MIME: told}

def show(state, html=None):
    display(bundle(state, html), raw=True)
""".replace("MIME", repr(MIME))
KNOW = """
heard, comms, log = [], [], {"out": "", "err": "", "ended": False}

def tell(state, *actions, html=None):
    for comm, id in comms:
        comm.send({"id": id, "data": bundle(state, html), "actions": actions})

def listen(comm, opened):
    @comm.on_msg
    def hear(message):
        said = message["content"]["data"]
        heard.append(said)
        if said["do"] == "watch":
            comms.append((comm, said["id"]))
            tell("queued", "run", "log")
        elif said["do"] == "run":
            tell("running", "cancel", "log")
        elif said["do"] == "cancel":
            comm.send({"id": said["id"], "error": "<i>lab3</i> does not answer"})
        elif said["do"] == "log":
            text = log[said["stream"]][max(0, said["offset"]):]
            ended = log["ended"] and not text
            comm.send({"id": said["id"], "log": text, "offset": max(0, said["offset"]) + len(text), "ended": ended, "run": "r1"})

get_ipython().kernel.comm_manager.register_target("hybrid" + "nb.cards", listen)  # a name that must not be read in the code
"""


def test_a_card_is_the_html_of_its_bundle_and_has_no_buttons_without_a_kernel_that_knows_it(notebook: Open) -> None:
    book = notebook(SAY, "show('done')")
    book.run(0, 1)
    expect(book.card(1).locator("b")).to_have_text("train")
    expect(book.card(1)).to_contain_text("train is done")
    book.run(0)
    expect(book.card(1).get_by_role("button")).to_have_count(0)


def test_buttons_appear_once_the_kernel_answers_and_are_those_it_names(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    expect(book.card(2)).to_contain_text("train is queued")
    expect(book.card(2).get_by_role("button")).to_have_text(["Run", "Log"])
    expect(book.card(2).get_by_role("group").first).to_have_attribute("aria-label", "Job train")


def test_a_click_is_said_to_the_kernel_and_its_news_are_seen_and_saved(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')", "tell('done', 'run')")
    book.run(0, 1, 2)
    book.button(2, "Run").click()
    expect(book.card(2)).to_contain_text("train is running")
    expect(book.button(2, "Cancel")).to_be_visible()
    expect(book.card(2)).to_contain_text("running for")
    book.save()
    assert not book.is_dirty()
    book.run(3)
    expect(book.card(2)).to_contain_text("train is done")
    assert book.is_dirty()
    (output,) = book.save()[2]["outputs"]
    assert "".join(output["data"]["text/html"]) == "<b>train</b> is done"
    assert output["data"][MIME]["state"] == "done"


def test_all_cards_of_a_notebook_speak_over_one_comm(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting'); show('waiting')", "len(comms), len({comm.comm_id for comm, _ in comms})")
    book.run(0, 1, 2)
    expect(book.card(2).get_by_role("button", name="Run")).to_have_count(2)
    book.run(3)
    expect(book.output(3)).to_have_text("(2, 1)")


def test_an_error_is_shown_in_the_card_as_text(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    book.button(2, "Run").click()
    book.button(2, "Cancel").click()
    expect(book.card(2).get_by_role("alert")).to_have_text("<i>lab3</i> does not answer")


def test_a_card_hears_while_a_cell_runs(notebook: Open) -> None:
    wait = "import time\nwhile not any(said['do'] == 'run' for said in heard): time.sleep(.01)"
    book = notebook(SAY, KNOW, f"show('waiting')\n{wait}")
    book.run(0, 1)
    book.begin(2)
    book.button(2, "Run").click()
    expect(book.card(2)).to_contain_text("train is running")


def test_after_a_restart_the_saved_card_stays_and_the_buttons_go(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    expect(book.button(2, "Run")).to_be_visible()
    book.restart()
    expect(book.card(2).get_by_role("button")).to_have_count(0)
    expect(book.card(2)).to_contain_text("train is queued")


def test_a_reopened_notebook_shows_its_saved_cards_and_makes_nothing_dirty(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    expect(book.button(2, "Run")).to_be_visible()
    book.save()
    book.restart()
    book.reload()
    expect(book.card(2)).to_contain_text("train is queued")
    expect(book.card(2).get_by_role("button")).to_have_count(0)
    assert not book.is_dirty()


def test_a_reloaded_page_finds_the_kernel_again_that_knew_its_cards(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    expect(book.button(2, "Run")).to_be_visible()
    book.save()
    book.reload()
    expect(book.button(2, "Run")).to_be_visible()


def test_all_cards_come_alive_again_when_one_is_drawn_anew(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')", "show('waiting')")
    book.run(0, 1, 2, 3)
    expect(book.button(2, "Run")).to_be_visible()
    book.restart()
    book.run(0, 1)
    expect(book.button(2, "Run")).to_be_hidden()
    book.run(3)
    expect(book.button(2, "Run")).to_be_visible()
    expect(book.button(3, "Run")).to_be_visible()


def test_old_cards_come_alive_when_a_cell_that_names_hybridnb_was_run(notebook: Open) -> None:
    book = notebook(SAY, KNOW + "# hybridnb", "show('waiting')")
    book.run(0, 2)
    expect(book.card(2)).to_contain_text("train is waiting")
    book.run(1)
    expect(book.button(2, "Run")).to_be_visible()


HOSTILE = (
    "<b>train</b><script>window.hurt = 1</script><img src='data:,x' onerror='window.hurt = 2'>"
    "<a href='javascript:window.hurt=3'>x</a><svg onload='window.hurt = 4'></svg>"
)


def test_what_is_hostile_in_a_card_is_not_run(notebook: Open, screen: Screen) -> None:
    book = notebook(SAY, KNOW, f"show('waiting', {HOSTILE!r})", f"tell('<img src=x onerror=hurt>', 'run', html={HOSTILE!r})")
    book.run(0, 2)
    expect(book.card(2).locator("b")).to_have_text("train")
    book.run(1, 2)
    expect(book.button(2, "Run")).to_be_visible()
    book.run(3)
    expect(book.card(2).get_by_role("status")).to_have_text("train: <img src=x onerror=hurt>")
    expect(book.card(2).locator("b")).to_have_text("train")
    assert book.card(2).locator("script, [onerror], [onload], [href^=javascript]").count() == 0
    assert screen.page.evaluate("window.hurt") is None


def test_a_broken_payload_is_a_plain_card(notebook: Open) -> None:
    book = notebook(SAY, KNOW, f"display({{'text/html': '<b>bare</b>', {MIME!r}: [1, None]}}, raw=True)")
    book.run(0, 1, 2)
    expect(book.card(2).locator("b")).to_have_text("bare")


def test_the_log_follows_what_is_written_and_ends_with_the_job(notebook: Open) -> None:
    book = notebook(
        SAY,
        KNOW + r"log.update(out='one\n<b>two</b>\n', err='\x1b[31mred\x1b[0m\n10%\r20%\n')",
        "show('waiting')",
        r"log['out'] += 'three\n'",
        "log['ended'] = True; n = len(heard)",
        "sum(said['do'] == 'log' for said in heard[n:])",
    )
    book.run(0, 1, 2)
    book.button(2, "Log").click()
    text = book.card(2).get_by_role("region")
    expect(text).to_have_text("one\n<b>two</b>\n")
    expect(book.button(2, "Log")).to_have_attribute("aria-expanded", "true")
    book.run(3)
    expect(text).to_have_text("one\n<b>two</b>\nthree\n")
    book.button(2, "err").click()
    expect(text).to_have_text("red\n20%\n")
    book.run(4)
    book.button(2, "Log").click()
    expect(text).to_be_hidden()


def test_a_card_is_used_by_keyboard_without_the_notebooks_shortcuts(notebook: Open, screen: Screen) -> None:
    book = notebook(SAY, KNOW, "show('waiting')")
    book.run(0, 1, 2)
    book.button(2, "Run").focus()
    screen.page.keyboard.press("Enter")
    expect(book.card(2)).to_contain_text("train is running")
    screen.page.wait_for_function("document.activeElement.classList.contains('hnb-Card-bar')")
    screen.page.keyboard.press("Tab")
    expect(book.button(2, "Cancel")).to_be_focused()
    screen.page.keyboard.press("Space")
    expect(book.card(2).get_by_role("alert")).to_contain_text("does not answer")


def test_a_card_that_goes_is_forgotten(notebook: Open) -> None:
    book = notebook(SAY, KNOW, "show('waiting')", "[said['do'] for said in heard]")
    book.run(0, 1, 2)
    expect(book.button(2, "Run")).to_be_visible()
    book.run(2)
    expect(book.button(2, "Run")).to_be_visible()

    def said() -> str:
        book.run(3)
        return book.output(3).inner_text()

    holds(lambda: "forget" in said(), "the first card is forgotten")
