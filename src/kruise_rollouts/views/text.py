"""A RolloutView laid out as text, in the columns that scripts already parse. No terminal is touched here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .age import age
from .rollout import PodView, RolloutView, StepView, WorkloadView, sort_pods

KEY_WIDTH = 19  # columns before the value
ICONS = {"green": "✔", "yellow": "⚠", "red": "✘", "": ""}
ANSI = {"green": "\033[32m", "yellow": "\033[33m", "red": "\033[31m"}
RESET = "\033[0m"
COLOURS = {
    "Healthy": "green", "Running": "green", "Progressing": "yellow", "Initial": "yellow", "Pending": "yellow",
    "Disabled": "red", "Disabling": "red", "Terminating": "red", "Failed": "red", "Unknown": "red",
    "CrashLoopBackOff": "red", "ImagePullBackOff": "red", "ErrImagePull": "red",
}  # fmt: skip


def describe(
    rollout: RolloutView,
    workload: WorkloadView | None,
    pods: Sequence[PodView],
    *,
    now: datetime,
    colour: bool,
) -> str:
    """The report of `describe rollout`. `workload` None: it does not exist."""
    lines = [*_head(rollout, colour), *_steps(rollout, colour), *_traffic(rollout)]
    lines += _workload(rollout, workload)
    if pods:
        lines += pod_table(pods, now=now, colour=colour)
    return "\n".join(lines) + "\n"


def marked(word: str, colour: bool) -> str:
    """`word` with its icon and colour; with `colour` False the bare word."""
    name = COLOURS.get(word, "")
    if not colour or not name:
        return word
    return f"{ANSI[name]}{ICONS[name]} {word}{RESET}"


def _row(key: str, value: object) -> str:
    return f"{key + ':' if key else '':<{KEY_WIDTH}}{value}".rstrip()


def _head(r: RolloutView, colour: bool) -> list[str]:
    lines = [_row("Name", r.name), _row("Namespace", r.ns)]
    if r.observed:
        lines.append(_row("Status", marked(r.phase or "-", colour)))
        if r.message:
            lines.append(_row("Message", r.message))
    return lines


def _steps(r: RolloutView, colour: bool) -> list[str]:
    lines = [_row("Strategy", r.strategy), _row(" Step", f"{r.step}/{r.steps_total}"), " Steps:"]
    for number, step in enumerate(r.steps, start=1):
        block = _step(step, r.state if number == r.step else "", last=number == r.steps_total)
        if number == r.step and colour:
            block = [f"{ANSI['green']}{line}{RESET}" for line in block]
        lines += block
    return lines


def _step(step: StepView, state: str, *, last: bool) -> list[str]:
    rows = [("Replicas", step.replicas), ("Traffic", step.traffic)]
    lines = [f"     {key + ':':<{KEY_WIDTH - 5}}{value}" for key, value in rows if value]
    for match in step.matches:
        lines.append(f"     Match:        {match.where} {match.name} {match.type} {match.value}".rstrip())
    if not last or step.pause != "until approved":  # the release ends with its last step, unasked
        lines.append(f"     {'Pause:':<{KEY_WIDTH - 5}}{step.pause}")
    if state:
        lines.append(f"     {'State:':<{KEY_WIDTH - 5}}{state}")
    return ["  -  " + lines[0][5:], *lines[1:]] if lines else ["  -"]


def _traffic(r: RolloutView) -> list[str]:
    lines = ["Traffic Routings:"] if r.traffic else []
    for entry in r.traffic:
        lines.append("  -  " + f"{'Service:':<{KEY_WIDTH - 5}}{entry.get('service', '-')}")
        if ingress := entry.get("ingress"):
            lines.append("     Ingress:")
            lines.append(f"      {'classType:':<{KEY_WIDTH - 6}}{ingress.get('classType') or 'nginx'}")
            lines.append(f"      {'name:':<{KEY_WIDTH - 6}}{ingress.get('name', '-')}")
        if gateway := entry.get("gateway"):
            lines.append(f"     {'HttpRouteName:':<{KEY_WIDTH - 5}}{gateway.get('httpRouteName', '-')}")
        for ref in entry.get("customNetworkRefs") or ():
            lines.append(
                f"     {'Custom:':<{KEY_WIDTH - 5}}{ref.get('kind')}/{ref.get('name')} ({ref.get('apiVersion')})"
            )
    return lines


def _workload(r: RolloutView, w: WorkloadView | None) -> list[str]:
    lines = []
    if w is not None:
        lines += [_row("Images" if i == 0 else "", image) for i, image in enumerate(w.images)]
    lines.append(_row("Current Revision", r.stable_revision or "-"))
    lines.append(_row("Update Revision", r.update_revision or "-"))
    if w is None:
        return [*lines, _row("Workload", f"{r.workload_kind} {r.workload_name} does not exist")]
    if r.observed:
        lines.append("Replicas:")
        for key, value in (
            (" Desired", w.desired), (" Updated", w.updated), (" Current", w.current),
            (" Ready", w.ready), (" Available", w.available),
        ):  # fmt: skip
            lines.append(_row(key, value))
    return lines


def pod_table(pods: Sequence[PodView], *, now: datetime, colour: bool) -> list[str]:
    """Rows NAME READY BATCH ID REVISION AGE RESTARTS STATUS; those that are not ready first."""
    head = ("NAME", "READY", "BATCH ID", "REVISION", "AGE", "RESTARTS", "STATUS")
    rows = [
        (p.name, f"{p.ready}/{p.containers}", p.batch, p.revision, age(p.created, now), str(p.restarts), marked(p.status, colour))
        for p in sort_pods(list(pods))
    ]  # fmt: skip
    return table((head, *rows))


def rollout_table(
    rollouts: Sequence[tuple[RolloutView, WorkloadView | None]], *, namespaces: bool
) -> list[str]:
    """Rows NAME STRATEGY STATUS STEP STATE UPDATED READY DESIRED, with NAMESPACE first if wanted."""
    rows = [("NAMESPACE", "NAME", "STRATEGY", "STATUS", "STEP", "STATE", "UPDATED", "READY", "DESIRED")]
    for r, w in rollouts:
        counts = (str(w.updated), str(w.ready), str(w.desired)) if w is not None else ("-", "-", "-")
        place = f"{r.step}/{r.steps_total}"
        rows.append((r.ns, r.name, r.style, r.phase or "-", place, r.state or "-", *counts))
    return table([row if namespaces else row[1:] for row in rows])


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """`rows` in columns two spaces apart, the last one unpadded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
