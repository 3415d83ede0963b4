"""What people are told about pods that do not get ready, and when pods are looked at for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kruise_rollouts.api.core import Pod
from kruise_rollouts.api.rollouts_v1beta1 import Condition
from kruise_rollouts.core.conditions import set_condition, without
from kruise_rollouts.core.stuck import explain, why_not_ready

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_pod(name: str = "web-1", **status: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": name}, "status": status}, Pod)


def waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": reason}}}]}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (waiting("ImagePullBackOff"), "ImagePullBackOff"),
        (waiting("CrashLoopBackOff"), "CrashLoopBackOff"),
        (waiting("ContainerCreating"), ""),
        ({}, ""),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "no cpu",
                    }
                ]
            },
            "Unschedulable (no cpu)",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled (exit code 137)",
        ),
        ({"initContainerStatuses": waiting("ErrImagePull")["containerStatuses"]}, "ErrImagePull"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Running", "containerStatuses": [{"ready": False}]}, "running, but not ready"),
    ],
)
def test_the_reason_of_a_pod_is_the_first_thing_in_its_way(status: dict[str, Any], reason: str) -> None:
    assert why_not_ready(a_pod(**status)) == reason


def test_pods_with_one_reason_are_told_together_and_the_most_common_reason_first() -> None:
    bad = [a_pod(f"web-{n}", **waiting("ImagePullBackOff")) for n in range(4)]
    other = a_pod("web-9", **waiting("CrashLoopBackOff"))
    ready = a_pod("web-8", conditions=[{"type": "Ready", "status": "True"}])
    told = explain([other, *bad, ready])
    assert told == "web-0, web-1 and 2 more: ImagePullBackOff; web-9: CrashLoopBackOff"


def test_a_condition_keeps_its_transition_time_while_only_its_words_change() -> None:
    first = set_condition((), Condition(type="Progressing", status="True", reason="A"), NOW)
    later = NOW + timedelta(minutes=1)
    second = set_condition(first, Condition(type="Progressing", status="True", reason="B"), later)
    assert (second[0].last_update_time, second[0].last_transition_time) == (later, NOW)
    third = set_condition(second, Condition(type="Progressing", status="False", reason="B"), later)
    assert third[0].last_transition_time == later
    assert set_condition(third, Condition(type="Progressing", status="False", reason="B"), NOW) is third
    assert without(third, "Progressing") == () and without(third, "Other") is third
