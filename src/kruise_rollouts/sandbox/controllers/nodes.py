"""Node lifecycle: what happens when a kubelet stops reporting.

A node annotated `sim/down: "true"` has a dead kubelet. After the grace period it is Unknown and tainted and its pods
are not ready; pods go when they no longer tolerate the taint.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import Decision, Delete, JsonObject, Note, Patch, Write
from kruise_rollouts.kube.objects import NODE, POD
from kruise_rollouts.runtime.controller import Key

from . import conditions, facts
from .pods import Pod
from .world import World

DOWN = "sim/down"
DOWN_SINCE = "sim/down-since"  # written here: the last heartbeat there was
GRACE_SECONDS = 40
UNREACHABLE = "node.kubernetes.io/unreachable"
DEFAULT_TOLERATION_SECONDS = 300


class NodeSeen(Struct, frozen=True):
    node: JsonObject | None  # None: it has been deleted, and left pods behind
    status: JsonObject  # stored, or decided earlier in this fold
    pods: tuple[Pod, ...]
    now: datetime


class NodeLifecycle:
    name = "node-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> NodeSeen | None:
        node = world.get(NODE, "", key[1])
        pods = tuple(world.pods_on(key[1]).values())
        if node is None:
            return NodeSeen(None, {}, pods, now) if pods else None
        return NodeSeen(node, facts.status(node) if pending is None else pending, pods, now)

    def decide(self, seen: NodeSeen) -> Decision[JsonObject]:
        if seen.node is None:
            return Decision({}, tuple(_ended(p) for p in seen.pods))
        if facts.annotations_of(seen.node).get(DOWN) == "true":
            return _lost(seen, seen.node)
        return _alive(seen, seen.node)

    def persist(self, seen: NodeSeen, status: JsonObject) -> Write | None:
        if seen.node is None:
            return None
        patch = facts.changed_fields(facts.status(seen.node), status)
        return Patch(facts.ref_of(NODE, seen.node), {"status": patch}, "status") if patch else None


def _ended(pod: Pod) -> Delete:
    return Delete(POD.ref(facts.ns(pod.raw), pod.name), pod.uid, grace_seconds=0)


def _alive(seen: NodeSeen, node: JsonObject) -> Decision[JsonObject]:
    writes = [*_annotated(node, None), *_tainted(node, [])]
    ready = conditions.find(seen.status.get("conditions") or [], "Ready")
    if ready is None or ready.get("reason") != "NodeStatusUnknown":
        return Decision(seen.status, tuple(writes))
    told = ("True", "KubeletReady", "kubelet is posting ready status")
    return Decision(_with_ready(seen, *told), tuple(writes))


def _lost(seen: NodeSeen, node: JsonObject) -> Decision[JsonObject]:
    me = facts.ref_of(NODE, node)
    since = facts.time_at(facts.annotations_of(node).get(DOWN_SINCE))
    if since is None:
        return Decision(seen.status, _annotated(node, facts.stamp(seen.now)))
    due = since + timedelta(seconds=GRACE_SECONDS)
    if seen.now < due:
        return Decision(seen.status, wake_at=due)
    at = facts.stamp(due)
    taints = [
        {"key": UNREACHABLE, "effect": "NoSchedule", "timeAdded": at},
        {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": at},
    ]
    writes: list[Write] = [*_tainted(node, taints)]
    notes = [Note(me, "NodeNotReady", f"Node {me.name} status is now: NodeNotReady")] if writes else []
    dues: list[datetime] = []
    for pod in seen.pods:
        if pod.ready:
            writes.append(_unready(pod, seen.now))
        leaves = due + timedelta(seconds=_toleration(pod))
        if pod.deleting:
            continue
        if leaves <= seen.now:
            ref = POD.ref(facts.ns(pod.raw), pod.name)
            writes.append(Delete(ref, pod.uid))
            notes.append(Note(ref, "TaintManagerEviction", f"Marking for deletion Pod {ref.ns}/{ref.name}"))
        else:
            dues.append(leaves)
    status = _with_ready(seen, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    return Decision(status, tuple(writes), min(dues, default=None), tuple(notes))


def _toleration(pod: Pod) -> float:
    """Seconds the pod stays on an unreachable node; about for ever if it tolerates that without a limit."""
    for t in facts.spec(pod.raw).get("tolerations") or ():
        if t.get("effect") not in (None, "", "NoExecute"):
            continue
        if t.get("key") == UNREACHABLE or (not t.get("key") and t.get("operator") == "Exists"):
            seconds = t.get("tolerationSeconds")
            return 1e9 if seconds is None else float(seconds)
    return 0.0


def _annotated(node: JsonObject, since: str | None) -> tuple[Write, ...]:
    if facts.annotations_of(node).get(DOWN_SINCE) == since:
        return ()
    return (Patch(facts.ref_of(NODE, node), {"metadata": {"annotations": {DOWN_SINCE: since}}}),)


def _tainted(node: JsonObject, wanted: list[JsonObject]) -> tuple[Write, ...]:
    taints = facts.spec(node).get("taints") or []
    others = [t for t in taints if t.get("key") != UNREACHABLE]
    mine = [t for t in taints if t.get("key") == UNREACHABLE]
    if {t["effect"] for t in mine} == {t["effect"] for t in wanted}:
        return ()
    return (Patch(facts.ref_of(NODE, node), {"spec": {"taints": [*others, *wanted] or None}}),)


def _with_ready(seen: NodeSeen, status: str, reason: str, message: str) -> JsonObject:
    found = seen.status.get("conditions") or []
    old = conditions.find(found, "Ready")
    if old is not None and old.get("status") == status:
        return seen.status
    at = facts.stamp(seen.now)
    new = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": at if status == "True" or old is None else old.get("lastHeartbeatTime", at),
        "lastTransitionTime": at,
    }
    return {**seen.status, "conditions": [*conditions.without(found, "Ready"), new]}


def _unready(pod: Pod, now: datetime) -> Patch:
    status = facts.status(pod.raw)
    changed = [
        {**c, "status": "False", "lastTransitionTime": facts.stamp(now)} if c.get("type") == "Ready" else c
        for c in status.get("conditions") or ()
    ]
    ref = POD.ref(facts.ns(pod.raw), pod.name)
    return Patch(ref, {"status": {"conditions": changed}}, "status", facts.version(pod.raw))
