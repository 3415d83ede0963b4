"""The CRDs: complete, described, and with the published limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kruise_rollouts.api import rollouts_v1alpha1, rollouts_v1beta1
from kruise_rollouts.api.schema import crds, kind_schema
from kruise_rollouts.api.schema_fields import FIELDS

Obj = dict[str, Any]
CLIENT = {"url": "https://127.0.0.1:9876/convert", "caBundle": "Q0E="}
CRDS = {c["spec"]["names"]["kind"]: c for c in crds(CLIENT)}


def schema(kind: str, version: str) -> Obj:
    found = next(v for v in CRDS[kind]["spec"]["versions"] if v["name"] == version)
    made: Obj = found["schema"]["openAPIV3Schema"]
    return made


def at(node: Obj, path: str) -> Obj:
    """The node at a dotted path; "[]" steps into the items of a list."""
    for name in path.split("."):
        node = node["properties"][name.removesuffix("[]")]
        if name.endswith("[]"):
            node = node["items"]
    return node


def nodes(node: Obj, path: str = "") -> Iterator[tuple[str, Obj]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


ALL = [(k, v["name"]) for k, c in CRDS.items() for v in c["spec"]["versions"]]


@pytest.mark.parametrize(("kind", "version"), ALL)
def test_every_field_is_described(kind: str, version: str) -> None:
    bare = {".apiVersion", ".kind", ".metadata"}
    assert [p for p, n in nodes(schema(kind, version)) if "description" not in n and p not in bare] == []


@pytest.mark.parametrize(("kind", "version"), ALL)
def test_a_list_map_has_its_keys_required_or_defaulted(kind: str, version: str) -> None:
    for path, node in nodes(schema(kind, version)):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


def test_no_description_belongs_to_a_field_that_does_not_exist() -> None:
    statuses = {
        "canaryRevision",
        "canaryReplicas",
        "canaryReadyReplicas",
    }  # of the Structs derived from StepStatus
    for struct, fields in FIELDS.items():
        known = {f.encode_name for f in msgspec.structs.fields(struct)}
        if struct is rollouts_v1beta1.StepStatus:
            known |= statuses
        assert set(fields) - {""} <= known, struct


def test_versions_are_served_and_the_newest_is_stored() -> None:
    stored = {k: [v["name"] for v in c["spec"]["versions"] if v["storage"]] for k, c in CRDS.items()}
    assert stored == {
        "Rollout": ["v1beta1"],
        "BatchRelease": ["v1beta1"],
        "RolloutHistory": ["v1alpha1"],
        "TrafficRouting": ["v1alpha1"],
    }
    assert {k for k, c in CRDS.items() if "conversion" in c["spec"]} == {"Rollout", "BatchRelease"}


@pytest.mark.parametrize(
    ("kind", "version", "path", "required"),
    [
        ("Rollout", "v1beta1", "spec", ["strategy", "workloadRef"]),
        ("Rollout", "v1beta1", "spec.workloadRef", ["apiVersion", "kind", "name"]),
        ("Rollout", "v1beta1", "status", ["currentStepIndex", "currentStepState"]),
        (
            "Rollout",
            "v1beta1",
            "status.canaryStatus",
            ["canaryReadyReplicas", "canaryReplicas", "canaryRevision", "currentStepState", "finalisingStep",
             "nextStepIndex", "podTemplateHash"],
        ),
        (
            "Rollout",
            "v1beta1",
            "status.blueGreenStatus",
            ["currentStepState", "finalisingStep", "nextStepIndex", "podTemplateHash", "updatedReadyReplicas",
             "updatedReplicas", "updatedRevision"],
        ),
        ("Rollout", "v1beta1", "status.conditions[]", ["message", "reason", "status", "type"]),
        ("Rollout", "v1beta1", "spec.strategy.canary.trafficRoutings[]", ["service"]),
        ("Rollout", "v1beta1", "spec.strategy.canary.trafficRoutings[].ingress", ["name"]),
        ("Rollout", "v1alpha1", "spec", ["objectRef", "strategy"]),
        ("BatchRelease", "v1beta1", "spec", ["releasePlan"]),
        ("BatchRelease", "v1beta1", "spec.releasePlan", ["enableExtraWorkloadForCanary"]),
        ("BatchRelease", "v1beta1", "spec.releasePlan.batches[]", ["canaryReplicas"]),
        ("BatchRelease", "v1beta1", "status.canaryStatus", ["currentBatch"]),
        ("BatchRelease", "v1alpha1", "spec", ["releasePlan", "targetReference"]),
        ("RolloutHistory", "v1alpha1", "spec.rollout", ["name", "rolloutID"]),
        ("RolloutHistory", "v1alpha1", "spec.workload", ["name"]),
        ("TrafficRouting", "v1alpha1", "spec", ["objectRef", "strategy"]),
    ],
)  # fmt: skip
def test_the_required_fields_are_the_published_ones(
    kind: str, version: str, path: str, required: list[str]
) -> None:
    assert at(schema(kind, version), path)["required"] == required


def test_v1alpha1_requires_no_more_than_it_did() -> None:
    assert "required" not in at(schema("Rollout", "v1alpha1"), "status")
    assert "required" not in at(schema("Rollout", "v1alpha1"), "spec.objectRef")
    assert "maxItems" not in at(schema("Rollout", "v1alpha1"), "spec.strategy.canary.steps")
    assert "maxItems" not in at(schema("Rollout", "v1alpha1"), "spec.strategy.canary.steps[].matches")
    headers = at(schema("Rollout", "v1alpha1"), "spec.strategy.canary.steps[].matches[].headers")
    assert headers["maxItems"] == 16 and "x-kubernetes-list-type" not in headers


def test_limits_of_v1beta1_are_the_published_ones() -> None:
    whole = schema("Rollout", "v1beta1")
    for strategy in ("canary", "blueGreen"):
        steps = at(whole, f"spec.strategy.{strategy}.steps")
        assert steps["maxItems"] == 50
        assert at(steps["items"], "matches")["maxItems"] == 16
        match = at(steps["items"], "matches[]")
        for name, limit in (("headers", 4096), ("queryParams", 1024)):
            values = at(match, name)
            assert (values["maxItems"], values["x-kubernetes-list-map-keys"]) == (16, ["name"])
            assert values["items"]["properties"]["value"]["maxLength"] == limit
            assert values["items"]["properties"]["type"]["default"] == "Exact"
        assert len(at(match, "path")["x-kubernetes-validations"]) == 11
        assert at(steps["items"], "replicas")["x-kubernetes-int-or-string"] is True
    assert at(whole, "spec.strategy.canary.trafficRoutings[].gracePeriodSeconds")["default"] == 3
    assert at(whole, "spec.disabled")["default"] is False


def test_the_kind_column_of_a_batch_release_points_at_a_field_that_exists() -> None:
    for version in CRDS["BatchRelease"]["spec"]["versions"]:
        path = next(c["jsonPath"] for c in version["additionalPrinterColumns"] if c["name"] == "KIND")
        at(version["schema"]["openAPIV3Schema"], path.removeprefix("."))


def test_a_status_field_of_v1beta1_exists_in_v1alpha1_too() -> None:
    for old, new in (
        (rollouts_v1alpha1.Rollout, rollouts_v1beta1.Rollout),
        (rollouts_v1alpha1.BatchRelease, rollouts_v1beta1.BatchRelease),
    ):
        have = {p for p, _ in nodes(at(kind_schema(old), "status"))}
        assert {p for p, _ in nodes(at(kind_schema(new), "status"))} == have
