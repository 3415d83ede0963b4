"""Rows of workloads and what scales and protects them: apps, batch, autoscaling, policy."""

from __future__ import annotations

from datetime import datetime

from kruise_rollouts.kube.durations import duration
from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.builtin.convert import convert

from .cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Printer,
    age,
    age_of,
    containers,
    labels_text,
    moment,
    name_of,
    replicas_of,
    selector_text,
    spec_of,
    status_of,
)


def deployment(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    return [
        name_of(obj),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age_of(obj, now),
        *containers(spec.get("template") or {}),
        selector_text(spec.get("selector")),
    ]


def replica_set(obj: JsonObject, now: datetime) -> Cells:
    return [*replicas_of(obj, now), selector_text(spec_of(obj).get("selector"))]


def stateful_set(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [name_of(obj), ready, age_of(obj, now), *containers(spec.get("template") or {})]


def daemon_set(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    template = spec.get("template") or {}
    return [
        name_of(obj),
        status.get("desiredNumberScheduled") or 0,
        status.get("currentNumberScheduled") or 0,
        status.get("numberReady") or 0,
        status.get("updatedNumberScheduled") or 0,
        status.get("numberAvailable") or 0,
        labels_text((template.get("spec") or {}).get("nodeSelector")),
        age_of(obj, now),
        *containers(template),
        selector_text(spec.get("selector")),
    ]


def controller_revision(obj: JsonObject, now: datetime) -> Cells:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    controller = NONE
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        kind = owner.get("kind", "").lower()
        controller = f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return [name_of(obj), controller, obj.get("revision") or 0, age_of(obj, now)]


def job(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    done = status.get("succeeded") or 0
    if spec.get("completions") is not None:
        completions = f"{done}/{spec['completions']}"
    else:
        parallel = spec.get("parallelism") or 0
        completions = f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"
    start, end = moment(status.get("startTime")), moment(status.get("completionTime"))
    took = "" if start is None else duration(((end or now) - start).total_seconds())
    return [
        name_of(obj),
        _job_state(obj),
        completions,
        took,
        age_of(obj, now),
        *containers(spec.get("template") or {}),
        selector_text(spec.get("selector")),
    ]


def _job_state(obj: JsonObject) -> str:
    true = {c["type"]: c for c in status_of(obj).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in true:
        return "Complete"
    if "Failed" in true:
        return "Failed"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for type in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if type in true:
            return type
    return "Running"


def cron_job(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    inner = ((spec.get("jobTemplate") or {}).get("spec")) or {}
    last = status.get("lastScheduleTime")
    return [
        name_of(obj),
        spec.get("schedule") or "",
        spec.get("timeZone") or NONE,
        UNSET if spec.get("suspend") is None else str(bool(spec["suspend"])),
        len(status.get("active") or ()),
        age(last, now) if last else NONE,
        age_of(obj, now),
        *containers(inner.get("template") or {}),
        selector_text(inner.get("selector")),
    ]


def autoscaler(obj: JsonObject, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    target = spec.get("scaleTargetRef") or {}
    low = spec.get("minReplicas")
    return [
        name_of(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(obj),
        UNSET if low is None else str(low),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        age_of(obj, now),
    ]


def _targets(obj: JsonObject) -> str:
    """What is measured against what is wanted: `cpu: 40%/80%`; in both versions alike."""
    obj = convert(obj, "autoscaling/v2")
    spec, status = spec_of(obj), status_of(obj)
    wanted_metrics, found = spec.get("metrics") or [], status.get("currentMetrics") or []
    if not wanted_metrics:
        return NONE
    shown = [_target(m, found[i] if i < len(found) else {}) for i, m in enumerate(wanted_metrics)]
    if len(shown) > 2:
        return f"{', '.join(shown[:2])} + {len(shown) - 2} more..."
    return ", ".join(shown)


_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _target(metric: JsonObject, found: JsonObject) -> str:
    key = _SOURCES.get(metric.get("type", ""), "")
    source, current = metric.get(key) or {}, (found.get(key) or {}).get("current") or {}
    target = source.get("target") or {}
    label = f"{source['name']}: " if "name" in source else ""
    if target.get("averageUtilization") is not None:
        now = current.get("averageUtilization")
        return f"{label}{UNKNOWN if now is None else f'{now}%'}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        average = " (avg)" if key in ("external", "object") else ""
        return f"{label}{current.get('averageValue', UNKNOWN)}/{target['averageValue']}{average}"
    return f"{label}{current.get('value', UNKNOWN)}/{target.get('value', UNSET)}"


def _share(value: Json) -> str:
    return "N/A" if value is None else str(value)


def budget(obj: JsonObject, now: datetime) -> Cells:
    spec = spec_of(obj)
    return [
        name_of(obj),
        _share(spec.get("minAvailable")),
        _share(spec.get("maxUnavailable")),
        status_of(obj).get("disruptionsAllowed") or 0,
        age_of(obj, now),
    ]


APPS: dict[tuple[str, str], Printer] = {
    ("apps", "deployments"): deployment,
    ("apps", "replicasets"): replica_set,
    ("apps", "statefulsets"): stateful_set,
    ("apps", "daemonsets"): daemon_set,
    ("apps", "controllerrevisions"): controller_revision,
    ("batch", "jobs"): job,
    ("batch", "cronjobs"): cron_job,
    ("autoscaling", "horizontalpodautoscalers"): autoscaler,
    ("policy", "poddisruptionbudgets"): budget,
}
