"""rollout-id and rollout-batch-id: which release, and which batch of it, a pod came with."""

from __future__ import annotations

from collections import Counter

import pytest

from kruise_rollouts.kube.objects import DEPLOYMENT, ROLLOUT

from .release import to_the_end
from .scenario import scenario
from .stage import Object, Stage, a_deployment, a_rollout, a_step, template_patch

ID = "rollouts.kruise.io/rollout-id"
BATCH = "rollouts.kruise.io/rollout-batch-id"
FIVE = tuple(a_step(f"{p}%") for p in (20, 40, 60, 80, 100))


async def with_id(stage: Stage, rollout_id: str, where: str, *steps: Object) -> None:
    """Five pods and a release with an id of its own, at step 1."""
    await stage.create(DEPLOYMENT, a_deployment(replicas=5))
    await stage.create(ROLLOUT, a_rollout(steps=steps or FIVE))
    await stage.until_ready(5)
    await stage.until_phase("Healthy")
    body = template_patch("busybox", "version-2") | {"metadata": {where: {ID: rollout_id}}}
    await stage.patch(DEPLOYMENT, "busybox", body, type_="strategic")
    await stage.until_paused(1)


async def until_labelled(stage: Stage, rollout_id: str, batches: dict[str, int]) -> None:
    async def labelled() -> bool:
        labels = [p["metadata"]["labels"] for p in await stage.pods()]
        found = Counter(entry[BATCH] for entry in labels if entry.get(ID) == rollout_id)
        return dict(found) == batches

    await stage.until(f"pods by batch of release {rollout_id} are {batches}", labelled)


@pytest.mark.parametrize("where", ["labels", "annotations"])
@scenario
async def test_each_batch_has_its_number_on_its_pods(stage: Stage, where: str) -> None:
    """S13: the id is read from a label and from an annotation."""
    await with_id(stage, "1", where)
    for step in range(1, 5):
        await stage.until_paused(step)
        await until_labelled(stage, "1", {str(nr): 1 for nr in range(1, step + 1)})
        await stage.approve()
    await stage.until_phase("Healthy")
    await until_labelled(stage, "1", {str(nr): 1 for nr in range(1, 6)})
    assert (await stage.rollout())["status"]["canaryStatus"]["observedRolloutID"] == "1"


@scenario
async def test_pods_that_scaling_adds_are_labelled_too(stage: Stage) -> None:
    await with_id(stage, "1", "labels", *(a_step(f"{p}%") for p in (20, 40, 60, 100)))
    await stage.approve()
    await stage.until_paused(2)
    await until_labelled(stage, "1", {"1": 1, "2": 1})
    await stage.scale(10)
    await until_labelled(stage, "1", {"1": 2, "2": 2})
    await stage.approve()
    await stage.until_paused(3)
    await to_the_end(stage, pods=10)
    await until_labelled(stage, "1", {"1": 2, "2": 2, "3": 2, "4": 4})


@scenario
async def test_another_id_in_the_middle_labels_the_pods_anew(stage: Stage) -> None:
    await with_id(stage, "1", "labels")
    await stage.approve()
    await stage.until_paused(2)
    await stage.patch(DEPLOYMENT, "busybox", {"metadata": {"labels": {ID: "2"}}})
    await until_labelled(stage, "2", {"1": 1, "2": 1})
    await stage.until_paused(2)
    await to_the_end(stage, pods=5)
    await until_labelled(stage, "2", {str(nr): 1 for nr in range(1, 6)})


@scenario
async def test_a_jump_fills_the_batches_between(stage: Stage) -> None:
    await with_id(stage, "1", "labels")
    await stage.jump(3)
    await stage.until_paused(3)
    await until_labelled(stage, "1", {"1": 1, "2": 1, "3": 1})
    await to_the_end(stage, pods=5)
