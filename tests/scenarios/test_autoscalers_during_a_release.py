"""HPA and KEDA during a release: they scale as they like; they neither end a step nor use up its time."""

from __future__ import annotations

from kruise_rollouts.kube.objects import DEPLOYMENT

from .release import at_step, begin, condition, to_the_end
from .scenario import scenario
from .stage import Stage, a_step

HALVES = (a_step("20%"), a_step("50%"), a_step("100%"))


async def progressing(stage: Stage) -> str:
    """What the Deployment's own condition says about its progress."""
    return str(condition(await stage.deployment(), "Progressing").get("reason", ""))


@scenario
async def test_an_autoscaler_that_never_rests_does_not_use_up_the_progress_deadline(stage: Stage) -> None:
    """S56: longer than progressDeadlineSeconds, while paused and while pods move."""
    await begin(stage, *HALVES)
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"progressDeadlineSeconds": 4}})
    await stage.set_version("version-2")
    for step in (1, 2):
        await stage.until_paused(step)
        for replicas in (12, 9, 11, 10):
            await stage.scale(replicas)
            await stage.clock.sleep(1.5)
            assert await progressing(stage) != "ProgressDeadlineExceeded", await stage.picture()
        await stage.until_paused(step)
        await stage.approve()
    deployment = await to_the_end(stage)
    assert deployment["spec"]["progressDeadlineSeconds"] == 4
    await stage.clock.sleep(5)
    assert await progressing(stage) == "NewReplicaSetAvailable", await stage.picture()


@scenario
async def test_a_scaler_that_goes_to_zero_and_back_during_a_pause_approves_nothing(stage: Stage) -> None:
    """S57: KEDA, its ScaledObject paused at 0 replicas, then active again."""
    await at_step(stage, 1, *HALVES)
    for replicas in (0, 4):
        await stage.scale(replicas)

        async def settled(replicas: int = replicas) -> bool:
            return sum((await stage.versions()).values()) == replicas

        await stage.until(f"{replicas} pods", settled)
        await stage.clock.sleep(3)
        await stage.until_paused(1)
    deployment = await to_the_end(stage, pods=4)
    assert deployment["spec"]["replicas"] == 4
