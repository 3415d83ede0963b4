"""Conversion between versions of built-in kinds: HorizontalPodAutoscaler v1 and v2, and the two views of an Event.

Custom resources are converted in custom/conversion.py.
"""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import JsonObject

from .defaults_workloads import METRICS

CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_ANNOTATIONS = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)


def convert(obj: JsonObject, api_version: str) -> JsonObject:
    """`obj` as `api_version` shows it. ValueError if no such conversion exists."""
    if obj["apiVersion"] == api_version:
        return obj
    match (obj["apiVersion"], api_version):
        case ("autoscaling/v1", "autoscaling/v2"):
            return _hpa_v2(obj)
        case ("autoscaling/v2", "autoscaling/v1"):
            return _hpa_v1(obj)
        case ("v1", "events.k8s.io/v1"):
            return _new_event(obj)
        case ("events.k8s.io/v1", "v1"):
            return _old_event(obj)
        case (was, _):
            raise ValueError(f"no conversion of {obj.get('kind')} from {was} to {api_version}")


def _is_cpu(metric: JsonObject) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or resource.get("current") or {}
    return (
        metric.get("type") == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target
    )


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _hpa_v1(obj: JsonObject) -> JsonObject:
    spec, status, meta = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(obj["metadata"])
    notes = dict(meta.get("annotations") or {})
    metrics = spec.pop("metrics", None) or []
    cpu = next((m for m in metrics if _is_cpu(m)), None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    others = [m for m in metrics if m is not cpu]
    current = status.pop("currentMetrics", None) or []
    now = next((m for m in current if _is_cpu(m)), None)
    if now is not None:
        status["currentCPUUtilizationPercentage"] = now["resource"]["current"]["averageUtilization"]
    for key, value in (
        (METRICS, others),
        (CURRENT_METRICS, current),
        (CONDITIONS, status.pop("conditions", None)),
        (BEHAVIOR, spec.pop("behavior", None)),
    ):
        if value:
            notes[key] = _encoded(value)
    status.setdefault("currentReplicas", 0)
    if notes:
        meta["annotations"] = notes
    return {**obj, "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec, "status": status}


def _hpa_v2(obj: JsonObject) -> JsonObject:
    spec, status, meta = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(obj["metadata"])
    notes = dict(meta.get("annotations") or {})
    kept = {key: msgspec.json.decode(notes.pop(key)) for key in _ANNOTATIONS if key in notes}
    metrics = list(kept.get(METRICS) or [])
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    if kept.get(BEHAVIOR):
        spec["behavior"] = kept[BEHAVIOR]
    status.pop("currentCPUUtilizationPercentage", None)
    if not status.get("currentReplicas"):  # only the old version says that there are none
        status.pop("currentReplicas", None)
    status["currentMetrics"] = kept.get(CURRENT_METRICS)
    if kept.get(CONDITIONS):
        status["conditions"] = kept[CONDITIONS]
    meta.pop("annotations", None)
    if notes:
        meta["annotations"] = notes
    return {**obj, "apiVersion": "autoscaling/v2", "metadata": meta, "spec": spec, "status": status}


_EVENT_NAMES = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
)


_UNSAID = ("reportingComponent", "reportingInstance")  # empty texts that core/v1 alone shows


def _new_event(obj: JsonObject) -> JsonObject:
    names = dict(_EVENT_NAMES)
    out = {names.get(k, k): v for k, v in obj.items() if v != "" or k not in _UNSAID}
    return {**out, "apiVersion": "events.k8s.io/v1"}


def _old_event(obj: JsonObject) -> JsonObject:
    names = {new: old for old, new in _EVENT_NAMES}
    out = {**{names.get(k, k): v for k, v in obj.items()}, "apiVersion": "v1"}
    out.setdefault("involvedObject", {})
    out.setdefault("source", {})
    for key in _UNSAID:
        out.setdefault(key, "")
    return out
