"""What is read of a container that runs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_rollouts.kube.errors import BadRequest
from kruise_rollouts.sandbox.nodes.logs import log_of_container

STARTED = "2026-01-01T00:00:00Z"


def a_pod(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    told = {"name": "main", "image": "web:1", "state": state, "lastState": last or {}}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [told]}}


RUNNING = a_pod({"running": {"startedAt": STARTED}})
AGAIN = a_pod({"running": {"startedAt": STARTED}}, {"terminated": {"startedAt": "2025-12-31T00:00:00Z"}})


def test_a_running_container_says_that_it_runs_nothing() -> None:
    text = log_of_container(RUNNING, "main", ()).decode()
    assert text.startswith("web:1 was started at 2026-01-01T00:00:00Z;") and "nothing runs" in text
    assert text.count("\n") == 1


def test_parameters_of_a_log_are_kept() -> None:
    assert log_of_container(RUNNING, "main", (("tailLines", "0"),)) == b""
    assert log_of_container(RUNNING, "main", (("limitBytes", "5"),)) == b"web:1"
    assert log_of_container(RUNNING, "main", (("timestamps", "true"),)).startswith(STARTED.encode())
    assert b"2025-12-31" in log_of_container(AGAIN, "main", (("previous", "true"),))


@pytest.mark.parametrize(
    ("pod", "query", "message"),
    [
        (RUNNING, (("previous", "true"),), 'previous terminated container "main" in pod "p" not found'),
        (a_pod({}), (), 'container "main" in pod "p" is waiting to start: ContainerCreating'),
        (
            a_pod({"waiting": {"reason": "ImagePullBackOff"}}),
            (),
            'container "main" in pod "p" is trying and failing to pull image',
        ),
    ],
)
def test_a_container_that_never_ran_has_no_log(pod: Any, query: Any, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        log_of_container(pod, "main", query)
    assert refused.value.message == message
