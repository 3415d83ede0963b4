"""Bodies of all sorts: what cannot be read is refused in Kubernetes' own form, and the server goes on."""

from __future__ import annotations

import pytest
from server_stage import APPLY, JSON_PATCH, MAPS, MERGE, Client, a_map, play

PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"", "application/json", 415),
        (b'{"metadata":{"name":"x"', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"hello", "application/json", 400),
        (b'{"metadata":5}', "application/json", 400),
        (b'{"metadata":{"name":"x","labels":{"a":5}}}', "application/json", 400),
        (b'{"kind":5}', "application/json", 400),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}', "application/json", 400),
        (b'{"kind":"Foo","apiVersion":"foo/v1"}', "application/json", 400),
        (b'{"metadata":{"name":"\xff"}}', "application/json", 0),
        (b'{"data":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, "application/json", 400),
        (b'{"metadata":{"name":"x"},"data":{"a":"' + b"x" * (3 << 20) + b'"}}', "application/json", 413),
        (b"metadata: [", "application/yaml", 400),
        (b"{}", "text/plain", 415),
        (b"{}", PROTOBUF, 400),
        (b"k8s\x00\xff\xff", PROTOBUF, 400),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_answered_with_a_status(
    body: bytes, content_type: str, code: int
) -> None:
    async def story(client: Client) -> None:
        answer = await client.send("POST", MAPS, body or b" ", type=content_type if body else "text/csv")
        assert answer.body["kind"] == "Status"
        assert 400 <= answer.code < 500
        assert code in (0, answer.code), answer.body
        assert (await client.post(MAPS, a_map("fine"))).code == 201

    play(story)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"null", MERGE, 400),
        (b"[]", MERGE, 400),
        (b'{"data":', MERGE, 400),
        (b'{"data":"foo"}', MERGE, 422),
        (b'{"metadata":5}', MERGE, 422),
        (b'{"metadata":{"labels":"x"}}', MERGE, 422),
        (b'{"kind":"Pod"}', MERGE, 422),
        (b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}", MERGE, 400),
        (b"{}", JSON_PATCH, 400),
        (b'[{"op":"test","path":"/data/x","value":"no"}]', JSON_PATCH, 422),
        (b"{}", "application/json", 415),
    ],
)
def test_a_patch_that_makes_no_sense_changes_nothing(body: bytes, content_type: str, code: int) -> None:
    async def story(client: Client) -> None:
        made = await client.made(MAPS, a_map("a", x="1"))
        answer = await client.patch(f"{MAPS}/a", body, content_type)
        assert (answer.code, answer.body["kind"]) == (code, "Status"), answer.body
        assert (await client.get(f"{MAPS}/a")).body == made

    play(story)


def test_yaml_is_read_and_written() -> None:
    async def story(client: Client) -> None:
        body = b'metadata: {name: doc}\ndata:\n  a: "1"\n  b: |\n    two\n    lines\n'
        made = await client.send("POST", MAPS, body, type="application/yaml")
        assert made.body["data"] == {"a": "1", "b": "two\nlines\n"}
        text = (await client.get(f"{MAPS}/doc", accept="application/yaml")).body
        assert 'a: "1"' in text
        assert "b: |" in text
        assert 'creationTimestamp: "2026-01-01T00:00:00Z"' in text

    play(story)


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    raw = value.encode() if isinstance(value, str) else value
    assert len(raw) < 128
    return bytes([number << 3 | 2, len(raw)]) + raw


def test_protobuf_bodies_are_understood() -> None:
    async def story(client: Client) -> None:
        envelope = field(1, field(1, "v1") + field(2, "ConfigMap"))
        meta = field(1, "p") + field(2, "") + field(11, field(1, "app") + field(2, "x"))
        raw = field(1, meta) + field(2, field(1, "k") + field(2, "v"))
        body = b"k8s\x00" + envelope + field(2, raw)
        made = await client.send("POST", MAPS, body, type=PROTOBUF)
        assert made.code == 201, made.body
        assert (made.body["data"], made.body["metadata"]["labels"]) == ({"k": "v"}, {"app": "x"})
        assert "generateName" not in made.body["metadata"]

    play(story)


def test_numbers_and_embedded_objects_of_protobuf() -> None:
    async def story(client: Client) -> None:
        port = field(1, "http") + field(3, 80) + field(4, field(1, 1) + field(3, "web"))
        spec = field(1, port) + field(2, field(1, "app") + field(2, "x")) + field(4, "ClusterIP")
        envelope = field(1, field(1, "v1") + field(2, "Service"))
        body = b"k8s\x00" + envelope + field(2, field(1, field(1, "s")) + field(2, spec))
        made = await client.send("POST", "/api/v1/namespaces/default/services", body, type=PROTOBUF)
        assert made.code == 201, made.body
        found = made.body["spec"]["ports"][0]
        assert (found["port"], found["targetPort"], found["name"]) == (80, "web", "http")

    play(story)


@pytest.mark.parametrize(("method", "path"), [
    ("PUT", MAPS), ("PATCH", MAPS), ("POST", f"{MAPS}/a"), ("DELETE", "/api/v1/namespaces"), ("BREW", MAPS),
    ("POST", "/api/v1/namespaces/default/pods/x/log"), ("DELETE", "/apis/apps/v1/namespaces/default/deployments/x/scale"),
])  # fmt: skip
def test_a_verb_that_a_path_does_not_know_is_refused(method: str, path: str) -> None:
    async def story(client: Client) -> None:
        assert (await client.send(method, path, {})).code == 405

    play(story)


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (BOMB, "yaml: document contains excessive aliasing"),
        (
            b"a: &a [" + b"x," * 5000 + b"]\nb: [" + b"*a," * 5000 + b"]",
            "yaml: document contains excessive aliasing",
        ),
        (b"a: &loop [*loop]", "yaml: anchor 'loop' value contains itself"),
        (b"{a: " * 5000, "yaml: exceeded max depth of 1000"),
        (b"- " * 5000, "yaml: exceeded max depth of 1000"),
        (b"\tx: y", "yaml: found character that cannot start any token"),
        (b"\xff\xfe:", "yaml: incomplete UTF-16 character"),
    ],
)
@pytest.mark.parametrize("apply", [True, False])
def test_yaml_that_would_take_all_memory_is_refused(apply: bool, body: bytes, complaint: str) -> None:
    async def story(client: Client) -> None:
        if apply:
            answer = await client.patch(f"{MAPS}/a?fieldManager=x", body, APPLY)
        else:
            answer = await client.post(MAPS, body, type="application/yaml")
        assert answer.code == 400 and complaint in answer.body["message"]

    play(story)


def test_a_document_may_use_aliases() -> None:
    async def story(client: Client) -> None:
        body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: &meta {name: a}\ndata: *meta\n"
        assert (await client.post(MAPS, body, type="application/yaml")).body["data"] == {"name": "a"}

    play(story)


def test_a_name_of_dots_is_refused() -> None:
    async def story(client: Client) -> None:
        answer = await client.get(f"{MAPS}/..")
        assert (answer.code, answer.body["message"]) == (
            400,
            "Name parameter invalid: \"..\": may not be '..'",
        )

    play(story)
