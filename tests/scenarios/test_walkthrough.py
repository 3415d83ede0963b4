"""The walk-through: ten busybox pods released 1, 50 %, 100 %; a third version in the middle; rolling back."""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, ROLLOUT

from .scenario import scenario
from .stage import ROLLOUT_ALPHA, Object, Stage, a_deployment, a_rollout, an_alpha_rollout

OURS = "rollouts.kruise.io/"


async def a_held_busybox(stage: Stage, alpha: bool = False, **spec: object) -> None:
    """Ten pods of version-5 and a Healthy Rollout."""
    await stage.create(DEPLOYMENT, a_deployment(**spec))  # type: ignore[arg-type]
    if alpha:
        await stage.create(ROLLOUT_ALPHA, an_alpha_rollout())
    else:
        await stage.create(ROLLOUT, a_rollout())
    await stage.until_ready(10)
    await stage.until_phase("Healthy")


def condition(rollout: Object, type_: str) -> Object:
    return next(c for c in rollout["status"]["conditions"] if c["type"] == type_)


def left_of_ours(deployment: Object) -> list[str]:
    """Annotations and labels of ours that a finished release left behind."""
    meta = deployment["metadata"]
    marks = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    return [k for k in marks if OURS in k and k != OURS + "workload-type"]


@pytest.mark.parametrize("alpha", [False, True], ids=["v1beta1", "v1alpha1"])
@scenario
async def test_ten_pods_go_nine_to_one_then_half_then_all(stage: Stage, alpha: bool) -> None:
    await a_held_busybox(stage, alpha)
    before = await stage.deployment()

    await stage.set_version("version-2")
    said = " ".join(stage.warnings)
    assert "busybox" in said and "approve" in said and "1" in said, stage.warnings
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 9, "version-2": 1}
    status = (await stage.deployment())["status"]
    assert (status["updatedReplicas"], status["availableReplicas"]) == (1, 10)

    await stage.approve()
    await stage.until_paused(2)
    assert await stage.versions() == {"version-5": 5, "version-2": 5}
    paused_at = stage.clock.mono()
    await stage.until_phase("Healthy", within=120)
    assert 55 <= stage.clock.mono() - paused_at <= 90  # the pause of 60 s, then the last five pods
    assert await stage.versions() == {"version-2": 10}

    rollout, after = await stage.rollout(), await stage.deployment()
    assert condition(rollout, "Progressing")["reason"] == "Completed"
    assert condition(rollout, "Succeeded")["status"] == "True"
    assert await stage.find(BATCH_RELEASE, "busybox") is None
    assert left_of_ours(after) == []
    same = [k for k in before["spec"] if k != "template"]
    assert {k: after["spec"].get(k) for k in same} == {k: before["spec"][k] for k in same}
    assert not after["spec"].get("paused")


@scenario
async def test_a_third_version_in_the_middle_replaces_the_second_first(stage: Stage) -> None:
    await a_held_busybox(stage)
    await stage.set_version("version-3")
    await stage.until_paused(1)
    await stage.approve()
    await stage.until_paused(2)
    assert await stage.versions() == {"version-5": 5, "version-3": 5}

    await stage.set_version("version-4")
    await stage.until_versions({"version-5": 5, "version-3": 4, "version-4": 1})
    await stage.until_paused(1)
    await stage.approve()
    await stage.until_paused(2)
    assert await stage.versions() == {"version-5": 5, "version-4": 5}
    await stage.until_phase("Healthy", within=120)
    assert await stage.versions() == {"version-4": 10}


@pytest.mark.parametrize("how", ["patch", "apply"])
@scenario
async def test_rolling_back_in_the_middle_keeps_capacity_and_ends_cancelled(stage: Stage, how: str) -> None:
    original = a_deployment()
    await stage.apply(DEPLOYMENT, original)
    await stage.create(ROLLOUT, a_rollout())
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await stage.approve()
    await stage.until_paused(2)

    if how == "patch":
        await stage.set_version("version-5")
    else:
        await stage.apply(DEPLOYMENT, original)

    async def capacity() -> bool:
        status = (await stage.deployment())["status"]
        return status.get("readyReplicas", 0) >= 8 and status.get("replicas", 0) <= 13

    async def back() -> bool:
        assert await capacity(), await stage.picture()
        return await stage.versions() == {"version-5": 10}

    await stage.until("all pods are version-5 again", back)
    await stage.until_phase("Healthy")
    rollout = await stage.rollout()
    assert condition(rollout, "Progressing")["reason"] == "Completed"
    assert condition(rollout, "Succeeded")["status"] == "False"
    assert left_of_ours(await stage.deployment()) == []


@scenario
async def test_events_tell_the_story_on_the_rollout_and_on_the_deployment(stage: Stage) -> None:
    await a_held_busybox(stage)
    await stage.set_version("version-2")
    await stage.until_paused(1)

    async def told() -> bool:
        return bool(await stage.events("Rollout", "busybox")) and bool(
            [e for e in await stage.events("Deployment", "busybox") if e["reason"] != "ScalingReplicaSet"]
        )

    await stage.until("Events on both", told)
