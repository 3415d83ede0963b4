"""Completing objects: once is enough, and what is given is left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from default_cases import CASES_BY_KIND
from server_stage import a_pod

from kruise_rollouts.sandbox.builtin.defaults import apply_defaults
from kruise_rollouts.sandbox.builtin.validation import validate
from kruise_rollouts.sandbox.resources import Resource, built_in

REGISTRY = built_in()


def resource_of(obj: dict[str, Any]) -> Resource:
    group, _, version = obj["apiVersion"].rpartition("/")
    found = REGISTRY.by_kind(group, obj["kind"], version)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", sorted(CASES_BY_KIND))
def test_a_complete_object_is_not_touched_again(kind: str) -> None:
    given = CASES_BY_KIND[kind]
    before = copy.deepcopy(given)
    once = apply_defaults(resource_of(given), given)
    assert given == before
    again = apply_defaults(resource_of(given), copy.deepcopy(once))
    assert again == once


def test_a_template_and_its_pods_get_the_same_defaults() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **a_pod()}
    pods = REGISTRY.find("", "v1", "pods")
    assert pods is not None
    whole = apply_defaults(pods, pod)
    assert whole["spec"]["enableServiceLinks"] is True
    assert whole["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert validate(pods, whole, None, "") == ()


def test_a_write_of_the_status_is_not_judged_by_its_spec() -> None:
    pods = REGISTRY.find("", "v1", "pods")
    assert pods is not None
    broken = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}
    assert validate(pods, broken, None, "")
    assert validate(pods, broken, broken, "status") == ()
