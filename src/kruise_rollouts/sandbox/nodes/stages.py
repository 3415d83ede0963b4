"""The life of a pod on a simulated node, as a function of time.

`advance` keeps what a container runtime would know (when each container was started, of which image); `status_at`
says what a kubelet would report at a moment, and when that changes next. Pure; kubelet.py does the writing.

Stages of a container, in seconds after the pod was bound (D: ready delay, default Knobs.ready_delay):

| from | state | phase | ready |
|---|---|---|---|
| 0 | waiting ContainerCreating | Pending | no |
| min(D, start_seconds) | running | Running | no |
| D | running | Running | yes, unless `sim/ready: "false"` |
| exit-after | terminated, then restarted or left by restartPolicy | Running, Succeeded, Failed | no |
| 0, image never pulls | waiting ErrImagePull, later ImagePullBackOff | Pending | no |

Annotations of a pod: `sim/ready-delay` ("0.5", "500ms", "3s", "1m", "never"), `sim/ready` ("false"),
`sim/terminate-delay`, `sim/exit-after` (a delay) with `sim/exit-code`, `sim/crash-loop` ("true": exits with 1 after
a second, again and again). Pods of a Job end by themselves (Knobs.job_seconds), unless they run the image `pause`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.controllers import facts

READY_DELAY, READY, TERMINATE_DELAY = "sim/ready-delay", "sim/ready", "sim/terminate-delay"
EXIT_AFTER, EXIT_CODE, CRASH_LOOP = "sim/exit-after", "sim/exit-code", "sim/crash-loop"
BAD_IMAGES = r"(:failed|:not-exists|:never-started|:non-existent|webserver:404)$|^invalid\.com/"
PULL_BACKOFF_SECONDS = 10.0  # ErrImagePull turns into ImagePullBackOff
CRASH_BACKOFF_FIRST, CRASH_BACKOFF_LONGEST = 10.0, 300.0  # seconds
NEVER = math.inf

_SLEEP = re.compile(r"(?:(?:/bin/)?(?:ba)?sh -c )?(?:/bin/)?sleep (\d+(?:\.\d+)?)")
_PAUSE = re.compile(r"(^|/)pause(:|@|$)")
_DELAY = re.compile(r"([0-9]*\.?[0-9]+)\s*(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class Knobs(Struct, frozen=True):
    """How the nodes behave. Times in seconds."""

    ready_delay: float = 0.5  # from binding to Ready
    ready_jitter: float = 0.0  # 0..: up to so many times the ready delay longer, by pod
    start_seconds: float = 1.0  # from binding to Running, for pods whose ready delay is longer
    terminate_delay: float = 0.0  # from deletion to gone; never longer than the pod's grace period
    job_seconds: float = 1.0  # pods of a Job exit after this, unless annotated otherwise
    bad_images: str = BAD_IMAGES  # regular expression, searched


class ContainerRun(Struct, frozen=True):
    """One container as its runtime knows it."""

    name: str
    image: str
    since: datetime  # of this image
    restarts: int = 0  # before `since`
    last: JsonObject = {}  # lastState, from before `since`


class PodRun(Struct, frozen=True):
    """One pod as its node knows it."""

    since: datetime  # when the node first saw it
    ip: str
    containers: tuple[ContainerRun, ...]


class ContainerNow(Struct, frozen=True):
    """A container at a moment."""

    state: JsonObject
    running: bool = False
    ready: bool = False
    restarts: int = 0
    last: JsonObject = {}
    exit_code: int | None = None  # not None: it has exited and will not be started again
    next_at: float = NEVER  # seconds after its `since`


def delay_of(text: str | None, default: float) -> float:
    """Seconds an annotation names: "0.5", "500ms", "3s", "1m", "never"; `default` if absent or unreadable."""
    if text is None:
        return default
    if text.strip().lower() in ("never", "inf", "infinite", "-1"):
        return NEVER
    found = _DELAY.fullmatch(text.strip().lower())
    return float(found.group(1)) * _UNITS[found.group(2)] if found else default


def advance(run: PodRun | None, pod: JsonObject, ip: str, now: datetime) -> PodRun:
    """What the node knows once it has seen this version of the pod; a changed image restarts its container."""
    containers = facts.spec(pod).get("containers") or ()
    if run is None:
        run = _found(pod, ip, now)
    known = {c.name: c for c in run.containers}
    if all(c["name"] in known and known[c["name"]].image == c.get("image", "") for c in containers):
        return run
    renewed = []
    for c in containers:
        old = known.get(c["name"])
        image = c.get("image", "")
        if old is None:
            renewed.append(ContainerRun(c["name"], image, now))
        elif old.image == image:
            renewed.append(old)
        else:
            renewed.append(_restarted(old, pod, image, now))
    return PodRun(run.since, run.ip, tuple(renewed))


def _found(pod: JsonObject, ip: str, now: datetime) -> PodRun:
    """A pod this node has no memory of: new, or started before this process."""
    status = facts.status(pod)
    since = facts.time_at(status.get("startTime")) or now
    shown = {s["name"]: s for s in status.get("containerStatuses") or ()}
    loops = any(k in facts.annotations_of(pod) for k in (EXIT_AFTER, CRASH_LOOP))
    runs = []
    for c in facts.spec(pod).get("containers") or ():
        seen = shown.get(c["name"], {})
        # Of one that exits again and again the restarts follow from the time; of others only the status knows.
        restarts = 0 if loops else int(seen.get("restartCount") or 0)
        image = seen.get("image") or c.get("image", "")
        runs.append(
            ContainerRun(c["name"], image, since, restarts, {} if loops else seen.get("lastState") or {})
        )
    return PodRun(since, ip, tuple(runs))


def _restarted(old: ContainerRun, pod: JsonObject, image: str, now: datetime) -> ContainerRun:
    shown: JsonObject = next(
        (s for s in facts.status(pod).get("containerStatuses") or () if s.get("name") == old.name), {}
    )
    running = (shown.get("state") or {}).get("running")
    if not running:
        return ContainerRun(old.name, image, now, old.restarts, old.last)
    ended = {
        "exitCode": 0,
        "reason": "Completed",
        "startedAt": running.get("startedAt"),
        "finishedAt": facts.stamp(now),
        "containerID": shown.get("containerID", ""),
    }
    return ContainerRun(old.name, image, now, int(shown.get("restartCount") or 0) + 1, {"terminated": ended})


def container_at(run: ContainerRun, pod: JsonObject, knobs: Knobs, now: datetime) -> ContainerNow:
    """The container at `now`."""
    age = (now - run.since).total_seconds()
    if re.search(knobs.bad_images, run.image):
        return _unpullable(run, age)
    notes = facts.annotations_of(pod)
    ready_at = delay_of(notes.get(READY_DELAY), knobs.ready_delay)
    if knobs.ready_jitter:
        ready_at *= 1 + knobs.ready_jitter * _share_of(facts.uid(pod))
    ready_at = _exact(ready_at)
    start_at = min(ready_at, _exact(knobs.start_seconds))
    if age < start_at:
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        return ContainerNow(waiting, restarts=run.restarts, last=run.last, next_at=start_at)
    exit_after = _exit_after(pod, knobs)
    if exit_after < NEVER:
        return _exiting(run, pod, age, start_at, exit_after)
    ready = age >= ready_at and notes.get(READY, "true").lower() != "false"
    return ContainerNow(
        _running(run, start_at),
        running=True,
        ready=ready,
        restarts=run.restarts,
        last=run.last,
        next_at=ready_at if age < ready_at else NEVER,
    )


def _exact(seconds: float) -> float:
    """`seconds` as a datetime can hold them: else an alarm would ring a moment before its time, again and again."""
    return round(seconds, 6) if seconds < NEVER else seconds


def _share_of(uid: str) -> float:
    """0..1, the same for the same pod."""
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=4).digest(), "big") / 2**32


def _exit_after(pod: JsonObject, knobs: Knobs) -> float:
    """Seconds a container runs before it exits; NEVER for the ordinary kind."""
    notes = facts.annotations_of(pod)
    owner = facts.controller_of(pod)
    ends = owner is not None and owner.get("kind") == "Job" and not _pauses(pod)
    default = max((knobs.job_seconds, *_sleeps(pod))) if ends else NEVER
    if notes.get(CRASH_LOOP) == "true":
        default = 1.0
    return delay_of(notes.get(EXIT_AFTER), default)


def _sleeps(pod: JsonObject) -> Iterator[float]:
    """Seconds that containers are told to sleep."""
    for container in facts.spec(pod).get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        found = _SLEEP.fullmatch(" ".join(words))
        if found:
            yield float(found[1])


def _pauses(pod: JsonObject) -> bool:
    """Whether a container runs the program that Kubernetes has for doing nothing, and never ends."""
    return any(_PAUSE.search(c.get("image") or "") for c in facts.spec(pod).get("containers") or ())


def _exit_code(pod: JsonObject) -> int:
    notes = facts.annotations_of(pod)
    text = notes.get(EXIT_CODE, "1" if notes.get(CRASH_LOOP) == "true" else "0")
    return int(text) if text.isdigit() else 1


def _running(run: ContainerRun, start_at: float) -> JsonObject:
    return {"running": {"startedAt": facts.stamp(run.since + timedelta(seconds=start_at))}}


def _unpullable(run: ContainerRun, age: float) -> ContainerNow:
    if age < PULL_BACKOFF_SECONDS:
        message = f'failed to pull and unpack image "{run.image}": not found'
        state = {"waiting": {"reason": "ErrImagePull", "message": message}}
        return ContainerNow(state, restarts=run.restarts, last=run.last, next_at=PULL_BACKOFF_SECONDS)
    state = {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{run.image}"'}}
    return ContainerNow(state, restarts=run.restarts, last=run.last)


def _exiting(
    run: ContainerRun, pod: JsonObject, age: float, start_at: float, exit_after: float
) -> ContainerNow:
    """A container that runs for `exit_after` seconds each time it is started."""
    policy = facts.spec(pod).get("restartPolicy") or "Always"
    code = _exit_code(pod)
    again = policy == "Always" or (policy == "OnFailure" and code != 0)
    started, count, backoff = start_at, run.restarts, 0.0
    last = run.last
    while True:
        ended = _exact(started + exit_after)
        if age < ended:
            running = _running(run, started)
            return ContainerNow(running, running=True, ready=True, restarts=count, last=last, next_at=ended)
        terminated = _terminated(run, pod, code, (started, ended), count)
        if not again:
            return ContainerNow(terminated, restarts=count, last=last, exit_code=code)
        last = terminated
        started = _exact(ended + backoff)
        if age < started:
            reason = "CrashLoopBackOff"
            message = f"back-off {backoff:g}s restarting failed container={run.name} pod={facts.name(pod)}"
            waiting = {"waiting": {"reason": reason, "message": message}}
            return ContainerNow(waiting, restarts=count, last=last, next_at=started)
        count += 1
        backoff = min(max(backoff * 2, CRASH_BACKOFF_FIRST), CRASH_BACKOFF_LONGEST)


def _terminated(
    run: ContainerRun, pod: JsonObject, code: int, span: tuple[float, float], count: int
) -> JsonObject:
    """`span`: from when to when it ran, seconds after `run.since`."""
    started, ended = span
    return {
        "terminated": {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": facts.stamp(run.since + timedelta(seconds=started)),
            "finishedAt": facts.stamp(run.since + timedelta(seconds=ended)),
            "containerID": container_id(pod, run, count),
        }
    }


def container_id(pod: JsonObject, run: ContainerRun, restarts: int) -> str:
    digest = hashlib.sha256(f"{facts.uid(pod)}/{run.name}/{run.image}/{restarts}".encode()).hexdigest()
    return f"containerd://{digest}"


def image_id(image: str) -> str:
    """What a registry would call it: the repository and a digest."""
    repository = image.split("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
