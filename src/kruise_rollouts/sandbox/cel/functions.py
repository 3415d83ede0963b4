"""Operators, conversions and the functions every CEL has, as overloads by argument types.

`function` and `method` register an overload; library.py adds Kubernetes' own. Lazy operators and macros are in program.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.sandbox.patterns import PatternError, pattern_of

from .parser import UInt
from .values import (
    NONE,
    CelError,
    Duration,
    Optional,
    Timestamp,
    TypeValue,
    bounded,
    compare,
    contains,
    equal,
    no_overload,
    parse_duration,
    parse_timestamp,
    show_double,
    show_duration,
    show_timestamp,
    type_of,
)  # fmt: skip

Overload: TypeAlias = tuple[tuple[type, ...], Callable[..., Json]]
F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, list[Overload]] = {}
METHODS: dict[str, list[Overload]] = {}
NULL = type(None)


def function(name: str, *types: type) -> Callable[[F], F]:
    """Registers an overload of a function; `object` stands for any type."""
    return _register(FUNCTIONS, name, types)


def method(name: str, *types: type) -> Callable[[F], F]:
    """Registers an overload of a method; the first type is the receiver's."""
    return _register(METHODS, name, types)


def _register(table: dict[str, list[Overload]], name: str, types: tuple[type, ...]) -> Callable[[F], F]:
    def add(body: F) -> F:
        table.setdefault(name, []).append((types, body))
        return body

    return add


def call(overloads: list[Overload], args: list[Json]) -> Json:
    """The result of the overload that fits `args`. Raises CelError."""
    for types, body in overloads:
        if len(types) == len(args) and all(
            t is object or type(a) is t for t, a in zip(types, args, strict=True)
        ):
            return body(*args)
    raise no_overload()


# Operators. int, uint and double do not mix in arithmetic.


def _arithmetic(
    name: str, integers: Callable[[int, int], int], doubles: Callable[[float, float], float]
) -> None:
    function(name, int, int)(lambda a, b: bounded(integers(a, b)))
    function(name, float, float)(doubles)

    @function(name, UInt, UInt)
    def unsigned(a: UInt, b: UInt) -> UInt:
        out = integers(a, b)
        if not 0 <= out < 1 << 64:
            raise CelError("unsigned integer overflow")
        return UInt(out)


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise CelError("division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    if b == 0:
        raise CelError("modulus by zero")
    return abs(a) % abs(b) * (-1 if a < 0 else 1)


def _divide(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def _no_doubles(a: float, b: float) -> float:
    raise no_overload()


_arithmetic("+", lambda a, b: a + b, lambda a, b: a + b)
_arithmetic("-", lambda a, b: a - b, lambda a, b: a - b)
_arithmetic("*", lambda a, b: a * b, lambda a, b: a * b)
_arithmetic("/", _quotient, _divide)
_arithmetic("%", _remainder, _no_doubles)
for _kind in (str, bytes, list):
    function("+", _kind, _kind)(lambda a, b: a + b)
function("+", Duration, Duration)(lambda a, b: Duration(a.nanos + b.nanos))
function("+", Timestamp, Duration)(lambda a, b: Timestamp(a.nanos + b.nanos))
function("+", Duration, Timestamp)(lambda a, b: Timestamp(a.nanos + b.nanos))
function("-", Duration, Duration)(lambda a, b: Duration(a.nanos - b.nanos))
function("-", Timestamp, Duration)(lambda a, b: Timestamp(a.nanos - b.nanos))
function("-", Timestamp, Timestamp)(lambda a, b: Duration(a.nanos - b.nanos))
function("neg", int)(lambda a: bounded(-a))
function("neg", float)(lambda a: -a)
function("!", bool)(lambda a: not a)
function("==", object, object)(equal)
function("!=", object, object)(lambda a, b: not equal(a, b))
function("<", object, object)(lambda a, b: compare(a, b) < 0)
function("<=", object, object)(lambda a, b: compare(a, b) <= 0)
function(">", object, object)(lambda a, b: compare(a, b) > 0)
function(">=", object, object)(lambda a, b: compare(a, b) >= 0)
function("in", object, object)(contains)

# Conversions.

function("type", object)(type_of)
function("dyn", object)(lambda a: a)
for _sized in (str, bytes, list, dict):
    function("size", _sized)(len)
    method("size", _sized)(len)


@function("int", object)
def to_int(value: Json) -> int:
    match value:
        case bool():
            raise no_overload()
        case int():
            return bounded(int(value))
        case float():
            if not -(2.0**63) < value < 2.0**63:
                raise CelError("integer overflow")
            return int(value)
        case str():
            try:
                return bounded(int(value))
            except ValueError:
                raise CelError(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None
        case Timestamp():
            return value.nanos // 1_000_000_000
        case Duration():
            return value.nanos
    raise no_overload()


@function("uint", object)
def to_uint(value: Json) -> UInt:
    out = to_int(value) if not isinstance(value, UInt) else int(value)
    if out < 0:
        raise CelError("unsigned integer overflow")
    return UInt(out)


@function("double", object)
def to_double(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise no_overload()
    try:
        return float(value)
    except ValueError:
        raise CelError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


@function("string", object)
def to_string(value: Json) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(int(value))
        case float():
            return show_double(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
        case Duration():
            return show_duration(value)
        case Timestamp():
            return show_timestamp(value)
    raise no_overload()


@function("bool", object)
def to_bool(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE", "t", "T", "1"):
        return True
    if value in ("false", "False", "FALSE", "f", "F", "0"):
        return False
    raise (
        CelError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
        if isinstance(value, str)
        else no_overload()
    )


function("bytes", bytes)(lambda a: a)
function("bytes", str)(lambda a: a.encode())
function("duration", str)(parse_duration)
function("duration", Duration)(lambda a: a)
function("timestamp", str)(parse_timestamp)
function("timestamp", Timestamp)(lambda a: a)
function("timestamp", int)(lambda a: Timestamp(a * 1_000_000_000))

# Strings.

method("contains", str, str)(lambda a, b: b in a)
method("startsWith", str, str)(lambda a, b: a.startswith(b))
method("endsWith", str, str)(lambda a, b: a.endswith(b))


def matches(text: str, pattern: str) -> bool:
    try:
        return pattern_of(pattern).search(text) is not None
    except PatternError as error:
        raise CelError(str(error)) from None


method("matches", str, str)(matches)
function("matches", str, str)(matches)

# Time.


def _in_zone(at: Timestamp, zone: str = "UTC") -> datetime:
    moment = at.moment()
    if zone[:1] in "+-" or zone[:2].isdigit():
        sign = -1 if zone.startswith("-") else 1
        hours, _, minutes = zone.lstrip("+-").partition(":")
        offset = sign * (int(hours) * 60 + int(minutes or 0)) * 60 * 1_000_000_000
        return Timestamp(at.nanos + offset).moment()
    try:
        return moment.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise CelError(f"unknown time zone {zone}") from None


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDate": lambda t: t.day,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}


def _time_part(name: str, read: Callable[[datetime], int]) -> None:
    method(name, Timestamp)(lambda t: read(_in_zone(t)))
    method(name, Timestamp, str)(lambda t, zone: read(_in_zone(t, zone)))


for _name, _read in _PARTS.items():
    _time_part(_name, _read)
method("getHours", Duration)(lambda d: _quotient(d.nanos, 3_600_000_000_000))
method("getMinutes", Duration)(lambda d: _quotient(d.nanos, 60_000_000_000))
method("getSeconds", Duration)(lambda d: _quotient(d.nanos, 1_000_000_000))
method("getMilliseconds", Duration)(lambda d: _quotient(d.nanos, 1_000_000) % 1000)

# Optionals. optional.of(...) is parsed as a method on the identifier `optional`; program.py joins the names.

function("optional.of", object)(lambda a: Optional(True, a))
function("optional.none")(lambda: NONE)


@function("optional.ofNonZeroValue", object)
def of_non_zero(value: Json) -> Optional:
    empty = (
        value is None
        or value is False
        or (isinstance(value, int | float | str | bytes | list | dict) and not value)
    )
    return NONE if empty else Optional(True, value)


method("hasValue", Optional)(lambda a: a.present)
method("value", Optional)(lambda a: a.unwrap())
method("or", Optional, Optional)(lambda a, b: a if a.present else b)
method("orValue", Optional, object)(lambda a, b: a.value if a.present else b)
for _typename in ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"):
    FUNCTIONS.setdefault(_typename, [])
TYPE_NAMES = {
    name: TypeValue(name)
    for name in (
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
    )
}
