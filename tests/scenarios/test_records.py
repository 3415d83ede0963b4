"""What is recorded of releases, with the gate RolloutHistory on."""

from __future__ import annotations

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT, ROLLOUT_HISTORY

from .scenario import scenario
from .stage import Stage, a_deployment, a_rollout, a_step


@scenario
async def test_a_release_leaves_a_record_of_its_plan_and_of_the_pods_of_each_step(stage: Stage) -> None:
    await stage.create(DEPLOYMENT, a_deployment(replicas=4))
    await stage.create(ROLLOUT, a_rollout(steps=(a_step("25%", 1), a_step("100%"))))
    await stage.until_ready(4)
    await stage.until_phase("Healthy")
    await stage.set_version("version-2")
    await stage.until_versions({"version-2": 4})
    await stage.until_phase("Healthy")

    async def recorded() -> bool:
        found = await stage.list(ROLLOUT_HISTORY, "rollouts.kruise.io/rollout-name=busybox")
        return [h.get("status", {}).get("phase") for h in found] == ["completed"]

    await stage.until("one completed RolloutHistory", recorded)
    record = (await stage.list(ROLLOUT_HISTORY))[0]
    assert record["spec"]["workload"]["name"] == "busybox"
    assert record["spec"]["rollout"]["data"]["strategy"]["canary"]["steps"]
    assert [len(step.get("pods", ())) for step in record["status"]["canarySteps"]] == [1, 3]


@scenario
async def test_a_release_of_a_rollout_with_a_very_long_name_leaves_its_record_too(stage: Stage) -> None:
    """No label holds more than 63 characters: there was no record, and the controller tried for ever."""
    name = "rollout-of-" + "busybox-" * 12 + "x"
    rollout = a_rollout(name, steps=(a_step("25%", 1), a_step("100%")))
    rollout["spec"]["workloadRef"]["name"] = "busybox"
    await stage.create(DEPLOYMENT, a_deployment(replicas=4))
    await stage.create(ROLLOUT, rollout)
    await stage.until_ready(4)

    async def healthy() -> bool:
        return bool((await stage.get(ROLLOUT, name)).get("status", {}).get("phase") == "Healthy")

    await stage.until("the Rollout is Healthy", healthy)
    await stage.set_version("version-2")
    await stage.until_versions({"version-2": 4})

    async def recorded() -> bool:
        found = await stage.list(ROLLOUT_HISTORY)
        return [h.get("status", {}).get("phase") for h in found] == ["completed"]

    await stage.until("one completed RolloutHistory", recorded)
    record = (await stage.list(ROLLOUT_HISTORY))[0]
    assert record["spec"]["rollout"]["name"] == name
