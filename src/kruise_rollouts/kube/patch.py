"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386): apply them as an API server does, and compute them.

Nothing here changes its inputs; results share every part that did not change with them. Schema-aware patches
(strategic merge, server-side apply) belong to sandbox/.

Where the API server departs from the RFCs, so does this: `replace` of an absent member sets it, an index may be
negative, a missing `value` is null, so is an absent member that is copied, and a merge patch drops nulls inside the
lists it brings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from .effects import Basis, Json, JsonObject
from .errors import BadRequest, Details, Invalid, TooLarge

MAX_OPERATIONS = 10_000

_Container: TypeAlias = dict[str, Json] | list[Json]
_INDEX = re.compile(r"[+-]?[0-9]+")
_ABSENT = object()


class _DoesNotApply(Exception):
    """Why an operation failed; the API server keeps that to itself, so this is only ever a __cause__."""


def same(a: Json, b: Json) -> bool:
    """Whether `a` and `b` are the same JSON. Unlike ==, tells 1, 1.0 and true apart."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is dict:
        return len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
    if kind is list:
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def merge_patch(doc: Json, patch: Json) -> Json:
    """`doc` after the merge patch: null removes a member, an object merges, anything else replaces."""
    if not isinstance(patch, dict):
        return patch if isinstance(doc, dict) else without_nulls(patch)
    if not isinstance(doc, dict):
        return without_nulls(patch)
    out = None
    for key, value in patch.items():
        old = doc.get(key, _ABSENT)
        if value is None:
            if old is _ABSENT:
                continue
            out = dict(doc) if out is None else out
            out.pop(key, None)
            continue
        new = without_nulls(value) if old is _ABSENT or old is None else merge_patch(old, value)
        if new is not old:
            out = dict(doc) if out is None else out
            out[key] = new
    return doc if out is None else out


def without_nulls(value: Json) -> Json:
    """`value` without null members of objects, at any depth; nulls in lists stay."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def merge_diff(old: JsonObject, new: JsonObject) -> JsonObject:
    """The smallest merge patch that makes `new` of `old`; {} if they are the same.

    A merge patch cannot set a null: members of `new` that are null come out absent.
    """
    patch: JsonObject = {key: None for key in old if new.get(key) is None and old[key] is not None}
    for key, value in new.items():
        before = old.get(key)
        if value is None or same(before, value):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_diff(before, value)
            if inner:
                patch[key] = inner
        else:
            patch[key] = value
    return patch


def on_basis(body: JsonObject, basis: Basis) -> list[JsonObject]:
    """The merge patch `body` as a JSON patch that applies only to an object that still is as in `basis`.

    A merge patch can be bound to a resourceVersion only, which every write of the status changes. What `body` says of
    a field of the spec, or of one label or annotation, replaces what is there; the maps they are in must exist.
    """
    ops: list[JsonObject] = [
        {"op": "test", "path": "/metadata/uid", "value": basis.uid},
        {"op": "test", "path": "/metadata/generation", "value": basis.generation},
    ]
    for top, fields in body.items():
        for name, value in fields.items():
            path = f"/{top}/{_escape(name)}"
            if top == "metadata" and isinstance(value, dict):
                for key, text in value.items():
                    ops += _put(f"{path}/{_escape(key)}", text)
            else:
                ops += _put(path, value)
    return ops


def _put(path: str, value: Json) -> list[JsonObject]:
    """Operations that set a member; None takes it away whether or not it is there."""
    put: JsonObject = {"op": "add", "path": path, "value": value}
    return [put] if value is not None else [{**put, "value": ""}, {"op": "remove", "path": path}]


def json_diff(old: Json, new: Json) -> list[JsonObject]:
    """JSON patch operations that make `new` of `old`; [] if they are the same.

    Lists are compared by position between their common start and common end.
    """
    ops: list[JsonObject] = []
    _diff(old, new, "", ops)
    return ops


def _diff(old: Json, new: Json, path: str, ops: list[JsonObject]) -> None:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        ops += [{"op": "remove", "path": f"{path}/{_escape(k)}"} for k in old if k not in new]
        for key, value in new.items():
            where = f"{path}/{_escape(key)}"
            if key in old:
                _diff(old[key], value, where, ops)
            else:
                ops.append({"op": "add", "path": where, "value": value})
    elif isinstance(old, list) and isinstance(new, list):
        _diff_lists(old, new, path, ops)
    else:
        ops.append({"op": "replace", "path": path, "value": new})


def _diff_lists(old: list[Json], new: list[Json], path: str, ops: list[JsonObject]) -> None:
    start, shorter = 0, min(len(old), len(new))
    while start < shorter and same(old[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and same(old[-1 - end], new[-1 - end]):
        end += 1
    old_end, new_end = len(old) - end, len(new) - end
    both = min(old_end, new_end)
    for i in range(start, both):
        _diff(old[i], new[i], f"{path}/{i}", ops)
    ops += [{"op": "remove", "path": f"{path}/{i}"} for i in range(old_end - 1, both - 1, -1)]
    ops += [{"op": "add", "path": f"{path}/{i}", "value": new[i]} for i in range(both, new_end)]


def json_patch(doc: Json, ops: Json) -> Json:
    """`doc` after all of `ops`. Raises BadRequest for what is not a patch, Invalid for one that does not apply."""
    for op in _checked(ops):
        try:
            doc = _apply(doc, op)
        except _DoesNotApply as why:
            message = "the server rejected our request due to an error in our request"
            raise Invalid(message, details=Details()) from why
    return doc


def _checked(ops: Json) -> list[JsonObject]:
    where = "error decoding patch: json: cannot unmarshal"
    if ops is None:
        return []
    if not isinstance(ops, list):
        raise BadRequest(f"{where} {json_type(ops)} into Go value of type []handlers.jsonPatchOp")
    if len(ops) > MAX_OPERATIONS:
        why = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        raise TooLarge(f"Request entity too large: {why}")
    for op in ops:
        if not isinstance(op, dict):
            raise BadRequest(f"{where} {json_type(op)} into Go value of type handlers.jsonPatchOp")
        for field in ("op", "path", "from"):
            value = op.get(field)
            if value is not None and not isinstance(value, str):
                raise BadRequest(
                    f"{where} {json_type(value)} into Go struct field jsonPatchOp.{field} of type string"
                )
    return ops


def json_type(value: Json) -> str:
    """What JSON calls the type of `value`: object, array, string, bool, number or null."""
    match value:
        case dict():
            return "object"
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "bool"
        case None:
            return "null"
        case _:
            return "number"


def _apply(doc: Json, op: JsonObject) -> Json:
    path = op.get("path")
    if path is None:
        raise _DoesNotApply("operation without path")
    value = op.get("value")
    match op.get("op"):
        case "add":
            return _at(doc, path, lambda at, key: _add(at, key, value))
        case "remove":
            return _at(doc, path, _remove)
        case "replace":
            if path == "":
                if not isinstance(value, dict | list):
                    raise _DoesNotApply("the whole document can only become an object or a list")
                return value
            return _at(doc, path, lambda at, key: _replace(at, key, value))
        case "move":
            source = op.get("from")
            moved = _find(doc, source)
            return _at(_at(doc, source or "", _remove), path, lambda at, key: _add(at, key, moved))
        case "copy":
            copied = _find(doc, op.get("from"), absent_is_null=True)
            return _at(doc, path, lambda at, key: _add(at, key, copied))
        case "test":
            if not same(doc if path == "" else _find(doc, path, absent_is_null=True), value):
                raise _DoesNotApply(f"testing value {path} failed")
            return doc
        case other:
            raise _DoesNotApply(f"unexpected kind: {other}")


def _tokens(path: str) -> list[str]:
    if not path.startswith("/"):
        raise _DoesNotApply(f"missing path: {path}")
    return [t.replace("~1", "/").replace("~0", "~") for t in path[1:].split("/")]


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _at(doc: Json, path: str, change: Callable[[_Container, str], _Container]) -> Json:
    """`doc` with the container that `path` ends in replaced by `change(container, last token)`."""
    tokens = _tokens(path)
    chain: list[_Container] = []
    at = doc
    for token in tokens[:-1]:
        chain.append(at)
        at = _get(at, token, path)
    if not isinstance(at, dict | list):
        raise _DoesNotApply(f"missing path: {path}")
    new = change(at, tokens[-1])
    for parent, token in zip(reversed(chain), reversed(tokens[:-1]), strict=True):
        new = _replace(parent, token, new)
    return new


def _find(doc: Json, path: str | None, *, absent_is_null: bool = False) -> Json:
    if path is None:
        raise _DoesNotApply("operation without from")
    at = doc
    tokens = _tokens(path)
    for token in tokens[:-1]:
        at = _get(at, token, path)
    if absent_is_null and isinstance(at, dict):
        return at.get(tokens[-1])
    return _get(at, tokens[-1], path)


def _get(at: Json, token: str, path: str) -> Json:
    if isinstance(at, dict) and token in at:
        return at[token]
    if isinstance(at, list):
        return at[_position(token, len(at))]
    raise _DoesNotApply(f"missing path: {path}")


def _position(token: str, length: int) -> int:
    """`token` as an index below `length`; negative ones count from the end."""
    if not _INDEX.fullmatch(token):
        raise _DoesNotApply(f"value was not a proper array index: '{token}'")
    index = int(token)
    if not -length <= index < length:
        raise _DoesNotApply(f"Unable to access invalid index: {index}")
    return index + length if index < 0 else index


def _add(at: _Container, key: str, value: Json) -> _Container:
    if isinstance(at, dict):
        return {**at, key: value}
    index = len(at) if key == "-" else _position(key, len(at) + 1)
    return [*at[:index], value, *at[index:]]


def _remove(at: _Container, key: str) -> _Container:
    if isinstance(at, dict):
        if key not in at:
            raise _DoesNotApply(f"Unable to remove nonexistent key: {key}")
        return {k: v for k, v in at.items() if k != key}
    index = _position(key, len(at))
    return [*at[:index], *at[index + 1 :]]


def _replace(at: _Container, key: str, value: Json) -> _Container:
    if isinstance(at, dict):
        return {**at, key: value}
    index = _position(key, len(at))
    return [*at[:index], value, *at[index + 1 :]]
