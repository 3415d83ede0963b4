"""Releases drawn from seeds, on the sandbox and on a real API server: each ends, and gives back what it borrowed."""

from __future__ import annotations

import asyncio
import os

import pytest

from kruise_rollouts.runtime.clock import WallClock

from .on_cluster import cluster_stage
from .random_release import ACTS, NAMES, Person, a_story
from .scenario import scenario
from .stage import Stage

RELEASES = int(os.environ.get("CLUSTER_RELEASES", "100"))
FIRST = int(os.environ.get("FIRST_RELEASE", "0"))
LONGEST_PAUSE = 3  # seconds


async def play(stage: Stage, seed: int) -> None:
    person = Person(stage, a_story(seed, acts=5, longest_pause=LONGEST_PAUSE))
    try:
        await person.begin()
        await person.play()
        await person.see_through(within=400)  # each pod takes its time on a busy machine
        await person.check_what_is_left()
    except AssertionError as error:
        raise AssertionError("\n".join((f"seed {seed}: {error}", *person.diary))) from error


@pytest.mark.parametrize("seed", [1, 2])
@scenario
async def test_a_random_release_ends_as_the_person_wanted(stage: Stage, seed: int) -> None:
    await play(stage, seed)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RELEASES))
def test_one_of_a_hundred_random_releases_ends_as_its_person_wanted(seed: int) -> None:
    async def story(stage: Stage) -> None:
        await play(stage, seed)

    asyncio.run(cluster_stage(story, WallClock()))


def test_the_same_seed_is_the_same_story() -> None:
    assert a_story(7) == a_story(7) != a_story(8)


def test_every_act_can_be_drawn_and_done() -> None:
    assert set(NAMES) == set(ACTS)
    drawn = {act.name for seed in range(300) for act in a_story(seed).acts}
    assert drawn == set(ACTS)
