"""Pods that die, quotas, namespaces that go, and many releases at once."""

from __future__ import annotations

import asyncio

import pytest

from kruise_rollouts.kube.errors import NotFound
from kruise_rollouts.kube.objects import DEPLOYMENT, NAMESPACE, POD, ROLLOUT, Kind
from kruise_rollouts.runtime.clock import LoopClock, run_virtual

from .on_sandbox import sandbox_stage
from .release import STEPS, at_step, begin, to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_namespace, a_rollout, a_step, version_of

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")


@pytest.mark.parametrize("version", ["version-5", "version-2"])
@scenario
async def test_a_pod_that_dies_during_a_pause_comes_back_as_what_it_was(stage: Stage, version: str) -> None:
    await at_step(stage, 2)
    dead = next(p for p in await stage.pods() if version_of(p) == version)["metadata"]["name"]
    await stage.delete(POD, dead)

    async def replaced() -> bool:
        names = {p["metadata"]["name"] for p in await stage.pods()}
        assert (await stage.rollout())["status"]["currentStepIndex"] == 2
        return dead not in names and await stage.versions() == {"version-5": 5, "version-2": 5}

    await stage.until("another pod of its version is there", replaced)
    await stage.until_paused(2)
    await to_the_end(stage)


@scenario
async def test_a_node_whose_pods_all_go_during_a_pause_takes_the_release_no_step_back(stage: Stage) -> None:
    """S34: of both versions some are lost, at once."""
    await at_step(stage, 2)
    pods = await stage.pods()
    nodes = {p["spec"]["nodeName"] for p in pods}
    lost = {p["metadata"]["name"] for p in pods if p["spec"]["nodeName"] == min(nodes)}
    # Nodes may be many for ten pods: of each version one is lost in any case.
    lost |= {
        next(p for p in pods if version_of(p) == v)["metadata"]["name"] for v in ("version-5", "version-2")
    }
    await asyncio.gather(*(stage.delete(POD, name) for name in lost))

    async def replaced() -> bool:
        status = (await stage.rollout())["status"]
        assert (status["currentStepIndex"], status["phase"]) == (2, "Progressing"), await stage.picture()
        versions = await stage.versions()
        assert versions.get("version-2", 0) <= 5 and versions.get("version-5", 0) <= 5, await stage.picture()
        names = {p["metadata"]["name"] for p in await stage.pods()}
        return not lost & names and versions == {"version-5": 5, "version-2": 5}

    await stage.until("others of their versions are there", replaced)
    await stage.until_ready(10)
    await stage.until_paused(2)
    await stage.stays({"version-5": 5, "version-2": 5}, seconds=3)
    await to_the_end(stage)


@scenario
async def test_a_quota_that_leaves_no_room_for_new_pods(stage: Stage) -> None:
    await begin(stage, replicas=4)
    await stage.create(QUOTA, {"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "4"}}})

    async def counted() -> bool:
        return (await stage.get(QUOTA, "tight")).get("status", {}).get("used", {}).get("pods") == "4"

    await stage.until("the quota is in force", counted)
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0}}}})
    await stage.set_version("version-2")
    await stage.until_said("exceeded quota")
    assert (await stage.versions())["version-5"] == 4
    await stage.delete(QUOTA, "tight")
    # Kubernetes' ReplicaSet controller may take a creation that failed in this moment for one under way, for 5 minutes.
    await stage.until_paused(1, within=400)
    await to_the_end(stage, pods=4)


@scenario
async def test_a_namespace_that_is_deleted_during_a_release(stage: Stage) -> None:
    there = Stage(stage.api, stage.clock, await a_namespace(stage.api, "doomed"), stage.warnings)
    await at_step(there, 1)
    await stage.api.request("DELETE", NAMESPACE.path("", there.ns))

    async def gone() -> bool:
        try:
            await stage.api.request("GET", NAMESPACE.path("", there.ns))
        except NotFound:
            return True
        return False

    await stage.until("the namespace is gone", gone)


@pytest.mark.slow
@scenario
async def test_ten_releases_that_begin_at_once(stage: Stage) -> None:
    names = [f"app-{nr}" for nr in range(10)]
    for name in names:
        await stage.create(DEPLOYMENT, a_deployment(name, 2))
        await stage.create(ROLLOUT, a_rollout(name, (a_step("50%"), a_step("100%"))))
    for name in names:
        await stage.until_ready(2, name)
        await stage.until_phase("Healthy", name)
    await asyncio.gather(*(stage.set_version("version-2", name) for name in names))
    for name in names:
        await stage.until_paused(1, name)
        assert await stage.versions(name) == {"version-5": 1, "version-2": 1}
    await asyncio.gather(*(stage.approve(name) for name in names))
    for name in names:
        await stage.until_phase("Healthy", name)
        await stage.until_versions({"version-2": 2}, name)


@pytest.mark.slow
def test_of_two_hundred_releases_one_that_is_stuck_holds_up_none() -> None:
    """S51: in the sandbox, where two hundred of them cost no time."""

    async def story(stage: Stage) -> None:
        names = [f"app-{nr}" for nr in range(200)]
        for name in names:
            await stage.create(DEPLOYMENT, a_deployment(name, 2))
            await stage.create(ROLLOUT, a_rollout(name, (a_step("50%"), a_step("100%"))))
        for name in names:
            await stage.until_phase("Healthy", name)
            await stage.until_ready(2, name)
        await stage.set_image("busybox:not-exists", "version-2", names[0])
        began = stage.clock.mono()
        await asyncio.gather(*(stage.set_version("version-2", name) for name in names[1:]))
        for name in names[1:]:
            await stage.until_paused(1, name)
        await asyncio.gather(*(stage.approve(name) for name in names[1:]))
        for name in names[1:]:
            await stage.until_phase("Healthy", name)
            assert await stage.versions(name) == {"version-2": 2}
        assert stage.clock.mono() - began < 60
        assert (await stage.rollout(names[0]))["status"]["currentStepState"] == "StepUpgrade"

    run_virtual(sandbox_stage(story, LoopClock()))


@scenario
async def test_one_bad_release_does_not_hold_up_another(stage: Stage) -> None:
    await begin(stage)
    await stage.create(DEPLOYMENT, a_deployment("other", 2))
    await stage.create(ROLLOUT, a_rollout("other", STEPS))
    await stage.until_ready(2, "other")
    await stage.until_phase("Healthy", "other")
    await stage.set_image("busybox:not-exists", "version-2", "other")
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_a_step_whose_pods_cannot_start_is_told_once_as_a_warning(stage: Stage) -> None:
    await begin(stage)
    await stage.set_image("busybox:not-exists", "version-2")
    await stage.until_said("step 1/3 is stuck: 0/2 new pods ready; ")
    await stage.clock.sleep(20)
    for kind in ("Rollout", "Deployment"):
        stuck = [e for e in await stage.events(kind, "busybox") if e["reason"] == "StepStuck"]
        assert len(stuck) == 1 and stuck[0]["type"] == "Warning" and stuck[0].get("count", 1) == 1
        assert "ImagePull" in stuck[0]["message"]


@scenario
async def test_pods_that_are_ready_by_turns_finish_no_step_and_are_told_of(stage: Stage) -> None:
    """S31: the readiness of a version that crashes and comes back."""
    await begin(stage)
    never = {"metadata": {"annotations": {"sim/ready-delay": "never"}}}
    await stage.patch(DEPLOYMENT, "busybox", {"spec": {"template": never}})

    async def of_the_version() -> list[str]:
        pods = (p["metadata"] for p in await stage.pods())
        return sorted(m["name"] for m in pods if "sim/ready-delay" in (m.get("annotations") or {}))

    async def started() -> bool:
        return len(await of_the_version()) == 2

    await stage.until("both pods of the step are there", started)
    for turn in range(8):
        for nr, name in enumerate(await of_the_version()):
            ready = {"type": "Ready", "status": "True" if (nr + turn) % 2 else "False"}
            body: Object = {"status": {"conditions": [ready]}}
            await stage.patch(POD, name, body, subresource="status", type_="strategic")
        await stage.clock.sleep(2)
        assert (await stage.rollout())["status"]["currentStepState"] == "StepUpgrade"
    said = (await stage.rollout())["status"]["message"]
    assert "/2 new pods ready" in said, said
    await stage.patch(
        DEPLOYMENT,
        "busybox",
        {"spec": {"template": {"metadata": {"annotations": {"sim/ready-delay": None}}}}},
    )
    await stage.set_version("version-2")
    await stage.until_paused(1)
    await to_the_end(stage)
