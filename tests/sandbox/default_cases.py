"""What is asked of a real API server, and of the sandbox: manifests of `default_cases/*.yaml`, each changed in one way.

A file has groups: `path` (of the collection, NS stands for the namespace), `base` (a manifest), `under` (a prefix of
the changes below), `create` and `update`: lists of changes, each a map from slash-separated paths to values (null:
removed). A create is sent as POST with dryRun; for an update the base is created, changed and PUT with dryRun.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kruise_rollouts.kube.patch import merge_diff

NS = "default-answers"
FOLDER = Path(__file__).with_name("default_cases")
ANSWERS = Path(__file__).with_name("default_answers.json")
_VOLATILE = ("uid", "creationTimestamp", "resourceVersion", "managedFields")
_REVISIONS = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")


# Kubernetes shows values as its own structs have them, which nobody can read: not compared.
_INSIDE = re.compile(r"(Invalid value: )(?:\{.*?\}|\[.*?\]|core\..*?\}): (?=[a-z])|\n@@.*", re.DOTALL)


def _kept(found: re.Match[str]) -> str:
    return found[1] or ""


class Case(NamedTuple):
    name: str
    verb: str  # create, update
    path: str
    base: dict[str, Any]
    changes: dict[str, Any]


def cases() -> Iterator[Case]:
    for file in sorted(FOLDER.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text()):
            for verb in ("create", "update"):
                for changes in group.get(verb, ()):
                    under = group.get("under", "")
                    full = {under + key: value for key, value in changes.items()}
                    path = group["path"].replace("NS", NS)
                    plural = path.rpartition("/")[2]
                    version = path.split("/")[-4 if "namespaces" in path else -2]
                    known = group["base"]["metadata"]["name"]
                    name = f"{verb} {plural}/{version} {known} {json.dumps(full)}"
                    base = group["base"]
                    if verb == "update":
                        base = changed(base, {"metadata/name": f"{known}-live"})
                    yield Case(name, verb, path, base, full)


def changed(obj: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `obj` with `changes`."""
    out = copy.deepcopy(obj)
    for path, value in changes.items():
        *way, last = path.split("/")
        at: Any = out
        for key in way:
            at = at[int(key)] if isinstance(at, list) else at.setdefault(key.replace("~", "/"), {})
        if isinstance(at, list):
            at[int(last) : int(last) + 1] = [value]
        elif value is None:
            at.pop(last.replace("~", "/"), None)
        else:
            at[last.replace("~", "/")] = long(value)
    return out


def long(value: Any) -> Any:
    """`value`; "a*300" stands for 300 letters."""
    if isinstance(value, str) and value.startswith("a*") and value[2:].isdigit():
        return "a" * int(value[2:])
    return value


def told(code: int, answer: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """An answer without what differs from run to run: a refusal, or what the server made of `body`."""
    if code >= 300:
        details = dict(answer.get("details") or {})
        causes = [{**c, "message": _INSIDE.sub(_kept, c["message"])} for c in details.get("causes") or ()]
        if causes:
            details["causes"] = [c for i, c in enumerate(causes) if c not in causes[:i]]
        return {
            "code": code,
            "reason": answer["reason"],
            "message": _INSIDE.sub(_kept, answer["message"]),
            **({"details": details} if details else {}),
        }
    made = _steady(answer, body)
    if "uid" in (body.get("metadata") or {}):
        body, made = ({k: v for k, v in o.items() if k != "status"} for o in (body, made))
        made["metadata"]["generation"] = body["metadata"].get("generation")  # controllers raise it, too
    if "generateName" in body["metadata"]:
        made["metadata"].pop("name", None)
    return {"code": code, "made": merge_diff(_steady(body), made)}


def _steady(obj: dict[str, Any], body: dict[str, Any] | None = None) -> dict[str, Any]:
    out = copy.deepcopy(obj)
    meta = out.get("metadata") or {}
    for key in _VOLATILE:
        meta.pop(key, None)
    for key in _REVISIONS:
        (meta.get("annotations") or {}).pop(key, None)
    if not meta.get("annotations"):
        meta.pop("annotations", None)
    if out.get("kind") == "Service":
        _without_addresses(out, body)
    if out.get("kind") in ("Job", "Pod"):
        out = json.loads(_without_random(out))
    return out


def _without_random(obj: dict[str, Any]) -> str:
    """A Job has its uid in labels; a Pod has a random volume name."""
    text = json.dumps(obj)
    uid = (
        ((obj.get("spec") or {}).get("selector") or {})
        .get("matchLabels", {})
        .get("batch.kubernetes.io/controller-uid")
    )
    for volume in (obj.get("spec") or {}).get("volumes") or ():
        if str(volume.get("name")).startswith("kube-api-access-"):
            text = text.replace(volume["name"], "kube-api-access-xxxxx")
    return text.replace(uid, "UID") if uid else text


def _without_addresses(service: dict[str, Any], body: dict[str, Any] | None) -> None:
    """Addresses and node ports that were not asked for are any."""
    spec = service.get("spec") or {}
    asked = (body or service).get("spec") or {}
    if spec.get("clusterIP", "None") != "None" and spec["clusterIP"] != asked.get("clusterIP"):
        spec["clusterIP"], spec["clusterIPs"] = "IP", ["IP"]
    ports = asked.get("ports") or ()
    for index, port in enumerate(spec.get("ports") or ()):
        wanted = ports[index].get("nodePort") if index < len(ports) else None
        if port.get("nodePort") and port["nodePort"] != wanted:
            port["nodePort"] = "PORT"
    if spec.get("healthCheckNodePort") and spec["healthCheckNodePort"] != asked.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = "PORT"


# One plain manifest of each kind.
CASES_BY_KIND = {f"{c.base['apiVersion']} {c.base['kind']}": c.base for c in cases()}
