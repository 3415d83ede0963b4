"""Namespaces: what every new one gets (a ServiceAccount, the root certificate), and how one is emptied and ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Patch, Ref, Write
from kruise_rollouts.kube.objects import CONFIG_MAP, NAMESPACE, Kind
from kruise_rollouts.runtime.controller import Key

from . import conditions, facts
from .world import World

SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class NamespaceSeen(Struct, frozen=True):
    namespace: JsonObject
    status: JsonObject  # stored, or decided earlier in this fold
    contents: tuple[JsonObject, ...]  # looked at only when it is being deleted
    plurals: tuple[str, ...]  # resource of each of `contents`: "pods.", "deployments.apps"
    has_account: bool
    published: JsonObject | None  # the ConfigMap that shows the root CA
    root_ca: str  # PEM; "" if none is to be published
    now: datetime


class Namespaces:
    name = "namespace-controller"

    def __init__(self, root_ca: str = "") -> None:
        self._root_ca = root_ca

    async def observe(
        self, key: Key, world: World, now: datetime, pending: JsonObject | None
    ) -> NamespaceSeen | None:
        found = world.get(NAMESPACE, "", key[1])
        if found is None:
            return None
        contents: list[JsonObject] = []
        plurals: list[str] = []
        if facts.is_deleting(found):
            for kind, objects in world.kinds_in(key[1]):
                for obj in objects:
                    contents.append(obj)
                    plurals.append(world.served.get(kind, kind[1]))
        return NamespaceSeen(
            namespace=found,
            status=facts.status(found) if pending is None else pending,
            contents=tuple(contents),
            plurals=tuple(plurals),
            has_account=world.get(SERVICE_ACCOUNT, key[1], "default") is not None,
            published=world.get(CONFIG_MAP, key[1], ROOT_CA),
            root_ca=self._root_ca,
            now=now,
        )

    def decide(self, seen: NamespaceSeen) -> Decision[JsonObject]:
        return decide_namespace(seen)

    def persist(self, seen: NamespaceSeen, status: JsonObject) -> Write | None:
        patch = facts.changed_fields(facts.status(seen.namespace), status)
        return Patch(facts.ref_of(NAMESPACE, seen.namespace), {"status": patch}, "status") if patch else None


def decide_namespace(seen: NamespaceSeen) -> Decision[JsonObject]:
    """Furnishes a living namespace, empties a dying one, and lets it end once it is empty."""
    ns = facts.name(seen.namespace)
    if not facts.is_deleting(seen.namespace):
        return Decision(seen.status, tuple(_furnish(seen, ns)))
    writes: list[Write] = [
        Delete(Ref(o["apiVersion"], o["kind"], ns, facts.name(o)), facts.uid(o), "Background")
        for o in seen.contents
        if not facts.is_deleting(o)
    ]
    if not seen.contents and facts.spec(seen.namespace).get("finalizers"):
        me = facts.ref_of(NAMESPACE, seen.namespace)
        return Decision(seen.status, (Patch(me, {"spec": {"finalizers": []}}, "finalize"),))
    return Decision({**seen.status, "phase": "Terminating", "conditions": _told(seen)}, tuple(writes))


def _furnish(seen: NamespaceSeen, ns: str) -> Iterable[Write]:
    if not seen.has_account:
        ref = SERVICE_ACCOUNT.ref(ns, "default")
        yield Create(
            ref, {"apiVersion": "v1", "kind": ref.kind, "metadata": {"name": ref.name, "namespace": ns}}
        )
    if not seen.root_ca:
        return
    ref, told = CONFIG_MAP.ref(ns, ROOT_CA), {"kubernetes.io/description": DESCRIPTION}
    data: JsonObject = {"ca.crt": seen.root_ca}
    if seen.published is None:
        metadata = {"name": ROOT_CA, "namespace": ns, "annotations": told}
        yield Create(ref, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    elif (
        seen.published.get("data") != data or not told.items() <= facts.annotations_of(seen.published).items()
    ):
        others = {key: None for key in seen.published.get("data") or {} if key not in data}
        yield Patch(ref, {"metadata": {"annotations": told}, "data": {**others, **data}})


_WENT_WELL = (
    (
        "NamespaceDeletionDiscoveryFailure",
        "False",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "False",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "False",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)


def _told(seen: NamespaceSeen) -> list[JsonObject]:
    """The five conditions of a namespace on its way out."""
    resources: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for obj, plural in zip(seen.contents, seen.plurals, strict=True):
        resources[plural] = resources.get(plural, 0) + 1
        for finalizer in facts.meta(obj).get("finalizers") or ():
            finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
    content = ("NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed")
    if resources:
        left = ", ".join(f"{r} has {n} resource instances" for r, n in sorted(resources.items()))
        content = (*content[:1], "True", "SomeResourcesRemain", f"Some resources are remaining: {left}")
    held = ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    if finalizers:
        left = ", ".join(f"{f} in {n} resource instances" for f, n in sorted(finalizers.items()))
        message = f"Some content in the namespace has finalizers remaining: {left}"
        held = ("True", "SomeFinalizersRemain", message)
    wanted = (*_WENT_WELL, content, ("NamespaceFinalizersRemaining", *held))
    old = seen.status.get("conditions") or []
    return [_condition(conditions.find(old, w[0]), w, seen.now) for w in wanted]


def _condition(was: JsonObject | None, told: tuple[str, str, str, str], now: datetime) -> JsonObject:
    """`told`: type, status, reason, message."""
    kind, status, reason, message = told
    since = was["lastTransitionTime"] if was and was.get("status") == status else facts.stamp(now)
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def of_contents(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterable[Key]:
    """The namespace of an object that is gone or going, if the namespace is going too; or misses its furniture."""
    obj = new if new is not None else old
    if obj is None:
        return ()
    ns = facts.ns(obj)
    namespace = world.get(NAMESPACE, "", ns) if ns else None
    if namespace is None:
        return ()
    if facts.is_deleting(namespace):
        return (("", ns),) if new is None or old is None else ()
    changed = new is None or (old is not None and obj.get("kind") == CONFIG_MAP.kind)
    return (("", ns),) if changed and facts.name(obj) in ("default", ROOT_CA) else ()
