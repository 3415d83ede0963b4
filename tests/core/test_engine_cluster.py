"""The engine on a real control plane: annotations only, nothing else of ours is present.

Needs KUBECONFIG and pods that become ready by themselves; each test has a namespace of its own. Numbers are
(replicas, availableReplicas, updatedReplicas) of the Deployment's status.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from kruise_rollouts.api.annotations import parse_extra_status
from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.keys import DEPLOYMENT_EXTRA_STATUS, DEPLOYMENT_STRATEGY, MAX_READY_SECONDS
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.core.workloads import Ending
from kruise_rollouts.core.workloads.deployment import PartitionedDeployment
from kruise_rollouts.kube.effects import JsonObject, Write
from kruise_rollouts.kube.errors import Conflict
from kruise_rollouts.kube.labels import selector_of
from kruise_rollouts.kube.objects import DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, OwnerReference
from kruise_rollouts.operator.engine import DeploymentEngine
from kruise_rollouts.operator.world import BY_OWNER, World
from kruise_rollouts.runtime.apply import Applier
from kruise_rollouts.runtime.cache import Cache
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.fetch import list_objects
from kruise_rollouts.runtime.informer import Informer
from kruise_rollouts.runtime.kubeconfig import connect
from kruise_rollouts.runtime.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WAIT_SECONDS = 60
STAY_SECONDS = 1.5
OWNER = OwnerReference("rollouts.kruise.io/v1beta1", "BatchRelease", "web", "u-1", True, True)
MERGE = "application/merge-patch+json"
Numbers = tuple[int, int, int]


class Stage:
    """One namespace, one Deployment, and the engine at work on it."""

    def __init__(self, api: HttpApi, ns: str) -> None:
        clock = WallClock()
        self.api, self.ns, self.clock = api, ns, clock
        self.requests: Counter[str] = Counter()
        self.deployments = Informer(api, DEPLOYMENT, Deployment, clock=clock, ns=ns)
        self.replica_sets = Informer(
            api, REPLICA_SET, ReplicaSet, clock=clock, ns=ns, indexes={BY_OWNER: _owner}
        )
        caches = {
            ("apps/v1", "Deployment"): self.deployments.cache,
            ("apps/v1", "ReplicaSet"): self.replica_sets.cache,
        }
        applier = Applier(api, caches, field_manager="kruise-rollout")

        async def apply(write: Write) -> JsonObject | None:
            self.requests["write"] += 1
            return await applier(write)

        async def list_pods(ns: str, selector: Any, *, cached: bool = False) -> tuple[Pod, ...]:
            self.requests["list"] += 1
            return await list_objects(api, POD, ns, selector_of(selector), Pod, cached=cached)

        async def refresh_rollout(ns: str, name: str) -> None:
            raise AssertionError("there is no Rollout here")

        self.apply = apply
        world = World(
            Cache(Rollout),
            Cache(BatchRelease),
            self.deployments.cache,
            self.replica_sets.cache,
            list_pods,
            refresh_rollout,
        )
        self.loop = Loop(DeploymentEngine(), world, apply=apply, tell=lambda note: None, clock=clock)
        self.changed = asyncio.Event()
        self.lowest_ready, self.most = 1000, 0  # since the first update
        self.updated = False
        self.types: set[str] = set()
        self.deployments.subscribe(self._note)
        self.replica_sets.subscribe(lambda old, new: self._count())

    def _note(self, old: Deployment | None, new: Deployment | None) -> None:
        if new is not None:
            self.types.add(new.spec.strategy.type)
            if self.updated:
                self.lowest_ready = min(self.lowest_ready, new.status.ready_replicas)
        self._wake()

    def _count(self) -> None:
        """Pods wanted of all revisions. Their statuses arrive one by one, so their sum may be of no one moment."""
        if self.updated:
            self.most = max(self.most, sum(r.replicas for r in self.replica_sets.cache.items(self.ns)))
        self._wake()

    def _wake(self) -> None:
        self.loop.queue.add((self.ns, "web"))
        self.changed.set()

    @property
    def live(self) -> Deployment:
        found = self.deployments.cache.get(self.ns, "web")
        assert found is not None
        return found

    @property
    def numbers(self) -> Numbers:
        status = self.live.status
        return (status.replicas, status.available_replicas, status.updated_replicas)

    @property
    def adapter(self) -> PartitionedDeployment:
        return PartitionedDeployment(self.live, tuple(self.replica_sets.cache.items(self.ns)))

    async def patch(self, body: JsonObject) -> None:
        path = DEPLOYMENT.path(self.ns, "web")
        await self.api.request("PATCH", path, body=msgspec.json.encode(body), content_type=MERGE)

    async def create(self, replicas: int, strategy: JsonObject, **spec: Any) -> None:
        labels = {"app": "web"}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "annotations": spec.pop("annotations", {})},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "strategy": strategy,
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {"sim/ready-delay": spec.pop("delay", "0.5")},
                    },
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "main", "image": "busybox:1.32", "env": _env("v1")}],
                    },
                },
                **spec,
            },
        }
        await self.api.request("POST", DEPLOYMENT.path(self.ns), body=msgspec.json.encode(body))
        await self.until(lambda: self.deployments.cache.get(self.ns, "web") is not None)

    async def update(self, version: str, image: str = "busybox:1.32", **extra: Any) -> None:
        """A new template and nothing else, unless `extra` has it: admission is not there to pause anything."""
        container = {"name": "main", "image": image, "env": _env(version)}
        body: JsonObject = {"spec": {"template": {"spec": {"containers": [container]}}}, **extra}
        self.updated = True
        await self.patch(body)

    async def begin(self, version: str) -> None:
        """A new template, paused in the same write as admission does it."""
        await self.patch({"spec": {"paused": True}})
        await self.update(version)
        await self.until(lambda: self.live.spec.paused)

    async def annotate(self, partition: int | str, **more: Any) -> None:
        value = {"rollingStyle": "Partition", **more, "partition": partition}
        await self.patch(
            {"metadata": {"annotations": {DEPLOYMENT_STRATEGY: msgspec.json.encode(value).decode()}}}
        )

    async def until(self, holds: Callable[[], bool], say: Callable[[], object] = lambda: "") -> None:
        async def wait() -> None:
            while not holds():
                self.changed.clear()
                await self.changed.wait()

        try:
            await asyncio.wait_for(wait(), WAIT_SECONDS)
        except TimeoutError:
            raise AssertionError(f"it is {say()}") from None

    async def settles(self, *numbers: int) -> None:
        """Comes to these numbers, and keeps them."""
        state = lambda: (self.numbers, {r.metadata.name: r.replicas for r in self.replica_sets.cache.items()})  # noqa: E731
        await self.until(lambda: self.numbers == numbers, state)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._differs(numbers), STAY_SECONDS)
        await self.until(lambda: self.numbers == numbers, state)
        assert sum(r.replicas for r in self.replica_sets.cache.items()) == numbers[0]

    async def _differs(self, numbers: tuple[int, ...]) -> None:
        while True:
            self.changed.clear()
            await self.changed.wait()

    async def ready(self, replicas: int) -> None:
        await self.until(lambda: self.live.status.ready_replicas == replicas, lambda: self.live.status)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with HttpApi(connect()) as api:
        ns = f"h-c2-{uuid4().hex[:6]}"
        await api.request("POST", NAMESPACE.path(), body=msgspec.json.encode({"metadata": {"name": ns}}))
        stage = Stage(api, ns)
        tasks = [asyncio.ensure_future(w.run()) for w in (stage.deployments, stage.replica_sets, stage.loop)]
        try:
            yield stage
            assert stage.types <= {"RollingUpdate", "Recreate"}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await api.request("DELETE", NAMESPACE.path(name=ns))


def rolling(surge: int | str, unavailable: int | str) -> JsonObject:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _env(version: str) -> list[JsonObject]:
    return [{"name": "NODE_NAME", "value": version}]


def _owner(replica_set: ReplicaSet) -> tuple[str, ...]:
    owner = replica_set.metadata.controller
    return () if owner is None else (owner.uid,)


def own(surge: int | str, unavailable: int | str) -> JsonObject:
    return {"maxSurge": surge, "maxUnavailable": unavailable}


async def test_a_held_deployment_that_is_new_gets_its_pods(stage: Stage) -> None:
    await legacy(stage, own("25%", "25%"))
    assert stage.live.spec.strategy.type == "RollingUpdate" and stage.live.spec.paused


async def legacy(stage: Stage, update: JsonObject) -> None:
    """As clients of OpenKruise Rollouts make it: Recreate and paused from the beginning."""
    value = {"rollingStyle": "Partition", "rollingUpdate": update, "partition": 0}
    notes = {DEPLOYMENT_STRATEGY: msgspec.json.encode(value).decode()}
    await stage.create(5, {"type": "Recreate"}, paused=True, annotations=notes)
    await stage.settles(5, 5, 5)


async def test_a_partition_moves_as_many_pods_as_it_says(stage: Stage) -> None:
    update = own("25%", "25%")
    await legacy(stage, update)
    await stage.update("v2")
    await stage.annotate(0, rollingUpdate=update, paused=True)
    for pods in (0, 1, 2, 3, 5):
        await stage.annotate(pods, rollingUpdate=update)
        await stage.settles(5, 5, pods)
    assert stage.lowest_ready >= 4


async def test_a_held_deployment_grows_in_proportion(stage: Stage) -> None:
    update = own("25%", "25%")
    await legacy(stage, update)
    await stage.update("v2")
    for pods in (0, 1, 2):
        await stage.annotate(pods, rollingUpdate=update)
        await stage.settles(5, 5, pods)
    await stage.patch({"spec": {"replicas": 10}})
    await stage.settles(10, 10, 4)
    for pods in (7, 10):
        await stage.annotate(pods, rollingUpdate=update)
        await stage.settles(10, 10, pods)


async def test_pods_that_never_start_cost_one_surge_pod(stage: Stage) -> None:
    update = own(1, 0)
    await legacy(stage, update)
    await stage.update("v2", "failed_image:failed")
    await stage.annotate(0, rollingUpdate=update)
    await stage.settles(5, 5, 0)
    await stage.annotate(3, rollingUpdate=update)
    await stage.settles(6, 5, 1)
    assert stage.lowest_ready >= 5


async def test_a_third_and_an_old_revision_are_moved_to(stage: Stage) -> None:
    update = own("25%", "25%")
    await legacy(stage, update)
    for version, steps in (("v2", (0, 2)), ("v3", (0, 3)), ("v2", (2, 3, 5))):
        await stage.update(version)
        for pods in steps:
            await stage.annotate(pods, rollingUpdate=update)
            await stage.settles(5, 5, pods)
    assert len(stage.replica_sets.cache.items()) == 3
    assert stage.lowest_ready >= 4


async def test_standing_still_gives_up_the_pod_that_never_started(stage: Stage) -> None:
    update = {"maxSurge": 1}
    await legacy(stage, update)
    await stage.update("v2", "busybox:not-exists")
    await stage.annotate(1, rollingUpdate=update)
    await stage.settles(6, 5, 1)
    value = {"rollingStyle": "Partition", "rollingUpdate": update, "paused": True, "partition": 1}
    note = {DEPLOYMENT_STRATEGY: msgspec.json.encode(value).decode()}
    await stage.update("v3", metadata={"annotations": note})
    await stage.settles(5, 5, 0)
    await stage.annotate(1, rollingUpdate=update)
    await stage.settles(5, 5, 1)


async def test_ten_pods_in_three_steps_take_few_writes(stage: Stage) -> None:
    await stage.create(10, rolling(3, 2), minReadySeconds=1, progressDeadlineSeconds=1200)
    await stage.settles(10, 10, 10)
    stage.requests.clear()
    await stage.begin("v2")
    await act(stage, lambda workload: workload.claim(OWNER, 0))
    for share, pods in (("20%", 2), ("50%", 5), ("100%", 10)):
        await act(stage, lambda workload, share=share: workload.advance(share))
        await stage.settles(10, 10, pods)
        assert stage.live.spec.min_ready_seconds == 1 and stage.live.spec.paused
        extra = parse_extra_status(stage.live.metadata.annotations[DEPLOYMENT_EXTRA_STATUS])
        assert extra is not None and extra.updated_ready_replicas == pods
    await act(stage, lambda workload: workload.release(Ending.RESUMED))
    await stage.settles(10, 10, 10)
    spec = stage.live.spec
    assert (spec.paused, spec.min_ready_seconds, spec.progress_deadline_seconds) == (False, 1, 1200)
    assert stage.live.metadata.annotations.keys() == {"deployment.kubernetes.io/revision"}
    assert spec.strategy.rolling_update is not None and spec.strategy.rolling_update.max_surge == 3
    assert stage.types == {"RollingUpdate"}
    assert stage.lowest_ready >= 8 and stage.most <= 13
    print("requests", stage.requests)
    assert stage.requests["write"] <= 40


Ask = Callable[[PartitionedDeployment], tuple[Write, ...]]


async def act(stage: Stage, ask: Ask) -> None:
    """What `ask` finds missing, asked again on what is there if that has changed meanwhile."""
    for _ in range(5):
        with contextlib.suppress(Conflict):
            for write in ask(stage.adapter):
                await stage.apply(write)
            return
    raise AssertionError("the Deployment never stands still")


async def test_a_rollback_in_the_middle_keeps_to_the_persons_numbers(stage: Stage) -> None:
    await stage.create(10, rolling(1, 1))
    await stage.settles(10, 10, 10)
    await stage.begin("v2")
    await act(stage, lambda workload: workload.claim(OWNER, 0))
    await act(stage, lambda workload: workload.advance(5))
    await stage.settles(10, 10, 5)
    await stage.update("v1")
    await act(stage, lambda workload: workload.release(Ending.RESUMED))
    await stage.settles(10, 10, 10)
    assert stage.lowest_ready >= 9 and stage.most <= 11
    assert len(stage.replica_sets.cache.items()) == 2


async def test_scaling_at_rest_and_in_mid_move_keeps_the_share(stage: Stage) -> None:
    await stage.create(10, rolling(3, 2), delay="2")
    await stage.settles(10, 10, 10)
    await stage.begin("v2")
    await stage.annotate("50%")
    await stage.until(lambda: not stage.live.spec.paused)
    await stage.patch({"spec": {"replicas": 20}})
    await stage.settles(20, 20, 10)
    await stage.patch({"spec": {"replicas": 4}})
    await stage.settles(4, 4, 2)


async def test_a_single_pod_is_replaced(stage: Stage) -> None:
    await stage.create(1, rolling("25%", "25%"))
    await stage.settles(1, 1, 1)
    await stage.begin("v2")
    await stage.annotate(1)
    await stage.settles(1, 1, 1)
    assert stage.lowest_ready == 1


async def test_somebody_who_resumes_a_held_deployment_is_stopped(stage: Stage) -> None:
    await stage.create(5, rolling("25%", "25%"))
    await stage.settles(5, 5, 5)
    await stage.begin("v2")
    await stage.annotate("20%")
    await stage.settles(5, 5, 1)
    await stage.patch({"spec": {"paused": False}})
    await stage.until(lambda: stage.live.spec.paused)
    assert stage.live.spec.min_ready_seconds != MAX_READY_SECONDS


async def test_a_deployment_that_its_controller_spreads_for_ever_is_freed(stage: Stage) -> None:
    await stage.create(4, rolling("25%", "25%"))
    await stage.settles(4, 4, 4)
    (replica_set,) = stage.replica_sets.cache.items()
    note = {"metadata": {"annotations": {"deployment.kubernetes.io/desired-replicas": "5"}}}
    path = REPLICA_SET.path(stage.ns, replica_set.metadata.name)
    await stage.api.request("PATCH", path, body=msgspec.json.encode(note), content_type=MERGE)
    await stage.begin("v2")
    await stage.annotate(2)
    await stage.settles(4, 4, 2)


async def test_a_recreate_deployment_is_replaced_pod_by_pod_and_stays_recreate(stage: Stage) -> None:
    await stage.create(5, {"type": "Recreate"})
    await stage.settles(5, 5, 5)
    await stage.begin("v2")
    await act(stage, lambda workload: workload.claim(OWNER, 0))
    await act(stage, lambda workload: workload.advance("40%"))
    await stage.settles(5, 5, 2)
    await act(stage, lambda workload: workload.advance("100%"))
    await stage.settles(5, 5, 5)
    await act(stage, lambda workload: workload.release(Ending.RESUMED))
    await stage.until(lambda: stage.live.spec.strategy.type == "Recreate")
    await stage.settles(5, 5, 5)
    assert stage.lowest_ready >= 4
