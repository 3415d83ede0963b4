"""Reads Kubernetes' protobuf bodies of built-in kinds, as the typed commands of newer kubectl send them.

Answers are JSON: every client that writes protobuf also accepts that. Field numbers are recorded facts
(data/protobuf.json.gz, made by scripts/record_protobuf.py).
"""

from __future__ import annotations

import base64
import gzip
import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TypeAlias

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject

MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
# Options go by the group and version of the resource that they are for.
_OPTIONS = ("CreateOptions", "UpdateOptions", "PatchOptions", "DeleteOptions", "GetOptions", "ListOptions")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GO_PACKAGES = {
    "": "core",
    "meta.k8s.io": "",
    "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
    "flowcontrol.apiserver.k8s.io": "flowcontrol",
    "rbac.authorization.k8s.io": "rbac",
}


class Malformed(ValueError):
    """Bytes that are no such message."""


class Field(Struct, frozen=True, array_like=True):
    name: str  # in JSON; "" if its members are written in its place
    form: str  # optional, repeated, map
    type: str
    zero_is_absent: bool


Message: TypeAlias = dict[int, Field]
Wire: TypeAlias = int | bytes


@cache
def _messages() -> dict[str, Message]:
    raw = files("kruise_rollouts.sandbox").joinpath("data/protobuf.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(raw), type=dict[str, dict[int, Field]], strict=False)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("unexpected EOF")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> list[tuple[int, Wire]]:
    """(number, value) in the order of the wire; fixed-width values come as bytes."""
    out: list[tuple[int, Wire]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        value: Wire
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, at = _varint(data, at)
            if at + length > len(data):
                raise Malformed("unexpected EOF")
            value, at = data[at : at + length], at + length
        else:
            raise Malformed(f"proto: illegal wireType {wire}")
        out.append((key >> 3, value))
    return out


def _type_of(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind in _OPTIONS:
        return _META + kind
    package = _GO_PACKAGES.get(group, group.removesuffix(".k8s.io"))
    if not package.startswith("k8s.io."):
        package = f"k8s.io.api.{package}"
    return f"{package}.{version}.{kind}"


def decode(body: bytes, api_version: str = "", kind: str = "") -> JsonObject:
    """The object in an enveloped body; `api_version` and `kind` if the envelope does not say.

    Raises Malformed, LookupError for a kind that has no protobuf form.
    """
    if not body.startswith(MAGIC):
        raise Malformed("the body is not marked as protobuf")
    raw = b""
    for number, value in _fields(body[len(MAGIC) :]):
        if number == 1 and isinstance(value, bytes):
            for inner, text in _fields(value):
                if inner == 1 and text:
                    api_version = _text(text)
                elif inner == 2 and text:
                    kind = _text(text)
        elif number == 2 and isinstance(value, bytes):
            raw = value
    message = _type_of(api_version, kind)
    if message not in _messages():
        raise LookupError(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"apiVersion": api_version, "kind": kind, **_object(raw, message)}


def _text(value: Wire) -> str:
    if not isinstance(value, bytes):
        raise Malformed("proto: wrong wireType")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("proto: invalid UTF-8") from None


def _object(data: bytes, message: str, depth: int = 0) -> JsonObject:
    if depth > 200:
        raise Malformed("proto: nested too deeply")
    fields = _messages()[message]
    out: JsonObject = {}
    for number, wire in _fields(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.form == "map":
            key, value = _pair(wire, field, depth)
            out.setdefault(field.name, {})[key] = value
            continue
        value = _value(wire, field.type, depth)
        if field.form == "repeated":
            out.setdefault(field.name, []).append(value)
        elif field.name == "" and isinstance(value, dict):
            out.update(value)
        elif value is not None and (value or not field.zero_is_absent or isinstance(value, dict)):
            out[field.name] = value
    return out


def _pair(wire: Wire, field: Field, depth: int) -> tuple[str, Json]:
    if not isinstance(wire, bytes):
        raise Malformed("proto: wrong wireType")
    parts = dict(_fields(wire))
    empty: Wire = 0 if field.type in ("int32", "int64", "bool") else b""
    return _text(parts.get(1, b"")), _value(parts.get(2, empty), field.type, depth)


def _value(wire: Wire, type: str, depth: int) -> Json:
    if isinstance(wire, int):
        if type == "bool":
            return bool(wire)
        return wire - (1 << 64) if wire >= 1 << 63 else wire
    match type:
        case "string":
            return _text(wire)
        case "bytes":
            return base64.b64encode(wire).decode()
        case "double":
            return struct.unpack("<d", wire)[0]
    return _special(wire, type.rpartition(".")[2], type, depth)


def _special(data: bytes, name: str, type: str, depth: int) -> Json:
    """Messages that JSON writes in a form of their own; any other is an object."""
    inner = _object(data, type, depth + 1)
    match name:
        case "Time" | "MicroTime":
            if not inner:
                return None
            at = _EPOCH + timedelta(
                seconds=inner.get("seconds", 0), microseconds=inner.get("nanos", 0) // 1000
            )
            return at.strftime("%Y-%m-%dT%H:%M:%SZ" if name == "Time" else "%Y-%m-%dT%H:%M:%S.%fZ")
        case "IntOrString":
            return inner.get("strVal", "") if inner.get("type") else inner.get("intVal", 0)
        case "Quantity":
            return inner.get("string", "")
        case "Duration" if "duration" in inner:
            return f"{inner['duration'] / 1e9:g}s"
        case "FieldsV1" | "RawExtension" | "JSON":
            raw = next((v for n, v in _fields(data) if n == 1), b"")
            return _embedded(raw if isinstance(raw, bytes) else b"")
        case "ExtraValue" | "Verbs":
            return inner.get("items", [])
        case "JSONSchemaPropsOrBool":
            return inner["schema"] if "schema" in inner else bool(inner.get("allows"))
        case "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray":
            return inner.get("jSONSchemas") or inner.get("property") or inner.get("schema")
    return inner


def _embedded(raw: bytes) -> Json:
    try:
        return msgspec.json.decode(raw) if raw else None
    except msgspec.MsgspecError:
        raise Malformed("embedded JSON cannot be read") from None
