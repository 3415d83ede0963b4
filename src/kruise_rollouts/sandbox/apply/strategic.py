"""Strategic merge patch: a merge patch that knows which lists are merged, by which key, and a few directives.

The result and the refusals are those of an API server. Nothing given is changed; the result shares what did not
change. Lists of objects are merged in strategic_lists.py.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, InternalError
from kruise_rollouts.sandbox.schemas.schema import Node
from kruise_rollouts.sandbox.wording import plain, quoted, type_of

from . import strategic_lists as lists
from .strategic_lists import DIRECTIVE

_DELETE_FROM = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"
_RETAIN = "$retainKeys"


def strategic_merge(live: JsonObject, patch: JsonObject, schema: Node) -> JsonObject:
    """`live` after `patch`.

    Raises BadRequest for a malformed directive, InternalError where an API server fails with 500 (an unknown
    directive, an element without its merge key).
    """
    return merge_objects(live, patch, schema)


def merge_objects(live: JsonObject, patch: JsonObject, node: Node) -> JsonObject:
    if DIRECTIVE in patch:
        return _directed(patch)
    out = dict(live)
    rest = _retain(out, patch)
    rest = _ordered(out, rest, node)
    for key, value in rest.items():
        if key.startswith(_DELETE_FROM):
            _delete_from(out, _target(key, _DELETE_FROM), value, node)
        elif value is None:
            out.pop(key, None)
        else:
            _merge_member(out, key, value, node)
    return out


def _directed(patch: JsonObject) -> JsonObject:
    match patch[DIRECTIVE]:
        case "replace":
            return {k: v for k, v in patch.items() if k != DIRECTIVE}
        case "delete":
            return {}
        case other:
            raise InternalError(f"unknown patch type: {plain(other)} in map: {plain(patch)}", reason="")


def _merge_member(out: JsonObject, key: str, value: Json, node: Node) -> None:
    old = out.get(key)
    if isinstance(old, dict) and isinstance(value, dict):
        child = _lookup(node, key)
        replaces = _strategy(child) == "replace"
        out[key] = value if replaces else merge_objects(old, value, child)
    elif isinstance(old, list) and isinstance(value, list):
        child = _lookup(node, key)
        merges = _strategy(child) == "merge"
        out[key] = lists.merge(old, value, child, merge_objects) if merges else value
    else:
        _take(out, key, value)


def _take(out: JsonObject, key: str, value: Json) -> None:
    kept, found = _without_directives(value)
    if found:
        out[key] = kept
    else:
        out.pop(key, None)


def _without_directives(value: Json) -> tuple[Json, bool]:
    """`value` for a place where there is nothing to merge with: no nulls in objects, nothing that has a directive.

    False: `value` itself is only a directive.
    """
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None, False
        members = ((k, _without_directives(v)) for k, v in value.items() if v is not None)
        return {k: v for k, (v, kept) in members if kept}, True
    if isinstance(value, list):
        return [v for v, kept in map(_without_directives, value) if kept], True
    return value, True


def _delete_from(out: JsonObject, key: str, gone: Json, node: Node) -> None:
    if gone is None:
        out.pop(key, None)
        return
    old = out.get(key)
    if isinstance(old, list) and isinstance(gone, list):
        _lookup(node, key)
        out[key] = lists.without(old, gone)


def _retain(out: JsonObject, patch: JsonObject) -> JsonObject:
    """Drops from `out` what $retainKeys does not name. Returns the patch without that directive."""
    if _RETAIN not in patch:
        return patch
    retained = patch[_RETAIN]
    rest = {k: v for k, v in patch.items() if k != _RETAIN}
    if not isinstance(retained, list):
        raise BadRequest("invalid patch format of retainKeys")
    for key, value in rest.items():
        if value is not None and not key.startswith((_DELETE_FROM, _ORDER)) and key not in retained:
            raise BadRequest("invalid patch format of retainKeys")
    for key in [k for k in out if k not in retained]:
        del out[key]
    return rest


def _ordered(out: JsonObject, patch: JsonObject, node: Node) -> JsonObject:
    """Merges the lists that have an order of elements. Returns the rest of the patch."""
    orders = {k: v for k, v in patch.items() if k.startswith(_ORDER)}
    if not orders:
        return patch
    rest = {k: v for k, v in patch.items() if k not in orders}
    for directive, order in orders.items():
        if not isinstance(order, list):
            raise InternalError(_expected([], order), reason="")
        key = _target(directive, _ORDER)
        old, new = out.get(key), rest.get(key)
        if key in out and not isinstance(old, list):
            raise InternalError(_expected([], old), reason="")
        if key in rest and not isinstance(new, list):
            raise InternalError(_expected([], new), reason="")
        child = _lookup(node, key)
        lists.check_order(new or [], order, child.merge_key)
        if key in rest and key not in out:
            merged, _ = _without_directives(new)
        elif key in rest:
            merges = _strategy(child) == "merge"
            merged = lists.merge(old or [], new or [], child, merge_objects) if merges else new
        elif key in out:
            merged = old
        else:
            continue
        out[key] = lists.sorted_by(merged, order, old or [], new or [], child.merge_key)
        rest.pop(key, None)
    return rest


def _target(directive: str, prefix: str) -> str:
    """The list that `directive` is about: "$setElementOrder/ports" is about "ports"."""
    name, slash, key = directive.partition("/")
    if not slash or name != prefix:
        what = "primitive list" if prefix == _DELETE_FROM else "setElementOrder list"
        raise BadRequest(f"invalid patch format of {what}")
    return key


def _lookup(node: Node, key: str) -> Node:
    if not node.properties:
        kind = "map" if node.may_be_map else "slice"
        raise InternalError(
            f"merging an object in json but data type is not struct, instead is: {kind}", reason=""
        )
    child = node.child(key) if node.declares(key) else None
    if child is None:
        name = node.definition.rpartition(".")[2]
        raise InternalError(
            f"unable to find api field in struct {name} for the json field {quoted(key)}", reason=""
        )
    return child


def _strategy(node: Node) -> str:
    return next((s for s in node.strategies if s != "retainKeys"), "")


def _expected(expected: Json, actual: Json) -> str:
    return f"expected a {type_of(expected)}, but received a {type_of(actual)}"
