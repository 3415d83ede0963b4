"""Random histories of writes: creates, updates, patches of every type, applies by several managers, deletes."""

from __future__ import annotations

from random import Random
from typing import Any

from .asking import APPLY, JSON_PATCH, STRATEGIC, Story
from .script import Script
from .stories_custom import CRDS, GROUP, crd

_KINDS = {
    "configmaps": ("", "v1", "ConfigMap"),
    "podtemplates": ("", "v1", "PodTemplate"),
    "services": ("", "v1", "Service"),
    "deployments": ("apps/v1", "apps/v1", "Deployment"),
    "things": (f"{GROUP}/v1", f"{GROUP}/v1", "Thing"),
}
_PATHS = (
    "/metadata/labels", "/metadata/labels/x", "/metadata/annotations", "/metadata/annotations/y", "/data/a", "/data/b",
    "/spec/template/spec/containers/0/image", "/spec/minReadySeconds", "/template/spec/containers/0/image",
    "/template/spec/containers/-", "/spec/tags/0", "/spec/word", "/spec/parts/0/n", "/spec/ports/0/port", "/spec/nothing",
)  # fmt: skip


class _Writer:
    """Draws requests from a seed. Pods are never made: Deployments are paused and have no replicas."""

    def __init__(self, seed: int, length: int) -> None:
        self.random = Random(seed)
        self.script = Script(f"random-{seed}", f"{CRDS}/things.{GROUP}", controlled=True)
        self.length = length

    def story(self) -> Story:
        s, group = self.script, f"{GROUP}/v1"
        s.post("the CRD", CRDS, crd("things", "Thing", subresources={"status": {}}))
        s.get("it is served", "things", group=group, until=(200, None))
        for number in range(self.length):
            self.write(f"{number:03}")
        for plural, (group, _, _) in _KINDS.items():
            for name in "ab":
                s.get(f"{plural}/{name} in the end", f"{plural}/{name}", group=group)
        return s.story

    def write(self, number: str) -> None:
        random = self.random
        plural = random.choice(tuple(_KINDS))
        group = _KINDS[plural][0]
        name = random.choice("ab")
        path, obj = f"{plural}/{name}", self.obj(plural, name)
        manager = random.choice(("m1", "m2", "m3"))
        s, by = self.script, f"?fieldManager={manager}"
        match random.choices(
            ("create", "update", "merge", "strategic", "json", "apply", "force", "delete", "dry"),
            (3, 2, 4, 3, 3, 6, 3, 1, 1),
        )[0]:
            case "create":
                s.post(f"{number} create {path}", f"{plural}{by}", obj, group=group)
            case "update":
                s.put(f"{number} update {path}", f"{path}{by}", obj, group=group)
            case "merge":
                s.patch(f"{number} merge {path}", f"{path}{by}", self.part(obj), group=group)
            case "strategic":
                s.patch(
                    f"{number} strategic {path}", f"{path}{by}", self.part(obj), group=group, type=STRATEGIC
                )
            case "json":
                s.patch(
                    f"{number} json {path}", f"{path}{by}", self.operations(), group=group, type=JSON_PATCH
                )
            case "apply":
                s.patch(f"{number} apply {path}", f"{path}{by}", obj, group=group, type=APPLY)
            case "force":
                s.patch(f"{number} force {path}", f"{path}{by}&force=true", obj, group=group, type=APPLY)
            case "dry":
                s.patch(
                    f"{number} dry {path}", f"{path}{by}&dryRun=All&force=true", obj, group=group, type=APPLY
                )
            case "delete":
                # Of a kind this new the real garbage collector may not know for half a minute.
                policies = ("Background",) if plural == "things" else ("Background", "Foreground", "Orphan")
                policy = random.choice(policies)
                s.delete(
                    f"{number} delete {path} {policy}", f"{path}?propagationPolicy={policy}", group=group
                )
                s.get(f"{number} {path} has gone", path, group=group, until=(404, None))

    def obj(self, plural: str, name: str) -> dict[str, Any]:
        _, version, kind = _KINDS[plural]
        meta: dict[str, Any] = {"name": name}
        for field, key in (("labels", "x"), ("annotations", "y")):
            if self.random.random() < 0.4:
                meta[field] = {key: self.random.choice("12")}
        return {"apiVersion": version, "kind": kind, "metadata": meta, **self.content(plural)}

    def content(self, plural: str) -> dict[str, Any]:
        random = self.random
        match plural:
            case "configmaps":
                return {"data": {k: random.choice("123") for k in "abc" if random.random() < 0.6}}
            case "podtemplates":
                return {"template": self.template("t")}
            case "services":
                ports = [{"name": n, "port": random.choice((80, 81)) + i * 10} for i, n in enumerate("pq")]
                return {
                    "spec": {
                        "ports": ports[: random.choice((1, 2))],
                        "selector": {"app": random.choice("cd")},
                    }
                }
            case "deployments":
                spec = {
                    "paused": True,
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": "d"}},
                    "template": self.template("d"),
                }
                if random.random() < 0.5:
                    spec["minReadySeconds"] = random.choice((1, 2))
                return {"spec": spec}
        spec = {"size": random.choice((1, 2, 11))}
        if random.random() < 0.5:
            spec["tags"] = [t for t in "xyz" if random.random() < 0.5]
        if random.random() < 0.5:
            spec["parts"] = [{"name": n, "n": random.choice((1, 2))} for n in "pq" if random.random() < 0.7]
        if random.random() < 0.3:
            spec["word"] = random.choice(("abc", "Abc"))
        return {"spec": spec}

    def template(self, app: str) -> dict[str, Any]:
        random = self.random
        containers = []
        for name in random.sample("abc", random.choice((1, 2, 3))):
            container: dict[str, Any] = {"name": name, "image": f"i:{random.choice('12')}"}
            if random.random() < 0.4:
                container["env"] = [
                    {"name": n, "value": random.choice("12")} for n in "EF" if random.random() < 0.7
                ]
            if random.random() < 0.3:
                container["ports"] = [{"containerPort": random.choice((80, 81))}]
            containers.append(container)
        return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers}}

    def part(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Some of an object, as a patch; now and then a null."""
        out = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind") and self.random.random() < 0.8}
        if self.random.random() < 0.2:
            out["metadata"] = {"labels": None, "annotations": {"y": None}}
        return out

    def operations(self) -> list[dict[str, Any]]:
        random = self.random
        out: list[dict[str, Any]] = []
        for _ in range(random.choice((1, 1, 2))):
            op = random.choice(("add", "remove", "replace", "test", "copy", "move"))
            step: dict[str, Any] = {"op": op, "path": random.choice(_PATHS)}
            if op in ("add", "replace", "test"):
                step["value"] = random.choice(("1", "i:3", {"x": "1"}, 3))
            if op in ("copy", "move"):
                step["from"] = random.choice(_PATHS)
            out.append(step)
        return out


def random_story(seed: int, length: int) -> Story:
    """The same story for the same seed."""
    return _Writer(seed, length).story()
