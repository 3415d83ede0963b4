"""DaemonSet: one pod on every node that fits; replaced node by node, by deleting first or by surging."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import DAEMON_SET, NODE, POD
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.builtin.defaults_workloads import TEMPLATE_GENERATION
from kruise_rollouts.sandbox.nodes.scheduler import fits_affinity, tolerates_taints
from kruise_rollouts.sandbox.selectors import of_object

from . import facts
from .claims import claim_pods
from .pods import Pod, next_availability
from .revisions import HASH, POD_REVISION, history, surplus
from .statefulset import split_revisions
from .templates import fresh_names, pod_of
from .world import Refusal, World

GENERATION = "pod-template-generation"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSetSeen(Struct, frozen=True):
    workload: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    nodes: tuple[JsonObject, ...]
    pods: tuple[Pod, ...]  # owned ones in any state, and the namespace's orphans
    revisions: tuple[JsonObject, ...]
    taken: frozenset[str]  # names of revisions that belong to others
    refusal: Refusal | None
    now: datetime


class DaemonSets:
    name = "daemonset-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> DaemonSetSeen | None:
        found = world.get(DAEMON_SET, *key)
        if found is None:
            return None
        uid = facts.uid(found)
        mine, others = split_revisions(world, key[0], uid)
        return DaemonSetSeen(
            workload=found,
            status=facts.status(found) if pending is None else pending,
            nodes=tuple(sorted(world.list(NODE), key=facts.name)),
            pods=(*world.pods(uid).values(), *world.orphan_pods(key[0]).values()),
            revisions=mine,
            taken=others,
            refusal=world.refusal(self.name, key, now),
            now=now,
        )

    def decide(self, seen: DaemonSetSeen) -> Decision[JsonObject]:
        return decide_daemon_set(seen)

    def persist(self, seen: DaemonSetSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.workload), status)
        return Patch(facts.ref_of(DAEMON_SET, seen.workload), {"status": patch}, "status") if patch else None


class _Step:
    """One decision in the making."""

    def __init__(self, seen: DaemonSetSeen, mine: list[Pod]) -> None:
        self.seen, self.spec, self.all = seen, facts.spec(seen.workload), mine
        self.revisions = history(seen.workload, DAEMON_SET, seen.revisions, seen.taken, {POD_REVISION: ""})
        self.hash = facts.labels_of(self.revisions.update)[HASH]
        self.writes: list[Write] = list(self.revisions.writes)
        self.notes: list[Note] = []
        self.min_ready = facts.int_of(self.spec, "minReadySeconds")
        self.on: dict[str, list[Pod]] = {}
        for pod in sorted(mine, key=lambda p: (not p.node, p.created, p.name)):
            self.on.setdefault(target_node(pod), []).append(pod)
        self.should_run = {facts.name(n): _should_run(seen.workload, n) for n in seen.nodes}
        self.may_stay = {facts.name(n): _may_stay(seen.workload, n) for n in seen.nodes}
        wanted = sum(self.should_run.values())
        bounds = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        self.surge = facts.scaled(bounds.get("maxSurge"), wanted, up=True)
        self.unavailable = facts.scaled(bounds.get("maxUnavailable", 1), wanted, up=True)
        if not self.surge and not self.unavailable:
            self.unavailable = 1

    def is_new(self, pod: Pod) -> bool:
        return pod.labels.get(POD_REVISION) == self.hash

    def is_available(self, pod: Pod) -> bool:
        return pod.is_available(self.min_ready, self.seen.now)


def target_node(pod: Pod) -> str:
    """The node it is on, or is meant for while it waits for the scheduler."""
    if pod.node:
        return pod.node
    affinity = (facts.spec(pod.raw).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""


def _template_spec(workload: JsonObject) -> JsonObject:
    """The pod spec with the tolerations every daemon has."""
    spec: JsonObject = facts.spec(workload)["template"]["spec"]
    extra = [{"key": k, "operator": "Exists", "effect": e} for k, e in _TOLERATED]
    if spec.get("hostNetwork"):
        key = "node.kubernetes.io/network-unavailable"
        extra.append({"key": key, "operator": "Exists", "effect": "NoSchedule"})
    have = spec.get("tolerations") or []
    return {**spec, "tolerations": [*have, *(t for t in extra if t not in have)]}


def _should_run(workload: JsonObject, node: JsonObject) -> bool:
    spec = _template_spec(workload)
    return fits_affinity(node, spec) and tolerates_taints(spec, node, ("NoSchedule", "NoExecute"))


def _may_stay(workload: JsonObject, node: JsonObject) -> bool:
    spec = _template_spec(workload)
    return fits_affinity(node, spec) and tolerates_taints(spec, node, ("NoExecute",))


def decide_daemon_set(seen: DaemonSetSeen) -> Decision[JsonObject]:
    """Puts pods where they belong; once they are all there, replaces old ones within the bounds."""
    selector = of_object(facts.spec(seen.workload).get("selector"))
    _, claims = claim_pods(seen.workload, DAEMON_SET, selector, seen.pods)
    if claims:
        return Decision(seen.status, tuple(claims))
    uid = facts.uid(seen.workload)
    mine = [p for p in seen.pods if p.controller == uid and not (p.is_terminal and p.deleting)]
    step = _Step(seen, mine)
    if not facts.is_deleting(seen.workload) and seen.refusal is None:
        settled = len(step.writes)
        _place(step)
        strategy = (step.spec.get("updateStrategy") or {}).get("type", "RollingUpdate")
        if len(step.writes) == settled and strategy == "RollingUpdate":
            if step.surge:
                _surge(step)
            else:
                _replace(step)
        live = _live_revisions(step)
        step.writes += surplus(step.revisions, live, facts.int_of(step.spec, "revisionHistoryLimit", 10))
    wake_at = next_availability(mine, step.min_ready, seen.now)
    if seen.refusal is not None:
        wake_at = min(wake_at or seen.refusal.retry_at, seen.refusal.retry_at)
    return Decision(_status(step), tuple(step.writes), wake_at, tuple(step.notes))


def _live_revisions(step: _Step) -> set[str]:
    """Names of the revisions that pods are still of."""
    hashes = {p.labels.get(POD_REVISION) for p in step.all}
    return {facts.name(r) for r in step.revisions.all if facts.labels_of(r).get(HASH) in hashes}


def _place(step: _Step) -> None:
    """Creates missing pods; deletes failed, surplus and misplaced ones."""
    missing: list[str] = []
    for node, runs in step.should_run.items():
        pods = step.on.get(node, [])
        alive = [p for p in pods if not p.deleting]
        if runs and not pods:
            missing.append(node)
        elif step.may_stay[node]:
            running = [p for p in alive if not _remove_finished(step, p, node)]
            if step.surge:
                if not running and runs:
                    missing.append(node)
                _prune_surge(step, running)
            else:
                for extra in running[1:]:
                    _delete(step, extra)
        else:
            for pod in alive:
                _delete(step, pod)
    for node, pods in step.on.items():
        if node not in step.should_run:
            for pod in pods:
                if not pod.node and not pod.deleting:
                    _delete(step, pod)
    _create(step, missing)


def _remove_finished(step: _Step, pod: Pod, node: str) -> bool:
    if not pod.is_terminal:
        return False
    failed = pod.phase == "Failed"
    where = f"daemon pod {facts.ns(pod.raw)}/{pod.name} on node {node}"
    me = facts.ref_of(DAEMON_SET, step.seen.workload)
    if failed:
        step.notes.append(
            Note(me, "FailedDaemonPod", f"Found failed {where}, will try to kill it", "Warning")
        )
    else:
        step.notes.append(Note(me, "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it"))
    _delete(step, pod)
    return True


def _prune_surge(step: _Step, running: list[Pod]) -> None:
    """At most one old and one new pod; the old one goes when it fails or the new one is available."""
    new = [p for p in running if step.is_new(p)]
    old = [p for p in running if not step.is_new(p)]
    for extra in (*new[1:], *old[1:]):
        _delete(step, extra)
    if new and old and (not old[0].ready or step.is_available(new[0])):
        _delete(step, old[0])


def _pair(step: _Step, node: str) -> tuple[Pod | None, Pod | None, bool]:
    """(new pod, old pod, whether there is at most one of each) of those that stay."""
    alive = [p for p in step.on.get(node, []) if not p.deleting]
    new = [p for p in alive if step.is_new(p)]
    old = [p for p in alive if not step.is_new(p)]
    return (new[0] if new else None, old[0] if old else None, len(new) <= 1 and len(old) <= 1)


def _nodes(step: _Step) -> list[str]:
    return sorted({*(n for n, runs in step.should_run.items() if runs), *step.on})


def _replace(step: _Step) -> None:
    """Deletes old pods: unavailable ones at once, available ones up to maxUnavailable."""
    down = 0
    free: list[Pod] = []
    candidates: list[Pod] = []
    for node in _nodes(step):
        new, old, clear = _pair(step, node)
        if not clear or (new is None) == (old is None):
            down += 1
        elif new is not None:
            down += not step.is_available(new)
        elif old is not None and not step.is_available(old):
            free.append(old)
            down += 1
        elif old is not None and down < step.unavailable:
            candidates.append(old)
    for pod in (*free, *candidates[: max(step.unavailable - down, 0)]):
        _delete(step, pod)


def _surge(step: _Step) -> None:
    """Adds new pods beside old ones, up to maxSurge; old ones go once the new one is available."""
    surging = available = 0
    free: list[str] = []
    candidates: list[str] = []
    misplaced: list[Pod] = []
    for node in _nodes(step):
        new, old, clear = _pair(step, node)
        if not clear:
            surging += 1
            continue
        counted = old if old is not None else new
        available += counted is not None and step.is_available(counted)
        if old is None:
            continue
        if new is not None:
            if step.is_available(new):
                _delete(step, old)
            else:
                surging += 1
        elif not step.is_available(old):
            if step.should_run.get(node):
                free.append(node)
            else:
                _delete(step, old)
        elif not step.should_run.get(node):
            misplaced.append(old)
        elif surging < step.surge:
            candidates.append(node)
    spare = max(available - sum(step.should_run.values()), 0)
    for pod in misplaced[:spare]:
        _delete(step, pod)
    _create(step, [*free, *candidates[: max(step.surge - surging, 0)]])


def _delete(step: _Step, pod: Pod) -> None:
    workload = step.seen.workload
    if any(isinstance(w, Delete) and w.uid == pod.uid for w in step.writes):
        return
    step.writes.append(Delete(POD.ref(facts.ns(workload), pod.name), pod.uid))
    me = facts.ref_of(DAEMON_SET, workload)
    step.notes.append(Note(me, "SuccessfulDelete", f"Deleted pod: {pod.name}"))


def _create(step: _Step, nodes: list[str]) -> None:
    workload, ns = step.seen.workload, facts.ns(step.seen.workload)
    seed = f"{facts.uid(workload)}/{step.seen.now.timestamp()}/{len(step.seen.pods)}"
    names = fresh_names(facts.name(workload) + "-", seed, len(nodes), {p.name for p in step.seen.pods})
    template = facts.spec(workload)["template"]
    spec = _template_spec(workload)
    for node, name in zip(nodes, names, strict=True):
        body = pod_of(
            {**template, "spec": {**spec, "affinity": _on_node(spec, node)}}, workload, DAEMON_SET, name
        )
        labels = {**(body["metadata"].get("labels") or {}), POD_REVISION: step.hash}
        generation = facts.annotations_of(workload).get(TEMPLATE_GENERATION)
        if generation:
            labels[GENERATION] = generation
        step.writes.append(
            Create(POD.ref(ns, name), {**body, "metadata": {**body["metadata"], "labels": labels}})
        )
        me = facts.ref_of(DAEMON_SET, workload)
        step.notes.append(Note(me, "SuccessfulCreate", f"Created pod: {name}"))


def _on_node(spec: JsonObject, node: str) -> JsonObject:
    """The affinity of `spec`, narrowed to one node."""
    affinity = spec.get("affinity") or {}
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    narrowed = {
        **(affinity.get("nodeAffinity") or {}),
        "requiredDuringSchedulingIgnoredDuringExecution": required,
    }
    return {**affinity, "nodeAffinity": narrowed}


def _status(step: _Step) -> JsonObject:
    wanted = [n for n, runs in step.should_run.items() if runs]
    oldest = [step.on[n][0] for n in wanted if step.on.get(n)]
    available = sum(p.ready and step.is_available(p) for p in oldest)
    status: JsonObject = {
        "currentNumberScheduled": len(oldest),
        "numberMisscheduled": sum(not step.should_run[n] for n in step.on if n in step.should_run),
        "desiredNumberScheduled": len(wanted),
        "numberReady": sum(p.ready for p in oldest),
        "observedGeneration": facts.int_of(facts.meta(step.seen.workload), "generation"),
        "updatedNumberScheduled": sum(step.is_new(p) for p in oldest),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }
    if step.revisions.collisions:
        status["collisionCount"] = step.revisions.collisions
    keep = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    return facts.without_zeros(status, keep=keep)
