"""The same requests to the sandbox and to the API server that KUBECONFIG names get the same answers."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import pytest
from real_server import RealServer
from server_stage import APPLY, JSON_PATCH, MERGE, Client, play

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

NS = f"server-conformance-{secrets.token_hex(3)}"  # a namespace takes a while to go
MAPS = f"/api/v1/namespaces/{NS}/configmaps"
JSON = "application/json"
GO_ON = "finalizers.x.io/a"

# method, path, body, content type; in this order: later ones see what earlier ones did
REQUESTS: tuple[tuple[str, str, Any, str], ...] = (
    ("GET", f"{MAPS}/nope", None, JSON),
    ("GET", f"/apis/apps/v1/namespaces/{NS}/nopes", None, JSON),
    ("POST", MAPS, b'{"metadata":{"name":"x"', JSON),
    ("POST", MAPS, b"[]", JSON),
    ("POST", MAPS, b"hello", JSON),
    ("POST", MAPS, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}, JSON),
    ("POST", MAPS, {"metadata": 5}, JSON),
    ("POST", MAPS, {"metadata": {"name": "x", "namespace": "other"}}, JSON),
    ("POST", MAPS, {"metadata": {}}, JSON),
    ("POST", MAPS, {"metadata": {"name": "Bad_Name"}}, JSON),
    ("POST", MAPS, {"metadata": {"name": "x", "finalizers": ["x"]}}, JSON),
    ("POST", MAPS, {"metadata": {"name": "x", "labels": {"a b": "c"}}}, JSON),
    ("POST", "/api/v1/namespaces/not-there/configmaps", {"metadata": {"name": "x"}}, JSON),
    ("POST", MAPS, b"{}", "text/plain"),
    ("POST", f"{MAPS}?fieldValidation=Strict", {"metadata": {"name": "x"}, "foo": 1}, JSON),
    ("POST", f"{MAPS}?dryRun=foo", {"metadata": {"name": "x"}}, JSON),
    ("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "x"}}, JSON),
    ("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}, JSON),
    ("POST", MAPS, {"metadata": {"name": "a"}}, JSON),
    ("PATCH", f"{MAPS}/a", {"data": {"k": "w"}}, JSON),
    ("PATCH", f"{MAPS}/a", {"data": {"k": "w"}}, MERGE),
    ("PATCH", f"{MAPS}/a", b"null", MERGE),
    ("PATCH", f"{MAPS}/a", [{"op": "test", "path": "/data/k", "value": "no"}], JSON_PATCH),
    ("PATCH", f"{MAPS}/a", {"metadata": {"name": "b"}}, MERGE),
    ("PATCH", f"{MAPS}/a", {"metadata": {"resourceVersion": "1"}}, MERGE),
    (
        "PATCH",
        f"{MAPS}/b?fieldManager=me",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}},
        APPLY,
    ),
    ("PATCH", f"{MAPS}/b", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}, APPLY),
    ("PUT", f"{MAPS}/a", {"metadata": {"name": "x"}}, JSON),
    ("PUT", f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": "1"}}, JSON),
    ("PUT", f"{MAPS}/nope", {"metadata": {"name": "nope"}}, JSON),
    ("PUT", MAPS, {}, JSON),
    ("GET", f"{MAPS}?labelSelector=a%20in", None, JSON),
    ("GET", f"{MAPS}?labelSelector=a%3D%3D%3Db", None, JSON),
    ("GET", f"{MAPS}?fieldSelector=foo%3Dbar", None, JSON),
    ("GET", f"{MAPS}?fieldSelector=metadata.name%3Da", None, JSON),
    ("GET", f"{MAPS}?limit=abc", None, JSON),
    ("GET", f"{MAPS}?resourceVersion=abc", None, JSON),
    ("GET", f"{MAPS}?resourceVersionMatch=Exact", None, JSON),
    ("GET", f"{MAPS}?continue=abc", None, JSON),
    ("GET", f"{MAPS}?sendInitialEvents=true", None, JSON),
    ("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "x"}}, JSON),
    ("DELETE", f"{MAPS}/a?propagationPolicy=foo", None, JSON),
    ("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": [GO_ON]}}, MERGE),
    ("DELETE", f"{MAPS}/a", None, JSON),
    ("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, MERGE),
    ("GET", f"{MAPS}/a", None, JSON),
    ("POST", f"/api/v1/namespaces/{NS}/pods/nope/eviction", {"metadata": {"name": "nope"}}, JSON),
    ("DELETE", "/api/v1/namespaces", None, JSON),
)
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWN = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields")


def essence(code: int, body: Any) -> Any:
    """An answer without what no two servers share."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in _OWN}
        return [plain(v) for v in value] if isinstance(value, list) else value

    body = json.loads(_UID.sub("UID", json.dumps(plain(body))))
    causes = (body.get("details") or {}).get("causes")
    if causes:  # Kubernetes repeats causes of updates
        body["details"]["causes"] = sorted({json.dumps(c, sort_keys=True) for c in causes})
    return code, body


def test_the_same_requests_get_the_same_answers() -> None:
    real: list[Any] = []
    with RealServer() as server:
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}})
        try:
            for method, path, body, content_type in REQUESTS:
                real.append(essence(*server.call(method, path, body, content_type)))
        finally:
            server.call("DELETE", f"/api/v1/namespaces/{NS}")
    ours: list[Any] = []

    async def story(client: Client) -> None:
        await client.made("/api/v1/namespaces", {"metadata": {"name": NS}})
        for method, path, body, content_type in REQUESTS:
            decoded = path.replace("%20", " ").replace("%3D", "=")
            answer = await client.send(method, decoded, body, type=content_type)
            ours.append(essence(answer.code, answer.body))

    play(story)
    differing = [(r[:2], a, b) for r, a, b in zip(REQUESTS, real, ours, strict=True) if a != b]
    assert not differing, "\n".join(f"{r}\n  real {a}\n  ours {b}" for r, a, b in differing)
