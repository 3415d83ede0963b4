"""What clients of Kubernetes send, and how it is understood: protobuf, repeated fields, the form of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from server_stage import DEPLOYMENTS, MAPS, TABLE, Client, a_map, play

PROTOBUF = "application/vnd.kubernetes.protobuf"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EVENTS = "/api/v1/namespaces/default/events"


def varint(number: int) -> bytes:
    low = number & 127
    return bytes([low]) if number < 128 else bytes([low | 128]) + varint(number >> 7)


def field(number: int, value: bytes | str | int) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def enveloped(api_version: str, kind: str, raw: bytes = b"") -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


@pytest.mark.parametrize("api_version", ["v1", "meta.k8s.io/v1", "apiextensions.k8s.io/v1"])
def test_delete_options_come_in_the_version_of_what_is_deleted(api_version: str) -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        body = enveloped(api_version, "DeleteOptions")
        assert (await client.delete(f"{MAPS}/a", body, type=PROTOBUF)).code == 200

    play(story)


def test_schemas_of_a_crd_in_protobuf_are_as_in_json() -> None:
    def of(kind: str, *more: bytes) -> bytes:
        return field(5, kind) + b"".join(more)

    members = {
        "list": of("array", field(24, field(1, of("string")))),
        "any": of("object", field(30, field(1, 1))),
        "map": of("object", field(30, field(2, of("string")))),
    }
    root = of("object", *(field(29, field(1, k) + field(2, v)) for k, v in members.items()))
    version = field(1, "v1") + field(2, 1) + field(3, 1) + field(4, field(1, root))
    names = field(1, "toys") + field(4, "Toy")
    spec = field(1, "b.example.com") + field(3, names) + field(4, "Namespaced") + field(7, version)
    raw = field(1, field(1, "toys.b.example.com")) + field(2, spec)
    body = enveloped("apiextensions.k8s.io/v1", "CustomResourceDefinition", raw)

    async def story(client: Client) -> None:
        made = await client.post(CRDS, body, type=PROTOBUF)
        assert made.code == 201, made.body
        found = made.body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        assert found["list"]["items"] == {"type": "string"}
        assert found["any"]["additionalProperties"] is True
        assert found["map"]["additionalProperties"] == {"type": "string"}

    play(story)


TWICE = b"""{"metadata":{"name":"x","z":1,"z":2},"spec":{"u":"a","b":1,"u":2,"replicas":2,"replicas":3,
"selector":{"matchLabels":{"a":"b","a":"c"}},"template":{"spec":{"containers":[{"name":"x","foo":1}],
"containers":[{"name":"x","name":"y"}]}}}}"""


def test_a_strict_refusal_tells_what_is_wrong_in_the_order_of_the_body() -> None:
    async def story(client: Client) -> None:
        refused = await client.post(f"{DEPLOYMENTS}?fieldValidation=Strict", TWICE)
        assert refused.code == 400
        inside = "spec.template.spec.containers"
        assert refused.body["message"].partition("strict decoding error: ")[2].split(", ") == [
            'unknown field "metadata.z"', 'unknown field "spec.u"', 'unknown field "spec.b"',
            'duplicate field "spec.replicas"', 'duplicate field "spec.selector.matchLabels.a"',
            f'unknown field "{inside}[0].foo"', f'duplicate field "{inside}"', f'duplicate field "{inside}[0].name"',
        ]  # fmt: skip

    play(story)


def test_of_a_custom_object_repetitions_are_told_first_then_unknown_fields_by_path() -> None:
    body = b"""{"apiVersion":"b.example.com/v1","kind":"Toy","metadata":{"name":"x","zz":1,"labels":{"a":"b","a":"c"}},
    "zeta":1,"spec":{"zz":1,"zz":2,"bb":1},"alpha":1}"""

    async def story(client: Client) -> None:
        await client.made(CRDS, a_crd())
        await client.clock.sleep(1)
        refused = await client.post(f"{TOYS}?fieldValidation=Strict", body)
        assert refused.body["message"].partition("strict decoding error: ")[2].split(", ") == [
            'duplicate field "metadata.labels.a"', 'duplicate field "spec.zz"', 'unknown field "metadata.zz"',
            'unknown field "alpha"', 'unknown field "spec.bb"', 'unknown field "spec.zz"', 'unknown field "zeta"',
        ]  # fmt: skip

    play(story)


TOYS = "/apis/b.example.com/v1/namespaces/default/toys"


def a_crd() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["additionalPrinterColumns"] = [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}]
    names = {"plural": "toys", "kind": "Toy"}
    spec = {"group": "b.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "toys.b.example.com"}, "spec": spec}


def test_the_table_of_a_custom_kind_has_one_name_column() -> None:
    async def story(client: Client) -> None:
        await client.made(CRDS, a_crd())
        await client.clock.sleep(1)
        await client.made(TOYS, {"apiVersion": "b.example.com/v1", "kind": "Toy", "metadata": {"name": "x"}})
        shown = (await client.get(TOYS, accept=TABLE)).body
        assert [c["name"] for c in shown["columnDefinitions"]] == ["Name", "Size"]
        assert [r["cells"] for r in shown["rows"]] == [["x", None]]

    play(story)


@pytest.mark.parametrize(("path", "body"), [
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}),
    ("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}),
])  # fmt: skip
def test_what_is_never_stored_cannot_be_had_as_a_table(path: str, body: dict[str, Any]) -> None:
    async def story(client: Client) -> None:
        assert (await client.post(path, body)).code == 201
        assert (await client.post(path, body, accept=TABLE)).code == 406

    play(story)


def test_events_are_selected_by_who_reports_them_under_the_old_name_as_well() -> None:
    async def story(client: Client) -> None:
        about = {"involvedObject": {"namespace": "default", "kind": "Pod", "name": "p"}}
        old = {"metadata": {"name": "old"}, "source": {"component": "kubelet"}, **about}
        new = {"metadata": {"name": "new"}, "reportingComponent": "kubelet", **about}
        other = {"metadata": {"name": "other"}, "source": {"component": "x"}, **about}
        for event in (old, new, other):
            await client.made(EVENTS, event)
        found = (await client.get(f"{EVENTS}?fieldSelector=source=kubelet")).body["items"]
        assert {e["metadata"]["name"] for e in found} == {"old", "new"}

    play(story)
