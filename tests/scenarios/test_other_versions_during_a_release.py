"""A third version, a way back, and tools that write the same manifest for ever, in the middle of a release."""

from __future__ import annotations

import copy

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, REPLICA_SET, ROLLOUT

from .release import OURS, another_version, at_step, begin, condition, left_of_ours, to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_rollout, a_step, template_patch, version_of

REVISION = "deployment.kubernetes.io/revision"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}


async def is_rolled_back(stage: Stage) -> None:
    """All pods are of version-5, at no moment too few of them ready, and nothing of ours is left."""

    async def back() -> bool:
        status = (await stage.deployment())["status"]
        assert status.get("readyReplicas", 0) >= 8, await stage.picture()
        return await stage.versions() == {"version-5": 10}

    await stage.until("all pods are version-5 again", back)

    async def cancelled() -> bool:
        rollout = await stage.rollout()
        return (
            condition(rollout, "Succeeded").get("status") == "False"
            and rollout["status"]["phase"] == "Healthy"
        )

    await stage.until("the Rollout is Healthy, and says that the release did not succeed", cancelled)
    deployment = await stage.deployment()
    assert left_of_ours(deployment) == [] and not deployment["spec"].get("paused")
    assert deployment["spec"]["strategy"] == ROLLING


async def template_of(stage: Stage, version: str) -> Object:
    """The template that `kubectl rollout undo` finds in the ReplicaSet of `version`."""
    found = next(r for r in await stage.list(REPLICA_SET) if version_of(r["spec"]["template"]) == version)
    template: Object = copy.deepcopy(found["spec"]["template"])
    del template["metadata"]["labels"]["pod-template-hash"]
    return template


async def undo(stage: Stage, version: str) -> None:
    """The JSON patch that both `kubectl rollout undo` and the plugin send."""
    ops = [
        {"op": "replace", "path": "/spec/template", "value": await template_of(stage, version)},
        {
            "op": "replace",
            "path": "/metadata/annotations",
            "value": (await stage.deployment())["metadata"]["annotations"],
        },
    ]
    await stage.json_patch(DEPLOYMENT, "busybox", ops)


@scenario
async def test_one_version_after_another_and_back_to_the_first(stage: Stage) -> None:
    await at_step(stage, 2)
    await another_version(stage, "version-3")
    await stage.until_versions({"version-5": 5, "version-2": 3, "version-3": 2})
    await stage.set_version("version-5")
    await is_rolled_back(stage)


@scenario
async def test_back_to_the_version_in_between(stage: Stage) -> None:
    await at_step(stage, 2)
    await another_version(stage, "version-3")
    await another_version(stage, "version-2")
    await stage.until_versions(
        {"version-5": 5, "version-2": 3, "version-3": 2}
    )  # as many as step 1 asks for, and more
    await stage.approve()
    await stage.until_versions({"version-5": 5, "version-2": 5})
    await to_the_end(stage)


@scenario
async def test_another_version_while_pods_move(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.approve()
    await another_version(stage, "version-3")
    assert (await stage.versions())["version-3"] == 2
    await to_the_end(stage, "version-3")


@scenario
async def test_another_version_while_the_release_ends(stage: Stage) -> None:
    await at_step(stage, 2)
    await stage.approve()
    await stage.until_versions({"version-2": 10})
    await another_version(stage, "version-3")
    assert (await stage.versions())["version-3"] == 2
    await to_the_end(stage, "version-3")


@scenario
async def test_another_version_while_it_is_rolled_back(stage: Stage) -> None:
    await at_step(stage, 2)
    await stage.set_version("version-5")
    await another_version(stage, "version-3")
    assert (await stage.versions())["version-3"] == 2
    await to_the_end(stage, "version-3")


@pytest.mark.parametrize("how", ["patch", "apply", "undo", "undo without annotations"])
@pytest.mark.parametrize("moment", ["held", "paused", "moving"])
@scenario
async def test_going_back_in_the_middle(stage: Stage, how: str, moment: str) -> None:
    original = a_deployment()
    await stage.apply(DEPLOYMENT, original)
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("20%"), a_step("50%"), a_step("100%"))))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    if moment != "held":
        await stage.until_paused(1)
    if moment == "moving":
        await stage.approve()
    if how == "patch":
        await stage.set_version("version-5")
    elif how == "apply":
        await stage.apply(DEPLOYMENT, original)
    elif how == "undo":
        await undo(stage, "version-5")
    else:
        ops = [{"op": "replace", "path": "/spec/template", "value": await template_of(stage, "version-5")}]
        await stage.json_patch(DEPLOYMENT, "busybox", ops)
    assert any("rolled back" in w for w in stage.warnings), stage.warnings
    await is_rolled_back(stage)


@scenario
async def test_a_native_undo_after_the_release_is_a_release_of_its_own(stage: Stage) -> None:
    await at_step(stage, 2)
    await to_the_end(stage)
    await undo(stage, "version-5")
    await stage.until_paused(1)
    assert await stage.versions() == {"version-2": 8, "version-5": 2}
    await to_the_end(stage, "version-5")


@scenario
async def test_a_tool_that_applies_the_same_manifest_every_minute(stage: Stage) -> None:
    """Before, during and after a release: nothing moves that was not approved, and the release gets through."""
    manifest = a_deployment()
    await stage.apply(DEPLOYMENT, manifest, manager="gitops")
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("20%"), a_step("50%"), a_step("100%"))))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.apply(DEPLOYMENT, manifest, manager="gitops")
    manifest = a_deployment(version="version-2")
    for step, split in ((1, (8, 2)), (2, (5, 5))):
        for _ in range(3):
            await stage.apply(DEPLOYMENT, manifest, manager="gitops", force=False)
            await stage.clock.sleep(1)
        await stage.until_paused(step)
        await stage.until_versions({"version-5": split[0], "version-2": split[1]})
        await stage.approve()
    for _ in range(3):
        await stage.apply(DEPLOYMENT, manifest, manager="gitops", force=False)
        await stage.clock.sleep(1)
    await stage.until_phase("Healthy")
    generation = (await stage.deployment())["metadata"]["generation"]
    for _ in range(3):
        await stage.apply(DEPLOYMENT, manifest, manager="gitops", force=False)
    deployment = await stage.deployment()
    assert deployment["metadata"]["generation"] == generation
    assert await stage.versions() == {"version-2": 10} and left_of_ours(deployment) == []


@scenario
async def test_a_rejected_version_that_a_tool_applies_again_stays_held(stage: Stage) -> None:
    manifest = a_deployment(version="version-2")
    await stage.apply(DEPLOYMENT, a_deployment(), manager="gitops")
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("20%"), a_step("50%"), a_step("100%"))))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    await stage.apply(DEPLOYMENT, manifest, manager="gitops")
    await stage.until_paused(1)
    await undo(stage, "version-5")
    await stage.until_versions({"version-5": 10})
    await stage.until_phase("Healthy")
    for _ in range(3):
        await stage.apply(DEPLOYMENT, manifest, manager="gitops")
        await stage.until_said("was rolled back before")
        await stage.stays({"version-5": 10}, seconds=5)
    assert (await stage.rollout())["status"]["currentStepState"] == "StepPaused"
    await stage.approve()
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_each_rejected_version_stays_held_and_says_so_after_a_pause(stage: Stage) -> None:
    await begin(stage)
    for version in ("version-2", "version-3"):
        await stage.set_version(version)
        await stage.until_paused(1)
        await undo(stage, "version-5")
        await stage.until_phase("Healthy")
        await stage.until_versions({"version-5": 10})
    for version in ("version-2", "version-3"):
        await stage.set_version(version)
        await stage.until_paused(0)
        for paused in (True, False):
            await stage.patch(ROLLOUT, "busybox", {"spec": {"strategy": {"paused": paused}}})
            await stage.clock.sleep(1)
        await stage.stays({"version-5": 10}, seconds=3)
        assert "was rolled back before" in (await stage.rollout())["status"]["message"]
        await undo(stage, "version-5")
        await stage.until_phase("Healthy")
        await stage.until_versions({"version-5": 10})
    await stage.set_version("version-2")
    await stage.until_paused(0)
    await stage.approve()
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_a_tool_that_does_not_force_is_told_of_no_conflict(stage: Stage) -> None:
    await stage.apply(DEPLOYMENT, a_deployment(), manager="flux")
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("20%"), a_step("50%"), a_step("100%"))))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    for version, step in (("version-2", 1), ("version-2", 1), ("version-3", 1)):
        await stage.apply(DEPLOYMENT, a_deployment(version=version), manager="flux", force=False)
        await stage.until_paused(step)
    await to_the_end(stage, "version-3")
    await stage.apply(
        DEPLOYMENT, a_deployment(version="version-3", minReadySeconds=1), manager="flux", force=False
    )


async def until_restarted(stage: Stage, pods: int, stamp: dict[str, str]) -> None:
    async def restarted() -> bool:
        found = (p["metadata"].get("annotations", {}) for p in await stage.pods())
        return sum(stamp.items() <= annotations.items() for annotations in found) == pods

    await stage.until(f"{pods} pods are restarted", restarted)


@scenario
async def test_what_kubectl_rollout_does_during_a_release(stage: Stage) -> None:
    await at_step(stage, 1)
    for paused in (False, True, None):  # resume, pause, and a manifest without the field
        await stage.patch(DEPLOYMENT, "busybox", {"spec": {"paused": paused}})
        await stage.stays({"version-5": 8, "version-2": 2}, seconds=3)
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"template": {"metadata": {"annotations": stamp}}}})
    assert any("starts over" in w for w in stage.warnings), stage.warnings
    await until_restarted(stage, 2, stamp)
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 8, "version-2": 2}
    await to_the_end(stage)


@scenario
async def test_a_restart_of_a_healthy_deployment_is_released_in_steps(stage: Stage) -> None:
    await begin(stage)
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    body = template_patch("busybox", "version-5")
    body["spec"]["template"]["metadata"] = {"annotations": stamp}
    await stage.patch(DEPLOYMENT, "busybox", body, type_="strategic")
    await until_restarted(stage, 2, stamp)
    await stage.until_paused(1)
    await to_the_end(stage, "version-5")


@scenario
async def test_a_version_that_comes_on_the_way_back_sets_out_from_where_it_leads(stage: Stage) -> None:
    await at_step(stage, 2)
    stable = (await stage.deployment())["metadata"]["labels"][f"{OURS}stable-revision"]
    await undo(stage, "version-5")
    await stage.until_phase("Healthy")
    await stage.set_version("version-3")
    assert (await stage.deployment())["metadata"]["labels"][f"{OURS}stable-revision"] == stable
    await stage.until_paused(1)
    await undo(stage, "version-5")
    await stage.until_phase("Healthy")
    await stage.until_versions({"version-5": 10})
