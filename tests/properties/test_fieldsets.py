"""Field sets are sets: their operations against those of Python, over random paths."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from kruise_rollouts.sandbox.apply import fieldset
from kruise_rollouts.sandbox.apply.fieldset import FieldSet

elements = st.sampled_from(["f:a", "f:b", 'k:{"name":"a"}', 'v:"x"'])
Path = tuple[str, ...]
path_sets = st.sets(st.lists(elements, min_size=1, max_size=3).map(tuple), max_size=8)


def made(paths: set[Path]) -> FieldSet:
    out: FieldSet = {}
    for path in paths:
        out = fieldset.union(out, one(path))
    return out


def one(path: Path) -> FieldSet:
    node: FieldSet = {}
    for element in reversed(path):
        node = {element: node}
    return node


def paths_of(fields: FieldSet, prefix: Path = ()) -> set[Path]:
    out: set[Path] = set()
    for element, below in fields.items():
        if element == ".":
            continue
        here = (*prefix, element)
        if fieldset.is_member(below):
            out.add(here)
        found = paths_of(below, here)
        assert found or fieldset.is_member(below), "an element with nothing below must be a member"
        out |= found
    return out


@given(path_sets)
def test_a_set_holds_the_paths_it_was_made_of(paths: set[Path]) -> None:
    assert paths_of(made(paths)) == paths
    assert paths_of(fieldset.ordered(made(paths))) == paths


@given(path_sets, path_sets)
def test_union_difference_and_intersection_are_those_of_sets(a: set[Path], b: set[Path]) -> None:
    left, right = made(a), made(b)
    before = copy.deepcopy((left, right))
    assert paths_of(fieldset.union(left, right)) == a | b
    assert paths_of(fieldset.difference(left, right)) == a - b
    assert paths_of(fieldset.intersection(left, right)) == a & b
    assert (left, right) == before


@given(path_sets, path_sets)
def test_difference_below_also_drops_what_is_under_a_path(a: set[Path], b: set[Path]) -> None:
    kept = {p for p in a if not any(p[: len(q)] == q for q in b)}
    assert paths_of(fieldset.difference_below(made(a), made(b))) == kept


@given(path_sets, path_sets)
def test_nothing_to_do_gives_the_same_set_back(a: set[Path], b: set[Path]) -> None:
    left = made(a)
    assert fieldset.union(left, made(a & b)) is left
    assert paths_of(fieldset.difference(left, made(b - a))) == a


def test_paths_are_shown_as_messages_show_them() -> None:
    path = ("f:spec", "f:containers", 'k:{"name":"a","port":80}', "f:args", 'v:"x"')
    assert list(fieldset.paths(one(path))) == ['.spec.containers[name="a",port=80].args[="x"]']


def test_elements_are_ordered_fields_first_then_keys_then_values() -> None:
    unordered = {
        'v:"x"': {},
        'k:{"n":"b"}': {},
        "f:b": {},
        'k:{"n":"a"}': {},
        "f:a": {},
        ".": {},
        'k:{"n":2}': {},
    }
    assert list(fieldset.ordered(unordered)) == [
        ".", "f:a", "f:b", 'k:{"n":2}', 'k:{"n":"a"}', 'k:{"n":"b"}', 'v:"x"',
    ]  # fmt: skip
