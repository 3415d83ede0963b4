"""The schema of every served resource, and the hooks of the pipeline that need one.

Built-in kinds have recorded schemas (schema.py), custom ones those of their CRD (custom/crd.py). What is done with them is
apply/apply.py's, apply/tracking.py's, apply/strategic.py's.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.apply.apply import server_side_apply
from kruise_rollouts.sandbox.apply.patched import check_result, refused
from kruise_rollouts.sandbox.apply.strategic import strategic_merge
from kruise_rollouts.sandbox.apply.tracking import track
from kruise_rollouts.sandbox.custom.crd import CustomResources, CustomVersion
from kruise_rollouts.sandbox.pipeline import Hooks, Manager
from kruise_rollouts.sandbox.request import Call
from kruise_rollouts.sandbox.resources import Registry, Resource

from .openapi import OpenApi
from .schema import Node, custom_schema, schema_of


class Schemas:
    """Finds schemas, and fills hooks that walk along them."""

    def __init__(self, customs: CustomResources, registry: Registry) -> None:
        self._registry = registry
        self._customs = customs
        self._custom: dict[tuple[str, str], tuple[CustomVersion, Node]] = {}
        self._built_in: dict[tuple[str, str], Node] = {}

    def install(self, hooks: Hooks) -> None:
        """Makes the pipeline follow the schemas."""
        hooks.schema_of = self.of
        hooks.track = self._track
        hooks.apply = self._apply
        hooks.strategic = self._strategic
        hooks.check_patched = self._check_patched
        hooks.openapi = OpenApi(self._registry, self._raw).respond

    def of(self, resource: Resource) -> Node:
        """The schema of `resource`; one that allows anything if none is known."""
        key = (resource.api_version, resource.kind)
        if not resource.custom:
            found = self._built_in.get(key)
            if found is None:
                known = schema_of(resource.group, resource.version, resource.kind)
                found = self._built_in[key] = custom_schema(None) if known is None else known
            return found
        version = self._customs.find(resource)
        if version is None:
            return custom_schema(None)
        kept = self._custom.get(key)
        if kept is None or kept[0] is not version:
            node = custom_schema(version.schema, status_subresource=resource.has_status)
            kept = self._custom[key] = (version, node)
        return kept[1]

    def _raw(self, resource: Resource) -> JsonObject | None:
        version = self._customs.find(resource)
        return None if version is None else version.schema

    def _track(self, resource: Resource, new: JsonObject, live: JsonObject | None, by: Manager) -> JsonObject:
        schema, version = self.of(resource), resource.api_version
        return track(live, new, by.name, "Update", schema, version, by.subresource, by.now)

    def _apply(
        self, resource: Resource, applied: JsonObject, live: JsonObject | None, by: Manager, *, force: bool
    ) -> JsonObject:
        schema, version = self.of(resource), resource.api_version
        return server_side_apply(live, applied, by.name, force, schema, version, by.subresource, by.now)

    def _strategic(self, resource: Resource, live: JsonObject, patch: JsonObject) -> JsonObject:
        return strategic_merge(live, patch, self.of(resource))

    def _check_patched(self, call: Call, obj: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
        resource, form = call.resource, call.content_type
        kind, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
        if not resource.custom and (kind, version) != (resource.kind, resource.api_version):
            raise refused(obj, call.body, form, _other_kind(resource, str(kind), str(version)))
        return check_result(obj, self.of(resource), call.body, form, call.options.field_validation)


def _other_kind(resource: Resource, kind: str, api_version: str) -> str:
    group, _, version = api_version.rpartition("/")
    if schema_of(group, version, kind) is None:
        return f'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'
    internal = f"{resource.group.split('.')[0] or 'core'}.{resource.kind}"
    return f"converting ({version}.{kind}) to ({internal}): unknown conversion"
