"""Reviews in and out, in both versions an API server may speak."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from kruise_rollouts.kube.admission import (
    AdmissionResponse,
    admission_answer,
    conversion_answer,
    read_admission,
    read_conversion,
    refused,
)
from kruise_rollouts.kube.errors import BadRequest
from kruise_rollouts.kube.objects import Meta


class Box(Struct, frozen=True):
    metadata: Meta = Meta()


def a_review(version: str = "v1", **request: Any) -> bytes:
    sent = {
        "uid": "705ab4f5",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "name": "web",
        "namespace": "shop",
        "operation": "UPDATE",
        "userInfo": {"username": "ann", "groups": ["system:authenticated"], "extra": {"a": ["b"]}},
        "object": {"metadata": {"name": "web"}},
        "oldObject": None,
        "dryRun": True,
        "options": {"kind": "UpdateOptions"},
        **request,
    }
    return msgspec.json.encode(
        {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": sent}
    )


def answered(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_review_is_answered_in_its_own_version(version: str) -> None:
    spoken, request = read_admission(a_review(version))
    answer = answered(admission_answer(spoken, request.uid, AdmissionResponse()))
    assert answer["apiVersion"] == f"admission.k8s.io/{version}"
    assert answer["kind"] == "AdmissionReview"
    assert answer["response"] == {"uid": "705ab4f5", "allowed": True}


def test_objects_are_read_as_what_is_asked_for() -> None:
    _, request = read_admission(a_review(subResource="status"))
    box = request.new(Box)
    assert box is not None and box.metadata.name == "web"
    assert request.old(Box) is None
    assert request.sub_resource == "status"
    assert request.dry_run
    assert request.user_info.username == "ann"


def test_an_object_that_is_not_what_was_asked_for_is_a_bad_request() -> None:
    _, request = read_admission(a_review(object={"metadata": 5}))
    with pytest.raises(BadRequest, match="object cannot be read"):
        request.new(Box)


def test_a_patch_travels_as_base64_of_its_operations() -> None:
    operations = ({"op": "replace", "path": "/spec/paused", "value": True},)
    answer = answered(admission_answer("admission.k8s.io/v1", "u", AdmissionResponse(patch=operations)))[
        "response"
    ]
    assert answer["patchType"] == "JSONPatch"
    assert msgspec.json.decode(base64.b64decode(answer["patch"])) == list(operations)


def test_a_refusal_carries_message_and_code_and_no_patch() -> None:
    verdict = msgspec.structs.replace(
        refused("no", code=422, reason="Invalid"), patch=({"op": "test"},), warnings=("hm",)
    )
    answer = answered(admission_answer("admission.k8s.io/v1", "u", verdict))["response"]
    assert answer["allowed"] is False
    assert answer["status"] == {"status": "Failure", "message": "no", "reason": "Invalid", "code": 422}
    assert answer["warnings"] == ["hm"]
    assert "patch" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"kind":"Pod","apiVersion":"v1"}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2","request":{"uid":"1"}}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"EAT"}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_review_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_admission(body)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_conversion_keeps_the_order_of_its_objects(version: str) -> None:
    sent = {"uid": "u", "desiredAPIVersion": "g/v2", "objects": [{"n": 1}, {"n": 2}]}
    body = {"kind": "ConversionReview", "apiVersion": f"apiextensions.k8s.io/{version}", "request": sent}
    spoken, request = read_conversion(msgspec.json.encode(body))
    assert request.desired_version == "g/v2"
    answer = answered(conversion_answer(spoken, request.uid, request.objects))
    assert answer["response"]["convertedObjects"] == [{"n": 1}, {"n": 2}]
    assert answer["response"]["result"] == {"status": "Success"}
    assert answer["apiVersion"] == f"apiextensions.k8s.io/{version}"


def test_a_conversion_that_cannot_be_done_says_why_and_gives_nothing() -> None:
    answer = answered(conversion_answer("apiextensions.k8s.io/v1", "u", ({"n": 1},), "no such version"))[
        "response"
    ]
    assert answer["result"] == {"status": "Failure", "message": "no such version"}
    assert answer["convertedObjects"] == []
