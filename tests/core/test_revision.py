"""When two pod templates are the same, and what the ReplicaSets of a Deployment are to a release."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest

from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.core import revision
from kruise_rollouts.core.revision import revisions_of

T = TypeVar("T")


def read(obj: Any, of: type[T]) -> T:
    """`obj` as it is when it comes over the wire: a pod template stays text."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=of)


def same_template(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return revision.same_template(read(one, msgspec.Raw), read(other, msgspec.Raw))


def template_hash(template: dict[str, Any]) -> str:
    return revision.template_hash(read(template, msgspec.Raw))


def template(**container: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", **container}]}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (template(env=[]), template()),
        (template(image=None), template()),
        (template(resources={"limits": {"cpu": "1000m"}}), template(resources={"limits": {"cpu": 1}})),
        (
            template(resources={"limits": {"memory": "1Gi"}}),
            template(resources={"limits": {"memory": "1024Mi"}}),
        ),
        (template(resources={"requests": {"cpu": "1e3"}}), template(resources={"requests": {"cpu": "1k"}})),
        (template(resources={"requests": {}}), template()),
    ],
)
def test_spelling_does_not_make_a_revision(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same_template(one, other)
    assert template_hash(one) == template_hash(other)


@pytest.mark.parametrize(
    "other",
    [
        template(image="web:2"),
        template(env=[{"name": "A"}]),
        template(resources={"limits": {"cpu": "1001m"}}),
        template(args=["1Gi"]),
        template(command=[""]),
    ],
)
def test_anything_that_changes_the_pods_makes_a_revision(other: dict[str, Any]) -> None:
    assert not same_template(template(resources={"limits": {"cpu": 1}}, args=["1024Mi"]), other)
    assert template_hash(template()) != template_hash(other)


def test_the_controllers_own_label_does_not_count_even_if_a_person_wrote_one() -> None:
    stray = template()
    stray["metadata"]["labels"]["pod-template-hash"] = "abcdefg"
    assert same_template(stray, template()) and template_hash(stray) == template_hash(template())
    bare = {"metadata": {"labels": {"pod-template-hash": "abc"}}, "spec": {}}
    assert same_template(bare, {"spec": {}})


def test_a_hash_is_the_same_after_every_restart() -> None:
    assert template_hash(template(image="web:1")) == "58dfd8dfd6"


def deployment(version: int, **labels: str) -> Deployment:
    spec = {"template": template(image=f"web:{version}"), "replicas": 5}
    return read({"metadata": {"name": "web", "uid": "d-1", "labels": labels}, "spec": spec}, Deployment)


def replica_set(version: int, pods: int, number: int, *, owner: str = "d-1", **meta: Any) -> ReplicaSet:
    made = template(image=f"web:{version}")
    made["metadata"]["labels"]["pod-template-hash"] = f"h{version}"
    metadata = {
        "name": f"web-h{version}-{number}",
        "uid": f"rs-{number}",
        "labels": {"pod-template-hash": f"h{version}"},
        "annotations": {"deployment.kubernetes.io/revision": str(number)},
        "creationTimestamp": f"2026-01-01T00:00:0{number}Z",
        "ownerReferences": [{"uid": owner, "controller": True}],
        **meta,
    }
    return read({"metadata": metadata, "spec": {"replicas": pods, "template": made}}, ReplicaSet)


def test_the_oldest_revision_with_pods_is_the_stable_one() -> None:
    sets = (replica_set(3, 1, 3), replica_set(1, 3, 1), replica_set(2, 1, 2), replica_set(0, 0, 0))
    found = revisions_of(deployment(3), sets)
    assert found.new is sets[0] and found.stable is sets[1]
    assert found.superseded == (sets[3], sets[2]) and found.first_to_go is sets[2]
    assert (found.new_pods, found.old_pods) == (1, 4)


def test_the_revision_that_admission_named_is_the_stable_one() -> None:
    sets = (replica_set(1, 3, 1), replica_set(2, 2, 2))
    named = deployment(3, **{"rollouts.kruise.io/stable-revision": "h2"})
    assert revisions_of(named, sets).stable is sets[1]
    gone = deployment(3, **{"rollouts.kruise.io/stable-revision": "h9"})
    assert revisions_of(gone, sets).stable is sets[0]


def test_replica_sets_of_others_and_those_being_deleted_do_not_count() -> None:
    foreign = replica_set(1, 3, 1, owner="d-2")
    going = replica_set(2, 3, 2, deletionTimestamp="2026-01-01T00:00:00Z")
    orphan = replica_set(3, 3, 3, ownerReferences=[])
    found = revisions_of(deployment(3), (foreign, going, orphan))
    assert found.new is None and found.stable is None and found.superseded == ()


def test_of_two_equal_replica_sets_the_older_is_the_new_one() -> None:
    sets = (replica_set(2, 1, 5), replica_set(2, 1, 4))
    assert revisions_of(deployment(2), sets).new is sets[1]
