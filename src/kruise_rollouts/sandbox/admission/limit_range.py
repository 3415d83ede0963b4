"""LimitRange: default requests and limits for containers, and the bounds they must keep. Pure."""

from __future__ import annotations

from fractions import Fraction

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.quantity import show_quantity

from .quota import amount, containers_of, pod_total

ANNOTATION = "kubernetes.io/limit-ranger"


def with_defaults(pod: JsonObject, ranges: list[JsonObject]) -> JsonObject:
    """`pod` with the defaults of `ranges` for what its containers leave out; `pod` itself if nothing was added."""
    limits, requests = _defaults(ranges, "default"), _defaults(ranges, "defaultRequest")
    if not limits and not requests:
        return pod
    said: list[str] = []
    spec: JsonObject = dict(pod["spec"])
    for field, noun in (("containers", "container"), ("initContainers", "init container")):
        if spec.get(field):
            spec[field] = [_completed(c, requests, limits, noun, said) for c in spec[field]]
    if not said:
        return pod
    meta = pod["metadata"]
    text = "LimitRanger plugin set: " + "; ".join(said)
    meta = {**meta, "annotations": {**(meta.get("annotations") or {}), ANNOTATION: text}}
    return {**pod, "metadata": meta, "spec": spec}


def _defaults(ranges: list[JsonObject], field: str) -> JsonObject:
    out: JsonObject = {}
    for found in ranges:
        for limit in (found.get("spec") or {}).get("limits") or ():
            if limit.get("type") == "Container":
                out |= limit.get(field) or {}
    return out


def _completed(
    container: JsonObject, requests: JsonObject, limits: JsonObject, noun: str, said: list[str]
) -> JsonObject:
    resources: JsonObject = dict(container.get("resources") or {})
    for kind, defaults in (("requests", requests), ("limits", limits)):
        given = resources.get(kind) or {}
        added = {k: v for k, v in defaults.items() if k not in given}
        if added:
            resources[kind] = {**given, **added}
            said.append(f"{', '.join(sorted(added))} {kind[:-1]} for {noun} {container['name']}")
    return {**container, "resources": resources} if resources else container


def violations(obj: JsonObject, kind: str, ranges: list[JsonObject]) -> list[str]:
    """What `obj` (a "Pod" or a "PersistentVolumeClaim") breaks."""
    out: list[str] = []
    for found in ranges:
        for limit in (found.get("spec") or {}).get("limits") or ():
            match kind, limit.get("type"):
                case "Pod", "Container":
                    for container in containers_of(obj):
                        resources = container.get("resources") or {}
                        out += _bounds(
                            "Container", limit, resources.get("requests") or {}, resources.get("limits") or {}
                        )
                case "Pod", "Pod":
                    out += _bounds("Pod", limit, _sums(obj, "requests", limit), _sums(obj, "limits", limit))
                case "PersistentVolumeClaim", "PersistentVolumeClaim":
                    asked = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
                    out += _bounds("PersistentVolumeClaim", limit, asked, asked)
    return out


def _sums(pod: JsonObject, kind: str, limit: JsonObject) -> JsonObject:
    names = {n for field in ("min", "max", "maxLimitRequestRatio") for n in limit.get(field) or {}}
    sums = {n: pod_total(pod, kind, n) for n in names}
    return {n: v for n, v in sums.items() if v}


def _bounds(scope: str, limit: JsonObject, requests: JsonObject, limits: JsonObject) -> list[str]:
    out: list[str] = []
    for name, least in sorted((limit.get("min") or {}).items()):
        text = f"minimum {name} usage per {scope} is {least}"
        if name not in requests:
            out.append(f"{text}.  No request is specified")
        elif _number(requests[name]) < amount(least):
            out.append(f"{text}, but request is {_text(requests[name])}")
        elif name in limits and _number(limits[name]) < amount(least):
            out.append(f"{text}, but limit is {_text(limits[name])}")
    for name, most in sorted((limit.get("max") or {}).items()):
        text = f"maximum {name} usage per {scope} is {most}"
        if name not in limits:
            out.append(f"{text}.  No limit is specified")
        elif _number(limits[name]) > amount(most):
            out.append(f"{text}, but limit is {_text(limits[name])}")
        elif name in requests and _number(requests[name]) > amount(most):
            out.append(f"{text}, but request is {_text(requests[name])}")
    for name, most in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        text = f"{name} max limit to request ratio per {scope} is {most}"
        asked, top = _number(requests.get(name, "0")), _number(limits.get(name, "0"))
        if not asked or not top:
            out.append(
                f"{text}, but no {'request' if not asked else 'limit'} is specified or {'request' if not asked else 'limit'} is 0"
            )
        elif top / asked > amount(most):
            out.append(f"{text}, but provided ratio is {float(top / asked):.6f}")
    return out


def _number(value: Json) -> Fraction:
    return value if isinstance(value, Fraction) else parse_quantity(value)


def _text(value: Json) -> str:
    return show_quantity(value) if isinstance(value, Fraction) else str(value)


def completed_range(obj: JsonObject) -> JsonObject:
    """A LimitRange with the defaults that follow from its other bounds."""
    limits = []
    for limit in (obj.get("spec") or {}).get("limits") or ():
        if limit.get("type") == "Container":
            default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            first = {**default, **(limit.get("min") or {}), **(limit.get("defaultRequest") or {})}
            limit = {
                **limit,
                **({"default": default} if default else {}),
                **({"defaultRequest": first} if first else {}),
            }
        limits.append(limit)
    return {**obj, "spec": {**(obj.get("spec") or {}), "limits": limits}}
