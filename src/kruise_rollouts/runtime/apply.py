"""Performs one Write through an Api and makes its result visible in the caches before it returns.

So the decision that follows sees what the last one did, without waiting for a watch event. What to write is not
decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, assert_never

import msgspec

from kruise_rollouts.kube.effects import Basis, Create, Delete, Evict, Json, JsonObject, Patch, Ref, Write
from kruise_rollouts.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable
from kruise_rollouts.kube.objects import Kind, meta_of
from kruise_rollouts.kube.patch import on_basis
from kruise_rollouts.kube.protocols import Api

from .cache import Cache
from .controller import Apply
from .discovery import Discovery

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

AT_ONCE = 8  # writes of one decision that are under way at the same time

Caches = Mapping[tuple[str, str], Cache[Any]]  # by (apiVersion, kind)


class Fenced(Unavailable):
    """Not written: this process may no longer act (it does not lead)."""


class Applier:
    """`await applier(write)` performs it. Use one per process; it can be handed to `fold` as `apply`."""

    def __init__(
        self,
        api: Api,
        caches: Caches,
        *,
        field_manager: str,
        may_write: Callable[[], bool] = lambda: True,
        discovery: Discovery | None = None,
    ) -> None:
        self._api = api
        self._caches = caches
        self._params = {"fieldManager": field_manager}
        self._may_write = may_write
        self._discovery = discovery or Discovery(api)

    async def __call__(self, write: Write) -> JsonObject | None:
        """The object as the server answered it; None if there is none (deleted, evicted).

        Raises ApiError. After a Conflict or NotFound the cache holds what is live now, so deciding again helps.
        """
        if not self._may_write():
            raise Fenced(f"{write.ref} was not written: another replica may be leading")
        kind = await self._discovery.kind_of(write.ref)
        match write:
            case Create():
                return await self._create(kind, write)
            case Patch():
                return await self._patch(kind, write)
            case Delete():
                return await self._delete(kind, write)
            case Evict():
                await self._evict(kind, write)
                return None
            case _:
                assert_never(write)

    async def _create(self, kind: Kind, write: Create) -> JsonObject:
        body = {"apiVersion": write.ref.api_version, "kind": write.ref.kind, **write.body}
        body["metadata"] = {"name": write.ref.name, **meta_of(write.body)}
        if kind.namespaced:
            body["metadata"]["namespace"] = write.ref.ns
        try:
            answer = await self._api.request(
                "POST", kind.path(write.ref.ns), params=self._params, body=msgspec.json.encode(body)
            )
        except AlreadyExists as exists:
            live = await self._look(kind, write.ref)
            if live is None:  # it vanished in between
                raise Conflict(exists.message) from exists
            if not _same_owner(live, body):
                raise
            return live
        return self._seen(write.ref, answer)

    async def _patch(self, kind: Kind, write: Patch) -> JsonObject:
        body, content_type = _patch_body(write)
        try:
            answer = await self._api.request(
                "PATCH",
                kind.path(write.ref.ns, write.ref.name, write.subresource),
                params=self._params,
                body=msgspec.json.encode(body),
                content_type=content_type,
            )
        except (Conflict, NotFound):
            await self._look(kind, write.ref)
            raise
        except Invalid as refused:
            if write.basis is not None and await self._has_changed(kind, write.ref, write.basis):
                raise Conflict(f"{write.ref} has changed since it was read") from refused
            raise
        if write.subresource == "scale":  # answers with a Scale, not with the object
            return _json(answer)
        return self._seen(write.ref, answer)

    async def _delete(self, kind: Kind, write: Delete) -> JsonObject | None:
        ref = write.ref
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if write.uid:
            options["preconditions"] = {"uid": write.uid}
        if write.propagation:
            options["propagationPolicy"] = write.propagation
        if write.grace_seconds is not None:
            options["gracePeriodSeconds"] = write.grace_seconds
        try:
            answer = await self._api.request(
                "DELETE", kind.path(ref.ns, ref.name), body=msgspec.json.encode(options)
            )
        except NotFound:
            self._gone(ref, write.uid)
            return None
        except Conflict:  # another incarnation lives under this name; ours is gone
            await self._look(kind, ref)
            if write.uid:
                return None
            raise
        obj = _json(answer)
        if _lingers(obj, ref):
            return self._seen(ref, answer)
        self._gone(ref, write.uid or _uid_of(obj))
        return None

    async def _evict(self, kind: Kind, write: Evict) -> None:
        ref = write.ref
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": ref.name, "namespace": ref.ns},
        }
        try:
            await self._api.request(
                "POST", kind.path(ref.ns, ref.name, "eviction"), body=msgspec.json.encode(body)
            )
        except NotFound:
            self._gone(ref, "")

    async def _look(self, kind: Kind, ref: Ref) -> JsonObject | None:
        """The live object, put in the cache; None, and taken out of the cache, if there is none."""
        try:
            answer = await self._api.request("GET", kind.path(ref.ns, ref.name))
        except NotFound:
            self._gone(ref, "")
            return None
        return self._seen(ref, answer)

    async def _has_changed(self, kind: Kind, ref: Ref, basis: Basis) -> bool:
        """Why a JSON patch was refused: the answer does not tell a test that failed from a value that is wrong."""
        live = await self._look(kind, ref)
        meta = {} if live is None else meta_of(live)
        return (meta.get("uid"), meta.get("generation")) != (basis.uid, basis.generation)

    def _seen(self, ref: Ref, answer: bytes) -> JsonObject:
        obj = _json(answer)
        if _has_ended(obj):
            self._gone(ref, _uid_of(obj))
            return obj
        cache = self._caches.get((ref.api_version, ref.kind))
        if cache is not None:
            cache.absorb(answer)
        return obj

    def _gone(self, ref: Ref, uid: str) -> None:
        cache = self._caches.get((ref.api_version, ref.kind))
        if cache is None:
            return
        if not uid:
            cached = cache.get(ref.ns, ref.name)
            uid = cached.metadata.uid if cached is not None else ""
        cache.deleted(ref.ns, ref.name, uid)


async def in_order(apply: Apply, writes: Sequence[Write]) -> None:
    """Performs `writes` one after the other, neighbours that are `apart` together. Raises what the first refused raises."""
    for is_apart, neighbours in groupby(writes, key=lambda w: isinstance(w, Patch) and w.apart):
        size = AT_ONCE if is_apart else 1
        left = list(neighbours)
        for start in range(0, len(left), size):
            some = left[start : start + size]
            if len(some) == 1:
                await apply(some[0])
                continue
            answers = await asyncio.gather(*map(apply, some), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer


def _patch_body(write: Patch) -> tuple[Json, str]:
    """What to send, and its content type."""
    if write.basis is not None:
        return on_basis(write.body, write.basis), JSON_PATCH
    if write.resource_version:
        return {
            **write.body,
            "metadata": {**meta_of(write.body), "resourceVersion": write.resource_version},
        }, MERGE_PATCH
    return write.body, MERGE_PATCH


def _json(answer: bytes) -> JsonObject:
    decoded: JsonObject = msgspec.json.decode(answer, type=dict)
    return decoded


def _lingers(obj: JsonObject, ref: Ref) -> bool:
    """Whether the answer to a DELETE is an object that is still there, being deleted."""
    meta = meta_of(obj)
    if obj.get("kind") != ref.kind or not meta.get("deletionTimestamp"):
        return False
    return bool(meta.get("finalizers")) or bool(meta.get("deletionGracePeriodSeconds"))


def _has_ended(obj: JsonObject) -> bool:
    """Whether an answer shows the last state of an object: nothing has kept it since its last finalizer was taken off."""
    meta = meta_of(obj)
    kept = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return bool(meta.get("deletionTimestamp")) and not kept


def _uid_of(answer: JsonObject) -> str:
    """The uid in the answer to a DELETE: a Status or the last state of the object."""
    details = answer.get("details") or {} if answer.get("kind") == "Status" else meta_of(answer)
    return str(details.get("uid", ""))


def _same_owner(live: JsonObject, wanted: JsonObject) -> bool:
    """Whether both are controlled by the same object. False if nobody controls the wanted one."""

    def controller(obj: JsonObject) -> str:
        owners = meta_of(obj).get("ownerReferences") or ()
        return next((str(o.get("uid", "")) for o in owners if o.get("controller")), "")

    return controller(wanted) != "" and controller(live) == controller(wanted)
