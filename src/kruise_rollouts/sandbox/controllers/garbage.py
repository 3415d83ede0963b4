"""Garbage collector: removes what nobody owns any more, and carries out foreground and orphaning deletes.

The key is ("", uid). An owner counts only if it lives where the reference says (same namespace, or cluster-scoped)
and has the same uid; an owner of a kind that is not served is neither there nor gone, so nothing is done about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Decision, Delete, JsonObject, Patch, Ref, Write
from kruise_rollouts.runtime.controller import Key

from . import facts
from .world import Place, World, named

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
Found: TypeAlias = Literal["solid", "waiting", "gone", "unknown"]


class Owner(Struct, frozen=True):
    uid: str
    found: Found  # waiting: it is being deleted in the foreground


class GarbageSeen(Struct, frozen=True):
    obj: JsonObject
    ref: Ref
    owners: tuple[Owner, ...]
    dependents: tuple[JsonObject, ...]  # everything that names this object as an owner


class GarbageCollector:
    name = "generic-garbage-collector"

    async def observe(self, key: Key, world: World, now: datetime, pending: None) -> GarbageSeen | None:
        place = world.place(key[1])
        obj = world.at(*place) if place is not None else None
        if place is None or obj is None:
            return None
        return GarbageSeen(
            obj=obj,
            ref=_ref(place, obj),
            owners=tuple(Owner(o.get("uid", ""), _look(world, place, o)) for o in facts.owners(obj)),
            dependents=tuple(_dependents(world, key[1])),
        )

    def decide(self, seen: GarbageSeen) -> Decision[None]:
        return Decision(None, decide_garbage(seen))

    def persist(self, seen: GarbageSeen, status: None) -> Write | None:
        return None


def _ref(place: Place, obj: JsonObject) -> Ref:
    return Ref(obj["apiVersion"], place[0][1], place[1], place[2])


def _dependents(world: World, uid: str) -> Iterator[JsonObject]:
    for place in world.owned(uid):
        found = world.at(*place)
        if found is not None:
            yield found


def _look(world: World, place: Place, owner: JsonObject) -> Found:
    kind = named(owner.get("apiVersion", ""), owner.get("kind", ""))
    if kind not in world.served:
        return "unknown"
    for ns in dict.fromkeys((place[1], "")):
        found = world.at(kind, ns, owner.get("name", ""))
        if found is not None and facts.uid(found) == owner.get("uid"):
            return "waiting" if _is_waiting(found) else "solid"
    return "gone"


def _finalizers(obj: JsonObject) -> list[str]:
    return facts.meta(obj).get("finalizers") or []


def decide_garbage(seen: GarbageSeen) -> tuple[Write, ...]:
    """What has to be written about this object, as owner and as dependent."""
    finalizers, deleting = _finalizers(seen.obj), facts.is_deleting(seen.obj)
    if deleting and ORPHAN in finalizers:
        return _orphan(seen)
    if deleting and FOREGROUND in finalizers:
        blocking = any(_blocks(d, facts.uid(seen.obj)) for d in seen.dependents)
        return () if blocking else (_without_finalizer(seen, FOREGROUND),)
    if deleting or not seen.owners or any(o.found == "unknown" for o in seen.owners):
        return ()
    absent = {o.uid for o in seen.owners if o.found != "solid"}
    if len(absent) < len({o.uid for o in seen.owners}):  # somebody still owns it
        return (_without_owners(seen.ref, seen.obj, absent),) if absent else ()
    return (*_out_of_a_circle(seen), _collect(seen))


def _out_of_a_circle(seen: GarbageSeen) -> tuple[Write, ...]:
    """Lets the owners go first if something that depends on the object waits for it in turn."""
    waiting = any(o.found == "waiting" for o in seen.owners)
    blocks = any(o.get("blockOwnerDeletion") for o in facts.owners(seen.obj))
    if not waiting or not blocks or not any(_is_waiting(d) for d in seen.dependents):
        return ()
    owners = [{**o, "blockOwnerDeletion": False} for o in facts.owners(seen.obj)]
    return (
        Patch(seen.ref, {"metadata": {"ownerReferences": owners}}, resource_version=facts.version(seen.obj)),
    )


def _is_waiting(obj: JsonObject) -> bool:
    """Whether it is being deleted, once all that depends on it is gone."""
    return facts.is_deleting(obj) and FOREGROUND in _finalizers(obj)


def _collect(seen: GarbageSeen) -> Delete:
    """Deletes the object, in the foreground if that is how its owner goes."""
    finalizers = _finalizers(seen.obj)
    waiting = any(o.found == "waiting" for o in seen.owners)
    uid = facts.uid(seen.obj)
    if ORPHAN in finalizers:
        return Delete(seen.ref, uid, "Orphan")
    if FOREGROUND in finalizers or (waiting and seen.dependents):
        return Delete(seen.ref, uid, "Foreground")
    return Delete(seen.ref, uid, "Background")


def _blocks(dependent: JsonObject, uid: str) -> bool:
    return any(o.get("uid") == uid and o.get("blockOwnerDeletion") for o in facts.owners(dependent))


def _orphan(seen: GarbageSeen) -> tuple[Write, ...]:
    uid = facts.uid(seen.obj)
    if not seen.dependents:
        return (_without_finalizer(seen, ORPHAN),)
    return tuple(_without_owners(_ref_of(d), d, {uid}) for d in seen.dependents)


def _ref_of(obj: JsonObject) -> Ref:
    return Ref(obj["apiVersion"], obj["kind"], facts.ns(obj), facts.name(obj))


def _without_owners(ref: Ref, obj: JsonObject, uids: set[str]) -> Patch:
    kept = [o for o in facts.owners(obj) if o.get("uid") not in uids]
    body = {"metadata": {"ownerReferences": kept or None}}
    return Patch(ref, body, resource_version=facts.version(obj))


def _without_finalizer(seen: GarbageSeen, finalizer: str) -> Patch:
    kept = [f for f in _finalizers(seen.obj) if f != finalizer]
    return Patch(
        seen.ref, {"metadata": {"finalizers": kept or None}}, resource_version=facts.version(seen.obj)
    )


def concerned(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """Keys of what may have become garbage, or may go on, by this change."""
    obj = new if new is not None else old
    if obj is None:
        return
    uid = facts.uid(obj)
    if new is None:
        for place in world.owned(uid):
            dependent = world.at(*place)
            if dependent is not None:
                yield ("", facts.uid(dependent))
        yield from _dying_owners(world, obj)
        return
    if old is not None and not _matters(old, new):
        return
    finalizers = _finalizers(new)
    leaving = facts.is_deleting(new) and (ORPHAN in finalizers or FOREGROUND in finalizers)
    if facts.owners(new) or leaving:
        yield ("", uid)
    if leaving and FOREGROUND in finalizers:
        for place in world.owned(uid):
            dependent = world.at(*place)
            if dependent is not None:
                yield ("", facts.uid(dependent))
    for before in (old, new) if old is not None else (new,):
        yield from _dying_owners(world, before)


def _matters(old: JsonObject, new: JsonObject) -> bool:
    was, now = facts.meta(old), facts.meta(new)
    return any(was.get(k) != now.get(k) for k in ("ownerReferences", "deletionTimestamp", "finalizers"))


def _dying_owners(world: World, obj: JsonObject) -> Iterator[Key]:
    """Owners that wait for their dependents to go."""
    for owner in facts.owners(obj):
        found = world.by_uid(owner.get("uid", ""))
        if found is not None and facts.is_deleting(found):
            yield ("", facts.uid(found))
