"""HorizontalPodAutoscalers and protected volumes, as a person sees them in the sandbox."""

from __future__ import annotations

from controller_stage import Play, play_in_sandbox

from kruise_rollouts.kube.objects import DEPLOYMENT, EVENT, POD
from kruise_rollouts.sandbox.controllers.autoscaler import AUTOSCALER
from kruise_rollouts.sandbox.controllers.protection import CLAIM


async def scaled(play: Play, replicas: int, least: int, most: int) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await play.place.create(DEPLOYMENT, {"metadata": {"name": "w"}, "spec": spec})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}
    bounds = {"minReplicas": least, "maxReplicas": most, "scaleTargetRef": target}
    await play.place.create(AUTOSCALER, {"metadata": {"name": "h"}, "spec": bounds})
    await play.place.wait(2)


async def replicas(play: Play) -> int:
    found = await play.place.find(DEPLOYMENT, "w")
    assert found is not None
    return int(found["spec"]["replicas"])


async def active(play: Play) -> tuple[str, str]:
    found = await play.place.find(AUTOSCALER, "h")
    assert found is not None
    last = found["status"]["conditions"][-1]
    return last["type"], last["reason"]


def test_an_autoscaler_keeps_its_target_within_bounds_and_says_that_there_are_no_metrics() -> None:
    async def tell(play: Play) -> None:
        await scaled(play, 1, 2, 4)
        assert await replicas(play) == 2
        assert await active(play) == ("ScalingActive", "FailedGetResourceMetric")
        await play.place.patch(DEPLOYMENT, "w", {"spec": {"replicas": 9}})
        await play.place.wait(2)
        assert await replicas(play) == 4
        told = [e["message"] for e in await play.place.list(EVENT) if e["reason"] == "SuccessfulRescale"]
        assert sorted(told) == [
            "New size: 2; reason: Current number of replicas below Spec.MinReplicas",
            "New size: 4; reason: Current number of replicas above Spec.MaxReplicas",
        ]

    play_in_sandbox(tell)


def test_an_autoscaler_leaves_a_target_of_none_alone() -> None:
    async def tell(play: Play) -> None:
        await scaled(play, 0, 2, 4)
        assert (await replicas(play), await active(play)) == (0, ("ScalingActive", "ScalingDisabled"))

    play_in_sandbox(tell)


def test_an_autoscaler_says_that_its_target_is_not_there() -> None:
    async def tell(play: Play) -> None:
        await scaled(play, 3, 2, 4)
        await play.place.delete(DEPLOYMENT, "w")
        await play.place.wait(2)
        found = await play.place.find(AUTOSCALER, "h")
        assert found is not None
        able = found["status"]["conditions"][0]
        assert (able["status"], able["reason"]) == ("False", "FailedGetScale")
        assert able["message"].endswith('deployments.apps "w" not found')

    play_in_sandbox(tell)


def test_a_claim_stays_while_a_pod_uses_it() -> None:
    async def tell(play: Play) -> None:
        asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await play.place.create(CLAIM, {"metadata": {"name": "c"}, "spec": asked})
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
        spec = {"containers": [{"name": "a", "image": "a"}], "volumes": [volume]}
        await play.place.create(POD, {"metadata": {"name": "p"}, "spec": spec})
        await play.place.wait(2)
        await play.place.delete(CLAIM, "c")
        await play.place.wait(1)
        assert await play.place.find(CLAIM, "c") is not None
        await play.place.delete(POD, "p", grace=0)
        await play.place.wait(1)
        assert await play.place.find(CLAIM, "c") is None

    play_in_sandbox(tell)
