"""Strategic merge patches of built-in kinds."""

from __future__ import annotations

import copy

import pytest

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, InternalError, Invalid
from kruise_rollouts.sandbox.apply.strategic import strategic_merge
from kruise_rollouts.sandbox.schemas import schema


def merge(live: JsonObject, patch: JsonObject, kind: str = "Pod") -> JsonObject:
    node = schema.schema_of("apps" if kind == "Deployment" else "", "v1", kind)
    assert node is not None
    before = copy.deepcopy((live, patch))
    out = strategic_merge(live, patch, node)
    assert (live, patch) == before
    return out


def containers(*names: str, **more: Json) -> JsonObject:
    return {"spec": {"containers": [{"name": n, "image": n + ":1", **more} for n in names]}}


def test_containers_are_merged_by_name_in_the_order_of_the_live_list() -> None:
    got = merge(containers("a", "b", "c"), {"spec": {"containers": [{"name": "b", "image": "b:2"}]}})
    assert [c["image"] for c in got["spec"]["containers"]] == ["a:1", "b:2", "c:1"]


def test_an_unknown_name_adds_a_container_and_what_did_not_change_is_shared() -> None:
    live = containers("a")
    got = merge(live, {"spec": {"containers": [{"name": "b", "image": "b:2"}]}})
    assert [c["name"] for c in got["spec"]["containers"]] == ["b", "a"]
    assert got["spec"]["containers"][1] is live["spec"]["containers"][0]


def test_the_element_order_of_the_patch_rules() -> None:
    patch = {
        "spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}
    }
    got = merge(containers("a", "b", "c"), patch)
    assert [c["name"] for c in got["spec"]["containers"]] == ["b", "c", "a"]


def test_elements_are_deleted_by_directive() -> None:
    got = merge(containers("a", "b"), {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}})
    assert [c["name"] for c in got["spec"]["containers"]] == ["b"]


def test_a_list_is_replaced_by_directive() -> None:
    got = merge(containers("a", "b"), {"spec": {"containers": [{"name": "z"}, {"$patch": "replace"}]}})
    assert got["spec"]["containers"] == [{"name": "z"}]


def test_objects_are_replaced_or_emptied_by_directive() -> None:
    live = {"metadata": {"labels": {"a": "1"}, "annotations": {"b": "2"}}}
    got = merge(
        live, {"metadata": {"labels": {"$patch": "replace", "c": "3"}, "annotations": {"$patch": "delete"}}}
    )
    assert got == {"metadata": {"labels": {"c": "3"}, "annotations": {}}}


def test_a_union_keeps_only_the_retained_keys() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    got = merge(live, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, "Deployment")
    assert got["spec"]["strategy"] == {"type": "Recreate"}


def test_finalizers_are_a_set_and_are_deleted_one_by_one() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    assert merge(live, {"metadata": {"finalizers": ["c", "a"]}})["metadata"]["finalizers"] == ["c", "a", "b"]
    got = merge(live, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    assert got["metadata"]["finalizers"] == ["b"]


def test_a_list_without_merge_strategy_is_replaced() -> None:
    got = merge(containers("a", args=["x", "y"]), {"spec": {"containers": [{"name": "a", "args": ["z"]}]}})
    assert got["spec"]["containers"][0]["args"] == ["z"]


@pytest.mark.parametrize(
    ("patch", "error", "message"),
    [
        (
            {"spec": {"containers": [{"image": "x"}]}},
            InternalError,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        ({"spec": {"$patch": "frob"}}, InternalError, "unknown patch type: frob in map: map[$patch:frob]"),
        ({"spec": {"$retainKeys": 1}}, BadRequest, "invalid patch format of retainKeys"),
        (
            {"spec": {"$setElementOrder/nope": [{"name": "a"}]}},
            InternalError,
            'unable to find api field in struct PodSpec for the json field "nope"',
        ),
        (
            {"spec": {"containers": [["a"]]}},
            Invalid,
            "the server rejected our request due to an error in our request",
        ),
    ],
)
def test_a_bad_patch_is_refused_in_the_servers_words(
    patch: JsonObject, error: type[ApiError], message: str
) -> None:
    with pytest.raises(error) as refused:
        merge(containers("a"), patch)
    assert refused.value.message == message
