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
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.kube.protocols import Clock

from . import structural, value_check
from .cel_rules import Rules, unchecked
from .crd_names import next_status, served_resources
from .resources import Registry, Resource
from .store import Store
from .structural import ABSENT, Node

GROUP = "apiextensions.k8s.io"
PLURAL = "customresourcedefinitions"


class CustomVersion:
    """One served version of a custom resource: its schema, compiled when first needed."""

    def __init__(self, version: JsonObject) -> None:
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
        causes = (
            *value_check.check(new, self.node, before),
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


def _replicas(obj: JsonObject, path: str) -> tuple[Cause, ...]:
    value: Json = obj
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, dict) or name not in value:
            return ()
        value = value[name]
    if not isinstance(value, int) or isinstance(value, bool):
        found = {str: "string", bool: "bool", float: "float64", list: "[]interface {}", type(None): "<nil>"}
        kind = found.get(type(value), "map[string]interface {}")
        text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else _go(value)
        return (
            value_check.invalid(
                path, 0, f"{path} accessor error: {text} is of the type {kind}, expected int64"
            ),
        )
    if value < 0:
        return (value_check.invalid(path, value, "should be a non-negative integer"),)
    return (
        (value_check.invalid(path, value, f"should be less than or equal to {2**31 - 1}"),)
        if value >= 1 << 31
        else ()
    )


def _go(value: Json) -> str:
    """`value` as Go's %v prints it."""
    match value:
        case None:
            return "<nil>"
        case dict():
            return "map[" + " ".join(f"{k}:{_go(value[k])}" for k in sorted(value)) + "]"
        case list():
            return "[" + " ".join(_go(v) for v in value) + "]"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def run_soon(job: Callable[[], None]) -> None:
    """Runs `job` as the next turn of the running event loop."""
    asyncio.get_running_loop().call_soon(job)


class CustomResources:
    """Follows the CRDs in `store` and serves them in `registry`."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        soon: Callable[[Callable[[], None]], None] = run_soon,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._soon = soon
        self._versions: dict[tuple[str, str, str], CustomVersion] = {}
        self._unsettled = False

    def start(self) -> None:
        """Serves what is stored already, and follows changes from now on."""
        for crd in self._store.list(GROUP, PLURAL):
            self._serve(crd)
        self._store.subscribe(GROUP, PLURAL, self._changed)

    def find(self, resource: Resource) -> CustomVersion | None:
        """The schema of `resource`; None if no CRD defines it."""
        return self._versions.get((resource.group, resource.version, resource.plural))

    def _changed(self, type: str, old: JsonObject | None, new: JsonObject | None) -> None:
        if type == "DELETED" and old is not None:
            self._withdraw(old)
        elif new is not None:
            self._serve(new)
        if not self._unsettled:
            self._unsettled = True
            self._soon(self.settle)

    def settle(self) -> None:
        """Stores the status each CRD should have, until nothing changes."""
        self._unsettled = False
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for crd in self._store.list(GROUP, PLURAL):
            if crd["metadata"].get("deletionTimestamp"):
                continue
            status = next_status(crd, self._store.list(GROUP, PLURAL), now)
            if status != crd.get("status"):
                was = self._store.entry(GROUP, PLURAL, "", crd["metadata"]["name"])
                if was is not None:
                    self._store.update(GROUP, PLURAL, {**crd, "status": status}, was)

    def _serve(self, crd: JsonObject) -> None:
        resources = served_resources(crd)
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        before = tuple(r for r in self._registry if (r.group, r.plural) == (group, plural) and r.custom)
        self._versions = {k: v for k, v in self._versions.items() if (k[0], k[2]) != (group, plural)}
        for version in crd["spec"]["versions"]:
            self._versions[(group, version["name"], plural)] = CustomVersion(version)
        if before != resources:
            if before:
                self._registry.remove(group, plural)
            if resources:
                self._registry.add(*resources)

    def _withdraw(self, crd: JsonObject) -> None:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        self._versions = {k: v for k, v in self._versions.items() if (k[0], k[2]) != (group, plural)}
        if any(r.custom and (r.group, r.plural) == (group, plural) for r in self._registry):
            self._registry.remove(group, plural)
