"""Defaults of pods, pod templates and everything in them, by type.

Each function takes an object whose members are complete, and returns it complete: the same dict if it already was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.quantity import show_quantity

FILE_MODE = 420  # 0644
TOKEN_SECONDS = 3600
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?/"
_REFERENCE = re.compile(
    rf"({_HOST})?[a-z0-9._/-]+(:[\w][\w.-]{{0,127}})?(@[A-Za-z0-9+._-]+:[0-9a-fA-F]{{32,}})?", re.ASCII
)


def filled(obj: JsonObject, defaults: JsonObject) -> JsonObject:
    """`obj` with the members of `defaults` it has not; the same dict if it has all."""
    missing = {k: v for k, v in defaults.items() if obj.get(k) is None}
    return {**obj, **missing} if missing else obj


def filling(**defaults: Json) -> Callable[[JsonObject], JsonObject]:
    """What fills in `defaults`."""
    return lambda obj: filled(obj, defaults)


@lru_cache(maxsize=1024)
def pull_policy(image: str) -> str:
    """Always for an image that may change under its name: without tag and digest, or tagged latest."""
    if not _REFERENCE.fullmatch(image):
        return "IfNotPresent"
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest and not tag:
        return "IfNotPresent"
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _container(obj: JsonObject) -> JsonObject:
    if "imagePullPolicy" in obj and "terminationMessagePath" in obj and "terminationMessagePolicy" in obj:
        return obj
    return filled(
        obj,
        {
            "imagePullPolicy": pull_policy(obj.get("image", "")),
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        },
    )


def _pod_spec(obj: JsonObject) -> JsonObject:
    account = obj.get("serviceAccountName") or obj.get("serviceAccount")
    if account and not (obj.get("serviceAccountName") == account == obj.get("serviceAccount")):
        obj = {**obj, "serviceAccountName": account, "serviceAccount": account}
    return filled(
        obj,
        {
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        },
    )


def _volume(obj: JsonObject) -> JsonObject:
    return {**obj, "emptyDir": {}} if len(obj) == 1 and "name" in obj else obj


def _image_volume(obj: JsonObject) -> JsonObject:
    return filled(obj, {"pullPolicy": pull_policy(obj.get("reference", ""))})


def _pod(pod: JsonObject) -> JsonObject:
    spec: Json = pod.get("spec")
    if spec is None:
        return pod
    changed: JsonObject = {}
    for field in ("containers", "initContainers"):
        old = spec.get(field)
        new = [_of_pod(c, bool(spec.get("hostNetwork"))) for c in old or ()]
        if any(a is not b for a, b in zip(new, old or (), strict=True)):
            changed[field] = new
    if spec.get("enableServiceLinks") is None:
        changed["enableServiceLinks"] = True
    if (spec.get("resources") or {}).get("limits"):
        changed["resources"] = _pod_resources(spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        changed["terminationGracePeriodSeconds"] = 1
    if any(spec.get(k) != v for k, v in changed.items()):
        spec = {**spec, **changed}
        pod = {**pod, "spec": spec}
    status = pod.get("status")
    if status and not status.get("qosClass"):
        pod = {**pod, "status": {**status, "qosClass": qos_class(spec)}}
    return pod


def qos_class(spec: JsonObject) -> str:
    """Guaranteed, Burstable or BestEffort: who is evicted first when a node is short."""
    if spec.get("resources"):
        parts = [spec["resources"]]
    else:
        parts = [
            c.get("resources") or {} for f in ("containers", "initContainers") for c in spec.get(f) or ()
        ]
    requests = [_compute(p.get("requests")) for p in parts]
    limits = [_compute(p.get("limits")) for p in parts]
    if not any(requests) and not any(limits):
        return "BestEffort"
    sure = all(len(b) == len(_COMPUTE) and a == b for a, b in zip(requests, limits, strict=True))
    return "Guaranteed" if sure else "Burstable"


_COMPUTE = ("cpu", "memory")


def _compute(resources: Json) -> JsonObject:
    return {k: v for k, v in (resources or {}).items() if k in _COMPUTE and v != "0"}


def _of_pod(container: JsonObject, host_network: bool) -> JsonObject:
    """Requests as high as limits where none are given; ports of the node as those of the container."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if any(name not in requests for name in limits):
        requests = {**limits, **requests}
        container = {**container, "resources": {**resources, "requests": requests}}
    ports = container.get("ports") or ()
    if host_network and any(not p.get("hostPort") for p in ports):
        ports = [p if p.get("hostPort") else {**p, "hostPort": p["containerPort"]} for p in ports]
        container = {**container, "ports": ports}
    return container


def _pod_resources(spec: JsonObject) -> JsonObject:
    resources: JsonObject = spec["resources"]
    limits, requests = resources["limits"], resources.get("requests") or {}
    own = {
        name: value
        for name, value in limits.items()
        if name not in requests and (name in ("cpu", "memory") or name.startswith("hugepages-"))
    }
    return {**resources, "requests": {**requests, **own}} if own else resources


def grpc_action(obj: JsonObject) -> JsonObject:
    return filled(obj, {"service": ""})


def _resource_ref(ref: JsonObject) -> JsonObject:
    return filled(ref, {"divisor": "0"})


def _resources(resources: JsonObject) -> JsonObject:
    """Amounts of resources are kept in whole thousandths, rounded up."""
    changed = {}
    for kind in ("limits", "requests"):
        amounts = resources.get(kind)
        if amounts and any(type(v) is str and v.endswith(("u", "n")) for v in amounts.values()):
            changed[kind] = {k: _thousandths(v) for k, v in amounts.items()}
    return {**resources, **changed} if changed else resources


def _thousandths(amount: str) -> str:
    if not amount.endswith(("u", "n")):
        return amount
    return show_quantity(Fraction(-(-parse_quantity(amount) * 1000 // 1), 1000))


COMPLETE: dict[str, Callable[[JsonObject], JsonObject]] = {
    "io.k8s.api.core.v1.Pod": _pod,
    "PodSpec": _pod_spec,
    "Container": _container,
    "EphemeralContainer": _container,
    "Volume": _volume,
    "ImageVolumeSource": _image_volume,
    "Probe": filling(timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3),
    "HTTPGetAction": filling(path="/", scheme="HTTP"),
    "GRPCAction": grpc_action,
    "io.k8s.api.core.v1.ContainerPort": filling(protocol="TCP"),
    "ResourceRequirements": _resources,
    "ResourceFieldSelector": _resource_ref,
    "ObjectFieldSelector": filling(apiVersion="v1"),
    "SecretVolumeSource": filling(defaultMode=FILE_MODE),
    "ConfigMapVolumeSource": filling(defaultMode=FILE_MODE),
    "DownwardAPIVolumeSource": filling(defaultMode=FILE_MODE),
    "ProjectedVolumeSource": filling(defaultMode=FILE_MODE),
    "ServiceAccountTokenProjection": filling(expirationSeconds=TOKEN_SECONDS),
    "HostPathVolumeSource": filling(type=""),
    "ISCSIVolumeSource": filling(iscsiInterface="default"),
    "RBDVolumeSource": filling(pool="rbd", user="admin", keyring="/etc/ceph/keyring"),
    "AzureDiskVolumeSource": filling(cachingMode="ReadWrite", fsType="ext4", readOnly=False, kind="Shared"),
    "ScaleIOVolumeSource": filling(storageMode="ThinProvisioned", fsType="xfs"),
}
