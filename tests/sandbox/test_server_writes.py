"""Create, update, patch and delete."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from server_stage import (
    APPLY,
    DEPLOYMENTS,
    JSON_PATCH,
    MAPS,
    MERGE,
    PODS,
    STRATEGIC,
    Client,
    a_deployment,
    a_map,
    a_pod,
    play,
)


def test_a_new_object_gets_what_only_the_server_can_give() -> None:
    async def story(client: Client) -> None:
        sent = {
            **a_map("a"),
            "metadata": {"name": "a", "uid": "mine", "resourceVersion": "", "selfLink": "x"},
        }
        meta = (await client.made(MAPS, sent))["metadata"]
        assert (meta["namespace"], meta["creationTimestamp"]) == ("default", "2026-01-01T00:00:00Z")
        assert meta["uid"] not in ("mine", "")
        assert int(meta["resourceVersion"]) > 0
        assert "selfLink" not in meta

    play(story)


def test_a_null_in_a_map_of_texts_is_an_empty_text() -> None:
    async def story(client: Client) -> None:
        sent = {**a_map("a"), "metadata": {"name": "a", "labels": {"x": None}}, "data": {"k": None}}
        made = await client.made(MAPS, sent)
        assert (made["metadata"]["labels"], made["data"]) == ({"x": ""}, {"k": ""})

    play(story)


def test_a_generated_name_keeps_its_base() -> None:
    async def story(client: Client) -> None:
        names = {
            (await client.made(MAPS, {"metadata": {"generateName": "x-"}}))["metadata"]["name"]
            for _ in range(5)
        }
        assert len(names) == 5
        assert all(n.startswith("x-") and len(n) == 7 for n in names)

    play(story)


def test_the_status_of_a_new_object_is_not_the_clients() -> None:
    async def story(client: Client) -> None:
        made = await client.made(DEPLOYMENTS, {**a_deployment(), "status": {"replicas": 9}})
        assert made["status"] == {}
        assert (await client.made(PODS, {**a_pod(), "status": {"phase": "Failed"}}))["status"][
            "phase"
        ] == "Pending"

    play(story)


def test_names_and_namespaces_must_agree_with_the_url() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a"))
        other = {"metadata": {"name": "b", "namespace": "other"}}
        assert (
            (await client.post(MAPS, other))
            .body["message"]
            .startswith("the namespace of the provided object")
        )
        assert (await client.put(f"{MAPS}/a", a_map("b"))).code == 400
        assert (await client.put(f"{MAPS}/a", {"metadata": {}})).code == 400
        assert (await client.patch(f"{MAPS}/a", {"metadata": {"name": "b"}})).code == 400

    play(story)


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({}, "metadata.name"),
        ({"name": "Bad_Name"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"name": "a", "labels": {"a b": "c"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a": "-c"}}, "metadata.labels"),
        ({"name": "a", "annotations": {"/a": "c"}}, "metadata.annotations"),
        ({"name": "a", "annotations": {"a": "x" * 300_000}}, "metadata.annotations"),
        ({"name": "a", "finalizers": ["x"]}, "metadata.finalizers[0]"),
        (
            {"name": "a", "ownerReferences": [{"kind": "K", "name": "n", "uid": "u"}]},
            "metadata.ownerReferences.apiVersion",
        ),
    ],
)
def test_metadata_that_is_not_valid_is_refused_with_its_field(metadata: dict[str, Any], field: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.post(MAPS, {"metadata": metadata})
        assert (answer.code, answer.body["reason"]) == (422, "Invalid")
        assert answer.body["details"]["causes"][0]["field"] == field

    play(story)


def test_an_update_made_for_another_version_conflicts() -> None:
    async def story(client: Client) -> None:
        first = await client.made(MAPS, a_map("a", x="1"))
        await client.patch(f"{MAPS}/a", {"data": {"x": "2"}})
        late = await client.put(f"{MAPS}/a", first)
        assert (late.code, late.body["reason"]) == (409, "Conflict")
        assert late.body["message"].endswith("please apply your changes to the latest version and try again")
        for version in ("", "0"):
            ok = await client.put(
                f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": version}, "data": {}}
            )
            assert ok.code == 200
        assert (await client.put(f"{MAPS}/a", {"metadata": {"name": "a", "uid": "other"}})).code == 409
        assert (await client.patch(f"{MAPS}/a", {"metadata": {"resourceVersion": "1"}})).code == 409

    play(story)


def test_a_write_that_changes_nothing_is_no_write() -> None:
    async def story(client: Client) -> None:
        first = await client.made(MAPS, a_map("a", x="1"))
        await client.clock.sleep(10)
        again = await client.patch(f"{MAPS}/a", {"data": {"x": "1"}})
        assert again.body["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    play(story)


def test_the_four_kinds_of_patch() -> None:
    async def story(client: Client) -> None:
        await client.made(DEPLOYMENTS, a_deployment())
        path = f"{DEPLOYMENTS}/web"
        await client.patch(path, {"spec": {"replicas": 3}}, MERGE)
        await client.patch(path, [{"op": "replace", "path": "/spec/replicas", "value": 4}], JSON_PATCH)
        sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "b"}]}}}}
        await client.patch(path, sidecar, STRATEGIC)
        applied = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"paused": True},
        }
        answer = await client.patch(f"{path}?fieldManager=me", applied, APPLY)
        spec = answer.body["spec"]
        assert (spec["replicas"], spec["paused"]) == (4, True)
        assert {c["name"] for c in spec["template"]["spec"]["containers"]} == {"main", "side"}
        assert (await client.patch(path, {}, "application/json")).code == 415

    play(story)


def test_applying_what_is_not_there_creates_it() -> None:
    async def story(client: Client) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
        made = await client.patch(f"{MAPS}/a?fieldManager=me", body, APPLY)
        assert made.code == 201
        owner = made.body["metadata"]["managedFields"][0]
        assert (owner["manager"], owner["operation"]) == ("me", "Apply")
        assert owner["fieldsV1"] == {"f:data": {"f:x": {}}}
        taken = await client.patch(f"{MAPS}/a?fieldManager=you", {**body, "data": {"x": "2"}}, APPLY)
        assert taken.code == 409
        assert (
            await client.patch(f"{MAPS}/a?fieldManager=you&force=true", {**body, "data": {"x": "2"}}, APPLY)
        ).code == 200
        assert (await client.patch(f"{MAPS}/a", body, APPLY)).code == 422

    play(story)


def test_the_generation_counts_what_a_controller_must_look_at() -> None:
    async def story(client: Client) -> None:
        async def after(body: Any, path: str = f"{DEPLOYMENTS}/web") -> int:
            return int((await client.patch(path, body)).body["metadata"]["generation"])

        assert (await client.made(DEPLOYMENTS, a_deployment()))["metadata"]["generation"] == 1
        assert await after({"metadata": {"labels": {"a": "b"}}}) == 1
        assert await after({"metadata": {"annotations": {"a": "b"}}}) == 2  # of Deployments these count too
        assert await after({"spec": {"replicas": 5}}) == 3
        assert await after({"spec": {"replicas": 5}}) == 3
        assert await after({"status": {"replicas": 5}}, f"{DEPLOYMENTS}/web/status") == 3
        assert "generation" not in (await client.made(MAPS, a_map("a")))["metadata"]

    play(story)


def test_status_and_spec_are_written_apart() -> None:
    async def story(client: Client) -> None:
        await client.made(DEPLOYMENTS, a_deployment())
        body = {"spec": {"replicas": 9}, "status": {"replicas": 7}}
        main = (await client.patch(f"{DEPLOYMENTS}/web", body)).body
        assert (main["spec"]["replicas"], main["status"]) == (9, {})
        status = (
            await client.patch(
                f"{DEPLOYMENTS}/web/status", {"spec": {"replicas": 1}, "status": {"replicas": 7}}
            )
        ).body
        assert (status["spec"]["replicas"], status["status"]) == (9, {"replicas": 7})

    play(story)


def test_a_scale_shows_and_sets_the_replicas() -> None:
    async def story(client: Client) -> None:
        await client.made(DEPLOYMENTS, a_deployment(replicas=2))
        path = f"{DEPLOYMENTS}/web/scale"
        scale = (await client.get(path)).body
        assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == (
            "Scale",
            2,
            "app=web",
        )
        assert (await client.patch(path, {"spec": {"replicas": 6}})).body["spec"]["replicas"] == 6
        assert (
            await client.put(path, {**scale, "metadata": {"name": "web"}, "spec": {"replicas": 1}})
        ).code == 200
        assert (await client.get(f"{DEPLOYMENTS}/web")).body["spec"]["replicas"] == 1
        assert (await client.patch(path, {"spec": {"replicas": -1}})).code == 422
        assert (await client.patch(path, {"spec": {"replicas": "x"}})).code == 422
        assert (await client.get(f"{MAPS}/a/scale")).code == 404

    play(story)


def test_a_dry_run_leaves_nothing_behind() -> None:
    async def story(client: Client) -> None:
        before = client.server.store.rv
        assert (await client.post(f"{MAPS}?dryRun=All", a_map("a"))).code == 201
        assert client.server.store.rv == before
        await client.made(MAPS, a_map("a", x="1"))
        before = client.server.store.rv
        assert (await client.patch(f"{MAPS}/a?dryRun=All", {"data": {"x": "2"}})).body["data"] == {"x": "2"}
        assert (await client.delete(f"{MAPS}/a?dryRun=All")).code == 200
        assert client.server.store.rv == before
        assert (await client.post(f"{MAPS}?dryRun=Some", a_map("b"))).code == 422

    play(story)


def test_unknown_fields_are_refused_warned_of_or_ignored() -> None:
    async def story(client: Client) -> None:
        body = {**a_map("a"), "foo": 1}
        strict = await client.post(f"{MAPS}?fieldValidation=Strict", body)
        assert strict.code == 400
        assert strict.body["message"].endswith('strict decoding error: unknown field "foo"')
        warned = await client.post(MAPS, body)
        assert warned.warnings == ['299 - "unknown field \\"foo\\""']
        assert "foo" not in warned.body
        ignored = await client.post(f"{MAPS}?fieldValidation=Ignore", {**body, "metadata": {"name": "b"}})
        assert (ignored.code, ignored.warnings) == (201, [])

    play(story)


def test_a_finalizer_holds_an_object_until_it_is_taken_away() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, {"metadata": {"name": "a", "finalizers": ["x.io/y"]}})
        held = await client.delete(f"{MAPS}/a")
        assert held.body["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
        again = await client.delete(f"{MAPS}/a")
        assert again.body["metadata"]["resourceVersion"] == held.body["metadata"]["resourceVersion"]
        more = await client.patch(f"{MAPS}/a", {"metadata": {"finalizers": ["x.io/y", "x.io/z"]}})
        assert more.code == 422
        assert (await client.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})).code == 200
        assert (await client.get(f"{MAPS}/a")).code == 404

    play(story)


def test_propagation_is_written_as_a_finalizer() -> None:
    async def story(client: Client) -> None:
        for name, policy, finalizer in (("a", "Foreground", "foregroundDeletion"), ("b", "Orphan", "orphan")):
            await client.made(DEPLOYMENTS, a_deployment(name))
            gone = (await client.delete(f"{DEPLOYMENTS}/{name}?propagationPolicy={policy}")).body["metadata"]
            assert (gone["finalizers"], gone["generation"]) == ([finalizer], 2)
        await client.made(DEPLOYMENTS, a_deployment("c"))
        status = (await client.delete(f"{DEPLOYMENTS}/c", {"propagationPolicy": "Background"})).body
        assert (status["kind"], status["status"], status["details"]["name"]) == ("Status", "Success", "c")
        assert (await client.delete(f"{DEPLOYMENTS}/a?propagationPolicy=Foo")).code == 422

    play(story)


def test_preconditions_of_a_delete() -> None:
    async def story(client: Client) -> None:
        made = await client.made(MAPS, a_map("a"))
        for wrong in ({"uid": "x"}, {"resourceVersion": "1"}):
            assert (await client.delete(f"{MAPS}/a", {"preconditions": wrong})).code == 409
        right = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
        assert (await client.delete(f"{MAPS}/a", {"preconditions": right})).code == 200

    play(story)


def test_a_running_pod_is_given_time_and_another_is_not() -> None:
    async def story(client: Client) -> None:
        await client.made(PODS, a_pod("a"))
        gone = (await client.delete(f"{PODS}/a?gracePeriodSeconds=20")).body["metadata"]
        assert (gone["deletionGracePeriodSeconds"], gone["deletionTimestamp"]) == (20, "2026-01-01T00:00:20Z")
        sooner = (await client.delete(f"{PODS}/a?gracePeriodSeconds=5")).body["metadata"]
        assert sooner["deletionGracePeriodSeconds"] == 5
        await client.delete(f"{PODS}/a?gracePeriodSeconds=0")
        assert (await client.get(f"{PODS}/a")).code == 404
        await client.made(PODS, a_pod("b", node=""))
        await client.delete(f"{PODS}/b")
        assert (await client.get(f"{PODS}/b")).code == 404

    play(story)


def test_a_collection_is_deleted_by_selector() -> None:
    async def story(client: Client) -> None:
        for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
            await client.made(MAPS, {"metadata": {"name": name, "labels": {"t": label}}})
        answer = await client.delete(f"{MAPS}?labelSelector=t=x")
        assert [o["metadata"]["name"] for o in answer.body["items"]] == ["a", "c"]
        assert [o["metadata"]["name"] for o in (await client.get(MAPS)).body["items"]] == ["b"]
        assert (await client.delete("/api/v1/namespaces")).code == 405

    play(story)


def test_a_namespace_stays_until_it_is_finalized() -> None:
    async def story(client: Client) -> None:
        made = await client.made("/api/v1/namespaces", {"metadata": {"name": "n"}})
        assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
        gone = (await client.delete("/api/v1/namespaces/n")).body
        assert gone["status"]["phase"] == "Terminating"
        await client.put(
            "/api/v1/namespaces/n/finalize", {"metadata": {"name": "n"}, "spec": {"finalizers": []}}
        )
        assert (await client.get("/api/v1/namespaces/n")).code == 404

    play(story)


def test_a_pod_is_bound_once() -> None:
    async def story(client: Client) -> None:
        await client.made(PODS, a_pod("a", node=""))
        binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "node-1"}}
        assert (await client.post(f"{PODS}/a/binding", binding)).code == 201
        pod = (await client.get(f"{PODS}/a")).body
        assert pod["spec"]["nodeName"] == "node-1"
        assert pod["status"]["conditions"][0]["type"] == "PodScheduled"
        again = await client.post(f"{PODS}/a/binding", binding)
        assert (again.code, "already assigned" in again.body["message"]) == (409, True)

    play(story)


def test_an_eviction_respects_a_budget() -> None:
    async def story(client: Client) -> None:
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
        await client.made(budgets, {"metadata": {"name": "b"}, "spec": spec})
        for name in "ab":
            await client.made(PODS, a_pod(name, app="x"))
            ready = [{"type": "Ready", "status": "True"}]
            await client.patch(f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": ready}})
        evict = {"metadata": {"name": "a"}}
        early = await client.post(f"{PODS}/a/eviction", evict)
        assert (early.code, early.body["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
        status = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1}
        await client.patch(f"{budgets}/b/status", {"status": status})
        assert (await client.post(f"{PODS}/a/eviction", evict)).code == 201
        refused = await client.post(f"{PODS}/b/eviction", {"metadata": {"name": "b"}})
        assert "needs 1 healthy pods and has 2 currently" in refused.body["details"]["causes"][0]["message"]

    play(story)


def test_who_wrote_a_field_is_known_even_when_it_was_put_off() -> None:
    async def story(client: Client) -> None:
        pods = client.server.registry.find("", "v1", "pods")
        assert pods is not None
        await client.server.call("create", pods, "default", "", a_pod("a"), owing=True)
        status = {"status": {"phase": "Running"}}
        await client.server.call("patch", pods, "default", "a", status, subresource="status", owing=True)
        owners = (await client.get(f"{PODS}/a")).body["metadata"]["managedFields"]
        assert [o.get("subresource", "") for o in owners] == ["", "status"]
        assert owners[1]["fieldsV1"] == {"f:status": {"f:phase": {}}}

    play(story)


def test_a_webhook_that_is_slow_cannot_make_a_change_of_meanwhile_disappear() -> None:
    async def story(client: Client) -> None:
        await client.made(MAPS, a_map("a", x="0"))

        async def slow(attempt: Any) -> Any:
            if "y" in (attempt.obj or {}).get("data", {}):
                await client.clock.sleep(5)
            return attempt.obj, ()

        client.server.hooks.mutate = slow
        late = asyncio.ensure_future(client.patch(f"{MAPS}/a", {"data": {"y": "1"}}))
        await client.clock.sleep(1)
        await client.patch(f"{MAPS}/a", {"data": {"x": "2"}})
        assert (await late).body["data"] == {"x": "2", "y": "1"}

    play(story)


def test_a_job_selects_its_pods_by_its_own_uid() -> None:
    async def story(client: Client) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}
        jobs = "/apis/batch/v1/namespaces/default/jobs"
        job = await client.made(jobs, {"metadata": {"name": "j"}, "spec": {"template": template}})
        wanted = {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
        assert job["spec"]["selector"]["matchLabels"] == wanted
        assert wanted.items() <= job["spec"]["template"]["metadata"]["labels"].items()
        gone = await client.delete(f"{jobs}/j")
        assert "child pods are preserved" in gone.warnings[0]

    play(story)
