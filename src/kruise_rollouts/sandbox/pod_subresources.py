"""What can be done to a pod besides writing it: bind it to a node, evict it, read its log."""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import (
    ApiError,
    BadRequest,
    Cause,
    Conflict,
    Details,
    InternalError,
    TooManyRequests,
)
from kruise_rollouts.sandbox.controllers.disruption import with_verdict

from .deletion import Deleter
from .pipeline import SERVER, Manager, Parts
from .refusals import not_found
from .request import Call, Options
from .resources import Resource
from .rules import timestamp
from .selectors import matches, of_object

RETRY_SECONDS = 10
SUCCESS: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_PDB = ("policy", "poddisruptionbudgets")


class PodActions:
    """Answers pods/binding, pods/eviction and pods/log."""

    def __init__(self, parts: Parts, deleter: Deleter) -> None:
        self._parts = parts
        self._deleter = deleter

    async def bind(self, call: Call) -> JsonObject:
        """Puts the pod on the node that the Binding names. Raises NotFound, Conflict, InternalError."""
        target = (call.body or {}).get("target") or {}
        node = target.get("name") or ""
        kind = target.get("kind") or ""
        if kind not in ("", "Node"):
            why = f'target.kind: Unsupported value: "{kind}": supported values: "Node", "<empty>"'
            raise InternalError(why, reason="")
        if not node:
            raise InternalError("target.name: Required value", reason="")
        given = (call.body or {}).get("metadata") or {}
        if given.get("name", call.name) != call.name:
            raise BadRequest("name in URL does not match name in Binding object")
        entry = self._parts.store.entry("", "pods", call.ns, call.name)
        if entry is None:
            raise not_found(call.resource, call.name)
        self._check_binding(call, entry.obj)
        if call.options.dry_run:
            return SUCCESS
        bound = _bound(entry.obj, node, given.get("annotations") or {}, timestamp(self._parts.clock.now()))
        self._parts.store.update("", "pods", bound, entry)
        return SUCCESS

    def _check_binding(self, call: Call, pod: JsonObject) -> None:
        """Raises Conflict for a pod that can no longer, or not yet, be bound."""
        spec = pod.get("spec") or {}
        why = ""
        if pod["metadata"].get("deletionTimestamp"):
            why = f"pod {call.name} is being deleted, cannot be assigned to a host"
        elif spec.get("nodeName"):
            why = f'pod {call.name} is already assigned to node "{spec["nodeName"]}"'
        elif spec.get("schedulingGates"):
            why = f"pod {call.name} has non-empty .spec.schedulingGates"
        if why:
            details = Details(name=call.name, kind="pods/binding")
            raise Conflict(
                f'Operation cannot be fulfilled on pods/binding "{call.name}": {why}', details=details
            )

    async def bind_named(self, call: Call) -> JsonObject:
        """The same for a Binding that names its pod itself."""
        name = ((call.body or {}).get("metadata") or {}).get("name") or ""
        pods = self._parts.registry.find("", "v1", "pods")
        return await self.bind(msgspec.structs.replace(call, name=name, resource=pods or call.resource))

    async def evict(self, call: Call) -> JsonObject:
        """Deletes the pod unless a PodDisruptionBudget forbids it now. Raises TooManyRequests, NotFound."""
        named = ((call.body or {}).get("metadata") or {}).get("name") or call.name
        if named != call.name:
            raise BadRequest("name in URL does not match name in Eviction object")
        pod = self._parts.store.get("", "pods", call.ns, call.name)
        if pod is None:
            raise not_found(call.resource, call.name)
        phase = (pod.get("status") or {}).get("phase")
        if phase not in ("Succeeded", "Failed", "Pending") and not pod["metadata"].get("deletionTimestamp"):
            await self._count_disruption(call, pod)
        given = (call.body or {}).get("deleteOptions") or {}
        before = given.get("preconditions") or {}
        options = Options(
            dry_run=call.options.dry_run or bool(given.get("dryRun")),
            grace_period_seconds=given.get("gracePeriodSeconds"),
            propagation=given.get("propagationPolicy") or "",
            uid=before.get("uid"),
            precondition_rv=before.get("resourceVersion"),
        )
        await self._deleter.delete(Call("delete", call.resource, call.ns, call.name, "", options, call.user))
        return SUCCESS

    async def _count_disruption(self, call: Call, pod: JsonObject) -> None:
        """Takes one of the disruptions a budget allows. Raises TooManyRequests if it allows none."""
        parts = self._parts
        labels = pod["metadata"].get("labels") or {}
        budgets = [b for b in parts.store.list(*_PDB, call.ns) if _covers(b, labels)]
        if not budgets:
            return
        if len(budgets) > 1:
            raise InternalError(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                reason="",
            )
        budget = budgets[0]
        meta, status = budget["metadata"], budget.get("status") or {}
        name = meta["name"]
        if (status.get("observedGeneration") or 0) < (meta.get("generation") or 0):
            raise _forbidden(f"The disruption budget {name} is still being processed by the server.")
        if not _ready(pod):
            healthy = (status.get("currentHealthy") or 0) >= (status.get("desiredHealthy") or 0)
            always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
            if always or (healthy and (status.get("desiredHealthy") or 0) > 0):
                return
        allowed = status.get("disruptionsAllowed") or 0
        if allowed <= 0:
            raise _forbidden(
                f"The disruption budget {name} needs {status.get('desiredHealthy') or 0} healthy pods and has "
                f"{status.get('currentHealthy') or 0} currently"
            )
        if call.options.dry_run:
            return
        entry = parts.store.entry(*_PDB, call.ns, name)
        if entry is None:
            return
        disrupted = {
            **(status.get("disruptedPods") or {}),
            pod["metadata"]["name"]: timestamp(parts.clock.now()),
        }
        now, generation = parts.clock.now(), meta.get("generation") or 0
        counted = {
            **status,
            "disruptionsAllowed": allowed - 1,
            "disruptedPods": disrupted,
            "conditions": with_verdict(status.get("conditions") or [], allowed - 1, generation, now),
        }
        live = parts.settled(entry)
        new = {**live, "status": counted}
        resource = parts.registry.find("policy", "v1", "poddisruptionbudgets")
        if resource is not None:
            by = Manager(SERVER, "status", now)
            new = parts.hooks.track(resource, new, live, by)
        parts.store.update(*_PDB, new, entry)

    def check_log(self, call: Call) -> tuple[JsonObject, str]:
        """The pod and the container whose log is asked for. Raises NotFound, BadRequest."""
        pod = self._parts.store.get("", "pods", call.ns, call.name)
        if pod is None:
            raise not_found(call.resource, call.name)
        spec = pod.get("spec") or {}
        names = [c["name"] for c in spec.get("containers") or ()]
        every = [
            c["name"] for kind in ("initContainers", "ephemeralContainers") for c in spec.get(kind) or ()
        ]
        wanted = next((v for k, v in call.query if k == "container"), "")
        if not wanted and len(names) == 1:
            wanted = names[0]
        if not wanted:
            raise BadRequest(
                f"a container name must be specified for pod {call.name}, choose one of: [{' '.join(names)}]"
            )
        if wanted not in (*names, *every):
            raise BadRequest(f"container {wanted} is not valid for pod {call.name}")
        if not spec.get("nodeName"):
            raise BadRequest(f"pod {call.name} does not have a host assigned")
        return pod, wanted


def _bound(pod: JsonObject, node: str, annotations: JsonObject, now: str) -> JsonObject:
    """The pod on its node."""
    meta, status = pod["metadata"], pod.get("status") or {}
    new_meta = {**meta}
    if annotations:
        new_meta["annotations"] = {**(meta.get("annotations") or {}), **annotations}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    others = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
    spec = {**(pod.get("spec") or {}), "nodeName": node}
    return {
        **pod,
        "metadata": new_meta,
        "spec": spec,
        "status": {**status, "conditions": [*others, scheduled]},
    }


def _covers(budget: JsonObject, labels: dict[str, str]) -> bool:
    selector = of_object((budget.get("spec") or {}).get("selector"))
    return selector is not None and matches(selector, labels)


def _ready(pod: JsonObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _forbidden(why: str) -> ApiError:
    return TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details=Details(causes=(Cause(reason="DisruptionBudget", message=why),)),
        retry_after=RETRY_SECONDS if "processed" in why else None,
    )


def no_containers(resource: Resource, subresource: str) -> ApiError:
    """The sandbox runs no container: nothing to attach to."""
    return ApiError(
        f"{resource.plural}/{subresource}: pods of the sandbox have no running processes",
        code=501,
        reason="NotImplemented",
    )
