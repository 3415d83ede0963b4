"""Structs -> the CustomResourceDefinitions of this API, as plain objects.

A schema is derived from the types of a Struct; what types cannot say (descriptions, limits, defaults) is in
schema_fields.py. What is installed besides CRDs is operator/install.py.
"""

from __future__ import annotations

import copy
from typing import cast

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from . import keys, rollouts_v1alpha1, rollouts_v1beta1
from .schema_fields import Field, field_of

_LONG = {"observedGeneration", "observedWorkloadGeneration"}  # int64; any other number is int32
_INT_OR_PERCENT: JsonObject = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}

Column = tuple[str, str, str]  # name, JSONPath, type
_STRING, _INTEGER, _DATE = "string", "integer", "date"
_AGE: Column = ("AGE", ".metadata.creationTimestamp", _DATE)
_COLUMNS: dict[type[Struct], tuple[Column, ...]] = {
    rollouts_v1beta1.Rollout: (
        ("STATUS", ".status.phase", _STRING),
        ("CANARY_STEP", ".status.currentStepIndex", _INTEGER),
        ("CANARY_STATE", ".status.currentStepState", _STRING),
        ("MESSAGE", ".status.message", _STRING),
        _AGE,
    ),
    rollouts_v1alpha1.Rollout: (
        ("STATUS", ".status.phase", _STRING),
        ("CANARY_STEP", ".status.canaryStatus.currentStepIndex", _INTEGER),
        ("CANARY_STATE", ".status.canaryStatus.currentStepState", _STRING),
        ("MESSAGE", ".status.message", _STRING),
        _AGE,
    ),
    rollouts_v1beta1.BatchRelease: (
        ("KIND", ".spec.workloadRef.kind", _STRING),
        ("PHASE", ".status.phase", _STRING),
        ("BATCH", ".status.canaryStatus.currentBatch", _INTEGER),
        ("BATCH-STATE", ".status.canaryStatus.batchState", _STRING),
        _AGE,
    ),
    rollouts_v1alpha1.BatchRelease: (
        ("KIND", ".spec.targetReference.workloadRef.kind", _STRING),
        ("PHASE", ".status.phase", _STRING),
        ("BATCH", ".status.canaryStatus.currentBatch", _INTEGER),
        ("BATCH-STATE", ".status.canaryStatus.batchState", _STRING),
        _AGE,
    ),
    rollouts_v1alpha1.TrafficRouting: (
        ("STATUS", ".status.phase", _STRING),
        ("MESSAGE", ".status.message", _STRING),
        _AGE,
    ),
    rollouts_v1alpha1.RolloutHistory: (),
}
# kind, plural, the Struct of each version; the last version is stored
_KINDS: tuple[tuple[str, str, tuple[tuple[str, type[Struct]], ...]], ...] = (
    (
        "Rollout",
        "rollouts",
        (("v1alpha1", rollouts_v1alpha1.Rollout), ("v1beta1", rollouts_v1beta1.Rollout)),
    ),
    (
        "BatchRelease",
        "batchreleases",
        (("v1alpha1", rollouts_v1alpha1.BatchRelease), ("v1beta1", rollouts_v1beta1.BatchRelease)),
    ),
    ("RolloutHistory", "rollouthistories", (("v1alpha1", rollouts_v1alpha1.RolloutHistory),)),
    ("TrafficRouting", "trafficroutings", (("v1alpha1", rollouts_v1alpha1.TrafficRouting),)),
)


def crds(conversion_client: JsonObject) -> tuple[JsonObject, ...]:
    """The four CustomResourceDefinitions.

    `conversion_client`: a WebhookClientConfig (url or service, caBundle), for the kinds that have two versions.
    """
    return tuple(_crd(kind, plural, versions, conversion_client) for kind, plural, versions in _KINDS)


def conversion(client: JsonObject) -> JsonObject:
    """spec.conversion of a CRD that is converted by the webhook at `client`."""
    return {
        "strategy": "Webhook",
        "webhook": {"clientConfig": copy.deepcopy(client), "conversionReviewVersions": ["v1", "v1beta1"]},
    }


def _crd(
    kind: str, plural: str, versions: tuple[tuple[str, type[Struct]], ...], client: JsonObject
) -> JsonObject:
    spec: JsonObject = {
        "group": keys.GROUP,
        "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
        "scope": "Namespaced",
        "versions": [_version(name, struct, storage=name == versions[-1][0]) for name, struct in versions],
    }
    if len(versions) > 1:
        spec["conversion"] = conversion(client)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{keys.GROUP}"},
        "spec": spec,
    }


def _version(name: str, struct: type[Struct], *, storage: bool) -> JsonObject:
    made: JsonObject = {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": kind_schema(struct)},
        "subresources": {"status": {}},
    }
    if _COLUMNS[struct]:
        made["additionalPrinterColumns"] = [
            {"name": n, "jsonPath": p, "type": t} for n, p, t in _COLUMNS[struct]
        ]
    return made


def kind_schema(struct: type[Struct]) -> JsonObject:
    """The structural schema of a whole object."""
    body = struct_schema(struct)
    body["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **{k: v for k, v in body["properties"].items() if k != "metadata"},
    }
    return body


def struct_schema(struct: type[Struct]) -> JsonObject:
    """The schema of an object with the fields of `struct`."""
    info = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(struct))
    about = field_of(struct, "")
    made: JsonObject = {"description": about.text} if about.text else {}
    made |= {"type": "object", "properties": {}}
    required = []
    for item in info.fields:
        if item.encode_name == "metadata":
            continue
        field = field_of(struct, item.encode_name)
        made["properties"][item.encode_name] = _property(item.encode_name, item.type, field)
        if field.required:
            required.append(item.encode_name)
    if required:
        made["required"] = sorted(required)
    return _overlaid(made, about.extra)


def _property(name: str, kind: msgspec.inspect.Type, field: Field) -> JsonObject:
    made = _typed(name, kind)
    if field.text:
        made = {"description": field.text, **{k: v for k, v in made.items() if k != "description"}}
    return _overlaid(made, field.extra)


def _typed(name: str, kind: msgspec.inspect.Type) -> JsonObject:
    match kind:
        case msgspec.inspect.StructType(cls=cls):
            return struct_schema(cls)
        case msgspec.inspect.BoolType():
            return {"type": "boolean"}
        case msgspec.inspect.IntType():
            return {"type": "integer", "format": "int64" if name in _LONG else "int32"}
        case msgspec.inspect.StrType():
            return {"type": "string"}
        case msgspec.inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case msgspec.inspect.VarTupleType(item_type=item):
            # kubectl explain shows the list's own description above that of its items.
            return {
                "type": "array",
                "items": {k: v for k, v in _typed("", item).items() if k != "description"},
            }
        case msgspec.inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _typed("", value)}
        case msgspec.inspect.AnyType():
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case msgspec.inspect.UnionType(types=types):
            given = [t for t in types if not isinstance(t, msgspec.inspect.NoneType)]
            return _typed(name, given[0]) if len(given) == 1 else copy.deepcopy(_INT_OR_PERCENT)
        case _:
            raise TypeError(f"no schema for a field {name!r} of type {kind}")


def _overlaid(under: JsonObject, over: JsonObject) -> JsonObject:
    """`under` with `over` laid on it, object by object."""
    made = dict(under)
    for key, value in over.items():
        below = made.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            made[key] = _overlaid(below, value)
        else:
            made[key] = copy.deepcopy(value)
    return made
