"""What built-in kinds refuse. The rules of each kind are in validation_*.py; metadata.py knows those of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.access.signing_requests import REQUESTS, decision_causes, request_causes
from kruise_rollouts.sandbox.resources import Resource, StorageKey

from . import validation_cluster as cluster
from . import validation_data as data
from . import validation_network as network
from . import validation_workloads as workloads
from .validation_jobs import cron_job_causes, job_causes
from .validation_pods import pod_causes
from .validation_scaling import autoscaler_causes, budget_causes

Check: TypeAlias = Callable[[JsonObject, JsonObject | None], Iterator[Cause]]

_CORE: dict[str, Check] = {
    "configmaps": data.config_map_causes,
    "endpoints": network.endpoints_causes,
    "events": data.event_causes,
    "limitranges": cluster.limit_range_causes,
    "nodes": cluster.node_causes,
    "persistentvolumeclaims": cluster.claim_causes,
    "pods": pod_causes,
    "podtemplates": workloads.pod_template_causes,
    "replicationcontrollers": workloads.replication_controller_causes,
    "resourcequotas": cluster.quota_causes,
    "secrets": data.secret_causes,
    "services": network.service_causes,
}
_RBAC: dict[str, Check] = {
    "clusterrolebindings": cluster.cluster_role_binding_causes,
    "clusterroles": cluster.cluster_role_causes,
    "rolebindings": cluster.role_binding_causes,
    "roles": cluster.role_causes,
}
_NETWORKING: dict[str, Check] = {
    "ingressclasses": network.ingress_class_causes,
    "ingresses": network.ingress_causes,
    "ipaddresses": network.ip_address_causes,
    "networkpolicies": network.network_policy_causes,
}
_CHECKS: dict[StorageKey, Check] = {
    **{("", plural): check for plural, check in _CORE.items()},
    **{("rbac.authorization.k8s.io", plural): check for plural, check in _RBAC.items()},
    **{("networking.k8s.io", plural): check for plural, check in _NETWORKING.items()},
    ("apps", "controllerrevisions"): data.controller_revision_causes,
    ("apps", "daemonsets"): workloads.daemon_set_causes,
    ("apps", "deployments"): workloads.deployment_causes,
    ("apps", "replicasets"): workloads.replica_set_causes,
    ("apps", "statefulsets"): workloads.stateful_set_causes,
    ("autoscaling", "horizontalpodautoscalers"): autoscaler_causes,
    ("batch", "cronjobs"): cron_job_causes,
    ("batch", "jobs"): job_causes,
    REQUESTS: request_causes,
    ("coordination.k8s.io", "leases"): data.lease_causes,
    ("discovery.k8s.io", "endpointslices"): network.endpoint_slice_causes,
    ("policy", "poddisruptionbudgets"): budget_causes,
    ("scheduling.k8s.io", "priorityclasses"): cluster.priority_class_causes,
    ("storage.k8s.io", "storageclasses"): cluster.storage_class_causes,
}
_PARTS: dict[tuple[StorageKey, str], Check] = {  # of a subresource
    (REQUESTS, "approval"): decision_causes,
    (REQUESTS, "status"): decision_causes,
}


def validate(
    resource: Resource, new: JsonObject, old: JsonObject | None, subresource: str
) -> tuple[Cause, ...]:
    """Why `new` (replacing `old`; None: created) is refused; () if it is fine."""
    check = _CHECKS.get(resource.storage) if not subresource else _PARTS.get((resource.storage, subresource))
    return () if check is None else tuple(check(new, old))
