"""A Deployment released in batches: other versions on the way, plans that change, jumps, pauses, and its end by force."""

from __future__ import annotations

import contextlib
import functools
import json

import pytest

from kruise_rollouts.kube.errors import ApiError, NotFound
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, ROLLOUT

from .release import STEPS, at_step, begin, condition, left_of_ours, to_the_end
from .scenario import scenario
from .stage import Stage, a_deployment, a_step, version_of

STABLE_REVISION = "rollouts.kruise.io/stable-revision"
EXTRA_STATUS = "rollouts.kruise.io/deployment-extra-status"
FIVE = (a_step("20%"), a_step("60%"), a_step("100%"))


async def is_split(stage: Stage, step: int, updated: int, version: str) -> None:
    """Paused at `step` of a release on 5 replicas, with all that says how many pods are new."""
    await stage.until_paused(step)
    await stage.until_ready(5)
    deployment, rollout = await stage.deployment(), await stage.rollout()
    sub, status = rollout["status"]["canaryStatus"], deployment["status"]
    assert (status["updatedReplicas"], status["replicas"], status["readyReplicas"]) == (updated, 5, 5)
    assert (sub["canaryReplicas"], sub["canaryReadyReplicas"]) == (updated, updated)
    assert sub["stableRevision"] == deployment["metadata"]["labels"][STABLE_REVISION]
    extra = json.loads(deployment["metadata"]["annotations"][EXTRA_STATUS])
    assert extra["updatedReadyReplicas"] == updated, extra
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    new = [p for p in await stage.pods() if version_of(p) == version]
    assert len(new) == updated
    assert {p["metadata"]["labels"]["pod-template-hash"] for p in new} == {sub["podTemplateHash"]}


@scenario
async def test_a_third_version_begins_at_the_first_step_again(stage: Stage) -> None:
    await begin(stage, *FIVE, replicas=5)
    await stage.set_version("v2")
    await is_split(stage, 1, 1, "v2")
    await stage.approve()
    await is_split(stage, 2, 3, "v2")
    await stage.set_version("v3")
    await stage.until_versions({"version-5": 2, "v2": 2, "v3": 1})
    await is_split(stage, 1, 1, "v3")
    await stage.approve()
    await is_split(stage, 2, 3, "v3")
    assert await stage.versions() == {"version-5": 2, "v3": 3}


@scenario
async def test_deleting_the_rollout_lets_the_new_version_through(stage: Stage) -> None:
    await begin(stage, *FIVE, replicas=5)
    await stage.set_version("v2")
    await is_split(stage, 1, 1, "v2")
    await stage.delete(ROLLOUT, "busybox")
    await stage.until_gone(ROLLOUT)
    spec = (await stage.deployment())["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate" and not spec.get("paused")
    await stage.until_versions({"v2": 5})
    assert left_of_ours(await stage.deployment()) == []
    await stage.until_gone(BATCH_RELEASE)


@scenario
async def test_a_step_that_is_made_larger_is_done_again(stage: Stage) -> None:
    await begin(stage, a_step("20%"), replicas=5)
    await stage.set_version("v2")
    await is_split(stage, 1, 1, "v2")
    await stage.set_steps(a_step("60%"))
    await stage.until_versions({"version-5": 2, "v2": 3})
    await is_split(stage, 1, 3, "v2")
    await to_the_end(stage, "v2", 5)
    rollout = await stage.rollout()
    assert condition(rollout, "Succeeded")["status"] == "True"
    progress = condition(rollout, "Progressing")
    assert (progress["reason"], progress["status"]) == ("Completed", "False")


@scenario
async def test_the_deployment_says_it_is_complete_and_available_during_a_long_pause(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    status = (await stage.deployment())["status"]
    assert (status["availableReplicas"], status.get("unavailableReplicas", 0)) == (10, 0)


# --- jumps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1, 2])
@scenario
async def test_a_jump_ahead_skips_what_is_between(stage: Stage, start: int) -> None:
    await at_step(stage, start, a_step(1), a_step("20%"), a_step("30%"), a_step("60%"), a_step("100%"))
    await stage.jump(4)
    await stage.until_paused(4)
    assert await stage.versions() == {"version-5": 4, "version-2": 6}
    assert (await stage.rollout())["status"]["canaryStatus"]["nextStepIndex"] == 5
    await to_the_end(stage)


@scenario
async def test_a_jump_back_takes_no_pod_back(stage: Stage) -> None:
    await at_step(stage, 2)
    await stage.jump(1)
    await stage.until_paused(1)
    await stage.stays({"version-5": 5, "version-2": 5}, seconds=5)
    assert (await stage.rollout())["status"]["canaryStatus"]["nextStepIndex"] == 2
    await to_the_end(stage)


@scenario
async def test_a_jump_to_the_step_it_is_in_changes_nothing(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.jump(1)
    await stage.until_paused(1)
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    await to_the_end(stage)


@pytest.mark.parametrize("target", [0, -5, 4, 2147483647])
@scenario
async def test_a_jump_to_nowhere_is_ignored_and_the_person_is_told(stage: Stage, target: int) -> None:
    await at_step(stage, 1)
    await stage.jump(target)
    await stage.until_said(f"nextStepIndex {target} is ignored: the plan has the steps 1 to 3")
    await stage.stays({"version-5": 8, "version-2": 2}, seconds=5)
    assert (await stage.rollout())["status"]["canaryStatus"]["nextStepIndex"] == 2
    await to_the_end(stage)


@scenario
async def test_a_jump_while_pods_are_moving(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.approve()
    await stage.jump(1)  # the fifty percent of step 2 have begun, or are about to

    async def settled() -> bool:
        status = (await stage.rollout())["status"]
        return bool(status["currentStepState"] == "StepPaused")

    await stage.until("the release is paused", settled)
    await to_the_end(stage)


# --- the plan changes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4])
@scenario
async def test_the_number_of_steps_stays_while_a_release_goes_on(stage: Stage, count: int) -> None:
    await at_step(stage, 2)
    with pytest.raises(ApiError, match="number of steps must not change while the Rollout is Progressing"):
        await stage.set_steps(*(a_step("50%") for _ in range(count)))
    await to_the_end(stage)
    await stage.set_steps(*(a_step("50%") for _ in range(count)))


@scenario
async def test_a_plan_with_fewer_pods_than_are_there_goes_on_with_the_step_that_fits(stage: Stage) -> None:
    await at_step(stage, 2, a_step("20%"), a_step("50%"), a_step("60%"), a_step("100%"))
    await stage.set_steps(a_step("20%"), a_step("30%"), a_step("50%"), a_step("100%"))
    await stage.until_said("the plan was changed; going on with step 3 of 4")
    await stage.until_paused(3)
    assert await stage.versions() == {"version-5": 5, "version-2": 5}
    await to_the_end(stage)


@scenario
async def test_a_pause_that_is_changed_to_seconds_passes_by_itself(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.set_steps(a_step("20%", 5), *STEPS[1:])
    await stage.until_paused(2)
    await to_the_end(stage)


@scenario
async def test_a_plan_that_is_edited_while_pods_move(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.approve()
    await stage.set_steps(a_step("20%"), a_step("80%"), a_step("100%"))
    await stage.until_versions({"version-5": 2, "version-2": 8})
    await stage.until_paused(2)
    await to_the_end(stage)


@scenario
async def test_an_edit_a_jump_and_a_new_version_at_once(stage: Stage) -> None:
    await at_step(stage, 2)
    await stage.set_steps(a_step("10%"), a_step("60%"), a_step("100%"))
    await stage.jump(3)
    await stage.set_version("version-3")
    await stage.until_versions({"version-5": 5, "version-2": 4, "version-3": 1})
    await stage.until_paused(1)
    await to_the_end(stage, "version-3")


@pytest.mark.slow
@scenario
async def test_fifty_steps(stage: Stage) -> None:
    plan = tuple(a_step(f"{2 * nr}%", 1) for nr in range(1, 51))
    await begin(stage, *plan, replicas=5)
    await stage.set_version("version-2")

    async def never_beyond_the_plan() -> bool:
        status = (await stage.rollout())["status"]
        new = (await stage.versions()).get("version-2", 0)
        most = -(-5 * 2 * status["currentStepIndex"] // 100) + 1
        assert status["phase"] == "Healthy" or new <= most, await stage.picture()
        return bool(status["phase"] == "Healthy" and new == 5)

    await stage.until("the release is over", never_beyond_the_plan, within=300)

    async def told(kind: str) -> bool:
        messages = {e["message"] for e in await stage.events(kind, "busybox")}
        steps = [nr for nr in range(1, 50) if any(m.startswith(f"step {nr}/50 done") for m in messages)]
        return len(steps) == 49 and any(m.endswith(" is complete") for m in messages)

    for kind in ("Rollout", "Deployment"):  # steps from the 25th on, and the end, were told to nobody
        await stage.until(f"Events of all steps on the {kind}", functools.partial(told, kind))


@scenario
async def test_numbers_of_pods_beyond_the_replicas_mean_all_of_them(stage: Stage) -> None:
    await at_step(stage, 1, a_step(3), a_step(30))
    assert await stage.versions() == {"version-5": 7, "version-2": 3}
    await stage.approve()
    await stage.until_paused(2)
    assert await stage.versions() == {"version-2": 10}
    await to_the_end(stage)


# --- pause, disable, delete ----------------------------------------------------------------------------------------


@scenario
async def test_a_paused_release_stays_where_it_is_and_an_approval_waits(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.set_plan({"paused": True})
    await stage.until_said("Rollout has been paused")
    await stage.approve()
    await stage.stays({"version-5": 8, "version-2": 2})
    await stage.set_plan({"paused": False})
    await stage.until_paused(2)
    await to_the_end(stage)


@scenario
async def test_a_release_that_begins_paused_moves_nothing_before_it_is_resumed(stage: Stage) -> None:
    async def seen() -> bool:
        rollout = await stage.rollout()
        return bool(rollout["status"].get("observedGeneration") == rollout["metadata"]["generation"])

    await begin(stage)
    await stage.set_plan({"paused": True})
    await stage.until("the pause is known", seen)
    await stage.set_version("version-2")
    assert any("resume" in w for w in stage.warnings), stage.warnings
    await stage.stays({"version-5": 10})
    await stage.set_plan({"paused": False})
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_a_paused_release_can_be_rolled_back(stage: Stage) -> None:
    await at_step(stage, 2)
    await stage.set_plan({"paused": True})
    await stage.set_version("version-5")
    await stage.until_versions({"version-5": 10})
    await stage.until_phase("Healthy")


@pytest.mark.parametrize("step", [0, 1, 2])
@scenario
async def test_a_rollout_that_is_disabled_lets_go_and_can_be_enabled_again(stage: Stage, step: int) -> None:
    if step:
        await at_step(stage, step)
    else:
        await begin(stage)
    await stage.patch(ROLLOUT, "busybox", {"spec": {"disabled": True}})
    await stage.until_phase("Disabled")
    await stage.until_versions({"version-2": 10} if step else {"version-5": 10})
    deployment = await stage.deployment()
    assert left_of_ours(deployment) == [] and not deployment["spec"].get("paused")
    await stage.until_gone(BATCH_RELEASE)

    stage.warnings.clear()
    await stage.set_version("version-3")
    await stage.until_versions({"version-3": 10})  # a native rolling update, as nobody holds it
    await stage.until_ready(10)
    await stage.patch(ROLLOUT, "busybox", {"spec": {"disabled": False}})
    await stage.until_phase("Healthy")
    assert condition(await stage.rollout(), "Progressing") == {}  # of the release that was broken off
    await stage.set_version("version-4")
    await stage.until_paused(1)
    assert await stage.versions() == {"version-3": 8, "version-4": 2}
    await to_the_end(stage, "version-4")


@scenario
async def test_a_version_that_comes_right_after_a_rollout_is_enabled_is_held(stage: Stage) -> None:
    await begin(stage)
    await stage.patch(ROLLOUT, "busybox", {"spec": {"disabled": True}})
    await stage.until_phase("Disabled")
    await stage.patch(ROLLOUT, "busybox", {"spec": {"disabled": False}})
    held = await stage.set_version("version-2")
    assert held["spec"]["paused"]
    await stage.until_paused(1)
    assert await stage.versions() == {"version-5": 8, "version-2": 2}
    await to_the_end(stage)


MOMENTS = ("held", "moving", "paused", "finalising", "rolling back")


@pytest.mark.parametrize("how", ["delete", "disable"])
@pytest.mark.parametrize("moment", MOMENTS)
@scenario
async def test_a_rollout_ended_at_any_moment_leaves_a_plain_deployment(
    stage: Stage, moment: str, how: str
) -> None:
    version = "version-2"
    if moment == "held":
        await begin(stage)
        await stage.set_version("version-2")
    else:
        await at_step(stage, 2)
    if moment == "moving":
        await stage.set_steps(a_step("20%"), a_step("90%"), a_step("100%"))
    if moment == "finalising":
        await stage.approve()
    if moment == "rolling back":
        version = "version-5"
        await stage.set_version(version)
    if how == "delete":
        await stage.delete(ROLLOUT, "busybox")
        await stage.until_gone(ROLLOUT)
    else:
        await stage.patch(ROLLOUT, "busybox", {"spec": {"disabled": True}})
        await stage.until_phase("Disabled")
    await stage.until_versions({version: 10})
    await stage.until_ready(10)
    deployment = await stage.deployment()
    assert left_of_ours(deployment) == [] and not deployment["spec"].get("paused")
    assert (deployment["spec"].get("minReadySeconds", 0), deployment["spec"]["progressDeadlineSeconds"]) == (
        0,
        600,
    )
    await stage.set_version("version-7")
    await stage.until_versions({"version-7": 10})


@scenario
async def test_a_rollout_whose_finalizer_was_taken_away_by_force_does_not_hold_for_ever(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.delete(ROLLOUT, "busybox")
    with contextlib.suppress(NotFound):
        await stage.patch(ROLLOUT, "busybox", {"metadata": {"finalizers": []}})
    await stage.until_gone(ROLLOUT)
    await stage.until_versions({"version-2": 10})
    assert left_of_ours(await stage.deployment()) == []
    await stage.set_version("version-3")
    await stage.until_versions({"version-3": 10})


@scenario
async def test_approving_twice_passes_one_step_only(stage: Stage) -> None:
    """S41: at one pause after the other."""
    await at_step(stage, 1, *(a_step(share) for share in ("20%", "40%", "60%", "100%")))
    for step, new in ((2, 4), (3, 6)):
        await stage.approve()
        await stage.approve()
        await stage.until_paused(step)
        await stage.stays({"version-5": 10 - new, "version-2": new}, seconds=3)
        await stage.until_paused(step)
    await to_the_end(stage)


@scenario
async def test_an_approval_that_comes_while_pods_still_start_skips_no_step(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.set_image("busybox:not-exists", "version-3")
    await stage.until_said("ImagePull")
    await stage.approve()
    await stage.until_said("an approval came before the pods of step 1/3 were ready")
    await stage.stays({"version-5": 8, "version-3": 2}, seconds=3)
    assert (await stage.rollout())["status"]["currentStepState"] == "StepUpgrade"
    await stage.set_image("busybox:1.36", "version-2")
    await stage.until_paused(1)
    await to_the_end(stage)


@scenario
async def test_deleting_the_deployment_and_making_it_again(stage: Stage) -> None:
    await at_step(stage, 1)
    await stage.delete(DEPLOYMENT, "busybox")
    await stage.until_said("there is no Deployment busybox in this namespace; create it")
    await stage.until_gone(BATCH_RELEASE)
    await stage.until_versions({})
    await stage.create(DEPLOYMENT, a_deployment(version="version-2"))
    await stage.until_ready(10)
    await stage.until_phase("Healthy")
    assert condition(await stage.rollout(), "Stalled") == {}
    await stage.set_version("version-3")
    await stage.until_paused(1)
    await to_the_end(stage, "version-3")
