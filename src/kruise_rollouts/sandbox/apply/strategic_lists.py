"""Merging lists for strategic.py: by merge key, as sets of scalars, and the order of what comes out.

The order is that of the patch for what the patch names, that of the live list for the rest, interleaved by the live
list where both are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Details, InternalError, Invalid
from kruise_rollouts.sandbox.schemas.schema import Node
from kruise_rollouts.sandbox.wording import plain, type_of

DIRECTIVE = "$patch"

List: TypeAlias = list[Json]
Token: TypeAlias = tuple[str, str]
MergeObjects: TypeAlias = Callable[[JsonObject, JsonObject, Node], JsonObject]


def merge(live: List, patch: List, node: Node, merge_objects: MergeObjects) -> List:
    """`live` after `patch`. `node` is the list's."""
    if not live and not patch:
        return live
    key = node.merge_key
    if not _of_objects(live, patch):
        return _arranged(_distinct([*live, *patch]), patch, live, "")
    if not key:
        raise InternalError("cannot merge lists without merge key for struct", reason="")
    live, patch = _after_directives(live, patch, key)
    out = list(live)
    places = _places(out, key, strict=False)
    for item in patch:
        token = _token(item, key)
        at = places.get(token)
        if at is None:
            places[token] = len(out)
            out.append(item)
        else:
            out[at] = merge_objects(out[at], item, node.items)
    return _arranged(out, patch, live, key)


def without(live: List, gone: List) -> List:
    """`live` without the scalars in `gone`."""
    if not live and not gone:
        return live
    if _of_objects(live, gone):
        raise InternalError("cannot merge lists without merge key for struct", reason="")
    dropped = _places(gone, "")
    return [v for v in live if _token(v, "") not in dropped]


def sorted_by(merged: List, order: List, live: List, patch: List, key: str) -> List:
    """`merged` with what `order` names in that order; `live` decides where the rest goes."""
    _of_objects(live, patch)
    return _arranged(merged, order, live, key)


def check_order(patch: List, order: List, key: str) -> None:
    """Raises unless the elements of `patch` appear in `order`, in the same sequence."""
    if not order or not patch:
        return
    kept = [v for v in patch if not (isinstance(v, dict) and v.get(DIRECTIVE) == "delete")] if key else patch
    at = position = 0
    while at < len(kept) and position < len(order):
        if isinstance(kept[at], dict) and DIRECTIVE in kept[at]:
            at += 1
            continue
        if _token(kept[at], key) == _token(order[position], key):
            at += 1
        position += 1
    if at < len(kept):
        raise InternalError(
            f"The order in patch list:\n{plain(patch)}\n doesn't match $setElementOrder list:\n{plain(order)}\n",
            reason="",
        )


def _of_objects(*parts: List) -> bool:
    """Whether the elements are objects; raises if they are not all of one type, or lists."""
    types = {type(v) for part in parts for v in part}
    if list in types:
        raise Invalid("the server rejected our request due to an error in our request", details=Details())
    if len(types) > 1:
        raise InternalError(f"list element types are not identical: {plain(list(parts))}", reason="")
    if not types:
        raise InternalError("no elements in any of the given slices", reason="")
    return types == {dict}


def _after_directives(live: List, patch: List, key: str) -> tuple[List, List]:
    """Live list and patch once `$patch` elements have been obeyed."""
    plain_items: List = []
    replaces = False
    for item in patch:
        if DIRECTIVE not in item:
            plain_items.append(item)
            continue
        match item[DIRECTIVE]:
            case "delete":
                gone = _token(item, key)
                live = [v for v in live if key not in v or _token(v, key) != gone]
            case "replace":
                replaces = True
            case "merge":
                raise InternalError("merging lists cannot yet be specified in the patch", reason="")
            case other:
                raise InternalError(f"unknown patch type: {plain(other)} in map: {plain(item)}", reason="")
    return (plain_items, []) if replaces else (live, plain_items)


def _arranged(merged: List, order: List, live: List, key: str) -> List:
    """`merged` sorted: what `order` names by `order`, the rest by `live`, each of the rest before the first of the
    others that `live` has after it."""
    ordered, lived = _places(order, key), _places(live, key)
    tokens = [(_token(v, key), v) for v in merged]
    named = [(t, v) for t, v in tokens if t in ordered]
    rest = [(t, v) for t, v in tokens if t not in ordered]
    named.sort(key=lambda tv: ordered[tv[0]])
    rest = _by_place(rest, lived)
    out: List = []
    taken = 0
    for token, item in named:
        there = lived.get(token)
        while taken < len(rest) and there is not None:
            here = lived.get(rest[taken][0])
            if here is None or here >= there:
                break
            out.append(rest[taken][1])
            taken += 1
        out.append(item)
    return out + [v for _, v in rest[taken:]]


def _by_place(items: list[tuple[Token, Json]], places: dict[Token, int]) -> list[tuple[Token, Json]]:
    """`items` by their place. One without a place goes before all that came before it, as on an API server."""
    if all(token in places for token, _ in items):
        return sorted(items, key=lambda tv: places[tv[0]])
    out: list[tuple[Token, Json]] = []
    for item in items:
        at, place = len(out), places.get(item[0])
        while at > 0:
            before = places.get(out[at - 1][0])
            if place is not None and before is not None and place >= before:
                break
            at -= 1
        out.insert(at, item)
    return out


def _places(items: List, key: str, *, strict: bool = True) -> dict[Token, int]:
    """Index of each element by its token, of the first where there are several."""
    out: dict[Token, int] = {}
    for i, item in enumerate(items):
        if strict or key in item:
            out.setdefault(_token(item, key), i)
    return out


def _token(item: Json, key: str) -> Token:
    """What tells elements apart: the merge key, or for scalars (key "") the value. 1, 1.0 and true differ."""
    value = item
    if key:
        if not isinstance(item, dict):
            raise InternalError(f"expected a {type_of({})}, but received a {type_of(item)}", reason="")
        if key not in item:
            raise InternalError(f"map: {plain(item)} does not contain declared merge key: {key}", reason="")
        value = item[key]
    return type_of(value), plain(value)


def _distinct(items: List) -> List:
    return list({_token(v, ""): v for v in reversed(items)}.values())[::-1]
