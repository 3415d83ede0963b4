"""What the cells of printed tables have in common: ages, lists that are cut short, selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from kruise_rollouts.kube.durations import duration
from kruise_rollouts.kube.effects import Json, JsonObject

Cells: TypeAlias = list[Json]
Printer: TypeAlias = Callable[[JsonObject, datetime], Cells]

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


def moment(text: str | None) -> datetime | None:
    """The instant of a timestamp; None if there is none, or it cannot be read."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def age(text: str | None, now: datetime) -> str:
    """Time since a timestamp."""
    at = moment(text)
    return UNKNOWN if at is None else duration((now - at).total_seconds())


def age_of(obj: JsonObject, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def spec_of(obj: JsonObject) -> JsonObject:
    return obj.get("spec") or {}


def status_of(obj: JsonObject) -> JsonObject:
    return obj.get("status") or {}


def name_of(obj: JsonObject) -> str:
    return str(obj["metadata"]["name"])


def at_most(items: Iterable[str], limit: int = 3) -> str:
    """Items joined by commas, the rest counted."""
    every = list(items)
    if not every:
        return NONE
    if len(every) <= limit:
        return ",".join(every)
    return f"{','.join(every[:limit])} + {len(every) - limit} more..."


def labels_text(labels: dict[str, str] | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def selector_text(selector: JsonObject | None) -> str:
    """A LabelSelector on one line; <none> if it selects everything."""
    selector = selector or {}
    parts = [(k, f"{k}={v}") for k, v in (selector.get("matchLabels") or {}).items()]
    for e in selector.get("matchExpressions") or ():
        key, values = e["key"], ",".join(sorted(e.get("values") or ()))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append((key, text[e["operator"]]))
    return ",".join(text for _, text in sorted(parts)) or NONE


def replicas_of(obj: JsonObject, now: datetime) -> Cells:
    """Columns of what keeps a number of pods, up to its selector."""
    spec, status = spec_of(obj), status_of(obj)
    counts = (spec.get("replicas"), status.get("replicas"), status.get("readyReplicas"))
    return [
        name_of(obj),
        *(count or 0 for count in counts),
        age_of(obj, now),
        *containers(spec.get("template") or {}),
    ]


def containers(template: JsonObject) -> Cells:
    """The Containers and Images columns of a pod template."""
    found = (template.get("spec") or {}).get("containers") or ()
    return [",".join(c["name"] for c in found), ",".join(c.get("image", "") for c in found)]
