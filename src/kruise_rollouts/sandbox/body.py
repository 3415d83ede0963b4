"""From the bytes of a body to the object of a call: media type, size, syntax, kind, unknown fields."""

from __future__ import annotations

import msgspec
import yaml

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, Details, TooLarge, UnsupportedMediaType

from . import protobuf
from .pipeline import Expected, Hooks
from .refusals import invalid_options, not_supported
from .request import Call, Options
from .value_check import invalid, shown
from .writes import APPLY, JSON_PATCH, MERGE, STRATEGIC, unsupported_patch

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
    expected = _expected(call)
    if call.content_type == PROTOBUF:
        obj = _from_protobuf(body, expected)
    else:
        text = _yaml_as_json(body, expected) if call.content_type == "application/yaml" else body
        obj, problems = hooks.decode(text, expected)
        _tell(call, problems)
    _check_kind(obj, expected)
    return msgspec.structs.replace(call, body=obj)


def _expected(call: Call) -> Expected:
    """The kind that the path takes."""
    resource = call.resource
    sub = resource.subresource(call.subresource) if call.subresource else None
    if sub is None or sub.kind == resource.kind:
        return Expected(resource, resource.group, resource.version, resource.kind)
    return Expected(None, sub.group, sub.version or resource.version, sub.kind)


def _tell(call: Call, problems: tuple[str, ...]) -> None:
    """Refuses, warns of, or ignores unknown and duplicate fields, as fieldValidation asks. Raises BadRequest."""
    if not problems or call.options.field_validation == "Ignore":
        return
    if call.options.field_validation == "Strict":
        raise BadRequest(f"{_strict_prefix(call)}strict decoding error: {', '.join(problems)}")
    call.warnings.extend(problems)


def _strict_prefix(call: Call) -> str:
    resource = call.resource
    if resource.custom:
        return ""
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '


def _from_protobuf(body: bytes, expected: Expected) -> JsonObject:
    try:
        return protobuf.decode(body, expected.api_version, expected.kind)
    except protobuf.Malformed as bad:
        raise BadRequest(f"{_unrecognised(expected)}{bad}") from None
    except LookupError as bad:
        raise BadRequest(str(bad.args[0])) from None


def _unrecognised(expected: Expected) -> str:
    return (
        f"the object provided is unrecognized (must be of type {expected.kind}): couldn't get version/kind; "
    )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON: dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml_as_json(body: bytes, expected: Expected) -> bytes:
    try:
        value = yaml.load(body, Loader=_Loader)
        return msgspec.json.encode(value)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, RecursionError) as bad:
        first = str(bad).splitlines()[0] if str(bad) else "cannot be read"
        raise BadRequest(f"{_unrecognised(expected)}yaml: {first}") from None


def _check_kind(obj: JsonObject, expected: Expected) -> None:
    kind, api_version = obj.get("kind") or expected.kind, obj.get("apiVersion") or expected.api_version
    if not isinstance(kind, str) or not isinstance(api_version, str):
        raise BadRequest(f"{_unrecognised(expected)}kind and apiVersion must be strings")
    if (kind, api_version) == (expected.kind, expected.api_version):
        return
    version = api_version.rpartition("/")[2]
    if expected.resource is not None and expected.resource.custom:
        group = api_version.rpartition("/")[0]
        if (kind, group) != (expected.kind, expected.group):
            raise BadRequest(
                f"the API version in the data ({api_version}) does not match the expected API version "
                f"({expected.api_version})"
                if kind == expected.kind
                else f'{kind} in version "{version}" cannot be handled as a {expected.kind}: no kind "{kind}" is '
                f'registered for version "{api_version}"'
            )
    raise BadRequest(
        f'{kind} in version "{version}" cannot be handled as a {expected.kind}: converting ({version}.{kind}) to '
        f"({expected.package}.{expected.kind}): unknown conversion"
    )


def _with_patch(call: Call, body: bytes, hooks: Hooks) -> Call:
    if call.content_type not in (MERGE, STRATEGIC, JSON_PATCH, *APPLY):
        raise UnsupportedMediaType("415: Unsupported Media Type", details=Details())
    if call.content_type == STRATEGIC and call.resource.custom:
        raise unsupported_patch(call)
    if call.content_type in APPLY:
        expected = _expected(call)
        if not call.options.field_manager:
            cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
            raise invalid_options("PatchOptions", cause)
        return msgspec.structs.replace(call, body=_applied(call, body, expected, hooks))
    if call.options.force:
        cause = Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")
        raise invalid_options("PatchOptions", cause)
    try:
        patch: Json = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        raise BadRequest(f"error decoding patch: {bad}") from None
    return msgspec.structs.replace(call, body=patch)


def _applied(call: Call, body: bytes, expected: Expected, hooks: Hooks) -> JsonObject:
    """An apply configuration: whole, of the right kind, with the name of the URL if it has none."""
    obj, problems = hooks.decode(_yaml_as_json(body, expected), expected)
    _tell(call, problems)
    if (obj.get("apiVersion"), obj.get("kind")) != (expected.api_version, expected.kind):
        version = str(obj.get("apiVersion") or "")
        full = version if "/" in version else f"/{version}"
        raise BadRequest(f"invalid object type: {full}, Kind={obj.get('kind') or ''}")
    meta = obj.get("metadata")
    if meta is None or (isinstance(meta, dict) and not meta.get("name")):
        obj = {**obj, "metadata": {**(meta or {}), "name": call.name}}
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
        if call.content_type == PROTOBUF:
            given = msgspec.convert(protobuf.decode(body, "v1", "DeleteOptions"), type=_DeleteOptions)
        else:
            given = msgspec.json.decode(body, type=_DeleteOptions)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, protobuf.Malformed, LookupError) as bad:
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
        dry_runs=asked.dry_runs + (given.dry_run or ()),
        dry_run=asked.dry_run or "All" in (given.dry_run or ()),
    )
    return msgspec.structs.replace(call, options=options)


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
    if options.propagation not in ("", *_POLICIES[:3]):
        causes.append(not_supported("propagationPolicy", shown(options.propagation), _POLICIES))
    if causes:
        raise invalid_options(kind, *causes)
