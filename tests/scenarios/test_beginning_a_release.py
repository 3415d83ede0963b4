"""The first moments: objects applied together, native updates already running, tools that send odd objects."""

from __future__ import annotations

import copy

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

from .release import STEPS, begin, condition, left_of_ours, to_the_end
from .scenario import scenario
from .stage import ROLLOUT_ALPHA, Stage, a_deployment, a_rollout, an_alpha_rollout

MANY = 10


async def ten_plain_pods(stage: Stage, **spec: object) -> None:
    await stage.create(DEPLOYMENT, a_deployment(**spec))  # type: ignore[arg-type]
    await stage.until_ready(MANY)


@pytest.mark.parametrize("first", ["rollout", "deployment"])
@scenario
async def test_a_rollout_and_a_new_version_in_one_apply(stage: Stage, first: str) -> None:
    """However `kubectl apply -f folder/` orders them, the update is released in steps."""
    await ten_plain_pods(stage)
    new = a_deployment(version="version-2")
    if first == "rollout":
        await stage.apply(ROLLOUT, a_rollout(steps=STEPS))
        await stage.apply(DEPLOYMENT, new)
    else:
        await stage.apply(DEPLOYMENT, new)
        await stage.apply(ROLLOUT, a_rollout(steps=STEPS))

    async def held() -> bool:
        status = (await stage.rollout()).get("status", {})
        return bool((await stage.deployment())["spec"].get("paused") and status.get("phase") == "Progressing")

    await stage.until("the update is held", held)
    await stage.until_paused(1)
    split = await stage.versions()
    new = split.get("version-2", 0)
    # What was applied before the Rollout moves natively until the Rollout is heard of, so that may be any number.
    assert new == 2 if first == "rollout" else new >= 2, await stage.picture()
    assert sum(split.values()) == MANY
    await stage.stays(split, seconds=3)
    await to_the_end(stage)
    assert condition(await stage.rollout(), "Succeeded")["status"] == "True"


@scenario
async def test_a_rollout_and_its_deployment_made_together(stage: Stage) -> None:
    await stage.apply(ROLLOUT, a_rollout(steps=STEPS))
    await stage.apply(DEPLOYMENT, a_deployment())
    await stage.until_ready(MANY)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_a_rollout_made_while_a_native_update_runs(stage: Stage) -> None:
    """S04."""
    slow = {"metadata": {"annotations": {"sim/ready-delay": "2s"}}}
    await ten_plain_pods(stage)
    await stage.set_version("version-2")
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"template": slow}})
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_said("was applied while nothing held it back")
    await stage.until_paused(1)
    split = await stage.versions()
    new = split.get("version-2", 0)
    assert new >= 2, await stage.picture()  # what the native update had begun when the Rollout was heard of
    assert sum(split.values()) == MANY
    await stage.stays(split, seconds=3)
    await to_the_end(stage)


@scenario
async def test_another_version_while_an_earlier_native_update_is_unfinished(stage: Stage) -> None:
    await ten_plain_pods(stage)
    await stage.set_image("busybox:not-exists", "bad")

    async def stuck() -> bool:
        return (await stage.versions()).get("bad", 0) > 0

    await stage.until("the native update has begun", stuck)
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.set_image("busybox:1.36", "version-2")
    await stage.until_paused(1)
    assert (await stage.versions()) == {"version-5": 8, "version-2": 2}
    await to_the_end(stage)


@scenario
async def test_other_deployments_are_left_alone(stage: Stage) -> None:
    await begin(stage)
    await stage.create(DEPLOYMENT, a_deployment("plain", 2))
    await stage.until_ready(2, "plain")
    await stage.set_version("version-2", "plain")
    await stage.until_versions({"version-2": 2}, "plain")
    assert stage.warnings == [] and left_of_ours(await stage.deployment("plain")) == []


@scenario
async def test_a_change_that_is_no_new_version_is_not_held(stage: Stage) -> None:
    await begin(stage)
    changed = copy.deepcopy(a_deployment())
    changed["metadata"]["labels"] = {"team": "a"}
    changed["spec"] |= {"revisionHistoryLimit": 5, "minReadySeconds": 1}
    await stage.apply(DEPLOYMENT, changed)
    await stage.scale(12)
    await stage.until_ready(12)
    assert stage.warnings == []
    assert not (await stage.deployment())["spec"].get("paused")
    assert (await stage.rollout())["status"]["phase"] == "Healthy"


@scenario
async def test_a_v1alpha1_rollout_without_a_style_releases_a_deployment_or_says_why_not(stage: Stage) -> None:
    rollout = an_alpha_rollout(steps=STEPS)
    del rollout["metadata"]["annotations"]
    await ten_plain_pods(stage)
    await stage.create(ROLLOUT_ALPHA, rollout)
    await stage.until_said("use canary with enableExtraWorkloadForCanary: false")
    assert condition(await stage.rollout(), "Stalled")["reason"] == "UnsupportedStrategy"
