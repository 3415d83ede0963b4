"""What a Deployment comes to rest at, told once and played twice: in the sandbox, and on a real control plane.

Numbers are the real control plane's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from controller_stage import Play, Story, bounds, play_in_sandbox, play_on_cluster

from kruise_rollouts.kube.objects import DEPLOYMENT, POD, REPLICA_SET
from kruise_rollouts.sandbox.nodes.stages import Knobs

STORIES: list[Story] = []


def story(tell: Story) -> Story:
    STORIES.append(tell)
    return tell


@story
async def a_new_deployment_starts_all_its_pods(play: Play) -> None:
    await play.deploy(replicas=3)
    await play.rests({"v1": 3}, (3, 3, 3))
    found = await play.deployment()
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert found["metadata"]["generation"] == found["status"]["observedGeneration"] == 1
    assert found["status"]["terminatingReplicas"] == 0
    assert await play.conditions() == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


@story
async def a_new_image_replaces_all_pods(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2")
    await play.rests({"v2": 10}, (10, 10, 10))
    assert len(await play.sets()) == 2
    assert (await play.deployment())["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


@story
async def an_undo_uses_the_old_replica_set_again_and_remembers_its_revision(play: Play) -> None:
    await play.deploy(replicas=3)
    await play.rests({"v1": 3}, (3, 3, 3))
    await play.image("v2")
    await play.rests({"v2": 3}, (3, 3, 3))
    await play.image("v1")
    await play.rests({"v1": 3}, (3, 3, 3))
    annotations = (await play.set_of("v1"))["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert (await play.deployment())["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


@story
async def a_paused_deployment_is_scaled_but_not_rolled(play: Play) -> None:
    await play.deploy(replicas=4)
    await play.rests({"v1": 4}, (4, 4, 4))
    await play.image("v2", paused=True)
    await play.rests({"v1": 4}, (4, 4, 0))
    await play.patch(replicas=7)
    await play.rests({"v1": 7}, (7, 7, 0))
    assert (await play.conditions())["Progressing"] == ("Unknown", "DeploymentPaused")
    annotations = (await play.set_of("v1"))["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/desired-replicas"] == "7"
    assert annotations["deployment.kubernetes.io/max-replicas"] == "10"
    await play.patch(paused=False)
    await play.rests({"v2": 7}, (7, 7, 7))
    assert (await play.conditions())["Progressing"] == ("True", "NewReplicaSetAvailable")


@story
async def a_deployment_created_paused_makes_no_replica_set(play: Play) -> None:
    await play.deploy(replicas=2, paused=True)
    await play.rests({}, (0, 0, 0), seconds=5)
    assert await play.sets() == []
    await play.patch(paused=False)
    await play.rests({"v1": 2}, (2, 2, 2))


@story
async def an_image_that_never_pulls_stops_the_rollout_at_the_bounds(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("web:failed", progressDeadlineSeconds=4)
    await play.rests({"v1": 8, "web:failed": 5}, (13, 8, 5), ready=8)
    await play.place.wait(8)
    assert await play.conditions() == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("False", "ProgressDeadlineExceeded"),
    }
    await play.image("v1")
    await play.rests({"v1": 10}, (10, 10, 10))
    assert (await play.conditions())["Progressing"] == ("True", "NewReplicaSetAvailable")


@story
async def a_third_revision_takes_over_from_one_that_never_got_ready(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("web:failed")
    await play.rests({"v1": 8, "web:failed": 5}, (13, 8, 5), ready=8)
    await play.image("v3")
    await play.rests({"v3": 10}, (10, 10, 10))


@story
async def recreate_waits_for_the_last_old_pod(play: Play) -> None:
    await play.deploy(replicas=3, strategy={"type": "Recreate"})
    await play.rests({"v1": 3}, (3, 3, 3))
    await play.image("v2")
    await play.rests({"v2": 3}, (3, 3, 3))
    annotations = (await play.set_of("v2"))["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/max-replicas"] == "3"


@story
async def recreate_starts_nothing_while_an_old_pod_still_stops(play: Play) -> None:
    slow = {"metadata": {"annotations": {"sim/terminate-delay": "4s"}, "labels": {"app": "web"}}}
    await play.deploy(replicas=2, strategy={"type": "Recreate"})
    await play.patch(template=slow)
    await play.rests({"v1": 2}, (2, 2, 2))
    await play.image("v2")
    await play.place.wait(2)
    status = (await play.deployment())["status"]
    assert (status.get("replicas", 0), status["terminatingReplicas"]) == (0, 2)
    await play.rests({"v2": 2}, (2, 2, 2))
    assert (await play.deployment())["status"]["terminatingReplicas"] == 0


@story
async def a_rolling_update_does_not_wait_for_pods_that_stop(play: Play) -> None:
    slow = {"metadata": {"annotations": {"sim/terminate-delay": "20s"}, "labels": {"app": "web"}}}
    await play.deploy(replicas=3)
    await play.patch(template=slow)
    await play.rests({"v1": 3}, (3, 3, 3))
    await play.image("v2")
    await play.rests({"v2": 3}, (3, 3, 3), seconds=10)
    assert (await play.deployment())["status"]["terminatingReplicas"] == 3


@story
async def old_replica_sets_beyond_the_history_limit_go(play: Play) -> None:
    await play.deploy(replicas=1, revisionHistoryLimit=1)
    for image in ("v2", "v3", "v4"):
        await play.image(image)
        await play.rests({image: 1}, (1, 1, 1))
    assert sorted(rs["spec"]["template"]["spec"]["containers"][0]["image"] for rs in await play.sets()) == [
        "app:v3",
        "app:v4",
    ]


@story
async def a_rollout_that_never_becomes_available_stops_by_itself(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=1)
    await play.rests({"v1": 9, "v2": 1}, (10, 9, 1))
    await play.hold()
    await play.rests({"v1": 9, "v2": 1}, (10, 10, 1))
    await play.move(surge=1, unavailable=4)
    await play.rests({"v1": 6, "v2": 5}, (11, 6, 5))
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 5))
    await play.hold()
    await play.rests({"v1": 5, "v2": 5}, (10, 10, 5))


@story
async def scaling_while_held_keeps_the_proportions(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 5))
    await play.hold(unavailable=2)
    await play.rests({"v1": 5, "v2": 5}, (10, 10, 5))
    await play.patch(replicas=20)
    await play.rests({"v1": 10, "v2": 10}, (20, 20, 10))
    await play.patch(replicas=4)
    await play.rests({"v1": 2, "v2": 2}, (4, 4, 2))
    await play.patch(replicas=5)
    await play.rests({"v1": 2, "v2": 3}, (5, 5, 3))
    await play.patch(replicas=0)
    await play.rests({}, (0, 0, 0))
    await play.patch(replicas=3)
    await play.rests({"v2": 3}, (3, 3, 3))


@story
async def two_of_five_held_become_four_of_ten(play: Play) -> None:
    await play.deploy(replicas=5)
    await play.rests({"v1": 5}, (5, 5, 5))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=2)
    await play.rests({"v1": 3, "v2": 2}, (5, 3, 2))
    await play.hold()
    await play.patch(replicas=10)
    await play.rests({"v1": 6, "v2": 4}, (10, 10, 4))


@story
async def of_three_revisions_the_middle_one_goes_first(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 5))
    await play.hold()
    await play.rests({"v1": 5, "v2": 5}, (10, 10, 5))
    await play.image("v3", paused=True)
    middle = (await play.set_of("v2"))["metadata"]["name"]
    await play.place.patch(REPLICA_SET, middle, {"spec": {"minReadySeconds": 2147483646}})
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 0))
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v3": 5}, (10, 5, 5))
    await play.hold()
    await play.rests({"v1": 5, "v3": 5}, (10, 10, 5))


@story
async def a_surge_pod_that_never_pulls_costs_no_old_pod(play: Play) -> None:
    await play.deploy(replicas=5)
    await play.rests({"v1": 5}, (5, 5, 5))
    await play.image("web:failed", paused=True)
    await play.move(surge=1, unavailable=0)
    await play.rests({"v1": 5, "web:failed": 1}, (6, 5, 1), ready=5)
    await play.image("v3")
    await play.rests({"v1": 5, "v3": 1}, (6, 5, 1))


@story
async def one_of_one_moves(play: Play) -> None:
    await play.deploy(replicas=1)
    await play.rests({"v1": 1}, (1, 1, 1))
    await play.image("v2", paused=True)
    await play.move(surge=1, unavailable=0)
    await play.rests({"v1": 1, "v2": 1}, (2, 1, 1))
    await play.move(surge=0, unavailable=1)
    await play.rests({"v2": 1}, (1, 0, 1))
    await play.hold()
    await play.rests({"v2": 1}, (1, 1, 1))


@story
async def a_resume_by_hand_is_an_ordinary_rolling_update(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 5))
    await play.hold()
    await play.rests({"v1": 5, "v2": 5}, (10, 10, 5))
    await play.patch(paused=False)
    await play.rests({"v2": 10}, (10, 10, 10), seconds=60)


@story
async def a_rollback_in_the_middle_returns_within_the_bounds(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("v2", paused=True)
    await play.move(surge=0, unavailable=5)
    await play.rests({"v1": 5, "v2": 5}, (10, 5, 5))
    await play.image(
        "v1", paused=False, minReadySeconds=0, progressDeadlineSeconds=600, strategy=bounds(3, 2)
    )
    await play.rests({"v1": 10}, (10, 10, 10))


@story
async def percentages_round_surge_up_and_unavailable_down(play: Play) -> None:
    await play.deploy(replicas=7, strategy=bounds("10%", "20%"))
    await play.rests({"v1": 7}, (7, 7, 7))
    await play.image("web:failed")
    await play.rests({"v1": 6, "web:failed": 2}, (8, 6, 2), ready=6)


@story
async def both_bounds_rounded_to_nothing_mean_one_unavailable(play: Play) -> None:
    await play.deploy(replicas=3, strategy=bounds(0, "10%"))
    await play.rests({"v1": 3}, (3, 3, 3))
    await play.image("web:failed")
    await play.rests({"v1": 2, "web:failed": 1}, (3, 2, 1), ready=2)


@story
async def scaling_during_a_rollout_spreads_the_difference(play: Play) -> None:
    await play.deploy()
    await play.rests({"v1": 10}, (10, 10, 10))
    await play.image("web:failed")
    await play.rests({"v1": 8, "web:failed": 5}, (13, 8, 5), ready=8)
    await play.patch(replicas=30)
    await play.rests({"v1": 20, "web:failed": 13}, (33, 20, 13), ready=20)


@story
async def annotations_of_the_deployment_reach_its_new_replica_set(play: Play) -> None:
    await play.deploy(replicas=1)
    await play.rests({"v1": 1}, (1, 1, 1))
    note = {"metadata": {"annotations": {"kubernetes.io/change-cause": "first"}}}
    await play.place.patch(DEPLOYMENT, "web", note)
    await play.rests({"v1": 1}, (1, 1, 1), seconds=5)
    assert (await play.set_of("v1"))["metadata"]["annotations"]["kubernetes.io/change-cause"] == "first"
    found = await play.deployment()
    assert found["metadata"]["generation"] == found["status"]["observedGeneration"] == 2


@story
async def an_orphaned_replica_set_is_adopted_again(play: Play) -> None:
    await play.deploy(replicas=2)
    await play.rests({"v1": 2}, (2, 2, 2))
    pods = {p["metadata"]["name"] for p in await play.place.list(POD)}
    await play.place.delete(DEPLOYMENT, "web", "Orphan")
    await play.place.wait(3)
    (orphan,) = await play.sets()
    assert not orphan["metadata"].get("ownerReferences")
    await play.deploy(replicas=2)
    await play.rests({"v1": 2}, (2, 2, 2))
    assert {p["metadata"]["name"] for p in await play.place.list(POD)} == pods


@story
async def a_pod_that_loses_its_label_is_let_go_and_replaced(play: Play) -> None:
    await play.deploy(replicas=2)
    await play.rests({"v1": 2}, (2, 2, 2))
    name = (await play.place.list(POD))[0]["metadata"]["name"]
    await play.place.patch(POD, name, {"metadata": {"labels": {"app": None}}})
    await play.place.wait(4)
    pods = {p["metadata"]["name"]: p for p in await play.place.list(POD)}
    assert len(pods) == 3
    assert not pods[name]["metadata"].get("ownerReferences")
    await play.place.patch(POD, name, {"metadata": {"labels": {"app": "web"}}})
    await play.rests({"v1": 2}, (2, 2, 2))


@story
async def deleting_a_deployment_takes_everything_with_it(play: Play) -> None:
    await play.deploy(replicas=2)
    await play.rests({"v1": 2}, (2, 2, 2))
    await play.place.delete(DEPLOYMENT, "web", "Background")

    async def left() -> list[int]:
        return [len(await play.place.list(k)) for k in (DEPLOYMENT, REPLICA_SET, POD)]

    assert await play.place.until(left, [0, 0, 0], 20) == [0, 0, 0]


@story
async def a_foreground_delete_keeps_the_deployment_until_its_pods_are_gone(play: Play) -> None:
    await play.deploy(replicas=1)
    await play.patch(template={"metadata": {"annotations": {"sim/terminate-delay": "3s"}}})
    await play.rests({"v1": 1}, (1, 1, 1))
    await play.place.delete(DEPLOYMENT, "web", "Foreground")
    await play.place.wait(1.5)
    found = await play.deployment()
    assert found["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def left() -> list[int]:
        return [len(await play.place.list(k)) for k in (DEPLOYMENT, REPLICA_SET, POD)]

    assert await play.place.until(left, [0, 0, 0], 20) == [0, 0, 0]


@story
async def a_name_that_is_taken_gives_way_to_another(play: Play) -> None:
    await play.deploy(replicas=1)
    await play.rests({"v1": 1}, (1, 1, 1))
    taken = (await play.sets())[0]["metadata"]["name"]
    await play.place.delete(DEPLOYMENT, "web", "Foreground")
    await play.place.until(lambda: play.place.find(DEPLOYMENT, "web"), None, 40)
    labels = {"app": "other"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:other"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    await play.place.create(REPLICA_SET, {"metadata": {"name": taken}, "spec": spec})
    await play.deploy(replicas=1)
    await play.rests({"v1": 1}, (1, 1, 1))
    assert (await play.deployment())["status"]["collisionCount"] == 1
    assert (await play.set_of("v1"))["metadata"]["name"] != taken
    assert (await play.set_of("other"))["metadata"].get("ownerReferences") is None


@story
async def pods_that_are_ready_count_as_available_only_after_a_while(play: Play) -> None:
    await play.deploy(replicas=4, minReadySeconds=8)
    await play.rests({"v1": 4}, (4, 0, 4), seconds=7)
    assert (await play.conditions())["Available"] == ("False", "MinimumReplicasUnavailable")
    await play.rests({"v1": 4}, (4, 4, 4))
    assert (await play.deployment())["status"].get("unavailableReplicas") is None
    await play.image("v2", strategy=bounds("25%", "50%"))
    await play.rests({"v1": 2, "v2": 3}, (5, 2, 3), seconds=7)
    await play.rests({"v2": 4}, (4, 4, 4))


@story
async def what_is_missing_is_counted_at_every_rest(play: Play) -> None:
    await play.deploy(replicas=6, strategy=bounds("34%", "20%"))
    await play.rests({"v1": 6}, (6, 6, 6))
    await play.image("busybox:not-exists", progressDeadlineSeconds=5)
    await play.rests({"v1": 5, "busybox:not-exists": 4}, (9, 5, 4), ready=5)
    status = (await play.deployment())["status"]
    assert (status["unavailableReplicas"], status["observedGeneration"]) == (4, 2)
    await play.place.until(_progressing(play), ("False", "ProgressDeadlineExceeded"), 40)
    await play.patch(replicas=10)
    await play.rests({"v1": 8, "busybox:not-exists": 6}, (14, 8, 6), ready=8)
    await play.image("v1")
    await play.rests({"v1": 10}, (10, 10, 10))
    assert (await play.conditions())["Progressing"] == ("True", "NewReplicaSetAvailable")


def _progressing(play: Play) -> Callable[[], Awaitable[tuple[str, str] | None]]:
    async def look() -> tuple[str, str] | None:
        return (await play.conditions()).get("Progressing")

    return look


def _name(tell: Story) -> str:
    return tell.__name__


@pytest.mark.parametrize("jitter", [0.0, 2.0], ids=["together", "apart"])
@pytest.mark.parametrize("tell", STORIES, ids=_name)
def test_in_the_sandbox(tell: Story, jitter: float) -> None:
    play_in_sandbox(tell, Knobs(ready_jitter=jitter))


@pytest.mark.cluster
@pytest.mark.parametrize("tell", STORIES, ids=_name)
def test_on_a_cluster(tell: Story) -> None:
    play_on_cluster(tell)
