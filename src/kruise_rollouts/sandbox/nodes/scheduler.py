"""The scheduler: binds each pod to the node that fits and has the fewest pods.

Looked at: nodeSelector, required node affinity, taints, cordons and the number of pods a node takes. Resources and
preferences are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.objects import NODE, POD
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.admission.quota import further_requests
from kruise_rollouts.sandbox.controllers import conditions, facts
from kruise_rollouts.sandbox.controllers.world import World

BINDING = "Binding"
NAME = "default-scheduler"
DEFAULT_MAX_PODS = 110


class NodeSeen(Struct, frozen=True):
    node: JsonObject
    pods: int


class UnboundSeen(Struct, frozen=True):
    pod: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    nodes: tuple[NodeSeen, ...]
    now: datetime


class Scheduler:
    name = NAME

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> UnboundSeen | None:
        pod = world.get(POD, *key)
        if pod is None or facts.is_deleting(pod):
            return None
        spec = facts.spec(pod)
        if spec.get("nodeName") or spec.get("schedulingGates") or spec.get("schedulerName", NAME) != NAME:
            return None
        nodes = tuple(NodeSeen(n, len(world.pods_on(facts.name(n)))) for n in world.list(NODE))
        return UnboundSeen(pod, facts.status(pod) if pending is None else pending, nodes, now)

    def decide(self, seen: UnboundSeen) -> Decision[JsonObject]:
        return decide_binding(seen)

    def persist(self, seen: UnboundSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.pod), status)
        return Patch(facts.ref_of(POD, seen.pod), {"status": patch}, "status") if patch else None


def decide_binding(seen: UnboundSeen) -> Decision[JsonObject]:
    """Binds the pod, or says in its PodScheduled condition why no node will do."""
    pod, me = seen.pod, facts.ref_of(POD, seen.pod)
    reasons: dict[str, int] = {}
    fitting: list[NodeSeen] = []
    for node in seen.nodes:
        why = misfit(node, pod)
        if why:
            reasons[why] = reasons.get(why, 0) + 1
        else:
            fitting.append(node)
    if fitting:
        chosen = min(fitting, key=lambda n: (n.pods, facts.name(n.node)))
        name = facts.name(chosen.node)
        message = f"Successfully assigned {facts.ns(pod)}/{facts.name(pod)} to {name}"
        return Decision(seen.status, (binding(pod, name),), None, (Note(me, "Scheduled", message),))
    return _unschedulable(seen, me, reasons)


def _unschedulable(seen: UnboundSeen, me: Ref, reasons: dict[str, int]) -> Decision[JsonObject]:
    listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    message = (
        f"0/{len(seen.nodes)} nodes are available: {listed}."
        if listed
        else "no nodes available to schedule pods"
    )
    found = seen.status.get("conditions") or []
    old = conditions.find(found, "PodScheduled")
    if old is not None and old.get("message") == message:
        return Decision(seen.status)
    same = old is not None and old.get("status") == "False"
    new: JsonObject = {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if same and old else facts.stamp(seen.now),
        "reason": "Unschedulable",
        "message": message,
    }
    status = {**seen.status, "conditions": [*conditions.without(found, "PodScheduled"), new]}
    return Decision(status, notes=(Note(me, "FailedScheduling", message, "Warning"),))


def binding(pod: JsonObject, node: str) -> Create:
    """Puts `pod` on `node`."""
    ns, name = facts.ns(pod), facts.name(pod)
    body = {
        "apiVersion": "v1",
        "kind": BINDING,
        "metadata": {"name": name, "namespace": ns, "uid": facts.uid(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    return Create(Ref("v1", BINDING, ns, name), body)


def misfit(seen: NodeSeen, pod: JsonObject) -> str:
    """Why the pod cannot run there, worded for "N ...": "" if it can."""
    node, spec = seen.node, facts.spec(pod)
    tolerations = spec.get("tolerations") or ()
    if facts.spec(node).get("unschedulable") and not _tolerated(
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, tolerations
    ):
        return "node(s) were unschedulable"
    for taint in facts.spec(node).get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations):
            value = f": {taint['value']}" if taint.get("value") else ""
            return f"node(s) had untolerated taint {{{taint['key']}{value}}}"
    if not fits_affinity(node, spec):
        return "node(s) didn't match Pod's node affinity/selector"
    allocatable = facts.status(node).get("allocatable") or {}
    if seen.pods >= parse_quantity(allocatable.get("pods") or DEFAULT_MAX_PODS):
        return "Too many pods"
    lacking = next((r for r in further_requests(pod) if r not in allocatable), "")
    return f"Insufficient {lacking}" if lacking else ""


def fits_affinity(node: JsonObject, spec: JsonObject) -> bool:
    """nodeSelector and required node affinity of a pod spec."""
    labels = facts.labels_of(node)
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": facts.name(node)}
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))
        and all(_holds(labels, e) for e in term.get("matchExpressions") or ())
        and all(_holds(fields, e) for e in term.get("matchFields") or ())
        for term in required.get("nodeSelectorTerms") or ()
    )


def _holds(labels: dict[str, str], expression: JsonObject) -> bool:
    have, values = labels.get(expression["key"]), list(expression.get("values") or ())
    match expression["operator"]:
        case "In":
            return have in values
        case "NotIn":
            return have not in values
        case "Exists":
            return have is not None
        case "DoesNotExist":
            return have is None
        case "Gt" | "Lt" as operator:
            if have is None or not have.lstrip("-").isdigit() or len(values) != 1:
                return False
            return int(have) > int(values[0]) if operator == "Gt" else int(have) < int(values[0])
    return False


def tolerates_taints(spec: JsonObject, node: JsonObject, effects: Iterable[str]) -> bool:
    """Whether the pod spec tolerates every taint of the node that has one of these effects."""
    tolerations = spec.get("tolerations") or ()
    return all(
        _tolerated(taint, tolerations)
        for taint in facts.spec(node).get("taints") or ()
        if taint.get("effect") in effects
    )


def _tolerated(taint: JsonObject, tolerations: Iterable[JsonObject]) -> bool:
    for t in tolerations:
        if t.get("effect") and t["effect"] != taint.get("effect"):
            continue
        exists = t.get("operator") == "Exists"
        if not t.get("key"):
            if exists:
                return True
        elif t["key"] == taint["key"] and (exists or (t.get("value") or "") == (taint.get("value") or "")):
            return True
    return False
