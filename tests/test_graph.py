"""Questions about a DAG: order, cycles, what is below."""

from __future__ import annotations

from itertools import pairwise

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridnb import graph

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@st.composite
def dags(draw: st.DrawFn) -> dict[str, list[str]]:
    """Draw a DAG whose mapping is in any order."""
    names = [f"n{i}" for i in range(draw(st.integers(0, 8)))]
    parents = {name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, name in enumerate(names)}
    return {name: parents[name] for name in draw(st.permutations(names))}


def test_children_turn_the_edges_around() -> None:
    assert graph.children(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}


@given(dags())
def test_in_order_parents_come_first_and_nothing_is_lost(parents: dict[str, list[str]]) -> None:
    found = graph.order(parents)
    assert sorted(found) == sorted(parents)
    assert all(found.index(parent) < found.index(name) for name, above in parents.items() for parent in above)


@given(dags())
def test_what_is_in_order_stays_as_it_is(parents: dict[str, list[str]]) -> None:
    ordered = {name: parents[name] for name in graph.order(parents)}
    assert graph.order(ordered) == list(ordered)


def test_a_name_waits_no_longer_than_for_its_parents() -> None:
    assert graph.order({"a": ["z"], "b": [], "z": [], "c": []}) == ["b", "z", "a", "c"]


def test_an_edge_given_twice_counts_as_one() -> None:
    assert graph.order({"b": ["a", "a"], "a": []}) == ["a", "b"]


def test_a_cycle_is_told_in_the_direction_of_the_arrows() -> None:
    parents = {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"]}
    path = graph.cycle(parents)
    assert path is not None
    assert path[0] == path[-1]
    assert len(path) == 4
    assert all(parent in parents[child] for parent, child in pairwise(path))


def test_a_dag_has_no_cycle() -> None:
    assert graph.cycle(DIAMOND) is None


def test_a_cycle_cannot_be_put_in_order() -> None:
    with pytest.raises(ValueError, match=r"cycle: (a -> b -> a|b -> a -> b)"):
        graph.order({"a": ["b"], "b": ["a"], "c": []})


@pytest.mark.parametrize(("parent", "child", "closes"), [("d", "a", True), ("a", "a", True), ("a", "d", False), ("b", "c", False)])
def test_an_edge_that_would_close_a_cycle_is_known_before_it_is_drawn(parent: str, child: str, closes: bool) -> None:
    assert (graph.would_close(DIAMOND, parent, child) is not None) == closes
    assert DIAMOND == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@given(dags())
def test_descendants_are_those_of_networkx(parents: dict[str, list[str]]) -> None:
    whole = graph.digraph(parents)
    for name in parents:
        assert graph.descendants(parents, [name]) == networkx.descendants(whole, name)


def test_a_name_is_among_the_descendants_only_when_it_is_below_another() -> None:
    assert graph.descendants(DIAMOND, ["a", "b"]) == {"b", "c", "d"}
    assert graph.descendants(DIAMOND, []) == set()


def test_the_graph_for_networkx_points_from_parent_to_child() -> None:
    assert list(graph.digraph(DIAMOND).edges) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def test_a_chain_of_many_is_no_deep_recursion() -> None:
    chain = {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(20_000)}
    assert graph.order(chain) == list(chain)
    assert len(graph.descendants(chain, ["n0"])) == 19_999
    path = graph.would_close(chain, "n19999", "n0")
    assert path is not None
    assert len(path) == 20_001


def test_ancestors_are_all_above_but_not_the_names_themselves() -> None:
    parents = {"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "e": []}
    assert graph.ancestors(parents, ["c", "d"]) == {"a", "b"}
    assert graph.ancestors(parents, ["c", "b"]) == {"a", "b"}
    assert graph.ancestors(parents, ["a", "e"]) == set()
