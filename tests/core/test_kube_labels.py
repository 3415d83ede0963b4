"""Selectors, as objects hold them and as requests write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.api.apps import LabelSelector, SelectorRequirement
from kruise_rollouts.kube.labels import (
    Operator,
    Requirement,
    Selector,
    SelectorError,
    is_label_value,
    parse_fields,
    parse_selector,
    selector_of,
)

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    "text",
    ["", "app=web", "app==web", " app = web , tier", "app!=db", "absent!=x", "app in (web, db)", "app notin (db)",
     "absent notin (x)", "!absent", "empty=", "empty in ()", "example.com/x!=y", "app,tier,!absent"],
)  # fmt: skip
def test_selectors_that_match(text: str) -> None:
    assert parse_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    "text",
    ["app=db", "absent", "!app", "app!=web", "app in (db,cache)", "app notin (web)", "absent=", "absent in (x)",
     "app=web,tier=back"],
)  # fmt: skip
def test_selectors_that_do_not_match(text: str) -> None:
    assert not parse_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "=a",
        "a=b=c",
        "a b",
        "a in",
        "a in (b",
        "a in b)",
        "a of (b)",
        ",",
        "a,",
        "a=b,,c",
        "-a=b",
        "a=b/c",
        "!",
    ],
)
def test_selectors_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_selector(text)


def test_a_label_selector_of_an_object_is_all_its_requirements() -> None:
    selector = selector_of(
        LabelSelector({"app": "web"}, (SelectorRequirement("tier", "In", ("front", "back")), SelectorRequirement("x", "DoesNotExist")))
    )  # fmt: skip
    assert selector.matches(LABELS)
    assert not selector.matches({**LABELS, "x": "1"})
    assert str(selector) == "app=web,tier in (back,front),!x"


def test_an_empty_label_selector_selects_everything() -> None:
    assert selector_of(LabelSelector()).matches({})


def test_an_operator_there_is_not_is_refused() -> None:
    with pytest.raises(SelectorError, match="Like"):
        selector_of(LabelSelector({}, (SelectorRequirement("a", "Like", ("b",)),)))


keys = st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True)
values = st.from_regex(r"[a-z0-9]{0,3}", fullmatch=True)
requirements = st.one_of(
    st.builds(Requirement, keys, st.sampled_from((Operator.IN, Operator.NOT_IN)), st.lists(values, min_size=1, max_size=3, unique=True).map(tuple)),
    st.builds(Requirement, keys, st.sampled_from((Operator.EXISTS, Operator.ABSENT))),
)  # fmt: skip


@given(st.lists(requirements, max_size=4), st.dictionaries(keys, values, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_a_selector_writes_reads_back_as_the_same_choice(
    parts: list[Requirement], labels: dict[str, str]
) -> None:
    selector = Selector(tuple(parts))
    assert parse_selector(str(selector)).matches(labels) == selector.matches(labels)


def test_field_selectors_compare_for_equality_only() -> None:
    selector = parse_fields(r"metadata.name=web,status.phase!=Running,x=a\,b\=c")
    assert selector.matches({"metadata.name": "web", "status.phase": "Pending", "x": "a,b=c"})
    assert not selector.matches({"metadata.name": "web", "status.phase": "Running", "x": "a,b=c"})
    with pytest.raises(SelectorError):
        parse_fields("metadata.name in (a)")


@pytest.mark.parametrize("text", ["", "1", "night", "2026-01-01_b.7", "A" * 63])
def test_values_that_a_label_may_have(text: str) -> None:
    assert is_label_value(text)


@pytest.mark.parametrize(
    "text", ["release #5 / blue", "A" * 64, "-a", "a-", ".a", "a b", "a\n", "ä", "a/b", "٣", " "]
)
def test_values_that_a_label_cannot_have(text: str) -> None:
    assert not is_label_value(text)
