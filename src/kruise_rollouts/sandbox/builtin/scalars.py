"""Scalars that Kubernetes reads and writes anew: quantities in their shortest form, times in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache

from kruise_rollouts.kube.effects import Json
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.quantity import is_binary, show_quantity

INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


@lru_cache(maxsize=4096)
def _quantity(text: str) -> str:
    try:
        value = parse_quantity(text)
    except ValueError:
        return text
    if "e" in text or ("E" in text and not text.endswith(("E", "Ei"))):
        return _exponent(value)
    if is_binary(text) and abs(value) < 1024:
        return show_quantity(value)
    return show_quantity(value, binary=is_binary(text))


def _exponent(value: Fraction) -> str:
    """Powers of ten as they were written: multiples of three, without a suffix."""
    power = 18
    while power > 0 and (value / Fraction(10) ** power).denominator != 1:
        power -= 3
    if not value or power <= 0:
        return show_quantity(value)
    return f"{value / Fraction(10) ** power}e{power}"


def quantity_form(value: Json) -> Json:
    """A quantity as Kubernetes shows it: 1024Ki is 1Mi, 0.5 is 500m. What is none stays."""
    if type(value) is str:
        shown = _quantity(value)
        return value if shown == value else shown
    return value if isinstance(value, bool | dict | list) or value is None else _quantity(str(value))


@lru_cache(maxsize=1024)
def _time(text: str, parts: str) -> str:
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond:06d}Z" if parts == "micro" else "Z")


def time_form(value: Json) -> Json:
    """A time in UTC and whole seconds."""
    if type(value) is not str or (len(value) == 20 and value.endswith("Z")):
        return value
    return _time(value, "")


def micro_time_form(value: Json) -> Json:
    """A time in UTC with six decimals."""
    return (
        value
        if type(value) is not str or (len(value) == 27 and value.endswith("Z"))
        else _time(value, "micro")
    )


SCALAR_FORMS: dict[str, Callable[[Json], Json]] = {
    "Quantity": quantity_form,
    "Time": time_form,
    "MicroTime": micro_time_form,
}
