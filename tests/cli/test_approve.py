"""`kubectl kruise rollout approve`: one step further, once, and only the step that was seen."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.cli.session import Session

from .cluster import Cluster, waiting
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
        (BETA, None, False, "no need to approve: not in canary or blue-green progress"),
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
    assert said.err == f'error: rollouts.rollouts.kruise.io "web" {reason}\n'


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
