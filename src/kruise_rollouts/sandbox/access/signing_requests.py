"""CertificateSigningRequests: who asked is filled in, what was asked is fixed, approval and denial are written once.

Nobody signs in the sandbox: an approved request stays without a certificate.
"""

from __future__ import annotations

import base64
import binascii

from cryptography import x509

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.builtin.validation_meta import Causes, subdomain
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required, unsupported
from kruise_rollouts.sandbox.resources import StorageKey

REQUESTS: StorageKey = ("certificates.k8s.io", "certificatesigningrequests")
SHORTEST_SECONDS = 600
_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
_DECISIONS = ("Approved", "Denied")
_LASTING = (*_DECISIONS, "Failed")


def asked_by(obj: JsonObject, user: JsonObject) -> JsonObject:
    """A new request with its author: username, uid, groups, extra."""
    asked = {
        k: v for k, v in (obj.get("spec") or {}).items() if k not in ("username", "uid", "groups", "extra")
    }
    return {**obj, "spec": {**asked, **user}}


def decided(new: JsonObject, given: JsonObject, live: JsonObject, subresource: str, now: str) -> JsonObject:
    """`new` with the status that a write of `given` leaves. Approval and denial have a path of their own."""
    was: JsonObject = live.get("status") or {}
    status: JsonObject = given.get("status") or {}
    match subresource:
        case "approval":
            conditions = status.get("conditions") or ()
            status = was
        case "status":
            kept = [c for c in was.get("conditions") or () if c.get("type") in _DECISIONS]
            conditions = [
                *kept,
                *(c for c in status.get("conditions") or () if c.get("type") not in _DECISIONS),
            ]
        case _:
            conditions = was.get("conditions") or ()
            status = was
    out = {**status, "conditions": [_dated(c, now) for c in conditions]}
    return {
        **new,
        "spec": live.get("spec") or {},
        "status": out if conditions else _without_conditions(status),
    }


def _without_conditions(status: JsonObject) -> JsonObject:
    return {k: v for k, v in status.items() if k != "conditions"}


def _dated(condition: JsonObject, now: str) -> JsonObject:
    times = {k: condition.get(k) or now for k in ("lastUpdateTime", "lastTransitionTime")}
    return {**condition, **times}


def request_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    """What is wrong with a request."""
    if old is None:
        yield from _spec(new.get("spec") or {})


def decision_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    """What is wrong with what was decided about a request, or with the certificate that it got."""
    if old is not None:
        yield from _decision(new.get("status") or {}, old.get("status") or {})


def _spec(spec: JsonObject) -> Causes:
    if not _is_request(spec.get("request")):
        yield invalid("spec.request", spec.get("request"), "PEM block type must be CERTIFICATE REQUEST")
    usages = spec.get("usages") or ()
    if not usages:
        yield required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            yield unsupported(f"spec.usages[{index}]", usage, _USAGES)
    yield from _signer(spec.get("signerName") or "")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SHORTEST_SECONDS:
        why = f"may not specify a duration less than {SHORTEST_SECONDS} seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", seconds, why)


def _is_request(encoded: Json) -> bool:
    try:
        x509.load_pem_x509_csr(base64.b64decode(encoded or ""))
    except (ValueError, TypeError, binascii.Error):
        return False
    return True


def _signer(name: str) -> Causes:
    at = "spec.signerName"
    domain, _, path = name.partition("/")
    if not name:
        yield required(at)
    elif not path or "/" in path:
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        yield invalid(at, name, why)
    elif "." not in domain:
        yield invalid(at, domain, "should be a domain with at least two segments separated by dots")
    else:
        yield from subdomain(at, domain)


def _decision(status: JsonObject, was: JsonObject) -> Causes:
    at = "status.conditions"
    now = {c.get("type") for c in status.get("conditions") or ()}
    for condition in was.get("conditions") or ():
        kind = condition.get("type")
        if kind in _LASTING and kind not in now:
            yield forbidden(at, f'updates may not remove a condition of type "{kind}"')
    for index, condition in enumerate(status.get("conditions") or ()):
        yield from _condition(f"{at}[{index}]", condition)
    if {"Approved", "Denied"} <= now:
        yield invalid(at, "Denied", "Approved and Denied conditions are mutually exclusive")
    yield from _certificate(status.get("certificate"))


def _condition(at: str, condition: JsonObject) -> Causes:
    status = condition.get("status") or ""
    if not condition.get("type"):
        yield required(f"{at}.type")
    if not status:
        yield required(f"{at}.status")
    elif condition.get("type") in _LASTING and status != "True":
        yield unsupported(f"{at}.status", status, ("True",))


def _certificate(encoded: Json) -> Causes:
    if not encoded:
        return
    try:
        found = x509.load_pem_x509_certificates(base64.b64decode(encoded))
    except (ValueError, TypeError, binascii.Error):
        found = []
    if not found:
        why = "must contain at least one CERTIFICATE PEM block"
        yield Cause("FieldValueInvalid", f'Invalid value: "<certificate data>": {why}', "status.certificate")
