"""Ten thousand releases, or as many as RELEASES says, from the number FIRST on: each with acts of people and fate."""

from __future__ import annotations

import os

import pytest
from release_lives import a_life, broken
from release_stage import a_step
from test_releases import play

COUNT, FIRST = int(os.environ.get("RELEASES", "10000")), int(os.environ.get("FIRST", "0"))
SHARES = 8  # more than there are processors anywhere: each is a test of its own, for a runner to spread

# Releases that once went wrong, named after what a person saw.
SEEN = {
    "a release stands still whose version is put back before anybody looked": 13381,
    "a pod that serves goes for one that does not when a third version comes": 22996,
    "a pod too many that is ready, but not for minReadySeconds, stays when another goes": 28972,
    "a release goes on in its step when its version is put back at once": 29541,
    "too many pods go when the plan grows in the moment a batch comes to rest": 43458,
}


@pytest.mark.parametrize("what", SEEN)
def test_what_once_went_wrong_does_not(what: str) -> None:
    play(**a_life(SEEN[what]))


def test_a_last_step_of_no_pods_that_waits_for_nobody_lets_all_go_though_we_die_in_it() -> None:
    acts = [(("crash", 4), 5), (("time", 0), 0)]
    play(1, [a_step(0, 0)], ("25%", "25%"), acts, lags=True, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_in_thousands_of_releases_the_rules_hold_whatever_happens(share: int) -> None:
    found = broken(range(FIRST + share, FIRST + COUNT, SHARES))
    assert not found, f"play(**a_life(number)) repeats one: {found}"


def test_a_number_is_always_the_same_release() -> None:
    assert a_life(7) == a_life(7) != a_life(8)
