"""ReplicaSet: as many pods as spec.replicas says. The same rules serve ReplicationController.

A refused create or delete (quota, admission) comes back as `refusal` in the snapshot: it is reported as the
ReplicaFailure condition, and nothing more is tried until its time is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import POD, REPLICA_SET, Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import Selector, matches, of_object

from . import conditions, facts
from .claims import claim_pods
from .pods import Pod, deletion_order, next_availability
from .templates import fresh_names, pod_of
from .world import Refusal, World

BURST = 500  # pods created or deleted in one decision
FAILURE = "ReplicaFailure"
REPLICATION_CONTROLLER = Kind("v1", "ReplicationController", "replicationcontrollers")


class ReplicaSetSeen(Struct, frozen=True):
    kind: Kind
    replica_set: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    pods: tuple[Pod, ...]  # owned ones in any state, and the namespace's orphans
    beside: Mapping[str, int]  # node -> active pods there of the same Deployment
    refusal: Refusal | None
    now: datetime


class ReplicaSets:
    """The controller; `kind` is ReplicaSet or ReplicationController."""

    def __init__(self, kind: Kind = REPLICA_SET) -> None:
        self.kind = kind
        self.name = "replicaset-controller" if kind is REPLICA_SET else "replication-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> ReplicaSetSeen | None:
        found = world.get(self.kind, *key)
        if found is None:
            return None
        owned = world.pods(facts.uid(found))
        orphans = world.orphan_pods(key[0])
        return ReplicaSetSeen(
            kind=self.kind,
            replica_set=found,
            status=facts.status(found) if pending is None else pending,
            pods=(*owned.values(), *orphans.values()),
            beside=_crowd(world, found, owned),
            refusal=world.refusal(self.name, key, now),
            now=now,
        )

    def decide(self, seen: ReplicaSetSeen) -> Decision[JsonObject]:
        return decide_replica_set(seen)

    def persist(self, seen: ReplicaSetSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.replica_set), status)
        if not patch:
            return None
        return Patch(facts.ref_of(self.kind, seen.replica_set), {"status": patch}, "status")


def _crowd(world: World, replica_set: JsonObject, owned: Mapping[str, Pod]) -> dict[str, int]:
    """Active pods per node, of this ReplicaSet and its siblings. {} unless pods must go: nothing else asks."""
    if len(owned) <= facts.int_of(facts.spec(replica_set), "replicas", 1):
        return {}
    owner = facts.controller_uid(replica_set)
    siblings = [facts.uid(s) for s in world.controlled(REPLICA_SET, owner)] if owner else []
    count: dict[str, int] = {}
    for uid in siblings or [facts.uid(replica_set)]:
        for pod in world.pods(uid).values():
            if pod.is_active:
                count[pod.node] = count.get(pod.node, 0) + 1
    return count


def selector(kind: Kind, obj: JsonObject) -> Selector | None:
    raw = facts.spec(obj).get("selector")
    if kind is REPLICA_SET:
        return of_object(raw)
    return of_object({"matchLabels": raw}) if raw else None


def decide_replica_set(seen: ReplicaSetSeen) -> Decision[JsonObject]:
    """Creates or deletes the difference, adopts and releases, and counts."""
    rs, spec = seen.replica_set, facts.spec(seen.replica_set)
    chosen = selector(seen.kind, rs)
    active, writes = claim_pods(rs, seen.kind, chosen, seen.pods)
    notes: list[Note] = []
    wanted = facts.int_of(spec, "replicas", 1)
    surplus = len(active) - wanted
    if not facts.is_deleting(rs) and seen.refusal is None:
        if surplus < 0:
            _create(seen, min(-surplus, BURST), writes, notes)
        elif surplus > 0:
            _delete(seen, active, min(surplus, BURST), writes, notes)
    status = _status(seen, active, chosen, surplus)
    wake_at = next_availability(active, facts.int_of(spec, "minReadySeconds"), seen.now)
    if seen.refusal is not None:
        wake_at = min(wake_at or seen.refusal.retry_at, seen.refusal.retry_at)
    return Decision(status, tuple(writes), wake_at, tuple(notes))


def _create(seen: ReplicaSetSeen, count: int, writes: list[Write], notes: list[Note]) -> None:
    rs = seen.replica_set
    me, ns = facts.ref_of(seen.kind, rs), facts.ns(rs)
    seed = f"{facts.uid(rs)}/{seen.now.timestamp()}/{len(seen.pods)}"
    taken = {p.name for p in seen.pods}
    template = facts.spec(rs)["template"]
    for name in fresh_names(facts.name(rs) + "-", seed, count, taken):
        writes.append(Create(POD.ref(ns, name), pod_of(template, rs, seen.kind, name)))
        notes.append(Note(me, "SuccessfulCreate", f"Created pod: {name}"))


def _delete(
    seen: ReplicaSetSeen, active: list[Pod], count: int, writes: list[Write], notes: list[Note]
) -> None:
    me, ns = facts.ref_of(seen.kind, seen.replica_set), facts.ns(seen.replica_set)
    ranked = active if count == len(active) else deletion_order(active, seen.beside, seen.now)
    for pod in ranked[:count]:
        writes.append(Delete(POD.ref(ns, pod.name), uid=pod.uid))
        notes.append(Note(me, "SuccessfulDelete", f"Deleted pod: {pod.name}"))


def _status(seen: ReplicaSetSeen, active: list[Pod], chosen: Selector | None, surplus: int) -> JsonObject:
    rs, spec = seen.replica_set, facts.spec(seen.replica_set)
    my_uid = facts.uid(rs)
    wanted_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    min_ready = facts.int_of(spec, "minReadySeconds")
    ready = [p for p in active if p.ready]
    counts: JsonObject = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(wanted_labels.items() <= p.labels.items() for p in active),
        "readyReplicas": len(ready),
        "availableReplicas": sum(p.is_available(min_ready, seen.now) for p in ready),
        "observedGeneration": facts.int_of(facts.meta(rs), "generation"),
        "conditions": _conditions(seen, surplus),
    }
    if seen.kind is REPLICA_SET:
        counts["terminatingReplicas"] = sum(
            p.is_terminating and p.controller == my_uid and chosen is not None and matches(chosen, p.labels)
            for p in seen.pods
        )
    return facts.without_zeros(counts, keep=("replicas", "terminatingReplicas"))


def _conditions(seen: ReplicaSetSeen, surplus: int) -> list[JsonObject]:
    found: list[JsonObject] = seen.status.get("conditions") or []
    if seen.refusal is None:
        # Writes may yet be refused; a standing failure is withdrawn only once there is nothing left to do.
        return conditions.without(found, FAILURE) if surplus == 0 else found
    if conditions.find(found, FAILURE):
        return found
    return [
        *found,
        {
            "type": FAILURE,
            "status": "True",
            "lastTransitionTime": facts.stamp(seen.now),
            "reason": "FailedCreate" if seen.refusal.creating else "FailedDelete",
            "message": seen.refusal.message,
        },
    ]


def refused(ref: Ref, write: Write, error: ApiError) -> Note | None:
    """What the owner of a refused pod write is told; None if it is not worth telling."""
    if isinstance(write, Create):
        return Note(ref, "FailedCreate", f"Error creating: {error.message}", "Warning")
    if isinstance(write, Delete):
        return Note(ref, "FailedDelete", f"Error deleting: {error.message}", "Warning")
    return None
