"""Rollout and BatchRelease from one served version to the other, without losing anything.

Each version has things the other has no field for: v1beta1 has blue-green, path and query matches; v1alpha1 has
rolloutID and steps with a weight only. A converted object whose way back would lose something carries the original
in the annotation `keys.OTHER_VERSION`. On the way back the original is merged with what was edited meanwhile: where
the object still says what the original was converted to, the original comes back; everything else is the person's
edit and wins. The annotation is consumed by the conversion and set again only if still needed.

Works on plain JSON and never fails for the content of an object: one bad object would make every list fail.
Status is the same in both versions (the v1alpha1 schema has the v1beta1 fields too), so that nobody who may only
write specs can write a status through an annotation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from difflib import SequenceMatcher

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject

from . import keys, rollouts_v1alpha1, rollouts_v1beta1
from .int_or_percent import parse_percent
from .rollouts_v1beta1 import Style

_ANNOTATIONS = (keys.ROLLING_STYLE, keys.TRAFFIC_ROUTING)  # that stand for a field in one of the versions
_NO_REF = {"apiVersion": "", "kind": "", "name": ""}


class CannotConvert(Exception):
    """The kind or the version is not one that is converted."""


class Source(Struct, frozen=True, rename="camel"):
    """What of an object is converted: its spec, and the annotations that stand for fields."""

    version: str
    spec: JsonObject = {}
    annotations: dict[str, str] = {}


Plain = Callable[[Source], Source]


def convert(obj: JsonObject, desired: str) -> JsonObject:
    """`obj` in API version `desired` (for example "rollouts.kruise.io/v1beta1"). Raises CannotConvert.

    The result shares no mutable value with `obj`.
    """
    kind, current = obj.get("kind"), obj.get("apiVersion")
    if current == desired:
        return copy.deepcopy(obj)
    there, back = _PLAIN.get((kind, desired)), _PLAIN.get((kind, current))
    if there is None or back is None:
        raise CannotConvert(f"{kind} cannot be converted from {current} to {desired}")
    source, saved = _read(obj, desired)
    result = there(source)
    if saved is not None:
        result = _restored(saved, there(back(saved)), result)
    lost = back(result) != _canonical(source)
    return _written(obj, desired, result, source if lost else None)


def _read(obj: JsonObject, desired: str) -> tuple[Source, Source | None]:
    """The source in `obj`, and the original in version `desired` that it carries, if it does."""
    annotations = _texts(_dict(obj.get("metadata")).get("annotations"))
    source = Source(
        version=str(obj.get("apiVersion")),
        spec=copy.deepcopy(_dict(obj.get("spec"))),
        annotations={k: annotations[k] for k in _ANNOTATIONS if k in annotations},
    )
    try:
        saved = msgspec.json.decode(annotations.get(keys.OTHER_VERSION, ""), type=Source)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return source, None
    if saved.version != desired or not _well_formed(str(obj.get("kind")), saved):
        return source, None
    return source, saved


def _written(obj: JsonObject, desired: str, result: Source, original: Source | None) -> JsonObject:
    """`obj` with the converted spec, its metadata otherwise untouched."""
    metadata = copy.deepcopy(_dict(obj.get("metadata")))
    annotations = _texts(metadata.get("annotations"))
    for key in (*_ANNOTATIONS, keys.OTHER_VERSION):
        annotations.pop(key, None)
    annotations |= result.annotations
    if original is not None:
        annotations[keys.OTHER_VERSION] = msgspec.json.encode(original).decode()
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    made: JsonObject = {
        "apiVersion": desired,
        "kind": obj.get("kind"),
        "metadata": metadata,
        "spec": result.spec,
    }
    if isinstance(obj.get("status"), dict):
        made["status"] = copy.deepcopy(obj["status"])
        if desired == keys.V1BETA1 and obj.get("kind") == "Rollout":
            _mirror_step(made["status"])
    return made


def _mirror_step(status: JsonObject) -> None:
    """The two fields that the v1beta1 schema requires, from where v1alpha1 has them."""
    steps = _dict(status.get("blueGreenStatus")) or _dict(status.get("canaryStatus"))
    status.setdefault("currentStepIndex", steps.get("currentStepIndex", 0))
    status.setdefault("currentStepState", steps.get("currentStepState", ""))


# --- what was saved ---------------------------------------------------------------------------------------------


def _well_formed(kind: str, saved: Source) -> bool:
    """A saved spec comes from an annotation, which anybody may write: it must at least have the right types."""
    try:
        msgspec.convert(saved.spec, _SPECS[(kind, saved.version)])
    except msgspec.MsgspecError:
        return False
    return True


def _restored(saved: Source, base: Source, edited: Source) -> Source:
    """`saved`, with the edits that lead from `base` to `edited`."""
    spec = _merged(saved.spec, base.spec, edited.spec)
    annotations = _merged(saved.annotations, base.annotations, edited.annotations)
    strategy = _dict(spec.get("strategy"))
    if "canary" in _dict(edited.spec.get("strategy")) and "canary" not in _dict(base.spec.get("strategy")):
        strategy.pop("blueGreen", None)  # a person gave a blue-green Rollout a canary strategy
    return Source(version=edited.version, spec=spec, annotations=annotations)


def _merged(original: Json, base: Json, edited: Json) -> Json:
    """`original` with the changes that lead from `base` to `edited`; `base` is what `original` was shown as."""
    if edited == base:
        return copy.deepcopy(original)
    if isinstance(original, dict) and isinstance(base, dict) and isinstance(edited, dict):
        made = {k: copy.deepcopy(v) for k, v in original.items() if k not in base and k not in edited}
        for key, value in edited.items():
            if key not in base:
                made[key] = value
            elif key in original:
                made[key] = _merged(original[key], base[key], value)
            elif value != base[key]:
                made[key] = value
        return made
    if isinstance(original, list) and isinstance(base, list) and isinstance(edited, list):
        return _merged_lists(original, base, edited)
    return edited


def _merged_lists(original: list[Json], base: list[Json], edited: list[Json]) -> list[Json]:
    if len(original) != len(base):
        return edited
    if len(base) == len(edited):
        return [_merged(o, b, e) for o, b, e in zip(original, base, edited, strict=True)]
    # Items came or went: those that stayed as they were are recognised, the others are the person's.
    made = list(edited)
    was, now = ([msgspec.json.encode(i, order="deterministic") for i in items] for items in (base, edited))
    for at, to, size in SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks():
        made[to : to + size] = copy.deepcopy(original[at : at + size])
    return made


def _canonical(source: Source) -> Source:
    """What counts as unchanged: an implicit style equals the explicit one; v1beta1 knows no style annotation."""
    annotations, spec = dict(source.annotations), source.spec
    if source.version == keys.V1BETA1:
        annotations.pop(keys.ROLLING_STYLE, None)
    elif "canary" in _dict(spec.get("strategy")):
        annotations[keys.ROLLING_STYLE] = annotations.get(keys.ROLLING_STYLE) or "canary"
    elif "releasePlan" in spec and (style := _release_style(source)):
        annotations[keys.ROLLING_STYLE] = style.lower()
        spec = {**spec, "releasePlan": {**_dict(spec.get("releasePlan")), "rollingStyle": style}}
    return Source(version=source.version, spec=spec, annotations=annotations)


# --- field by field: what each version can say of the other ------------------------------------------------------


def _rollout_to_v1beta1(source: Source) -> Source:
    old = source.spec
    strategy = _kept(_dict(old.get("strategy")), "paused")
    canary = _dict(old.get("strategy")).get("canary")
    if isinstance(canary, dict):
        new = _kept(canary, "trafficRoutings", "failureThreshold", "patchPodTemplateMetadata")
        new |= _kept(canary, "disableGenerateCanaryService")
        if isinstance(canary.get("steps"), list):
            new["steps"] = [_step_to_v1beta1(_dict(s)) for s in canary["steps"]]
        if source.annotations.get(keys.ROLLING_STYLE, "").lower() != "partition":
            new["enableExtraWorkloadForCanary"] = True
        if source.annotations.get(keys.TRAFFIC_ROUTING):
            new["trafficRoutingRef"] = source.annotations[keys.TRAFFIC_ROUTING]
        strategy["canary"] = new
    spec: JsonObject = {
        "workloadRef": _dict(old.get("objectRef")).get("workloadRef") or dict(_NO_REF),
        "strategy": strategy,
        **_kept(old, "disabled"),
    }
    return Source(
        version=keys.V1BETA1, spec=spec, annotations=_kept(source.annotations, keys.TRAFFIC_ROUTING)
    )


def _step_to_v1beta1(old: JsonObject) -> JsonObject:
    new = _kept(old, "requestHeaderModifier", "matches", "replicas", "pause")
    weight = old.get("weight")
    if isinstance(weight, int):
        new["traffic"] = f"{weight}%"
        new.setdefault("replicas", f"{weight}%")
    return new


def _rollout_to_v1alpha1(source: Source) -> Source:
    old = source.spec
    annotations = _kept(source.annotations, keys.TRAFFIC_ROUTING)
    strategy = _kept(_dict(old.get("strategy")), "paused")
    canary = _dict(old.get("strategy")).get("canary")
    if isinstance(_dict(old.get("strategy")).get("blueGreen"), dict):
        annotations[keys.ROLLING_STYLE] = "bluegreen"  # v1alpha1 has no field to show it in
    elif isinstance(canary, dict):
        new = _kept(canary, "trafficRoutings", "failureThreshold", "patchPodTemplateMetadata")
        new |= _kept(canary, "disableGenerateCanaryService")
        if isinstance(canary.get("steps"), list):
            new["steps"] = [_step_to_v1alpha1(_dict(s)) for s in canary["steps"]]
        strategy["canary"] = new
        extra = canary.get("enableExtraWorkloadForCanary") is True
        annotations[keys.ROLLING_STYLE] = "canary" if extra else "partition"
        if canary.get("trafficRoutingRef"):
            annotations[keys.TRAFFIC_ROUTING] = str(canary["trafficRoutingRef"])
    ref = old.get("workloadRef")
    spec: JsonObject = {
        "objectRef": {"workloadRef": ref} if ref and ref != _NO_REF else {},
        "strategy": strategy,
        **_kept(old, "disabled"),
    }
    return Source(version=keys.V1ALPHA1, spec=spec, annotations=annotations)


def _step_to_v1alpha1(old: JsonObject) -> JsonObject:
    new = _kept(old, "requestHeaderModifier", "replicas", "pause")
    if isinstance(old.get("matches"), list):
        new["matches"] = [_kept(_dict(m), "headers") for m in old["matches"]]
    weight = parse_percent(old["traffic"]) if isinstance(old.get("traffic"), str) else None
    if weight is not None:
        new["weight"] = weight
        if new.get("replicas") == f"{weight}%":
            del new["replicas"]  # v1alpha1 says the same with the weight alone
    return new


def _release_to_v1beta1(source: Source) -> Source:
    plan = dict(_dict(source.spec.get("releasePlan")))
    if style := _release_style(source):
        plan["rollingStyle"] = style
    ref = _dict(source.spec.get("targetReference")).get("workloadRef")
    spec: JsonObject = {"workloadRef": ref} if ref else {}
    return Source(
        version=keys.V1BETA1,
        spec={**spec, "releasePlan": plan},
        annotations=_kept(source.annotations, keys.TRAFFIC_ROUTING),
    )


def _release_style(source: Source) -> str:
    """The style of a v1alpha1 BatchRelease: the annotation if it names one, else the field."""
    named = {s.value.lower(): s.value for s in Style}
    field = _dict(source.spec.get("releasePlan")).get("rollingStyle")
    return named.get(source.annotations.get(keys.ROLLING_STYLE, "").lower()) or (
        field if isinstance(field, str) else ""
    )


def _release_to_v1alpha1(source: Source) -> Source:
    plan = _dict(source.spec.get("releasePlan"))
    annotations = _kept(source.annotations, keys.TRAFFIC_ROUTING)
    if isinstance(plan.get("rollingStyle"), str) and plan["rollingStyle"]:
        annotations[keys.ROLLING_STYLE] = plan["rollingStyle"].lower()
    ref = source.spec.get("workloadRef")
    spec: JsonObject = {"targetReference": {"workloadRef": ref} if ref else {}, "releasePlan": dict(plan)}
    return Source(version=keys.V1ALPHA1, spec=spec, annotations=annotations)


_PLAIN: dict[tuple[Json, Json], Plain] = {
    ("Rollout", keys.V1BETA1): _rollout_to_v1beta1,
    ("Rollout", keys.V1ALPHA1): _rollout_to_v1alpha1,
    ("BatchRelease", keys.V1BETA1): _release_to_v1beta1,
    ("BatchRelease", keys.V1ALPHA1): _release_to_v1alpha1,
}
_SPECS: dict[tuple[str, str], type[Struct]] = {
    ("Rollout", keys.V1BETA1): rollouts_v1beta1.RolloutSpec,
    ("Rollout", keys.V1ALPHA1): rollouts_v1alpha1.RolloutSpec,
    ("BatchRelease", keys.V1BETA1): rollouts_v1beta1.BatchReleaseSpec,
    ("BatchRelease", keys.V1ALPHA1): rollouts_v1alpha1.BatchReleaseSpec,
}


def _dict(value: Json) -> JsonObject:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _texts(value: Json) -> dict[str, str]:
    return {str(k): v for k, v in _dict(value).items() if isinstance(v, str)}


def _kept(old: JsonObject, *names: str) -> JsonObject:
    """The fields `names` of `old` that are there."""
    return {n: old[n] for n in names if n in old}
