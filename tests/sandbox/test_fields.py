"""Bodies that are not right, and what a Kubernetes 1.36 API server says of them (each message was recorded)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Invalid
from kruise_rollouts.sandbox.schemas import fields, schema

DEPLOYMENT = fields.Expected("apps", "v1", "Deployment")
UNHANDLED = 'Deployment in version "v1" cannot be handled as a Deployment: '
UNRECOGNIZED = "the object provided is unrecognized (must be of type Deployment): "
PARSE = UNRECOGNIZED + "couldn't get version/kind; json parse error: "
TYPE_META = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)


def deployment(container: JsonObject | None = None, **spec: Any) -> JsonObject:
    pod = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i", **(container or {})}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "z"}, "spec": spec}


def complaint(body: JsonObject | str, content_type: str = "application/json") -> str:
    """What strict field validation answers; "" if nothing."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    node = schema.schema_of("apps", "v1", "Deployment")
    assert node is not None
    try:
        obj, problems = fields.check_fields(raw, node, DEPLOYMENT, content_type)
    except BadRequest as error:
        return error.message
    return fields.strict_refusal(obj, problems, DEPLOYMENT).message if problems else ""


def in_text(body: JsonObject, old: str, new: str) -> str:
    text = json.dumps(body)
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (deployment(), ""),
        (deployment(foo=1), 'strict decoding error: unknown field "spec.foo"'),
        (
            {**deployment(foo=1, bar=2), "zzz": 1},
            'strict decoding error: unknown field "spec.foo", unknown field "spec.bar", unknown field "zzz"',
        ),
        (
            deployment({"foo": 1, "ports": [{"containerPort": 80, "bar": 1}]}),
            'strict decoding error: unknown field "spec.template.spec.containers[0].foo", '
            'unknown field "spec.template.spec.containers[0].ports[0].bar"',
        ),
        (deployment(Replicas=3), 'strict decoding error: unknown field "spec.Replicas"'),
        (
            in_text(deployment(replicas=1), '"replicas": 1', '"replicas": 1, "replicas": 2'),
            'strict decoding error: duplicate field "spec.replicas"',
        ),
        (
            in_text(deployment(), '"name": "z"', '"name": "z", "name": "y", "foo": 1'),
            'strict decoding error: duplicate field "metadata.name", unknown field "metadata.foo"',
        ),
    ],
)
def test_unknown_and_repeated_fields_are_named(body: JsonObject | str, said: str) -> None:
    assert complaint(body) == (UNHANDLED + said if said else "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (deployment(replicas="3"), "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (
            deployment(replicas=3.5),
            "number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(replicas=99999999999),
            "number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (deployment(paused="x"), "string into Go struct field DeploymentSpec.spec.paused of type bool"),
        (
            deployment(template=[]),
            "array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec",
        ),
        (
            deployment({"image": 5}),
            "number into Go struct field Container.spec.template.spec.containers.image of type string",
        ),
        (
            deployment({"imagePullPolicy": 1}),
            "number into Go struct field Container.spec.template.spec.containers.imagePullPolicy "
            "of type v1.PullPolicy",
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": []}}),
            "array into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        (
            {**deployment(), "metadata": {"labels": {"a": 1}}},
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {**deployment(), "metadata": {"labels": "x"}},
            "string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_gos_words(body: JsonObject, said: str) -> None:
    assert complaint(body) == f"{UNHANDLED}json: cannot unmarshal {said}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", PARSE + "unexpected end of JSON input ({)"),
        ("", PARSE + "unexpected end of JSON input (<empty>)"),
        ("[]", f"{PARSE}json: cannot unmarshal array into Go value of type {TYPE_META} (5b5d)"),
        ('{"a":1} x', PARSE + "invalid character 'x' after top-level value ({\"a\":1} x)"),
        ("{'a':1}", PARSE + "invalid character '\\'' looking for beginning of object key string ({'a':1})"),
        (
            '{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":}}',
            PARSE
            + 'invalid character \'}\' looking for beginning of value ({"apiVersion":"apps/v1","kind" ...)',
        ),
        (
            '{"kind":"Foo"}',
            'Foo in version "v1" cannot be handled as a Deployment: no kind "Foo" is registered for version '
            '"apps/v1" in scheme "pkg/runtime/scheme.go:111"',
        ),
        (
            '{"apiVersion":"v1","kind":"Pod"}',
            'Pod in version "v1" cannot be handled as a Deployment: converting (v1.Pod) to (apps.Deployment): '
            "unknown conversion",
        ),
        (
            '{"apiVersion":"a/b/c"}',
            UNRECOGNIZED + 'unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})',
        ),
    ],
)
def test_what_is_no_such_object_is_refused(body: str, said: str) -> None:
    assert complaint(body) == said


def test_yaml_repeats_keys_by_line_and_knows_all_booleans_of_yaml_1_1() -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: z}\nspec:\n  foo: 1\n  replicas: 1\n  replicas: 2\n"
    assert complaint(text, "application/yaml") == (
        UNHANDLED + "strict decoding error: yaml: unmarshal errors:\n"
        '  line 7: key "replicas" already set in map, unknown field "spec.foo"'
    )
    assert "cannot unmarshal bool" in complaint("metadata: {name: y}", "application/yaml")


def test_unknown_fields_and_nulls_of_built_in_kinds_do_not_get_any_further() -> None:
    node = schema.schema_of("apps", "v1", "Deployment")
    assert node is not None
    body = deployment({"foo": 1}, bar=None)
    body["metadata"]["annotations"] = None
    obj, problems = fields.check_object(body, node)
    assert obj == deployment()
    assert problems == (
        'unknown field "spec.template.spec.containers[0].foo"',
        'unknown field "spec.bar"',
    )


def test_a_right_object_comes_out_as_it_went_in() -> None:
    node = schema.schema_of("apps", "v1", "Deployment")
    assert node is not None
    body = deployment()
    assert fields.check_object(body, node)[0] is body


CUSTOM: JsonObject = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    },
}
THING = fields.Expected("example.com", "v1", "Thing")


def thing(**spec: Any) -> JsonObject:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "z"}, "spec": spec}


def test_custom_kinds_report_unknown_fields_except_where_they_are_welcome() -> None:
    node = schema.custom_schema(CUSTOM)
    body = thing(foo=1, free={"x": 1}, size="not checked here")
    obj, problems = fields.check_fields(json.dumps(body).encode(), node, THING)
    assert obj == body
    assert problems == ('unknown field "spec.foo"',)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (
            {**thing(), "kind": "Foo"},
            Invalid,
            'Foo.example.com "z" is invalid: kind: Invalid value: "Foo": must be Thing',
        ),
        (
            {**thing(), "apiVersion": "v1"},
            BadRequest,
            "the API version in the data (v1) does not match the expected API version (example.com/v1)",
        ),
        (
            {**thing(), "metadata": {"labels": {"a": 1}}},
            BadRequest,
            'Thing in version "v1" cannot be handled as a Thing: json: cannot unmarshal number into Go struct '
            "field ObjectMeta.labels of type string",
        ),
    ],
)
def test_a_custom_object_of_another_kind_is_refused(
    body: JsonObject, error: type[ApiError], said: str
) -> None:
    with pytest.raises(error) as refused:
        fields.check_fields(json.dumps(body).encode(), schema.custom_schema(CUSTOM), THING)
    assert refused.value.message == said
