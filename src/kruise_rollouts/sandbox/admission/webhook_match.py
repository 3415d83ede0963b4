"""Which admission webhooks are asked about an attempt: rules, selectors, equivalent resources, match conditions.

`Hook` is a webhook of a stored configuration, parsed once per stored version. Calling one is webhooks.py's.
"""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.cel.program import CelCompileError, Program, compile_cel
from kruise_rollouts.sandbox.pipeline import Attempt
from kruise_rollouts.sandbox.resources import Registry, Resource
from kruise_rollouts.sandbox.selectors import Selector, matches, of_object

from .callers import service_url

CONFIGURATIONS = frozenset((
    "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
))  # fmt: skip
CONDITION_VARIABLES = ("object", "oldObject", "request", "authorizer")


class RuleMatch(Struct, frozen=True):
    """One entry of a webhook's rules."""

    operations: tuple[str, ...]
    groups: tuple[str, ...]
    versions: tuple[str, ...]
    resources: tuple[str, ...]
    scope: str

    def covers(self, resource: Resource, attempt: Attempt) -> bool:
        """Whether the rule names `resource` (a version of what is attempted) and the operation."""
        return (
            _among(attempt.operation, self.operations)
            and _among(resource.group, self.groups)
            and _among(resource.version, self.versions)
            and (self.scope in ("", "*") or (self.scope == "Namespaced") == resource.namespaced)
            and any(_names(r, resource.plural, attempt.subresource) for r in self.resources)
        )


def _among(value: str, options: tuple[str, ...]) -> bool:
    return "*" in options or value in options


def _names(pattern: str, plural: str, subresource: str) -> bool:
    """Whether "pods", "pods/status", "pods/*", "*", "*/scale" or "*/*" names the resource."""
    name, _, below = pattern.partition("/")
    return name in ("*", plural) and (below == subresource or below == "*")


class Reach(Struct, frozen=True):
    """What somebody wants to be asked about: rules, and selectors of namespaces and objects."""

    rules: tuple[RuleMatch, ...]
    namespaces: Selector = ()
    objects: Selector = ()
    equivalent: bool = True  # matchPolicy Equivalent
    excluded: tuple[RuleMatch, ...] = ()  # of policies only

    def matched(self, attempt: Attempt, registry: Registry) -> Resource | None:
        """The version of the resource in which the attempt is to be seen; None if the rules do not cover it."""
        if (
            attempt.resource.group == "admissionregistration.k8s.io"
            and attempt.resource.plural in CONFIGURATIONS
        ):
            return None
        if any(r.covers(attempt.resource, attempt) for r in self.excluded):
            return None
        if any(r.covers(attempt.resource, attempt) for r in self.rules):
            return attempt.resource
        if not self.equivalent:
            return None
        for rule in self.rules:
            for other in registry:
                if other.storage == attempt.resource.storage and rule.covers(other, attempt):
                    return other
        return None

    def selects(self, attempt: Attempt, namespace: JsonObject | None) -> bool:
        """Whether the selectors let the attempt pass; `namespace` is the object's, or the object if it is one."""
        if self.namespaces and namespace is not None and not matches(self.namespaces, _labels(namespace)):
            return False
        if not self.objects:
            return True
        return any(o is not None and matches(self.objects, _labels(o)) for o in (attempt.obj, attempt.old))


def _labels(obj: JsonObject) -> dict[str, str]:
    labels: Json = (obj.get("metadata") or {}).get("labels")
    return labels or {}


def parse_reach(raw: JsonObject, rules: str = "rules") -> Reach:
    """The reach written in a webhook, or in the matchConstraints of a policy (`rules` names the field)."""
    return Reach(
        rules=_rules(raw.get(rules)),
        namespaces=of_object(raw.get("namespaceSelector") or {}) or (),
        objects=of_object(raw.get("objectSelector") or {}) or (),
        equivalent=(raw.get("matchPolicy") or "Equivalent") == "Equivalent",
        excluded=_rules(raw.get("excludeResourceRules")),
    )


def _rules(raw: Json) -> tuple[RuleMatch, ...]:
    return tuple(
        RuleMatch(
            tuple(r.get("operations") or ()),
            tuple(r.get("apiGroups") or ()),
            tuple(r.get("apiVersions") or ()),
            tuple(r.get("resources") or ()),
            r.get("scope") or "*",
        )
        for r in raw or ()
    )


class Condition(Struct, frozen=True):
    name: str
    source: str
    program: Program | None  # None: does not compile


class Hook(Struct, frozen=True, eq=False):
    """One webhook of one configuration."""

    name: str
    configuration: str
    mutating: bool
    url: str
    ca_bundle: bytes
    reach: Reach
    fails: bool  # failurePolicy Fail
    dry_run: bool  # whether side effects allow a dry run
    timeout_seconds: int
    versions: tuple[str, ...]  # of AdmissionReview, preferred first
    reinvoked: bool  # reinvocationPolicy IfNeeded
    conditions: tuple[Condition, ...]


def parse_hooks(configuration: JsonObject, *, mutating: bool) -> tuple[Hook, ...]:
    """The webhooks of a stored configuration, in order."""
    name = configuration["metadata"]["name"]
    return tuple(_hook(name, w, mutating) for w in configuration.get("webhooks") or ())


def _hook(configuration: str, raw: JsonObject, mutating: bool) -> Hook:
    client = raw.get("clientConfig") or {}
    return Hook(
        name=raw["name"],
        configuration=configuration,
        mutating=mutating,
        url=client.get("url") or (service_url(client["service"]) if client.get("service") else ""),
        ca_bundle=ca_of(client),
        reach=parse_reach(raw),
        fails=raw.get("failurePolicy", "Fail") == "Fail",
        dry_run=raw.get("sideEffects") in ("None", "NoneOnDryRun"),
        timeout_seconds=raw.get("timeoutSeconds") or 10,
        versions=tuple(raw.get("admissionReviewVersions") or ("v1",)),
        reinvoked=raw.get("reinvocationPolicy") == "IfNeeded",
        conditions=tuple(parse_condition(c) for c in raw.get("matchConditions") or ()),
    )


def ca_of(client: JsonObject) -> bytes:
    """The caBundle of a clientConfig as PEM; b"" if there is none."""
    try:
        return base64.b64decode(client.get("caBundle") or "")
    except binascii.Error:
        return b""


def parse_condition(raw: JsonObject) -> Condition:
    try:
        program = compile_cel(raw["expression"], CONDITION_VARIABLES)
    except CelCompileError:
        program = None
    return Condition(raw["name"], raw["expression"], program)
