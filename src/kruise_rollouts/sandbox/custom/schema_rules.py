"""Whether the schema of a custom resource is structural and well formed, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.cel.check import DYN, Type, check_cel, optional, type_of_node
from kruise_rollouts.sandbox.cel.program import CelCompileError, Program, compile_cel
from kruise_rollouts.sandbox.patterns import PatternError, pattern_of

from .cel_rules import FIELD_STEP
from .structural import compile_schema, prune
from .value_check import check, forbidden, invalid, required, shown, unsupported

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
# What may not stand below allOf, anyOf, oneOf and not; and the words for it.
_NOT_IN_LOGIC = {
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "title": "must be empty to be structural",
    "type": "must be empty to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
}


class _Place(Struct, frozen=True):
    """Where a schema stands."""

    path: str
    root: bool = False
    why_typed: str = ""  # what is said if the type is missing
    correlatable: bool = True  # whether an old value can be found for a value here


def schema_causes(schema: JsonObject, path: str) -> Iterator[Cause]:
    """What is wrong with the schema of one version, which messages call `path`."""
    yield from _walk(schema, _Place(path, root=True, why_typed="must not be empty at the root"))


def _walk(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    yield from _forbidden_words(schema, at)
    yield from _typed(schema, at)
    yield from _lists(schema, at)
    yield from _logic(schema, at)
    yield from _default(schema, at)
    yield from _cel(schema, at)
    properties: JsonObject = schema.get("properties") or {}
    if at.root:
        yield from _root_properties(properties, at.path)
    for name in sorted(properties):
        if at.root and name in ("metadata", "apiVersion", "kind"):
            continue
        below = _Place(
            f"{at.path}.properties[{name}]",
            why_typed="must not be empty for specified object fields",
            correlatable=at.correlatable,
        )
        yield from _walk(properties[name], below)
    for field, why in (("items", "array items"), ("additionalProperties", "additionalProperties")):
        inner = schema.get(field)
        if isinstance(inner, dict):
            found = at.correlatable and (field != "items" or schema.get("x-kubernetes-list-type") == "map")
            place = _Place(
                f"{at.path}.{field}", why_typed=f"must not be empty for specified {why}", correlatable=found
            )
            yield from _walk(inner, place)


def _forbidden_words(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    if schema.get("$ref"):
        yield forbidden(f"{at.path}.$ref", "$ref is not supported")
    for word in ("dependencies", "definitions", "patternProperties", "additionalItems", "id"):
        if schema.get(word):
            yield forbidden(f"{at.path}.{word}", f"{word} is not supported")
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{at.path}.uniqueItems", why)
    if schema.get("properties") and schema.get("additionalProperties"):
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{at.path}.additionalProperties", why)
    if at.root and schema.get("nullable"):
        yield forbidden(f"{at.path}.nullable", "nullable cannot be true at the root")
    if at.root and schema.get("additionalProperties"):
        yield forbidden(f"{at.path}.additionalProperties", "must not be used at the root")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{at.path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    pattern = schema.get("pattern")
    if pattern:
        try:
            pattern_of(pattern)
        except PatternError as error:
            yield invalid(
                f"{at.path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}"
            )


def _typed(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    free = (
        schema.get("$ref")
        or schema.get("x-kubernetes-int-or-string")
        or schema.get("x-kubernetes-preserve-unknown-fields")
    )
    if kind and kind not in _TYPES:
        yield unsupported(f"{at.path}.type", kind, _TYPES)
    elif not kind and (at.root or not free):
        yield required(f"{at.path}.type", at.why_typed)
    elif at.root and kind != "object":
        yield invalid(f"{at.path}.type", kind, "must be object at the root")
    if kind == "array" and not schema.get("items") and schema.get("items") != {}:
        yield required(f"{at.path}.items", "must be specified")
    if schema.get("x-kubernetes-embedded-resource"):
        condition = "if x-kubernetes-embedded-resource is true"
        if not schema.get("properties") and not schema.get("x-kubernetes-preserve-unknown-fields"):
            why = f"must not be empty {condition} without x-kubernetes-preserve-unknown-fields"
            yield required(f"{at.path}.properties", why)
        if kind and kind != "object":
            yield invalid(f"{at.path}.type", kind, f"must be object {condition}")


def _lists(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    kind, list_type = schema.get("type") or "", schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or []
    items: JsonObject = schema.get("items") or {}
    if list_type and list_type not in ("atomic", "set", "map"):
        yield unsupported(f"{at.path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    elif list_type and kind != "array":
        yield invalid(f"{at.path}.type", kind, "must be array if x-kubernetes-list-type is specified")
    if keys and list_type != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield required(f"{at.path}.x-kubernetes-list-type", why)
    if list_type == "map":
        yield from _map_keys(items, keys, at)
    scalar = items.get("type") not in ("object", "array")
    if list_type == "set" and not scalar and items.get("x-kubernetes-map-type") != "atomic":
        found = items.get("x-kubernetes-map-type")
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if items.get("type") == "object":
            yield invalid(f"{at.path}.items.x-kubernetes-map-type", found, why)


def _map_keys(items: JsonObject, keys: list[str], at: _Place) -> Iterator[Cause]:
    here = f"{at.path}.x-kubernetes-list-map-keys"
    if not keys:
        yield required(here, "must not be empty if x-kubernetes-list-type is map")
    properties = items.get("properties") or {}
    if any(k not in properties for k in keys):
        yield invalid(here, keys, "entries must all be names of item properties")
        return
    for key in keys:
        if "default" not in properties[key] and key not in (items.get("required") or ()):
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{at.path}.items.properties[{key}].default", why)


def _logic(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    """allOf, anyOf, oneOf and not may only constrain values."""
    for word in ("allOf", "anyOf", "oneOf"):
        for index, inner in enumerate(schema.get(word) or ()):
            if not (schema.get("x-kubernetes-int-or-string") and set(inner) <= {"type", "anyOf"}):
                yield from _in_logic(inner, f"{at.path}.{word}[{index}]")
    if schema.get("not"):
        yield from _in_logic(schema["not"], f"{at.path}.not")


def _in_logic(schema: JsonObject, path: str) -> Iterator[Cause]:
    for word in sorted(_NOT_IN_LOGIC):
        if schema.get(word) not in (None, False, "", []):
            yield forbidden(f"{path}.{word}", _NOT_IN_LOGIC[word])
    for name in sorted(schema.get("properties") or {}):
        yield from _in_logic(schema["properties"][name], f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        yield from _in_logic(schema["items"], f"{path}.items")


def _root_properties(properties: JsonObject, path: str) -> Iterator[Cause]:
    for name, wanted in (("apiVersion", "string"), ("kind", "string"), ("metadata", "object")):
        kind = (properties.get(name) or {}).get("type")
        if kind and kind != wanted:
            yield invalid(f"{path}.properties[{name}].type", kind, f"must be {wanted}")
    metadata: JsonObject = properties.get("metadata") or {}
    if set(metadata.get("properties") or {}) - {"name", "generateName"}:
        why = (
            "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )
        yield forbidden(f"{path}.properties[metadata]", why)


def _default(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    """A default must itself fit the schema."""
    if schema.get("default") is None:
        return
    node, value, here = compile_schema(schema), schema["default"], f"{at.path}.default"
    if prune(value, node, root=False) is not value:
        yield invalid(here, value, "must not have unknown fields")
    for cause in check(value, node):
        yield Cause(cause.reason, cause.message, here)


def _cel(schema: JsonObject, at: _Place) -> Iterator[Cause]:
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _rule(rule, schema, f"{at.path}.x-kubernetes-validations[{index}]", at)


def _rule(rule: JsonObject, schema: JsonObject, path: str, at: _Place) -> Iterator[Cause]:
    source, message = rule.get("rule") or "", rule.get("message") or ""
    reason = rule.get("reason")
    if not source.strip():
        yield required(f"{path}.rule", "rule is not specified")
        return
    if "\n" in message.strip():
        yield invalid(f"{path}.message", message, "must not contain line breaks")
    elif "\n" in source.strip() and not message:
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
        return
    if reason and reason not in _REASONS:
        yield unsupported(f"{path}.reason", reason, _REASONS)
    field_path = rule.get("fieldPath") or ""
    if field_path and not _is_below(schema, field_path):
        yield invalid(f"{path}.fieldPath", field_path, "must be a valid path")
    program = None
    variables = _variables(schema, at, optional_old=bool(rule.get("optionalOldSelf")))
    for field, text, wanted, kind in (
        ("rule", source, "bool", "cel expression"),
        ("messageExpression", rule.get("messageExpression"), "string", "messageExpression"),
    ):
        if not text:
            continue
        found = _compiled(text, variables, wanted)
        if isinstance(found, Program):
            program = program or found
            continue
        prefix = "messageExpression " if field != "rule" and found.startswith("compilation failed") else ""
        if not found.startswith("compilation failed"):
            prefix = f"{kind} "
        yield Cause(
            "FieldValueInvalid", f"Invalid value: {_go_rule(rule)}: {prefix}{found}", f"{path}.{field}"
        )
    uses_old = program is not None and "oldSelf" in program.used
    if rule.get("optionalOldSelf") and not uses_old:
        yield invalid(f"{path}.optionalOldSelf", True, "may not be set if oldSelf is not used in rule")
    if uses_old and not at.correlatable and not rule.get("optionalOldSelf"):
        why = "oldSelf cannot be used on the uncorrelatable portion of the schema within"
        yield invalid(f"{path}.rule", source, f"{why} {at.path}")


def _is_below(schema: JsonObject, field_path: str) -> bool:
    """Whether a fieldPath names a property of the schema."""
    if FIELD_STEP.sub("", field_path):
        return False
    node: Json = schema
    for name, key in FIELD_STEP.findall(field_path):
        inner = (node.get("properties") or {}).get(name or key) or node.get("additionalProperties")
        if not isinstance(inner, dict):
            return False
        node = inner
    return True


def _variables(schema: JsonObject, at: _Place, *, optional_old: bool) -> dict[str, Type]:
    kind = type_of_node(compile_schema(schema), root=at.root) or DYN
    return {"self": kind, "oldSelf": optional(kind) if optional_old else kind}


def _compiled(source: str, variables: dict[str, Type], wanted: str) -> Program | str:
    """The program, or why there is none."""
    try:
        program = compile_cel(source, variables)
        kind = check_cel(source, variables)
    except CelCompileError as error:
        return str(error)
    return program if kind.name in (wanted, "dyn") else f"must evaluate to a {wanted}"


def _go_rule(rule: JsonObject) -> str:
    """The rule as Kubernetes prints it."""
    fields: JsonObject = {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    ordered = ",".join(f"{shown(k)}:{shown(v)}" for k, v in fields.items())
    return "{" + ordered.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "}"
