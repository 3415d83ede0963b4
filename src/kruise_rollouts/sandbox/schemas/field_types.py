"""Scalars of built-in kinds: which JSON a field takes, and how Go's decoder complains of another.

Go type names are told from definition names, as far as those tell them.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import cache
from typing import TypeAlias

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.patch import json_type
from kruise_rollouts.sandbox.wording import number, quoted, type_of

from .schema import Node

_SMALL = 2**31
_LIMITS = {"int32": 2**31, "int64": 2**63, "": 2**63}
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)")
_QUANTITY_ERROR = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_Layout: TypeAlias = tuple[tuple[str, str], ...]  # parts as Go writes them, with the pattern of each
_DAY_AND_TIME: _Layout = (
    ("2006", r"\d{4}"), ("-", "-"), ("01", r"(0[1-9]|1[0-2])"), ("-", "-"), ("02", r"(0[1-9]|[12]\d|3[01])"),
    ("T", "T"), ("15", r"([01]\d|2[0-3])"), (":", ":"), ("04", r"[0-5]\d"), (":", ":"), ("05", r"[0-5]\d"),
)  # fmt: skip
_WHOLE: _Layout = (*_DAY_AND_TIME, ("Z07:00", r"(\.\d+|,\d+)?(Z|[+-]\d\d:\d\d)"))
_MICRO: _Layout = (*_DAY_AND_TIME, (".000000", r"\.\d{6}"), ("Z07:00", r"(Z|[+-]\d\d:\d\d)"))
_ENUM_TYPES = {
    "imagePullPolicy": "v1.PullPolicy",
    "protocol": "v1.Protocol",
    "restartPolicy": "v1.RestartPolicy",
    "dnsPolicy": "v1.DNSPolicy",
    "terminationMessagePolicy": "v1.TerminationMessagePolicy",
    "operator": "v1.TolerationOperator",
    "effect": "v1.TaintEffect",
    "sessionAffinity": "v1.ServiceAffinity",
}


class WrongType(ValueError):
    """A value that the field cannot hold; str() is the complaint of Go's JSON decoder.

    `converted` is the complaint of a strategic merge patch, which does not go through JSON.
    """

    def __init__(self, text: str, converted: str = "") -> None:
        super().__init__(text)
        self.converted = converted or text


def go_type(node: Node) -> str:
    """The Go type of `node`: v1.Container, []string, map[string]string, int32."""
    if node.definition.endswith(".IntOrString"):
        return "int32"
    if node.definition:
        package, _, name = node.definition.rpartition(".")
        return f"{package.rpartition('.')[2]}.{name}"
    match node.type:
        case "array":
            return "[]" + go_type(node.items)
        case "object":
            below = node.additional
            return "map[string]" + (go_type(below) if below is not None else "interface {}")
        case "integer":
            return node.format or "int64"
        case "number":
            return "float64"
        case "boolean":
            return "bool"
        case _:
            return "[]uint8" if node.format == "byte" else "string"


def is_plain(value: Json, node: Node) -> bool:
    """Whether `value` is so clearly what `node` takes that nobody needs to look closer."""
    kind = type(value)
    if kind is str:
        return node.plain_string
    if kind is bool:
        return node.type == "boolean"
    return kind is int and node.type == "integer" and -_SMALL <= value < _SMALL


def check_scalar(value: Json, node: Node, struct: str, field: str) -> None:
    """Raises WrongType if `value`, not null, is not what `node` takes; objects and lists are never."""
    name = node.definition.rpartition(".")[2]
    if node.opaque:
        return
    match name:
        case "Quantity":
            _check_quantity(value)
            return
        case "Time" | "MicroTime":
            _check_time(value, struct, field, _MICRO if name == "MicroTime" else _WHOLE)
            return
        case "IntOrString":
            if isinstance(value, str) or _is_int(value, "int32"):
                return
        case "":
            if _fits(value, node):
                return
        case _ if not node.type:
            return
    shown = json_type(value)
    wanted = go_type(node)
    if shown == "number" and wanted in ("int32", "int64"):
        shown = f"number {number(value) if isinstance(value, float) else value}"
    if node.enum:
        wanted = _ENUM_TYPES.get(field.rpartition(".")[2], wanted)
    raise WrongType(
        f"json: cannot unmarshal {shown} into Go struct field {struct}.{field} of type {wanted}",
        _not_convertible(value, node, wanted),
    )


def _not_convertible(value: Json, node: Node, wanted: str) -> str:
    kind = {"map[string]interface {}": "map", "[]interface {}": "slice"}.get(type_of(value), type_of(value))
    match node.type:
        case "array":
            return f"cannot restore slice from {kind}"
        case "object" if node.properties:
            return f"cannot restore struct from: {kind}"
        case "object":
            return f"cannot restore map from {kind}"
        case _:
            return f"cannot convert {type_of(value)} to {wanted}"


def _fits(value: Json, node: Node) -> bool:
    match node.type:
        case "string":
            if isinstance(value, str) and node.format == "byte":
                _check_base64(value)
            return isinstance(value, str)
        case "integer":
            return _is_int(value, node.format)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "":
            return True
        case _:
            return False


def _is_int(value: Json, kind: str) -> bool:
    limit = _LIMITS.get(kind, 2**63)
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit


def _check_quantity(value: Json) -> None:
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool | dict | list) or not _QUANTITY.fullmatch(text):
        raise WrongType(_QUANTITY_ERROR)


def _check_base64(value: str) -> None:
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        bad = re.search(r"[^A-Za-z0-9+/]", text.rstrip("="))
        at = bad.start() if bad else len(text) - len(text) % 4
        raise WrongType(f"illegal base64 data at input byte {at}") from None


@cache
def _whole(layout: _Layout) -> re.Pattern[str]:
    """Times without a fault in them."""
    return re.compile("".join(pattern for _, pattern in layout))


def _check_time(value: Json, struct: str, field: str, layout: _Layout) -> None:
    if not isinstance(value, str):
        raise WrongType(
            f"json: cannot unmarshal {json_type(value)} into Go struct field {struct}.{field} of type string"
        )
    if _whole(layout).fullmatch(value):
        return
    full = quoted("".join(part for part, _ in layout))
    rest = value
    for part, pattern in layout:
        found = re.match(pattern, rest)
        if found is None:
            raise WrongType(
                f"parsing time {quoted(value)} as {full}: cannot parse {quoted(rest)} as {quoted(part)}"
            )
        rest = rest[found.end() :]
    if rest:
        raise WrongType(f"parsing time {quoted(value)}: extra text: {quoted(rest)}")
