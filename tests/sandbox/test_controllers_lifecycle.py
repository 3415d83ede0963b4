"""Namespaces, garbage, quotas and Jobs, as a person sees them in the sandbox."""

from __future__ import annotations

from typing import Any

from controller_stage import Object, Play, play_in_sandbox

from kruise_rollouts.kube.objects import CONFIG_MAP, DEPLOYMENT, EVENT, NAMESPACE, POD, REPLICA_SET, Kind
from kruise_rollouts.sandbox.controllers.job import JOB
from kruise_rollouts.sandbox.controllers.namespace import SERVICE_ACCOUNT
from kruise_rollouts.sandbox.controllers.replicaset import REPLICATION_CONTROLLER

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")


def owned_by(kind: Kind, owner: Object, **more: Any) -> Object:
    meta = owner["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        **more,
    }


async def config(play: Play, name: str, *owners: Object, **meta: Any) -> Object:
    references = {"ownerReferences": list(owners)} if owners else {}
    return await play.place.create(CONFIG_MAP, {"metadata": {"name": name, **references, **meta}})


async def names(play: Play, kind: Kind = CONFIG_MAP) -> list[str]:
    return sorted(
        o["metadata"]["name"]
        for o in await play.place.list(kind)
        if o["metadata"]["name"] != "kube-root-ca.crt"
    )


def test_an_object_goes_with_its_last_owner() -> None:
    async def tell(play: Play) -> None:
        one, two = await config(play, "one"), await config(play, "two")
        await config(play, "child", owned_by(CONFIG_MAP, one), owned_by(CONFIG_MAP, two))
        await play.place.delete(CONFIG_MAP, "one")
        await play.place.wait(1)
        child = await play.place.find(CONFIG_MAP, "child")
        assert child is not None
        assert [o["name"] for o in child["metadata"]["ownerReferences"]] == ["two"]
        await play.place.delete(CONFIG_MAP, "two")
        await play.place.wait(1)
        assert await names(play) == []

    play_in_sandbox(tell)


def test_an_owner_that_never_was_makes_garbage() -> None:
    async def tell(play: Play) -> None:
        real = await config(play, "real")
        await config(play, "wrong-uid", {**owned_by(CONFIG_MAP, real), "uid": "another"})
        await config(play, "right", owned_by(CONFIG_MAP, real))
        await play.place.wait(1)
        assert await names(play) == ["real", "right"]

    play_in_sandbox(tell)


def test_an_owner_of_an_unknown_kind_is_left_alone() -> None:
    async def tell(play: Play) -> None:
        await config(
            play, "child", {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "u"}
        )
        await play.place.wait(1)
        assert await names(play) == ["child"]

    play_in_sandbox(tell)


def test_a_foreground_delete_waits_only_for_blocking_dependents() -> None:
    async def tell(play: Play) -> None:
        owner = await config(play, "owner")
        await config(play, "free", owned_by(CONFIG_MAP, owner), finalizers=["example.com/hold"])
        await config(
            play,
            "blocking",
            owned_by(CONFIG_MAP, owner, blockOwnerDeletion=True),
            finalizers=["example.com/hold"],
        )
        await play.place.delete(CONFIG_MAP, "owner", "Foreground")
        await play.place.wait(1)
        assert await names(play) == ["blocking", "free", "owner"]
        await play.place.patch(CONFIG_MAP, "blocking", {"metadata": {"finalizers": None}})
        await play.place.wait(1)
        assert await names(play) == ["free"]

    play_in_sandbox(tell)


def test_orphaning_leaves_dependents_without_an_owner() -> None:
    async def tell(play: Play) -> None:
        owner = await config(play, "owner")
        await config(play, "child", owned_by(CONFIG_MAP, owner))
        await play.place.delete(CONFIG_MAP, "owner", "Orphan")
        await play.place.wait(1)
        child = await play.place.find(CONFIG_MAP, "child")
        assert await names(play) == ["child"]
        assert child is not None and not child["metadata"].get("ownerReferences")

    play_in_sandbox(tell)


def test_a_namespace_is_furnished_emptied_and_ended() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(NAMESPACE, {"metadata": {"name": "shop"}})
        play.place.ns = "shop"  # type: ignore[attr-defined]
        await play.place.wait(1)
        assert await names(play, SERVICE_ACCOUNT) == ["default"]
        await play.deploy(replicas=2)
        await play.rests({"v1": 2}, (2, 2, 2))
        await config(play, "held", finalizers=["example.com/hold"])
        await play.place.delete(NAMESPACE, "shop")
        await play.place.wait(10)
        namespace = await play.place.find(NAMESPACE, "shop")
        assert namespace is not None
        assert namespace["status"]["phase"] == "Terminating"
        told = {c["type"]: c["message"] for c in namespace["status"]["conditions"]}
        assert (
            told["NamespaceContentRemaining"]
            == "Some resources are remaining: configmaps. has 1 resource instances"
        )
        assert told["NamespaceFinalizersRemaining"] == (
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        )
        for kind in (DEPLOYMENT, REPLICA_SET, POD, SERVICE_ACCOUNT):
            assert await names(play, kind) == []
        await play.place.patch(CONFIG_MAP, "held", {"metadata": {"finalizers": None}})
        await play.place.wait(2)
        assert await play.place.find(NAMESPACE, "shop") is None

    play_in_sandbox(tell)


def test_a_deleted_default_account_comes_back() -> None:
    async def tell(play: Play) -> None:
        await play.place.wait(1)
        await play.place.delete(SERVICE_ACCOUNT, "default")
        await play.place.wait(1)
        assert await names(play, SERVICE_ACCOUNT) == ["default"]

    play_in_sandbox(tell)


def test_a_quota_shows_as_replica_failure_until_it_is_raised() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(QUOTA, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
        await play.place.wait(1)
        await play.deploy(replicas=4)
        await play.rests({"v1": 4}, (2, 2, 2), pods=2)
        found = await play.deployment()
        (failure,) = (c for c in found["status"]["conditions"] if c["type"] == "ReplicaFailure")
        assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
        assert "exceeded quota: q" in failure["message"]
        assert any(e["reason"] == "FailedCreate" for e in await play.place.list(EVENT))
        await play.place.patch(QUOTA, "q", {"spec": {"hard": {"pods": "10"}}})
        await play.rests({"v1": 4}, (4, 4, 4), seconds=60)
        assert "ReplicaFailure" not in await play.conditions()

    play_in_sandbox(tell)


def a_job(name: str = "job", annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    containers = [{"name": "main", "image": "app:v1"}]
    template = {
        "metadata": {"annotations": annotations or {}},
        "spec": {"restartPolicy": "Never", "containers": containers},
    }
    return {"metadata": {"name": name}, "spec": {"template": template, **spec}}


async def job(play: Play) -> Object:
    found = await play.place.find(JOB, "job")
    assert found is not None
    status: Object = found["status"]
    return status


def test_a_job_ends_when_enough_pods_have_succeeded() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(JOB, a_job(completions=3, parallelism=2))
        await play.place.wait(0.7)
        assert ((await job(play))["active"], len(await play.place.list(POD))) == (2, 2)
        await play.place.wait(20)
        status = await job(play)
        assert status["succeeded"] == 3
        assert "active" not in status
        assert [c["type"] for c in status["conditions"] if c["status"] == "True"] == [
            "SuccessCriteriaMet",
            "Complete",
        ]
        assert status["completionTime"]
        assert len(await play.place.list(POD)) == 3

    play_in_sandbox(tell)


def test_a_job_gives_up_after_its_back_off_limit() -> None:
    async def tell(play: Play) -> None:
        failing = {"sim/exit-after": "1s", "sim/exit-code": "1"}
        await play.place.create(JOB, a_job(annotations=failing, backoffLimit=1))
        await play.place.wait(60)
        status = await job(play)
        assert status["failed"] == 2
        assert [c["reason"] for c in status["conditions"] if c["type"] == "Failed"] == [
            "BackoffLimitExceeded"
        ]

    play_in_sandbox(tell)


def test_a_finished_job_goes_after_its_time_to_live() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(JOB, a_job(ttlSecondsAfterFinished=30))
        await play.place.wait(10)
        assert (await job(play))["succeeded"] == 1
        await play.place.wait(30)
        assert await play.place.find(JOB, "job") is None
        assert await play.place.list(POD) == []

    play_in_sandbox(tell)


def test_a_replication_controller_keeps_its_pods() -> None:
    async def tell(play: Play) -> None:
        labels = {"app": "old"}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "app:v1"}]},
        }
        spec = {"replicas": 2, "selector": labels, "template": template}
        await play.place.create(REPLICATION_CONTROLLER, {"metadata": {"name": "rc"}, "spec": spec})
        await play.place.wait(2)
        await play.place.delete(POD, (await names(play, POD))[0])
        await play.place.wait(2)
        found = await play.place.find(REPLICATION_CONTROLLER, "rc")
        assert found is not None
        assert (found["status"]["replicas"], found["status"]["readyReplicas"]) == (2, 2)

    play_in_sandbox(tell)


def test_a_circle_of_owners_does_not_block_itself() -> None:
    async def tell(play: Play) -> None:
        made = [await config(play, name) for name in ("one", "two", "three")]
        for name, owner in zip(("one", "two", "three"), (made[2], made[0], made[1]), strict=True):
            reference = owned_by(CONFIG_MAP, owner, controller=True, blockOwnerDeletion=True)
            await play.place.patch(CONFIG_MAP, name, {"metadata": {"ownerReferences": [reference]}})
        await play.place.delete(CONFIG_MAP, "one", "Foreground")
        await play.place.wait(1)
        assert await names(play) == []

    play_in_sandbox(tell)


def test_a_resource_that_no_node_has_is_counted_and_keeps_the_pod_waiting() -> None:
    async def tell(play: Play) -> None:
        hard = {"requests.example.com/dongle": "3"}
        await play.place.create(QUOTA, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        resources = {"limits": {"example.com/dongle": "2"}}
        spec = {"containers": [{"name": "a", "image": "a", "resources": resources}]}
        await play.place.create(POD, {"metadata": {"name": "p"}, "spec": spec})
        await play.place.wait(2)
        quota, pod = await play.place.find(QUOTA, "q"), await play.place.find(POD, "p")
        assert quota is not None and pod is not None
        assert quota["status"]["used"] == {"requests.example.com/dongle": "2"}
        assert "Insufficient example.com/dongle" in pod["status"]["conditions"][0]["message"]

    play_in_sandbox(tell)
