"""The engine alone: no Rollout, a person or a tool writes the annotation that says how many pods may be new."""

from __future__ import annotations

import json

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, REPLICA_SET

from .scenario import scenario
from .stage import Stage, a_deployment

STRATEGY = "rollouts.kruise.io/deployment-strategy"
EXTRA_STATUS = "rollouts.kruise.io/deployment-extra-status"
SLACK = {"maxSurge": 1, "maxUnavailable": 0}
NEVER_PULLS = "failed_image:failed"


def strategy(partition: int | str, *, paused: bool = False) -> str:
    value = {"rollingStyle": "Partition", "rollingUpdate": SLACK, "partition": partition}
    return json.dumps(value | ({"paused": True} if paused else {}))


async def five_pods(stage: Stage) -> None:
    deployment = a_deployment(
        replicas=5, version="v1", strategy={"type": "RollingUpdate", "rollingUpdate": SLACK}
    )
    deployment["metadata"]["annotations"] = {STRATEGY: strategy(0)}
    await stage.create(DEPLOYMENT, deployment)
    await settles(stage, 5, 5, 5)


async def new_version(stage: Stage, version: str, image: str = "busybox:1.36") -> None:
    """The template and the mark that nothing may move for it yet, as tools write them: the mark first."""
    await drive(stage, 0, paused=True)
    await stage.set_image(image, version)


async def drive(stage: Stage, partition: int | str, *, paused: bool = False) -> None:
    body = {"metadata": {"annotations": {STRATEGY: strategy(partition, paused=paused)}}}
    await stage.patch(DEPLOYMENT, "busybox", body)


async def newest_replica_set(stage: Stage) -> str:
    """UID of the one with the highest revision."""
    revision = "deployment.kubernetes.io/revision"
    newest = max(await stage.list(REPLICA_SET), key=lambda r: int(r["metadata"]["annotations"][revision]))
    return str(newest["metadata"]["uid"])


async def settles(stage: Stage, replicas: int, available: int, updated: int) -> None:
    """Gets there, and stays there for five seconds."""
    want = (replicas, available, updated)

    async def same() -> bool:
        status = (await stage.deployment()).get("status", {})
        counts = tuple(status.get(f, 0) for f in ("replicas", "availableReplicas", "updatedReplicas"))
        return counts == want and len(await stage.pods()) == replicas

    async def there() -> bool:
        deployment = await stage.deployment()
        seen = deployment.get("status", {}).get("observedGeneration") == deployment["metadata"]["generation"]
        return seen and await same()

    await stage.until(f"(replicas, available, updated) are {want}", there)
    await stage.always(f"(replicas, available, updated) stay {want}", same, seconds=5)


@scenario
async def test_each_partition_is_reached_exactly_and_kept(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2")
    await settles(stage, 5, 5, 0)
    for partition in (0, 1, 2, 3, 5):
        await drive(stage, partition)
        await settles(stage, 5, 5, partition)


@scenario
async def test_scaling_keeps_the_share_of_new_pods(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2")
    for partition in (0, 1, 2):
        await drive(stage, partition)
        await settles(stage, 5, 5, partition)
    await stage.scale(10)
    await settles(stage, 10, 10, 4)
    for partition in (7, 10):
        await drive(stage, partition)
        await settles(stage, 10, 10, partition)


@scenario
async def test_a_new_image_that_never_pulls_takes_no_old_pod_away(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2", image=NEVER_PULLS)
    await drive(stage, 0)
    await settles(stage, 5, 5, 0)
    await drive(stage, 3)
    await settles(stage, 6, 5, 1)


@scenario
async def test_going_back_to_an_earlier_version_uses_its_pods_again(stage: Stage) -> None:
    await five_pods(stage)
    made = []
    for version, partition in (("v2", 2), ("v3", 3)):
        await new_version(stage, version)
        await drive(stage, 0)
        await drive(stage, partition)
        await settles(stage, 5, 5, partition)
        made.append(await newest_replica_set(stage))
    await new_version(stage, "v2")
    for partition in (2, 3, 5):
        await drive(stage, partition)
        await settles(stage, 5, 5, partition)
    assert await stage.versions() == {"v2": 5}
    assert await newest_replica_set(stage) == made[0] != made[1]


@scenario
async def test_failed_pods_of_a_version_go_as_soon_as_another_one_comes(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2", image="busybox:not-exists")
    await drive(stage, 1)
    await settles(stage, 6, 5, 1)
    await new_version(stage, "v3", image="busybox:1.32")
    await settles(stage, 5, 5, 0)
    assert await stage.versions() == {"v1": 5}
    await drive(stage, "100%")
    await settles(stage, 5, 5, 5)


@pytest.mark.parametrize("text", ["{", "[]", '{"partition": true}', '{"partition": {}}', "null"])
@scenario
async def test_an_annotation_that_cannot_be_read_stops_everything_until_it_can(
    stage: Stage, text: str
) -> None:
    await five_pods(stage)
    await new_version(stage, "v2")
    await drive(stage, 2)
    await settles(stage, 5, 5, 2)
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"annotations": {STRATEGY: text}}})
    await settles(stage, 5, 5, 2)
    said = (await stage.deployment())["metadata"]["annotations"][EXTRA_STATUS]
    assert "cannot be read" in said, said
    await drive(stage, 4)
    await settles(stage, 5, 5, 4)
    assert "cannot be read" not in (await stage.deployment())["metadata"]["annotations"][EXTRA_STATUS]


async def until_let_go(stage: Stage) -> None:
    async def let_go() -> bool:
        return EXTRA_STATUS not in (await stage.deployment())["metadata"]["annotations"]

    await stage.until("the engine lets go", let_go)


@scenario
async def test_the_settings_come_back_when_the_annotation_is_taken_away(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2")
    await drive(stage, 5)
    await settles(stage, 5, 5, 5)
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"annotations": {STRATEGY: None}}})
    await until_let_go(stage)
    spec = (await stage.deployment())["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": SLACK}
    assert (spec.get("minReadySeconds", 0), spec["progressDeadlineSeconds"]) == (0, 600)


@scenario
async def test_no_pod_is_added_when_the_annotation_is_taken_away_half_way(stage: Stage) -> None:
    await five_pods(stage)
    await new_version(stage, "v2")
    await drive(stage, 2)
    await settles(stage, 5, 5, 2)
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"annotations": {STRATEGY: None}}})
    await stage.stays({"v1": 3, "v2": 2}, seconds=5)
    assert any(e["reason"] == "TakenAwayHalfWay" for e in await stage.events("Deployment", "busybox"))
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"paused": False}})
    await stage.until_versions({"v2": 5})
    await until_let_go(stage)
    spec = (await stage.deployment())["spec"]
    assert not spec.get("paused")
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": SLACK}
