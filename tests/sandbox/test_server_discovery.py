"""What the server says of itself."""

from __future__ import annotations

import pytest
from server_stage import Client, play

from kruise_rollouts.sandbox.request import SYSTEM, Request
from kruise_rollouts.sandbox.resources import Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


def test_aggregated_discovery_names_every_resource_with_its_subresources() -> None:
    async def story(client: Client) -> None:
        for version in ("v2", "v2beta1"):
            answer = await client.get("/api", accept=AGGREGATED.format(version))
            assert answer.body["apiVersion"] == f"apidiscovery.k8s.io/{version}"
            rows = {r["resource"]: r for r in answer.body["items"][0]["versions"][0]["resources"]}
            assert rows["pods"]["shortNames"] == ["po"]
            assert {s["subresource"] for s in rows["pods"]["subresources"]} >= {
                "status",
                "log",
                "eviction",
                "binding",
            }
        groups = (await client.get("/apis", accept=AGGREGATED.format("v2"))).body["items"]
        assert {"apps", "batch", "autoscaling", "rbac.authorization.k8s.io"} <= {
            g["metadata"]["name"] for g in groups
        }

    play(story)


def test_clients_without_aggregation_get_the_plain_documents() -> None:
    async def story(client: Client) -> None:
        assert (await client.get("/api")).body["versions"] == ["v1"]
        groups = {g["name"]: g for g in (await client.get("/apis")).body["groups"]}
        assert groups["autoscaling"]["preferredVersion"]["version"] == "v2"
        assert (await client.get("/apis/apps")).body["kind"] == "APIGroup"
        rows = {r["name"]: r for r in (await client.get("/apis/apps/v1")).body["resources"]}
        assert rows["deployments"]["categories"] == ["all"]
        assert (rows["deployments/scale"]["group"], rows["deployments/scale"]["kind"]) == (
            "autoscaling",
            "Scale",
        )
        new_client = f"{AGGREGATED.format('v3')},application/json"
        assert (await client.get("/apis", accept=new_client)).body["kind"] == "APIGroupList"
        assert (await client.get("/apis", accept="text/html")).code == 406

    play(story)


def test_discovery_follows_what_is_served() -> None:
    async def story(client: Client) -> None:
        foo = Resource(
            "x.io",
            "v1",
            "foos",
            "foo",
            "Foo",
            "FooList",
            True,
            ("get", "list"),
            custom=True,
            storage=("x.io", "foos"),
        )
        before = await client.get("/apis", accept=AGGREGATED.format("v2"))
        client.server.registry.add(foo)
        after = await client.get("/apis", accept=AGGREGATED.format("v2"))
        assert "x.io" in {g["metadata"]["name"] for g in after.body["items"]}
        assert dict(before.headers)["ETag"] != dict(after.headers)["ETag"]
        client.server.registry.remove("x.io", "foos")
        assert (await client.get("/apis/x.io/v1")).code == 404

    play(story)


@pytest.mark.parametrize(
    ("path", "code"),
    [("/version", 200), ("/healthz", 200), ("/readyz", 200), ("/livez/ping", 200), ("/livez/nope", 404), ("/", 200),
     ("/foo", 404), ("/apis/nope", 404), ("/apis/apps/v9", 404), ("/apis/apps/v1/nopes", 404), ("/api/v1/pods/x/y/z", 404)],
)  # fmt: skip
def test_paths_that_are_no_resource(path: str, code: int) -> None:
    async def story(client: Client) -> None:
        assert (await client.get(path)).code == code
        if code == 200 and path.count("/") == 1:  # Kubernetes looks at the method for its version only
            assert (await client.post(path, {})).code == (405 if path == "/version" else 200)

    play(story)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/apis/batch/v1beta1/namespaces/default/cronjobs", False),  # of a group that Kubernetes has
        ("/apis/batch/v1beta1", False),
        ("/apis/nobody.example.com/v1/things", True),
        ("/apis/nobody.example.com/v1", True),
        ("/apis/nobody.example.com", True),
        ("/api/v2/pods", False),
        ("/elsewhere", True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_there_is_told_in_json_where_kubernetes_has_a_group(
    method: str, path: str, text: bool
) -> None:
    async def story(client: Client) -> None:
        answer = await client.send(method, path)
        assert answer.code == 404
        assert (answer.body == "404 page not found\n") if text else (answer.body["reason"] == "NotFound")

    play(story)


@pytest.mark.parametrize(
    ("query", "agent", "lines"),
    [("", "tests/1", 1), ("?pretty=true", "tests/1", 10), ("?pretty=0", "curl/8", 1), ("", "curl/8", 10)],
)
def test_people_get_json_in_lines(query: str, agent: str, lines: int) -> None:
    async def story(client: Client) -> None:
        headers = {"user-agent": agent}
        pairs = (("pretty", query.partition("=")[2]),) if query else ()
        answer = await client.server.respond(Request("GET", "/api/v1/nothing", pairs, headers, b"", SYSTEM))
        assert len(answer.body.decode().split("\n")) == lines

    play(story)


def test_tokens_can_be_verified_by_others() -> None:
    async def story(client: Client) -> None:
        told = (await client.get("/.well-known/openid-configuration")).body
        assert told["jwks_uri"] == "https://127.0.0.1:6443/openid/v1/jwks"
        (key,) = (await client.get("/openid/v1/jwks")).body["keys"]
        assert key["kid"] == client.sandbox.access.signer.key_id

    play(story)
