"""Small questions asked of raw objects: who controls it, is it going away, when was it made.

Only reading and building of plain JSON; nothing here decides.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from kruise_rollouts.kube.effects import Json, JsonObject, Ref
from kruise_rollouts.kube.objects import Kind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INT32 = 2**31 - 1  # "no limit" in several fields of apps/v1


def meta(obj: JsonObject) -> JsonObject:
    found: Json = obj.get("metadata")
    return found if found is not None else {}


def spec(obj: JsonObject) -> JsonObject:
    found: Json = obj.get("spec")
    return found if found is not None else {}


def status(obj: JsonObject) -> JsonObject:
    found: Json = obj.get("status")
    return found if found is not None else {}


def name(obj: JsonObject) -> str:
    return str(obj["metadata"]["name"])


def ns(obj: JsonObject) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid(obj: JsonObject) -> str:
    return str(obj["metadata"].get("uid", ""))


def version(obj: JsonObject) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def labels_of(obj: JsonObject) -> dict[str, str]:
    return meta(obj).get("labels") or {}


def annotations_of(obj: JsonObject) -> dict[str, str]:
    return meta(obj).get("annotations") or {}


def is_deleting(obj: JsonObject) -> bool:
    return bool(meta(obj).get("deletionTimestamp"))


def ref_of(kind: Kind, obj: JsonObject) -> Ref:
    return kind.ref(ns(obj), name(obj))


def owners(obj: JsonObject) -> list[JsonObject]:
    return meta(obj).get("ownerReferences") or []


def controller_of(obj: JsonObject) -> JsonObject | None:
    """The owner reference with controller: true; None for an orphan."""
    for owner in owners(obj):
        if owner.get("controller"):
            return owner
    return None


def controller_uid(obj: JsonObject) -> str:
    """uid of the controlling owner; "" for an orphan."""
    owner = controller_of(obj)
    return str(owner["uid"]) if owner else ""


def owner_ref(kind: Kind, obj: JsonObject) -> JsonObject:
    """The reference that makes `obj` the controller of something."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name(obj),
        "uid": uid(obj),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def stamp(now: datetime) -> str:
    """RFC 3339 with whole seconds, as metav1.Time is written."""
    return now.astimezone(UTC).isoformat()[:19] + "Z"


def time_at(text: str | None) -> datetime | None:
    """The time a metav1.Time or MicroTime names; None if it is absent or unreadable."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def created(obj: JsonObject) -> datetime:
    return time_at(meta(obj).get("creationTimestamp")) or EPOCH


def int_of(obj: JsonObject, key: str, default: int = 0) -> int:
    """An integer field; `default` if it is absent or null."""
    found: Json = obj.get(key)
    return default if found is None else int(found)


def scaled(value: int | str | None, total: int, *, up: bool) -> int:
    """An int-or-percent field against `total`; absent and unreadable count as 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        return int(value) if value.isdigit() else 0
    share = int(value[:-1]) * total / 100
    return math.ceil(share) if up else math.floor(share)


def changed_fields(old: JsonObject, new: JsonObject) -> JsonObject:
    """The merge patch (one level deep) that turns `old` into `new`."""
    patch: JsonObject = {k: v for k, v in new.items() if k not in old or old[k] != v}
    patch.update({k: None for k in old if k not in new})
    return patch


def without_zeros(fields: JsonObject, keep: tuple[str, ...] = ()) -> JsonObject:
    """`fields` without zero, empty and absent values, as the API omits them; `keep` names those it shows."""
    return {k: v for k, v in fields.items() if k in keep or v not in (None, 0, "", [], {})}
