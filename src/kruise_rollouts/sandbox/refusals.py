"""The refusals every resource has in common, worded as on the wire."""

from __future__ import annotations

import msgspec

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Conflict,
    Details,
    Invalid,
    MethodNotAllowed,
    NotFound,
)

from .resources import Resource
from .wording import json_text, quoted

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def not_found(resource: Resource, name: str) -> NotFound:
    details = Details(name=name, group=resource.group, kind=resource.plural)
    return NotFound(f'{resource.group_resource} "{name}" not found', details=details)


def no_such_path() -> NotFound:
    return NotFound("the server could not find the requested resource", details=Details())


def not_allowed() -> MethodNotAllowed:
    return MethodNotAllowed(
        "the server does not allow this method on the requested resource", details=Details()
    )


def already_exists(resource: Resource, name: str) -> AlreadyExists:
    details = Details(name=name, group=resource.group, kind=resource.plural)
    return AlreadyExists(f'{resource.group_resource} "{name}" already exists', details=details)


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> Conflict:
    details = Details(name=name, group=resource.group, kind=resource.plural)
    return Conflict(
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}', details=details
    )


def precondition(resource: Resource, name: str, why: str) -> Conflict:
    """A DELETE whose precondition does not hold; names the kind, as Kubernetes does there."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = Details(name=name, group=resource.group, kind=resource.kind)
    return Conflict(f'Operation cannot be fulfilled on {kind} "{name}": {why}', details=details)


def invalid(kind: str, group: str, name: str, causes: tuple[Cause, ...]) -> Invalid:
    """422 with `causes`; each distinct one is said once."""
    said = tuple(dict.fromkeys(f"{c.field}: {c.message}" for c in causes))
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    full = f"{kind}.{group}" if group else kind
    details = Details(name=name, group=group, kind=kind, causes=causes)
    return Invalid(f'{full} "{name}" is invalid: {text}', details=details)


def invalid_object(resource: Resource, name: str, causes: tuple[Cause, ...]) -> Invalid:
    return invalid(
        resource.kind, resource.storage[0] if resource.storage[1] else resource.group, name, causes
    )


def invalid_options(kind: str, *causes: Cause) -> Invalid:
    """Query parameters that contradict each other or have no such value; `kind` is ListOptions, CreateOptions, ..."""
    return invalid(kind, "meta.k8s.io", "", causes)


def not_supported(field: str, shown: str, allowed: tuple[str, ...]) -> Cause:
    options = ", ".join(f'"{a}"' for a in allowed)
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown}: supported values: {options}", field)


def refused_patch(obj: JsonObject, why: str) -> Invalid:
    """422 for what a patch has made."""
    cause = Cause("FieldValueInvalid", f"Invalid value: {quoted(json_text(obj))}: {why}", "patch")
    return invalid("", "", "", (cause,))


def too_large_version(asked: int, current: int) -> ApiError:
    causes = (Cause(reason="ResourceVersionTooLarge", message="Too large resource version"),)
    return ApiError(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        code=504,
        reason="Timeout",
        details=Details(causes=causes, retry_after_seconds=1),
    )


def status_body(error: ApiError, metadata: JsonObject | None = None) -> JsonObject:
    """The Status that tells a client of `error`."""
    body: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure"}
    body["message"] = error.message
    if error.reason:
        body["reason"] = error.reason
    if error.details is not None:
        body["details"] = msgspec.to_builtins(error.details)
    body["code"] = error.code or 500
    return body
