"""What containers of a pod may be."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.custom.value_check import duplicate, forbidden, invalid, required, unsupported

from .validation_fields import field_ref, resource_ref
from .validation_meta import (
    MAX_INT32,
    NOT_NEGATIVE,
    Causes,
    config_key,
    dns_label,
    env_name,
    header_name,
    not_negative,
    one_of,
    port,
    port_name,
    port_or_name,
    qualified,
    subdomain,
)
from .validation_volumes import devices, mounts, object_name

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESTARTS = ("Always", "Never", "OnFailure")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_NOT_SIDECAR = "may not be set for init containers without restartPolicy=Always"
_STANDARD = frozenset(("cpu", "memory", "ephemeral-storage", "storage"))
_OF_CONTAINERS = frozenset(("cpu", "memory", "ephemeral-storage"))
_USER_RULE = f"must be between 0 and {MAX_INT32}, inclusive"


def containers(path: str, spec: JsonObject, usable: set[str]) -> Causes:
    """The containers of a pod spec; `usable`: names of its volumes."""
    given: Json = spec.get("containers")
    if not given:
        yield required(path)
        return
    names: set[str] = set()
    for index, container in enumerate(given):
        at, name = f"{path}[{index}]", container.get("name", "")
        yield from _common(at, container, usable)
        if name in names:
            yield duplicate(f"{at}.name", name)
        names.add(name)
        yield from _running(at, container, spec)
        yield from _restart(at, container)
    yield from _host_ports(path, given)


def init_containers(path: str, spec: JsonObject, usable: set[str]) -> Causes:
    """The containers that run before the others, or beside them."""
    names = {c.get("name", "") for c in spec.get("containers") or ()}
    for index, container in enumerate(spec.get("initContainers") or ()):
        at, name = f"{path}[{index}]", container.get("name", "")
        yield from _common(at, container, usable)
        yield from _restart(at, container)
        if name in names:
            yield duplicate(f"{at}.name", name)
        elif name:
            names.add(name)
        yield from _host_ports(path, [container])
        if container.get("restartPolicy") == "Always":
            yield from _running(at, container, spec)
            continue
        for field in ("lifecycle", *_PROBES):
            if container.get(field) is not None:
                yield forbidden(f"{at}.{field}", _NOT_SIDECAR)


def trimmed_images(path: str, given: list[JsonObject] | None) -> Causes:
    """What holds for images of pods, but not of templates."""
    for index, container in enumerate(given or ()):
        image = container.get("image", "")
        if image != image.strip():
            yield invalid(f"{path}[{index}].image", image, "must not have leading or trailing whitespace")


def _common(path: str, container: JsonObject, usable: set[str]) -> Causes:
    name = container.get("name")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from dns_label(f"{path}.name", name)
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        ("File", "FallbackToLogsOnError"),
    )
    if container.get("ports"):
        yield from _ports(f"{path}.ports", container["ports"])
    if container.get("env"):
        yield from _env(f"{path}.env", container["env"])
    if container.get("envFrom"):
        yield from _env_from(f"{path}.envFrom", container["envFrom"])
    if container.get("volumeMounts"):
        yield from mounts(f"{path}.volumeMounts", container, usable)
    if container.get("volumeDevices"):
        yield from devices(f"{path}.volumeDevices", container, usable)
    yield from one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    if container.get("resources"):
        yield from resources(f"{path}.resources", container["resources"])
    if container.get("securityContext"):
        yield from _security(f"{path}.securityContext", container["securityContext"])


def _ports(path: str, given: list[JsonObject]) -> Causes:
    names: set[str] = set()
    for index, one in enumerate(given):
        at, name, number = f"{path}[{index}]", one.get("name"), one.get("containerPort")
        if name:
            wrong = tuple(port_name(f"{at}.name", name))
            yield from wrong
            if not wrong and name in names:
                yield duplicate(f"{at}.name", name)
            names.add(name)
        if not number:
            yield required(f"{at}.containerPort")
        else:
            yield from port(f"{at}.containerPort", number)
        if one.get("hostPort"):
            yield from port(f"{at}.hostPort", one["hostPort"])
        yield from one_of(f"{at}.protocol", one.get("protocol"), _PROTOCOLS)


def _host_ports(path: str, given: list[JsonObject]) -> Causes:
    taken: set[str] = set()
    for index, container in enumerate(given):
        for place, one in enumerate(container.get("ports") or ()):
            if not one.get("hostPort"):
                continue
            text = f"{one.get('protocol', '')}/{one.get('hostIP', '')}/{one['hostPort']}"
            if text in taken:
                yield duplicate(f"{path}[{index}].ports[{place}].hostPort", text)
            taken.add(text)


def _env(path: str, given: list[JsonObject]) -> Causes:
    for index, variable in enumerate(given):
        at, name = f"{path}[{index}]", variable.get("name")
        if not name:
            yield required(f"{at}.name")
        else:
            yield from env_name(f"{at}.name", name)
        if variable.get("valueFrom") is not None:
            yield from _value_from(f"{at}.valueFrom", variable)


def _value_from(path: str, variable: JsonObject) -> Causes:
    source: JsonObject = variable["valueFrom"]
    if source.get("fieldRef") is not None:
        yield from field_ref(f"{path}.fieldRef", source["fieldRef"], _ENV_FIELDS)
    if source.get("resourceFieldRef") is not None:
        yield from resource_ref(f"{path}.resourceFieldRef", source["resourceFieldRef"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if source.get(kind) is not None:
            yield from _key_ref(f"{path}.{kind}", source[kind])
    count = sum(source.get(kind) is not None for kind in _SOURCES)
    if count == 0:
        names = "`, `".join(_SOURCES[:-1])
        yield invalid(path, "", f"must specify one of: `{names}` or `{_SOURCES[-1]}`")
    elif variable.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key_ref(path: str, ref: JsonObject) -> Causes:
    yield from subdomain(f"{path}.name", ref.get("name", ""))
    if not ref.get("key"):
        yield required(f"{path}.key")
    else:
        yield from config_key(f"{path}.key", ref["key"])


def _env_from(path: str, given: list[JsonObject]) -> Causes:
    for index, source in enumerate(given):
        at = f"{path}[{index}]"
        if source.get("prefix"):
            yield from env_name(f"{at}.prefix", source["prefix"])
        kinds = [k for k in ("configMapRef", "secretRef") if source.get(k) is not None]
        for kind in kinds:
            yield from object_name(f"{at}.{kind}.name", source[kind].get("name", ""))
        if not kinds:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")


def resources(path: str, given: JsonObject) -> Causes:
    """Requests and limits."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for name, value in limits.items():
        yield from _amount(f"{path}.limits[{name}]", name, value)
    for name, value in requests.items():
        yield from _amount(f"{path}.requests[{name}]", name, value)
        limit = limits.get(name)
        bound = not _overcommits(name)
        if limit is None:
            if bound:
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif bound and parse_quantity(value) != parse_quantity(limit):
            yield invalid(f"{path}.requests", value, f"must be equal to {name} limit of {limit}")
        elif parse_quantity(value) > parse_quantity(limit):
            yield invalid(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limit}")
    names = {*limits, *requests}
    if any(n.startswith("hugepages-") for n in names) and not names & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")


def _overcommits(name: str) -> bool:
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith("hugepages-")


def _amount(path: str, name: str, value: str) -> Causes:
    wrong = tuple(qualified(path, name))
    yield from wrong
    if "/" not in name and not name.startswith("hugepages-"):
        if not wrong and name not in _STANDARD:
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        if name not in _OF_CONTAINERS:
            yield invalid(path, name, "must be a standard resource for containers")
    amount = parse_quantity(value)
    if amount < 0:
        yield invalid(path, value, NOT_NEGATIVE)
    if not _overcommits(name) and amount.denominator != 1:
        yield invalid(path, value, "must be an integer")


def _security(path: str, context: JsonObject) -> Causes:
    for field in ("runAsUser", "runAsGroup"):
        yield from account_id(f"{path}.{field}", context.get(field))
    yield from seccomp(f"{path}.seccompProfile", context.get("seccompProfile"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield invalid(
                path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            )
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, context, why)


def account_id(path: str, value: int | None) -> Causes:
    """The id of a user or group."""
    if value is not None and not 0 <= value <= MAX_INT32:
        yield invalid(path, value, _USER_RULE)


def seccomp(path: str, profile: JsonObject | None) -> Causes:
    if profile is None:
        return
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if kind == "":
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in ("Localhost", "RuntimeDefault", "Unconfined"):
        yield unsupported(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))
    if kind == "Localhost":
        if not local:
            yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
    elif local is not None:
        yield invalid(f"{path}.localhostProfile", local, "can only be set when seccomp type is Localhost")


def _restart(path: str, container: JsonObject) -> Causes:
    policy = container.get("restartPolicy")
    if policy is not None and policy not in _RESTARTS:
        yield unsupported(f"{path}.restartPolicy", policy, _RESTARTS)


def _running(path: str, container: JsonObject, spec: JsonObject) -> Causes:
    """Hooks and probes of a container that runs as long as the pod."""
    grace = spec.get("terminationGracePeriodSeconds")
    lifecycle = container.get("lifecycle")
    if lifecycle is not None:
        for hook in ("postStart", "preStop"):
            if lifecycle.get(hook) is not None:
                yield from _handler(f"{path}.lifecycle.{hook}", lifecycle[hook], grace)
    for kind in _PROBES:
        if container.get(kind) is not None:
            yield from _probe(f"{path}.{kind}", kind, container[kind], grace)


def _probe(path: str, kind: str, probe: JsonObject, grace: int | None) -> Causes:
    yield from _handler(path, probe, grace)
    for field in _COUNTS:
        yield from not_negative(f"{path}.{field}", probe.get(field))
    own = probe.get("terminationGracePeriodSeconds")
    if own is not None and own <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", own, "must be greater than 0")
    if kind != "readinessProbe":
        if probe.get("successThreshold") != 1:
            yield invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")
    elif own is not None:
        yield invalid(f"{path}.terminationGracePeriodSeconds", own, "must not be set for readinessProbes")


def _handler(path: str, given: JsonObject, grace: int | None) -> Causes:
    kinds = [kind for kind in _HANDLERS if given.get(kind) is not None]
    if not kinds:
        yield required(path, "must specify a handler type")
        return
    handler, at = given[kinds[0]], f"{path}.{kinds[0]}"
    match kinds[0]:
        case "exec":
            if not handler.get("command"):
                yield required(f"{at}.command")
        case "httpGet":
            yield from _http(at, handler)
        case "tcpSocket" | "grpc":
            yield from port_or_name(f"{at}.port", handler.get("port"))
        case _:
            seconds = handler.get("seconds", 0)
            if grace is not None and not 0 <= seconds <= grace:
                why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                yield invalid(at, seconds, why)
    for kind in kinds[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")


def _http(path: str, handler: JsonObject) -> Causes:
    yield from port_or_name(f"{path}.port", handler.get("port"))
    scheme = handler.get("scheme")
    if scheme not in ("HTTP", "HTTPS"):
        yield unsupported(f"{path}.scheme", scheme, ("HTTP", "HTTPS"))
    for header in handler.get("httpHeaders") or ():
        yield from header_name(f"{path}.httpHeaders", header.get("name", ""))
