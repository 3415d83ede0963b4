"""From the bytes of a body to the object of a call: media type, size, syntax, kind, unknown fields."""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Cause, Details, TooLarge, UnsupportedMediaType
from kruise_rollouts.sandbox.apply.patched import read_configuration, read_patch
from kruise_rollouts.sandbox.custom.value_check import invalid, shown
from kruise_rollouts.sandbox.pipeline import Hooks
from kruise_rollouts.sandbox.refusals import invalid_options, not_supported
from kruise_rollouts.sandbox.request import Call, Options
from kruise_rollouts.sandbox.schemas.field_types import WrongType
from kruise_rollouts.sandbox.schemas.fields import Expected, check_fields, check_object, strict_refusal
from kruise_rollouts.sandbox.schemas.schema import Node, custom_schema, schema_of
from kruise_rollouts.sandbox.writes import APPLY, JSON_PATCH, MERGE, STRATEGIC, unsupported_patch

from . import protobuf
from .bodies import BadBody, decode_json, too_deep

MANAGER_LENGTH = 128  # bytes
LIMIT_BYTES = 3 * 1024 * 1024
ACCEPTED = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml, application/vnd.kubernetes.protobuf"
)
PROTOBUF = "application/vnd.kubernetes.protobuf"
_JSON = ("application/json", "")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_POLICIES = ("Foreground", "Background", "Orphan", "nil")


def decode_body(call: Call, body: bytes, hooks: Hooks) -> Call:
    """`call` with its body. Raises BadRequest, TooLarge, UnsupportedMediaType, Invalid."""
    if len(body) > LIMIT_BYTES:
        raise TooLarge(f"Request entity too large: limit is {LIMIT_BYTES}")
    if call.verb == "patch":
        return _with_patch(call, body, hooks)
    if call.content_type not in (*_JSON, "application/yaml", PROTOBUF):
        raise UnsupportedMediaType(ACCEPTED)
    if call.verb.startswith("delete"):
        return _with_delete_options(call, body)
    if call.subresource == "eviction":
        # Clients of the time before policy/v1 evict to this day; the two versions have the same fields.
        body = body.replace(b"policy/v1beta1", b"policy/v1", 1)
    expected, schema = _expected(call, hooks)
    if call.content_type == PROTOBUF:
        obj = _from_protobuf(body, expected)
    else:
        try:
            obj, problems = check_fields(body, schema, expected, call.content_type)
        except RecursionError:
            raise BadRequest(f"{_unrecognised(expected)}json parse error: {too_deep(body)}") from None
        _tell(call, obj, problems, expected)
    return msgspec.structs.replace(call, body=obj)


def _expected(call: Call, hooks: Hooks) -> tuple[Expected, Node]:
    """The kind that the path takes, and its schema."""
    resource = call.resource
    sub = resource.subresource(call.subresource) if call.subresource else None
    if sub is None or sub.kind == resource.kind:
        known = hooks.schema_of(resource)
        expected = Expected(resource.group, resource.version, resource.kind)
    else:
        version = sub.version or resource.version
        expected = Expected(sub.group if sub.version else resource.group, version, sub.kind)
        known = None
    if known is None:
        known = schema_of(expected.group, expected.version, expected.kind)
    return expected, custom_schema(None) if known is None else known


def _tell(call: Call, obj: JsonObject, problems: tuple[str, ...], expected: Expected) -> None:
    """Refuses, warns of, or ignores unknown and duplicate fields, as fieldValidation asks. Raises BadRequest."""
    if not problems or call.options.field_validation == "Ignore":
        return
    if call.options.field_validation == "Strict":
        raise strict_refusal(obj, problems, expected)
    call.warnings.extend(problems)


def _unrecognised(expected: Expected) -> str:
    return (
        f"the object provided is unrecognized (must be of type {expected.kind}): couldn't get version/kind; "
    )


def _from_protobuf(body: bytes, expected: Expected) -> JsonObject:
    try:
        obj = protobuf.decode(body, expected.api_version, expected.kind)
    except protobuf.Malformed as bad:
        raise BadRequest(f"{_unrecognised(expected)}{bad}") from None
    except LookupError as bad:
        raise BadRequest(str(bad.args[0])) from None
    if (obj["apiVersion"], obj["kind"]) != (expected.api_version, expected.kind):
        version = obj["apiVersion"].rpartition("/")[2]
        raise BadRequest(f'{obj["kind"]} in version "{version}" cannot be handled as a {expected.kind}')
    return obj


def _with_patch(call: Call, body: bytes, hooks: Hooks) -> Call:
    if call.content_type not in (MERGE, STRATEGIC, JSON_PATCH, *APPLY):
        raise UnsupportedMediaType("415: Unsupported Media Type", details=Details())
    if call.content_type == STRATEGIC and call.resource.custom:
        raise unsupported_patch(call)
    if call.content_type in APPLY:
        return msgspec.structs.replace(call, body=_applied(call, body, hooks))
    if call.options.force:
        cause = Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")
        raise invalid_options("PatchOptions", cause)
    patch = read_patch(body, call.content_type)
    return msgspec.structs.replace(call, body=patch)


def _applied(call: Call, body: bytes, hooks: Hooks) -> JsonObject:
    """An apply configuration: whole, of the right kind, with the name of the URL if it has none."""
    if not call.options.field_manager:
        cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
        raise invalid_options("PatchOptions", cause)
    expected, _ = _expected(call, hooks)
    obj, problems = read_configuration(body)
    version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    if (version, kind) != (expected.api_version, expected.kind):
        full = version if "/" in str(version) else f"/{version}"
        raise BadRequest(f"invalid object type: {full}, Kind={kind}")
    if problems and call.options.field_validation == "Strict":
        raise BadRequest(f"error strict decoding YAML: {problems[0]}")
    if call.options.field_validation != "Ignore":
        call.warnings.extend(problems)
    meta = obj.get("metadata") or {}
    return obj if meta.get("name") else {**obj, "metadata": {**meta, "name": call.name}}


class _Preconditions(msgspec.Struct, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None


class _DeleteOptions(msgspec.Struct, rename="camel"):
    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None
    preconditions: _Preconditions | None = None
    dry_run: tuple[str, ...] | None = None


def _options_in(value: Json) -> _DeleteOptions:
    """Raises BadRequest for a body of another kind, MsgspecError for one that is no DeleteOptions."""
    if isinstance(value, dict) and value.get("kind") not in (None, "", "DeleteOptions"):
        version, kind = value.get("apiVersion") or "meta.k8s.io/v1", value["kind"]
        raise BadRequest(
            f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'
        )
    node = schema_of("", "v1", "DeleteOptions")
    try:
        if node is not None and isinstance(value, dict):
            check_object(value, node)
    except WrongType as wrong:
        raise BadRequest(str(wrong)) from wrong
    return msgspec.convert(value, type=_DeleteOptions)


def _with_delete_options(call: Call, body: bytes) -> Call:
    try:
        if call.content_type == PROTOBUF:
            given = msgspec.convert(protobuf.decode(body, "v1", "DeleteOptions"), type=_DeleteOptions)
        else:
            given = _options_in(decode_json(body))
    except BadBody as bad:
        raise BadRequest(f"couldn't get version/kind; json parse error: {bad}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, protobuf.Malformed, LookupError) as bad:
        raise BadRequest(f"couldn't get version/kind; json parse error: {bad}") from None
    asked = call.options
    policy = given.propagation_policy or asked.propagation
    if given.orphan_dependents is not None:
        if given.propagation_policy is not None:
            raise _both_policies(policy)
        policy = "Orphan" if given.orphan_dependents else "Background"
    before = given.preconditions or _Preconditions()
    grace = given.grace_period_seconds
    options = msgspec.structs.replace(
        asked,
        propagation=policy,
        grace_period_seconds=asked.grace_period_seconds if grace is None else grace,
        uid=before.uid,
        precondition_rv=before.resource_version,
        dry_runs=asked.dry_runs + (given.dry_run or ()),
        dry_run=asked.dry_run or "All" in (given.dry_run or ()),
    )
    return msgspec.structs.replace(call, options=options)


def _both_policies(policy: str) -> ApiError:
    why = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
    return invalid_options("DeleteOptions", Cause("FieldValueInvalid", why, "propagationPolicy"))


def check_options(verb: str, options: Options) -> None:
    """Raises Invalid for a value that no option has."""
    kinds = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
    kind = kinds.get(verb, "DeleteOptions")
    causes = []
    if any(d != "All" for d in options.dry_runs):
        causes.append(not_supported("dryRun", f"[{','.join(shown(d) for d in options.dry_runs)}]", ("All",)))
    if verb in kinds:
        if len(options.field_manager) > MANAGER_LENGTH:
            text = f"Too long: may not be more than {MANAGER_LENGTH} bytes"
            causes.append(Cause("FieldValueTooLong", text, "fieldManager"))
        bad = next(((i, c) for i, c in enumerate(options.field_manager) if not c.isprintable()), None)
        if bad is not None:
            why = f"invalid character U+{ord(bad[1]):04X} (at position {bad[0]})"
            causes.append(invalid("fieldManager", options.field_manager, why))
        if options.field_validation not in _VALIDATIONS:
            causes.append(not_supported("fieldValidation", shown(options.field_validation), _VALIDATIONS))
    if options.asked_twice and kind == "DeleteOptions":
        raise _both_policies(options.propagation)
    if options.propagation not in ("", *_POLICIES[:3]):
        causes.append(not_supported("propagationPolicy", shown(options.propagation), _POLICIES))
    if causes:
        raise invalid_options(kind, *causes)
