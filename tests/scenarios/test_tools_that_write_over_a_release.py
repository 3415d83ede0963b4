"""The hold cannot be got round by accident, whatever tool writes the Deployment, and its user is told."""

from __future__ import annotations

import copy

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

from .release import STEPS, at_step, begin, condition, left_of_ours, to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_rollout, a_step


async def held(stage: Stage, split: dict[str, int]) -> None:
    """It is paused at step 1 with these pods, and stays so."""
    await stage.until_paused(1)
    await stage.stays(split, seconds=3)


def told(stage: Stage, words: str) -> None:
    assert any(words in w for w in stage.warnings), stage.warnings


@pytest.mark.parametrize("how", ["replace", "server-side apply", "update of what was read"])
@scenario
async def test_a_tool_that_sends_the_object_without_its_uid_is_held_too(stage: Stage, how: str) -> None:
    """S09: Karmada and OCM do."""
    await begin(stage)
    manifest = a_deployment(version="version-2")
    if how == "replace":
        await stage.replace(DEPLOYMENT, manifest)
    elif how == "server-side apply":
        await stage.apply(DEPLOYMENT, manifest, manager="karmada")
    else:
        live = await stage.deployment()
        del live["metadata"]["uid"], live["metadata"]["resourceVersion"]
        live["spec"]["template"] = manifest["spec"]["template"]
        await stage.replace(DEPLOYMENT, live)
    told(stage, "holds this update")
    await held(stage, {"version-5": 8, "version-2": 2})
    await to_the_end(stage)


@scenario
async def test_a_replace_that_strips_our_label_is_told_of(stage: Stage) -> None:
    """S05: `kubectl replace` of the manifest in git, at step 1."""
    await at_step(stage, 1)
    await stage.replace(DEPLOYMENT, a_deployment(version="version-2"))
    told(stage, "Rollout busybox")
    assert "rollouts.kruise.io/workload-type" in (await stage.deployment())["metadata"]["labels"]
    await held(stage, {"version-5": 8, "version-2": 2})
    await to_the_end(stage)


@scenario
async def test_a_replace_that_strips_our_label_before_a_release_lets_no_version_through(stage: Stage) -> None:
    """S04, S05: without the label the very next version is still held."""
    await begin(stage)
    await stage.replace(DEPLOYMENT, a_deployment())
    await stage.replace(DEPLOYMENT, a_deployment(version="version-2"))
    told(stage, "holds this update")
    await held(stage, {"version-5": 8, "version-2": 2})
    await to_the_end(stage)


@scenario
async def test_a_tool_that_forces_a_manifest_with_paused_false(stage: Stage) -> None:
    """S06: server-side apply by another manager, with force, of every field that holds the release."""
    await begin(stage)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "50%"}}
    manifest = a_deployment(version="version-2", paused=False, minReadySeconds=0, strategy=rolling)
    manifest["metadata"]["annotations"] = {
        "rollouts.kruise.io/in-progressing": "",
        "rollouts.kruise.io/deployment-strategy": '{"rollingStyle":"Partition","partition":"100%"}',
    }
    await stage.apply(DEPLOYMENT, manifest, manager="argocd-controller")
    await stage.until_paused(1)
    stage.warnings.clear()
    for _ in range(3):
        await stage.apply(DEPLOYMENT, manifest, manager="argocd-controller")
        await held(stage, {"version-5": 8, "version-2": 2})
    await stage.approve()
    await stage.until_paused(2)
    await stage.until_versions({"version-5": 5, "version-2": 5})
    await stage.approve()
    await stage.until_phase("Healthy")
    await stage.until_versions({"version-2": 10})
    spec = (await stage.deployment())["spec"]
    assert spec["strategy"] == rolling and not spec.get("paused")


@pytest.mark.parametrize("first", ["rollout", "deployment"])
@scenario
async def test_who_applies_a_rollout_and_a_new_version_together_is_told(stage: Stage, first: str) -> None:
    """S04. By a warning if the Rollout was there first; else by an Event, for the update was admitted before."""
    await stage.create(DEPLOYMENT, a_deployment())
    await stage.until_ready(10)
    for kind in (ROLLOUT, DEPLOYMENT) if first == "rollout" else (DEPLOYMENT, ROLLOUT):
        manifest = a_rollout(steps=STEPS) if kind is ROLLOUT else a_deployment(version="version-2")
        await stage.apply(kind, manifest)
    if first == "rollout":
        told(stage, "holds this update")
    else:
        await stage.until_said("was applied while nothing held it back")
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_a_pause_by_hand_while_pods_move_is_answered(stage: Stage) -> None:
    """`kubectl rollout pause` between two writes of ours: the release goes on, and the person reads how to stop it."""
    slow = {"spec": {"template": {"metadata": {"annotations": {"sim/ready-delay": "3s"}}}}}
    await begin(stage)
    await stage.patch(DEPLOYMENT, "busybox", slow)
    await stage.set_version("version-2")

    async def moving() -> bool:
        return not (await stage.deployment())["spec"].get("paused")

    await stage.until_paused(1)
    await stage.approve()
    stage.warnings.clear()
    for _ in range(40):
        if await moving():
            await stage.patch(DEPLOYMENT, "busybox", {"spec": {"paused": True}})
            break
        await stage.clock.sleep(0.02)
    await stage.until_paused(2)
    assert all("Rollout busybox" in w or "kubectl" in w for w in stage.warnings), stage.warnings
    await to_the_end(stage)


@scenario
async def test_a_gitops_tool_before_during_and_after_a_rollback_in_git(stage: Stage) -> None:
    """It applies what git says, again and again: version-2, then a revert to version-5, then version-3."""
    old, new = a_deployment(), a_deployment(version="version-2")
    await stage.apply(DEPLOYMENT, old, manager="gitops")
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("20%"), a_step("50%"), a_step("100%"))))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")

    async def minutes(manifest: Object, split: dict[str, int]) -> None:
        await stage.apply(DEPLOYMENT, manifest, manager="gitops")
        await stage.until_versions(split)
        for _ in range(3):
            await stage.apply(DEPLOYMENT, copy.deepcopy(manifest), manager="gitops", force=False)
            await stage.stays(split, seconds=1)

    await minutes(old, {"version-5": 10})
    await minutes(new, {"version-5": 8, "version-2": 2})
    stage.warnings.clear()
    await minutes(old, {"version-5": 10})
    told(stage, "rolled back")
    await stage.until_phase("Healthy")
    assert condition(await stage.rollout(), "Succeeded")["status"] == "False"
    assert left_of_ours(await stage.deployment()) == []
    generation = (await stage.deployment())["metadata"]["generation"]
    await minutes(old, {"version-5": 10})
    assert (await stage.deployment())["metadata"]["generation"] == generation
    await minutes(a_deployment(version="version-3"), {"version-5": 8, "version-3": 2})
    await to_the_end(stage, "version-3")


@scenario
async def test_the_label_that_admission_goes_by_comes_back_between_releases(stage: Stage) -> None:
    """S05: `kubectl replace` of a manifest without it, with no release about."""
    await begin(stage)
    label = "rollouts.kruise.io/workload-type"
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"labels": {label: None}}})

    async def labelled() -> bool:
        return label in (await stage.deployment())["metadata"].get("labels", {})

    await stage.until("the label is back", labelled, within=10)
