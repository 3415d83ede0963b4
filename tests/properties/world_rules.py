"""What must hold at every commit of the store, whatever people and machines do. Attach with `watch(world)`.

Two books are kept. `Pods`: how many pods of each revision there may be and must be. `Steps`: every step that is left
was approved by the person, or its duration was over, and every approval took the release one step on.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.scenarios.random_release import Act
from tests.scenarios.stage import Object
from world_stage import NEWS, World

from kruise_rollouts.api.annotations import parse_partition_strategy
from kruise_rollouts.api.keys import DEPLOYMENT_STRATEGY, DESIRED_REPLICAS
from kruise_rollouts.core.plan import updated_limit
from kruise_rollouts.core.revision import template_hash

UNBOUNDED = 10**6
IN_A_STEP = ("InRolling", "Paused")
ENDING = ("Finalising", "Cancelling", "Completed")
EARLY = ("BeforeStepUpgrade", "StepUpgrade")
HASH = "pod-template-hash"


def watch(world: World) -> None:
    """From now on a broken rule is noted in `world.broken`."""
    rules = Rules(world)
    world.watchers += [rules.steps.look, rules.pods.look]
    world.person.told = rules.told


class Rules:
    def __init__(self, world: World) -> None:
        self.steps = Steps(world)
        self.pods = Pods(world)

    def told(self, act: Act, done: bool) -> None:
        if done:
            self.pods.acted(act)
        else:
            self.pods.acts(act)


# --- steps -----------------------------------------------------------------------------------------------------------


class Steps:
    """The book of approvals: left == approved + waited + passed (the last step, of 100%) + moved by the person."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.count: Counter[str] = Counter()

    def look(self, plural: str, old: Object | None, new: Object | None) -> None:
        if plural == "deployments" and old is not None and new is not None:
            was, now = old["spec"]["strategy"]["type"], new["spec"]["strategy"]["type"]
            assert was == now, f"strategy.type has changed from {was} to {now}"
        if plural != "rollouts" or old is None or new is None or not _is_one_release(old, new):
            return
        was, now = _sub(old), _sub(new)
        if (was.get("currentStepState"), was.get("currentStepIndex")) == (
            now.get("currentStepState"),
            now.get("currentStepIndex"),
        ):
            return
        self._rushed(old, new)
        if was.get("currentStepState") == "StepPaused":
            self._left(old, new)
        if now.get("currentStepState") == "StepReady" and was.get("currentStepState") != "StepPaused":
            assert self._world.person.approving, f"{was} became ready, and nobody approved"
            self.count["approved"] += 1
        if was.get("currentStepState") == "StepReady":
            self._moved_on(old, new)

    def _rushed(self, old: Object, new: Object) -> None:
        """Steps that were begun and left between two commits: only those that wait for nobody may be."""
        was, now, steps = _sub(old), _sub(new), _steps(new)
        stood = was.get("currentStepState") in ("StepPaused", "StepReady")
        first = was.get("currentStepIndex", 0) + stood
        end = now.get("currentStepIndex", 0) + (now.get("currentStepState") in ("StepReady", "Completed"))
        if now.get("currentStepState") == "StepReady" and self._world.person.approving:
            end -= 1
        if _is_moved_by_hand(old, new):
            return
        for index in range(max(1, first), min(end, len(steps) + 1)):
            step = steps[index - 1]
            alone = _is_without_pause(step) or (index == len(steps) and step["replicas"] == "100%")
            assert alone, (
                f"step {index} of {len(steps)} was rushed through, and nobody approved: {was} -> {now}"
            )

    def _left(self, old: Object, new: Object) -> None:
        was, now = _sub(old), _sub(new)
        index, steps = was.get("currentStepIndex", 0), _steps(new)
        if _is_moved_by_hand(old, new):
            self.count["moved"] += 1
        elif self._world.person.approving:
            self.count["approved"] += 1
        elif index == len(steps) and steps[index - 1]["replicas"] == "100%":
            self.count["passed"] += 1
        else:
            assert _has_waited(was, steps, self._world.clock.now()), (
                f"step {index} of {len(steps)} was left, and nobody approved: {was} -> {now}"
            )
            self.count["waited"] += 1

    def _moved_on(self, old: Object, new: Object) -> None:
        was, now = _sub(old), _sub(new)
        index = was.get("currentStepIndex", 0)
        before = old["status"].get("currentStepState", "")  # the mirror, which only we write
        if before in EARLY and now.get("currentStepState") in EARLY and now.get("currentStepIndex") == index:
            self.count["early"] += 1  # before its pods were ready: said so, and ignored
            return
        self.count["left"] += 1
        if _is_moved_by_hand(old, new):
            return
        steps, reached = _steps(new), now.get("currentStepIndex", 0)
        alone = all(_is_without_pause(step) for step in steps[index : reached - 1])  # those between
        on = (reached > index and alone) or now.get("currentStepState") == "Completed"
        assert on, f"the approval of step {index} was lost: {was} -> {now}"


def _is_one_release(old: Object, new: Object) -> bool:
    """Both are in the steps of the same revision and of the same plan."""
    was, now = _sub(old), _sub(new)
    phases = [o.get("status", {}).get("phase") for o in (old, new)]
    return (
        phases == ["Progressing"] * 2
        and _reason(old) in IN_A_STEP
        and _reason(new) in (*IN_A_STEP, "Finalising")
        and all(was.get(k) == now.get(k) for k in ("canaryRevision", "rolloutHash"))
    )


def _is_moved_by_hand(old: Object, new: Object) -> bool:
    """A jump that the person asked for, or a plan that no longer has the step."""
    sub, count = _sub(old), len(_steps(new))
    index = sub.get("currentStepIndex", 0)
    natural = index + 1 if index < count else -1
    return sub.get("nextStepIndex") != natural or index > count


def _is_without_pause(step: Any) -> bool:
    return (step.get("pause") or {}).get("duration") == 0


def _has_waited(sub: Object, steps: list[Any], now: datetime) -> bool:
    index = sub.get("currentStepIndex", 0)
    if not 1 <= index <= len(steps):
        return False
    duration = (steps[index - 1].get("pause") or {}).get("duration")
    since = datetime.fromisoformat(str(sub.get("lastUpdateTime", "1970-01-01T00:00:00Z")))
    return duration is not None and now >= since + timedelta(seconds=duration)


# --- pods ------------------------------------------------------------------------------------------------------------


class Pods:
    """New pods within the step; ready pods and all pods within the person's own limits."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._granted = UNBOUNDED  # the last step that this revision may have
        self._spared = 0  # new pods that are there by the person's own doing
        self._revision = ""
        self._capacity = False  # whether the limits held at the last commit: only then we may be blamed
        self._limits: list[tuple[Any, Any]] = [(world.story.surge, world.story.unavailable)]
        self._min_ready = world.story.min_ready  # the longest that the person ever asked for
        self._unheard = 0.0  # until then a manager may not have heard which pods were deleted by hand
        self._mess = 0  # acts under way that take pods away themselves
        self._spreading = False  # Kubernetes shares out a change of replicas, whichever pods are ready
        self._bound: Object = {}  # spec.strategy as it was then

    def acts(self, act: Act) -> None:
        if act.name == "settings":
            self._limits.append(act.value[0])  # either may be in effect until the release ends
            self._min_ready = max(self._min_ready, act.value[1])
        deployment = self._world.object("apps", "deployments")
        if act.name == "plan" and deployment is not None and self._granted < UNBOUNDED:
            self._spared = max(self._spared, self._limit(deployment))  # what was granted stays so
        if act.name in ("resume by hand", "replace"):
            # It goes on as a Deployment at rest says, and none unavailable cannot be said there.
            self._limits.append((0, 1))
        if act.name in ("scale", "delete pods", "resume by hand"):
            self._mess += 1
            self._capacity = False

    def acted(self, act: Act) -> None:
        if act.name in ("scale", "delete pods", "resume by hand"):
            self._mess -= 1
            self._capacity = False
        if act.name == "delete pods":
            self._unheard = self._world.clock.mono() + NEWS

    def look(self, plural: str, old: Object | None, new: Object | None) -> None:
        deployment = self._world.object("apps", "deployments")
        if deployment is None:
            return
        if plural == "deployments":
            self._see_template(deployment, old)
        self._grant(deployment)
        if plural == "replicasets" or plural == "deployments":
            self._check_steps(deployment)
        if plural != "rollouts":
            self._check_capacity(deployment)

    def _see_template(self, deployment: Object, old: Object | None) -> None:
        revision = _revision(deployment)
        if revision != self._revision:
            self._revision, self._granted, self._spared = revision, 0, self._new_pods(deployment)
            self._spared = max(self._spared, _given_before(deployment, revision))
            several = sum(r["spec"]["replicas"] > 0 for r in self._sets()) > 1
            if several and old is not None and not _is_held(old) and not old["spec"].get("paused"):
                # Paused in the middle of a native update: Kubernetes fills its surge up, or trims, in proportion.
                self._spreading, self._bound = True, {}
                surge = max(_limits(s, u, old["spec"]["replicas"])[0] for s, u in self._limits)
                if self._spared:
                    self._spared += -(-self._spared * surge // max(1, old["spec"]["replicas"])) + 1
        if old is not None and old["spec"]["replicas"] != deployment["spec"]["replicas"]:
            before, now = old["spec"]["replicas"], deployment["spec"]["replicas"]
            pods = self._new_pods(deployment)  # Kubernetes grows and shrinks all revisions in proportion
            grown = -(-pods * now // max(1, before)) + 2 if before else now
            self._spared = max(self._spared, pods, grown)
            self._spreading, self._bound = True, deployment["spec"]["strategy"]

    def _grant(self, deployment: Object) -> None:
        rollout = self._world.object("rollouts.kruise.io", "rollouts")
        status = (rollout or {}).get("status", {})
        if rollout is None or rollout["metadata"].get("deletionTimestamp") or rollout["spec"].get("disabled"):
            self._granted = UNBOUNDED  # given back: the person's own update goes on
            return
        sub, reason = _sub(rollout), _reason(rollout)
        current = sub.get("canaryRevision") == self._revision
        if status.get("phase") not in ("Progressing", "Healthy") or (
            current and (reason in ENDING or status.get("phase") == "Healthy")
        ):
            self._granted = UNBOUNDED
        elif current and reason in IN_A_STEP:
            self._granted = max(self._granted, self._allowed(deployment, sub, _steps(rollout)))

    def _allowed(self, deployment: Object, sub: Object, steps: list[Any]) -> int:
        """The step that this status lets the release have, 1-based."""
        index, following = sub.get("currentStepIndex", 0), sub.get("nextStepIndex", 0)
        allowed = max(1, index) if index else 0
        natural = index + 1 if index < len(steps) else -1
        state = sub.get("currentStepState")
        waited = state == "StepPaused" and _has_waited(sub, steps, self._world.clock.now())
        if waited or state == "StepReady" or self._waits_for_nobody(deployment, sub, steps):
            allowed = index + 1
        if following != natural and 1 <= following <= len(steps):
            allowed = max(allowed, following)
        return allowed

    def _waits_for_nobody(self, deployment: Object, sub: Object, steps: list[Any]) -> bool:
        """The step has its pods and no pause: a manager may die between what it asks for next and the status of it."""
        index = sub.get("currentStepIndex", 0)
        if not 1 <= index <= len(steps) or not _is_without_pause(steps[index - 1]):
            return False
        new = self._new(deployment)
        ready = 0 if new is None else new.get("status", {}).get("readyReplicas", 0)
        return bool(ready >= updated_limit(steps[index - 1]["replicas"], deployment["spec"]["replicas"]))

    def _check_steps(self, deployment: Object) -> None:
        rollout = self._world.object("rollouts.kruise.io", "rollouts")
        if rollout is None or not _is_held(deployment):
            return
        if self._granted > len(_steps(rollout)):
            return  # after the last step all pods follow
        stable = deployment["metadata"].get("labels", {}).get("rollouts.kruise.io/stable-revision")
        new = self._new(deployment)
        if new is None or new["metadata"]["labels"].get(HASH) == stable:
            return  # on the way back
        pods, allowed = new["spec"]["replicas"], self._limit(deployment)
        assert pods <= max(allowed, self._spared), (
            f"{pods} new pods, {allowed} allowed in step {self._granted}"
        )

    def _limit(self, deployment: Object) -> int:
        """New pods that the steps up to the granted one allow."""
        rollout = self._world.object("rollouts.kruise.io", "rollouts")
        steps = [] if rollout is None else _steps(rollout)[: max(1, self._granted)]
        return max((updated_limit(s["replicas"], deployment["spec"]["replicas"]) for s in steps), default=0)

    def _check_capacity(self, deployment: Object) -> None:
        replicas = deployment["spec"]["replicas"]
        limits = [_limits(surge, unavailable, replicas) for surge, unavailable in self._limits]
        surge, unavailable = max(s for s, _ in limits), max(u for _, u in limits)
        pods = [p for p in self._world.objects("", "pods") if not p["metadata"].get("deletionTimestamp")]
        ready = sum(_is_ready(p) for p in pods)
        wanted = {r["metadata"]["uid"]: r["spec"]["replicas"] for r in self._sets()}
        total, have = sum(wanted.values()), Counter(_owner(p) for p in pods)
        are_going = any(have[uid] > pods_wanted for uid, pods_wanted in wanted.items())
        holds = ready >= replicas - unavailable and total <= replicas + surge and not are_going
        if self._world.crowded:
            # No election between them: nobody promises how many pods there are, until one has put it right again.
            self._capacity = False
            return
        if self._take_for_failed(deployment, pods) or self._world.clock.mono() < self._unheard:
            self._capacity = False
            return
        if self._mess or self._spreading or not self._capacity:
            self._spreading = self._spreading and not self._is_spread(deployment, pods)
            self._capacity = holds
            return
        assert ready >= replicas - unavailable, f"{ready} ready of {replicas}, {unavailable} may be missing"
        assert total <= replicas + surge, f"{total} pods for {replicas}, {surge} more are allowed"

    def _is_spread(self, deployment: Object, pods: list[Object]) -> bool:
        """All ReplicaSets and pods are as the new number has them, and a move has a bound that knows of it."""
        status, active = deployment.get("status", {}), [r for r in self._sets() if r["spec"]["replicas"]]
        noted = {r["metadata"].get("annotations", {}).get(DESIRED_REPLICAS) for r in active}
        return (
            (deployment["spec"].get("paused", False) or deployment["spec"]["strategy"] != self._bound)
            and status.get("observedGeneration") == deployment["metadata"]["generation"]
            and noted <= {str(deployment["spec"]["replicas"])}
            and len(pods) == sum(r["spec"]["replicas"] for r in active)
        )

    def _take_for_failed(self, deployment: Object, pods: list[Object]) -> bool:
        """Whether pods that are ready may go: not for minReadySeconds yet, they count as failed in Kubernetes.

        Of the new revision they are safe while a release holds it.
        """
        if self._min_ready == 0:
            return False
        settled = self._world.clock.now() - timedelta(seconds=self._min_ready + 1)  # times are whole seconds
        young = [p for p in pods if (since := _ready_since(p)) is not None and since > settled]
        if not _is_held(deployment):
            return bool(young)
        new = self._new(deployment)
        return any(new is None or _owner(p) != new["metadata"]["uid"] for p in young)

    def _new(self, deployment: Object) -> Object | None:
        revision = _revision(deployment)
        return next((r for r in self._sets() if _revision(r) == revision), None)

    def _sets(self) -> list[Object]:
        return self._world.objects("apps", "replicasets")

    def _new_pods(self, deployment: Object) -> int:
        new = self._new(deployment)
        return 0 if new is None else int(new["spec"]["replicas"])


def _revision(workload: Object) -> str:
    return template_hash(msgspec.Raw(msgspec.json.encode(workload["spec"]["template"])))


def _given_before(deployment: Object, revision: str) -> int:
    """New pods that a release may have whose revision went and came back before anybody saw."""
    strategy = parse_partition_strategy(
        (deployment["metadata"].get("annotations") or {}).get(DEPLOYMENT_STRATEGY)
    )
    if strategy is None or strategy.revision != revision:
        return 0
    return updated_limit(strategy.partition, deployment["spec"]["replicas"])


def _limits(surge: Any, unavailable: Any, replicas: int) -> tuple[int, int]:
    more = surge if isinstance(surge, int) else math.ceil(int(surge[:-1]) * replicas / 100)
    fewer = unavailable if isinstance(unavailable, int) else int(unavailable[:-1]) * replicas // 100
    return (more, fewer) if more or fewer else (0, 1)


def _is_held(deployment: Object) -> bool:
    return "rollouts.kruise.io/in-progressing" in (deployment["metadata"].get("annotations") or {})


def _owner(pod: Object) -> str:
    return next(
        (str(o["uid"]) for o in pod["metadata"].get("ownerReferences", ()) if o.get("controller")), ""
    )


def _is_ready(pod: Object) -> bool:
    return _ready_since(pod) is not None


def _ready_since(pod: Object) -> datetime | None:
    conditions = pod.get("status", {}).get("conditions") or ()
    times = (c["lastTransitionTime"] for c in conditions if c["type"] == "Ready" and c["status"] == "True")
    found = next(times, None)
    return None if found is None else datetime.fromisoformat(str(found))


# --- reading a Rollout -------------------------------------------------------------------------------------------------


def _sub(rollout: Object) -> Object:
    found: Object = rollout.get("status", {}).get("canaryStatus") or {}
    return found


def _steps(rollout: Object) -> list[Any]:
    found: list[Any] = rollout["spec"]["strategy"]["canary"]["steps"]
    return found


def _reason(rollout: Object) -> str:
    conditions = rollout.get("status", {}).get("conditions") or ()
    return next((str(c["reason"]) for c in conditions if c["type"] == "Progressing"), "")
