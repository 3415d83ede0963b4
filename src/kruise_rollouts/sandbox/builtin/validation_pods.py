"""What pods and pod templates may be, and what of a pod may change."""

from __future__ import annotations

import difflib
import json
import re

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.custom.value_check import duplicate, forbidden, invalid, required, unsupported

from .validation_containers import account_id, containers, init_containers, seccomp, trimmed_images
from .validation_meta import (
    MAX_INT32,
    Causes,
    dns_label,
    ip,
    label_value,
    labels,
    one_of,
    qualified,
    selector,
    subdomain,
)
from .validation_volumes import volumes

_TAINTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_RULE = (
    "must have at most 253 characters and match regex "
    "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod_causes(new: JsonObject, old: JsonObject | None) -> Causes:
    """Why a pod is refused."""
    spec: Json = new.get("spec") or {}
    if old is not None and _same_spec(spec, old["spec"]):
        return
    yield from pod_spec("spec", spec, pod=True)
    yield from trimmed_images("spec.containers", spec.get("containers"))
    yield from trimmed_images("spec.initContainers", spec.get("initContainers"))
    if old is not None:
        yield from _changes(spec, old["spec"])
        return
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def _same_spec(new: JsonObject, old: JsonObject) -> bool:
    return new is old or new == old


def template_causes(path: str, template: JsonObject) -> Causes:
    """Why a pod template is refused, whoever makes pods of it."""
    meta: Json = template.get("metadata") or {}
    yield from labels(f"{path}.labels", meta.get("labels"))
    for key in sorted(meta.get("annotations") or ()):
        yield from qualified(f"{path}.annotations", key.lower())
    spec: Json = template.get("spec") or {}
    yield from pod_spec(f"{path}.spec", spec)
    if spec.get("ephemeralContainers"):
        yield forbidden(
            f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"
        )


def pod_spec(path: str, spec: JsonObject, *, pod: bool = False) -> Causes:
    """`pod`: of a pod, not of a template."""
    usable: set[str] = set()
    if spec.get("volumes"):
        yield from volumes(f"{path}.volumes", spec["volumes"], usable)
    yield from containers(f"{path}.containers", spec, usable)
    if spec.get("initContainers"):
        yield from init_containers(f"{path}.initContainers", spec, usable)
    if spec.get("hostNetwork"):
        yield from _node_ports(f"{path}.containers", spec, pod=pod)
    policies = ("Always", "OnFailure", "Never")
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), policies)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS)
    yield from labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    if spec.get("securityContext"):
        yield from _security(f"{path}.securityContext", spec["securityContext"])
    if spec.get("affinity"):
        yield from _affinity(f"{path}.affinity", spec["affinity"])
    yield from _dns_config(f"{path}.dnsConfig", spec)
    yield from _gates(path, spec)
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        yield from _spread(f"{path}.topologySpreadConstraints[{index}]", constraint)
    yield from _names(path, spec)
    if spec.get("tolerations"):
        yield from _tolerations(f"{path}.tolerations", spec["tolerations"])
    yield from _rest(path, spec)


def _node_ports(path: str, spec: JsonObject, *, pod: bool) -> Causes:
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            given = port.get("hostPort") or 0
            if (pod or given) and given != port.get("containerPort", 0):
                why = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(f"{path}[{index}].ports[{place}].hostPort", given, why)


def _security(path: str, context: JsonObject) -> Causes:
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from account_id(f"{path}.{field}", context.get(field))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        yield from account_id(f"{path}.supplementalGroups[{index}]", group)
    names: set[str] = set()
    for index, one in enumerate(context.get("sysctls") or ()):
        at, name = f"{path}.sysctls[{index}].name", one.get("name", "")
        if not name:
            yield required(at)
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield invalid(at, name, _SYSCTL_RULE)
        elif name in names:
            yield duplicate(at, name)
        names.add(name)
    change = context.get("fsGroupChangePolicy")
    if change is not None and change not in ("Always", "OnRootMismatch"):
        yield unsupported(f"{path}.fsGroupChangePolicy", change, ("Always", "OnRootMismatch"))
    yield from seccomp(f"{path}.seccompProfile", context.get("seccompProfile"))


def _affinity(path: str, affinity: JsonObject) -> Causes:
    node: Json = affinity.get("nodeAffinity") or {}
    if node.get(_REQUIRED) is not None:
        at, terms = (
            f"{path}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms",
            node[_REQUIRED].get("nodeSelectorTerms"),
        )
        if not terms:
            yield required(at, "must have at least one node selector term")
        for index, term in enumerate(terms or ()):
            yield from _node_term(f"{at}[{index}]", term)
    for index, term in enumerate(node.get(_PREFERRED) or ()):
        at = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
        yield from _weight(f"{at}.weight", term)
        yield from _node_term(f"{at}.preference", term.get("preference") or {})
    for kind in ("podAffinity", "podAntiAffinity"):
        pods: Json = affinity.get(kind) or {}
        for index, term in enumerate(pods.get(_REQUIRED) or ()):
            yield from _pod_term(f"{path}.{kind}.{_REQUIRED}[{index}]", term)
        for index, term in enumerate(pods.get(_PREFERRED) or ()):
            at = f"{path}.{kind}.{_PREFERRED}[{index}]"
            yield from _weight(f"{at}.weight", term)
            yield from _pod_term(f"{at}.podAffinityTerm", term.get("podAffinityTerm") or {})


def _weight(path: str, term: JsonObject) -> Causes:
    weight = term.get("weight") or 0
    if not 1 <= weight <= 100:
        yield invalid(path, weight, "must be in the range 1-100")


def _node_term(path: str, term: JsonObject) -> Causes:
    for index, one in enumerate(term.get("matchExpressions") or ()):
        at, operator, values = (
            f"{path}.matchExpressions[{index}]",
            one.get("operator", ""),
            one.get("values") or [],
        )
        if operator in ("In", "NotIn"):
            if not values:
                yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield forbidden(f"{at}.values", why)
        elif operator in ("Gt", "Lt"):
            if len(values) != 1:
                yield required(
                    f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
                )
        else:
            yield invalid(f"{at}.operator", operator, "not a valid selector operator")
        yield from qualified(f"{at}.key", one.get("key", ""))
        for place, value in enumerate(values):
            yield from label_value(f"{at}.values[{place}]", value)


def _pod_term(path: str, term: JsonObject) -> Causes:
    yield from selector(f"{path}.labelSelector", term.get("labelSelector"))
    yield from selector(f"{path}.namespaceSelector", term.get("namespaceSelector"))
    for name in term.get("namespaces") or ():
        yield from dns_label(f"{path}.namespace", name)
    if not term.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from qualified(f"{path}.topologyKey", term.get("topologyKey", ""))


def _dns_config(path: str, spec: JsonObject) -> Causes:
    config: Json = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", why)
            return
    if config is None:
        return
    servers = config.get("nameservers") or []
    if len(servers) > 3:
        yield invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        yield from ip(f"{path}.nameservers[{index}]", server)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{index}]", "must not be empty")


def _gates(path: str, spec: JsonObject) -> Causes:
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        yield from qualified(f"{path}.readinessGates[{index}].conditionType", gate.get("conditionType", ""))
    names: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        at, name = f"{path}.schedulingGates[{index}]", gate.get("name", "")
        yield from qualified(at, name)
        if name in names:
            yield duplicate(at, name)
        names.add(name)


def _spread(path: str, constraint: JsonObject) -> Causes:
    skew, action = constraint.get("maxSkew") or 0, constraint.get("whenUnsatisfiable", "")
    if skew <= 0:
        yield invalid(f"{path}.maxSkew", skew, "must be greater than zero")
    if not constraint.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    if action not in ("DoNotSchedule", "ScheduleAnyway"):
        yield unsupported(f"{path}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
    domains = constraint.get("minDomains")
    if domains is not None:
        if domains <= 0:
            yield invalid(f"{path}.minDomains", domains, "must be greater than zero")
        if action != "DoNotSchedule":
            why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
            yield invalid(f"{path}.minDomains", domains, why)
    yield from selector(f"{path}.labelSelector", constraint.get("labelSelector"))


def _names(path: str, spec: JsonObject) -> Causes:
    for field in ("serviceAccountName", "nodeName"):
        if spec.get(field):
            yield from subdomain(f"{path}.{field}", spec[field])
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        why = f"must be between 1 and {MAX_INT32}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, why)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            yield from dns_label(f"{path}.{field}", spec[field])


def _tolerations(path: str, given: list[JsonObject]) -> Causes:
    for index, one in enumerate(given):
        at, key, operator = f"{path}[{index}]", one.get("key", ""), one.get("operator", "")
        value, effect = one.get("value", ""), one.get("effect", "")
        if key:
            yield from qualified(f"{at}.key", key)
        elif operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid(f"{at}.operator", operator, why)
        if one.get("tolerationSeconds") is not None and effect != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid(f"{at}.effect", effect, why)
        if operator in ("Equal", ""):
            if value:
                yield from label_value(f"{at}.operator", value)
        elif operator != "Exists":
            yield unsupported(f"{at}.operator", operator, ("Equal", "Exists"))
        elif value:
            yield invalid(f"{at}.operator", value, "value must be empty when `operator` is 'Exists'")
        if effect and effect not in _TAINTS:
            yield unsupported(f"{at}.effect", effect, _TAINTS)


def _rest(path: str, spec: JsonObject) -> Causes:
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from ip(f"{path}.hostAliases[{index}].ip", alias.get("ip", ""))
        for place, name in enumerate(alias.get("hostnames") or ()):
            yield from subdomain(f"{path}.hostAliases[{index}].hostnames[{place}]", name)
    for field in ("priorityClassName", "runtimeClassName"):
        if spec.get(field):
            yield from subdomain(f"{path}.{field}", spec[field])
    policy = spec.get("preemptionPolicy")
    if policy is not None and policy not in ("PreemptLowerPriority", "Never"):
        yield unsupported(f"{path}.preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))
    system: Json = spec.get("os")
    if system is not None and system.get("name") not in ("linux", "windows"):
        if not system.get("name"):
            yield required(f"{path}.os.name", "cannot be empty")
        else:
            yield unsupported(f"{path}.os", system["name"], ("linux", "windows"))


# Changes of a pod.


def _changes(spec: JsonObject, was: JsonObject) -> Causes:
    for field in ("containers", "initContainers"):
        new, old = spec.get(field) or [], was.get(field) or []
        if len(new) != len(old):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        for index, container in enumerate(new):
            if not container.get("image"):
                yield required(f"spec.{field}[{index}].image")
        yield from trimmed_images(f"spec.{field}", new)
    deadline, before = spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds")
    at = "spec.activeDeadlineSeconds"
    if deadline is not None and not 0 <= deadline <= MAX_INT32:
        yield invalid(at, deadline, f"must be between 0 and {MAX_INT32}, inclusive")
        return
    if deadline is not None and before is not None and before < deadline:
        yield invalid(at, deadline, "must be less than or equal to previous value")
        return
    if deadline is None and before is not None:
        yield invalid(at, None, "must not update from a positive integer to nil value")
    yield from _added_tolerations(spec.get("tolerations") or [], was.get("tolerations") or [])
    kept = {g.get("name") for g in was.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name") not in kept:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", why)
    yield from _other_fields(spec, was)


def _added_tolerations(new: list[JsonObject], old: list[JsonObject]) -> Causes:
    lasting = [_without_seconds(t) for t in new]
    if any(_without_seconds(t) not in lasting for t in old):
        why = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", why)


def _without_seconds(toleration: JsonObject) -> JsonObject:
    return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}


def _other_fields(spec: JsonObject, was: JsonObject) -> Causes:
    """What nobody may change, once everything that may has been put back."""
    munged = dict(spec)
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        munged.pop(field, None)
        if field in was:
            munged[field] = was[field]
    for field in ("containers", "initContainers"):
        if spec.get(field):
            old = was.get(field) or []
            munged[field] = [{**c, "image": o.get("image")} for c, o in zip(spec[field], old, strict=True)]
    if was.get("schedulingGates"):
        for field in ("nodeSelector", "affinity"):
            munged.pop(field, None)
            if field in was:
                munged[field] = was[field]
    if munged != was:
        yield forbidden("spec", f"{_MAY_CHANGE}\n{_difference(was, munged)}")


def _difference(old: JsonObject, new: JsonObject) -> str:
    """Where two objects differ, line by line."""
    before, after = (json.dumps(o, indent=1, sort_keys=True, ensure_ascii=False) for o in (old, new))
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))
    return "".join(f"{line}\n" for line in lines[2:])
