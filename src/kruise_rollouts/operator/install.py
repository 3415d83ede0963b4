"""Puts the objects of installation.py into a cluster, takes them out, and keeps the trust in our webhooks alive.

Applying is server-side and may be repeated. The running manager only ever touches how the API server reaches it: who
installed the rest (a chart, a person) goes on owning it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from kruise_rollouts.api import keys
from kruise_rollouts.api.schema import conversion
from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, Conflict, NotFound
from kruise_rollouts.kube.objects import CRD, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Kind, meta_of
from kruise_rollouts.kube.patch import merge_diff
from kruise_rollouts.kube.protocols import Api, Clock

from .installation import Installation, all_objects, crd_objects, webhook_objects
from .webhook_configurations import MUTATING, VALIDATING, Target
from .webhooks import CONVERT_PATH, INDIFFERENT_PATHS

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
CONVERTED = tuple(f"{plural}.{keys.GROUP}" for plural in ("rollouts", "batchreleases"))
OLD_TEMPLATE = "template"  # annotation in which OpenKruise Rollouts keeps a copy of the webhooks
ATTEMPTS = 5
ESTABLISH_SECONDS, LOOK_SECONDS = 30.0, 0.2
GIVE_BACK_SECONDS = 120.0  # for the manager to give back all workloads

_KINDS = {
    kind: Kind(api_version, kind, plural, namespaced=namespaced)
    for api_version, kind, plural, namespaced in (
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False),
        ("v1", "Namespace", "namespaces", False),
        ("v1", "ServiceAccount", "serviceaccounts", True),
        ("v1", "Service", "services", True),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", False),
        ("rbac.authorization.k8s.io/v1", "Role", "roles", True),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", True),
        ("apps/v1", "Deployment", "deployments", True),
        ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
        (MUTATING_WEBHOOKS.api_version, MUTATING_WEBHOOKS.kind, MUTATING_WEBHOOKS.plural, False),
        (VALIDATING_WEBHOOKS.api_version, VALIDATING_WEBHOOKS.kind, VALIDATING_WEBHOOKS.plural, False),
    )
}


class NotInstalled(Exception):
    """Something that `kruise-rollout install` makes is not there; the message says what."""


async def install(api: Api, clock: Clock, objects: Iterable[JsonObject]) -> None:
    """Applies `objects` in order, waiting for each CRD to be served. Raises ApiError.

    What others own of the objects is taken over; what they have added stays.
    """
    for obj in objects:
        params = {"fieldManager": keys.FIELD_MANAGER, "force": "true"}
        body = msgspec.json.encode(obj)
        await api.request("PATCH", _path(obj), params=params, body=body, content_type=APPLY_PATCH)
        if obj["kind"] == CRD.kind:
            await _established(api, clock, meta_of(obj)["name"])


async def uninstall(api: Api, clock: Clock, installation: Installation, *, with_data: bool = False) -> None:
    """Deletes what install() applied. Raises ApiError; what is gone already is no error.

    `with_data`: the CRDs too, and with them every Rollout, while the manager still runs to give workloads back.
    Otherwise Rollouts stay as they are, and their workloads with them: end or delete Rollouts first.
    """
    webhooks, kinds = webhook_objects(installation), crd_objects(installation)
    if with_data:
        await _delete(api, kinds)
        for obj in kinds:
            await _gone(api, clock, meta_of(obj)["name"])
    # The webhooks before the manager: without it to answer they would refuse the rest.
    await _delete(api, webhooks)
    await _delete(api, [o for o in reversed(all_objects(installation)) if o not in (*webhooks, *kinds)])


async def _delete(api: Api, objects: Iterable[JsonObject]) -> None:
    for obj in objects:
        try:
            await api.request("DELETE", _path(obj))
        except NotFound:
            continue


async def _gone(api: Api, clock: Clock, name: str) -> None:
    deadline = clock.mono() + GIVE_BACK_SECONDS
    while True:
        try:
            live: Json = msgspec.json.decode(await api.request("GET", CRD.path("", name)))
        except NotFound:
            return
        if clock.mono() >= deadline:
            conditions = (live.get("status") or {}).get("conditions") or ()
            why = next((c.get("message") for c in conditions if c.get("type") == "Terminating"), "")
            raise ApiError(
                f"{CRD.kind} {name} is still there after {GIVE_BACK_SECONDS:g} s ({why}); objects with a finalizer"
                " wait for the manager: see that it runs, and try again"
            )
        await clock.sleep(LOOK_SECONDS)


async def ensure(api: Api, target: Target) -> None:
    """Makes the API server trust and reach our webhooks as `target` says; writes only what differs.

    Also removes what OpenKruise Rollouts has left there and nothing here has an opinion about. Raises ApiError, and
    NotInstalled once all that is there has been seen to.
    """
    missing: list[str] = []
    for kind, name, change in (
        (MUTATING_WEBHOOKS, MUTATING, _reachable),
        (VALIDATING_WEBHOOKS, VALIDATING, _reachable),
        *((CRD, name, _convertible) for name in CONVERTED),
    ):
        if not await _change(api, kind, name, partial(change, target=target)):
            missing.append(f"{kind.kind} {name}")
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise NotInstalled(f"{', '.join(missing)} {are} not there: run `kruise-rollout install`")


async def webhook_url(api: Api) -> str:
    """The "https://host:port" at which the API server calls our webhooks; "" if through a Service, or not at all."""
    try:
        crd: Json = msgspec.json.decode(await api.request("GET", CRD.path("", CONVERTED[0])))
    except NotFound:
        return ""
    webhook = crd["spec"].get("conversion", {}).get("webhook") or {}
    return str((webhook.get("clientConfig") or {}).get("url") or "").removesuffix(CONVERT_PATH)


def _reachable(obj: JsonObject, target: Target) -> JsonObject:
    """The configuration `obj` with our way of being reached in every entry, the rules untouched."""
    made = copy.deepcopy(obj)
    paths = [(webhook, _path_of(webhook["clientConfig"])) for webhook in made.get("webhooks", ())]
    made["webhooks"] = [
        {**webhook, "clientConfig": target.client(path)}
        for webhook, path in paths
        if path not in INDIFFERENT_PATHS
    ]
    annotations = meta_of(made).get("annotations", {})
    annotations.pop(OLD_TEMPLATE, None)  # or OpenKruise Rollouts, if it comes back, brings its old rules back
    return made


def _client(target: Target, path: str, live: JsonObject) -> JsonObject:
    """How `path` is reached; the Service's port is whatever the Service was installed with."""
    client = target.client(path)
    port = (live.get("service") or {}).get("port")
    if "service" in client and port:
        client["service"]["port"] = port
    return client


def _path_of(client: JsonObject) -> str:
    service = client.get("service")
    if service:
        return str(service.get("path", "/"))
    _, _, rest = str(client.get("url", "")).partition("://")
    return "/" + rest.partition("/")[2]


def _convertible(obj: JsonObject, target: Target) -> JsonObject:
    webhook = obj["spec"].get("conversion", {}).get("webhook") or {}
    client = _client(target, CONVERT_PATH, webhook.get("clientConfig") or {})
    return {**obj, "spec": {**obj["spec"], "conversion": conversion(client)}}


async def _change(api: Api, kind: Kind, name: str, change: Callable[[JsonObject], JsonObject]) -> bool:
    """Patches the object if `change` makes something else of it, on the version that was read. False: it is gone."""
    for _ in range(ATTEMPTS):
        try:
            live: JsonObject = msgspec.json.decode(await api.request("GET", kind.path("", name)))
        except NotFound:
            return False
        patch = merge_diff(live, change(live))
        if not patch:
            return True
        version = {"resourceVersion": meta_of(live).get("resourceVersion")}
        patch = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        try:
            await api.request(
                "PATCH",
                kind.path("", name),
                params={"fieldManager": keys.FIELD_MANAGER},
                body=msgspec.json.encode(patch),
                content_type=MERGE_PATCH,
            )
        except (Conflict, NotFound):
            continue  # another replica, most likely with the same change; or it was deleted just now
        return True
    raise Conflict(f"{kind.kind} {name} is being changed by others all the time")


async def _established(api: Api, clock: Clock, name: str) -> None:
    deadline = clock.mono() + ESTABLISH_SECONDS
    while True:
        live: Json = msgspec.json.decode(await api.request("GET", CRD.path("", name)))
        conditions = (live.get("status") or {}).get("conditions") or ()
        if any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
            return
        if clock.mono() >= deadline:
            raise ApiError(f"{CRD.kind} {name} is not served after {ESTABLISH_SECONDS:g} s: {conditions}")
        await clock.sleep(LOOK_SECONDS)


def _path(obj: JsonObject) -> str:
    meta = meta_of(obj)
    return _KINDS[obj["kind"]].path(meta.get("namespace", ""), meta["name"])
