"""A person's name for a release: where it is read from, and whether pods can be labelled with it.

A label holds 63 characters of few kinds, an annotation anything. With an id that is no label no batch would ever be
done, because its pods cannot be given it; so a release does not begin with one, and says so.
"""

from __future__ import annotations

import msgspec

from kruise_rollouts.api.keys import ROLLOUT_ID
from kruise_rollouts.kube.labels import is_label_value
from kruise_rollouts.kube.objects import Meta

INVALID_ID = "InvalidRolloutID"  # reason of the condition Stalled
FIELD = f"annotation {ROLLOUT_ID}"
_SHOWN = 30  # characters: the sentence must fit into a warning


def id_of(workload: Meta) -> str:
    """The id that a person gave the release, by label or by annotation; "" if none."""
    return workload.labels.get(ROLLOUT_ID) or workload.annotations.get(ROLLOUT_ID, "")


def bad_id(rollout_id: str, field: str) -> str:
    """Why pods cannot be labelled with `rollout_id`, and what to do; "" if they can. `field`: what holds it."""
    if is_label_value(rollout_id):
        return ""
    quoted = msgspec.json.encode(rollout_id).decode()
    shown = quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."
    return (
        f"{field} is {shown}, which no pod can be labelled with; use at most 63 letters, digits,"
        ' "-", "_" and ".", with a letter or digit first and last.'
    )
