"""Cluster addresses and node ports of Services: given out, kept across changes, taken back.

Nothing is remembered between requests: what is taken is what stored Services say. Which other values a Service has by
default is builtin/defaults_other.py's, what it may hold is builtin/validation.py's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from random import Random

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause, InternalError

from .refusals import invalid_object
from .resources import Resource
from .store import Store

SERVICES = ("", "services")
NETWORK = ipaddress.ip_network("10.96.0.0/16")
API_SERVER = "10.96.0.1"  # of the Service default/kubernetes
NODE_PORTS = range(30000, 32768)
HEADLESS = "None"


def addressed(
    resource: Resource, new: JsonObject, old: JsonObject | None, store: Store, random: Random
) -> JsonObject:
    """`new` with the addresses its type asks for; anything but a Service as it is. Raises Invalid."""
    if resource.storage != SERVICES:
        return new
    was = {} if old is None else old.get("spec") or {}
    spec = _kept(new.get("spec") or {}, was)
    causes: list[Cause] = []
    others = [
        s["spec"]
        for s in store.list(*SERVICES)
        if old is None or s["metadata"]["uid"] != old["metadata"]["uid"]
    ]
    if _has_address(spec):
        spec = _with_address(spec, was, others, random, causes)
        spec = _with_families(spec)
    spec = _with_ports(spec, others, random, causes)
    if causes:
        raise invalid_object(resource, new["metadata"].get("name", ""), tuple(causes))
    return {**new, "spec": spec}


def _has_address(spec: JsonObject) -> bool:
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def _has_node_ports(spec: JsonObject) -> bool:
    if spec.get("type") == "LoadBalancer":
        return bool(spec.get("allocateLoadBalancerNodePorts", True))
    return spec.get("type") == "NodePort"


def _has_health_port(spec: JsonObject) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _is_balanced(spec: JsonObject) -> bool:
    return spec.get("type") == "LoadBalancer"


def _has_outer_policy(spec: JsonObject) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))


# Members that only some types of Service have: they are kept while both have them, and go with the type.
_OF_TYPE: tuple[tuple[Callable[[JsonObject], bool], tuple[str, ...]], ...] = (
    (_has_address, ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")),
    (_has_health_port, ("healthCheckNodePort",)),
)
_WITH_TYPE: tuple[tuple[Callable[[JsonObject], bool], tuple[str, ...]], ...] = (
    *_OF_TYPE,
    (_has_address, ("internalTrafficPolicy",)),
    (_has_outer_policy, ("externalTrafficPolicy",)),
    (_is_balanced, ("allocateLoadBalancerNodePorts", "loadBalancerClass")),
)


def _kept(spec: JsonObject, was: JsonObject) -> JsonObject:
    """`spec` with what the Service had been given, as far as both types have it."""
    spec = dict(spec)
    if (
        was
        and spec.get("clusterIPs") == was.get("clusterIPs")
        and spec.get("clusterIP") != was.get("clusterIP")
    ):
        # Who writes the one means the other.
        spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
    for has, members in _OF_TYPE:
        if was and has(was) and has(spec):
            for member in members:
                if not spec.get(member) and was.get(member):
                    spec[member] = was[member]
    for has, members in _WITH_TYPE:
        if was and has(was) and not has(spec):
            for member in members:
                if spec.get(member) == was.get(member):
                    spec.pop(member, None)
    if was and spec.get("ports"):
        spec["ports"] = _kept_ports(spec, was)
    return spec


def _kept_ports(spec: JsonObject, was: JsonObject) -> list[JsonObject]:
    ports: list[JsonObject] = spec["ports"]
    if _has_node_ports(was) and _has_node_ports(spec):
        had = {
            (p.get("protocol"), p["port"]): p["nodePort"] for p in was.get("ports") or () if p.get("nodePort")
        }
        used = {(p.get("protocol"), p["nodePort"]) for p in ports if p.get("nodePort")}
        kept = []
        for port in ports:
            number = had.get((port.get("protocol"), port["port"]))
            if number and not port.get("nodePort") and (port.get("protocol"), number) not in used:
                port = {**port, "nodePort": number}
            kept.append(port)
        return kept
    before = [p.get("nodePort") for p in was.get("ports") or ()]
    went = _has_node_ports(was) and spec.get("type") in ("ClusterIP", "ExternalName")
    if went and [p.get("nodePort") for p in ports] == before:
        return [{k: v for k, v in p.items() if k != "nodePort"} for p in ports]
    return ports


# -- Addresses ------------------------------------------------------------------------------------------


def _with_address(
    spec: JsonObject, was: JsonObject, others: list[JsonObject], random: Random, causes: list[Cause]
) -> JsonObject:
    given: list[str] = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    had: list[str] = (was.get("clusterIPs") or []) if _has_address(was) else []
    if had and given[:1] != had[:1]:
        causes.append(_invalid("spec.clusterIPs[0]", _listed(given), "may not change once set"))
    elif given and not had and given[0] != HEADLESS:
        why = _refused(given[0], others)
        if why:
            causes.append(
                _invalid("spec.clusterIPs", _listed(given), f"failed to allocate IP {given[0]}: {why}")
            )
    if not given:
        given = [_free_address(others, random)]
    return {**spec, "clusterIP": given[0], "clusterIPs": given}


def _taken(others: list[JsonObject]) -> set[str]:
    return {ip for spec in others for ip in spec.get("clusterIPs") or ()}


def _refused(ip: str, others: list[JsonObject]) -> str:
    """Why the address cannot be had; "" if it can, or is none (validation says that)."""
    try:
        inside = ipaddress.ip_address(ip) in NETWORK
    except ValueError:
        return ""
    if not inside:
        return "the provided network does not match the current range"
    return "provided IP is already allocated" if ip in _taken(others) else ""


def _free_address(others: list[JsonObject], random: Random) -> str:
    taken = _taken(others) | {API_SERVER}
    while True:  # Services are few, addresses are many
        ip = str(NETWORK[random.randrange(1, NETWORK.num_addresses - 1)])
        if ip not in taken:
            return ip


def _with_families(spec: JsonObject) -> JsonObject:
    """The cluster has IPv4 only; who has neither an address nor a selector may mean any."""
    anything = spec["clusterIP"] == HEADLESS and not spec.get("selector")
    policy = "RequireDualStack" if anything else "SingleStack"
    spec = {**spec, "ipFamilyPolicy": spec.get("ipFamilyPolicy") or policy}
    if not spec.get("ipFamilies"):
        both = anything and spec["ipFamilyPolicy"] != "SingleStack"
        spec["ipFamilies"] = ["IPv4", "IPv6"] if both else ["IPv4"]
    return spec


# -- Node ports -----------------------------------------------------------------------------------------


def _with_ports(
    spec: JsonObject, others: list[JsonObject], random: Random, causes: list[Cause]
) -> JsonObject:
    taken = set(_numbers(others))
    ports: list[JsonObject] = spec.get("ports") or []
    if _has_node_ports(spec):
        spec = {**spec, "ports": _numbered(ports, taken, random, causes)}
    if _has_health_port(spec) and not spec.get("healthCheckNodePort"):
        taken |= set(_numbers([spec]))
        spec = {**spec, "healthCheckNodePort": _free_port(taken, random)}
    return spec


def _numbered(
    ports: list[JsonObject], taken: set[int], random: Random, causes: list[Cause]
) -> list[JsonObject]:
    """`ports`, each with a node port; those of one number for several protocols share theirs."""
    mine: dict[int, list[JsonObject]] = {}  # by node port
    for i, port in enumerate(ports):
        number = port.get("nodePort")
        if not number:
            continue
        path = f"spec.ports[{i}].nodePort"
        if number not in NODE_PORTS:
            ends = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
            why = f"provided port is not in the valid range. The range of valid ports is {ends}"
            causes.append(_invalid(path, str(number), why))
        elif number in taken:
            causes.append(_invalid(path, str(number), "provided port is already allocated"))
        mine.setdefault(number, []).append(port)
    out = []
    for port in ports:
        if not port.get("nodePort"):
            number = _shared(port, mine) or _free_port(taken | mine.keys(), random)
            port = {**port, "nodePort": number}
            mine.setdefault(number, []).append(port)
        out.append(port)
    return out


def _shared(port: JsonObject, mine: dict[int, list[JsonObject]]) -> int:
    for number, users in mine.items():
        same = all(u["port"] == port["port"] for u in users)
        if same and all(u.get("protocol") != port.get("protocol") for u in users):
            return number
    return 0


def _numbers(specs: Iterable[JsonObject]) -> Iterable[int]:
    for spec in specs:
        if spec.get("healthCheckNodePort"):
            yield spec["healthCheckNodePort"]
        for port in spec.get("ports") or ():
            if port.get("nodePort"):
                yield port["nodePort"]


def _free_port(taken: set[int], random: Random) -> int:
    free = [n for n in NODE_PORTS if n not in taken]
    if not free:
        raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")
    return random.choice(free)


def _listed(values: list[str]) -> str:
    return "[" + ",".join(f'"{v}"' for v in values) + "]"


def _invalid(path: str, value: Json, why: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {value}: {why}", path)
