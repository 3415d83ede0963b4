"""Keeps metadata.managedFields right on every write that is not a server-side apply.

Runs for each status of each pod, so it follows only what differs and touches only the entries that change.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.schemas.schema import Node

from .compare import BadElement, compare
from .fieldset import union
from .managed import (
    BadEntry,
    Managed,
    capped,
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


def track(
    live: JsonObject | None,
    new: JsonObject,
    manager: str,
    operation: str,
    schema: Node,
    api_version: str,
    subresource: str,
    now: datetime,
) -> JsonObject:
    """`new` with the managedFields it gets when `manager` stores it in place of `live` (None: creates it).

    Its place in a request: after decoding, defaults and the patch; before mutating admission and before anything
    that the server fills in itself, which therefore nobody owns. `api_version` is that of the request. An object that has lost its managedFields, or never had any, is not
    tracked until somebody applies it.
    """
    managed = _start(live, new, subresource)
    if not managed and live is not None and live.get("metadata", {}).get("uid"):
        return _stored(new, [])
    try:
        update(managed, live, new, (manager, operation, api_version, subresource), schema, now)
    except BadElement:
        return _stored(new, [])
    return _stored(new, encode(capped(managed)))


def _start(live: JsonObject | None, new: JsonObject, subresource: str) -> Managed:
    """The entries to start from: those of the request if it has valid ones, else those of `live`."""
    asked = entries_of(new)
    if not subresource and asked is not None:
        if is_reset(asked):
            return {}
        if asked is not entries_of(live):
            try:
                managed = decode(asked)
            except BadEntry:
                managed = {}
            if managed:
                return managed
    try:
        return decode(entries_of(live))
    except BadEntry:
        return {}


def is_reset(entries: Json) -> bool:
    """Whether managedFields of a request ask to forget all owners: [] or [{}]."""
    return entries in ([], [{}])


def _stored(new: JsonObject, entries: list[JsonObject]) -> JsonObject:
    before = entries_of(new)
    if before is None and not entries:
        return new
    if before and len(before) == len(entries) and all(map(_is, before, entries)):
        return new
    return with_managed(new, entries)


def _is(a: Json, b: Json) -> bool:
    return a is b


def update(
    managed: Managed,
    live: JsonObject | None,
    new: JsonObject,
    by: tuple[str, str, str, str],
    schema: Node,
    now: datetime,
) -> None:
    """Changes `managed` for a write of `new` over `live`. `by`: manager, operation, apiVersion, subresource.

    Raises BadElement for a list whose elements cannot be told apart.
    """
    reset = reset_fields(schema, by[3])
    before = empty_of(new) if live is None else live
    changed, removed = compare(before, new, schema)
    changed, removed = unreset(changed, reset), unreset(removed, reset)
    take(managed, removed)
    own = stripped(changed)
    if own:
        mine = owner(*by)
        left = managed.get(mine)
        take(managed, changed, but=mine)
        owned = union(left.fields, own) if left is not None else own
        managed[mine] = renewed(left, owned, by[2], None if by[3] == "scale" else stamp(now))


def empty_of(obj: JsonObject) -> JsonObject:
    """What an object is before it is created."""
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}


def stamp(now: datetime) -> str:
    """RFC 3339 in seconds."""
    return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
