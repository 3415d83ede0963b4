"""The whole stack under chance: sandbox, manager, a person and machines that fail, all from one seed.

A failure prints its seed and what happened. `REPLAY=<seed> pytest tests/properties/test_world_releases.py -k replay`
plays that one again; `WORLDS=2000 FIRST_WORLD=5000 pytest ... -k many_more` plays others. For a million:
bench/releases_per_second.py.
"""

from __future__ import annotations

import os

import pytest
from world_rules import watch
from world_stage import a_world, play

FAST = range(8)
WORLDS = int(os.environ.get("WORLDS", "1000"))
FIRST = int(os.environ.get("FIRST_WORLD", "0"))
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


# Worlds that once went wrong, named after what a person saw.
SEEN = {
    "settings of before are lost when a release is rolled back while it scales": 158,
    "settings written during a release are lost to a manager that hears of them late": 193,
    "ready pods go when one write fails while a bad version is taken back": 214,
    "a Rollout that was approved too early and rolled back at once never ends": 5,
    "the only pod goes when a third version comes in the moment its successor is made": 327,
    "a pod too many goes when a third version comes in the moment the first move begins": 18,
    "more pods than allowed go when settings change in the moment the Rollout is deleted": 322,
    "pods of the next step come when those that failed go": 164,
    "a release never ends when the Deployment's count of pods is the last that is heard of": 6508,
    "a pod that serves goes when a third version comes while surge pods of the second are not ready": 5391,
    "pods that Kubernetes took back are made again when a version comes and their end is heard of late": 8396,
    "a pod that serves goes when settings ask for less surge than there is and a version comes": 6629,
    "pods of the next step come from a manager that has not heard of the new pods": 7546,
    "surge is filled up by a manager whose news of the ReplicaSets is old": 10864,
    "a release begins anew by a manager whose Rollout and Deployment are old news": 12079,
    "the version before is let loose when it is put back in the moment its successor is done": 12461,
    "the last old pod goes for a new one that is on its way out": 17162,
    "pods that serve go for those too many that never started when a version comes in a native update": 17709,
    "settings written during a release are lost with a strategy that is garbled by hand": 11972,
    "a Deployment stays paused that was disabled in the moment its first move begins": 35,
    "a Deployment stays paused when a manager moves it on for a release that it has not heard the end of": 1612,
    "a pod that serves goes when a restart comes in mid-surge and two ReplicaSets are heard of late": 3842,
}


@pytest.mark.parametrize("what", SEEN)
def test_what_once_went_wrong_does_not(what: str) -> None:
    play_all(range(SEEN[what], SEEN[what] + 1))
