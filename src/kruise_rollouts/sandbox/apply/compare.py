"""Which fields differ between two objects, and which fields one object has: both as field sets, along a schema.

What to do with the sets is the business of tracking.py and apply.py.
"""

from __future__ import annotations

from typing import TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.schemas.schema import ABSENT, DEDUCED, Node

from .fieldset import EMPTY, FieldSet, joined, key_element, node_of, value_element

Sets: TypeAlias = tuple[
    FieldSet | None, FieldSet | None
]  # set by the new value; removed by it. None: nothing
_NOTHING: Sets = (None, None)
_SET: Sets = (EMPTY, None)
_REMOVED: Sets = (None, EMPTY)


class BadElement(ValueError):
    """A list element that cannot be told from the others: no key, or not a scalar in a set."""


def compare(old: JsonObject, new: JsonObject, node: Node) -> tuple[FieldSet, FieldSet]:
    """Fields that `new` sets or changes, and fields that it removes. Raises BadElement."""
    changed, removed = _maps(old, new, node)
    return changed or EMPTY, removed or EMPTY


def _compare(old: Json, new: Json, node: Node) -> Sets:
    """`old` and `new` differ; one of them may be ABSENT."""
    old_shape, new_shape = shape_of(old, node), shape_of(new, node)
    if old_shape == "" or old_shape == new_shape:
        return _shaped(old, new, node, new_shape or "scalar")
    if new_shape == "":
        return _shaped(old, new, node, old_shape)
    was, becomes = _shaped(old, new, node, old_shape), _shaped(old, new, node, new_shape)
    return _either(was[0], becomes[0]), _either(was[1], becomes[1])


def _either(a: FieldSet | None, b: FieldSet | None) -> FieldSet | None:
    return b if a is None else a if b is None else joined(a, b)


def shape_of(value: Json, node: Node) -> str:
    """Which of the things `node` may be `value` is; "" if `value` is ABSENT."""
    if value is ABSENT:
        return ""
    if isinstance(value, dict) and node.may_be_map:
        return "map"
    if isinstance(value, list) and node.may_be_list:
        return "list"
    if value is not None and node.may_be_scalar and not isinstance(value, dict | list):
        return "scalar"
    return "map" if node.may_be_map else "scalar" if node.may_be_scalar else "list"


def _shaped(old: Json, new: Json, node: Node, shape: str) -> Sets:
    if shape == "map" and not node.atomic:
        before, after = _as(dict, old), _as(dict, new)
        if before or after:
            return _with_self(old, new, _maps(before or {}, after or {}, node, both=_are_both(old, new)))
    elif shape == "list" and node.list_type != "atomic":
        before, after = _as(list, old), _as(list, new)
        if before or after:
            return _with_self(old, new, _lists(before or [], after or [], node))
    if old is ABSENT:
        return _SET
    if new is ABSENT:
        return _REMOVED
    return _NOTHING if old == new and isinstance(old, bool) == isinstance(new, bool) else _SET


def _as(kind: type, value: Json) -> Json:
    return value if isinstance(value, kind) else None


def _are_both(old: Json, new: Json) -> bool:
    return old is not ABSENT and new is not ABSENT


def _with_self(old: Json, new: Json, sets: Sets) -> Sets:
    changed, removed = sets
    if old is ABSENT:
        changed = node_of(changed or EMPTY, True)
    elif new is ABSENT:
        removed = node_of(removed or EMPTY, True)
    return changed, removed


def _maps(old: JsonObject, new: JsonObject, node: Node, *, both: bool = True) -> Sets:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, before in old.items():
        after = new.get(key, ABSENT)
        if before is after or (after is not ABSENT and before == after):
            continue  # at C speed; that 1 == true goes unnoticed here changes no owner of a typed field
        child = node.child(key) or DEDUCED
        if after is ABSENT and both:
            after = child.zero
            if after == before:
                continue
        _note(f"f:{key}", _compare(before, after, child), changed, removed)
    for key, after in new.items():
        if key not in old:
            child = node.child(key) or DEDUCED
            before = child.zero if both else ABSENT
            if before is ABSENT or before != after:
                _note(f"f:{key}", _compare(before, after, child), changed, removed)
    return changed or None, removed or None


def _note(element: str, sets: Sets, changed: FieldSet, removed: FieldSet) -> None:
    if sets[0] is not None:
        changed[element] = sets[0]
    if sets[1] is not None:
        removed[element] = sets[1]


def _lists(old: list[Json], new: list[Json], node: Node) -> Sets:
    changed: FieldSet = {}
    removed: FieldSet = {}
    before, after = _grouped(old, node), _grouped(new, node)
    for element in dict.fromkeys((*before, *after)):
        olds, news = before.get(element, ()), after.get(element, ())
        if olds == news:
            continue
        if len(olds) > 1 and len(news) > 1:
            changed[element] = EMPTY  # duplicates before and after are compared as one
            continue
        if len(olds) > 1:
            if news:
                _note(element, _compare(ABSENT, news[0], node.items), changed, removed)
            removed[element] = EMPTY
            continue
        if len(news) > 1:
            if olds:
                _note(element, _compare(olds[0], ABSENT, node.items), changed, removed)
            changed[element] = EMPTY
            continue
        sets = _compare(olds[0] if olds else ABSENT, news[0] if news else ABSENT, node.items)
        _note(element, sets, changed, removed)
    return changed or None, removed or None


def _grouped(items: list[Json], node: Node) -> dict[str, list[Json]]:
    out: dict[str, list[Json]] = {}
    for position, item in enumerate(items):
        try:
            out.setdefault(element_of(item, node), []).append(item)
        except BadElement as error:
            raise BadElement(f"element {position}: {error}") from None
    return out


def element_of(item: Json, node: Node) -> str:
    """The path element of `item` in the list described by `node` (not an atomic one). Raises BadElement."""
    if node.list_type == "set":
        if isinstance(item, dict):
            raise BadElement("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise BadElement("not supported: associative list with lists as elements")
        if item is None:
            raise BadElement("associative list without keys has an element that's an explicit null")
        return value_element(item)
    if item is None:
        raise BadElement("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise BadElement("associative list with keys may not have non-map elements")
    keys: JsonObject = {}
    for name in node.list_keys:
        if name in item:
            keys[name] = item[name]
        else:
            child = node.items.child(name)
            if child is not None and child.default is not None:
                keys[name] = child.default
    if not keys:
        named = "[" + " ".join(f'"{k}"' for k in node.list_keys) + "]"
        raise BadElement(
            f"associative list with keys has an element that omits all key fields {named} "
            "(and doesn't have default values for any key fields)"
        )
    return key_element(keys)


def field_set(obj: JsonObject, node: Node) -> FieldSet:
    """All fields that `obj` has. Raises BadElement."""
    return _fields(obj, node) or EMPTY


def _fields(value: Json, node: Node) -> FieldSet | None:
    match shape_of(value, node):
        case "map":
            return EMPTY if node.atomic else _map_fields(value or {}, node)
        case "list":
            return EMPTY if node.list_type == "atomic" else _list_fields(value or [], node)
        case _:
            return EMPTY


def _map_fields(value: JsonObject, node: Node) -> FieldSet | None:
    out: FieldSet = {}
    for key, item in value.items():
        below = _fields(item, node.child(key) or DEDUCED)
        if item is None or item == {} or not node.declares(key):
            below = node_of({k: v for k, v in (below or EMPTY).items() if k != "."}, True)
        if below is not None:
            out[f"f:{key}"] = below
    return out or None


def _list_fields(value: list[Json], node: Node) -> FieldSet | None:
    out: FieldSet = {}
    for element, items in _grouped(value, node).items():
        below = _fields(items[0], node.items) if len(items) == 1 else None
        out[element] = node_of(below or EMPTY, True) or EMPTY
    return out or None
