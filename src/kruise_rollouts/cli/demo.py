"""`kruise-rollout demo`: a story played in a sandbox, step by step, each seen to come true. What it tells: story.py."""

from __future__ import annotations

import asyncio

from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.clock import RateClock
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.request import User

from .errors import CommandError
from .lab import LabFlags, lab
from .live import View, view_for_here
from .person import Person, Picture
from .story import STORY, Act

PERSON = User("admin", groups=("system:masters", "system:authenticated"))
LOOK_SECONDS = 0.1  # of the machine's clock, between two looks


async def run_demo(rate: float) -> None:
    """Plays the story. Raises CommandError if anything is not as it should be."""
    clock = RateClock(rate)
    view = view_for_here()
    print(
        f"A sandbox in this process; its clock runs {rate:g} times as fast as yours, so a pause of 60 s takes {60 / rate:.0f} s."
    )
    try:
        async with lab(LabFlags(rate=rate), clock) as sandbox:
            person = Person(DirectApi(sandbox.server, PERSON, "kubectl/demo", view.warn))
            for number, act in enumerate(STORY, start=1):
                view.act(number, len(STORY), act)
                await _play(act, person, view, clock)
    finally:
        view.close()
    print("\nTry it yourself: kruise-rollout sandbox")


async def _play(act: Act, person: Person, view: View, clock: Clock) -> None:
    deadline = clock.mono() + act.within
    if act.do is not None:
        await act.do(person)
    seen: Picture = await person.look()
    while not act.then(seen):
        view.show(seen)
        if clock.mono() > deadline:
            view.end(act, seen, False)
            raise CommandError(f"error: the demo stopped: after {act.within:g} s not seen: {act.seen}")
        await asyncio.sleep(LOOK_SECONDS)
        seen = await person.look()
    view.show(seen)
    view.end(act, seen, True)
