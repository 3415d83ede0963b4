"""Everything that is installed in a cluster, as plain objects: CRDs, rights, the manager, its Service, webhooks.

Data only. manifests/ is generated from it; putting it into a cluster is install.py.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml
from msgspec import Struct

from kruise_rollouts.api import keys
from kruise_rollouts.api.schema import crds
from kruise_rollouts.kube.effects import JsonObject

from .options import LEASE_NAME
from .webhook_configurations import MUTATING, VALIDATING, Target, conversion_client, webhook_configurations

NAME = "kruise-rollout-controller-manager"
IMAGE = "kruise-rollout:0.7.0"  # to be built (Dockerfile) and pushed where the cluster can pull it
CERT_SECRET = "kruise-rollout-webhook-certs"
WEBHOOK_PORT, HEALTH_PORT = 9876, 8081
_LABELS = {"control-plane": NAME}
_RBAC = "rbac.authorization.k8s.io/v1"


class Installation(Struct, frozen=True):
    """What differs between installations."""

    target: Target = Target()
    image: str = IMAGE
    replicas: int = 2
    feature_gates: str = "AdvancedDeployment=true"

    @property
    def namespace(self) -> str:
        return self.target.namespace


def crd_objects(installation: Installation) -> tuple[JsonObject, ...]:
    return crds(conversion_client(installation.target))


def manager_objects(installation: Installation) -> tuple[JsonObject, ...]:
    """The manager in the cluster: nothing of it is needed where the manager runs elsewhere."""
    return (
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": installation.namespace, "labels": _LABELS},
        },
        *access_objects(installation),
        _service(installation),
        _deployment(installation),
        _disruption_budget(installation),
    )


def access_objects(installation: Installation) -> tuple[JsonObject, ...]:
    """Rights of the manager, and roles that an administrator may bind to people."""
    ns = installation.namespace
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": ns}
    inside = {"namespace": ns}
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, **inside}},
        _role("ClusterRole", {"name": "kruise-rollout-manager-role"}, _CLUSTER_RULES),
        _binding(
            "ClusterRole",
            {"name": "kruise-rollout-manager-rolebinding"},
            "kruise-rollout-manager-role",
            subject,
        ),
        _role("Role", {"name": "kruise-rollout-manager-role", **inside}, _SECRET_RULES),
        _binding(
            "Role",
            {"name": "kruise-rollout-manager-rolebinding", **inside},
            "kruise-rollout-manager-role",
            subject,
        ),
        _role("Role", {"name": "kruise-rollout-leader-election-role", **inside}, _LEASE_RULES),
        _binding(
            "Role",
            {"name": "kruise-rollout-leader-election-rolebinding", **inside},
            "kruise-rollout-leader-election-role",
            subject,
        ),
        *_people(),
    )


def webhook_objects(installation: Installation) -> tuple[JsonObject, ...]:
    return webhook_configurations(installation.target)


def outside_objects(target: Target) -> tuple[JsonObject, ...]:
    """What is needed of a cluster by a manager outside of it, at `target`, that has its rights already."""
    installation = Installation(target)
    return (*crd_objects(installation), *webhook_objects(installation))


def all_objects(installation: Installation) -> tuple[JsonObject, ...]:
    """In the order in which they can be applied.

    The webhook configurations come last: before the manager answers they would refuse what they are asked about.
    """
    return (*crd_objects(installation), *manager_objects(installation), *webhook_objects(installation))


def as_yaml(objects: Iterable[JsonObject]) -> str:
    """One stream of YAML documents, for kubectl apply."""
    documents = (yaml.dump(o, Dumper=_Plain, sort_keys=False, width=100) for o in objects)
    return "".join(f"---\n{d}" for d in documents)


class _Plain(yaml.SafeDumper):
    """Without anchors: people read and edit the result."""

    def ignore_aliases(self, data: object) -> bool:
        return True


# --- rights ------------------------------------------------------------------------------------------------------


def _rule(group: str, resources: str, verbs: str, *, names: tuple[str, ...] = ()) -> JsonObject:
    rule: JsonObject = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**rule, "resourceNames": list(names)} if names else rule


# What the manager does, and no more: it writes patches, never whole objects, and deletes only what it has made. Lists and
# watches of what has a name are of that one object.
_CLUSTER_RULES = [
    _rule(keys.GROUP, "rollouts", "get list watch patch"),
    _rule(keys.GROUP, "batchreleases", "get list watch create patch delete"),
    _rule(keys.GROUP, "rollouts/status batchreleases/status", "patch"),
    _rule(keys.GROUP, "rollouts/finalizers batchreleases/finalizers", "update"),  # owners that block deletion
    _rule("apps", "deployments replicasets", "get list watch patch"),
    _rule("", "pods", "get list patch"),
    _rule("", "events", "create patch"),
    _rule(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations validatingwebhookconfigurations",
        "get list watch patch",
        names=(MUTATING, VALIDATING),
    ),
    _rule(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "get list watch patch",
        names=tuple(f"{plural}.{keys.GROUP}" for plural in ("batchreleases", "rollouts")),
    ),
]
# A create cannot be limited to a name.
_SECRET_RULES = [
    _rule("", "namespaces", "get"),  # its own, before certificates are put there
    _rule("", "secrets", "create"),
    _rule("", "secrets", "get list watch patch", names=(CERT_SECRET,)),
]
_LEASE_RULES = [
    _rule("coordination.k8s.io", "leases", "create"),
    _rule("coordination.k8s.io", "leases", "get patch", names=(LEASE_NAME,)),
]


def _people() -> tuple[JsonObject, ...]:
    """Editors may approve: that is a patch of the status. They come with the cluster's own admin, edit and view."""
    edit = {f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("admin", "edit")}
    view = {f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")}
    editing = [
        _rule(keys.GROUP, "rollouts trafficroutings", "get list watch create update patch delete"),
        _rule(keys.GROUP, "rollouts/status", "get patch"),
    ]
    viewing = [
        _rule(keys.GROUP, "rollouts batchreleases rollouthistories trafficroutings", "get list watch"),
    ]
    return (
        _role("ClusterRole", {"name": "kruise-rollout-editor-role", "labels": edit}, editing),
        _role("ClusterRole", {"name": "kruise-rollout-viewer-role", "labels": view}, viewing),
    )


def _role(kind: str, metadata: JsonObject, rules: list[JsonObject]) -> JsonObject:
    return {"apiVersion": _RBAC, "kind": kind, "metadata": metadata, "rules": rules}


def _binding(kind: str, metadata: JsonObject, role: str, subject: JsonObject) -> JsonObject:
    return {
        "apiVersion": _RBAC,
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    }


# --- the manager -------------------------------------------------------------------------------------------------


def _service(installation: Installation) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": installation.target.service, "namespace": installation.namespace},
        "spec": {
            "selector": _LABELS,
            "ports": [{"name": "webhook", "port": 443, "protocol": "TCP", "targetPort": WEBHOOK_PORT}],
        },
    }


def _deployment(installation: Installation) -> JsonObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": installation.namespace, "labels": _LABELS},
        "spec": {
            "replicas": installation.replicas,
            "selector": {"matchLabels": _LABELS},
            "minReadySeconds": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "100%"}},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": NAME,
                    "terminationGracePeriodSeconds": 40,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "affinity": _apart(),
                    "containers": [_container(installation)],
                    "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}],
                },
            },
        },
    }


def _apart() -> JsonObject:
    term = {"labelSelector": {"matchLabels": _LABELS}, "topologyKey": "kubernetes.io/hostname"}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _container(installation: Installation) -> JsonObject:
    args = ["manager", "--leader-elect", f"--health-probe-bind-address=:{HEALTH_PORT}"]
    args += ["--metrics-bind-address=127.0.0.1:8080"]
    args += [f"--feature-gates={installation.feature_gates}"] if installation.feature_gates else []
    return {
        "name": "kruise-rollout",
        "image": installation.image,
        "command": ["kruise-rollout"],
        "args": args,
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [
            {"name": "webhook-server", "containerPort": WEBHOOK_PORT, "protocol": "TCP"},
            {"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": _probe("/healthz", delay=15, period=20),
        "readinessProbe": _probe("/readyz", delay=1, period=5),
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "500m", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _probe(path: str, *, delay: int, period: int) -> JsonObject:
    return {
        "httpGet": {"path": path, "port": HEALTH_PORT},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": 5,
    }


def _disruption_budget(installation: Installation) -> JsonObject:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": NAME, "namespace": installation.namespace},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _LABELS}},
    }
