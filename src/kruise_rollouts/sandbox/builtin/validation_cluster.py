"""What kinds of administrators may be: RBAC, classes, claims, limits, quotas, nodes."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.custom.value_check import duplicate, forbidden, invalid, required, unsupported

from .validation_meta import NOT_NEGATIVE, Causes, qualified, subdomain, unchanged

_TOP_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_CLAIM = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_TAINTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SCOPES = (
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
)  # fmt: skip
_COUNTED = frozenset((
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
))  # fmt: skip
_AMOUNTS = frozenset((
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
))  # fmt: skip


# RBAC.


def role_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    yield from _rules(new.get("rules") or (), namespaced=True)


def cluster_role_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    yield from _rules(new.get("rules") or (), namespaced=False)
    aggregation: Json = new.get("aggregationRule")
    if aggregation is not None and not aggregation.get("clusterRoleSelectors"):
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        yield required("aggregationRule.clusterRoleSelectors", why)


def _rules(rules: Json, *, namespaced: bool) -> Causes:
    for index, rule in enumerate(rules):
        at = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{at}.verbs", "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            if namespaced:
                why = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{at}.nonResourceURLs", urls, why)
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{at}.nonResourceURLs", urls, why)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{at}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{at}.resources", "resource rules must supply at least one resource")


def role_binding_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    yield from _binding(new, old, ("Role", "ClusterRole"))


def cluster_role_binding_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    yield from _binding(new, old, ("ClusterRole",))


def _binding(new: JsonObject, old: JsonObject | None, kinds: tuple[str, ...]) -> Causes:
    ref: JsonObject = new.get("roleRef") or {}
    if ref.get("apiGroup") != "rbac.authorization.k8s.io":
        yield unsupported("roleRef.apiGroup", ref.get("apiGroup", ""), ("rbac.authorization.k8s.io",))
    if ref.get("kind") not in kinds:
        yield unsupported("roleRef.kind", ref.get("kind", ""), kinds)
    if not ref.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(new.get("subjects") or ()):
        yield from _subject(f"subjects[{index}]", subject, namespaced="Role" in kinds)
    if old is not None and ref != old.get("roleRef"):
        shown = {
            "APIGroup": ref.get("apiGroup", ""),
            "Kind": ref.get("kind", ""),
            "Name": ref.get("name", ""),
        }
        yield invalid("roleRef", shown, "cannot change roleRef")


def _subject(path: str, subject: JsonObject, *, namespaced: bool) -> Causes:
    name, kind = subject.get("name", ""), subject.get("kind", "")
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from subdomain(f"{path}.name", name)
        if subject.get("apiGroup"):
            yield unsupported(f"{path}.apiGroup", subject["apiGroup"], ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if subject.get("apiGroup") != "rbac.authorization.k8s.io":
            yield unsupported(f"{path}.apiGroup", subject.get("apiGroup", ""), ("rbac.authorization.k8s.io",))
    else:
        yield unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


# Classes and claims.


def priority_class_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    name, value = new["metadata"].get("name", ""), new.get("value", 0)
    if old is None:
        known = SYSTEM_PRIORITIES.get(name)
        if name.startswith("system-") and value != known:
            why = "priority class names with 'system-' prefix are reserved for system use only. error: "
            if known is None:
                yield forbidden("metadata.name", f"{why}{name} is not a known system priority class")
            else:
                yield forbidden("metadata.name", f"{why}value of {name} PriorityClass must be {known}")
        elif value > (known or _TOP_PRIORITY):
            yield forbidden("value", f"maximum allowed value of a user defined priority is {_TOP_PRIORITY}")
    elif value != old.get("value", 0):
        yield forbidden("value", "may not be changed in an update.")
    policy = new.get("preemptionPolicy")
    if old is not None:
        yield from unchanged("preemptionPolicy", policy, old.get("preemptionPolicy"))
    elif policy not in ("PreemptLowerPriority", "Never"):
        yield unsupported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))


def storage_class_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    name = new.get("provisioner", "")
    if old is not None:
        yield from unchanged("parameters", new.get("parameters") or {}, old.get("parameters") or {})
        yield from unchanged("provisioner", name, old.get("provisioner"))
        yield from unchanged("reclaimPolicy", new.get("reclaimPolicy"), old.get("reclaimPolicy"))
        yield from unchanged("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))
        return
    if not name:
        yield required("provisioner")
    else:
        yield from qualified("provisioner", name.lower())
    for field, allowed in (
        ("reclaimPolicy", ("Delete", "Retain")),
        ("volumeBindingMode", ("Immediate", "WaitForFirstConsumer")),
    ):
        if new.get(field) not in allowed:
            yield unsupported(field, new.get(field), allowed)


def claim_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec == old.get("spec"):
        return
    modes = spec.get("accessModes")
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes or ():
        if mode not in _MODES:
            yield unsupported("spec.accessModes", mode, _MODES)
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        yield required("spec.resources[storage]")
    elif parse_quantity(storage) <= 0:
        yield invalid("spec.resources[storage]", storage, "must be greater than zero")
    if spec.get("storageClassName"):
        yield from subdomain("spec.storageClassName", spec["storageClassName"])
    if spec.get("volumeMode") not in (None, "Block", "Filesystem"):
        yield unsupported("spec.volumeMode", spec["volumeMode"], ("Block", "Filesystem"))
    if old is not None:
        yield from _claim_changes(spec, old)


def _claim_changes(spec: JsonObject, old: JsonObject) -> Causes:
    """A claim gets its volume, its class by default, and more room once it is bound."""
    free = {"volumeName"} if not old["spec"].get("volumeName") else set()
    if "storageClassName" not in old["spec"]:
        free.add("storageClassName")
    if (old.get("status") or {}).get("phase") == "Bound":
        free |= {"resources", "volumeAttributesClassName"}
    both = [{k: v for k, v in s.items() if k not in free} for s in (spec, old["spec"])]
    if both[0] != both[1]:
        yield forbidden("spec", _CLAIM)


# Limits and quotas.


def limit_range_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    seen: set[str] = set()
    for index, limit in enumerate((new.get("spec") or {}).get("limits") or ()):
        at, kind = f"spec.limits[{index}]", limit.get("type", "")
        yield from qualified(f"{at}.type", kind)
        if kind in seen:
            yield duplicate(f"{at}.type", kind)
        seen.add(kind)
        if kind == "Pod":
            for field in ("default", "defaultRequest"):
                if limit.get(field):
                    yield forbidden(f"{at}.{field}", "may not be specified when `type` is 'Pod'")
        yield from _limit(at, limit)


def _limit(path: str, limit: JsonObject) -> Causes:
    most, least = limit.get("max") or {}, limit.get("min") or {}
    requests, limits = limit.get("defaultRequest") or {}, limit.get("default") or {}
    for name in sorted({*most, *least, *requests, *limits}):
        for (low, low_name, lower), (high, high_name, higher), field, shown in (
            ((least, "min", name), (most, "max", name), "min", least),
            ((least, "min", name), (requests, "default request", name), "defaultRequest", requests),
            ((requests, "default request", name), (most, "max", name), "defaultRequest", requests),
            (
                (requests, "default request", name),
                (limits, "default limit", name),
                "defaultRequest",
                requests,
            ),
            ((least, "min", name), (limits, "default", name), "default", least),
            ((limits, "default", name), (most, "max", name), "default", limits),
        ):
            if lower in low and higher in high and parse_quantity(low[lower]) > parse_quantity(high[higher]):
                why = f"{low_name} value {low[lower]} is greater than {high_name} value {high[higher]}"
                yield invalid(f"{path}.{field}[{name}]", shown[name], why)


def quota_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    for name, value in (spec.get("hard") or {}).items():
        at = f"spec.hard[{name}]"
        known = name in _COUNTED or name in _AMOUNTS or "/" in name or name.startswith("requests.")
        if not known:
            yield invalid(at, name, "must be a standard resource type or fully qualified")
            yield invalid(at, name, "must be a standard resource for quota")
        amount = parse_quantity(value)
        if amount < 0:
            yield invalid(at, value, NOT_NEGATIVE)
        if (name in _COUNTED or name.startswith("count/")) and amount.denominator != 1:
            yield invalid(at, value, "must be an integer")
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
    if "BestEffort" in scopes and any(n != "pods" for n in spec.get("hard") or {}):
        yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")


# Nodes.


def node_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate((new.get("spec") or {}).get("taints") or ()):
        at, key, effect = f"metadata.taints[{index}]", taint.get("key", ""), taint.get("effect", "")
        yield from qualified(f"{at}.key", key)
        if not effect:
            yield required(f"{at}.effect")
        elif effect not in _TAINTS:
            yield unsupported(f"{at}.effect", effect, _TAINTS)
        if (key, effect) in seen:
            shown = (
                f'{{"Key":"{key}","Value":"{taint.get("value", "")}","Effect":"{effect}","TimeAdded":null}}'
            )
            why = "taints must be unique by key and effect pair"
            yield Cause("FieldValueDuplicate", f"Duplicate value: {shown}: {why}", at)
        seen.add((key, effect))
