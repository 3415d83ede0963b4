"""How Kubernetes writes a sum of quantities: kube/quantity.py reads them."""

from __future__ import annotations

from fractions import Fraction

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
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")


def show_quantity(value: Fraction, *, binary: bool = False) -> str:
    """The canonical form: the largest suffix that leaves a whole number, rounded up to nano."""
    if not value:
        return "0"
    if binary and value.denominator == 1:
        for power, suffix in zip(range(6, 0, -1), _BINARY, strict=True):
            if (value / 1024**power).denominator == 1:
                return f"{value / 1024**power}{suffix}"
    for suffix, power in _DECIMAL:
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1:
            return f"{scaled}{suffix}"
    return f"{-(-value.numerator * 10**9 // value.denominator)}n"


def is_binary(text: str | int | float) -> bool:
    """Whether sums with `text` are shown with binary suffixes."""
    return str(text).endswith("i")
