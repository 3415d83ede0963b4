"""Where stories begin that are about the middle of a release, and what they all look at."""

from __future__ import annotations

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

from .stage import Object, Stage, a_deployment, a_rollout, a_step

OURS = "rollouts.kruise.io/"
STEPS = (a_step("20%"), a_step("50%"), a_step("100%"))
Split = dict[str, int]


async def begin(stage: Stage, *steps: Object, replicas: int = 10, **canary: object) -> None:
    """`replicas` pods of version-5 and a Healthy Rollout."""
    await stage.create(DEPLOYMENT, a_deployment(replicas=replicas))
    await stage.create(ROLLOUT, a_rollout(steps=steps or STEPS, **canary))
    await stage.until_ready(replicas)
    await stage.until_phase("Healthy")


async def at_step(stage: Stage, step: int, *steps: Object, replicas: int = 10, **canary: object) -> None:
    """A release of version-2, paused at `step`. The plan is STEPS unless `steps` say otherwise."""
    await begin(stage, *steps, replicas=replicas, **canary)
    await stage.set_version("version-2")
    await stage.until_paused(1)
    for nr in range(2, step + 1):
        await stage.approve()
        await stage.until_paused(nr)
    stage.warnings.clear()


async def another_version(stage: Stage, version: str) -> None:
    """`version` in the middle of a release: it is paused at step 1 again."""
    before = (await stage.rollout())["status"]["canaryStatus"]["canaryRevision"]
    await stage.set_version(version)

    async def begun_again() -> bool:
        status = (await stage.rollout())["status"]
        sub = status.get("canaryStatus") or {}
        at = (status.get("currentStepIndex"), status.get("currentStepState"))
        return sub.get("canaryRevision") not in ("", before, None) and at == (1, "StepPaused")

    await stage.until(f"{version} is paused at step 1", begun_again)


async def to_the_end(stage: Stage, version: str = "version-2", pods: int = 10) -> Object:
    """The Deployment after the release, every pause approved on the way."""

    async def over() -> bool:
        status = (await stage.rollout())["status"]
        if (status.get("canaryStatus") or {}).get("currentStepState") == "StepPaused":
            await stage.approve()
        return bool(status.get("phase") == "Healthy")

    await stage.until("the release is over", over, within=120)
    await stage.until_versions({version: pods})
    deployment = await stage.deployment()
    assert left_of_ours(deployment) == []
    assert not deployment["spec"].get("paused")
    return deployment


def condition(obj: Object, type_: str) -> Object:
    return next((c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == type_), {})


def left_of_ours(deployment: Object) -> list[str]:
    """Annotations and labels of ours that a finished release left behind."""
    meta = deployment["metadata"]
    marks = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    return [k for k in marks if OURS in k and k not in (OURS + "workload-type", OURS + "rollout-id")]
