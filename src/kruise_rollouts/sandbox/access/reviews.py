"""Kinds that are answered and never stored: access reviews, token reviews, token requests, who am I."""

from __future__ import annotations

from datetime import UTC, datetime

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest, Cause, Details, NotFound
from kruise_rollouts.sandbox.admission.webhooks import user_info
from kruise_rollouts.sandbox.apply.apply import kind_text
from kruise_rollouts.sandbox.apply.tracking import track
from kruise_rollouts.sandbox.builtin.defaults import apply_defaults
from kruise_rollouts.sandbox.pipeline import Parts
from kruise_rollouts.sandbox.refusals import invalid, not_found
from kruise_rollouts.sandbox.request import Call, User
from kruise_rollouts.sandbox.rules import new_uid, timestamp
from kruise_rollouts.sandbox.schemas.schema import schema_of
from kruise_rollouts.sandbox.wording import json_text, quoted

from .access import Access
from .rbac import Deed, Grant
from .tokens import ISSUER

AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
_SHORTEST_SECONDS, _DEFAULT_SECONDS, _LONGEST_SECONDS = 600, 3600, 1 << 32
_BOUND_PLURALS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class Reviews:
    """Answers about the access rules of one server."""

    def __init__(self, parts: Parts, access: Access) -> None:
        self._parts = parts
        self._access = access

    def install(self) -> None:
        hooks = self._parts.hooks
        hooks.virtual |= {
            (AUTHORIZATION, "selfsubjectaccessreviews"): self.own_access,
            (AUTHORIZATION, "subjectaccessreviews"): self.others_access,
            (AUTHORIZATION, "localsubjectaccessreviews"): self.others_access,
            (AUTHORIZATION, "selfsubjectrulesreviews"): self.own_rules,
            (AUTHENTICATION, "selfsubjectreviews"): self.own_self,
            (AUTHENTICATION, "tokenreviews"): self.token,
        }
        hooks.subresources[("serviceaccounts", "token")] = self.new_token

    async def own_access(self, call: Call) -> JsonObject:
        """SelfSubjectAccessReview. Raises Invalid."""
        spec = _spec(call)
        return self._owned(call, _answered(call, spec, self._verdict(call.user, _deed(spec))))

    async def others_access(self, call: Call) -> JsonObject:
        """SubjectAccessReview and LocalSubjectAccessReview. Raises Invalid."""
        spec = _spec(call)
        if not spec.get("user") and not spec.get("groups"):
            raise _invalid("spec.user", '"": at least one of user or group must be specified')
        ns = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if call.ns and ns != call.ns:
            raise _invalid("spec.resourceAttributes.namespace", f'"{ns}": must match metadata.namespace')
        extra = {k: tuple(v) for k, v in (spec.get("extra") or {}).items()}
        user = User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)
        if not self._access.enforce:
            return self._owned(call, _answered(call, spec, {"allowed": True}))
        return self._owned(call, _answered(call, spec, self._verdict(user, _deed(spec))))

    def _verdict(self, user: User, deed: Deed) -> JsonObject:
        allowed, why = self._access.verdict(user, deed)
        return {"allowed": allowed, **({"reason": why} if why else {})}

    async def own_rules(self, call: Call) -> JsonObject:
        """SelfSubjectRulesReview. Raises BadRequest."""
        ns = _spec(call).get("namespace") or ""
        if not ns:
            raise BadRequest("no namespace on request")
        everything = Grant({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, "")
        anywhere = Grant({"nonResourceURLs": ["*"], "verbs": ["*"]}, "")
        grants = list(self._access.rbac.grants(call.user, ns))
        if not self._access.enforce:
            grants = [everything, anywhere, *grants]
        resources: list[JsonObject] = []
        paths: list[JsonObject] = []
        for grant in grants:
            keys = ("verbs", "nonResourceURLs") if grant.rule.get("nonResourceURLs") else (
                "verbs", "apiGroups", "resources", "resourceNames",
            )  # fmt: skip
            rule = {k: grant.rule[k] for k in keys if grant.rule.get(k)}
            wanted = paths if grant.rule.get("nonResourceURLs") else resources
            if rule not in wanted:
                wanted.append(rule)
        return {**_head(call), "spec": {}, "status": {
            "resourceRules": resources, "nonResourceRules": paths, "incomplete": False,
        }}  # fmt: skip

    async def own_self(self, call: Call) -> JsonObject:
        """SelfSubjectReview: who the server takes the caller for."""
        head = _head(call)
        created = timestamp(self._parts.clock.now())
        return {
            **head,
            "metadata": {"creationTimestamp": created},
            "status": {"userInfo": user_info(call.user)},
        }

    async def token(self, call: Call) -> JsonObject:
        """TokenReview: whose token it is. Raises BadRequest."""
        spec = _spec(call)
        token, audiences = spec.get("token") or "", spec.get("audiences") or [ISSUER]
        if not token:
            raise BadRequest("token is required for TokenReview in authentication")
        user = self._access.user_of(token)
        status: JsonObject
        if user is None:
            status = {"user": {}, "error": "invalid bearer token"}
        elif ISSUER not in audiences:
            wanted = " ".join(f'"{a}"' for a in audiences)
            why = f'token audiences ["{ISSUER}"] is invalid for the target audiences [{wanted}]'
            status = {"user": {}, "error": f"[invalid bearer token, {why}]"}
        else:
            status = {"authenticated": True, "user": user_info(user), "audiences": [ISSUER]}
        return self._owned(call, {**_head(call), "spec": spec, "status": status})

    def _owned(self, call: Call, answer: JsonObject) -> JsonObject:
        """`answer` with what was asked owned by who asked, as if it were stored."""
        group, _, version = answer["apiVersion"].partition("/")
        schema = schema_of(group, version, answer["kind"])
        if schema is None:
            return answer
        now = self._parts.clock.now()
        asked = {**answer, "spec": _spec(call)}
        if answer["kind"] == "TokenRequest":
            asked["spec"] = {"expirationSeconds": _DEFAULT_SECONDS, **asked["spec"]}
        asked.pop("status", None)
        tracked = track(
            None, asked, call.manager, "Update", schema, answer["apiVersion"], call.subresource, now
        )
        return {**answer, "metadata": tracked["metadata"]}

    async def new_token(self, call: Call) -> JsonObject:
        """TokenRequest for a service account. Raises NotFound, Invalid."""
        account = self._parts.store.get("", "serviceaccounts", call.ns, call.name)
        if account is None:
            raise not_found(call.resource, call.name)
        spec = _spec(call)
        named = ((call.body or {}).get("metadata") or {}).get("name") or call.name
        if named != call.name:
            why = f"Invalid value: {quoted(named)}: must match the service account name if specified"
            cause = Cause("FieldValueInvalid", why, "metadata.name")
            raise invalid("TokenRequest", AUTHENTICATION, call.name, (cause,))
        seconds = _duration(spec)
        now = int(self._parts.clock.now().timestamp())
        audiences = spec.get("audiences") or [ISSUER]
        claims: JsonObject = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": new_uid(self._parts.random),
            "kubernetes.io": {
                "namespace": call.ns,
                "serviceaccount": {"name": call.name, "uid": account["metadata"]["uid"]},
                **self._bound(call, spec.get("boundObjectRef")),
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{call.ns}:{call.name}",
        }
        asked = {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": spec.get("boundObjectRef"),
        }
        return self._owned(call, {
            "kind": "TokenRequest",
            "apiVersion": f"{AUTHENTICATION}/v1",
            "metadata": {
                "name": call.name,
                "namespace": call.ns,
                "uid": account["metadata"]["uid"],
                "creationTimestamp": timestamp_of(now),
            },
            "spec": asked,
            "status": {
                "token": self._access.signer.sign(claims),
                "expirationTimestamp": timestamp_of(now + seconds),
            },
        })  # fmt: skip

    def _bound(self, call: Call, reference: Json) -> JsonObject:
        """The claim about the object a token is bound to. Raises NotFound."""
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = _BOUND_PLURALS.get(kind)
        if plural is None:
            version = reference.get("apiVersion") or ""
            of = kind_text({"apiVersion": version, "kind": kind})
            raise BadRequest(f"cannot bind token to object of type {of}")
        found = self._parts.store.get("", plural, "" if kind == "Node" else call.ns, name)
        if found is None:
            raise NotFound(f'{plural} "{name}" not found', details=Details(name=name, kind=plural))
        return {kind.lower(): {"name": name, "uid": found["metadata"]["uid"]}}


def timestamp_of(seconds: int) -> str:
    """Seconds since 1970 as metadata writes time."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _spec(call: Call) -> JsonObject:
    body = call.body or {}
    if not call.subresource:
        body = apply_defaults(call.resource, body)
    spec: Json = body.get("spec")
    return spec if isinstance(spec, dict) else {}


def _head(call: Call) -> JsonObject:
    meta = {"namespace": call.ns} if call.resource.namespaced and call.ns else {}
    return {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": meta}


def _answered(call: Call, spec: JsonObject, status: JsonObject) -> JsonObject:
    return {**_head(call), "spec": spec, "status": status}


def _deed(spec: JsonObject) -> Deed:
    """The deed a review asks about. Raises Invalid."""
    resource: Json = spec.get("resourceAttributes")
    path: Json = spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        shown = json_text({"Path": path.get("path", ""), "Verb": path.get("verb", "")})
        why = f"{shown}: cannot be specified in combination with resourceAttributes"
        raise _invalid("spec.nonResourceAttributes", why)
    if resource is None and path is None:
        why = "null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid("spec.resourceAttributes", why)
    if path is not None:
        return Deed(path.get("verb", ""), path=path.get("path", ""))
    below = resource.get("subresource")
    plural = resource.get("resource", "")
    return Deed(
        resource.get("verb", ""),
        resource.get("group", ""),
        f"{plural}/{below}" if below else plural,
        resource.get("namespace", ""),
        resource.get("name", ""),
    )


def _invalid(field: str, message: str) -> Exception:
    # Kubernetes leaves the kind out here.
    return invalid("", AUTHORIZATION, "", (Cause("FieldValueInvalid", f"Invalid value: {message}", field),))


def _duration(spec: JsonObject) -> int:
    """Seconds a token is asked for. Raises Invalid."""
    seconds: int = spec.get("expirationSeconds") or _DEFAULT_SECONDS
    if seconds < _SHORTEST_SECONDS:
        raise _bad_duration(seconds, "may not specify a duration less than 10 minutes")
    if seconds > _LONGEST_SECONDS:
        raise _bad_duration(seconds, "may not specify a duration larger than 2^32 seconds")
    return seconds


def _bad_duration(seconds: int, why: str) -> Exception:
    cause = Cause("FieldValueInvalid", f"Invalid value: {seconds}: {why}", "spec.expirationSeconds")
    return invalid("TokenRequest", AUTHENTICATION, "", (cause,))
