"""Defaults of controllers of pods (apps, batch, autoscaling), by type; as in defaults_pods.py."""

from __future__ import annotations

from collections.abc import Callable

from kruise_rollouts.kube.effects import Json, JsonObject

from .defaults_pods import filled, filling

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
MAX_INT32 = 2**31 - 1
CPU_PERCENT = 80
METRICS = "autoscaling.alpha.kubernetes.io/metrics"


def _deployment(obj: JsonObject) -> JsonObject:
    return filled(obj, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})


def _rolling(**defaults: Json) -> Callable[[JsonObject], JsonObject]:
    """What completes a strategy that is RollingUpdate by default, and then has such `defaults`."""

    def complete(strategy: JsonObject) -> JsonObject:
        strategy = filled(strategy, {"type": "RollingUpdate"})
        if strategy["type"] != "RollingUpdate":
            return strategy
        old = strategy.get("rollingUpdate") or {}
        new = filled(old, defaults)
        return strategy if new is strategy.get("rollingUpdate") else {**strategy, "rollingUpdate": new}

    return complete


def _stateful_strategy(strategy: JsonObject) -> JsonObject:
    if not strategy.get("type"):
        strategy = {**strategy, "type": "RollingUpdate", "rollingUpdate": strategy.get("rollingUpdate") or {}}
    old = strategy.get("rollingUpdate")
    if strategy["type"] != "RollingUpdate" or old is None:
        return strategy
    new = filled(old, {"partition": 0})
    return strategy if new is old else {**strategy, "rollingUpdate": new}


def _daemon_strategy(strategy: JsonObject) -> JsonObject:
    strategy = _rolling(maxUnavailable=1, maxSurge=0)(strategy)
    old = strategy.get("rollingUpdate")
    if old is None or strategy["type"] == "RollingUpdate":
        return strategy
    new = filled(old, {"maxUnavailable": 0, "maxSurge": 0})
    return strategy if new is old else {**strategy, "rollingUpdate": new}


def _stateful_set(spec: JsonObject) -> JsonObject:
    spec = filled(
        spec,
        {
            "podManagementPolicy": "OrderedReady",
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        },
    )
    claims = spec.get("volumeClaimTemplates")
    if claims and any("kind" not in c for c in claims):
        new = [{"kind": "PersistentVolumeClaim", "apiVersion": "v1", **c} for c in claims]
        spec = {**spec, "volumeClaimTemplates": new}
    return spec


def _job_spec(spec: JsonObject) -> JsonObject:
    if spec.get("parallelism") is None:
        spec = spec if spec.get("completions") is not None else {**spec, "completions": 1}
        spec = {**spec, "parallelism": 1}
    return filled(
        spec,
        {
            "backoffLimit": 6 if spec.get("backoffLimitPerIndex") is None else MAX_INT32,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
            "manualSelector": False,
        },
    )


def _job(job: JsonObject) -> JsonObject:
    spec: Json = job.get("spec") or {}
    job = {**job, "spec": spec} if "spec" in job else job
    new = _job_spec(spec)
    labels = ((new.get("template") or {}).get("metadata") or {}).get("labels")
    if new is not spec:
        job = {**job, "spec": new}
    return _labelled(job, labels)


def _labelled(obj: JsonObject, labels: Json) -> JsonObject:
    """`obj` with the labels of its pods, if it has none of its own."""
    if not labels or obj["metadata"].get("labels"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def _replication_controller(obj: JsonObject) -> JsonObject:
    spec: Json = obj.get("spec") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    new = filled(spec, {"replicas": 1, **({"selector": labels} if labels else {})})
    obj = obj if new is spec else {**obj, "spec": new}
    return _labelled(obj, labels)


def _daemon_set(obj: JsonObject) -> JsonObject:
    """Clients see the number of the template as an annotation; the server puts the right one in."""
    meta: JsonObject = obj["metadata"]
    annotations = meta.get("annotations") or {}
    if TEMPLATE_GENERATION in annotations:
        return obj
    return {**obj, "metadata": {**meta, "annotations": {**annotations, TEMPLATE_GENERATION: "0"}}}


def _condition_pattern(pattern: JsonObject) -> JsonObject:
    return pattern if pattern.get("status") else {**pattern, "status": "True"}


_UP: JsonObject = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN: JsonObject = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_CPU: JsonObject = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}},
}


def _autoscaler(spec: JsonObject) -> JsonObject:
    return filled(spec, {"minReplicas": 1, "metrics": [_CPU]})


def _old_autoscaler(hpa: JsonObject) -> JsonObject:
    """The goal for CPU that v2 has as a metric, unless other metrics are kept in an annotation."""
    spec: Json = hpa.get("spec") or {}
    if METRICS in (hpa["metadata"].get("annotations") or {}):
        return hpa
    new = filled(spec, {"targetCPUUtilizationPercentage": CPU_PERCENT})
    return hpa if new is spec else {**hpa, "spec": new}


def _behavior(behavior: JsonObject) -> JsonObject:
    up, down = behavior.get("scaleUp"), behavior.get("scaleDown")
    new_up, new_down = filled(up or {}, _UP), filled(down or {}, _DOWN)
    if new_up is up and new_down is down:
        return behavior
    return {**behavior, "scaleUp": new_up, "scaleDown": new_down}


COMPLETE: dict[str, Callable[[JsonObject], JsonObject]] = {
    "DeploymentSpec": _deployment,
    "DeploymentStrategy": _rolling(maxUnavailable="25%", maxSurge="25%"),
    "ReplicaSetSpec": filling(replicas=1),
    "ReplicationController": _replication_controller,
    "io.k8s.api.apps.v1.DaemonSet": _daemon_set,
    "DaemonSetSpec": filling(revisionHistoryLimit=10),
    "DaemonSetUpdateStrategy": _daemon_strategy,
    "StatefulSetSpec": _stateful_set,
    "StatefulSetUpdateStrategy": _stateful_strategy,
    "StatefulSetPersistentVolumeClaimRetentionPolicy": filling(whenDeleted="Retain", whenScaled="Retain"),
    "Job": _job,
    "CronJobSpec": filling(
        concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1
    ),
    "PodFailurePolicyOnPodConditionsPattern": _condition_pattern,
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec": filling(minReplicas=1),
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler": _old_autoscaler,
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec": _autoscaler,
    "HorizontalPodAutoscalerBehavior": _behavior,
}
