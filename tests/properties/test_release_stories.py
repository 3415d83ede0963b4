"""Stories of releases, told on the stage: what people do, and what they then see."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from native_model import template
from release_stage import RELEASE_REF, ROLLOUT_REF, Stage, a_rollout, a_step
from test_releases import given_back

from kruise_rollouts.api.rollouts_v1beta1 import Rollout
from kruise_rollouts.core.snapshot import Gates
from kruise_rollouts.kube.effects import JsonObject, Patch, Write

THREE_STEPS = [a_step("20%"), a_step("50%"), a_step("100%")]


def a_healthy(replicas: int = 10, steps: list[Any] = THREE_STEPS, **how: Any) -> Stage:
    stage = Stage(replicas, steps, **how)
    stage.finish()
    assert stage.status["phase"] == "Healthy"
    return stage


def a_release(replicas: int = 10, steps: list[Any] = THREE_STEPS, **how: Any) -> Stage:
    """At its first stop, with version 2."""
    stage = a_healthy(replicas, steps, **how)
    stage.set_image(2)
    stage.finish()
    return stage


def where(stage: Stage) -> tuple[Any, ...]:
    return (stage.status["phase"], stage.sub.get("currentStepIndex", 0), stage.sub.get("currentStepState"))


def condition(stage: Stage, type_: str) -> JsonObject:
    return next((c for c in stage.status.get("conditions") or () if c["type"] == type_), {})


def pods(stage: Stage) -> dict[str, int]:
    """Wanted pods by version."""
    found: dict[str, int] = {}
    for replica_set in stage.native.replica_sets.values():
        image = replica_set["spec"]["template"]["spec"]["containers"][0]["image"]
        if replica_set["spec"]["replicas"]:
            found["v" + image.rpartition(":")[2]] = replica_set["spec"]["replicas"]
    return found


def told(stage: Stage, text: str) -> bool:
    return any(text in note.message for note in stage.notes)


# --- the way through ---------------------------------------------------------------------------------------------------


def test_a_release_stops_at_each_step_until_it_is_approved() -> None:
    stage = a_release()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 8, "v2": 2}
    message = "Rollout is in step(1/3), and you need manually confirm to enter the next step"
    assert stage.status["message"] == message
    assert (stage.sub["nextStepIndex"], stage.sub["canaryReplicas"], stage.sub["canaryReadyReplicas"]) == (
        2,
        2,
        2,
    )
    assert stage.sub["message"].startswith("BatchRelease is at state Ready, rollout-id ")
    assert condition(stage, "Progressing")["reason"] == "InRolling"
    stage.approve()
    stage.finish()
    assert where(stage) == ("Progressing", 2, "StepPaused") and pods(stage) == {"v1": 5, "v2": 5}
    stage.approve()
    stage.finish()
    assert where(stage) == ("Healthy", 3, "Completed") and pods(stage) == {"v2": 10}
    assert stage.status["message"] == "Rollout progressing has been completed"
    progressing = condition(stage, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "Completed")
    assert condition(stage, "Succeeded")["status"] == "True"
    assert stage.sub["nextStepIndex"] == -1 and RELEASE_REF not in stage.objects
    assert stage.sub["observedWorkloadGeneration"] == stage.native.deployment["metadata"]["generation"]


def test_a_release_of_ten_pods_costs_no_more_than_it_needs() -> None:
    stage = a_healthy()
    stage.writes.clear()
    stage.notes.clear()
    stage.pod_lists = 0
    stage.set_image(2)
    for _ in range(3):
        stage.finish()
        stage.approve()
    assert where(stage)[0] == "Healthy"
    status_writes = [w for w in stage.writes if isinstance(w, Patch) and w.subresource == "status"]
    assert len(status_writes) <= 16
    assert len(stage.writes) + len(stage.notes) + stage.pod_lists <= 60
    assert len(stage.notes) <= 11


def words(stage: Stage, kind: str) -> list[str]:
    """What was told on the object of `kind`."""
    return [f"{n.reason}: {n.message}" for n in stage.notes if n.ref.kind == kind]


def test_events_say_what_a_release_does_from_step_to_step() -> None:
    """Nobody learnt from the Events that an approval was taken, or that the steps were over."""
    stage = a_healthy(steps=[a_step("20%"), a_step("50%", 10), a_step("100%")])
    stage.notes.clear()
    stage.set_image(2)
    stage.finish()
    stage.approve()
    stage.finish()
    assert where(stage)[0] == "Healthy"
    revision = stage.sub["canaryRevision"]
    how = "go on with: kubectl kruise rollout approve rollout/web -n demo"
    ready = f"pods of revision {revision} are ready"
    assert words(stage, "Rollout") == [
        f"Progressing: release of revision {revision} begins: step 1/3 wants 2 of 10 pods",
        f"Progressing: step 1/3 done, 2 {ready}; {how}",
        "Progressing: step 2/3 begins, as approved: it wants 5 of 10 pods",
        f"Progressing: step 2/3 done, 5 {ready}; the next step begins in 10s",
        "Progressing: step 3/3 begins: it wants 10 of 10 pods",
        f"Finalising: all 3 steps of revision {revision} are done; the workload is given back",
        f"Completed: release of revision {revision} is complete",
    ]
    # On the workload those of each step are left out: they cost a request each.
    assert [w for w in words(stage, "Rollout") if w in words(stage, "Deployment")] == words(
        stage, "Deployment"
    )
    assert len(words(stage, "Deployment")) == 4


def test_events_say_what_people_do_with_the_switches_of_a_rollout() -> None:
    """Pause, resume, disable, enable and delete left no Event."""
    stage = a_release()
    stage.notes.clear()
    for spec in (
        {"strategy": {"paused": True}},
        {"strategy": {"paused": False}},
        {"disabled": True},
        {"disabled": False},
    ):
        stage.edit_rollout(spec)
        stage.finish()
    stage.delete_rollout()
    stage.finish()
    assert words(stage, "Rollout") == words(stage, "Deployment")
    assert words(stage, "Rollout") == [
        "Paused: the release is paused in step 1/3 by spec.strategy.paused",
        "Resumed: the release is resumed in step 1/3",
        "Disabling: Rollout web is disabled in the middle of a release, and lets go of its workload",
        "Disabled: Rollout web is disabled: new versions of its workload are not released in steps",
        "Enabled: Rollout web is enabled: new versions of its workload are released in steps",
        "Terminating: Rollout web is being deleted, and lets go of its workload",
    ]


def test_pods_carry_the_release_and_the_batch() -> None:
    stage = a_release()
    stage.approve()
    stage.finish()
    batches = [labels["rollouts.kruise.io/rollout-batch-id"] for labels in stage.labels.values()]
    assert sorted(batches) == ["1", "1", "2", "2", "2"]
    ids = {labels["rollouts.kruise.io/rollout-id"] for labels in stage.labels.values()}
    assert ids == {stage.sub["observedRolloutID"]}


def test_a_pause_with_a_duration_ends_by_itself_and_not_before() -> None:
    stage = a_healthy(steps=[a_step("20%", 600), a_step("100%")])
    begun = stage.now
    stage.set_image(2)
    stage.finish(until=lambda s: where(s)[2] == "StepPaused")
    assert "wait duration(600 seconds)" in stage.status["message"]
    stage.finish()
    assert where(stage)[0] == "Healthy"
    assert 600 <= (stage.now - begun).total_seconds() < 660


def test_a_last_step_of_100_percent_needs_no_approval_but_one_of_as_many_pods_does() -> None:
    stage = a_release(4, [a_step(1, 0), a_step(4)])
    assert where(stage) == ("Progressing", 2, "StepPaused")


@pytest.mark.slow
def test_fifty_steps_and_steps_beyond_all_pods_go_through() -> None:
    stage = a_release(5, [a_step(n, 0) for n in range(1, 50)] + [a_step("100%")])
    assert where(stage) == ("Healthy", 50, "Completed") and pods(stage) == {"v2": 5}


def test_a_workload_without_pods_takes_a_new_version_at_once_and_says_so() -> None:
    stage = a_healthy(3)
    stage.scale(0)
    stage.finish()
    stage.set_image(2)
    stage.finish()
    assert where(stage)[0] == "Healthy" and told(stage, "taken over without steps")


def test_a_workload_that_is_scaled_to_nothing_in_a_release_can_still_finish_it() -> None:
    stage = a_release()
    stage.scale(0)
    for _ in range(3):
        stage.finish()
        stage.approve()
    assert where(stage)[0] == "Healthy"


# --- people change their minds -------------------------------------------------------------------------------------------


def test_a_rollback_cancels_the_release() -> None:
    stage = a_release()
    stage.set_image(1)
    stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}
    assert stage.status["message"] == "Rollout progressing has been canceled"
    assert condition(stage, "Succeeded")["status"] == "False"
    assert told(stage, "has been rolled back, then rollout is canceled")


def test_a_rollback_is_noticed_while_the_release_is_paused() -> None:
    stage = a_release()
    stage.edit_rollout({"strategy": {"paused": True}})
    stage.finish()
    assert condition(stage, "Progressing")["reason"] == "Paused"
    assert stage.status["message"] == "Rollout has been paused, you can resume it by kube-cli"
    stage.set_image(1)
    stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}


def test_a_rollback_before_the_first_pod_changes_is_a_rollback_too() -> None:
    stage = a_healthy()
    stage.set_image(2)
    stage.set_image(1)
    stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}


def test_a_version_that_was_rolled_back_is_held_when_a_tool_applies_it_again() -> None:
    stage = a_release()
    stage.set_image(1)
    stage.finish()
    stage.set_image(2)
    stage.finish()
    assert where(stage) == ("Progressing", 0, "StepPaused") and pods(stage) == {"v1": 10}
    assert "was rolled back before" in stage.status["message"]
    stage.approve()
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 8, "v2": 2}
    for _ in range(2):
        stage.approve()
        stage.finish()
    stage.set_image(3)
    stage.finish()
    assert where(stage)[1] == 1, "another version is not held"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("begun", [True, False])
def test_a_version_that_comes_in_the_middle_of_a_rollback_is_held_and_not_let_loose(
    version: int, begun: bool
) -> None:
    stage = a_release() if begun else a_healthy()
    if not begun:
        stage.set_image(2)
        while RELEASE_REF not in stage.objects:
            stage.step()
    given_back = False

    def apply_another(write: Write) -> None:
        nonlocal given_back
        body = write.body if isinstance(write, Patch) else {}
        if not given_back and "rollouts.kruise.io/in-progressing" in body.get("metadata", {}).get(
            "annotations", {}
        ):
            given_back = True
            stage._edit_deployment({"spec": {"template": template(version)}})

    stage.interrupts.append(apply_another)
    stage.set_image(1)
    stage.finish()
    assert given_back
    assert where(stage) == ("Progressing", *((0, "StepPaused") if version == 2 else (1, "StepPaused")))
    kept = 2 if begun else 0  # pods of version 2, which the rollback had not come to yet
    assert pods(stage)["v1"] >= 8 and pods(stage).get(f"v{version}", 0) == (kept if version == 2 else 2)


def test_a_held_version_can_be_taken_back_or_replaced() -> None:
    stage = a_release()
    for version in (1, 2, 1):
        stage.set_image(version)
        stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}
    stage.set_image(2)
    stage.finish()
    stage.set_image(3)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 8, "v3": 2}


def test_a_third_version_begins_again_at_step_1_and_replaces_the_second_first() -> None:
    stage = a_release()
    stage.approve()
    stage.finish()
    stable = stage.sub["stableRevision"]
    stage.set_image(3)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused")
    assert pods(stage)["v3"] == 2 and pods(stage)["v1"] == 5
    assert stage.sub["stableRevision"] == stable
    assert (stage.sub["canaryReplicas"], stage.sub["canaryReadyReplicas"]) == (2, 2)
    stage.set_image(1)
    stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}


def test_a_third_version_during_a_pause_waits_at_its_first_step() -> None:
    stage = a_release()
    stage.edit_rollout({"strategy": {"paused": True}})
    stage.set_image(3)
    stage.finish()
    assert "v3" not in pods(stage) and condition(stage, "Progressing")["reason"] == "Paused"
    stage.edit_rollout({"strategy": {"paused": False}})
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage)["v3"] == 2


@pytest.mark.parametrize(("target", "index", "new"), [(3, 3, 7), (1, 1, 2)])
def test_a_jump_goes_to_the_step_and_takes_no_pod_back(target: int, index: int, new: int) -> None:
    stage = a_release(steps=[a_step("20%"), a_step("50%"), a_step("70%"), a_step("100%")])
    stage.edit_status({"nextStepIndex": target})
    stage.finish()
    assert where(stage) == ("Progressing", index, "StepPaused") and pods(stage)["v2"] == new
    assert stage.sub["nextStepIndex"] == index + 1


@pytest.mark.parametrize("target", [0, -3, 9])
def test_a_jump_to_nowhere_is_explained_and_put_right(target: int) -> None:
    stage = a_release()
    stage.edit_status({"nextStepIndex": target})
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and stage.sub["nextStepIndex"] == 2
    assert f"nextStepIndex {target} is ignored" in condition(stage, "Progressing")["message"]
    assert told(stage, f"nextStepIndex {target} is ignored")


def test_a_step_that_is_made_larger_is_run_again() -> None:
    stage = a_release(5, [a_step("20%")])
    assert pods(stage)["v2"] == 1
    stage.edit_rollout({"strategy": {"canary": {"steps": [a_step("60%")]}}})
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage)["v2"] == 3
    annotations = stage.objects[ROLLOUT_REF]["metadata"]["annotations"]
    assert stage.sub["rolloutHash"] == annotations["rollouts.kruise.io/hash"]


@pytest.mark.parametrize("duration", [None, 600])
def test_a_step_that_is_made_smaller_lets_no_pod_past_a_pause_that_nobody_ended(duration: int | None) -> None:
    stage = a_healthy(steps=[a_step("50%", duration), a_step("100%")])
    stage.set_image(2)
    stage.finish(until=lambda s: where(s)[2] == "StepPaused")
    stage.edit_rollout({"strategy": {"canary": {"steps": [a_step("20%", duration), a_step("80%")]}}})
    stage.finish(until=lambda s: where(s)[2] == "StepPaused")
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 5, "v2": 5}
    assert "5 of 10 pods are new, the step asks for 2" in stage.status["message"]
    stage.approve()
    stage.finish(until=lambda s: where(s)[2] == "StepPaused")
    assert where(stage) == ("Progressing", 2, "StepPaused") and pods(stage) == {"v1": 2, "v2": 8}


def test_a_step_that_is_made_smaller_goes_on_where_the_plan_asks_for_as_many_pods() -> None:
    stage = a_release(steps=[a_step("50%"), a_step("60%"), a_step("100%")])
    stage.edit_rollout({"strategy": {"canary": {"steps": [a_step("20%"), a_step("50%"), a_step("100%")]}}})
    stage.finish()
    assert where(stage) == ("Progressing", 2, "StepPaused") and pods(stage) == {"v1": 5, "v2": 5}


def test_an_approval_while_pods_still_start_skips_nothing() -> None:
    stage = a_healthy()
    stage.ready_seconds[2] = None
    stage.set_image(2)
    stage.settle()
    assert where(stage) == ("Progressing", 1, "StepUpgrade")
    stage.approve()
    stage.settle()
    assert where(stage)[1:] == (1, "StepUpgrade")


def test_an_approval_while_pods_still_start_skips_nothing_either_with_a_bad_jump_beside_it() -> None:
    stage = a_healthy()
    stage.ready_seconds[2] = None
    stage.set_image(2)
    stage.settle()
    stage.edit_status({"currentStepState": "StepReady", "nextStepIndex": -2})
    stage.settle()
    assert where(stage)[1:] == (1, "StepUpgrade") and stage.sub["nextStepIndex"] == 2
    assert told(stage, "an approval came before the pods of step 1/3 were ready")


def test_a_batch_release_that_is_deleted_in_the_middle_of_a_move_costs_no_pod() -> None:
    stage = a_healthy(5, [a_step(4), a_step("100%")], surge="100%", unavailable=0)
    stage.set_image(2)
    while pods(stage).get("v2", 0) < 4:
        stage.step()
    lowest = 5

    def count(_: Stage) -> None:
        nonlocal lowest
        lowest = min(lowest, sum(p.ready_since is not None for p in stage.native.pods.values()))

    stage.checks.append(count)
    stage.act(lambda: stage.delete(RELEASE_REF))
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 1, "v2": 4}
    assert lowest == 5


def test_scaling_at_a_stop_is_followed_and_shown() -> None:
    stage = a_release(5, [a_step("40%"), a_step("100%")])
    stage.scale(10)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused")
    assert pods(stage) == {"v1": 6, "v2": 4}
    assert (stage.sub["canaryReplicas"], stage.sub["canaryReadyReplicas"]) == (4, 4)


def test_another_rollout_id_labels_the_pods_anew() -> None:
    stage = a_release()
    stage.act(
        lambda: stage._edit_deployment({"metadata": {"labels": {"rollouts.kruise.io/rollout-id": "night"}}})
    )
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and stage.sub["observedRolloutID"] == "night"
    assert {v["rollouts.kruise.io/rollout-id"] for v in stage.labels.values()} == {"night"}


def test_an_id_that_is_no_label_holds_the_release_says_so_and_goes_on_when_mended() -> None:
    """It stood at StepUpgrade without a word: the pods could not be labelled."""
    stage = a_healthy()
    stage._edit_deployment(
        {"metadata": {"annotations": {"rollouts.kruise.io/rollout-id": "release #5 / blue"}}}
    )
    stage.set_image(2)
    stage.finish()
    assert condition(stage, "Stalled")["reason"] == "InvalidRolloutID" and told(stage, "release #5 / blue")
    assert pods(stage) == {"v1": 10}
    fix = {"metadata": {"annotations": {"rollouts.kruise.io/rollout-id": "release-5-blue"}}}
    stage.act(lambda: stage._edit_deployment(fix))
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and not condition(stage, "Stalled")
    assert {v["rollouts.kruise.io/rollout-id"] for v in stage.labels.values()} == {"release-5-blue"}


def test_an_id_that_becomes_bad_during_a_release_does_not_keep_it_from_being_rolled_back() -> None:
    stage = a_release()
    bad = {"metadata": {"annotations": {"rollouts.kruise.io/rollout-id": "release #5 / blue"}}}
    stage.act(lambda: stage._edit_deployment(bad))
    stage.finish()
    assert condition(stage, "Stalled")["reason"] == "InvalidRolloutID"
    stage.set_image(1)
    stage.finish()
    assert stage.status["phase"] == "Healthy" and pods(stage) == {"v1": 10}
    assert "#" not in stage.sub["observedRolloutID"]


@pytest.mark.parametrize("steps", [[a_step(2), a_step("50%"), a_step("100%")], [a_step("100%")]])
def test_a_step_is_done_when_its_pods_have_been_ready_for_min_ready_seconds(steps: list[Any]) -> None:
    stage = a_healthy(steps=steps, min_ready=60)
    stage.set_image(2)
    for _ in steps[:-1]:
        begun = stage.now
        stage.finish(until=lambda s: where(s)[2] == "StepPaused")
        assert 62 <= (stage.now - begun).total_seconds() < 300
        stage.finish()
        stage.approve()
        stage.settle()
    begun = stage.now
    stage.finish(until=lambda s: where(s)[0] == "Healthy")
    assert (stage.now - begun).total_seconds() >= 62
    assert stage.pod_lists <= 30 and stage.native.spec["minReadySeconds"] == 60


def test_a_step_whose_pods_are_ready_for_too_short_a_time_says_so() -> None:
    stage = a_healthy(min_ready=500)
    stage.set_image(2)
    stage.finish(until=lambda s: "2/2 new pods ready, 0" in s.status.get("message", ""))
    prefix = "Rollout is in step(1/3), and upgrade workload to new version: "
    assert (
        stage.status["message"]
        == f"{prefix}2/2 new pods ready, 0 of them for as long as minReadySeconds asks"
    )


def test_a_plan_that_was_changed_with_the_version_is_followed_though_the_version_is_heard_of_first() -> None:
    stage = a_healthy(9, [a_step("100%")])
    stage.lags = True
    stage.edit_rollout({"strategy": {"canary": {"steps": [a_step(1), a_step("100%")]}}})
    stage.set_image(2)
    stage._deliver("Deployment")
    stage.reconcile("rollout")
    batches = stage.objects[RELEASE_REF]["spec"]["releasePlan"]["batches"]
    assert [b["canaryReplicas"] for b in batches] == [1, "100%"]


def test_a_manager_with_old_news_of_rollout_and_deployment_takes_nothing_of_the_release_away() -> None:
    stage = a_healthy()
    old = msgspec.convert(stage.objects[ROLLOUT_REF], Rollout), stage.native.seen_deployment()
    stage.set_image(2)
    stage.finish()
    stage.lags = True
    stage._forget()
    stage.world.rollouts.put(old[0])
    stage.world.deployments.put(old[1])
    stage._deliver("ReplicaSet")
    stage._deliver("BatchRelease")
    stage.writes.clear()
    stage.reconcile("rollout")
    assert [w for w in stage.writes if w.ref == RELEASE_REF] == []
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage) == {"v1": 8, "v2": 2}


def test_a_manager_that_dies_when_the_workload_is_given_back_does_not_hold_it_again() -> None:
    stage = a_healthy(10, [a_step("20%", 5)])
    stage.set_image(2)
    stage.finish(until=lambda s: where(s)[2] == "StepPaused")
    stored = copy.deepcopy(stage.objects[ROLLOUT_REF]["status"])
    stage.finish(
        until=lambda s: not s.native.spec["paused"] and not s.native.deployment["metadata"]["annotations"]
    )
    stage.objects[ROLLOUT_REF]["status"] = stored
    stage.patch(ROLLOUT_REF, {"metadata": {"annotations": {"note": "touched"}}})
    stage._forget()
    stage._publish()
    stage.checks.append(not_held)
    stage.finish()
    assert stage.status["phase"] == "Healthy" and pods(stage) == {"v2": 10}


def not_held(stage: Stage) -> None:
    assert not stage.native.spec["paused"]


# --- the end of a Rollout ------------------------------------------------------------------------------------------------


def test_a_deleted_rollout_lets_the_workload_finish_by_itself() -> None:
    stage = a_release()
    stage.delete_rollout()
    stage.finish()
    assert ROLLOUT_REF not in stage.objects and RELEASE_REF not in stage.objects
    assert pods(stage) == {"v2": 10} and not stage.native.spec["paused"]


def test_the_gate_keeps_the_workload_of_a_deleted_rollout_paused() -> None:
    stage = a_release(gates=Gates(keep_workload_paused_on_rollout_deletion=True))
    stage.delete_rollout()
    stage.finish()
    assert ROLLOUT_REF not in stage.objects
    # A paused Deployment with two versions is filled up to its maxSurge by Kubernetes; no old pod goes.
    assert pods(stage)["v1"] >= 8 and stage.native.spec["paused"]


def test_a_rollout_that_is_deleted_by_force_leaves_no_workload_held() -> None:
    stage = a_release()

    def force() -> None:
        stage.patch(ROLLOUT_REF, {"metadata": {"finalizers": None}})
        stage.delete(ROLLOUT_REF)

    stage.act(force)
    stage.finish()
    assert RELEASE_REF not in stage.objects and pods(stage) == {"v2": 10}
    assert not stage.native.deployment["metadata"]["annotations"]


def test_a_disabled_rollout_gives_the_workload_back_and_can_be_enabled_again() -> None:
    stage = a_release()
    stage.edit_rollout({"disabled": True})
    stage.finish()
    assert stage.status["phase"] == "Disabled" and stage.status["message"] == "Rollout is disabled"
    assert pods(stage) == {"v2": 10} and RELEASE_REF not in stage.objects
    stage.set_image(3)
    stage.finish()
    assert pods(stage) == {"v3": 10}, "nothing is held while disabled"
    stage.edit_rollout({"disabled": False})
    stage.finish()
    assert stage.status["phase"] == "Healthy"


def test_a_workload_that_is_gone_is_said_and_one_that_comes_back_is_taken_up() -> None:
    stage = a_release()
    stage.deployment_gone = True
    stage.act(lambda: None)
    stage.finish()
    assert (stage.status["phase"], stage.status["message"]) == ("Initial", "Workload Not Found")
    assert condition(stage, "Stalled")["reason"] == "WorkloadNotFound"
    assert RELEASE_REF not in stage.objects
    assert told(stage, "there is no Deployment web in this namespace")


def test_a_workload_that_is_bound_for_a_batch_release_that_is_no_more_is_given_back() -> None:
    stage = a_release()
    left = copy.deepcopy(stage.native.deployment)
    del left["metadata"]["annotations"]["rollouts.kruise.io/in-progressing"]
    stage.delete_rollout()
    stage.finish()
    stage.native.deployment |= {"spec": left["spec"]}
    stage.native.deployment["metadata"] |= {k: left["metadata"][k] for k in ("annotations", "labels")}
    stage.native._touch(stage.native.deployment)
    stage.create(ROLLOUT_REF, a_rollout(THREE_STEPS))
    stage.act(lambda: None)
    stage.finish()
    assert stage.status["phase"] == "Healthy" and pods(stage) == {"v2": 10}
    given_back(stage, ("25%", "25%"), 2)
    assert told(stage, "for a BatchRelease that is no more")


def stopped(stage: Stage, name: str) -> None:
    """That controller does nothing any more."""
    stage.controllers[name] = type("Stopped", (), {"name": name, "observe": _nothing})()


async def _nothing(*_: Any) -> None:
    return None


def test_a_rollout_that_cannot_be_disabled_yet_says_what_it_waits_for() -> None:
    stage = a_release()
    stopped(stage, "batch")
    stage.edit_rollout({"disabled": True})
    stage.settle()
    waits = "waiting for the BatchRelease to let go of the workload"
    assert stage.status["phase"] == "Disabling"
    assert stage.status["message"] == f"Disabling rollout, release resources; {waits}"
    stage.finish()
    writes = len(stage.writes)
    stage.act(lambda: None)
    stage.finish()
    assert len(stage.writes) == writes, "said again and again"


def test_a_rollout_that_cannot_be_deleted_yet_says_what_it_waits_for() -> None:
    stage = a_release()
    stopped(stage, "batch")
    stage.delete_rollout()
    stage.settle()
    waits = "waiting for the BatchRelease to let go of the workload"
    assert stage.status["message"] == f"Rollout is in terminating; {waits}"


def test_a_release_that_is_not_over_yet_says_which_pods_it_waits_for() -> None:
    stage = a_release()
    stage.approve()
    stage.finish()

    def grow(write: Write) -> None:
        """At the very end the Deployment is scaled, and its new pods never become ready."""
        if isinstance(write, Patch) and "finalizingPolicy" in str(write.body):
            stage.ready_seconds[2] = None
            stage.interrupts.remove(grow)
            stage.scale(12)

    stage.interrupts.append(grow)
    stage.approve()
    stage.finish()
    closing = "Rollout has been completed and some closing work is being done"
    assert stage.status["message"] == f"{closing}; waiting for pods of the new revision: 10 of 12 are ready"
    stage.ready_seconds[2] = 1.0
    stage.act(lambda: None)
    stage.finish()
    assert (
        where(stage)[0] == "Healthy" and stage.status["message"] == "Rollout progressing has been completed"
    )


def test_a_new_revision_that_waits_for_the_old_batch_release_says_so() -> None:
    stage = a_release()
    stage.patch(
        RELEASE_REF,
        {
            "metadata": {
                "finalizers": ["example.com/keep", *stage.objects[RELEASE_REF]["metadata"]["finalizers"]]
            }
        },
    )
    stage.set_image(3)
    stage.finish()
    assert RELEASE_REF in stage.objects
    assert (
        stage.status["message"] == "A new revision is to be released; waiting for the BatchRelease to be gone"
    )


# --- trouble -------------------------------------------------------------------------------------------------------------


def test_a_step_that_does_not_get_ready_says_how_far_it_is() -> None:
    stage = a_healthy()
    stage.ready_seconds[2] = None
    stage.set_image(2)
    stage.settle()
    for _ in range(4):
        stage.pass_time()
        stage.settle()
    assert where(stage) == ("Progressing", 1, "StepUpgrade")
    prefix = "Rollout is in step(1/3), and upgrade workload to new version: 0/2 new pods ready"
    assert stage.status["message"].startswith(prefix)
    assert stage.sub["canaryReplicas"] == 2 and stage.sub["canaryReadyReplicas"] == 0


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"workloadRef": {"kind": "Job"}}, "UnsupportedWorkload", "Job"),
        ({"strategy": {"canary": {"steps": []}}}, "InvalidPlan", "steps is empty"),
        ({"strategy": {"canary": {"steps": [a_step("20")]}}}, "InvalidPlan", "steps[0].replicas"),
        ({"strategy": {"canary": {"steps": [{"pause": {}}]}}}, "InvalidPlan", "steps[0].replicas"),
        ({"strategy": {"canary": None}}, "InvalidPlan", "neither canary nor blueGreen"),
        ({"strategy": {"canary": None, "blueGreen": {"steps": []}}}, "UnsupportedStrategy", "blueGreen"),
        (
            {"strategy": {"canary": {"trafficRoutings": [{"service": "web"}]}}},
            "UnsupportedTraffic",
            "traffic",
        ),
        ({"strategy": {"canary": {"trafficRoutingRef": "shop"}}}, "UnsupportedTraffic", "trafficRoutingRef"),
    ],
)
def test_what_cannot_be_released_stands_still_and_says_what_to_do(
    spec: JsonObject, reason: str, words: str
) -> None:
    stage = a_release()
    before = pods(stage)
    stage.edit_rollout(spec)
    stage.finish()
    assert condition(stage, "Stalled")["reason"] == reason and words in stage.status["message"]
    assert pods(stage) == before and told(stage, words)
    assert len([n for n in stage.notes if n.reason == reason]) <= 2, "said once"


def test_a_mended_plan_goes_on_where_it_stood() -> None:
    stage = a_release()
    stage.edit_rollout({"strategy": {"canary": {"steps": []}}})
    stage.finish()
    stage.edit_rollout({"strategy": {"canary": {"steps": THREE_STEPS}}})
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and not condition(stage, "Stalled")
    assert "manually confirm" in stage.status["message"]


def test_a_release_with_a_bad_plan_can_be_rolled_back() -> None:
    stage = a_release()
    stage.edit_rollout({"strategy": {"canary": {"steps": []}}})
    stage.finish()
    stage.set_image(1)
    stage.finish()
    assert stage.status["phase"] == "Healthy" and pods(stage) == {"v1": 10}
    assert condition(stage, "Succeeded")["status"] == "False" and condition(stage, "Stalled")


def test_somebody_elses_batch_release_of_the_same_name_is_left_alone() -> None:
    stage = a_healthy()
    stage.create(RELEASE_REF, {"spec": {"releasePlan": {"batches": []}}})
    stage.act(lambda: None)
    stage.finish()
    assert condition(stage, "Stalled")["reason"] == "BatchReleaseConflict"
    assert RELEASE_REF in stage.objects
