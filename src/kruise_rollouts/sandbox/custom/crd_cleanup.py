"""The end of a CRD: its objects are deleted first, and it goes when the last of them has gone.

A CRD that is deleted keeps the finalizer `customresourcecleanup.apiextensions.k8s.io` until then (deletion.py puts
it there). Objects with finalizers of their own hold it up, as in Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.sandbox.rules import timestamp
from kruise_rollouts.sandbox.server import Server

from .crd import CRDS, store_status
from .crd_names import CLEANUP, terminating


class CrdCleanup:
    """Sees CRDs of one server out."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.store
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, Callable[[], None]] = {}  # by CRD; ends following its objects

    def start(self) -> None:
        self._store.subscribe(*CRDS, self._changed)
        for crd in self._store.list(*CRDS):
            self._changed("ADDED", None, crd)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        if new is None or type == "DELETED" or not _is_leaving(new):
            return
        name = new["metadata"]["name"]
        if name not in self._waiting:
            storage = (new["spec"]["group"], new["spec"]["names"]["plural"])
            follow = self._store.subscribe(*storage, lambda type, old, new: self._gone(type, name))
            self._waiting[name] = follow
            self._spawn(name, first=True)

    def _spawn(self, name: str, *, first: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._see_out(name, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_out(self, name: str, first: bool) -> None:
        """Deletes the objects of a CRD (if `first`), and lets it go if none is left."""
        crd = self._store.get(*CRDS, "", name)
        if crd is None or not _is_leaving(crd):
            self._forget(name)
            return
        storage = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        resource = self._server.registry.stored(storage)
        if first:
            self._say_so(name)
            if resource is not None:
                await self._server.call("deletecollection", resource, "", "")
        if not self._store.list(*storage):
            await self._let_go(name)

    def _gone(self, type: str, name: str) -> None:
        if type == "DELETED":
            self._spawn(name, first=False)

    def _forget(self, name: str) -> None:
        end = self._waiting.pop(name, None)
        if end is not None:
            end()

    def _say_so(self, name: str) -> None:
        was = self._store.entry(*CRDS, "", name)
        if was is None:
            return
        now = timestamp(self._server.parts.clock.now())
        reason, message = "InstanceDeletionInProgress", "CustomResource deletion is in progress"
        status = terminating(was.obj.get("status") or {}, reason, message, now)
        if status != was.obj.get("status"):
            store_status(self._server.parts, was, status)

    async def _let_go(self, name: str) -> None:
        crd = self._store.get(*CRDS, "", name)
        resource = self._server.registry.find(CRDS[0], "v1", CRDS[1])
        self._forget(name)
        if crd is None or resource is None:
            return
        rest = [f for f in crd["metadata"].get("finalizers") or () if f != CLEANUP]
        try:
            await self._server.call("patch", resource, "", name, {"metadata": {"finalizers": rest or None}})
        except NotFound:
            return


def _is_leaving(crd: JsonObject) -> bool:
    meta = crd["metadata"]
    return bool(meta.get("deletionTimestamp")) and CLEANUP in (meta.get("finalizers") or ())
