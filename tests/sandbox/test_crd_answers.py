"""Custom objects and CRDs are judged word for word as Kubernetes 1.36 judged them.

`crd_answers.json` holds answers recorded from a real API server: `objects` are specs of custom objects with the causes
each was refused with (none: accepted), `definitions` are whole CRDs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.crd import CustomVersion
from kruise_rollouts.sandbox.crd_rules import default_crd, validate_crd

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
