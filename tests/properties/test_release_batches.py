"""BatchReleases that people make themselves, without a Rollout."""

from __future__ import annotations

from typing import Any

import pytest
from release_stage import RELEASE_REF, Stage

from kruise_rollouts.api.hashes import release_plan_hash
from kruise_rollouts.api.rollouts_v1beta1 import ReleaseBatch, ReleasePlan
from kruise_rollouts.kube.effects import JsonObject


def a_plan(*sizes: int | str, partition: int | None = 0, **more: Any) -> JsonObject:
    plan: JsonObject = {
        "batches": [{"canaryReplicas": s} for s in sizes],
        "rollingStyle": "Partition",
        **more,
    }
    return plan if partition is None else {**plan, "batchPartition": partition}


def a_batch_release(plan: JsonObject, replicas: int = 10, kind: str = "Deployment", **how: Any) -> Stage:
    """Version 2 is applied and paused by its author, as a release without admission asks for."""
    stage = Stage(replicas, [], **how)
    stage._edit_deployment({"spec": {"paused": True}})
    stage.set_image(2)
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": "web"}
    stage.act(lambda: stage.create(RELEASE_REF, {"spec": {"workloadRef": ref, "releasePlan": plan}}))
    stage.finish()
    return stage


def status(stage: Stage) -> JsonObject:
    found: JsonObject = stage.objects[RELEASE_REF]["status"]
    return found


def at(stage: Stage) -> tuple[Any, ...]:
    batch = status(stage)["canaryStatus"]
    return (status(stage)["phase"], batch["currentBatch"], batch.get("batchState"))


def new_pods(stage: Stage) -> int:
    new = stage.native.new()
    return 0 if new is None else int(new["spec"]["replicas"])


def replan(stage: Stage, change: JsonObject) -> None:
    stage.act(lambda: stage.patch(RELEASE_REF, {"spec": {"releasePlan": change}}))
    stage.finish()


def test_it_stops_at_its_partition_and_says_what_it_sees() -> None:
    stage = a_batch_release(a_plan("20%", "50%", "100%", rolloutID="r1"))
    assert at(stage) == ("Progressing", 0, "Ready") and new_pods(stage) == 2
    seen = status(stage)
    assert seen["canaryStatus"]["updatedReplicas"] == seen["canaryStatus"]["updatedReadyReplicas"] == 2
    assert (seen["observedRolloutID"], seen["observedWorkloadReplicas"]) == ("r1", 10)
    sizes = tuple(ReleaseBatch(s) for s in ("20%", "50%", "100%"))
    plan = ReleasePlan(batches=sizes, batch_partition=0, rollout_id="r1", rolling_style="Partition")
    assert seen["observedReleasePlanHash"] == release_plan_hash(plan)
    assert seen["canaryStatus"]["batchReadyTime"]
    assert {p["rollouts.kruise.io/rollout-batch-id"] for p in stage.labels.values()} == {"1"}


def test_a_raised_partition_goes_straight_to_its_batch() -> None:
    stage = a_batch_release(a_plan(1, 3, 5))
    replan(stage, {"batchPartition": 2})
    assert at(stage) == ("Progressing", 2, "Ready") and new_pods(stage) == 5


def test_a_lowered_partition_takes_no_pod_back() -> None:
    stage = a_batch_release(a_plan(1, 3, 5, partition=2))
    replan(stage, {"batchPartition": 0})
    assert at(stage) == ("Progressing", 0, "Ready") and new_pods(stage) == 5


def test_without_a_partition_it_finishes_and_gives_the_workload_back() -> None:
    stage = a_batch_release(a_plan(1, 3))
    replan(stage, {"batchPartition": None})
    assert at(stage)[0] == "Completed" and new_pods(stage) == 10
    assert not stage.native.deployment["metadata"]["annotations"]
    replan(stage, {"batchPartition": 0})
    assert at(stage)[0] == "Completed", "it is over for good"


def test_a_new_rollout_id_begins_with_the_first_batch_again() -> None:
    stage = a_batch_release(a_plan(1, 3, partition=1, rolloutID="r1"))
    replan(stage, {"rolloutID": "r2"})
    assert at(stage) == ("Progressing", 1, "Ready")
    assert {p["rollouts.kruise.io/rollout-id"] for p in stage.labels.values()} == {"r2"}


def test_a_scaled_workload_gets_its_batch_in_proportion() -> None:
    stage = a_batch_release(a_plan("20%", "100%"))
    stage.scale(20)
    stage.finish()
    assert at(stage) == ("Progressing", 0, "Ready") and new_pods(stage) == 4
    assert status(stage)["observedWorkloadReplicas"] == 20


def test_a_shorter_plan_begins_again_where_it_can() -> None:
    stage = a_batch_release(a_plan(1, 3, 5, partition=2))
    replan(stage, {"batches": [{"canaryReplicas": 1}]})
    assert at(stage) == ("Progressing", 0, "Ready")


def test_a_new_template_starts_the_batches_again() -> None:
    stage = a_batch_release(a_plan(2, 5, partition=1))
    stage.set_image(3)
    stage.finish()
    assert at(stage) == ("Progressing", 1, "Ready") and new_pods(stage) == 5
    assert any("begin again" in n.message for n in stage.notes)


def test_a_deleted_one_lets_go_and_leaves_the_workload_as_it_is() -> None:
    stage = a_batch_release(a_plan(2, 5))
    stage.act(lambda: stage.delete(RELEASE_REF))
    stage.finish()
    assert RELEASE_REF not in stage.objects and new_pods(stage) == 2
    assert (
        "batchrelease.rollouts.kruise.io/control-info"
        not in stage.native.deployment["metadata"]["annotations"]
    )


def test_failures_within_the_threshold_do_not_stop_a_batch() -> None:
    stage = a_batch_release(a_plan(4, failureThreshold="25%"), unavailable=4, surge=0)
    for pod in stage.native.pods_of(stage.native.new()["metadata"]["name"])[:1]:  # type: ignore[index]
        pod.ready_since = None
    stage.ready_seconds[2] = None
    stage.act(lambda: None)
    stage.settle()
    assert at(stage) == ("Progressing", 0, "Ready")


def test_it_waits_for_a_workload_that_comes_later() -> None:
    stage = Stage(3, [])
    stage.deployment_gone = True
    stage.world.deployments.remove("demo", "web")
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    stage.act(lambda: stage.create(RELEASE_REF, {"spec": {"workloadRef": ref, "releasePlan": a_plan("50%")}}))
    stage.finish()
    assert at(stage)[0] == "Preparing" and "there is no Deployment web" in status(stage)["message"]
    stage.deployment_gone = False
    stage.world.deployments.put(stage.native.seen_deployment())
    stage.finish()
    assert at(stage)[0] == "Progressing" and status(stage).get("message", "") == ""


def test_a_workload_that_goes_ends_it() -> None:
    stage = a_batch_release(a_plan(2, 5))
    stage.deployment_gone = True
    stage.act(lambda: None)
    stage.finish()
    assert at(stage)[0] == "Completed"


@pytest.mark.parametrize(
    ("plan", "kind", "reason"),
    [
        (a_plan("50%"), "Job", "UnsupportedWorkload"),
        ({**a_plan("50%"), "rollingStyle": "BlueGreen"}, "Deployment", "UnsupportedStrategy"),
        ({**a_plan("50%"), "rollingStyle": "Weird"}, "Deployment", "InvalidPlan"),
        (a_plan("x"), "Deployment", "InvalidPlan"),
        (a_plan(-3), "Deployment", "InvalidPlan"),
        (a_plan("50%", rolloutID="release #5"), "Deployment", "InvalidPlan"),
        (a_plan(), "Deployment", "InvalidPlan"),
    ],
)
def test_what_it_cannot_do_it_says_once_and_mends_by_itself(plan: JsonObject, kind: str, reason: str) -> None:
    stage = a_batch_release(plan, kind=kind)
    stalled = [c for c in status(stage)["conditions"] if c["type"] == "Stalled"]
    assert stalled[0]["reason"] == reason and new_pods(stage) == 0
    assert len([n for n in stage.notes if n.reason == reason]) == 1
    mended = {"workloadRef": {"kind": "Deployment"}, "releasePlan": a_plan("50%", rolloutID="r1")}
    stage.act(lambda: stage.patch(RELEASE_REF, {"spec": mended}))
    stage.finish()
    assert at(stage) == ("Progressing", 0, "Ready") and new_pods(stage) == 5
