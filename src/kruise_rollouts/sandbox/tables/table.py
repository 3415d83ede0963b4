"""Tables, as kubectl asks for them: one row per object, built-in kinds by their own printers, custom ones by JSONPath.

What the cells of built-in kinds hold is in columns_core.py, columns_apps.py and columns_other.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest
from kruise_rollouts.sandbox.resources import Column, Resource

from .cells import Cells, Printer, age, moment
from .columns_apps import APPS
from .columns_core import CORE
from .columns_other import OTHER

_PRINTERS: dict[tuple[str, str], Printer] = {**CORE, **APPS, **OTHER}
_NAME = Column("Name", "string", "name")
_DEFAULT = (_NAME, Column("Age", "date"))
_INCLUDE = ("Metadata", "Object", "None", "")


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """The columns of the kind's table, Name first."""
    if not resource.custom:
        return resource.columns or (_NAME, Column("Created At", "date"))
    return (_NAME, *resource.columns) if resource.columns else _DEFAULT


def definitions(resource: Resource) -> list[JsonObject]:
    """columnDefinitions."""
    keys = ("name", "type", "format", "description", "priority")
    return [{k: getattr(column, k) for k in keys} for column in columns_of(resource)]


def cells_of(resource: Resource, obj: JsonObject, now: datetime) -> Cells:
    """The row of one object; `obj` is in the version of `resource`."""
    if resource.custom:
        return [obj["metadata"]["name"], *(_custom_cell(c, obj, now) for c in columns_of(resource)[1:])]
    printer = _PRINTERS.get(resource.storage)
    if printer is None:
        return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]
    return printer(obj, now)


def include_of(query: Iterable[tuple[str, str]]) -> str:
    """The includeObject parameter. Raises BadRequest."""
    include = next((v for k, v in query if k == "includeObject"), "")
    if include not in _INCLUDE:
        raise BadRequest(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": must be '
            "'Metadata', 'Object', 'None', or empty"
        )
    return include or "Metadata"


def row(resource: Resource, obj: JsonObject, now: datetime, include: str, version: str) -> JsonObject:
    """One row, with the object as `include` wants it."""
    shown: JsonObject | None = None
    if include == "Object":
        shown = obj
    elif include == "Metadata":
        shown = metadata_only(obj, version)
    return {"cells": cells_of(resource, obj, now), "object": shown}


def metadata_only(obj: JsonObject, version: str = "v1") -> JsonObject:
    """The PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def table(
    resource: Resource, rows: list[JsonObject], meta: JsonObject, version: str, *, headed: bool = True
) -> JsonObject:
    """A Table; without its column definitions unless `headed`."""
    out: JsonObject = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta}
    out["columnDefinitions"] = definitions(resource) if headed else None
    plain = not resource.custom and [c.name for c in columns_of(resource)] == ["Name", "Created At"]
    out["rows"] = None if plain and not rows else rows  # kinds without columns of their own show none as null
    return out


def _scale(obj: JsonObject, now: datetime) -> Cells:
    wanted, there = (obj.get("spec") or {}).get("replicas", 0), obj["status"].get("replicas", 0)
    return [obj["metadata"]["name"], wanted, there, age(obj["metadata"].get("creationTimestamp"), now)]


# What is shown of the scale of any kind.
SCALE = Resource(
    group="autoscaling",
    version="v1",
    plural="scales",
    singular="scale",
    kind="Scale",
    list_kind="ScaleList",
    namespaced=True,
    verbs=(),
    columns=(
        Column("Name", "string"),
        Column("Desired", "integer"),
        Column("Available", "integer"),
        Column("Age", "string"),
    ),
    storage=("autoscaling", "scales"),
    storage_version="autoscaling/v1",
)
_PRINTERS[SCALE.storage] = _scale


def _custom_cell(column: Column, obj: JsonObject, now: datetime) -> Json:
    """The value a printer column's path finds; None if there is none."""
    found = find(column.json_path, obj)
    if not found:
        return None
    value = found[0]
    match column.type:
        case "date":
            return age(value, now) if isinstance(value, str) and moment(value) else "<unknown>"
        case "string":
            return value if isinstance(value, str) else _shown(value)
        case "integer":
            return value if isinstance(value, int) else None
    return value


def _shown(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)


Step: TypeAlias = Callable[[list[Json]], list[Json]]
_PART = re.compile(
    r"\.?(?:(?P<name>(?:[^.\[\\]|\\.)+)|\[(?P<index>-?\d+|\*)\]|\['(?P<quoted>[^']*)'\]"
    r"|\[\?\(@\.(?P<field>[^=!<>\s]+)\s*(?P<op>==|!=)\s*(?P<value>[^)]*)\)\])"
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...]:
    """The steps of the JSONPath subset that printer columns use; () if the path says something else."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None or found.end() == at:
            return (lambda values: [],)
        at = found.end()
        name = found["name"] if found["name"] is not None else found["quoted"]
        if name is not None:
            steps.append(_member(re.sub(r"\\(.)", r"\1", name)))
        elif found["index"] is not None:
            steps.append(_element(found["index"]))
        else:
            steps.append(_chosen(found["field"], found["op"], found["value"].strip().strip("\"'")))
    return tuple(steps)


def _member(name: str) -> Step:
    if name == "*":
        return lambda values: [x for v in values for x in (v.values() if isinstance(v, dict) else v or ())]
    return lambda values: [v[name] for v in values if isinstance(v, dict) and v.get(name) is not None]


def _element(index: str) -> Step:
    if index == "*":
        return lambda values: [x for v in values if isinstance(v, list) for x in v]
    i = int(index)
    return lambda values: [v[i] for v in values if isinstance(v, list) and -len(v) <= i < len(v)]


def _chosen(field: str, op: str, value: str) -> Step:
    def meets(item: Json) -> bool:
        found = find("." + field, item)
        return bool(found) and (_shown(found[0]) == value) == (op == "==")

    return lambda values: [x for v in values if isinstance(v, list) for x in v if meets(x)]


def find(path: str, obj: Json) -> list[Json]:
    """Values at a printer column's JSONPath (`.spec.a`, `.status.conditions[?(@.type=="Ready")].status`)."""
    values = [obj]
    for step in _steps(path.strip("{}")):
        values = step(values)
    return values
