"""Bodies against the schema of their kind: unknown and repeated fields, values of the wrong type.

The value that comes out is what an API server would go on with: unknown fields and nulls of built-in kinds are gone
(custom kinds are pruned by custom/structural.py). Limits and formats are the business of validation.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Cause, Details, Invalid
from kruise_rollouts.kube.patch import json_type
from kruise_rollouts.sandbox.wire.bodies import BadBody, Repeated, decode_noting, decode_yaml, repeated_keys

from .field_types import WrongType, check_scalar, go_type, is_plain
from .schema import ABSENT, INT_OR_STRING, OBJECT_META, Node, definition, schema_of

_MAX_PROBLEMS = 100
TYPE_META = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)


class Expected(Struct, frozen=True):
    """What a body should be: the kind that the URL names."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def check_fields(
    body: bytes, schema: Node, expected: Expected, content_type: str = "application/json"
) -> tuple[JsonObject, tuple[str, ...]]:
    """The object in `body`, and what strict field validation has against it: `unknown field "spec.foo"`.

    apiVersion and kind are filled in if they are absent. Raises BadRequest for a body that is not such an object.
    """
    yaml_problems: tuple[str, ...] = ()
    repeated = False
    try:
        if "yaml" in content_type:
            value, twice = decode_yaml(body)
            if twice:
                yaml_problems = ("yaml: unmarshal errors:\n  " + "\n  ".join(twice),)
        else:
            value, repeated = decode_noting(body)
    except BadBody as error:
        prefix = "" if str(error).startswith("yaml:") else "couldn't get version/kind; json parse error: "
        raise _unrecognized(f"{prefix}{error}", body, expected) from error
    obj = _type_meta(value, body, expected)
    if schema.native:
        obj = _with_kind(obj, expected)
        _check_kind(obj, expected)
    else:
        _check_custom_kind(obj, body, expected)
    try:
        obj, problems = check_object(obj, schema, repeated=repeated)
    except WrongType as error:
        raise _unhandled(obj, str(error), expected) from error
    return obj, yaml_problems + problems


def strict_refusal(obj: JsonObject, problems: Iterable[str], expected: Expected) -> ApiError:
    """The refusal of an object that has `problems`, under fieldValidation=Strict."""
    return _unhandled(obj, strict_text(problems), expected)


def strict_text(problems: Iterable[str]) -> str:
    return "strict decoding error: " + ", ".join(problems)


def _unhandled(obj: JsonObject, text: str, expected: Expected) -> ApiError:
    version = obj["apiVersion"].rpartition("/")[2]
    kind = obj["kind"]
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {expected.kind}: {text}')


def _unrecognized(text: str, body: bytes, expected: Expected) -> ApiError:
    if not body:
        summary = "<empty>"
    else:
        start = body[:30].decode("utf-8", "replace") if body.startswith(b"{") else body[:30].hex()
        summary = start + (" ..." if len(body) > 30 else "")
    return BadRequest(
        f"the object provided is unrecognized (must be of type {expected.kind}): {text} ({summary})"
    )


def _type_meta(value: Json, body: bytes, expected: Expected) -> JsonObject:
    parse_error = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise _unrecognized(
            f"{parse_error} {json_type(value)} into Go value of type {TYPE_META}", body, expected
        )
    for field in ("apiVersion", "kind"):
        given = value.get(field)
        if given is not None and not isinstance(given, str):
            text = f"{parse_error} {json_type(given)} into Go struct field .{field} of type string"
            raise _unrecognized(text, body, expected)
    if (value.get("apiVersion") or "").count("/") > 1:
        raise _unrecognized(f"unexpected GroupVersion string: {value['apiVersion']}", body, expected)
    return value


def _with_kind(value: JsonObject, expected: Expected) -> JsonObject:
    """`value` with apiVersion and kind, as the URL says if it does not say itself."""
    api_version = value.get("apiVersion") or expected.api_version
    kind = value.get("kind") or expected.kind
    filled = {"apiVersion": api_version, "kind": kind}
    if value.get("apiVersion") == api_version and value.get("kind") == kind:
        return value
    if isinstance(value, Repeated):
        return Repeated([*((k, v) for k, v in filled.items() if not value.get(k)), *value.pairs])
    return {**filled, **{k: v for k, v in value.items() if k not in filled}}


def _check_kind(obj: JsonObject, expected: Expected) -> None:
    api_version, kind = obj["apiVersion"], obj["kind"]
    if (api_version, kind) == (expected.api_version, expected.kind):
        return
    group, _, version = api_version.rpartition("/")
    if schema_of(group, version, kind) is None:
        text = f'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'
        raise _unhandled(obj, text, expected)
    if (group, kind) == (expected.group, expected.kind):
        _check_version(api_version, expected)
    internal = f"{expected.group.split('.')[0] or 'core'}.{expected.kind}"
    raise _unhandled(obj, f"converting ({version}.{kind}) to ({internal}): unknown conversion", expected)


def _check_custom_kind(obj: JsonObject, body: bytes, expected: Expected) -> None:
    if not obj.get("kind"):
        text = f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'"
        raise _unrecognized(text, body, expected)
    _check_version(obj.get("apiVersion") or "", expected)
    if obj["kind"] != expected.kind:
        name = (obj.get("metadata") or {}).get("name", "")
        text = f'Invalid value: "{obj["kind"]}": must be {expected.kind}'
        raise Invalid(
            f'{obj["kind"]}.{expected.group} "{name}" is invalid: kind: {text}',
            details=Details(
                name, expected.group, obj["kind"], causes=(Cause("FieldValueInvalid", text, "kind"),)
            ),
        )


def _check_version(api_version: str, expected: Expected) -> None:
    if api_version != expected.api_version:
        raise BadRequest(
            f"the API version in the data ({api_version}) does not match "
            f"the expected API version ({expected.api_version})"
        )


def check_object(
    obj: JsonObject, schema: Node, *, repeated: bool = False
) -> tuple[JsonObject, tuple[str, ...]]:
    """A decoded object as an API server understands it, and its unknown and repeated fields.

    `repeated`: there may be a `Repeated` anywhere in it.
    Raises WrongType for the first value of a wrong type.
    """
    check = _Check(schema.native, repeated)
    if not schema.native:
        check.custom_meta(obj)
    out = check.object(obj, schema, "", "", schema.definition.rpartition(".")[2])
    problems = check.problems
    if not schema.native:
        # First what reading has found, then what pruning has: metadata, and the rest by path.
        unknown = sorted(problems, key=lambda p: (not p.startswith('unknown field "metadata.'), p))
        problems = [*(repeated_keys(obj) if repeated else ()), *unknown]
    return out, tuple(dict.fromkeys(problems))[:_MAX_PROBLEMS]


class _Check:
    """One walk. `path` has indices and map keys, for unknown fields; `field` has not, for type errors."""

    def __init__(self, native: bool, repeated: bool) -> None:
        self.native = native
        self.anywhere = repeated  # look into what the schema leaves open, too
        self.problems: list[str] = []

    def custom_meta(self, obj: JsonObject) -> None:
        """The metadata of a custom object is decoded by itself, as a struct of Go."""
        meta = obj.get("metadata")
        if meta is None:
            return
        node = definition(OBJECT_META)
        if not isinstance(meta, dict):
            raise WrongType(f"json: cannot unmarshal {json_type(meta)} into Go value of type {go_type(node)}")
        _Check(True, False).object(meta, node, "", "", "ObjectMeta")

    def object(self, obj: JsonObject, node: Node, path: str, field: str, struct: str) -> JsonObject:
        if isinstance(obj, Repeated) and self.native:
            return self.repeated(obj, node, path, field, struct)
        out: JsonObject | None = None
        known = node.known
        for key, value in obj.items():
            child = known.get(key) or node.child(key)
            if child is not None and is_plain(value, child):
                continue
            new = self.member(key, value, child, node, (path, field, struct))
            if new is not value:
                out = dict(obj) if out is None else out
                if new is ABSENT:
                    del out[key]
                else:
                    out[key] = new
        return obj if out is None else out

    def member(self, key: str, value: Json, child: Node | None, node: Node, at: tuple[str, str, str]) -> Json:
        """`value` of `key`, understood; ABSENT if it is not kept. `at`: path, field and struct of the object."""
        path, field, struct = at
        if child is None:
            self.problems.append(f'unknown field "{_below(path, key)}"')
            return ABSENT if self.native else value
        if value is None:
            if self.native and not node.properties:  # of a map: its values have a zero
                if child.definition.endswith(".Quantity"):
                    return "0"
                if child.type == "string":
                    return ""
            return ABSENT if self.native and not node.opaque else value
        below = _below(field, key) if key in node.known else field
        return self.value(value, child, _below(path, key), below, struct)

    def repeated(self, obj: Repeated, node: Node, path: str, field: str, struct: str) -> JsonObject:
        """Every value is read, the last one counts; a field nobody knows is not counted."""
        out: JsonObject = {}
        seen: set[str] = set()
        for key, value in obj.pairs:
            child = node.known.get(key) or node.child(key)
            if key in seen and child is not None:
                self.problems.append(f'duplicate field "{_below(path, key)}"')
            seen.add(key)
            new = self.member(key, value, child, node, (path, field, struct))
            if new is not ABSENT:
                out[key] = new
        return out

    def value(self, value: Json, node: Node, path: str, field: str, struct: str) -> Json:
        if node.definition == INT_OR_STRING:
            check_scalar(value, node, struct, field)
        elif node.opaque and not self.anywhere:
            return value
        elif isinstance(value, dict) and node.may_be_map:
            name = node.definition.rpartition(".")[2] or struct
            return self.object(value, node, path, field, name)
        elif isinstance(value, list) and node.may_be_list:
            return self.list(value, node, path, field, struct)
        elif self.native and value is not None:
            check_scalar(value, node, struct, field)
        elif isinstance(value, dict) and not node.open:
            self.problems += [f'unknown field "{_below(path, key)}"' for key in value]
        return value

    def list(self, items: list[Json], node: Node, path: str, field: str, struct: str) -> list[Json]:
        if self.native and None in items:
            items = [_zero_of(node.items) if v is None else v for v in items]
        out = [self.value(v, node.items, f"{path}[{i}]", field, struct) for i, v in enumerate(items)]
        return items if all(map(_is, out, items)) else out


def _zero_of(node: Node) -> Json:
    """What a null in a list of a built-in kind is read as."""
    if node.properties:
        return {}
    return {"string": "", "integer": 0}.get(node.type)


def _is(a: Json, b: Json) -> bool:
    return a is b


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
