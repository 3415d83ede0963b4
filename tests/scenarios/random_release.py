"""A release with a life of its own: what a person, their tools and fate do to it, drawn from a seed.

`a_story(seed)` is plain data; a `Person` plays it through a Stage, so the same story runs in the sandbox and on a real
API server. The Person keeps the manifest they would find in git (`want`): what the Deployment must be in the end. How
machines fail meanwhile is not drawn here, and what must hold at every moment is not looked at here.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from kruise_rollouts.kube.errors import (
    ApiError,
    Conflict,
    InternalError,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from kruise_rollouts.kube.objects import BATCH_RELEASE, DEPLOYMENT, POD, REPLICA_SET, ROLLOUT

from .stage import Object, Stage, a_deployment, a_rollout, a_step

NAME = "busybox"
GOOD_IMAGE, BAD_IMAGE = "busybox:1.36", "busybox:not-exists"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
OURS = "rollouts.kruise.io/"
KEPT = OURS + "workload-type"
MARKS = (
    "rollouts.kruise.io/in-progressing",
    "rollouts.kruise.io/deployment-strategy",
    "rollouts.kruise.io/deployment-extra-status",
    "batchrelease.rollouts.kruise.io/control-info",
)
ROLLINGS = (("25%", "25%"), (1, 0), (0, 1), (3, 2), ("100%", 0), (2, "50%"))
RETRY_SECONDS, RETRIES = 0.5, 120  # a person tries again while the API server or a webhook does not answer


class Act(Struct, frozen=True):
    """Something happens `after` seconds have passed since the act before."""

    name: str
    value: Any = None
    after: float = 0.0


class Story(Struct, frozen=True):
    """One life of one Deployment and its Rollout."""

    seed: int
    replicas: int
    surge: int | str
    unavailable: int | str
    min_ready: int  # seconds
    steps: tuple[Object, ...]
    acts: tuple[Act, ...]


def a_story(seed: int, acts: int = 8, longest_pause: int = 8) -> Story:
    """The story of `seed`. `longest_pause` in seconds: of a step, and between two acts."""
    rng = random.Random(seed)
    surge, unavailable = rng.choice(ROLLINGS)
    drawn = [Act("version", 2)]
    for _ in range(rng.randrange(acts + 1)):
        name = rng.choice(NAMES)
        after = rng.choice((0.0, 0.0, 0.3, 1.0, rng.uniform(0, longest_pause)))
        drawn.append(Act(name, VALUES[name](rng, longest_pause), round(after, 3)))
    return Story(
        seed=seed,
        replicas=rng.randint(1, 12),
        surge=surge,
        unavailable=unavailable,
        min_ready=rng.choice((0, 0, 0, 2)),
        steps=_a_plan(rng, longest_pause),
        acts=tuple(drawn),
    )


def _a_plan(rng: random.Random, longest_pause: int) -> tuple[Object, ...]:
    """Percentages or numbers, never fewer than the step before: admission refuses anything else."""
    count, percent = rng.randint(1, 4), rng.random() < 0.6
    amounts = sorted(rng.randint(1, 100 if percent else 12) for _ in range(count))
    if percent and rng.random() < 0.7:
        amounts[-1] = 100
    pauses = [rng.choice((None, None, 0, rng.randint(1, longest_pause))) for _ in amounts]
    return tuple(a_step(f"{a}%" if percent else a, pause) for a, pause in zip(amounts, pauses, strict=True))


# What each act is drawn with; a name that stands more often is drawn more often.
VALUES: dict[str, Callable[[random.Random, int], Any]] = {
    "version": lambda rng, _: rng.randint(1, 4),
    "approve": lambda rng, _: None,
    "approve at once": lambda rng, _: None,
    "roll back": lambda rng, _: None,
    "jump": lambda rng, _: rng.randint(-1, 5),
    "plan": _a_plan,
    "scale": lambda rng, _: rng.choice((0, rng.randint(1, 12), rng.randint(1, 12))),
    "hold": lambda rng, _: rng.random() < 0.5,
    "disable": lambda rng, _: rng.random() < 0.5,
    "delete": lambda rng, _: None,
    "create": lambda rng, _: None,
    "resume by hand": lambda rng, _: None,
    "pause by hand": lambda rng, _: None,
    "restart by hand": lambda rng, _: rng.randint(1, 2),
    "replace": lambda rng, _: None,
    "apply again": lambda rng, _: None,
    "bad image": lambda rng, _: None,
    "good image": lambda rng, _: None,
    "delete pods": lambda rng, _: rng.randint(1, 3),
    "garble": lambda rng, _: rng.choice(MARKS),
    "settings": lambda rng, _: (rng.choice(ROLLINGS), rng.choice((0, 1, 2))),
    "time": lambda rng, longest: rng.uniform(1, 3 * longest),
}
NAMES = (*VALUES, *["approve", "approve at once"] * 3, "version", "time", "create", "good image")


class Person:
    """Plays one story. `told` is called with each act before it is done, and again (done=True) after."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self.stage = stage
        self.story = story
        self.want: Object = {}  # the Deployment, with defaults, as the person last had it
        self.before: Object = {}  # the template that a rollback goes to
        self.steps = story.steps
        self.approving = False  # an approval is on its way
        self.paused_by_hand = False
        self.diary: list[str] = []
        self.told: Callable[[Act, bool], None] = lambda act, done: None
        self.when_paused: Callable[[], Awaitable[None]] = self._approve_when_paused

    # --- the story -----------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Pods of version-1, and a Healthy Rollout."""
        story = self.story
        made = await self.stage.create(
            DEPLOYMENT,
            a_deployment(
                replicas=story.replicas,
                version="version-1",
                minReadySeconds=story.min_ready,
                strategy=_strategy(story.surge, story.unavailable),
            ),
        )
        self.want = {k: copy.deepcopy(made[k]) for k in ("apiVersion", "kind", "spec")}
        self.want["metadata"] = {"name": NAME}
        self.before = copy.deepcopy(self.want["spec"]["template"])
        await self.stage.create(ROLLOUT, self._rollout())
        await self.stage.until_ready(story.replicas)
        await self.stage.until_phase("Healthy")

    async def play(self) -> None:
        for act in self.story.acts:
            await self.stage.clock.sleep(act.after)
            await self.do(act)

    async def do(self, act: Act) -> None:
        self.diary.append(
            f"{self.stage.clock.mono():8.2f} {act.name} {'' if act.value is None else act.value}"
        )
        self.told(act, False)
        try:
            await ACTS[act.name](self, act.value)
        finally:
            self.told(act, True)

    async def see_through(self, within: float = 600.0) -> None:
        """The person mends what they broke, approves whatever waits, and sees the release end."""
        deadline = self.stage.clock.mono() + within
        if self._image() != GOOD_IMAGE:
            await self.do(Act("good image"))
        await self.do(Act("create"))
        await self.do(Act("hold", False))
        await self.do(Act("disable", False))
        while not await self._is_over():
            if self.stage.clock.mono() > deadline:
                raise AssertionError(f"the release does not end\n{await self.stage.picture()}")
            rollout = await self.stage.find(ROLLOUT, NAME)
            if rollout is None:
                await self.do(Act("create"))
            elif _state(rollout) == "StepPaused":
                await self.do(Act("approve"))
            elif self.paused_by_hand and rollout.get("status", {}).get("phase") == "Healthy":
                await self.do(Act("resume by hand"))
            await self.stage.clock.sleep(0.5)

    async def _is_over(self) -> bool:
        rollout, deployment = await self.stage.find(ROLLOUT, NAME), await self.stage.deployment()
        if rollout is None:
            return False
        meta, status = rollout["metadata"], rollout.get("status", {})
        if meta.get("deletionTimestamp") or status.get("phase") != "Healthy":
            return False
        if status.get("observedGeneration") != meta["generation"] or MARKS[0] in deployment["metadata"].get(
            "annotations", {}
        ):
            return False
        if self.paused_by_hand and deployment["spec"].get("paused"):
            return False
        have, replicas = deployment.get("status", {}), deployment["spec"]["replicas"]
        counts = [have.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
        settled = have.get("observedGeneration") == deployment["metadata"]["generation"]
        return bool(settled and counts == [replicas] * 3)

    async def check_what_is_left(self) -> None:
        """The Deployment is what the person last applied, field by field, and nothing of ours stays behind."""
        live = await self.stage.deployment()
        meta, spec = live["metadata"], _explicit(live["spec"])
        wanted = _explicit(self.want["spec"])
        differing = {
            k: (spec.get(k), wanted.get(k)) for k in {*spec, *wanted} if spec.get(k) != wanted.get(k)
        }
        assert not differing, f"live and wanted differ: {differing}"
        marks = [k for k in {**(meta.get("annotations") or {}), **(meta.get("labels") or {})} if OURS in k]
        assert not [k for k in marks if k != KEPT], f"left behind: {marks}"
        assert await self.stage.find(BATCH_RELEASE, NAME) is None, "the BatchRelease is left behind"
        for replica_set in await self.stage.list(REPLICA_SET):
            if replica_set["spec"]["replicas"]:
                own = replica_set["spec"].get("minReadySeconds", 0)
                assert own == wanted["minReadySeconds"], f"a ReplicaSet is left with minReadySeconds {own}"

    # --- acts ----------------------------------------------------------------------------------------------------

    async def version(self, number: int) -> None:
        await self._template({"env": [{"name": "VERSION", "value": f"version-{number}"}]})

    async def bad_image(self, _: None) -> None:
        await self._template({"image": BAD_IMAGE})

    async def good_image(self, _: None) -> None:
        await self._template({"image": GOOD_IMAGE})

    async def restart(self, number: int) -> None:
        notes = {"metadata": {"annotations": {RESTARTED: f"2026-01-01T00:00:0{number}Z"}}}
        await self._patch({"spec": {"template": notes}}, "strategic")

    async def roll_back(self, _: None) -> None:
        """What `kubectl rollout undo` sends: the whole template of before."""
        template = copy.deepcopy(self.before)
        template["metadata"].setdefault("annotations", None)
        await self._patch({"spec": {"template": template}}, "merge")

    async def _template(self, container: Object) -> None:
        body = {"spec": {"template": {"spec": {"containers": [{"name": NAME, **container}]}}}}
        await self._patch(body, "strategic")

    async def _patch(self, body: Object, type_: str) -> Object | None:
        """A patch of the Deployment; the person wants what they were told is stored, as far as it is theirs."""
        answer = await self._try(lambda: self.stage.patch(DEPLOYMENT, NAME, body, type_=type_))
        if answer is not None and "template" in body["spec"]:
            self.want["spec"]["template"] = copy.deepcopy(answer["spec"]["template"])
        return answer

    async def scale(self, replicas: int) -> None:
        if await self._patch({"spec": {"replicas": replicas}}, "merge") is not None:
            self.want["spec"]["replicas"] = replicas

    async def settings(self, value: tuple[tuple[Any, Any], int]) -> None:
        (surge, unavailable), min_ready = value
        spec = {"minReadySeconds": min_ready, "strategy": _strategy(surge, unavailable)}
        live, want = (await self.stage.deployment())["spec"], self.want["spec"]
        for mine, theirs, wanted in zip(_settings(spec), _settings(live), _settings(want), strict=True):
            if mine == theirs != wanted:
                return  # the very number that the release has there just now: the API server sees no change
        if await self._patch({"spec": spec}, "merge") is not None:
            self.want["spec"] |= copy.deepcopy(spec)

    async def pause_by_hand(self, _: None) -> None:
        answer = await self._patch({"spec": {"paused": True}}, "merge")
        if answer is not None and MARKS[0] not in (answer["metadata"].get("annotations") or {}):
            self.paused_by_hand = True

    async def resume_by_hand(self, _: None) -> None:
        if await self._patch({"spec": {"paused": False}}, "merge") is not None:
            self.paused_by_hand = False

    async def replace(self, _: None) -> None:
        """`kubectl replace`: the manifest as it is in git, without our marks."""
        await self._try(lambda: self.stage.replace(DEPLOYMENT, copy.deepcopy(self.want)))

    async def apply_again(self, _: None) -> None:
        await self._try(
            lambda: self.stage.apply(DEPLOYMENT, copy.deepcopy(self.want), manager="argocd-controller")
        )

    async def garble(self, mark: str) -> None:
        async def write() -> None:
            found = await self.stage.find(DEPLOYMENT, NAME)
            if found is not None and mark in (found["metadata"].get("annotations") or {}):
                await self.stage.patch(
                    DEPLOYMENT, NAME, {"metadata": {"annotations": {mark: '{"not": json'}}}
                )

        await self._try(write)

    async def delete_pods(self, count: int) -> None:
        pods = sorted(await self.stage.pods(), key=lambda p: str(p["metadata"]["name"]))
        for pod in pods[:: max(1, len(pods) // count)][:count]:
            name = pod["metadata"]["name"]
            await self._try(lambda name=name: self.stage.delete(POD, name))  # type: ignore[misc]

    async def approve(self, _: None) -> None:
        self.approving = True
        try:
            await self._try(self.stage.approve)
        finally:
            self.approving = False

    async def approve_at_once(self, _: None) -> None:
        """In the very moment that the pause is seen."""
        await self.when_paused()

    async def _approve_when_paused(self, within: float = 5.0) -> None:
        deadline = self.stage.clock.mono() + within
        while self.stage.clock.mono() < deadline:
            rollout = await self.stage.find(ROLLOUT, NAME)
            if rollout is not None and _state(rollout) == "StepPaused":
                await self.approve(None)
                return
            await self.stage.clock.sleep(0.05)

    async def jump(self, index: int) -> None:
        status = {"canaryStatus": {"nextStepIndex": index}}
        await self._edit_rollout({"status": status}, "status")

    async def plan(self, steps: tuple[Object, ...]) -> None:
        if await self._edit_rollout({"spec": {"strategy": {"canary": {"steps": list(steps)}}}}) is not None:
            self.steps = steps

    async def hold(self, held: bool) -> None:
        await self._edit_rollout({"spec": {"strategy": {"paused": held}}})

    async def disable(self, disabled: bool) -> None:
        await self._edit_rollout({"spec": {"disabled": disabled}})

    async def delete(self, _: None) -> None:
        await self._try(lambda: self.stage.delete(ROLLOUT, NAME))

    async def create(self, _: None) -> None:
        """Unless it is there; one that is on its way out is waited for."""
        for _ in range(60):
            found = await self.stage.find(ROLLOUT, NAME)
            if found is None:
                await self._try(lambda: self.stage.create(ROLLOUT, self._rollout()))
                return
            if not found["metadata"].get("deletionTimestamp"):
                return
            await self.stage.clock.sleep(0.5)

    async def time(self, seconds: float) -> None:
        await self.stage.clock.sleep(seconds)

    # --- shared --------------------------------------------------------------------------------------------------

    async def _edit_rollout(self, body: Object, subresource: str = "") -> Object | None:
        return await self._try(lambda: self.stage.patch(ROLLOUT, NAME, body, subresource=subresource))

    async def _try(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """The answer; None if it was refused for good. What cannot be answered now is tried again."""
        for _ in range(RETRIES):
            try:
                return await send() or {}
            except (InternalError, Unavailable, TooManyRequests, Conflict) as error:
                said = error.message
                await self.stage.clock.sleep(RETRY_SECONDS)
            except NotFound:
                return None
            except ApiError as error:
                self.diary.append(f"         refused: {error.message}")
                return None
        raise AssertionError(f"tried {RETRIES} times in vain: {said}")

    def _rollout(self) -> Object:
        return a_rollout(NAME, self.steps)

    def _image(self) -> str:
        return str(self.want["spec"]["template"]["spec"]["containers"][0]["image"])


ACTS: dict[str, Callable[[Person, Any], Awaitable[None]]] = {
    "version": Person.version,
    "approve": Person.approve,
    "approve at once": Person.approve_at_once,
    "roll back": Person.roll_back,
    "jump": Person.jump,
    "plan": Person.plan,
    "scale": Person.scale,
    "hold": Person.hold,
    "disable": Person.disable,
    "delete": Person.delete,
    "create": Person.create,
    "resume by hand": Person.resume_by_hand,
    "pause by hand": Person.pause_by_hand,
    "restart by hand": Person.restart,
    "replace": Person.replace,
    "apply again": Person.apply_again,
    "bad image": Person.bad_image,
    "good image": Person.good_image,
    "delete pods": Person.delete_pods,
    "garble": Person.garble,
    "settings": Person.settings,
    "time": Person.time,
}


def _strategy(surge: int | str, unavailable: int | str) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _settings(spec: Object) -> list[Any]:
    return [spec.get("minReadySeconds", 0), *sorted(spec["strategy"]["rollingUpdate"].items())]


def _state(rollout: Object) -> str:
    return str((rollout.get("status", {}).get("canaryStatus") or {}).get("currentStepState", ""))


def _explicit(spec: Object) -> Object:
    """With what may be left out."""
    return {"paused": False, "minReadySeconds": 0, **spec}
