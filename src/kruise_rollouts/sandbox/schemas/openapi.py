"""The documents under /openapi: v3 by group version with an index, v2 in one piece, as JSON or protobuf.

Built-in kinds are recorded (structure only, see scripts/record_openapi.py), custom ones come and go with the registry.
Documents are made when first asked for, and again after the registry has changed.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from hashlib import sha512
from importlib.resources import files

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.request import Request, Response
from kruise_rollouts.sandbox.resources import Registry, Resource

from . import openapi_custom, openapi_proto
from .schema import OBJECT_META, recorded_definitions

PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF_ALIAS = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_DELETED = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_SCALE = "io.k8s.api.autoscaling.v1.Scale"
_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_PATCH = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_KINDS = "x-kubernetes-group-version-kind"
# Groups of other servers behind the same address, which the server of custom kinds does not know.
_ELSEWHERE = ("admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io")
_encode = msgspec.json.Encoder().encode

# What `kubectl explain` says of the metadata of any kind.
_META_TEXTS = {
    "annotations": "Annotations are free-form notes, for tools and people.",
    "creationTimestamp": "CreationTimestamp is a timestamp that the server sets when it stores the object first.",
    "deletionTimestamp": "DeletionTimestamp is set once the object is being deleted.",
    "finalizers": "Finalizers hold up the deletion until the list is empty.",
    "generateName": "GenerateName is what a name starts with that the server makes up.",
    "generation": "Generation grows with every change of what is wanted.",
    "labels": "Labels are what selectors select by.",
    "managedFields": "ManagedFields says who set which fields.",
    "name": "Name is unique within a namespace.",
    "namespace": "Namespace is where the name is unique.",
    "ownerReferences": "OwnerReferences name the objects that this one depends on.",
    "resourceVersion": "ResourceVersion changes with every write.",
    "uid": "UID is unique in time and space.",
}


class Document(Struct, frozen=True):
    """One answer. `etag`: quoted, as in the header."""

    body: bytes
    etag: str
    content_type: str = "application/json"
    cacheable: bool = False  # asked for by its hash: never changes

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        control = "public, immutable" if self.cacheable else "no-cache, private"
        return (("ETag", self.etag), ("Cache-Control", control), ("Vary", "Accept"))


class _Recorded(Struct):
    document: JsonObject
    kinds: dict[str, list[JsonObject]]


class OpenApi:
    """Makes the documents. `schema_of` gives the openAPIV3Schema of a custom resource, None if it has none."""

    def __init__(self, registry: Registry, schema_of: Callable[[Resource], JsonObject | None]) -> None:
        self._registry = registry
        self._schema_of = schema_of
        self._generation = -1
        self._made: dict[str, Document] = {}
        self._built_in: dict[str, Document] = {}  # survive changes of the registry

    def answer(self, path: str, accept: str = "", hash: str = "") -> Document | None:
        """The document at `path`; None if there is none. `accept` and `hash` are the header and the parameter."""
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._made.clear()
        if path == "/openapi/v2":
            wants_protobuf = any(name in accept for name in (PROTOBUF, PROTOBUF_ALIAS))
            return self._once(
                "v2.pb" if wants_protobuf else "v2", self._v2_protobuf if wants_protobuf else self._v2
            )
        if path.rstrip("/") == "/openapi/v3":
            return self._once("v3", self._index)
        found = self._v3(path.removeprefix("/openapi/v3/")) if path.startswith("/openapi/v3/") else None
        if found is not None and hash:
            return msgspec.structs.replace(found, cacheable=True)
        return found

    def respond(self, request: Request) -> Response | None:
        """The answer to a GET of `request.path`; None if there is no such document."""
        query = dict(request.query)
        document = self.answer(request.path, request.headers.get("accept", ""), query.get("hash", ""))
        if document is None:
            return None
        if request.headers.get("if-none-match") == document.etag:
            return Response(304, b"", document.content_type, document.headers)
        return Response(200, document.body, document.content_type, document.headers)

    def _once(self, key: str, make: Callable[[], Document]) -> Document:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _customs(self) -> list[Resource]:
        return [r for r in self._registry if r.custom and r.served]

    def _index(self) -> Document:
        names = {*_v3_recorded(), *(f"apis/{r.api_version}" for r in self._customs())}
        paths: JsonObject = {}
        for name in sorted(names):
            document = self._v3(name)
            if document is not None:
                etag = document.etag.strip('"')
                paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={etag}"}
        return _document(_encode({"paths": paths}))

    def _v3(self, name: str) -> Document | None:
        built_in = self._built_in.get(name)
        if built_in is None and name in _v3_recorded():
            built_in = self._built_in[name] = _document(_encode(_filled(_v3_recorded()[name])))
        if built_in is not None:
            return built_in
        customs = [r for r in self._customs() if f"apis/{r.api_version}" == name]
        return self._once(name, lambda: self._v3_custom(customs)) if customs else None

    def _v3_custom(self, customs: list[Resource]) -> Document:
        schemas: JsonObject = {}
        paths: JsonObject = {}
        for resource in customs:
            schemas |= openapi_custom.definitions(resource, self._schema_of(resource), 3)
            paths |= openapi_custom.paths(resource, 3)
        wanted = [OBJECT_META, _LIST_META, _DELETED, _STATUS, _PATCH]
        wanted += [_SCALE] if any(r.scale for r in customs) else []
        schemas |= _closure(wanted)
        info = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
        document = {"openapi": "3.0.0", "info": info, "paths": dict(sorted(paths.items()))}
        return _document(_encode({**document, "components": {"schemas": dict(sorted(schemas.items()))}}))

    def _v2_document(self) -> JsonObject:
        recorded: JsonObject = _unpacked("openapi_v2.json.gz")
        definitions = _described(recorded["definitions"])
        paths = dict(recorded["paths"])
        for resource in self._customs():
            definitions |= openapi_custom.definitions(resource, self._schema_of(resource), 2)
            paths |= openapi_custom.paths(resource, 2)
        return {**recorded, "paths": paths, "definitions": dict(sorted(definitions.items()))}

    def _v2(self) -> Document:
        return _document(_encode(self._v2_document()))

    def _v2_protobuf(self) -> Document:
        return _document(openapi_proto.document(self._v2_document()), PROTOBUF_ALIAS)


def _document(body: bytes, content_type: str = "application/json") -> Document:
    return Document(body, f'"{sha512(body).hexdigest().upper()}"', content_type)


def _unpacked(name: str) -> Json:
    packed = files("kruise_rollouts.sandbox").joinpath(f"data/{name}").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed))


_V3: dict[str, _Recorded] = {}


def _v3_recorded() -> dict[str, _Recorded]:
    if not _V3:
        _V3.update(msgspec.convert(_unpacked("openapi_v3.json.gz"), dict[str, _Recorded]))
    return _V3


def _filled(recorded: _Recorded) -> JsonObject:
    """The document with definitions in place of their names."""
    components = recorded.document.get("components")
    if components is None or "schemas" not in components:
        return recorded.document
    known = recorded_definitions()
    schemas = {name: known[name] for name in components["schemas"]}
    for name, kinds in recorded.kinds.items():
        schemas[name] = {**schemas[name], _KINDS: kinds}
    return {**recorded.document, "components": {**components, "schemas": _described(schemas)}}


def _described(definitions: JsonObject) -> JsonObject:
    """`definitions` with texts for the metadata of objects."""
    if OBJECT_META not in definitions:
        return definitions
    meta = definitions[OBJECT_META]
    properties = {
        name: {"description": _META_TEXTS[name], **field} if name in _META_TEXTS else field
        for name, field in meta["properties"].items()
    }
    described = {"description": "Metadata that every stored object has.", **meta, "properties": properties}
    return {**definitions, OBJECT_META: described}


def _closure(names: list[str]) -> JsonObject:
    """The recorded definitions `names`, and all that they refer to."""
    known, out, waiting = recorded_definitions(), {}, list(names)
    while waiting:
        name = waiting.pop()
        if name not in out:
            out[name] = _with_kinds_near_by(known[name])
            waiting += _references(known[name])
    return _described(out)


def _with_kinds_near_by(definition: JsonObject) -> JsonObject:
    if _KINDS not in definition:
        return definition
    return {**definition, _KINDS: [k for k in definition[_KINDS] if k["group"] not in _ELSEWHERE]}


def _references(node: Json) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
    return own + [name for value in node.values() for name in _references(value)]
