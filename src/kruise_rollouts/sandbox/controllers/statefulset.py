"""StatefulSet: pods with a number, started and stopped in order (or all at once), replaced from the highest down."""

from __future__ import annotations

import re
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.objects import CONTROLLER_REVISION, POD, STATEFUL_SET, Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import matches, of_object

from . import facts
from .claims import claim_pods
from .pods import Pod, next_availability
from .revisions import POD_REVISION, Revisions, history, surplus, template_of
from .templates import pod_of
from .world import Refusal, World

CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"(.*)-([0-9]+)")


class StatefulSetSeen(Struct, frozen=True):
    workload: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    pods: tuple[Pod, ...]  # owned ones in any state, and the namespace's orphans
    revisions: tuple[JsonObject, ...]
    taken: frozenset[str]  # names of revisions that belong to others
    claims: frozenset[str]  # names of the PersistentVolumeClaims there are
    refusal: Refusal | None
    now: datetime


class StatefulSets:
    name = "statefulset-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> StatefulSetSeen | None:
        found = world.get(STATEFUL_SET, *key)
        if found is None:
            return None
        uid = facts.uid(found)
        mine, others = split_revisions(world, key[0], uid)
        return StatefulSetSeen(
            workload=found,
            status=facts.status(found) if pending is None else pending,
            pods=(*world.pods(uid).values(), *world.orphan_pods(key[0]).values()),
            revisions=mine,
            taken=others,
            claims=frozenset(facts.name(c) for c in world.list(CLAIM, key[0])),
            refusal=world.refusal(self.name, key, now),
            now=now,
        )

    def decide(self, seen: StatefulSetSeen) -> Decision[JsonObject]:
        return decide_stateful_set(seen)

    def persist(self, seen: StatefulSetSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.workload), status)
        return (
            Patch(facts.ref_of(STATEFUL_SET, seen.workload), {"status": patch}, "status") if patch else None
        )


def split_revisions(world: World, ns: str, uid: str) -> tuple[tuple[JsonObject, ...], frozenset[str]]:
    """The ControllerRevisions of one owner, and the names of all others."""
    mine, others = [], set()
    for revision in world.list(CONTROLLER_REVISION, ns):
        if facts.controller_uid(revision) == uid:
            mine.append(revision)
        else:
            others.add(facts.name(revision))
    return tuple(mine), frozenset(others)


class _Step:
    """One decision in the making."""

    def __init__(self, seen: StatefulSetSeen, mine: list[Pod], revisions: Revisions) -> None:
        self.seen, self.revisions = seen, revisions
        self.workload, self.spec = seen.workload, facts.spec(seen.workload)
        self.writes: list[Write] = list(revisions.writes)
        self.notes: list[Note] = []
        self.min_ready = facts.int_of(self.spec, "minReadySeconds")
        self.first = facts.int_of(self.spec.get("ordinals") or {}, "start")
        self.replicas = facts.int_of(self.spec, "replicas", 1)
        self.monotonic = self.spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        by_ordinal = {ordinal(p.name): p for p in mine}
        wanted = range(self.first, self.first + self.replicas)
        self.living = {i: by_ordinal.get(i) for i in wanted}
        self.condemned = [p for i, p in sorted(by_ordinal.items(), reverse=True) if i not in self.living]
        self.update = facts.name(revisions.update)
        named = revisions.named(seen.status.get("currentRevision") or "")
        self.current = named if named is not None else revisions.update
        self.all = mine

    def is_ready(self, pod: Pod) -> bool:
        return pod.phase == "Running" and pod.ready

    def is_available(self, pod: Pod | None) -> bool:
        return pod is not None and pod.is_available(self.min_ready, self.seen.now)

    def is_unavailable(self, pod: Pod | None) -> bool:
        return pod is None or pod.deleting or not self.is_available(pod)

    def delete(self, pod: Pod) -> None:
        self.writes.append(Delete(POD.ref(facts.ns(self.workload), pod.name), pod.uid))
        message = f"Delete Pod {pod.name} in StatefulSet {facts.name(self.workload)} successful"
        self.notes.append(Note(facts.ref_of(STATEFUL_SET, self.workload), "SuccessfulDelete", message))


def ordinal(pod_name: str) -> int:
    """The number a pod's name ends in; -1 if it has none."""
    found = _ORDINAL.fullmatch(pod_name)
    return int(found.group(2)) if found else -1


def decide_stateful_set(seen: StatefulSetSeen) -> Decision[JsonObject]:
    """The next step, in order; a step that has to wait for a pod ends the decision."""
    workload = seen.workload
    mine, claims = _members(seen)
    if claims:
        return Decision(seen.status, tuple(claims))
    extra: JsonObject = {}
    revisions = history(workload, STATEFUL_SET, seen.revisions, seen.taken, extra)
    step = _Step(seen, mine, revisions)
    if not facts.is_deleting(workload) and seen.refusal is None:
        _walk(step)
        live = {facts.name(step.current), step.update, *(_revision(p) for p in mine)}
        step.writes += surplus(revisions, live, facts.int_of(step.spec, "revisionHistoryLimit", 10))
    wake_at = next_availability(mine, step.min_ready, seen.now)
    if seen.refusal is not None:
        wake_at = min(wake_at or seen.refusal.retry_at, seen.refusal.retry_at)
    return Decision(_status(step), tuple(step.writes), wake_at, tuple(step.notes))


def _members(seen: StatefulSetSeen) -> tuple[list[Pod], list[Write]]:
    """Its pods in any state (a finished one keeps its number), and the writes that adopt or release."""
    selector = of_object(facts.spec(seen.workload).get("selector"))
    prefix, uid = facts.name(seen.workload), facts.uid(seen.workload)

    def named(pod: Pod) -> bool:
        found = _ORDINAL.fullmatch(pod.name)
        return found is not None and found.group(1) == prefix

    candidates = [p for p in seen.pods if p.controller == uid or named(p)]
    _, writes = claim_pods(seen.workload, STATEFUL_SET, selector, candidates)
    mine = [
        p
        for p in candidates
        if p.controller == uid and named(p) and selector is not None and matches(selector, p.labels)
    ]
    return mine, writes


def _walk(step: _Step) -> None:
    if not _keep_living(step) or not _stop_condemned(step):
        return
    strategy = step.spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        _replace_one(step, facts.int_of(strategy.get("rollingUpdate") or {}, "partition"))


def _keep_living(step: _Step) -> bool:
    """Creates what is missing; False if that, or an unfinished pod, has to be waited for."""
    for number, pod in step.living.items():
        if pod is not None and pod.is_terminal:
            if not pod.deleting:
                step.delete(pod)
            if step.monotonic:
                return False
            continue
        if pod is None:
            _create(step, number)
        if step.monotonic and (
            pod is None or pod.deleting or not step.is_ready(pod) or not step.is_available(pod)
        ):
            return False
    return True


def _stop_condemned(step: _Step) -> bool:
    """Stops pods beyond the last number, highest first; False if one has to be waited for."""
    everyone = [*step.living.values(), *reversed(step.condemned)]
    unhealthy = next((p for p in everyone if step.is_unavailable(p)), None)
    for pod in step.condemned:
        if pod.deleting:
            if step.monotonic:
                return False
            continue
        healthy = step.is_ready(pod) and step.is_available(pod)
        if step.monotonic and not healthy and pod is not unhealthy:
            return False
        step.delete(pod)
        if step.monotonic:
            return False
    return True


def _replace_one(step: _Step, partition: int) -> None:
    """Deletes the highest pod of another revision, once all above it are available."""
    for number in sorted(step.living, reverse=True):
        if number - step.first < partition:
            return
        pod = step.living[number]
        if pod is not None and _revision(pod) != step.update and not pod.deleting:
            step.delete(pod)
            return
        if step.is_unavailable(pod):
            return


def _revision(pod: Pod) -> str:
    return pod.labels.get(POD_REVISION, "")


def _create(step: _Step, number: int) -> None:
    workload, name = step.workload, f"{facts.name(step.workload)}-{number}"
    strategy = step.spec.get("updateStrategy") or {}
    bounds = strategy.get("rollingUpdate")
    if bounds is None:
        old = facts.int_of(step.seen.status, "currentReplicas")
    else:
        old = facts.int_of(bounds, "partition")
    keeps = strategy.get("type", "RollingUpdate") == "RollingUpdate" and number < step.first + old
    revision = step.current if keeps else step.revisions.update
    body = pod_of(template_of(revision), workload, STATEFUL_SET, name)
    labels = {POD_REVISION: facts.name(revision), POD_NAME: name, POD_INDEX: str(number)}
    metadata = {**body["metadata"], "labels": {**(body["metadata"].get("labels") or {}), **labels}}
    spec = {**body["spec"], "hostname": name}
    if step.spec.get("serviceName"):
        spec["subdomain"] = step.spec["serviceName"]
    _claims(step, name, spec)
    ns = facts.ns(workload)
    step.writes.append(Create(POD.ref(ns, name), {**body, "metadata": metadata, "spec": spec}))
    message = f"Create Pod {name} in StatefulSet {facts.name(workload)} successful"
    step.notes.append(Note(facts.ref_of(STATEFUL_SET, workload), "SuccessfulCreate", message))


def _claims(step: _Step, pod_name: str, spec: JsonObject) -> None:
    """Claims of the pod's own, created where missing, as volumes of `spec`."""
    volumes = {v["name"]: v for v in spec.get("volumes") or ()}
    ns = facts.ns(step.workload)
    labels = (step.spec.get("selector") or {}).get("matchLabels") or {}
    for template in step.spec.get("volumeClaimTemplates") or ():
        volume = facts.name(template)
        name = f"{volume}-{pod_name}"
        volumes[volume] = {"name": volume, "persistentVolumeClaim": {"claimName": name}}
        if name not in step.seen.claims:
            metadata = {"name": name, "namespace": ns, "labels": {**facts.labels_of(template), **labels}}
            body = {"apiVersion": "v1", "kind": CLAIM.kind, "metadata": metadata, "spec": template["spec"]}
            step.writes.append(Create(CLAIM.ref(ns, name), body))
    if volumes:
        spec["volumes"] = list(volumes.values())


def _status(step: _Step) -> JsonObject:
    alive = [p for p in step.all if not p.deleting]
    current = facts.name(step.current)
    ready = [p for p in step.all if step.is_ready(p)]
    status: JsonObject = {
        "observedGeneration": facts.int_of(facts.meta(step.workload), "generation"),
        "replicas": len(step.all),
        "readyReplicas": len(ready),
        "availableReplicas": sum(step.is_available(p) for p in ready),
        "currentReplicas": sum(_revision(p) == current for p in alive),
        "updatedReplicas": sum(_revision(p) == step.update for p in alive),
        "currentRevision": current,
        "updateRevision": step.update,
        "collisionCount": step.revisions.collisions,
    }
    rolling = (step.spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if (
        rolling
        and status["updatedReplicas"] == status["readyReplicas"] == status["replicas"] == step.replicas
    ):
        status["currentReplicas"], status["currentRevision"] = status["updatedReplicas"], step.update
    return facts.without_zeros(status, keep=("replicas", "availableReplicas", "collisionCount"))


def refused(world: World, key: Key, write: Write, error: ApiError) -> Note | None:
    """What is told when a pod could not be created or deleted."""
    verb = {Create: "Create", Delete: "Delete"}.get(type(write), "")
    if not verb or write.ref.kind != "Pod":
        return None
    message = f"{verb} Pod {write.ref.name} in StatefulSet {key[1]} failed error: {error.message}"
    return Note(STATEFUL_SET.ref(*key), f"Failed{verb}", message, "Warning")
