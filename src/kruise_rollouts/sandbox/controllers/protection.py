"""Claims and volumes that are in use: a finalizer keeps them until nobody needs them any more.

Whether a claim gets a volume is no question here: the sandbox provides none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Decision, JsonObject, Patch, Write
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.runtime.controller import Key

from . import facts
from .feeds import key_of
from .world import World

CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
FINALIZERS = {CLAIM.kind: "kubernetes.io/pvc-protection", VOLUME.kind: "kubernetes.io/pv-protection"}


class ProtectionSeen(Struct, frozen=True):
    obj: JsonObject
    in_use: bool


class Protection:
    """Of one kind, CLAIM or VOLUME."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.name = f"{'pvc' if kind == CLAIM else 'pv'}-protection-controller"

    async def observe(self, key: Key, world: World, now: datetime, pending: None) -> ProtectionSeen | None:
        obj = world.get(self._kind, *key)
        if obj is None:
            return None
        if self._kind == VOLUME:
            return ProtectionSeen(obj, facts.status(obj).get("phase") == "Bound")
        pods = (pod.raw for pod in world.pods_in(key[0]) if pod.node)
        return ProtectionSeen(obj, any(key[1] in _claims_of(pod) for pod in pods))

    def decide(self, seen: ProtectionSeen) -> Decision[None]:
        obj, mine = seen.obj, FINALIZERS[self._kind.kind]
        finalizers = facts.meta(obj).get("finalizers") or []
        if facts.is_deleting(obj):
            wanted = finalizers if seen.in_use else [f for f in finalizers if f != mine]
        else:
            wanted = finalizers if mine in finalizers else [*finalizers, mine]
        if wanted == finalizers:
            return Decision(None)
        patch = {"metadata": {"finalizers": wanted or None}}
        ref, version = facts.ref_of(self._kind, obj), facts.version(obj)
        return Decision(None, (Patch(ref, patch, resource_version=version),))

    def persist(self, seen: ProtectionSeen, status: None) -> Write | None:
        return None


def _claims_of(pod: JsonObject) -> set[str]:
    """Names of the claims that it uses."""
    used = set()
    for volume in facts.spec(pod).get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim is not None:
            used.add(str(claim.get("claimName", "")))
        elif "ephemeral" in volume:
            used.add(f"{facts.name(pod)}-{volume['name']}")
    return used


def claims_of_pod(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """Claims that a pod has used until now and that wait to go."""
    pod = old if new is None else None
    for name in _claims_of(pod) if pod is not None else ():
        claim = world.get(CLAIM, facts.ns(pod or {}), name)
        if claim is not None and facts.is_deleting(claim):
            yield key_of(claim)
