"""An OpenAPI v2 document as the protobuf message that kubectl up to 1.26 insists on.

Only what such documents of an API server contain: schemas, operations with their parameters and responses, and
extensions (as JSON, which is YAML). Field numbers are those of the published message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject

Encode: TypeAlias = Callable[[Json], bytes]
Fields: TypeAlias = Mapping[str, tuple[int, Encode]]

_json = msgspec.json.Encoder().encode


def document(doc: JsonObject) -> bytes:
    """`doc`, an OpenAPI v2 document, encoded."""
    paths = b"".join(_named(2, path, _path_item(item)) for path, item in doc.get("paths", {}).items())
    return b"".join(
        (
            _text(1, doc["swagger"]),
            _message(2, _text(1, doc["info"]["title"]) + _text(2, doc["info"]["version"])),
            _message(8, paths),
            _message(9, _all_named(doc["definitions"], _schema)),
            _message(10, _all_named(doc.get("parameters", {}), _parameter)),
        )
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode())


def _named(number: int, name: str, content: bytes) -> bytes:
    return _message(number, _text(1, name) + _message(2, content))


def _all_named(members: JsonObject, encode: Encode) -> bytes:
    return b"".join(_named(1, name, encode(value)) for name, value in members.items())


def _any(value: Json) -> bytes:
    return _message(2, _json(value) + b"\n")


def _extensions(number: int, obj: JsonObject) -> bytes:
    return b"".join(_named(number, k, _any(v)) for k, v in obj.items() if k.startswith("x-"))


def _encoded(obj: JsonObject, fields: Fields, extensions: int) -> bytes:
    known = ((fields[k], v) for k, v in obj.items() if k in fields)
    parts = [_field(number, encode, value) for (number, encode), value in known]
    return b"".join(parts) + _extensions(extensions, obj)


def _field(number: int, encode: Encode, value: Json) -> bytes:
    if encode is _flag:
        return _varint(number << 3) + _varint(int(value))
    if encode is _number:
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if encode in _REPEATED:
        return b"".join(_message(number, _REPEATED[encode](item)) for item in value)
    return _message(number, encode(value))


def _flag(value: Json) -> bytes:
    raise TypeError(f"not encoded by itself: {value!r}")


def _number(value: Json) -> bytes:
    raise TypeError(f"not encoded by itself: {value!r}")


def _string(value: Json) -> bytes:
    return str(value).encode()


def _strings(value: Json) -> bytes:
    return b"".join(_text(1, item) for item in value)


def _each_string(value: Json) -> bytes:
    return _string(value)


def _each_any(value: Json) -> bytes:
    return _any(value)


def _each_parameter(value: Json) -> bytes:
    if "$ref" in value:
        return _message(2, _text(1, value["$ref"]))
    return _message(1, _parameter(value))


def _type(value: Json) -> bytes:
    return _strings([value] if isinstance(value, str) else value)


def _items(value: Json) -> bytes:
    return _message(1, _schema(value))


def _additional(value: Json) -> bytes:
    return _varint(2 << 3) + _varint(int(value)) if isinstance(value, bool) else _message(1, _schema(value))


def _properties(value: Json) -> bytes:
    return _all_named(value, _schema)


def _schema(value: Json) -> bytes:
    return _encoded(value, _SCHEMA, 31)


def _parameter(value: Json) -> bytes:
    if value["in"] == "body":
        return _message(1, _encoded(value, _BODY_PARAMETER, 6))
    if value["in"] == "path":
        return _message(2, _message(4, _encoded(value, _PATH_PARAMETER, 22)))
    return _message(2, _message(3, _encoded(value, _QUERY_PARAMETER, 23)))


def _responses(value: Json) -> bytes:
    return b"".join(_named(1, code, _message(1, _encoded(r, _RESPONSE, 5))) for code, r in value.items())


def _schema_item(value: Json) -> bytes:
    return _message(1, _schema(value))


def _operation(value: Json) -> bytes:
    return _encoded(value, _OPERATION, 13)


def _path_item(value: Json) -> bytes:
    return _encoded(value, _PATH_ITEM, 10)


_REPEATED: dict[Encode, Encode] = {
    _each_string: _each_string,
    _each_any: _each_any,
    _each_parameter: _each_parameter,
}
_SCHEMA: Fields = {
    "$ref": (1, _string), "format": (2, _string), "title": (3, _string), "description": (4, _string),
    "default": (5, _any), "multipleOf": (6, _number), "maximum": (7, _number), "exclusiveMaximum": (8, _flag),
    "minimum": (9, _number), "exclusiveMinimum": (10, _flag), "maxLength": (11, _flag), "minLength": (12, _flag),
    "pattern": (13, _string), "maxItems": (14, _flag), "minItems": (15, _flag), "uniqueItems": (16, _flag),
    "maxProperties": (17, _flag), "minProperties": (18, _flag), "required": (19, _each_string),
    "enum": (20, _each_any), "additionalProperties": (21, _additional), "type": (22, _type), "items": (23, _items),
    "properties": (25, _properties),
}  # fmt: skip
_QUERY_PARAMETER: Fields = {
    "required": (1, _flag), "in": (2, _string), "description": (3, _string), "name": (4, _string),
    "type": (6, _string), "format": (7, _string), "uniqueItems": (20, _flag),
}  # fmt: skip
_PATH_PARAMETER: Fields = {
    "required": (1, _flag), "in": (2, _string), "description": (3, _string), "name": (4, _string),
    "type": (5, _string), "format": (6, _string), "uniqueItems": (19, _flag),
}  # fmt: skip
_BODY_PARAMETER: Fields = {
    "description": (1, _string), "name": (2, _string), "in": (3, _string), "required": (4, _flag),
    "schema": (5, _schema),
}  # fmt: skip
_RESPONSE: Fields = {"description": (1, _string), "schema": (2, _schema_item)}
_OPERATION: Fields = {
    "tags": (1, _each_string), "description": (3, _string), "operationId": (5, _string),
    "produces": (6, _each_string), "consumes": (7, _each_string), "parameters": (8, _each_parameter),
    "responses": (9, _responses), "schemes": (10, _each_string), "deprecated": (11, _flag),
}  # fmt: skip
_PATH_ITEM: Fields = {
    "get": (2, _operation), "put": (3, _operation), "post": (4, _operation), "delete": (5, _operation),
    "options": (6, _operation), "head": (7, _operation), "patch": (8, _operation),
    "parameters": (9, _each_parameter),
}  # fmt: skip
