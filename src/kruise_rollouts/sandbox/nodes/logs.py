"""What `kubectl logs` shows. No container of the sandbox runs a program, so its log says that, and when it was started.

A container that has not been started, or that never ran before, has no log; who asks is told as a kubelet tells it.
"""

from __future__ import annotations

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import BadRequest
from kruise_rollouts.sandbox.request import Query

_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NOTHING_RUNS = "nothing runs in a pod of the sandbox, so there is no output"


def log_of_container(pod: JsonObject, container: str, query: Query) -> bytes:
    """The log of a container. Raises BadRequest if it has none."""
    asked = dict(query)
    found = _status(pod, container)
    state: JsonObject = found.get("state") or {}
    last: JsonObject = (found.get("lastState") or {}).get("terminated") or {}
    name = pod["metadata"]["name"]
    if _is_true(asked.get("previous")):
        if not last:
            raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
        return _lines(asked, found, last)
    run = state.get("running") or state.get("terminated") or last
    if not run:
        reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
        why = "trying and failing to pull image" if reason in _NOT_PULLED else f"waiting to start: {reason}"
        raise BadRequest(f'container "{container}" in pod "{name}" is {why}')
    return _lines(asked, found, run)


def _status(pod: JsonObject, container: str) -> JsonObject:
    status = pod.get("status") or {}
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    told = (c for kind in kinds for c in status.get(kind) or ())
    return next((c for c in told if c.get("name") == container), {})


def _lines(asked: dict[str, str], found: JsonObject, run: JsonObject) -> bytes:
    """`run`: the state that says when it was started."""
    if asked.get("tailLines") == "0":
        return b""
    started = run.get("startedAt") or ""
    text = f"{found.get('image', '')} was started at {started}; {_NOTHING_RUNS}\n"
    if _is_true(asked.get("timestamps")):
        text = f"{started} {text}"
    limit = asked.get("limitBytes", "")
    return text.encode()[: int(limit)] if limit.isdigit() else text.encode()


def _is_true(value: str | None) -> bool:
    return value in ("1", "true", "True")
