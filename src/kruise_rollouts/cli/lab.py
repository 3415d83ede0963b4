"""`kruise-rollout sandbox` and `demo`: a cluster in this process, with our manager in it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import Installation, crd_objects, webhook_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import RateClock, WallClock, cancelled
from kruise_rollouts.sandbox.callers import AppCaller, HttpCaller, Services
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.listen import Listener, kubeconfig, make_identity, write_kubeconfig
from kruise_rollouts.sandbox.request import User
from kruise_rollouts.sandbox.sandbox import Sandbox

from .errors import CommandError, refusal
from .live import View, view_for_here
from .person import Person, Picture
from .story import STORY, Act

HOST = "kruise-rollout.sandbox:9876"  # where the API server reaches the manager in its own process
PERSON = User("admin", groups=("system:masters", "system:authenticated"))
LOOK_SECONDS = 0.1  # of the machine's clock, between two looks of the demo


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
async def lab(flags: LabFlags, clock: Clock, root_ca: str = "") -> AsyncIterator[Sandbox]:
    """A running sandbox, with the manager in it if wanted. `root_ca`: as Sandbox."""
    outside = HttpCaller(lambda host, port: Services(sandbox.server.store)(host, port))
    caller = AppCaller(clock, outside)
    sandbox = Sandbox(clock, nodes=flags.nodes, caller=caller, rbac=flags.rbac, root_ca=root_ca)
    await sandbox.start()
    manager: asyncio.Task[None] | None = None
    try:
        if flags.controller:
            assembly = Assembly(sandbox.api(), clock, Options())
            caller.register(HOST, assembly.app.respond)
            installation = Installation(Target(url=f"https://{HOST}"))
            await install(sandbox.api(), clock, (*crd_objects(installation), *webhook_objects(installation)))
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
    """Serves until Ctrl-C. Nothing is left behind."""
    clock = _clock(flags.rate)
    folder = Path(tempfile.mkdtemp(prefix="kruise-sandbox-"))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        identity = await asyncio.to_thread(make_identity, clock.now())
        async with lab(flags, clock, identity.certificate.decode()) as sandbox:
            listener = Listener(sandbox.server, identity, flags.port)
            try:
                await listener.start()
            except OSError as error:
                raise refusal(
                    f"port {flags.port} cannot be had: {error.strerror}. Choose another with --port, or none"
                ) from None
            path = folder / "kubeconfig"
            write_kubeconfig(path, kubeconfig(listener.url, identity, sandbox.token))
            print(f"A Kubernetes is listening on {listener.url}. In another terminal:\n", file=sys.stderr)
            print(f"export KUBECONFIG={path}", flush=True)
            print(f"\n{_advice(flags)}Ctrl-C ends it and leaves nothing behind.", file=sys.stderr, flush=True)
            await stop.wait()
            await listener.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _advice(flags: LabFlags) -> str:
    lines = "" if flags.rate == 1.0 else f"Its clock runs {flags.rate:g} times as fast as yours.\n"
    if not flags.controller:
        lines += (
            "No controller of ours runs in it: kruise-rollout install and manager can be pointed at it.\n"
        )
    return lines


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
