"""ResourceQuota: what objects use, and whether one more fits. Usage is counted from what is stored, never remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.quantity import is_binary, show_quantity
from kruise_rollouts.sandbox.resources import Resource, StorageKey
from kruise_rollouts.sandbox.store import Store

Usage: TypeAlias = dict[str, Fraction]

_OF_CLASS = ".storageclass.storage.k8s.io/"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
# Kinds counted under their bare plural; every kind is counted as count/<plural>.<group>.
_BARE = frozenset((
    "pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas",
))  # fmt: skip


def amount(text: Json) -> Fraction:
    """A quantity as a number; 0 for one that cannot be read."""
    try:
        return parse_quantity(text)
    except (ValueError, TypeError):
        return Fraction(0)


def containers_of(pod: JsonObject) -> list[JsonObject]:
    return list((pod.get("spec") or {}).get("containers") or ())


def pod_total(pod: JsonObject, kind: str, name: str) -> Fraction:
    """Sum of `kind` ("requests" or "limits") of resource `name` over the containers; init containers as a maximum."""
    spec = pod.get("spec") or {}
    total = sum((amount(_declared(c, kind, name)) for c in spec.get("containers") or ()), Fraction(0))
    first = max(
        (amount(_declared(c, kind, name)) for c in spec.get("initContainers") or ()), default=Fraction(0)
    )
    return max(total, first)


def further_requests(pod: JsonObject) -> set[str]:
    """Resources that containers request beside cpu, memory and ephemeral storage."""
    spec = pod.get("spec") or {}
    every = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return {name for c in every for name in (c.get("resources") or {}).get("requests") or ()}.difference(
        _COMPUTE
    )


def _declared(container: JsonObject, kind: str, name: str) -> Json:
    return ((container.get("resources") or {}).get(kind) or {}).get(name, "0")


def uses(storage: StorageKey, obj: JsonObject) -> Usage:
    """What one object of the resource stored under `storage` counts for."""
    group, plural = storage
    one = Fraction(1)
    out: Usage = {f"count/{plural}.{group}" if group else f"count/{plural}": one}
    if group == "" and plural in _BARE:
        out[plural] = one
    if storage == ("", "pods"):
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return {"count/pods": one}
        for name in _COMPUTE:
            out[f"requests.{name}"] = out[name] = pod_total(obj, "requests", name)
            out[f"limits.{name}"] = pod_total(obj, "limits", name)
        for name in further_requests(obj):
            out[f"requests.{name}"] = pod_total(obj, "requests", name)
    if storage == ("", "persistentvolumeclaims"):
        asked = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        size, kind = amount(asked.get("storage", "0")), (obj.get("spec") or {}).get("storageClassName")
        out["requests.storage"] = size
        if kind:
            out |= {
                f"{kind}{_OF_CLASS}requests.storage": size,
                f"{kind}{_OF_CLASS}persistentvolumeclaims": one,
            }
    if storage == ("", "services"):
        out |= _service_uses(obj.get("spec") or {})
    return out


def _service_uses(spec: JsonObject) -> Usage:
    kind = spec.get("type")
    ports = Fraction(len(spec.get("ports") or ()) if kind in ("NodePort", "LoadBalancer") else 0)
    return {"services.nodeports": ports, "services.loadbalancers": Fraction(int(kind == "LoadBalancer"))}


def in_scope(quota: JsonObject, storage: StorageKey, obj: JsonObject) -> bool:
    """Whether the quota's scopes take in the object; scopes are about pods only."""
    spec = quota.get("spec") or {}
    scopes = list(spec.get("scopes") or ())
    terms = [{"scopeName": s, "operator": "Exists"} for s in scopes]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(storage == ("", "pods") and _scoped(t, obj) for t in terms)


def _scoped(term: JsonObject, pod: JsonObject) -> bool:
    spec = pod.get("spec") or {}
    terminating = spec.get("activeDeadlineSeconds") is not None
    effortless = not any(
        (c.get("resources") or {}).get(k) for c in containers_of(pod) for k in ("requests", "limits")
    )
    match term["scopeName"]:
        case "Terminating":
            return terminating
        case "NotTerminating":
            return not terminating
        case "BestEffort":
            return effortless
        case "NotBestEffort":
            return not effortless
        case "PriorityClass":
            found = spec.get("priorityClassName") or ""
            values = term.get("values") or ()
            match term.get("operator"):
                case "In":
                    return found in values
                case "NotIn":
                    return found not in values
                case "DoesNotExist":
                    return not found
            return bool(found)
    return True


def counted_storages(hard: JsonObject) -> Iterator[StorageKey]:
    """Storage keys of the resources that `hard` is about."""
    seen: set[StorageKey] = set()
    for name in hard:
        key = _storage_of(name)
        if key not in seen:
            seen.add(key)
            yield key


def _storage_of(name: str) -> StorageKey:
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return (group, plural)
    if name.startswith("services."):
        return ("", "services")
    if name == "requests.storage" or _OF_CLASS in name:
        return ("", "persistentvolumeclaims")
    return ("", name) if name in _BARE else ("", "pods")


def used_by(store: Store, quota: JsonObject) -> Usage:
    """What the objects of the quota's namespace use of each resource it limits."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    out: Usage = dict.fromkeys(hard, Fraction(0))
    for storage in counted_storages(hard):
        for obj in store.list(*storage, quota["metadata"]["namespace"]):
            if in_scope(quota, storage, obj):
                for name, used in uses(storage, obj).items():
                    if name in out:
                        out[name] += used
    return out


def shown(usage: Usage, hard: JsonObject) -> dict[str, str]:
    """`usage` as quantities, with the suffixes `hard` uses."""
    return {n: show_quantity(v, binary=is_binary(hard.get(n, "")) or "memory" in n) for n, v in usage.items()}


def status_of(store: Store, quota: JsonObject) -> JsonObject:
    """The status the quota should have."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    return {"hard": hard, "used": shown(used_by(store, quota), hard)}


def refusal(
    store: Store, quota: JsonObject, resource: Resource, new: JsonObject, old: JsonObject | None
) -> str:
    """Why `new` (in place of `old`) is too much for the quota; "" if it fits."""
    hard: JsonObject = (quota.get("spec") or {}).get("hard") or {}
    storage, name = resource.storage, quota["metadata"]["name"]
    if not in_scope(quota, storage, new):
        return ""
    wanted = {n: v for n, v in uses(storage, new).items() if n in hard}
    if old is not None:
        was = uses(storage, old)
        wanted = {n: v - was.get(n, Fraction(0)) for n, v in wanted.items()}
    elif storage == ("", "pods") and (missing := _undeclared(new, hard)):
        return f"failed quota: {name}: must specify {missing}"
    if not any(v > 0 for v in wanted.values()):
        return ""
    used = used_by(store, quota)
    over = sorted(n for n, v in wanted.items() if v > 0 and used[n] + v > amount(hard[n]))
    if not over:
        return ""

    def listed(values: Callable[[str], str]) -> str:
        return ",".join(f"{n}={values(n)}" for n in over)

    asked, now = shown(wanted, hard), shown(used, hard)
    return (
        f"exceeded quota: {name}, requested: {listed(asked.__getitem__)}, used: {listed(now.__getitem__)}, "
        f"limited: {listed(lambda n: str(hard[n]))}"
    )


def _undeclared(pod: JsonObject, hard: JsonObject) -> str:
    """Limited compute resources that containers do not declare: "limits.memory for: c; requests.cpu for: c"."""
    out = []
    for name in sorted(hard):
        kind, _, resource = name.rpartition(".")
        if resource not in _COMPUTE or kind not in ("", "requests", "limits"):
            continue
        lacking = sorted(
            c["name"]
            for c in containers_of(pod)
            if resource not in ((c.get("resources") or {}).get(kind or "requests") or {})
        )
        if lacking:
            out.append(f"{name} for: {','.join(lacking)}")
    return "; ".join(out)
