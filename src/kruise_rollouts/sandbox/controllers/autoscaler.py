"""HorizontalPodAutoscaler in a cluster without metrics: keeps its target within bounds, and says what it cannot know.

What a metric would ask for is never computed: the sandbox measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Decision, JsonObject, Note, Patch, Ref, Write
from kruise_rollouts.kube.objects import Kind
from kruise_rollouts.runtime.controller import Key

from . import conditions, facts
from .feeds import key_of
from .world import World, id_of, named

AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
_NO_API = "the server could not find the requested resource"


class AutoscalerSeen(Struct, frozen=True):
    autoscaler: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    target: Ref
    replicas: int | None  # wanted of the target now; None: it has no scale
    missing: str  # why there is no scale, in words
    now: datetime


class Autoscalers:
    name = "horizontal-pod-autoscaler"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> AutoscalerSeen | None:
        found = world.get(AUTOSCALER, *key)
        if found is None:
            return None
        to: JsonObject = facts.spec(found).get("scaleTargetRef") or {}
        ref = Ref(to.get("apiVersion") or "", to.get("kind") or "", key[0], to.get("name") or "")
        replicas, missing = _scale(world, ref)
        status = facts.status(found) if pending is None else pending
        return AutoscalerSeen(found, status, ref, replicas, missing, now)

    def decide(self, seen: AutoscalerSeen) -> Decision[JsonObject]:
        return decide_autoscaler(seen)

    def persist(self, seen: AutoscalerSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.autoscaler), status)
        return (
            Patch(facts.ref_of(AUTOSCALER, seen.autoscaler), {"status": patch}, "status") if patch else None
        )


def _scale(world: World, ref: Ref) -> tuple[int | None, str]:
    kind = id_of(ref)
    if kind not in world.served:
        return None, f"no matches for kind {ref.kind!r} in group {kind[0]!r}".replace("'", '"')
    group_resource = world.served[kind].rstrip(".")
    path, target = world.scales.get(kind), world.at(kind, ref.ns, ref.name)
    if target is None:
        return None, f'{group_resource} "{ref.name}" not found'
    if path is None:
        return None, _NO_API
    value: object = target
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return (value if isinstance(value, int) else 0), ""


def decide_autoscaler(seen: AutoscalerSeen) -> Decision[JsonObject]:
    """Brings the target within its bounds; beyond that, tells that there are no metrics."""
    me = facts.ref_of(AUTOSCALER, seen.autoscaler)
    if seen.replicas is None:
        why = f"the HPA controller was unable to get the target's current scale: {seen.missing}"
        status = _with(seen, seen.status, "AbleToScale", False, "FailedGetScale", why)
        told = (Note(me, "FailedGetScale", seen.missing, "Warning"),) if status != seen.status else ()
        return Decision(status, notes=told)
    spec = facts.spec(seen.autoscaler)
    least, most = facts.int_of(spec, "minReplicas", 1), facts.int_of(spec, "maxReplicas")
    now = seen.replicas
    if now == 0 and least != 0:
        status = _able(seen)
        why = "scaling is disabled since the replica count of the target is zero"
        status = _with(seen, status, "ScalingActive", False, "ScalingDisabled", why)
        return Decision({**status, "currentReplicas": 0, "desiredReplicas": 0})
    if now > most or now < least:
        return _rescale(seen, me, most if now > most else least)
    return _without_metrics(seen, me)


def _rescale(seen: AutoscalerSeen, me: Ref, wanted: int) -> Decision[JsonObject]:
    above = seen.replicas is not None and seen.replicas > wanted
    bound = "above Spec.MaxReplicas" if above else "below Spec.MinReplicas"
    done = f"the HPA controller was able to update the target scale to {wanted}"
    status = _with(seen, seen.status, "AbleToScale", True, "SucceededRescale", done)
    told = Note(me, "SuccessfulRescale", f"New size: {wanted}; reason: Current number of replicas {bound}")
    counts = {
        "currentReplicas": seen.replicas,
        "desiredReplicas": wanted,
        "lastScaleTime": facts.stamp(seen.now),
    }
    write = Patch(seen.target, {"spec": {"replicas": wanted}}, "scale")
    return Decision({**status, **counts}, (write,), notes=(told,))


def _without_metrics(seen: AutoscalerSeen, me: Ref) -> Decision[JsonObject]:
    metrics: list[JsonObject] = facts.spec(seen.autoscaler).get("metrics") or []
    reason, why, short = _fault(metrics[0] if metrics else {})
    status = _able(seen)
    text = f"the HPA was unable to compute the replica count: {why}"
    status = _with(seen, status, "ScalingActive", False, reason, text)
    status = {
        **status,
        "currentReplicas": seen.replicas,
        "desiredReplicas": seen.replicas,
        "currentMetrics": [{"type": ""} for _ in metrics] or None,
    }
    if conditions.find(status["conditions"], "ScalingActive") == conditions.find(
        seen.status.get("conditions") or [], "ScalingActive"
    ):
        return Decision(status)
    count = len(metrics)
    told = f"invalid metrics ({count} invalid out of {count}), first error is: failed to get {short}: {why}"
    notes = (Note(me, reason, why, "Warning"), Note(me, "FailedComputeMetricsReplicas", told, "Warning"))
    return Decision(status, notes=notes)


def _fault(metric: JsonObject) -> tuple[str, str, str]:
    """(reason, what failed, which value is missing) for a metric that nobody measures."""
    kind = metric.get("type") or "Resource"
    source: JsonObject = metric.get(kind[0].lower() + kind[1:]) or {}
    if kind in ("Resource", "ContainerResource"):
        name = source.get("name") or "cpu"
        what = "utilization" if "averageUtilization" in (source.get("target") or {}) else "usage"
        api = f"unable to fetch metrics from resource metrics API: {_NO_API} (get pods.metrics.k8s.io)"
        why = f"failed to get {name} {what}: unable to get metrics for resource {name}: {api}"
        reason = "FailedGetResourceMetric" if kind == "Resource" else "FailedGetContainerResourceMetric"
        return reason, why, f"{name} {'' if kind == 'Resource' else 'container '}resource metric value"
    name = (source.get("metric") or {}).get("name") or ""
    if kind == "External":
        api = f"unable to fetch metrics from external metrics API: {_NO_API}"
        return (
            "FailedGetExternalMetric",
            f"unable to get external metric {name}: {api}",
            f"{name} external metric value",
        )
    api = f"unable to fetch metrics from custom metrics API: {_NO_API}"
    short = "pods metric value" if kind == "Pods" else "object metric value"
    return f"FailedGet{kind}Metric", f"unable to get metric {name}: {api}", short


def _able(seen: AutoscalerSeen) -> JsonObject:
    why = "the HPA controller was able to get the target's current scale"
    return _with(seen, seen.status, "AbleToScale", True, "SucceededGetScale", why)


def _with(
    seen: AutoscalerSeen, status: JsonObject, kind: str, holds: bool, reason: str, message: str
) -> JsonObject:
    """`status` with a condition in its place."""
    found: list[JsonObject] = status.get("conditions") or []
    old = conditions.find(found, kind)
    same = old is not None and old.get("status") == str(holds)
    at = old["lastTransitionTime"] if same and old is not None else facts.stamp(seen.now)
    new = {"type": kind, "status": str(holds), "lastTransitionTime": at, "reason": reason, "message": message}
    kept = [new if c is old else c for c in found] if old is not None else [*found, new]
    return {**status, "conditions": kept}


def scalers_of(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """The autoscalers of an object whose scale may have changed."""
    obj = new if new is not None else old
    if obj is None or named(obj["apiVersion"], obj["kind"]) not in world.scales:
        return
    if old is not None and new is not None and facts.spec(old) == facts.spec(new):
        return
    for scaler in world.list(AUTOSCALER, facts.ns(obj)):
        to = facts.spec(scaler).get("scaleTargetRef") or {}
        if to.get("name") == facts.name(obj) and to.get("kind") == obj.get("kind"):
            yield key_of(scaler)
