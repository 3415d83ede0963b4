"""The OpenAPI documents against those of the API server that KUBECONFIG names, texts for people aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from patch_cases import CUSTOM, crd
from real_server import RealServer

from kruise_rollouts.kube.patch import json_diff
from kruise_rollouts.sandbox.custom.crd_names import served_resources
from kruise_rollouts.sandbox.resources import Registry
from kruise_rollouts.sandbox.schemas.openapi import OpenApi

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
GROUP = "openapi.example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMES = ("properties", "schemas", "definitions", "paths")


def structure(value: Any, *, names: bool = False) -> Any:
    if isinstance(value, list):
        # This group is on the real server's lists for custom kinds at some times and not at others.
        return [
            structure(v) for v in value if not isinstance(v, dict) or v.get("group") != "imagepolicy.k8s.io"
        ]
    if not isinstance(value, dict):
        return value
    return {
        k: structure(v, names=k in NAMES and not names)
        for k, v in value.items()
        if names or k != "description"
    }


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[RealServer, OpenApi]]:
    body = crd()
    body["spec"]["group"] = GROUP
    body["metadata"]["name"] = f"things.{GROUP}"
    with RealServer() as real:
        real.call("POST", CRDS, body)
        live: Any = {}
        for _ in range(5000):  # a few seconds, until it is published
            _, live = real.call("GET", f"{CRDS}/things.{GROUP}")
            if served_resources(live) and real.call("GET", f"/openapi/v3/apis/{GROUP}/v1")[0] == 200:
                break
        yield real, OpenApi(Registry(served_resources(live)), lambda resource: CUSTOM)
        real.call("DELETE", f"{CRDS}/things.{GROUP}")


def ours(openapi: OpenApi, path: str) -> Any:
    document = openapi.answer(path)
    assert document is not None, path
    return structure(json.loads(document.body))


def test_every_version_3_document_is_that_of_the_real_server(both: tuple[RealServer, OpenApi]) -> None:
    real, openapi = both
    index = real.call("GET", "/openapi/v3")[1]["paths"]
    for path in index:
        if (
            path.startswith("apis/")
            and "." in path.split("/")[1]
            and ".k8s.io" not in path
            and GROUP not in path
        ):
            continue  # somebody else's custom kinds
        theirs = structure(real.call("GET", index[path]["serverRelativeURL"])[1])
        assert json_diff(ours(openapi, f"/openapi/v3/{path}"), theirs) == [], path


def test_the_definitions_of_version_2_are_those_of_the_real_server(both: tuple[RealServer, OpenApi]) -> None:
    real, openapi = both
    theirs = structure(real.call("GET", "/openapi/v2")[1])["definitions"]
    mine = ours(openapi, "/openapi/v2")["definitions"]
    known = [n for n in theirs if n.startswith("io.k8s.") or n.startswith("com.example.openapi.")]
    assert json_diff({n: mine.get(n) for n in known}, {n: theirs[n] for n in known}) == []
