"""Command lines typed at two clusters, and what each came to without what differs between any two clusters.

A file in typed/ has a command a line; `k` is the kubectl under test in a namespace of the run.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SECONDS = 120  # for one command
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {t: p}}
spec:
  replicas: 3
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "nginx:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {t: p}}
data: {a: b}
"""
PLURAL = "widgets"
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.typed.example.com}
spec:
  group: typed.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.seen}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Seen, type: integer, jsonPath: .status.seen, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: Made to be typed.
        properties:
          spec:
            type: object
            properties: {size: {type: integer, minimum: 1, description: How many.}}
          status: {type: object, properties: {seen: {type: integer}}}
"""
# What differs between any two clusters, and what it is replaced by; in this order.
_STEADY: tuple[tuple[str, str], ...] = (
    (r"https://127\.0\.0\.1:\d+", "URL"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\b(10|172|192)\.\d+\.\d+\.\d+(/\d+)?\b", "ADDRESS"),
    (r"\b(fake-)?node-\d\b", "NODE"),
    (r'("?[rR]esource ?Version"?: *)"?\d+"?', r"\1VERSION"),
    (r"\b[A-Z]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "LOG "),
    (r"(?<=-)(?=[a-z0-9]*[2456789])[bcdfghjklmnpqrstvwxz2456789]{6,10}\b(?!\.)", "HASH"),
    (r"(?<=HASH-)[bcdfghjklmnpqrstvwxz2456789]{5}\b", "RANDOM"),
    (r'pod-template-hash(["=: ]+)[a-z0-9]+', r"pod-template-hash\1HASH"),
    (r"(nodePort: |[:\"])3\d{4}\b", r"\1PORT"),
    (r"\b3\d{4}/TCP", "PORT/TCP"),
    (r"(?<![\w.:/-])(\d+[dhms]){1,2}(?![\w.:/-])", "AGE"),
    (r"<invalid>", "AGE"),
    (r"kubectl[\w.-]*-edit-\d+", "EDITED"),
    (r"[ \t]+", " "),
    (r"-{3,}", "---"),
)


class Typed(NamedTuple):
    command: str
    code: int
    out: str
    err: str


def commands(name: str) -> list[str]:
    """The lines of a file in typed/."""
    return (HERE / "typed" / f"{name}.sh").read_text().splitlines()


def steady(text: str) -> str:
    """`text` without what differs between any two clusters."""
    for pattern, replacement in _STEADY:
        text = re.sub(pattern, replacement, text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


class Typist:
    """Types at one cluster."""

    def __init__(self, kubectl: str, config: Path, home: Path, ns: str) -> None:
        manifest, changed, definition = (home / f"{n}.yaml" for n in ("manifest", "changed", "definition"))
        manifest.write_text(MANIFEST)
        changed.write_text(MANIFEST.replace("nginx:1", "nginx:2").replace("{a: b}", "{a: c, d: e}"))
        definition.write_text(DEFINITION)
        files = {"MANIFEST": str(manifest), "CHANGED": str(changed), "DEFINITION": str(definition)}
        own = {"KUBECONFIG": str(config), "HOME": str(home), "K": kubectl, "NS": ns, "PLURAL": PLURAL}
        self._env = {**os.environ, **own, **files}
        self._home = home

    def type(self, command: str) -> Typed:
        """What came of a command."""
        script = f'k() {{ "$K" -n "$NS" "$@"; }}\n{command}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._home,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        out, err = (steady(text.replace(str(self._home), "HOME")) for text in (done.stdout, done.stderr))
        return Typed(command, done.returncode, out, err)
