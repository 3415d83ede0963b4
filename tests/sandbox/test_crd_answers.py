"""Custom objects and CRDs are judged word for word as Kubernetes 1.36 judged them.

`crd_answers.json` holds answers recorded from a real API server: `objects` are specs of custom objects with the causes
each was refused with (none: accepted), `definitions` are whole CRDs, `rules` are schemas with one CEL rule.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom.crd import CustomVersion
from kruise_rollouts.sandbox.custom.crd_rules import default_crd, validate_crd
from kruise_rollouts.sandbox.custom.schema_rules import schema_causes

RECORDED = json.loads(Path(__file__).with_name("crd_answers.json").read_text())
VERSIONS = [CustomVersion(o["version"]) for o in RECORDED["objects"]]


def told(causes: tuple[Cause, ...]) -> list[list[str]]:
    return [[c.field, c.reason, c.message] for c in causes]


@pytest.mark.parametrize(
    ("version", "spec", "causes"),
    [(v, *case) for v, o in zip(VERSIONS, RECORDED["objects"], strict=True) for case in o["cases"]],
    ids=[json.dumps(case[0]) for o in RECORDED["objects"] for case in o["cases"]],
)
def test_a_custom_object_is_judged_as_kubernetes_judges_it(
    version: CustomVersion, spec: Any, causes: Any
) -> None:
    obj = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}
    assert told(version.validate(version.prepare(obj), None)) == causes


@pytest.mark.parametrize(
    ("crd", "causes"), [d[1:] for d in RECORDED["definitions"]], ids=[d[0] for d in RECORDED["definitions"]]
)
def test_a_definition_is_judged_as_kubernetes_judges_it(crd: Any, causes: Any) -> None:
    found = told(validate_crd(default_crd(crd), None))
    assert sorted(found) == sorted(causes)


def rule_of(schema: Any) -> str:
    return str(schema["properties"]["spec"]["x-kubernetes-validations"][0])


@pytest.mark.parametrize(
    ("schema", "causes"), RECORDED["rules"], ids=[rule_of(r[0]) for r in RECORDED["rules"]]
)
def test_a_rule_is_judged_as_kubernetes_judges_it(schema: Any, causes: Any) -> None:
    assert told(tuple(schema_causes(schema, "spec.validation.openAPIV3Schema"))) == causes


ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "port": {"type": "integer"}, "kind": {"type": "string"}},
}
SPEC = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "timeout": {"type": "string"},
        "value": {"type": "string"},
        "count": {"x-kubernetes-int-or-string": True},
        "refs": {"type": "array", "items": ITEM},
        "names": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "path": ITEM,
    },
}


@pytest.mark.parametrize(
    "rule",
    [
        "!(has(self.path) && has(self.refs))",
        "self.type == 'A' ? has(self.path) : !has(self.path)",
        "[has(self.path), has(self.refs)].exists_one(x, x)",
        "[has(self.path), has(self.refs)].filter(x, x == true).size() == 1",
        "self.refs.all(a, self.refs.exists_one(b, a.name == b.name && (has(a.kind) ? a.kind : '') == b.kind))",
        "self.refs.filter(f, f.name == 'a').size() <= 1 && size(self.refs) != 0",
        '!has(self.value) || self.value.matches(r"""^[a-z]+$""")',
        "has(self.timeout) && duration(self.timeout) != duration('0s') ? duration(self.timeout) >= duration('1s') : true",
        "type(self.count) == string ? self.count.matches('^[0-9]+%$') : self.count > 0",
        "self.names.all(n, n in ['a', 'b'] && !(n in self.labels))",
        "self.labels.all(k, k.startsWith('a') || self.labels[k] == '')",
        "self.refs.map(r, r.port).sum() > 10 && self.refs.map(r, r.name).isSorted()",
        "self.?value.orValue('') != '' && self.?path.?name.hasValue()",
        "self.refs[0].name == 'a' && self.names[size(self.names) - 1].size() > 1",
        "self == oldSelf && (!has(oldSelf.value) || has(self.value))",
        "self.refs.exists(r, oldSelf.refs.exists(o, o.name == r.name))",
        "quantity(self.value).isLessThan(quantity('1Gi')) && url(self.value).getScheme() == 'https'",
        "self.names.join(',').split(',').size() == 2 && 'x=%s'.format([self.value]) != ''",
        "(self.type in ['A', 'B']) == (self.type != 'C')",
        "string(self.refs.size()) + 'a' == '1a' && int('1') + 1 == 2",
        "dyn(self.type) == 1 || timestamp(self.value) < timestamp('2030-01-01T00:00:00Z')",
    ],
)
def test_a_rule_that_works_is_not_refused(rule: str) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {**SPEC, "x-kubernetes-validations": [{"rule": rule}]}},
    }
    assert told(tuple(schema_causes(schema, "schema"))) == []
