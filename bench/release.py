"""One release at a time on the API server of KUBECONFIG: requests, status writes, and how long people wait.

    KUBECONFIG=... python -m bench.release [releases]

10 pods; steps 1 pod, 50 %, 100 %, each approved by hand the moment its pause is seen.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import Counter

from bench.counting import CountingApi, status_writes
from bench.figures import about, milliseconds, row
from bench.plane import Client, a_deployment, a_rollout, client, is_ready, manager

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

STEPS: list[JsonObject] = [
    {"replicas": 1, "pause": {}},
    {"replicas": "50%", "pause": {}},
    {"replicas": "100%", "pause": {}},
]
WANTED = (1, 5, 10)


class Figures:
    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.requests: list[int] = []
        self.status_writes: list[int] = []
        self.lost = 0
        self.by_kind: Counter[str] = Counter()

    def add(self, what: str, seconds: float) -> None:
        self.times.setdefault(what, []).append(seconds)


async def one_release(seen: Client, name: str, number: int, figures: Figures) -> None:
    version = f"v{number + 2}"
    first: dict[str, float] = {}
    ready: list[float] = []

    def note(type_: str, kind: str, obj: dict) -> None:  # type: ignore[type-arg]
        if kind == "Pod" and type_ != "DELETED" and obj in seen.pods(version):
            first.setdefault(obj["metadata"]["name"], time.monotonic())
            if is_ready(obj) and len([p for p in seen.pods(version) if is_ready(p)]) > len(ready):
                ready.append(time.monotonic())

    seen.on_event(note)
    began = time.monotonic()
    await seen.set_version(name, version)
    for step, wanted in enumerate(WANTED, start=1):
        before = WANTED[step - 2] if step > 1 else 0
        last = step == len(WANTED)  # of "100%": it ends the release without a pause

        def rests(step: int = step, last: bool = last) -> bool:
            phase, index, state = seen.state(name)
            if last:
                return phase == "Healthy" and len(ready) == WANTED[-1]
            return (phase, index, state) == ("Progressing", step, "StepPaused")

        rested = await seen.until(rests)
        created = sorted(first.values())
        figures.add(
            "patch -> first new pod" if step == 1 else "approval -> first new pod", created[before] - began
        )
        what = "last pod ready -> Healthy" if last else "last pod of the batch ready -> paused state seen"
        figures.add(what, rested - ready[wanted - 1])
        if last:
            break
        began = time.monotonic()
        await seen.approve(name)
        try:
            await seen.until(lambda s=step: seen.state(name)[1] > s, 5)  # type: ignore[misc]
        except TimeoutError:
            figures.lost += 1
            raise
    seen._handlers.clear()


async def main(releases: int) -> None:
    figures = Figures()
    async with manager() as counting, client("bench") as seen:
        await seen.send("POST", DEPLOYMENT.path(seen.ns), a_deployment("busybox", 10))
        await seen.send("POST", ROLLOUT.path(seen.ns), a_rollout("busybox", STEPS))
        await seen.until(
            lambda: seen.state("busybox")[0] == "Healthy" and sum(map(is_ready, seen.pods("v1"))) == 10
        )
        await asyncio.sleep(1)
        for number in range(releases):
            counting.taken()
            await one_release(seen, "busybox", number, figures)
            await asyncio.sleep(1.0)  # Events are sent in the background; they count as well
            count(counting, figures)
    report(figures, releases)


def count(counting: CountingApi, figures: Figures) -> None:
    counted = counting.taken()
    figures.requests.append(sum(counted.values()))
    figures.status_writes.append(status_writes(counted))
    figures.by_kind += counted


LIMITS = {  # goal, OpenKruise, Argo
    "patch -> first new pod": ("< 0.2 s", "5.2 s", "0.20 s"),
    "approval -> first new pod": ("< 0.2 s", "2.1 s", "0.20 s"),
    "last pod of the batch ready -> paused state seen": ("< 80 ms, p99 < 300", "0.2-4.2 s", "0.09-0.24 s"),
    "last pod ready -> Healthy": ("< 0.2 s", "4.2 s", "0.23 s"),
}


def report(figures: Figures, releases: int) -> None:
    print(about())
    print(f"{releases} releases of 10 pods in 3 steps, each approved the moment its pause was seen")
    requests = f"median {statistics.median(figures.requests):.0f}, most {max(figures.requests)}"
    print(row("API requests per release", requests, "<= 65", "260", "140-300"))
    writes = f"median {statistics.median(figures.status_writes):.0f}, most {max(figures.status_writes)}"
    print(row("status writes per release", writes, "<= 16", "168", "24"))
    for what, values in figures.times.items():
        print(row(what, milliseconds(values), *LIMITS[what]))
    print(row("approvals lost or stuck", f"{figures.lost} of {releases * 2}", "0"))
    for kind, number in figures.by_kind.most_common():
        print(f"    {number / releases:6.1f} {kind}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
