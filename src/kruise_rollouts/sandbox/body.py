"""From the bytes of a body to the object of a call: media type, size, syntax, kind, unknown fields."""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, Details, TooLarge, UnsupportedMediaType

from .pipeline import Hooks
from .refusals import invalid_options, not_supported
from .request import Call, Options
from .writes import APPLY, JSON_PATCH, MERGE, STRATEGIC, unsupported_patch

LIMIT_BYTES = 3 * 1024 * 1024
ACCEPTED = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml, application/vnd.kubernetes.protobuf"
)
_JSON = ("application/json", "")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_POLICIES = ("Foreground", "Background", "Orphan", "nil")


def decode_body(call: Call, body: bytes, hooks: Hooks) -> Call:
    """`call` with its body. Raises BadRequest, TooLarge, UnsupportedMediaType, Invalid."""
    if len(body) > LIMIT_BYTES:
        raise TooLarge(f"Request entity too large: limit is {LIMIT_BYTES}", details=Details())
    if call.verb.startswith("delete"):
        return _with_delete_options(call, body)
    if call.verb == "patch":
        return _with_patch(call, body)
    if call.content_type not in (*_JSON, "application/yaml"):
        raise UnsupportedMediaType(ACCEPTED)
    obj = decode(body, call)
    return msgspec.structs.replace(call, body=obj)


def _with_patch(call: Call, body: bytes) -> Call:
    if call.content_type not in (MERGE, STRATEGIC, JSON_PATCH, *APPLY):
        raise UnsupportedMediaType("415: Unsupported Media Type", details=Details())
    if call.content_type == STRATEGIC and call.resource.custom:
        raise unsupported_patch(call)
    try:
        patch: Json = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        raise BadRequest(f"error decoding patch: {bad}") from None
    return msgspec.structs.replace(call, body=patch)


def decode(body: bytes, call: Call) -> JsonObject:
    """The object in `body`, checked to be of the kind that the path takes."""
    kind = call.resource.kind
    wrong = f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
    try:
        obj: Json = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        raise BadRequest(f"{wrong}{bad}") from None
    if not isinstance(obj, dict):
        raise BadRequest(f"{wrong}json: cannot unmarshal into an object")
    return obj


class _Preconditions(msgspec.Struct, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None


class _DeleteOptions(msgspec.Struct, rename="camel"):
    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None
    preconditions: _Preconditions | None = None
    dry_run: tuple[str, ...] | None = None


def _with_delete_options(call: Call, body: bytes) -> Call:
    try:
        given = msgspec.json.decode(body, type=_DeleteOptions)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        raise BadRequest(f"couldn't get version/kind; json parse error: {bad}") from None
    asked = call.options
    policy = given.propagation_policy or asked.propagation
    if given.orphan_dependents is not None:
        if given.propagation_policy is not None:
            why = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
            raise invalid_options("DeleteOptions", Cause("FieldValueInvalid", why, "propagationPolicy"))
        policy = "Orphan" if given.orphan_dependents else "Background"
    before = given.preconditions or _Preconditions()
    grace = given.grace_period_seconds
    options = msgspec.structs.replace(
        asked,
        propagation=policy,
        grace_period_seconds=asked.grace_period_seconds if grace is None else grace,
        uid=before.uid,
        precondition_rv=before.resource_version,
        dry_run=asked.dry_run or bool(given.dry_run),
    )
    return msgspec.structs.replace(call, options=options)


def check_options(verb: str, options: Options) -> None:
    """Raises Invalid for a value that no option has."""
    kind = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}.get(
        verb, "DeleteOptions"
    )
    if options.field_validation not in _VALIDATIONS:
        cause = not_supported("fieldValidation", f'"{options.field_validation}"', _VALIDATIONS)
        raise invalid_options(kind, cause)
    if options.propagation not in ("", *_POLICIES[:3]):
        raise invalid_options(kind, not_supported("propagationPolicy", f'"{options.propagation}"', _POLICIES))
