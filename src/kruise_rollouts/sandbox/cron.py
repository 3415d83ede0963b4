"""Schedules of cron: what is wrong with the text of one, in Kubernetes' words, and when it is due."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))  # minute, hour, day, month, day of the week
_WORDS = {
    name: number
    for names, first in (
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("sun mon tue wed thu fri sat", 0),
    )
    for number, name in enumerate(names.split(), first)
}
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_HORIZON = timedelta(days=366 * 5)  # what is not due within five years never is


def wrong_schedule(schedule: str) -> str:
    """What is wrong with a schedule of cron; "" if nothing."""
    if "TZ" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if schedule.startswith("@"):
        known = schedule in _DESCRIPTORS or schedule.startswith("@every ")
        return "" if known else f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != len(_RANGES):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (low, high) in zip(parts, _RANGES, strict=True):
        for item in part.split(","):
            why = _wrong_range(item, low, high)
            if why:
                return why
    return ""


def _wrong_range(item: str, low: int, high: int) -> str:
    span, _, step = item.partition("/")
    if step and not step.isdigit():
        return f'failed to parse int from {step}: strconv.Atoi: parsing "{step}": invalid syntax'
    if span in ("*", "?"):
        return ""
    numbers = [_WORDS.get(text.lower(), text) for text in span.split("-")]
    for text in numbers:
        if not re.fullmatch(r"\d+", str(text)):
            return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
    first, last = int(numbers[0]), int(numbers[-1])
    if first < low:
        return f"beginning of range ({first}) below minimum ({low}): {item}"
    if last > high:
        return f"end of range ({last}) above maximum ({high}): {item}"
    if first > last:
        return f"beginning of range ({first}) beyond end of range ({last}): {item}"
    return ""


class Schedule(Struct, frozen=True):
    """The moments of one schedule, in one time zone."""

    fields: tuple[frozenset[int], ...]  # as in _RANGES; () for one that only repeats
    either_day: bool  # the day and the day of the week are both given: one of them is enough
    zone: str
    every: float = 0.0  # seconds, for one that only repeats

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment` that it is due; None for never."""
        if self.every:
            return moment.replace(microsecond=0) + timedelta(seconds=self.every)
        zone = ZoneInfo(self.zone)
        at = moment.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=1)
        end = at + _HORIZON
        while at < end:
            later = self._step(at)
            if later is None:
                return at.replace(tzinfo=zone).astimezone(UTC)
            at = later
        return None

    def _step(self, at: datetime) -> datetime | None:
        """Where to look next if it is not due at `at`."""
        minutes, hours, _, months, _ = self.fields
        if at.month not in months:
            first = at.replace(day=1, hour=0, minute=0)
            return (first + timedelta(days=32)).replace(day=1)
        if not self._is_day(at):
            return at.replace(hour=0, minute=0) + timedelta(days=1)
        if at.hour not in hours:
            return at.replace(minute=0) + timedelta(hours=1)
        return None if at.minute in minutes else at + timedelta(minutes=1)

    def _is_day(self, at: datetime) -> bool:
        meets: Callable[[tuple[bool, bool]], bool] = any if self.either_day else all
        return meets((at.day in self.fields[2], at.isoweekday() % 7 in self.fields[4]))


def schedule_of(text: str, zone: str = "") -> Schedule:
    """The schedule that `text` spells; one with which nothing is wrong."""
    zone = zone or "Etc/UTC"
    if text.startswith("@every "):
        found = re.findall(r"([\d.]+)(h|m|s)", text)
        return Schedule((), False, zone, max(sum(float(n) * _UNITS[u] for n, u in found), 1.0))
    parts = _DESCRIPTORS.get(text, text).split()
    fields = tuple(_field(part, *bounds) for part, bounds in zip(parts, _RANGES, strict=True))
    free = [part.startswith(("*", "?")) for part in parts]
    return Schedule(fields, not free[2] and not free[4], zone)


def _field(part: str, low: int, high: int) -> frozenset[int]:
    out: set[int] = set()
    for item in part.split(","):
        span, _, step = item.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first)
            end = _number(last) if dash else high if step else start
        out.update(range(start, end + 1, int(step or 1)))
    return frozenset(out)


def _number(text: str) -> int:
    return _WORDS.get(text.lower(), -1) if text.isalpha() else int(text)
