"""What a RuntimeClass adds to the pods that ask for it: overhead, and where they may run."""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.store import Store

CLASSES = ("node.k8s.io", "runtimeclasses")
_NO_OVERHEAD = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class Rejected(ValueError):
    """The pod does not go with its class; the text says why."""


def with_runtime_class(pod: JsonObject, store: Store) -> JsonObject:
    """`pod`, completed by its class. Raises Rejected."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    given = spec.get("overhead")
    if not name:
        if given:
            raise Rejected(_NO_OVERHEAD)
        return pod
    found = store.get(*CLASSES, "", name)
    if found is None:
        raise Rejected(f'pod rejected: RuntimeClass "{name}" not found')
    fixed = (found.get("overhead") or {}).get("podFixed") or {}
    if given and not fixed:
        raise Rejected(_NO_OVERHEAD)
    if given and not _same(given, fixed):
        raise Rejected("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if fixed:
        spec = {**spec, "overhead": fixed}
    return {**pod, "spec": _placed(spec, found.get("scheduling") or {})}


def _same(given: JsonObject, fixed: JsonObject) -> bool:
    return given.keys() == fixed.keys() and all(
        parse_quantity(given[k]) == parse_quantity(fixed[k]) for k in given
    )


def _placed(spec: JsonObject, scheduling: JsonObject) -> JsonObject:
    """`spec` with the node selector and the tolerations of the class as well. Raises Rejected."""
    chosen = dict(spec.get("nodeSelector") or {})
    for key, value in sorted((scheduling.get("nodeSelector") or {}).items()):
        if chosen.get(key, value) != value:
            raise Rejected(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {chosen[key]}"
            )
        chosen[key] = value
    more = scheduling.get("tolerations") or []
    tolerations = list(spec.get("tolerations") or ())
    tolerations += [t for t in more if t not in tolerations]
    out = {**spec}
    if chosen:
        out["nodeSelector"] = chosen
    if tolerations:
        out["tolerations"] = tolerations
    return out
