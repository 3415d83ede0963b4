"""Who owns which field, against the API server that KUBECONFIG names: random writes by several managers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from patch_cases import CUSTOM, OWNED, crd, deployment, status
from real_server import RealServer

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.kube.patch import json_diff
from kruise_rollouts.sandbox.apply.apply import server_side_apply, track
from kruise_rollouts.sandbox.schemas import schema

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
NS = f"apply-test-{secrets.token_hex(3)}"  # of this process: a namespace takes a while to go
CASES = int(os.environ.get("PATCH_CASES", "20"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
FILLED = (
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
)  # by the server, after it noted the owners
MANAGERS = ("one", "two", "kubectl")


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with RealServer() as real:
        real.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}})
        for _ in range(3000):  # a few seconds
            real.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
            if real.call("GET", f"/apis/patch.example.com/v1/namespaces/{NS}/things")[0] == 200:
                break
        yield real
        real.call(
            "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.patch.example.com"
        )
        real.call("DELETE", f"/api/v1/namespaces/{NS}")


def node_for(plural: str) -> schema.Node:
    if plural == "things":
        return schema.custom_schema(CUSTOM, status_subresource=True)
    node = schema.schema_of(*OWNED[plural][1])
    assert node is not None
    return node


def owners(obj: Any) -> Any:
    return [
        {**{k: v for k, v in e.items() if k != "time"}, "timed": "time" in e}
        for e in sorted(
            obj["metadata"].get("managedFields", ()),
            key=lambda e: (e["operation"], e["manager"], e["apiVersion"], e.get("subresource", "")),
        )
    ]


def as_requested(obj: Any, live: Any) -> Any:
    if live is not None or obj["kind"] != "Service":
        return obj
    return {**obj, "spec": {k: v for k, v in obj["spec"].items() if k not in FILLED}}


def bare(obj: Any) -> Any:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def shown(obj: Any) -> Any:
    for item in obj.get("spec", {}).get("parts") or ():
        item.setdefault("zone", "here")  # defaults are filled in later
    dropped = ("managedFields", "resourceVersion", "generation")
    meta = {k: v for k, v in obj["metadata"].items() if k not in dropped and v}
    return {**obj, "metadata": meta}


@pytest.mark.parametrize("plural", OWNED)
def test_ownership_follows_random_writes_as_on_the_real_server(server: RealServer, plural: str) -> None:
    rng = Random(plural)
    root, (group, version, _), make = OWNED[plural]
    node, api_version = node_for(plural), f"{group}/{version}" if group else version
    path = f"{root}/namespaces/{NS}/{plural}"
    for i in range(CASES):
        name, live = f"o{i}", None
        for step in range(8):
            if live is not None:
                _, live = server.call("GET", f"{path}/{name}")
            body = make(rng)
            body["metadata"]["name"] = name
            manager = rng.choice(MANAGERS)
            action = rng.choice(
                ("apply", "apply", "apply", "merge", "put", "status") if live else ("apply", "post")
            )
            trail = (plural, i, step, action, manager)
            if action == "apply":
                force = rng.random() < 0.4
                code, real = server.call(
                    "PATCH", f"{path}/{name}", body, APPLY, fieldManager=manager, force=str(force).lower()
                )
                body["metadata"]["namespace"] = NS
                try:
                    ours = server_side_apply(live, body, manager, force, node, api_version, "", NOW)
                except ApiError as error:
                    assert (code, sorted_lines(real["message"])) == (
                        error.code,
                        sorted_lines(error.message),
                    ), trail
                    continue
                if code == 422:
                    continue  # applied, but not a valid object
                assert code in (200, 201), (trail, real, body)
                assert json_diff(owners(ours), owners(real)) == [], (trail, live, body, real)
                if live is not None and plural != "things":
                    code, normal = server.call(
                        "PUT", f"{path}/{name}", bare(without_version(ours)), dryRun="All"
                    )
                    assert code == 200, (trail, normal)
                    assert json_diff(shown(normal), shown(real)) == [], (trail, live, body)
                elif live is not None:
                    assert json_diff(shown(ours), shown(real)) == [], (trail, live, body)
            else:
                code, real = write(server, rng, action, path, name, body, live, manager)
                if code >= 300:
                    continue
                asked = bare(real)
                if "managedFields" in body["metadata"]:
                    asked["metadata"]["managedFields"] = body["metadata"]["managedFields"]
                via = "status" if action == "status" else ""
                asked = as_requested(asked, live)
                ours = track(live, asked, manager, "Update", node, api_version, via, NOW)
                assert json_diff(owners(ours), owners(real)) == [], (trail, live, body, real)
            live = real
        server.call("PATCH", f"{path}/{name}", {"metadata": {"finalizers": None}}, MERGE)
        server.call("DELETE", f"{path}/{name}")


def sorted_lines(message: str) -> list[str]:
    return sorted(message.split("\n"))


def without_version(obj: Any) -> Any:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}


def write(
    server: RealServer, rng: Random, action: str, path: str, name: str, body: Any, live: Any, manager: str
) -> tuple[int, Any]:
    if action == "post":
        return server.call("POST", path, body, fieldManager=manager)
    if action == "put":
        if "clusterIP" in live.get("spec", {}):
            body["spec"].update({k: live["spec"][k] for k in FILLED})
        if rng.random() < 0.1:
            body["metadata"]["managedFields"] = rng.choice(([], [{}]))
        return server.call("PUT", f"{path}/{name}", body, fieldManager=manager)
    if action == "status":
        return server.call("PATCH", f"{path}/{name}/status", status(rng, live), MERGE, fieldManager=manager)
    return server.call("PATCH", f"{path}/{name}", body, MERGE, fieldManager=manager)


@pytest.mark.parametrize("how", ["post", "apply"])
def test_a_new_deployment_has_the_owners_it_has_on_the_real_server(server: RealServer, how: str) -> None:
    rng = Random(how)
    node = schema.schema_of("apps", "v1", "Deployment")
    assert node is not None
    path = f"/apis/apps/v1/namespaces/{NS}/deployments"
    compared = 0
    for _ in range(CASES * 3):
        body = deployment(rng)
        body["metadata"].update(name="d", namespace=NS)
        if how == "post":
            code, real = server.call("POST", path, body, fieldManager="one", dryRun="All")
        else:
            code, real = server.call("PATCH", f"{path}/d", body, APPLY, fieldManager="one", dryRun="All")
        if code == 422:
            continue
        assert code == 201, real
        if how == "post":
            ours = track(None, bare(real), "one", "Update", node, "apps/v1", "", NOW)
        else:
            ours = server_side_apply(None, body, "one", False, node, "apps/v1", "", NOW)
        assert json_diff(owners(ours), owners(real)) == [], body
        compared += 1
    assert compared > CASES
