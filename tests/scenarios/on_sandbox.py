"""A stage in the sandbox: server, controllers, kubelets and manager in one virtual event loop, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kruise_rollouts.core.snapshot import Gates
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import outside_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import cancelled
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.direct import DirectApi
from kruise_rollouts.sandbox.request import User
from kruise_rollouts.sandbox.sandbox import Sandbox

from .stage import Stage

HOST = "kruise-rollout.test:9876"
ADMIN = User("admin", groups=("system:masters", "system:authenticated"))


async def sandbox_stage(play: Callable[[Stage], Awaitable[None]], clock: Clock) -> None:
    """Plays one scenario in a fresh cluster."""
    caller = AppCaller(clock)
    sandbox = Sandbox(clock, caller=caller)
    await sandbox.start()
    assembly = Assembly(sandbox.api(), clock, Options(gates=Gates(rollout_history=True)))
    caller.register(HOST, assembly.app.respond)
    await install(sandbox.api(), clock, outside_objects(Target(url=f"https://{HOST}")))
    manager = asyncio.create_task(assembly.manager.run())
    warnings: list[str] = []
    api = DirectApi(sandbox.server, ADMIN, "kubectl/test", warnings.append)
    try:
        await play(Stage(api, clock, "default", warnings))
        if manager.done():
            manager.result()
    finally:
        await cancelled(manager)
        await sandbox.stop()
