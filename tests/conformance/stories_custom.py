"""Custom resources and their definitions."""

from __future__ import annotations

from typing import Any

from .asking import APPLY, JSON_PATCH, META, STRATEGIC, TABLE, Story
from .script import Script, thing

GROUP = "conformance.example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
                "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "port": {"x-kubernetes-int-or-string": True},
                "when": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "n": {"type": "integer", "default": 1}},
                    },
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is fixed"}]},
            },
            "x-kubernetes-validations": [{"rule": "self.mode == 'A' || self.size < 5", "message": "B is small"}],
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}, "word": {"type": "string"}}},
    },
}  # fmt: skip


def crd(plural: str, kind: str, **version: Any) -> dict[str, Any]:
    served = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _SCHEMA},
        **version,
    }
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {
            "plural": plural,
            "singular": kind.lower(),
            "kind": kind,
            "shortNames": [kind.lower()[:3]],
            "categories": ["all"],
        },
        "versions": [served],
    }
    return thing("CustomResourceDefinition", f"{plural}.{GROUP}", "apiextensions.k8s.io/v1", spec=spec)


def a_thing(name: str, **spec: Any) -> dict[str, Any]:
    return thing("Thing", name, f"{GROUP}/v1", spec={"size": 1, **spec})


def custom() -> Story:
    s = Script("custom", f"{CRDS}/things.{GROUP}")
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Word", "type": "string", "jsonPath": ".spec.word", "priority": 1},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    sub = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.size",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    g = f"{GROUP}/v1"
    s.get("before", "things", group=g)
    s.post("create the CRD", CRDS, crd("things", "Thing", additionalPrinterColumns=columns, subresources=sub))
    s.get("established", f"{CRDS}/things.{GROUP}", until=("status.conditions.1.status", "True"))
    s.get("served", "things", group=g, until=(200, None))
    s.get("discovery", f"/apis/{g}", until=(200, None))
    s.get("group", f"/apis/{GROUP}", until=(200, None))
    s.post("create", "things", a_thing("a", parts=[{"name": "p"}]), group=g)
    s.post("create pruned", "things", a_thing("pruned", unknown=1, free={"x": [1]}), group=g)
    s.post(
        "create strictly",
        "things?fieldValidation=Strict",
        a_thing("strict", unknown=1, parts=[{"name": "x", "no": 1}]),
        group=g,
    )
    for name, spec in (
        ("too small", {"size": 0}), ("too large", {"size": 11}), ("text", {"size": "3"}), ("fraction", {"size": 1.5}), ("whole fraction", {"size": 2.0}), ("null", {"size": None}),
        ("enum", {"mode": "C"}), ("null default", {"mode": None}), ("pattern", {"word": "X1"}), ("long", {"word": "abcdef"}), ("port text", {"port": "80%"}), ("port bool", {"port": True}),
        ("bad time", {"when": "now"}), ("good time", {"when": "2024-01-01T00:00:00Z"}), ("set twice", {"tags": ["a", "a"]}), ("many", {"tags": ["a", "b", "c", "d"]}),
        ("key twice", {"parts": [{"name": "a"}, {"name": "a"}]}), ("no key", {"parts": [{"n": 1}]}), ("rule", {"mode": "B", "size": 6}), ("list for object", {"free": []}), ("several", {"size": 0, "mode": "C", "tags": [1]}),
    ):  # fmt: skip
        s.post(f"spec {name}", "things?dryRun=All", a_thing("v", **spec), group=g)
    s.post("no spec", "things?dryRun=All", thing("Thing", "nospec", g), group=g)
    s.post("spec a text", "things?dryRun=All", thing("Thing", "x", g, spec="x"), group=g)
    s.post("no size", "things?dryRun=All", thing("Thing", "x", g, spec={}), group=g)
    s.post("another kind", "things", thing("Other", "x", g), group=g)
    s.post("another version", "things", thing("Thing", "x", f"{GROUP}/v2"), group=g)
    s.post("no kind", "things", {"metadata": {"name": "x"}, "spec": {"size": 1}}, group=g)
    s.post("a bad name", "things", a_thing("Bad_Name"), group=g)
    s.post("not JSON", "things", raw="{", group=g)
    s.post(
        "labels of numbers",
        "things",
        {**a_thing("l"), "metadata": {"name": "l", "labels": {"a": 1}}},
        group=g,
    )
    s.post(
        "a field twice",
        "things?fieldValidation=Strict",
        raw='{"apiVersion":"conformance.example.com/v1","kind":"Thing","metadata":{"name":"d"},"spec":{"size":1,"size":2}}',
        group=g,
    )
    s.post(
        "YAML",
        "things",
        raw=f"apiVersion: {g}\nkind: Thing\nmetadata: {{name: yaml}}\nspec: {{size: 2, word: abc}}\n",
        type="application/yaml",
        group=g,
    )
    t = "things/a"
    s.get("get", t, group=g)
    s.patch("merge", t, {"spec": {"word": "abc", "fixed": "f"}}, group=g)
    s.patch("change the fixed", t, {"spec": {"fixed": "g"}}, group=g)
    s.patch("merge null of a default", t, {"spec": {"mode": None}}, group=g)
    s.patch("strategic", t, {"spec": {"size": 2}}, type=STRATEGIC, group=g)
    s.patch("json", t, [{"op": "add", "path": "/spec/tags", "value": ["x"]}], type=JSON_PATCH, group=g)
    s.patch("unknown field strictly", f"{t}?fieldValidation=Strict", {"spec": {"nope": 1}}, group=g)
    s.patch(
        "apply",
        f"{t}?fieldManager=m1",
        a_thing("a", size=3, parts=[{"name": "q"}], tags=["y"]),
        type=APPLY,
        group=g,
    )
    s.patch(
        "apply by force",
        f"{t}?fieldManager=m1&force=true",
        a_thing("a", size=3, parts=[{"name": "q"}], tags=["y"]),
        type=APPLY,
        group=g,
    )
    s.patch(
        "apply by another",
        f"{t}?fieldManager=m2",
        a_thing("a", size=3, parts=[{"name": "q", "n": 5}, {"name": "r"}], tags=["z"]),
        type=APPLY,
        group=g,
    )
    s.patch("apply less", f"{t}?fieldManager=m1", a_thing("a", size=3), type=APPLY, group=g)
    s.patch("apply a new one", "things/new?fieldManager=m1", a_thing("new"), type=APPLY, group=g)
    s.put("update without a version", t, a_thing("a"), group=g)
    s.put("update of an absent one", "things/none", a_thing("none"), group=g)
    s.patch("status through the main path", t, {"status": {"word": "x"}}, group=g)
    s.patch(
        "status",
        f"{t}/status",
        {"status": {"word": "x", "replicas": 2, "selector": "a=b", "no": 1}, "spec": {"size": 9}},
        group=g,
    )
    s.get("get status", f"{t}/status", group=g)
    s.patch("status of a wrong type", f"{t}/status", {"status": {"word": 1}}, group=g)
    s.patch(
        "status by apply",
        f"{t}/status?fieldManager=st",
        thing("Thing", "a", g, status={"word": "y"}),
        type=APPLY,
        group=g,
    )
    s.get("scale", f"{t}/scale", group=g)
    s.patch("scale up", f"{t}/scale", {"spec": {"replicas": 4}}, group=g)
    s.patch("scale below", f"{t}/scale", {"spec": {"replicas": 0}}, group=g)
    s.put("scale by put", f"{t}/scale", thing("Scale", "a", "autoscaling/v1", spec={"replicas": 5}), group=g)
    s.put("scale by put of another kind", f"{t}/scale", a_thing("a"), group=g)
    s.get("scale of an absent one", "things/none/scale", group=g)
    s.get("table", "things", group=g, accept=TABLE)
    s.get("metadata", t, group=g, accept=META)
    s.get("list", "things?labelSelector=none", group=g)
    s.get("field selector", "things?fieldSelector=spec.size%3D1", group=g)
    s.get("by name", "things?fieldSelector=metadata.name%3Dnew", group=g)
    s.get("another version's path", "things", group=f"{GROUP}/v2")
    s.get("unknown subresource", f"{t}/frob", group=g)
    s.delete("delete", "things/new", group=g)
    s.delete("delete all", "things", group=g)
    s.delete("delete the CRD", f"{CRDS}/things.{GROUP}")
    s.get("the CRD goes", f"{CRDS}/things.{GROUP}", until=(404, None))
    s.get("not served", "things", group=g, until=(404, None))
    return s.story


def definitions() -> Story:
    s = Script("definitions")

    def refused(title: str, change: dict[str, Any], **version: Any) -> None:
        body = crd("frobs", "Frob", **version)
        s.post(title, f"{CRDS}?dryRun=All", {**body, "spec": {**body["spec"], **change}})

    refused("good", {})
    refused("no group", {"group": ""})
    refused("another group", {"group": "other.example.com"})
    refused("bad scope", {"scope": "Galaxy"})
    refused("no versions", {"versions": []})
    refused("bad plural", {"names": {"plural": "Frobs", "kind": "Frob"}})
    refused("no kind", {"names": {"plural": "frobs"}})
    refused("no storage", {}, storage=False)
    refused("no schema", {}, schema={})
    refused("bad version", {}, name="V1")
    for name, schema in (
        ("no type", {"properties": {}}), ("array", {"type": "array"}), ("array without items", {"type": "object", "properties": {"a": {"type": "array"}}}),
        ("unknown type", {"type": "object", "properties": {"a": {"type": "frob"}}}), ("metadata", {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        ("default of a wrong type", {"type": "object", "properties": {"a": {"type": "string", "default": 1}}}), ("unique", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}}}),
        ("map without keys", {"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}}),
        ("bad rule", {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self +"}]}}}),
        ("rule of a wrong type", {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "self + 1 == 2"}]}}}),
        ("bad pattern", {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
        ("additional and properties", {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}}}}),
    ):  # fmt: skip
        refused(f"schema: {name}", {}, schema={"openAPIV3Schema": schema})
    refused("column without path", {}, additionalPrinterColumns=[{"name": "A", "type": "string"}])
    refused(
        "column of a bad type", {}, additionalPrinterColumns=[{"name": "A", "type": "frob", "jsonPath": ".a"}]
    )
    refused("scale without paths", {}, subresources={"scale": {}})
    s.post("another name", CRDS, {**crd("frobs", "Frob"), "metadata": {"name": "other"}})
    s.get("absent", f"{CRDS}/none")
    return s.story


def stories() -> tuple[Story, ...]:
    return custom(), definitions()
