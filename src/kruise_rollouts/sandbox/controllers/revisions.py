"""ControllerRevisions: the numbered history of templates that StatefulSets and DaemonSets keep."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Delete, Json, JsonObject, Patch, Write
from kruise_rollouts.kube.objects import CONTROLLER_REVISION, Kind

from . import facts
from .templates import spell

HASH = "controller.kubernetes.io/hash"
POD_REVISION = "controller-revision-hash"  # label of pods
_encode = msgspec.json.Encoder(order="sorted").encode


class Revisions(Struct, frozen=True):
    """The history of one workload, oldest first, and which revision its template is now."""

    all: tuple[JsonObject, ...]
    update: JsonObject  # of the present template; its name is decided even if it is not stored yet
    collisions: int
    writes: tuple[Write, ...]  # what makes the history so

    def named(self, name: str) -> JsonObject | None:
        return next((r for r in self.all if facts.name(r) == name), None)


def data_of(workload: JsonObject) -> JsonObject:
    """What a revision records: a patch that puts its template back.

    Keys are in the order of the alphabet: clients compare the bytes with what they would write themselves.
    """
    template = facts.spec(workload)["template"]
    return {"spec": {"template": _ordered({**template, "$patch": "replace"})}}


def _ordered(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def template_of(revision: JsonObject) -> JsonObject:
    """The pod template it records."""
    template = revision["data"]["spec"]["template"]
    return {k: v for k, v in template.items() if k != "$patch"}


def number(revision: JsonObject) -> int:
    return facts.int_of(revision, "revision")


def history(
    workload: JsonObject, kind: Kind, stored: Iterable[JsonObject], taken: Collection[str], extra: JsonObject
) -> Revisions:
    """The revisions of `workload`: a new one for a new template, a higher number for one that is used again.

    `taken`: names of revisions that belong to others. `extra`: further labels of a new revision.
    """
    known = sorted(stored, key=lambda r: (number(r), facts.created(r), facts.name(r)))
    data = data_of(workload)
    collisions = facts.int_of(facts.status(workload), "collisionCount")
    equal = [r for r in known if r.get("data") == data]
    newest = max((number(r) for r in known), default=0)
    if equal and equal[-1] is known[-1]:
        return Revisions(tuple(known), known[-1], collisions, ())
    if equal:
        again = equal[-1]
        patch = Patch(facts.ref_of(CONTROLLER_REVISION, again), {"revision": newest + 1})
        raised = {**again, "revision": newest + 1}
        return Revisions((*(r for r in known if r is not again), raised), raised, collisions, (patch,))
    names = {facts.name(r) for r in known} | set(taken)
    while True:
        created = _new(workload, kind, newest + 1, collisions, extra)
        if facts.name(created) not in names:
            break
        collisions += 1
    ref = CONTROLLER_REVISION.ref(facts.ns(workload), facts.name(created))
    return Revisions((*known, created), created, collisions, (Create(ref, created),))


def _new(workload: JsonObject, kind: Kind, revision: int, collisions: int, extra: JsonObject) -> JsonObject:
    data = data_of(workload)
    salt = b"%d" % collisions if collisions else b""
    digest = spell(hashlib.sha256(_encode(data) + salt).digest(), 9)
    template_labels = (facts.spec(workload)["template"].get("metadata") or {}).get("labels") or {}
    metadata: JsonObject = {
        "name": f"{facts.name(workload)[:223]}-{digest}",
        "namespace": facts.ns(workload),
        "labels": {**template_labels, HASH: digest, **{k: v or digest for k, v in extra.items()}},
        "ownerReferences": [facts.owner_ref(kind, workload)],
    }
    if facts.annotations_of(workload):
        metadata["annotations"] = facts.annotations_of(workload)
    return {
        "apiVersion": CONTROLLER_REVISION.api_version,
        "kind": CONTROLLER_REVISION.kind,
        "metadata": metadata,
        "data": data,
        "revision": revision,
    }


def surplus(revisions: Revisions, live: Collection[str], limit: int) -> list[Write]:
    """Deletes the oldest revisions beyond `limit`; those named in `live` are in use and not counted."""
    idle = [r for r in revisions.all if facts.name(r) not in live and r is not revisions.update]
    return [
        Delete(facts.ref_of(CONTROLLER_REVISION, r), facts.uid(r)) for r in idle[: max(len(idle) - limit, 0)]
    ]
