"""Kubernetes quantities ("500m", "1Gi", "1e3") as exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+|)$")
_SUFFIXES: dict[str, Fraction] = {
    "": Fraction(1),
    **{s: Fraction(10) ** p for s, p in (("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18))},
    **{s: Fraction(2) ** (10 * p) for p, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}  # fmt: skip
_DECIMAL = (
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("", 0),
    ("m", -3),
    ("u", -6),
    ("n", -9),
)
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki", "")


def parse_quantity(text: str | int | float) -> Fraction:
    """The number `text` stands for. Raises ValueError."""
    found = _QUANTITY.match(str(text))
    if found is None:
        raise ValueError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = found.groups()
    scale = _SUFFIXES.get(suffix)
    return Fraction(number) * (scale if scale is not None else Fraction(10) ** int(suffix[1:]))


def show_quantity(value: Fraction, *, binary: bool = False) -> str:
    """The canonical form: the largest suffix that leaves a whole number, rounded up to nano."""
    if not value:
        return "0"
    if binary and value.denominator == 1:
        for suffix in _BINARY:
            if (value / _SUFFIXES[suffix]).denominator == 1 and (not suffix or abs(value) >= 1024):
                return f"{value / _SUFFIXES[suffix]}{suffix}"
    for suffix, power in _DECIMAL:
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1:
            return f"{scaled}{suffix}"
    return f"{-(-value.numerator * 10**9 // value.denominator)}n"


def is_binary(text: str | int | float) -> bool:
    """Whether sums with `text` are shown with binary suffixes."""
    return str(text).endswith("i")
