"""Conversion of custom resources between their versions: by name only, or by the CRD's webhook.

Objects go in and come out whole; nothing is cached. Built-in kinds are converted in builtin/convert.py.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError
from kruise_rollouts.sandbox.admission.callers import Caller, CallFailed, service_url
from kruise_rollouts.sandbox.admission.webhook_match import ca_of
from kruise_rollouts.sandbox.admission.webhooks import CallError, client_message, decode_review
from kruise_rollouts.sandbox.resources import Resource
from kruise_rollouts.sandbox.rules import new_uid

TIMEOUT_SECONDS = 30
# What a conversion may not change; labels and annotations it may.
_FIXED = ("name", "namespace", "uid")


class Conversion:
    """Converts for one server. `crd_of` finds the CRD that defines a resource."""

    def __init__(
        self, crd_of: Callable[[Resource], JsonObject | None], caller: Caller, random: Random
    ) -> None:
        self._crd_of = crd_of
        self.caller = caller
        self._random = random

    async def convert(
        self, objects: list[JsonObject], resource: Resource, api_version: str
    ) -> list[JsonObject]:
        """`objects` of `resource` in `api_version`, in order. Raises ApiError 500 in Kubernetes' words."""
        crd = self._crd_of(resource)
        strategy: JsonObject = ((crd or {}).get("spec") or {}).get("conversion") or {}
        if strategy.get("strategy") != "Webhook":
            return [
                o if o.get("apiVersion") == api_version else {**o, "apiVersion": api_version} for o in objects
            ]
        foreign = [o for o in objects if o.get("apiVersion") != api_version]
        converted = iter([await self._ask(strategy["webhook"], o, api_version) for o in foreign])
        return [o if o.get("apiVersion") == api_version else next(converted) for o in objects]

    async def _ask(self, webhook: JsonObject, obj: JsonObject, api_version: str) -> JsonObject:
        who = f"conversion webhook for {obj.get('apiVersion')}, Kind={obj.get('kind')}"
        uid = new_uid(self._random)
        client = webhook.get("clientConfig") or {}
        base = client.get("url") or (service_url(client["service"]) if client.get("service") else "")
        url = f"{base}{'&' if '?' in base else '?'}timeout={TIMEOUT_SECONDS}s"
        accepted = webhook.get("conversionReviewVersions") or ("v1",)
        version = next((v for v in accepted if v in ("v1", "v1beta1")), "v1")
        review: JsonObject = {
            "kind": "ConversionReview",
            "apiVersion": f"apiextensions.k8s.io/{version}",
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": [obj]},
        }
        try:
            status, body = await self.caller.post(
                url, msgspec.json.encode(review), ca_of(client), float(TIMEOUT_SECONDS)
            )
        except CallFailed as error:
            raise _failed(f'{who} failed: Post "{url}": {error}') from error
        if status >= 300:
            raise _failed(f"{who} failed: {client_message(status)}")
        return _converted(who, body, review, obj)


def _failed(message: str) -> ApiError:
    return ApiError(message, code=500, reason="")


def _converted(who: str, body: bytes, review: JsonObject, obj: JsonObject) -> JsonObject:
    """The one object in the answer. Raises ApiError 500."""
    try:
        answer = decode_review(body, review["apiVersion"], "ConversionReview")
    except CallError as error:
        raise _failed(f"{who} failed: {str(error).removeprefix('failed to call webhook: ')}") from None
    response: Json = answer.get("response")
    if not isinstance(response, dict):
        raise _failed(f"{who} failed: no response provided")
    uid, wanted = response.get("uid", ""), review["request"]["uid"]
    if uid != wanted and review["apiVersion"].endswith("/v1"):
        raise _failed(f'{who} failed: expected response.uid="{wanted}", got "{uid}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        why = (
            result.get("message") or f"response.result.status was '{result.get('status', '')}', not 'Success'"
        )
        raise _failed(f"{who} failed: {why}")
    converted = response.get("convertedObjects") or []
    if len(converted) != 1:
        raise _failed(f"{who} returned {len(converted)} objects, expected 1")
    return _checked(who, converted[0], review["request"]["desiredAPIVersion"], obj)


def _checked(who: str, out: JsonObject, api_version: str, obj: JsonObject) -> JsonObject:
    """`out` with the metadata of `obj`, save labels and annotations."""
    at = f"{who} returned invalid object at index 0"
    if out.get("apiVersion") != api_version:
        raise _failed(
            f"{at}: invalid groupVersion (expected {api_version}, received {out.get('apiVersion', '')})"
        )
    if out.get("kind") != obj.get("kind"):
        raise _failed(f"{at}: invalid kind (expected {obj.get('kind')}, received {out.get('kind', '')})")
    was, meta = obj.get("metadata") or {}, out.get("metadata") or {}
    for field in _FIXED:
        if was.get(field, "") != meta.get(field, ""):
            name = "UID" if field == "uid" else field
            raise _failed(
                f"{who} returned invalid object: must have the same {name}: {was.get(field, '')} != {meta.get(field, '')}"
            )
    kept = {k: v for k, v in was.items() if k not in ("labels", "annotations")}
    changed = {k: meta[k] for k in ("labels", "annotations") if meta.get(k)}
    return {**out, "metadata": {**kept, **changed}}
