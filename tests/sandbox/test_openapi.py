"""The OpenAPI documents: what clients look for in them."""

from __future__ import annotations

import json
from typing import Any

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.request import Request
from kruise_rollouts.sandbox.resources import Registry, Resource, Subresource
from kruise_rollouts.sandbox.schemas.openapi import PROTOBUF, OpenApi

SCHEMA: JsonObject = {
    "type": "object",
    "description": "A thing.",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 0, "default": 1},
                "maybe": {"type": "string", "nullable": True},
                "percent": {
                    "x-kubernetes-int-or-string": True,
                    "anyOf": [{"type": "integer"}, {"type": "string"}],
                },
                "open": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {}},
                },
            },
        }
    },
}
GVK = {"group": "my.example.com", "kind": "Thing", "version": "v1"}


def a_resource() -> Resource:
    return Resource(
        group="my.example.com",
        version="v1",
        plural="things",
        singular="thing",
        kind="Thing",
        list_kind="ThingList",
        namespaced=True,
        verbs=("get", "list"),
        subresources=(Subresource("status", "Thing", ("get", "patch", "update")),),
        custom=True,
    )


def an_openapi(*resources: Resource, schema: JsonObject = SCHEMA) -> tuple[OpenApi, Registry]:
    registry = Registry(resources)
    return OpenApi(registry, lambda resource: schema), registry


def read(openapi: OpenApi, path: str, **more: str) -> Any:
    document = openapi.answer(path, **more)
    assert document is not None
    return json.loads(document.body)


def test_the_index_links_each_group_version_by_the_hash_of_its_document() -> None:
    openapi, _ = an_openapi(a_resource())
    paths = read(openapi, "/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/my.example.com/v1"} <= set(paths)
    for name in ("apis/apps/v1", "apis/my.example.com/v1"):
        path, _, hash = paths[name]["serverRelativeURL"].partition("?hash=")
        document = openapi.answer(path, hash=hash)
        assert document is not None
        assert document.etag == f'"{hash}"'
        assert document.cacheable


def test_a_built_in_document_has_its_definitions_and_says_that_fields_are_validated() -> None:
    openapi, _ = an_openapi()
    document = read(openapi, "/openapi/v3/apis/apps/v1")
    deployment = document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]
    assert deployment["x-kubernetes-group-version-kind"] == [
        {"group": "apps", "kind": "Deployment", "version": "v1"}
    ]
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {p["name"] for p in patch["parameters"]}


def test_a_custom_kind_is_published_with_its_schema_and_metadata() -> None:
    openapi, _ = an_openapi(a_resource())
    document = read(openapi, "/openapi/v3/apis/my.example.com/v1")
    thing = document["components"]["schemas"]["com.example.my.v1.Thing"]
    assert thing["x-kubernetes-group-version-kind"] == [GVK]
    assert thing["properties"]["spec"] == SCHEMA["properties"]["spec"]
    assert "ObjectMeta" in json.dumps(thing["properties"]["metadata"])
    item = document["paths"]["/apis/my.example.com/v1/namespaces/{namespace}/things/{name}"]
    assert item["patch"]["operationId"] == "patchMyExampleComV1NamespacedThing"
    assert "fieldValidation" in {p["name"] for p in item["patch"]["parameters"]}
    assert "/apis/my.example.com/v1/namespaces/{namespace}/things/{name}/status" in document["paths"]


def test_version_2_leaves_out_what_it_cannot_say() -> None:
    openapi, _ = an_openapi(a_resource())
    definitions = read(openapi, "/openapi/v2")["definitions"]
    assert definitions["com.example.my.v1.Thing"]["properties"]["spec"]["properties"] == {
        "size": {"type": "integer", "minimum": 0},
        "maybe": {},
        "percent": {"x-kubernetes-int-or-string": True},
        "open": {"x-kubernetes-preserve-unknown-fields": True},
    }
    assert definitions["com.example.my.v1.ThingList"]["required"] == ["items"]


def test_a_custom_kind_without_a_schema_is_published_as_anything() -> None:
    openapi, _ = an_openapi(
        a_resource(), schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    )
    thing = read(openapi, "/openapi/v2")["definitions"]["com.example.my.v1.Thing"]
    assert thing == {"type": "object", "x-kubernetes-group-version-kind": [GVK]}


def test_a_custom_kind_is_withdrawn_with_its_crd() -> None:
    openapi, registry = an_openapi(a_resource())
    before = openapi.answer("/openapi/v2")
    registry.remove("my.example.com", "things")
    after = openapi.answer("/openapi/v2")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag
    assert b"com.example.my.v1.Thing" in before.body
    assert b"com.example.my.v1.Thing" not in after.body
    assert openapi.answer("/openapi/v3/apis/my.example.com/v1") is None


def test_old_clients_get_version_2_as_protobuf() -> None:
    openapi, _ = an_openapi(a_resource())
    document = openapi.answer("/openapi/v2", accept=PROTOBUF)
    assert document is not None
    fields = message(document.body)
    assert fields[1] == [b"2.0"]
    definitions = dict(named(item) for item in message(fields[9][0])[1])
    thing = message(definitions[b"com.example.my.v1.Thing"])
    assert message(thing[22][0])[1] == [b"object"]
    properties = dict(named(item) for item in message(thing[25][0])[1])
    assert set(properties) == {b"apiVersion", b"kind", b"metadata", b"spec"}
    extensions = dict(named(item) for item in thing[31])
    assert json.loads(message(extensions[b"x-kubernetes-group-version-kind"])[2][0]) == [GVK]


def test_a_client_that_has_the_document_is_told_so() -> None:
    openapi, _ = an_openapi()
    first = openapi.respond(Request("GET", "/openapi/v2"))
    assert first is not None
    etag = dict(first.headers)["ETag"]
    again = openapi.respond(Request("GET", "/openapi/v2", headers={"if-none-match": etag}))
    assert again is not None
    assert (again.status, again.body) == (304, b"")


def test_other_paths_are_no_documents() -> None:
    openapi, _ = an_openapi()
    assert openapi.answer("/openapi/v3/apis/nope/v1") is None
    assert openapi.answer("/openapi/v4") is None


def message(data: bytes) -> dict[int, list[bytes]]:
    """Length-delimited fields of a protobuf message, by number."""
    out: dict[int, list[bytes]] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        match tag & 7:
            case 0:
                _, at = varint(data, at)
            case 1:
                at += 8
            case 2:
                size, at = varint(data, at)
                out.setdefault(tag >> 3, []).append(data[at : at + size])
                at += size
            case other:
                raise AssertionError(f"wire type {other}")
    return out


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def named(item: bytes) -> tuple[bytes, bytes]:
    fields = message(item)
    return fields[1][0], fields.get(2, [b""])[0]
