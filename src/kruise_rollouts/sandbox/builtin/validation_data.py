"""What ConfigMaps, Secrets, Leases, Events and ControllerRevisions may be."""

from __future__ import annotations

import base64
import json

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required

from .validation_meta import Causes, config_key, not_negative, qualified, too_long_text, unchanged

_MOST_BYTES = 1024 * 1024
_SEALED = "field is immutable when `immutable` is set"
# Keys that Secrets of a type need: all of them, or (basic-auth) one.
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}
_JSON = (".dockerconfigjson", ".dockercfg")
_ACCOUNT = "kubernetes.io/service-account.name"


def config_map_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    size = 0
    for key in sorted(data):
        yield from config_key(f"data[{key}]", key)
        if key in binary:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        size += len(data[key].encode())
    for key in sorted(binary):
        yield from config_key(f"binaryData[{key}]", key)
        size += len(base64.b64decode(binary[key]))
    if size > _MOST_BYTES:
        yield too_long_text("[]", _MOST_BYTES)
    if old is not None:
        yield from _sealed(new, old, ("data", "binaryData"))


def _sealed(new: JsonObject, old: JsonObject, fields: tuple[str, ...]) -> Causes:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", _SEALED)
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield forbidden(field, _SEALED)


def secret_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    kind, data = new.get("type", ""), new.get("data") or {}
    if old is not None:
        yield from unchanged("type", kind, old.get("type", ""))
        yield from _sealed(new, old, ("data",))
    for key in sorted(data):
        yield from config_key(f"data[{key}]", key)
    if sum(len(v) * 3 // 4 for v in data.values()) > _MOST_BYTES:
        yield too_long_text("data", _MOST_BYTES)
    if kind == "kubernetes.io/service-account-token" and not (new["metadata"].get("annotations") or {}).get(
        _ACCOUNT
    ):
        yield required(f"metadata.annotations[{_ACCOUNT}]")
    if kind == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        yield required("data[username]")
        yield required("data[password]")
    for key in _NEEDED.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif key in _JSON:
            yield from _is_json(f"data[{key}]", base64.b64decode(data[key]).decode("utf-8", "replace"))


def _is_json(path: str, text: str) -> Causes:
    try:
        json.loads(text)
    except ValueError:
        why = f"invalid character '{text.lstrip()[:1]}' looking for beginning of value"
        yield invalid(path, "<secret contents redacted>", why if text else "unexpected end of JSON input")


def lease_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    spec: JsonObject = new.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def event_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    """`new` in either version."""
    if new["apiVersion"] == "v1":
        about = new.get("involvedObject") or {}
        namespace = about.get("namespace", "")
        if namespace != new["metadata"].get("namespace") and (namespace or about.get("kind") != "Node"):
            yield invalid("involvedObject.namespace", namespace, "does not match event.namespace")
        return
    if old is not None:
        return
    if not new.get("eventTime"):
        yield required("eventTime")
    controller = new.get("reportingController", "")
    if not controller:
        yield required("reportingController")
    yield from qualified("reportingController", controller)
    for key in ("reportingInstance", "action", "reason"):
        if not new.get(key):
            yield required(key)
    if new.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {new.get('type', '')}")


def controller_revision_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    if new.get("data") is None:
        yield required("data", "data is mandatory")
    yield from not_negative("revision", new.get("revision", 0))
    if old is not None:
        yield from unchanged("data", new.get("data"), old.get("data"))
