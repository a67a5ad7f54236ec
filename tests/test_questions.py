"""Questions wait for a person, and never longer than they should."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from hybridnb.errors import NotFound, Refused, Unreachable
from hybridnb.hosts.ssh.asking import Asking
from hybridnb.hosts.questions import Questions
from testbed.processes import until


def beside(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  it belongs to the test
            results.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread, results


def test_an_answer_goes_to_its_question() -> None:
    questions = Questions()
    asked = [beside(lambda n=n: questions.ask(f"host{n}", "Code:")) for n in range(3)]  # type: ignore[misc]
    until(lambda: len(questions.open()) == 3, "the questions")
    for question in questions.open():
        questions.answer(question.id, f"for {question.host}")
    for n, (thread, results) in enumerate(asked):
        thread.join(30)
        assert results == [f"for host{n}"]
    assert not questions.open()


def test_a_question_shows_what_a_face_needs() -> None:
    questions = Questions()
    thread, _ = beside(lambda: questions.ask("h", "Trust it?", hidden=False, choices=("yes", "no")))
    until(lambda: bool(questions.open()), "the question")
    (question,) = questions.open()
    assert (question.host, question.text, question.hidden, question.choices) == ("h", "Trust it?", False, ("yes", "no"))
    questions.answer(question.id, "yes")
    thread.join(30)


def test_faces_are_told_of_each_question_and_of_its_end() -> None:
    questions, seen = Questions(), []
    questions.changed = lambda: seen.append([question.text for question in questions.open()])
    with pytest.raises(Refused):
        questions.ask("h", "Code:", timeout=0.01)
    assert seen == [["Code:"], []]


def test_a_question_that_nobody_answers_is_refused_and_gone() -> None:
    questions = Questions()
    with pytest.raises(Refused, match=r"host 'h': nobody answered its question 'Code:'.*hosts check h"):
        questions.ask("h", "Code: ", timeout=0.01)
    assert not questions.open()


def test_an_answer_may_be_withheld() -> None:
    questions = Questions()
    thread, results = beside(lambda: questions.ask("h", "Code:"))
    until(lambda: bool(questions.open()), "the question")
    questions.answer(questions.open()[0].id, None)
    thread.join(30)
    assert isinstance(results[0], Refused)


def test_a_second_answer_and_one_to_another_process_are_told_so() -> None:
    questions, others = Questions(), Questions()
    thread, _ = beside(lambda: questions.ask("h", "Code:"))
    until(lambda: bool(questions.open()), "the question")
    number = questions.open()[0].id
    with pytest.raises(NotFound):
        others.answer(number, "x")
    questions.answer(number, "x")
    thread.join(30)
    with pytest.raises(NotFound):
        questions.answer(number, "y")


def test_an_answer_shows_nowhere() -> None:
    questions, shown = Questions(), []
    questions.changed = lambda: shown.append(repr(questions))
    thread, _ = beside(lambda: questions.ask("h", "Code:"))
    until(lambda: bool(questions.open()), "the question")
    questions.answer(questions.open()[0].id, "hunter2")
    thread.join(30)
    assert "hunter2" not in "".join(shown) + repr(questions)


def test_a_link_that_is_given_up_takes_back_its_own_questions_alone() -> None:
    questions = Questions()
    asking, other = Asking("mine", questions), Asking("other", questions)
    thread, results = beside(lambda: asking.ask("Code:"))
    _, others = beside(lambda: other.ask("Code:"))
    until(lambda: len(questions.open()) == 2, "the questions")
    asking.give_up()
    thread.join(30)
    assert isinstance(results[0], Unreachable)
    assert [question.host for question in questions.open()] == ["other"]
    questions.answer(questions.open()[0].id, "x")
    until(lambda: others == ["x"], "the other answer")


def test_a_link_that_is_given_up_asks_nothing_until_it_is_wanted_again() -> None:
    questions = Questions()
    asking = Asking("h", questions)

    def answer() -> None:
        for question in questions.open():
            questions.answer(question.id, "x")

    questions.changed = answer
    asking.give_up()
    with pytest.raises(Unreachable):
        asking.ask("Code:")
    asking.begin()
    assert asking.ask("Code:") == "x"
