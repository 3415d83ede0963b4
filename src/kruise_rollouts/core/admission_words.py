"""What people are told when their update of a workload is admitted: one sentence, one line, what to do.

kubectl prints each warning on a line of its own and API servers cut them at 256 characters. Nothing is decided here.
"""

from __future__ import annotations

import textwrap

from kruise_rollouts.api.apps import Deployment
from kruise_rollouts.api.int_or_percent import is_percent
from kruise_rollouts.api.rollouts_v1beta1 import Rollout, Style, style_of

from .conditions import STALLED
from .outcomes import pods_of
from .plan import updated_limit
from .rejected import rejected_by
from .revision import template_hash
from .rollout_ids import FIELD, INVALID_ID, bad_id, id_of
from .settings import is_recreate

LENGTH = 250  # characters of a warning
_UNSOLVED = "It will not move before this is solved:"


def held(new: Deployment, rollout: Rollout) -> tuple[str, ...]:
    """A release begins."""
    said = _what_comes(f"Rollout {_name(rollout)} holds this update", new, rollout)
    if is_recreate(new):
        said.append("strategy Recreate: until the release ends, pods are replaced one at a time.")
    return tuple(said)


def rolled_back(rollout: Rollout) -> list[str]:
    """The template becomes that of the stable version during a release."""
    return [
        f"Rollout {_name(rollout)}: this is the version from before the release; it is rolled back to now."
    ]


def another_version(new: Deployment, rollout: Rollout, back: str) -> list[str]:
    """The template changes during a release. `back`: revision number of the stable version, "" if unknown."""
    name = _name(rollout)
    if style_of(rollout.spec) is Style.BLUE_GREEN:
        return [
            f"Rollout {name}: a blue-green release cannot take another version; nothing moves until you go back.",
            _way_back(rollout, back),
        ]
    return _what_comes(f"Rollout {name} starts over with this version", new, rollout, back)


def cannot_resume(rollout: Rollout, back: str) -> list[str]:
    """`back`: as in another_version."""
    return [
        f"Rollout {_name(rollout)} holds this Deployment at {_position(rollout)}; it stays paused.",
        f"To go on: {_command('approve', rollout)}",
        _way_back(rollout, back),
    ]


def cannot_pause(rollout: Rollout) -> list[str]:
    return [
        f"Rollout {_name(rollout)} is moving the pods of this Deployment; to stop it: {_command('pause', rollout)}",
    ]


def marks_put_back(rollout: Rollout) -> list[str]:
    return [
        f"Rollout {_name(rollout)} holds this Deployment at {_position(rollout)}; its marks and its pause stay.",
        f"To go on: {_command('approve', rollout)}",
        "To release without steps, set spec.disabled of the Rollout to true, or delete it.",
    ]


def recorded(rollout: Rollout, told: tuple[str, ...]) -> str:
    return f"Rollout {_name(rollout)}: {', '.join(told)} will be in effect when the release ends."


def invalid(rollout: Rollout, problem: str) -> str:
    """A refusal: what cannot be given back at the end must not be recorded."""
    return f"{problem} (it would be in effect when the release of Rollout {_name(rollout)} ends)"


def no_replicas(rollout: Rollout) -> str:
    return f"Rollout {_name(rollout)} does not hold this update: with 0 replicas there is nothing to release step by step."


def no_pods(rollout: Rollout) -> str:
    return f"Rollout {_name(rollout)} does not hold this update: no pods of an earlier version are running."


def native_way_back(rollout: Rollout) -> str:
    return (
        f"Rollout {_name(rollout)} does not hold this update: it goes back to a version that is still running,"
        " and an earlier update is not finished."
    )


def several_versions(new: Deployment, rollout: Rollout, count: int) -> str:
    """A refusal, so it may be longer than a warning."""
    name = new.metadata.name
    return (
        f"Deployment {name} runs {count} versions at once, because an earlier update is not finished, and Rollout"
        f" {_name(rollout)} routes traffic: it would send all of it to the pods of one version. Wait until that update"
        f" is complete (kubectl rollout status deployment/{name}), apply one of the running versions again, or set"
        " spec.disabled of the Rollout to true to update without steps."
    )


def _what_comes(so: str, new: Deployment, rollout: Rollout, back: str = "") -> list[str]:
    """`so`, what follows from it, and what to do."""
    if in_the_way := [*_stalled(rollout), *bad_rollout_id(new)]:
        return [f"{so}.", *in_the_way, _way_back(rollout, back)]
    if template_hash(new.spec.template) in rejected_by(rollout):
        return [
            f"{so}: it was rolled back before, and no pod gets it unless it is approved.",
            f"To release it all the same: {_command('approve', rollout)}",
            _way_back(rollout, back),
        ]
    return [f"{so}: {_first_step(new, rollout)}.", *_what_to_do(rollout, back)]


def _first_step(new: Deployment, rollout: Rollout) -> str:
    steps = rollout.spec.strategy.steps
    if not steps:
        return "it has no steps, so nothing moves"
    step, total = steps[0], new.replicas
    amount = step.replicas if step.replicas is not None else 0
    pods = updated_limit(amount, total) if isinstance(amount, int) or is_percent(amount) else 0
    said = f"step 1 of {len(steps)} gives {pods} of {pods_of(total)} the new version"
    if rollout.spec.strategy.traffic_routings and step.traffic is not None:
        said += f" and {step.traffic} of the traffic"
    if rollout.spec.strategy.paused:
        return f"{said} once the Rollout is resumed ({_command('resume', rollout)})"
    if step.pause.duration is not None:
        return f"{said}, then waits {max(0, step.pause.duration)} s"
    return f"{said}, then waits for approval"


def _stalled(rollout: Rollout) -> list[str]:
    """A Rollout that cannot release anything holds all the same; the person must know before waiting for it."""
    found = rollout.status.condition(STALLED)
    if found is None or found.status != "True" or found.reason == INVALID_ID:
        return []  # an id is looked at as this update gives it: bad_rollout_id
    return [textwrap.shorten(f"{_UNSOLVED} {found.message}", LENGTH, placeholder=" ...")]


def bad_rollout_id(new: Deployment) -> list[str]:
    """The id that a person gives the release is none."""
    told = bad_id(id_of(new.metadata), FIELD)
    return [f"{_UNSOLVED} {told}"] if told else []


def _what_to_do(rollout: Rollout, back: str = "") -> list[str]:
    waits = any(step.pause.duration is None for step in rollout.spec.strategy.steps)
    said = [f"To approve a step: {_command('approve', rollout)}"] if waits else []
    return [*said, _way_back(rollout, back)]


def _way_back(rollout: Rollout, back: str) -> str:
    # Without a number, undo goes one version back; in a release that has started over that is not the stable one.
    return f"To go back: {_command('undo', rollout)}" + (f" --to-revision={back}" if back else "")


def _position(rollout: Rollout) -> str:
    sub, count = rollout.status.active, len(rollout.spec.strategy.steps)
    index = 0 if sub is None else sub.current_step_index
    return f"step {index} of {count}" if index > 0 else "its first step"


def _name(rollout: Rollout) -> str:
    return rollout.metadata.name


def _command(verb: str, rollout: Rollout) -> str:
    return f"kubectl kruise rollout {verb} rollout/{rollout.metadata.name} -n {rollout.metadata.namespace}"
