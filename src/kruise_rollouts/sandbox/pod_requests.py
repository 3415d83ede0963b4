"""The subresources of pods that are requests rather than views: binding (put it on a node).

They are answered from the store; what follows from them is the kubelet's and the controllers' business.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest

from .controllers import conditions, facts
from .pipeline import Parts
from .refusals import conflict, not_found
from .request import Call


class PodRequests:
    """Answers for `Hooks.subresources`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self) -> None:
        """Answers these subresources from now on, unless somebody else does."""
        self._parts.hooks.subresources.setdefault(("pods", "binding"), self.bind)

    async def bind(self, call: Call) -> JsonObject:
        """Sets spec.nodeName. Raises NotFound, BadRequest, Conflict (already bound, going away, another uid)."""
        parts, resource = self._parts, call.resource
        entry = parts.store.entry(*resource.storage, call.ns, call.name)
        if entry is None:
            raise not_found(resource, call.name)
        body, pod = call.body or {}, entry.obj
        node = (body.get("target") or {}).get("name") or ""
        if not node:
            raise BadRequest("binding: target.name: Required value")
        wanted_uid = facts.meta(body).get("uid")
        if wanted_uid and wanted_uid != facts.uid(pod):
            raise conflict(resource, call.name, f"the pod has uid {facts.uid(pod)}, not {wanted_uid}")
        if facts.is_deleting(pod):
            raise conflict(
                resource, call.name, f"pod {call.name} is being deleted, cannot be assigned to a host"
            )
        bound = facts.spec(pod).get("nodeName")
        if bound:
            raise conflict(resource, call.name, f'pod {call.name} is already assigned to node "{bound}"')
        if not call.options.dry_run:
            stored = _bound(pod, node, facts.stamp(parts.clock.now()))
            parts.store.update(*resource.storage, stored, entry)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _bound(pod: JsonObject, node: str, at: str) -> JsonObject:
    status = facts.status(pod)
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": at}
    generation = facts.meta(pod).get("generation")
    if generation:
        scheduled["observedGeneration"] = generation
    found = conditions.without(status.get("conditions") or [], "PodScheduled")
    return {
        **pod,
        "spec": {**pod["spec"], "nodeName": node},
        "status": {**status, "conditions": [*found, scheduled]},
    }
