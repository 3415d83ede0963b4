"""The schema of a custom resource, compiled: what it keeps, what it fills in.

`compile_schema` turns an openAPIV3Schema into Nodes once; `prune` and `fill_defaults` walk an object along them and
return a new one where something changed (objects inside the sandbox are never mutated). Whether a value is right
is asked in value_check.py; whether the schema itself is right in crd_rules.py.
"""

from __future__ import annotations

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject

_META_FIELDS = ("apiVersion", "kind", "metadata")  # kept whatever the schema says


class Node(Struct, frozen=True, eq=False, kw_only=True):
    """One compiled JSONSchemaProps. Absent limits are None."""

    type: str = ""  # "" for int-or-string and for anything
    format: str = ""
    nullable: bool = False
    preserve: bool = False  # x-kubernetes-preserve-unknown-fields
    embedded: bool = False  # x-kubernetes-embedded-resource
    int_or_string: bool = False
    has_default: bool = False
    default: Json = None
    properties: dict[str, Node] = {}
    additional: Node | None = None
    items: Node | None = None
    required: tuple[str, ...] = ()
    enum: tuple[Json, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    multiple_of: float | None = None
    min_length: int | None = None  # characters
    max_length: int | None = None
    pattern: str = ""  # RE2
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    min_properties: int | None = None
    max_properties: int | None = None
    list_type: str = ""  # "set" | "map" | "atomic" | ""
    map_keys: tuple[str, ...] = ()
    map_type: str = ""  # "atomic" | "granular" | ""
    rules: tuple[JsonObject, ...] = ()  # x-kubernetes-validations as written
    all_of: tuple[Node, ...] = ()
    any_of: tuple[Node, ...] = ()
    one_of: tuple[Node, ...] = ()
    none_of: Node | None = None  # not
    has_defaults: bool = False  # here or below
    has_rules: bool = False  # here or below
    has_shape: bool = False  # here or below an embedded object, or a list that is a set or a map
    has_times: bool = False  # here or below a string that CEL sees as a time, a duration or bytes

    def child(self, key: str) -> Node | None:
        """The schema of property `key`; None if the schema does not know it."""
        return self.properties.get(key) or self.additional


ANYTHING = Node(preserve=True)
TYPED_FORMATS = frozenset({"date-time", "date", "duration", "byte"})
ABSENT = object()  # no value to compare with


def old_property(old: Json, key: str) -> Json:
    """Property `key` of the stored object; ABSENT if there was none."""
    return old.get(key, ABSENT) if isinstance(old, dict) else ABSENT


def old_item(old: Json, node: Node, item: Json) -> Json:
    """The stored item that `item` replaces, by the keys of a list of type map; ABSENT in any other list."""
    if node.list_type != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return ABSENT
    wanted = [item.get(k) for k in node.map_keys]
    return next(
        (o for o in old if isinstance(o, dict) and [o.get(k) for k in node.map_keys] == wanted), ABSENT
    )


_LIMITS = (
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("multiple_of", "multipleOf"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
)


def compile_schema(schema: JsonObject) -> Node:
    """The Node of a JSONSchemaProps. The schema is taken to be structural."""
    properties = {k: compile_schema(v) for k, v in (schema.get("properties") or {}).items()}
    items = compile_schema(schema["items"]) if isinstance(schema.get("items"), dict) else None
    additional = _additional(schema.get("additionalProperties"))
    below = [*properties.values(), *(n for n in (items, additional) if n is not None)]
    enum, negated = schema.get("enum"), schema.get("not")
    rules = tuple(schema.get("x-kubernetes-validations") or ())
    return Node(
        **{name: schema.get(word) for name, word in _LIMITS},
        type=schema.get("type", ""),
        format=schema.get("format", ""),
        nullable=schema.get("nullable", False),
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        embedded=schema.get("x-kubernetes-embedded-resource", False),
        int_or_string=schema.get("x-kubernetes-int-or-string", False),
        has_default="default" in schema,
        default=schema.get("default"),
        properties=properties,
        additional=additional,
        items=items,
        required=tuple(schema.get("required") or ()),
        enum=None if enum is None else tuple(enum),
        exclusive_minimum=schema.get("exclusiveMinimum", False),
        exclusive_maximum=schema.get("exclusiveMaximum", False),
        pattern=schema.get("pattern", ""),
        unique_items=schema.get("uniqueItems", False),
        list_type=schema.get("x-kubernetes-list-type", ""),
        map_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        map_type=schema.get("x-kubernetes-map-type", ""),
        rules=rules,
        all_of=tuple(compile_schema(s) for s in schema.get("allOf") or ()),
        any_of=tuple(compile_schema(s) for s in schema.get("anyOf") or ()),
        one_of=tuple(compile_schema(s) for s in schema.get("oneOf") or ()),
        none_of=compile_schema(negated) if isinstance(negated, dict) else None,
        has_defaults="default" in schema or any(n.has_defaults for n in below),
        has_rules=bool(rules) or any(n.has_rules for n in below),
        has_shape=bool(
            schema.get("x-kubernetes-embedded-resource")
            or schema.get("x-kubernetes-list-type") in ("set", "map")
            or any(n.has_shape for n in below)
        ),
        has_times=schema.get("format") in TYPED_FORMATS or any(n.has_times for n in below),
    )


def _additional(value: Json) -> Node | None:
    if isinstance(value, dict):
        return compile_schema(value)
    return ANYTHING if value is True else None


def prune(value: Json, node: Node, *, root: bool = True) -> Json:
    """`value` without the fields that `node` does not know. The same object if there are none."""
    if isinstance(value, list):
        return _map_list(value, node.items)
    if not isinstance(value, dict):
        return value
    out: JsonObject = {}
    changed = False
    for key, was in value.items():
        if (root or node.embedded) and key in _META_FIELDS:
            out[key] = was
            continue
        child = node.child(key)
        if child is None:
            if node.preserve:
                out[key] = was
            else:
                changed = True
            continue
        now = prune(was, child, root=False) if isinstance(was, dict | list) else was
        out[key] = now
        changed = changed or now is not was
    return out if changed else value


def _map_list(value: list[Json], items: Node | None) -> list[Json]:
    if items is None:
        return value
    out = [prune(v, items, root=False) if isinstance(v, dict | list) else v for v in value]
    return out if any(a is not b for a, b in zip(out, value, strict=True)) else value


def unknown_fields(value: Json, node: Node, path: str = "", *, root: bool = True) -> list[str]:
    """Paths that `prune` would drop, as fieldValidation names them ("spec.foo", "spec.list[0].bar")."""
    if isinstance(value, list):
        items = node.items
        return (
            []
            if items is None
            else [
                p for i, v in enumerate(value) for p in unknown_fields(v, items, f"{path}[{i}]", root=False)
            ]
        )
    if not isinstance(value, dict):
        return []
    out: list[str] = []
    for key, inner in value.items():
        if (root or node.embedded) and key in _META_FIELDS:
            continue
        at = f"{path}.{key}" if path else key
        child = node.child(key)
        if child is not None:
            out += unknown_fields(inner, child, at, root=False)
        elif not node.preserve:
            out.append(at)
    return out


def fill_defaults(value: Json, node: Node, *, root: bool = True) -> Json:
    """`value` with defaults for absent fields, and for nulls where null is not allowed.

    A null that is neither allowed nor has a default is dropped. The same object if nothing changed.
    """
    if isinstance(value, list):
        if node.items is None:
            return value
        items = [_default_element(v, node.items) for v in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    out = dict(value)
    changed = False
    for key, child in node.properties.items():
        if child.has_default and out.get(key) is None and (key not in out or not child.nullable):
            out[key] = child.default
            changed = True
    for key, was in tuple(out.items()):
        if root and key in _META_FIELDS:
            continue
        below = node.child(key)
        if below is None:
            continue
        if was is None:
            if not below.nullable:
                del out[key]
                changed = True
        elif isinstance(was, dict | list):
            out[key] = fill_defaults(was, below, root=False)
            changed = changed or out[key] is not was
    return out if changed else value


def _default_element(value: Json, items: Node) -> Json:
    if value is None and items.has_default and not items.nullable:
        return items.default
    return fill_defaults(value, items, root=False) if isinstance(value, dict | list) else value
