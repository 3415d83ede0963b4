"""Many releases at once: 4 pods each, steps of 1 pod, 50 % and 100 % with a pause of one second after the first two.

KUBECONFIG=... python -m bench.many [releases]
"""

from __future__ import annotations

import asyncio
import sys
import time

from bench.figures import about, row
from bench.fleet import all_of, deployments, rollouts
from bench.plane import client
from bench.program import program

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

PAUSE = {"duration": 1}
STEPS: list[JsonObject] = [
    {"replicas": 1, "pause": PAUSE},
    {"replicas": "50%", "pause": PAUSE},
    {"replicas": "100%"},
]
PODS = 4
LIMITS = {50: ("< 12 s", "117 s", "47 s"), 500: ("< 120 s", "", "")}


async def main(count: int) -> None:
    print(about())
    async with program() as found, client("many", (DEPLOYMENT, ROLLOUT)) as seen:
        await deployments(seen, count, PODS)
        await rollouts(seen, count, STEPS)
        names = [f"app-{n:04}" for n in range(count)]
        known = {n: seen.rollout(n)["status"]["canaryStatus"]["canaryRevision"] for n in names}
        before, cpu = await found.requests(), found.cpu_seconds()
        began = time.monotonic()
        await all_of(lambda n=n: seen.set_version(n, "v2") for n in names)  # type: ignore[misc]

        def done() -> bool:
            now = (seen.rollout(n)["status"] for n in names)
            others = zip(now, known.values(), strict=True)
            return all(
                s["phase"] == "Healthy" and s["canaryStatus"]["canaryRevision"] != k for s, k in others
            )

        lasted = await seen.until(done, 3600) - began
        await asyncio.sleep(2)
        each = (await found.requests() - before) / count
        cost = (found.cpu_seconds() - cpu) / count * 1000
        print(row(f"{count} releases of {PODS} pods at once", f"{lasted:.1f} s", *LIMITS.get(count, ("",))))
        print(row("  requests for each", f"{each:.0f}", "", "135", "53"))
        print(f"  CPU for each {cost:.0f} ms; memory {found.memory()[1]:.0f} MiB at most")
        if found.complaints():
            print("it complained:", *found.complaints()[:5], sep="\n  ")
    print(about())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
