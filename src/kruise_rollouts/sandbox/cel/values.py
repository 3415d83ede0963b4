"""The values of CEL that JSON has not, and the functions that work on all values alike.

bool, int, float, str, bytes, list, dict and None stand for themselves; `UInt` is a uint. Functions of the language and of
Kubernetes' libraries are in functions.py and library.py.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from msgspec import Struct

from kruise_rollouts.kube.effects import Json

from .parser import UInt


class CelError(ValueError):
    """Evaluation failed; the message is the one of Kubernetes."""


class Duration(Struct, frozen=True, order=True):
    nanos: int


class Timestamp(Struct, frozen=True, order=True):
    nanos: int  # since 1970, UTC

    def moment(self) -> datetime:
        """To the microsecond."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.nanos // 1000)


class TypeValue(Struct, frozen=True):
    name: str


class Optional(Struct, frozen=True):
    """optional_type: `present` says whether `value` counts."""

    present: bool
    value: Any = None

    def unwrap(self) -> Any:
        """The value. Raises CelError if there is none."""
        if not self.present:
            raise CelError("optional.none() dereference")
        return self.value


NONE = Optional(False)
_NAMES: dict[type, str] = {
    bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    type(None): "null_type", Duration: "google.protobuf.Duration", Timestamp: "google.protobuf.Timestamp",
    TypeValue: "type", Optional: "optional_type",
}  # fmt: skip
_NUMBERS = (int, float)
_UNITS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1000,
    "µs": 1000,
    "ns": 1,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|us|µs|ns|s)")
_DURATION = re.compile(r"^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|us|µs|ns|s))+)$")


def no_overload() -> CelError:
    return CelError("no such overload")


def type_of(value: Json) -> TypeValue:
    name = _NAMES.get(type(value))
    return TypeValue(name if name is not None else type(value).__name__)


def is_number(value: Json) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def equal(a: Json, b: Json) -> bool:
    """CEL's ==: numbers by value whatever their type, anything else only within its type."""
    if is_number(a) and is_number(b):
        return bool(a == b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(k in b and equal(v, b[k]) for k, v in a.items())
    return type(a) is type(b) and bool(a == b)


def contains(item: Json, container: Json) -> bool:
    """CEL's in."""
    if isinstance(container, list):
        return any(equal(item, other) for other in container)
    if isinstance(container, dict):
        return not isinstance(item, list | dict) and item in container
    raise no_overload()


def compare(a: Json, b: Json) -> int:
    """-1, 0 or 1. Raises CelError for values that have no order."""
    comparable = (is_number(a) and is_number(b)) or (
        type(a) is type(b) and isinstance(a, str | bytes | bool | Duration | Timestamp)
    )
    if not comparable:
        raise no_overload()
    return -1 if a < b else int(a > b)


def bounded(value: int) -> int:
    """`value` if it fits an int."""
    if not -(1 << 63) <= value < 1 << 63:
        raise CelError("integer overflow")
    return value


def parse_duration(text: str) -> Duration:
    """A Go duration ("1h30m"). Raises CelError."""
    if _DURATION.fullmatch(text) is None:
        raise CelError(f'time: invalid duration "{text}"')
    parts = ((Fraction(number), unit) for number, unit in _PART.findall(text))
    nanos = sum(int(number * _UNITS[unit]) for number, unit in parts)
    return Duration(-nanos if text.startswith("-") else nanos)


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339. Raises CelError."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None
    if moment.tzinfo is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"')
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return Timestamp((since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000)


def show_duration(duration: Duration) -> str:
    """As string() shows it: seconds."""
    seconds, rest = divmod(abs(duration.nanos), 1_000_000_000)
    text = f"{seconds}.{rest:09d}".rstrip("0").rstrip(".")
    return f"{'-' if duration.nanos < 0 else ''}{text}s"


def show_timestamp(timestamp: Timestamp) -> str:
    text = timestamp.moment().strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{timestamp.nanos % 1_000_000_000:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def show_double(value: float) -> str:
    """A double as Go prints it: shortest, without a needless exponent."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return f"{int(value)}" if value.is_integer() and abs(value) < 1e21 else repr(value)
