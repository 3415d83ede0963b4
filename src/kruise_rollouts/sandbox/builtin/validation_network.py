"""What Services, their endpoints, Ingresses and NetworkPolicies may be. Addresses are given out elsewhere."""

from __future__ import annotations

import ipaddress
import re

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom.value_check import duplicate, forbidden, invalid, required, unsupported

from .validation_meta import (
    Causes,
    dns_label,
    ip,
    is_ip,
    labels,
    one_of,
    port,
    port_or_name,
    qualified,
    selector,
    subdomain,
    unchanged,
)

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_ROUTES = ("Cluster", "Local")
_STICKY_MOST = 86400  # seconds
_LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
_LINK_LOCAL = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_WILDCARD = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
    "case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used "
    "for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def service_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old["spec"]:
        return
    kind, ip_given = spec.get("type"), spec.get("clusterIP")
    outside = kind == "ExternalName"
    if not spec.get("ports") and ip_given != "None" and not outside:
        yield required("spec.ports")
    if kind in ("NodePort", "LoadBalancer") and ip_given == "None":
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if outside:
        yield from _external_name(spec)
    yield from _ports(spec)
    yield from labels("spec.selector", spec.get("selector"))
    yield from _affinity(spec)
    if kind not in _TYPES:
        yield unsupported("spec.type", kind, _TYPES)
    yield from _addresses(spec)
    if kind != "LoadBalancer" and spec.get("loadBalancerClass") is not None:
        yield forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
    yield from _traffic(spec)
    if kind == "ClusterIP":
        for index, one in enumerate(spec.get("ports") or ()):
            if one.get("nodePort"):
                yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")


def _external_name(spec: JsonObject) -> Causes:
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = (spec.get("externalName") or "").removesuffix(".")
    if name:
        yield from subdomain("spec.externalName", name)
    else:
        yield required("spec.externalName")


def _ports(spec: JsonObject) -> Causes:
    given: Json = spec.get("ports") or []
    names: set[str] = set()
    for index, one in enumerate(given):
        at, name = f"spec.ports[{index}]", one.get("name", "")
        if len(given) > 1 and not name:
            yield required(f"{at}.name")
        elif name:
            yield from dns_label(f"{at}.name", name)
            if name in names:
                yield duplicate(f"{at}.name", name)
            names.add(name)
        yield from port(f"{at}.port", one.get("port") or 0)
        yield from one_of(f"{at}.protocol", one.get("protocol"), _PROTOCOLS)
        yield from port_or_name(f"{at}.targetPort", one.get("targetPort"))
        if one.get("appProtocol") is not None:
            yield from qualified(f"{at}.appProtocol", one["appProtocol"])
    yield from _twice(given)


def _twice(given: list[JsonObject]) -> Causes:
    seen: set[tuple[str, int]] = set()
    for index, one in enumerate(given):
        key = (one.get("protocol", ""), one.get("port", 0))
        if key in seen:
            shown = f'{{"Name":"","Protocol":"{key[0]}","AppProtocol":null,"Port":{key[1]},"TargetPort":0,"NodePort":0}}'
            yield Cause("FieldValueDuplicate", f"Duplicate value: {shown}", f"spec.ports[{index}]")
        seen.add(key)


def _affinity(spec: JsonObject) -> Causes:
    kind = spec.get("sessionAffinity")
    yield from one_of("spec.sessionAffinity", kind, ("ClientIP", "None"))
    if kind != "ClientIP":
        return
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= _STICKY_MOST:
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield invalid(path, seconds, f"must be greater than 0 and less than {_STICKY_MOST}")


def _addresses(spec: JsonObject) -> Causes:
    if spec.get("type") != "ExternalName":
        for index, given in enumerate(spec.get("clusterIPs") or ()):
            if given != "None":
                yield from ip(f"spec.clusterIPs[{index}]", given)
    yield from _families(spec)
    policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in policies:
        yield unsupported("spec.ipFamilyPolicy", policy, policies)
    for index, given in enumerate(spec.get("externalIPs") or ()):
        at = f"spec.externalIPs[{index}]"
        yield from ip(at, given)
        if is_ip(given):
            yield from _usable(at, given)
    if spec.get("type") == "LoadBalancer":
        for index, given in enumerate(spec.get("loadBalancerSourceRanges") or ()):
            yield from _cidr(f"spec.LoadBalancerSourceRanges[{index}]", given.strip())


def _families(spec: JsonObject) -> Causes:
    """The cluster has IPv4 only; an address of IPv6 exists for Services without selector and address alone."""
    if spec.get("type") == "ExternalName" or (spec.get("clusterIP") == "None" and not spec.get("selector")):
        return
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        yield invalid("spec.ipFamilyPolicy", "RequireDualStack", why)
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6":
            yield invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")


def _usable(path: str, given: str) -> Causes:
    """An address another machine can have."""
    address = ipaddress.ip_address(given)
    if address.is_unspecified:
        yield invalid(path, given, f"may not be unspecified ({given})")
    if address.is_loopback:
        yield invalid(path, given, _LOOPBACK)
    if address.is_link_local:
        yield invalid(path, given, _LINK_LOCAL)


def _cidr(path: str, given: str) -> Causes:
    try:
        ipaddress.ip_network(given, strict=False)
    except ValueError:
        yield invalid(path, given, _CIDR)
        return
    if "/" not in given:
        yield invalid(path, given, _CIDR)


def _traffic(spec: JsonObject) -> Causes:
    reached = spec.get("type") in ("NodePort", "LoadBalancer") or (
        spec.get("type") == "ClusterIP" and spec.get("externalIPs")
    )
    policy = spec.get("externalTrafficPolicy")
    if not reached and policy:
        yield invalid(
            "spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services"
        )
    elif reached and policy not in _ROUTES:
        if policy:
            yield unsupported("spec.externalTrafficPolicy", policy, _ROUTES)
        else:
            yield required("spec.externalTrafficPolicy")
    inner = spec.get("internalTrafficPolicy")
    if inner is not None and inner not in _ROUTES:
        yield unsupported("spec.internalTrafficPolicy", inner, _ROUTES)
    spread = spec.get("trafficDistribution")
    allowed = ("PreferClose", "PreferSameZone", "PreferSameNode")
    if spread is not None and spread not in allowed:
        yield unsupported("spec.trafficDistribution", spread, allowed)


# Endpoints.


def endpoints_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    for index, subset in enumerate(new.get("subsets") or ()):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(at, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(field) or ()):
                yield from _endpoint(f"{at}.{field}[{place}]", address)
        ports = subset.get("ports") or ()
        for place, one in enumerate(ports):
            where, name = f"{at}.ports[{place}]", one.get("name", "")
            if len(ports) > 1 and not name:
                yield required(f"{where}.name")
            elif name:
                yield from dns_label(f"{where}.name", name)
            yield from port(f"{where}.port", one.get("port") or 0)
            yield from one_of(f"{where}.protocol", one.get("protocol"), _PROTOCOLS)


def _endpoint(path: str, address: JsonObject) -> Causes:
    given = address.get("ip", "")
    yield from ip(f"{path}.ip", given)
    if is_ip(given):
        yield from _usable(f"{path}.ip", given)
    else:
        yield invalid(f"{path}.ip", given, "must be a valid IP address")
    if address.get("hostname"):
        yield from dns_label(f"{path}.hostname", address["hostname"])


def endpoint_slice_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    kind = new.get("addressType", "")
    yield from one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    for index, endpoint in enumerate(new.get("endpoints") or ()):
        at, addresses = f"endpoints[{index}]", endpoint.get("addresses")
        if not addresses:
            yield required(f"{at}.addresses", "must contain at least 1 address")
        for place, address in enumerate(addresses or ()):
            if kind == "FQDN":
                yield from subdomain(f"{at}.addresses[{place}]", address)
            elif kind in ("IPv4", "IPv6"):
                yield from ip(f"{at}.addresses[{place}]", address)
                if is_ip(address):
                    yield from _usable(f"{at}.addresses[{place}]", address)
        if endpoint.get("hostname") is not None:
            yield from dns_label(f"{at}.hostname", endpoint["hostname"])
    names: set[str] = set()
    for index, one in enumerate(new.get("ports") or ()):
        name = one.get("name") or ""
        if name:
            yield from dns_label(f"ports[{index}].name", name)
        if name in names:
            yield duplicate(f"ports[{index}].name", name)
        names.add(name)
        yield from one_of(f"ports[{index}].protocol", one.get("protocol"), _PROTOCOLS)
    if old is not None:
        yield from unchanged("addressType", kind, old.get("addressType"))


# Ingress.


def ingress_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    if old is not None and spec is old.get("spec"):
        return
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend("spec.defaultBackend", spec["defaultBackend"])
    for index, rule in enumerate(spec.get("rules") or ()):
        yield from _rule(f"spec.rules[{index}]", rule)
    for index, tls in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(tls.get("hosts") or ()):
            yield from _host(f"spec.tls[{index}].hosts[{place}]", host)
        if tls.get("secretName"):
            yield from subdomain(f"spec.tls[{index}].secretName", tls["secretName"])
    if spec.get("ingressClassName") is not None:
        yield from subdomain("spec.ingressClassName", spec["ingressClassName"])


def _host(path: str, host: str) -> Causes:
    if "*" not in host:
        yield from subdomain(path, host)
    elif not _WILDCARD.fullmatch(host):
        yield invalid(path, host, _WILDCARD_RULE)


def _rule(path: str, rule: JsonObject) -> Causes:
    host = rule.get("host")
    if host:
        if is_ip(host):
            yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        yield from _host(f"{path}.host", host)
    http: Json = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        yield required(f"{path}.http.paths")
    for index, one in enumerate(http.get("paths") or ()):
        at, kind, value = f"{path}.http.paths[{index}]", one.get("pathType"), one.get("path", "")
        if kind is None:
            yield required(f"{at}.pathType", "pathType must be specified")
        elif kind not in _PATH_TYPES:
            yield unsupported(f"{at}.pathType", kind, _PATH_TYPES)
        elif kind != "ImplementationSpecific" or value:
            yield from _path(f"{at}.path", value, exact=kind != "ImplementationSpecific")
        yield from _backend(f"{at}.backend", one.get("backend") or {})


def _path(path: str, value: str, *, exact: bool) -> Causes:
    if not value.startswith("/"):
        yield invalid(path, value, "must be an absolute path")
    elif exact:
        for bad in ("//", "/./", "/../", "%2f", "%2F"):
            if bad in value:
                yield invalid(path, value, f"must not contain '{bad}'")
        for bad in ("/..", "/."):
            if value.endswith(bad):
                yield invalid(path, value, f"cannot end with '{bad}'")


def _backend(path: str, backend: JsonObject) -> Causes:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif service is None and resource is None:
        yield invalid(path, "", "resource or service backend is required")
    elif service is not None:
        name, number = service.get("name", ""), service.get("port") or {}
        if not name:
            yield required(f"{path}.service.name")
        else:
            yield from dns_label(f"{path}.service.name", name)
        if number.get("name") and number.get("number"):
            yield invalid(path, "", "cannot set both port name & port number")
        elif number.get("name"):
            yield from port_or_name(f"{path}.service.port.name", number["name"])
        elif number.get("number"):
            yield from port(f"{path}.service.port.number", number["number"])
        else:
            yield required(path, "port name or number is required")


def ip_address_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    parent = (new.get("spec") or {}).get("parentRef")
    if parent is None:
        yield required("spec.parentRef")
        return
    for field in ("resource", "name"):
        if not parent.get(field):
            yield required(f"spec.parentRef.{field}")


def ingress_class_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    name = spec.get("controller", "")
    if not name:
        yield required("spec.controller")
    elif "/" not in name:
        yield invalid("spec.controller", name, 'must be a domain-prefixed path (such as "acme.io/foo")')
    if old is not None:
        yield from unchanged("spec.controller", name, (old.get("spec") or {}).get("controller", ""))


# NetworkPolicy.


def network_policy_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    yield from selector("spec.podSelector", spec.get("podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            at = f"spec.{direction}[{index}]"
            for place, one in enumerate(rule.get("ports") or ()):
                yield from _policy_port(f"{at}.ports[{place}]", one)
            for place, peer in enumerate(rule.get(peers) or ()):
                yield from _peer(f"{at}.{peers}[{place}]", peer)
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            yield unsupported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"))


def _policy_port(path: str, one: JsonObject) -> Causes:
    if one.get("protocol") not in _PROTOCOLS:
        yield unsupported(f"{path}.protocol", one.get("protocol"), ("TCP", "UDP", "SCTP"))
    if one.get("port") is not None:
        yield from port_or_name(f"{path}.port", one["port"])


def _peer(path: str, peer: JsonObject) -> Causes:
    for field in ("podSelector", "namespaceSelector"):
        yield from selector(f"{path}.{field}", peer.get(field))
    block = peer.get("ipBlock")
    if block is not None:
        yield from _cidr(f"{path}.ipBlock.cidr", block.get("cidr", ""))
        if len(peer) > 1:
            yield forbidden(path, "may not specify both ipBlock and another peer")
    if not peer:
        yield required(path, "must specify a peer")
