"""Approvals written the moment a pause is seen: is any lost, does any release get stuck?

    KUBECONFIG=... python -m bench.approvals [Rollouts] [releases of each]

Each release is of 10 pods in 10 steps, so 9 approvals; the Rollouts run next to each other.
"""

from __future__ import annotations

import asyncio
import sys
import time

from bench.figures import about, milliseconds, row
from bench.fleet import deployments, rollouts
from bench.plane import Client, client
from bench.program import program

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

PODS = 10
STEPS: list[JsonObject] = [{"replicas": n, "pause": {}} for n in range(1, PODS)] + [{"replicas": "100%"}]
STUCK_SECONDS = 180.0  # an approval not followed by then is lost: a busy machine is slow


class Tally:
    def __init__(self) -> None:
        self.taken: list[float] = []  # seconds from an approval to the next step seen
        self.lost = 0


async def approve_all(seen: Client, name: str, releases: int, tally: Tally) -> None:
    for number in range(releases):
        await seen.set_version(name, f"v{number + 2}")
        for step in range(1, PODS):
            await approve(seen, name, step, tally)
        await seen.until(lambda: seen.state(name)[0] == "Healthy", STUCK_SECONDS)


async def approve(seen: Client, name: str, step: int, tally: Tally) -> None:
    """Once, the moment the pause is seen."""
    await seen.until(lambda: seen.state(name) == ("Progressing", step, "StepPaused"), STUCK_SECONDS)
    began = time.monotonic()
    await seen.approve(name)
    try:
        went_on = await seen.until(lambda: seen.state(name)[1] > step, STUCK_SECONDS)
    except TimeoutError:
        tally.lost += 1
        await seen.approve(name)
    else:
        tally.taken.append(went_on - began)


async def main(count: int, releases: int) -> None:
    print(about())
    tally = Tally()
    async with program() as found, client("approvals", (DEPLOYMENT, ROLLOUT)) as seen:
        await deployments(seen, count, PODS)
        await rollouts(seen, count, STEPS)
        work = (approve_all(seen, f"app-{n:04}", releases, tally) for n in range(count))
        ended = await asyncio.gather(*work, return_exceptions=True)
        stuck = sum(isinstance(end, BaseException) for end in ended)
        total = count * releases * (PODS - 1)
        limits = (f"0 of {total}", "6 of 12", "2 of 3 runs")
        print(row("approvals lost", f"{tally.lost} of {total}", *limits))
        print(row("releases stuck", f"{stuck} of {count * releases}", "0"))
        print(f"approval -> next step seen: {milliseconds(tally.taken)}")
        for name, end in zip((f"app-{n:04}" for n in range(count)), ended, strict=True):
            if isinstance(end, BaseException):
                print(f"  {name} {end!r}: {seen.rollout(name).get('status')}")
        if found.complaints():
            print("it complained:", *found.complaints()[:5], sep="\n  ")
    print(about())


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [14, 8][len(given) :])))
