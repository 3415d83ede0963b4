"""Random histories of writes come to the same on the sandbox and on the API server that KUBECONFIG names.

Every answer is compared: objects with the owners of their fields, refusals with their words.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from .comparing import compare
from .on_cluster import RealServer, record
from .random_stories import random_story

SEEDS = int(os.environ.get("DIFFERENTIAL_SEEDS", "10"))
FIRST = int(os.environ.get("DIFFERENTIAL_FIRST", "1"))
LENGTH = int(os.environ.get("DIFFERENTIAL_LENGTH", "120"))


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_random_history_comes_to_the_same_as_on_a_real_api_server(seed: int) -> None:
    recorded = asyncio.run(record(RealServer(), random_story(seed, LENGTH)))
    found = compare(recorded)
    assert not found, f"{len(found)} differences, the first are:\n" + "\n".join(map(str, found[:5]))


def test_a_seed_tells_the_same_story_again() -> None:
    assert random_story(1, 30) == random_story(1, 30)
    assert random_story(1, 30) != random_story(2, 30)
