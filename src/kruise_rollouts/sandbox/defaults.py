"""Default values of built-in kinds."""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject

from .resources import Resource


def apply_defaults(resource: Resource, obj: JsonObject) -> JsonObject:
    """`obj` with defaults filled in; the same dict if nothing was missing. Never changes `obj`."""
    return obj
