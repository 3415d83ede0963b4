"""What HorizontalPodAutoscalers and PodDisruptionBudgets may be."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required, shown, unsupported

from .validation_meta import Causes, at_most_all, int_or_percent, selector

_METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")
_MEMBERS = {k: k[0].lower() + k[1:] for k in _METRICS}
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_TO_ZERO = "must specify at least one Object or External metric to support scaling to zero replicas"


def autoscaler_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    """`new` in any version."""
    spec: JsonObject = new.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    if least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most == 0:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to 1")
    if most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _target_ref("spec.scaleTargetRef", spec.get("scaleTargetRef") or {})
    metrics = spec.get("metrics") or ()
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None and percent < 1:
        yield invalid("spec.metrics[0].resource.target.averageUtilization", percent, "must be greater than 0")
    for index, metric in enumerate(metrics):
        yield from _metric(f"spec.metrics[{index}]", metric)
    if least == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        yield forbidden("spec.metrics", _TO_ZERO)
    for direction in ("scaleUp", "scaleDown"):
        rules: Json = (spec.get("behavior") or {}).get(direction)
        if rules is not None:
            yield from _rules(f"spec.behavior.{direction}", rules)


def _target_ref(path: str, ref: JsonObject) -> Causes:
    for field in ("kind", "name"):
        value = ref.get(field, "")
        if not value:
            yield required(f"{path}.{field}")
        for bad in ("/", "%"):
            if bad in value:
                yield invalid(f"{path}.{field}", value, f"may not contain '{bad}'")
    version = ref.get("apiVersion", "")
    if not version:
        yield invalid(f"{path}.apiVersion", version, "apiVersion must specify API group")


def _metric(path: str, metric: JsonObject) -> Causes:
    kind = metric.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in _METRICS:
        yield unsupported(f"{path}.type", kind, _METRICS)
        return
    source = metric.get(_MEMBERS[kind])
    if source is None:
        yield required(f"{path}.{_MEMBERS[kind]}", "must populate information for the given metric source")
        return
    at = f"{path}.{_MEMBERS[kind]}"
    yield from _target(f"{at}.target", source.get("target") or {}, resource="metric" not in source)


def _target(path: str, target: JsonObject, *, resource: bool) -> Causes:
    kind, percent = target.get("type", ""), target.get("averageUtilization")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    if percent is not None and percent < 1:
        yield invalid(f"{path}.averageUtilization", percent, "must be greater than 0")
    if resource and percent is None and target.get("averageValue") is None:
        yield required(
            f"{path}.averageUtilization", "must set either a target raw value or a target utilization"
        )


def _rules(path: str, rules: JsonObject) -> Causes:
    window, choice = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > 3600:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be less than or equal to 3600")
    if choice is not None and choice not in ("Disabled", "Max", "Min"):
        yield unsupported(f"{path}.selectPolicy", choice, ("Disabled", "Max", "Min"))
    if not rules.get("policies"):
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        at, seconds = f"{path}.policies[{index}]", policy.get("periodSeconds", 0)
        if policy.get("type") not in ("Percent", "Pods"):
            yield unsupported(f"{at}.type", policy.get("type", ""), ("Percent", "Pods"))
        if policy.get("value", 0) <= 0:
            yield invalid(f"{at}.value", policy.get("value", 0), "must be greater than zero")
        if seconds <= 0:
            yield invalid(f"{at}.periodSeconds", seconds, "must be greater than zero")
        if seconds > 1800:
            yield invalid(f"{at}.periodSeconds", seconds, "must be less than or equal to 1800")


def budget_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        fields = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
        text = ",".join(f'"{f[0].upper()}{f[1:]}":{shown(spec.get(f))}' for f in fields)
        why = "minAvailable and maxUnavailable cannot be both set"
        yield Cause("FieldValueInvalid", f"Invalid value: {{{text}}}: {why}", "spec")
    for field, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            yield from int_or_percent(f"spec.{field}", value)
            yield from at_most_all(f"spec.{field}", value)
    yield from selector("spec.selector", spec.get("selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        yield unsupported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES)
