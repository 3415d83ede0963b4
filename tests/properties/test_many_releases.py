"""Ten thousand releases, or as many as RELEASES says, from the number FIRST on: each with acts of people and fate."""

from __future__ import annotations

import os

import pytest
from release_lives import a_life, broken

COUNT, FIRST = int(os.environ.get("RELEASES", "10000")), int(os.environ.get("FIRST", "0"))
SHARES = 8  # more than there are processors anywhere: each is a test of its own, for a runner to spread


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_in_thousands_of_releases_the_rules_hold_whatever_happens(share: int) -> None:
    found = broken(range(FIRST + share, FIRST + COUNT, SHARES))
    assert not found, f"play(**a_life(number)) repeats one: {found}"


def test_a_number_is_always_the_same_release() -> None:
    assert a_life(7) == a_life(7) != a_life(8)
