"""Calls one admission webhook: the review it is sent, and what its answer means, in Kubernetes' words.

Which webhooks are asked is in webhook_match.py; in which order, and what becomes of an object, in admission.py.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, BadRequest, Cause, Details, InternalError, Invalid
from kruise_rollouts.kube.patch import json_patch
from kruise_rollouts.sandbox.pipeline import Attempt
from kruise_rollouts.sandbox.request import User
from kruise_rollouts.sandbox.resources import Resource

from .callers import Caller, CallFailed
from .webhook_bodies import BadReview, read_review
from .webhook_match import Hook

WARNINGS_LIMIT, WARNING_LIMIT = 4096, 256  # characters: of all warnings; of each, if they are too many
_CLIENT_MESSAGES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "unknown",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    406: "the server was unable to respond with a content type that the client supports",
    409: "the server reported a conflict",
    415: "the server was unable to process the request body",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


_SCHEME = "pkg/runtime/scheme.go:111"  # as it stands in Kubernetes' own messages


class Verdict(Struct, frozen=True):
    """What an admitting webhook said."""

    warnings: tuple[str, ...] = ()
    patch: Json = None  # decoded JSON patch; None if there is none


class CallError(Exception):
    """The webhook gave no usable answer: failurePolicy decides what that means."""


def internal(message: str) -> InternalError:
    """500 as the API server words its own failures."""
    return InternalError(
        f"Internal error occurred: {message}", details=Details(causes=(Cause(message=message),))
    )


def review_of(hook: Hook, attempt: Attempt, matched: Resource, uid: str) -> JsonObject:
    """The AdmissionReview sent to `hook`; objects of `attempt` are in the version of `matched` already."""
    version = next((v for v in hook.versions if v in ("v1", "v1beta1")), "v1")
    request = review_request(attempt, matched, uid)
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": request}


def review_request(attempt: Attempt, matched: Resource, uid: str) -> JsonObject:
    """The request a review is about."""
    asked = attempt.resource
    request: JsonObject = {"uid": uid, "kind": _kind(matched, attempt), "resource": _resource(matched)}
    request["requestKind"], request["requestResource"] = _kind(asked, attempt), _resource(asked)
    if attempt.subresource:
        request["subResource"] = request["requestSubResource"] = attempt.subresource
    if attempt.name:
        request["name"] = attempt.name
    ns = attempt.name if asked.storage == ("", "namespaces") else attempt.ns
    if ns:
        request["namespace"] = ns
    return request | {
        "operation": attempt.operation,
        "userInfo": user_info(attempt.user),
        "object": attempt.obj,
        "oldObject": attempt.old,
        "dryRun": attempt.dry_run,
        "options": attempt.options or None,
    }


def _kind(resource: Resource, attempt: Attempt) -> JsonObject:
    if attempt.subresource:
        sub = resource.subresource(attempt.subresource)
        if sub is not None and sub.kind != resource.kind:
            return {"group": sub.group, "version": sub.version or resource.version, "kind": sub.kind}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> JsonObject:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def user_info(user: User) -> JsonObject:
    """`user` as reviews show it."""
    out: JsonObject = {"username": user.name}
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = {k: list(v) for k, v in user.extra.items()}
    return out


async def ask(hook: Hook, review: JsonObject, caller: Caller) -> Verdict:
    """The verdict of `hook`. Raises CallError for no usable answer, ApiError for a refusal.

    Warnings of a refusal are in `refusal_warnings` of the error.
    """
    url = f"{hook.url}{'&' if '?' in hook.url else '?'}timeout={hook.timeout_seconds}s"
    try:
        status, body = await caller.post(
            url, msgspec.json.encode(review), hook.ca_bundle, float(hook.timeout_seconds)
        )
    except CallFailed as error:
        raise CallError(f'failed to call webhook: Post "{url}": {error}') from error
    if status >= 300:
        raise CallError(f"failed to call webhook: {client_message(status)}")
    return _read(hook, body, review)


def client_message(status: int) -> str:
    """What a client makes of an HTTP status without a usable body."""
    found = _CLIENT_MESSAGES.get(status)
    if found is not None:
        return found
    if status >= 500:
        return 'an error on the server ("unknown") has prevented the request from succeeding'
    return f"the server responded with the status code {status} but did not return more information"


def decode_review(body: bytes, api_version: str, kind: str) -> JsonObject:
    """The review in `body`. Raises CallError unless it is one of `api_version`."""
    try:
        answer = read_review(body)
    except BadReview as bad:
        raise CallError(f"failed to call webhook: {bad}") from bad
    version, found = answer.get("apiVersion") or api_version, answer.get("kind") or kind
    if found != kind:
        raise CallError(
            f'failed to call webhook: no kind "{found}" is registered for version "{version}" in scheme "{_SCHEME}"'
        )
    if version != api_version:
        was, wanted = version.rpartition("/")[2], api_version.rpartition("/")[2]
        raise CallError(
            f"failed to call webhook: converting ({was}.{kind}) to ({wanted}.{kind}): unknown conversion"
        )
    return answer


def _read(hook: Hook, body: bytes, review: JsonObject) -> Verdict:
    answer = decode_review(body, review["apiVersion"], "AdmissionReview")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise CallError("received invalid webhook response: webhook response was absent")
    uid = review["request"]["uid"]
    if review["apiVersion"] == "admission.k8s.io/v1" and response.get("uid") != uid:
        raise CallError(
            f'received invalid webhook response: expected response.uid="{uid}", got "{response.get("uid", "")}"'
        )
    warnings = _warnings(response)
    if not response.get("allowed"):
        raise denied(hook, response.get("status"), warnings)
    return Verdict(warnings, _patch(hook, response))


def _patch(hook: Hook, response: JsonObject) -> Json:
    raw, kind = response.get("patch"), response.get("patchType")
    if not raw:
        return None
    if not hook.mutating:
        raise CallError("received invalid webhook response: validating webhook may not return response.patch")
    if not kind:
        raise CallError(
            "received invalid webhook response: webhook returned response.patch but not response.patchType"
        )
    try:
        patch = msgspec.json.decode(base64.b64decode(raw, validate=True))
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise CallError(f"received undecodable patch in webhook response: {error}") from None
    if patch and kind != "JSONPatch":
        raise CallError(f'unsupported patch type "{kind}"')
    return patch or None


def _warnings(response: JsonObject) -> tuple[str, ...]:
    said = response.get("warnings")
    if not isinstance(said, list):
        return ()
    return tuple(dict.fromkeys(w for w in said if isinstance(w, str) and w))


def fitted(warnings: Iterable[str]) -> tuple[str, ...]:
    """Each of `warnings` once; too many are cut, and dropped where even that is too much."""
    said = tuple(dict.fromkeys(warnings))
    if sum(map(len, said)) <= WARNINGS_LIMIT:
        return said
    total, out = 0, []
    for warning in said:
        text = warning[:WARNING_LIMIT]
        total += len(text)
        if total > WARNINGS_LIMIT:
            break
        out.append(text)
    return tuple(out)


def refusal_warnings(error: ApiError) -> tuple[str, ...]:
    """Warnings that a refusal carries."""
    return fitted(error.refusal_warnings) if isinstance(error, Denied) else ()


class Denied(ApiError):
    """A webhook refused."""

    refusal_warnings: tuple[str, ...] = ()


def denied(hook: Hook, status: Json, warnings: tuple[str, ...]) -> Denied:
    """The refusal of `hook`, with the status it gave."""
    given: JsonObject = status if isinstance(status, dict) else {}
    why = given.get("message") or given.get("reason")
    text = f"denied the request: {why}" if why else "denied the request without explanation"
    details = _details(given.get("details"))
    error = Denied(
        f'admission webhook "{hook.name}" {text}',
        code=_status_code(given.get("code")),
        reason=given.get("reason") or "",
        details=details,
    )
    error.refusal_warnings = warnings
    return error


def _details(given: Json) -> Details | None:
    """The details a webhook gave; None for none, or for what is none."""
    try:
        return msgspec.convert(given, Details, strict=False) if given else None
    except msgspec.ValidationError:
        return None


def _status_code(code: Json) -> int:
    """A refusal is an error whatever code the webhook gave."""
    return code if isinstance(code, int) and code >= 400 else 400


def no_dry_run(hook: Hook) -> BadRequest:
    return BadRequest(f'admission webhook "{hook.name}" does not support dry run')


def _why_not(operation: Json, cause: str) -> str:
    """Why an operation does not apply, in Kubernetes' words."""
    name = operation.get("op") if isinstance(operation, dict) else ""
    what, _, path = cause.partition(": ")
    if what == "missing path" and name:
        quoted = path if name == "replace" else f'"{path}"'
        return f"{name} operation does not apply: doc is missing path: {quoted}: missing value"
    if what.startswith("testing value"):
        return f"{cause}: test failed"
    return cause[:1].upper() + cause[1:] if what == "unexpected kind" else cause


def apply_patch(obj: JsonObject, patch: Json) -> JsonObject:
    """`obj` after the patch of a webhook. Raises InternalError if it does not apply."""
    out: Json = obj
    for operation in patch if isinstance(patch, list) else [patch]:
        try:
            out = json_patch(out, [operation])
        except (Invalid, BadRequest) as error:
            raise internal(_why_not(operation, str(error.__cause__ or error.message))) from None
    if not isinstance(out, dict):
        raise internal("the patch does not leave an object")
    return out
