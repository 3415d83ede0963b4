"""The whole wiring in one place: which kinds are watched, and which keys of which controller a change wakes.

What the controllers decide is in core/, how keys are worked on in runtime/loop.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from kruise_rollouts.api.apps import Deployment, LabelSelector, ReplicaSet
from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.keys import MAX_READY_SECONDS, ROLLOUT_NAME
from kruise_rollouts.api.rollouts_v1alpha1 import RolloutHistory
from kruise_rollouts.api.rollouts_v1beta1 import BatchRelease, Rollout
from kruise_rollouts.core.history import name_label
from kruise_rollouts.kube.effects import JsonObject, Note, Ref
from kruise_rollouts.kube.errors import ApiError, shortened
from kruise_rollouts.kube.labels import parse_selector, selector_of
from kruise_rollouts.kube.objects import (
    BATCH_RELEASE,
    DEPLOYMENT,
    POD,
    REPLICA_SET,
    ROLLOUT,
    ROLLOUT_HISTORY,
    Kind,
    Meta,
    kind_of,
    without_last_applied,
)
from kruise_rollouts.kube.protocols import Api, Clock
from kruise_rollouts.runtime.apply import Applier
from kruise_rollouts.runtime.controller import Key, Tell
from kruise_rollouts.runtime.fetch import get_object, list_objects
from kruise_rollouts.runtime.informer import Informer
from kruise_rollouts.runtime.journal import Lines
from kruise_rollouts.runtime.loop import Loop, Meter, Refused

from . import accounts
from .batches import BatchController
from .engine import DeploymentEngine
from .histories import HistoryController, is_worth_a_look
from .options import Options
from .rollouts import RolloutController
from .world import BY_OWNER, BY_WORKLOAD, World

T = TypeVar("T", Rollout, BatchRelease, Deployment, ReplicaSet)
W = TypeVar("W", Deployment, ReplicaSet)


# Pods of one ReplicaSet become ready in the same moment, nearly: a write for each would be the largest cost of a release.
MORE_READY_SECONDS = 0.1
COUNTED_SECONDS = 2.0  # at rest nothing waits for the number but those who read it


class Informers:
    """One informer per kind that decisions look at."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.rollouts = Informer(
            api, ROLLOUT, Rollout, clock=clock, trim=_lean, indexes={BY_WORKLOAD: _rollouts_workload}
        )
        self.releases = Informer(
            api,
            BATCH_RELEASE,
            BatchRelease,
            clock=clock,
            trim=_lean,
            indexes={BY_WORKLOAD: _releases_workload},
        )
        self.deployments = Informer(api, DEPLOYMENT, Deployment, clock=clock, trim=_lean_workload)
        self.replica_sets = Informer(
            api, REPLICA_SET, ReplicaSet, clock=clock, trim=_lean_workload, indexes={BY_OWNER: _owner}
        )

        self.all: tuple[Informer[Any], ...] = (
            self.rollouts,
            self.releases,
            self.deployments,
            self.replica_sets,
        )
        self.caches = {(i.kind.api_version, i.kind.kind): i.cache for i in self.all}  # for runtime.apply

    def uid_of(self, ref: Ref) -> str:
        """The uid of a watched object; "" if it is not there."""
        cache = self.caches.get((ref.api_version, ref.kind))
        found = cache.get(ref.ns, ref.name) if cache is not None else None
        return str(found.metadata.uid) if found is not None else ""


def world_of(informers: Informers, api: Api) -> World:
    """What observe() sees."""

    async def list_pods(ns: str, selector: LabelSelector, *, cached: bool = False) -> tuple[Pod, ...]:
        return await list_objects(api, POD, ns, selector_of(selector), Pod, cached=cached)

    async def refresh_rollout(ns: str, name: str) -> None:
        found = await get_object(api, ROLLOUT, ns, name, Rollout)
        if found is not None:
            informers.rollouts.cache.put(found)

    return World(
        rollouts=informers.rollouts.cache,
        batch_releases=informers.releases.cache,
        deployments=informers.deployments.cache,
        replica_sets=informers.replica_sets.cache,
        list_pods=list_pods,
        refresh_rollout=refresh_rollout,
    )


def history_of(api: Api) -> HistoryController:
    """The controller that records releases; what it records is read live."""

    async def read(ref: Ref) -> JsonObject | None:
        return await get_object(api, kind_of(ref), ref.ns, ref.name, dict)

    async def list_histories(ns: str, rollout: str) -> tuple[RolloutHistory, ...]:
        selector = parse_selector(f"{ROLLOUT_NAME}={name_label(rollout)}")
        return await list_objects(api, ROLLOUT_HISTORY, ns, selector, RolloutHistory)

    return HistoryController(read, list_histories)


class Controllers:
    """The loops of the controllers, fed by the informers."""

    def __init__(
        self,
        world: World,
        informers: Informers,
        options: Options,
        *,
        apply: Applier,
        tell: Tell,
        clock: Clock,
        meter: Meter | None = None,
        history: HistoryController | None = None,
    ) -> None:
        """`history` None: releases are not recorded (the gate RolloutHistory is off)."""
        shared: dict[str, Any] = {"apply": apply, "tell": tell, "clock": clock, "meter": meter}
        workers, gates = options.workers, options.gates
        self._world = world
        self.rollouts = Loop(
            RolloutController(gates),
            world,
            workers=workers.rollout,
            refused=_refused(ROLLOUT),
            journal=Lines(RolloutController.name, accounts.of_rollout),
            **shared,
        )
        self.releases = Loop(
            BatchController(gates),
            world,
            workers=workers.batch_release,
            refused=_refused(BATCH_RELEASE),
            journal=Lines(BatchController.name, accounts.of_release),
            **shared,
        )
        self.engine = Loop(
            DeploymentEngine(),
            world,
            workers=workers.deployment,
            refused=_refused(DEPLOYMENT),
            journal=Lines(DeploymentEngine.name, accounts.of_deployment),
            **shared,
        )
        recorded = Lines(HistoryController.name, accounts.of_history)
        self.histories = (
            Loop(history, world, workers=1, journal=recorded, **shared) if history is not None else None
        )
        informers.rollouts.subscribe(self._rollout)
        informers.releases.subscribe(self._release)
        informers.deployments.subscribe(self._deployment)
        informers.replica_sets.subscribe(self._replica_set)

    @property
    def all(self) -> tuple[Loop[Any, Any, Any], ...]:
        optional = (self.histories,) if self.histories is not None else ()
        return (self.rollouts, self.releases, self.engine, *optional)

    def _rollout(self, old: Rollout | None, new: Rollout | None) -> None:
        if self.histories is not None and new is not None and is_worth_a_look(old, new):
            self.histories.queue.add(_key(new.metadata))
        for rollout in _each(old, new):
            self.rollouts.queue.add(_key(rollout.metadata))
            if (old is None) != (new is None) or _ends(old) != _ends(new):
                self._rivals(rollout)
        if new is None or (old is not None and _ends(old) != _ends(new)):
            # its BatchRelease ends with it
            self.releases.queue.add(_key((new or old).metadata))  # type: ignore[union-attr]

    def _rivals(self, rollout: Rollout) -> None:
        """Other Rollouts of the same workload: one of them may take over, or learn that it comes second."""
        for key in _rollouts_workload(rollout):
            for other in self._world.rollouts.by(BY_WORKLOAD, key):
                self.rollouts.queue.add(_key(other.metadata))

    def _release(self, old: BatchRelease | None, new: BatchRelease | None) -> None:
        for release in _each(old, new):
            self.releases.queue.add(_key(release.metadata))
            self.rollouts.queue.add(_key(release.metadata))  # a Rollout's BatchRelease has its name
        if new is None and old is not None:
            for key in _releases_workload(old):
                for other in self._world.batch_releases.by(BY_WORKLOAD, key):
                    self.releases.queue.add(_key(other.metadata))

    def _deployment(self, old: Deployment | None, new: Deployment | None) -> None:
        for deployment in _each(old, new):
            key = _key(deployment.metadata)
            if _shown_to_engine(old) != _shown_to_engine(new):
                self.engine.queue.add(key)
            self._wake(*key)

    def _replica_set(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        for replica_set in _each(old, new):
            owner = replica_set.metadata.controller
            if owner is not None and owner.kind == DEPLOYMENT.kind:
                key = (replica_set.metadata.namespace, owner.name)
                self.engine.queue.add_after(key, _seconds_to_wait(old, new))
                self._wake(*key)

    def _wake(self, ns: str, name: str) -> None:
        """The releases that this Deployment concerns."""
        key = (ns, "apps", DEPLOYMENT.kind, name)
        for rollout in self._world.rollouts.by(BY_WORKLOAD, key):
            self.rollouts.queue.add(_key(rollout.metadata))
        for release in self._world.batch_releases.by(BY_WORKLOAD, key):
            self.releases.queue.add(_key(release.metadata))


def _shown_to_engine(deployment: Deployment | None) -> tuple[Hashable, ...]:
    """What the engine looks at. Which pods are ready it learns from their ReplicaSets; with pods too many, when all are."""
    if deployment is None:
        return ()
    meta, status = deployment.metadata, deployment.status
    marks = frozenset(meta.labels.items())
    return (
        meta.uid,
        meta.generation,
        meta.deletion_timestamp,
        status.observed_generation,
        status.replicas,
        status.updated_replicas,
        status.ready_replicas == status.replicas > deployment.replicas,
        marks,
    )


def _seconds_to_wait(old: ReplicaSet | None, new: ReplicaSet | None) -> float:
    """Not 0: all that has changed is that more of its pods are ready, and more will be."""
    if old is None or new is None or old.metadata.generation != new.metadata.generation:
        return 0
    was, now = old.status, new.status
    if (was.observed_generation, was.replicas) != (now.observed_generation, now.replicas):
        return 0
    if not was.ready_replicas < now.ready_replicas < new.replicas:
        return 0
    return MORE_READY_SECONDS if new.spec.min_ready_seconds == MAX_READY_SECONDS else COUNTED_SECONDS


def _lean(obj: T) -> T:
    """What is worth keeping of a watched object."""
    return replace(obj, metadata=without_last_applied(obj.metadata))


def _lean_workload(obj: W) -> W:
    """The template by itself: as it was read it is a window on the whole answer, which it would keep in memory."""
    return replace(_lean(obj), spec=replace(obj.spec, template=obj.spec.template.copy()))


def _refused(kind: Kind) -> Refused:
    """People read of a write that the API server will go on refusing on the object it was for."""

    def note(key: Key, error: ApiError) -> Note:
        message = f"the API server refuses a write that is needed: {shortened(error.message)}"
        return Note(kind.ref(*key), "Refused", message, "Warning")

    return note


def _each(old: Any, new: Any) -> Iterable[Any]:
    """The object as it is; as it was, if it is gone."""
    return (new,) if new is not None else (old,)


def _ends(rollout: Rollout | None) -> tuple[bool, str]:
    return (
        rollout is None or rollout.metadata.deletion_timestamp is not None,
        rollout.status.phase if rollout else "",
    )


def _key(meta: Meta) -> tuple[str, str]:
    return (meta.namespace, meta.name)


def _rollouts_workload(rollout: Rollout) -> Iterable[Hashable]:
    ref = rollout.spec.workload_ref
    return ((rollout.metadata.namespace, ref.group, ref.kind, ref.name),)


def _releases_workload(release: BatchRelease) -> Iterable[Hashable]:
    ref = release.spec.workload_ref
    return ((release.metadata.namespace, ref.group, ref.kind, ref.name),)


def _owner(replica_set: ReplicaSet) -> Iterable[Hashable]:
    owner = replica_set.metadata.controller
    return () if owner is None else (owner.uid,)
