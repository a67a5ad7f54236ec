"""The canvas in JupyterLab, used with the mouse: what the kernel hears of it, and what is painted. The kernel's side is a plain widget."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from hybridnb.drawing.look import STYLES
from ui.board import WIDGET, WIDTH, Seen
from ui.lab import Lab, Notebook, Screen, holds

Open = Callable[..., Notebook]

CHAIN = """
nodes = [("prepare", 0, 60), ("train", 260, 0, 0, 1), ("test", 260, 120), ("report", 520, 60)]
edges = [("prepare", "train"), ("prepare", "test", 1), ("train", "report"), ("test", "report", 2)]
w = Board(nodes, edges); w"""
HEARD = "print(json.dumps(w.heard))"
CODES = {state: code for code, state in enumerate(STYLES, 1)}
DISC = (-WIDTH / 2 + 19, 0)  # the centre of the symbol in a job's box, from the job's centre
RIM = 7.5  # above it, where the disc has its own colour


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def near(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(one, other))


def show(notebook: Open, cell: str = CHAIN, *more: str) -> Seen:
    """Open a notebook with the widget, this cell, one that prints what was heard (cell 2), and more; run the first two."""
    book = notebook(WIDGET, cell, HEARD, *more)
    book.run(0, 1)
    return Seen(book)


def test_jobs_and_edges_are_there_by_name_and_edges_tell_their_kind(notebook: Open) -> None:
    seen = show(notebook)
    assert seen.ask("return cy.nodes().map(node => node.id())") == ["prepare", "train", "test", "report"]
    kinds = seen.ask(
        "return Object.fromEntries(cy.edges().map(edge => [edge.id(), [edge.data('kind'), edge.style('line-style')]]))"
    )
    assert kinds["prepare\ntrain"] == ["ok", "solid"]
    assert kinds["prepare\ntest"] == ["any", "dashed"]
    assert kinds["test\nreport"] == ["failed", "dashed"]
    dashes = "return ['prepare\\ntest', 'test\\nreport'].map(id => cy.getElementById(id).style('line-dash-pattern'))"
    assert len({str(pattern) for pattern in seen.ask(dashes)}) == 2


def test_an_edge_drawn_with_the_mouse_is_told_to_the_kernel_and_stays(notebook: Open) -> None:
    seen = show(notebook)
    seen.drag_edge("prepare", "report")
    seen.hears(2, [{"do": "connect", "source": "prepare", "target": "report", "kind": "ok"}])
    assert seen.ask("return cy.edges().map(edge => edge.id())").count("prepare\nreport") == 1
    assert seen.ask("return cy.elements('.eh-ghost, .eh-preview').length") == 0


def test_from_the_job_that_an_edge_was_dropped_on_the_next_can_be_drawn_at_once(notebook: Open) -> None:
    seen = show(notebook, "w = Board([('a', 0, 0), ('b', 260, 0), ('c', 520, 0)], []); w")
    seen.drag_edge("a", "b")
    seen.mouse.move(*seen.spot("b", WIDTH / 2 - 3), steps=3)
    seen.handle.wait_for()
    seen.mouse.down()
    seen.mouse.move(*seen.spot("c", 0, 12), steps=4)
    seen.mouse.move(*seen.spot("c"), steps=2)
    seen.mouse.up()
    seen.hears(2, lambda heard: [(said["source"], said["target"]) for said in heard] == [("a", "b"), ("b", "c")])


def test_a_job_that_the_pointer_left_in_one_leap_offers_its_handle_again(notebook: Open) -> None:
    seen = show(notebook)
    seen.mouse.move(*seen.spot("train"), steps=3)
    seen.handle.wait_for()
    seen.mouse.move(5, 5)
    seen.handle.wait_for(state="hidden")
    assert seen.ask("return cy.elements('.hover').length") == 0
    seen.mouse.move(*seen.spot("train"))
    seen.handle.wait_for()


def test_an_edge_that_the_kernel_refuses_goes_again(notebook: Open) -> None:
    seen = show(notebook, CHAIN + "\nw.refuse = 'the file is read-only'; w")
    seen.drag_edge("prepare", "report")
    seen.hears(2, lambda heard: len(heard) == 1)
    holds(lambda: seen.ask("return cy.getElementById('prepare\\nreport').empty()"), "the edge goes")


def test_a_cycle_is_refused_while_dragging_in_words_and_the_kernel_hears_nothing(notebook: Open) -> None:
    seen = show(notebook)
    seen.drag_edge("report", "prepare", drop=False)
    expect(seen.words).to_have_text("this would close a cycle: report → prepare → train → report")
    assert seen.ask("return cy.elements('.eh-preview').length") == 0
    seen.mouse.up()
    assert seen.heard(2) == []
    assert seen.ask("return cy.edges().length") == 4


def test_what_is_joined_already_is_refused_in_words_and_what_is_not_shows_a_preview(notebook: Open) -> None:
    seen = show(notebook)
    seen.drag_edge("prepare", "test", drop=False)
    expect(seen.words).to_have_text("test waits for prepare already")
    seen.mouse.move(*seen.spot("report"), steps=4)
    expect(seen.words).to_be_hidden()
    assert seen.ask("return cy.edges('.eh-preview').map(edge => edge.data('target'))") == ["report"]
    seen.page.keyboard.press("Escape")
    seen.mouse.up()
    assert seen.heard(2) == []


def test_each_state_is_painted_in_its_colour_with_a_symbol(notebook: Open) -> None:
    row = "nodes = [(f'job{i}', 220 * (i % 3), 70 * (i // 3)) for i in range(11)]; w = Board(nodes, []); w"
    seen = show(notebook, row, "w.states = bytes(range(11))")
    seen.book.run(3)
    holds(lambda: near(seen.colour("job6", DISC[0], -RIM), rgb(STYLES["done"].strong)), "done is painted")
    for state, code in CODES.items():
        disc = seen.colour(f"job{code}", DISC[0], -RIM)
        assert near(disc, rgb(STYLES[state].strong)) is (state not in ("waiting", "skipped")), state
    assert near(seen.colour("job6", 60, 19), rgb(STYLES["done"].tint))
    middle = [seen.colour("job7", DISC[0] + across / 2, down / 2) for across in range(-2, 3) for down in range(-2, 3)]
    assert max(map(sum, middle)) > 650  # the cross of failed is white


def test_progress_is_a_ring_that_fills(notebook: Open) -> None:
    seen = show(notebook, CHAIN, "w.states = bytes([160, 0, 0, 0])")
    strong = rgb(STYLES["running"].strong)
    seen.book.run(3)
    holds(lambda: near(seen.colour("prepare", DISC[0] + 12), strong), "the ring is painted at a quarter")
    assert not near(seen.colour("prepare", DISC[0] - 12), strong)  # and at three quarters not yet


def test_edges_into_running_jobs_are_emphasised(notebook: Open) -> None:
    seen = show(notebook, CHAIN, "w.states = bytes([6, 4, 6, 1])", "w.states = bytes([6, 6, 6, 130])")
    live = "return cy.edges('.live').map(edge => edge.data('target'))"
    seen.book.run(3)
    holds(lambda: seen.ask(live) == ["train"], "the edge into the running job stands out")
    seen.book.run(4)
    holds(lambda: seen.ask(live) == ["report", "report"], "then those into the next")


@pytest.fixture
def light_again(screen: Screen) -> Iterator[None]:
    yield
    screen.theme("JupyterLab Light")


@pytest.mark.usefixtures("light_again")
def test_the_canvas_follows_the_theme(notebook: Open, screen: Screen) -> None:
    seen = show(notebook, CHAIN, "w.states = bytes([6, 6, 6, 6])")
    seen.book.run(3)
    holds(lambda: near(seen.colour("prepare", 60, 19), rgb(STYLES["done"].tint)), "the box is light")
    screen.theme("JupyterLab Dark")
    holds(lambda: near(seen.colour("prepare", 60, 19), rgb(STYLES["done"].dark)), "the box is dark")


def test_a_long_edge_goes_around_what_stands_in_between_until_one_of_its_ends_is_moved(notebook: Open) -> None:
    seen = show(
        notebook,
        """
nodes = [("a", 0, 0), ("b", 260, 0), ("c", 520, 0)]
w = Board(nodes, [("a", "b"), ("b", "c"), ("a", "c", 0, 166, 70, 354, 70)]); w""",
        "w.show([*nodes[:2], ('c', 520, 40)], [('a', 'b'), ('b', 'c'), ('a', 'c', 0, 166, -70, 354, -70)])",
    )
    middle = "return cy.getElementById('a\\nc').midpoint().y"
    assert seen.ask(middle) == pytest.approx(70, abs=1)
    seen.book.run(3)
    holds(lambda: seen.ask(middle) == pytest.approx(-70, abs=1), "it goes the other way around")
    seen.mouse.move(*seen.spot("c"))
    seen.mouse.down()
    seen.mouse.move(*seen.spot("c", 0, 60), steps=4)
    seen.mouse.up()
    holds(lambda: 0 < seen.ask(middle) < 60, "it runs straight")


def test_everything_is_in_view_until_a_person_looks_elsewhere(notebook: Open) -> None:
    further = "nodes.append(('job%d' % len(nodes), 400 * len(nodes), 300 * len(nodes))); w.show(nodes, edges)"
    seen = show(notebook, CHAIN, further)
    there = "const box = cy.extent(); return cy.nodes().length === argument && cy.nodes().every(n => n.position('x') < box.x2 && n.position('y') < box.y2)"
    seen.book.run(3)
    holds(lambda: seen.ask(there, 5), "the new job is in view")
    seen.ask("stage.parentElement.style.width = '500px'")
    holds(lambda: seen.ask(f"if (cy.width() > 500) return false; {there}", 5), "all are in view in a narrower canvas")
    seen.stage.scroll_into_view_if_needed()
    seen.mouse.click(*seen.spot("prepare", 0, 60))
    holds(lambda: not seen.ask("return cy.renderer().scrollingPage"), "the notebook stands still")
    zoom = seen.ask("return cy.zoom()")
    seen.mouse.wheel(0, -300)
    holds(lambda: seen.ask("return cy.zoom()") > zoom, "the wheel zooms")
    before = seen.ask("return [cy.zoom(), cy.pan()]")
    seen.book.run(3)
    holds(lambda: seen.ask("return cy.nodes().length === 6"), "another job is there")
    assert seen.ask("return [cy.zoom(), cy.pan()]") == before


def test_a_name_of_one_letter_is_drawn(notebook: Open) -> None:
    seen = show(notebook, "w = Board([('a', 0, 0)], []); w")
    spy = """
        window.drawn = []; const was = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...more) { window.drawn.push(text); return was.call(this, text, ...more); };
        cy.emit('render');
        CanvasRenderingContext2D.prototype.fillText = was;
        return window.drawn;"""
    assert "a" in seen.ask(spy)


def test_a_tall_graph_gets_a_taller_canvas(notebook: Open) -> None:
    seen = show(notebook, "w = Board([(f'job{i}', 0, 64 * i) for i in range(12)], []); w")
    holds(lambda: 600 < seen.ask("return stage.parentElement.offsetHeight") < 700, "the canvas has grown, to a limit")


def test_a_new_graph_changes_only_what_differs(notebook: Open) -> None:
    change = 'w.show([*nodes[:2], ("report", 520, 60), ("extra", 780, 60)], [("prepare", "train"), ("train", "report"), ("report", "extra")])'
    seen = show(notebook, CHAIN, change)
    seen.ask("cy.getElementById('train').select().scratch('mark', 1); cy.zoom(0.7); cy.pan({x: 33, y: 44});")
    seen.book.run(3)
    names = "return cy.nodes().map(node => node.id()).sort()"
    holds(lambda: seen.ask(names) == ["extra", "prepare", "report", "train"], "the new graph is shown")
    assert seen.ask("return cy.edges().map(edge => edge.id()).sort()") == ["prepare\ntrain", "report\nextra", "train\nreport"]
    assert seen.ask("return [cy.zoom(), cy.pan(), cy.$(':selected').map(one => one.id())]") == [0.7, {"x": 33, "y": 44}, ["train"]]
    assert seen.ask("return cy.getElementById('train').scratch('mark')") == 1


def test_jobs_that_are_dragged_together_are_told_in_one_message_and_do_not_jump(notebook: Open) -> None:
    kept = "places = w.heard[-1]['places']; w.show([(n, *places.get(n, (x, y))) for n, x, y, *_ in w.nodes], edges)"
    seen = show(notebook, CHAIN, kept)
    seen.ask("cy.$('#train, #test').select()")
    x, y = seen.spot("train", 40, 8)
    seen.mouse.move(x, y)
    seen.mouse.down()
    seen.mouse.move(x + 30, y + 20, steps=4)
    seen.mouse.up()
    seen.hears(2, lambda heard: len(heard) == 1 and set(heard[0]["places"]) == {"train", "test"})
    placed = seen.ask("return cy.getElementById('train').position()")
    assert placed["x"] > 270
    seen.book.run(3)
    assert seen.ask("return cy.getElementById('train').position()") == pytest.approx(placed, abs=1)


def test_a_move_that_the_kernel_refuses_is_taken_back(notebook: Open) -> None:
    seen = show(notebook, CHAIN + "\nw.refuse = 'the file is read-only'; w")
    x, y = seen.spot("train", 40, 8)
    seen.mouse.move(x, y)
    seen.mouse.down()
    seen.mouse.move(x + 30, y + 20, steps=4)
    seen.mouse.up()
    holds(lambda: seen.ask("return cy.getElementById('train').position()") == {"x": 260, "y": 0}, "the job is back")


def test_a_box_drawn_with_shift_selects_the_jobs_inside(notebook: Open) -> None:
    seen = show(notebook)
    x, y = seen.spot("train", -120, -50)
    seen.page.keyboard.down("Shift")
    seen.mouse.move(x, y)
    seen.mouse.down()
    seen.mouse.move(*seen.spot("test", 120, 50), steps=5)
    seen.mouse.up()
    seen.page.keyboard.up("Shift")
    holds(lambda: seen.ask("return cy.nodes(':selected').map(one => one.id())") == ["train", "test"], "both are selected")


def test_a_right_click_does_not_open_the_menu_of_jupyterlab(notebook: Open) -> None:
    seen = show(notebook)
    seen.mouse.click(*seen.spot("train"), button="right")
    holds(lambda: seen.ask("return cy.$(':selected').map(one => one.id())") == ["train"], "the job is selected")
    expect(seen.page.locator(".lm-Menu")).to_have_count(0)


def test_the_pointer_meets_its_job_after_what_is_above_has_grown(notebook: Open) -> None:
    seen = show(notebook)
    seen.mouse.click(*seen.spot("train"))
    seen.ask("stage.closest('.jp-Cell').previousElementSibling.style.minHeight = `${stage.getBoundingClientRect().height}px`")
    seen.mouse.click(*seen.spot("test"))
    holds(lambda: seen.ask("return cy.$(':selected').map(one => one.id())") == ["test"], "the job is selected")


def test_the_wheel_scrolls_the_notebook_until_the_canvas_is_used(notebook: Open) -> None:
    seen = show(notebook)
    seen.mouse.move(*seen.spot("train", 0, 60))
    before = seen.ask("return cy.zoom()")
    seen.mouse.wheel(0, 40)
    assert seen.ask("return cy.zoom()") == before
    seen.stage.scroll_into_view_if_needed()
    seen.mouse.click(*seen.spot("train", 0, 60))
    holds(lambda: not seen.ask("return cy.renderer().scrollingPage"), "the notebook stands still")
    seen.mouse.wheel(0, -100)
    holds(lambda: seen.ask("return cy.zoom()") > before, "the wheel zooms")


def test_states_of_a_large_workflow_cost_cytoscape_no_drawing(notebook: Open) -> None:
    many = """
nodes = [(f"job{i}", 200 * (i // 40), 31 * (i % 40)) for i in range(1000)]
edges = [(f"job{i - 40}", f"job{i}") for i in range(40, 1000)]
w = Board(nodes, edges); w"""
    seen = show(notebook, many, "w.states = bytes([6] * 1000)", "w.states = bytes([7] * 1000)")
    assert seen.ask("return cy.edges()[0].style('curve-style')") == "haystack"
    seen.book.run(3)
    holds(lambda: near(seen.colour("job500"), rgb(STYLES["done"].strong)), "all jobs are painted as done")
    seen.ask("window.drawn = 0; cy.on('render', () => window.drawn++);")
    holds(lambda: at_rest(seen), "cytoscape has drawn all that it had to")
    seen.ask("window.drawn = 0")
    seen.book.run(4)
    holds(lambda: near(seen.colour("job500"), rgb(STYLES["failed"].strong)), "all jobs are painted as failed")
    assert drawn(seen) == 0


def drawn(seen: Seen) -> int:
    return int(seen.ask("return window.drawn"))


def at_rest(seen: Seen) -> bool:
    before = drawn(seen)
    seen.page.wait_for_timeout(200)
    return drawn(seen) == before


def test_boxes_of_hosts_hold_their_jobs_and_a_stack_tells_its_size(notebook: Open) -> None:
    hosts = (
        'w = Board([("host:lab3", 0, 0, 2, 1, 0, -1, "lab3"), ("a", 0, 0, 0, 1, 1, 0), ("b", 0, 70, 1, 1, 24, 0)], [("a", "b")]); w'
    )
    flat = 'w.show([("a", 0, 0, 0, 1), ("b", 0, 70, 1, 1, 24)], [("a", "b")])'
    seen = show(notebook, hosts, flat)
    assert seen.ask("return cy.getElementById('host:lab3').children().map(one => one.id())") == ["a", "b"]
    seen.book.run(3)
    holds(
        lambda: seen.ask("return cy.nodes().map(one => [one.id(), one.isChild()])") == [["a", False], ["b", False]],
        "the box is gone",
    )
    assert seen.ask("return cy.edges().length") == 1


def test_after_a_restart_the_picture_stays_and_after_a_reload_the_canvas_is_back(notebook: Open, lab: Lab) -> None:
    book = notebook("%load_ext hybridnb", "%%job local train\ntrue", "%workflow")
    book.run(0, 1, 2)
    assert Seen(book).ask("return cy.nodes().map(node => node.id())") == ["train"]
    (output,) = book.save()[2]["outputs"]
    assert "application/vnd.jupyter.widget-view+json" not in output["data"]
    book.reload()
    assert Seen(book).ask("return cy.nodes().length") == 1
    book.restart()
    expect(book.card(2).locator(".hnb-Canvas")).to_have_count(0)
    expect(book.card(2).locator("img")).to_be_visible()
    expect(book.output(2)).not_to_contain_text("model not found")
    book.reload()
    expect(book.card(2).locator("img")).to_be_visible()
    expect(book.output(2)).not_to_contain_text("model not found")
