"""Every state that a release can be in, by everything that people do to one: it moves on, or says what it waits for.

Ten pods, steps of 20 %, 50 % and 100 %. What comes of it is a word of two parts: where the Rollout comes to rest, and
the versions that have pods then.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from release_stage import ROLLOUT_REF, Stage, a_step
from test_release_stories import condition, pods, where
from test_releases import given_back, see_through

LIMITS = ("25%", "25%")
PLAN = [a_step("20%"), a_step("50%"), a_step("100%")]
LARGER = [a_step("30%"), a_step("60%"), a_step("100%")]
SMALLER = [a_step("10%"), a_step("40%"), a_step("100%")]

# --- where a release is ------------------------------------------------------------------------------------------------


def until(stage: Stage, holds: Callable[[], bool]) -> None:
    while not holds():
        assert stage.step() or stage.pass_time(), stage.status


def reason(stage: Stage) -> str:
    return str(condition(stage, "Progressing").get("reason", ""))


def healthy(stage: Stage) -> None:
    stage.finish()


def held_not_begun(stage: Stage) -> None:
    healthy(stage)
    stage.set_image(2)


def starting(stage: Stage) -> None:
    stage.ready_seconds[2] = 100.0
    held_not_begun(stage)
    until(stage, lambda: pods(stage).get("v2", 0) == 2)


def stopped(stage: Stage) -> None:
    held_not_begun(stage)
    stage.finish()


def paused(stage: Stage) -> None:
    stopped(stage)
    stage.edit_rollout({"strategy": {"paused": True}})
    stage.finish()


def moving(stage: Stage) -> None:
    stopped(stage)
    stage.approve()
    until(stage, lambda: pods(stage)["v2"] > 2)


def stopped_at_2(stage: Stage) -> None:
    stopped(stage)
    stage.approve()
    stage.finish()


def finalising(stage: Stage) -> None:
    stopped_at_2(stage)
    stage.approve()
    until(stage, lambda: reason(stage) == "Finalising")


def cancelling(stage: Stage) -> None:
    stopped(stage)
    stage.set_image(1)
    until(stage, lambda: reason(stage) == "Cancelling")


def rejected(stage: Stage) -> None:
    stopped(stage)
    for version in (1, 2):
        stage.set_image(version)
        stage.finish()


def disabling(stage: Stage) -> None:
    stopped(stage)
    stage.edit_rollout({"disabled": True})
    until(stage, lambda: stage.status["phase"] == "Disabling")


def disabled(stage: Stage) -> None:
    healthy(stage)
    stage.edit_rollout({"disabled": True})
    stage.finish()


def terminating(stage: Stage) -> None:
    stopped(stage)
    stage.delete_rollout()
    until(stage, lambda: stage.status["phase"] == "Terminating")


# --- what people do ----------------------------------------------------------------------------------------------------


def a_rollback_in_batch(stage: Stage) -> None:
    if ROLLOUT_REF in stage.objects:
        policy = {"metadata": {"annotations": {"rollouts.kruise.io/rollback-in-batch": "true"}}}
        stage.act(lambda: stage.patch(ROLLOUT_REF, policy))
    stage.set_image(1)


EVENTS: dict[str, Callable[[Stage], None]] = {
    "nothing": lambda s: None,
    "approve": lambda s: s.approve(),
    "jump on": lambda s: s.edit_status({"nextStepIndex": 3}),
    "jump back": lambda s: s.edit_status({"nextStepIndex": 1}),
    "larger": lambda s: s.edit_rollout({"strategy": {"canary": {"steps": LARGER}}}),
    "smaller": lambda s: s.edit_rollout({"strategy": {"canary": {"steps": SMALLER}}}),
    "pause": lambda s: s.edit_rollout({"strategy": {"paused": True}}),
    "disable": lambda s: s.edit_rollout({"disabled": True}),
    "delete": lambda s: s.delete_rollout(),
    "to 20": lambda s: s.scale(20),
    "to 4": lambda s: s.scale(4),
    "v3": lambda s: s.set_image(3),
    "v1": lambda s: s.set_image(1),
    "in batch": a_rollback_in_batch,
}

STATES = {
    f.__name__: f
    for f in (
        healthy,
        held_not_begun,
        starting,
        stopped,
        paused,
        moving,
        stopped_at_2,
        finalising,
        cancelling,
        rejected,
        disabling,
        disabled,
        terminating,
    )
}

# healthy: at rest. N: at the pause of step N; 0 for a version that was rolled back before. zN: the same, paused as a
# whole. off: disabled. gone: deleted.
TABLE = """
state          nothing      approve      jump-on      jump-back    larger       smaller      pause        disable   delete    to-20        to-4        v3            v1           in-batch
healthy        healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 off:10v1  gone:10v1 healthy:20v1 healthy:4v1 1:8v1+2v3     healthy:10v1 healthy:10v1
held_not_begun 1:8v1+2v2    1:8v1+2v2    1:8v1+2v2    1:8v1+2v2    1:7v1+3v2    1:9v1+1v2    z1:10v1      off:10v2  gone:10v2 1:16v1+4v2   1:3v1+1v2   1:8v1+2v3     healthy:10v1 healthy:10v1
starting       1:8v1+2v2    1:8v1+2v2    healthy:10v2 1:8v1+2v2    1:7v1+3v2    1:8v1+2v2    z1:8v1+2v2   off:10v2  gone:10v2 1:16v1+4v2   1:3v1+1v2   1:8v1+2v3     healthy:10v1 healthy:10v1
stopped        1:8v1+2v2    2:5v1+5v2    healthy:10v2 1:8v1+2v2    1:7v1+3v2    1:8v1+2v2    z1:8v1+2v2   off:10v2  gone:10v2 1:16v1+4v2   1:3v1+1v2   1:8v1+2v3     healthy:10v1 healthy:10v1
paused         z1:8v1+2v2   z1:8v1+2v2   z1:8v1+2v2   z1:8v1+2v2   z1:8v1+2v2   z1:8v1+2v2   z1:8v1+2v2   off:10v2  gone:10v2 z1:16v1+4v2  z1:3v1+1v2  z1:8v1+2v2    healthy:10v1 healthy:10v1
moving         2:5v1+5v2    2:5v1+5v2    2:5v1+5v2    1:5v1+5v2    2:4v1+6v2    2:5v1+5v2    z2:5v1+5v2   off:10v2  gone:10v2 2:10v1+10v2  2:2v1+2v2   1:8v1+2v3     healthy:10v1 healthy:10v1
stopped_at_2   2:5v1+5v2    healthy:10v2 2:5v1+5v2    1:5v1+5v2    2:4v1+6v2    2:5v1+5v2    z2:5v1+5v2   off:10v2  gone:10v2 2:10v1+10v2  2:2v1+2v2   1:5v1+3v2+2v3 healthy:10v1 healthy:10v1
finalising     healthy:10v2 healthy:10v2 healthy:10v2 healthy:10v2 healthy:10v2 healthy:10v2 healthy:10v2 off:10v2  gone:10v2 healthy:20v2 healthy:4v2 1:8v2+2v3     1:2v1+8v2    1:2v1+8v2
cancelling     healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 healthy:10v1 off:10v1  gone:10v1 healthy:20v1 healthy:4v1 1:8v1+2v3     healthy:10v1 healthy:10v1
rejected       0:10v1       1:8v1+2v2    healthy:10v2 0:10v1       0:10v1       0:10v1       z0:10v1      off:10v2  gone:10v2 0:20v1       0:4v1       1:8v1+2v3     healthy:10v1 healthy:10v1
disabling      off:10v2     off:10v2     off:10v2     off:10v2     off:10v2     off:10v2     off:10v2     off:10v2  gone:10v2 off:20v2     off:4v2     off:10v3      off:10v1     off:10v1
disabled       off:10v1     off:10v1     off:10v1     off:10v1     off:10v1     off:10v1     off:10v1     off:10v1  gone:10v1 off:20v1     off:4v1     off:10v3      off:10v1     off:10v1
terminating    gone:10v2    gone:10v2    gone:10v2    gone:10v2    gone:10v2    gone:10v2    gone:10v2    gone:10v2 gone:10v2 gone:20v2    gone:4v2    gone:10v3     gone:10v1    gone:10v1
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


def outcome(stage: Stage) -> str:
    versions = "+".join(f"{n}{v}" for v, n in sorted(pods(stage).items()))
    if ROLLOUT_REF not in stage.objects:
        return f"gone:{versions}"
    phase, index, _ = where(stage)
    at = {"Healthy": "healthy", "Disabled": "off"}.get(phase, str(index))
    asleep = phase == "Progressing" and reason(stage) == "Paused"
    return f"{'z' if asleep else ''}{at}:{versions}"


def what_it_waits_for(stage: Stage) -> str:
    """Words that a person must find in the status; "" where nothing is waited for."""
    phase, index, state = where(stage)
    if phase == "Progressing" and reason(stage) == "Paused":
        return "Rollout has been paused, you can resume it"
    if phase == "Progressing":
        assert state == "StepPaused"
        return "held at step 0" if index == 0 else "you need manually confirm"
    return ""


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_whatever_people_do_in_a_state_the_release_moves_on_or_says_what_it_waits_for(
    state: str, event: str
) -> None:
    stage = Stage(10, PLAN, seed=1)
    STATES[state](stage)
    EVENTS[event](stage)
    stage.finish()
    assert outcome(stage) == next(row for row in ROWS if row[0] == state)[1 + list(EVENTS).index(event)]
    if ROLLOUT_REF in stage.objects:
        assert what_it_waits_for(stage) in stage.status["message"]
    image = int(stage.native.spec["template"]["spec"]["containers"][0]["image"].rpartition(":")[2])
    see_through(stage)
    given_back(stage, LIMITS, image)


def test_the_table_knows_every_state_of_the_machine() -> None:
    assert [row[0] for row in ROWS[1:]] == list(STATES)
    assert ROWS[0] == ["state", *(event.replace(" ", "-") for event in EVENTS)]
    assert {len(row) for row in ROWS} == {1 + len(EVENTS)}
