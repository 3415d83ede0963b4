"""Adopting and releasing: which objects a controller takes by its selector, and which it lets go.

An orphan that matches is adopted, an owned object that no longer matches is released; nobody else's is touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from kruise_rollouts.kube.effects import JsonObject, Patch, Write
from kruise_rollouts.kube.objects import POD, Kind
from kruise_rollouts.sandbox.selectors import Selector, matches

from . import facts
from .pods import Pod


def claim(
    owner: JsonObject, owner_kind: Kind, selector: Selector | None, kind: Kind, objects: Iterable[JsonObject]
) -> tuple[list[JsonObject], list[Write]]:
    """The objects that are (now) controlled by `owner`, and the writes that make it so.

    Adopted ones are returned as they are; the next snapshot shows them with their new owner.
    """
    mine: list[JsonObject] = []
    writes: list[Write] = []
    my_uid, dying = facts.uid(owner), facts.is_deleting(owner)
    for obj in objects:
        of = facts.controller_uid(obj)
        fits = selector is not None and matches(selector, facts.labels_of(obj))
        if of == my_uid:
            if fits:
                mine.append(obj)
            elif not dying:
                writes.append(_release(kind, obj, my_uid))
        elif not of and fits and not dying and not facts.is_deleting(obj):
            writes.append(_adopt(kind, obj, facts.owner_ref(owner_kind, owner)))
            mine.append(obj)
    return mine, writes


def claim_pods(
    owner: JsonObject, owner_kind: Kind, selector: Selector | None, pods: Iterable[Pod]
) -> tuple[list[Pod], list[Write]]:
    """`claim` for pods that are active; finished and terminating ones are left as they are."""
    mine: list[Pod] = []
    writes: list[Write] = []
    my_uid, dying = facts.uid(owner), facts.is_deleting(owner)
    for pod in pods:
        if not pod.is_active:
            continue
        fits = selector is not None and matches(selector, pod.labels)
        if pod.controller == my_uid:
            if fits:
                mine.append(pod)
            elif not dying:
                writes.append(_release(POD, pod.raw, my_uid))
        elif not pod.controller and fits and not dying:
            writes.append(_adopt(POD, pod.raw, facts.owner_ref(owner_kind, owner)))
            mine.append(pod)
    return mine, writes


def _adopt(kind: Kind, obj: JsonObject, reference: JsonObject) -> Patch:
    return _patch_owners(kind, obj, [*facts.owners(obj), reference])


def _release(kind: Kind, obj: JsonObject, uid: str) -> Patch:
    return _patch_owners(kind, obj, [o for o in facts.owners(obj) if o.get("uid") != uid])


def _patch_owners(kind: Kind, obj: JsonObject, owners: list[JsonObject]) -> Patch:
    body = {"metadata": {"ownerReferences": owners or None}}
    return Patch(facts.ref_of(kind, obj), body, resource_version=facts.version(obj))
