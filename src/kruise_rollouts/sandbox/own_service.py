"""The Service through which pods find the API server, default/kubernetes, and where it leads.

Nothing in the sandbox connects to it: it is there because clients look for it.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject

from .service_addresses import API_SERVER, NETWORK

NAME = "kubernetes"
HOST, PORT = "172.31.0.2", 6443  # on the network of the simulated nodes
_PORTS = [{"name": "https", "port": PORT, "protocol": "TCP"}]

SERVICE: JsonObject = {
    "metadata": {"name": NAME, "labels": {"component": "apiserver", "provider": "kubernetes"}},
    "spec": {
        "clusterIP": API_SERVER,
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": PORT}],
        "type": "ClusterIP",
    },
}
ENDPOINTS: JsonObject = {
    "metadata": {"name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
    "subsets": [{"addresses": [{"ip": HOST}], "ports": _PORTS}],
}
SLICE: JsonObject = {
    "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
    "ports": _PORTS,
}
# Where addresses of Services come from.
ADDRESSES: JsonObject = {
    "metadata": {"name": NAME, "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
    "spec": {"cidrs": [str(NETWORK)]},
}
READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "",
    "message": "Kubernetes Service CIDR is ready",
}
# Group and plural of each.
CIDRS = ("networking.k8s.io", "servicecidrs")
OBJECTS: tuple[tuple[str, str, JsonObject], ...] = (
    ("", "services", SERVICE),
    ("", "endpoints", ENDPOINTS),
    ("discovery.k8s.io", "endpointslices", SLICE),
)
