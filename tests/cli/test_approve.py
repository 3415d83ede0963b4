"""`kubectl kruise rollout approve`: one step further, once, and only the step that was seen."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.cli.session import Session

from .cluster import ROLLOUTS, Cluster, waiting
from .conftest import Kruise

BETA, ALPHA = "rollouts", "rollouts.v1alpha1.rollouts.kruise.io"


@pytest.mark.parametrize("kind", [BETA, "rollout", "Rollout", "rollouts.rollouts.kruise.io", ALPHA])
@pytest.mark.parametrize("verb", ["approve", "promote"])
def test_a_waiting_step_is_approved_by_any_name_of_the_kind(
    plain: Cluster, ns: str, kruise: Kruise, kind: str, verb: str
) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout {verb} {kind}/web -n {ns}")
    assert (said.code, said.out, said.err) == (0, "rollout.rollouts.kruise.io/web approved\n", "")
    assert plain.status(ns)["canaryStatus"]["currentStepState"] == "StepReady"


def test_a_blue_green_step_is_approved_in_its_own_status(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1, "blueGreenStatus"), blue_green=True)
    assert kruise(f"rollout approve rollout/web -n {ns}").code == 0
    assert plain.status(ns)["blueGreenStatus"]["currentStepState"] == "StepReady"


@pytest.mark.parametrize(
    ("kind", "status", "blue_green", "reason"),
    [
        (BETA, None, False, "no need to approve: not in canary or blue-green progress: nothing is being released"),
        (ALPHA, None, False, "does not allow to approve, because current canary state is not 'StepPaused'"),
        (BETA, "canaryStatus", False, "does not allow to approve, because current canary state is not 'StepPaused'"),
        (BETA, "blueGreenStatus", True, "does not allow to approve, because current blue-green state is not 'StepPaused'"),
    ],
)  # fmt: skip
def test_what_does_not_wait_is_not_approved(
    plain: Cluster, ns: str, kruise: Kruise, kind: str, status: str | None, blue_green: bool, reason: str
) -> None:
    busy = waiting(1, status) if status else None
    if busy and status:
        busy[status]["currentStepState"] = "StepUpgrade"
    plain.rollout(ns, status=busy, blue_green=blue_green)
    said = kruise(f"rollout approve {kind}/web -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f'error: rollouts.rollouts.kruise.io "web" {reason}')
    assert said.err.count("\n") == 1


def test_approving_twice_is_refused_the_second_time(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.rollout(ns, status=waiting(1))
    assert kruise(f"rollout approve rollout/web -n {ns}").code == 0
    assert kruise(f"rollout approve rollout/web -n {ns}").code == 1


def test_a_type_alone_approves_all_that_wait_and_goes_on_after_a_refusal(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.rollout(ns, "a", status=waiting(1))
    plain.rollout(ns, "b")
    plain.rollout(ns, "c", status=waiting(2))
    said = kruise(f"rollout approve rollout -n {ns}")
    assert said.code == 1
    assert said.out == "rollout.rollouts.kruise.io/a approved\nrollout.rollouts.kruise.io/c approved\n"
    assert said.err.count("\n") == 1
    assert '"b" no need to approve' in said.err


def test_other_kinds_cannot_be_approved(plain: Cluster, ns: str, kruise: Kruise) -> None:
    plain.deployment(ns)
    said = kruise(f"rollout approve deployment/web -n {ns}")
    assert (said.code, said.err) == (1, 'error: deployments.apps "web" approving is not supported\n')


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"canaryStatus": {"currentStepState": "StepUpgrade"}, "message": "web-1: ErrImagePull"}, "step 1 is still working (StepUpgrade): web-1: ErrImagePull"),
        ({"canaryStatus": {"currentStepState": "StepReady"}}, "step 1 is approved already"),
        ({"canaryStatus": {"currentStepState": "Completed"}, "phase": "Healthy"}, "nothing is being released, the Rollout is Healthy"),
        ({"canaryStatus": {"currentStepState": "StepReady"}, "conditions": [{"type": "Progressing", "status": "True", "reason": "Cancelling", "message": ""}], "message": "canceled"}, "the release is ending (Cancelling): canceled"),
        ({"canaryStatus": {"currentStepState": "StepUpgrade"}, "conditions": [{"type": "Stalled", "status": "True", "reason": "X", "message": "two Rollouts."}]}, "it stands still: two Rollouts."),
    ],
)  # fmt: skip
def test_a_refused_approval_says_what_the_release_does_instead(
    plain: Cluster, ns: str, kruise: Kruise, change: Any, now: str
) -> None:
    plain.rollout(ns, status=waiting(1))
    plain.merge(f"{ROLLOUTS.format(version='v1beta1', ns=ns)}/web/status", {"status": change})
    said = kruise(f"rollout approve rollout/web -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith(f"current canary state is not 'StepPaused': {now}\n")


def _paused_by_hand(cluster: Cluster, ns: str) -> None:
    busy = waiting(1)
    busy["canaryStatus"]["currentStepState"] = "StepUpgrade"
    cluster.rollout(ns, status=busy)
    cluster.merge(
        f"{ROLLOUTS.format(version='v1beta1', ns=ns)}/web", {"spec": {"strategy": {"paused": True}}}
    )


def test_a_refused_approval_of_a_paused_rollout_says_how_to_resume_it(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    _paused_by_hand(plain, ns)
    for verb in ("approve", "jump --to 2"):
        said = kruise(f"rollout {verb} rollout/web -n {ns}")
        assert said.err.endswith(
            f"the Rollout is paused: resume it with: kubectl kruise rollout resume rollout/web -n {ns}\n"
        )


def test_an_approval_that_comes_before_the_release_has_begun_is_told_so(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.deployment(ns)
    marked = {"metadata": {"annotations": {"rollouts.kruise.io/in-progressing": "{}"}}}
    plain.merge(f"/apis/apps/v1/namespaces/{ns}/deployments/web", marked)
    over = waiting(3)
    over["phase"], over["canaryStatus"]["currentStepState"] = "Healthy", "Completed"
    plain.rollout(ns, status=over)
    said = kruise(f"rollout approve rollout/web -n {ns}")
    assert said.code == 1
    assert "the release has not begun yet" in said.err


@pytest.mark.parametrize("verb", ["approve", "jump --to 2", "abort"])
def test_who_names_the_deployment_is_told_its_rollout(
    plain: Cluster, ns: str, kruise: Kruise, verb: str
) -> None:
    plain.deployment(ns)
    plain.rollout(ns, "shop")
    said = kruise(f"rollout {verb} deployment/web -n {ns}")
    assert said.code == 1
    assert said.err.endswith(
        f"is not supported: name its Rollout: kubectl kruise rollout {verb} rollout/shop -n {ns}\n"
    )


@pytest.mark.parametrize(
    ("flag", "suffix"), [("--dry-run=client", "dry run"), ("--dry-run", "dry run"), ("--dry-run=server", "server dry run")]
)  # fmt: skip
def test_a_dry_run_changes_nothing_and_says_so(
    plain: Cluster, ns: str, kruise: Kruise, flag: str, suffix: str
) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout approve {flag} rollout/web -n {ns}")
    assert (said.code, said.out) == (0, f"rollout.rollouts.kruise.io/web approved ({suffix})\n")
    assert plain.status(ns)["canaryStatus"]["currentStepState"] == "StepPaused"


def _meanwhile(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """`change()` happens between the plugin's look and its write, the first time."""
    told: list[bool] = []
    real = Session.patch

    def patch(self: Session, path: str, body: Any, **more: Any) -> Any:
        if not told:
            told.append(True)
            change()
        return real(self, path, body, **more)

    monkeypatch.setattr(Session, "patch", patch)


def test_a_write_of_the_controller_in_between_does_not_lose_the_approval(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.rollout(ns, status=waiting(1))
    path = f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns}/rollouts/web/status"
    _meanwhile(monkeypatch, lambda: plain.merge(path, {"status": {"message": "still waits"}}))
    assert kruise(f"rollout approve rollout/web -n {ns}").out.endswith("approved\n")
    assert plain.status(ns)["canaryStatus"]["currentStepState"] == "StepReady"


def test_a_step_that_somebody_else_has_approved_meanwhile_is_not_approved_again(
    plain: Cluster, ns: str, kruise: Kruise, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.rollout(ns, status=waiting(1))
    path = f"/apis/rollouts.kruise.io/v1beta1/namespaces/{ns}/rollouts/web/status"
    gone_on = {"status": {"canaryStatus": {"currentStepIndex": 2, "currentStepState": "StepUpgrade"}}}
    _meanwhile(monkeypatch, lambda: plain.merge(path, gone_on))
    said = kruise(f"rollout approve rollout/web -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert plain.status(ns)["canaryStatus"]["currentStepState"] == "StepUpgrade"


@pytest.mark.parametrize(
    ("to", "after", "code"),
    [
        (1, "is at step 1 already", 1),
        (9, "steps 1 to 3", 1),
        (3, (3, "StepPaused"), 0),
        (2, (2, "StepReady"), 0),
    ],
)
def test_a_jump_asks_for_the_step_and_refuses_one_that_is_not_there(
    plain: Cluster, ns: str, kruise: Kruise, to: int, after: Any, code: int
) -> None:
    plain.rollout(ns, status=waiting(1))
    said = kruise(f"rollout jump rollout/web --to {to} -n {ns}")
    assert said.code == code
    if code:
        assert after in said.err
    else:
        sub = plain.status(ns)["canaryStatus"]
        assert (sub["nextStepIndex"], sub["currentStepState"]) == after
        assert said.out == f"rollout.rollouts.kruise.io/web jumps to step {to}\n"


def test_a_release_held_before_its_first_step_can_begin_with_any(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    plain.rollout(ns, status=waiting(0))
    assert kruise(f"rollout status rollout/web --exit-on-pause -n {ns}").code == 3
    assert kruise(f"rollout jump rollout/web --to 3 -n {ns}").code == 0
    assert plain.status(ns)["canaryStatus"]["nextStepIndex"] == 3


@pytest.mark.parametrize(("step", "answer"), [(1, "already at the first step"), (3, "rolled back"), (4, "current step is too large 4")])  # fmt: skip
def test_a_fast_undo_goes_back_to_the_largest_step_without_traffic(
    plain: Cluster, ns: str, kruise: Kruise, step: int, answer: str
) -> None:
    plain.rollout(ns, status=waiting(step))
    said = kruise(f"rollout undo rollout/web --fast -n {ns}")
    assert answer in said.out + said.err
    if step == 3:
        assert plain.status(ns)["canaryStatus"]["nextStepIndex"] == 2


@pytest.mark.parametrize("command", ["undo --fast", "jump --to 1"])
@pytest.mark.parametrize(("phase", "reason"), [("Healthy", "Completed"), ("Progressing", "Cancelling")])
def test_no_step_is_gone_back_to_when_nothing_is_released(
    plain: Cluster, ns: str, kruise: Kruise, command: str, phase: str, reason: str
) -> None:
    ended = {"type": "Progressing", "status": "False", "reason": reason, "message": ""}
    plain.rollout(ns, status={**waiting(3), "phase": phase, "conditions": [ended]})
    said = kruise(f"rollout {command} rollout/web -n {ns}")
    assert (said.code, said.out) == (1, "")
    assert "is not releasing anything" in said.err
    assert plain.status(ns)["canaryStatus"]["nextStepIndex"] == 4


def test_a_jump_to_the_next_step_of_one_that_is_stuck_says_why_and_the_way_out(
    plain: Cluster, ns: str, kruise: Kruise
) -> None:
    busy = {**waiting(1), "message": "web-1: ErrImagePull"}
    busy["canaryStatus"]["currentStepState"] = "StepUpgrade"
    plain.rollout(ns, status=busy)
    said = kruise(f"rollout jump rollout/web --to 2 -n {ns}")
    assert said.code == 1
    assert "step 1 is still working (StepUpgrade): web-1: ErrImagePull" in said.err
    assert f"kubectl kruise rollout undo rollout/web -n {ns}" in said.err
