"""Endpoints and EndpointSlices of Services: which pods a Service sends requests to.

One key per Service. A slice keeps its endpoints as long as they exist, so that one pod more or less changes one slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Create, Decision, Delete, Json, JsonObject, Patch, Write
from kruise_rollouts.kube.objects import SERVICE, Kind
from kruise_rollouts.runtime.controller import Key
from kruise_rollouts.sandbox.selectors import matches, of_object

from . import facts
from .pods import Pod
from .templates import fresh_names
from .world import World

ENDPOINTS = Kind("v1", "Endpoints", "endpoints")
SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
PER_SLICE = 100
PER_ENDPOINTS = 1000  # addresses; more are cut off, and the object says so

Ports: TypeAlias = tuple[tuple[str, int, str, str], ...]  # name, port, protocol, application protocol


class ServiceSeen(Struct, frozen=True):
    service: JsonObject
    pods: tuple[Pod, ...]  # that the selector matches
    endpoints: JsonObject | None
    slices: tuple[JsonObject, ...]  # of this controller, by name
    now: datetime


class LeftBehind(Struct, frozen=True):
    """Endpoints whose Service is gone. (Slices go with their owner.)"""

    endpoints: JsonObject


class EndpointControl:
    name = "endpoint-slice-controller"

    async def observe(
        self, key: Key, world: World, now: datetime, pending: None
    ) -> ServiceSeen | LeftBehind | None:
        service = world.get(SERVICE, *key)
        if service is None:
            left = world.get(ENDPOINTS, *key)
            return None if left is None else LeftBehind(left)
        if not facts.spec(service).get("selector") or facts.is_deleting(service):
            return None
        if facts.spec(service).get("type") == "ExternalName":
            return None
        selector = of_object({"matchLabels": facts.spec(service)["selector"]})
        mine = [
            s
            for s in world.list(SLICE, key[0])
            if facts.labels_of(s).get(SERVICE_NAME) == key[1]
            and facts.labels_of(s).get(MANAGED_BY) == SLICE_MANAGER
        ]
        return ServiceSeen(
            service=service,
            pods=tuple(
                p for p in world.pods_in(key[0]) if selector is not None and matches(selector, p.labels)
            ),
            endpoints=world.get(ENDPOINTS, *key),
            slices=tuple(sorted(mine, key=facts.name)),
            now=now,
        )

    def decide(self, seen: ServiceSeen | LeftBehind) -> Decision[None]:
        if isinstance(seen, LeftBehind):
            return Decision(
                None, (Delete(facts.ref_of(ENDPOINTS, seen.endpoints), facts.uid(seen.endpoints)),)
            )
        return Decision(None, (*_endpoints(seen), *_slices(seen)))

    def persist(self, seen: ServiceSeen | LeftBehind, status: None) -> Write | None:
        return None


def _address(pod: Pod) -> str:
    return str(facts.status(pod.raw).get("podIP") or "")


def _ports(service: JsonObject, pod: Pod) -> Ports:
    """The service's ports as this pod serves them; ports it does not name are left out."""
    found = []
    for port in facts.spec(service).get("ports") or ():
        target: Json = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else _named(pod, str(target), port.get("protocol", "TCP"))
        if number:
            found.append(
                (port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", ""))
            )
    return tuple(found)


def _named(pod: Pod, name: str, protocol: str) -> int:
    for container in facts.spec(pod.raw).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return 0


def _target(pod: Pod) -> JsonObject:
    return {"kind": "Pod", "namespace": facts.ns(pod.raw), "name": pod.name, "uid": pod.uid}


def _labels(service: JsonObject) -> JsonObject:
    inherited = {k: v for k, v in facts.labels_of(service).items() if k != HEADLESS}
    labels: JsonObject = dict(inherited)
    if facts.spec(service).get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return labels


# -- Endpoints ------------------------------------------------------------------------------------------


def _endpoints(seen: ServiceSeen) -> Iterator[Write]:
    service = seen.service
    labels = {**_labels(service), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    subsets = _subsets(seen)
    ref = ENDPOINTS.ref(facts.ns(service), facts.name(service))
    if seen.endpoints is None:
        metadata = {"name": ref.name, "namespace": ref.ns, "labels": labels}
        body: JsonObject = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
        if subsets:
            body["subsets"] = subsets
        yield Create(ref, body)
        return
    patch: JsonObject = {}
    if (seen.endpoints.get("subsets") or []) != subsets:
        patch["subsets"] = subsets or None
    changed = facts.changed_fields(facts.labels_of(seen.endpoints), labels)
    if changed:
        patch["metadata"] = {"labels": changed}
    if patch:
        yield Patch(ref, patch)


def _subsets(seen: ServiceSeen) -> list[JsonObject]:
    tolerant = bool(facts.spec(seen.service).get("publishNotReadyAddresses"))
    grouped: dict[Ports, tuple[list[JsonObject], list[JsonObject]]] = {}
    for pod in sorted(seen.pods, key=lambda p: _ip_rank(_address(p)))[:PER_ENDPOINTS]:
        if not _address(pod) or pod.is_terminal or (pod.deleting and not tolerant):
            continue
        ports = _ports(seen.service, pod)
        if not ports and facts.spec(seen.service).get("ports"):
            continue
        address: JsonObject = {"ip": _address(pod), "nodeName": pod.node, "targetRef": _target(pod)}
        hostname = facts.spec(pod.raw).get("hostname")
        if hostname and facts.spec(pod.raw).get("subdomain") == facts.name(seen.service):
            address["hostname"] = hostname
        ready, unready = grouped.setdefault(ports, ([], []))
        (ready if pod.ready or tolerant else unready).append(address)
    subsets = []
    for ports, (ready, unready) in sorted(grouped.items()):
        subset: JsonObject = {}
        if ready:
            subset["addresses"] = ready
        if unready:
            subset["notReadyAddresses"] = unready
        if ports:
            subset["ports"] = [_port(p, named=False) for p in ports]
        subsets.append(subset)
    return subsets


def _ip_rank(ip: str) -> tuple[int, ...]:
    return tuple(int(part) for part in ip.split(".")) if ip.count(".") == 3 else ()


def _port(port: tuple[str, int, str, str], *, named: bool) -> JsonObject:
    name, number, protocol, application = port
    body: JsonObject = {"port": number, "protocol": protocol}
    if name or named:
        body["name"] = name
    if application:
        body["appProtocol"] = application
    return body


# -- EndpointSlices -------------------------------------------------------------------------------------


def _slices(seen: ServiceSeen) -> Iterator[Write]:
    wanted: dict[Ports, dict[str, JsonObject]] = {}
    for pod in sorted(seen.pods, key=lambda p: (p.created, p.name)):
        if not _address(pod) or pod.is_terminal:
            continue
        ports = _ports(seen.service, pod)
        if ports or not facts.spec(seen.service).get("ports"):
            wanted.setdefault(ports, {})[pod.uid] = _endpoint(seen.service, pod)
    free = list(seen.slices)
    if not wanted:
        wanted[()] = {}  # an empty slice says that there is nobody, not that nobody has looked
    new = 0
    for ports, endpoints in sorted(wanted.items()):
        for_ports = [s for s in free if _ports_of(s) == ports or (not endpoints and s is free[0])]
        free = [s for s in free if s not in for_ports]
        for write in _fill(seen, ports, endpoints, for_ports, new):
            new += isinstance(write, Create)
            yield write
    for surplus in free:
        yield Delete(facts.ref_of(SLICE, surplus), facts.uid(surplus))


def _ports_of(piece: JsonObject) -> Ports:
    return tuple(
        (p.get("name") or "", p.get("port") or 0, p.get("protocol") or "TCP", p.get("appProtocol") or "")
        for p in piece.get("ports") or ()
    )


def _fill(
    seen: ServiceSeen, ports: Ports, endpoints: dict[str, JsonObject], slices: list[JsonObject], serial: int
) -> Iterator[Write]:
    """Writes that spread `endpoints` (by pod uid) over `slices`: kept where they are, new ones into gaps."""
    contents: list[list[JsonObject]] = []
    left = dict(endpoints)
    for piece in slices:
        uids = [(e.get("targetRef") or {}).get("uid") for e in piece.get("endpoints") or ()]
        contents.append([left.pop(u) for u in uids if u in left])
    waiting = list(left.values())
    for content in contents:
        room = PER_SLICE - len(content)
        content += waiting[:room]
        del waiting[:room]
    labels = {**_labels(seen.service), MANAGED_BY: SLICE_MANAGER, SERVICE_NAME: facts.name(seen.service)}
    for piece, content in zip(slices, contents, strict=True):
        if not content and (piece is not slices[0] or endpoints):
            yield Delete(facts.ref_of(SLICE, piece), facts.uid(piece))
            continue
        patch: JsonObject = {}
        if (piece.get("endpoints") or []) != content:
            patch["endpoints"] = content
        changed = facts.changed_fields(facts.labels_of(piece), labels)
        if changed:
            patch["metadata"] = {"labels": changed}
        if patch:
            yield Patch(facts.ref_of(SLICE, piece), patch)
    batches = [waiting[i : i + PER_SLICE] for i in range(0, len(waiting), PER_SLICE)]
    if not slices and not batches:
        batches = [[]]
    yield from _new_slices(seen, ports, batches, labels, serial)


def _new_slices(
    seen: ServiceSeen, ports: Ports, batches: list[list[JsonObject]], labels: JsonObject, serial: int
) -> Iterator[Create]:
    service = seen.service
    seed = f"{facts.uid(service)}/{seen.now.timestamp()}/{serial}"
    names = fresh_names(facts.name(service) + "-", seed, len(batches), {facts.name(s) for s in seen.slices})
    for name, batch in zip(names, batches, strict=True):
        yield Create(
            SLICE.ref(facts.ns(service), name),
            {
                "apiVersion": SLICE.api_version,
                "kind": SLICE.kind,
                "metadata": {
                    "name": name,
                    "generateName": facts.name(service) + "-",
                    "namespace": facts.ns(service),
                    "labels": labels,
                    "ownerReferences": [facts.owner_ref(SERVICE, service)],
                },
                "addressType": "IPv4",
                "endpoints": batch,
                "ports": [_port(p, named=True) for p in ports],
            },
        )


def _endpoint(service: JsonObject, pod: Pod) -> JsonObject:
    tolerant = bool(facts.spec(service).get("publishNotReadyAddresses"))
    endpoint: JsonObject = {
        "addresses": [_address(pod)],
        "conditions": {
            "ready": tolerant or (pod.ready and not pod.deleting),
            "serving": pod.ready,
            "terminating": pod.deleting,
        },
        "nodeName": pod.node,
        "targetRef": _target(pod),
    }
    hostname = facts.spec(pod.raw).get("hostname")
    if hostname and facts.spec(pod.raw).get("subdomain") == facts.name(service):
        endpoint["hostname"] = hostname
    return endpoint


def services_of(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """Services that select the pod, if what they show of it has changed."""
    if old is not None and new is not None and _shown(old) == _shown(new):
        return
    obj = new if new is not None else old
    if obj is None:
        return
    before, after = (facts.labels_of(o) if o is not None else None for o in (old, new))
    for service in world.list(SERVICE, facts.ns(obj)):
        wanted = (facts.spec(service).get("selector") or {}).items()
        if wanted and any(have is not None and wanted <= have.items() for have in (before, after)):
            yield (facts.ns(service), facts.name(service))


def _shown(pod: JsonObject) -> tuple[object, ...]:
    status = facts.status(pod)
    ready = next((c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"), "")
    return (facts.labels_of(pod), status.get("podIP"), ready, facts.is_deleting(pod), status.get("phase"))


def service_of_slice(world: World, old: JsonObject | None, new: JsonObject | None) -> Iterator[Key]:
    """The Service of a slice or Endpoints object that somebody changed or deleted."""
    obj = new if new is not None else old
    if obj is not None and (old is not None or new is None):
        key = (facts.ns(obj), facts.labels_of(obj).get(SERVICE_NAME) or facts.name(obj))
        if world.get(SERVICE, *key) is not None:  # Endpoints that never had a Service are somebody's own
            yield key
