"""Writes that no admission has seen, as when its webhook was down: nothing is let loose, and the release goes on.

Such a write is made here with the manager's own field name, which admission lets through as it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kruise_rollouts.kube.objects import DEPLOYMENT

from .release import at_step, begin, to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, template_patch


async def unseen(stage: Stage, body: Object) -> None:
    """A patch of the Deployment that admission does not look at."""
    await stage.api.request(
        "PATCH",
        DEPLOYMENT.path(stage.ns, "busybox"),
        params={"fieldManager": "kruise-rollout"},
        body=msgspec.json.encode(body),
        content_type="application/strategic-merge-patch+json",
    )


async def without_marks(stage: Stage, **spec: Any) -> Object:
    """A patch that takes away all of ours, and the pause."""
    meta = (await stage.deployment())["metadata"]
    gone = {k: {n: None for n in meta.get(k, {}) if "kruise.io" in n} for k in ("annotations", "labels")}
    return {"metadata": gone, "spec": {"paused": None, **spec}}


async def ends_in_steps(stage: Stage, version: str) -> None:
    """It is paused at step 1 of `version` before more than a native update's first pods are new."""

    async def held() -> bool:
        deployment, status = await stage.deployment(), (await stage.rollout())["status"]
        assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
        assert deployment["status"].get("readyReplicas", 0) >= 7, await stage.picture()
        at = (status.get("currentStepIndex"), status.get("currentStepState"))
        return at == (1, "StepPaused") and (await stage.versions()).get(version, 0) >= 2

    await stage.until(f"{version} is paused at step 1", held)
    assert (await stage.versions())[version] <= 6, await stage.picture()
    await to_the_end(stage, version)


@scenario
async def test_a_new_version_that_nobody_held_is_held_by_the_controller(stage: Stage) -> None:
    """S02."""
    await begin(stage)
    await unseen(stage, template_patch("busybox", "version-2"))
    await ends_in_steps(stage, "version-2")
    await stage.until_said("was applied while nothing held it back")


@scenario
async def test_another_version_during_a_release_that_nobody_held(stage: Stage) -> None:
    await at_step(stage, 1)
    body = template_patch("busybox", "version-3")
    body["spec"]["paused"] = False
    await unseen(stage, body)
    await ends_in_steps(stage, "version-3")


@scenario
async def test_a_manifest_written_over_everything_of_ours(stage: Stage) -> None:
    await at_step(stage, 1)
    spec = template_patch("busybox", "version-2")["spec"]
    await unseen(stage, await without_marks(stage, **spec))
    await ends_in_steps(stage, "version-2")


@scenario
async def test_another_version_written_over_everything_of_ours(stage: Stage) -> None:
    await at_step(stage, 1)
    spec = template_patch("busybox", "version-3")["spec"]
    await unseen(stage, await without_marks(stage, **spec))
    await ends_in_steps(stage, "version-3")


@scenario
async def test_a_held_deployment_that_is_resumed(stage: Stage) -> None:
    await at_step(stage, 1)
    await unseen(stage, {"spec": {"paused": False}})

    async def paused() -> bool:
        return bool((await stage.deployment())["spec"].get("paused"))

    await stage.until("it is paused again", paused)
    assert (await stage.versions())["version-2"] <= 6, await stage.picture()
    await to_the_end(stage)


@scenario
async def test_going_back_with_everything_of_ours_written_over(stage: Stage) -> None:
    await at_step(stage, 1)
    spec = a_deployment()["spec"]
    await unseen(stage, await without_marks(stage, template=spec["template"]))
    await stage.until_said("has been rolled back, then rollout is canceled")
    await to_the_end(stage, "version-5")
