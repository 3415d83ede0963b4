"""Rollouts and workloads that cannot work as written: what a person is told, and that it goes on once it is mended."""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, ROLLOUT

from .release import STEPS, at_step, begin, condition, left_of_ours, to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_rollout, a_step


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), "at least one step is needed"),
        ((a_step("50%"), a_step("20%")), "a step must not have fewer new pods than the one before"),
        ((a_step("101%"),), "101%"),
        ((a_step("abc%"),), "abc%"),
        ((a_step("many"),), "many"),
        ((a_step(-1),), "-1"),
        ((a_step(0),), "0"),
        (({"pause": {}},), "replicas is needed"),
        (tuple(a_step(nr) for nr in range(1, 52)), "50"),
    ],
    ids=[
        "none",
        "decreasing",
        "beyond all",
        "no number",
        "no percentage",
        "negative",
        "no pods",
        "absent",
        "51 steps",
    ],
)
@scenario
async def test_a_plan_that_makes_no_sense_is_refused(
    stage: Stage, steps: tuple[Object, ...], told: str
) -> None:
    with pytest.raises(ApiError, match=r"(?i)steps") as refused:
        await stage.create(ROLLOUT, a_rollout(steps=steps))
    assert told in str(refused.value)
    assert await stage.find(ROLLOUT, "busybox") is None


@scenario
async def test_a_second_rollout_for_one_deployment_is_refused(stage: Stage) -> None:
    await begin(stage)
    second = a_rollout("other", STEPS)
    second["spec"]["workloadRef"]["name"] = "busybox"
    with pytest.raises(ApiError, match="Deployment busybox already belongs to Rollout busybox"):
        await stage.create(ROLLOUT, second)


@scenario
async def test_a_workload_of_an_unknown_kind_is_refused(stage: Stage) -> None:
    rollout = a_rollout()
    rollout["spec"]["workloadRef"] = {"apiVersion": "batch/v1", "kind": "Job", "name": "busybox"}
    with pytest.raises(ApiError, match="this kind cannot be released step by step"):
        await stage.create(ROLLOUT, rollout)


@scenario
async def test_a_workload_of_a_kind_that_this_version_does_not_move(stage: Stage) -> None:
    rollout = a_rollout()
    rollout["spec"]["workloadRef"] |= {"kind": "StatefulSet"}
    await stage.create(ROLLOUT, rollout)
    assert "does not release StatefulSet" in stage.warnings[0], stage.warnings
    await stage.until_said("this controller can release an apps/v1 Deployment")
    assert condition(await stage.rollout(), "Stalled")["reason"] == "UnsupportedWorkload"
    await stage.delete(ROLLOUT, "busybox")
    await stage.until_gone(ROLLOUT)


@scenario
async def test_a_missing_workload_is_named_and_found_when_it_comes(stage: Stage) -> None:
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_said("there is no Deployment busybox in this namespace; create it")
    assert condition(await stage.rollout(), "Stalled")["reason"] == "WorkloadNotFound"
    await stage.create(DEPLOYMENT, a_deployment())
    await stage.until_phase("Healthy")
    assert condition(await stage.rollout(), "Stalled") == {}
    await stage.until_ready(10)
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_another_workload_is_not_taken_in_the_middle_of_a_release(stage: Stage) -> None:
    await at_step(stage, 1)
    with pytest.raises(ApiError, match="must not change"):
        await stage.patch(ROLLOUT, "busybox", {"spec": {"workloadRef": {"name": "other"}}})
    await to_the_end(stage)


@scenario
async def test_a_batch_release_of_the_same_name_that_is_not_ours(stage: Stage) -> None:
    await begin(stage)
    foreign = {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "BatchRelease",
        "metadata": {"name": "busybox"},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing"},
            "releasePlan": {
                "batches": [{"canaryReplicas": 1}],
                "batchPartition": 0,
                "enableExtraWorkloadForCanary": False,
            },
        },
    }
    await stage.create(BATCH_RELEASE, foreign)
    await stage.until_said("a BatchRelease named busybox exists that this Rollout did not make")
    await stage.set_version("version-2")
    await stage.stays({"version-5": 10}, seconds=5)
    await stage.delete(BATCH_RELEASE, "busybox")
    await stage.until_paused(1)
    await to_the_end(stage)


# --- Deployments ---------------------------------------------------------------------------------------------------


@scenario
async def test_a_deployment_with_recreate_is_released_one_pod_at_a_time_and_gets_it_back(
    stage: Stage,
) -> None:
    await stage.create(DEPLOYMENT, a_deployment(replicas=4, strategy={"type": "Recreate"}))
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_ready(4)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    assert any("Recreate" in w for w in stage.warnings), stage.warnings

    async def three_are_ready() -> bool:
        status = (await stage.deployment())["status"]
        assert status.get("readyReplicas", 0) >= 3, await stage.picture()
        rollout = (await stage.rollout())["status"]
        if rollout.get("currentStepState") == "StepPaused":
            await stage.approve()
        return bool(rollout["phase"] == "Healthy" and await stage.versions() == {"version-2": 4})

    await stage.until("the release is over", three_are_ready, within=120)
    deployment = await stage.deployment()
    assert deployment["spec"]["strategy"] == {"type": "Recreate"} and left_of_ours(deployment) == []


@scenario
async def test_a_template_that_carries_a_pod_template_hash(stage: Stage) -> None:
    deployment = a_deployment()
    deployment["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "abcdefg"
    await stage.create(DEPLOYMENT, deployment)
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 8, "version-2": 2}
    await to_the_end(stage)


@scenario
async def test_two_deployments_that_select_the_same_pods(stage: Stage) -> None:
    await begin(stage)
    twin = a_deployment("twin", 3, "version-1")
    twin["spec"]["selector"] = {"matchLabels": {"app": "busybox"}}
    twin["spec"]["template"]["metadata"]["labels"] = {"app": "busybox"}
    await stage.create(DEPLOYMENT, twin)
    await stage.until_ready(3, "twin")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 8, "version-2": 2, "version-1": 3}
    await stage.approve()
    await stage.until_paused(2)
    await stage.approve()
    await stage.until_phase("Healthy")
    await stage.until_versions({"version-2": 10, "version-1": 3})


@scenario
async def test_own_settings_of_the_deployment_are_kept(stage: Stage) -> None:
    own = {"minReadySeconds": 2, "progressDeadlineSeconds": 30}
    await stage.create(DEPLOYMENT, a_deployment(**own))
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)
    spec = (await stage.deployment())["spec"]
    assert {k: spec[k] for k in own} == own


@scenario
async def test_a_deployment_without_pods(stage: Stage) -> None:
    await stage.create(DEPLOYMENT, a_deployment(replicas=0))
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    assert any("with 0 replicas there is nothing to release" in w for w in stage.warnings), stage.warnings
    await stage.scale(10)
    await stage.until_versions({"version-2": 10})
    await stage.until_phase("Healthy")
    assert not (await stage.deployment())["spec"].get("paused")


# --- pods that do not start ----------------------------------------------------------------------------------------


@scenario
async def test_an_image_that_cannot_be_pulled_is_named_and_a_good_one_goes_on(stage: Stage) -> None:
    await begin(stage)
    await stage.set_image("busybox:not-exists", "version-2")
    await stage.until_said("ImagePull")

    async def all_serve() -> bool:
        return bool((await stage.deployment())["status"]["readyReplicas"] >= 8)

    await stage.always("old pods serve", all_serve, seconds=5)
    assert (await stage.rollout())["status"]["currentStepState"] == "StepUpgrade"
    await stage.set_image("busybox:1.36", "version-3")
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 8, "version-3": 2}
    await to_the_end(stage, "version-3")


@scenario
async def test_an_image_that_cannot_be_pulled_is_rolled_back(stage: Stage) -> None:
    await begin(stage)
    await stage.set_image("busybox:not-exists", "version-2")
    await stage.until_said("ImagePull")
    await stage.set_image("busybox:1.36", "version-5")
    await stage.until_versions({"version-5": 10})
    await stage.until_phase("Healthy")
    assert left_of_ours(await stage.deployment()) == []


@scenario
async def test_pods_that_no_node_has_room_for(stage: Stage) -> None:
    await begin(stage, replicas=4)
    body = {"spec": {"template": {"spec": {"nodeSelector": {"no-such": "node"}}}}}
    await stage.patch(DEPLOYMENT, "busybox", body)
    await stage.until_said("Unschedulable")
    assert (await stage.deployment())["status"]["readyReplicas"] >= 3
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"template": {"spec": {"nodeSelector": None}}}})
    await stage.until_phase("Healthy")


@scenario
async def test_a_failure_threshold_does_not_pass_a_batch_of_which_no_pod_is_ready(stage: Stage) -> None:
    await begin(stage, *STEPS, failureThreshold="100%")
    await stage.set_image("busybox:not-exists", "version-2")
    await stage.until_said("0/2 new pods ready")
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=3)
    assert (await stage.rollout())["status"]["currentStepState"] == "StepUpgrade"
