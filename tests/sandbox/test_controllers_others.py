"""Stories of the other controllers, played in the sandbox and on a real control plane."""

from __future__ import annotations

from typing import Any

import pytest
from controller_stage import Object, Play, Story, image_of, play_in_sandbox, play_on_cluster

from kruise_rollouts.kube.objects import CONTROLLER_REVISION, DAEMON_SET, POD, SERVICE, STATEFUL_SET
from kruise_rollouts.sandbox.controllers.disruption import BUDGET
from kruise_rollouts.sandbox.controllers.endpoints import ENDPOINTS, SLICE
from kruise_rollouts.sandbox.nodes.stages import Knobs

STORIES: list[Story] = []


def story(tell: Story) -> Story:
    STORIES.append(tell)
    return tell


def a_stateful_set(replicas: int = 3, image: str = "v1", **spec: Any) -> Object:
    labels = {"app": "db"}
    containers = [{"name": "main", "image": image_of(image)}]
    return {
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }


def a_daemon_set(**spec: Any) -> Object:
    labels = {"app": "agent"}
    containers = [{"name": "main", "image": "app:v1"}]
    return {
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }


def new_image(image: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image_of(image)}]}}}}


async def images(play: Play) -> dict[str, str]:
    """pod -> image, of pods that are not going away"""
    pods = [p for p in await play.place.list(POD) if not p["metadata"].get("deletionTimestamp")]
    return {p["metadata"]["name"]: p["spec"]["containers"][0]["image"].removeprefix("app:") for p in pods}


async def stateful(play: Play, images_wanted: list[str], seconds: float = 40, **counts: int) -> Object:
    """The pods db-0, db-1, ... come to have these images, and status these counts. The status."""

    async def look() -> Any:
        found = await play.place.find(STATEFUL_SET, "db")
        assert found is not None
        status = found.get("status") or {}
        return await images(play), {k: status.get(k, 0) for k in counts}

    wanted = ({f"db-{i}": image for i, image in enumerate(images_wanted)}, counts)
    seen = await play.place.until(look, wanted, seconds)
    assert seen == wanted, f"{seen}, not {wanted}"
    found = await play.place.find(STATEFUL_SET, "db")
    assert found is not None
    status: Object = found["status"]
    return status


@story
async def a_stateful_set_numbers_its_pods(play: Play) -> None:
    await play.place.create(STATEFUL_SET, a_stateful_set())
    status = await stateful(
        play, ["v1"] * 3, replicas=3, readyReplicas=3, currentReplicas=3, updatedReplicas=3
    )
    assert status["currentRevision"] == status["updateRevision"]
    assert status["collisionCount"] == 0
    pod = await play.place.find(POD, "db-1")
    assert pod is not None
    assert pod["metadata"]["labels"] == {
        "app": "db",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": status["updateRevision"],
        "statefulset.kubernetes.io/pod-name": "db-1",
    }
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
    await play.place.patch(STATEFUL_SET, "db", {"spec": {"replicas": 1}})
    await stateful(play, ["v1"], replicas=1, readyReplicas=1)


@story
async def a_partition_keeps_the_low_numbers_old(play: Play) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await play.place.create(STATEFUL_SET, a_stateful_set(updateStrategy=rolling))
    await stateful(play, ["v1"] * 3, readyReplicas=3)
    await play.place.patch(STATEFUL_SET, "db", new_image("v2"))
    status = await stateful(play, ["v1", "v1", "v2"], readyReplicas=3, currentReplicas=2, updatedReplicas=1)
    assert status["currentRevision"] != status["updateRevision"]
    await play.place.delete(POD, "db-0")
    await stateful(play, ["v1", "v1", "v2"], readyReplicas=3)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    await play.place.patch(STATEFUL_SET, "db", {"spec": {"updateStrategy": rolling}})
    status = await stateful(play, ["v2"] * 3, readyReplicas=3, currentReplicas=3, updatedReplicas=3)
    assert status["currentRevision"] == status["updateRevision"]
    revisions = await play.place.list(CONTROLLER_REVISION)
    assert sorted(r["revision"] for r in revisions) == [1, 2]
    await play.place.patch(STATEFUL_SET, "db", new_image("v1"))
    await stateful(play, ["v1"] * 3, readyReplicas=3, currentReplicas=3, updatedReplicas=3)
    assert sorted(r["revision"] for r in await play.place.list(CONTROLLER_REVISION)) == [2, 3]


@story
async def an_ordered_set_waits_for_a_pod_that_never_gets_ready(play: Play) -> None:
    await play.place.create(STATEFUL_SET, a_stateful_set(image="db:failed"))
    await stateful(play, ["db:failed"], seconds=5, replicas=1, readyReplicas=0)


@story
async def a_parallel_set_starts_all_at_once(play: Play) -> None:
    await play.place.create(STATEFUL_SET, a_stateful_set(image="db:failed", podManagementPolicy="Parallel"))
    await stateful(play, ["db:failed"] * 3, seconds=5, replicas=3, readyReplicas=0)


@story
async def on_delete_replaces_a_pod_only_when_somebody_deletes_it(play: Play) -> None:
    await play.place.create(STATEFUL_SET, a_stateful_set(2, updateStrategy={"type": "OnDelete"}))
    await stateful(play, ["v1"] * 2, readyReplicas=2)
    await play.place.patch(STATEFUL_SET, "db", new_image("v2"))
    await stateful(play, ["v1"] * 2, seconds=5, readyReplicas=2, updatedReplicas=0)
    await play.place.delete(POD, "db-1")
    await stateful(play, ["v1", "v2"], readyReplicas=2, updatedReplicas=1)


async def daemons(play: Play, wanted_images: list[str], seconds: float = 30, **counts: int) -> None:
    async def look() -> Any:
        found = await play.place.find(DAEMON_SET, "agent")
        assert found is not None
        status = found["status"]
        return sorted((await images(play)).values()), {k: status.get(k, 0) for k in counts}

    wanted = (wanted_images, counts)
    seen = await play.place.until(look, wanted, seconds)
    assert seen == wanted, f"{seen}, not {wanted}"


@story
async def a_daemon_set_has_a_pod_on_every_node(play: Play) -> None:
    await play.place.create(DAEMON_SET, a_daemon_set())
    await daemons(
        play, ["v1"] * 3, desiredNumberScheduled=3, numberReady=3, numberAvailable=3, updatedNumberScheduled=3
    )
    assert len({p["spec"]["nodeName"] for p in await play.place.list(POD)}) == 3
    await play.place.patch(DAEMON_SET, "agent", new_image("v2"))
    await daemons(play, ["v2"] * 3, numberReady=3, updatedNumberScheduled=3)
    assert sorted(r["revision"] for r in await play.place.list(CONTROLLER_REVISION)) == [1, 2]


@story
async def a_bad_image_stops_a_daemon_set_at_the_first_node(play: Play) -> None:
    await play.place.create(DAEMON_SET, a_daemon_set())
    await daemons(play, ["v1"] * 3, numberReady=3)
    await play.place.patch(DAEMON_SET, "agent", new_image("agent:failed"))
    await daemons(
        play, ["agent:failed", "v1", "v1"], numberReady=2, numberUnavailable=1, updatedNumberScheduled=1
    )


@story
async def a_surging_daemon_set_keeps_old_pods_until_new_ones_are_available(play: Play) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await play.place.create(DAEMON_SET, a_daemon_set(updateStrategy=strategy))
    await daemons(play, ["v1"] * 3, numberReady=3)
    await play.place.patch(DAEMON_SET, "agent", new_image("agent:failed"))
    await daemons(play, ["agent:failed", "v1", "v1", "v1"], numberReady=3, numberUnavailable=0)
    await play.place.patch(DAEMON_SET, "agent", new_image("v2"))
    await daemons(play, ["v2"] * 3, numberReady=3, updatedNumberScheduled=3)


@story
async def a_service_lists_its_ready_pods(play: Play) -> None:
    await play.deploy(replicas=3)
    await play.rests({"v1": 3}, (3, 3, 3))
    port = {"port": 80, "targetPort": 8080}
    await play.place.create(
        SERVICE, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [port]}}
    )

    async def look() -> Any:
        endpoints = await play.place.find(ENDPOINTS, "web") or {}
        (subset,) = endpoints.get("subsets") or [{}]
        slices = [
            s
            for s in await play.place.list(SLICE)
            if s["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
        ]
        in_slices = [e for s in slices for e in s.get("endpoints") or ()]
        ready = [e for e in in_slices if e["conditions"]["ready"]]
        return [
            len(subset.get("addresses") or ()),
            len(subset.get("notReadyAddresses") or ()),
            [(p["port"], p["protocol"]) for p in subset.get("ports") or ()],
            len(ready),
            len(in_slices),
            [(p["name"], p["port"]) for s in slices for p in s.get("ports") or ()],
        ]

    wanted: list[Any] = [3, 0, [(8080, "TCP")], 3, 3, [("", 8080)]]
    assert await play.place.until(look, wanted, 20) == wanted
    await play.patch(replicas=5)
    wanted = [5, 0, [(8080, "TCP")], 5, 5, [("", 8080)]]
    assert await play.place.until(look, wanted, 20) == wanted
    await play.image("web:failed")
    await play.rests({"v1": 3, "web:failed": 5}, (8, 3, 5), ready=3)
    wanted = [3, 0, [(8080, "TCP")], 3, 3, [("", 8080)]]
    seen = await play.place.until(look, wanted, 5)
    assert (seen[0], seen[3]) == (3, 3)  # pods that never started have an address on some nodes only
    await play.patch(replicas=0)
    seen = await play.place.until(look, [0, 0, [], 0, 0, []], 20)
    assert (seen[0], seen[4]) == (0, 0)


@story
async def a_budget_counts_what_may_be_disrupted(play: Play) -> None:
    await play.deploy(replicas=4)
    await play.rests({"v1": 4}, (4, 4, 4))
    selector = {"matchLabels": {"app": "web"}}
    await play.place.create(
        BUDGET, {"metadata": {"name": "b"}, "spec": {"maxUnavailable": "30%", "selector": selector}}
    )

    async def look() -> Any:
        status = (await play.place.find(BUDGET, "b") or {}).get("status") or {}
        counted = {
            k: status.get(k)
            for k in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        }
        told = [(c["type"], c["status"], c["reason"]) for c in status.get("conditions") or ()]
        return list(counted.values()), told

    wanted = ([2, 4, 2, 4], [("DisruptionAllowed", "True", "SufficientPods")])
    assert await play.place.until(look, wanted, 10) == wanted
    await play.place.patch(BUDGET, "b", {"spec": {"maxUnavailable": None, "minAvailable": 4}})
    wanted = ([0, 4, 4, 4], [("DisruptionAllowed", "False", "InsufficientPods")])
    assert await play.place.until(look, wanted, 10) == wanted


def _name(tell: Story) -> str:
    return tell.__name__


@pytest.mark.parametrize("jitter", [0.0, 2.0], ids=["together", "apart"])
@pytest.mark.parametrize("tell", STORIES, ids=_name)
def test_in_the_sandbox(tell: Story, jitter: float) -> None:
    play_in_sandbox(tell, Knobs(ready_jitter=jitter))


@pytest.mark.cluster
@pytest.mark.parametrize("tell", STORIES, ids=_name)
def test_on_a_cluster(tell: Story) -> None:
    play_on_cluster(tell)
