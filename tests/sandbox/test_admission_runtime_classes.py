"""What a RuntimeClass adds to pods, and which pods it refuses; where addresses of Services come from."""

from __future__ import annotations

from typing import Any

import pytest
from controller_stage import Play, play_in_sandbox

from kruise_rollouts.kube.errors import Forbidden
from kruise_rollouts.kube.objects import POD, Kind

CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
CIDR = Kind("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", namespaced=False)
SCHEDULING = {
    "nodeSelector": {"foo": "bar"},
    "tolerations": [{"key": "foo", "operator": "Exists", "effect": "NoSchedule"}],
}


async def a_class(play: Play) -> None:
    fixed = {"podFixed": {"cpu": "10m"}}
    meta = {"metadata": {"name": "c"}}
    await play.place.create(CLASS, {**meta, "handler": "h", "overhead": fixed, "scheduling": SCHEDULING})


async def a_pod(play: Play, **spec: Any) -> Any:
    spec = {"containers": [{"name": "a", "image": "a"}], **spec}
    return (await play.place.create(POD, {"metadata": {"name": "p"}, "spec": spec}))["spec"]


def test_a_pod_gets_the_overhead_and_the_place_of_its_class() -> None:
    async def tell(play: Play) -> None:
        await a_class(play)
        spec = await a_pod(play, runtimeClassName="c")
        assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "10m"}, {"foo": "bar"})
        assert spec["tolerations"][-1] == SCHEDULING["tolerations"][0]

    play_in_sandbox(tell)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"runtimeClassName": "none"}, 'RuntimeClass "none" not found'),
        (
            {"runtimeClassName": "c", "overhead": {"cpu": "1"}},
            "doesn't match RuntimeClass's defined Overhead",
        ),
        ({"overhead": {"cpu": "1"}}, "without corresponding RuntimeClass"),
        ({"runtimeClassName": "c", "nodeSelector": {"foo": "no"}}, "pod.spec.nodeSelector[foo] = no"),
    ],
)
def test_a_pod_that_does_not_go_with_its_class_is_refused(spec: dict[str, Any], why: str) -> None:
    async def tell(play: Play) -> None:
        await a_class(play)
        with pytest.raises(Forbidden) as refused:
            await a_pod(play, **spec)
        assert refused.value.message.startswith('pods "p" is forbidden: ')
        assert why in refused.value.message

    play_in_sandbox(tell)


def test_the_network_of_services_is_shown() -> None:
    async def tell(play: Play) -> None:
        found = await play.place.find(CIDR, "kubernetes")
        assert found is not None
        assert (found["spec"]["cidrs"], found["status"]["conditions"][0]["status"]) == (
            ["10.96.0.0/16"],
            "True",
        )

    play_in_sandbox(tell)
