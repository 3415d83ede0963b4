"""ValidatingAdmissionPolicies: CEL expressions that refuse, warn or do nothing, by the bindings that put them to use.

Compiled once per stored version. Evaluated before validating webhooks are asked, on the object as it will be stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import ApiError, Cause, Details
from kruise_rollouts.sandbox.cel.program import CelCompileError, Program, compile_cel
from kruise_rollouts.sandbox.cel.values import CelError
from kruise_rollouts.sandbox.pipeline import Attempt, Parts
from kruise_rollouts.sandbox.resources import Resource, StorageKey
from kruise_rollouts.sandbox.selectors import matches_labels, of_object
from kruise_rollouts.sandbox.store import Store

from .webhook_match import Condition, Reach, parse_condition, parse_reach
from .webhooks import review_request

GROUP = "admissionregistration.k8s.io"
POLICIES: StorageKey = (GROUP, "validatingadmissionpolicies")
BINDINGS: StorageKey = (GROUP, "validatingadmissionpolicybindings")
VARIABLES = ("object", "oldObject", "request", "params", "namespaceObject", "authorizer", "variables")
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_NO_PARAMS = (
    "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
)


def namespace_of(attempt: Attempt, store: Store) -> JsonObject | None:
    """The namespace of the object, or the object if it is one; None for any other cluster-scoped kind."""
    if attempt.resource.storage == ("", "namespaces"):
        return attempt.obj if attempt.obj is not None else attempt.old
    if not attempt.resource.namespaced:
        return None
    return store.get("", "namespaces", "", attempt.ns) or {}


class Validation(Struct, frozen=True):
    """One expression that must hold."""

    source: str
    program: Program | None  # None: does not compile
    message: str
    message_program: Program | None
    reason: str


class Policy(Struct, frozen=True):
    """One policy."""

    name: str
    reach: Reach
    fails: bool  # failurePolicy Fail
    param_kind: JsonObject | None
    conditions: tuple[Condition, ...]
    variables: tuple[tuple[str, Program | None], ...]
    validations: tuple[Validation, ...]


class Complaint(Struct, frozen=True):
    """Why a policy does not hold."""

    message: str
    reason: str = "Invalid"


def parse_policy(obj: JsonObject) -> Policy:
    spec = obj.get("spec") or {}
    return Policy(
        name=obj["metadata"]["name"],
        reach=parse_reach(spec.get("matchConstraints") or {}, "resourceRules"),
        fails=(spec.get("failurePolicy") or "Fail") == "Fail",
        param_kind=spec.get("paramKind"),
        conditions=tuple(parse_condition(c) for c in spec.get("matchConditions") or ()),
        variables=tuple((v["name"], _program(v["expression"])) for v in spec.get("variables") or ()),
        validations=tuple(
            Validation(
                v["expression"],
                _program(v["expression"]),
                v.get("message") or "",
                _program(v["messageExpression"]) if v.get("messageExpression") else None,
                v.get("reason") or "Invalid",
            )
            for v in spec.get("validations") or ()
        ),
    )


def _program(source: str) -> Program | None:
    try:
        return compile_cel(source, VARIABLES)
    except CelCompileError:
        return None


class Lazy(dict[str, Any]):
    """`variables`: each computed when first asked for, from the same scope."""

    def __init__(self, programs: tuple[tuple[str, Program | None], ...], scope: JsonObject) -> None:
        super().__init__()
        self._programs = dict(programs)
        self._scope = scope

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    def __missing__(self, name: str) -> Json:
        self[name] = value = _evaluate(self._programs[name], self._scope)
        return value


def _evaluate(program: Program | None, scope: JsonObject) -> Json:
    if program is None:
        raise CelError("compilation failed")
    return program.evaluate(scope)


class Policies:
    """Decides by the policies of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._parsed: dict[int, tuple[JsonObject, Policy]] = {}  # by id of the stored policy

    @property
    def exist(self) -> bool:
        return bool(self._parts.store.table(*BINDINGS).keys)

    async def check(self, attempt: Attempt) -> list[str]:
        """Warnings. Raises ApiError for the first complaint of a binding that denies."""
        warnings: list[str] = []
        store = self._parts.store
        for binding in store.list(*BINDINGS):
            stored = store.get(*POLICIES, "", binding["spec"]["policyName"])
            if stored is None:
                continue
            policy = self._parse(stored)
            matched = self._matched(policy, binding, attempt)
            if matched is None:
                continue
            actions = binding["spec"].get("validationActions") or ()
            who = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding['metadata']['name']}'"
            for complaint in self._complaints(policy, binding, attempt, matched):
                if "Deny" in actions:
                    raise _refusal(attempt, complaint, f"{who} denied request: {complaint.message}")
                if "Warn" in actions:
                    warnings.append(f"Validation failed for {who}: {complaint.message}")
        return warnings

    def _parse(self, stored: JsonObject) -> Policy:
        known = self._parsed.get(id(stored))
        if known is None or known[0] is not stored:
            if len(self._parsed) > 256:
                self._parsed.clear()
            known = self._parsed[id(stored)] = (stored, parse_policy(stored))
        return known[1]

    def _matched(self, policy: Policy, binding: JsonObject, attempt: Attempt) -> Resource | None:
        registry, namespace = self._parts.registry, namespace_of(attempt, self._parts.store)
        matched = policy.reach.matched(attempt, registry)
        if matched is None or not policy.reach.selects(attempt, namespace):
            return None
        narrower = binding["spec"].get("matchResources")
        if narrower is not None:
            reach = parse_reach(narrower, "resourceRules")
            if (reach.rules and reach.matched(attempt, registry) is None) or not reach.selects(
                attempt, namespace
            ):
                return None
        return matched

    def _complaints(
        self, policy: Policy, binding: JsonObject, attempt: Attempt, matched: Resource
    ) -> Iterator[Complaint]:
        """What does not hold, for each object of parameters."""
        params = self._params(policy, binding, attempt)
        if params is None:
            if (binding["spec"].get("paramRef") or {}).get("parameterNotFoundAction") == "Deny":
                yield Complaint(_NO_PARAMS)
            return
        scope: JsonObject = {
            "object": attempt.obj,
            "oldObject": attempt.old,
            "request": review_request(attempt, matched, ""),
            "namespaceObject": namespace_of(attempt, self._parts.store),
            "authorizer": {},
        }
        for param in params:
            own: JsonObject = {**scope, "params": param}
            own["variables"] = Lazy(policy.variables, own)
            yield from _judged(policy, own)

    def _params(self, policy: Policy, binding: JsonObject, attempt: Attempt) -> list[Json] | None:
        """The objects of parameters, [None] if none are wanted; None if there are none."""
        reference = binding["spec"].get("paramRef")
        if policy.param_kind is None or reference is None:
            return [None]
        group, _, version = policy.param_kind.get("apiVersion", "").rpartition("/")
        resource = self._parts.registry.by_kind(group, policy.param_kind.get("kind", ""), version)
        if resource is None:
            return None
        ns = (reference.get("namespace") or attempt.ns) if resource.namespaced else ""
        if reference.get("name"):
            found = self._parts.store.get(*resource.storage, ns, reference["name"])
            return None if found is None else [found]
        selector = of_object(reference.get("selector") or {}) or ()
        return [
            o for o in self._parts.store.list(*resource.storage, ns) if matches_labels(selector, o)
        ] or None


def _judged(policy: Policy, scope: JsonObject) -> Iterator[Complaint]:
    """Conditions first: one that does not hold ends it, one that fails is a complaint if failures count."""
    for condition in policy.conditions:
        try:
            if _evaluate(condition.program, scope) is not True:
                return
        except CelError as error:
            if policy.fails:
                yield Complaint(f"expression '{condition.source}' resulted in error: {error}")
            return
    for validation in policy.validations:
        try:
            if _evaluate(validation.program, scope) is not True:
                yield Complaint(_message(validation, scope), validation.reason)
        except CelError as error:
            if policy.fails:
                yield Complaint(f"expression '{validation.source}' resulted in error: {error}")


def _message(validation: Validation, scope: JsonObject) -> str:
    if validation.message_program is not None:
        try:
            text = validation.message_program.evaluate(scope)
        except CelError:
            text = ""
        if isinstance(text, str) and text.strip():
            return text.strip()
    return validation.message or f"failed expression: {validation.source.strip()}"


def _refusal(attempt: Attempt, complaint: Complaint, why: str) -> ApiError:
    resource = attempt.resource
    return ApiError(
        f'{resource.group_resource} "{attempt.name}" is forbidden: {why}',
        code=_CODES.get(complaint.reason, 422),
        reason=complaint.reason,
        details=Details(
            name=attempt.name, group=resource.group, kind=resource.plural, causes=(Cause(message=why),)
        ),
    )
