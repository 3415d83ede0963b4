"""The Helm chart says what the code says: three of its templates are generated (UPDATE_GOLDEN=1), one is compared."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kruise_rollouts.operator.installation import (
    NAME,
    Installation,
    access_objects,
    as_yaml,
    crd_objects,
    manager_objects,
    webhook_objects,
)
from kruise_rollouts.operator.webhook_configurations import Target

CHART = Path(__file__).parents[2] / "charts" / "kruise-rollout"
HEADER = "{{- /* Generated from src/kruise_rollouts; run: UPDATE_GOLDEN=1 pytest tests/golden */ -}}\n"
NAMESPACE = "{{ .Values.installation.namespace }}"
MARK = "chart-namespace"  # stands for the namespace until the text is made
HERE = Installation(Target(namespace=MARK))
SELECTED = "{{- toYaml .Values.rollout.webhook.objectSelector | nindent 6 }}"
KEPT = "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"


def crds() -> str:
    text = templated(as_yaml(crd_objects(HERE)))
    kept = re.sub(r"^metadata:\n  name: \S+\n", lambda found: found[0] + KEPT, text, flags=re.MULTILINE)
    return "{{- if .Values.crds.managed }}\n" + kept + "{{- end }}\n"


def access() -> str:
    objects = [o for o in access_objects(HERE) if o["kind"] != "ServiceAccount"]
    return templated(as_yaml(objects)).replace(NAME, "{{ .Values.rollout.fullname }}")


def webhooks() -> str:
    objects = webhook_objects(HERE)
    for webhook in objects[0]["webhooks"]:
        webhook["objectSelector"].setdefault("matchExpressions", []).append({"key": "MORE"})
    text = templated(as_yaml(objects))
    alone = text.replace("matchExpressions:\n    - key: MORE\n", f"matchExpressions:\n    {SELECTED}\n")
    more = "    {{- with .Values.rollout.webhook.objectSelector }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
    return alone.replace("    - key: MORE\n", more)


def templated(text: str) -> str:
    assert "{{" not in text
    return text.replace("port: 443", "port: {{ .Values.service.port }}").replace(MARK, NAMESPACE)


GENERATED = {"crds.yaml": crds, "access.yaml": access, "webhooks.yaml": webhooks}


@pytest.mark.parametrize("name", GENERATED)
def test_the_templates_say_what_the_code_says(name: str) -> None:
    made = HEADER + GENERATED[name]()
    path = CHART / "templates" / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(made)
    assert path.read_text() == made


def values(path: str) -> Any:
    found: Any = yaml.safe_load((CHART / "values.yaml").read_text())
    for name in path.strip(".").split(".")[1:]:
        found = found[name]
    return found


def rendered(name: str) -> list[dict[str, Any]]:
    """A template with the default values, as far as this chart's templates need it."""
    text = (CHART / "templates" / name).read_text()
    text = re.sub(r"\n *\{\{- with [^}]*\}\}\n(?:.*\n)*? *\{\{- end \}\}(?=\n)", "", text)
    text = re.sub(r"^.*\{\{- (?:if|end)\b.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{\{- toYaml (\.Values\.\S+) \| nindent \d+ \}\}", lambda m: str(values(m[1])), text)
    text = re.sub(r"\{\{ (\.Values\.\S+)(?: \|[^}]*)? \}\}", lambda m: str(values(m[1])), text)
    return [o for o in yaml.safe_load_all(text) if o]


def test_the_manager_of_the_chart_is_the_one_of_the_manifests() -> None:
    chart = {o["kind"]: o for o in rendered("manager.yaml")}
    plain = {o["kind"]: o for o in manager_objects(Installation()) if o["kind"] in chart}
    assert chart["Service"] == plain["Service"]
    assert chart["PodDisruptionBudget"] == plain["PodDisruptionBudget"]
    ours, theirs = (d["Deployment"]["spec"]["template"]["spec"] for d in (chart, plain))
    for field in (
        "serviceAccountName",
        "securityContext",
        "volumes",
        "terminationGracePeriodSeconds",
        "affinity",
    ):
        assert ours[field] == theirs[field], field
    for field in ("command", "securityContext", "volumeMounts", "resources", "ports"):
        assert ours["containers"][0][field] == theirs["containers"][0][field], field
