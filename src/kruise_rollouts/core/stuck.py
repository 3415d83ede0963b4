"""Why pods of a batch are not ready, in a line for people.

Reads pods only; whether it matters is decided in batch.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from kruise_rollouts.api.core import ContainerStatus, Pod

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})  # every pod says so for a while
RUNNING, UNMADE = "running, but not ready", "not created yet"  # what many a pod says that only takes its time
_SHOWN = 2  # pods named per reason
_DETAIL = 120  # characters of a scheduler's or kubelet's own words


def explain(pods: Iterable[Pod]) -> str:
    """Reasons of the pods that are not ready, most pods first; "" if none has one."""
    by_reason: dict[str, list[str]] = {}
    for pod in pods:
        if pod.is_ready or pod.is_terminating:
            continue
        if reason := why_not_ready(pod):
            by_reason.setdefault(reason, []).append(pod.metadata.name)
    told = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    return "; ".join(f"{_names(names)}: {reason}" for reason, names in told)


def troubles(words: str) -> list[str]:
    """Of what is said of a batch that waits, what will hardly pass by itself."""
    _, *reasons = words.split("; ")
    return [reason for reason in reasons if not reason.endswith((RUNNING, UNMADE))]


def why_not_ready(pod: Pod) -> str:
    """The first thing that keeps `pod` from being ready; "" if it is merely starting."""
    scheduled = pod.status.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False" and scheduled.reason:
        return f"{scheduled.reason} ({_short(scheduled.message)})" if scheduled.message else scheduled.reason
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if reason := _why_container(container):
            return reason
    if pod.status.reason:
        return pod.status.reason
    running = pod.status.phase == "Running" and bool(pod.status.container_statuses)
    return RUNNING if running and not all(c.ready for c in pod.status.container_statuses) else ""


def _why_container(container: ContainerStatus) -> str:
    waiting, ended = container.state.waiting, container.state.terminated
    if waiting is not None and waiting.reason not in _STARTING:
        return waiting.reason
    if ended is not None and ended.exit_code != 0:
        return f"{ended.reason or 'Error'} (exit code {ended.exit_code})"
    return ""


def _names(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL else text[: _DETAIL - 1] + "…"
