"""JSON patch and merge patch against an independent implementation, over random documents."""

from __future__ import annotations

import copy

import jsonpatch
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kruise_rollouts.kube import patch
from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Invalid, TooLarge

keys = st.sampled_from(["a", "b", "c", "a/b", "m~n", "0", ""])
scalars = st.one_of(
    st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, -1.5]), st.sampled_from(["", "x", "1"])
)


def documents(leaf: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


anything = documents(scalars | st.none())
objects = st.one_of(
    st.dictionaries(keys, anything, max_size=4),
    # Lists at a known place, so that two documents differ within them and pointers hit them.
    st.fixed_dictionaries({"a": st.lists(anything, max_size=5)}, optional={"b": anything}),
)
without_nulls = st.dictionaries(keys, documents(scalars), max_size=4)


def text(doc: Json) -> bytes:
    return msgspec.json.encode(doc, order="deterministic")


@settings(max_examples=50)
@given(objects, objects)
def test_a_json_diff_makes_the_new_document_of_the_old_one(old: JsonObject, new: JsonObject) -> None:
    before = copy.deepcopy(old)
    ops = patch.json_diff(old, new)
    assert text(patch.json_patch(old, ops)) == text(new)
    assert text(jsonpatch.JsonPatch(ops).apply(copy.deepcopy(old))) == text(new)
    assert text(old) == text(before)


@settings(max_examples=50)
@given(without_nulls, without_nulls)
def test_a_merge_diff_makes_the_new_document_of_the_old_one(old: JsonObject, new: JsonObject) -> None:
    before = copy.deepcopy(old)
    assert text(patch.merge_patch(old, patch.merge_diff(old, new))) == text(new)
    assert text(old) == text(before)


@settings(max_examples=50)
@given(objects, objects)
def test_a_merge_patch_follows_the_rfc_except_for_nulls_in_lists(doc: JsonObject, change: JsonObject) -> None:
    got = patch.merge_patch(doc, change)
    assert text(patch.without_nulls(got)) == text(patch.without_nulls(rfc_7386(doc, change)))
    assert text(patch.merge_patch(got, patch.merge_diff(got, got))) == text(got)


def rfc_7386(target: Json, change: Json) -> Json:
    """The pseudo code of the RFC, section 2."""
    if not isinstance(change, dict):
        return change
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = rfc_7386(out.get(name), value)
    return out


pointers = st.lists(keys | st.sampled_from(["0", "1", "2", "-"]), min_size=1, max_size=3).map(
    lambda ts: "".join("/" + t.replace("~", "~0").replace("/", "~1") for t in ts)
) | st.sampled_from(["/a/0", "/a/1", "/a/2", "/a/-", "/a/0/0"])
operations = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "test"]), "path": pointers, "value": anything}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": pointers}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "path": pointers, "from": pointers}),
)


@settings(max_examples=250)
@given(objects, st.lists(operations, min_size=1, max_size=3))
def test_operations_do_what_another_implementation_does(doc: JsonObject, ops: list[JsonObject]) -> None:
    before = copy.deepcopy(doc)
    try:
        expected = jsonpatch.JsonPatch(copy.deepcopy(ops)).apply(copy.deepcopy(doc))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
        return  # API servers accept a little more than the RFC
    try:
        got = patch.json_patch(doc, ops)
    except Invalid:
        assert any(op["op"] in ("test", "move") for op in ops)  # 1 == 1.0 for the other; a move into itself
        return
    assert text(got) == text(expected)
    assert text(doc) == text(before)


def test_numbers_and_booleans_are_told_apart() -> None:
    assert patch.merge_diff({"a": 1, "b": 1.0, "c": 0}, {"a": True, "b": 1, "c": False}) == {
        "a": True, "b": 1, "c": False,
    }  # fmt: skip
    assert len(patch.json_diff([1, [0]], [True, [False]])) == 2


def test_what_does_not_change_is_shared() -> None:
    doc = {"a": {"x": [1]}, "b": {"y": {"z": 1}}}
    assert patch.merge_patch(doc, {"b": {"q": 2}})["a"] is doc["a"]
    assert patch.merge_patch(doc, {"b": {"nope": None}}) is doc
    assert patch.json_patch(doc, [{"op": "add", "path": "/b/q", "value": 2}])["b"]["y"] is doc["b"]["y"]


def test_replace_sets_a_member_that_is_absent_as_api_servers_do() -> None:
    assert patch.json_patch({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}]) == {"a": 1, "b": 2}


def test_a_patch_that_does_not_apply_is_refused_without_a_reason() -> None:
    for op in (
        {"op": "remove", "path": "/b"},
        {"op": "test", "path": "/a", "value": True},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/l/2", "value": 1},
        {"op": "frobnicate", "path": "/a"},
        {"op": "add", "path": "", "value": 1},
    ):
        with pytest.raises(Invalid) as refused:
            patch.json_patch({"a": 1, "l": [1]}, [op])
        assert refused.value.message == "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ({"a": 1}, "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (
            [{"op": 1, "path": "/a"}],
            "cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ],
)
def test_what_is_not_a_patch_is_a_bad_request(ops: Json, message: str) -> None:
    with pytest.raises(BadRequest, match=r"^error decoding patch: json: ") as refused:
        patch.json_patch({}, ops)
    assert refused.value.message.endswith(message)


def test_a_patch_has_at_most_ten_thousand_operations() -> None:
    with pytest.raises(TooLarge, match="is 10000, got 10001"):
        patch.json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 10001)


def test_an_absent_member_is_copied_as_null_as_api_servers_do() -> None:
    assert patch.json_patch({"a": 1}, [{"op": "copy", "from": "/b", "path": "/c"}]) == {"a": 1, "c": None}
