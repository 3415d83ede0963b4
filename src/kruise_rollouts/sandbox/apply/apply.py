"""Server-side apply: merges a configuration into the live object and settles who owns which field.

Fields that the manager applied before and does not any more go, unless somebody else owns them. A field that
somebody else set to another value is a conflict; `force` takes it over.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Cause, Conflict, Details, InternalError
from kruise_rollouts.sandbox.schemas.schema import Node
from kruise_rollouts.sandbox.wording import json_text, quoted

from .compare import BadElement, compare, field_set
from .fieldset import EMPTY, FieldSet, difference, intersection, paths, union
from .managed import (
    BadEntry,
    Entry,
    Managed,
    Owner,
    decode,
    encode,
    entries_of,
    owner,
    renewed,
    reset_fields,
    stripped,
    take,
    unreset,
    with_managed,
)
from .merging import merge, problems, with_named_members, without
from .tracking import empty_of, stamp, track, update

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_BEFORE_FIRST_APPLY = "before-first-apply"
_KUBECTL = "kubectl"  # this manager takes over from client-side apply
_MAX_ANNOTATIONS = 256 * 1024  # bytes

__all__ = ["server_side_apply", "track"]


class _Conflicts(Exception):
    def __init__(self, by_owner: dict[Owner, FieldSet]) -> None:
        super().__init__()
        self.by_owner = by_owner


class _Request(Struct, frozen=True):
    applied: JsonObject
    by: Owner
    api_version: str
    schema: Node
    now: datetime


def server_side_apply(
    live: JsonObject | None,
    applied: JsonObject,
    manager: str,
    force: bool,
    schema: Node,
    api_version: str,
    subresource: str,
    now: datetime,
) -> JsonObject:
    """The object to store when `manager` applies `applied` to `live` (None: there is none yet).

    Defaults are not filled in. Raises BadRequest, Conflict with a cause for each field, and InternalError for a
    configuration that does not follow the schema.
    """
    _check(applied, api_version, schema)
    managed = _managed(live)
    base = empty_of(applied) if live is None else live
    if not managed and live is not None:
        before = (_BEFORE_FIRST_APPLY, "Update", api_version, subresource)
        update(managed, None, live, before, schema, now)
    by = owner(manager, "Apply", api_version, subresource)
    request = _Request(applied, by, api_version, schema, now)
    try:
        new, managed = _apply(base, dict(managed), request, force)
    except _Conflicts as found:
        if manager != _KUBECTL:
            raise _refusal(found.by_owner) from None
        left = _not_from_client_side(found.by_owner, base, request)
        if left:
            raise _refusal(left) from None
        new, managed = _apply(base, dict(managed), request, True)
    if manager == _KUBECTL:
        new = _with_last_applied(new, applied)
    return with_managed(new, encode(managed))


def _check(applied: JsonObject, api_version: str, schema: Node) -> None:
    if applied.get("apiVersion") != api_version:
        raise BadRequest(f"invalid object type: {kind_text(applied)}")
    if entries_of(applied) is not None:
        raise BadRequest("metadata.managedFields must be nil")
    wrong = problems(applied, schema)
    if wrong:
        text = wrong[0] if len(wrong) == 1 else "\n".join(("errors:", *(f"  {w}" for w in wrong)))
        raise InternalError(f"failed to create typed patch object ({_named(applied)}): {text}", reason="")


def kind_text(obj: JsonObject) -> str:
    """apiVersion and kind as messages name them: "apps/v1, Kind=Deployment"."""
    version = obj.get("apiVersion") or ""
    return f"{version if '/' in version else '/' + version}, Kind={obj.get('kind') or ''}"


def _named(obj: JsonObject) -> str:
    meta = obj.get("metadata") or {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}; {kind_text(obj)}"


def _managed(live: JsonObject | None) -> Managed:
    try:
        return decode(entries_of(live))
    except BadEntry as error:
        raise InternalError(f"failed to decode managed fields: {error}", reason="") from error


def _apply(base: JsonObject, managed: Managed, request: _Request, force: bool) -> tuple[JsonObject, Managed]:
    schema, by = request.schema, request.by
    reset = reset_fields(schema, by.subresource)
    merged = merge(base, request.applied, schema)
    last = managed.get(by)
    owned = unreset(field_set(request.applied, schema), reset)
    managed[by] = Entry(owned, request.api_version, last.time if last else None)
    new = merged if last is None else _pruned(merged, managed, last.fields, schema)
    changed, removed = compare(base, new, schema)
    changed, removed = unreset(changed, reset), unreset(removed, reset)
    conflicts = {
        key: both
        for key, entry in managed.items()
        if key != by and (both := intersection(entry.fields, changed))
    }
    if conflicts and not force:
        raise _Conflicts(conflicts)
    take(managed, union(changed, removed), but=by)
    touched = _differs(base, new)
    owned = stripped(owned)
    if last is not None and last.fields == owned:
        owned = last.fields
    time = stamp(request.now) if touched else managed[by].time
    if by.subresource == "scale":  # what was written through a scale is owned without a time
        time = None
    managed[by] = renewed(last, owned, request.api_version, time)
    if not owned:
        del managed[by]
    return (new if touched else base), managed


def _differs(base: JsonObject, new: JsonObject) -> bool:
    return base is not new and base != new


def _pruned(merged: JsonObject, managed: Managed, last: FieldSet, schema: Node) -> JsonObject:
    """`merged` without what the manager applied last time and nobody, itself included, owns now."""
    last = with_named_members(last, schema)
    pruned = without(merged, last, schema)
    everything = with_named_members(field_set(merged, schema), schema)
    owned = EMPTY
    for entry in managed.values():
        owned = union(owned, entry.fields)
    kept = union(with_named_members(field_set(pruned, schema), schema), with_named_members(owned, schema))
    pruned = without(merged, difference(everything, kept), schema)
    left = with_named_members(field_set(pruned, schema), schema)
    return without(merged, intersection(difference(everything, left), last), schema)


def _not_from_client_side(
    conflicts: dict[Owner, FieldSet], live: JsonObject, request: _Request
) -> dict[Owner, FieldSet]:
    """The conflicts about fields that `kubectl apply` did not set on the client's side; all if it never ran."""
    try:
        last = msgspec.json.decode((live["metadata"].get("annotations") or {})[LAST_APPLIED])
        if last.get("apiVersion") != request.api_version:
            return conflicts
        allowed = field_set(last, request.schema)
        for gone in compare(last, live, request.schema):
            allowed = difference(allowed, gone)
    except (KeyError, AttributeError, msgspec.DecodeError, BadElement):
        return conflicts
    left = {key: difference(fields, allowed) for key, fields in conflicts.items()}
    return {key: fields for key, fields in left.items() if fields}


def _with_last_applied(obj: JsonObject, applied: JsonObject) -> JsonObject:
    """Keeps the annotation of client-side apply up to date, if the object has it."""
    annotations = obj.get("metadata", {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return obj
    meta = {**applied.get("metadata", {})}
    if "annotations" in meta:
        meta["annotations"] = {k: v for k, v in (meta["annotations"] or {}).items() if k != LAST_APPLIED}
    text = json_text({**applied, "metadata": meta}) + "\n"
    new = {**annotations, LAST_APPLIED: text}
    if sum(len(k) + len(v) for k, v in new.items()) > _MAX_ANNOTATIONS:
        del new[LAST_APPLIED]
    return {**obj, "metadata": {**obj["metadata"], "annotations": new}}


def _refusal(conflicts: dict[Owner, FieldSet]) -> ApiError:
    found = [(_owner_text(key), path) for key in sorted(conflicts) for path in paths(conflicts[key])]
    causes = tuple(Cause("FieldManagerConflict", f"conflict with {who}", path) for who, path in found)
    if len(found) == 1:
        text = f"1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines: list[str] = []
        for who in dict.fromkeys(who for who, _ in found):
            lines += [f"conflicts with {who}:", *(f"- {path}" for w, path in found if w == who)]
        text = f"{len(found)} conflicts: " + "\n".join(lines)
    return Conflict(f"Apply failed with {text}", details=Details(causes=causes))


def _owner_text(key: Owner) -> str:
    text = quoted(key.manager)
    if key.subresource:
        text = f"{text} with subresource {quoted(key.subresource)}"
    return f"{text} using {key.api_version}" if key.operation == "Update" else text
