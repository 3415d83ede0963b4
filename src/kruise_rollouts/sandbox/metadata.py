"""What metadata may hold, for every kind."""

from __future__ import annotations

import re

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Cause

from .resources import Resource

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
# Names of these are path segments only: they may hold colons and capitals.
_FREE_NAMES = frozenset(("roles", "rolebindings", "clusterroles", "clusterrolebindings"))


def check_metadata(resource: Resource, new: JsonObject, old: JsonObject | None) -> tuple[Cause, ...]:
    """Why the metadata of `new` is refused; () if it is fine."""
    if old is not None:
        return ()
    name = new["metadata"].get("name") or ""
    if not name:
        return (
            Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name"),
        )
    if resource.plural in _FREE_NAMES or (_SUBDOMAIN.fullmatch(name) and len(name) <= 253):
        return ()
    return (Cause("FieldValueInvalid", f'Invalid value: "{name}": {SUBDOMAIN_RULE}', "metadata.name"),)
