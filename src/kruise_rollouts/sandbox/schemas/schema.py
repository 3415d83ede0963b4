"""What a kind looks like: its schema as Nodes, from the recorded OpenAPI of a real API server or from a CRD.

Patches, field ownership and strict decoding walk objects along Nodes. What values are allowed (formats, limits,
CEL) is not their business: see builtin/validation.py for built-in kinds and custom/structural.py, custom/value_check.py for custom ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject

Resolve: TypeAlias = Callable[[str], "Node"]

ABSENT = object()  # no value at all, unlike null

INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# Written down as objects or without a type, but one scalar each.
_SCALARS = {"io.k8s.apimachinery.pkg.api.resource.Quantity"}
_ANY_JSON = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
}
_ZEROES: tuple[Json, ...] = ({}, "", 0)
_OPAQUE = {"io.k8s.apimachinery.pkg.runtime.RawExtension"}


# Times of Events that are written even if there are none.
_NULL_TIMES = frozenset((
    "eventTime", "firstTimestamp", "lastTimestamp", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
))  # fmt: skip


class Node:
    """The schema of one value. Not a Struct: schemas are recursive, so children are made when first asked for.

    `type` is object, array, string, integer, number, boolean, or "" if it does not say. `list_type` is what a list
    is for field ownership, with the same defaults as an API server: atomic, set or map (by `list_keys`).
    """

    __slots__ = (
        "_additional",
        "_items",
        "_resolve",
        "atomic",
        "default",
        "definition",
        "embedded",
        "enum",
        "format",
        "int_or_string",
        "known",
        "list_keys",
        "list_type",
        "may_be_list",
        "may_be_map",
        "may_be_scalar",
        "merge_key",
        "native",
        "nullable",
        "opaque",
        "open",
        "plain_string",
        "preserve",
        "raw",
        "required",
        "status_subresource",
        "strategies",
        "type",
        "zero",
    )

    def __init__(
        self,
        raw: JsonObject,
        resolve: Resolve,
        definition: str = "",
        *,
        open: bool = False,
        native: bool = True,
    ) -> None:
        self.raw = raw
        self.definition = definition  # "io.k8s.api.core.v1.Container"; "" if it has no name
        self.type: str = raw.get("type", "")
        self.format: str = raw.get("format", "")
        self.default: Json = raw.get("default")
        self.native = native  # of a built-in kind
        self.zero: Json = ABSENT  # what the field has when nobody set it, if every object of the kind has it
        self.enum: tuple[Json, ...] = tuple(raw.get("enum", ()))
        self.required: tuple[str, ...] = tuple(raw.get("required", ()))
        self.nullable: bool = raw.get("nullable", False)
        self.preserve: bool = raw.get("x-kubernetes-preserve-unknown-fields", False)
        self.embedded: bool = raw.get("x-kubernetes-embedded-resource", False)
        self.int_or_string: bool = (
            raw.get("x-kubernetes-int-or-string", False) or self.format == "int-or-string"
        )
        strategy = raw.get("x-kubernetes-patch-strategy", "")
        self.strategies: tuple[str, ...] = tuple(strategy.split(",")) if strategy else ()
        self.merge_key: str = raw.get("x-kubernetes-patch-merge-key", "")
        self.list_type, self.list_keys = _list_relation(raw)
        self.atomic: bool = raw.get("x-kubernetes-map-type") == "atomic"  # the map is owned as a whole
        self.open = open or self.preserve  # fields that it does not know may follow, here and below
        scalar = definition in _SCALARS
        self.may_be_map = self.type in ("object", "") and not scalar
        self.may_be_list = self.type in ("array", "") and not scalar
        self.may_be_scalar = self.type not in ("object", "array")
        self.status_subresource = native and "status" in raw.get("properties", {})
        self.opaque = definition in _ANY_JSON  # whatever is here stays as it is
        self.plain_string = self.type == "string" and self.format in ("", "int-or-string")
        self._resolve = resolve
        self.known: dict[str, Node] = {}  # declared fields that `child` was asked for
        self._items: Node | None = None
        self._additional: Node | None = None

    @property
    def properties(self) -> Mapping[str, JsonObject]:
        """Declared fields as they are written down; `child` gives their Nodes."""
        found: Mapping[str, JsonObject] = self.raw.get("properties", {})
        return found

    def declares(self, key: str) -> bool:
        return key in self.known or key in self.properties

    def child(self, key: str) -> Node | None:
        """The Node of member `key`; None if such a member is not allowed."""
        found = self.known.get(key)
        if found is None:
            raw = self.properties.get(key)
            if raw is None:
                return self.additional
            found = self.known[key] = self._at(raw)
            if self.native:
                self._set_zero(key, raw, found)
        return found

    def _set_zero(self, key: str, raw: JsonObject, child: Node) -> None:
        """Fields that are always written show by such a default; lists by being required, they are null at first."""
        if "default" in raw and raw["default"] in _ZEROES:
            child.zero = raw["default"]
        elif (child.type == "array" and key in self.required) or (
            key in _NULL_TIMES and self.definition.endswith(".Event")
        ):
            child.zero = None

    @property
    def additional(self) -> Node | None:
        """The Node of members that are not declared; None if there may be none."""
        if self._additional is None:
            raw = self.raw.get("additionalProperties")
            if isinstance(raw, dict):
                self._additional = self._at(raw)
            elif raw is True or (raw is None and (self.open or (self.native and not self.properties))):
                self._additional = DEDUCED
        return self._additional

    @property
    def items(self) -> Node:
        """The Node of list elements."""
        if self._items is None:
            raw = self.raw.get("items")
            self._items = self._at(raw) if isinstance(raw, dict) else UNTYPED
        return self._items

    def _at(self, raw: JsonObject) -> Node:
        reference = raw.get("$ref")
        if reference is None and len(raw.get("allOf", ())) == 1:
            reference = raw["allOf"][0].get("$ref")
        if reference is None:
            return Node(raw, self._resolve, open=self.open, native=self.native)
        found = self._resolve(reference.rpartition("/")[2])
        extras = {k: v for k, v in raw.items() if k.startswith("x-kubernetes-") or k == "default"}
        if not extras:
            return found
        return Node({**found.raw, **extras}, found._resolve, found.definition, open=found.open)

    def __repr__(self) -> str:
        return f"Node({self.definition or self.raw!r})"


class _Fixed(Node):
    """A Node that is its own children."""

    __slots__ = ()

    def __init__(self, raw: JsonObject) -> None:
        super().__init__(raw, _no_references)
        self.opaque = True

    @property
    def additional(self) -> Node:
        return self

    @property
    def items(self) -> Node:
        return UNTYPED


def _list_relation(raw: JsonObject) -> tuple[str, tuple[str, ...]]:
    list_type = raw.get("x-kubernetes-list-type")
    if list_type is not None:
        keys = tuple(raw.get("x-kubernetes-list-map-keys", ())) if list_type == "map" else ()
        return list_type, keys
    if "merge" in raw.get("x-kubernetes-patch-strategy", "").split(","):
        key = raw.get("x-kubernetes-patch-merge-key")
        return ("map", (key,)) if key else ("set", ())
    return "atomic", ()


def _no_references(name: str) -> Node:
    raise KeyError(name)


# Anything, owned as a whole; anything, where maps are owned member by member.
UNTYPED: Node = _Fixed({"x-kubernetes-map-type": "atomic"})
DEDUCED: Node = _Fixed({})


class _Recorded(msgspec.Struct):
    version: str
    definitions: dict[str, Json]


@cache
def _recorded() -> _Recorded:
    packed = files("kruise_rollouts.sandbox").joinpath("data/openapi_definitions.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=_Recorded)


def recorded_version() -> str:
    """The version of Kubernetes that was recorded: "v1.36.2"."""
    return _recorded().version


def recorded_definitions() -> Mapping[str, JsonObject]:
    """All recorded OpenAPI v3 definitions by name, as they are written down."""
    return _recorded().definitions


@cache
def definition(name: str) -> Node:
    """The Node of a recorded definition. KeyError if there is none."""
    if name in _OPAQUE:
        return UNTYPED
    return Node(_recorded().definitions[name], definition, name)


@cache
def _by_kind() -> dict[tuple[str, str, str], str]:
    return {
        (k["group"], k["version"], k["kind"]): name
        for name, raw in _recorded().definitions.items()
        for k in raw.get("x-kubernetes-group-version-kind", ())
    }


def schema_of(group: str, version: str, kind: str) -> Node | None:
    """The Node of a built-in kind; None if it is not one."""
    name = _by_kind().get((group, version, kind))
    return None if name is None else definition(name)


def definition_name(group: str, version: str, kind: str) -> str | None:
    """The name of a built-in kind's definition: "io.k8s.api.apps.v1.Deployment"."""
    return _by_kind().get((group, version, kind))


def custom_schema(schema: JsonObject | None, *, status_subresource: bool = False) -> Node:
    """The Node of a custom kind, given its openAPIV3Schema (None or {}: anything goes)."""
    root = with_meta(schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    node = Node(root, definition, native=False)
    node.status_subresource = status_subresource
    return node


def with_meta(schema: JsonObject) -> JsonObject:
    """`schema` with the fields that every object and every embedded object has."""
    out = _with_meta_below(schema)
    meta = {"$ref": f"#/components/schemas/{OBJECT_META}"}
    fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": meta}
    out["properties"] = {**out.get("properties", {}), **fields}
    return out


def _with_meta_below(schema: JsonObject) -> JsonObject:
    out = dict(schema)
    if "properties" in schema:
        out["properties"] = {k: _embedded(v) for k, v in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = _embedded(schema[key])
    return out


def _embedded(schema: JsonObject) -> JsonObject:
    return with_meta(schema) if schema.get("x-kubernetes-embedded-resource") else _with_meta_below(schema)
