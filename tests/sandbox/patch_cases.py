"""Random objects and random patches of them, for comparing our patches with those of a real API server."""

from __future__ import annotations

from random import Random
from typing import Any

NAMES = ("a", "b", "c", "d")


def some(rng: Random, make: Any, low: int = 0, high: int = 3) -> list[Any]:
    """Elements with distinct names, in random order."""
    names = list(NAMES)
    rng.shuffle(names)
    return [make(rng, name) for name in names[: rng.randint(low, high)]]


def maybe(rng: Random, target: dict[str, Any], key: str, value: Any, chance: float = 0.5) -> None:
    if rng.random() < chance:
        target[key] = value


def container(rng: Random, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "image": f"image:{rng.randint(1, 3)}"}
    maybe(rng, out, "env", some(rng, lambda r, n: {"name": n.upper(), "value": str(r.randint(1, 3))}))
    maybe(rng, out, "args", [str(rng.randint(1, 3)) for _ in range(rng.randint(0, 3))])
    maybe(rng, out, "ports", some(rng, port))
    maybe(rng, out, "resources", {"limits": {"cpu": f"{rng.randint(1, 3)}", "memory": "64Mi"}}, 0.3)
    maybe(rng, out, "workingDir", rng.choice(["/", "/tmp"]), 0.3)
    return out


def port(rng: Random, name: str) -> dict[str, Any]:
    number = {"a": 80, "b": 81, "c": 82, "d": 83}[name]
    out: dict[str, Any] = {"containerPort": number, "name": f"p-{name}"}
    maybe(rng, out, "protocol", rng.choice(["TCP", "UDP"]), 0.3)
    return out


def volume(rng: Random, name: str) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"name": name, "emptyDir": {}}
    return {"name": name, "configMap": {"name": f"map-{rng.randint(1, 2)}"}}


def toleration(rng: Random, name: str) -> dict[str, Any]:
    return {"key": name, "operator": "Exists"}


def labels(rng: Random) -> dict[str, str]:
    return {n: str(rng.randint(1, 3)) for n in rng.sample(NAMES, rng.randint(0, 3))}


def pod_spec(rng: Random) -> dict[str, Any]:
    out: dict[str, Any] = {"containers": some(rng, container, 1)}
    maybe(rng, out, "volumes", some(rng, volume))
    maybe(rng, out, "tolerations", some(rng, toleration))
    maybe(rng, out, "nodeSelector", labels(rng), 0.3)
    maybe(rng, out, "terminationGracePeriodSeconds", rng.randint(1, 60), 0.3)
    maybe(rng, out, "imagePullSecrets", some(rng, lambda r, n: {"name": n}), 0.3)
    maybe(rng, out, "hostAliases", some(rng, host_alias), 0.3)
    return out


def host_alias(rng: Random, name: str) -> dict[str, Any]:
    return {"ip": f"10.0.0.{ord(name)}", "hostnames": [f"{name}{rng.randint(1, 2)}.example.com"]}


def metadata(rng: Random) -> dict[str, Any]:
    out: dict[str, Any] = {}
    maybe(rng, out, "labels", labels(rng))
    maybe(rng, out, "annotations", labels(rng))
    maybe(rng, out, "finalizers", [f"example.com/{n}" for n in rng.sample(NAMES, rng.randint(0, 3))], 0.3)
    return out


def deployment(rng: Random) -> dict[str, Any]:
    template = {"metadata": {**metadata(rng), "labels": {"app": "x", **labels(rng)}}, "spec": pod_spec(rng)}
    template["metadata"].pop("finalizers", None)
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    maybe(rng, spec, "replicas", rng.randint(0, 3))
    maybe(rng, spec, "strategy", strategy(rng))
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(rng), "spec": spec}


def strategy(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": rng.choice([1, "25%"])}}


def service(rng: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": labels(rng), "ports": some(rng, service_port, 1)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(rng), "spec": spec}


def service_port(rng: Random, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "port": {"a": 80, "b": 81, "c": 82, "d": 83}[name]}
    maybe(rng, out, "targetPort", rng.choice([8080, "http"]))
    maybe(rng, out, "protocol", "TCP", 0.3)
    return out


def config_map(rng: Random) -> dict[str, Any]:
    out: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(rng)}
    maybe(rng, out, "data", labels(rng), 0.8)
    return out


KINDS = {
    "deployments": ("/apis/apps/v1", ("apps", "v1", "Deployment"), deployment),
    "services": ("/api/v1", ("", "v1", "Service"), service),
    "configmaps": ("/api/v1", ("", "v1", "ConfigMap"), config_map),
}
_KEYS = {
    "containers": "name", "env": "name", "volumes": "name", "imagePullSecrets": "name", "hostAliases": "ip",
    "ports": "containerPort",
}  # fmt: skip


def strategic(rng: Random, target: Any, *, key: str = "", service: bool = False) -> Any:
    """`target`, thinned out and sprinkled with directives, as a strategic merge patch."""
    if isinstance(target, dict):
        out = {
            k: v
            for k, v in target.items()
            if rng.random() < 0.6 or k in ("name", "containerPort", "port", "ip")
        }
        for k in list(out):
            out[k] = strategic(rng, out[k], key=k, service=service or "selector" in target)
            if rng.random() < 0.06:
                out[k] = None
            elif k in _KEYS and rng.random() < 0.3 and isinstance(out[k], list):
                _order(rng, out, k, service)
        if rng.random() < 0.04:
            out["$patch"] = rng.choice(["replace", "delete", "merge"])
        if key == "strategy" and rng.random() < 0.5:
            out["$retainKeys"] = [k for k in out if not k.startswith("$")]
        if rng.random() < 0.1 and key == "metadata" and "finalizers" not in out:
            out["$deleteFromPrimitiveList/finalizers"] = [f"example.com/{rng.choice(NAMES)}"]
        return out
    if isinstance(target, list):
        out_list = [strategic(rng, v, key="item", service=service) for v in target if rng.random() < 0.7]
        if rng.random() < 0.05 and all(isinstance(v, dict) for v in out_list):
            out_list.append({"$patch": "replace"})
        for item in out_list:
            if isinstance(item, dict) and rng.random() < 0.1:
                item["$patch"] = "delete"
        return out_list
    return target


def _order(rng: Random, out: dict[str, Any], key: str, service: bool) -> None:
    by = "port" if service and key == "ports" else _KEYS[key]
    order = [{by: item[by]} for item in out[key] if isinstance(item, dict) and by in item]
    extra = {"containerPort": 83, "port": 83, "ip": "10.0.0.100"}.get(by, "D" if key == "env" else "d")
    if rng.random() < 0.5 and {by: extra} not in order:
        order.insert(rng.randint(0, len(order)), {by: extra})
    if rng.random() < 0.2:
        rng.shuffle(order)
    out[f"$setElementOrder/{key}"] = order


def pod_template(rng: Random) -> dict[str, Any]:
    template = {"metadata": {"labels": labels(rng)}, "spec": pod_spec(rng)}
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata(rng), "template": template}


def thing(rng: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    maybe(rng, spec, "size", rng.randint(0, 3))
    maybe(rng, spec, "tags", rng.sample(NAMES, rng.randint(0, 3)))
    maybe(rng, spec, "plain", rng.sample(NAMES, rng.randint(0, 3)))
    maybe(rng, spec, "parts", some(rng, part))
    maybe(rng, spec, "whole", {"x": str(rng.randint(1, 2)), "y": {"z": rng.randint(1, 2)}})
    maybe(
        rng,
        spec,
        "free",
        {n: rng.choice([1, "s", {"deep": [1, 2]}, [rng.randint(1, 2)]]) for n in labels(rng)},
    )
    maybe(rng, spec, "percent", rng.choice([1, "50%"]))
    return {"apiVersion": "patch.example.com/v1", "kind": "Thing", "metadata": metadata(rng), "spec": spec}


def part(rng: Random, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {"name": name}
    maybe(rng, out, "zone", rng.choice(["here", "there"]))
    maybe(rng, out, "labels", labels(rng))
    return out


_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_PART = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _STRING,
        "zone": {"type": "string", "default": "here"},
        "labels": {"type": "object", "additionalProperties": _STRING},
    },
}
CUSTOM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "tags": {**_STRINGS, "x-kubernetes-list-type": "set"},
                "plain": _STRINGS,
                "parts": {
                    "type": "array",
                    "items": _PART,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name", "zone"],
                },
                "whole": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "x-kubernetes-preserve-unknown-fields": True,
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "percent": {"x-kubernetes-int-or-string": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "phase": _STRING,
                "conditions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": _STRING, "status": _STRING},
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                },
            },
        },
    },
}


def crd() -> dict[str, Any]:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": CUSTOM},
    }
    names = {"plural": "things", "singular": "thing", "kind": "Thing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.patch.example.com"},
        "spec": {"group": "patch.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def status(rng: Random, live: dict[str, Any]) -> dict[str, Any]:
    conditions = some(rng, lambda r, n: {"type": n, "status": r.choice(["True", "False"])})
    if live["kind"] == "Service":
        for condition in conditions:
            condition.update(reason="R", message="", lastTransitionTime="2026-01-01T00:00:00Z")
        return {"status": {"conditions": conditions}}
    out: dict[str, Any] = {"conditions": conditions}
    maybe(rng, out, "phase", rng.choice(NAMES))
    return {"status": out, "metadata": {"labels": labels(rng)}}


OWNED = {
    "podtemplates": ("/api/v1", ("", "v1", "PodTemplate"), pod_template),
    "services": ("/api/v1", ("", "v1", "Service"), service),
    "configmaps": ("/api/v1", ("", "v1", "ConfigMap"), config_map),
    "things": ("/apis/patch.example.com/v1", ("patch.example.com", "v1", "Thing"), thing),
}
