"""Sets of field paths, in the form managedFields stores them (fieldsV1): nested objects keyed by path elements.

An element is "f:name" for a field, 'k:{"name":"a"}' for a list element by its keys, 'v:"x"' for an element of a set.
Below an element, {} says "this field is in the set", {".": {}, ...} says so and that fields below are too, {...}
only that fields below are. Sets are never changed, operations return the same object where they can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.sandbox.wording import json_text, number, quoted

FieldSet: TypeAlias = dict[str, Json]
Order: TypeAlias = tuple[Json, ...]

EMPTY: FieldSet = {}
SELF = "."


def key_element(keys: dict[str, Json]) -> str:
    """The element of a list item that has these values in its key fields."""
    return "k:" + json_text(keys)


def value_element(value: Json) -> str:
    """The element of a scalar in a set."""
    return "v:" + json_text(value)


def node_of(children: FieldSet, member: bool) -> FieldSet | None:
    """What stands below an element; None if neither it nor anything below is in the set."""
    if not member:
        return children or None
    return {SELF: EMPTY, **children} if children else EMPTY


def is_member(node: FieldSet) -> bool:
    return not node or SELF in node


def path_set(*path: str) -> FieldSet:
    """The set of one path of field names."""
    node = EMPTY
    for name in reversed(path):
        node = {f"f:{name}": node}
    return node


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    """Paths in `a` or `b`; `a` itself if it has all of `b`."""
    if not b or a is b:
        return a
    if not a:
        return b
    out: FieldSet | None = None
    for element, theirs in b.items():
        ours = a.get(element)
        if ours is None:
            new = theirs
        elif element == SELF:
            continue
        else:
            new = joined(ours, theirs)
            if new is ours:
                continue
        if out is None:
            out = dict(a)
        out[element] = new
    return a if out is None else out


def joined(ours: FieldSet, theirs: FieldSet) -> FieldSet:
    """What stands below an element that stands in two sets."""
    if not ours:
        return {SELF: EMPTY, **theirs} if theirs else ours
    if not theirs:
        return ours if SELF in ours else {SELF: EMPTY, **ours}
    return union(ours, theirs)


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """Paths in `a` and not in `b`; `a` itself if they have nothing in common."""
    return _minus(a, b, deep=False)


def difference_below(a: FieldSet, b: FieldSet) -> FieldSet:
    """Paths in `a` that are not in `b` nor below a path in `b`."""
    return _minus(a, b, deep=True)


def _minus(a: FieldSet, b: FieldSet, *, deep: bool) -> FieldSet:
    if not a or not b:
        return a
    out: FieldSet | None = None
    for element, theirs in b.items():
        ours = a.get(element)
        if ours is None or element == SELF:
            continue
        if deep and is_member(theirs):
            left = None
        else:
            member = is_member(ours) and not is_member(theirs)
            left = node_of(_below(_minus(ours, theirs, deep=deep)), member)
        if left is None or left != ours:
            out = dict(a) if out is None else out
            if left is None:
                del out[element]
            else:
                out[element] = left
    return a if out is None else out


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    """Paths in both."""
    out: FieldSet = {}
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    for element, one in small.items():
        other = large.get(element)
        if other is None or element == SELF:
            continue
        both = node_of(intersection(one, other), is_member(one) and is_member(other))
        if both is not None:
            out[element] = both
    return out


def _below(node: FieldSet) -> FieldSet:
    return {k: v for k, v in node.items() if k != SELF} if SELF in node else node


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """All paths as messages show them: .spec.containers[name="a"].image. Members of a level come before those below."""
    elements = sorted((e for e in fields if e != SELF), key=order_of)
    for element in elements:
        if is_member(fields[element]):
            yield prefix + shown(element)
    for element in elements:
        yield from paths(fields[element], prefix + shown(element))


def shown(element: str) -> str:
    """An element as messages show it."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        keys = msgspec.json.decode(text)
        return "[" + ",".join(f"{k}={_shown_value(v)}" for k, v in sorted(keys.items())) + "]"
    if kind == "v:":
        return f"[={_shown_value(msgspec.json.decode(text))}]"
    return f"[{text}]"


def _shown_value(value: Json) -> str:
    match value:
        case str():
            return quoted(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case float():
            return number(value)
        case _:
            return str(value)


def ordered(fields: FieldSet) -> FieldSet:
    """The same set with its elements in the order an API server writes them."""
    out: FieldSet = {}
    if SELF in fields:
        out[SELF] = EMPTY
    for element in sorted((e for e in fields if e != SELF), key=order_of):
        below = fields[element]
        out[element] = ordered(below) if below else EMPTY
    return out


def order_of(element: str) -> Order:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return (0, text)
    if kind == "k:":
        return (1, *((k, *_value_order(v)) for k, v in sorted(msgspec.json.decode(text).items())))
    if kind == "v:":
        return (2, *_value_order(msgspec.json.decode(text)))
    return (3, int(text) if text.lstrip("-").isdigit() else 0)


def _value_order(value: Json) -> Order:
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    return (3, str(value))
