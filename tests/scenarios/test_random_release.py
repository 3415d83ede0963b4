"""Releases drawn from seeds, on the sandbox and on a real API server: each ends, and gives back what it borrowed."""

from __future__ import annotations

import asyncio
import os

import pytest

from kruise_rollouts.kube.objects import NAMESPACE
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.kubeconfig import connect

from .random_release import ACTS, NAMES, Person, a_story
from .scenario import scenario
from .shared_manager import shared_manager
from .stage import Stage, a_namespace

RELEASES = int(os.environ.get("CLUSTER_RELEASES", "100"))
FIRST = int(os.environ.get("FIRST_RELEASE", "0"))
AT_ONCE = 6
LONGEST_PAUSE = 3  # seconds


async def play(stage: Stage, seed: int) -> None:
    person = Person(stage, a_story(seed, acts=5, longest_pause=LONGEST_PAUSE))
    try:
        await person.begin()
        await person.play()
        await person.see_through(within=180)
        await person.check_what_is_left()
    except AssertionError as error:
        raise AssertionError("\n".join((f"seed {seed}: {error}", *person.diary))) from error


@pytest.mark.parametrize("seed", [1, 2])
@scenario
async def test_a_random_release_ends_as_the_person_wanted(stage: Stage, seed: int) -> None:
    await play(stage, seed)


@pytest.mark.cluster
@pytest.mark.slow
def test_a_hundred_random_releases_end_as_their_people_wanted() -> None:
    shared_manager()
    failed = asyncio.run(play_many(range(FIRST, FIRST + RELEASES)))
    assert not failed, f"{len(failed)} of {RELEASES} failed; the first:\n{failed[0]}"


async def play_many(seeds: range) -> list[str]:
    """What went wrong. Several at once, each in a namespace of its own."""
    turns, failed = asyncio.Semaphore(AT_ONCE), []
    clock = WallClock()

    async def one(api: HttpApi, seed: int) -> None:
        async with turns:
            ns = await a_namespace(api, "random")
            try:
                await play(Stage(api, clock, ns, []), seed)
            except AssertionError as error:
                failed.append(str(error))
            finally:
                await api.request("DELETE", NAMESPACE.path("", ns))

    async with HttpApi(connect(), user_agent="kubectl/test") as api:
        await asyncio.gather(*(one(api, seed) for seed in seeds))
    return failed


def test_the_same_seed_is_the_same_story() -> None:
    assert a_story(7) == a_story(7) != a_story(8)


def test_every_act_can_be_drawn_and_done() -> None:
    assert set(NAMES) == set(ACTS)
    drawn = {act.name for seed in range(300) for act in a_story(seed).acts}
    assert drawn == set(ACTS)
