"""Defaults of what is neither a pod nor makes pods, by type; as in defaults_pods.py."""

from __future__ import annotations

import base64
from collections.abc import Callable

from kruise_rollouts.kube.effects import JsonObject

from .defaults_pods import filled, filling

STICKY_SECONDS = 10800
RBAC = "rbac.authorization.k8s.io"
_INSIDE = ("ClusterIP", "NodePort", "LoadBalancer")


def _service_spec(spec: JsonObject) -> JsonObject:
    spec = filled(spec, {"sessionAffinity": "None", "type": "ClusterIP"})
    if spec["sessionAffinity"] == "None" and "sessionAffinityConfig" in spec:
        spec = {k: v for k, v in spec.items() if k != "sessionAffinityConfig"}
    if spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec = {**spec, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": STICKY_SECONDS}}}
    defaults: JsonObject = {}
    kind = spec["type"]
    if kind in _INSIDE:
        defaults["internalTrafficPolicy"] = "Cluster"
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        defaults["externalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer":
        defaults["allocateLoadBalancerNodePorts"] = True
    return filled(spec, defaults)


def _service_port(port: JsonObject) -> JsonObject:
    port = filled(port, {"protocol": "TCP"})
    return port if port.get("targetPort") else {**port, "targetPort": port.get("port", 0)}


def _secret(secret: JsonObject) -> JsonObject:
    """`stringData` is another way to write `data`."""
    plain = secret.get("stringData")
    if plain is not None:
        secret = {k: v for k, v in secret.items() if k != "stringData"}
        coded = {k: base64.b64encode(v.encode()).decode() for k, v in plain.items()}
        secret = {**secret, "data": {**(secret.get("data") or {}), **coded}} if coded else secret
    return filled(secret, {"type": "Opaque"})


def _network_policy(spec: JsonObject) -> JsonObject:
    types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return filled(spec, {"policyTypes": types})


def _subject(subject: JsonObject) -> JsonObject:
    if subject.get("kind") not in ("User", "Group"):
        return subject
    return filled(subject, {"apiGroup": RBAC})


def _role_ref(ref: JsonObject) -> JsonObject:
    return ref if ref.get("apiGroup") else {**ref, "apiGroup": RBAC}


def _claim(claim: JsonObject) -> JsonObject:
    status = claim.get("status") or {}
    return claim if status.get("phase") else {**claim, "status": {**status, "phase": "Pending"}}


def _node_status(status: JsonObject) -> JsonObject:
    capacity = status.get("capacity")
    return filled(status, {"allocatable": capacity}) if capacity else status


def _node_spec(spec: JsonObject) -> JsonObject:
    cidr = spec.get("podCIDR")
    return filled(spec, {"podCIDRs": [cidr]}) if cidr else spec


COMPLETE: dict[str, Callable[[JsonObject], JsonObject]] = {
    "io.k8s.api.core.v1.ServiceSpec": _service_spec,
    "ServicePort": _service_port,
    "io.k8s.api.core.v1.Secret": _secret,
    "io.k8s.api.core.v1.EndpointPort": filling(protocol="TCP"),
    "io.k8s.api.discovery.v1.EndpointPort": filling(name="", protocol="TCP"),
    "NetworkPolicyPort": filling(protocol="TCP"),
    "NetworkPolicySpec": _network_policy,
    "IngressClassParametersReference": filling(scope="Cluster"),
    "io.k8s.api.rbac.v1.Subject": _subject,
    "RoleRef": _role_ref,
    "PriorityClass": filling(preemptionPolicy="PreemptLowerPriority"),
    "StorageClass": filling(reclaimPolicy="Delete", volumeBindingMode="Immediate"),
    "PersistentVolumeSpec": filling(persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem"),
    "PersistentVolumeClaimSpec": filling(volumeMode="Filesystem"),
    "PersistentVolumeClaim": _claim,
    "io.k8s.api.core.v1.NodeSpec": _node_spec,
    "io.k8s.api.core.v1.NodeStatus": _node_status,
}
