"""Many Rollouts at once, and at rest: time to Healthy, memory and requests of the real program, time to start there.

    KUBECONFIG=... python -m bench.fleet [rollouts] [pods of each] [pods of nobody]

Deployments and Rollouts are made at once; when the pods are ready and when all is Healthy is seen in the same run.
The pods of nobody are bare and never scheduled: they are there to be looked at by whoever looks at all pods.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

from bench.figures import about, row
from bench.plane import Client, a_deployment, a_rollout, client
from bench.program import Place, Program, installed, program

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, POD, ROLLOUT

STEPS: list[JsonObject] = [
    {"replicas": 1, "pause": {}},
    {"replicas": "50%", "pause": {}},
    {"replicas": "100%", "pause": {}},
]
AT_ONCE = 32
REST_SECONDS = 30
LOOK_SECONDS = 0.1  # looking at a thousand objects at every event would cost more than what is measured


async def all_of(work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Everything, AT_ONCE at a time."""
    left = iter(work)

    async def take() -> None:
        for one in left:
            await one()

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))


async def deployments(seen: Client, count: int, pods: int) -> float:
    """Makes them; the seconds until all of their pods are ready."""
    began = time.monotonic()
    names = [f"app-{n:04}" for n in range(count)]
    path = DEPLOYMENT.path(seen.ns)
    await all_of(lambda n=n: seen.send("POST", path, a_deployment(n, pods)) for n in names)  # type: ignore[misc]

    return await seen_by(lambda: ready_pods(seen) >= count * pods) - began


def ready_pods(seen: Client) -> int:
    """As the Deployments say."""
    found = (o for (kind, _), o in seen.seen.items() if kind == "Deployment")
    return sum(o.get("status", {}).get("readyReplicas", 0) for o in found)


async def seen_by(holds: Callable[[], bool]) -> float:
    """The time (time.monotonic) at which `holds()` was seen."""
    async with asyncio.timeout(3600):
        while not holds():
            await asyncio.sleep(LOOK_SECONDS)
    return time.monotonic()


async def rollouts(seen: Client, count: int, steps: list[JsonObject] = STEPS) -> float:
    """Makes one for each Deployment, all at once; the seconds until all are Healthy."""
    began = time.monotonic()
    path = ROLLOUT.path(seen.ns)
    names = [f"app-{n:04}" for n in range(count)]
    await all_of(lambda n=n: seen.send("POST", path, a_rollout(n, steps)) for n in names)  # type: ignore[misc]
    return await seen_by(lambda: all(seen.state(n)[0] == "Healthy" for n in names)) - began


async def both(seen: Client, count: int, pods: int) -> tuple[float, float]:
    """Makes Deployments and their Rollouts; the seconds until all pods are ready, and until all is well."""
    ready, healthy = await asyncio.gather(deployments(seen, count, pods), rollouts(seen, count))
    return ready, max(ready, healthy)


async def strangers(seen: Client, count: int) -> None:
    container = {"name": "app", "image": "busybox:1.36"}
    spec = {"containers": [container], "schedulerName": "nobody"}
    body = {"apiVersion": "v1", "kind": "Pod", "spec": spec}

    async def one(number: int) -> None:
        await seen.send("POST", POD.path(seen.ns), {**body, "metadata": {"name": f"stranger-{number:05}"}})

    await all_of(lambda n=n: one(n) for n in range(count))  # type: ignore[misc]


async def resting(found: Program) -> str:
    """Requests a minute, leases not elected for."""
    before, cpu = await found.requests(), found.cpu_seconds()
    await asyncio.sleep(REST_SECONDS)
    sent, busy = await found.requests() - before, found.cpu_seconds() - cpu
    return f"{sent * 60 / REST_SECONDS:.1f} a minute, {busy / REST_SECONDS:.1%} CPU"


async def main(count: int, pods: int, others: int) -> None:
    print(about())
    print(f"{count} Rollouts of {pods} pods")
    with installed() as place:
        await measured(place, count, pods, others)
    print(about())


async def measured(place: Place, count: int, pods: int, others: int) -> None:
    async with program(place=place) as found, client("fleet", (DEPLOYMENT, ROLLOUT)) as seen:
        ready, healthy = await both(seen, count, pods)
        figure = f"{healthy:.1f} s, pods ready {ready:.1f} s: x {healthy / ready:.2f}"
        print(row("both made at once, to all Healthy", figure, "< 130 s, pods 100 s", "< 350 s", "780 s"))
        print(
            f"  CPU of the manager {found.cpu_seconds():.1f} s of {healthy * (os.cpu_count() or 1):.0f}",
            flush=True,
        )
        await asyncio.sleep(5)
        now, most = found.memory()
        limits = ("< 150 MiB", "249 MiB", "201 MiB")
        print(row("after that: memory", f"{now:.0f} MiB, most {most:.0f}", *limits))
        print(row("at rest: requests", await resting(found), "<= 4 a minute", "4"), flush=True)
        found.process.terminate()
        await asyncio.to_thread(found.process.wait, 40)
        await started(place, "started there", "2.1-2.6 s, 330 MiB")
        if others:
            await strangers(seen, others)
            await started(place, f"next to {others} pods none of ours", "")


async def started(place: Place, what: str, openkruise: str) -> None:
    """A new process next to all that."""
    async with program(place=place) as found:
        took = f"{found.admitted_after:.2f} s, {found.admitted_cpu:.2f} s of CPU"
        print(row(f"{what}: to the first admission", took, "< 2 s", openkruise), flush=True)
        await asyncio.sleep(10)
        now, most = found.memory()
        print(row(f"{what}: memory", f"{now:.0f} MiB, most {most:.0f}", "< 150 MiB, no growth"))
        print(row(f"{what}: requests", await resting(found), "<= 4 a minute from the start"))
        if found.complaints():
            print("it complained:", *found.complaints()[:5], sep="\n  ")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [1000, 10, 0][len(given) :])))
