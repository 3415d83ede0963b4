"""Quantities are compared by what they amount to."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kruise_rollouts.kube.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1), ("+1", 1), ("-1.5", Fraction(-3, 2)), (".5", Fraction(1, 2)), ("5.", 5), ("100m", Fraction(1, 10)),
        ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 1536 * 1024 * 1024), ("1e3", 1000), ("1E3", 1000), ("1E", 10**18),
        ("1Ei", 2**60), ("2e-3", Fraction(1, 500)), ("3n", Fraction(3, 10**9)), (2, 2), (0.5, Fraction(1, 2)),
    ],
)  # fmt: skip
def test_a_quantity_is_an_exact_number(text: str | int | float, amount: Fraction | int) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text", ["", "m", "1K", "1 Gi", "1GiB", "--1", "1e", "0x1", "1_000", "١", "1e99999999", "NaN"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)
