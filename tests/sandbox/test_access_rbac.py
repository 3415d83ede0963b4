"""Who may do what: tokens, anonymous requests, RBAC, impersonation, reviews."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kruise_rollouts.kube.errors import ApiError, Forbidden, Invalid, NotFound, error_of
from kruise_rollouts.sandbox.access.access import ADMIN, Access, create_default_roles
from kruise_rollouts.sandbox.access.rbac import GROUP, Deed, covers, lacking
from kruise_rollouts.sandbox.access.reviews import Reviews
from kruise_rollouts.sandbox.request import Request, User
from kruise_rollouts.sandbox.server import Server

Json = Any
RBAC = f"/apis/{GROUP}/v1"
USER = User("u", groups=("system:authenticated",))


class StandingClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def mono(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class World:
    def __init__(self, *, enforce: bool = True) -> None:
        self.clock = StandingClock()
        self.server = Server(self.clock)
        self.access = Access(self.server.parts, {"admin-token": ADMIN, "u-token": USER}, enforce=enforce)
        self.access.install()
        Reviews(self.server.parts, self.access).install()
        create_default_roles(self.server.parts)

    async def request(
        self, method: str, path: str, body: Json = None, *, token: str = "u-token", **headers: str
    ) -> Json:
        """The decoded answer. Raises ApiError."""
        sent = {"authorization": f"Bearer {token}"} if token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = b"" if body is None else msgspec.json.encode(body)
        if raw:
            sent["content-type"] = "application/json"
        path, _, query = path.partition("?")
        pairs = tuple(tuple(p.split("=", 1)) for p in query.split("&") if p)
        answer = await self.server.respond(Request(method, path, pairs, sent, raw))  # type: ignore[arg-type]
        if answer.status >= 300:
            raise error_of(answer.status, answer.body)
        return msgspec.json.decode(answer.body)

    async def role(
        self, name: str, *rules: Json, kind: str = "ClusterRole", ns: str = "", **fields: Json
    ) -> None:
        where = f"{RBAC}/namespaces/{ns}/roles" if ns else f"{RBAC}/clusterroles"
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Role" if ns else kind,
            "metadata": {"name": name},
            **fields,
        }
        await self.request("POST", where, {**body, "rules": list(rules)}, token="admin-token")

    async def bind(self, role: str, *, ns: str = "", subject: Json = None, kind: str = "ClusterRole") -> None:
        where = f"{RBAC}/namespaces/{ns}/rolebindings" if ns else f"{RBAC}/clusterrolebindings"
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "RoleBinding" if ns else "ClusterRoleBinding",
            "metadata": {"name": f"{role}-{ns or 'all'}"},
            "subjects": [subject or {"kind": "User", "name": "u", "apiGroup": GROUP}],
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        }
        await self.request("POST", where, body, token="admin-token")


@pytest.fixture
async def world() -> World:
    return World()


def rule(verbs: str, resources: str, groups: tuple[str, ...] = ("",), names: tuple[str, ...] = ()) -> Json:
    out: Json = {"verbs": verbs.split(), "apiGroups": list(groups), "resources": resources.split()}
    return {**out, "resourceNames": list(names)} if names else out


async def refused(world: World, method: str, path: str, **kwargs: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await world.request(method, path, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            "/api/v1/namespaces",
            'namespaces is forbidden: User "u" cannot list resource "namespaces" in API group "" at the cluster scope',
        ),
        (
            "GET",
            "/api/v1/namespaces/default/pods/x",
            'pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" in the namespace "default"',
        ),
        (
            "GET",
            "/apis/apps/v1/namespaces/default/deployments",
            'deployments.apps is forbidden: User "u" cannot list resource "deployments" in API group "apps" '
            'in the namespace "default"',
        ),
        (
            "PUT",
            "/apis/apps/v1/namespaces/default/deployments/d/scale",
            'deployments.apps "d" is forbidden: User "u" cannot update resource "deployments/scale" in API group "apps" '
            'in the namespace "default"',
        ),
        (
            "DELETE",
            "/api/v1/nodes/n",
            'nodes "n" is forbidden: User "u" cannot delete resource "nodes" in API group "" at the cluster scope',
        ),
        ("GET", "/metrics", 'forbidden: User "u" cannot get path "/metrics"'),
    ],
)
async def test_a_refusal_says_who_cannot_do_what_where(
    world: World, method: str, path: str, message: str
) -> None:
    error = await refused(world, method, path)
    assert (error.code, error.reason, error.message) == (403, "Forbidden", message)


async def test_nobody_may_see_the_version_but_nothing_else(world: World) -> None:
    assert (await world.request("GET", "/version", token=""))["major"]
    error = await refused(world, "GET", "/api/v1/namespaces", token="")
    assert error.message.startswith('namespaces is forbidden: User "system:anonymous" cannot list resource')


async def test_an_unknown_token_is_unauthorized(world: World) -> None:
    error = await refused(world, "GET", "/api/v1/namespaces", token="wrong")
    assert (error.code, error.reason, error.message) == (401, "Unauthorized", "Unauthorized")


async def test_without_enforcement_whoever_is_authenticated_may_do_everything() -> None:
    world = World(enforce=False)
    assert (await world.request("GET", "/api/v1/namespaces"))["kind"] == "NamespaceList"
    assert (await refused(world, "GET", "/api/v1/namespaces", token="")).code == 403


async def test_a_cluster_role_bound_in_a_namespace_holds_there_only(world: World) -> None:
    await world.role("reader", rule("get list", "pods"))
    await world.bind("reader", ns="a")
    assert await world.request("GET", "/api/v1/namespaces/a/pods")
    assert (await refused(world, "GET", "/api/v1/namespaces/b/pods")).code == 403
    assert (await refused(world, "GET", "/api/v1/pods")).code == 403


async def test_resource_names_allow_these_objects_only(world: World) -> None:
    await world.role("one", rule("get", "configmaps", names=("mine",)))
    await world.bind("one")
    assert isinstance(await refused(world, "GET", "/api/v1/namespaces/a/configmaps/mine"), NotFound)
    assert isinstance(await refused(world, "GET", "/api/v1/namespaces/a/configmaps/yours"), Forbidden)
    assert isinstance(await refused(world, "GET", "/api/v1/namespaces/a/configmaps"), Forbidden)


@pytest.mark.parametrize(
    "query", ["metadata.name=mine", "metadata.name==mine", "metadata.namespace=a,metadata.name=mine"]
)
async def test_a_list_of_the_one_object_that_a_role_names_is_allowed(world: World, query: str) -> None:
    await world.role("one", rule("list watch", "configmaps", names=("mine",)))
    await world.bind("one")
    path = "/api/v1/namespaces/a/configmaps"
    assert await world.request("GET", f"{path}?fieldSelector={query}")
    for other in ("metadata.name=yours", "metadata.name!=mine", "metadata.namespace=a"):
        assert isinstance(await refused(world, "GET", f"{path}?fieldSelector={other}"), Forbidden)


async def test_a_binding_to_a_role_that_is_missing_is_named(world: World) -> None:
    await world.bind("nope")
    error = await refused(world, "GET", "/api/v1/pods")
    assert error.message.endswith(f': RBAC: clusterrole.{GROUP} "nope" not found')


async def test_view_edit_and_admin_gather_what_is_labelled_for_them(world: World) -> None:
    await world.role("more", rule("get", "rollouts", ("rollouts.kruise.io",)))
    labels = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}
    resource = world.server.registry.find(GROUP, "v1", "clusterroles")
    assert resource is not None
    await world.server.call("patch", resource, "", "more", labels)
    await asyncio.sleep(0)
    deed = Deed("get", "rollouts.kruise.io", "rollouts", "a", "r")
    for name in ("view", "edit", "admin"):
        role = await world.request("GET", f"{RBAC}/clusterroles/{name}", token="admin-token")
        assert any(covers(r, deed) for r in role["rules"])


async def test_nobody_grants_what_they_do_not_have(world: World) -> None:
    await world.role("a", rule("get list", "pods"), rule("create update get", "*", (GROUP,)))
    await world.bind("a")
    role = {
        "metadata": {"name": "b"},
        "rules": [
            rule("get delete", "pods secrets", ("", "apps")),
            {"nonResourceURLs": ["/q"], "verbs": ["get"]},
        ],
    }
    error = await refused(world, "POST", f"{RBAC}/clusterroles", body=role)
    assert error.message == (
        f'clusterroles.{GROUP} "b" is forbidden: user "u" (groups=["system:authenticated"]) is attempting to grant RBAC '
        'permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}\n'
        '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "delete"]}\n'
        '{APIGroups:["apps"], Resources:["secrets"], Verbs:["get" "delete"]}\n'
        '{NonResourceURLs:["/q"], Verbs:["get"]}'
    )
    allowed = {"metadata": {"name": "c"}, "rules": [rule("get", "pods")]}
    assert await world.request("POST", f"{RBAC}/clusterroles", allowed)


async def test_whoever_may_bind_a_role_need_not_have_what_it_allows(world: World) -> None:
    await world.role("a", rule("create", "rolebindings", (GROUP,)))
    await world.bind("a")
    body = {
        "metadata": {"name": "b"},
        "subjects": [],
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "edit"},
    }
    where = f"{RBAC}/namespaces/a/rolebindings"
    assert isinstance(await refused(world, "POST", where, body=body), Forbidden)
    await world.role("binder", rule("bind", "clusterroles", (GROUP,), ("edit",)))
    await world.bind("binder")
    assert await world.request("POST", where, body)


def test_what_is_lacking_is_nothing_if_everything_is_held() -> None:
    everything = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    assert lacking(everything, [rule("get delete", "pods secrets", ("", "apps"))]) == []


async def test_an_admin_may_be_somebody_else(world: World) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    shown = await world.request(
        "POST", path, {}, token="admin-token", impersonate_user="v", impersonate_group="g,h"
    )
    assert shown["status"]["userInfo"] == {"username": "v", "groups": ["g", "h", "system:authenticated"]}
    account = await world.request(
        "POST", path, {}, token="admin-token", impersonate_user="system:serviceaccount:a:b"
    )
    assert account["status"]["userInfo"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:a",
        "system:authenticated",
    ]


async def test_others_may_not_be_somebody_else(world: World) -> None:
    error = await refused(world, "GET", "/version", impersonate_user="v")
    assert error.message == (
        'users "v" is forbidden: User "u" cannot impersonate resource "users" in API group "" at the cluster scope'
    )


async def test_a_token_of_a_service_account_works_until_it_expires(world: World) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}}
    await world.request("POST", "/api/v1/namespaces/a/serviceaccounts", account, token="admin-token")
    path = "/api/v1/namespaces/a/serviceaccounts/sa/token"
    answer = await world.request("POST", path, {"spec": {"expirationSeconds": 700}}, token="admin-token")
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T00:11:40Z"
    token = answer["status"]["token"]
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    user = (await world.request("POST", who, {}, token=token))["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:a:sa"
    world.clock.time += timedelta(seconds=700)
    assert (await refused(world, "POST", who, body={}, token=token)).code == 401


async def test_a_token_dies_with_its_service_account(world: World) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}}
    where = "/api/v1/namespaces/a/serviceaccounts"
    await world.request("POST", where, account, token="admin-token")
    answer = await world.request("POST", f"{where}/sa/token", {"spec": {}}, token="admin-token")
    await world.request("DELETE", f"{where}/sa", token="admin-token")
    await world.request("POST", where, account, token="admin-token")
    token = answer["status"]["token"]
    assert (await refused(world, "GET", "/version", token=token)).code == 401
    changed = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert (await refused(world, "GET", "/version", token=changed)).code == 401


async def test_a_token_is_not_given_for_less_than_ten_minutes(world: World) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}}
    where = "/api/v1/namespaces/a/serviceaccounts"
    await world.request("POST", where, account, token="admin-token")
    error = await refused(
        world, "POST", f"{where}/sa/token", body={"spec": {"expirationSeconds": 5}}, token="admin-token"
    )
    assert isinstance(error, Invalid)
    assert error.message == (
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 5: '
        "may not specify a duration less than 10 minutes"
    )


async def test_can_i_is_answered_with_the_reason(world: World) -> None:
    await world.role("reader", rule("get", "pods"))
    await world.bind("reader", ns="a")
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    async def can_i(verb: str, ns: str) -> Json:
        attributes = {"verb": verb, "resource": "pods", "namespace": ns}
        return (await world.request("POST", path, {"spec": {"resourceAttributes": attributes}}))["status"]

    assert await can_i("get", "a") == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "reader-a/a" of ClusterRole "reader" to User "u"',
    }
    assert await can_i("get", "b") == {"allowed": False}
    assert await can_i("delete", "a") == {"allowed": False}


async def test_an_access_review_asks_about_somebody(world: World) -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    spec = {
        "user": "x",
        "groups": ["system:masters"],
        "resourceAttributes": {"verb": "delete", "resource": "pods"},
    }
    answer = await world.request("POST", path, {"spec": spec}, token="admin-token")
    assert answer["status"] == {"allowed": True}
    del spec["user"], spec["groups"]
    error = await refused(world, "POST", path, body={"spec": spec}, token="admin-token")
    assert error.message.endswith(
        'spec.user: Invalid value: "": at least one of user or group must be specified'
    )


async def test_the_rules_of_a_namespace_are_listed(world: World) -> None:
    await world.role("reader", rule("get", "pods"))
    await world.bind("reader", ns="a")
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status = (await world.request("POST", path, {"spec": {"namespace": "a"}}))["status"]
    assert rule("get", "pods") in status["resourceRules"]
    assert status["incomplete"] is False
    elsewhere = (await world.request("POST", path, {"spec": {"namespace": "b"}}))["status"]
    assert rule("get", "pods") not in elsewhere["resourceRules"]


async def test_a_token_review_says_whose_token_it_is(world: World) -> None:
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = (await world.request("POST", path, {"spec": {"token": "u-token"}}, token="admin-token"))[
        "status"
    ]
    assert (status["authenticated"], status["user"]["username"]) == (True, "u")
    bad = (await world.request("POST", path, {"spec": {"token": "x.y.z"}}, token="admin-token"))["status"]
    assert bad == {"user": {}, "error": "invalid bearer token"}


@pytest.mark.parametrize(
    ("pattern", "resource", "covered"),
    [
        ("*", "pods/log", True),
        ("pods", "pods", True),
        ("pods", "pods/log", False),
        ("pods/log", "pods/log", True),
        ("*/scale", "deployments/scale", True),
        ("*/scale", "deployments", False),
        ("pods/*", "pods/log", False),
    ],
)
def test_a_resource_of_a_rule_covers(pattern: str, resource: str, covered: bool) -> None:
    assert covers(rule("get", pattern), Deed("get", "", resource)) is covered


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("*", "/x", True),
        ("/x", "/x", True),
        ("/x", "/x/y", False),
        ("/x/*", "/x/y", True),
        ("/x/*", "/x", False),
    ],
)
def test_a_path_of_a_rule_covers(pattern: str, path: str, covered: bool) -> None:
    assert covers({"verbs": ["get"], "nonResourceURLs": [pattern]}, Deed("get", path=path)) is covered
