"""The sandbox as a process of its own, over HTTPS, beside the API server of KUBECONFIG doing the same.

    KUBECONFIG=... python -m bench.sandbox [pods] [writes] [watchers]

Both get the same client, a Python process on the same machine, which takes its share of the CPU from either.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from bench.figures import about, row
from bench.fleet import all_of, deployments
from bench.plane import Client, client
from bench.program import PROGRAM

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.objects import CONFIG_MAP, DEPLOYMENT
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.clock import cancelled
from kruise_rollouts.runtime.kubeconfig import connect

PODS_EACH = 100


class Server:
    """A sandbox that runs; `first_answer` in seconds from the start of the process."""

    def __init__(self, process: subprocess.Popen[str], kubeconfig: str) -> None:
        self.process = process
        self.kubeconfig = kubeconfig
        self.first_answer = 0.0

    def memory(self) -> float:
        """MiB resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def sandbox() -> AsyncIterator[Server]:
    began = time.monotonic()
    command = [PROGRAM, "sandbox", "--no-controller"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        line = await asyncio.to_thread(process.stdout.readline)
        found = Server(process, line.strip().partition("KUBECONFIG=")[2])
        async with HttpApi(connect(found.kubeconfig)) as api:
            await api.request("GET", "/api/v1/namespaces")
        found.first_answer = time.monotonic() - began
        yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def to_ready(kubeconfig: str, pods: int) -> float:
    """Seconds until `pods` pods of Deployments are ready."""
    async with client("sandbox", (DEPLOYMENT,), kubeconfig) as seen:
        return await deployments(seen, max(1, pods // PODS_EACH), min(pods, PODS_EACH))


async def writes_a_second(kubeconfig: str, writes: int, watchers: int) -> tuple[float, int]:
    """Patches of ConfigMaps a second, and the events told: each watcher watches one object, all objects in turn."""
    told = 0

    async def follow(seen: Client, name: str) -> None:
        nonlocal told
        params = {"watch": "1", "fieldSelector": f"metadata.name={name}"}
        async with HttpApi(connect(kubeconfig)) as api:
            async for _ in api.watch(CONFIG_MAP.path(seen.ns), params, idle_seconds=600):
                told += 1

    async def write(seen: Client, number: int) -> None:
        body = {"data": {"number": str(number)}}
        path = CONFIG_MAP.path(seen.ns, f"box-{number % watchers:04}")
        await seen.send("PATCH", path, body, "application/merge-patch+json")

    async with client("writes", (), kubeconfig) as seen:
        boxes = [f"box-{n:04}" for n in range(watchers)]
        made: list[JsonObject] = [{"metadata": {"name": name}, "data": {"text": "x" * 400}} for name in boxes]
        await all_of(lambda m=m: seen.send("POST", CONFIG_MAP.path(seen.ns), m) for m in made)  # type: ignore[misc]
        follows = [asyncio.create_task(follow(seen, name)) for name in boxes]
        while told < watchers:
            await asyncio.sleep(0.05)
        began, told = time.monotonic(), 0
        await all_of(lambda n=n: write(seen, n) for n in range(writes))  # type: ignore[misc]
        while told < writes:
            await asyncio.sleep(0.01)
        lasted = time.monotonic() - began
        await cancelled(*follows)
        return writes / lasted, told


async def pods_of(kubeconfig: str) -> int:
    async with HttpApi(connect(kubeconfig)) as api:
        listed = msgspec.json.decode(await api.request("GET", "/api/v1/pods", params={"limit": "1"}))
        return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount") or 0)


async def main(pods: int, writes: int, watchers: int) -> None:
    real = os.environ["KUBECONFIG"]
    print(about())
    async with sandbox() as server:
        print(row("start to first answer", f"{server.first_answer:.2f} s", "< 1 s"))
        empty = server.memory()
        rate, _ = await writes_a_second(server.kubeconfig, writes, watchers)
        other, _ = await writes_a_second(real, writes, watchers)
        ours, theirs = f"{rate:.0f} a second", f"real control plane {other:.0f}"
        print(row(f"writes with {watchers} watchers", f"{ours}; {theirs}", "2,000"), flush=True)
        before = server.memory()
        lasted = await to_ready(server.kubeconfig, pods)
        grown = (server.memory() - before) / max(1, pods) * 1000
        print(row("memory", f"{empty:.0f} MiB empty, {grown:.1f} for 1,000 pods", "as little as can be"))
        slower = await to_ready(real, pods)
        both = f"{lasted:.1f} s; real control plane {slower:.1f} s"
        print(row(f"{pods} pods created, to all ready", both, "< 10 s for 10,000"))
    print(about())


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [10000, 4000, 200][len(given) :])))
