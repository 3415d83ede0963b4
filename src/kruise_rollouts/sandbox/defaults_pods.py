"""Defaults of pods, pod templates and everything in them, by type.

Each function takes an object whose members are complete, and returns it complete: the same dict if it already was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from kruise_rollouts.kube.effects import Json, JsonObject

FILE_MODE = 420  # 0644
TOKEN_SECONDS = 3600


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
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not image or (digest and not tag):
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
        changed["resources"] = _pod_resources({**spec, **changed})
    if all(spec.get(k) == v for k, v in changed.items()):
        return pod
    return {**pod, "spec": {**spec, **changed}}


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
