"""Values that are a number of pods or a percentage of them, as Kubernetes reads them.

A percentage is a string like "20%": an optional sign, ASCII digits, "%". Anything else ("50", "5.5%", " 5%") is
malformed. Nothing here knows which field a value came from.
"""

from __future__ import annotations

import re
from typing import TypeAlias

IntOrPercent: TypeAlias = int | str

LARGEST = 2147483647  # Go clients read a number as int32: one beyond it makes every typed list fail

_PERCENT = re.compile(r"[+-]?[0-9]{1,9}%")


def parse_percent(text: str) -> int | None:
    """The number before "%"; None if `text` is not a percentage."""
    return int(text[:-1]) if _PERCENT.fullmatch(text) else None


def is_percent(value: IntOrPercent | None) -> bool:
    """True for a well-formed percentage; False for a number, None and malformed text."""
    return isinstance(value, str) and parse_percent(value) is not None


def is_amount(value: IntOrPercent | None) -> bool:
    """Whether it is a number of pods, or a percentage, that every client can read; 0 is one."""
    count = None if value is None else scaled(value, 100, up=True)
    return count is not None and 0 <= count <= LARGEST


def is_readable(value: IntOrPercent | None) -> bool:
    """False for a number that Go clients have no room for."""
    return not isinstance(value, int) or -LARGEST <= value <= LARGEST


def scaled(value: IntOrPercent, total: int, *, up: bool) -> int | None:
    """Pods that `value` stands for out of `total`: a number as it is (not clamped), a percentage rounded up or down.

    None if `value` is malformed.
    """
    if isinstance(value, int):
        return value
    percent = parse_percent(value)
    if percent is None:
        return None
    return -(-percent * total // 100) if up else percent * total // 100
