"""Patches as bodies, and what they have made of an object: decoded, checked and refused as an API server does.

Merging itself is in kube/patch.py, strategic.py and apply.py.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Cause, Details, Invalid
from kruise_rollouts.kube.patch import json_type
from kruise_rollouts.sandbox.schemas.field_types import WrongType
from kruise_rollouts.sandbox.schemas.fields import check_object, strict_text
from kruise_rollouts.sandbox.schemas.schema import Node
from kruise_rollouts.sandbox.wire.bodies import BadBody, decode_json, decode_yaml, repeated_keys, too_deep
from kruise_rollouts.sandbox.wording import json_text, plain, quoted

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_OPERATION = ("op", "path", "from", "value")
_A_MAP = "json: cannot unmarshal {} into Go value of type map[string]interface {{}}"


def read_patch(body: bytes, content_type: str) -> Json:
    """A JSON, merge or strategic merge patch, as JSON. Raises BadRequest."""
    prefix = "" if content_type == STRATEGIC else "error decoding patch: "
    try:
        patch = decode_json(body)
    except BadBody as bad:
        raise BadRequest(f"{prefix}{bad}") from bad
    except RecursionError:
        raise BadRequest(f"{prefix}{too_deep(body)}") from None
    if content_type != JSON_PATCH:
        if patch is None:
            raise BadRequest("Invalid JSON Patch")
        if not isinstance(patch, dict):
            raise BadRequest(prefix + _A_MAP.format(json_type(patch)))
    return patch


def read_configuration(body: bytes) -> tuple[JsonObject, tuple[str, ...]]:
    """A configuration to apply, from YAML, and what strict field validation has against it. Raises BadRequest."""
    try:
        value, twice = decode_yaml(body)
    except BadBody as bad:
        raise BadRequest(f"error decoding YAML: error converting YAML to JSON: {bad}") from bad
    if value is not None and not isinstance(value, dict):
        wrong = _A_MAP.format(json_type(value))
        raise BadRequest(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {wrong}")
    lines = "\n  ".join(("yaml: unmarshal errors:", *twice))
    return value or {}, (f"error converting YAML to JSON: {lines}",) if twice else ()


def check_result(
    obj: JsonObject, schema: Node, patch: Json, content_type: str, validation: str
) -> tuple[JsonObject, tuple[str, ...]]:
    """What `patch` has made, as the server understands it, and warnings. `validation`: fieldValidation.

    Raises Invalid for a value of a wrong type, and under Strict for unknown and repeated fields.
    """
    strategic = content_type == STRATEGIC
    ordered = {key: obj[key] for key in sorted(obj)}
    try:
        checked, unknown = check_object(ordered, schema)
    except WrongType as wrong:
        why = wrong.converted if strategic else _first_fault(ordered, schema)
        raise refused(ordered, patch, content_type, why) from wrong
    if len(unknown) > 1:  # told in the order in which patched objects are read
        unknown = tuple(sorted(unknown)) if strategic else check_object(_in_order(obj), schema)[1]
    problems = (*repetitions(patch, content_type), *unknown)
    if problems and validation == "Strict":
        raise refused(ordered, patch, content_type, strict_text(problems))
    out = {key: checked[key] for key in obj if key in checked}
    if len(out) == len(obj) and all(out[key] is obj[key] for key in obj):
        out = obj
    return out, () if validation == "Ignore" else problems


def _first_fault(obj: JsonObject, schema: Node) -> str:
    """Which value of a wrong type is told: patched objects are read with their keys in order."""
    try:
        check_object(_in_order(obj), schema)
    except WrongType as wrong:
        return str(wrong)
    raise AssertionError("the order of keys makes no value right")


def _in_order(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(v) for v in value] if isinstance(value, list) else value


def refused(obj: JsonObject, patch: Json, content_type: str, why: str) -> ApiError:
    """422 for what a patch has made."""
    shown = plain(patch) if content_type == STRATEGIC else json_text(obj, ordered=False)
    text = f"Invalid value: {quoted(shown)}: {why}"
    causes = (Cause("FieldValueInvalid", text, "patch"),)
    return Invalid(f' "" is invalid: patch: {text}', details=Details(causes=causes))


def repetitions(patch: Json, content_type: str) -> tuple[str, ...]:
    """Keys that `patch` gives twice, and for a JSON patch members that no operation has."""
    if content_type != JSON_PATCH:
        return tuple(repeated_keys(patch))
    out: list[str] = []
    for position, operation in enumerate(patch or ()):
        out += repeated_keys(operation, f"[{position}]")
        out += [f'unknown field "[{position}].{key}"' for key in operation if key not in _OPERATION]
    return tuple(f"json patch {problem}" for problem in out)
