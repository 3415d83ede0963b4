"""The CRDs of a running server: keeps their status, the registry of resources and the compiled schemas in step.

The server asks `find(resource)` for what it needs to know of a custom resource: `prepare` (prune and default),
`unknown_fields`, `validate`. Nothing is written from inside a commit: a change only marks a CRD, and `settle` runs
right after, as a turn of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause, Details, Forbidden
from kruise_rollouts.sandbox.admission.callers import Caller, NoCaller
from kruise_rollouts.sandbox.pipeline import SERVER, Manager, Parts
from kruise_rollouts.sandbox.resources import Resource, StorageKey
from kruise_rollouts.sandbox.rules import timestamp
from kruise_rollouts.sandbox.store import Entry
from kruise_rollouts.sandbox.wording import plain, type_of

from . import structural, value_check
from .cel_rules import Rules, unchecked
from .conversion import Conversion
from .crd_names import next_status, served_resources
from .crd_rules import default_crd, validate_crd
from .structural import ABSENT, Node

CRDS: StorageKey = ("apiextensions.k8s.io", "customresourcedefinitions")


class CustomVersion:
    """One served version of a custom resource: its schema, compiled when first needed."""

    def __init__(self, version: JsonObject) -> None:
        self.source = version
        self.schema: JsonObject = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        self._subresources: JsonObject = version.get("subresources") or {}

    @cached_property
    def node(self) -> Node:
        return structural.compile_schema(self.schema)

    def prepare(self, obj: JsonObject) -> JsonObject:
        """`obj` without unknown fields and with defaults. For bodies of requests and for what is read from the store."""
        filled: JsonObject = structural.fill_defaults(structural.prune(obj, self.node), self.node)
        return filled

    def unknown_fields(self, obj: JsonObject) -> list[str]:
        """Paths that `prepare` drops, for fieldValidation."""
        return structural.unknown_fields(obj, self.node)

    def validate(self, new: JsonObject, old: JsonObject | None, subresource: str = "") -> tuple[Cause, ...]:
        """What is wrong with `new`; () if nothing. `old` is None for a create."""
        before = ABSENT if old is None else old
        found = value_check.check(new, self.node, before)
        causes = (
            *(map(_below_status, found) if subresource == "status" else found),
            *self._scale(new),
            *value_check.check_shape(new, self.node),
        )
        if not self.node.has_rules:
            return causes
        return (
            (*causes, unchecked())
            if value_check.blocks(causes)
            else (*causes, *self._rules.check(new, before))
        )

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.node)

    def _scale(self, obj: JsonObject) -> tuple[Cause, ...]:
        scale = self._subresources.get("scale")
        if scale is None:
            return ()
        return tuple(
            c for field in ("specReplicasPath", "statusReplicasPath") for c in _replicas(obj, scale[field])
        )


def _below_status(cause: Cause) -> Cause:
    """A write of the status is told what is wrong as if the status were all there is."""
    at = cause.field.removeprefix("status.")
    return Cause(cause.reason, cause.message.replace(f"{cause.field} in body", f"{at} in body"), cause.field)


def _replicas(obj: JsonObject, path: str) -> tuple[Cause, ...]:
    value: Json = obj
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, dict):
            why = f"{path} accessor error: {plain(value)} is of the type {type_of(value)}, expected map[string]interface{{}}"
            return (value_check.invalid(path, 0, why),)
        if name not in value:
            return ()
        value = value[name]
    if not isinstance(value, int) or isinstance(value, bool):
        why = f"{path} accessor error: {plain(value)} is of the type {type_of(value)}, expected int64"
        return (value_check.invalid(path, 0, why),)
    if value < 0:
        return (value_check.invalid(path, value, "should be a non-negative integer"),)
    if value >= 1 << 31:
        return (value_check.invalid(path, value, f"should be less than or equal to {(1 << 31) - 1}"),)
    return ()


def store_status(parts: Parts, was: Entry, status: JsonObject) -> None:
    """Gives a CRD the status that the server finds; the server owns it, like any other manager."""
    live = parts.settled(was)
    new = {**live, "status": status}
    resource = parts.registry.find(CRDS[0], "v1", CRDS[1])
    if resource is not None:
        new = parts.hooks.track(resource, new, live, Manager(SERVER, "status", parts.clock.now()))
    parts.store.update(*CRDS, new, was)


def run_soon(job: Callable[[], None]) -> None:
    """Runs `job` as the next turn of the running event loop."""
    asyncio.get_running_loop().call_soon(job)


class CustomResources:
    """Follows the CRDs of a server and serves what they define."""

    def __init__(
        self,
        parts: Parts,
        caller: Caller | None = None,
        soon: Callable[[Callable[[], None]], None] = run_soon,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._registry = parts.registry
        self._soon = soon
        self._versions: dict[tuple[str, str, str], CustomVersion] = {}
        self._changed_at: dict[
            tuple[str, str], int
        ] = {}  # group and plural: objects before know an older schema
        self._unsettled = False
        self.conversion = Conversion(self.crd_of, caller if caller is not None else NoCaller(), parts.random)

    def install(self) -> None:
        """Joins in at the server's hooks, serves what is stored already, and follows changes from now on."""
        hooks = self._parts.hooks
        prepare, validate = hooks.prepare, hooks.validate

        def prepare_custom(resource: Resource, obj: JsonObject) -> JsonObject:
            if resource.storage == CRDS:
                return default_crd(obj)
            found = self.find(resource)
            return prepare(resource, obj) if found is None else found.prepare(obj)

        def validate_custom(
            resource: Resource, new: JsonObject, old: JsonObject | None, subresource: str
        ) -> tuple[Cause, ...]:
            if resource.storage == CRDS:
                return validate_crd(new, old) if not subresource else ()
            found = self.find(resource)
            if found is None:
                return validate(resource, new, old, subresource)
            return self._refuse_terminating(resource, new, old) or found.validate(new, old, subresource)

        hooks.prepare, hooks.validate, hooks.read = prepare_custom, validate_custom, self._read
        hooks.convert = self.conversion.convert
        for crd in self._store.list(*CRDS):
            self._serve(crd)
        self._store.subscribe(*CRDS, self._changed)
        self.settle()

    def find(self, resource: Resource) -> CustomVersion | None:
        """The schema of `resource`; None if no CRD defines it."""
        return (
            self._versions.get((resource.group, resource.version, resource.plural))
            if resource.custom
            else None
        )

    def _read(self, resource: Resource, rv: int, obj: JsonObject) -> JsonObject:
        if rv > self._changed_at.get((resource.group, resource.plural), 0):
            return obj
        found = self.find(resource)
        return obj if found is None else found.prepare(obj)

    def crd_of(self, resource: Resource) -> JsonObject | None:
        """The CRD that defines `resource`; None if none does."""
        return self._store.get(*CRDS, "", f"{resource.plural}.{resource.group}")

    def _refuse_terminating(
        self, resource: Resource, new: JsonObject, old: JsonObject | None
    ) -> tuple[Cause, ...]:
        crd = self.crd_of(resource) if old is None else None
        if crd is None or not crd["metadata"].get("deletionTimestamp"):
            return ()
        name = new["metadata"]["name"]
        raise Forbidden(
            f'{resource.group_resource} "{name}" is forbidden: '
            "create not allowed while custom resource definition is terminating",
            details=Details(name=name, group=resource.group, kind=resource.plural),
        )

    def _changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        crd = old if type == "DELETED" else new
        if crd is not None:
            self._serve(crd, withdrawn=type == "DELETED")
        if not self._unsettled:
            self._unsettled = True
            self._soon(self.settle)

    def settle(self) -> None:
        """Stores the status each CRD should have, until nothing changes."""
        self._unsettled = False
        now = timestamp(self._parts.clock.now())
        for crd in self._store.list(*CRDS):
            if crd["metadata"].get("deletionTimestamp"):
                continue
            status = next_status(crd, self._store.list(*CRDS), now)
            was = self._store.entry(*CRDS, "", crd["metadata"]["name"])
            if status != crd.get("status") and was is not None:
                store_status(self._parts, was, status)

    def _serve(self, crd: JsonObject, *, withdrawn: bool = False) -> None:
        resources = () if withdrawn else served_resources(crd)
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        before = tuple(r for r in self._registry if (r.group, r.plural) == (group, plural) and r.custom)
        known = {k[1]: v for k, v in self._versions.items() if (k[0], k[2]) == (group, plural)}
        self._versions = {k: v for k, v in self._versions.items() if (k[0], k[2]) != (group, plural)}
        for version in () if withdrawn else crd["spec"]["versions"]:
            kept = known.get(version["name"])
            if kept is None or kept.source != version:
                kept = CustomVersion(version)
                self._outdate((group, plural))
            self._versions[(group, version["name"], plural)] = kept
        if before != resources:
            if before:
                self._registry.remove(group, plural)
            if resources:
                self._registry.add(*resources)

    def _outdate(self, storage: StorageKey) -> None:
        """What is stored was completed by another schema: it is read anew from now on."""
        self._changed_at[storage] = self._store.rv
        for entry in self._store.table(*storage).entries.values():
            entry.bytes.clear()
