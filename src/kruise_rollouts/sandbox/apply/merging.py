"""The three things server-side apply does to an object: check a configuration, merge it in, take fields out again.

All follow the schema: lists by their keys, atomic ones as a whole. Nothing given is changed.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.schemas.schema import ABSENT, DEDUCED, Node
from kruise_rollouts.sandbox.wording import plain, quoted, type_of

from .compare import BadElement, element_of, shape_of
from .fieldset import EMPTY, SELF, FieldSet, is_member, node_of, shown


def problems(obj: JsonObject, node: Node) -> list[str]:
    """Why `obj` is not a valid configuration; [] if it is. For built-in kinds unknown fields are refused."""
    return list(dict.fromkeys(_problems(obj, node, "")))


def _problems(value: Json, node: Node, path: str) -> list[str]:
    shape = shape_of(value, node)
    if shape == "map":
        if value is None:
            return []
        if not isinstance(value, dict):
            return [_at(path, f"expected map, got &{{{plain(value)}}}")]
        return _map_problems(value, node, path)
    if shape == "list":
        if value is None:
            return []
        if not isinstance(value, list):
            return [_at(path, f"expected list, got &{{{plain(value)}}}")]
        return _list_problems(value, node, path)
    return _scalar_problems(value, node, path)


def _map_problems(value: JsonObject, node: Node, path: str) -> list[str]:
    out: list[str] = []
    for key, item in value.items():
        child = node.child(key)
        if child is None:
            return [*out, _at(f"{path}.{key}", "field not declared in schema")]
        out += _problems(item, child, f"{path}.{key}")
    return out


def _list_problems(value: list[Json], node: Node, path: str) -> list[str]:
    out: list[str] = []
    seen: set[str] = set()
    for position, item in enumerate(value):
        place = f"[{position}]"
        if node.list_type != "atomic":
            try:
                element = element_of(item, node)
            except BadElement as error:
                return [*out, _at(path, f"element {position}: {error}")]
            place = shown(element)
            if element in seen:
                out.append(_at(path, f"duplicate entries for key {place}"))
            seen.add(element)
        out += _problems(item, node.items, path + place)
    return out


def _scalar_problems(value: Json, node: Node, path: str) -> list[str]:
    if value is None:
        return []
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match node.type:
        case "integer" | "number":
            wrong = "" if number else f"expected numeric (int or float), got {type_of(value)}"
        case "string" if node.format in ("", "byte"):
            wrong = (
                ""
                if isinstance(value, str)
                else f"expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
            )
        case "boolean":
            wrong = "" if isinstance(value, bool) else f"expected boolean, got &{{{plain(value)}}}"
        case _:
            scalar = not isinstance(value, dict | list)
            wrong = "" if scalar else f"expected any scalar, got &{{{plain(value)}}}"
    return [_at(path, wrong)] if wrong else []


def _go(value: Json) -> str:
    """`value` in Go's syntax, as %#v prints it."""
    match value:
        case str():
            return quoted(value)
        case dict():
            return (
                "map[string]interface {}{"
                + ", ".join(f"{quoted(k)}:{_go(v)}" for k, v in value.items())
                + "}"
            )
        case list():
            return "[]interface {}{" + ", ".join(_go(v) for v in value) + "}"
        case _:
            return plain(value)


def _at(path: str, message: str) -> str:
    return f"{path}: {message}" if path else message


def merge(live: JsonObject, applied: JsonObject, node: Node) -> JsonObject:
    """`live` with what `applied` has in it. Nothing is removed."""
    merged = _merge(live, applied, node)
    return {} if merged is ABSENT else merged


def _merge(live: Json, applied: Json, node: Node) -> Json:
    """ABSENT if nothing comes out."""
    if applied is ABSENT:
        return live
    if live is not ABSENT and shape_of(live, node) != shape_of(applied, node):
        live = ABSENT
    anything = bool(applied) or (live is not ABSENT and bool(live))
    match shape_of(applied, node):
        case "map" if anything and not node.atomic:
            return _merge_maps(live if isinstance(live, dict) else {}, applied or {}, node)
        case "list" if anything and node.list_type != "atomic":
            return _merge_lists(live if isinstance(live, list) else [], applied or [], node)
    return applied


def _merge_maps(live: JsonObject, applied: JsonObject, node: Node) -> Json:
    out = dict(live)
    for key, item in applied.items():
        merged = _merge(live.get(key, ABSENT), item, node.child(key) or DEDUCED)
        if merged is not ABSENT:
            out[key] = merged
    return out or ABSENT


def _merge_lists(live: list[Json], applied: list[Json], node: Node) -> Json:
    """In the order of `applied`; an element only in `live` stays before the shared element it stood before."""
    here = [element_of(item, node) for item in live]
    there = [element_of(item, node) for item in applied]
    live_by = {e: item if here.count(e) == 1 else None for e, item in zip(here, live, strict=True)}
    applied_by = dict(zip(there, applied, strict=True))
    shared = [e for e in there if e in live_by]
    out: list[Json] = []
    done: set[str] = set()
    i = j = k = 0  # in live, applied, shared
    while i < len(here) or j < len(there):
        if i < len(here) and j < len(there):
            if here[i] == there[j]:
                done.add(here[i])
                out.append(_merge(live_by[here[i]], applied_by[here[i]], node.items))
                i, j, k = i + 1, j + 1, k + 1
                continue
            if here[i] in applied_by and k < len(shared) and shared[k] != here[i]:
                i += 1  # shared, but its turn comes later
                continue
        if i < len(here):
            if here[i] not in applied_by:
                out.append(live[i])
                i += 1
                continue
            if here[i] in done:
                i += 1
        if j < len(there):
            element = there[j]
            done.add(element)
            out.append(_merge(live_by.get(element, ABSENT), applied_by[element], node.items))
            j += 1
            if k < len(shared) and shared[k] == element:
                k += 1
    return [item for item in out if item is not ABSENT] or ABSENT


def without(obj: JsonObject, gone: FieldSet, node: Node) -> JsonObject:
    """`obj` without the fields and list elements in `gone`."""
    if not gone:
        return obj
    left: JsonObject | None = _without(obj, gone, node)
    return left or {}


def _without(value: Json, gone: FieldSet, node: Node) -> Json:
    """None if nothing is left, or if there is nothing that could be taken out in parts."""
    shape = shape_of(value, node)
    if shape == "map":
        return None if node.atomic or not isinstance(value, dict) else _map_without(value, gone, node)
    if shape == "list":
        atomic = node.list_type == "atomic" or not isinstance(value, list)
        return None if atomic else _list_without(value, gone, node)
    return value


def _map_without(value: JsonObject, gone: FieldSet, node: Node) -> JsonObject | None:
    out: JsonObject = {}
    touched = False
    for key, item in value.items():
        below = gone.get(f"f:{key}")
        if below is None:
            out[key] = item
        elif not is_member(below):
            touched = True
            out[key] = _kept(item, _without(item, below, node.child(key) or DEDUCED))
    return out if out or touched else None


def _list_without(value: list[Json], gone: FieldSet, node: Node) -> list[Json] | None:
    out: list[Json] = []
    touched = False
    for item in value:
        below = gone.get(element_of(item, node))
        if below is None:
            out.append(item)
        elif not is_member(below):
            touched = True
            out.append(_kept(item, _without(item, below, node.items)))
    return out if out or touched else None


def _kept(before: Json, after: Json) -> Json:
    """An object or list stays, empty, when what was in it goes."""
    if after is None:
        return {} if isinstance(before, dict) else [] if isinstance(before, list) else None
    return after


def with_named_members(fields: FieldSet, node: Node) -> FieldSet:
    """`fields`, with each declared field that has something below it in the set as well."""
    out: FieldSet = {SELF: EMPTY} if SELF in fields else {}
    for element, below in fields.items():
        if element == SELF:
            continue
        declared, child = False, DEDUCED
        if element.startswith("f:"):
            name = element[2:]
            declared, child = node.may_be_map and node.declares(name), node.child(name) or DEDUCED
        elif element.startswith("k:") and node.may_be_list:
            child = node.items
        inner = {k: v for k, v in with_named_members(below, child).items() if k != SELF}
        out[element] = node_of(inner, is_member(below) or declared) or EMPTY
    return out
