"""metadata.managedFields decoded: who owns which fields, by which operation, in which version, since when.

Reading it, writing it back in the order of an API server, and keeping the number of entries bounded. How ownership
changes is in tracking.py (every write) and apply.py (server-side apply).
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.schemas.schema import Node

from .fieldset import EMPTY, FieldSet, difference, difference_below, ordered, path_set, union

MAX_UPDATERS = 10
_ANCIENT = "ancient-changes"

# Never owned by anybody.
_STRIPPED: FieldSet = {
    "f:apiVersion": EMPTY,
    "f:kind": EMPTY,
    "f:metadata": {
        ".": EMPTY,
        **{
            f"f:{name}": EMPTY
            for name in (
                "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                "managedFields", "resourceVersion",
            )
        },
    },
}  # fmt: skip


class Owner(Struct, frozen=True, order=True):
    """What makes an entry of its own. `api_version` is "" for Apply: a manager applies once, whatever the version."""

    manager: str
    operation: str  # "Apply" or "Update"
    api_version: str
    subresource: str


class Entry(Struct, frozen=True):
    """The fields of one owner."""

    fields: FieldSet
    api_version: str
    time: str | None = None  # None: never set
    raw: JsonObject | None = None  # as it was read; None if it changed since


Managed: TypeAlias = dict[Owner, Entry]


class BadEntry(ValueError):
    """managedFields that nobody can have written through an API server."""


def owner(manager: str, operation: str, api_version: str, subresource: str) -> Owner:
    """The owner that a request by `manager` makes."""
    return Owner(manager or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


def decode(entries: list[JsonObject] | None) -> Managed:
    """Raises BadEntry."""
    out: Managed = {}
    for position, raw in enumerate(entries or ()):
        operation = raw.get("operation")
        if operation not in ("Apply", "Update"):
            raise BadEntry("operation must be `Apply` or `Update`")
        version = raw.get("apiVersion")
        if not version:
            raise BadEntry("apiVersion must not be empty")
        kind = raw.get("fieldsType", "")
        if kind != "FieldsV1":
            what = f'invalid fieldsType "{kind}"' if kind else "missing fieldsType"
            raise BadEntry(f"{what} in managed fields entry {position}")
        key = Owner(
            raw.get("manager", ""),
            operation,
            "" if operation == "Apply" else version,
            raw.get("subresource", ""),
        )
        out[key] = Entry(raw.get("fieldsV1") or EMPTY, version, raw.get("time"), raw)
    return out


def encode(managed: Managed) -> list[JsonObject]:
    """Entries as they are stored, Apply before Update, older before newer."""
    keys = sorted(
        managed,
        key=lambda o: (o.operation, managed[o].time or "", o.manager, managed[o].api_version, o.subresource),
    )
    return [managed[key].raw or _raw(key, managed[key]) for key in keys]


def _raw(key: Owner, entry: Entry) -> JsonObject:
    out: JsonObject = {"manager": key.manager, "operation": key.operation, "apiVersion": entry.api_version}
    if entry.time is not None:
        out["time"] = entry.time
    out["fieldsType"] = "FieldsV1"
    out["fieldsV1"] = ordered(entry.fields)
    if key.subresource:
        out["subresource"] = key.subresource
    return out


def with_managed(obj: JsonObject, entries: list[JsonObject]) -> JsonObject:
    """`obj` with these managedFields; without any if there are none."""
    meta: JsonObject = {**obj.get("metadata", {}), "managedFields": entries}
    if not entries:
        del meta["managedFields"]
    return {**obj, "metadata": meta}


def entries_of(obj: JsonObject | None) -> Json:
    """managedFields as they are in `obj`; None if there are none."""
    return None if obj is None else (obj.get("metadata") or {}).get("managedFields")


def stripped(fields: FieldSet) -> FieldSet:
    """`fields` without those that nobody owns."""
    return difference(fields, _STRIPPED)


def renewed(entry: Entry | None, fields: FieldSet, api_version: str, time: str | None) -> Entry:
    """The entry that follows `entry` when its owner has `fields`; the same one if nothing changes."""
    if entry is None or entry.fields is not fields or entry.api_version != api_version:
        return Entry(fields, api_version, time)
    if entry.time == time:
        return entry
    return Entry(fields, api_version, time, None if entry.raw is None else {**entry.raw, "time": time})


def take(managed: Managed, fields: FieldSet, but: Owner | None = None) -> None:
    """Takes `fields` from every owner except `but`."""
    if not fields:
        return
    for key, entry in tuple(managed.items()):
        if key == but:
            continue
        left = difference(entry.fields, fields)
        if not left:
            del managed[key]
        elif left is not entry.fields:
            managed[key] = Entry(left, entry.api_version, entry.time)


def capped(managed: Managed) -> Managed:
    """`managed` with the oldest Update entries merged, per version, while there are too many."""
    updaters = [key for key in managed if key.operation == "Update"]
    excess = len(updaters) - MAX_UPDATERS
    if excess <= 0:
        return managed
    out = dict(managed)
    updaters.sort(key=lambda o: (managed[o].time or "", o))
    first: dict[str, Owner] = {}
    for key in updaters:
        if excess <= 0:
            break
        entry = managed[key]
        bucket = Owner(_ANCIENT, "Update", entry.api_version, "")
        seen = first.setdefault(entry.api_version, key)
        if seen is key:
            continue
        if bucket not in out:
            out[bucket] = out.pop(seen)
        out[bucket] = Entry(union(entry.fields, out[bucket].fields), entry.api_version, entry.time)
        if key != bucket:
            del out[key]
        excess -= 1
    return out


_PER_KIND: dict[tuple[str, str], tuple[str, ...]] = {
    ("Deployment", "status"): ("spec", "metadata.labels"),
    ("Pod", "status"): ("spec", "metadata.deletionTimestamp", "metadata.ownerReferences"),
    ("CertificateSigningRequest", ""): ("spec", "status"),
    ("CertificateSigningRequest", "status"): ("spec", "status.conditions"),
    ("CertificateSigningRequest", "approval"): ("spec", "status.certificate"),
    ("Namespace", "finalize"): ("status",),
    **{
        (kind, "status"): ("spec", "metadata")
        for kind in (
            "APIService", "DeviceTaintRule", "FlowSchema", "PodGroup", "PriorityLevelConfiguration", "ResourceClaim",
            "ServiceCIDR", "StorageVersion", "StorageVersionMigration", "ValidatingAdmissionPolicy",
            "VolumeAttachment",
        )
    },
}  # fmt: skip


def reset_fields(schema: Node, subresource: str) -> FieldSet:
    """Fields that a write through `subresource` cannot change, so that it cannot own them either."""
    kind = schema.definition.rpartition(".")[2]
    names = _PER_KIND.get((kind, subresource))
    if names is None:
        if subresource == "status":
            names = ("spec",) if schema.native else ("spec", "metadata")
        else:
            names = ("status",) if subresource == "" and schema.status_subresource else ()
    out = EMPTY
    for name in names:
        out = union(out, path_set(*name.split(".")))
    return out


def unreset(fields: FieldSet, reset: FieldSet) -> FieldSet:
    """`fields` without those in `reset` and all below them."""
    return difference_below(fields, reset) if reset else fields
