"""Statuses and annotations written by hand, garbage among them: the release finds its way, or says what is wrong."""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, ROLLOUT

from .release import at_step, begin, to_the_end
from .scenario import scenario
from .stage import Object, Stage

PREFIX = "rollouts.kruise.io/"
SUB: tuple[Object, ...] = (
    {"currentStepIndex": 99},
    {"currentStepIndex": -7},
    {"currentStepIndex": 0, "currentStepState": "StepUpgrade"},
    {"currentStepState": "NoSuchState"},
    {"currentStepState": ""},
    {"nextStepIndex": 2147483647, "currentStepIndex": 2147483647},
    {"canaryRevision": ""},
    {"canaryRevision": "other"},
    {"stableRevision": ""},
    {"podTemplateHash": "", "stableRevision": "other"},
    {"rolloutHash": "other"},
    {"observedRolloutID": ""},
    {"finalisingStep": "NoSuchStep"},
    {"lastUpdateTime": None},
    {"lastUpdateTime": "2199-01-01T00:00:00Z"},
    {"canaryReplicas": -3, "canaryReadyReplicas": 100},
    {"observedWorkloadGeneration": 10**12},
)
WHOLE: tuple[Object, ...] = (
    {"phase": "NoSuchPhase"},
    {"phase": ""},
    {"phase": "Healthy"},
    {"phase": "Initial"},
    {"phase": "Terminating"},
    {"phase": "Disabled"},
    {"phase": "Disabling"},
    {"conditions": []},
    {"canaryStatus": None},
    {"canaryStatus": None, "conditions": [], "phase": ""},
    {"observedGeneration": 10**12},
)


async def ends_well(stage: Stage) -> None:
    """No pod that was not asked for is replaced before the person goes on; then the release gets to its end."""

    async def never_beyond() -> bool:
        return (await stage.versions()).get("version-2", 0) <= 2  # 20% of ten

    async def calm() -> bool:
        assert await never_beyond(), await stage.picture()
        status = (await stage.rollout())["status"]
        return status.get("currentStepState") == "StepPaused" or status.get("phase") in (
            "Healthy",
            "Disabled",
        )

    await stage.until("the release rests", calm)
    await stage.always("no more pods are new than step 1 allows", never_beyond, seconds=1)

    async def still() -> bool:
        version = (await stage.rollout())["metadata"]["resourceVersion"]
        await stage.clock.sleep(3)
        return bool((await stage.rollout())["metadata"]["resourceVersion"] == version)

    await stage.until("nothing is written any more", still, within=30)
    await to_the_end(stage)


@pytest.mark.parametrize("fields", SUB, ids=str)
@scenario
async def test_a_step_status_written_by_hand(stage: Stage, fields: Object) -> None:
    await at_step(stage, 1)
    await stage.edit_step(fields)
    await ends_well(stage)


@pytest.mark.parametrize("fields", WHOLE, ids=str)
@scenario
async def test_a_rollout_status_written_by_hand(stage: Stage, fields: Object) -> None:
    await at_step(stage, 1)
    await stage.patch(ROLLOUT, "busybox", {"status": fields}, subresource="status")
    await ends_well(stage)


RELEASE: tuple[Object, ...] = (
    {"phase": "NoSuchPhase"},
    {"phase": "Completed"},
    {"phase": "Finalizing"},
    {"canaryStatus": None},
    {"canaryStatus": {"currentBatch": 77}},
    {"canaryStatus": {"currentBatch": -1}},
    {"canaryStatus": {"batchState": "NoSuchState"}},
    {"updateRevision": "other", "stableRevision": ""},
    {"observedWorkloadReplicas": -9},
    {"observedReleasePlanHash": "other"},
)


@pytest.mark.parametrize("fields", RELEASE, ids=str)
@scenario
async def test_a_batch_release_status_written_by_hand(stage: Stage, fields: Object) -> None:
    await at_step(stage, 1)
    await stage.patch(BATCH_RELEASE, "busybox", {"status": fields}, subresource="status")
    await ends_well(stage)


@scenario
async def test_a_batch_release_deleted_by_hand_is_made_again(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.delete(BATCH_RELEASE, "busybox")
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    await to_the_end(stage)


@pytest.mark.parametrize("text", ["", "{", "null", '{"partition":"100%"}'])
@pytest.mark.parametrize(
    "key", ["in-progressing", "deployment-strategy", "deployment-extra-status", "batchrelease.control-info"]
)
@scenario
async def test_annotations_of_ours_written_by_hand(stage: Stage, key: str, text: str) -> None:
    """Admission keeps them while it is there."""
    await at_step(stage, 1)
    name = "batchrelease." + PREFIX + "control-info" if key.startswith("batchrelease") else PREFIX + key
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"annotations": {name: text}}})
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    await to_the_end(stage)


@scenario
async def test_all_annotations_and_the_pause_written_by_hand(stage: Stage) -> None:
    await at_step(stage, 1)
    ours = [k for k in (await stage.deployment())["metadata"]["annotations"] if "kruise.io" in k]
    body: Object = {"metadata": {"annotations": dict.fromkeys(ours, "x")}, "spec": {"paused": False}}
    await stage.patch(DEPLOYMENT, "busybox", body)
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    await to_the_end(stage)


@pytest.mark.parametrize(
    "fields", [{"currentStepIndex": 0}, {"currentStepIndex": 0, "nextStepIndex": 3}], ids=str
)
@scenario
async def test_step_0_written_by_hand_releases_nothing(stage: Stage, fields: Object) -> None:
    await at_step(stage, 1)
    await stage.edit_step(fields)
    await stage.until_said("going on with step 1 of 3")
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    await to_the_end(stage)


@pytest.mark.parametrize("lost", [{"canaryStatus": None}, None], ids=str)
@scenario
async def test_a_batch_release_that_lost_its_batch_while_pods_start(
    stage: Stage, lost: Object | None
) -> None:
    await begin(stage)
    slow = {"metadata": {"annotations": {"sim/ready-delay": "3s"}}}
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"template": slow}})

    async def starting() -> bool:
        release = await stage.find(BATCH_RELEASE, "busybox")
        batch = (release or {}).get("status", {}).get("canaryStatus", {})
        return batch.get("batchState") == "Verifying"

    await stage.until("the first batch is under way", starting)
    release = await stage.get(BATCH_RELEASE, "busybox")
    status = dict.fromkeys(release["status"], None) | {"phase": "Progressing"} if lost is None else lost
    await stage.patch(BATCH_RELEASE, "busybox", {"status": status}, subresource="status")
    await stage.until_paused(1)
    await to_the_end(stage, "version-5")
