"""Kubernetes' CEL libraries for strings, regular expressions, lists and sets. Its own types are in kinds.py."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.sandbox.patterns import PatternError, pattern_of

from .functions import FUNCTIONS, call, function, method, to_string
from .values import CelError, compare, contains, equal, no_overload

# Strings.

_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(65, 91)})
_UPPER = str.maketrans({chr(c): chr(c - 32) for c in range(97, 123)})
method("lowerAscii", str)(lambda a: a.translate(_LOWER))
method("upperAscii", str)(lambda a: a.translate(_UPPER))
method("trim", str)(str.strip)
method("reverse", str)(lambda a: a[::-1])
method("indexOf", str, str)(lambda a, b: a.find(b))
method("indexOf", str, str, int)(lambda a, b, at: a.find(b, _within(a, at)))
method("lastIndexOf", str, str)(lambda a, b: a.rfind(b))
method("lastIndexOf", str, str, int)(lambda a, b, at: a.rfind(b, 0, _within(a, at) + len(b)))
method("replace", str, str, str)(lambda a, old, new: a.replace(old, new))
method("replace", str, str, str, int)(lambda a, old, new, n: a.replace(old, new, n))
method("substring", str, int)(lambda a, start: a[_within(a, start) :])
method("join", list)(lambda a: _join(a, ""))
method("split", str, str)(lambda a, separator: _split(a, separator, -1))
function("strings.quote", str)(lambda a: json.dumps(a, ensure_ascii=False))


def _within(text: str, at: int) -> int:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return at


def _join(items: list[Json], separator: str) -> str:
    if not all(isinstance(i, str) for i in items):
        raise no_overload()
    return separator.join(items)


method("join", list, str)(_join)


def _split(text: str, separator: str, limit: int) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(text)
        return (
            parts if limit < 0 or limit >= len(parts) else [*parts[: limit - 1], "".join(parts[limit - 1 :])]
        )
    return text.split(separator) if limit < 0 else text.split(separator, limit - 1)


method("split", str, str, int)(_split)


@method("charAt", str, int)
def char_at(text: str, at: int) -> str:
    return text[_within(text, at) : at + 1]


@method("substring", str, int, int)
def substring(text: str, start: int, end: int) -> str:
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return text[_within(text, start) : _within(text, end)]


_VERB = re.compile(r"%(?:\.(\d+))?([a-zA-Z%])")


@method("format", str, list)
def format_text(template: str, args: list[Json]) -> str:
    rest = iter(args)

    def put(found: re.Match[str]) -> str:
        precision, verb = found.groups()
        if verb == "%":
            return "%"
        value = next(rest, rest)
        if value is rest:
            raise CelError(f"index {len(args)} out of range")
        return _formatted(verb, int(precision or 6), value)

    return _VERB.sub(put, template)


def _formatted(verb: str, precision: int, value: Json) -> str:
    match verb:
        case "s":
            return _shown(value)
        case "d" if isinstance(value, int) and not isinstance(value, bool):
            return str(int(value))
        case "f" if isinstance(value, int | float):
            return f"{value:.{precision}f}"
        case "e" if isinstance(value, int | float):
            return f"{value:.{precision}e}"
        case "b" | "o" | "x" | "X" if isinstance(value, int):
            return f"{int(value):{verb}}"
        case "x" | "X" if isinstance(value, str | bytes):
            raw = (value.encode() if isinstance(value, str) else value).hex()
            return raw if verb == "x" else raw.upper()
    raise CelError(f"could not parse formatting clause: unrecognized formatting clause {verb!r}")


def _shown(value: Json) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "[" + ", ".join(_shown(v) for v in value) + "]"
        case dict():
            return (
                "{" + ", ".join(f"{_shown(k)}: {_shown(value[k])}" for k in sorted(value, key=_shown)) + "}"
            )
    return to_string(value)


# Regular expressions.

method("find", str, str)(lambda a, pattern: _find_all(a, pattern, 1)[0] if _find_all(a, pattern, 1) else "")
method("findAll", str, str)(lambda a, pattern: _find_all(a, pattern, -1))


def _find_all(text: str, pattern: str, limit: int) -> list[str]:
    try:
        found = [m.group() for m in pattern_of(pattern).finditer(text)]
    except PatternError as error:
        raise CelError(str(error)) from None
    return found if limit < 0 else found[:limit]


method("findAll", str, str, int)(_find_all)


# Lists and sets.

method("isSorted", list)(lambda a: all(compare(x, y) <= 0 for x, y in pairwise(a)))
method("min", list)(lambda a: _extreme(a, -1))
method("max", list)(lambda a: _extreme(a, 1))
method("indexOf", list, object)(lambda a, item: next((i for i, x in enumerate(a) if equal(x, item)), -1))
method("lastIndexOf", list, object)(
    lambda a, item: next((i for i in range(len(a) - 1, -1, -1) if equal(a[i], item)), -1)
)
method("reverse", list)(lambda a: a[::-1])
method("slice", list, int, int)(lambda a, start, end: a[start:end])
method("flatten", list)(lambda a: [y for x in a for y in (x if isinstance(x, list) else [x])])
function("lists.range", int)(lambda n: list(range(n)))
function("sets.contains", list, list)(lambda a, b: all(contains(x, a) for x in b))
function("sets.intersects", list, list)(lambda a, b: any(contains(x, a) for x in b))
function("sets.equivalent", list, list)(
    lambda a, b: all(contains(x, a) for x in b) and all(contains(x, b) for x in a)
)


@method("sum", list)
def sum_of(items: list[Json]) -> Json:
    out: Json = 0
    for index, item in enumerate(items):
        out = item if index == 0 else call(FUNCTIONS["+"], [out, item])
    return out


def _extreme(items: list[Json], sign: int) -> Json:
    if not items:
        raise CelError(f"{'max' if sign > 0 else 'min'} called on empty list")
    out = items[0]
    for item in items[1:]:
        if compare(item, out) * sign > 0:
            out = item
    return out


@method("distinct", list)
def distinct(items: list[Json]) -> list[Json]:
    out: list[Json] = []
    for item in items:
        if not contains(item, out):
            out.append(item)
    return out


@method("sort", list)
def sort(items: list[Json]) -> list[Json]:
    if any(compare(x, items[0]) not in (-1, 0, 1) for x in items):
        raise no_overload()
    return sorted(items)
