"""Create, update and patch: from a decoded body to a commit.

The order is Kubernetes' own: system fields, defaults, field ownership, mutating admission, validation, generation,
validating admission, store. Nothing is stored until all have agreed; between the first and the last step another
write may come in while a webhook is asked, and then the whole change is decided again on what is stored now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, InternalError, NotFound, UnsupportedMediaType
from kruise_rollouts.kube.patch import json_patch, merge_patch
from kruise_rollouts.sandbox import rules
from kruise_rollouts.sandbox.access import signing_requests
from kruise_rollouts.sandbox.builtin.pod_warnings import pod_warnings

from .metadata import check_metadata
from .pipeline import Attempt, Manager, Parts
from .refusals import already_exists, conflict, invalid, invalid_object, not_allowed, not_found
from .request import Call, Options
from .service_addresses import addressed
from .store import Entry
from .subresources import check_scale, negative_scale, view_of, without_zero_scale

Change: TypeAlias = Callable[[JsonObject], JsonObject]

RETRIES = 6  # of a change without resourceVersion that lost a race; Kubernetes gives up after five too
# Kinds a PUT may create.
CREATED_BY_UPDATE = frozenset((
    ("", "endpoints"), ("", "events"), ("", "limitranges"), ("", "services"), ("coordination.k8s.io", "leases"),
    ("rbac.authorization.k8s.io", "roles"), ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"), ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("scheduling.k8s.io", "priorityclasses"), ("node.k8s.io", "runtimeclasses"),
))  # fmt: skip
# Kinds a PUT changes only if it says which version it has seen; so do custom resources.
CONDITIONAL = frozenset((("policy", "poddisruptionbudgets"), ("coordination.k8s.io", "leases")))
_RV = "metadata.resourceVersion"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


class Writer:
    """The three writing verbs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, call: Call) -> JsonObject:
        """POST. Raises AlreadyExists, Invalid, BadRequest, and what admission raises."""
        body = self._named(call, call.body or {})
        track = self._parts.hooks.track
        return await self._create(
            call, body, lambda new: track(call.resource, new, None, self._manager(call))
        )

    async def _create(self, call: Call, body: JsonObject, own: Change) -> JsonObject:
        parts, resource = self._parts, call.resource
        new = rules.first_version(resource, body, call.ns)
        new = rules.canonical(resource, parts.hooks.prepare(resource, new))
        if not call.owing:
            new = own(new)  # what admission changes from here on is nobody's
        mutated, warnings = await parts.hooks.mutate(self._attempt(call, "CREATE", new, None))
        call.warnings.extend(warnings)
        if mutated is not None and mutated is not new:
            new = rules.first_version(resource, self._named(call, mutated), call.ns)
            new = rules.canonical(resource, parts.hooks.prepare(resource, new))
        new = rules.selected(resource, rules.stamped(new, parts.clock.now(), parts.random))
        new = rules.templates_counted(resource, new, None)
        new = addressed(resource, new, None, parts.store, parts.random)
        causes = (*check_metadata(resource, new, None), *parts.hooks.validate(resource, new, None, ""))
        if causes:
            raise invalid_object(resource, new["metadata"].get("name", ""), causes)
        call.warnings.extend(await parts.hooks.check(self._attempt(call, "CREATE", new, None)))
        if not call.owing:
            call.warnings.extend(pod_warnings(resource, new, None))
        if (body["metadata"].get("resourceVersion") or "0") != "0" and not call.options.dry_run:
            raise InternalError("resourceVersion should not be set on objects to be created", reason="")
        stored = await parts.save(new, resource)
        name = new["metadata"]["name"]
        if parts.store.entry(*resource.storage, new["metadata"].get("namespace", ""), name) is not None:
            raise already_exists(resource, name)
        if call.options.dry_run:
            return new
        if call.owing:
            owed = parts.owing(None, self._manager(call))
            return parts.store.create(*resource.storage, stored, owed).obj
        entry = parts.store.create(*resource.storage, stored)
        return await parts.load(entry, resource)

    def _named(self, call: Call, body: JsonObject) -> JsonObject:
        """`body` with a metadata map whose namespace and name agree with the URL. Raises BadRequest."""
        meta = body.get("metadata") or {}
        given = meta.get("namespace") or ""
        if given and given != call.ns and (call.resource.namespaced or call.ns):
            raise BadRequest(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if call.name and meta.get("name") != call.name:
            raise BadRequest(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})"
                if meta.get("name")
                else f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
            )
        return {**body, "metadata": meta}

    async def update(self, call: Call) -> JsonObject:
        """PUT of the object or of a subresource. Raises NotFound, Conflict, Invalid, BadRequest."""
        body = self._named(call, call.body or {})
        try:
            return await self.replace(call, lambda view: body)
        except NotFound:
            if call.subresource or call.resource.storage not in CREATED_BY_UPDATE:
                raise
            if (body["metadata"].get("resourceVersion") or "0") != "0":
                raise
        track = self._parts.hooks.track
        return await self._create(
            call, body, lambda new: track(call.resource, new, None, self._manager(call))
        )

    async def patch(self, call: Call) -> JsonObject:
        """PATCH in any of the four types. Raises UnsupportedMediaType besides what `update` raises."""
        if call.content_type in APPLY:
            return await self._apply(call)
        change = self._change_of(call)
        return await self.replace(call, change)

    def _change_of(self, call: Call) -> Change:
        patch = call.body
        if call.content_type == JSON_PATCH:
            return lambda view: _an_object(json_patch(view, patch))
        if patch is not None and not isinstance(patch, dict):
            raise BadRequest("Invalid JSON Patch")
        if call.content_type == MERGE or (call.content_type == STRATEGIC and call.subresource == "scale"):
            return lambda view: _an_object(merge_patch(view, patch or {}))
        if call.content_type == STRATEGIC and not call.resource.custom:
            strategic = self._parts.hooks.strategic
            return lambda view: strategic(call.resource, view, patch or {})
        raise unsupported_patch(call)

    async def _apply(self, call: Call) -> JsonObject:
        resource, options = call.resource, call.options
        body = self._named(call, call.body or {})
        if call.subresource == "scale":
            body = self._scaled(call, body)
        apply = self._parts.hooks.apply

        def change(live: JsonObject) -> JsonObject:
            if call.subresource == "scale":
                live = without_zero_scale(resource, live)
            return apply(resource, body, live, self._manager(call), force=options.force)

        try:
            return await self.replace(call, change, owned=True)
        except NotFound:
            if call.subresource:
                raise
        if body["metadata"].get("uid"):
            why = (
                f"uid mismatch: the provided object specified uid {body['metadata']['uid']}, "
                "and no existing object was found"
            )
            raise conflict(resource, call.name, why)
        new = apply(resource, body, None, self._manager(call), force=options.force)
        return await self._create(call, new, lambda new: new)

    def _scaled(self, call: Call, scale: JsonObject) -> JsonObject:
        """An applied Scale as the part of the object that it stands for."""
        view, resource = view_of(call.resource, "scale"), call.resource
        if view is None:
            raise not_allowed()
        named = {k: v for k, v in scale["metadata"].items() if k in ("name", "namespace")}
        return view.write(
            {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": named}, scale
        )

    async def replace(self, call: Call, change: Change, *, owned: bool = False) -> JsonObject:
        """Stores `change(live)`; both are as the subresource shows the object. Returns what that shows afterwards.

        `owned`: the change has maintained managedFields itself.
        """
        parts, resource = self._parts, call.resource
        view = view_of(resource, call.subresource)
        if view is None:
            raise not_allowed()
        for _ in range(RETRIES):
            entry = parts.store.entry(*resource.storage, call.ns if resource.namespaced else "", call.name)
            if entry is None:
                raise not_found(resource, call.name)
            live = entry.obj if call.owing else await parts.load(entry, resource)
            # An apply works on the object itself: that is where the owners of its fields are.
            shown = live if owned else view.read(live)
            wanted = change(shown)
            if call.verb == "patch" and not call.owing:
                wanted = self._patched(call, wanted, whole=shown is live)
            self._check_identity(call, wanted, live)
            if shown is not live and (wanted.get("spec") or {}).get("replicas", 0) < 0:
                raise invalid("Scale", "autoscaling", call.name, (negative_scale(wanted),))
            new = wanted if shown is live else view.write(live, wanted)
            stored = await self._replace_once(call, entry, live, new, owned=owned)
            if stored is not None:
                return view.read(stored)
        raise conflict(resource, call.name)

    def _patched(self, call: Call, wanted: JsonObject, *, whole: bool) -> JsonObject:
        """What a patch has made, checked like a body. Raises Invalid, BadRequest."""
        if whole:
            wanted, warnings = self._parts.hooks.check_patched(call, wanted)
            call.warnings.extend(warnings)
        else:
            wanted = check_scale(wanted)
        return self._named(call, wanted)

    def _check_identity(self, call: Call, wanted: JsonObject, live: JsonObject) -> None:
        """Refuses a change made for another version or another incarnation of the object."""
        meta, was = wanted.get("metadata") or {}, live["metadata"]
        resource = call.resource
        version = meta.get("resourceVersion") or ""
        conditional = resource.custom or resource.storage in CONDITIONAL
        if version in ("", "0") and conditional and call.verb == "update" and call.subresource != "scale":
            cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", _RV)
            raise invalid(resource.plural, resource.group, call.name, (cause,))
        if version and not (version.isascii() and version.isdigit()):
            raise InternalError(f'strconv.ParseUint: parsing "{version}": invalid syntax', reason="")
        if version not in ("", "0", was["resourceVersion"]):
            raise conflict(resource, call.name)
        uid = meta.get("uid") or ""
        if uid and uid != was["uid"]:
            if call.verb == "patch":
                cause = Cause(
                    "FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid"
                )
                raise invalid_object(resource, call.name, (cause, cause))
            raise conflict(
                resource,
                call.name,
                f"StorageError: invalid object, Code: 4, Key: /registry/{resource.plural}/{call.ns}/{call.name}, "
                f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {was['uid']}",
            )

    async def _replace_once(
        self, call: Call, entry: Entry, live: JsonObject, new: JsonObject, *, owned: bool
    ) -> JsonObject | None:
        """One attempt; None if the object was changed by somebody else meanwhile."""
        parts, resource, hooks = self._parts, call.resource, self._parts.hooks
        main = call.subresource if call.subresource != "scale" else ""
        new = self._settled(call, new, live, main)
        if not owned and not call.owing:
            new = hooks.track(resource, new, live, self._manager(call))  # what admission changes is nobody's
        mutated, warnings = await hooks.mutate(self._attempt(call, "UPDATE", new, live))
        if mutated is not None and mutated is not new:
            new = self._settled(call, mutated, live, main)
        if not main:
            new = addressed(resource, new, live, parts.store, parts.random)
        causes = (*check_metadata(resource, new, live), *hooks.validate(resource, new, live, main))
        if causes:
            raise invalid_object(resource, call.name, causes)
        new = rules.templates_counted(resource, new, live)
        if main != "status":
            new = rules.counted(resource, new, live)
        warnings += await hooks.check(self._attempt(call, "UPDATE", new, live))
        if not call.owing:
            warnings += pod_warnings(resource, new, live)
        stored = await parts.save(new, resource)
        if (
            parts.store.entry(*resource.storage, live["metadata"].get("namespace", ""), call.name)
            is not entry
        ):
            return None
        call.warnings.extend(warnings)
        if call.options.dry_run:
            return new
        if rules.same(new, live):
            return live
        if rules.is_released(resource, new):
            return await parts.load(parts.store.delete(*resource.storage, entry, stored), resource)
        if call.owing:
            owed = parts.owing(entry, self._manager(call))
            return parts.store.update(*resource.storage, stored, entry, owed).obj
        return await parts.load(parts.store.update(*resource.storage, stored, entry), resource)

    def _settled(self, call: Call, new: JsonObject, live: JsonObject, subresource: str) -> JsonObject:
        resource = call.resource
        given = rules.canonical(resource, new)
        new = rules.next_version(resource, given, live, subresource)
        if resource.storage == signing_requests.REQUESTS:
            now = rules.timestamp(self._parts.clock.now())
            new = signing_requests.decided(new, given, live, subresource, now)
        return rules.canonical(resource, self._parts.hooks.prepare(resource, new))

    def _manager(self, call: Call) -> Manager:
        return Manager(call.manager, call.subresource, self._parts.clock.now())

    def _attempt(self, call: Call, operation: str, obj: JsonObject | None, old: JsonObject | None) -> Attempt:
        return attempt_of(call, operation, obj, old)


def attempt_of(call: Call, operation: str, obj: JsonObject | None, old: JsonObject | None) -> Attempt:
    """`call` as admission sees it."""
    kind = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}.get(
        operation, ""
    )
    options: JsonObject = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if call.options.dry_run:
        options["dryRun"] = ["All"]
    options |= _delete_options(call.options) if operation == "DELETE" else _write_options(call.options)
    name = call.name or ((obj or {}).get("metadata") or {}).get("name", "")
    return Attempt(
        operation=operation,
        resource=call.resource,
        ns=call.ns,
        name=name,
        subresource=call.subresource,
        obj=obj,
        old=old,
        user=call.user,
        dry_run=call.options.dry_run,
        options=options,
    )


def _write_options(options: Options) -> JsonObject:
    given = {"fieldManager": options.field_manager, "fieldValidation": options.field_validation}
    return {k: v for k, v in given.items() if v}


def _delete_options(options: Options) -> JsonObject:
    before = {"uid": options.uid, "resourceVersion": options.precondition_rv}
    given = {
        "gracePeriodSeconds": options.grace_period_seconds,
        "preconditions": {k: v for k, v in before.items() if v is not None} or None,
        "propagationPolicy": options.propagation or None,
    }
    return {k: v for k, v in given.items() if v is not None}


def unsupported_patch(call: Call) -> UnsupportedMediaType:
    allowed = [JSON_PATCH, MERGE, "application/apply-patch+yaml"]
    if not call.resource.custom:
        allowed.insert(2, STRATEGIC)
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(allowed)
    )


def _an_object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise BadRequest("the patch does not leave an object")
    return value
