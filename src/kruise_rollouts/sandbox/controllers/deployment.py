"""Deployment: one ReplicaSet per template, and the walk from the old ones to the new one.

`decide_deployment` picks one of four branches (going away, paused or resized, Recreate, rolling), as
kube-controller-manager does, one step at a time: the fold loop asks again after each step. The sizes are decided
in deployment_scale.py, the status in deployment_status.py.
"""

from __future__ import annotations

from datetime import datetime

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import DEPLOYMENT, REPLICA_SET
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import of_object

from . import conditions, facts
from .claims import claim
from .deployment_scale import Sizes, new_size, proportional, reconcile_old
from .deployment_status import (
    PROGRESSING,
    condition,
    counted,
    is_complete,
    judged,
    pause_condition,
    progress_due,
)
from .deployment_view import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    REVISION,
    REVISION_HISTORY,
    Dep,
    DeploymentSeen,
    Rs,
    active,
    dep_from,
    newest,
    rs_from,
)
from .templates import HASH_LABEL, template_hash
from .world import World

NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)
HISTORY_CHARACTERS = 2000  # of the revision-history annotation
MAX_NAME = 253


class Deployments:
    name = "deployment-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> DeploymentSeen | None:
        found = world.get(DEPLOYMENT, *key)
        if found is None:
            return None
        uid = facts.uid(found)
        sets: list[JsonObject] = []
        taken: set[str] = set()
        for rs in world.list(REPLICA_SET, key[0]):
            if facts.controller_uid(rs) in (uid, ""):
                sets.append(rs)
            else:
                taken.add(facts.name(rs))
        return DeploymentSeen(
            deployment=found,
            status=facts.status(found) if pending is None else pending,
            replica_sets=tuple(sets),
            taken=frozenset(taken),
            running=frozenset(
                facts.uid(rs)
                for rs in sets
                if any(not p.is_terminal for p in world.pods(facts.uid(rs)).values())
            ),
            refusal=world.refusal(self.name, key, now),
            now=now,
        )

    def decide(self, seen: DeploymentSeen) -> Decision[JsonObject]:
        return decide_deployment(seen)

    def persist(self, seen: DeploymentSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.deployment), status)
        return (
            Patch(facts.ref_of(DEPLOYMENT, seen.deployment), {"status": patch}, "status") if patch else None
        )


class _Step:
    """One decision in the making."""

    def __init__(self, seen: DeploymentSeen) -> None:
        self.seen, self.now = seen, seen.now
        self.dep = dep_from(seen.deployment)
        selector = of_object(facts.spec(seen.deployment).get("selector"))
        mine, claims = claim(seen.deployment, DEPLOYMENT, selector, REPLICA_SET, seen.replica_sets)
        self.writes: list[Write] = claims
        self.notes: list[Note] = []
        self.sets = sorted((rs_from(rs) for rs in mine), key=lambda r: r.born)
        self.new = newest(self.dep.template, self.sets)
        self.old = [r for r in self.sets if self.new is None or r.uid != self.new.uid]
        self.status = dict(seen.status)

    def add_condition(self, new: JsonObject) -> None:
        self.status["conditions"] = conditions.with_condition(self.status.get("conditions") or [], new)

    def resize(self, sizes: Sizes) -> bool:
        """Writes the sizes; whether any ReplicaSet changes."""
        for rs, size in sizes:
            self.writes.append(_sized(self.dep, rs, size))
            if size != rs.size:
                direction = "up" if size > rs.size else "down"
                message = f"Scaled {direction} replica set {rs.name} from {rs.size} to {size}"
                self.notes.append(Note(self.dep.ref, "ScalingReplicaSet", message))
        return bool(sizes)

    def rest(self, status: JsonObject, wake_at: datetime | None = None) -> Decision[JsonObject]:
        return Decision(status, tuple(self.writes), wake_at, tuple(self.notes))

    def only_counted(self) -> Decision[JsonObject]:
        return self.rest(counted(self.dep, self.sets, self.new, self.status, self.now))

    def judged(self) -> Decision[JsonObject]:
        status = judged(self.dep, self.sets, self.new, self.status, self.now)
        refusal = self.seen.refusal
        return self.rest(status, refusal.retry_at if refusal else progress_due(self.dep, status))


def decide_deployment(seen: DeploymentSeen) -> Decision[JsonObject]:
    """The next step of the Deployment; no writes when there is none to take now."""
    step = _Step(seen)
    dep = step.dep
    if step.writes:
        return step.rest(step.status)  # ownership first: the rest is decided on the objects that come back
    if facts.is_deleting(seen.deployment):
        _sync_new(step)
        return step.only_counted()
    step.status["conditions"] = pause_condition(dep, step.status.get("conditions") or [], seen.now)
    _sync_new(step)
    if step.writes:
        return step.rest(step.status)
    if dep.paused or _is_resized(step):
        step.resize(proportional(dep, step.new, step.old, facts.int_of(seen.status, "replicas")))
        if dep.paused:
            _clean_up(step)
        return step.only_counted()
    return _roll(step) if dep.rolling else _recreate(step)


def _is_resized(step: _Step) -> bool:
    """Whether spec.replicas has changed since the active ReplicaSets were sized."""
    desired = (r.annotated(DESIRED_REPLICAS) for r in active(step.sets))
    return any(d is not None and d != step.dep.replicas for d in desired)


def _roll(step: _Step) -> Decision[JsonObject]:
    dep = step.dep
    if step.new is None:
        _create_new(step)
        return step.judged()
    if any(r.lags for r in step.sets):
        return step.judged()  # counts of a former size or minReadySeconds: its controller will speak up
    size = new_size(dep, step.sets, step.new)
    if step.resize([(step.new, size)] if size != step.new.size else []):
        return step.judged()
    if step.resize(reconcile_old(dep, step.sets, step.old, step.new)):
        return step.judged()
    if is_complete(dep, step.seen.status):
        _clean_up(step)
    return step.judged()


def _recreate(step: _Step) -> Decision[JsonObject]:
    if step.resize([(rs, 0) for rs in active(step.old)]):
        return step.judged()
    new_uid = step.new.uid if step.new else ""
    mine = {r.uid for r in step.sets} - {new_uid}
    if any(r.actual for r in step.old) or mine & step.seen.running:
        return step.judged()
    if step.new is None:
        _create_new(step)
        return step.judged()
    if step.new.size != step.dep.replicas:
        step.resize([(step.new, step.dep.replicas)])
    if is_complete(step.dep, step.seen.status):
        _clean_up(step)
    return step.judged()


# -- the new ReplicaSet -------------------------------------------------------------------------------


def _sync_new(step: _Step) -> None:
    """Keeps the annotations, the revision and minReadySeconds of an existing new ReplicaSet up to date."""
    new, dep = step.new, step.dep
    if new is None:
        return
    wanted = _annotations(dep, new.annotations, max((r.revision for r in step.old), default=0) + 1)
    patch: JsonObject = {}
    changed = facts.changed_fields(new.annotations, wanted)
    if changed:
        patch["metadata"] = {"annotations": changed}
    if facts.int_of(facts.spec(new.obj), "minReadySeconds") != dep.min_ready_seconds:
        patch["spec"] = {"minReadySeconds": dep.min_ready_seconds}
    if patch:
        step.writes.append(Patch(new.ref, patch, resource_version=facts.version(new.obj)))
    _set_revision(step, wanted.get(REVISION, ""))
    if dep.deadline is not None and not conditions.find(step.status.get("conditions") or [], PROGRESSING):
        message = f'Found new replica set "{new.name}"'
        step.add_condition(condition(PROGRESSING, "True", "FoundNewReplicaSet", message, step.now))


def _create_new(step: _Step) -> None:
    dep = step.dep
    collisions = facts.int_of(step.status, "collisionCount")
    digest = template_hash(dep.template, collisions)
    name = f"{dep.name[: MAX_NAME - 1 - len(digest)]}-{digest}"
    if name in step.seen.taken or any(name == facts.name(rs) for rs in step.seen.replica_sets):
        step.status["collisionCount"] = collisions + 1
        return
    if step.seen.refusal is not None:
        if dep.deadline is not None:
            message = f'Failed to create new replica set "{name}": {step.seen.refusal.message}'
            step.add_condition(condition(PROGRESSING, "False", "ReplicaSetCreateError", message, step.now))
        return
    size = new_size(dep, step.sets, None)
    revision = max((r.revision for r in step.sets), default=0) + 1
    body = _replica_set(dep, name, digest, size)
    body["metadata"]["annotations"] = _annotations(dep, {}, revision) | _size_annotations(dep)
    step.writes.append(Create(REPLICA_SET.ref(facts.ns(dep.obj), name), body))
    if size:
        message = f"Scaled up replica set {name} from 0 to {size}"
        step.notes.append(Note(dep.ref, "ScalingReplicaSet", message))
    _set_revision(step, str(revision))
    if dep.deadline is not None:
        message = f'Created new replica set "{name}"'
        step.add_condition(condition(PROGRESSING, "True", "NewReplicaSetCreated", message, step.now))


def _replica_set(dep: Dep, name: str, digest: str, size: int) -> JsonObject:
    template = dep.template
    metadata = template.get("metadata") or {}
    marked = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = facts.spec(dep.obj).get("selector") or {}
    chosen = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}}
    spec: JsonObject = {
        "replicas": size,
        "selector": chosen,
        "template": {**template, "metadata": {**metadata, "labels": marked}},
    }
    if dep.min_ready_seconds:
        spec["minReadySeconds"] = dep.min_ready_seconds
    return {
        "apiVersion": REPLICA_SET.api_version,
        "kind": REPLICA_SET.kind,
        "metadata": {
            "name": name,
            "namespace": facts.ns(dep.obj),
            "labels": marked,
            "ownerReferences": [facts.owner_ref(DEPLOYMENT, dep.obj)],
        },
        "spec": spec,
    }


def _annotations(dep: Dep, current: dict[str, str], revision: int) -> dict[str, str]:
    """`current` with the Deployment's own annotations, and the revision moved up to at least `revision`.

    A ReplicaSet that is used again keeps its former revisions in the history annotation.
    """
    copied = {k: v for k, v in facts.annotations_of(dep.obj).items() if k not in NOT_COPIED}
    wanted = {**current, **copied}
    was = current.get(REVISION, "")
    if was and not was.isdigit():
        return wanted
    if int(was or 0) >= revision:
        return wanted
    wanted[REVISION] = str(revision)
    if was:
        history = [*filter(None, current.get(REVISION_HISTORY, "").split(",")), was]
        while len(",".join(history)) > HISTORY_CHARACTERS and len(history) > 1:
            history.pop(0)
        wanted[REVISION_HISTORY] = ",".join(history)
    return wanted


def _size_annotations(dep: Dep) -> dict[str, str]:
    return {DESIRED_REPLICAS: str(dep.replicas), MAX_REPLICAS: str(dep.replicas + dep.surge)}


def _set_revision(step: _Step, revision: str) -> None:
    """Shows the new ReplicaSet's revision on the Deployment.

    Through the status subresource, as Kubernetes does: admission of Deployments is not asked again.
    """
    if facts.annotations_of(step.dep.obj).get(REVISION) != revision:
        body = {"metadata": {"annotations": {REVISION: revision}}}
        step.writes.append(Patch(step.dep.ref, body, "status"))


def _sized(dep: Dep, rs: Rs, size: int) -> Patch:
    body: JsonObject = {"metadata": {"annotations": _size_annotations(dep)}}
    if size != rs.size:
        body["spec"] = {"replicas": size}
    return Patch(rs.ref, body)


def _clean_up(step: _Step) -> None:
    """Deletes the oldest empty ReplicaSets beyond revisionHistoryLimit."""
    limit = step.dep.history_limit
    if limit is None:
        return
    alive = [r for r in step.old if not facts.is_deleting(r.obj)]
    surplus = len(alive) - limit
    for rs in sorted(alive, key=lambda r: (r.revision, r.born))[: max(surplus, 0)]:
        observed = facts.int_of(facts.status(rs.obj), "observedGeneration")
        if rs.size or rs.actual or facts.int_of(facts.meta(rs.obj), "generation") > observed:
            continue
        step.writes.append(Delete(rs.ref, uid=rs.uid))
