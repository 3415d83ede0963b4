"""Who may do what, tokens, evictions, bindings: what is answered and never stored."""

from __future__ import annotations

from typing import Any

from .asking import APPLY, STRATEGIC, TABLE, Story
from .script import Script, config, labelled, thing

_RBAC = "rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1"


def access() -> Story:
    s = Script("access")
    s.post("account", "serviceaccounts", thing("ServiceAccount", "sa"), save={"sa_uid": "metadata.uid"})
    s.post("token", "serviceaccounts/sa/token", {"spec": {}}, save={"token": "status.token"})
    for name, rules in (
        ("reads", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]),
        ("one", [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["get"]}]),
        ("scales", [{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}]),
    ):
        s.post(f"role {name}", "roles", thing("Role", name, _RBAC, rules=rules), group=_RBAC)
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subject = {"kind": "ServiceAccount", "name": "sa", "namespace": "c-access"}
        binding = thing("RoleBinding", name, _RBAC, roleRef=ref, subjects=[subject])
        s.post(f"binding {name}", "rolebindings", binding, group=_RBAC)
    s.get("until it may", "configmaps?labelSelector=none", token="$token", until=(200, None))
    s.get("one secret it may see", "secrets/s", token="$token", until=(404, None))

    def may(title: str, token: str | None = "$token", **attributes: Any) -> None:
        body = {"spec": {"resourceAttributes": {"namespace": "c-access", **attributes}}}
        s.post(f"may I {title}", f"{_REVIEWS}/selfsubjectaccessreviews", body, token=token)

    may("get config maps", verb="get", resource="configmaps")
    may("delete config maps", verb="delete", resource="configmaps")
    may("get the secret", verb="get", resource="secrets", name="s")
    may("get another secret", verb="get", resource="secrets", name="t")
    may("get any secret", verb="get", resource="secrets")
    may("scale", verb="patch", group="apps", resource="deployments", subresource="scale")
    may("patch deployments", verb="patch", group="apps", resource="deployments")
    may("everything", verb="*", group="*", resource="*")
    may("everything as administrator", None, verb="*", group="*", resource="*")
    may("elsewhere", verb="get", resource="configmaps", namespace="default")
    may("with a version", verb="list", version="v1", resource="configmaps")
    path = {"spec": {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}}
    s.post("may I see metrics", f"{_REVIEWS}/selfsubjectaccessreviews", path, token="$token")
    both = {"spec": {**path["spec"], "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    s.post("both kinds of question", f"{_REVIEWS}/selfsubjectaccessreviews", both)
    s.post("no question", f"{_REVIEWS}/selfsubjectaccessreviews", {"spec": {}})
    other = {"user": "system:serviceaccount:c-access:sa", "resourceAttributes": {"namespace": "c-access", "verb": "get", "resource": "configmaps"}}  # fmt: skip
    s.post("may another", f"{_REVIEWS}/subjectaccessreviews", {"spec": other})
    s.post("may nobody", f"{_REVIEWS}/subjectaccessreviews", {"spec": {**other, "user": ""}})
    s.post("may a group", f"{_REVIEWS}/subjectaccessreviews", {"spec": {**other, "user": "", "groups": ["system:masters"]}})  # fmt: skip
    s.post("may it be asked", f"{_REVIEWS}/subjectaccessreviews", {"spec": other}, token="$token")
    local = "localsubjectaccessreviews"
    s.post("may another here", local, {"spec": other}, group="authorization.k8s.io/v1")
    there = {**other, "resourceAttributes": {**other["resourceAttributes"], "namespace": "default"}}
    s.post("may another there", local, {"spec": there}, group="authorization.k8s.io/v1")
    s.post("rules without a namespace", f"{_REVIEWS}/selfsubjectrulesreviews", {"spec": {}}, token="$token")
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    s.post("who am I", me, {}, token="$token")
    s.post("who am I without a token", me, {}, token="")
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    s.post("whose token", reviews, {"spec": {"token": "$token"}})
    s.post("whose token for others", reviews, {"spec": {"token": "$token", "audiences": ["vault"]}})
    s.post("whose token is none", reviews, {"spec": {}})
    s.post("token for others", "serviceaccounts/sa/token", {"spec": {"audiences": ["vault"]}}, save={"vault": "status.token"})  # fmt: skip
    s.get("a token for others", "configmaps", token="$vault")
    bound = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}
    s.post("token bound to nothing", "serviceaccounts/sa/token", {"spec": bound})
    bound = {"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "none"}}
    s.post("token bound to no node", "serviceaccounts/sa/token", {"spec": bound})
    bound = {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}
    s.post("token bound to a config map", "serviceaccounts/sa/token", {"spec": bound})
    s.post("token for too long", "serviceaccounts/sa/token", {"spec": {"expirationSeconds": 1 << 33}})
    s.post("token for a name", "serviceaccounts/sa/token", {"metadata": {"name": "other"}, "spec": {}})
    s.post("token as another kind", "serviceaccounts/sa/token", config("sa"))
    s.get("get a token", "serviceaccounts/sa/token")
    s.post("token as a table", "serviceaccounts/sa/token", {"spec": {}}, accept=TABLE)
    for name, method, target in (
        ("create", "POST", "configmaps"), ("patch", "PATCH", "configmaps/a"), ("update", "PUT", "configmaps/a"),
        ("delete", "DELETE", "configmaps/a"), ("delete all", "DELETE", "configmaps"),
    ):  # fmt: skip
        s.ask(f"it may not {name}", method, target, config("a"), token="$token")
    s.get("it may not list pods anywhere", "/api/v1/pods", token="$token")
    s.get("it may not see nodes", "/api/v1/nodes/n", token="$token")
    s.get("it may not watch", "/api/v1/pods?watch=1", token="$token")
    s.get("it may not see a path", "/metrics", token="$token")
    s.post(
        "it may not give rights", "roles", thing("Role", "more", _RBAC, rules=[]), group=_RBAC, token="$token"
    )
    s.delete("the account goes", "serviceaccounts/sa")
    s.get("its token is worth nothing", "configmaps", token="$token", until=(401, None))
    return s.story


def disruption() -> Story:
    s = Script("disruption", controlled=True)
    budgets, spec = "policy/v1", {"schedulerName": "nobody", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}  # fmt: skip
    containers = [{"name": "a", "image": "a"}]
    for name in ("p", "q"):
        pod = labelled(thing("Pod", name, spec={**spec, "containers": containers}), app="p")
        s.post(f"create {name}", "pods", pod)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        s.patch(f"{name} runs", f"pods/{name}/status", {"status": ready})
    selector = {"matchLabels": {"app": "p"}}
    one = thing("PodDisruptionBudget", "b", budgets, spec={"minAvailable": 2, "selector": selector})
    s.post("create a budget", "poddisruptionbudgets", one, group=budgets)
    s.get("it is counted", "poddisruptionbudgets/b", group=budgets, until=("status.currentHealthy", 2))
    eviction = thing("Eviction", "p", "policy/v1")
    s.post("evict against it", "pods/p/eviction", eviction)
    s.post("evict against it, dry run", "pods/p/eviction?dryRun=All", eviction)
    s.post("evict with an old version", "pods/p/eviction", {**eviction, "apiVersion": "policy/v1beta1"})
    wrong = {**eviction, "deleteOptions": {"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}}}
    s.post("evict another incarnation", "pods/p/eviction", wrong)
    two = {**one, "metadata": {"name": "c"}}
    s.post("create a second budget", "poddisruptionbudgets", two, group=budgets)
    s.get(
        "the second is counted", "poddisruptionbudgets/c", group=budgets, until=("status.currentHealthy", 2)
    )
    s.post("evict against two", "pods/p/eviction", eviction)
    s.delete("the second goes", "poddisruptionbudgets/c", group=budgets)
    s.patch("less must be there", "poddisruptionbudgets/b", {"spec": {"minAvailable": 1}}, group=budgets)
    s.get("one may go", "poddisruptionbudgets/b", group=budgets, until=("status.disruptionsAllowed", 1))
    s.post("evict", "pods/p/eviction", eviction)
    s.get("it goes", "pods/p", until=(404, None))
    s.get("no more may go", "poddisruptionbudgets/b", group=budgets, until=("status.expectedPods", 1))
    s.post("evict the last", "pods/q/eviction", {**eviction, "metadata": {"name": "q"}})
    s.patch("change the selector", "poddisruptionbudgets/b", {"spec": {"selector": {"matchLabels": {"a": "b"}}}}, group=budgets)  # fmt: skip
    s.patch(
        "apply a budget", "poddisruptionbudgets/b?fieldManager=m&force=true", one, group=budgets, type=APPLY
    )
    s.patch("status of a budget", "poddisruptionbudgets/b/status", {"status": {"disruptionsAllowed": 7}}, group=budgets, type=STRATEGIC)  # fmt: skip
    binding = thing("Binding", "q", target={"apiVersion": "v1", "kind": "Node", "name": "nowhere"})
    s.post("bind by the old path", "bindings", binding)
    s.post("bind by the old path again", "bindings", binding)
    s.post("bind what is absent by the old path", "bindings", {**binding, "metadata": {"name": "none"}})
    s.patch("move a bound pod", "pods/q", {"spec": {"nodeName": "elsewhere"}})
    s.delete("delete q", "pods/q?gracePeriodSeconds=0")
    return s.story


def stories() -> tuple[Story, ...]:
    return access(), disruption()
