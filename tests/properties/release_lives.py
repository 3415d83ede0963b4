"""Lives of a release, drawn from a number: the same number is the same life, here, in CI and in bench/."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from release_stage import KINDS, a_step
from test_releases import play

from kruise_rollouts.runtime.controller import FoldLimit

LIMITS = (("25%", "25%"), (1, 0), (0, 1), (3, 2), ("100%", 0))
ACTS = (
    ("image", 2),
    ("approve", 3),
    ("jump", 1),
    ("plan", 1),
    ("scale", 1),
    ("pause", 1),
    ("disable", 1),
    ("delete", 1),
    ("resume by hand", 1),
    ("delete the BatchRelease", 1),
    ("admission", 1),
    ("crash", 1),
    ("time", 2),
    ("settle", 2),
)
NAMES, WEIGHTS = zip(*ACTS, strict=True)


def a_life(number: int) -> dict[str, Any]:
    """The arguments of test_releases.play."""
    rng = random.Random(number)
    return {
        "replicas": rng.randint(1, 10),
        "plan": _plan(rng),
        "limits": rng.choice(LIMITS),
        "acts": [(_act(rng), rng.randint(0, 12)) for _ in range(rng.randint(0, 10))],
        "lags": rng.random() < 0.5,
        "seed": number,
        "min_ready": rng.choice((0, 0, 0, 30)),
        "slow": rng.choice(("", "", *KINDS)),
    }


def _plan(rng: random.Random) -> list[Any]:
    amounts = (
        f"{rng.randint(1, 100)}%" if rng.random() < 0.5 else rng.randint(0, 12)
        for _ in range(rng.randint(1, 4))
    )
    return [a_step(amount, rng.choice((None, None, 0, 5))) for amount in amounts]


def _act(rng: random.Random) -> tuple[str, Any]:
    name = rng.choices(NAMES, WEIGHTS)[0]
    match name:
        case "image":
            return name, rng.randint(1, 4)
        case "jump":
            return name, rng.randint(-2, 6)
        case "plan":
            return name, _plan(rng)
        case "scale" | "crash":
            return name, rng.randint(0, 12)
        case "pause" | "disable" | "admission":
            return name, rng.random() < 0.5
        case _:
            return name, 0


def broken(numbers: Iterable[int]) -> dict[int, str]:
    """The lives in which a rule broke, with the first line of what it said."""
    found: dict[int, str] = {}
    for number in numbers:
        try:
            play(**a_life(number))
        except (AssertionError, FoldLimit) as error:
            found[number] = (str(error).splitlines() or [type(error).__name__])[0]
    return found
