"""Records of releases: when they begin, what they hold in the end, how many stay."""

from __future__ import annotations

from typing import Any

import msgspec

from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1alpha1 import RolloutHistory
from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.core.history import KEPT, LISTED, HistorySnapshot, decide_history, name_label
from kruise_rollouts.kube.effects import Create, Delete, Patch, Write
from kruise_rollouts.kube.labels import is_label_value

PLAN = {"strategy": {"canary": {"steps": [{"weight": 20}]}}}


def writes(
    phase: str,
    *histories: RolloutHistory,
    pods: tuple[Pod, ...] = (),
    deleting: bool = False,
    name: str = "web",
    rollout_id: str = "r1",
) -> tuple[Write, ...]:
    meta: dict[str, Any] = {"name": name, "namespace": "shop", "uid": "u"}
    if deleting:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    rollout = {
        "metadata": meta,
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "strategy": {"canary": {"steps": [{"replicas": 1}, {"replicas": "100%"}]}},
        },
        "status": {"phase": phase, "canaryStatus": {"observedRolloutID": rollout_id}},
    }
    seen = HistorySnapshot(msgspec.convert(rollout, Rollout), PLAN, {"replicas": 3}, histories, pods)
    assert decide_history(seen) == decide_history(seen)
    return decide_history(seen).writes


def a_history(rollout_id: str, phase: str = "", created: str = "2026-01-01T00:00:00Z") -> RolloutHistory:
    labels = {"rollouts.kruise.io/rollout-id": rollout_id, "rollouts.kruise.io/rollout-name": "web"}
    meta = {"name": f"web-{rollout_id}", "namespace": "shop", "labels": labels, "creationTimestamp": created}
    return msgspec.convert({"metadata": meta, "status": {"phase": phase}}, RolloutHistory)


def a_pod(name: str, batch: str, rollout_id: str = "r1") -> Pod:
    labels = {"rollouts.kruise.io/rollout-id": rollout_id, "rollouts.kruise.io/rollout-batch-id": batch}
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": "n"},
        "status": {"podIP": "10.0.0.1"},
    }
    return msgspec.convert(body, Pod)


def test_a_record_begins_with_the_release_and_belongs_to_the_rollout() -> None:
    (write,) = writes("Progressing")
    assert isinstance(write, Create) and write.ref.name.startswith("web-")
    assert write.body["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert write.body["spec"]["rollout"] == {"rolloutID": "r1", "name": "web", "data": PLAN}
    assert write.body["spec"]["workload"]["data"] == {"replicas": 3}


def test_a_name_that_no_label_has_room_for_is_shortened_and_stays_one_of_its_own() -> None:
    assert name_label("n" * 63) == "n" * 63
    long = [
        name_label("n" * 100),
        name_label("n" * 101),
        name_label("n" * 52 + "." * 40),
        name_label("n" * 253),
    ]
    assert all(is_label_value(label) and label.startswith("n" * 52) for label in long)
    assert len(set(long)) == 4 and long[0] == name_label("n" * 100)


def test_the_record_of_a_rollout_with_a_long_name_is_one_that_can_be_stored() -> None:
    name = "n" * 245 + ".web"
    (write,) = writes("Progressing", name=name)
    assert isinstance(write, Create)
    assert write.body["metadata"]["labels"]["rollouts.kruise.io/rollout-name"] == name_label(name)
    assert len(write.ref.name) <= 253 and ".-" not in write.ref.name
    assert write.body["spec"]["rollout"]["name"] == name


def test_an_id_that_no_label_can_have_is_not_tried_again_and_again() -> None:
    assert writes("Progressing", rollout_id="release #5 / blue") == ()


def test_a_release_has_one_record() -> None:
    assert writes("Progressing", a_history("r1")) == ()
    assert len(writes("Progressing", a_history("r0", "completed"))) == 1


def test_a_record_is_completed_with_the_pods_of_each_step() -> None:
    pods = (a_pod("a", "1"), a_pod("b", "2"), a_pod("c", "2"), a_pod("d", "1", "other"))
    spec, status = writes("Healthy", a_history("r1"), pods=pods)
    assert isinstance(spec, Patch) and isinstance(status, Patch) and status.subresource == "status"
    assert status.body["status"]["phase"] == "completed"
    found = [[p["name"] for p in s.get("pods", ())] for s in status.body["status"]["canarySteps"]]
    assert found == [["a"], ["b", "c"]]


def test_a_record_of_more_pods_than_an_object_has_room_for_lists_the_first_ones() -> None:
    """S47."""
    many = tuple(a_pod("p" * 58 + f"{nr:05}", str(1 + nr % 2)) for nr in range(10_000))
    _, told = writes("Healthy", a_history("r1"), pods=many)
    assert isinstance(told, Patch)
    assert len(msgspec.json.encode(told.body)) < 1_200_000
    assert sum(len(step.get("pods", ())) for step in told.body["status"]["canarySteps"]) == LISTED


def test_a_release_that_was_rolled_back_is_completed_too() -> None:
    assert len(writes("Healthy", a_history("abandoned"))) == 2


def test_the_newest_records_stay() -> None:
    old = [a_history(f"r{n}", "completed", f"2026-01-{n:02}T00:00:00Z") for n in range(1, KEPT + 3)]
    gone = writes("Healthy", *old)
    assert [w.ref.name for w in gone if isinstance(w, Delete)] == ["web-r2", "web-r1"]


def test_nothing_is_recorded_of_a_rollout_that_goes() -> None:
    assert writes("Progressing", deleting=True) == () and writes("Disabled") == ()
