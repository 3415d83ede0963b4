"""The store: order, history, races."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.kube.errors import AlreadyExists, Conflict, Gone, NotFound
from kruise_rollouts.sandbox.store import Store


def an_object(name: str, ns: str = "", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": name, "namespace": ns} if ns else {"name": name},
        **more,
    }


def names(store: Store, ns: str = "") -> list[str]:
    return [o["metadata"]["name"] for o in store.list("", "things", ns)]


def test_objects_are_listed_in_the_order_of_their_keys() -> None:
    store = Store()
    for ns, name in (("b", "x"), ("a-b", "y"), ("a", "z"), ("a", "c")):
        store.create("", "things", an_object(name, ns))
    assert names(store) == ["y", "c", "z", "x"]  # a-b/y sorts before a/c: '-' comes before '/'


def test_a_namespace_lists_only_its_own() -> None:
    store = Store()
    for ns in ("a", "a-b", "ab"):
        store.create("", "things", an_object("x", ns))
    assert len(store.list("", "things", "a")) == 1


def test_a_stored_object_is_not_the_one_that_was_handed_in() -> None:
    store = Store()
    obj = an_object("x")
    entry = store.create("", "things", obj)
    assert "resourceVersion" not in obj["metadata"]
    assert entry.obj["metadata"]["resourceVersion"] == str(entry.rv)


def test_only_one_of_two_writers_of_the_same_version_wins() -> None:
    store = Store()
    first = store.create("", "things", an_object("x"))
    store.update("", "things", {**first.obj, "a": 1}, first)
    with pytest.raises(Conflict):
        store.update("", "things", {**first.obj, "a": 2}, first)
    assert store.get("", "things", "", "x")["a"] == 1  # type: ignore[index]


def test_a_name_is_taken_until_it_is_deleted() -> None:
    store = Store()
    entry = store.create("", "things", an_object("x"))
    with pytest.raises(AlreadyExists):
        store.create("", "things", an_object("x"))
    store.delete("", "things", entry)
    store.create("", "things", an_object("x"))


def test_what_is_gone_cannot_be_written() -> None:
    store = Store()
    entry = store.create("", "things", an_object("x"))
    store.delete("", "things", entry)
    with pytest.raises(NotFound):
        store.update("", "things", entry.obj, entry)


def test_a_subscriber_sees_old_and_new_at_once() -> None:
    store = Store()
    told: list[tuple[str, Any, Any]] = []
    end = store.subscribe(
        "", "things", lambda t, old, new: told.append((t, old and old.get("a"), new and new.get("a")))
    )
    entry = store.create("", "things", an_object("x", a=1))
    entry = store.update("", "things", {**entry.obj, "a": 2}, entry)
    store.delete("", "things", entry)
    end()
    store.create("", "things", an_object("y"))
    assert told == [("ADDED", None, 1), ("MODIFIED", 1, 2), ("DELETED", 2, 2)]


def test_history_is_forgotten_in_the_end_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kruise_rollouts.sandbox.store.HISTORY", 16)
    store = Store()
    entry = store.create("", "things", an_object("x"))
    born = entry.rv
    for _ in range(2 * 16):
        entry = store.update("", "things", entry.obj, entry)
    table = store.table("", "things")
    with pytest.raises(Gone):
        table.since(born)
    assert table.at(entry.rv - 1, "")[0].rv == entry.rv - 1


Move = st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete"]))


@settings(max_examples=40, deadline=None)
@given(st.lists(Move, max_size=25))
def test_every_past_state_can_be_listed(moves: list[tuple[str, str]]) -> None:
    store = Store()
    states: dict[int, dict[str, Any]] = {store.rv: {}}
    for name, move in moves:
        entry = store.entry("", "things", "", name)
        if move == "delete" and entry is not None:
            store.delete("", "things", entry)
        elif move == "put":
            obj = an_object(name, n=store.rv)
            if entry is None:
                store.create("", "things", obj)
            else:
                store.update("", "things", obj, entry)
        states[store.rv] = {o["metadata"]["name"]: o for o in store.list("", "things")}
    for rv, state in states.items():
        then = store.table("", "things").at(rv, "")
        assert {e.key: e.obj for e in then} == state
        assert [e.key for e in then] == sorted(state)
