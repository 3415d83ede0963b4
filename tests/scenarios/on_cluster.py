"""A stage on the API server of KUBECONFIG: the run's manager process, and a namespace of its own per scenario."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kruise_rollouts.kube.objects import NAMESPACE
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.client import HttpApi
from kruise_rollouts.runtime.kubeconfig import connect

from .shared_manager import shared_manager
from .stage import Stage, a_namespace


async def cluster_stage(play: Callable[[Stage], Awaitable[None]], clock: Clock) -> None:
    """Plays one scenario in a fresh namespace, and deletes it."""
    shared_manager()
    warnings: list[str] = []
    async with HttpApi(connect(), user_agent="kubectl/test", on_warning=warnings.append) as api:
        ns = await a_namespace(api, "scenario")
        try:
            await play(Stage(api, clock, ns, warnings))
        finally:
            await api.request("DELETE", NAMESPACE.path("", ns))
