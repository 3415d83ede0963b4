"""Admission that every Kubernetes has: namespaces, service accounts, priority, tolerations, limits, quotas."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kruise_rollouts.kube.errors import ApiError, Cause, Details, Forbidden, NotFound
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.sandbox.admission.admission import Admission
from kruise_rollouts.sandbox.admission.quota import status_of
from kruise_rollouts.sandbox.admission.quota_status import QuotaStatus
from kruise_rollouts.sandbox.quantity import show_quantity
from kruise_rollouts.sandbox.request import Options
from kruise_rollouts.sandbox.server import Server

Json = Any


class World:
    def __init__(self) -> None:
        self.server = Server(WallClock())
        Admission(self.server.parts).install()

    async def create(self, plural: str, name: str, ns: str = "default", group: str = "", **body: Any) -> Json:
        resource = self.server.registry.find(group, "v1", plural)
        assert resource is not None
        obj = {"kind": resource.kind, "metadata": {"name": name}, **body}
        return await self.server.call("create", resource, ns if resource.namespaced else "", "", obj)

    async def pod(self, name: str = "p", resources: Json = None, dry_run: bool = False, **spec: Any) -> Json:
        resource = self.server.registry.find("", "v1", "pods")
        assert resource is not None
        container = {"name": "c", "image": "i", **({"resources": resources} if resources else {})}
        obj = {"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}
        return await self.server.call(
            "create", resource, "default", "", obj, options=Options(dry_run=dry_run)
        )

    async def delete(self, plural: str, name: str, ns: str = "default") -> Json:
        resource = self.server.registry.find("", "v1", plural)
        assert resource is not None
        return await self.server.call("delete", resource, ns if resource.namespaced else "", name)

    async def refused_pod(self, resources: Json = None, **spec: Any) -> str:
        with pytest.raises(Forbidden) as caught:
            await self.pod("p", resources, **spec)
        return caught.value.message


@pytest.fixture
async def world() -> World:
    world = World()
    await world.create("namespaces", "default")
    return world


async def test_nothing_is_created_in_a_namespace_that_does_not_exist(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        await world.create("configmaps", "x", "nope")
    assert caught.value.message == 'namespaces "nope" not found'
    assert caught.value.details == Details(name="nope", kind="namespaces")


async def test_nothing_is_created_in_a_namespace_that_is_being_deleted(world: World) -> None:
    await world.create("namespaces", "term", spec={"finalizers": ["kubernetes"]})
    await world.delete("namespaces", "term")
    with pytest.raises(Forbidden) as caught:
        await world.create("configmaps", "y", "term")
    assert caught.value.message == (
        'configmaps "y" is forbidden: unable to create new content in namespace term because it is being terminated'
    )
    assert caught.value.details is not None
    assert caught.value.details.causes == (
        Cause("NamespaceTerminating", "namespace term is being terminated", "metadata.namespace"),
    )


async def test_the_default_namespace_cannot_be_deleted(world: World) -> None:
    with pytest.raises(
        ApiError, match='namespaces "default" is forbidden: this namespace may not be deleted'
    ):
        await world.delete("namespaces", "default")


async def test_a_pod_gets_a_service_account_and_its_token(world: World) -> None:
    spec = (await world.pod())["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    [volume] = spec["volumes"]
    [mount] = spec["containers"][0]["volumeMounts"]
    assert volume["name"].startswith("kube-api-access-") and mount["name"] == volume["name"]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_a_pod_that_wants_no_token_gets_none(world: World) -> None:
    spec = (await world.pod(automountServiceAccountToken=False))["spec"]
    assert "volumes" not in spec


async def test_a_service_account_that_does_not_exist_refuses_the_pod(world: World) -> None:
    assert await world.refused_pod(serviceAccountName="nosa") == (
        'pods "p" is forbidden: error looking up service account default/nosa: serviceaccount "nosa" not found'
    )


async def test_a_pod_has_the_priority_of_its_class(world: World) -> None:
    await world.create(
        "priorityclasses", "high", group="scheduling.k8s.io", value=100, preemptionPolicy="Never"
    )
    spec = (await world.pod(priorityClassName="high"))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (100, "Never")
    plain = (await world.pod("q"))["spec"]
    assert (plain["priority"], plain["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_priority_is_not_for_pods_to_choose(world: World) -> None:
    assert await world.refused_pod(priorityClassName="nope") == (
        'pods "p" is forbidden: no PriorityClass with name nope was found'
    )
    assert await world.refused_pod(priority=5) == (
        'pods "p" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission '
        "controller computed 0 from the given PriorityClass name"
    )


async def test_a_pod_stays_five_minutes_on_a_node_that_is_not_ready(world: World) -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists"}
    assert (await world.pod(tolerations=[own]))["spec"]["tolerations"] == [
        own,
        {
            "key": "node.kubernetes.io/unreachable",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        },
    ]


LIMITS = {
    "limits": [
        {
            "type": "Container",
            "default": {"cpu": "500m", "memory": "256Mi"},
            "defaultRequest": {"cpu": "100m"},
            "max": {"cpu": "1"},
            "min": {"cpu": "50m"},
            "maxLimitRequestRatio": {"cpu": "5"},
        },
        {"type": "Pod", "max": {"cpu": "2"}},
    ]
}


async def test_a_limit_range_completes_what_containers_leave_out(world: World) -> None:
    await world.create("limitranges", "lr", spec=LIMITS)
    pod = await world.pod()
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m", "memory": "256Mi"},
        "requests": {"cpu": "100m", "memory": "256Mi"},
    }
    assert pod["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container c; "
        "cpu, memory limit for container c"
    }


@pytest.mark.parametrize(
    ("limit", "request_", "why"),
    [
        ("2", "1500m", "maximum cpu usage per Container is 1, but limit is 2"),
        (
            "100m",
            "10m",
            "[minimum cpu usage per Container is 50m, but request is 10m, "
            "cpu max limit to request ratio per Container is 5, but provided ratio is 10.000000]",
        ),
        ("1", "100m", "cpu max limit to request ratio per Container is 5, but provided ratio is 10.000000"),
    ],
)
async def test_a_limit_range_bounds_containers(world: World, limit: str, request_: str, why: str) -> None:
    await world.create("limitranges", "lr", spec=LIMITS)
    message = await world.refused_pod({"limits": {"cpu": limit}, "requests": {"cpu": request_}})
    assert message == f'pods "p" is forbidden: {why}'


HARD = {
    "pods": "2",
    "requests.cpu": "1",
    "limits.memory": "1Gi",
    "count/deployments.apps": "1",
    "configmaps": "1",
}
FITTING = {"requests": {"cpu": "600m"}, "limits": {"memory": "100Mi"}}


async def test_a_quota_wants_its_resources_declared(world: World) -> None:
    await world.create("resourcequotas", "rq", spec={"hard": HARD})
    assert await world.refused_pod() == (
        'pods "p" is forbidden: failed quota: rq: must specify limits.memory for: c; requests.cpu for: c'
    )


async def test_a_quota_refuses_what_is_too_much(world: World) -> None:
    await world.create("resourcequotas", "rq", spec={"hard": HARD})
    await world.pod("a", FITTING)
    message = await world.refused_pod(FITTING)
    assert message == (
        'pods "p" is forbidden: exceeded quota: rq, requested: requests.cpu=600m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    await world.pod("b", {"requests": {"cpu": "1m"}, "limits": {"memory": "1Mi"}})
    message = await world.refused_pod(FITTING)
    assert message == (
        'pods "p" is forbidden: exceeded quota: rq, requested: pods=1,requests.cpu=600m, used: '
        "pods=2,requests.cpu=601m, limited: pods=2,requests.cpu=1"
    )
    quota = world.server.store.get("", "resourcequotas", "default", "rq")
    assert quota is not None
    assert status_of(world.server.store, quota)["used"] == {
        "pods": "2",
        "requests.cpu": "601m",
        "limits.memory": "101Mi",
        "count/deployments.apps": "0",
        "configmaps": "0",
    }


async def test_a_quota_counts_objects(world: World) -> None:
    await world.create("resourcequotas", "rq", spec={"hard": HARD})
    await world.create("configmaps", "x")
    with pytest.raises(Forbidden) as caught:
        await world.create("configmaps", "y")
    assert caught.value.message == (
        'configmaps "y" is forbidden: exceeded quota: rq, requested: configmaps=1, used: configmaps=1, '
        "limited: configmaps=1"
    )
    await world.delete("configmaps", "x")
    assert await world.create("configmaps", "y")


async def test_the_status_of_a_quota_follows_what_is_stored(world: World) -> None:
    QuotaStatus(world.server.store).start()
    await world.create("resourcequotas", "rq", spec={"hard": HARD})

    async def used() -> Json:
        await asyncio.sleep(0)
        quota = world.server.store.get("", "resourcequotas", "default", "rq")
        return quota["status"]["used"]["configmaps"] if quota else None

    assert await used() == "0"
    await world.create("configmaps", "x")
    assert await used() == "1"
    await world.delete("configmaps", "x")
    assert await used() == "0"


async def test_a_quota_for_the_hurried_leaves_others_alone(world: World) -> None:
    await world.create("resourcequotas", "rq", spec={"hard": {"pods": "0"}, "scopes": ["Terminating"]})
    assert await world.pod()
    assert "exceeded quota" in await world.refused_pod(activeDeadlineSeconds=5)


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi", "G", "e3"]), st.booleans())
def test_a_quantity_shown_is_the_quantity_meant(number: int, suffix: str, binary: bool) -> None:
    value = parse_quantity(f"{number}{suffix}")
    assert parse_quantity(show_quantity(value, binary=binary)) == value


@pytest.mark.parametrize(
    ("value", "binary", "text"),
    [
        (Fraction(0), False, "0"),
        (Fraction(601, 1000), False, "601m"),
        (Fraction(1), False, "1"),
        (Fraction(1000), False, "1k"),
        (Fraction(101 * 1024**2), True, "101Mi"),
        (Fraction(1, 3 * 10**9), False, "1n"),
    ],
)
def test_a_quantity_is_shown_in_its_canonical_form(value: Fraction, binary: bool, text: str) -> None:
    assert show_quantity(value, binary=binary) == text
