"""Quantities of resources ("500m", "1Gi", "1e3") as exact numbers, to be compared. Percentages belong to core/plan."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3})?", re.ASCII)
_SCALE = {suffix: Fraction(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)}
_SCALE |= {suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
_SCALE |= {f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}


def parse_quantity(text: str | int | float) -> Fraction:
    """The number that `text` stands for. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(
            f"{text!r} is no quantity: a number and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei or e<power>"
        )
    number, suffix = found.groups()
    if suffix is None:
        return Fraction(number)
    scale = _SCALE.get(suffix)
    return Fraction(number) * (scale if scale is not None else Fraction(10) ** int(suffix[1:]))
