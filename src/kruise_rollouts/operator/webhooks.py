"""The webhooks of this API: which path is answered by what, and which objects the answer looks at.

Verdicts are made in core/admission.py, core/validation.py and api/convert.py; serving is runtime/webhook.py; what
the API server sends here is decided by the configurations in webhook_configurations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from kruise_rollouts.api import keys, rollouts_v1alpha1
from kruise_rollouts.api.apps import Deployment, ReplicaSet
from kruise_rollouts.api.convert import CannotConvert, convert
from kruise_rollouts.api.rollouts_v1beta1 import ObjectRef, Rollout
from kruise_rollouts.core import validation, validation_v1alpha1
from kruise_rollouts.core.admission import Attempt, active_replica_sets, hold_workload
from kruise_rollouts.core.advice import advice_of
from kruise_rollouts.core.validation import Limits, Problem
from kruise_rollouts.kube.admission import ALLOWED, AdmissionRequest, AdmissionResponse, refused
from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.labels import Selector, selector_of
from kruise_rollouts.kube.objects import REPLICA_SET, ROLLOUT, meta_of
from kruise_rollouts.kube.patch import json_diff, merge_patch
from kruise_rollouts.kube.protocols import Api
from kruise_rollouts.operator.world import BY_OWNER, BY_WORKLOAD, World
from kruise_rollouts.runtime.fetch import list_objects
from kruise_rollouts.runtime.log import log_of
from kruise_rollouts.runtime.webhook import ConversionError, WebhookApp

log = log_of(__name__)

DEPLOYMENT_PATH = "/mutate-apps-v1-deployment"
ROLLOUT_PATH = "/validate-rollouts-kruise-io-rollout"
CONVERT_PATH = "/convert"
# Paths that configurations of OpenKruise Rollouts name and that nothing here has an opinion about: a configuration
# left behind by it must not keep anybody from updating these kinds.
INDIFFERENT_PATHS = (
    "/mutate-apps-kruise-io-v1alpha1-cloneset",
    "/mutate-apps-kruise-io-v1alpha1-daemonset",
    "/mutate-apps-kruise-io-statefulset",
    "/mutate-apps-v1-daemonset",
    "/mutate-apps-v1-statefulset",
    "/mutate-unified-workload",
)


class _Options(Struct, frozen=True, rename="camel"):
    field_manager: str = ""


def add_webhooks(
    app: WebhookApp, world: World, api: Api, limits: Limits, *, listed: Callable[[], bool] = lambda: True
) -> None:
    """Makes `app` answer all our paths, once the Rollouts are in the cache.

    `api`: for what the caches may not know yet. `listed`: whether the ReplicaSets are in theirs.
    """
    hooks = _Webhooks(world, api, limits, listed)
    app.route(DEPLOYMENT_PATH, hooks.deployment)
    app.route(ROLLOUT_PATH, hooks.rollout)
    app.convert(CONVERT_PATH, _convert)
    for path in INDIFFERENT_PATHS:
        app.route(path, _indifferent)


class _Webhooks:
    def __init__(self, world: World, api: Api, limits: Limits, listed: Callable[[], bool]) -> None:
        self._world = world
        self._api = api
        self._limits = limits
        self._listed = listed

    async def deployment(self, request: AdmissionRequest) -> AdmissionResponse:
        new, old = request.new(Deployment), request.old(Deployment)
        if request.operation != "UPDATE" or request.sub_resource or new is None or old is None:
            return ALLOWED
        rollouts = await self._rollouts_of(request.namespace, new.metadata.name)
        if not rollouts:
            return ALLOWED
        replica_sets = await self._replica_sets_of(request.namespace, old)
        options = msgspec.json.decode(request.options, type=_Options | None) or _Options()
        verdict = hold_workload(Attempt(new, old, rollouts, replica_sets, options.field_manager))
        if verdict.refusal:
            return refused(verdict.refusal)
        raw = request.new(dict) or {}
        return AdmissionResponse(
            patch=tuple(json_diff(raw, merge_patch(raw, verdict.body))), warnings=verdict.warnings
        )

    async def rollout(self, request: AdmissionRequest) -> AdmissionResponse:
        if request.operation not in ("CREATE", "UPDATE") or request.sub_resource:
            return ALLOWED
        old_style = request.kind.version == "v1alpha1"
        raw, before = request.new(dict), request.old(dict)
        shown, was = (_as_v1beta1(raw), _as_v1beta1(before)) if old_style else (raw, before)
        new, old = _rollout(shown), _rollout(was)
        if new is None:
            return ALLOWED
        others = self._of_workload(request.namespace, new.spec.workload_ref)
        problems: tuple[Problem, ...] = ()
        if old_style and new.spec.strategy.blue_green is None:
            older = request.new(rollouts_v1alpha1.Rollout)
            assert older is not None
            stored = request.old(rollouts_v1alpha1.Rollout)
            problems = validation_v1alpha1.problems_of(older, stored, others, self._limits)
        if not old_style or keys.OTHER_VERSION in meta_of(raw or {}).get("annotations", {}):
            # What a v1alpha1 object carries along for v1beta1 must be as good as if it were written there.
            problems = problems or validation.problems_of(new, old, others, self._limits)
        if problems:
            return refused(_joined(problems), code=422, reason="Invalid")
        return AdmissionResponse(warnings=advice_of(new, old))

    def _of_workload(self, ns: str, ref: ObjectRef) -> tuple[Rollout, ...]:
        """Those known to refer to it, whatever version of it they name."""
        return tuple(self._world.rollouts.by(BY_WORKLOAD, (ns, ref.group, ref.kind, ref.name)))

    async def _rollouts_of(self, ns: str, deployment: str) -> tuple[Rollout, ...]:
        """Those that refer to the Deployment. One created or enabled a moment ago may not be so in the cache yet."""
        found = self._of_workload(ns, ObjectRef("apps/v1", "Deployment", deployment))
        if any(not rollout.spec.disabled for rollout in found):
            return found
        try:
            live = await list_objects(self._api, ROLLOUT, ns, Selector(), Rollout)
        except ApiError as error:
            log.warning("rollouts could not be listed; going by the cache", namespace=ns, error=str(error))
            return found
        return _referring(live, deployment)

    async def _replica_sets_of(self, ns: str, old: Deployment) -> tuple[ReplicaSet, ...]:
        cached = tuple(self._world.replica_sets.by(BY_OWNER, old.metadata.uid))
        known = old.status.replicas == 0 or active_replica_sets(Attempt(old, old, (), cached))
        if known and self._listed():
            return cached
        return await list_objects(self._api, REPLICA_SET, ns, selector_of(old.spec.selector), ReplicaSet)


async def _indifferent(request: AdmissionRequest) -> AdmissionResponse:
    return ALLOWED


async def _convert(objects: Sequence[JsonObject], desired: str) -> Sequence[JsonObject]:
    try:
        return [convert(obj, desired) for obj in objects]
    except CannotConvert as error:
        raise ConversionError(str(error)) from error


def _referring(rollouts: Sequence[Rollout], deployment: str) -> tuple[Rollout, ...]:
    refs = ((r, r.spec.workload_ref) for r in rollouts)
    return tuple(
        r for r, ref in refs if (ref.group, ref.kind, ref.name) == ("apps", "Deployment", deployment)
    )


def _as_v1beta1(raw: JsonObject | None) -> JsonObject | None:
    return None if raw is None else convert({"kind": "Rollout", **raw}, keys.V1BETA1)


def _rollout(raw: JsonObject | None) -> Rollout | None:
    return None if raw is None else msgspec.convert(raw, Rollout)


def _joined(problems: tuple[Problem, ...]) -> str:
    said = [str(p) for p in problems]
    return said[0] if len(said) == 1 else f"[{', '.join(said)}]"
