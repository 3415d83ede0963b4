"""What must hold at every moment of a release, whatever people and machines do. Watches a Stage's truth."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from release_stage import RELEASE_REF, ROLLOUT_REF, Stage

from kruise_rollouts.core.plan import updated_limit
from kruise_rollouts.kube.effects import JsonObject


class Rules:
    """Attach with `Rules(stage)`; breaks with AssertionError at the write that breaks a rule."""

    def __init__(self, stage: Stage, surge: int | str, unavailable: int | str) -> None:
        self.stage = stage
        self._asked = (surge, unavailable)
        self.surge, self.unavailable = self._shares()
        self.granted = 0  # the last step that people or durations have let this revision have
        self.grants: dict[str, int] = {}  # of revisions that others have followed
        self.spared = 0  # pods of the new revision that scaling, or a person's hand, has made
        self.image = self._image()
        self.stable = self.image
        self.capacity = True  # False: a person's own act has taken capacity below the mark
        self.capacity_counts = True  # False: not looked at any more
        self.steps_count = True  # False: what comes now is Kubernetes' own doing, until the next version
        self.replanned: str | None = None  # rolloutHash of the plan before, until the new one is heard of
        self.batch: tuple[int, str] = (0, "")  # batch and its state, as stored last
        self.stage.checks.append(lambda _: self.look())

    # --- a person acts -----------------------------------------------------------------------------------------------

    def new_image(self) -> None:
        if self._image() != self.image:
            self.grants[self.image] = self.granted
            self.image = self._image()
            rollout = stage_status(self.stage)
            # Back before the Rollout has told of another: it goes on where it was.
            goes_on = rollout is not None and self._is_current(rollout)
            self.granted = self.grants.get(self.image, 0) if goes_on else 0
            # Held by admission: only what others let through before is not ours to answer for.
            self.steps_count = self.steps_count or (self.stage.webhook and self.stage.native.wanted > 0)
            # Of an earlier release of it, or of one that is not rolled back yet; Kubernetes fills up what surges.
            pods = self._new_pods()
            self.spared = pods + self.stage.native.surge() if pods else 0
        self.look()

    def new_plan(self, same: bool) -> None:
        """Steps have other numbers now, and what the old ones allowed stays allowed, until the new plan is heard of."""
        rollout = stage_status(self.stage)
        sub = (rollout or {}).get("status", {}).get("canaryStatus") or {}
        if not same and sub.get("rolloutHash") and self.replanned is None:
            self.replanned = sub["rolloutHash"]
        self.look()

    def keep_what_is_granted(self) -> None:
        """Before the plan changes."""
        if self.granted < 10**6:
            self.spared = max(self.spared, self._limit(), self._new_pods())

    def scaled(self, before: int) -> None:
        wanted = self.stage.native.wanted
        self.capacity = False
        self.surge = self.unavailable = 10**6  # the limits are shares of another number now
        now = self._new_pods()  # Kubernetes grows and shrinks all revisions in proportion
        self.spared = max(self.spared, now, -(-now * wanted // max(1, before)) + 2)
        native = self.stage.native
        if now and not native.spec["paused"]:
            # In the middle of a move what rounding leaves over goes to one revision, all of it.
            self.spared = max(self.spared, wanted + native.surge())

    # --- rules -------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        stage = self.stage
        assert stage.native.spec["strategy"]["type"] == "RollingUpdate", "strategy.type has changed"
        self._grant()
        self._check_batch()
        self._check_steps()
        self._check_capacity()

    def _grant(self) -> None:
        rollout = stage_status(self.stage)
        if rollout is None:
            self.granted = 10**6  # given back: the person's own update goes on
            return
        sub, spec = rollout["status"].get("canaryStatus") or {}, rollout["spec"]
        steps = spec["strategy"]["canary"]["steps"]
        index, following = sub.get("currentStepIndex", 0), sub.get("nextStepIndex", 0)
        natural = index + 1 if index < len(steps) else -1
        given_back = spec.get("disabled") or rollout["status"].get("phase") not in ("Progressing", "Healthy")
        ending = _reason(rollout) in ("Finalising", "Cancelling", "Completed") and self._is_current(rollout)
        if given_back or ending:
            self.granted = 10**6
        elif _reason(rollout) in ("InRolling", "Paused") and self._is_current(rollout):
            allowed = max(1, index) if index else 0
            if sub.get("currentStepState") == "StepReady" or _has_waited(sub, steps, index, self.stage.now):
                allowed = index + 1
            if following != natural and 1 <= following <= len(steps):
                allowed = max(allowed, following)
            while 1 <= allowed <= len(steps) and steps[allowed - 1]["pause"].get("duration") == 0:
                allowed += 1  # goes on by itself within the same moment
            if allowed > len(steps):
                allowed = (
                    10**6
                )  # the last step is over: all pods may be new, though no status may say so after a crash
            if self.replanned is not None and sub.get("rolloutHash") != self.replanned:
                self.replanned = None
                self.granted = allowed if self.granted < 10**6 else self.granted
            known = self.steps_count and self.replanned is None
            assert not known or index <= max(self.granted, 1), (
                f"step {index} was never granted, {self.granted} was"
            )
            self.granted = max(self.granted, allowed)

    def _is_current(self, rollout: JsonObject) -> bool:
        """The status speaks of the revision that the Deployment has."""
        sub = rollout["status"].get("canaryStatus") or {}
        return self.stage.revision_of(self._image()) == sub.get("canaryRevision")

    def _check_steps(self) -> None:
        rollout = stage_status(self.stage)
        if not self.steps_count or rollout is None or self.granted >= 10**6 or self.image == self.stable:
            return
        if self.replanned is not None:
            return
        pods, allowed = self._new_pods(), self._limit()
        assert pods <= max(allowed, self.spared), f"{pods} new pods, {allowed} allowed in step {self.granted}"

    def _limit(self) -> int:
        """New pods that the steps up to the granted one allow."""
        rollout = stage_status(self.stage)
        steps = [] if rollout is None else rollout["spec"]["strategy"]["canary"]["steps"]
        replicas = self.stage.native.wanted
        granted = steps[: max(1, self.granted)]
        return max((updated_limit(s["replicas"], replicas) for s in granted), default=0)

    def _check_batch(self) -> None:
        """A batch is said to be ready when its pods have been ready for as long as the person asks, not before."""
        release = self.stage.objects.get(RELEASE_REF, {})
        batch = release.get("status", {}).get("canaryStatus", {})
        now = (batch.get("currentBatch", 0), batch.get("batchState", ""))
        began, self.batch = now != self.batch, now
        if not began or now[1] != "Ready" or not self.steps_count or self.stage.lags or not self.capacity:
            return
        batches = release["spec"]["releasePlan"]["batches"]
        native, asked = self.stage.native, batches[now[0]]["canaryReplicas"]
        new = native.new()
        own = [] if new is None else native.pods_of(new["metadata"]["name"])
        available = native.available(own, self.stage.min_ready)
        wanted = updated_limit(asked, native.wanted)
        assert available >= wanted, f"batch {now[0] + 1} is ready with {available} pods available of {wanted}"

    def _check_capacity(self) -> None:
        native = self.stage.native
        wanted = native.wanted
        if not self.capacity_counts:
            return
        ready = sum(p.ready_since is not None for p in native.pods.values())
        if not self.capacity:
            self.capacity = ready >= wanted - self.unavailable and len(native.pods) <= wanted + self.surge
            return
        assert ready >= wanted - self.unavailable, (
            f"{ready} ready of {wanted}, {self.unavailable} may be missing"
        )
        total = sum(r["spec"]["replicas"] for r in native.replica_sets.values())
        assert total <= wanted + self.surge, f"{total} pods for {wanted}, {self.surge} more are allowed"

    def _shares(self) -> tuple[int, int]:
        """maxSurge and maxUnavailable as Kubernetes reads them, of the replicas there are to be."""
        wanted, (surge, unavailable) = self.stage.native.wanted, self._asked
        more, fewer = _share(surge, wanted, up=True), _share(unavailable, wanted, up=False)
        return (more, fewer) if more or fewer else (0, 1)

    def _new_pods(self) -> int:
        new = self.stage.native.new()
        return 0 if new is None else int(new["spec"]["replicas"])

    def _image(self) -> str:
        return str(self.stage.native.spec["template"]["spec"]["containers"][0]["image"])


def _share(amount: int | str, total: int, *, up: bool) -> int:
    if isinstance(amount, int):
        return amount
    hundredths = int(amount[:-1]) * total
    return -(-hundredths // 100) if up else hundredths // 100


def stage_status(stage: Stage) -> JsonObject | None:
    """The live Rollout with a status; None while there is none, or it is going."""
    rollout = stage.objects.get(ROLLOUT_REF)
    if rollout is None or rollout["metadata"].get("deletionTimestamp"):
        return None
    return {"status": {}, **rollout}


def _reason(rollout: JsonObject) -> str:
    conditions = rollout["status"].get("conditions") or ()
    return next((str(c["reason"]) for c in conditions if c["type"] == "Progressing"), "")


def _has_waited(sub: JsonObject, steps: list[Any], index: int, now: datetime) -> bool:
    if sub.get("currentStepState") != "StepPaused" or not 1 <= index <= len(steps):
        return False
    duration = steps[index - 1]["pause"].get("duration")
    since = datetime.fromisoformat(sub.get("lastUpdateTime", "1970-01-01T00:00:00Z").replace("Z", "+00:00"))
    return duration is not None and now >= since + timedelta(seconds=duration)
