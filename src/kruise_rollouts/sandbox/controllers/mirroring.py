"""Mirrors Endpoints that somebody wrote by hand into EndpointSlices, as clients of slices expect them.

Endpoints of a Service with a selector are the business of endpoints.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, JsonObject, Patch, Write
from kruise_rollouts.kube.objects import SERVICE
from kruise_rollouts.runtime.controller import Key

from . import facts
from .endpoints import ENDPOINTS, MANAGED_BY, SERVICE_NAME, SLICE
from .templates import spell
from .world import World

MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_NOT_MIRRORED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "endpoints.kubernetes.io/last-change-trigger-time",
)


class EndpointsSeen(Struct, frozen=True):
    endpoints: JsonObject | None  # None: nothing is to be mirrored
    ns: str
    slices: tuple[JsonObject, ...]  # of this controller


class Mirrors:
    name = "endpoint-slice-mirroring-controller"

    async def observe(self, key: Key, world: World, now: datetime, pending: None) -> EndpointsSeen | None:
        found, service = world.get(ENDPOINTS, *key), world.get(SERVICE, *key)
        wanted = (
            found is not None
            and service is not None
            and not facts.spec(service).get("selector")
            and facts.labels_of(found).get(SKIP) != "true"
            and not facts.is_deleting(found)
        )
        slices = tuple(
            s
            for s in world.list(SLICE, key[0])
            if facts.labels_of(s).get(SERVICE_NAME) == key[1]
            and facts.labels_of(s).get(MANAGED_BY) == MIRROR_MANAGER
        )
        return EndpointsSeen(found if wanted else None, key[0], slices)

    def decide(self, seen: EndpointsSeen) -> Decision[None]:
        return Decision(None, tuple(_writes(seen)))

    def persist(self, seen: EndpointsSeen, status: None) -> Write | None:
        return None


def _writes(seen: EndpointsSeen) -> Iterator[Write]:
    wanted = list(_mirrored(seen.endpoints)) if seen.endpoints is not None else []
    left = list(seen.slices)
    for body in wanted:
        alike = next((s for s in left if s["addressType"] == body["addressType"]), None)
        if alike is None:
            name = body["metadata"]["name"]
            yield Create(SLICE.ref(seen.ns, name), body)
            continue
        left.remove(alike)
        patch = {k: body[k] for k in ("endpoints", "ports") if body[k] != alike.get(k)}
        if patch:
            yield Patch(SLICE.ref(seen.ns, facts.name(alike)), patch)
    for piece in left:
        yield Delete(SLICE.ref(seen.ns, facts.name(piece)), facts.uid(piece))


def _mirrored(endpoints: JsonObject) -> Iterator[JsonObject]:
    """A slice for each subset and family of addresses."""
    for number, subset in enumerate(endpoints.get("subsets") or ()):
        ports = [_port(p) for p in subset.get("ports") or ()]
        for family in ("IPv4", "IPv6"):
            found = [
                _endpoint(a, ready)
                for field, ready in (("addresses", True), ("notReadyAddresses", False))
                for a in subset.get(field) or ()
                if (":" in a["ip"]) == (family == "IPv6")
            ]
            if found:
                yield _slice(endpoints, f"{number}/{family}", family, found, ports)


def _slice(
    endpoints: JsonObject, seed: str, family: str, found: list[JsonObject], ports: list[JsonObject]
) -> JsonObject:
    name = facts.name(endpoints)
    digest = hashlib.sha256(msgspec.json.encode([facts.uid(endpoints), seed])).digest()
    told = {k: v for k, v in facts.annotations_of(endpoints).items() if k not in _NOT_MIRRORED}
    metadata: JsonObject = {
        "name": f"{name}-{spell(digest, 5)}",
        "generateName": f"{name}-",
        "namespace": facts.ns(endpoints),
        "labels": {**facts.labels_of(endpoints), SERVICE_NAME: name, MANAGED_BY: MIRROR_MANAGER},
        "ownerReferences": [facts.owner_ref(ENDPOINTS, endpoints)],
    }
    if told:
        metadata["annotations"] = told
    return {
        "apiVersion": SLICE.api_version,
        "kind": SLICE.kind,
        "metadata": metadata,
        "addressType": family,
        "endpoints": found,
        "ports": ports,
    }


def _port(port: JsonObject) -> JsonObject:
    return {
        "name": port.get("name", ""),
        **{k: port[k] for k in ("port", "protocol", "appProtocol") if k in port},
    }


def _endpoint(address: JsonObject, ready: bool) -> JsonObject:
    kept: JsonObject = {k: address[k] for k in ("hostname", "nodeName", "targetRef") if k in address}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **kept}


def endpoints_of(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """The Endpoints whose mirror a slice is."""
    obj = new if new is not None else old
    if obj is not None and facts.labels_of(obj).get(MANAGED_BY) == MIRROR_MANAGER:
        yield (facts.ns(obj), facts.labels_of(obj).get(SERVICE_NAME, ""))
