"""What every client is asked to make: a Deployment, a kind of its own, a Rollout."""

from __future__ import annotations

from typing import Any

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        },
    },
}

ROLLOUT: dict[str, Any] = {
    "apiVersion": "rollouts.kruise.io/v1beta1",
    "kind": "Rollout",
    "metadata": {"name": "web"},
    "spec": {
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "strategy": {"canary": {"steps": [{"replicas": 1, "pause": {}}, {"replicas": "100%"}]}},
    },
}


def definition(plural: str) -> dict[str, Any]:
    """A CRD of the group clients.example.com; each test has its own."""
    spec = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    names = {"plural": plural, "singular": plural[:-1], "kind": plural[:-1].capitalize()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.clients.example.com"},
        "spec": {
            "group": "clients.example.com",
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }


def custom(plural: str, name: str = "one", size: int = 3) -> dict[str, Any]:
    """An object of that CRD."""
    kind = plural[:-1].capitalize()
    return {
        "apiVersion": "clients.example.com/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"size": size},
    }


def image(version: str) -> dict[str, Any]:
    """A patch of the Deployment to that version."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": f"web:{version}"}]}}}}
