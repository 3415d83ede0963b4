"""Lists, selectors, pages, versions, watches, tables, metadata only, paths, bodies and media types."""

from __future__ import annotations

from .asking import META, META_LIST, TABLE, Story
from .script import Script, config, labelled, thing


def lists() -> Story:
    s = Script("lists")
    for i, name in enumerate(("a", "b", "c", "d", "e", "f")):
        secret = labelled(thing("Secret", name), app="x" if i % 2 else "y", n=str(i))
        s.post(f"create {name}", "secrets", secret, save={f"rv_{name}": "metadata.resourceVersion"})
    s.get("all", "secrets")
    for selector in (
        "app=x", "app==x", "app!=x", "app%20in%20(x,y)", "app%20notin%20(x)", "app", "!app", "!none",
        "n%3E3", "n%3C2", "app=x,n%3E1", "app=", "app=x,", "=x", "app%20in%20()", "app%20in%20x", "n%3Ex",
        "a/b/c=d", "app=x%20y", "-bad-=x", "app%20like%20x", "app=x%26y", ",", "app%20in%20(x,)", "%21%21app",
    ):  # fmt: skip
        s.get(f"label {selector}", f"secrets?labelSelector={selector}")
    for selector in (
        "metadata.name=a", "metadata.name!=a", "metadata.namespace=c-lists", "metadata.namespace=no",
        "type=Opaque", "type!=Opaque", "metadata.name=a,type=Opaque", "data=x", "metadata.labels=x", "a", "=",
        "metadata.name%20in%20(a)", "metadata.name=a%5C,b",
    ):  # fmt: skip
        s.get(f"field {selector}", f"secrets?fieldSelector={selector}")
    s.get("page 1", "secrets?limit=2", save={"token": "metadata.continue"})
    s.get("page 2", "secrets?limit=2&continue=$token", save={"token": "metadata.continue"})
    s.post("create between", "secrets", thing("Secret", "bb"))
    s.get("page 3", "secrets?limit=10&continue=$token")
    s.get("page with a selector", "secrets?limit=1&labelSelector=app=x")
    s.get("page of everything", "secrets?limit=100")
    s.get("negative page", "secrets?limit=-1")
    s.get("no number", "secrets?limit=two")
    s.get("bad token", "secrets?limit=2&continue=rubbish")
    s.get("token that is base64", "secrets?limit=2&continue=e30")
    s.get("token and version", "secrets?limit=2&continue=$token&resourceVersion=$rv_a")
    s.get("exact", "secrets?resourceVersion=$rv_b&resourceVersionMatch=Exact")
    s.get("exact without version", "secrets?resourceVersionMatch=Exact")
    s.get("exact at zero", "secrets?resourceVersionMatch=Exact&resourceVersion=0")
    s.get("not older", "secrets?resourceVersion=$rv_f&resourceVersionMatch=NotOlderThan&labelSelector=n=0")
    s.get("another match", "secrets?resourceVersion=$rv_f&resourceVersionMatch=Newest")
    s.get("at zero", "secrets?resourceVersion=0&labelSelector=n=0")
    s.get("of the future", "secrets?resourceVersion=999999999999")
    s.get("no version", "secrets?resourceVersion=abc")
    s.get("exact page", "secrets?resourceVersion=$rv_d&resourceVersionMatch=Exact&limit=2")
    s.get("of all namespaces", "/api/v1/secrets?fieldSelector=metadata.namespace=c-lists&limit=500")
    s.get("by name in all namespaces", "/api/v1/secrets?fieldSelector=metadata.name=bb")
    s.get("timeout no number", "secrets?timeoutSeconds=x")
    s.get("sendInitialEvents without a watch", "secrets?sendInitialEvents=true")
    return s.story


def watches() -> Story:
    s = Script("watches")
    s.post(
        "create a", "configmaps", labelled(config("a"), app="x"), save={"first": "metadata.resourceVersion"}
    )
    s.post("create b", "configmaps", labelled(config("b"), app="x"))
    s.patch("change a", "configmaps/a", {"data": {"x": "1"}})
    s.patch("a leaves", "configmaps/a", {"metadata": {"labels": {"app": "z"}}})
    s.patch("a comes back", "configmaps/a", {"metadata": {"labels": {"app": "x"}}})
    s.delete("delete b", "configmaps/b")
    s.watch("from the first", "configmaps?resourceVersion=$first&labelSelector=app%3Dx")
    s.watch("all labels from the first", "configmaps?resourceVersion=$first&labelSelector=app")
    s.watch("one name", "configmaps?resourceVersion=$first&fieldSelector=metadata.name%3Db")
    now = "configmaps?resourceVersion=0&labelSelector=app"
    initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    s.watch("what is there", now)
    s.watch("initial events", f"{now}&{initial}&allowWatchBookmarks=true")
    s.watch("initial events without match", "configmaps?sendInitialEvents=true&allowWatchBookmarks=true")
    s.watch(
        "match without initial events", "configmaps?resourceVersionMatch=NotOlderThan&resourceVersion=$first"
    )
    s.watch("initial events without bookmarks", f"{now}&{initial}")
    s.watch("no initial events", f"{now}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    s.watch("exact", "configmaps?resourceVersion=$first&resourceVersionMatch=Exact&sendInitialEvents=true")
    s.watch("too old", "configmaps?resourceVersion=1")
    s.watch("no version", "configmaps?resourceVersion=abc")
    s.watch("of the future", "configmaps?resourceVersion=999999999999")
    s.watch("bad selector", "configmaps?labelSelector=a%20b%20c")
    s.watch("bad field", "configmaps?fieldSelector=x%3Dy")
    s.watch("a table", now, accept=TABLE)
    s.watch("metadata only", now, accept=META)
    old = "/api/v1/watch/namespaces/c-watches/configmaps"
    s.watch("the old path", f"{old}?labelSelector=app&resourceVersion=0")
    s.watch("the old path of one", f"{old}/a?resourceVersion=0")
    s.watch("one object", "configmaps/a?resourceVersion=0")
    s.watch("YAML", now, accept="application/yaml")
    s.watch("an unknown kind", "frobs")
    s.watch("with a limit", f"{now}&limit=1")
    s.watch("with a token", f"{now}&continue=x")
    return s.story


def forms() -> Story:
    s = Script("forms")
    s.post("create", "configmaps", labelled(config("a", x="1", y="2"), app="x"))
    s.get("table of one", "configmaps/a", accept=TABLE)
    s.get("table of a list", "configmaps?labelSelector=app", accept=TABLE)
    s.get("table with objects", "configmaps?labelSelector=app&includeObject=Object", accept=TABLE)
    s.get("table without objects", "configmaps?labelSelector=app&includeObject=None", accept=TABLE)
    s.get("table with what", "configmaps?labelSelector=app&includeObject=What", accept=TABLE)
    s.get("table of old", "configmaps?labelSelector=app", accept=TABLE.replace("v=v1", "v=v1beta1"))
    s.get("table of nowhere", "configmaps/a", accept=TABLE.replace("v=v1", "v=v9"))
    s.get(
        "table of nowhere or JSON", "configmaps/a", accept=TABLE.replace("v=v1", "v=v9") + ",application/json"
    )
    s.get("table of what is absent", "configmaps/none", accept=TABLE)
    s.get("empty table", "configmaps?labelSelector=none", accept=TABLE)
    s.get("metadata of one", "configmaps/a", accept=META)
    s.get("metadata of a list", "configmaps?labelSelector=app", accept=META_LIST)
    s.get("metadata of a list as one", "configmaps?labelSelector=app", accept=META)
    s.get("metadata of one as a list", "configmaps/a", accept=META_LIST)
    s.post("created as metadata", "configmaps", config("b"), accept=META)
    s.post("created as a table", "configmaps", config("c"), accept=TABLE)
    s.patch("patched as metadata", "configmaps/b", {"data": {"x": "1"}}, accept=META)
    s.delete("deleted as a table", "configmaps/c", accept=TABLE)
    for name, accept in (
        ("nothing", ""), ("anything", "*/*"), ("text", "text/html"), ("any application", "application/*"),
        ("a list", "text/html,application/json;q=0.5"), ("xml", "application/xml"), ("CBOR", "application/cbor"),
        ("JSON of a charset", "application/json;charset=utf-8"), ("unknown as", "application/json;as=Frob;v=v1;g=meta.k8s.io"),
    ):  # fmt: skip
        s.get(f"accept {name}", "configmaps/a", accept=accept)
    for plural, group in (("secrets", ""), ("pods", ""), ("services", ""), ("deployments", "apps/v1"), ("replicasets", "apps/v1"),
        ("statefulsets", "apps/v1"), ("daemonsets", "apps/v1"), ("jobs", "batch/v1"), ("cronjobs", "batch/v1"), ("ingresses", "networking.k8s.io/v1"),
        ("poddisruptionbudgets", "policy/v1"), ("horizontalpodautoscalers", "autoscaling/v2"), ("events", ""), ("endpoints", ""),
        ("leases", "coordination.k8s.io/v1"), ("roles", "rbac.authorization.k8s.io/v1"), ("networkpolicies", "networking.k8s.io/v1")):  # fmt: skip
        s.get(f"columns of {plural}", f"{plural}?labelSelector=none", group=group, accept=TABLE)
    return s.story


def paths() -> Story:
    s = Script("paths")
    for path in (
        "/nope", "/api/v2", "/api/v1/nope", "/apis/nope.example.com", "/apis/apps/v9", "/apis/apps/v1/nope",
        "/api/v1/namespaces/c-paths/nope", "/api/v1/namespaces/c-paths/configmaps/a/nope",
        "/api/v1/namespaces/c-paths/configmaps/a/status", "/api/v1/namespaces/c-paths/pods/a/nope", "/api/v1/namespaces/c-paths/nodes",
        "/api/v1/namespaces/c-paths/pods/none/status", "/api/v1/namespaces/c-paths/pods/none/log", "/api/v1/namespaces/none",
        "/apis/apps/v1/namespaces/c-paths/deployments/none/scale", "/apis/apps/v1/namespaces/c-paths/deployments/none",
        "/version", "/healthz", "/readyz", "/livez", "/healthz/ping", "/healthz/nope",
    ):  # fmt: skip
        s.get(f"get {path}", path)
    s.post("post to an object", "configmaps/a", config("a"))
    s.put("put to a collection", "configmaps", config("a"))
    s.patch("patch a collection", "configmaps", {})
    s.delete("delete all namespaces", "/api/v1/namespaces")
    s.ask("unknown verb", "FROB", "configmaps")
    s.ask("options", "OPTIONS", "configmaps")
    s.post("post to all namespaces", "/api/v1/configmaps", config("a"))
    s.post("post to an unknown path", "/api/v1/namespaces/c-paths/nope", config("a"))
    s.post("post a nameless review", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {})
    s.get("get a review", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    s.get("get bindings", "bindings")
    s.post("scale by post", "deployments/a/scale", {}, group="apps/v1")
    for path in ("/api", "/apis/apps", "/apis/batch", "/apis/autoscaling", "/apis/policy"):
        s.get(f"discover {path}", path)
    for path in ("/apis/apps/v1", "/apis/batch/v1", "/apis/policy/v1", "/apis/autoscaling/v2"):
        s.get(f"discover {path}", path)
    s.get("no token", "configmaps", token="")
    s.get("wrong token", "configmaps", token="nobody-knows-this")
    s.get("no token for a version", "/version", token="")
    s.get("no token for discovery", "/apis/apps/v1", token="")
    s.get("no token for an unknown path", "/nope", token="")
    return s.story


def bodies() -> Story:
    s = Script("bodies")
    good = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1"}}'
    for name, raw in (
        ("empty", ""), ("cut off", good[:40]), ("cut off in a text", good[:60]), ("text", "hello"), ("a number", "5"), ("a list", "[]"), ("null", "null"),
        ("a string", '"x"'), ("empty object", "{}"), ("two objects", good + good), ("trailing comma", '{"a":1,}'), ("single quotes", "{'a':1}"),
        ("not UTF-8", good.replace('"1"', '"\xff\xfe"')), ("a NUL", good.replace('"1"', '"\x00"')), ("a byte order mark", "\xef\xbb\xbf" + good),
        ("bad escape", good.replace('"1"', '"\\q"')), ("lone surrogate", good.replace('"1"', '"\\ud800"')), ("number for text", good.replace('"1"', "1")),
        ("list for object", good.replace('{"x":"1"}', "[]")), ("text for object", good.replace('{"x":"1"}', '"x"')), ("null for object", good.replace('{"x":"1"}', "null")),
        ("text for metadata", '{"metadata":"x"}'), ("number for name", '{"metadata":{"name":1}}'), ("list for labels", '{"metadata":{"name":"a","labels":[]}}'),
        ("number in labels", '{"metadata":{"name":"a","labels":{"a":1}}}'), ("bool in annotations", '{"metadata":{"name":"a","annotations":{"a":true}}}'),
        ("bad time", '{"metadata":{"name":"a","creationTimestamp":"yesterday"}}'), ("other kind", good.replace("ConfigMap", "Frob")),
        ("other version", good.replace('"v1"', '"v9"')), ("other group", good.replace('"v1"', '"apps/v1"')), ("kind a number", good.replace('"ConfigMap"', "5")),
        ("no kind", '{"apiVersion":"v1","metadata":{"name":"a"}}'), ("no version", '{"kind":"ConfigMap","metadata":{"name":"a"}}'), ("bad version", good.replace('"v1"', '"a/b/c"')),
        ("a List", '{"apiVersion":"v1","kind":"List","items":[]}'), ("immutable a text", good.replace('"data"', '"immutable":"yes","data"')),
        ("big number", good.replace('"data"', '"immutable":1e999,"data"')), ("deep", '{"metadata":' * 40 + "{}" + "}" * 40),
    ):  # fmt: skip
        s.post(name, "configmaps?dryRun=All", raw=raw)
    for name, type_ in (
        ("none", ""), ("unknown", "text/plain"), ("xml", "application/xml"), ("rubbish", "///"), ("charset", "application/json; charset=utf-8"),
        ("upper case", "APPLICATION/JSON"), ("yaml", "application/yaml"), ("form", "application/x-www-form-urlencoded"), ("a merge patch", "application/merge-patch+json"),
        ("protobuf", "application/vnd.kubernetes.protobuf"),
    ):  # fmt: skip
        s.post(f"type {name}", "configmaps?dryRun=All", raw=good, type=type_)
    for name, raw in (
        ("a tab", "a:\n\t- b\n"), ("a list", "- a\n- b\n"), ("text", "hello\n"), ("two documents", "kind: ConfigMap\n---\nkind: ConfigMap\n"), ("an anchor", "metadata: &a {name: a}\ndata: *b\n"),
        ("a number for a text", "metadata: {name: a}\ndata: {x: 1}\n"), ("a bool key", "metadata: {name: a}\ndata: {true: x}\n"), ("unclosed", "a: {b\n"), ("empty", "\n"), ("a comment", "# nothing\n"),
    ):  # fmt: skip
        s.post(f"YAML: {name}", "configmaps?dryRun=All", raw=raw, type="application/yaml")
    s.post("large", "configmaps?dryRun=All", config("a", x="y" * 1_100_000))
    s.post("too large", "configmaps?dryRun=All", config("a", x="y" * 3_200_000))
    s.put("put empty", "configmaps/a", raw="")
    s.put("put a number", "configmaps/a", raw="5")
    s.put("put cut off", "configmaps/a", raw=good[:40])
    s.post("body for a list of kinds", "/apis/apps/v1/namespaces/c-bodies/deployments", raw=good)
    return s.story


def stories() -> tuple[Story, ...]:
    return lists(), watches(), forms(), paths(), bodies()
