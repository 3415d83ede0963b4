"""What the OpenAPI documents say of custom kinds: definitions and paths, for v2 and v3, as an API server derives them
from the schema of a CRD.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.resources import Resource

from .schema import OBJECT_META

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_SCALE = "io.k8s.api.autoscaling.v1.Scale"
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch",
)  # fmt: skip
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = (
    "dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents",
    "propagationPolicy",
)  # fmt: skip
_TYPES = {
    "allowWatchBookmarks": "boolean", "limit": "integer", "sendInitialEvents": "boolean", "timeoutSeconds": "integer",
    "watch": "boolean", "force": "boolean", "gracePeriodSeconds": "integer", "orphanDependents": "boolean",
    "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean",
}  # fmt: skip
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_MEDIA = ("application/json", "application/yaml")
_TEXTS = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}
_API_VERSION = "APIVersion defines the group and version that this object is written in."
_KIND = "Kind is the kind that this object is of, in CamelCase."


class Operation(Struct, frozen=True):
    """One method on one path; the same in both versions of OpenAPI."""

    method: str
    action: str  # x-kubernetes-action
    id: str
    parameters: tuple[str, ...]  # of the query
    answer: str  # definition
    codes: tuple[int, ...] = (200,)
    body: str = ""  # definition; "" for none


def definition_of(resource: Resource, kind: str = "") -> str:
    """The name of the definition: "com.example.v1.Thing"."""
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{kind or resource.kind}"


def definitions(resource: Resource, schema: JsonObject | None, version: int) -> dict[str, JsonObject]:
    """The definitions of the kind and of its list. `version` of OpenAPI: 2 or 3."""
    root = dict(schema or {})
    if version == 2:
        root = {"type": "object"} if root.get("x-kubernetes-preserve-unknown-fields") else _plain(root)
        root = {k: v for k, v in root.items() if not (k == "properties" and not v)}
    else:
        root = _completed(root)
    opaque = version == 2 and "properties" not in root
    root.setdefault("type", "object")
    if not opaque:
        root["properties"] = {**root.get("properties", {}), **_meta(version, OBJECT_META, "object's")}
    root["x-kubernetes-group-version-kind"] = [_gvk(resource, resource.kind)]
    listed = _list_definition(resource, version)
    return {definition_of(resource): root, definition_of(resource, resource.list_kind): listed}


def _list_definition(resource: Resource, version: int) -> JsonObject:
    meta = _meta(version, f"{_META}.ListMeta", "list")
    items = {
        "description": f"List of {resource.plural}.",
        "type": "array",
        "items": _ref(version, definition_of(resource)),
    }
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {"apiVersion": meta["apiVersion"], "items": items, **meta},
        "x-kubernetes-group-version-kind": [_gvk(resource, resource.list_kind)],
    }


def _gvk(resource: Resource, kind: str) -> JsonObject:
    return {"group": resource.group, "kind": kind, "version": resource.version}


def _ref(version: int, name: str) -> JsonObject:
    return {"$ref": ("#/definitions/" if version == 2 else "#/components/schemas/") + name}


def _meta(version: int, definition: str, whose: str) -> JsonObject:
    metadata: JsonObject = {"description": f"Standard {whose} metadata."}
    reference = _ref(version, definition)
    metadata |= reference if version == 2 else {"allOf": [reference]}
    return {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": metadata,
    }


def _completed(schema: JsonObject) -> JsonObject:
    """`schema` with what embedded objects and ints-or-strings have, at any depth."""
    out = _below(schema, _completed)
    if out.get("x-kubernetes-int-or-string") and "anyOf" not in out and "allOf" not in out:
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if out.get("x-kubernetes-embedded-resource"):
        out["properties"] = {**out.get("properties", {}), **_meta(3, OBJECT_META, "object's")}
        out["required"] = list(dict.fromkeys((*out.get("required", ()), "kind", "apiVersion")))
    return out


def _below(schema: JsonObject, change: Json) -> JsonObject:
    out = dict(schema)
    if "properties" in out:
        out["properties"] = {k: change(v) for k, v in out["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = change(out[key])
    return out


def _plain(schema: JsonObject) -> JsonObject:
    """`schema` in what OpenAPI v2 can say; less is said where it cannot."""
    dropped = {"default", "nullable", "allOf", "anyOf", "oneOf", "not"}
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("nullable"):
        dropped |= {"type", "properties", "items", "additionalProperties", "required", "format", "enum"}
    if schema.get("x-kubernetes-int-or-string"):
        dropped.add("type")
    out = {k: v for k, v in schema.items() if k not in dropped}
    if out.get("x-kubernetes-embedded-resource") and not out.get("x-kubernetes-preserve-unknown-fields"):
        out = _below(out, _plain)
        out["properties"] = {**out.get("properties", {}), **_meta(2, OBJECT_META, "object's")}
        return out
    return _below(out, _plain)


def paths(resource: Resource, version: int) -> dict[str, JsonObject]:
    """The paths of the resource and its subresources. `version` of OpenAPI: 2 or 3."""
    root = f"/apis/{resource.group}/{resource.version}"
    scoped = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    of_ns = ("namespace",) if resource.namespaced else ()
    one = f"{scoped}/{resource.plural}/{{name}}"
    all_paths = {
        f"{scoped}/{resource.plural}": (_collection(resource), of_ns),
        one: (_item(resource, "", definition_of(resource)), ("name", *of_ns)),
    }
    for sub in resource.subresources:
        kind = _SCALE if sub.name == "scale" else definition_of(resource)
        operations = [op for op in _item(resource, sub.name, kind) if op.method != "delete"]
        all_paths[f"{one}/{sub.name}"] = (operations, ("name", *of_ns))
    out = {
        path: _path_item(resource, operations, variables, version)
        for path, (operations, variables) in all_paths.items()
    }
    if resource.namespaced:
        listed = _collection(resource)[0]
        everywhere = Operation(
            "get", "list", _id(resource, "list", "", "ForAllNamespaces"), (), listed.answer
        )
        out[f"{root}/{resource.plural}"] = _path_item(resource, [everywhere], (), version, _LIST)
    return dict(sorted(out.items()))


def _id(resource: Resource, verb: str, scope: str, suffix: str = "") -> str:
    group = "".join(part[:1].upper() + part[1:] for part in resource.group.split("."))
    return f"{verb}{group}{resource.version[:1].upper()}{resource.version[1:]}{scope}{resource.kind}{suffix}"


def _collection(resource: Resource) -> list[Operation]:
    scope = "Namespaced" if resource.namespaced else ""
    kind, listed = definition_of(resource), definition_of(resource, resource.list_kind)
    return [
        Operation("get", "list", _id(resource, "list", scope), _LIST, listed),
        Operation("post", "post", _id(resource, "create", scope), _WRITE, kind, (200, 201, 202), kind),
        Operation(
            "delete",
            "deletecollection",
            _id(resource, "delete", "Collection" + scope),
            _LIST,
            f"{_META}.Status",
        ),
    ]


def _item(resource: Resource, sub: str, kind: str) -> list[Operation]:
    scope, suffix = "Namespaced" if resource.namespaced else "", sub.capitalize()
    gone = f"{_META}.DeleteOptions"
    return [
        Operation("get", "get", _id(resource, "read", scope, suffix), ("resourceVersion",), kind),
        Operation("put", "put", _id(resource, "replace", scope, suffix), _WRITE, kind, (200, 201), kind),
        Operation(
            "delete", "delete", _id(resource, "delete", scope), _DELETE, f"{_META}.Status", (200, 202), gone
        ),
        Operation(
            "patch",
            "patch",
            _id(resource, "patch", scope, suffix),
            (*_WRITE, "force"),
            kind,
            body=f"{_META}.Patch",
        ),
    ]


def _path_item(
    resource: Resource,
    operations: list[Operation],
    variables: tuple[str, ...],
    version: int,
    shared: tuple[str, ...] = (),
) -> JsonObject:
    render = _operation_v2 if version == 2 else _operation_v3
    out: JsonObject = {op.method: render(resource, op) for op in operations}
    in_path = [_parameter(v, "path", version) for v in variables]
    in_query = [_parameter(v, "query", version) for v in sorted((*shared, "pretty"))]
    return {**out, "parameters": in_path + in_query}


def _parameter(name: str, place: str, version: int) -> JsonObject:
    schema = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
    out: JsonObject = {"name": name, "in": place}
    if place == "path":
        out["required"] = True
    return {**out, **schema} if version == 2 else {**out, "schema": schema}


def _common(resource: Resource, operation: Operation) -> JsonObject:
    words = resource.group.split(".")
    tag = words[0] + "".join(w[:1].upper() + w[1:] for w in words[1:])
    return {"tags": [f"{tag}_{resource.version}"], "operationId": operation.id}


def _marks(resource: Resource, operation: Operation) -> JsonObject:
    return {
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": _gvk(resource, resource.kind),
    }


def _operation_v3(resource: Resource, operation: Operation) -> JsonObject:
    answer = {"content": {m: {"schema": _ref(3, operation.answer)} for m in _MEDIA}}
    out = _common(resource, operation)
    if operation.parameters:
        out["parameters"] = [_parameter(p, "query", 3) for p in operation.parameters]
    if operation.body:
        media = sorted(_PATCHES) if operation.method == "patch" else _MEDIA
        out["requestBody"] = {"content": {m: {"schema": _ref(3, operation.body)} for m in media}}
        if operation.method != "delete":
            out["requestBody"]["required"] = True
    responses: JsonObject = {str(c): {"description": _TEXTS[c], **answer} for c in operation.codes}
    return {
        **out,
        "responses": responses | {"401": {"description": _TEXTS[401]}},
        **_marks(resource, operation),
    }


def _operation_v2(resource: Resource, operation: Operation) -> JsonObject:
    body: JsonObject = {"name": "body", "in": "body", "schema": _ref(2, operation.body)}
    if operation.method != "delete":
        body["required"] = True
    parameters = [_parameter(p, "query", 2) for p in operation.parameters]
    out = {
        **_common(resource, operation),
        "consumes": list(_PATCHES if operation.method == "patch" else _MEDIA),
        "produces": list(_MEDIA),
        "schemes": ["https"],
        "parameters": [body, *parameters] if operation.body else parameters,
    }
    responses: JsonObject = {
        str(c): {"description": _TEXTS[c], "schema": _ref(2, operation.answer)} for c in operation.codes
    }
    return {
        **out,
        "responses": responses | {"401": {"description": _TEXTS[401]}},
        **_marks(resource, operation),
    }
