"""Create, read, replace, patch, delete; selectors, pages, watches, dry runs, field validation, preconditions."""

from __future__ import annotations

from .asking import APPLY, JSON_PATCH, MERGE, STRATEGIC, Story
from .script import Script, config, labelled, thing

_POD_TEMPLATE = thing(
    "PodTemplate",
    "t",
    template={
        "metadata": {"labels": {"app": "t"}},
        "spec": {
            "containers": [
                {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
                {"name": "b", "image": "b:1", "ports": [{"containerPort": 80}]},
            ]
        },
    },
)


def basics() -> Story:
    s = Script("basics")
    s.get("absent", "configmaps/a")
    s.post("create", "configmaps", config("a", x="1"), save={"rv": "metadata.resourceVersion"})
    s.post("create again", "configmaps", config("a"))
    s.get("get", "configmaps/a")
    s.get("get at rv 0", "configmaps/a?resourceVersion=0")
    s.get("get at a version of the future", "configmaps/a?resourceVersion=999999999999")
    s.get("get at no version", "configmaps/a?resourceVersion=abc")
    s.ask("head", "HEAD", "configmaps/a")
    s.put("update", "configmaps/a", config("a", x="2"))
    s.put("update that changes nothing", "configmaps/a", config("a", x="2"))
    old = config("a", x="3")
    old["metadata"]["resourceVersion"] = "$rv"
    s.put("update of an old version", "configmaps/a", old)
    bad = config("a", x="3")
    bad["metadata"]["resourceVersion"] = "abc"
    s.put("update of a version that is none", "configmaps/a", bad)
    s.put("update under another name", "configmaps/a", config("b"))
    s.put("update without a name", "configmaps/a", {"data": {"x": "4"}})
    s.put("update of what is absent", "configmaps/none", config("none"))
    uid = config("none")
    uid["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
    s.put("update of an absent object with a uid", "configmaps/none", uid)
    uid = config("a")
    uid["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
    s.put("update with another uid", "configmaps/a", uid)
    elsewhere = config("a")
    elsewhere["metadata"]["namespace"] = "elsewhere"
    s.put("update into another namespace", "configmaps/a", elsewhere)
    s.post("create into another namespace", "configmaps", elsewhere)
    s.post("create without a name", "configmaps", {"data": {}})
    s.post("create with a bad name", "configmaps", config("Not_Good"))
    s.post("create with a long name", "configmaps", config("a" * 254))
    versioned = config("v")
    versioned["metadata"]["resourceVersion"] = "5"
    s.post("create with a version", "configmaps", versioned)
    s.post("create with a bad label", "configmaps", labelled(config("l"), **{"-bad-": "x y"}))
    owned = config("o")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": ""}]
    s.post("create with a bad owner", "configmaps", owned)
    owned = config("o2")
    owned["metadata"]["finalizers"] = ["not/good/one", "plain"]
    s.post("create with bad finalizers", "configmaps", owned)
    s.post("create with a bad key", "configmaps", config("k", **{"a b": "1"}))
    s.post("create with a key twice", "configmaps", {**config("k", a="1"), "binaryData": {"a": "AA=="}})
    s.post("create of another kind", "configmaps", thing("Secret", "a"))
    s.post("create of another version", "configmaps", thing("ConfigMap", "a", "v2"))
    s.post("create in an absent namespace", "/api/v1/namespaces/c-none/configmaps", config("a"))
    s.get("get in an absent namespace", "/api/v1/namespaces/c-none/configmaps/a")
    s.get("list in an absent namespace", "/api/v1/namespaces/c-none/configmaps")
    s.post("create an immutable one", "configmaps", {**config("fixed", x="1"), "immutable": True})
    s.put("change an immutable one", "configmaps/fixed", {**config("fixed", x="2"), "immutable": True})
    s.put("make it mutable", "configmaps/fixed", config("fixed", x="1"))
    s.delete("delete", "configmaps/a")
    s.delete("delete again", "configmaps/a")
    s.post("generate a name", "configmaps", {"metadata": {"generateName": "made-"}})
    s.post("generate from a bad name", "configmaps", {"metadata": {"generateName": "Made_"}})
    s.post("generate and name", "configmaps", {"metadata": {"generateName": "made-", "name": "named"}})
    s.post("generate from a long name", "configmaps", {"metadata": {"generateName": "m" * 250}})
    s.post("create a Secret of text", "secrets", thing("Secret", "s", stringData={"k": "v"}))
    s.get("get that Secret", "secrets/s")
    s.post("create a Secret that is not base64", "secrets", thing("Secret", "s2", data={"k": "!"}))
    s.post("create a Secret of an unfit type", "secrets", thing("Secret", "s3", type="kubernetes.io/tls"))
    s.patch("change a Secret's type", "secrets/s", {"type": "other"})
    return s.story


def patches() -> Story:
    s = Script("patches")
    s.post("create", "podtemplates", _POD_TEMPLATE, save={"rv": "metadata.resourceVersion"})
    t = "podtemplates/t"
    s.patch("merge", t, {"metadata": {"labels": {"a": "1"}, "annotations": {"x": "y"}}})
    s.patch("merge null", t, {"metadata": {"annotations": {"x": None}}})
    s.patch("merge nothing", t, {})
    s.patch("merge an old version", t, {"metadata": {"resourceVersion": "$rv", "labels": {"a": "2"}}})
    s.patch("merge a list", t, [1])
    s.patch("merge text", t, "text")
    s.patch("merge a name", t, {"metadata": {"name": "other"}})
    s.patch("merge a kind", t, {"kind": "Other"})
    s.patch("merge a uid", t, {"metadata": {"uid": "x"}})
    s.patch("merge a number for a text", t, {"metadata": {"labels": {"a": 1}}})
    s.patch("merge an unknown field", t, {"wrong": {"deep": 1}})
    s.patch("merge an unknown field, strictly", f"{t}?fieldValidation=Strict", {"wrong": 1})
    s.patch("merge an unknown field, ignoring", f"{t}?fieldValidation=Ignore", {"wrong": 1})
    s.patch("merge into what is absent", "podtemplates/none", {"metadata": {"labels": {"a": "1"}}})
    s.patch("merge what is not JSON", t, raw="{not json")
    s.patch("merge an empty body", t, raw="")
    s.patch("merge YAML", t, raw="metadata:\n  labels: {b: c}\n", type=MERGE)
    containers = [{"name": "a", "image": "a:2"}, {"name": "c", "image": "c:1"}]
    spec = {"template": {"spec": {"containers": containers}}}
    s.patch("strategic", t, spec, type=STRATEGIC)
    gone = {"template": {"spec": {"containers": [{"name": "c", "$patch": "delete"}]}}}
    s.patch("strategic delete", t, gone, type=STRATEGIC)
    new = {"template": {"spec": {"$patch": "replace", "containers": [{"name": "z", "image": "z"}]}}}
    s.patch("strategic replace", t, new, type=STRATEGIC)
    order = {
        "template": {
            "spec": {
                "$setElementOrder/containers": [{"name": "y"}, {"name": "z"}],
                "containers": [{"name": "y", "image": "y"}],
            }
        }
    }
    s.patch("strategic order", t, order, type=STRATEGIC)
    s.patch(
        "strategic without its key",
        t,
        {"template": {"spec": {"containers": [{"image": "y"}]}}},
        type=STRATEGIC,
    )
    s.patch("strategic unknown directive", t, {"template": {"spec": {"$patch": "unknown"}}}, type=STRATEGIC)
    fin = {"metadata": {"finalizers": ["a.io/x", "a.io/y"]}}
    s.patch("strategic finalizers", t, fin, type=STRATEGIC)
    s.patch(
        "strategic primitive delete",
        t,
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.io/x"]}},
        type=STRATEGIC,
    )
    s.patch("strategic list", t, [], type=STRATEGIC)
    s.patch("json add", t, [{"op": "add", "path": "/metadata/labels/j", "value": "1"}], type=JSON_PATCH)
    s.patch(
        "json test and replace",
        t,
        [
            {"op": "test", "path": "/metadata/labels/j", "value": "1"},
            {"op": "replace", "path": "/metadata/labels/j", "value": "2"},
        ],
        type=JSON_PATCH,
    )
    s.patch(
        "json failed test", t, [{"op": "test", "path": "/metadata/labels/j", "value": "9"}], type=JSON_PATCH
    )
    s.patch("json remove absent", t, [{"op": "remove", "path": "/metadata/labels/none"}], type=JSON_PATCH)
    s.patch("json replace absent", t, [{"op": "replace", "path": "/spec/none", "value": 1}], type=JSON_PATCH)
    s.patch(
        "json move",
        t,
        [{"op": "move", "from": "/metadata/labels/j", "path": "/metadata/labels/k"}],
        type=JSON_PATCH,
    )
    s.patch(
        "json copy",
        t,
        [{"op": "copy", "from": "/metadata/labels/k", "path": "/metadata/labels/l"}],
        type=JSON_PATCH,
    )
    s.patch("json unknown op", t, [{"op": "frob", "path": "/x"}], type=JSON_PATCH)
    s.patch("json that is an object", t, {"op": "add"}, type=JSON_PATCH)
    s.patch(
        "json index beyond",
        t,
        [{"op": "add", "path": "/template/spec/containers/9", "value": {}}],
        type=JSON_PATCH,
    )
    s.patch(
        "json with a slash",
        t,
        [
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"},
        ],
        type=JSON_PATCH,
    )
    s.patch("json bad pointer", t, [{"op": "add", "path": "x", "value": 1}], type=JSON_PATCH)
    s.patch("unknown type", t, {}, type="application/unknown-patch+json")
    s.patch("type json", t, {}, type="application/json")
    s.patch("no type at all", t, {}, type="")
    s.patch("forced but no apply", f"{t}?force=true", {})
    s.patch("clear finalizers", t, {"metadata": {"finalizers": None}})
    s.get("in the end", t)
    return s.story


def applies() -> Story:
    s = Script("applies")

    def apply(
        name: str, body: object, manager: str = "m1", more: str = "", path: str = "configmaps/a"
    ) -> None:
        s.patch(name, f"{path}?fieldManager={manager}{more}", body, type=APPLY)

    apply("create", config("a", x="1"))
    apply("again", config("a", x="1"))
    apply("by another, the same", config("a", x="1"), "m2")
    apply("by another, other", config("a", x="2", y="1"), "m2")
    apply("by force", config("a", x="2", y="1"), "m2", "&force=true")
    apply("giving up", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}, "m2")
    apply("the first again", config("a", x="3"))
    s.put("update between", "configmaps/a?fieldManager=u", config("a", x="9", z="1"))
    apply("against an update", config("a", x="3"))
    apply("dry run by force", config("a", x="3"), "m1", "&force=true&dryRun=All")
    s.get("after the dry run", "configmaps/a")
    s.patch("without a manager", "configmaps/a", config("a"), type=APPLY)
    apply("a name that is another", config("b"))
    apply("without a name", {"apiVersion": "v1", "kind": "ConfigMap"})
    apply("without a kind", {"metadata": {"name": "a"}})
    apply("another kind", thing("Secret", "a"))
    apply("with managedFields", {**config("a"), "metadata": {"name": "a", "managedFields": []}})
    managed = {**config("a"), "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}
    apply("with some managedFields", managed)
    apply("an unknown field", {**config("a"), "wrong": 1})
    apply("an unknown field strictly", {**config("a"), "wrong": 1}, more="&fieldValidation=Strict")
    apply("a wrong type", {**config("a"), "data": "text"})
    s.patch(
        "YAML",
        "configmaps/y?fieldManager=m1",
        raw="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: b}\n",
        type=APPLY,
    )
    s.patch("bad YAML", "configmaps/y?fieldManager=m1", raw="a: [b\n", type=APPLY)
    s.patch("empty", "configmaps/y?fieldManager=m1", raw="", type=APPLY)
    s.patch("a long manager", f"configmaps/y?fieldManager={'m' * 200}", config("y"), type=APPLY)
    s.post("a bad manager", "configmaps?fieldManager=a%01b", config("q"))
    apply("a template", _POD_TEMPLATE, path="podtemplates/t")
    second = {**_POD_TEMPLATE, "template": {"spec": {"containers": [{"name": "b", "image": "b:2"}]}}}
    apply("one container by another", second, "m2", path="podtemplates/t")
    apply("one container by force", second, "m2", "&force=true", path="podtemplates/t")
    apply(
        "the first gives up",
        {**_POD_TEMPLATE, "template": {"spec": {"containers": [{"name": "b", "image": "b:2"}]}}},
        path="podtemplates/t",
    )
    twice = {**_POD_TEMPLATE, "template": {"spec": {"containers": [{"name": "b"}, {"name": "b"}]}}}
    apply("a key twice", twice, path="podtemplates/t")
    s.patch("merge after applies", "podtemplates/t?fieldManager=p", {"metadata": {"labels": {"q": "1"}}})
    s.patch("clear managedFields", "podtemplates/t", {"metadata": {"managedFields": [{}]}})
    s.get("without managedFields", "podtemplates/t")
    apply("after clearing", _POD_TEMPLATE, path="podtemplates/t")
    return s.story


def options() -> Story:
    s = Script("options")
    s.post("dry run create", "configmaps?dryRun=All", config("a"))
    s.get("nothing made", "configmaps/a")
    s.post("dry run of something", "configmaps?dryRun=Some", config("a"))
    s.post("dry run twice", "configmaps?dryRun=All&dryRun=All", config("a"))
    s.post("dry run empty", "configmaps?dryRun=", config("b"))
    s.post("create", "configmaps", config("a", x="1"))
    s.put("dry run update", "configmaps/a?dryRun=All", config("a", x="2"))
    s.patch("dry run patch", "configmaps/a?dryRun=All", {"data": {"x": "3"}})
    s.delete("dry run delete", "configmaps/a?dryRun=All")
    s.delete("dry run in the body", "configmaps/a", {"dryRun": ["All"]})
    s.delete("dry run unknown in the body", "configmaps/a", {"dryRun": ["None"]})
    s.get("still there", "configmaps/a")
    unknown = {**config("f", x="1"), "wrong": 1}
    for mode in ("Strict", "Warn", "Ignore", "Other"):
        s.post(f"unknown field {mode}", f"configmaps?fieldValidation={mode}&dryRun=All", unknown)
    s.post("unknown field", "configmaps?dryRun=All", unknown)
    twice = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"f","name":"g"},"data":{"a":"1","a":"2"}}'
    )
    for mode in ("Strict", "Warn", "Ignore"):
        s.post(f"a field twice {mode}", f"configmaps?fieldValidation={mode}&dryRun=All", raw=twice)
    deep = {**_POD_TEMPLATE, "template": {"spec": {"containers": [{"name": "a", "img": 1}], "nope": []}}}
    s.post("unknown fields deep", "podtemplates?fieldValidation=Strict", deep)
    s.post("wrong case", "podtemplates?fieldValidation=Strict&dryRun=All", {**_POD_TEMPLATE, "Template": {}})
    s.patch(
        "strategic with an unknown field", "configmaps/a?fieldValidation=Strict", {"wrong": 1}, type=STRATEGIC
    )
    s.patch(
        "json patch with an unknown field",
        "configmaps/a?fieldValidation=Strict",
        [{"op": "add", "path": "/wrong", "value": 1}],
        type=JSON_PATCH,
    )
    s.put("update with a bad option", "configmaps/a?fieldValidation=Other", config("a"))
    s.get("pretty", "configmaps/a?pretty=true")
    s.get("unknown parameter", "configmaps/a?frob=1")
    s.post(
        "YAML body",
        "configmaps",
        raw="apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: b\n",
        type="application/yaml",
    )
    s.get("YAML answer", "configmaps/yaml", accept="application/yaml")
    s.post(
        "YAML strictly",
        "configmaps?fieldValidation=Strict",
        raw="metadata:\n  name: y2\ndata:\n  a: b\n  a: c\nwrong: 1\n",
        type="application/yaml",
    )
    return s.story


def deletes() -> Story:
    s = Script("deletes")
    for name in "abcdef":
        s.post(
            f"create {name}",
            "configmaps",
            labelled(config(name), app="x" if name in "cd" else "y"),
            save={f"uid_{name}": "metadata.uid", f"rv_{name}": "metadata.resourceVersion"},
        )
    s.delete("wrong uid", "configmaps/a", {"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}})
    s.delete("wrong version", "configmaps/a", {"preconditions": {"resourceVersion": "1"}})
    s.delete("right ones", "configmaps/a", {"preconditions": {"uid": "$uid_a", "resourceVersion": "$rv_a"}})
    s.delete("unknown policy", "configmaps/b", {"propagationPolicy": "Whatever"})
    s.delete("policy and orphan", "configmaps/b", {"propagationPolicy": "Orphan", "orphanDependents": True})
    s.delete("negative grace", "configmaps/b", {"gracePeriodSeconds": -1})
    s.delete("a body of another kind", "configmaps/b", config("b"))
    s.delete("a body that is not JSON", "configmaps/b", raw="{")
    s.delete("query options", "configmaps/b?gracePeriodSeconds=0&propagationPolicy=Background")
    s.delete("query that is no number", "configmaps/c?gracePeriodSeconds=abc")
    s.delete("collection by label", "configmaps?labelSelector=app%3Dx")
    s.get("what is left", "configmaps")
    s.delete("collection by field", "configmaps?fieldSelector=metadata.name%3De")
    s.delete("collection dry run", "configmaps?labelSelector=app%3Dy&dryRun=All")
    s.get("what is left now", "configmaps?labelSelector=app")
    held = config("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    s.post("create held", "configmaps", held)
    s.delete("delete held", "configmaps/held")
    s.get("held lives", "configmaps/held")
    s.delete("delete held again", "configmaps/held")
    s.patch(
        "new finalizer while going",
        "configmaps/held",
        {"metadata": {"finalizers": ["example.com/hold", "example.com/new"]}},
    )
    s.patch("change while going", "configmaps/held", {"data": {"x": "1"}})
    s.patch("let go", "configmaps/held", {"metadata": {"finalizers": None}})
    s.get("held is gone", "configmaps/held")
    s.post("create foreground", "configmaps", config("fg"))
    s.delete(
        "delete foreground", "configmaps/fg", {"propagationPolicy": "Foreground"}, accept="application/json"
    )
    s.get("foreground goes", "configmaps/fg", until=(404, None))
    owner = config("owner")
    s.post("create owner", "configmaps", owner, save={"owner": "metadata.uid"})
    child = config("child")
    child["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "$owner"}
    ]
    s.post("create child", "configmaps", child)
    s.delete("orphan", "configmaps/owner", {"propagationPolicy": "Orphan"})
    s.get("owner goes", "configmaps/owner", until=(404, None))
    s.get("child is an orphan", "configmaps/child")
    s.post("create owner again", "configmaps", owner, save={"owner": "metadata.uid"})
    s.post("create child again", "configmaps", {**child, "metadata": {**child["metadata"], "name": "kid"}})
    s.delete("background", "configmaps/owner", {"propagationPolicy": "Background"})
    s.get("kid goes", "configmaps/kid", until=(404, None))
    two = {**child["metadata"]["ownerReferences"][0], "controller": True}
    s.post(
        "two controllers",
        "configmaps",
        {"metadata": {"name": "two", "ownerReferences": [two, {**two, "name": "o2", "uid": "u2"}]}},
    )
    return s.story


def stories() -> tuple[Story, ...]:
    return basics(), patches(), applies(), options(), deletes()
