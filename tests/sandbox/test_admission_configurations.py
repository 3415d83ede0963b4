"""Webhook configurations are completed and judged word for word as Kubernetes 1.36 judged them.

`webhook_answers.json` holds answers recorded from a real API server: a configuration, and the causes it was refused
with (none: accepted).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kruise_rollouts.sandbox.admission.webhook_rules import default_webhooks, validate_webhooks

RECORDED = json.loads(Path(__file__).with_name("webhook_answers.json").read_text())


@pytest.mark.parametrize(("configuration", "causes"), [r[1:] for r in RECORDED], ids=[r[0] for r in RECORDED])
def test_a_configuration_is_judged_as_kubernetes_judges_it(configuration: Any, causes: Any) -> None:
    found = validate_webhooks(default_webhooks(configuration))
    assert [[c.field, c.reason, c.message] for c in found] == causes


def test_what_is_left_out_is_filled_in() -> None:
    hook = {
        "name": "a.b.c",
        "clientConfig": {"service": {"name": "a", "namespace": "b"}},
        "rules": [{"operations": ["*"]}],
    }
    mutating = {"kind": "MutatingWebhookConfiguration", "webhooks": [hook]}
    assert default_webhooks(mutating)["webhooks"] == [
        {
            "name": "a.b.c",
            "clientConfig": {"service": {"name": "a", "namespace": "b", "port": 443}},
            "rules": [{"operations": ["*"], "scope": "*"}],
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "timeoutSeconds": 10,
            "reinvocationPolicy": "Never",
        }
    ]
    validating = {"kind": "ValidatingWebhookConfiguration", "webhooks": [hook]}
    assert "reinvocationPolicy" not in default_webhooks(validating)["webhooks"][0]
