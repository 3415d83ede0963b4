"""References to fields of a pod and to resources of its containers (downward API)."""

from __future__ import annotations

import re

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.custom.value_check import invalid, required, unsupported

from .validation_meta import Causes, qualified

_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_KNOWN = frozenset((
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "spec.hostNetwork", "status.phase",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "status.nominatedNodeName", "spec.host",
))  # fmt: skip
_SUBSCRIPT = re.compile(r"([^\[]+)\['(.*)'\]")
_UNITS = ("", *(f"{u}" for u in "kMGTPE"), *(f"{u}i" for u in "KMGTPE"))


def field_ref(path: str, ref: JsonObject, allowed: tuple[str, ...]) -> Causes:
    """A fieldRef; `allowed`: the fields without subscript that may be named here."""
    version, field = ref.get("apiVersion", ""), ref.get("fieldPath", "")
    if not version or not field:
        yield required(f"{path}.{'fieldPath' if version else 'apiVersion'}")
        return
    found = _SUBSCRIPT.fullmatch(field)
    name = found[1] if found else field
    if version != "v1":
        yield invalid(
            f"{path}.fieldPath", field, f"error converting fieldPath: unsupported pod version: {version}"
        )
    elif name not in _KNOWN or (found and name not in ("metadata.annotations", "metadata.labels")):
        yield invalid(
            f"{path}.fieldPath", field, f"error converting fieldPath: field label not supported: {field}"
        )
    elif found:
        key = found[2].lower() if name == "metadata.annotations" else found[2]
        yield from qualified(path, key)
    elif field not in allowed:
        yield unsupported(f"{path}.fieldPath", field, allowed)


def resource_ref(path: str, ref: JsonObject, *, volume: bool = False) -> Causes:
    """A resourceFieldRef."""
    name = ref.get("resource", "")
    if volume and not ref.get("containerName"):
        yield required(f"{path}.containerName")
    elif not name:
        yield required(f"{path}.resource")
    elif name not in _RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        yield unsupported(f"{path}.resource", name, _RESOURCES)
    divisor = ref.get("divisor") or "0"
    if not parse_quantity(divisor):
        return
    kind = name.partition(".")[2]
    if kind == "cpu" and divisor not in ("1m", "1"):
        why = "only divisor's values 1m and 1 are supported with the cpu resource"
        yield invalid(f"{path}.divisor", name, why)
    elif kind in ("memory", "ephemeral-storage") and divisor not in (f"1{u}" for u in _UNITS):
        values = ", ".join(f"1{u}" for u in _UNITS)
        label = "memory" if kind == "memory" else "local ephemeral storage"
        yield invalid(
            f"{path}.divisor", name, f"only divisor's values {values} are supported with the {label} resource"
        )
