"""What people and their tools do to a Deployment while a release goes on, and what is left of it at the end."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_rollout, a_step

STEPS = (a_step("20%"), a_step("50%"), a_step("100%"))
ROLLING = {"maxSurge": "25%", "maxUnavailable": "25%"}


async def at_step_one(stage: Stage, **spec: Any) -> None:
    """Ten pods, two of them of version-2, held."""
    await stage.create(DEPLOYMENT, a_deployment(**spec))
    await stage.create(ROLLOUT, a_rollout(steps=STEPS))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    stage.warnings.clear()


async def to_the_end(stage: Stage) -> Object:
    """The Deployment after the last step."""
    for step in (1, 2):
        await stage.until_paused(step)
        await stage.approve()
    await stage.until_phase("Healthy", within=120)
    await stage.until_versions({"version-2": 10})
    return await stage.deployment()


async def still_at_two(stage: Stage) -> None:
    async def two() -> bool:
        return await stage.versions() == {"version-5": 8, "version-2": 2}

    await stage.always("two pods of the new version", two, seconds=10)


@pytest.mark.parametrize("tool", ["replace", "server-side apply"])
@scenario
async def test_a_tool_that_writes_the_same_manifest_again_changes_nothing(stage: Stage, tool: str) -> None:
    await at_step_one(stage)
    before = await stage.deployment()
    manifest = a_deployment(version="version-2")
    if tool == "replace":
        await stage.replace(DEPLOYMENT, manifest)
    else:
        await stage.apply(DEPLOYMENT, manifest, manager="argocd-controller")
    after = await stage.deployment()
    assert {k: v for k, v in after["spec"].items() if v} == {k: v for k, v in before["spec"].items() if v}
    for where in ("labels", "annotations"):
        ours = {k: v for k, v in before["metadata"][where].items() if "kruise.io" in k}
        assert ours and ours.items() <= after["metadata"][where].items()
    await still_at_two(stage)
    await to_the_end(stage)


@scenario
async def test_resuming_a_held_deployment_moves_no_pod_and_says_why(stage: Stage) -> None:
    await at_step_one(stage)
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"paused": False}})
    assert "stays paused" in stage.warnings[0] and "approve" in stage.warnings[1]
    await still_at_two(stage)


@scenario
async def test_taking_our_marks_away_moves_no_pod(stage: Stage) -> None:
    await at_step_one(stage)
    ours = [k for k in (await stage.deployment())["metadata"]["annotations"] if "kruise.io" in k]
    body = {"metadata": {"annotations": dict.fromkeys(ours), "labels": None}, "spec": {"paused": None}}
    await stage.patch(DEPLOYMENT, "busybox", body)
    await still_at_two(stage)
    await to_the_end(stage)


@scenario
async def test_settings_written_during_a_release_are_what_the_deployment_has_at_its_end(stage: Stage) -> None:
    await at_step_one(stage, minReadySeconds=1, strategy={"type": "RollingUpdate", "rollingUpdate": ROLLING})
    wanted = {
        "minReadySeconds": 2,
        "progressDeadlineSeconds": 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}},
    }
    await stage.patch(DEPLOYMENT, "busybox", {"spec": copy.deepcopy(wanted)})
    assert "in effect when the release ends" in stage.warnings[0]

    async def told_once() -> bool:
        stage.warnings.clear()
        await stage.patch(DEPLOYMENT, "busybox", {"spec": copy.deepcopy(wanted)})
        return not stage.warnings

    # The API server may show admission the Deployment of a moment ago first, and keeps what was said of that.
    await stage.until("what is recorded is not told again", told_once)
    await still_at_two(stage)
    end = (await to_the_end(stage))["spec"]
    assert {k: end[k] for k in wanted} == wanted
    assert not end.get("paused")


@scenario
async def test_settings_of_before_come_back_if_nobody_wrote_others(stage: Stage) -> None:
    own = {"minReadySeconds": 1, "progressDeadlineSeconds": 500}
    own_strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": "30%"}}
    await at_step_one(stage, **own, strategy=own_strategy)
    end = (await to_the_end(stage))["spec"]
    assert {k: end[k] for k in own} == own and end["strategy"] == own_strategy


@scenario
async def test_applying_settings_while_pods_move_does_not_let_more_of_them_move(stage: Stage) -> None:
    await at_step_one(stage)
    await stage.approve()
    for _ in range(5):
        await stage.apply(
            DEPLOYMENT,
            a_deployment(
                version="version-2",
                minReadySeconds=0,
                strategy={
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "100%"},
                },
            ),
            manager="argocd-controller",
        )
        await stage.clock.sleep(0.5)
    await stage.until_paused(2)
    await stage.until_versions({"version-5": 5, "version-2": 5})
