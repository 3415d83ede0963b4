"""Names of kinds, and the metadata every object has.

`Kind` is what turns a Ref into a path. Kinds that this project writes or watches are listed in KINDS; any other
is made by discovery. Typed bodies belong to api/.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from .effects import Basis, Json, JsonObject, Ref


class Kind(Struct, frozen=True):
    """A served kind: enough to build its URL."""

    api_version: str  # "apps/v1", "v1"
    kind: str  # "Deployment"
    plural: str  # "deployments"
    namespaced: bool = True

    def path(self, ns: str = "", name: str = "", subresource: str = "") -> str:
        """URL path; `ns` "" means all namespaces (or a cluster-scoped kind)."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [root]
        if self.namespaced and ns:
            parts.append(f"namespaces/{ns}")
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def ref(self, ns: str, name: str) -> Ref:
        return Ref(self.api_version, self.kind, ns if self.namespaced else "", name)


class OwnerReference(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class Meta(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """metadata, as far as we read it. Absent maps and lists read as empty."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None  # RFC 3339; None: never stored (metadata of a template)
    deletion_timestamp: str | None = None  # None: not being deleted
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that controls this object; None if nobody does."""
        return next((o for o in self.owner_references if o.controller), None)

    @property
    def basis(self) -> Basis:
        """For a write that is right only while the spec is as it is."""
        return Basis(self.uid, self.generation)


def kind_of(ref: Ref) -> Kind:
    """The Kind of `ref`. KeyError for a kind not in KINDS."""
    return KINDS[(ref.group, ref.kind)]


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def without_last_applied(meta: Meta) -> Meta:
    """`meta` less the copy of the whole object that kubectl leaves in it: often the larger half of what is kept."""
    if LAST_APPLIED not in meta.annotations:
        return meta
    annotations = {name: value for name, value in meta.annotations.items() if name != LAST_APPLIED}
    return replace(meta, annotations=annotations)


def meta_of(obj: JsonObject) -> JsonObject:
    """metadata of a raw object; an empty dict if it has none."""
    found: Json = obj.get("metadata")
    return found if isinstance(found, dict) else {}


DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("v1", "Node", "nodes", namespaced=False)
EVENT = Kind("v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
ROLLOUT = Kind("rollouts.kruise.io/v1beta1", "Rollout", "rollouts")
BATCH_RELEASE = Kind("rollouts.kruise.io/v1beta1", "BatchRelease", "batchreleases")
ROLLOUT_HISTORY = Kind("rollouts.kruise.io/v1alpha1", "RolloutHistory", "rollouthistories")
TRAFFIC_ROUTING = Kind("rollouts.kruise.io/v1alpha1", "TrafficRouting", "trafficroutings")
CRD = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)

KINDS: dict[tuple[str, str], Kind] = {
    (k.api_version.rpartition("/")[0], k.kind): k
    for k in (
        DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET, CONTROLLER_REVISION, POD, SERVICE, SECRET, CONFIG_MAP,
        NAMESPACE, NODE, EVENT, LEASE, ROLLOUT, BATCH_RELEASE, ROLLOUT_HISTORY, TRAFFIC_ROUTING, CRD,
        MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS,
    )
}  # fmt: skip
