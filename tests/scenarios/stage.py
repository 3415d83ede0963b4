"""The stage that scenarios play on: the sandbox on a virtual clock, or any API server that KUBECONFIG names.

A scenario is `async def story(stage)`: it acts as a person would (apply, patch, approve) and looks at what a person
would see. It never learns which server it talks to.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.kube.objects import (
    BATCH_RELEASE,
    DEPLOYMENT,
    EVENT,
    NAMESPACE,
    POD,
    REPLICA_SET,
    ROLLOUT,
    Kind,
)
from kruise_rollouts.kube.protocols import Api, Clock

Object = dict[str, Any]
Objects = list[Object]
LOOK_SECONDS = 0.05
ROLLOUT_ALPHA = Kind("rollouts.kruise.io/v1alpha1", "Rollout", "rollouts")


class Stage:
    """One namespace of one API server with the manager running."""

    def __init__(self, api: Api, clock: Clock, ns: str, warnings: list[str]) -> None:
        self.api = api
        self.clock = clock
        self.ns = ns
        self.warnings = warnings  # admission warnings since the stage began, newest last

    async def get(self, kind: Kind, name: str) -> Object:
        found: Object = msgspec.json.decode(await self.api.request("GET", kind.path(self.ns, name)))
        return found

    async def find(self, kind: Kind, name: str) -> Object | None:
        try:
            return await self.get(kind, name)
        except NotFound:
            return None

    async def list(self, kind: Kind, selector: str = "") -> Objects:
        params = {"labelSelector": selector} if selector else None
        answer = msgspec.json.decode(await self.api.request("GET", kind.path(self.ns), params=params))
        items: Objects = answer["items"]
        return items

    async def create(self, kind: Kind, obj: Object) -> Object:
        made: Object = msgspec.json.decode(
            await self.api.request("POST", kind.path(self.ns), body=msgspec.json.encode(obj))
        )
        return made

    async def apply(self, kind: Kind, obj: Object, manager: str = "kubectl", force: bool = True) -> Object:
        """Server-side apply."""
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        params = {"fieldManager": manager, "force": "true" if force else "false"}
        path = kind.path(self.ns, obj["metadata"]["name"])
        answer = await self.api.request(
            "PATCH",
            path,
            params=params,
            body=msgspec.json.encode(body),
            content_type="application/apply-patch+yaml",
        )
        made: Object = msgspec.json.decode(answer)
        return made

    async def patch(
        self, kind: Kind, name: str, body: Object, subresource: str = "", type_: str = "merge"
    ) -> Object:
        content_type = {
            "merge": "application/merge-patch+json",
            "strategic": "application/strategic-merge-patch+json",
        }[type_]
        path = kind.path(self.ns, name, subresource)
        answer = await self.api.request(
            "PATCH", path, body=msgspec.json.encode(body), content_type=content_type
        )
        made: Object = msgspec.json.decode(answer)
        return made

    async def json_patch(self, kind: Kind, name: str, ops: Objects) -> None:
        path, body = kind.path(self.ns, name), msgspec.json.encode(ops)
        await self.api.request("PATCH", path, body=body, content_type="application/json-patch+json")

    async def replace(self, kind: Kind, obj: Object) -> Object:
        path = kind.path(self.ns, obj["metadata"]["name"])
        made: Object = msgspec.json.decode(await self.api.request("PUT", path, body=msgspec.json.encode(obj)))
        return made

    async def delete(self, kind: Kind, name: str) -> None:
        await self.api.request("DELETE", kind.path(self.ns, name))

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
        """Returns as soon as `holds()`; fails naming `what` after `within` seconds of the stage's clock."""
        deadline = self.clock.mono() + within
        while not await holds():
            if self.clock.mono() > deadline:
                raise AssertionError(f"after {within:g} s still not: {what}\n{await self.picture()}")
            await self.clock.sleep(LOOK_SECONDS)

    async def always(self, what: str, holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Fails as soon as `holds()` does not, within `seconds`."""
        deadline = self.clock.mono() + seconds
        while self.clock.mono() < deadline:
            assert await holds(), f"not always: {what}\n{await self.picture()}"
            await self.clock.sleep(LOOK_SECONDS)

    # What a person would look at, and do.

    async def deployment(self, name: str = "busybox") -> Object:
        return await self.get(DEPLOYMENT, name)

    async def rollout(self, name: str = "busybox") -> Object:
        return await self.get(ROLLOUT, name)

    async def pods(self, app: str = "busybox") -> Objects:
        """Pods that are not on their way out."""
        return [p for p in await self.list(POD, f"app={app}") if not p["metadata"].get("deletionTimestamp")]

    async def versions(self, app: str = "busybox") -> dict[str, int]:
        """Pods by the value of their VERSION."""
        return dict(Counter(version_of(p) for p in await self.pods(app)))

    async def set_version(self, version: str, name: str = "busybox") -> Object:
        """What `kubectl patch deployment` sends."""
        return await self.patch(DEPLOYMENT, name, template_patch(name, version), type_="strategic")

    async def set_image(self, image: str, version: str, name: str = "busybox") -> Object:
        """Another version with another image."""
        body = template_patch(name, version)
        body["spec"]["template"]["spec"]["containers"][0]["image"] = image
        return await self.patch(DEPLOYMENT, name, body, type_="strategic")

    async def approve(self, name: str = "busybox") -> None:
        await self.edit_step({"currentStepState": "StepReady"}, name)

    async def jump(self, step: int, name: str = "busybox") -> None:
        """What `kubectl kruise rollout jump` sends."""
        await self.edit_step({"nextStepIndex": step}, name)

    async def edit_step(self, fields: Object, name: str = "busybox") -> None:
        """`fields` of the Rollout's status.canaryStatus, written by a person."""
        await self.patch(ROLLOUT, name, {"status": {"canaryStatus": fields}}, subresource="status")

    async def set_plan(self, fields: Object, name: str = "busybox") -> None:
        """`fields` of the Rollout's spec.strategy."""
        await self.patch(ROLLOUT, name, {"spec": {"strategy": fields}})

    async def set_steps(self, *steps: Object, name: str = "busybox") -> None:
        await self.set_plan({"canary": {"steps": list(steps)}}, name)

    async def scale(self, replicas: int, name: str = "busybox") -> None:
        """What `kubectl scale` and an autoscaler send."""
        await self.patch(DEPLOYMENT, name, {"spec": {"replicas": replicas}}, subresource="scale")

    async def until_paused(self, step: int, name: str = "busybox", within: float = 60.0) -> None:
        async def paused() -> bool:
            status = (await self.rollout(name)).get("status", {})
            return (status.get("currentStepIndex"), status.get("currentStepState")) == (step, "StepPaused")

        await self.until(f"Rollout {name} paused at step {step}", paused, within)

    async def until_phase(self, phase: str, name: str = "busybox", within: float = 60.0) -> None:
        async def reached() -> bool:
            rollout = await self.rollout(name)
            status = rollout.get("status", {})
            return bool(
                status.get("phase") == phase
                and status.get("observedGeneration") == rollout["metadata"]["generation"]
            )

        await self.until(f"Rollout {name} {phase}", reached, within)

    async def until_gone(self, kind: Kind, name: str = "busybox", within: float = 60.0) -> None:
        async def gone() -> bool:
            return await self.find(kind, name) is None

        await self.until(f"{kind.kind} {name} is gone", gone, within)

    async def until_said(self, words: str, name: str = "busybox", within: float = 60.0) -> None:
        """Until the Rollout's status, a condition or an Event on it says `words`."""

        async def said() -> bool:
            status = (await self.rollout(name)).get("status", {})
            told = [status.get("message", ""), *(c.get("message", "") for c in status.get("conditions", ()))]
            told += [e["message"] for e in await self.events("Rollout", name)]
            return any(words in t for t in told)

        await self.until(f"Rollout {name} says: {words}", said, within)

    async def stays(self, versions: dict[str, int], seconds: float = 10.0, app: str = "busybox") -> None:
        """Fails if the pods are of other versions at any moment of the next `seconds`."""

        async def same() -> bool:
            return await self.versions(app) == versions

        await self.always(f"pods {versions}", same, seconds)

    async def until_versions(self, want: dict[str, int], app: str = "busybox", within: float = 60.0) -> None:
        async def split() -> bool:
            return await self.versions(app) == want

        await self.until(f"pods {want}", split, within)

    async def until_ready(self, pods: int, name: str = "busybox", within: float = 60.0) -> None:
        async def ready() -> bool:
            d = await self.deployment(name)
            s = d.get("status", {})
            return (s.get("readyReplicas", 0), s.get("replicas", 0), s.get("observedGeneration")) == (
                pods,
                pods,
                d["metadata"]["generation"],
            )

        await self.until(f"{pods} pods of Deployment {name} ready", ready, within)

    async def events(self, kind: str, name: str) -> Objects:
        return [
            e
            for e in await self.list(EVENT)
            if (e["involvedObject"].get("kind"), e["involvedObject"].get("name")) == (kind, name)
        ]

    async def picture(self) -> str:
        """The namespace in a few lines, for the message of a failed expectation."""
        lines = [f"namespace {self.ns}, {len(self.warnings)} warnings: {self.warnings[-3:]}"]
        for kind in (ROLLOUT, BATCH_RELEASE):
            for o in await self.list(kind):
                lines.append(
                    f"{kind.kind} {o['metadata']['name']}: {msgspec.json.encode(o.get('status', {})).decode()}"
                )
        for o in await self.list(DEPLOYMENT):
            spec = {k: v for k, v in o["spec"].items() if k not in ("template", "selector")}
            marks = {
                k: v
                for k, v in {
                    **o["metadata"].get("annotations", {}),
                    **o["metadata"].get("labels", {}),
                }.items()
                if "kruise" in k
            }
            status = {k: v for k, v in o.get("status", {}).items() if k != "conditions"}
            lines.append(f"Deployment {o['metadata']['name']}: {spec} {marks} {status}")
        for o in await self.list(REPLICA_SET):
            lines.append(f"ReplicaSet {o['metadata']['name']}: {o['spec'].get('replicas')} {o.get('status')}")
        lines.append(f"pods: {Counter(version_of(p) for p in await self.list(POD))}")
        for e in (await self.list(EVENT))[-12:]:
            lines.append(
                f"  {e.get('type')} {e['involvedObject'].get('kind')}/{e['involvedObject'].get('name')} {e.get('reason')}: {e.get('message')}"
            )
        return "\n".join(lines)


def version_of(pod: Object) -> str:
    env = pod["spec"]["containers"][0].get("env", ())
    return next((e.get("value", "") for e in env if e["name"] == "VERSION"), "")


def template_patch(name: str, version: str) -> Object:
    container = {"name": name, "env": [{"name": "VERSION", "value": version}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def a_deployment(
    name: str = "busybox", replicas: int = 10, version: str = "version-5", **spec: Any
) -> Object:
    """The Deployment of the walk-through; `spec` overrides fields of its spec."""
    container = {
        "name": name,
        "image": "busybox:1.36",
        "command": ["sleep", "3600"],
        "env": [{"name": "VERSION", "value": version}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def a_step(replicas: int | str, seconds: int | None = None) -> Object:
    return {"replicas": replicas, "pause": {} if seconds is None else {"duration": seconds}}


WALKTHROUGH = (a_step(1), a_step("50%", 60), a_step("100%"))


def a_rollout(name: str = "busybox", steps: tuple[Object, ...] = WALKTHROUGH, **canary: Any) -> Object:
    """A v1beta1 Rollout of partition style; `canary` adds fields to spec.strategy.canary."""
    return {
        "apiVersion": "rollouts.kruise.io/v1beta1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "strategy": {"canary": {"steps": list(steps), **canary}},
        },
    }


def an_alpha_rollout(name: str = "busybox", steps: tuple[Object, ...] = WALKTHROUGH) -> Object:
    """The same in v1alpha1."""
    return {
        "apiVersion": "rollouts.kruise.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "annotations": {"rollouts.kruise.io/rolling-style": "partition"}},
        "spec": {
            "objectRef": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
            "strategy": {"canary": {"steps": list(steps)}},
        },
    }


_numbers = itertools.count(1)


async def a_namespace(api: Api, prefix: str) -> str:
    """A namespace of its own for one scenario, with its default ServiceAccount."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"generateName": f"{prefix}-{next(_numbers)}-"},
    }
    made = msgspec.json.decode(await api.request("POST", NAMESPACE.path(), body=msgspec.json.encode(body)))
    name: str = made["metadata"]["name"]
    return name
