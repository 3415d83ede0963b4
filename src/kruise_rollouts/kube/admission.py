"""Reviews an API server sends to webhooks, and the answers: admission (v1, v1beta1) and conversion (v1, v1beta1).

Bytes in, Structs out, and back. What is admitted or converted is decided by handlers elsewhere.
"""

from __future__ import annotations

import base64
from typing import Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from .effects import Json, JsonObject
from .errors import BadRequest

T = TypeVar("T")

_NULL = Raw(b"null")


class GroupVersionKind(Struct, frozen=True):
    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(Struct, frozen=True):
    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(Struct, frozen=True):
    """Who sent the request that is being admitted."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class AdmissionRequest(Struct, frozen=True, rename="camel"):
    """One request to be admitted. `object` and `old_object` are decoded when asked for, as what is asked for."""

    uid: str
    kind: GroupVersionKind = GroupVersionKind()
    resource: GroupVersionResource = GroupVersionResource()
    sub_resource: str = ""
    name: str = ""  # "" on a create with generateName
    namespace: str = ""
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"] = "CREATE"
    user_info: UserInfo = UserInfo()
    object: Raw = _NULL
    old_object: Raw = _NULL
    dry_run: bool = False
    options: Raw = _NULL

    def new(self, of: type[T]) -> T | None:
        """`object` as an `of`; None on a delete. Raises BadRequest if it cannot be read as that."""
        return _decode(self.object, of, "object")

    def old(self, of: type[T]) -> T | None:
        """`old_object` as an `of`; None on a create. Raises BadRequest if it cannot be read as that."""
        return _decode(self.old_object, of, "oldObject")


class AdmissionResponse(Struct, frozen=True):
    """The verdict on one request."""

    allowed: bool = True
    message: str = ""  # shown to the person who is refused
    code: int = 0  # HTTP status of a refusal; 0: 403
    reason: str = ""  # Status reason of a refusal
    patch: tuple[JsonObject, ...] = ()  # JSON patch (RFC 6902) operations
    warnings: tuple[str, ...] = ()  # shown to the person, allowed or not


ALLOWED = AdmissionResponse()


def refused(message: str, *, code: int = 403, reason: str = "Forbidden") -> AdmissionResponse:
    """A refusal with what to tell the person."""
    return AdmissionResponse(allowed=False, message=message, code=code, reason=reason)


class ConversionRequest(Struct, frozen=True):
    """Objects of one group to be shown in another version."""

    uid: str
    desired_version: str = msgspec.field(name="desiredAPIVersion")  # "rollouts.kruise.io/v1beta1"
    objects: tuple[JsonObject, ...] = ()


class _Request(Struct, frozen=True):
    request: Raw = _NULL
    apiVersion: str = ""
    kind: str = ""


_review = msgspec.json.Decoder(_Request).decode
_admission = msgspec.json.Decoder(AdmissionRequest).decode
_conversion = msgspec.json.Decoder(ConversionRequest).decode


def read_admission(body: bytes) -> tuple[str, AdmissionRequest]:
    """The apiVersion of the review, to be answered in, and its request. Raises BadRequest."""
    review = _read(body, "AdmissionReview", "admission.k8s.io")
    try:
        return review.apiVersion, _admission(review.request)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the AdmissionReview has no usable request: {error}") from error


def admission_answer(api_version: str, uid: str, response: AdmissionResponse) -> bytes:
    """The AdmissionReview that carries `response`."""
    verdict: JsonObject = {"uid": uid, "allowed": response.allowed}
    if not response.allowed:
        verdict["status"] = {
            "status": "Failure",
            "message": response.message,
            "reason": response.reason,
            "code": response.code or 403,
        }
    elif response.patch:
        verdict["patchType"] = "JSONPatch"
        verdict["patch"] = base64.b64encode(msgspec.json.encode(response.patch)).decode()
    if response.warnings:
        verdict["warnings"] = response.warnings
    return msgspec.json.encode({"apiVersion": api_version, "kind": "AdmissionReview", "response": verdict})


def read_conversion(body: bytes) -> tuple[str, ConversionRequest]:
    """The apiVersion of the review, to be answered in, and its request. Raises BadRequest."""
    review = _read(body, "ConversionReview", "apiextensions.k8s.io")
    try:
        return review.apiVersion, _conversion(review.request)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the ConversionReview has no usable request: {error}") from error


def conversion_answer(
    api_version: str, uid: str, objects: tuple[JsonObject, ...], problem: str = ""
) -> bytes:
    """The ConversionReview that carries `objects`, in the order of the request, or says what the `problem` is."""
    result: Json = {"status": "Failure", "message": problem} if problem else {"status": "Success"}
    answer = {"uid": uid, "convertedObjects": () if problem else objects, "result": result}
    return msgspec.json.encode({"apiVersion": api_version, "kind": "ConversionReview", "response": answer})


def _read(body: bytes, kind: str, group: str) -> _Request:
    try:
        review = _review(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is no {kind}: {error}") from error
    if review.kind != kind or review.apiVersion not in (f"{group}/v1", f"{group}/v1beta1"):
        raise BadRequest(
            f"expected a {kind} of {group}/v1 or v1beta1, got {review.kind!r} of {review.apiVersion!r}"
        )
    return review


def _decode(raw: Raw, of: type[T], what: str) -> T | None:
    try:
        return msgspec.json.decode(raw, type=of | None)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"{what} cannot be read: {error}") from error
