"""Whether a webhook configuration may be stored, in Kubernetes' words, and what may be left out of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.cel.check import DYN, check_cel
from kruise_rollouts.sandbox.cel.program import CelCompileError, compile_cel
from kruise_rollouts.sandbox.custom.value_check import duplicate, invalid, required, unsupported
from kruise_rollouts.sandbox.metadata import SUBDOMAIN_RULE

from .client_rules import client_causes, review_version_causes
from .webhook_match import CONDITION_VARIABLES

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_CHOICES = (
    ("failurePolicy", ("Fail", "Ignore")),
    ("matchPolicy", ("Equivalent", "Exact")),
    ("sideEffects", ("None", "NoneOnDryRun")),
    ("reinvocationPolicy", ("IfNeeded", "Never")),
)


def default_webhooks(configuration: JsonObject) -> JsonObject:
    """`configuration` with the defaults of its webhooks."""
    mutating = configuration.get("kind") == "MutatingWebhookConfiguration"
    hooks = [_default(w, mutating) for w in configuration.get("webhooks") or ()]
    return {**configuration, "webhooks": hooks} if hooks else configuration


def _default(webhook: JsonObject, mutating: bool) -> JsonObject:
    out: JsonObject = {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "timeoutSeconds": 10,
        **({"reinvocationPolicy": "Never"} if mutating else {}),
        **{k: v for k, v in webhook.items() if v is not None},
    }
    service = (out.get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        out["clientConfig"] = {**out["clientConfig"], "service": {**service, "port": 443}}
    if out.get("rules"):
        out["rules"] = [{"scope": "*", **rule} for rule in out["rules"]]
    return out


def validate_webhooks(configuration: JsonObject) -> tuple[Cause, ...]:
    """What is wrong with the configuration; () if nothing."""
    causes: list[Cause] = []
    names: list[str] = []
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        at, name = f"webhooks[{index}]", webhook.get("name") or ""
        causes += _webhook(webhook, at)
        if name and name in names:
            causes.append(duplicate(f"{at}.name", name))
        names.append(name)
    return tuple(causes)


def _webhook(webhook: JsonObject, at: str) -> Iterator[Cause]:
    name = webhook.get("name") or ""
    if not name:
        yield required(f"{at}.name")
    elif not _SUBDOMAIN.fullmatch(name):
        yield invalid(f"{at}.name", name, SUBDOMAIN_RULE)
    elif name.count(".") < 2:
        yield invalid(f"{at}.name", name, "should be a domain with at least three segments separated by dots")
    for index, rule in enumerate(webhook.get("rules") or ()):
        yield from _rule(rule, f"{at}.rules[{index}]")
    if webhook.get("sideEffects") is None:
        yield required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun")
    for field, options in _CHOICES:
        if webhook.get(field) is not None and webhook[field] not in options:
            yield unsupported(f"{at}.{field}", webhook[field], options)
    timeout = webhook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        yield invalid(f"{at}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        yield from _selector(webhook.get(field) or {}, f"{at}.{field}")
    yield from client_causes(webhook.get("clientConfig") or {}, f"{at}.clientConfig")
    versions = webhook.get("admissionReviewVersions") or []
    yield from review_version_causes(
        versions, f"{at}.admissionReviewVersions", "must specify one of v1, v1beta1"
    )
    yield from _conditions(webhook.get("matchConditions") or [], f"{at}.matchConditions")


def _rule(rule: JsonObject, at: str) -> Iterator[Cause]:
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{at}.operations")
    if "*" in operations and len(operations) > 1:
        yield invalid(f"{at}.operations", operations, "if '*' is present, must not specify other operations")
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            yield unsupported(f"{at}.operations[{index}]", operation, _OPERATIONS)
    for field, noun in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            yield required(f"{at}.{field}")
        if "*" in values and len(values) > 1:
            yield invalid(f"{at}.{field}", values, f"if '*' is present, must not specify other {noun}")
    yield from _resources(rule.get("resources") or [], f"{at}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in ("*", "Cluster", "Namespaced"):
        yield unsupported(f"{at}.scope", scope, ("*", "Cluster", "Namespaced"))


def _resources(resources: list[str], at: str) -> Iterator[Cause]:
    """Names that another one in the list makes superfluous are refused."""
    if not resources:
        yield required(at)
    for index, resource in enumerate(resources):
        name, slash, below = resource.partition("/")
        if not resource:
            yield required(f"{at}[{index}]")
        for wide in (f"{name}/*", f"*/{below}"):  # only one that stands before it counts
            if slash and wide != "*/*" and wide in resources[:index]:
                why = f"if '{wide}' is present, must not specify {resource}"
                yield invalid(f"{at}[{index}]", resource, why)
    if "*/*" in resources and len(resources) > 1:
        yield invalid(at, resources, "if '*/*' is present, must not specify other resources")
    elif "*" in resources and any("/" not in r for r in resources if r != "*"):
        yield invalid(
            at, resources, "if '*' is present, must not specify other resources without subresources"
        )


def _selector(selector: JsonObject, at: str) -> Iterator[Cause]:
    for key in selector.get("matchLabels") or {}:
        if not _NAME.fullmatch(key.rpartition("/")[2]):
            yield invalid(f"{at}.matchLabels", key, _NAME_RULE)
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        here, operator = f"{at}.matchExpressions[{index}]", term.get("operator")
        has_values = bool(term.get("values"))
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid(f"{here}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not has_values:
            yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and has_values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield Cause("FieldValueForbidden", f"Forbidden: {why}", f"{here}.values")


def _conditions(conditions: list[Json], at: str) -> Iterator[Cause]:
    names: list[str] = []
    for index, condition in enumerate(conditions):
        here, name, source = f"{at}[{index}]", condition.get("name") or "", condition.get("expression") or ""
        if not source.strip():
            yield required(f"{here}.expression")
        else:
            try:
                compile_cel(source, CONDITION_VARIABLES)
                kind = check_cel(source, dict.fromkeys(CONDITION_VARIABLES, DYN))
                if kind.name not in ("bool", "dyn"):
                    yield invalid(f"{here}.expression", source, f"must evaluate to bool but got {kind}")
            except CelCompileError as error:
                yield invalid(f"{here}.expression", source, str(error))
        if not name:
            yield required(f"{here}.name")
        elif not _NAME.fullmatch(name):
            yield invalid(f"{here}.name", name, _NAME_RULE)
        elif name in names:
            yield duplicate(f"{here}.name", name)
        names.append(name)
