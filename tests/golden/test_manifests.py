"""manifests/ is generated: `UPDATE_GOLDEN=1 pytest tests/golden` writes it anew, a review sees what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from kruise_rollouts.operator.installation import (
    Installation,
    access_objects,
    all_objects,
    as_yaml,
    crd_objects,
)

MANIFESTS = Path(__file__).parents[2] / "manifests"
HEADER = (
    "# Generated from src/kruise_rollouts; change it there and run: UPDATE_GOLDEN=1 pytest tests/golden\n"
)
FILES = {"crds.yaml": crd_objects, "install.yaml": all_objects}


@pytest.mark.parametrize("name", FILES)
def test_the_manifests_say_what_the_code_says(name: str) -> None:
    made = HEADER + as_yaml(FILES[name](Installation()))
    if os.environ.get("UPDATE_GOLDEN"):
        MANIFESTS.mkdir(exist_ok=True)
        (MANIFESTS / name).write_text(made)
    assert (MANIFESTS / name).read_text() == made


def test_what_is_generated_can_be_read_back() -> None:
    objects = all_objects(Installation())
    assert list(yaml.safe_load_all(as_yaml(objects))) == list(objects)


def test_the_webhooks_are_applied_after_what_answers_them() -> None:
    kinds = [o["kind"] for o in all_objects(Installation())]
    assert kinds[-2:] == ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    assert kinds.index("Namespace") < kinds.index("ServiceAccount")


def rules() -> list[dict[str, Any]]:
    roles = [o for o in access_objects(Installation()) if o["kind"] in ("Role", "ClusterRole")]
    return [r for o in roles if "editor" not in o["metadata"]["name"] for r in o["rules"]]


def test_the_manager_has_no_right_that_would_let_it_take_over_a_cluster() -> None:
    for rule in rules():
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        for resource in ("customresourcedefinitions", "mutatingwebhookconfigurations"):
            if resource in rule["resources"]:
                assert rule["resourceNames"] and "create" not in rule["verbs"]
        assert not {"deployments", "pods", "replicasets"} & set(rule["resources"]) or not {
            "create",
            "delete",
            "update",
        } & set(rule["verbs"])


def test_whoever_may_edit_rollouts_may_approve_them() -> None:
    editor = next(
        o for o in access_objects(Installation()) if o["metadata"]["name"] == "kruise-rollout-editor-role"
    )
    assert any("rollouts/status" in r["resources"] and "patch" in r["verbs"] for r in editor["rules"])
