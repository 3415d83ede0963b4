"""What the controllers look at: every object of the store, indexed by namespace, owner and controller.

Fed synchronously by the store's commits, so a write is visible here before it returns. Read-only for controllers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject, Ref
from kruise_rollouts.kube.objects import POD, Kind

from . import facts
from .pods import Pod, pod_from

Id: TypeAlias = tuple[str, str]  # API group, kind
Place: TypeAlias = tuple[Id, str, str]  # of which kind, namespace, name


class Refusal(Struct, frozen=True):
    """The last write a controller was refused, until it may try again."""

    reason: str  # of the API error: "Forbidden", "Invalid", ...
    message: str
    creating: bool  # False: it wanted to delete
    retry_at: datetime


def id_of(kind: Kind | Ref) -> Id:
    return named(kind.api_version, kind.kind)


def named(api_version: str, kind: str) -> Id:
    return (api_version.rpartition("/")[0], kind)


POD_ID = id_of(POD)
_NOTHING: dict[str, JsonObject] = {}
_NO_PODS: dict[str, Pod] = {}


class World:
    """Indexes of what is. All lookups cost no more than what they return."""

    def __init__(self) -> None:
        self._objects: dict[Id, dict[str, dict[str, JsonObject]]] = {}
        self._owned: dict[str, dict[str, Place]] = {}  # owner uid -> uid -> where
        self._places: dict[str, Place] = {}  # uid -> where
        self._pods: dict[
            str, dict[str, Pod]
        ] = {}  # controller uid, or "/" + namespace of orphans -> uid -> pod
        self._pod_by_uid: dict[str, Pod] = {}
        self._on_node: dict[str, dict[str, Pod]] = {}  # "": not bound yet
        self.served: dict[Id, str] = {}  # kinds there are, with what messages call their resource: "pods."
        self.scales: dict[
            Id, str
        ] = {}  # kinds that can be scaled, with the path of their replicas: "spec.replicas"
        self.refusals: dict[tuple[str, str, str], Refusal] = {}  # controller, namespace, name

    # -- feeding ----------------------------------------------------------------------------------

    def put(self, kind: Id, obj: JsonObject) -> None:
        """Takes the newest state of one object."""
        metadata = obj["metadata"]
        ns, name, uid = metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")
        by_name = self._objects.setdefault(kind, {}).setdefault(ns, {})
        old = by_name.get(name)
        by_name[name] = obj
        place = (kind, ns, name)
        self._places[uid] = place
        was = metadata_owners(old) if old is not None else ()
        owners = metadata_owners(obj)
        if owners != was:
            for owner in set(was) - set(owners):
                self._disown(owner, uid)
            for owner in owners:
                self._owned.setdefault(owner, {})[uid] = place
        if kind == POD_ID:
            self._put_pod(obj, ns)

    def remove(self, kind: Id, obj: JsonObject) -> None:
        """Forgets one object."""
        metadata = obj["metadata"]
        ns, name, uid = metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")
        self._objects.get(kind, {}).get(ns, {}).pop(name, None)
        if self._places.get(uid) == (kind, ns, name):
            del self._places[uid]
        for owner in metadata_owners(obj):
            self._disown(owner, uid)
        if kind == POD_ID:
            self._drop_pod(uid)

    def forget(self, kind: Id) -> None:
        """`kind` is no longer served."""
        self.served.pop(kind, None)
        self.scales.pop(kind, None)
        for obj in tuple(self.of(kind)):
            self.remove(kind, obj)

    def _disown(self, owner: str, uid: str) -> None:
        owned = self._owned.get(owner)
        if owned is not None:
            owned.pop(uid, None)
            if not owned:
                del self._owned[owner]

    def _put_pod(self, obj: JsonObject, ns: str) -> None:
        pod = pod_from(obj)
        old = self._pod_by_uid.get(pod.uid)
        self._pod_by_uid[pod.uid] = pod
        group = pod.controller or "/" + ns
        if old is not None and (old.controller or "/" + ns) != group:
            self._pods.get(old.controller or "/" + ns, {}).pop(pod.uid, None)
        self._pods.setdefault(group, {})[pod.uid] = pod
        if old is not None and old.node != pod.node:
            self._on_node.get(old.node, {}).pop(pod.uid, None)
        self._on_node.setdefault(pod.node, {})[pod.uid] = pod

    def _drop_pod(self, uid: str) -> None:
        pod = self._pod_by_uid.pop(uid, None)
        if pod is None:
            return
        group = pod.controller or "/" + facts.ns(pod.raw)
        mates = self._pods.get(group, {})
        mates.pop(uid, None)
        if not mates:
            self._pods.pop(group, None)
        self._on_node.get(pod.node, {}).pop(uid, None)

    # -- asking -----------------------------------------------------------------------------------

    def get(self, kind: Kind, ns: str, name: str) -> JsonObject | None:
        return self.at(id_of(kind), ns, name)

    def at(self, kind: Id, ns: str, name: str) -> JsonObject | None:
        return self._objects.get(kind, {}).get(ns, _NOTHING).get(name)

    def list(self, kind: Kind, ns: str = "") -> Iterator[JsonObject]:
        """Objects of one namespace; of all namespaces (or cluster-scoped ones) for ""."""
        return self.of(id_of(kind), ns)

    def of(self, kind: Id, ns: str = "") -> Iterator[JsonObject]:
        by_ns = self._objects.get(kind, {})
        if ns:
            yield from tuple(by_ns.get(ns, _NOTHING).values())
            return
        for by_name in tuple(by_ns.values()):
            yield from tuple(by_name.values())

    def kinds_in(self, ns: str) -> Iterator[tuple[Id, Iterable[JsonObject]]]:
        """Every kind that has objects in `ns`, with them."""
        for kind, by_ns in tuple(self._objects.items()):
            found = by_ns.get(ns)
            if found:
                yield kind, tuple(found.values())

    def place(self, uid: str) -> Place | None:
        """Where the object with this uid lives; None if there is none."""
        return self._places.get(uid)

    def by_uid(self, uid: str) -> JsonObject | None:
        place = self._places.get(uid)
        return self.at(*place) if place is not None else None

    def owned(self, owner_uid: str) -> tuple[Place, ...]:
        """Everything that names this owner."""
        return tuple(self._owned.get(owner_uid, {}).values())

    def has_owned(self, owner_uid: str) -> bool:
        return owner_uid in self._owned

    def controlled(self, kind: Kind, owner_uid: str) -> Iterator[JsonObject]:
        """Objects of `kind` that this owner controls."""
        wanted = id_of(kind)
        for place in self.owned(owner_uid):
            if place[0] == wanted:
                obj = self.at(*place)
                if obj is not None and facts.controller_uid(obj) == owner_uid:
                    yield obj

    def pods(self, controller_uid: str) -> Mapping[str, Pod]:
        """Pods (by uid) that this owner controls."""
        return self._pods.get(controller_uid, _NO_PODS)

    def orphan_pods(self, ns: str) -> Mapping[str, Pod]:
        return self._pods.get("/" + ns, _NO_PODS)

    def pod(self, uid: str) -> Pod | None:
        return self._pod_by_uid.get(uid)

    def pods_on(self, node: str) -> Mapping[str, Pod]:
        """Pods bound to `node`; those that wait for the scheduler for ""."""
        return self._on_node.get(node, _NO_PODS)

    def pods_in(self, ns: str) -> Iterator[Pod]:
        for obj in self.of(POD_ID, ns):
            found = self._pod_by_uid.get(facts.uid(obj))
            if found is not None:
                yield found

    def refusal(self, controller: str, key: tuple[str, str], now: datetime) -> Refusal | None:
        """The refusal `controller` still has to respect for `key`; None if it may (again) try."""
        found = self.refusals.get((controller, *key))
        return found if found is not None and found.retry_at > now else None


def metadata_owners(obj: JsonObject) -> tuple[str, ...]:
    """uids of all owners."""
    return tuple(o.get("uid", "") for o in facts.owners(obj))
