"""Get and list: selectors, pages, versions."""

from __future__ import annotations

import pytest
from server_stage import MAPS, PODS, Client, a_map, a_pod, play


def names(answer: object) -> list[str]:
    return [o["metadata"]["name"] for o in answer.body["items"]]  # type: ignore[attr-defined]


def test_an_absent_object_is_named_in_the_refusal() -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/apis/apps/v1/namespaces/default/deployments/nope")
        assert answer.code == 404
        assert answer.body["message"] == 'deployments.apps "nope" not found'
        assert answer.body["details"] == {"name": "nope", "group": "apps", "kind": "deployments"}

    play(story)


def test_items_of_built_in_lists_carry_no_kind() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a", x="1"))
        body = (await client.get(MAPS)).body
        assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
        assert list(body["items"][0]) == ["metadata", "data"]

    play(story)


def test_label_selectors_choose() -> None:
    async def story(client: Client) -> None:
        for name, labels in (("a", {"t": "x", "n": "3"}), ("b", {"t": "y"}), ("c", {})):
            await client.made(MAPS, {"metadata": {"name": name, "labels": labels}})
        for selector, wanted in (
            ("t=x", "a"), ("t==x", "a"), ("t!=x", "bc"), ("t", "ab"), ("!t", "c"), ("t in (x,y)", "ab"),
            ("t notin (x)", "bc"), ("n>2", "a"), ("n<2", ""), ("t=x,n=3", "a"), ("", "abc"), ("t in (x),!n", ""),
        ):  # fmt: skip
            found = names(await client.get(f"{MAPS}?labelSelector={selector}"))
            assert "".join(found) == wanted, selector

    play(story)


@pytest.mark.parametrize(
    "selector", ["a in", "a in (", "a in (b", ",", "a,", "!", "a b", "_x", "a=_", "a>b", "a===b"]
)
def test_a_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.get(f"{MAPS}?labelSelector={selector}")
        assert answer.code == 400, answer.body
        assert answer.body["reason"] == "BadRequest"

    play(story)


def test_field_selectors_know_only_some_fields() -> None:
    async def story(client: Client) -> None:
        await client.made(PODS, a_pod("a", "n1"))
        await client.made(PODS, a_pod("b", "n2"))
        assert names(await client.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn1".replace("%3D", "="))) == [
            "a"
        ]
        assert names(await client.get(f"{PODS}?fieldSelector=metadata.name!=a,status.phase=Pending")) == ["b"]
        refused = await client.get(f"{PODS}?fieldSelector=spec.foo=x")
        assert (refused.code, refused.body["message"]) == (400, "field label not supported: spec.foo")

    play(story)


def test_pages_show_one_moment_whatever_happens_meanwhile() -> None:
    async def story(client: Client) -> None:
        for name in "abcde":
            await client.made(MAPS, a_map(name))
        first = (await client.get(f"{MAPS}?limit=2")).body
        assert first["metadata"]["remainingItemCount"] == 3
        await client.delete(f"{MAPS}/c")
        await client.made(MAPS, a_map("bb"))
        token, seen = first["metadata"]["continue"], [o["metadata"]["name"] for o in first["items"]]
        while token:
            page = (await client.get(f"{MAPS}?limit=2&continue={token}")).body
            assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            seen += [o["metadata"]["name"] for o in page["items"]]
            token = page["metadata"].get("continue", "")
        assert seen == list("abcde")

    play(story)


def test_a_page_can_be_continued_for_some_minutes() -> None:
    async def story(client: Client) -> None:
        for name in "abc":
            await client.made(MAPS, a_map(name))
        token = (await client.get(f"{MAPS}?limit=1")).body["metadata"]["continue"]
        await client.made(MAPS, a_map("d"))
        await client.sandbox.clock.sleep(290)
        assert names(await client.get(f"{MAPS}?limit=1&continue={token}")) == ["b"]
        await client.sandbox.clock.sleep(20)
        expired = await client.get(f"{MAPS}?limit=1&continue={token}")
        assert (expired.code, expired.body["reason"]) == (410, "Expired")
        rest = await client.get(f"{MAPS}?limit=2&continue={expired.body['metadata']['continue']}")
        assert names(rest) == ["b", "c"]
        assert names(await client.get(f"{MAPS}?continue={rest.body['metadata']['continue']}")) == ["d"]

    play(story)


def test_a_page_of_a_forgotten_moment_expires_with_a_way_on() -> None:
    async def story(client: Client) -> None:
        for name in "abc":
            await client.made(MAPS, a_map(name))
        token = (await client.get(f"{MAPS}?limit=1")).body["metadata"]["continue"]
        await client.made(MAPS, a_map("b2"))
        client.server.store.table("", "configmaps").forgotten = client.server.store.rv
        expired = await client.get(f"{MAPS}?limit=1&continue={token}")
        assert (expired.code, expired.body["reason"]) == (410, "Expired")
        rest = await client.get(f"{MAPS}?continue={expired.body['metadata']['continue']}")
        assert names(rest) == ["b", "b2", "c"]

    play(story)


def test_a_selector_leaves_the_remaining_count_unsaid() -> None:
    async def story(client: Client) -> None:
        for name in "abc":
            await client.made(MAPS, a_map(name))
        meta = (await client.get(f"{MAPS}?limit=1&labelSelector=!zz")).body["metadata"]
        assert meta["continue"]
        assert "remainingItemCount" not in meta

    play(story)


def test_versions_of_a_list() -> None:
    async def story(client: Client) -> None:
        one = await client.made(MAPS, a_map("a"))
        then = one["metadata"]["resourceVersion"]
        await client.made(MAPS, a_map("b"))
        exact = f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact"
        assert names(await client.get(exact)) == ["a"]
        assert names(await client.get(f"{MAPS}?resourceVersion={then}")) == ["a", "b"]
        assert names(await client.get(f"{MAPS}?resourceVersion=0&limit=1")) == ["a", "b"]
        late = await client.get(f"{MAPS}?resourceVersion=999999")
        assert late.code == 504
        assert late.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    play(story)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=abc", 400),
        ("resourceVersion=abc", 400),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersion=1&resourceVersionMatch=Foo", 422),
        ("sendInitialEvents=true", 422),
        ("continue=abc", 400),
        ("watch=true&resourceVersion=abc", 500),
        ("watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("pretty=true&unknown=1", 200),
    ],
)
def test_parameters_are_checked_as_kubernetes_checks_them(query: str, code: int) -> None:
    async def story(client: Client) -> None:
        assert (await client.get(f"{MAPS}?{query}")).code == code

    play(story)


def test_an_event_is_one_object_in_two_groups() -> None:
    async def story(client: Client) -> None:
        about = {"kind": "Pod", "name": "p", "namespace": "default"}
        body = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "R", "message": "m", "count": 2}
        await client.made("/api/v1/namespaces/default/events", body)
        new = "/apis/events.k8s.io/v1/namespaces/default/events"
        shown = (await client.get(f"{new}/e")).body
        assert (shown["regarding"]["name"], shown["note"], shown["deprecatedCount"]) == ("p", "m", 2)
        assert names(await client.get(f"{new}?fieldSelector=regarding.name=p")) == ["e"]
        await client.delete(f"{new}/e")
        assert (await client.get("/api/v1/namespaces/default/events/e")).code == 404

    play(story)


def test_an_autoscaler_is_converted_between_its_versions() -> None:
    async def story(client: Client) -> None:
        target = {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}
        spec = {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 70}
        old = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
        await client.made(old, {"metadata": {"name": "h"}, "spec": spec})
        new = (await client.get(old.replace("v1", "v2", 1) + "/h")).body
        assert new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
        assert (await client.get(f"{old}/h")).body["spec"]["targetCPUUtilizationPercentage"] == 70

    play(story)


def test_forms_that_cannot_be_served_are_refused() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        assert (await client.get(MAPS, accept="text/html")).code == 406
        assert (await client.get(MAPS, accept="application/json;as=Foo;v=v1;g=meta.k8s.io")).code == 406
        partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
        assert (await client.get(MAPS, accept=partial)).code == 406
        one = (await client.get(f"{MAPS}/a", accept=partial)).body
        assert (one["kind"], "data" in one) == ("PartialObjectMetadata", False)
        many = (await client.get(MAPS, accept=partial.replace("Metadata;", "MetadataList;"))).body
        assert many["items"][0]["kind"] == "PartialObjectMetadata"
        protobuf_first = "application/vnd.kubernetes.protobuf,application/json"
        assert (await client.get(MAPS, accept=protobuf_first)).body["kind"] == "ConfigMapList"

    play(story)
