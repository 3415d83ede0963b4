"""What Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers may be."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required, unsupported

from .validation_meta import (
    Causes,
    at_most_all,
    int_or_percent,
    is_zero,
    not_negative,
    selector,
    selects,
    unchanged,
)
from .validation_pods import template_causes

_LABELS, _TEMPLATE = "spec.template.metadata.labels", "spec.template"
MISMATCH = "`selector` does not match template `labels`"
_RECREATE = "may not be specified when strategy `type` is 'Recreate'"
_STATEFUL = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_RETENTION = ("Retain", "Delete")


def template_labels(spec: JsonObject) -> Json:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels")


def deployment_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from _selected(spec, "deployment")
    yield from _template(spec, "ReplicaSet")
    yield from _strategy(spec.get("strategy") or {})
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        yield from not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    if old is not None:
        yield from unchanged("spec.selector", spec.get("selector"), old["spec"].get("selector"))


def replica_set_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from _selected(spec, "deployment")
    yield from _template(spec, "ReplicaSet")
    if old is not None:
        yield from unchanged("spec.selector", spec.get("selector"), old["spec"].get("selector"))


def _selected(spec: JsonObject, kind: str, *, needed: bool = True) -> Causes:
    """The selector, and whether it selects what the template makes."""
    given: Json = spec.get("selector")
    if given is None:
        if needed:
            yield required("spec.selector")
    else:
        wrong = tuple(selector("spec.selector", given))
        yield from wrong
        if not given:
            yield invalid("spec.selector", {}, f"empty selector is invalid for {kind}")
        elif wrong:
            yield invalid("spec.selector", given, "invalid label selector")
            return
    found = template_labels(spec)
    if given != {} and (given is None or not selects(given, found or {})):
        yield invalid(_LABELS, found, MISMATCH)


def pod_template_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    yield from template_causes("template", new.get("template") or {})


def _template(spec: JsonObject, owner: str) -> Causes:
    template: JsonObject = spec.get("template") or {}
    yield from template_causes(_TEMPLATE, template)
    pod: JsonObject = template.get("spec") or {}
    policy = pod.get("restartPolicy")
    if policy and policy != "Always":
        yield unsupported(f"{_TEMPLATE}.spec.restartPolicy", policy, ("Always",))
    if owner and pod.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {owner} is not Supported"
        yield forbidden(f"{_TEMPLATE}.spec.activeDeadlineSeconds", why)


def _strategy(strategy: JsonObject) -> Causes:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden("spec.strategy.rollingUpdate", _RECREATE)
    elif kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield _unsupported_struct("spec.strategy", shown, ("Recreate", "RollingUpdate"))
    elif rolling is None:
        yield required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil")
    else:
        yield from _bounds("spec.strategy.rollingUpdate", rolling)


def _unsupported_struct(path: str, shown: JsonObject, allowed: tuple[str, ...]) -> Json:
    cause = unsupported(path, "", allowed)
    text = f'{{"Type":"{shown["Type"]}","RollingUpdate":null}}'
    return type(cause)(cause.reason, cause.message.replace('""', text, 1), path)


def _bounds(path: str, rolling: JsonObject) -> Causes:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{path}.maxSurge", surge)
    if is_zero(unavailable) and is_zero(surge):
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from at_most_all(f"{path}.maxUnavailable", unavailable)


def stateful_set_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    policy = spec.get("podManagementPolicy")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _stateful_strategy(spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        if retention.get(field) not in _RETENTION:
            path = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield unsupported(path, retention.get(field), _RETENTION)
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from not_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    yield from _selected(spec, "statefulset")
    yield from _template(spec, "")
    if old is not None:
        before = {k: v for k, v in old["spec"].items() if k not in _STATEFUL_MUTABLE}
        if {k: v for k, v in spec.items() if k not in _STATEFUL_MUTABLE} != before:
            yield forbidden("spec", _STATEFUL)


def _stateful_strategy(strategy: JsonObject) -> Causes:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        if rolling is not None:
            why = "only allowed for updateStrategy 'RollingUpdate'"
            yield invalid("spec.updateStrategy.rollingUpdate", rolling, why)
    elif kind != "RollingUpdate":
        yield invalid("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from not_negative("spec.updateStrategy.rollingUpdate.partition", rolling.get("partition"))


def daemon_set_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    yield from _selected(spec, "daemonset", needed=False)
    yield from _template(spec, "DaemonSet")
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from _daemon_strategy(spec.get("updateStrategy") or {})
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    if old is not None:
        yield from unchanged("spec.selector", spec.get("selector"), old["spec"].get("selector"))


def _daemon_strategy(strategy: JsonObject) -> Causes:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    path = "spec.updateStrategy.rollingUpdate"
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        yield _unsupported_struct("spec.updateStrategy", {"Type": kind}, ("RollingUpdate", "OnDelete"))
        return
    if rolling is None:
        yield required(path)
        return
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{path}.maxSurge", surge)
    none = is_zero(unavailable) or (isinstance(unavailable, str) and not unavailable.endswith("%"))
    if not none and not is_zero(surge):
        yield invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    if none and is_zero(surge):
        yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    yield from at_most_all(f"{path}.maxUnavailable", unavailable)
    yield from at_most_all(f"{path}.maxSurge", surge)


def replication_controller_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    given = spec.get("selector")
    if not given:
        yield required("spec.selector")
    yield from not_negative("spec.replicas", spec.get("replicas"))
    if spec.get("template") is None:
        yield required("spec.template")
        return
    found = template_labels(spec)
    if given and not selects({"matchLabels": given}, found or {}):
        yield invalid(_LABELS, found, MISMATCH)
    yield from _template(spec, "ReplicationController")
