"""Lists of conditions in a raw status: find, set, remove. Each function returns a new list."""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject


def find(conditions: list[JsonObject], kind: str) -> JsonObject | None:
    return next((c for c in conditions if c.get("type") == kind), None)


def is_true(conditions: list[JsonObject], kind: str) -> bool:
    found = find(conditions, kind)
    return found is not None and found.get("status") == "True"


def without(conditions: list[JsonObject], kind: str) -> list[JsonObject]:
    return [c for c in conditions if c.get("type") != kind]


def with_condition(conditions: list[JsonObject], new: JsonObject) -> list[JsonObject]:
    """`conditions` with `new` at the end, unless one of its type has the same status and reason already.

    The message alone never replaces a condition, and lastTransitionTime moves with the status only.
    """
    old = find(conditions, new["type"])
    if old is not None and old.get("status") == new["status"] and old.get("reason") == new.get("reason"):
        return conditions
    if old is not None and old.get("status") == new["status"]:
        new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return [*without(conditions, new["type"]), new]
