"""Who owns which field after which write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, Conflict, InternalError
from kruise_rollouts.sandbox.apply.apply import LAST_APPLIED, server_side_apply, track
from kruise_rollouts.sandbox.schemas import schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def node_of(kind: str) -> schema.Node:
    node = schema.schema_of("apps" if kind == "Deployment" else "", "v1", kind)
    assert node is not None
    return node


def config_map(data: dict[str, str] | None = None, **meta: Any) -> JsonObject:
    out: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", **meta}}
    return out if data is None else {**out, "data": data}


def apply(
    live: JsonObject | None,
    applied: JsonObject,
    manager: str = "one",
    *,
    force: bool = False,
    at: datetime = NOW,
) -> JsonObject:
    node = node_of(applied["kind"])
    stored = server_side_apply(live, applied, manager, force, node, applied["apiVersion"], "", at)
    return {**stored, "metadata": {"uid": "u", **stored["metadata"]}}


def write(
    live: JsonObject | None, new: JsonObject, manager: str = "one", *, sub: str = "", at: datetime = NOW
) -> JsonObject:
    stored = track(live, new, manager, "Update", node_of(new["kind"]), new["apiVersion"], sub, at)
    return {**stored, "metadata": {"uid": "u", **stored["metadata"]}}


def owned(obj: JsonObject) -> dict[str, JsonObject]:
    """fieldsV1 by "manager operation"."""
    return {
        f"{e['manager']} {e['operation']}": e["fieldsV1"] for e in obj["metadata"].get("managedFields", ())
    }


def test_applying_creates_the_object_and_owns_its_fields() -> None:
    got = apply(None, config_map({"a": "1"}, labels={"l": "x"}))
    assert got["data"] == {"a": "1"}
    assert got["metadata"]["managedFields"] == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:l": {}}}},
        }
    ]


def test_a_field_that_is_applied_no_more_goes_unless_somebody_else_owns_it() -> None:
    live = apply(None, config_map({"a": "1", "b": "1"}), "one")
    live = apply(live, config_map({"b": "1"}), "two")
    got = apply(live, config_map({}), "one")
    assert got["data"] == {"b": "1"}
    assert owned(got)["two Apply"] == {"f:data": {"f:b": {}}}


def test_a_field_of_somebody_else_is_a_conflict_and_force_takes_it() -> None:
    live = write(None, config_map({"a": "1"}), "writer")
    with pytest.raises(Conflict) as refused:
        apply(live, config_map({"a": "2"}), "one")
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "writer" using v1: .data.a'
    assert refused.value.details is not None
    assert refused.value.details.causes == (
        Cause("FieldManagerConflict", 'conflict with "writer" using v1', ".data.a"),
    )
    got = apply(live, config_map({"a": "2"}), "one", force=True)
    assert got["data"] == {"a": "2"}
    assert owned(got) == {"one Apply": {"f:data": {"f:a": {}}}, "writer Update": {"f:data": {}}}


def test_several_conflicts_are_listed_by_manager() -> None:
    live = apply(None, config_map({"a": "1"}), "first")
    live = apply(live, config_map({"b": "1", "c": "1"}), "second")
    with pytest.raises(Conflict) as refused:
        apply(live, config_map({"a": "2", "b": "2", "c": "2"}), "third")
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "first":\n- .data.a\n'
        'conflicts with "second":\n- .data.b\n- .data.c'
    )


def test_list_elements_are_owned_by_their_keys_and_missing_keys_have_defaults() -> None:
    spec: JsonObject = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    got = owned(apply(None, deployment))["one Apply"]["f:spec"]
    assert got == {
        "f:selector": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"c"}': {
                        ".": {},
                        "f:name": {},
                        "f:ports": {
                            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
                        },
                    }
                }
            }
        },
    }


def test_an_object_that_nobody_owns_is_owned_by_its_past_when_it_is_first_applied() -> None:
    live = config_map({"a": "1", "b": "1"}, uid="u")
    got = apply(live, config_map({"c": "1"}))
    assert owned(got)["before-first-apply Update"] == {"f:data": {".": {}, "f:a": {}, "f:b": {}}}
    with pytest.raises(Conflict, match="before-first-apply"):
        apply(live, config_map({"a": "2"}))


def test_kubectl_takes_over_what_it_applied_from_the_clients_side() -> None:
    last = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1"}}\n'
    live = write(None, config_map({"a": "1"}, annotations={LAST_APPLIED: last}), "kubectl-client-side-apply")
    with pytest.raises(Conflict):
        apply(live, config_map({"a": "2"}), "somebody")
    got = apply(live, config_map({"a": "2"}), "kubectl")
    assert got["data"] == {"a": "2"}
    assert '"data":{"a":"2"}' in got["metadata"]["annotations"][LAST_APPLIED]


def test_a_configuration_that_does_not_follow_the_schema_is_refused() -> None:
    with pytest.raises(InternalError) as refused:
        apply(None, {**config_map(), "foo": 1})
    assert refused.value.message == (
        "failed to create typed patch object (/m; /v1, Kind=ConfigMap): .foo: field not declared in schema"
    )
    with pytest.raises(InternalError, match=r"expected string, got &value.valueUnstructured{Value:1}"):
        apply(None, config_map({"a": 1}))  # type: ignore[dict-item]
    with pytest.raises(InternalError, match=r'duplicate entries for key \[="x/y"\]'):
        apply(None, config_map(finalizers=["x/y", "x/y"]))


def test_managed_fields_cannot_be_applied() -> None:
    with pytest.raises(BadRequest, match=r"metadata.managedFields must be nil"):
        apply(None, config_map(managedFields=[]))


def test_applying_the_same_again_changes_nothing_at_all() -> None:
    live = apply(None, config_map({"a": "1"}))
    assert apply(live, config_map({"a": "1"}), at=LATER) == live


def test_a_write_owns_what_it_changed_and_takes_it_from_others() -> None:
    live = write(None, config_map({"a": "1", "b": "1"}), "one")
    got = write(live, {**live, "data": {"a": "2", "b": "1"}}, "two", at=LATER)
    assert owned(got) == {
        "one Update": {"f:data": {".": {}, "f:b": {}}},
        "two Update": {"f:data": {"f:a": {}}},
    }
    assert [e["time"] for e in got["metadata"]["managedFields"]] == [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:00Z",
    ]


def test_what_is_removed_is_owned_by_nobody() -> None:
    live = write(None, config_map({"a": "1", "b": "1"}), "one")
    got = write(live, {**live, "data": {"b": "1"}}, "two")
    assert owned(got) == {"one Update": {"f:data": {".": {}, "f:b": {}}}}


def test_a_write_that_changes_nothing_leaves_managed_fields_alone() -> None:
    live = write(None, config_map({"a": "1"}), "one")
    got = write(live, {**live, "metadata": {**live["metadata"], "resourceVersion": "9"}}, "two", at=LATER)
    assert got["metadata"]["managedFields"] is live["metadata"]["managedFields"]


def test_managed_fields_left_out_of_a_request_are_kept() -> None:
    live = write(None, config_map({"a": "1"}), "one")
    assert owned(write(live, config_map({"a": "1"}, uid="u"), "two")) == owned(live)


@pytest.mark.parametrize("reset", [[], [{}]])
def test_an_empty_list_forgets_all_owners(reset: list[JsonObject]) -> None:
    live = write(None, config_map({"a": "1"}), "one")
    got = write(live, config_map({"a": "2"}, uid="u", managedFields=reset), "two")
    assert "managedFields" not in got["metadata"]


def test_status_and_spec_are_owned_through_their_own_doors() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}}
    live = write(None, {**pod, "status": {"phase": "Pending"}}, "one")
    assert owned(live) == {"one Update": {"f:spec": {"f:nodeName": {}}}}
    got = write(live, {**live, "status": {"phase": "Running"}}, "kubelet", sub="status")
    assert owned(got)["kubelet Update"] == {"f:status": {"f:phase": {}}}
    kubelet = next(e for e in got["metadata"]["managedFields"] if e["manager"] == "kubelet")
    assert kubelet["subresource"] == "status"


def test_the_eleventh_writer_makes_the_oldest_ones_ancient() -> None:
    live = write(None, config_map({}), "none")
    for i in range(12):
        new = {**live, "data": {**live.get("data", {}), f"k{i}": "v"}}
        live = write(live, new, f"m{i:02}", at=NOW + timedelta(seconds=i))
    updaters = [e["manager"] for e in live["metadata"]["managedFields"]]
    assert len(updaters) == 10
    assert "ancient-changes" in updaters
    assert {f"f:k{i}" for i in range(3)} <= set(owned(live)["ancient-changes Update"]["f:data"])
