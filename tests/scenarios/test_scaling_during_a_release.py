"""Replicas change while a release goes on: the share of new pods stays what the step says, and nobody is starved."""

from __future__ import annotations

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT

from .release import at_step, begin, to_the_end
from .scenario import scenario
from .stage import Stage, a_step

HALVES = (a_step("20%"), a_step("50%"), a_step("100%"))


@pytest.mark.parametrize(("step", "twenty", "four"), [(1, (16, 4), (3, 1)), (2, (10, 10), (2, 2))])
@scenario
async def test_percentages_follow_the_replicas_while_paused(
    stage: Stage, step: int, twenty: tuple[int, int], four: tuple[int, int]
) -> None:
    await at_step(stage, step, *HALVES)
    for replicas, (old, new) in ((20, twenty), (4, four)):
        await stage.scale(replicas)
        await stage.until_versions({"version-5": old, "version-2": new})
        await stage.until_paused(step)
        await stage.stays({"version-5": old, "version-2": new}, seconds=3)
    await to_the_end(stage, pods=4)


@pytest.mark.parametrize("replicas", [20, 4])
@scenario
async def test_scaling_while_pods_move(stage: Stage, replicas: int) -> None:
    await at_step(stage, 1, *HALVES)
    await stage.approve()
    await stage.scale(replicas)
    half = replicas // 2
    await stage.until_versions({"version-5": half, "version-2": half})
    await stage.until_paused(2)
    await to_the_end(stage, pods=replicas)


@pytest.mark.parametrize("replicas", [20, 4])
@scenario
async def test_scaling_before_the_first_step_has_begun(stage: Stage, replicas: int) -> None:
    await begin(stage, *HALVES)
    await stage.set_version("version-2")
    await stage.scale(replicas)
    new = -(-replicas // 5)
    await stage.until_versions({"version-5": replicas - new, "version-2": new})
    await stage.until_paused(1)
    await to_the_end(stage, pods=replicas)


@pytest.mark.parametrize("replicas", [20, 4])
@scenario
async def test_scaling_while_the_release_ends(stage: Stage, replicas: int) -> None:
    await at_step(stage, 2, *HALVES)
    await stage.approve()
    await stage.scale(replicas)
    await to_the_end(stage, pods=replicas)


@pytest.mark.parametrize("replicas", [20, 4])
@scenario
async def test_scaling_while_it_is_rolled_back(stage: Stage, replicas: int) -> None:
    await at_step(stage, 2, *HALVES)
    await stage.set_version("version-5")
    await stage.scale(replicas)
    await stage.until_versions({"version-5": replicas})
    await stage.until_phase("Healthy")


@scenario
async def test_scaling_to_nothing_and_back_in_the_middle(stage: Stage) -> None:
    """S57."""
    await at_step(stage, 2, *HALVES)
    await stage.scale(0)
    await stage.until_versions({})
    await stage.scale(10)
    # From nothing the Deployment controller starts new pods only; the person is told that it is so.
    await stage.until_versions({"version-2": 10})
    await stage.until_said("10 of 10 pods are new, the step asks for 5")
    await stage.until_paused(2)
    await to_the_end(stage)


@scenario
async def test_scaling_to_nothing_and_back_with_a_template_that_has_not_begun(stage: Stage) -> None:
    """S08."""
    await begin(stage, *HALVES)
    await stage.scale(0)
    await stage.until_versions({})
    await stage.set_version("version-2")
    assert "0 replicas" in stage.warnings[-1], stage.warnings
    await stage.until_said("taken over without steps: the workload has no pods")
    await stage.scale(10)
    await stage.until_versions({"version-2": 10})
    await stage.until_phase("Healthy")
    await stage.set_version("version-3")
    await stage.until_paused(1)
    await to_the_end(stage, "version-3")


@scenario
async def test_an_autoscaler_that_swings_at_every_step(stage: Stage) -> None:
    """S54."""
    await at_step(stage, 1, *HALVES)
    for step, percent in ((1, 20), (2, 50)):
        await stage.until_paused(step)
        before = 10
        for replicas in (40, 13, 10, 31, 10):
            await stage.scale(replicas)
            await stage.clock.sleep(0.3)
            split = await stage.versions()
            # Rounded up, and one more: Kubernetes shares a change out among both, and rounds too.
            share = -(-percent * max(before, replicas) // 100) + 1
            before = replicas
            assert split.get("version-2", 0) <= share, await stage.picture()
            assert split.get("version-5", 0) >= 4, await stage.picture()
        new = percent // 10
        await stage.until_versions({"version-5": 10 - new, "version-2": new})
        await stage.until_paused(step)
        await stage.approve()
    await to_the_end(stage)


@scenario
async def test_a_single_pod_is_replaced_by_a_single_step(stage: Stage) -> None:
    await at_step(stage, 1, a_step("50%"), a_step("100%"), replicas=1)
    await stage.until_versions({"version-2": 1})
    await to_the_end(stage, pods=1)


@scenario
async def test_replicas_set_in_an_applied_manifest_are_taken_too(stage: Stage) -> None:
    await at_step(stage, 1, *HALVES)
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"replicas": 15}})
    await stage.until_versions({"version-5": 12, "version-2": 3})
    await stage.until_paused(1)
    await to_the_end(stage, pods=15)


@scenario
async def test_what_the_rollout_counts_is_right_again_after_any_scaling(stage: Stage) -> None:
    await at_step(stage, 1, a_step(1), a_step("50%"), a_step("100%"))
    for replicas in (20, 0, 10, 2, 10):
        await stage.scale(replicas)

        async def counted(replicas: int = replicas) -> bool:
            status = (await stage.rollout())["status"]["canaryStatus"]
            live = (await stage.deployment())["status"]
            is_there = live.get("replicas", 0) == live.get("readyReplicas", 0) == replicas
            new = live.get("updatedReplicas", 0)
            return is_there and (status["canaryReplicas"], status["canaryReadyReplicas"]) == (new, new)

        await stage.until(f"what is counted is what there is of {replicas}", counted, within=30)
    said = (await stage.rollout())["status"]["message"]
    new = (await stage.deployment())["status"]["updatedReplicas"]
    assert f"{new} of 10 pods are new, the step asks for 1" in said
    await to_the_end(stage)


@scenario
async def test_who_scales_to_none_and_back_is_warned_that_the_new_version_is_everywhere(stage: Stage) -> None:
    """S57: Kubernetes starts pods of the newest version only."""
    await at_step(stage, 1)
    await stage.scale(0)
    await stage.until_versions({})
    await stage.scale(10)
    await stage.until_versions({"version-2": 10})
    await stage.until_said("10 of 10 pods are new, the step asks for 2")
    warned = [e for e in await stage.events("Rollout", "busybox") if e["reason"] == "BeyondStep"]
    assert len(warned) == 1 and warned[0]["type"] == "Warning"
    await to_the_end(stage)
