"""How the API server, being written in Go, prints values in its messages. Which messages exist is not known here."""

from __future__ import annotations

import math

import msgspec

from kruise_rollouts.kube.effects import Json

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def json_text(value: Json, *, ordered: bool = True) -> str:
    """`value` as JSON with sorted keys (if `ordered`), no spaces, and what HTML minds escaped."""
    text = (_encode_sorted(value) if ordered else _encode(value)).decode()
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def plain(value: Json) -> str:
    """`value` as %v prints it: map[a:1 b:[x y]]."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict():
            return "map[" + " ".join(f"{k}:{plain(value[k])}" for k in sorted(value)) + "]"
        case list() | tuple():
            return "[" + " ".join(plain(v) for v in value) + "]"
        case float():
            return number(value)
        case _:
            return str(value)


def number(value: float) -> str:
    """A float as %v prints it: shortest form, an exponent from 1e21 and below 1e-4."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa.removesuffix('.0')}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"


def quoted(text: str) -> str:
    """`text` as %q prints it."""
    out = []
    for c in text:
        if c in '"\\':
            out.append("\\" + c)
        elif c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif c.isprintable():
            out.append(c)
        elif ord(c) < 0x80:
            out.append(f"\\x{ord(c):02x}")
        elif ord(c) < 0x10000:
            out.append(f"\\u{ord(c):04x}")
        else:
            out.append(f"\\U{ord(c):08x}")
    return '"' + "".join(out) + '"'


def type_of(value: Json) -> str:
    """What %T prints for decoded JSON."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case dict():
            return "map[string]interface {}"
        case list():
            return "[]interface {}"
        case int():
            return "int64"
        case float():
            return "float64"
        case _:
            return "string"
