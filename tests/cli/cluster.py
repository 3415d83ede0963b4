"""A sandbox on a socket, in a thread of its own, and what tests put into it.

The CRDs are there but nobody acts on Rollouts: what a test writes into a status stays as it is. With `managed`, the
controller is in it, too, and time runs faster than the wall.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kruise_rollouts.cli.home import Home, home
from kruise_rollouts.cli.lab import HOST, LabFlags, lab
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.operator.assembly import Assembly
from kruise_rollouts.operator.install import install
from kruise_rollouts.operator.installation import Installation, crd_objects
from kruise_rollouts.operator.options import Options
from kruise_rollouts.operator.webhook_configurations import Target
from kruise_rollouts.runtime.clock import RateClock
from kruise_rollouts.sandbox.admission.callers import AppCaller
from kruise_rollouts.sandbox.sandbox import Sandbox
from kruise_rollouts.sandbox.wire.listen import Listener

T = TypeVar("T")
RATE = 50.0
ROLLOUTS = "/apis/rollouts.kruise.io/{version}/namespaces/{ns}/rollouts"


class Cluster:
    """A running cluster; `do` runs a coroutine in its thread."""

    def __init__(self, sandbox: Sandbox, kubeconfig: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.sandbox = sandbox
        self.kubeconfig = kubeconfig
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        raw = None if body is None else msgspec.json.encode(body)
        answer = self.do(self.sandbox.api().request(method, path, body=raw, content_type=content_type))
        return msgspec.json.decode(answer)

    def merge(self, path: str, body: Any) -> Any:
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def namespace(self, name: str) -> None:
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def rollout(
        self,
        ns: str,
        name: str = "web",
        *,
        status: Any = None,
        blue_green: bool = False,
        workload: tuple[str, str] = ("apps/v1", "Deployment"),
    ) -> None:
        steps = [
            {"replicas": 1, "pause": {}},
            {"replicas": "50%", "pause": {"duration": 60}},
            {"replicas": "100%"},
        ]
        strategy = {"blueGreen" if blue_green else "canary": {"steps": steps}}
        reference = {"apiVersion": workload[0], "kind": workload[1], "name": "web"}
        spec = {"workloadRef": reference, "strategy": strategy}
        path = ROLLOUTS.format(version="v1beta1", ns=ns)
        self.request(
            "POST", path, {"apiVersion": "rollouts.kruise.io/v1beta1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec}
        )  # fmt: skip
        if status is not None:
            self.merge(f"{path}/{name}/status", {"status": status})

    def status(self, ns: str, name: str = "web") -> Any:
        return self.request("GET", f"{ROLLOUTS.format(version='v1beta1', ns=ns)}/{name}").get("status", {})

    def deployment(self, ns: str, image: str = "busybox:1", name: str = "web") -> None:
        labels = {"app": name}
        containers = [{"name": "main", "image": image}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        self.request(
            "POST", f"/apis/apps/v1/namespaces/{ns}/deployments", {"metadata": {"name": name}, "spec": spec}
        )

    def image(self, ns: str, image: str, name: str = "web") -> None:
        self.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{ns}/deployments/{name}",
            {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}},
            "application/strategic-merge-patch+json",
        )


def waiting(step: int, part: str = "canaryStatus") -> dict[str, Any]:
    """The status of a Rollout that waits for approval at `step`."""
    sub = {
        "currentStepIndex": step, "currentStepState": "StepPaused", "nextStepIndex": step + 1, "observedWorkloadGeneration": 1,
        "canaryReplicas": 1, "canaryReadyReplicas": 1, "canaryRevision": "new", "stableRevision": "old", "podTemplateHash": "",
        "rolloutHash": "", "finalisingStep": "",
    }  # fmt: skip
    if part == "blueGreenStatus":
        sub |= {"updatedReplicas": 1, "updatedReadyReplicas": 1, "updatedRevision": "new"}
        for gone in ("canaryReplicas", "canaryReadyReplicas", "canaryRevision"):
            del sub[gone]
    return {
        "phase": "Progressing", "message": "waits for you", "observedGeneration": 1, "currentStepIndex": step,
        "currentStepState": "StepPaused", part: sub,
    }  # fmt: skip


@contextlib.asynccontextmanager
async def _unmanaged(clock: Clock, place: Home) -> AsyncIterator[Sandbox]:
    """Our kinds in both versions, converted in this process, and nobody who acts on them."""
    caller = AppCaller(clock)
    sandbox = Sandbox(clock, caller=caller, token=place.token)
    await sandbox.start()
    try:
        caller.register(HOST, Assembly(sandbox.api(), clock, Options()).app.respond)
        await install(sandbox.api(), clock, crd_objects(Installation(Target(url=f"https://{HOST}"))))
        yield sandbox
    finally:
        await sandbox.stop()


@contextlib.contextmanager
def cluster(*, managed: bool = False) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts."""
    begun = threading.Event()
    found: list[tuple[Sandbox, Path]] = []
    loop = asyncio.new_event_loop()
    end = asyncio.Event()

    async def live() -> None:
        clock = RateClock(RATE)
        with home("", 0, clock.now()) as place:
            running = lab(LabFlags(rate=RATE), clock, place) if managed else _unmanaged(clock, place)
            async with running as sandbox:
                listener = Listener(sandbox.server, place.identity)
                await listener.start()
                place.publish(listener.url)
                found.append((sandbox, place.kubeconfig))
                begun.set()
                await end.wait()
                await listener.stop()

    def work() -> None:
        try:
            loop.run_until_complete(live())
        finally:
            begun.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    begun.wait(30)
    try:
        yield Cluster(*found[0], loop)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
