"""What people see of a release while admission is away: nothing holds what they write, and nothing guards it."""

from __future__ import annotations

import pytest
from native_model import template
from release_stage import DEPLOYMENT_REF, Stage, a_step
from test_release_stories import THREE_STEPS, a_healthy, a_release, condition, pods, told, where
from test_releases import given_back

from kruise_rollouts.kube.effects import JsonObject, Patch


def test_a_version_that_nobody_held_is_held_as_soon_as_it_is_seen() -> None:
    stage = a_healthy(webhook=False)
    stage.set_image(2)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused")
    assert pods(stage)["v2"] <= 5 and sum(pods(stage).values()) == 10
    assert any(n.type == "Warning" and "nothing held it back" in n.message for n in stage.notes)


def test_a_rollout_that_comes_with_its_first_new_version_still_holds_it() -> None:
    stage = Stage(10, THREE_STEPS, webhook=False)
    stage.set_image(2)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and sum(pods(stage).values()) == 10


def test_a_version_that_is_out_before_anybody_looks_is_taken_over_and_said() -> None:
    stage = a_healthy(webhook=False)
    stage._edit_deployment({"spec": {"template": {"spec": {"containers": [{"image": "web:2"}]}}}})
    for _ in range(40):
        stage.native.sync()
        stage.native.sync_replica_sets()
        for pod in stage.native.pods.values():
            pod.ready_since = pod.ready_since or stage.native.now
    assert pods(stage) == {"v2": 10}
    stage.act(lambda: None)
    stage.finish()
    assert where(stage)[0] == "Healthy" and told(stage, "taken over without steps")


@pytest.mark.parametrize("replicas", [10, 40])
@pytest.mark.parametrize("steps_before", range(0, 24, 3))
def test_a_third_version_that_admission_missed_begins_again_at_step_1(
    replicas: int, steps_before: int
) -> None:
    stage = a_release(replicas)
    stage.webhook = False
    stage.approve()
    for _ in range(steps_before):
        stage.step()  # into the move to half of the pods
    stage.set_image(3)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused")
    assert stage.sub["canaryRevision"] == stage.revision_of("web:3")
    # What the Deployment controller was just let do, it may do with the new template; no more than that.
    assert pods(stage)["v3"] <= replicas / 2 and sum(pods(stage).values()) == replicas


def test_a_third_version_that_admission_missed_while_nothing_moves_gets_its_first_step_only() -> None:
    stage = a_release(steps=[a_step("20%"), a_step("50%"), a_step("70%"), a_step("100%")])
    for _ in range(2):
        stage.approve()
        stage.finish()
    assert pods(stage) == {"v1": 3, "v2": 7}
    stage.webhook = False
    most = 0

    def count(_: Stage) -> None:
        nonlocal most
        most = max(most, pods(stage).get("v3", 0))

    stage.checks.append(count)
    stage.set_image(3)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and most == 2


def test_a_third_version_that_admission_missed_at_the_very_end_is_held() -> None:
    stage = a_release()
    stage.webhook = False
    stage.approve()
    stage.finish()
    stage.approve()
    while condition(stage, "Progressing")["reason"] != "Finalising":
        assert stage.step() or stage.pass_time()
    stage.set_image(3)
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage)["v3"] <= 5


EVERYTHING = {
    "annotations": {
        "rollouts.kruise.io/in-progressing": None,
        "rollouts.kruise.io/deployment-strategy": None,
        "rollouts.kruise.io/deployment-extra-status": None,
        "batchrelease.rollouts.kruise.io/control-info": None,
    },
    "labels": {
        "rollouts.kruise.io/stable-revision": None,
        "rollouts.kruise.io/controlled-by-advanced-deployment-controller": None,
        "rollouts.kruise.io/workload-type": None,
    },
}


@pytest.mark.parametrize("lost", [{}, *({k: v} for k, v in EVERYTHING.items()), EVERYTHING], ids=str)
@pytest.mark.parametrize("at_rest", [True, False])
def test_the_way_back_that_admission_missed_is_a_rollback_whatever_marks_it_wrote_over(
    lost: JsonObject, at_rest: bool
) -> None:
    stage = a_release()
    stage.approve()
    while not at_rest and pods(stage)["v2"] < 4:
        stage.step()
    if at_rest:
        stage.finish()
    own = {"maxSurge": "25%", "maxUnavailable": "25%"}
    spec = {"paused": False, "minReadySeconds": 0, "progressDeadlineSeconds": 600, "template": template(1)}
    spec["strategy"] = {"rollingUpdate": own}
    stage.act(lambda: stage.native.apply(Patch(DEPLOYMENT_REF, {"metadata": lost, "spec": spec})))
    stage.finish()
    assert where(stage)[0] == "Healthy" and pods(stage) == {"v1": 10}
    assert stage.status["message"] == "Rollout progressing has been canceled"
    assert condition(stage, "Succeeded")["status"] == "False"
    given_back(stage, ("25%", "25%"), 1)


def test_a_stable_revision_that_a_tool_has_dropped_is_put_back() -> None:
    stage = a_release(webhook=False)
    label = "rollouts.kruise.io/stable-revision"
    noted = stage.native.deployment["metadata"]["labels"][label]
    stage.act(lambda: stage.native.apply(Patch(DEPLOYMENT_REF, {"metadata": {"labels": {label: None}}})))
    stage.finish()
    assert stage.native.deployment["metadata"]["labels"][label] == noted
    assert where(stage) == ("Progressing", 1, "StepPaused")


def test_marks_that_a_tool_has_dropped_are_put_back() -> None:
    stage = a_release(webhook=False)
    marks = {"rollouts.kruise.io/in-progressing": None, "rollouts.kruise.io/deployment-strategy": None}
    bare = {"metadata": {"annotations": marks}, "spec": {"paused": False}}
    stage.act(lambda: stage.native.apply(Patch(DEPLOYMENT_REF, bare)))
    stage.finish()
    assert where(stage) == ("Progressing", 1, "StepPaused") and pods(stage)["v1"] >= 5
    assert "rollouts.kruise.io/in-progressing" in stage.native.deployment["metadata"]["annotations"]
