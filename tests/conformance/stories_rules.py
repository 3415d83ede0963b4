"""Lists in custom resources, rules in CEL, conversions and webhooks that fail, trial runs and conditional deletes."""

from __future__ import annotations

from typing import Any

from .asking import APPLY, JSON_PATCH, STRATEGIC, Story
from .script import Script, config, labelled, thing
from .stories_custom import CRDS, GROUP

_V1 = f"{GROUP}/v1"


def _definition(plural: str, kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    body = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version], **more}
    return thing("CustomResourceDefinition", f"{plural}.{GROUP}", "apiextensions.k8s.io/v1", spec=body)


def lists_of_customs() -> Story:
    s = Script("merging", f"{CRDS}/shelves.{GROUP}")
    text, number = {"type": "string"}, {"type": "integer"}
    port = {"type": "object", "required": ["port"], "properties": {"port": number, "protocol": {**text, "default": "TCP"}, "name": text, "tags": {"type": "array", "items": text, "x-kubernetes-list-type": "set"}}}  # fmt: skip
    spec = {
        "type": "object",
        "properties": {
            "ports": {"type": "array", "items": port, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]},
            "numbers": {"type": "array", "items": number, "x-kubernetes-list-type": "set"},
            "whole": {"type": "array", "items": text, "x-kubernetes-list-type": "atomic"},
            "fixed": {"type": "object", "properties": {"a": text, "b": text}, "x-kubernetes-map-type": "atomic"},
            "labels": {"type": "object", "additionalProperties": text},
            "deep": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": text, "y": text}}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "maybe": {"type": "string", "nullable": True},
        },
    }  # fmt: skip
    s.post("the CRD", CRDS, _definition("shelves", "Shelf", spec))
    s.get("it is served", "shelves", group=_V1, until=(200, None))

    def apply(title: str, manager: str, *, force: bool = False, **fields: Any) -> None:
        query = f"?fieldManager={manager}{'&force=true' if force else ''}"
        s.patch(title, f"shelves/a{query}", thing("Shelf", "a", _V1, spec=fields), type=APPLY, group=_V1)

    apply("create", "m1", ports=[{"port": 80}, {"port": 80, "protocol": "UDP"}], numbers=[1, 2], whole=["a"], fixed={"a": "1"}, labels={"x": "1"})  # fmt: skip
    apply("another adds", "m2", ports=[{"port": 443, "name": "s"}], numbers=[2, 3], labels={"y": "2"})
    apply("another wants a part of it", "m2", ports=[{"port": 80, "name": "web"}], numbers=[3])
    apply("a conflict about a whole list", "m2", whole=["b"])
    apply("a conflict about a whole map", "m2", fixed={"b": "2"})
    apply("the whole list by force", "m2", force=True, whole=["b"])
    apply("tags in a port", "m1", ports=[{"port": 80, "tags": ["p", "q"]}], numbers=[1, 2])
    apply("tags by another", "m3", ports=[{"port": 80, "tags": ["q", "r"]}])
    apply("fewer tags", "m1", ports=[{"port": 80, "tags": ["q"]}], numbers=[1])
    apply("deep maps", "m1", deep={"k": {"x": "1"}, "l": {"y": "2"}}, any={"z": {"w": [1, {"v": 2}]}})
    apply("deep maps by another", "m2", deep={"k": {"y": "3"}}, any={"z": {"u": 1}})
    apply("a conflict deep", "m2", deep={"k": {"x": "9"}}, any={"z": {"w": []}})
    apply("nothing more", "m1")
    apply("null for what may be null", "m3", maybe=None)
    apply("twice in a set", "m3", numbers=[7, 7])
    apply("twice in a map", "m3", ports=[{"port": 1}, {"port": 1, "protocol": "TCP"}])
    apply("no key", "m3", ports=[{"name": "x"}])
    apply("text for a number", "m3", numbers=["x"])
    apply("a map for a list", "m3", whole={"a": "b"})
    s.patch("merge a list", "shelves/a?fieldManager=p", {"spec": {"numbers": [9], "ports": [{"port": 9, "protocol": "TCP"}]}}, group=_V1)  # fmt: skip
    s.patch("json into a list", "shelves/a?fieldManager=q", [{"op": "add", "path": "/spec/numbers/-", "value": 10}, {"op": "replace", "path": "/spec/ports/0/name", "value": "n"}], type=JSON_PATCH, group=_V1)  # fmt: skip
    s.patch("merge what a set may not have", "shelves/a", {"spec": {"numbers": [1, 1]}}, group=_V1)
    s.patch("merge what a map may not have", "shelves/a", {"spec": {"ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "TCP"}]}}, group=_V1)  # fmt: skip
    s.get("in the end", "shelves/a", group=_V1)
    return s.story


def rules() -> Story:
    s = Script("rules", f"{CRDS}/laws.{GROUP}")
    text, number = {"type": "string", "maxLength": 20}, {"type": "integer"}

    def ruled(schema: dict[str, Any], rule: str, **more: Any) -> dict[str, Any]:
        return {**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}

    fields: dict[str, tuple[dict[str, Any], Any]] = {
        "plain": (ruled(number, "self > 3"), 1),
        "message": (ruled(number, "self > 3", message="must be more than three"), 1),
        "made": (ruled(text, "self == 'ok'", messageExpression="'got ' + self"), "no"),
        "failing": (ruled(text, "self == 'ok'", messageExpression="self.substring(9)", message="instead"), "no"),
        "forbidden": (ruled(number, "self > 3", reason="FieldValueForbidden"), 1),
        "absent": (ruled(number, "self > 3", reason="FieldValueRequired"), 1),
        "twice": (ruled(number, "self > 3", reason="FieldValueDuplicate"), 1),
        "division": (ruled(number, "10 / self > 1"), 0),
        "starts": (ruled(text, "self.startsWith('a') && self.matches('^[a-z]+$')"), "b1"),
        "size": (ruled({"type": "array", "items": text, "maxItems": 5}, "self.size() < 2 || self.all(x, x != 'no')"), ["yes", "no"]),
        "map": (ruled({"type": "object", "additionalProperties": text, "maxProperties": 5}, "!('k' in self) || self['k'] == 'v'"), {"k": "w"}),
        "path": (ruled({"type": "object", "properties": {"a": text, "b": text}}, "has(self.a) == has(self.b)", fieldPath=".a", message="a and b"), {"a": "x"}),
        "quantity": (ruled(text, "isQuantity(self) && quantity(self).isLessThan(quantity('1Gi'))"), "2Gi"),
        "url": (ruled(text, "isURL(self) && url(self).getScheme() == 'https'"), "http://x"),
        "ip": (ruled(text, "isIP(self) && ip(self).family() == 4"), "::1"),
        "duration": (ruled({"type": "string", "format": "duration"}, "self < duration('1h')"), "2h"),
        "time": (ruled({"type": "string", "format": "date-time"}, "self > timestamp('2024-01-01T00:00:00Z')"), "2023-01-01T00:00:00Z"),
        "once": (ruled(text, "self == oldSelf", message="once"), "x"),
        "optional": (ruled({"type": "object", "properties": {"n": number}}, "self.?n.orValue(5) > 4"), {"n": 1}),
        "exists": (ruled({"type": "array", "items": number, "maxItems": 5}, "self.exists_one(x, x == 1) && self.map(x, x * 2).sum() < 10"), [1, 1]),
    }  # fmt: skip
    spec = {"type": "object", "properties": {k: schema for k, (schema, _) in fields.items()}}
    s.post("the CRD", CRDS, _definition("laws", "Law", spec))
    s.get("it is served", "laws", group=_V1, until=(200, None))
    for name, (_, value) in fields.items():
        s.post(f"against {name}", "laws?dryRun=All", thing("Law", "a", _V1, spec={name: value}), group=_V1)
    several = {k: fields[k][1] for k in ("plain", "message", "made", "starts")}
    s.post("against several", "laws", thing("Law", "a", _V1, spec=several), group=_V1)
    s.post("against none", "laws", thing("Law", "a", _V1, spec={"plain": 5, "once": "y"}), group=_V1)
    s.patch("what is fixed", "laws/a", {"spec": {"once": "z"}}, group=_V1)
    s.patch("removing what is fixed", "laws/a", {"spec": {"once": None}}, group=_V1)
    s.patch("apply against a rule", "laws/a?fieldManager=m&force=true", thing("Law", "a", _V1, spec={"plain": 2}), group=_V1, type=APPLY)  # fmt: skip
    for title, rule in (
        ("unknown function", "self.frob()"), ("unknown field", "self.nope == 1"), ("no bool", "'text'"), ("another type", "self == 1"),
        ("unknown variable", "other == 1"), ("too dear", "self.all(a, self.all(b, self.all(c, a == b && b == c)))"),
    ):  # fmt: skip
        bad = ruled({"type": "array", "items": {"type": "string"}}, rule)
        s.post(f"definition with {title}", f"{CRDS}?dryRun=All", _definition("laws2", "Law2", {"type": "object", "properties": {"x": bad}}))  # fmt: skip
    return s.story


def calls() -> Story:
    """Webhooks and conversions that cannot be reached: nobody listens on port 1."""
    hooks = "/apis/admissionregistration.k8s.io/v1"
    bad, good = (
        f"{hooks}/validatingwebhookconfigurations/c-calls",
        f"{hooks}/mutatingwebhookconfigurations/c-calls",
    )
    s = Script("calls", bad, good, f"{CRDS}/turns.{GROUP}")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": "c-calls"}}

    def hook(kind: str, **more: Any) -> dict[str, Any]:
        one = {"name": "a.example.com", "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"], "namespaceSelector": here, "clientConfig": {"url": "https://127.0.0.1:1/"}, **more}  # fmt: skip
        return thing(kind, "c-calls", "admissionregistration.k8s.io/v1", webhooks=[one])

    validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
    many = bad.rpartition("/")[0]
    s.post("a webhook", many, hook(validating))
    s.post("cannot be asked", "configmaps", config("a"), until=(500, None))
    s.post("cannot be asked, dry run", "configmaps?dryRun=All", config("a"))
    s.delete("cannot be asked about a delete of nothing", "configmaps/none")
    s.patch("it may be missing", bad, hook(validating, failurePolicy="Ignore"))
    s.post("is not asked", "configmaps", config("a"), until=(201, None))
    s.patch("is not asked about a patch", "configmaps/a", {"data": {"x": "1"}})
    s.patch("it has effects", bad, hook(validating, sideEffects="Unknown"))
    s.patch("it has effects on the side", bad, hook(validating, sideEffects="Some"))
    s.patch("with a condition", bad, hook(validating, matchConditions=[{"name": "c", "expression": "object.metadata.name != 'free'"}]))  # fmt: skip
    s.patch("the condition holds", "configmaps/a", {"data": {"x": "2"}}, until=(500, None))
    s.post("the condition does not hold", "configmaps", config("free"))
    s.patch("a condition that fails", bad, hook(validating, matchConditions=[{"name": "c", "expression": "object.nope.deep == 'x'"}]))  # fmt: skip
    s.post("the condition fails", "configmaps", config("b"), until=(403, None))
    for title, more in (
        ("no url", {"clientConfig": {}}), ("both", {"clientConfig": {"url": "https://x/", "service": {"name": "a", "namespace": "b"}}}), ("http", {"clientConfig": {"url": "http://x/"}}),
        ("a user in the url", {"clientConfig": {"url": "https://a:b@x/"}}), ("a query", {"clientConfig": {"url": "https://x/?a=b"}}), ("bad CA", {"clientConfig": {"url": "https://x/", "caBundle": "AA=="}}),
        ("bad path", {"clientConfig": {"service": {"name": "a", "namespace": "b", "path": "x"}}}), ("long time", {"timeoutSeconds": 31}), ("no time", {"timeoutSeconds": 0}),
        ("unknown policy", {"failurePolicy": "Maybe"}), ("unknown match", {"matchPolicy": "Some"}), ("no versions", {"admissionReviewVersions": []}), ("unknown versions", {"admissionReviewVersions": ["v9"]}),
        ("bad name", {"name": "a"}), ("no operations", {"rules": [{**rule, "operations": []}]}), ("star and one", {"rules": [{**rule, "operations": ["*", "CREATE"]}]}), ("bad scope", {"rules": [{**rule, "scope": "Some"}]}),
        ("bad condition", {"matchConditions": [{"name": "c", "expression": "object."}]}), ("unnamed condition", {"matchConditions": [{"name": "", "expression": "true"}]}), ("bad selector", {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Frob"}]}}),
        ("subresource star", {"rules": [{**rule, "resources": ["*", "pods"]}]}),
    ):  # fmt: skip
        s.post(f"refused: {title}", f"{many}?dryRun=All", hook(validating, **more))
    s.post(
        "refused: reinvocation",
        f"{good.rpartition('/')[0]}?dryRun=All",
        hook(mutating, reinvocationPolicy="Often"),
    )
    s.delete("no more webhook", bad)
    s.post("a mutating one", good.rpartition("/")[0], hook(mutating, timeoutSeconds=1))
    s.post("cannot be asked to change", "configmaps", config("c"), until=(500, None))
    s.delete("no more mutating", good)
    s.post("by no webhook", "configmaps", config("c"), until=(201, None))
    return s.story


def trials() -> Story:
    """Each verb as a dry run, and deletes under conditions."""
    s = Script("trials")
    s.post("create", "configmaps", labelled(config("a", x="1"), app="x"), save={"uid": "metadata.uid"})
    s.post("create another", "configmaps", labelled(config("b"), app="y"))
    s.post("create again, dry run", "configmaps?dryRun=All", config("a"))
    s.post("generate, dry run", "configmaps?dryRun=All", {"metadata": {"generateName": "Made_"}})
    s.put("update of an absent one, dry run", "configmaps/none?dryRun=All", config("none"))
    s.patch("apply, dry run", "configmaps/n?dryRun=All&fieldManager=m", config("n", z="1"), type=APPLY)
    s.patch(
        "apply in conflict, dry run", "configmaps/a?dryRun=All&fieldManager=m", config("a", x="2"), type=APPLY
    )
    s.patch("strategic, dry run", "configmaps/a?dryRun=All", {"data": {"x": None}}, type=STRATEGIC)
    s.patch("json, dry run", "configmaps/a?dryRun=All", [{"op": "test", "path": "/data/x", "value": "9"}], type=JSON_PATCH)  # fmt: skip
    s.delete("delete all, dry run", "configmaps?dryRun=All&labelSelector=app")
    s.delete("wrong uid, dry run", "configmaps/a?dryRun=All", {"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}})  # fmt: skip
    s.post("namespace, dry run", "/api/v1/namespaces?dryRun=All", thing("Namespace", "c-trials-other"))
    s.delete("namespace delete, dry run", "/api/v1/namespaces/c-trials?dryRun=All")
    s.get("all as before", "configmaps?labelSelector=app")
    s.delete("all of a label, wrong uid", "configmaps?labelSelector=app%3Dx", {"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}})  # fmt: skip
    s.delete(
        "all of a label, right uid", "configmaps?labelSelector=app%3Dx", {"preconditions": {"uid": "$uid"}}
    )
    s.delete("all of a bad label", "configmaps?labelSelector=a%20b")
    s.delete("all of a bad field", "configmaps?fieldSelector=data%3Dx")
    s.delete("all with a bad option", "configmaps?labelSelector=app", {"propagationPolicy": "Frob"})
    s.delete("all of nothing", "configmaps?labelSelector=none")
    s.delete("all with another kind in the body", "configmaps?labelSelector=none", config("x"))
    s.delete("a body of an unknown kind", "configmaps/none", {"kind": "Frob", "apiVersion": "v1"})
    s.delete("a body of a group", "configmaps/none", {"kind": "DeleteOptions", "apiVersion": "apps/v1"})
    s.delete("a body of meta", "configmaps/none", {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"})
    s.delete("a body without a kind", "configmaps/none", {"apiVersion": "v1"})
    s.delete("a body with an unknown field", "configmaps/none", {"frob": 1})
    s.delete("a body with text for a number", "configmaps/none", {"gracePeriodSeconds": "x"})
    s.delete("both policies", "configmaps/none?orphanDependents=true&propagationPolicy=Orphan")
    for path in (
        "services",
        "endpoints",
        "persistentvolumeclaims",
        "resourcequotas",
        "replicationcontrollers",
    ):
        s.delete(f"all {path}", f"{path}?labelSelector=none")
    return s.story


def stories() -> tuple[Story, ...]:
    return lists_of_customs(), rules(), calls(), trials()
