"""The life of a pod on a simulated node: as a function of time, and as a person sees it in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from controller_stage import Object, Play, play_in_sandbox
from hypothesis import given
from hypothesis import strategies as st

from kruise_rollouts.kube.objects import EVENT, NODE, POD
from kruise_rollouts.sandbox.nodes.pod_status import pod_at
from kruise_rollouts.sandbox.nodes.stages import NEVER, Knobs, PodRun, advance, delay_of

START = datetime(2026, 1, 1, tzinfo=UTC)
KNOBS = Knobs(ready_delay=0.5)


def a_pod(image: str = "app:v1", policy: str = "Always", **annotations: str) -> Object:
    notes = {k.replace("_", "-").replace("sim-", "sim/"): v for k, v in annotations.items()}
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u", "generation": 1, "annotations": notes},
        "spec": {
            "nodeName": "node-0",
            "restartPolicy": policy,
            "containers": [{"name": "main", "image": image}],
        },
        "status": {"phase": "Pending"},
    }


def after(seconds: float, pod: Object, run: PodRun | None = None) -> Object:
    """The status `seconds` after the node first saw the pod."""
    run = run or advance(None, pod, "10.0.0.1", START)
    return pod_at(pod, run, "172.31.0.10", KNOBS, START + timedelta(seconds=seconds)).status


def container(status: Object) -> Object:
    (found,) = status["containerStatuses"]
    result: Object = found
    return result


def condition(status: Object, kind: str) -> tuple[str, str]:
    (found,) = (c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found.get("reason", "")


def test_a_pod_is_created_then_runs_and_is_ready() -> None:
    early, late = after(0.2, a_pod()), after(0.5, a_pod())
    assert (early["phase"], container(early)["state"]) == (
        "Pending",
        {"waiting": {"reason": "ContainerCreating"}},
    )
    assert "podIP" not in early
    assert condition(early, "Ready") == ("False", "ContainersNotReady")
    assert (late["phase"], container(late)["ready"], late["podIP"]) == ("Running", True, "10.0.0.1")
    assert condition(late, "Ready") == condition(late, "ContainersReady") == ("True", "")
    assert [c["type"] for c in late["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]


def test_a_slow_pod_runs_before_it_is_ready() -> None:
    pod = a_pod(sim_ready_delay="3s")
    assert (after(1.5, pod)["phase"], container(after(1.5, pod))["ready"]) == ("Running", False)
    assert container(after(3, pod))["ready"]


def test_jitter_spreads_the_moments_at_which_pods_get_ready() -> None:
    async def tell(play: Play) -> None:
        await play.deploy(replicas=8)
        seen = set()
        for _ in range(25):
            await play.place.wait(0.1)
            seen.add((await play.deployment())["status"].get("readyReplicas", 0))
        assert 8 in seen and len(seen) > 4

    play_in_sandbox(tell, Knobs(ready_delay=0.5, ready_jitter=2.0))


@given(st.floats(0.001, 50), st.floats(0.001, 5), st.text("abc", min_size=1, max_size=3))
def test_whatever_changes_by_itself_has_changed_when_its_time_comes(
    delay: float, jitter: float, uid: str
) -> None:
    pod = a_pod(sim_ready_delay=f"{delay:.9f}")
    pod["metadata"]["uid"] = uid
    run = advance(None, pod, "10.0.0.1", START)
    at: datetime | None = START
    for _ in range(4):
        if at is None:
            break
        now = pod_at(pod, run, "172.31.0.10", Knobs(ready_jitter=jitter), at)
        assert now.next_at is None or now.next_at > at
        at = now.next_at
    assert at is None
    assert container(now.status)["ready"]


def test_a_pod_may_never_get_ready_or_be_held_unready() -> None:
    assert condition(after(1e6, a_pod(sim_ready_delay="never")), "Ready")[0] == "False"
    assert condition(after(10, a_pod(sim_ready="false")), "Ready")[0] == "False"


@pytest.mark.parametrize("image", ["cilium/echoserver:failed", "failed_image:failed", "busybox:not-exists"])
def test_an_image_that_cannot_be_pulled_backs_off(image: str) -> None:
    assert container(after(1, a_pod(image)))["state"]["waiting"]["reason"] == "ErrImagePull"
    late = after(60, a_pod(image))
    assert container(late)["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert late["phase"] == "Pending"


def test_a_crash_loop_restarts_with_growing_pauses() -> None:
    pod = a_pod(sim_crash_loop="true")
    seen = [(s, container(after(s, pod))) for s in (1.0, 2.0, 3.0, 14.0, 16.0)]
    assert [(s, c["restartCount"], next(iter(c["state"]))) for s, c in seen] == [
        (1.0, 0, "running"),
        (2.0, 1, "running"),
        (3.0, 1, "waiting"),
        (14.0, 2, "waiting"),
        (16.0, 2, "waiting"),
    ]
    assert seen[3][1]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert seen[3][1]["lastState"]["terminated"]["exitCode"] == 1
    assert after(14, pod)["phase"] == "Running"


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        ("Never", "0", "Succeeded"),
        ("Never", "3", "Failed"),
        ("OnFailure", "0", "Succeeded"),
        ("OnFailure", "1", "Running"),
    ],
)
def test_the_restart_policy_decides_what_an_exit_means(policy: str, code: str, phase: str) -> None:
    assert after(5, a_pod(policy=policy, sim_exit_after="2s", sim_exit_code=code))["phase"] == phase


def test_a_changed_image_restarts_the_container() -> None:
    pod = a_pod()
    run = advance(None, pod, "10.0.0.1", START)
    pod["status"] = after(1, pod, run)
    pod["spec"] = {**pod["spec"], "containers": [{"name": "main", "image": "app:v2"}]}
    at = START + timedelta(seconds=10)
    run = advance(run, pod, "10.0.0.1", at)
    now = pod_at(pod, run, "172.31.0.10", KNOBS, at).status
    assert (container(now)["ready"], container(now)["restartCount"]) == (False, 1)
    later = pod_at(pod, run, "172.31.0.10", KNOBS, at + timedelta(seconds=1)).status
    assert container(later)["ready"]
    assert container(later)["lastState"]["terminated"]["reason"] == "Completed"
    assert container(later)["imageID"].startswith("app@sha256:")


def test_a_node_that_has_forgotten_everything_leaves_running_pods_alone() -> None:
    pod = a_pod(sim_ready_delay="20s")
    pod["status"] = after(30, pod)
    at = START + timedelta(seconds=31)
    run = advance(None, pod, pod["status"]["podIP"], at)
    assert pod_at(pod, run, "172.31.0.10", KNOBS, at).status == pod["status"]


def test_a_readiness_gate_keeps_a_pod_unready_until_somebody_opens_it() -> None:
    pod = a_pod()
    pod["spec"]["readinessGates"] = [{"conditionType": "example.com/open"}]
    status = after(1, pod)
    assert condition(status, "ContainersReady") == ("True", "")
    assert condition(status, "Ready") == ("False", "ReadinessGatesNotReady")
    pod["status"] = {
        **status,
        "conditions": [*status["conditions"], {"type": "example.com/open", "status": "True"}],
    }
    assert condition(after(1, pod), "Ready") == ("True", "")


def test_an_init_container_that_never_starts_blocks_the_pod() -> None:
    pod = a_pod()
    pod["spec"]["initContainers"] = [
        {"name": "first", "image": "app:v1"},
        {"name": "second", "image": "init:failed"},
    ]
    status = after(5, pod)
    assert status["phase"] == "Pending"
    assert condition(status, "Initialized") == ("False", "ContainersNotInitialized")
    assert [next(iter(c["state"])) for c in status["initContainerStatuses"]] == ["terminated", "waiting"]
    assert container(status)["state"]["waiting"]["reason"] == "PodInitializing"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 7), ("0.5", 0.5), ("500ms", 0.5), ("3s", 3), ("1m", 60), ("never", NEVER), ("rubbish", 7)],
)
def test_delays_are_read_in_several_units(text: str | None, seconds: float) -> None:
    assert delay_of(text, 7) == seconds


# -- in the sandbox -------------------------------------------------------------------------------------


def body(name: str = "p", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "app:v1"}], **spec}}


async def get(play: Play, name: str = "p") -> Object:
    found = await play.place.find(POD, name)
    assert found is not None
    return found


def test_a_pod_is_bound_started_and_told_of() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(POD, body())
        await play.place.wait(2)
        pod = await get(play)
        assert pod["spec"]["nodeName"].startswith("node-")
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"] and pod["status"]["hostIP"] and pod["status"]["startTime"]
        reasons = [e["reason"] for e in await play.place.list(EVENT) if e["involvedObject"]["name"] == "p"]
        assert sorted(reasons) == ["Created", "Pulled", "Scheduled", "Started"]

    play_in_sandbox(tell)


def test_a_deleted_pod_stops_within_its_grace_period() -> None:
    async def tell(play: Play) -> None:
        pod = body(terminationGracePeriodSeconds=10)
        pod["metadata"]["annotations"] = {"sim/terminate-delay": "4s"}
        await play.place.create(POD, pod)
        await play.place.create(
            POD, {**pod, "metadata": {"name": "q", "annotations": {"sim/terminate-delay": "never"}}}
        )
        await play.place.wait(2)
        for name in ("p", "q"):
            await play.place.delete(POD, name)
        await play.place.wait(3.5)
        assert (await get(play))["metadata"]["deletionTimestamp"]
        await play.place.wait(1)
        assert await play.place.find(POD, "p") is None
        await play.place.wait(4)
        assert await play.place.find(POD, "q") is not None
        await play.place.wait(3)
        assert await play.place.find(POD, "q") is None

    play_in_sandbox(tell)


def test_a_finalizer_keeps_a_stopped_pod() -> None:
    async def tell(play: Play) -> None:
        pod = body()
        pod["metadata"]["finalizers"] = ["example.com/hold"]
        await play.place.create(POD, pod)
        await play.place.wait(2)
        await play.place.delete(POD, "p")
        await play.place.wait(60)
        assert (await get(play))["metadata"]["deletionGracePeriodSeconds"] == 0
        await play.place.patch(POD, "p", {"metadata": {"finalizers": None}})
        await play.place.wait(1)
        assert await play.place.find(POD, "p") is None

    play_in_sandbox(tell)


def test_a_pod_that_fits_nowhere_waits_for_a_node_that_takes_it() -> None:
    async def tell(play: Play) -> None:
        await play.place.create(POD, body(nodeSelector={"disk": "ssd"}))
        await play.place.wait(2)
        status = (await get(play))["status"]
        assert condition(status, "PodScheduled") == ("False", "Unschedulable")
        await play.place.patch(NODE, "node-1", {"metadata": {"labels": {"disk": "ssd"}}})
        await play.place.wait(2)
        assert (await get(play))["spec"]["nodeName"] == "node-1"
        assert (await get(play))["status"]["phase"] == "Running"

    play_in_sandbox(tell)


def test_a_cordoned_node_gets_no_pods() -> None:
    async def tell(play: Play) -> None:
        await play.place.patch(NODE, "node-0", {"spec": {"unschedulable": True}})
        await play.deploy(replicas=4)
        await play.rests({"v1": 4}, (4, 4, 4))
        assert {p["spec"]["nodeName"] for p in await play.place.list(POD)} == {"node-1", "node-2"}

    play_in_sandbox(tell)


def test_a_full_node_takes_a_pod_when_another_leaves() -> None:
    async def tell(play: Play) -> None:
        for name in ("node-1", "node-2"):
            await play.place.delete(NODE, name)
        await play.place.patch(NODE, "node-0", {"status": {"allocatable": {"pods": "1"}}}, "status")
        await play.place.create(POD, body("first"))
        await play.place.create(POD, body("second"))
        await play.place.wait(2)
        assert condition((await get(play, "second"))["status"], "PodScheduled") == ("False", "Unschedulable")
        await play.place.delete(POD, "first")
        await play.place.wait(2)
        assert (await get(play, "second"))["status"]["phase"] == "Running"

    play_in_sandbox(tell)


def test_a_deleted_node_takes_its_pods_along() -> None:
    async def tell(play: Play) -> None:
        await play.deploy(replicas=3)
        await play.rests({"v1": 3}, (3, 3, 3))
        await play.place.delete(NODE, "node-0")
        await play.rests({"v1": 3}, (3, 3, 3))
        assert {p["spec"]["nodeName"] for p in await play.place.list(POD)} == {"node-1", "node-2"}

    play_in_sandbox(tell)


def test_a_lost_node_makes_its_pods_unready_and_then_loses_them() -> None:
    async def tell(play: Play) -> None:
        tolerated = [
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
        ]
        template = {"spec": {"containers": [{"name": "main", "image": "app:v1"}], "tolerations": tolerated}}
        await play.deploy(replicas=3)
        await play.patch(template=template)
        await play.rests({"v1": 3}, (3, 3, 3))
        await play.place.patch(NODE, "node-0", {"metadata": {"annotations": {"sim/down": "true"}}})
        await play.place.wait(39)
        assert (await play.deployment())["status"]["readyReplicas"] == 3
        await play.place.wait(2)
        assert (await play.deployment())["status"]["readyReplicas"] == 2
        node = await play.place.find(NODE, "node-0")
        assert node is not None
        assert condition(node["status"], "Ready") == ("Unknown", "NodeStatusUnknown")
        await play.place.wait(300)
        assert (await play.deployment())["status"]["readyReplicas"] == 3
        gone = [p for p in await play.place.list(POD) if p["metadata"].get("deletionTimestamp")]
        assert [p["spec"]["nodeName"] for p in gone] == ["node-0"]
        await play.place.patch(NODE, "node-0", {"metadata": {"annotations": {"sim/down": None}}})
        await play.place.wait(5)
        assert len(await play.place.list(POD)) == 3
        node = await play.place.find(NODE, "node-0")
        assert node is not None and condition(node["status"], "Ready")[0] == "True"
        assert not node["spec"].get("taints")

    play_in_sandbox(tell)


def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    async def tell(play: Play) -> None:
        await play.deploy(replicas=3)
        await play.rests({"v1": 3}, (3, 3, 3))
        names = {p["metadata"]["name"] for p in await play.place.list(POD)}
        await play.place.patch(NODE, "node-0", {"metadata": {"annotations": {"sim/down": "true"}}})
        await play.place.wait(60)
        await play.place.patch(NODE, "node-0", {"metadata": {"annotations": {"sim/down": None}}})
        await play.rests({"v1": 3}, (3, 3, 3))
        assert {p["metadata"]["name"] for p in await play.place.list(POD)} == names

    play_in_sandbox(tell)
