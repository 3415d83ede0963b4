"""Requests for certificates, as `kubectl certificate` handles them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from server_stage import Client, play

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def a_request_for(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


GOOD = {
    "request": a_request_for("joe"),
    "signerName": "kubernetes.io/kube-apiserver-client",
    "usages": ["client auth"],
}


def asked(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "joe"}, "spec": {**GOOD, **spec}}


def decision(kind: str, status: str = "True") -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status, "reason": "Asked"}]}}


def test_a_request_names_who_asked_whatever_it_says_itself() -> None:
    async def story(client: Client) -> None:
        made = (await client.post(REQUESTS, asked(username="somebody", groups=["all"]))).body
        assert made["spec"]["username"] == "system:apiserver"
        assert "system:masters" in made["spec"]["groups"] and "all" not in made["spec"]["groups"]

    play(story)


def test_an_approval_is_written_once_and_stays() -> None:
    async def story(client: Client) -> None:
        await client.post(REQUESTS, asked())
        approved = (await client.patch(f"{REQUESTS}/joe/approval", decision("Approved"))).body
        (condition,) = approved["status"]["conditions"]
        assert condition["type"] == "Approved" and condition["lastTransitionTime"]
        removed = await client.patch(f"{REQUESTS}/joe/approval", {"status": {"conditions": []}})
        assert (
            removed.code == 422 and 'may not remove a condition of type "Approved"' in removed.body["message"]
        )
        await client.patch(f"{REQUESTS}/joe/status", {"status": {"conditions": []}})
        await client.patch(f"{REQUESTS}/joe", {"spec": {"usages": ["any"]}, **decision("Denied")})
        kept = (await client.get(f"{REQUESTS}/joe")).body
        assert (kept["spec"], kept["status"]) == (approved["spec"], approved["status"])

    play(story)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"request": "eHg="},
            'spec.request: Invalid value: "eHg=": PEM block type must be CERTIFICATE REQUEST',
        ),
        ({"usages": []}, "spec.usages: Required value"),
        ({"usages": ["flying"]}, 'spec.usages[0]: Unsupported value: "flying"'),
        ({"signerName": ""}, "spec.signerName: Required value"),
        (
            {"signerName": "bad"},
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ),
        ({"signerName": "x/y"}, '"x": should be a domain with at least two segments separated by dots'),
        (
            {"expirationSeconds": 5},
            "Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
        ),
    ],
)
def test_a_request_that_nobody_could_sign_is_refused(spec: dict[str, Any], message: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.post(REQUESTS, asked(**spec))
        assert answer.code == 422 and message in answer.body["message"]

    play(story)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (decision("Approved", "False"), 'status.conditions[0].status: Unsupported value: "False"'),
        (
            {"status": {"conditions": [{"type": t, "status": "True"} for t in ("Approved", "Denied")]}},
            "Approved and Denied conditions are mutually exclusive",
        ),
    ],
)
def test_a_decision_that_is_none_is_refused(status: dict[str, Any], message: str) -> None:
    async def story(client: Client) -> None:
        await client.post(REQUESTS, asked())
        answer = await client.patch(f"{REQUESTS}/joe/approval", status)
        assert answer.code == 422 and message in answer.body["message"]
        assert "conditions" not in (await client.get(f"{REQUESTS}/joe")).body["status"]

    play(story)
