"""The sandbox as a process of its own, over HTTPS, beside the API server of KUBECONFIG doing the same.

    KUBECONFIG=... python -m bench.sandbox [pods] [writes] [watchers]

Both get the same load from the same processes. CONTROLPLANE_DIR names the folder in which that API server's processes
keep their *.pid files, if they are on this machine: then their memory is shown as well.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from bench.figures import about, row
from bench.fleet import all_of, deployments
from bench.load import Result
from bench.plane import client
from bench.program import PROGRAM, as_installed, cpu_seconds_of, memory_of

from kruise_rollouts.kube.objects import CONFIG_MAP, DEPLOYMENT
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.kubeconfig import connect

PODS_EACH = 100
STARTS = 5
SHARED = 8  # of all watchers, who follow everything in the second part


class Server:
    """An API server and its controllers, in one or several processes of this machine."""

    def __init__(self, kubeconfig: str, pids: tuple[int, ...]) -> None:
        self.kubeconfig = kubeconfig
        self.pids = pids
        self.first_answer = 0.0  # seconds from the start of the process
        self.first_cpu = 0.0  # CPU seconds until then

    def memory(self) -> float:
        """MiB resident."""
        return sum(memory_of(pid)[0] for pid in self.pids)

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds_of(pid) for pid in self.pids)


@asynccontextmanager
async def sandbox() -> AsyncIterator[Server]:
    environ = as_installed("kruise_rollouts.cli.lab")
    began = time.monotonic()
    command = [PROGRAM, "sandbox", "--no-controller"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    )
    assert process.stdout is not None
    try:
        line = await asyncio.to_thread(process.stdout.readline)
        found = Server(line.strip().partition("KUBECONFIG=")[2], (process.pid,))
        async with HttpApi(connect(found.kubeconfig)) as api:
            await api.request("GET", "/api/v1/namespaces")
        found.first_answer, found.first_cpu = time.monotonic() - began, found.cpu_seconds()
        yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)
        process.stdout.close()


def real() -> Server:
    folder = os.environ.get("CONTROLPLANE_DIR", "")
    files = Path(folder).glob("*.pid") if folder else ()
    return Server(os.environ["KUBECONFIG"], tuple(int(file.read_text()) for file in files))


async def starts() -> None:
    taken: list[tuple[float, float]] = []
    for _ in range(STARTS):
        async with sandbox() as server:
            taken.append((server.first_answer, server.first_cpu))
    seconds, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
    print(row("start to first answer", f"{seconds:.2f} s, {cpu:.2f} s of CPU", "< 1 s"), flush=True)


async def loaded(server: Server, writes: int, watchers: int, whose: str) -> tuple[Result, float]:
    """What bench.load found, and the CPU microseconds of the server for each write."""
    async with client("writes", (), server.kubeconfig) as seen:
        boxes = [{"metadata": {"name": f"box-{n:04}"}, "data": {"text": "x" * 400}} for n in range(watchers)]
        await all_of(lambda b=b: seen.send("POST", CONFIG_MAP.path(seen.ns), b) for b in boxes)  # type: ignore[misc]
        command = [sys.executable, "-m", "bench.load", server.kubeconfig, seen.ns]
        busy = server.cpu_seconds()
        done = await asyncio.create_subprocess_exec(
            *command, str(writes), str(watchers), whose, stdout=subprocess.PIPE
        )
        out, _ = await done.communicate()
        return msgspec.json.decode(out, type=Result), (server.cpu_seconds() - busy) / writes * 1e6


async def writing(servers: tuple[Server, Server], writes: int, watchers: int, whose: str, what: str) -> None:
    told = []
    for server in servers:
        result, cpu = await loaded(server, writes, watchers, whose)
        slowest = f"events after {result.delays[0] * 1000:.0f} ms, p99 {result.delays[1] * 1000:.0f}"
        used = f", {cpu:.0f} us of CPU each" if cpu else ""
        told.append((writes / result.seconds, f"{writes / result.seconds:.0f}/s, {slowest}{used}"))
    (ours, shown), (theirs, other) = told
    goal = "2,000/s" if whose == "own" else "none behind"
    print(row(what, shown, f"{goal}   real control plane {other}; x {ours / theirs:.1f}"), flush=True)


async def to_ready(server: Server, pods: int) -> tuple[float, float]:
    """Seconds until `pods` pods of Deployments are ready, and the MiB they take for 1,000 (0: not known)."""
    before = server.memory()
    async with client("sandbox", (DEPLOYMENT,), server.kubeconfig) as seen:
        took = await deployments(seen, max(1, pods // PODS_EACH), min(pods, PODS_EACH))
        return took, (server.memory() - before) / pods * 1000


async def main(pods: int, writes: int, watchers: int) -> None:
    print(about())
    await starts()
    async with sandbox() as ours:
        theirs = real()
        empty = f"{ours.memory():.0f} MiB", f"{theirs.memory():.0f} MiB"
        what = f"{writes} writes, {watchers} watchers, each of one object"
        await writing((ours, theirs), writes, watchers, "own", what)
        few, shared = writes // SHARED, watchers // SHARED
        what = f"{few} writes, {shared} watchers of everything"
        await writing((ours, theirs), few, shared, "all", what)
        ready, each = await to_ready(ours, pods)
        slower, heavier = await to_ready(theirs, pods)
        print(
            row(
                f"{pods} pods made, to all ready",
                f"{ready:.1f} s",
                f"< 10 s   real control plane {slower:.1f} s",
            )
        )
        real_memory = f"{empty[1]}, {heavier:.1f}" if theirs.pids else "not on this machine"
        print(
            row(
                "memory: empty, for 1,000 pods",
                f"{empty[0]}, {each:.1f} MiB",
                f"none   real control plane {real_memory}",
            )
        )
    print(about())


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [10000, 10000, 200][len(given) :])))
