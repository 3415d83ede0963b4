"""Delete and deletecollection: preconditions, grace, finalizers.

The server marks; who removes what depends on an object is the garbage collector, a controller.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.custom.crd_names import CLEANUP

from .pipeline import Parts
from .reads import Reader
from .refusals import conflict, precondition
from .request import Call
from .resources import Resource
from .rules import counts_generation, timestamp
from .store import Entry
from .writes import RETRIES, attempt_of

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
DEFAULT_GRACE_SECONDS = 30
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
JOBS = ("batch", "jobs")
PODS = ("", "pods")
PODS_STAY = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
    "set propagationPolicy=Orphan to suppress this warning"
)
# Kinds whose dependents stay unless the request says otherwise.
_ORPHANED_BY_DEFAULT = frozenset((("", "replicationcontrollers"), JOBS))
# Kinds that answer a delete with the object that was deleted.
_ANSWERED_WITH_OBJECT = frozenset((
    "pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates",
    "resourcequotas", "storageclasses", "csinodes", "csidrivers", "volumeattachments",
))  # fmt: skip


class Deleter:
    """The two deleting verbs."""

    def __init__(self, parts: Parts, reader: Reader) -> None:
        self._parts = parts
        self._reader = reader

    async def delete(self, call: Call) -> JsonObject:
        """The object if it still exists (or the kind answers so), else a Status. Raises NotFound, Conflict."""
        for _ in range(RETRIES):
            entry = self._reader.entry(call)
            live = await self._parts.load(entry, call.resource)
            self._check_preconditions(call, live)
            warnings = await self._parts.hooks.check(attempt_of(call, "DELETE", None, live))
            if self._reader.entry(call) is not entry:
                continue
            call.warnings.extend(warnings)
            if call.resource.storage == JOBS and call.options.propagation == "" and not call.owing:
                call.warnings.append(PODS_STAY)
            return await self._delete(call, entry, live)
        raise conflict(call.resource, call.name)

    async def _delete(self, call: Call, entry: Entry, live: JsonObject) -> JsonObject:
        parts, resource = self._parts, call.resource
        marked = self._marked(call, live)
        if marked is None:
            gone = (
                live
                if call.options.dry_run
                else await parts.load(parts.store.delete(*resource.storage, entry), resource)
            )
            if resource.storage == PODS:
                return _stopped(gone, parts.clock.now())
            return gone if resource.plural in _ANSWERED_WITH_OBJECT else _success(resource, gone)
        if call.options.dry_run or marked is live:
            return marked
        stored = await parts.save(marked, resource)
        return await parts.load(parts.store.update(*resource.storage, stored, entry), resource)

    def _check_preconditions(self, call: Call, live: JsonObject) -> None:
        meta, options = live["metadata"], call.options
        if options.uid is not None and options.uid != meta["uid"]:
            raise precondition(
                call.resource,
                call.name,
                f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated",
            )
        version = options.precondition_rv
        if version is not None and version != meta["resourceVersion"]:
            raise precondition(
                call.resource,
                call.name,
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({meta['resourceVersion']}). The object might have been modified",
            )

    def _marked(self, call: Call, live: JsonObject) -> JsonObject | None:
        """`live` on its way out, `live` itself if it is so already, None if it can go at once."""
        resource, meta = call.resource, live["metadata"]
        finalizers = _finalizers(call, meta)
        grace = _grace_seconds(call, live)
        deleting = bool(meta.get("deletionTimestamp"))
        if deleting:
            left = meta.get("deletionGracePeriodSeconds") or 0
            grace = min(grace, left)
            unchanged = finalizers == (meta.get("finalizers") or [])
            if grace == left and unchanged and (grace or finalizers or self._is_namespace(resource)):
                return live
        if not grace and not finalizers and not self._is_held(resource, live):
            return None
        now = self._parts.clock.now()
        out = {**meta, "deletionGracePeriodSeconds": grace}
        if not deleting or grace < (meta.get("deletionGracePeriodSeconds") or 0):
            out["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
        crd = resource.storage == _CRDS
        if not deleting and not crd and counts_generation(resource) and meta.get("generation"):
            out["generation"] = meta["generation"] + 1
        out.pop("finalizers", None)
        if finalizers:
            out["finalizers"] = finalizers
        marked = {**live, "metadata": out}
        if crd:
            out.pop("deletionGracePeriodSeconds")
            if not deleting:
                marked["status"] = _ending(live.get("status") or {}, now)
        if self._is_namespace(resource):
            out.pop("deletionGracePeriodSeconds")
            marked["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
        return marked

    def _is_namespace(self, resource: Resource) -> bool:
        return resource.storage == ("", "namespaces")

    def _is_held(self, resource: Resource, live: JsonObject) -> bool:
        return self._is_namespace(resource) and bool((live.get("spec") or {}).get("finalizers"))

    async def delete_collection(self, call: Call) -> JsonObject:
        """Deletes what a list with the same selectors shows; the list of what was deleted."""
        page = self._reader.page(call)
        items = []
        for entry in page.entries:
            meta = entry.obj["metadata"]
            one = _one_of(call, meta.get("namespace", ""), meta["name"])
            now = self._parts.store.entry(*call.resource.storage, one.ns, one.name)
            if now is None:
                continue
            live = await self._parts.load(now, call.resource)
            self._check_preconditions(one, live)
            call.warnings.extend(await self._parts.hooks.check(attempt_of(one, "DELETE", None, live)))
            now = self._parts.store.entry(*call.resource.storage, one.ns, one.name)
            if now is None:
                continue
            live = await self._parts.load(now, call.resource)
            await self._delete(one, now, live)
            items.append(live)
        resource = call.resource
        if not resource.custom:  # items of built-in lists do not say what they are
            items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        return {
            "kind": resource.list_kind,
            "apiVersion": resource.api_version,
            "metadata": {"continue": "", **page.meta} if resource.custom else page.meta,
            "items": items,
        }


def _stopped(pod: JsonObject, now: datetime) -> JsonObject:
    """A pod that was deleted without grace, as the answer shows it."""
    meta = pod["metadata"]
    end = {"deletionTimestamp": timestamp(now), "deletionGracePeriodSeconds": 0}
    return {**pod, "metadata": {**meta, **end, "generation": (meta.get("generation") or 0) + 1}}


def _ending(status: JsonObject, now: datetime) -> JsonObject:
    """The status of a CRD whose objects are about to be deleted."""
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    others = [c for c in status.get("conditions") or () if c.get("type") != "Terminating"]
    return {**status, "conditions": [*others, condition]}


def _one_of(call: Call, ns: str, name: str) -> Call:
    return Call("delete", call.resource, ns, name, "", call.options, call.user)


def _finalizers(call: Call, meta: JsonObject) -> list[str]:
    """The finalizers after the propagation policy has been written into them."""
    found = [f for f in meta.get("finalizers") or () if f not in (ORPHAN, FOREGROUND)]
    before = set(meta.get("finalizers") or ())
    policy = call.options.propagation
    if policy == "Orphan":
        found.append(ORPHAN)
    elif policy == "Foreground":
        found.append(FOREGROUND)
    elif policy == "":
        if ORPHAN in before or (not before & {FOREGROUND} and call.resource.storage in _ORPHANED_BY_DEFAULT):
            found.append(ORPHAN)
        elif FOREGROUND in before:
            found.append(FOREGROUND)
    # A CRD stays until its objects have gone: custom/crd_cleanup.py takes the finalizer away.
    if call.resource.storage == _CRDS and not meta.get("deletionTimestamp") and CLEANUP not in found:
        found.append(CLEANUP)
    return found


def _grace_seconds(call: Call, live: JsonObject) -> int:
    """Seconds the object is given to stop; only pods that run somewhere are given any."""
    if call.resource.storage != ("", "pods"):
        return 0
    spec, status = live.get("spec") or {}, live.get("status") or {}
    grace = call.options.grace_period_seconds
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
        return 0
    return int(grace) if grace >= 0 else 1


def _success(resource: Resource, gone: JsonObject) -> JsonObject:
    meta = gone["metadata"]
    details = {"name": meta["name"], "kind": resource.plural, "uid": meta["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
