"""Our patches against those of the API server that KUBECONFIG names, over random objects."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from patch_cases import KINDS, strategic
from real_server import RealServer

from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.sandbox.apply.strategic import strategic_merge
from kruise_rollouts.sandbox.schemas import schema

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
NS = f"patch-test-{secrets.token_hex(3)}"  # of this process: a namespace takes a while to go
CASES = int(os.environ.get("PATCH_CASES", "60"))
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with RealServer() as real:
        real.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}})
        yield real
        real.call("DELETE", f"/api/v1/namespaces/{NS}")


def shown(obj: Any) -> Any:
    """What must be the same in two answers."""
    meta = {
        k: v
        for k, v in obj["metadata"].items()
        if k not in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
    }
    meta["annotations"] = {
        k: v for k, v in (meta.get("annotations") or {}).items() if "kubernetes.io/" not in k
    }
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    for address in ("clusterIP", "clusterIPs"):
        rest.get("spec", {}).pop(address, None)
    return {**rest, "metadata": meta}


@pytest.mark.parametrize("plural", KINDS)
def test_a_strategic_merge_patch_gives_what_the_real_server_gives(server: RealServer, plural: str) -> None:
    rng = Random(plural)
    root, gvk, make = KINDS[plural]
    node = schema.schema_of(*gvk)
    assert node is not None
    path = f"{root}/namespaces/{NS}/{plural}"
    refused = 0
    for i in range(CASES):
        base = make(rng)
        base["metadata"]["name"] = f"s{i}"
        base["metadata"]["annotations"] = {"kept": "yes"}  # a controller adds its own at any time
        code, live = server.call("POST", path, base)
        assert code == 201, live
        for _ in range(6):
            patch = strategic(rng, make(rng))
            patch.pop("apiVersion", None)
            patch.pop("kind", None)
            code, real = server.call("PATCH", f"{path}/s{i}", patch, STRATEGIC, dryRun="All")
            try:
                ours = strategic_merge(live, patch, node)
            except ApiError as error:
                assert (code, real["message"]) == (error.code, error.message), patch
                refused += 1
                continue
            if code == 500:
                pytest.fail(f"refused: {real['message']} for {patch}")
            if not ours.get("metadata"):
                assert code != 200, patch
                continue
            ours = {**ours, "metadata": {k: v for k, v in ours["metadata"].items() if k != "resourceVersion"}}
            again, normal = server.call("PUT", f"{path}/s{i}", ours, dryRun="All")
            if code == 200:
                assert again == 200, (patch, ours, normal)
                assert shown(normal) == shown(real), patch
            else:
                assert again != 200, (patch, real)
        server.call("PATCH", f"{path}/s{i}", {"metadata": {"finalizers": None}}, STRATEGIC)
        server.call("DELETE", f"{path}/s{i}", propagationPolicy="Background")
    assert refused < CASES * 3
