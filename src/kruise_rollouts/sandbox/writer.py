"""Performs the writes of the sandbox's own controllers, by calling the server in this process.

The world is fed by the store's commits, so what a write did is visible when it returns.
"""

from __future__ import annotations

from typing import assert_never

from kruise_rollouts.kube.effects import Create, Delete, Evict, JsonObject, Patch, Ref, Write
from kruise_rollouts.kube.errors import AlreadyExists, Conflict, NotFound
from kruise_rollouts.kube.objects import meta_of
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.sandbox.controllers import facts

from .request import Options, User
from .resources import Resource
from .server import Server

WRITES_PER_TURN = 32  # then others get a turn of the event loop
_SUBRESOURCE_KINDS = {"Binding": ("pods", "binding")}


class Writer:
    """`await writer(write)` performs it as `user`, under the field manager `manager`."""

    def __init__(self, server: Server, clock: Clock, user: User, manager: str) -> None:
        self._server, self._clock, self._user = server, clock, user
        self._options = Options(field_manager=manager)
        self._manager = manager
        self._resources: dict[tuple[str, str], Resource] = {}
        self._generation = -1
        self._turn = 0

    async def __call__(self, write: Write) -> JsonObject | None:
        """The object as it is now; None if there is none. Raises ApiError.

        A Delete finds its object gone, a Create finds its own object there: both count as done.
        """
        self._turn += 1
        if self._turn % WRITES_PER_TURN == 0:
            await self._clock.sleep(0)
        match write:
            case Create():
                return await self._create(write)
            case Patch():
                return await self._patch(write)
            case Delete():
                return await self._delete(write)
            case Evict():
                return await self._evict(write)
            case _:
                assert_never(write)

    def _resource(self, ref: Ref) -> Resource:
        """Raises NotFound for a kind that is not served."""
        if self._generation != self._server.registry.generation:
            self._resources.clear()
            self._generation = self._server.registry.generation
        key = (ref.api_version, ref.kind)
        found = self._resources.get(key)
        if found is None:
            group, _, version = ref.api_version.rpartition("/")
            resource = self._server.registry.by_kind(group, ref.kind, version)
            if resource is None:
                raise NotFound(f"the server has no {ref.kind} in {ref.api_version}")
            found = self._resources[key] = resource
        return found

    async def _create(self, write: Create) -> JsonObject:
        ref = write.ref
        if ref.kind in _SUBRESOURCE_KINDS:
            plural, subresource = _SUBRESOURCE_KINDS[ref.kind]
            resource = self._server.registry.find("", "v1", plural)
            if resource is None:
                raise NotFound(f"the server has no {plural}")
            return await self._call("create", resource, ref, write.body, subresource=subresource)
        resource = self._resource(ref)
        try:
            return await self._call("create", resource, ref, write.body)
        except AlreadyExists:
            live = self._server.store.get(*resource.storage, ref.ns, ref.name)
            if live is None:
                raise
            mine = facts.controller_uid(write.body)
            if not mine or facts.controller_uid(live) != mine:
                raise
            return live

    async def _patch(self, write: Patch) -> JsonObject:
        body = write.body
        if write.subresource == "status" and body.keys() == {"status"}:
            return await self._put_status(write)
        if write.resource_version:
            body = {**body, "metadata": {**meta_of(body), "resourceVersion": write.resource_version}}
        return await self._call(
            "patch", self._resource(write.ref), write.ref, body, subresource=write.subresource
        )

    async def _put_status(self, write: Patch) -> JsonObject:
        """A status patch is one level deep; as a PUT it keeps the nulls that conditions have inside."""
        ref, resource = write.ref, self._resource(write.ref)
        live = self._server.store.get(*resource.storage, ref.ns, ref.name)
        if live is None:
            raise NotFound(f"{ref} is gone")
        body = live
        if write.resource_version:
            body = {**live, "metadata": {**live["metadata"], "resourceVersion": write.resource_version}}
        merged = {**facts.status(live), **write.body["status"]}
        status = {k: v for k, v in merged.items() if v is not None}
        return await self._call("update", resource, ref, {**body, "status": status}, subresource="status")

    async def _delete(self, write: Delete) -> JsonObject | None:
        options = Options(
            field_manager=self._manager,
            grace_period_seconds=write.grace_seconds,
            propagation=write.propagation,
            uid=write.uid or None,
        )
        try:
            return await self._call("delete", self._resource(write.ref), write.ref, options=options)
        except NotFound:
            return None
        except Conflict:
            if write.uid:  # another incarnation lives under this name
                return None
            raise

    async def _evict(self, write: Evict) -> JsonObject | None:
        ref = write.ref
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": ref.name, "namespace": ref.ns},
        }
        try:
            return await self._call("create", self._resource(ref), ref, body, subresource="eviction")
        except NotFound:
            return None

    async def _call(
        self,
        verb: str,
        resource: Resource,
        ref: Ref,
        body: JsonObject | None = None,
        *,
        subresource: str = "",
        options: Options | None = None,
    ) -> JsonObject:
        return await self._server.call(
            verb,
            resource,
            ref.ns,
            ref.name,
            body,
            subresource=subresource,
            options=options or self._options,
            user=self._user,
            owing=True,
        )
