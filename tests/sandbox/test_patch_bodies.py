"""Patches as bodies, and what they have made: the answers of a Kubernetes 1.36 API server (recorded)."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Invalid
from kruise_rollouts.sandbox.apply.patched import (
    JSON_PATCH,
    STRATEGIC,
    check_result,
    read_configuration,
    read_patch,
)
from kruise_rollouts.sandbox.schemas import schema

MERGE = "application/merge-patch+json"


def check(
    obj: JsonObject, patch: Json, form: str, validation: str = "Strict"
) -> tuple[JsonObject, tuple[str, ...]]:
    node = schema.schema_of("", "v1", "ConfigMap")
    assert node is not None
    return check_result({"apiVersion": "v1", "kind": "ConfigMap", **obj}, node, patch, form, validation)


@pytest.mark.parametrize(
    ("form", "body", "said"),
    [
        (MERGE, b"{", "error decoding patch: unexpected end of JSON input"),
        (
            MERGE,
            b"5",
            "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}",
        ),
        (STRATEGIC, b"{", "unexpected end of JSON input"),
        (STRATEGIC, b"[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (JSON_PATCH, b'[{"op"', "error decoding patch: unexpected end of JSON input"),
    ],
)
def test_what_is_no_patch_is_a_bad_request(form: str, body: bytes, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_patch(body, form)
    assert refused.value.message == said


def test_a_configuration_is_yaml_and_an_object() -> None:
    with pytest.raises(BadRequest) as refused:
        read_configuration(b"{")
    assert refused.value.message == (
        "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content"
    )
    with pytest.raises(BadRequest) as refused:
        read_configuration(b"[]")
    assert refused.value.message == (
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into "
        "Go value of type map[string]interface {}"
    )
    obj, problems = read_configuration(b"data:\n  a: '1'\n  a: '2'\n")
    assert obj == {"data": {"a": "2"}}
    assert problems == (
        'error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: key "a" already set in map',
    )


@pytest.mark.parametrize(
    ("patch", "made", "said"),
    [
        (b'{"foo":1,"data":{"x":5}}', {"data": {"x": 5}}, "cannot convert int64 to string"),
        (b'{"data":5}', {"data": 5}, "cannot restore map from int64"),
        (b'{"foo":1,"bar":{"x":1}}', {"foo": 1, "bar": {"x": 1}},
         'strict decoding error: unknown field "bar", unknown field "foo"'),
        (b'{"data":{"x":"1","x":"2"},"foo":1}', {"data": {"x": "2"}, "foo": 1},
         'strict decoding error: duplicate field "data.x", unknown field "foo"'),
    ],
)  # fmt: skip
def test_what_a_strategic_patch_made_wrong_is_refused_with_the_patch(
    patch: bytes, made: Any, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check(made, read_patch(patch, STRATEGIC), STRATEGIC)
    assert refused.value.message.startswith(' "" is invalid: patch: Invalid value: "map[')
    assert refused.value.message.endswith(f": {said}")


def test_what_a_json_patch_made_wrong_is_refused_with_the_result() -> None:
    patch = read_patch(b'[{"op":"add","path":"/data/z","value":"1","value":"2","foo":1}]', JSON_PATCH)
    with pytest.raises(Invalid) as refused:
        check({"data": {"z": "2"}}, patch, JSON_PATCH)
    assert refused.value.message == (
        ' "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"v1\\",\\"data\\":{\\"z\\":\\"2\\"},'
        '\\"kind\\":\\"ConfigMap\\"}": strict decoding error: json patch duplicate field "[0].value", '
        'json patch unknown field "[0].foo"'
    )


def test_without_strict_validation_unknown_fields_are_dropped_and_told() -> None:
    made = {"foo": 1, "data": {"a": "b"}}
    obj, warnings = check(made, {"foo": 1}, MERGE, "Warn")
    assert obj == {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
    assert warnings == ('unknown field "foo"',)
    assert check(made, {"foo": 1}, MERGE, "Ignore")[1] == ()
