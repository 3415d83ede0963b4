"""What a webhook has answered: JSON, or YAML where it does not begin like JSON."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.patch import json_type
from kruise_rollouts.sandbox.schemas.fields import TYPE_META
from kruise_rollouts.sandbox.wire.bodies import BadBody, decode_json, decode_yaml, too_deep

_PARSE_ERROR = "couldn't get version/kind; json parse error: "


class BadReview(ValueError):
    """It cannot be understood; str() is what a caller of webhooks says then."""


def read_review(body: bytes) -> JsonObject:
    """The object in `body`. Raises BadReview."""
    if not body:
        raise BadReview("0-length response with status code: 200 and content type: application/json")
    value = _value(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong = f"json: cannot unmarshal {json_type(value)} into Go value of type {TYPE_META}"
        raise BadReview(_PARSE_ERROR + wrong)
    return value


def _value(body: bytes) -> Json:
    if body.lstrip().startswith(b"{"):
        try:
            return decode_json(body)
        except BadBody as bad:
            raise BadReview(f"{_PARSE_ERROR}{bad}") from bad
        except RecursionError:
            raise BadReview(_PARSE_ERROR + too_deep(body)) from None
    try:
        return decode_yaml(body)[0]
    except BadBody as bad:
        raise BadReview(str(bad)) from bad
