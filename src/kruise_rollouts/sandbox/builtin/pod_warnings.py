"""What the API server warns of in pods and in the templates of pods, although it takes them.

What it refuses is validation.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.resources import Resource

_IN_SPEC = "spec.template.spec"
# Where kinds keep the spec of a pod.
_PLACES: dict[tuple[str, str], str] = {
    ("", "pods"): "spec",
    ("", "podtemplates"): "template.spec",
    ("", "replicationcontrollers"): _IN_SPEC,
    ("apps", "deployments"): _IN_SPEC,
    ("apps", "replicasets"): _IN_SPEC,
    ("apps", "statefulsets"): _IN_SPEC,
    ("apps", "daemonsets"): _IN_SPEC,
    ("batch", "jobs"): _IN_SPEC,
    ("batch", "cronjobs"): "spec.jobTemplate.spec.template.spec",
}


def pod_warnings(resource: Resource, new: JsonObject, live: JsonObject | None) -> tuple[str, ...]:
    """Warnings about the pod in `new`; () if its generation is that of `live`, since then they have been told."""
    if resource.storage == ("", "services"):
        return tuple(_service_warnings(new.get("spec") or {}))
    place = _PLACES.get(resource.storage)
    if place is None:
        return ()
    if live is not None and live["metadata"].get("generation") == new["metadata"].get("generation"):
        return ()
    spec = new
    for step in place.split("."):
        spec = spec.get(step) or {}
    return (*_ports(spec, place), *_variables(spec, place))


def _service_warnings(spec: JsonObject) -> Iterator[str]:
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") != "None":
        return
    if spec.get("externalIPs"):
        yield "spec.externalIPs is ignored for headless services"
    if spec.get("loadBalancerIP"):
        yield "spec.loadBalancerIP is ignored for headless services"
    if (spec.get("sessionAffinity") or "None") != "None":
        yield "spec.SessionAffinity is ignored for headless services"


def _containers(spec: JsonObject, place: str) -> Iterator[tuple[str, JsonObject]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield f"{place}.{field}[{index}]", container


def _ports(spec: JsonObject, place: str) -> Iterator[str]:
    seen: list[tuple[str, JsonObject]] = []
    for path, container in _containers(spec, place):
        for index, port in enumerate(container.get("ports") or ()):
            here = f"{path}.ports[{index}]"
            for there, other in seen:
                if any(port.get(k) != other.get(k) for k in ("containerPort", "protocol")):
                    continue
                same = all(port.get(k) == other.get(k) for k in ("hostPort", "hostIP"))
                yield f"{here}: {'duplicate' if same else 'overlapping'} port definition with {there}"
            seen.append((here, port))


def _variables(spec: JsonObject, place: str) -> Iterator[str]:
    for path, container in _containers(spec, place):
        names: set[str] = set()
        for index, variable in enumerate(container.get("env") or ()):
            name = variable.get("name") or ""
            if name in names:
                yield (
                    f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
                )
            names.add(name)
