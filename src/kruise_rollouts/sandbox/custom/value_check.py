"""Whether a custom object fits its schema, said in Kubernetes' words and as its causes.

`check` and then `check_shape` give Causes in the order Kubernetes lists them; CEL rules are asked afterwards by
cel_rules.py and only if nothing here `blocks`. What has not changed since it was stored is not checked again (so a
stricter schema does not lock old objects). A field path is "spec.list[0].name"; "<nil>" where Kubernetes names none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.patterns import matches
from kruise_rollouts.sandbox.wording import quoted

from .formats import FORMATS
from .structural import ABSENT, Node, old_item, old_property

NO_FIELD = "<nil>"
_BLOCKING = frozenset(
    {
        "FieldValueRequired",
        "FieldValueTypeInvalid",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueNotSupported",
    }
)
_INT_RANGES = {"int32": 1 << 31, "int64": 1 << 63}
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def shown(value: Json) -> str:
    """`value` as Kubernetes quotes it in a message."""
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def invalid(path: str, value: Json, message: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {shown(value)}: {message}", path)


def required(path: str, message: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {message}" if message else "Required value", path)


def unsupported(path: str, value: Json, allowed: tuple[Json, ...]) -> Cause:
    options = ", ".join(shown(a if isinstance(a, str) else shown(a)) for a in allowed)
    return Cause(
        "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {options}", path
    )


def forbidden(path: str, message: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {message}", path)


def duplicate(path: str, value: Json) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown(value)}", path)


def too_many(path: str, count: int, limit: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", path)


def too_long(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def blocks(causes: tuple[Cause, ...]) -> bool:
    """Whether CEL rules cannot be asked: the object has not even the shape they were written for."""
    return any(c.reason in _BLOCKING for c in causes)


def check(value: Json, node: Node, old: Json = ABSENT) -> tuple[Cause, ...]:
    """What the schema says against `value`, which replaces `old`; () if it fits."""
    return tuple(_check(value, node, "", old))


def check_shape(value: Json, node: Node) -> tuple[Cause, ...]:
    """What is wrong with embedded objects and with lists that are sets or maps."""
    if not node.has_shape:
        return ()
    return (*_embedded(value, node, ""), *_repeated(value, node, ""))


def _check(value: Json, node: Node, path: str, old: Json = ABSENT) -> Iterator[Cause]:
    if (value is None and node.nullable) or (old is not ABSENT and old == value):
        return
    wrong = _type(value, node, path)
    if wrong is not None:
        yield wrong
    if node.enum is not None and not any(_same(value, option) for option in node.enum):
        yield unsupported(path, value, node.enum)
    if isinstance(value, bool) or value is None:
        pass
    elif isinstance(value, int | float):
        yield from _number(value, node, path)
    elif wrong is not None:
        return
    elif isinstance(value, str):
        yield from _string(value, node, path)
    elif isinstance(value, list):
        yield from _array(value, node, path, old)
    elif isinstance(value, dict):
        yield from _object(value, node, path, old)
    yield from _alternatives(value, node, path)


def _same(a: Json, b: Json) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def type_name(value: Json) -> str:
    return _NAMES.get(type(value), "null")


def _type(value: Json, node: Node, path: str) -> Cause | None:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    whole = is_int or (isinstance(value, float) and value.is_integer())
    if node.int_or_string:
        return (
            None if whole or isinstance(value, str) else _mistyped(path, "integer,string", type_name(value))
        )
    if not node.type:
        return None if value is not None or node.preserve else _mistyped(path, node.type, "null")
    if is_int and not -(1 << 63) <= value < (1 << 63) and node.format == "int64":
        return _mistyped(path, "int64", "float64")
    if (
        type_name(value) == node.type
        or (node.type == "number" and is_int)
        or (node.type == "integer" and whole)
    ):
        return None
    return _mistyped(path, node.type, type_name(value))


def _mistyped(path: str, expected: str, found: Json) -> Cause:
    message = f"Invalid value: {shown(found)}: {_in_body(path)}must be of type {expected}: {shown(found)}"
    return Cause("FieldValueTypeInvalid", message, path or NO_FIELD)


def _in_body(path: str) -> str:
    return f"{path} in body "


def _number(value: float, node: Node, path: str) -> Iterator[Cause]:
    if node.type == "integer":
        limit = _INT_RANGES.get(node.format)
        if value != int(value) or (limit is not None and not -limit <= value < limit):
            kind = f"with format {node.format}" if limit is not None else "(default format)"
            yield invalid(NO_FIELD, "", f"Checked value must be of type integer {kind} in {path}")
    if node.multiple_of is not None and value % node.multiple_of:
        yield invalid(path, value, f"{_in_body(path)}should be a multiple of {node.multiple_of:g}")
    high, low = node.maximum, node.minimum
    if high is not None and (value >= high if node.exclusive_maximum else value > high):
        than = "less than" if node.exclusive_maximum else "less than or equal to"
        yield invalid(path, value, f"{_in_body(path)}should be {than} {shown(high)}")
    if low is not None and (value <= low if node.exclusive_minimum else value < low):
        than = "greater than" if node.exclusive_minimum else "greater than or equal to"
        yield invalid(path, value, f"{_in_body(path)}should be {than} {shown(low)}")


def _string(value: str, node: Node, path: str) -> Iterator[Cause]:
    if node.max_length is not None and len(value) > node.max_length:
        yield too_long(path, node.max_length)
    if node.min_length is not None and len(value) < node.min_length:
        yield invalid(path, value, f"{_in_body(path)}should be at least {node.min_length} chars long")
    if node.pattern and not matches(node.pattern, value):
        yield invalid(path, value, f"{_in_body(path)}should match '{node.pattern}'")
    well_formed = FORMATS.get(node.format)
    if well_formed is not None and not well_formed(value):
        yield _mistyped(path, node.format, value)


def _array(value: list[Json], node: Node, path: str, old: Json) -> Iterator[Cause]:
    if node.items is not None:
        for index, item in enumerate(value):
            yield from _check(item, node.items, f"{path}[{index}]", old_item(old, node, item))
    if node.min_items is not None and len(value) < node.min_items:
        yield invalid(path, len(value), f"{_in_body(path)}should have at least {node.min_items} items")
    if node.max_items is not None and len(value) > node.max_items:
        yield too_many(path, len(value), node.max_items)
    if node.unique_items and len({shown(v) for v in value}) < len(value):
        yield duplicate(path, value)


def _object(value: dict[str, Json], node: Node, path: str, old: Json) -> Iterator[Cause]:
    if node.min_properties is not None and len(value) < node.min_properties:
        yield invalid(
            path, len(value), f"{_in_body(path)}should have at least {node.min_properties} properties"
        )
    if node.max_properties is not None and len(value) > node.max_properties:
        yield too_many(path, len(value), node.max_properties)
    for name in node.required:
        if name not in value:
            yield required(f"{path}.{name}" if path else name)
    for key in sorted(value):
        child = node.child(key)
        if child is not None:
            yield from _check(value[key], child, f"{path}.{key}" if path else key, old_property(old, key))


def _alternatives(value: Json, node: Node, path: str) -> Iterator[Cause]:
    """allOf, anyOf, oneOf, not. The nearest alternative explains itself, as in Kubernetes."""
    if node.any_of:
        tried = [tuple(_check(value, n, path)) for n in node.any_of]
        if all(tried) and not (node.int_or_string and not isinstance(value, int | str)):
            yield invalid(NO_FIELD, "", f'"{path}" must validate at least one schema (anyOf)')
            yield from _nearest(tried)
    if node.one_of:
        tried = [tuple(_check(value, n, path)) for n in node.one_of]
        valid = sum(not t for t in tried)
        if valid != 1:
            found = "Found none valid" if not valid else f"Found {valid} valid alternatives"
            yield invalid(NO_FIELD, "", f'"{path}" must validate one and only one schema (oneOf). {found}')
        if not valid:
            yield from _nearest(tried)
    if node.all_of:
        tried = [tuple(_check(value, n, path)) for n in node.all_of]
        for causes in tried:
            yield from causes
        valid = sum(not t for t in tried)
        if valid < len(tried):
            none = ". None validated" if not valid else ""
            yield invalid(NO_FIELD, "", f'"{path}" must validate all the schemas (allOf){none}')
    if node.none_of is not None and not tuple(_check(value, node.none_of, path)):
        yield invalid(NO_FIELD, "", f'"{path}" must not validate the schema (not)')


def _nearest(tried: list[tuple[Cause, ...]]) -> tuple[Cause, ...]:
    """The first alternative that failed least."""
    return min(tried, key=len)


def _embedded(value: Json, node: Node, path: str) -> Iterator[Cause]:
    """apiVersion and kind of embedded objects."""
    if not node.has_shape:
        return
    for found, below, at in _below(value, node, path):
        yield from _embedded(found, below, at)
    if not node.embedded or not isinstance(value, dict):
        return
    for name in ("apiVersion", "kind"):
        text = value.get(name)
        at = f"{path}.{name}"
        if not text:
            yield required(at)
        elif not isinstance(text, str):
            yield _mistyped(at, "string", type_name(text))
        elif name == "apiVersion" and text.count("/") > 1:
            yield invalid(at, text, f"unexpected GroupVersion string: {text}")
        elif name == "kind" and not matches("^[a-z]([-a-z0-9]*[a-z0-9])?$", text.lower()):
            yield invalid(at, text, KIND_RULE)


LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
KIND_RULE = "may have mixed case, but should otherwise match: " + LABEL_1035_RULE


def _repeated(value: Json, node: Node, path: str) -> Iterator[Cause]:
    """Items that occur twice in a list of type set or map."""
    if not node.has_shape:
        return
    if isinstance(value, list) and node.list_type in ("set", "map"):
        seen: set[str] = set()
        for index, item in enumerate(value):
            key = item if node.list_type == "set" else _map_key(item, node)
            text = shown(key)
            if text in seen:
                yield duplicate(f"{path}[{index}]", key)
            seen.add(text)
    for found, below, at in _below(value, node, path):
        yield from _repeated(found, below, at)


def _map_key(item: Json, node: Node) -> Json:
    if not isinstance(item, dict):
        return item
    return {k: item[k] for k in node.map_keys if k in item}


def _below(value: Json, node: Node, path: str) -> Iterator[tuple[Json, Node, str]]:
    if isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            yield item, node.items, f"{path}[{index}]"
    elif isinstance(value, dict):
        for key in sorted(value):
            child = node.child(key)
            if child is not None:
                known = key in node.properties
                yield value[key], child, (f"{path}.{key}" if path else key) if known else f"{path}[{key}]"
