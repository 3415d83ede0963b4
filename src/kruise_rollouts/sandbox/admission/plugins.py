"""Admission that every Kubernetes has: namespaces, service accounts, priority, tolerations, limits, quotas.

`mutate` completes an object, `check` refuses one; both are synchronous and look only at what is stored. Webhooks
are called by admission.py.
"""

from __future__ import annotations

from random import Random

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause, Details, Forbidden, NotFound
from kruise_rollouts.sandbox.access import signing_requests
from kruise_rollouts.sandbox.builtin.validation_cluster import SYSTEM_PRIORITIES
from kruise_rollouts.sandbox.pipeline import Attempt
from kruise_rollouts.sandbox.rules import SUFFIX_LETTERS
from kruise_rollouts.sandbox.store import Store

from . import limit_range, quota
from .runtime_classes import Rejected, with_runtime_class
from .webhooks import user_info

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
PODS, NAMESPACES, PRIORITY = ("", "pods"), ("", "namespaces"), ("scheduling.k8s.io", "priorityclasses")
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_TOLERATION_SECONDS = 300
_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_PROTECTED = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
}
# Reviews are answered, not created: they need no living namespace.
_REVIEWS = frozenset(("authorization.k8s.io", "authentication.k8s.io"))


def forbidden(attempt: Attempt, why: str, causes: tuple[Cause, ...] = ()) -> Forbidden:
    """403 as admission words it."""
    resource = attempt.resource
    return Forbidden(
        f'{resource.group_resource} "{attempt.name}" is forbidden: {why}',
        details=Details(name=attempt.name, group=resource.group, kind=resource.plural, causes=causes),
    )


def mutate(attempt: Attempt, store: Store, random: Random) -> JsonObject | None:
    """The object, completed. Raises NotFound, Forbidden."""
    _check_namespace(attempt, store)
    obj = attempt.obj
    if obj is None or attempt.subresource:
        return obj
    if attempt.resource.storage == PODS and attempt.operation == "CREATE":
        obj = limit_range.with_defaults(obj, store.list("", "limitranges", attempt.ns))
        obj = _with_service_account(attempt, obj, store, random)
        obj = _with_tolerations(_with_priority(attempt, obj, store))
        try:
            return with_runtime_class(obj, store)
        except Rejected as rejected:
            raise forbidden(attempt, str(rejected)) from None
    if (
        attempt.resource.storage == PODS
        and attempt.old is not None
        and obj["spec"] is not attempt.old["spec"]
    ):
        return _with_tolerations(obj)
    if attempt.resource.storage == ("", "limitranges"):
        return limit_range.completed_range(obj)
    if attempt.resource.storage == signing_requests.REQUESTS and attempt.operation == "CREATE":
        return signing_requests.asked_by(obj, user_info(attempt.user))
    protection = _PROTECTED.get(attempt.resource.storage)
    if protection is not None and attempt.operation == "CREATE":
        return _protected(obj, protection)
    return obj


def _protected(obj: JsonObject, finalizer: str) -> JsonObject:
    finalizers = obj["metadata"].get("finalizers") or []
    if finalizer in finalizers:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "finalizers": [*finalizers, finalizer]}}


def check(attempt: Attempt, store: Store) -> None:
    """Refuses what breaks a limit or a quota. Raises Forbidden."""
    if attempt.operation == "DELETE":
        _check_immortal(attempt)
        return
    obj, resource = attempt.obj, attempt.resource
    if obj is None or attempt.subresource:
        return
    if resource.storage == PRIORITY:
        _check_single_default(attempt, obj, store)
    if not resource.namespaced:
        return
    if attempt.operation == "CREATE" and resource.kind in ("Pod", "PersistentVolumeClaim"):
        _check_limits(attempt, obj, store)
    for found in store.list("", "resourcequotas", attempt.ns):
        why = quota.refusal(store, found, resource, obj, attempt.old)
        if why:
            raise forbidden(attempt, why)


# Namespaces.


def _check_namespace(attempt: Attempt, store: Store) -> None:
    resource = attempt.resource
    if attempt.operation != "CREATE" or not resource.namespaced or resource.group in _REVIEWS:
        return
    namespace = store.get("", "namespaces", "", attempt.ns)
    if namespace is None:
        details = Details(name=attempt.ns, kind="namespaces")
        raise NotFound(f'namespaces "{attempt.ns}" not found', details=details)
    if namespace["metadata"].get("deletionTimestamp"):
        cause = Cause(
            "NamespaceTerminating", f"namespace {attempt.ns} is being terminated", "metadata.namespace"
        )
        why = f"unable to create new content in namespace {attempt.ns} because it is being terminated"
        raise forbidden(attempt, why, (cause,))


def _check_immortal(attempt: Attempt) -> None:
    if attempt.resource.storage == NAMESPACES and attempt.name in IMMORTAL:
        raise forbidden(attempt, "this namespace may not be deleted")
    if attempt.resource.storage == PRIORITY and attempt.name in SYSTEM_PRIORITIES:
        raise forbidden(attempt, "this is a system priority class and cannot be deleted")


# Service accounts.


def _with_service_account(attempt: Attempt, pod: JsonObject, store: Store, random: Random) -> JsonObject:
    spec = pod["spec"]
    name = spec.get("serviceAccountName") or "default"
    account = store.get("", "serviceaccounts", attempt.ns, name)
    # The default account may come a moment after its namespace; Kubernetes waits for it, here it is taken for granted.
    if account is None and name != "default":
        raise forbidden(
            attempt,
            f'error looking up service account {attempt.ns}/{name}: serviceaccount "{name}" not found',
        )
    spec = {**spec, "serviceAccountName": name, "serviceAccount": name}
    pulls: Json = (account or {}).get("imagePullSecrets")
    if pulls and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = pulls
    mounts = spec.get("automountServiceAccountToken")
    if mounts is None:
        mounts = (account or {}).get("automountServiceAccountToken", True)
    return {**pod, "spec": _with_token(spec, random) if mounts else spec}


def _with_token(spec: JsonObject, random: Random) -> JsonObject:
    """`spec` with the projected token mounted where no container mounts something already."""
    volumes = list(spec.get("volumes") or ())
    name = next((v["name"] for v in volumes if v["name"].startswith("kube-api-access-")), "")
    is_new = not name
    name = name or "kube-api-access-" + "".join(random.choices(SUFFIX_LETTERS, k=5))
    mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_MOUNT}
    mounted = False
    out = dict(spec)
    for field in ("initContainers", "containers"):
        completed = []
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if not any(m.get("mountPath") == _TOKEN_MOUNT for m in mounts):
                container = {**container, "volumeMounts": [*mounts, mount]}
                mounted = True
            completed.append(container)
        if completed:
            out[field] = completed
    if mounted and is_new:
        out["volumes"] = [*volumes, {"name": name, "projected": _TOKEN_SOURCES}]
    return out


_TOKEN_SOURCES: JsonObject = {
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                ]
            }
        },
    ],
    "defaultMode": 420,
}


# Priority and tolerations.


def _with_priority(attempt: Attempt, pod: JsonObject, store: Store) -> JsonObject:
    spec = pod["spec"]
    name = spec.get("priorityClassName") or ""
    value, policy = 0, "PreemptLowerPriority"
    found: JsonObject | None = None
    if name in SYSTEM_PRIORITIES:
        value = SYSTEM_PRIORITIES[name]
    elif name:
        found = store.get(*PRIORITY, "", name)
        if found is None:
            raise forbidden(attempt, f"no PriorityClass with name {name} was found")
    else:
        classes = [c for c in store.list(*PRIORITY) if c.get("globalDefault")]
        found = min(classes, key=lambda c: int(c["value"])) if classes else None
    if found is not None:
        name, value = found["metadata"]["name"], int(found["value"])
        policy = found.get("preemptionPolicy") or policy
    given = spec.get("priority")
    if given is not None and given != value:
        raise forbidden(
            attempt,
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
            f"computed {value} from the given PriorityClass name",
        )
    spec = {**spec, "priority": value, "preemptionPolicy": spec.get("preemptionPolicy") or policy}
    if name:
        spec["priorityClassName"] = name
    return {**pod, "spec": spec}


def system_classes() -> tuple[JsonObject, ...]:
    """The priority classes that are there from the beginning."""
    return tuple(
        {"metadata": {"name": name}, "value": value, "description": f"For pods as vital as {whose}."}
        for (name, value), whose in zip(SYSTEM_PRIORITIES.items(), ("the cluster", "their node"), strict=True)
    )


def _check_single_default(attempt: Attempt, obj: JsonObject, store: Store) -> None:
    if not obj.get("globalDefault"):
        return
    for other in store.list(*PRIORITY):
        if other.get("globalDefault") and other["metadata"]["name"] != attempt.name:
            name = other["metadata"]["name"]
            why = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise forbidden(attempt, why)


def _with_tolerations(pod: JsonObject) -> JsonObject:
    tolerations = list(pod["spec"].get("tolerations") or ())
    missing = [t for t in _TOLERATED if not any(_tolerates(has, t) for has in tolerations)]
    if not missing:
        return pod
    tolerations += [
        {"key": t, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATION_SECONDS}
        for t in missing
    ]
    return {**pod, "spec": {**pod["spec"], "tolerations": tolerations}}


def _tolerates(toleration: JsonObject, taint: str) -> bool:
    return toleration.get("key") in (taint, None, "") and toleration.get("effect") in ("NoExecute", None, "")


# Limits.


def _check_limits(attempt: Attempt, obj: JsonObject, store: Store) -> None:
    broken = limit_range.violations(obj, attempt.resource.kind, store.list("", "limitranges", attempt.ns))
    if broken:
        raise forbidden(attempt, broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]")
