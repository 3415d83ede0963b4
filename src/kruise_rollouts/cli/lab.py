"""`kruise-rollout sandbox`: a cluster in this process, with our manager in it. The story told in one is demo.py's."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import outside_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import RateClock, WallClock, cancelled
from kruise_rollouts.sandbox.admission.callers import AppCaller, HttpCaller, Services
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.wire.listen import Listener

from .errors import refusal
from .home import Home, home

HOST = "kruise-rollout.sandbox:9876"  # where the API server reaches the manager in its own process


class LabFlags(Struct, frozen=True):
    """What the command line says."""

    rate: float = 1.0  # how many times faster than the wall time runs
    nodes: int = 3
    port: int = 0  # 0: any free one
    data: str = ""  # "": in memory
    rbac: bool = False
    controller: bool = True  # False: only the cluster; a manager of one's own may be pointed at it


def _clock(rate: float) -> Clock:
    return WallClock() if rate == 1.0 else RateClock(rate)


@asynccontextmanager
async def lab(flags: LabFlags, clock: Clock, place: Home | None = None) -> AsyncIterator[Sandbox]:
    """A running sandbox, with the manager in it if wanted. `place` None: nobody reaches it from outside."""
    outside = HttpCaller(lambda host, port: Services(sandbox.server.store)(host, port))  # noqa: PLW0108 (sandbox comes next)
    caller = AppCaller(clock, outside)
    sandbox = Sandbox(
        clock,
        nodes=flags.nodes,
        caller=caller,
        rbac=flags.rbac,
        token=place.token if place is not None else "",
        data=place.folder / "objects" if place is not None and place.kept else None,
        root_ca=place.identity.certificate.decode() if place is not None else "",
    )
    await sandbox.start()
    manager: asyncio.Task[None] | None = None
    try:
        if flags.controller:
            assembly = Assembly(sandbox.api(), clock, Options())
            caller.register(HOST, assembly.app.respond)
            await install(sandbox.api(), clock, outside_objects(Target(url=f"https://{HOST}")))
            manager = asyncio.create_task(assembly.manager.run())
            while not assembly.manager.ready and not manager.done():
                await asyncio.sleep(0)
        yield sandbox
    finally:
        if manager is not None:
            await cancelled(manager)
        await sandbox.stop()
        await outside.aclose()


async def run_sandbox(flags: LabFlags) -> None:
    """Serves until Ctrl-C. Raises CommandError if it cannot."""
    clock = _clock(flags.rate)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with home(flags.data, flags.port, clock.now()) as place:
        try:
            async with lab(flags, clock, place) as sandbox:
                listener = await _listening(sandbox, place)
                try:
                    place.publish(listener.url)
                    _welcome(flags, listener.url, place)
                    gc.collect()
                    gc.freeze()  # what is there now stays: no collection need look at it again
                    await stop.wait()
                finally:
                    await listener.stop()
        except ValueError as error:
            raise refusal(f"{error}. Choose another --data") from None


async def _listening(sandbox: Sandbox, place: Home) -> Listener:
    listener = Listener(sandbox.server, place.identity, place.port)
    try:
        await listener.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is taken by another program"
        else:
            why = f"cannot be had ({os.strerror(error.errno or 0)})"
        kept = f", where the kubeconfig in {place.folder} points," if place.kept else ""
        raise refusal(f"port {place.port}{kept} {why}. Choose another with --port") from None
    return listener


def _welcome(flags: LabFlags, url: str, place: Home) -> None:
    """The line to paste goes to standard output, the rest is for people."""
    sys.stdout.flush()
    print(f"A Kubernetes is listening on {url}. In another terminal:\n", file=sys.stderr, flush=True)
    print(f"export KUBECONFIG={place.kubeconfig}", flush=True)
    end = (
        f"Ctrl-C ends it; {place.folder} keeps it"
        if place.kept
        else "Ctrl-C ends it and leaves nothing behind"
    )
    print(f"\n{_advice(flags)}{end}.", file=sys.stderr, flush=True)


def _advice(flags: LabFlags) -> str:
    lines = "" if flags.rate == 1.0 else f"Its clock runs {flags.rate:g} times as fast as yours.\n"
    if not flags.controller:
        lines += (
            "No controller of ours runs in it: kruise-rollout install and manager can be pointed at it.\n"
        )
    return lines
