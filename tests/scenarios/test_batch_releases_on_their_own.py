"""BatchRelease as an API of its own: a person makes one, moves batchPartition on, and takes it away."""

from __future__ import annotations

from typing import Any

from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT

from .release import condition, left_of_ours
from .scenario import scenario
from .stage import Object, Stage, a_deployment


def a_batch_release(
    *batches: int | str, name: str = "release", workload: str = "busybox", **plan: Any
) -> Object:
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "BatchRelease",
        "metadata": {"name": name},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "releasePlan": {
                "batches": [{"canaryReplicas": b} for b in batches],
                "batchPartition": 0,
                "rollingStyle": "Partition",
                "enableExtraWorkloadForCanary": False,
                **plan,
            },
        },
    }


async def until_batch(stage: Stage, batch: int, name: str = "release") -> None:
    """`batch` (0-based) is ready."""

    async def ready() -> bool:
        status = (await stage.get(BATCH_RELEASE, name)).get("status", {}).get("canaryStatus", {})
        return (status.get("currentBatch", 0), status.get("batchState")) == (batch, "Ready")

    await stage.until(f"batch {batch} of BatchRelease {name} is ready", ready)


async def until_told(stage: Stage, reason: str, words: str, name: str = "release") -> None:
    async def told() -> bool:
        found = condition(await stage.get(BATCH_RELEASE, name), "Stalled")
        return found.get("reason") == reason and words in found["message"]

    await stage.until(f"BatchRelease {name} says {reason}: {words}", told)


async def with_batches_begun(stage: Stage) -> None:
    """Ten pods; a person pauses the Deployment, changes it, and makes a BatchRelease."""
    await stage.create(DEPLOYMENT, a_deployment())
    await stage.until_ready(10)
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"paused": True}})
    await stage.set_version("version-2")
    await stage.create(BATCH_RELEASE, a_batch_release("10%", 5, "100%"))
    await until_batch(stage, 0)
    await stage.until_versions({"version-5": 9, "version-2": 1})


async def move_on(stage: Stage, partition: int | None) -> None:
    await stage.patch(BATCH_RELEASE, "release", {"spec": {"releasePlan": {"batchPartition": partition}}})


@scenario
async def test_batch_partition_moves_the_pods_on_and_its_absence_ends_it(stage: Stage) -> None:
    await with_batches_begun(stage)
    await move_on(stage, 1)
    await until_batch(stage, 1)
    await stage.until_versions({"version-5": 5, "version-2": 5})
    await move_on(stage, None)
    await stage.until_versions({"version-2": 10})

    async def completed() -> bool:
        return (await stage.get(BATCH_RELEASE, "release"))["status"]["phase"] == "Completed"

    await stage.until("the BatchRelease is completed", completed)
    deployment = await stage.deployment()
    assert left_of_ours(deployment) == [] and not deployment["spec"].get("paused")


@scenario
async def test_a_batch_release_that_is_deleted_leaves_the_pods_to_the_next_one(stage: Stage) -> None:
    await with_batches_begun(stage)
    await stage.delete(BATCH_RELEASE, "release")
    await stage.until_gone(BATCH_RELEASE, "release")
    await stage.stays({"version-5": 9, "version-2": 1}, seconds=5)
    await stage.create(BATCH_RELEASE, a_batch_release("30%", "100%", name="next"))
    await until_batch(stage, 0, "next")
    await stage.until_versions({"version-5": 7, "version-2": 3})


@scenario
async def test_another_version_begins_at_the_first_batch(stage: Stage) -> None:
    await with_batches_begun(stage)
    await stage.set_version("version-3")
    await stage.until_versions({"version-5": 9, "version-3": 1})
    await until_batch(stage, 0)


@scenario
async def test_scaling_keeps_the_share_of_a_batch(stage: Stage) -> None:
    await with_batches_begun(stage)
    await stage.scale(20)
    await stage.until_versions({"version-5": 18, "version-2": 2})
    await until_batch(stage, 0)


@scenario
async def test_a_batch_release_that_cannot_work_says_why(stage: Stage) -> None:
    await stage.create(BATCH_RELEASE, a_batch_release("10%"))
    await until_told(stage, "WorkloadNotFound", "there is no Deployment busybox in this namespace")
    await stage.create(DEPLOYMENT, a_deployment())

    async def found() -> bool:
        return condition(await stage.get(BATCH_RELEASE, "release"), "Stalled") == {}

    await stage.until("the workload is found", found)
    await stage.create(BATCH_RELEASE, a_batch_release("10%", name="second"))
    await until_told(stage, "WorkloadClaimed", "delete one of the two", "second")
    await stage.create(BATCH_RELEASE, a_batch_release(name="empty", workload="another"))
    await stage.create(DEPLOYMENT, a_deployment("another", 1))
    await until_told(stage, "InvalidPlan", "add at least one batch", "empty")
