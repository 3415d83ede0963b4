"""The whole stack under chance: sandbox, manager, a person and machines that fail, all from one seed.

    pytest tests/properties/test_world_releases.py -k "fast or long"     WORLDS=2000 FIRST_WORLD=0 for other seeds
    pytest tests/properties/test_world_releases.py -k one --runslow ...  see REPLAY below

A failure prints its seed and what happened; `REPLAY=<seed> pytest tests/properties/test_world_releases.py -k replay`
plays that one again.
"""

from __future__ import annotations

import os

import pytest
from world_rules import watch
from world_stage import a_world, play

FAST = range(12)
WORLDS = int(os.environ.get("WORLDS", "300"))
FIRST = int(os.environ.get("FIRST_WORLD", "100"))
PART = 25  # worlds in one test


def play_all(seeds: range) -> None:
    for seed in seeds:
        play(*a_world(seed), watch)


@pytest.mark.parametrize("seed", FAST)
def test_whatever_people_and_machines_do_the_rules_hold_and_the_release_ends(seed: int) -> None:
    play_all(range(seed, seed + 1))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST, FIRST + WORLDS, PART))
def test_whatever_people_and_machines_do_in_many_more_worlds(first: int) -> None:
    play_all(range(first, min(first + PART, FIRST + WORLDS)))


@pytest.mark.slow
@pytest.mark.skipif("REPLAY" not in os.environ, reason="set REPLAY to the seed of a world that failed")
def test_replay_of_one_world() -> None:
    seed = int(os.environ["REPLAY"])
    play_all(range(seed, seed + 1))
